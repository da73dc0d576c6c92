"""Reads a YAML file that a user wrote: what is wrong in it is said with the file's name and the line."""

from pathlib import Path
from typing import Any

import yaml

from noisy_lightning.errors import InputError

# That of libyaml, which is faster, where PyYAML has it.
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


_LARGEST = 1_000_000  # values, those counted again that an alias repeats
_DEEPEST = 100


def read_yaml(path: Path, key: str = "") -> Any:
    """Return what a YAML file holds.

    Args:
        path: The file.
        key: What the user calls it, the beginning of an error; empty: nothing but its name.

    Raises:
        InputError: It cannot be read, is no YAML, would take forever, or says something twice, of which YAML takes
            the last.
    """
    where = f"{key}: {path}" if key else str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise InputError(
            f"{where}, line {line}: must be UTF-8, got the byte 0x{error.object[error.start]:02x}"
        ) from error
    except OSError as error:
        raise InputError(f"{f'{key}: ' if key else ''}cannot read {path}: {error.strerror or error}") from error
    try:
        check_yaml(text)
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is None:
            return None
        _check_keys(root, where)
        return loader.construct_document(root)
    except InputError:
        raise
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InputError(f"{where}, line {line}: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise InputError(f"{where} is no YAML: {' '.join(str(error).split())}") from error


def check_yaml(text: str) -> None:
    """Check that YAML can be read in a time that its length suggests, and without a fall of the reader.

    Raises:
        ValueError: It is nested a hundred deep, or aliases make it more than a million values.
        yaml.YAMLError: It is none.
    """
    sizes: dict[str, int] = {}  # by anchor: how many values it stands for
    begun: list[tuple[str | None, int]] = [(None, 0)]
    for event in yaml.parse(text, _Loader):
        size, anchor = 0, getattr(event, "anchor", None)
        if isinstance(event, yaml.CollectionStartEvent):
            begun.append((anchor, 0))
            if len(begun) > _DEEPEST:
                raise ValueError(f"it is nested more than {_DEEPEST} deep")
            continue
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, size = begun.pop()
        elif isinstance(event, yaml.AliasEvent):
            if anchor in (one for one, _ in begun):
                raise ValueError(f"its part {anchor} holds itself")
            size, anchor = sizes.get(str(anchor), 0), None
        if anchor is not None:
            sizes[anchor] = size + 1
        begun[-1] = begun[-1][0], begun[-1][1] + size + 1
        if begun[-1][1] > _LARGEST:
            raise ValueError(f"its aliases stand for more than {_LARGEST:,} values")


def _check_keys(root: yaml.Node, where: str) -> None:
    """Check that no mapping has a key twice.

    Raises:
        InputError: One has.
    """
    waiting, seen = [root], set[int]()  # an alias may repeat a node without end
    while waiting:
        node = waiting.pop()
        if id(node) in seen or isinstance(node, yaml.ScalarNode):
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
            continue
        lines: dict[str, int] = {}
        for name, value in node.value:
            line = name.start_mark.line + 1
            if isinstance(name, yaml.ScalarNode) and (first := lines.setdefault(name.value, line)) != line:
                raise InputError(f"{where}, line {line}: {name.value} is there twice, first in line {first}")
            waiting.append(value)

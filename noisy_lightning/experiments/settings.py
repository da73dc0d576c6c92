"""What a run was configured to do apart from its seeds, and in what such settings differ."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from noisy_lightning.errors import InputError
from noisy_lightning.runs.folder import RunFolder
from noisy_lightning.runs.identity import deciding

_SEEDS = ("seed_everything", "seed")
_ONLY_SHOWN = ("recorder", "test_every_epoch", "weights_only")  # what they change is what is kept, not what is trained
_LONGEST = 20  # items of a list that is not shortened to a hash, as matrices are
ABSENT = "–"
SELECTIONS = "selections"  # folder of a sweep with those that its runs are trained on

Settings = Mapping[str, Any]


def settings_of(config: Mapping[str, Any], folder: Path | None = None) -> Settings:
    """Return what decides the outcome of a run but for seeds, which have no part in it wherever they stand.

    A selection to train on is called by its selector and a hash of the settings behind it: for each seed it is another
    file.

    Args:
        config: Resolved, as plain data.
        folder: Of the sweep that the run belongs to, beside whose runs its selections are, wherever it has moved.
    """
    kept = {key: value for key, value in deciding(config).items() if key not in _ONLY_SHOWN}
    arguments = (kept.get("data") or {}).get("init_args") or {}
    if selection := arguments.get("selection"):
        own = {**arguments, "selection": _selector_of(Path(str(selection)), folder)}
        kept["data"] = {**kept["data"], "init_args": own}
    seedless: dict[str, Any] = _seedless(kept)
    return seedless


def as_json(settings: Settings) -> str:
    """Return settings as a ledger has them."""
    return json.dumps(settings, sort_keys=True, default=str)


@cache
def from_text(text: str) -> Settings:
    """Return settings that a ledger has.

    Raises:
        InputError: It is no such text.
    """
    try:
        settings = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"the column settings of a ledger is damaged: {error}") from error
    if not isinstance(settings, dict):
        raise InputError(f"the column settings of a ledger should hold mappings, not {text[:40]}")
    return settings


def differing(settings: Sequence[Settings]) -> list[str]:
    """Return the dotted keys in which settings differ; where classes differ, their arguments are not looked at."""
    return list(dict.fromkeys(_differing(settings, "")))


def value_at(settings: Settings, key: str) -> str:
    """Return what stands at a dotted key, as a table calls it."""
    found: Any = settings
    for name in key.split("."):
        for holder in (found, found.get("init_args") if isinstance(found, Mapping) else None):
            if isinstance(holder, Mapping) and name in holder:
                found = holder[name]
                break
        else:
            return ABSENT
    return label(found)


def label(value: Any) -> str:
    """Return a value as a table calls it; a class as it would be called, such as `Symmetric(rate=0.4)`."""
    if isinstance(value, Mapping) and "class_path" in value:
        return as_call(value) or ""
    if isinstance(value, list):
        return "[" + ", ".join(map(label, value)) + "]"
    return value if isinstance(value, str) else json.dumps(value, default=str)


def as_call(spec: Mapping[str, Any] | str | None, only: Sequence[str] | None = None) -> str | None:
    """Return a class of a configuration as it would be called, such as `Symmetric(rate=0.4, include_true=False)`.

    Args:
        spec: `class_path` and `init_args`.
        only: Names of the arguments to show; None: all that are not None.
    """
    if spec is None or isinstance(spec, str):
        return spec
    arguments = {
        name: as_call(value) if isinstance(value, dict) and "class_path" in value else value
        for name, value in (spec.get("init_args") or {}).items()
        if value is not None and (only is None or name in only)
    }
    text = ", ".join(f"{name}={value}" for name, value in arguments.items())
    name = str(spec["class_path"]).rpartition(".")[2]
    return f"{name}({text})" if text else name


def _differing(values: Sequence[Any], key: str) -> Iterator[str]:
    first = values[0]
    if all(value == first for value in values):
        return
    if all(isinstance(value, Mapping) for value in values) and all(_comparable(first, value) for value in values):
        for name in first:
            inner = key if name == "init_args" else f"{key}.{name}" if key else name
            yield from _differing([value[name] for value in values], inner)
    else:
        yield key


def _comparable(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return one.keys() == other.keys() and one.get("class_path") == other.get("class_path")


def _seedless(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _seedless(one) for name, one in value.items() if name not in _SEEDS}
    if isinstance(value, list) and (len(value) > _LONGEST or any(isinstance(one, list) for one in value)):
        return f"sha256 {_hash(value)}"
    return [_seedless(one) for one in value] if isinstance(value, list) else value


def _selector_of(selection: Path, folder: Path | None) -> str:
    places = [selection.parent, *([] if folder is None else [folder / SELECTIONS / selection.parent.name])]
    run = next((run for run in map(RunFolder, places) if run.config.is_file()), None)
    if run is None:
        return str(selection)
    config = run.read_config()
    selector = config.get("selector")
    return f"{as_call(selector) if selector else selection.name} {_hash(settings_of(config))}"


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:12]

"""Says in one line what jsonargparse says in fifty, and what was probably meant.

jsonargparse reports a wrong value as a tree of all the types that it tried, and an error in a constructor the same
way. This reads the tree's text, so its tests guard against a release that words it differently: what it does not
recognize is passed on as it is.
"""

import difflib
import inspect
import re
from collections.abc import Iterable
from importlib import import_module

from noisy_lightning.cli.catalog import kind_of, names

_NOISE = re.compile(
    r"^(Does not validate against any of the Union subtypes|Subtypes: .*|Errors:|Given value.*|Expected a path but .*"
    r"|Expected a <class 'NoneType'>|Problem with given class_path .*|Parser key \".*\":|)$"
)
# How an error in the arguments of a class that is called later is wrapped.
_IN_CALLABLE = re.compile(
    r'^Type .* expects a function or a callable class: Parser key "([\w.]+)":;? '
    r"(.*?)(?:\. Got value: Namespace\(.*\))?$"
)
# What an argument of a class that has not been named meets.
_ABSTRACT = re.compile(r"Expected an instantiatable class, but [\w.]+\.(\w+) is abstract")
# How a class path that leads nowhere is wrapped.
_NO_CALLABLE = re.compile(r"^Type .* expects a function or a callable class: (.*)\. Got value: ([\w.]+)$")


def explain(message: str, options: Iterable[str] = ()) -> str:
    """Return one line that says what is wrong, where, and what is close.

    Args:
        message: What jsonargparse reported.
        options: Options, such as `--data.seed`, that an unknown one may have meant.
    """
    lines = [re.sub(r"^\s*(- )?", "", line) for line in message.splitlines()]
    return _of_words(lines[0], options) or _of_values(lines, message)


def _of_words(line: str, options: Iterable[str]) -> str | None:
    """Return what is wrong with a word of the command line, if that is it."""
    if unknown := re.match(r"unrecognized arguments: (\S+)", line):
        word = unknown[1].partition("=")[0]
        if word.startswith("-"):
            return f"unknown option {word}{close(word, options)}"
        return f"{word} comes after no option; did you mean --config {word}?"
    if choice := re.match(r"argument (?:-\w/)?--([\w-]+): invalid choice: (.*?) \(choose from (.*)\)", line):
        return f"{choice[1]} must be one of {choice[3]}, got {choice[2]}".replace("'", "")
    return None


def _of_values(lines: list[str], message: str) -> str:
    """Return what is wrong with a value."""
    key = _key(lines)
    where = f"{key}: " if key else ""
    # Outermost first where a type was tried; innermost first where its arguments are shown.
    tried = re.findall(r"Problem with given class_path '([\w.]+)'", message)
    shown = re.findall(r"class_path='([\w.]+)'", message)
    owner = _class(tried[-1]) if tried else _class(shown[0]) if shown else None
    text = "\n".join(lines)
    if option := re.search(r"Option '([\w.]+)' is not accepted", text):
        taken = _arguments(owner) if owner else []
        subject = f"{owner.__name__} takes no" if owner else "there is no"
        return f"{where}{subject} '{option[1]}'{close(option[1], taken)}"
    if required := re.search(r"^the following arguments are required: (.*)", text, re.MULTILINE):
        return f"{where}{owner.__name__ + ' ' if owner else ''}needs {required[1]}"
    if name := re.search(r"^Expected a dot import path string: (.*)", text, re.MULTILINE):
        return f"{where}no class is called '{name[1]}'{close(name[1], _class_names(key))}"
    reason = "; ".join(re.sub(r'^Parser key ".*?": ', "", line) for line in lines if not _NOISE.match(line))
    reason = _ABSTRACT.sub(r"name the class, a \1, before its arguments", reason)
    if inner := _IN_CALLABLE.search(reason):
        return f"{key}.{inner[1]}: {inner[2]}"
    if nowhere := _NO_CALLABLE.search(reason):
        reason = f"{nowhere[2]}: {nowhere[1]}"
    elif tried and owner is None:
        reason = f"{tried[-1]}: {reason}"
    if not key and owner and "." not in reason.split(" ")[0]:
        where = f"{owner.__name__}: "
    return where + reason


def _key(lines: list[str]) -> str:
    """Return the dotted key that the nested reports lead to."""
    keys = [found[1] for line in lines if (found := re.match(r'Parser key "([^"]+)":', line))]
    return ".".join(dict.fromkeys(keys)).replace("init_args.", "")


def _class(class_path: str) -> type | None:
    """Return a class; None where the path leads to none."""
    module, _, name = class_path.rpartition(".")
    try:
        found: type = getattr(import_module(module), name)
    except (ImportError, AttributeError):
        return None
    return found


def _arguments(owner: type) -> list[str]:
    """Return the names that a constructor takes, and those of its parents' to which it hands the others on."""
    names: list[str] = []
    for parent in owner.__mro__[:-1]:
        parameters = inspect.signature(parent.__init__).parameters.values()  # type: ignore[misc]  # reads, calls nothing
        names += [one.name for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD and one.name != "self"]
        if not any(one.kind is one.VAR_KEYWORD for one in parameters):
            break
    return names


def _class_names(key: str) -> list[str]:
    """Return the short names of the classes that a key takes; those of another kind would be of no use there."""
    kind = kind_of(key)
    if kind is not None:
        return names(kind)
    modules = {"optimizer": "torch.optim", "lr_scheduler": "torch.optim.lr_scheduler"}
    module = modules.get(key.rpartition(".")[2])
    return [] if module is None else [name for name in vars(import_module(module)) if name[0].isupper()]


def close(word: str, candidates: Iterable[str]) -> str:
    """Return the end of a message that names what is closest to a word, or all there is where that is little."""
    candidates = sorted(set(candidates))
    small = {candidate.lower(): candidate for candidate in candidates}
    if found := [small[word.lower()]] if word.lower() in small else difflib.get_close_matches(word, candidates, n=1):
        return f"; did you mean {found[0]}?"
    return f"; there are {', '.join(candidates)}" if 0 < len(candidates) <= 20 else ""

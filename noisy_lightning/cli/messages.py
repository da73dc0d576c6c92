"""Says in one line what jsonargparse says in fifty, and what was probably meant.

jsonargparse reports a wrong value as a tree of all the types that it tried, and an error in a constructor the same
way. This reads the tree's text, so its tests guard against a release that words it differently: what it does not
recognize is passed on as it is.
"""

import difflib
import inspect
import re
from collections.abc import Iterable, Sequence
from importlib import import_module

from noisy_lightning.cli.catalog import kind_of, names

_NOISE = re.compile(
    r"^(Does not validate against any of the Union subtypes|Subtypes: .*|Errors:|Given value.*|Expected a path but .*"
    r"|Subclass types expect one of:|a class path \(str\)|a dict with class_path entry|a dict without class_path .*"
    r"|Problem with given class_path .*|Parser key \".*\":|)$"
)
# How an error in the arguments of a class that is called later is wrapped, and its end.
_IN_CALLABLE = re.compile(r"Type .* expects a function or a callable class: ")
_GIVEN = re.compile(r"\. Got value: Namespace\(.*\)$", re.MULTILINE)
# What an argument of a class that has not been named meets.
_ABSTRACT = re.compile(r"Expected an instantiatable class, but [\w.]+\.(\w+) is abstract")
# How a class path that leads nowhere is wrapped.
_NOWHERE = re.compile(r"^(.*)\. Got value: ([\w.]+)$")
# A class of another kind.
_ALIEN = re.compile(r"Import path(?: ([\w.]+))? does not correspond to a subclass of (\w+)")
# One of the types that a value may have, and the value.
_TYPE = re.compile(r"Expected an? (<class '[\w.]+'>|typing\.Literal\[.*\])(?:\. Got value: (.*))?")
_VALUE = re.compile(r"^Given value: (?!Namespace|NestedArg)(.*?)$", re.MULTILINE)
_LIST = "a list, such as [1, 2]"
_IN_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "a text",
    "list": _LIST,
    "tuple": _LIST,
    "Iterable": _LIST,
    "Sequence": _LIST,
    "dict": "a mapping, such as {name: value}",
}
# What a class gets from us, and what it only derives from.
_HANDED_ON = {"self", "params", "optimizer", "problem", "num_classes", "in_channels"}
_ABSTRACT_NAMES = {"Callback", "LRScheduler", "Logger", "Optimizer"}
# Keys that there were, and what took their place.
_RENAMED = {
    "pretrained": "weights: hub has taken its place in Timm",
    "checkpoint_path": "weights: FILE has taken its place in Timm",
    "balanced": "data.sampling undersample is what balanced true was, and natural what false was",
    "frozen_epochs": "model.freeze_body_epochs has taken its place",
    "body_lr": "model.body_lr_factor has taken its place",
}
_UNNAMED = "NoneType"  # that a key can be left out goes without saying
# Where the classes are that a key of Lightning or torch can name.
_MODULES = {
    "optimizer": "torch.optim",
    "lr_scheduler": "torch.optim.lr_scheduler",
    "logger": "lightning.pytorch.loggers",
    "callbacks": "lightning.pytorch.callbacks",
}


def explain(message: str, options: Iterable[str] = ()) -> str:
    """Return one line that says what is wrong, where, and what is close.

    Args:
        message: What jsonargparse reported.
        options: Options, such as `--data.seed`, that an unknown one may have meant.
    """
    text = _GIVEN.sub("", _IN_CALLABLE.sub("", message))
    lines = [re.sub(r"^\s*(- )?", "", line) for line in text.splitlines()]
    return _of_words(lines[0], options) or _of_values(lines, message, options)


def _of_words(line: str, options: Iterable[str]) -> str | None:
    """Return what is wrong with a word of the command line, if that is it."""
    if unknown := re.match(r"unrecognized arguments: (\S+)", line):
        word = unknown[1].partition("=")[0]
        if word.startswith("--"):
            renamed = _RENAMED.get(word.rpartition(".")[2])
            return f"unknown option {word}{close_option(word, options) if renamed is None else f'; {renamed}'}"
        meant = f"--{word.lstrip('-')}"
        if meant not in options and word.startswith("-"):
            return f"unknown option {word}{close_option(meant, options)}"
        if meant not in options:
            meant = f"--config {word}"
        return f"{word} comes after no option; did you mean {meant}?"
    if choice := re.match(r"argument (?:-\w/)?-{0,2}([\w-]+): invalid choice: (.*?) \(choose from (.*)\)", line):
        return f"{choice[1]} must be one of {choice[3]}, got {choice[2]}".replace("'", "")
    if lacking := re.match(r"argument (?:-\w/)?--([\w.-]+): expected one argument", line):
        return f"{lacking[1]} needs a value after it"
    return None


def _of_values(lines: list[str], message: str, options: Iterable[str]) -> str:
    """Return what is wrong with a value."""
    key = _key(lines)
    where = f"{key}: " if key else ""
    # Outermost first where a type was tried; innermost first where its arguments are shown.
    tried = re.findall(r"Problem with given class_path '([\w.]+)'", message)
    shown = re.findall(r"class_path='([\w.]+)'", message)
    owner = _class(tried[-1]) if tried else _class(shown[0]) if shown else None
    text = "\n".join(lines)
    if wrong_name := _of_names(where, owner, text, options):
        return wrong_name
    types = [found for line in lines if (found := _TYPE.fullmatch(line))]
    numbers = any(found[1] in ("<class 'int'>", "<class 'float'>") for found in types)
    named = re.search(r"^Expected a dot import path string: (.*)", text, re.MULTILINE)
    if named and not numbers:
        return f"{where}no class is called '{named[1]}'{_close_class(named[1], key)}"
    if alien := _ALIEN.search(text):
        given = alien[1] or next(iter(_VALUE.findall(text)), "it")
        return f"{where}{given} is no {alien[2]}{_close_class(given.rpartition('.')[2], key)}"
    others = [line for line in lines if not _NOISE.match(line) and not _TYPE.fullmatch(line)]
    others = [re.sub(r'^Parser key ".*?": ', "", line) for line in others]
    if types and (numbers or not others):
        return f"{f'{key} ' if key else _of(owner)}{_must_be(types, text)}"
    reason = "; ".join(dict.fromkeys(others))
    reason = _ABSTRACT.sub(r"name the class, a \1, before its arguments", reason)
    if (nowhere := _NOWHERE.search(reason)) and _IN_CALLABLE.search(message):
        reason = f"{nowhere[2]}: {nowhere[1]}"
    elif tried and owner is None:
        reason = f"{tried[-1]}: {reason}"
    if not key and owner and "." not in reason.split(" ")[0]:
        where = _of(owner)
    return where + reason


def _of_names(where: str, owner: type | None, text: str, options: Iterable[str]) -> str | None:
    """Return what is wrong with the name of a key, or which key is missing, if that is it."""
    if option := re.search(r"^Group '([\w.]+)' does not accept option '([\w.]+)'", text):
        own = [name.removeprefix(f"--{option[1]}.") for name in options if name.startswith(f"--{option[1]}.")]
        renamed = _RENAMED.get(option[2])
        return f"{option[1]} takes no '{option[2]}'{close(option[2], own) if renamed is None else f'; {renamed}'}"
    if option := re.search(r"Option '([\w.]+)' is not accepted", text):
        if owner is None:
            return f"{where}there is no key '{option[1]}'{close_option(f'--{option[1]}', options)}"
        renamed = _RENAMED.get(option[1])
        meant = close(option[1], _arguments(owner)) if renamed is None else f"; {renamed}"
        return f"{where}{owner.__name__} takes no '{option[1]}'{meant}"
    if part := re.search(r"^Unable to load config '(.*)'", text, re.MULTILINE):
        return f"{where}it is a part with keys of its own (noisy-lightning fit --{where[:-2]}.help), got {part[1]}"
    if required := re.search(r"^the following arguments are required: (.*)", text, re.MULTILINE):
        return f"{where}{owner.__name__ + ' ' if owner else ''}needs {required[1]}"
    return None


def _of(owner: type | None) -> str:
    return f"{owner.__name__}: " if owner else ""


def _must_be(types: Sequence[re.Match[str]], text: str) -> str:
    """Return which types a value may have, in words, and the value."""
    words: list[str] = []
    choices: list[str] = []
    for found in types:
        if found[1].startswith("typing.Literal"):
            choices += re.sub(r"^typing\.Literal\[|\]$|'", "", found[1]).split(", ")
        elif (name := found[1].split("'")[1].rpartition(".")[2]) != _UNNAMED:
            words.append(_IN_WORDS.get(name, f"a {name}"))
    if choices:
        words.append(f"one of {', '.join(dict.fromkeys(choices))}" if len(set(choices)) > 1 else choices[0])
    given = next((found[2] for found in types if found[2]), None) or next(iter(_VALUE.findall(text)), None)
    return f"must be {' or '.join(dict.fromkeys(words))}" + (f", got {given}" if given else "")


def _key(lines: list[str]) -> str:
    """Return the dotted key that the nested reports lead to."""
    keys = [found[1] for line in lines if (found := re.match(r'Parser key "([^"]+)":', line))]
    return ".".join(dict.fromkeys(keys))


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
        names += [
            one.name for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD and one.name not in _HANDED_ON
        ]
        if not any(one.kind is one.VAR_KEYWORD for one in parameters):
            break
    return names


def _close_class(word: str, key: str) -> str:
    """Return the end of a message that names the class that is closest to a word, of those that a key takes.

    Those of another kind would be of no use there.
    """
    kind = kind_of(key)
    if kind is not None:
        return close(word, names(kind)) or f"; noisy-lightning list {kind} names all"
    module = _MODULES.get(key.rpartition(".")[2])
    if module is None:
        return ""
    found = {name for name in vars(import_module(module)) if name[0].isupper()}
    return close(word, found - _ABSTRACT_NAMES)


def close_option(word: str, options: Iterable[str]) -> str:
    """Return the end of a message that names the options that a word, such as `--lr`, may have meant.

    Args:
        word: An unknown option.
        options: All that there are.
    """
    candidates = {option for option in options if option.startswith("--")}
    name = re.escape(word.lstrip("-"))
    whole = [option for option in candidates if re.search(rf"[.-]{name}$", option)]
    part = [option for option in candidates if re.search(rf"([._-]{name}$|^--{name}[._])", option)]
    if not (found := difflib.get_close_matches(word, candidates, n=1, cutoff=0.8)):
        found = [*sorted(whole, key=len), *sorted(set(part) - set(whole), key=len)][:3]
    return f"; did you mean {' or '.join(found)}?" if found else close(word, candidates)


def close(word: str, candidates: Iterable[str]) -> str:
    """Return the end of a message that names what is closest to a word, or all there is where that is little."""
    candidates = sorted(set(candidates))
    small = {candidate.lower(): candidate for candidate in candidates}
    if found := [small[word.lower()]] if word.lower() in small else difflib.get_close_matches(word, candidates, n=1):
        return f"; did you mean {found[0]}?"
    return f"; there are {', '.join(candidates)}" if 0 < len(candidates) <= 20 else ""

"""The configurations of a grid, each part of which is resolved once and not again for every run that has it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, final

from noisy_lightning.errors import InputError
from noisy_lightning.experiments.grid import GridRun

Place = tuple[str, ...]
Words = tuple[str, ...]
Config = dict[str, Any]


class _Change(NamedTuple):
    """What a part of a command line does to a configuration."""

    values: Mapping[Place, Any]
    """What stands afterward at each place that differs."""
    keys: frozenset[Place]
    """Dotted keys that it sets, be it to what was there, and those of the places."""

    def meets(self, other: "_Change") -> bool:
        """Return whether a key of one is, or lies within, one of the other."""
        return any(_within(one, another) or _within(another, one) for one in self.keys for another in other.keys)


@final
class Resolver:
    """Resolves the runs of a grid: as if each were resolved alone, in a fraction of the time.

    What a configuration file or an axis changes is found by resolving it alone, beside the file of the first run. Where
    two changes meet, such as a class and an argument of it, what the axes change is found beside the run's own file,
    and where they meet there, too, the run is resolved as a whole.

    Args:
        resolve: Returns the configuration, as plain data, that a command line amounts to; takes a quarter of a second.
    """

    def __init__(self, resolve: Callable[[Sequence[str]], Config]) -> None:
        self._resolve = resolve
        self._known: dict[Words, Config] = {}
        self._first: Words = ()

    def __call__(self, run: GridRun) -> Config:
        """Return the configuration of a run, as plain data.

        Raises:
            InputError: An option is unknown, or a value has the wrong type.
        """
        common = tuple(run.common)
        self._first = self._first or common
        for base in dict.fromkeys((self._first, common)):
            if (config := self._composed(run, base)) is not None:
                return config
        return self._resolve(run.options)

    def _composed(self, run: GridRun, base: Words) -> Config | None:
        """Return the configuration of a run as that of a file with changes; None where they are not independent."""
        further = tuple(run.further)
        config = self._of((*base, *further))
        of_file = _Change(dict(_differing(config, self._of((*run.common, *further)))), frozenset())
        changes = [of_file._replace(keys=frozenset(map(_key, of_file.values)))]
        for part in map(tuple, run.parts):
            try:
                values = dict(_differing(config, self._of((*base, *part, *further))))
            except InputError:
                return None  # it is right beside other parts, or the run as a whole says what is wrong
            change = _Change(values, _keys_set_by(part) | {_key(place) for place in values})
            if any(change.meets(other) for other in changes):
                return None
            changes.append(change)
        for change in changes:
            for place, value in change.values.items():
                config = _with(config, place, value)
        return config

    def _of(self, words: Words) -> Config:
        if words not in self._known:
            self._known[words] = self._resolve(words)
        return self._known[words]


def _keys_set_by(part: Words) -> frozenset[Place]:
    """Return the dotted keys that options set."""
    options = (word.partition("=")[0] for word in part if word.startswith("--"))
    return frozenset(tuple(option[2:].split(".")) for option in options)


def _key(place: Place) -> Place:
    """Return the dotted key that a command line would have for a place in a configuration."""
    return tuple(name for name in place if name not in ("init_args", "class_path"))


def _differing(before: Mapping[str, Any], after: Mapping[str, Any], at: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Yield the places at which two configurations differ, with what the second has there."""
    for key in after:
        one, other = before[key], after[key]
        if isinstance(one, dict) and isinstance(other, dict) and _comparable(one, other):
            yield from _differing(one, other, (*at, key))
        elif one != other:
            yield (*at, key), other


def _comparable(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two parts hold the same keys of the same class."""
    return one.keys() == other.keys() and one.get("class_path") == other.get("class_path")


def _within(inner: Place, outer: Place) -> bool:
    return inner[: len(outer)] == outer


def _with(config: Config, place: Place, value: Any) -> Config:
    """Return a configuration with another value at a place; what is not on the way there is shared."""
    key, *rest = place
    return {**config, key: _with(config[key], tuple(rest), value) if rest else value}

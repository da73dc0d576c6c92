"""A sweep file: a configuration, axes along which it varies, and the runs that these span."""

import fnmatch
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from noisy_lightning.errors import InputError, reading
from noisy_lightning.runs.yaml_file import read_yaml

SEED = "seed"
_KEYS = ("config", "axes", "seeds", "published")
_OF_A_VALUE = ("config", "clean", "published")
_OF_LABELS = ("--data", "--seed_everything")  # begin the options that a selection of labels shares with the run


@dataclass(frozen=True)
class Point:
    """A value of an axis: what a table calls it, and the keys of the configuration that it sets."""

    label: str
    settings: Mapping[str, Any]
    """Values by dotted key, in the order in which the command line would have them."""
    config: Path | None = None
    """A configuration file that takes the place of the sweep's."""
    clean: Path | None = None
    """A configuration file of `noisy-lightning clean`, on whose selection is trained."""
    published: str | None = None
    """What a publication calls it, if not `label`."""


@dataclass(frozen=True)
class GridRun:
    """One run of a sweep."""

    labels: Mapping[str, str]
    """By axis, what a table calls the value; for seeds, the axis `seed`."""
    common: Sequence[str]
    """Beginning of its command line of `fit`: the configuration."""
    parts: Sequence[Sequence[str]]
    """What each axis adds to it."""
    further: Sequence[str] = ()
    """What comes last, for all runs of the sweep."""
    clean: Sequence[str] = ()
    """Command line of `clean`, without its place, whose selection to train on; empty: on all."""
    published: Mapping[str, str] = field(default_factory=dict)
    """By axis, what a publication calls the value, where that is another name."""

    @property
    def options(self) -> list[str]:
        """Command line of `fit`, without the run's place."""
        return [*self.common, *(word for part in self.parts for word in part), *self.further]

    @property
    def title(self) -> str:
        """What messages call the run."""
        return ", ".join(f"{axis} {label}" if axis == SEED else label for axis, label in self.labels.items()) or "run"

    @property
    def slug(self) -> str:
        """The same, fit for the name of a folder."""
        words = [f"seed{label}" if axis == SEED else label for axis, label in self.labels.items()]
        return "_".join(re.sub(r"[^\w.+]+", "-", word).strip("-") for word in words) or "run"


@dataclass(frozen=True)
class PlannedRun:
    """A run of a sweep, with its configuration resolved."""

    grid: GridRun
    name: str
    """Of its folder: readable, and with a hash of the configuration and of the version of results, whose change makes
    another run."""
    config: dict[str, Any]
    selection: str | None = None
    """Name of the selection to train on, if not on all."""

    @property
    def epochs(self) -> int:
        """Epochs that it takes."""
        return int(self.config["trainer"]["max_epochs"] or 0)


@dataclass(frozen=True)
class Sweep:
    """What a sweep file says."""

    config: Path
    axes: Mapping[str, Sequence[Point]]
    published: Sequence[str] = ()
    """Sources in `published.csv` to compare with."""

    def runs(self, options: Sequence[str] = ()) -> list[GridRun]:
        """Return the runs, the last axis varying fastest.

        Args:
            options: Further options of `fit`, for all runs.

        Raises:
            InputError: Values of two axes ask for a configuration file each.
        """
        return [
            self._run(dict(zip(self.axes, points, strict=True)), options)
            for points in itertools.product(*self.axes.values())
        ]

    def _run(self, points: Mapping[str, Point], options: Sequence[str]) -> GridRun:
        config = _only({axis: point.config for axis, point in points.items()}) or self.config
        clean = _only({axis: point.clean for axis, point in points.items()})
        parts = [
            [word for key, value in point.settings.items() for word in (f"--{key}", _as_argument(value))]
            for point in points.values()
        ]
        line = [*(word for part in parts for word in part), *options]
        return GridRun(
            labels={axis: point.label for axis, point in points.items()},
            # Every row of a ledger has the test accuracy of each epoch behind it.
            common=["--config", str(config), "--test_every_epoch", "true"],
            parts=[part for part in parts if part],
            further=options,
            clean=[] if clean is None else ["--config", str(clean), *_of_labels(line)],
            published={axis: point.published for axis, point in points.items() if point.published is not None},
        )


def read_sweep(path: Path) -> Sweep:
    """Read a sweep file.

    It is a YAML mapping with the keys

    - `config`: a configuration file of fit;
    - `axes`: each a dotted key of the configuration with a list of values, or a name of your own with a mapping: a
      label for each value, and the keys that it sets together. Among these may be `config`, a configuration file in
      place of the sweep's, `clean`, a configuration file of `noisy-lightning clean` on whose selection is trained (with
      the keys of data and the seeds of the run), and `published`, what publications call the value;
    - `seeds`, if wanted: a list of numbers, each of which seeds training, noise and split alike;
    - `published`, if wanted: sources in `published.csv` to compare with.

    Files are named relative to the sweep file.

    Raises:
        InputError: The file cannot be read, or says something else.
    """
    content = read_yaml(path, "config")
    if not isinstance(content, dict) or "config" not in content or not isinstance(content.get("axes", {}), dict):
        raise InputError(f"config: {path} is no sweep, which has the keys config (a file for fit) and axes (a mapping)")
    if unknown := [key for key in content if key not in _KEYS]:
        raise InputError(f"config: {path} has an unknown key {unknown[0]!r}; there are {', '.join(_KEYS)}")
    axes = {str(name): _axis(str(name), values, path.parent) for name, values in content.get("axes", {}).items()}
    if seeds := content.get("seeds"):
        if not isinstance(seeds, list) or not all(type(seed) is int and seed >= 0 for seed in seeds):
            raise InputError(f"seeds must be a list of whole numbers >= 0, got {seeds!r}")
        axes[SEED] = [Point(str(seed), {"seed_everything": seed, "data.seed": seed}) for seed in seeds]
    for name, points in axes.items():
        labels = [point.label for point in points]
        if twice := [label for label in labels if labels.count(label) > 1]:
            raise InputError(f"axes: {name} has the value {twice[0]} twice")
    published = content.get("published", [])
    sources = [published] if isinstance(published, str) else published
    if not isinstance(sources, list) or not all(isinstance(source, str) for source in sources):
        raise InputError(
            f"published must be a list of sources (noisy_lightning/experiments/published.csv), got {sources!r}"
        )
    return Sweep(_file(content["config"], path.parent), axes, sources)


def chosen(runs: Sequence[GridRun], only: Sequence[str] = (), shard: str | None = None) -> list[int]:
    """Return which runs, by number, patterns and a shard choose.

    Args:
        runs: All of a sweep.
        only: `axis=pattern` with * and ?; of several patterns for an axis one has to match, and of several axes all.
        shard: "i/n", 1 <= i <= n: every n-th run, from the i-th of those that `only` leaves.

    Raises:
        InputError: There is no such axis, no run matches, or the shard is none.
    """
    patterns: dict[str, list[str]] = {}
    axes = list(runs[0].labels) if runs else []
    for one in only:
        axis, equals, pattern = one.partition("=")
        if not equals or axis not in axes:
            raise InputError(f"only: {one!r} is no axis=pattern; there are the axes {', '.join(axes) or '(none)'}")
        patterns.setdefault(axis, []).append(pattern)
    numbers = [
        number
        for number, run in enumerate(runs)
        if all(
            any(fnmatch.fnmatchcase(run.labels[axis], pattern) for pattern in those) for axis, those in patterns.items()
        )
    ]
    if not numbers:
        raise InputError(f"only: no run matches {' '.join(only)}")
    if shard is None:
        return numbers
    found = re.fullmatch(r"(\d+)/(\d+)", shard)
    if not found or not 1 <= int(found[1]) <= int(found[2]):
        raise InputError(f"shard must be i/n with 1 <= i <= n, got {shard!r}")
    return numbers[int(found[1]) - 1 :: int(found[2])]


def _axis(name: str, values: Any, folder: Path) -> list[Point]:
    if name == SEED:
        raise InputError("axes: seed is the axis that the key seeds makes; call this one otherwise")
    if isinstance(values, list) and values:
        return [Point(_label(value), {name: value}) for value in values]
    if isinstance(values, dict) and values:
        return [_point(name, str(label), settings, folder) for label, settings in values.items()]
    raise InputError(f"axes: {name} needs a list of values, or a mapping of labels to the keys that each sets")


def _point(axis: str, label: str, settings: Any, folder: Path) -> Point:
    settings = {} if settings is None else settings
    if not isinstance(settings, dict):
        raise InputError(f"axes: {axis}, {label} needs a mapping of keys to values, got {settings!r}")
    config, clean = (None if settings.get(key) is None else _file(settings[key], folder) for key in ("config", "clean"))
    own = {str(key): value for key, value in settings.items() if key not in _OF_A_VALUE}
    return Point(label, own, config, clean, settings.get("published"))


def _only(files: Mapping[str, Path | None]) -> Path | None:
    """Return the file that one of the axes brings.

    Raises:
        InputError: Several do.
    """
    found = {axis: path for axis, path in files.items() if path is not None}
    if len(found) > 1:
        raise InputError(f"axes: only one of {', '.join(found)} may have a configuration file of its own")
    return next(iter(found.values()), None)


def _of_labels(line: Sequence[str]) -> list[str]:
    """Return the options with their values that say which labels there are."""
    shared: list[str] = []
    taken = False
    for word in line:
        if word.startswith("--"):
            taken = word.startswith(_OF_LABELS)
        if taken:
            shared.append(word)
    return shared


def _file(name: Any, folder: Path) -> Path:
    path = folder / str(name)
    with reading(path, "config"):
        if not path.is_file():
            raise InputError(f"config: there is no file {path}")
    return path


def _label(value: Any) -> str:
    """Return what a table calls a value: a class by its name."""
    if isinstance(value, dict) and "class_path" in value:
        return str(value["class_path"]).rpartition(".")[2]
    return value if isinstance(value, str) else json.dumps(value)


def _as_argument(value: Any) -> str:
    """Return a value as a command line has it."""
    return value if isinstance(value, str) else json.dumps(value)

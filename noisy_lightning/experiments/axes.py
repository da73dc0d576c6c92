"""What distinguishes runs: the axes of their sweeps, or what else they differ in."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial

from noisy_lightning.errors import InputError
from noisy_lightning.experiments.grid import SEED
from noisy_lightning.experiments.headings import named
from noisy_lightning.experiments.ledger import AXIS, Row
from noisy_lightning.experiments.settings import ABSENT, Settings, differing, from_text, value_at

EPOCH = "epoch"  # as an axis: at which epoch accuracy is taken, a column of the ledger for each
# Columns of the ledger that distinguish runs where no axis of a sweep does, in the order of a table's rows.
_TRAITS: tuple[str, ...] = ("dataset", "backbone", "method", "loss", "optimizer", "batch_size", "epochs")
_TRAITS += ("val_fraction", "validation", "precision", "noise")

Axes = Mapping[str, Callable[[Row], str]]
"""What distinguishes runs: by name, what a table calls a run's value."""


def axes_of(rows: Sequence[Row]) -> Axes:
    """Return what distinguishes runs, seeds aside: those that agree in all of it differ in nothing else.

    These are the axes of the sweeps that the rows come from, or else the traits in which they differ; and what runs
    differ in besides: other traits, and dotted keys of the configuration. A row of a ledger that an older version wrote
    has no keys but its traits.
    """
    names = dict.fromkeys(key.removeprefix(AXIS) for row in rows for key in row if key.startswith(AXIS))
    names.pop(SEED, None)
    if names:
        axes: dict[str, Callable[[Row], str]] = {name: partial(_cell, f"{AXIS}{name}") for name in names}
    else:
        traits = [name for name in _TRAITS if len({_cell(name, row) for row in rows}) > 1] or ["loss", "noise"]
        axes = {name: partial(_cell, name) for name in traits}
    further: dict[str, Callable[[Row], str]] = {}
    for group in _groups(rows, axes):
        further |= {
            n: partial(_cell, n) for n in _TRAITS if n not in axes and len({_cell(n, row) for row in group}) > 1
        }
    for group in _groups(rows, {**axes, **further}):
        known = [settings for row in group if (settings := _settings(row)) is not None]
        further |= {key: partial(_value_of, key) for key in differing(known)} if known else {}
    *first, last = axes
    order = [*first, *further, last] if first else [last, *further]
    return {name: (axes | further)[name] for name in order}


def further_axes(rows: Sequence[Row]) -> list[str]:
    """Return in what runs differ besides the axes of their sweeps."""
    names = {key.removeprefix(AXIS) for row in rows for key in row if key.startswith(AXIS)}
    return [name for name in axes_of(rows) if name not in names] if names else []


def distinct(rows: Sequence[Row]) -> list[Row]:
    """Return rows without those of the same settings and seeds as an earlier one: they are no further sample."""
    found: dict[Hashable, Row] = {}
    for number, row in enumerate(rows):
        seeds = row.get("seed"), row.get("data_seed"), row.get("noise_hash")
        key = (row["settings"], row.get("oracle"), *seeds) if row.get("settings") else row.get("run") or number
        found.setdefault(key, row)
    return list(found.values())


def _groups(rows: Sequence[Row], axes: Axes) -> list[list[Row]]:
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault((*(value(row) for value in axes.values()), str(row.get("oracle"))), []).append(row)
    return list(groups.values())


def _settings(row: Row) -> Settings | None:
    return from_text(row["settings"]) if row.get("settings") else None


def _cell(column: str, row: Row) -> str:
    """Return what a column of the ledger holds; the epochs that a run was to have, not those after which it ended."""
    settings = _settings(row) if column == "epochs" else None
    planned = None if settings is None else (settings.get("trainer") or {}).get("max_epochs")
    value = row.get(column) if planned is None else planned
    return ABSENT if value is None else str(value)


def _value_of(key: str, row: Row) -> str:
    settings = _settings(row)
    return ABSENT if settings is None else value_at(settings, key)


def axis_across(axes: Axes, across: str | None = None) -> str:
    """Return the axis whose values are the columns of tables: the one asked for, or the last of several, or `EPOCH`.

    Args:
        axes: As `axes_of` returns them.
        across: Its name; None: none is asked for.

    Raises:
        InputError: There is no such axis.
    """
    if across is None:
        return list(axes)[-1] if len(axes) > 1 else EPOCH
    if across not in axes and across != EPOCH:
        raise InputError(f"across: there is no axis {across}; there are {', '.join([*axes, EPOCH])}")
    return across


def place_of(row: Row, axes: Axes, across: str) -> tuple[str, str]:
    """Return the name of a run's row in a table, and its setting, which is empty if `across` is `EPOCH`.

    Args:
        row: Of the ledger.
        axes: As `axes_of` returns them.
        across: As `axis_across` returns it.
    """
    labels = {name: named(name, value(row)) for name, value in axes.items()}
    setting = labels.pop(across, "")
    marks = " (oracle)" * (row.get("oracle") is True) + " (diverged)" * bool(row.get("diverged"))
    return (", ".join(labels.values()) or "all") + marks, setting

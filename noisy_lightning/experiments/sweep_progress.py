"""How far a sweep is, what is left of it and what that may cost."""

import json
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple, final

from tqdm import tqdm

from noisy_lightning.experiments.grid import PlannedRun
from noisy_lightning.experiments.sweep_folder import SweepFolder


@final
class SweepProgress:
    """Shows how many runs are done and left, the time left, and epochs of those at work; no terminal: a line per run.

    Args:
        runs: All that the command is about.
        folder: Of the sweep.
    """

    def __init__(self, runs: Sequence[PlannedRun], folder: SweepFolder) -> None:
        self._runs, self._folder = runs, folder
        self._working: list[PlannedRun] = []
        done = [run for run in runs if folder.done(run.name)]
        self._done, self._epochs = len(done), sum(run.epochs for run in done)
        self._bar: tqdm[Any] | None = None
        if sys.stderr.isatty():
            total = sum(run.epochs for run in runs)
            before = self._epochs + sum(folder.epochs_done(run.name) for run in runs if run not in done)
            # What matters least comes last, since a narrow terminal cuts it off.
            layout = "{desc} |{bar:10}| {elapsed} gone, {remaining} left{postfix}"
            self._bar = tqdm(total=max(1, total), initial=before, mininterval=0, bar_format=layout, dynamic_ncols=True)
            self.refresh()
        elif done:
            print(f"{len(done)} of {len(runs)} runs are done", flush=True)

    def begin(self, run: PlannedRun) -> None:
        """Show a run that begins."""
        self._working.append(run)
        if self._bar is None:
            print(f"{run.grid.title}, see {self._folder.log(run.name)}", flush=True)
        self.refresh()

    def refresh(self) -> None:
        """Look at what the runs at work have come to."""
        if self._bar is None:
            return
        epochs = [self._folder.epochs_done(run.name) for run in self._working]
        self._bar.n = self._epochs + sum(epochs)
        at_work = "; ".join(
            f"{run.grid.title}: epoch {done}/{run.epochs}" for run, done in zip(self._working, epochs, strict=True)
        )
        self._bar.set_postfix_str(at_work, refresh=False)
        count = len(self._runs)
        self._bar.set_description_str(f"{self._done} of {count} runs done, {count - self._done} left")

    def end(self, run: PlannedRun) -> None:
        """Show that a run has ended, and how."""
        self._working.remove(run)
        state = self._folder.state(run.name)
        self._done += state == "done"
        self._epochs += run.epochs
        if state != "done":
            with self._folder.held(run.name) as free:
                other = "unfinished, since trainer.max_time is over" if free else "another process is at it"
            text = self._folder.reason(run.name) if state == "failed" else None
            self._say(f"{run.grid.title}: {other if text is None else f'failed, {text}'}")
        elif self._bar is None:
            self._say(f"{run.grid.title}: done, {self._done} of {len(self._runs)}")
        self.refresh()

    def close(self) -> None:
        """Put the bar away."""
        if self._bar is not None:
            self._bar.close()

    def _say(self, text: str) -> None:
        if self._bar is None:
            print(text, flush=True)
        else:
            self._bar.write(text)


class Overview(NamedTuple):
    """What a sweep would do."""

    rows: list[list[str]]
    """Heads, then a row per run: name, state, epochs, and how long what is left of them may take."""
    left: str
    """A line on all of them."""


def overview(runs: Sequence[PlannedRun], folder: SweepFolder) -> Overview:
    """Return what a sweep would do, and what that may cost by the runs of this folder that are done."""
    costs = _costs(runs, folder)
    rows = [["run", "state", "epochs", "estimated"]]
    seconds = 0.0
    for run in runs:
        state, cost = folder.state(run.name), costs[run.name]
        left = 0 if state == "done" else run.epochs - folder.epochs_done(run.name)
        seconds += left * (cost or 0)
        rows.append([run.name, state, str(run.epochs), "" if cost is None or not left else _duration(left * cost)])
    unknown = sum(cost is None for cost in costs.values())
    epochs = sum(run.epochs for run in runs)
    remaining = [_duration(seconds)] if seconds or not unknown else []
    remaining += [f"{unknown} runs of a network and method of which none is done here yet"] if unknown else []
    counts = f"{len(runs)} runs of {epochs} epochs in {folder.path}"
    return Overview(rows, f"{counts}; left, one after the other: {' and '.join(remaining)}")


def _costs(runs: Sequence[PlannedRun], folder: SweepFolder) -> dict[str, float | None]:
    """Return the seconds that an epoch of each run may take: the mean of runs with its network and method."""
    kinds = {run.name: json.dumps([run.config["model"]["backbone"], run.config["model"]["method"]]) for run in runs}
    seconds: dict[str, list[float]] = {}
    for run in runs:
        if folder.done(run.name):
            result = folder.run(run.name).read_result()
            seconds.setdefault(kinds[run.name], []).append(result["seconds"] / max(1, result["epochs"]))
    return {name: sum(seconds[kind]) / len(seconds[kind]) if kind in seconds else None for name, kind in kinds.items()}


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"

"""The runs that a selector asks for: ordinary ones of `fit`, in processes of their own."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np

from noisy_lightning.cli.main import run_here
from noisy_lightning.errors import InputError, reading
from noisy_lightning.jobs.processes import INTERRUPTED, Job, run_jobs
from noisy_lightning.runs import records
from noisy_lightning.runs.files import write_text
from noisy_lightning.runs.folder import FOLDS, RunFolder
from noisy_lightning.runs.measures import Bools, Floats, Ints
from noisy_lightning.runs.records import Records
from noisy_lightning.selectors import Fold


@final
@dataclass(frozen=True)
class FoldRuns:
    """Trains folds as runs `<folder>/folds/<name>`, each once, and has them predict.

    A fold is `noisy-lightning fit` with a selection file of its own, which lies beside the run, and then
    `noisy-lightning predict`, each in a process of its own. A run that is there and finished is not trained again, an
    unfinished one is continued.

    Args:
        folder: Of the selection.
        config: Configuration file of the training runs.
        labels: (N,) given labels.
        num_classes: K.
        jobs: How many are trained at a time, >= 1; more than one write to log files beside the runs.
    """

    folder: Path
    config: Path
    labels: Ints
    num_classes: int
    jobs: int = 1

    def probabilities(self, folds: Sequence[Fold]) -> list[Floats]:
        """Train what is missing and return the predictions (N, K) of each fold."""
        self._train(folds)
        missing = [fold for fold in folds if not self._predictions(fold).exists()]
        self._start("predicting with", [(fold, self._predict_command(fold)) for fold in missing])
        return [self._read(fold) for fold in folds]

    def records(self, fold: Fold) -> Records:
        """Train if it is missing and return the records of the run."""
        self._train([fold])
        return records.load(self._run(fold).path)

    def _run(self, fold: Fold) -> RunFolder:
        return RunFolder(self.folder / FOLDS / fold.name)

    def _predictions(self, fold: Fold) -> Path:
        return self._run(fold).path / f"predictions_{'best' if fold.best else 'last'}.npz"

    def _read(self, fold: Fold) -> Floats:
        """Return the predictions (N, K) of a fold.

        Raises:
            InputError: The network predicts what is not a number, which no selector can judge by.
        """
        path = self._predictions(fold)
        probability = np.full((len(self.labels), self.num_classes), np.nan, np.float32)
        with reading(path), path.open("rb") as file, np.load(file, allow_pickle=False) as predictions:
            seen = predictions["probability"]
            probability[predictions["index"]] = seen
            broken = int(np.isnan(seen).any(1).sum())
        if broken:
            raise InputError(
                f"{fold.name} predicts NaN for {broken:,} of {len(seen):,} images: its training has diverged, see "
                f"{self._run(fold).metrics}; a lower learning rate or trainer.gradient_clip_val may prevent it"
            )
        return probability

    def _train(self, folds: Sequence[Fold]) -> None:
        """Train what has not been trained to the end.

        Raises:
            InputError: A run failed, or its time was up before its end.
        """
        unfinished = [fold for fold in folds if not self._run(fold).finished]
        self._start("training", [(fold, self._fit_command(fold)) for fold in unfinished])
        for fold in unfinished:
            if not self._run(fold).finished:
                raise InputError(f"trainer.max_time is over for {fold.name}: the same command continues it")

    def _fit_command(self, fold: Fold) -> list[str]:
        """Write the selection file of a fold and return the command line that trains it."""
        chosen = self._run(fold).path.with_name(f"{fold.name}.csv")
        chosen.parent.mkdir(parents=True, exist_ok=True)
        _write_parts(chosen, self.labels, fold.train, fold.held_out)
        fit = ["fit", "--config", str(self.config), "--data.selection", str(chosen)]
        fit += ["--run.root", str(self.folder), "--run.experiment", FOLDS, "--run.version", fold.name]
        fit += ["--data.validation", "given" if fold.best else "none"]
        if fold.best:
            fit += ["--data.val_fraction", "0.5", "--monitor", "val/acc"]  # the file says on what
        if fold.epochs is not None:
            fit += ["--trainer.max_epochs", str(fold.epochs)]
        return fit

    def _predict_command(self, fold: Fold) -> list[str]:
        """Return the command line that predicts all samples by the weights of a fold."""
        predict = ["predict", str(self._run(fold).path), "best" if fold.best else "last"]
        predict += ["--trainer.devices", "1", "--trainer.strategy", "auto", "--trainer.limit_predict_batches", "1.0"]
        return predict

    def _start(self, doing: str, commands: Sequence[tuple[Fold, list[str]]]) -> None:
        """Run the command lines of folds, some at a time, each in a process of its own.

        Raises:
            InputError: One of them failed.
        """
        jobs = [
            Job(fold.name, run_here, (command,), self._run(fold).path.with_suffix(".log") if self.jobs > 1 else None)
            for fold, command in commands
        ]

        def announce(job: Job) -> None:
            print(f"{doing} {job.name}{'' if job.log is None else f', see {job.log}'}", flush=True)

        with contextlib.closing(run_jobs(jobs, self.jobs, started=announce)) as ended:
            for job, code in ended:
                if code == INTERRUPTED:
                    raise KeyboardInterrupt
                if code:
                    raise InputError(f"{doing} {job.name} failed with exit code {code}: see {job.log or 'above'}")


def _write_parts(path: Path, labels: Ints, train: Bools, held_out: Bools) -> None:
    """Write a selection file that trains on some samples and validates on others."""
    rows = zip(labels.tolist(), train.tolist(), held_out.tolist(), strict=True)
    lines = [f"{index},{label},{int(one)},0,{int(other)}" for index, (label, one, other) in enumerate(rows)]
    write_text(path, "\n".join(["index,y_noisy,select,candidate,validate", *lines, ""]))

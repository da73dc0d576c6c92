"""What a selector is, and all that it may know and ask for."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from noisy_lightning.data.audit.features import Features
from noisy_lightning.data.labels import named_class
from noisy_lightning.errors import InputError
from noisy_lightning.methods.parts.held_out import SelfCheck
from noisy_lightning.runs.measures import Bools, Floats, Ints
from noisy_lightning.runs.records import Records

Members = NDArray[np.intp]


@dataclass(frozen=True)
class Task:
    """The labels to judge."""

    labels: Ints
    """(N,) given labels in [0, K)."""
    judged: Bools
    """(N,) False where there is nothing to judge, such as an image that cannot be read."""
    num_classes: int
    seed: int
    """Of all that the selector draws."""
    class_names: Sequence[str] = ()
    """K names, by label, for messages; classes go by their numbers without them."""
    features: Features | None = None
    """(N, V, D) what describes the images, in V views: features of a frozen network, or pixels; None: nothing does."""
    groups: Ints | None = None
    """(N,) a number for samples that belong together, such as a burst of photographs, which stay in one fold and are no
    evidence for each other; -1: in no group. None: there are no groups."""

    def generator(self, *purpose: int) -> np.random.Generator:
        """Return a generator that depends on the seed and what it is for, and on nothing drawn before."""
        return np.random.default_rng([self.seed, *purpose])


@dataclass(frozen=True)
class Fold:
    """A run on some of the samples: an ordinary one of `fit`."""

    name: str
    """Of its folder."""
    train: Bools
    """(N,) what it learns from."""
    held_out: Bools
    """(N,) what it shall predict."""
    best: bool = False
    """Whether it predicts with the epoch of highest accuracy on the given labels of what is held out, not the last."""
    epochs: int | None = None
    """How many it trains for; None: what the configuration says."""


class TrainingRuns(Protocol):
    """Trains folds, each once: what an earlier, interrupted selection has trained is there already."""

    def probabilities(self, folds: Sequence[Fold]) -> list[Floats]:
        """Return, for each fold, the class probabilities (N, K) of all samples; NaN where an image cannot be read.

        The folds may be trained side by side.
        """

    def records(self, fold: Fold) -> Records:
        """Return what a fold's training recorded of each sample in each epoch."""


@dataclass(frozen=True)
class Judgment:
    """What a selector thinks of N labels."""

    select: Bools
    """(N,) labels to trust."""
    score: Floats
    """(N,) how suspicious a label is: the higher the more, on a scale of the selector's own; NaN where not judged."""
    suggested: Ints
    """(N,) the class that a label should perhaps have; -1 where that is the given one or nothing is known."""
    candidate: Bools
    """(N,) labels that may be right; none is selected, too."""
    noise_rate: float | None = None
    """The estimated share of wrong labels, in [0, 1]; None: the selector does not estimate it."""
    assumption: str = ""
    """Under which the estimate holds."""
    iterations: Sequence[Bools] = ()
    """(N,) what was selected after each iteration, for selectors that iterate."""
    prediction: Ints | None = None
    """(N,) class predicted while the sample was held out, -1 where it never was; None: nothing was held out."""
    check: SelfCheck | None = None
    """How well the networks predict labels that they have not seen; None: nobody measured it."""
    warnings: Sequence[str] = ()
    """What the user should know before using this."""

    def trusting(self, trusted: Bools) -> "Judgment":
        """Return the same with some labels (N,) selected that are known to be right, and not suspected."""
        return replace(
            self,
            select=self.select | trusted,
            score=np.where(trusted, np.float32(np.nan), self.score),
            suggested=np.where(trusted, -1, self.suggested),
            candidate=self.candidate & ~trusted,
        )

    def dropping(self, drop: float, trusted: Bools) -> "Judgment":
        """Return the same with all labels selected that have a score, but for the most suspicious ones.

        Args:
            drop: How many labels to leave out, a whole number >= 1, or a share of those with a score, in (0, 1).
            trusted: (N,) labels without a score that stay selected.

        Raises:
            InputError: There are fewer labels with a score.
        """
        scored = ~np.isnan(self.score)
        count = int(scored.sum())
        number = int(drop) if drop >= 1 else round(drop * count)
        if number > count:
            raise InputError(f"drop must be at most {count}, the number of labels with a score, got {number}")
        dropped = np.argsort(-self.score, kind="stable")[:number]  # NaN comes last
        select = (scored | trusted) & ~mask(len(scored), dropped)
        return replace(self, select=select, candidate=np.zeros_like(select))


def check_drop(drop: float | None) -> None:
    """Check how many labels are to be left out.

    Raises:
        InputError: It is neither a share in (0, 1) nor a whole number of labels.
    """
    if drop is not None and not (0 < drop < 1 or (drop >= 1 and float(drop).is_integer())):
        raise InputError(f"drop must be a share in (0, 1) or a whole number of labels, got {drop:g}")


class Selector(ABC):
    """Decides which labels to trust: by training runs, or in one pass by features of the images.

    Subclasses are final; their arguments are hyper-parameters. A selector is a function of the task and of what the
    training runs predict, so that an interrupted selection goes on by starting over: its finished training runs are
    there. True labels never come here.
    """

    score_meaning: ClassVar[str] = ""
    """What its score is, in a line for people who look at the labels; the higher, the more suspicious."""

    @property
    def oracle(self) -> bool:
        """Whether it was given what only an experiment knows: how many labels are wrong, or how."""
        return False

    @abstractmethod
    def select(self, task: Task, runs: TrainingRuns) -> Judgment:
        """Judge the labels.

        Raises:
            InputError: There are too few samples for this.
        """


def check_fold(task: Task, fold: Fold) -> list[str]:
    """Check that a training run on a fold can learn all classes.

    Returns:
        Warnings: which classes it will never see.

    Raises:
        InputError: It has fewer samples than there are classes.
    """
    count = int(fold.train.sum())
    if count < task.num_classes:
        raise InputError(
            f"selector: {fold.name} would train on {count} samples, fewer than the {task.num_classes} classes: the "
            "data set is too small for so many folds or iterations"
        )
    present = np.bincount(task.labels[fold.train], minlength=task.num_classes) > 0
    missing = np.flatnonzero(~present)
    if not len(missing):
        return []
    names = ", ".join(named_class(label, task.class_names) for label in missing[:10].tolist())
    names += ", …" * (len(missing) > 10)
    return [f"{fold.name} trains on no sample of {names}: it cannot predict what it never saw"]


def of_given_label(probability: Floats, labels: Ints) -> Floats:
    """Return the probability (N,) of the given labels (N,) among those of all classes (N, K)."""
    given: Floats = np.take_along_axis(probability, labels[:, None].astype(np.int64), 1)[:, 0]
    return given


def likeliest_class(probability: Floats) -> Ints:
    """Return the likeliest class (N,) by probabilities (N, K), -1 where they are NaN."""
    known = ~np.isnan(probability[:, 0])
    classes = np.full(len(probability), -1)
    classes[known] = probability[known].argmax(1)
    return classes


def suggestions(prediction: Ints, labels: Ints) -> Ints:
    """Return the predicted class (N,) where it is another than the given label, -1 elsewhere."""
    other: Ints = np.where(prediction == labels, -1, prediction)
    return other


def random_parts(members: Members, generator: np.random.Generator, parts: int) -> list[Members]:
    """Return the members (n,) in a random order, cut into parts whose sizes differ by one at most."""
    return list(np.array_split(generator.permutation(members), parts))


def mask(count: int, members: Members) -> Bools:
    """Return (count,) bool that is true for the members."""
    chosen = np.zeros(count, bool)
    chosen[members] = True
    return chosen

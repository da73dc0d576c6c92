"""Distrust the labels that lie farther from the mean of their class than of another: SenyuHou, FM-SRM, 2026."""

from typing import final

import numpy as np

from noisy_lightning.data.audit.features import nearest_neighbors
from noisy_lightning.losses.ranges import check_range
from noisy_lightning.methods.parts.prototypes import confirmed_by, prototype_cosines
from noisy_lightning.methods.parts.two_gaussians import upper_group
from noisy_lightning.runs.measures import Bools, Floats, Ints
from noisy_lightning.selectors.base import Judgment, Selector, Task, TrainingRuns, suggestions
from noisy_lightning.selectors.hoc import ASSUMPTION, consensus_of_some
from noisy_lightning.selectors.neighbor_votes import described


@final
class Prototypes(Selector):
    """Selects the labels whose class mean is nearest by features, and asks neighbors about the doubtful ones.

    1. The prototype of a class is the mean of the unit features with this given label, made a unit vector again.
    2. The margin of a sample is its cosine to the prototype of its label minus the largest cosine to another one. Two
       Gaussians are fitted to all margins. Where the probability of the higher one is at least `clean`, the label is
       right, and where it is at most 1 − `clean`, wrong.
    3. Of what is left, the share of the k nearest neighbors with the same given label decides: two Gaussians again, and
       a label is right where the higher one is the likelier. Where there are fewer than max(50, 2·k), or the shares do
       not differ, a label is right whose share is not below the median.

    The score is the negative margin, the suggested class that of the nearest prototype, the noise rate HOC's
    (`consensus`), by 15,000 samples at most. Right to use where each class is one cloud of features, as those of large
    pretrained networks (DINOv2, CLIP) make it, and at much noise, since a mean over a class forgives more wrong labels
    than k neighbors do. A class of several kinds of images is better judged by `NearestNeighbours`, and so is one of a
    few samples, whose mean may lie in another class.

    The rule and its numbers are those of github.com/SenyuHou/FM-SRM, whose authors have chosen 0.8 and k = 20 on
    benchmarks with known true labels; for labels of people they use other numbers and a mixture per class. They train a
    classifier afterward: `fit` on what is selected.

    Deviations: features are centered. No sample, and none of its group, is a part of the prototypes that it is compared
    to, which matters for small classes. The prototype of a class without samples is none, where theirs is the mean of
    all, which centered features do not have. A mixture starts once, from two means, and not ten times at random;
    beyond the means the probability stays what it is there, where that of the wider Gaussian would turn back.

    Args:
        clean: In (0.5, 1): probability of the group of right labels from which a label needs no second look.
        k: How many neighbors judge the doubtful ones, >= 1.

    Raises:
        ValueError: A value is out of range.
    """

    score_meaning = "how much nearer the mean of another class is than that of the given one"

    def __init__(self, clean: float = 0.8, k: int = 20) -> None:
        check_range("clean", clean, "(0.5, 1)")
        check_range("k", k, "[1, inf)")
        self.clean, self.k = clean, k

    def select(self, task: Task, runs: TrainingRuns) -> Judgment:
        """Compare to prototypes, then the doubtful ones to neighbors."""
        unit = described(task)
        cosines = prototype_cosines(unit, task.labels, task.judged, task.num_classes, task.groups)
        rows = np.arange(len(unit))
        own = cosines[rows, task.labels]
        cosines[rows, task.labels] = -np.inf
        other = cosines.argmax(1)
        best = cosines[rows, other]
        known = task.judged & np.isfinite(own) & np.isfinite(best)
        margin = np.full(len(unit), np.nan, np.float32)
        margin[known] = own[known] - best[known]
        notes: list[str] = []
        select = known.copy()
        right = upper_group(margin[known])
        if right is None:
            notes.append("the margins do not fall into two groups: all labels are selected")
        else:
            probability = np.zeros(len(unit))
            probability[known] = right
            doubtful = np.flatnonzero(known & (probability > 1 - self.clean) & (probability < self.clean))
            select = probability >= self.clean
            select[doubtful] = self._confirmed(unit, task, doubtful)
        if alone := int((task.judged & ~known).sum()):
            notes.append(f"{alone:,} samples have no other of their label and are not judged, so not selected")
        estimate, warnings = consensus_of_some(task, unit)
        return Judgment(
            select=select,
            score=-margin,
            suggested=suggestions(np.where(margin < 0, other, task.labels), task.labels),
            candidate=np.zeros_like(select),
            noise_rate=None if estimate is None else estimate.rate,
            assumption="" if estimate is None else ASSUMPTION,
            warnings=[*notes, *warnings],
        )

    def _confirmed(self, unit: Floats, task: Task, doubtful: Ints) -> Bools:
        """Return which of the doubtful samples (n,) have the label of their neighbors."""
        if not len(doubtful):
            return np.zeros(0, bool)
        positions = nearest_neighbors(unit, task.judged, self.k, task.groups, doubtful).positions
        there = positions >= 0
        equal = there & (task.labels[positions] == task.labels[doubtful, None])
        return confirmed_by((equal.sum(1) / there.sum(1).clip(1)).astype(np.float32), self.k)

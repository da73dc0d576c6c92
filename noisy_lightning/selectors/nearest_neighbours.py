"""Distrust the labels that images that look alike do not have, SimiFeat's rules: Zhu, Dong and Liu, ICML 2022."""

from typing import Literal, final

import numpy as np
from numpy.typing import NDArray

from noisy_lightning.data.audit.features import nearest_neighbors
from noisy_lightning.errors import InputError
from noisy_lightning.losses.ranges import check_range
from noisy_lightning.runs.measures import Bools, Floats, Ints
from noisy_lightning.selectors.base import Judgment, Selector, Task, TrainingRuns, of_given_label, suggestions
from noisy_lightning.selectors.hoc import ASSUMPTION, consensus_of
from noisy_lightning.selectors.neighbor_votes import best_k, described, votes
from noisy_lightning.selectors.self_check import check_of_folds

TRIED = (5, 10, 20, 50, 100)
"""Numbers of neighbors of which one is chosen where none is given."""


@final
class NearestNeighbours(Selector):
    """Selects the labels that the nearest neighbors by features confirm, in one pass without training runs.

    Each of the k nearest neighbors by cosine votes for its given label with the weight cos = 1 − d, if above zero. The
    vote of class c be v_c, k in all. The score is the log-odds of the best other class, with one vote added to both,

        score = ln((max_{c ≠ y} v_c + 1) / (v_y + 1)).

    Rules (Zhu, Dong and Liu, "Detecting Corrupted Labels Without Training a Model to Predict", algorithms 1 and 2):

    - `vote`, SimiFeat-V: a label is wrong if another class has more votes, which is score > 0.
    - `rank`, SimiFeat-R: of the n_y labels of a class, those with the highest scores are wrong, (1 − P(right | y))·n_y
      of them, where P(right | y) = T_yy·P_y / P̃_y by HOC's estimate (`consensus`), and P̃_y is the share of the label y.
      Where few labels are wrong it calls fewer right ones wrong than `vote` does, if that estimate holds.

    F1 of finding wrong labels, `vote` and `rank` in %: the first 10,000 images of MNIST by their pixels, symmetric
    noise 0.2: 90.0, 92.3; 0.4: 94.8, 93.9; 0.6: 96.5, 95.5; pair noise 0.3: 90.8, 89.9. The 50,000 of CIFAR-10 by
    EfficientNet-Lite0 at 128 pixels, labels of people (CIFAR-10N): `worst` 85.4, 84.1; `random 2` 71.3, 75.7;
    `random 3` 70.3, 75.1; `aggregate` 53.3, 59.3.

    The class with the most votes is suggested. The noise rate is HOC's. Right to use wherever a pretrained network
    tells the classes apart, and as a first look that costs seconds; where classes look alike to the network, it calls
    right labels wrong, and a `LinearProbe` finds more.

    How k is chosen: a label never votes on itself, so how often votes name the given label is a held-out accuracy, and
    labels that err independently lower it alike for all k that are equally good. So the k of 5, 10, 20, 50 and 100 is
    taken for which it is highest: no true label is needed. It comes to 10 or 20 at little noise and 50 or 100 at much.
    The authors take 10 on all data.

    Deviations: the authors' code counts the sample itself as a neighbor, at the distance 2·d₁ − d₂ of a made-up nearer
    one, which confirms any label, and more so the smaller k is; here it is left out. They judge 21 times by features of
    random crops and take the majority, and jitter P(right | y) by U(−0.05, 0.05); here once, by the mean over the views
    that there are, without jitter. A share of wrong labels of zero or below they replace by 0.05, and of one and above
    by 0.95; here nothing, or all, is wrong. They center no features, and rank by −ln of the vote v_y, where many labels
    without any vote are equal. Samples of one group do not vote on each other.

    Args:
        k: How many neighbors vote, >= 1; None: chosen as above.
        rule: `vote` or `rank`.

    Raises:
        ValueError: A value is out of range.
    """

    score_meaning = "log-odds of the votes of similar images for another class against the given one"

    def __init__(self, k: int | None = None, rule: Literal["vote", "rank"] = "vote") -> None:
        check_range("k", 1 if k is None else k, "[1, inf)")
        self.k, self.rule = k, rule

    def select(self, task: Task, runs: TrainingRuns) -> Judgment:
        """Let neighbors vote."""
        unit = described(task)
        neighbors = nearest_neighbors(unit, task.judged, max(self.k or TRIED[-1], 2), task.groups)
        k = self.k or best_k(neighbors, task.labels, task.num_classes, TRIED)
        share = votes(neighbors, task.labels, task.num_classes, k)
        known = task.judged & share.any(1)
        share[~known] = np.nan
        share /= share.sum(1, keepdims=True)
        score, other = _log_odds(share, task.labels, k)
        rows = np.flatnonzero(known)
        estimate, notes = consensus_of(task, rows, neighbors.of(rows))
        if self.rule == "vote":
            wrong = score > 0
        elif estimate is None:
            raise InputError(f"selector.rule must be vote: {notes[0]}")
        else:
            wrong = _highest_of_class(score, task.labels, 1 - estimate.share_right(task.labels[rows]))
        if alone := int((task.judged & ~known).sum()):
            notes = [*notes, f"{alone:,} samples are like no other and are not judged, so not selected"]
        if not neighbors.exact:
            notes = [*notes, "faiss sought the neighbors of so many samples, and misses some"]
        return Judgment(
            select=known & ~wrong,
            score=score,
            suggested=suggestions(np.where(score > 0, other, task.labels), task.labels),
            candidate=np.zeros_like(wrong),
            noise_rate=None if estimate is None else estimate.rate,
            assumption="" if estimate is None else ASSUMPTION,
            check=check_of_folds(share, task),
            warnings=notes,
        )


def _log_odds(share: Floats, labels: Ints, k: int) -> tuple[Floats, Ints]:
    """Return the log-odds (N,) of the best other class than the given label (N,), and which class (N,) that is.

    Args:
        share: (N, K) of the votes, NaN where there are none.
        labels: (N,) given labels.
        k: How many votes there are: one is added to both.
    """
    others, rows = share.copy(), np.arange(len(share))
    others[rows, labels] = -1
    other = others.argmax(1)
    score = np.log((k * others[rows, other] + 1) / (k * of_given_label(share, labels) + 1))
    return score.astype(np.float32), other


def _highest_of_class(score: Floats, labels: Ints, shares: NDArray[np.float64]) -> Bools:
    """Return, of the samples (N,) of each label, those with the highest scores: as large a share (K,) as is asked for.

    Args:
        score: (N,) NaN where there is none.
        labels: (N,) given labels.
        shares: (K,) in [0, 1], of those of each label that have a score.
    """
    highest = np.zeros(len(score), bool)
    for label, share in enumerate(shares):
        members = np.flatnonzero((labels == label) & ~np.isnan(score))
        order = np.argsort(-score[members], kind="stable")
        highest[members[order[: round(share * len(members))]]] = True
    return highest

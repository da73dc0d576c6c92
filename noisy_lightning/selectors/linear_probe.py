"""Distrust the labels that linear classifiers of frozen features, trained on the other samples, do not predict."""

from typing import final

import numpy as np
import torch
from numpy.typing import NDArray

from noisy_lightning.data.audit.features import unit_features
from noisy_lightning.errors import InputError
from noisy_lightning.losses import GeneralizedCrossEntropy, RobustLoss
from noisy_lightning.losses.ranges import check_range
from noisy_lightning.selectors.base import Judgment, Selector, Task, TrainingRuns, likeliest_class, suggestions
from noisy_lightning.selectors.confident_learning import Filter, heard, label_issues, require_cleanlab
from noisy_lightning.selectors.folds import stratified_folds
from noisy_lightning.selectors.hoc import ASSUMPTION, consensus_of_some
from noisy_lightning.selectors.linear_classifiers import Recipe, held_out_probabilities
from noisy_lightning.selectors.neighbor_votes import check_described
from noisy_lightning.selectors.self_check import check_of_folds


@final
class LinearProbe(Selector):
    """Selects the labels that linear classifiers of features predict without having seen them, in one pass.

    The samples are split into folds, each class evenly, and a linear classifier of the standardized features is trained
    on all folds but one, which it then predicts. A bounded loss is what makes it work: wrong labels pull a classifier
    trained by cross entropy, and the more so the longer it trains. Such losses underfit deep networks; a linear
    classifier of frozen features starts where there is little left to learn.

    In a second round, classifiers learn the first round's predictions in place of the given labels, of which fewer are
    wrong, again out of fold; the probabilities of all rounds are averaged.

    The score is −ln p(given label), held out: the cross entropy of the label. The suggested class is the likeliest
    one. The noise rate is HOC's (`consensus`), by 15,000 samples at most, which is too high where features make
    mistakes; that of the self-check is too low where people err at hard images. Both, in %, of CIFAR-10's labels
    with EfficientNet-Lite0: CIFAR-10N `worst` 38.8 and 25.1 (true: 40.2), `random 2` 22.0 and 9.8 (18.1),
    `aggregate` 14.0 and 2.2 (9.0), symmetric 45.5 and 39.3 (40.0), 2,500 images at 64 pixels 23.9 and 3.9 (1.2).

    The default loss has a reason that needs no true labels: losses whose sum over the classes is constant, as that
    of q = 1 is, are robust at any noise rate that leaves right labels in the majority (Ghosh, Kumar and Sastry,
    AAAI 2017). Epochs, learning rate and batch size come from the labels `worst` of CIFAR-10N, where half or twice
    as much of any of them changes average precision by 0.001 at most.

    Args:
        folds: k >= 2; ten rather than five, so that each classifier learns from nine tenths of the samples.
        loss: What one label costs; None: `GeneralizedCrossEntropy(q=1)`, which is 1 − p(label).
        epochs: Of each classifier, >= 1; in small data sets as many as make `steps` steps.
        steps: The fewest steps of each classifier, >= 1.
        lr: Learning rate of AdamW at the start, > 0; it falls to 0 along a cosine.
        weight_decay: Of AdamW, >= 0.
        batch_size: Samples per step, >= 1.
        rounds: How many times classifiers are trained, >= 1.
        filter_by: Which rule finds wrong labels: the held-out prediction is not the given label, or one of cleanlab's
            others (see `ConfidentLearning`, which needs the extra `clean`).

    Raises:
        InputError: The rule needs cleanlab, which is not installed.
        ValueError: A value is out of range.
    """

    score_meaning = "-ln of the held-out probability of the given label"

    def __init__(
        self,
        folds: int = 10,
        loss: RobustLoss | None = None,
        epochs: int = 10,
        steps: int = 1000,
        lr: float = 5e-4,
        weight_decay: float = 0.01,
        batch_size: int = 256,
        rounds: int = 2,
        filter_by: Filter = "predicted_neq_given",
    ) -> None:
        check_range("folds", folds, "[2, inf)")
        for name, value in {"epochs": epochs, "steps": steps, "batch_size": batch_size, "rounds": rounds}.items():
            check_range(name, value, "[1, inf)")
        check_range("lr", lr, "(0, inf)")
        check_range("weight_decay", weight_decay, "[0, inf)")
        self.folds, self.loss, self.epochs, self.steps = folds, loss, epochs, steps
        self.lr, self.weight_decay, self.batch_size, self.rounds = lr, weight_decay, batch_size, rounds
        self.filter_by = filter_by
        if filter_by != "predicted_neq_given":
            require_cleanlab()

    def select(self, task: Task, runs: TrainingRuns) -> Judgment:
        """Train and predict in each round."""
        features = check_described(task)
        labels, total = task.labels.astype(np.int64), np.zeros((len(task.labels), task.num_classes))
        for number in range(self.rounds):
            probability = self._round(features, labels, task, number)
            total += probability
            labels = np.where(task.judged, np.nan_to_num(probability, nan=-1).argmax(1), 0)
        probability = total / self.rounds
        prediction = likeliest_class(probability.astype(np.float32))
        wrong = task.judged & (prediction != task.labels)
        notes: list[str] = []
        if self.filter_by != "predicted_neq_given":
            rows = np.flatnonzero(task.judged)
            with heard() as said:
                wrong[rows] = label_issues(task.labels[rows].astype(np.int64), probability[rows], self.filter_by)
            notes = [f"cleanlab: {one.message}" for one in said]
        own = probability[np.arange(len(probability)), task.labels]
        estimate, doubts = consensus_of_some(task, unit_features(features, task.judged))
        check = check_of_folds(probability.astype(np.float32), task)
        return Judgment(
            select=task.judged & ~wrong,
            score=-np.log(own.clip(np.finfo(np.float64).tiny)).astype(np.float32),
            suggested=suggestions(prediction, task.labels),
            candidate=np.zeros_like(wrong),
            noise_rate=None if estimate is None else estimate.rate,
            assumption="" if estimate is None else ASSUMPTION,
            prediction=prediction,
            check=check,
            warnings=[*notes, *doubts],
        )

    def _round(
        self, features: NDArray[np.generic], labels: NDArray[np.int64], task: Task, number: int
    ) -> NDArray[np.float64]:
        """Return the held-out probabilities (N, K) of classifiers that learn labels (N,)."""
        members = np.flatnonzero(task.judged)
        fold = stratified_folds(labels, members, self.folds, task.generator(number, 0), task.groups)
        per_epoch = max(1, round(len(members) * (1 - 1 / self.folds) / self.batch_size))
        epochs = max(self.epochs, -(-self.steps // per_epoch))
        loss = self.loss or GeneralizedCrossEntropy(q=1.0)
        recipe = Recipe(loss, epochs, self.lr, self.weight_decay, self.batch_size)
        generator = torch.Generator().manual_seed(int(task.generator(number, 1).integers(2**62)))
        probability = held_out_probabilities(features, labels, fold, task.num_classes, recipe, generator)
        if not np.isfinite(probability[members]).all():
            raise InputError("selector: the classifiers have diverged; a lower selector.lr may prevent it")
        return probability

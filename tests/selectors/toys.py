"""Labels to judge, and training runs that are made up."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from noisy_lightning.runs.measures import Floats, Ints
from noisy_lightning.runs.records import Records
from noisy_lightning.selectors import Fold, Task

K = 4


def labels(count: int, rate: float = 0.4, seed: int = 0) -> tuple[Ints, Ints]:
    """Return given and true labels (N,)."""
    random = np.random.default_rng(seed)
    true = np.arange(count) % K
    wrong = random.random(count) < rate
    return np.where(wrong, (true + random.integers(1, K, count)) % K, true), true


def task(given: Ints, seed: int = 0) -> Task:
    return Task(given, np.ones(len(given), bool), K, seed)


def likely(classes: Ints, random: np.random.Generator) -> Floats:
    """Return probabilities (N, K) whose largest is that of the classes (N,), of different sizes."""
    logits = random.random((len(classes), K))
    logits[np.arange(len(classes)), classes] += 1 + random.random(len(classes))
    powers = np.exp(2 * logits)
    rows: Floats = (powers / powers.sum(1, keepdims=True)).astype(np.float32)
    return rows


class MadeUp:
    """Answers with what a function says of a fold, and notes what was asked."""

    def __init__(self, predict: Callable[[Fold], Floats] | None = None, recorded: Records | None = None) -> None:
        self.predict, self.recorded = predict, recorded
        self.asked: list[Fold] = []

    def probabilities(self, folds: Sequence[Fold]) -> list[Floats]:
        self.asked += folds
        assert self.predict is not None
        return [self.predict(fold) for fold in folds]

    def records(self, fold: Fold) -> Records:
        self.asked.append(fold)
        assert self.recorded is not None
        return self.recorded


def recorded(loss: Floats, given: Ints, prediction: Ints | None = None, margin: Floats | None = None) -> Records:
    """Return records of losses (E, N), of a training run on all samples."""
    epochs, count = loss.shape
    seen = np.broadcast_to(given, loss.shape) if prediction is None else prediction
    split = np.full(count, "train")
    confidence = np.exp(-loss)
    unknown = np.full(count, -1)
    return Records(Path("run"), np.arange(epochs), loss, confidence, seen, None, given, unknown, split, margin=margin)

"""CLIPCleaner: Feng, Tzimiropoulos and Patras, ACM MM 2024."""

from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from noisy_lightning.data.audit.features import Features, unit_features
from noisy_lightning.errors import InputError, reading
from noisy_lightning.losses.ranges import check_range
from noisy_lightning.methods.parts.two_gaussians import upper_group
from noisy_lightning.runs.measures import Bools, Floats, Ints
from noisy_lightning.selectors.base import Judgment, Selector, Task, TrainingRuns, mask, suggestions
from noisy_lightning.selectors.hoc import ASSUMPTION, consensus_of_some
from noisy_lightning.selectors.neighbor_votes import check_described

Logs = NDArray[np.float64]
_LEAST = -87.0  # ln p that counts for a class without labels, near that of the smallest float32


@final
class CLIPCleaner(Selector):
    """Selects the labels that two classifiers of features both find likely: one of texts, one of the given labels.

    1. Zero-shot, where `text` has embeddings of descriptions of the classes: p(k) ∝ Σ exp(cos / `temperature`), summed
       over the descriptions of class k, of the cosine between image and text. Both have to come from one model that
       compares images to texts, such as CLIP, and from its final features alone.
    2. Logistic regression on the features, each of length one, by all given labels, in which each class weighs the
       same. It predicts what it has learned from: with many features it comes to believe wrong labels.

    By each of them a label y passes if, among the samples with this label, the higher of two Gaussians fitted to
    ln p(y) has it with at least `probability`, and if p(y) / max p is at least `consistency`. What passes all is
    selected. A class of which nothing does keeps its likeliest labels: as many as the smallest other class has
    selected, and at least n / K².

    The score is ln(largest other p / p(y)), averaged over the classifiers; the suggested class has the largest mean of
    ln p. The noise rate is HOC's (`consensus`), by 15,000 samples at most. Meant to select what `MixFix` begins with.

    Without texts, F1 of finding wrong labels in %: the first 10,000 images of MNIST by their pixels, symmetric noise
    0.4: 91.8; CIFAR-10 by EfficientNet-Lite0 at 128 pixels, labels of people (CIFAR-10N): `worst` 87.7, `random 2`
    79.1.

    The authors describe a class by "a photo of a CLASS, which has …" with details that a language model gives. They
    take CLIP's ViT-L/14 at 336 pixels, or ViT-B/32. In Python, with the package `open_clip_torch`:

        model, _, _ = open_clip.create_model_and_transforms("ViT-B-32", "openai")
        words = [open_clip.get_tokenizer("ViT-B-32")([f"a photo of a {name}"]) for name in class_names]
        np.save("text.npy", np.stack([model.encode_text(one).detach().numpy() for one in words]))  # (K, texts, D)

    Deviations: beyond the means, the probability of a Gaussian stays what it is there, where that of the wider one
    would turn back. In a class without selected labels, the authors' code keeps the least likely ones, probably by
    mistake.

    Args:
        text: A file of numpy, `.npy`, with K rows of embeddings (K, D), or of several for each class (K, texts, D), in
            the order of the classes; None: the second classifier alone decides.
        probability: In (0, 1).
        consistency: In [0, 1]; 1 for WebVision.
        temperature: > 0.

    Raises:
        ValueError: A value is out of range.
    """

    score_meaning = "ln of the likeliest other class's probability over the given one's"

    def __init__(
        self,
        text: Path | None = None,
        probability: float = 0.5,
        consistency: float = 0.8,
        temperature: float = 0.07,
    ) -> None:
        check_range("probability", probability, "(0, 1)")
        check_range("consistency", consistency, "[0, 1]")
        check_range("temperature", temperature, "(0, inf)")
        self.text, self.probability = text, probability
        self.consistency, self.temperature = consistency, temperature

    def select(self, task: Task, runs: TrainingRuns) -> Judgment:
        """Ask both classifiers."""
        features = check_described(task)
        estimate, doubts = consensus_of_some(task, unit_features(features, task.judged))
        rows = np.flatnonzero(task.judged)
        labels, unit = task.labels[rows].astype(np.int64), _of_length_one(features, rows)
        found = [_logistic(unit, labels, task.num_classes)]
        if self.text is not None:
            text = read_text_embeddings(Path(self.text), task.num_classes, unit.shape[1])
            found.insert(0, zero_shot(unit, text, self.temperature))
        places = np.arange(len(rows))
        passed = np.ones(len(rows), bool)
        for logs in found:
            own = logs[places, labels]
            passed &= _of_higher_group(own, labels, self.probability)
            passed &= np.exp(own - logs.max(1)) >= self.consistency
        likely = found[0][places, labels]
        passed, notes = _with_every_class(passed, labels, likely, task.num_classes)
        mean = np.mean([logs.clip(_LEAST) for logs in found], 0)
        others = mean.copy()
        others[places, labels] = -np.inf
        score = np.full(len(task.labels), np.nan, np.float32)
        score[rows] = others.max(1) - mean[places, labels]
        best = task.labels.astype(np.int64)
        best[rows] = mean.argmax(1)
        return Judgment(
            select=mask(len(task.labels), rows[passed]),
            score=score,
            suggested=suggestions(best, task.labels),
            candidate=np.zeros(len(task.labels), bool),
            noise_rate=None if estimate is None else estimate.rate,
            assumption="" if estimate is None else ASSUMPTION,
            warnings=[*notes, *doubts],
        )


def read_text_embeddings(path: Path, num_classes: int, width: int) -> list[Floats]:
    """Return embeddings (texts, D) for each of K classes, of length one.

    Raises:
        InputError: The file cannot be read, or does not go with the classes or features.
    """
    with reading(path):
        text = np.load(path, allow_pickle=False)
    numbers = np.issubdtype(text.dtype, np.floating) and text.ndim in (2, 3)
    if not numbers or len(text) != num_classes or text.shape[-1] != width or not text.size:
        raise InputError(
            f"selector.text: {path} must have a row of embeddings for each of {num_classes} classes, as long as the "
            f"{width} features of an image, got numbers of the shape {text.shape}; the features must be those of the "
            "same model, without those of further stages"
        )
    if not np.isfinite(text).all():
        raise InputError(f"selector.text: {path} has embeddings that are not finite")
    per_class = text.astype(np.float32).reshape(num_classes, -1, width)
    return [_scaled(one) for one in per_class]


def zero_shot(unit: Floats, text: list[Floats], temperature: float) -> Logs:
    """Return ln p (n, K) of images by how near they are to texts.

    Args:
        unit: (n, D) features of length one.
        text: For each class (texts, D), of length one.
        temperature: > 0.
    """
    from scipy.special import log_softmax, logsumexp  # noqa: PLC0415  # slow to import

    sums = np.stack([logsumexp((unit @ one.T).astype(np.float64) / temperature, axis=1) for one in text], 1)
    logs: Logs = log_softmax(sums, axis=1)
    return logs


def _of_length_one(features: Features, rows: Ints) -> Floats:
    """Return the mean over views (n, D) of features at some positions (n,), of length one; without centering."""
    unit = np.zeros((len(rows), features.shape[2]), np.float32)
    for part in np.array_split(np.arange(len(rows)), max(1, len(rows) // 1000)):  # the features may lie in a file
        unit[part] = _scaled(features[rows[part]].mean(1, dtype=np.float32))
    return unit


def _scaled(vectors: Floats) -> Floats:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit: Floats = np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)
    return unit


def _logistic(unit: Floats, labels: Ints, num_classes: int) -> Logs:
    """Return ln p (n, K) by a classifier that has learned the labels (n,); −inf for classes without any.

    Raises:
        InputError: All labels are of one class.
    """
    from scipy.special import log_softmax  # noqa: PLC0415  # slow to import
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415

    if len(np.unique(labels)) < 2:
        raise InputError("selector: all labels are of one class, so there is nothing to tell apart")
    classifier = LogisticRegression(class_weight="balanced", max_iter=10_000).fit(unit, labels)
    logits = classifier.decision_function(unit).astype(np.float64)
    if logits.ndim == 1:  # of two classes, that of the second
        logits = np.stack([np.zeros_like(logits), logits], 1)
    logs = np.full((len(unit), num_classes), -np.inf)
    logs[:, classifier.classes_] = log_softmax(logits, axis=1)
    return logs


def _of_higher_group(own: Logs, labels: Ints, probability: float) -> Bools:
    """Return which samples (n,) of each label belong to the higher of two Gaussians fitted to values (n,) of theirs."""
    passed = np.ones(len(own), bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        upper = upper_group(own[members])
        if upper is not None:  # else they are all alike, or too few
            passed[members] = upper >= probability
    return passed


def _with_every_class(passed: Bools, labels: Ints, likely: Logs, num_classes: int) -> tuple[Bools, list[str]]:
    """Return what has passed (n,), with some labels of each class of which nothing has, and a note on these."""
    counts = np.bincount(labels[passed], minlength=num_classes)
    present = np.bincount(labels, minlength=num_classes) > 0
    empty = np.flatnonzero(present & (counts == 0))
    if not len(empty):
        return passed, []
    smallest = int(counts[counts > 0].min()) if counts.any() else 0
    fewest = max(1, smallest, len(labels) // num_classes**2)
    passed = passed.copy()
    for label in empty:
        members = np.flatnonzero(labels == label)
        passed[members[np.argsort(-likely[members], kind="stable")[:fewest]]] = True
    return passed, [f"of {len(empty)} classes no label has passed: their likeliest ones are selected"]

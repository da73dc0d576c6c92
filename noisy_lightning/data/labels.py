"""What identifies and describes given labels: hash, noise rate and transition matrix, as numbers and as text."""

import hashlib
import inspect
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from torch import Tensor

from noisy_lightning import compat
from noisy_lightning.data.annotators import Consensus
from noisy_lightning.data.noise.class_conditional import LabelNoise
from noisy_lightning.errors import InputError
from noisy_lightning.runs.measures import UNKNOWN

_LARGEST_PRINTED = 16
_LISTED = 20  # classes that a line names
_FREQUENT = 10  # wrong labels that stand for a larger matrix


@dataclass(frozen=True)
class LabelTable:
    """The labels of a training set by index, and which part each belongs to: the contents of `noise.csv`."""

    true_labels: Tensor
    """(N,) int64; -1 where nobody knows it, -2 where the image is of none of the classes."""
    given_labels: Tensor
    """(N,) int64 in [0, K)."""
    train_indices: Tensor
    """(n,) int64, ascending."""
    val_indices: Tensor
    """(m,) int64, ascending; what is in neither part is unused."""
    foreign_index: Tensor | None = None
    """(N,) int64: which training image of another data set is shown, -1 where the image is the data set's own; None:
    all images are."""
    consensus: Consensus | None = None
    """How far several annotators agree on the labels that came with the images; None: there are none."""
    class_names: Sequence[str] = ()
    """K names, by label, where there are annotators."""
    paths: Sequence[str] | None = None
    """N paths of the images, where they are files and there are annotators."""


@dataclass(frozen=True)
class NoiseSummary:
    """What noise a run asked for and what it got: the contents of `noise.json`."""

    kind: str
    """Class name of the noise; `AsFound` where the labels came with the images."""
    arguments: dict[str, Any]
    """Its constructor arguments, as JSON keeps them."""
    seed: int
    nominal_rate: float | None
    """The rate as papers would state it; None where it was not known before the draw."""
    expected_rate: float | None
    """The share of wrong labels to expect of this noise and class balance; None where that is unknown."""
    realised_rate: float | None
    """The share of wrong labels, those of foreign images among them; None where no true label is known."""
    nominal_matrix: list[list[float]] | None
    """(K, K), rows over true classes; None for noise that depends on the image."""
    realised_matrix: list[list[float]]
    """(K, K) of the images with a true label; the row of a class without samples is all zeros."""
    label_hash: str
    """SHA-256 of the given labels, and of what else decides on the training data: see `label_hash`."""
    dataset: str
    """Name of the data set."""
    dataset_checksum: str
    num_samples: int
    num_classes: int
    num_foreign: int = 0
    """How many images are those of another data set."""
    foreign_checksum: str | None = None
    """What identifies it."""
    num_known: int | None = None
    """Of how many labels the true ones are known, where not of all: what the realized rate is a share of."""
    redraw: str = "once"
    """Or `per_epoch`: each epoch has labels of its own, and this summary is that of the first draw."""

    def headline(self) -> dict[str, Any]:
        """Return what a result says of its noise."""
        names = ["kind", "arguments", "nominal_rate", "realised_rate", "label_hash"]
        names += [] if self.num_known is None else ["num_known"]
        return {name: getattr(self, name) for name in names}


def label_hash(labels: Tensor, foreign_index: Tensor | None = None, foreign_checksum: str | None = None) -> str:
    """Return the SHA-256 of (N,) labels as little-endian int64, in hexadecimal.

    Where there are foreign images, the labels are followed by their `foreign_index` in the same form and the checksum
    of their data set as text: the labels alone are the same without them.
    """
    digest = hashlib.sha256(labels.cpu().numpy().astype("<i8").tobytes())
    if foreign_index is not None:
        digest.update(foreign_index.cpu().numpy().astype("<i8").tobytes())
        digest.update((foreign_checksum or "").encode())
    return digest.hexdigest()


def check_label_hash(trained: str, drawn: str) -> None:
    """Check that a checkpoint was trained on the labels that are drawn now, by what `label_hash` returned for both.

    Raises:
        InputError: It was not.
    """
    if trained != drawn:
        raise InputError(
            f"the checkpoint was trained on labels {trained[:16]}…, this configuration draws {drawn[:16]}…: use the "
            "data set, data.noise and data.seed of its run (config.yaml and noise.json in the run's folder)"
        )


def realised_rate(true_labels: Tensor, given_labels: Tensor) -> float | None:
    """Return the share of given labels that are wrong.

    Args:
        true_labels: (N,) int64; -1 where unknown: these samples are left out; -2 where no label is right.
        given_labels: (N,) int64.

    Returns:
        The noise rate in [0, 1], or None where no true label is known.
    """
    wrong = (true_labels != given_labels)[true_labels != UNKNOWN]
    return int(wrong.sum()) / len(wrong) if len(wrong) else None


def realised_matrix(true_labels: Tensor, given_labels: Tensor, num_classes: int) -> Tensor:
    """Return the measured T[i, j]: the share of samples of class i that were given label j.

    Args:
        true_labels: (N,) int64 in [0, K); negative where there is none: these samples are left out.
        given_labels: (N,) int64 in [0, K).
        num_classes: K.

    Returns:
        (K, K) float64. The row of a class without samples is all zeros, so that nobody mistakes it for a measurement.
    """
    known = true_labels >= 0
    cells = true_labels[known] * num_classes + given_labels[known]
    counts = cells.bincount(minlength=num_classes**2).reshape(num_classes, num_classes).double()
    return counts / counts.sum(1, keepdim=True).clamp(min=1)


def expected_rate(noise: LabelNoise, true_labels: Tensor, num_classes: int) -> float | None:
    """Return the share of wrong labels to expect of a noise on these classes.

    It differs from the nominal rate r where noise touches some classes only or redraws the true class too: r/2 for
    the five flips of CIFAR-10, r·(K-1)/K for symmetric noise over all K classes.

    Args:
        noise: The noise; where it depends on the image its nominal rate is all that is known.
        true_labels: (N,) int64 in [0, K); negative where there is none: these samples are left out.
        num_classes: K.

    Returns:
        The rate in [0, 1], or None where no true label is known or nothing of the noise.
    """
    if not (true_labels != UNKNOWN).any():
        return None
    known, matrix = true_labels[true_labels >= 0], noise.transition_matrix(num_classes)
    return noise.nominal_rate if matrix is None else (1 - matrix.diagonal()[known]).mean().item()


def noise_arguments(noise: LabelNoise) -> dict[str, Any]:
    """Return the constructor arguments of a noise, read from its attributes of the same names, as JSON keeps them."""
    arguments = {name: getattr(noise, name) for name in inspect.signature(type(noise)).parameters}
    # Paths become text, and so do the classes of a map, so that a summary equals itself after writing and reading.
    return cast(dict[str, Any], json.loads(json.dumps(arguments, default=_plain)))


def _plain(value: object) -> Any:
    """Return what JSON keeps of an argument that is none of its types: of most objects the name of their class."""
    if isinstance(value, Path):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, partial):
        return {"class_path": compat.class_of(value).__name__, "init_args": value.keywords}
    return getattr(value, "__name__", type(value).__name__)


def summarize(
    noise: LabelNoise | None,
    labels: LabelTable,
    *,
    seed: int,
    num_classes: int,
    dataset: str,
    dataset_checksum: str,
    foreign_checksum: str | None = None,
    redraw: str = "once",
) -> NoiseSummary:
    """Describe the noise of a training set.

    Args:
        noise: What drew the given labels; None: they came with the images.
        labels: The labels.
        seed: The seed of the draw.
        num_classes: K.
        dataset: Name of the data set.
        dataset_checksum: What identifies its files or images.
        foreign_checksum: What identifies the data set of the foreign images, if there are any.
        redraw: When labels are drawn; the labels are those of the first draw.
    """
    true, given, foreign = labels.true_labels, labels.given_labels, labels.foreign_index
    nominal = None if noise is None else noise.transition_matrix(num_classes)
    return NoiseSummary(
        kind="AsFound" if noise is None else type(noise).__name__,
        arguments={} if noise is None else noise_arguments(noise),
        seed=seed,
        nominal_rate=None if noise is None else noise.nominal_rate,
        expected_rate=None if noise is None else expected_rate(noise, true, num_classes),
        realised_rate=realised_rate(true, given),
        nominal_matrix=None if nominal is None else nominal.tolist(),
        realised_matrix=realised_matrix(true, given, num_classes).tolist(),
        label_hash=label_hash(given, foreign, foreign_checksum),
        dataset=dataset,
        dataset_checksum=dataset_checksum,
        num_samples=len(given),
        num_classes=num_classes,
        num_foreign=0 if foreign is None else int((foreign >= 0).sum()),
        foreign_checksum=foreign_checksum,
        redraw=redraw,
        num_known=known if 0 < (known := int((true != UNKNOWN).sum())) < len(true) else None,
    )


def named_class(label: int, class_names: Sequence[str]) -> str:
    """Return what a message calls a class.

    Args:
        label: In [0, K).
        class_names: K names, by label.
    """
    known = 0 <= label < len(class_names) and class_names[label] != str(label)
    return f"{class_names[label]!r} (class {label})" if known else f"class {label}"


def rare_classes(labels: Tensor, class_names: Sequence[str]) -> str:
    """Return in one line which classes have one or two images, which cannot be both trained and validated on well.

    Args:
        labels: (N,) int64 given labels in [0, K) of the images that can be read.
        class_names: K names, by label.

    Returns:
        Empty where there are none.
    """
    counts = labels.bincount(minlength=len(class_names)).tolist()
    rare = [f"{name} ({count})" for name, count in zip(class_names, counts, strict=True) if count in (1, 2)]
    return f"classes with one or two images: {', '.join(rare[:_LISTED])}{', …' * (len(rare) > _LISTED)}" if rare else ""


def format_matrix(matrix: Tensor, class_names: Sequence[str]) -> str:
    """Format a transition matrix for the terminal.

    Args:
        matrix: (K, K), rows over true classes.
        class_names: K names.

    Returns:
        A table with a row per true class, in percent, and a line that sums it up; above 16 classes the most frequent
        wrong labels instead of the table.
    """
    wrong = (1 - matrix.diagonal())[matrix.sum(1) > 0]
    if not len(wrong):
        return "no sample with a known true label"
    least, most = 100 * wrong.min().item(), 100 * wrong.max().item()
    summary = (
        f"wrong per class: {least:.1f} to {most:.1f} %, mean {100 * wrong.mean().item():.1f} %; "
        f"{int((wrong > 0).sum())} of {len(wrong)} classes are touched"
    )
    if len(matrix) > _LARGEST_PRINTED:
        return "\n".join([*_frequent(matrix, class_names), summary])
    width = max(len("true \\ given"), *(len(name) + 3 for name in class_names))
    lines = ["true \\ given".ljust(width) + "".join(f"{label:6}" for label in range(len(matrix)))]
    for label, (name, row) in enumerate(zip(class_names, matrix.tolist(), strict=True)):
        cells = "".join(f"{100 * cell:6.1f}" if cell else "     ." for cell in row)
        lines.append(f"{label:2} {name}".ljust(width) + (cells if any(row) else "  no sample"))
    return "\n".join([*lines, summary])


def _frequent(matrix: Tensor, class_names: Sequence[str]) -> list[str]:
    """Return a line for each of the most frequent wrong labels."""
    wrong = matrix.clone().fill_diagonal_(0).flatten()
    most = wrong.argsort(descending=True, stable=True)[:_FREQUENT]
    pairs = [(*divmod(cell, len(matrix)), wrong[cell].item()) for cell in most.tolist() if wrong[cell] > 0]
    width = max([len(class_names[true]) for true, *_ in pairs], default=0)
    return [f"{class_names[true]:{width}} as {class_names[given]}: {100 * share:.1f}" for true, given, share in pairs]

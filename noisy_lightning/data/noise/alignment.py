"""Does row i of a file belong to sample i? The true labels that the file repeats show it."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from noisy_lightning.errors import InputError


class OtherLabelsError(InputError):
    """The true labels in a file are not those of the data set; noise knows classes by number only.

    Args:
        before: What is said before the classes.
        there: Class in the file of the first sample that differs, >= 0.
        here: Its class in the data set, in [0, K).
        after: What is said after them.
    """

    def __init__(self, before: str, there: int, here: int, after: str) -> None:
        super().__init__(f"{before} is of class {there} there and {here} here{after}")
        self._said = before, there, here, after

    def by_name(self, class_names: Sequence[str]) -> InputError:
        """Return the error with the names of the classes."""
        before, there, here, after = self._said
        name = class_names[there] if there < len(class_names) else f"number {there}"
        return InputError(f"{before} is of class {name} there and {class_names[here]} here{after}")


def check_length(argument: str, path: Path, length: int, labels: Tensor, found: str = "") -> None:
    """Check that a file has a row per training sample.

    Args:
        argument: What the user calls the file.
        path: The file.
        length: Its rows.
        labels: (N,) true labels of the training set.
        found: The columns that the file has, each with its length.

    Raises:
        InputError: It has more or fewer rows.
    """
    if length != len(labels):
        raise InputError(
            f"{argument}: {path} has {length} rows, the training set {len(labels)} samples: the file belongs to "
            f"another data set, another split or a part of this one{f'; it holds {found}' if found else ''}"
        )


def check_true_labels(argument: str, path: Path, found: Tensor, labels: Tensor) -> None:
    """Check that the true labels in a file are those of the training set, element for element.

    Args:
        argument: What the user calls the file.
        path: The file.
        found: (N,) int64 true labels in the file; negative where the file does not say it.
        labels: (N,) int64 true labels of the training set; negative where unknown.

    Raises:
        OtherLabelsError: They differ; says where first, in how many places and what the reason may be.
        InputError: The file has more or fewer rows.
    """
    check_length(argument, path, len(found), labels)
    differing = ((found != labels) & (found >= 0) & (labels >= 0)).nonzero().squeeze(1)
    if not len(differing):
        return
    first = int(differing[0])
    if found.sort()[0].equal(labels.sort()[0]):
        cause = "its classes are as frequent as the data set's, so it is probably in another order"
    else:
        cause = "its classes have other frequencies, so it probably belongs to another split or data set"
    raise OtherLabelsError(
        f"{argument}: the true labels in {path} are not the data set's: sample {first}",
        int(found[first]),
        int(labels[first]),
        f", {len(differing)} of {len(labels)} differ; {cause}",
    )

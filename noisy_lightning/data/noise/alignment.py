"""Does row i of a file belong to sample i? The true labels that the file repeats show it."""

from pathlib import Path

from torch import Tensor

from noisy_lightning.errors import InputError


def check_length(argument: str, path: Path, length: int, labels: Tensor) -> None:
    """Check that a file has a row per training sample.

    Args:
        argument: What the user calls the file.
        path: The file.
        length: Its rows.
        labels: (N,) true labels of the training set.

    Raises:
        InputError: It has more or fewer rows.
    """
    if length != len(labels):
        raise InputError(
            f"{argument}: {path} has {length} rows, the training set {len(labels)} samples: the file belongs to "
            "another data set, another split or a part of this one"
        )


def check_true_labels(argument: str, path: Path, found: Tensor, labels: Tensor) -> None:
    """Check that the true labels in a file are those of the training set, element for element.

    Args:
        argument: What the user calls the file.
        path: The file.
        found: (N,) int64 true labels in the file; negative where the file does not say it.
        labels: (N,) int64 true labels of the training set; negative where unknown.

    Raises:
        InputError: They differ; says where first, in how many places and what the reason may be.
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
    raise InputError(
        f"{argument}: the true labels in {path} are not the data set's: sample {first} is of class "
        f"{int(found[first])} there and {int(labels[first])} here, {len(differing)} of {len(labels)} differ; {cause}"
    )

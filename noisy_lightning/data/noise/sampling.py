"""Labels drawn from transition matrices T[i, j] = P(given = j | true = i), and samples drawn by number."""

import torch
from torch import Tensor

from noisy_lightning.errors import InputError


def check_labels(labels: Tensor, num_classes: int) -> None:
    """Check that labels are (N,) int64 in [0, K).

    Raises:
        InputError: They are not.
    """
    if labels.dtype != torch.int64 or labels.ndim != 1:
        raise InputError(f"labels must be (N,) int64, got {tuple(labels.shape)} {labels.dtype}")
    outside = labels[(labels < 0) | (labels >= num_classes)]
    if len(outside):
        raise InputError(f"labels must be in [0, {num_classes - 1}], got {outside[0].item()}")


def sample_labels(labels: Tensor, matrix: Tensor, generator: torch.Generator) -> Tensor:
    """Draw a given label for each true one by the inverse distribution function of its row.

    Args:
        labels: (N,) int64 true labels in [0, K).
        matrix: (K, K) float64, not negative, each row with sum 1 up to rounding.
        generator: CPU generator; gives one float64 uniform per label, in the order of the labels.

    Returns:
        (N,) int64 given labels.

    Raises:
        InputError: Labels outside [0, K).
    """
    num_classes = len(matrix)
    check_labels(labels, num_classes)
    uniform = torch.rand(len(labels), dtype=torch.float64, generator=generator)
    cumulative = matrix.cumsum(1)
    # Ends each row in exactly 1 from its last possible class on, so that no uniform in [0, 1) falls behind it.
    cumulative = cumulative / cumulative[:, -1:]
    # Grouped by class, because looking up (N, K) rows takes 4 times as long at K = 100 and 10 GB at ImageNet's size.
    order = labels.argsort(stable=True)
    groups = torch.split(uniform[order], labels.bincount(minlength=num_classes).tolist())
    drawn = [torch.searchsorted(row, group, right=True) for row, group in zip(cumulative, groups, strict=True)]
    return torch.empty_like(labels).index_copy_(0, order, torch.cat(drawn))


def choose_exactly(labels: Tensor, rate: float, per_class: bool, generator: torch.Generator) -> Tensor:
    """Choose an exact share of the samples at random.

    Args:
        labels: (N,) int64 true labels, not negative.
        rate: Share to choose, in [0, 1]; counts are rounded to the nearest whole number.
        per_class: Choose this share of each class, instead of the whole.
        generator: CPU generator; gives one float64 uniform per label.

    Returns:
        (N,) bool, true where chosen.
    """
    uniform = torch.rand(len(labels), dtype=torch.float64, generator=generator)
    groups = labels if per_class else torch.zeros_like(labels)
    # By rank of the uniforms rather than torch.randperm, whose algorithm is free to change with its release.
    ranked = uniform.argsort(stable=True)
    ranked = ranked[groups[ranked].argsort(stable=True)]
    sizes = groups.bincount()
    starts = sizes.cumsum(0) - sizes
    counts = (rate * sizes.double()).round()
    within = torch.arange(len(labels)) < (starts + counts).repeat_interleave(sizes)
    return torch.empty_like(within).index_copy_(0, ranked, within)

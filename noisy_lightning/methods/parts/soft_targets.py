"""Targets of samples that move toward what a network predicts for them."""

import torch
import torch.nn.functional as F
from torch import Tensor


def given_targets(labels: Tensor, num_classes: int) -> Tensor:
    """Return the one-hot targets (N, K) of given labels (N,); 1 / K for all classes where the label is -1."""
    one_hot = F.one_hot(labels.clamp(min=0), num_classes).float()
    return one_hot.where(labels[:, None] >= 0, 1 / num_classes)


def moved(target: Tensor, probabilities: Tensor, momentum: float | Tensor) -> Tensor:
    """Return momentum · target + (1 − momentum) · probabilities (B, K), without gradient.

    A target stays as it is where the probabilities are NaN: a step that failed, and that a gradient scaler may have
    skipped, is not remembered.
    """
    probabilities = probabilities.detach()
    return torch.where(probabilities.isnan(), target, momentum * target + (1 - momentum) * probabilities)


def share_contradicted(targets: Tensor, labels: Tensor) -> Tensor:
    """Return the share in [0, 1] of the samples trained on whose target prefers another class than the label.

    Args:
        targets: (N, K).
        labels: (N,) given labels, on any device; -1 for samples that are not trained on.
    """
    labels = labels.to(targets.device)
    trained_on = labels >= 0
    return ((targets.argmax(1) != labels) & trained_on).sum() / trained_on.sum()

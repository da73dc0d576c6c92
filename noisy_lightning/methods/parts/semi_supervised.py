"""What semi-supervised methods share: sharper guesses, what is asked of labeled and of other samples, class weights."""

import warnings

import torch
from torch import Tensor, nn

from noisy_lightning.losses.probabilities import log_probabilities
from noisy_lightning.methods.base import EpochContext
from noisy_lightning.methods.parts.ranks import total, weighted_mean, world_size


def sharpened(probabilities: Tensor, temperature: float) -> Tensor:
    """Return p^(1/T) (B, K), normalized."""
    # Relative to the largest p, whose power is then 1: the sum is never 0, even if all other powers vanish.
    powers = (probabilities / probabilities.amax(1, keepdim=True)) ** (1 / temperature)
    return powers / powers.sum(1, keepdim=True)


def negative_entropy(logits: Tensor) -> Tensor:
    """Return Σ_k p_k · log p_k (B,) of logits (B, K)."""
    log_p = log_probabilities(logits)
    return (log_p.exp() * log_p).sum(1)


def class_balance(labels: Tensor, num_classes: int) -> Tensor:
    """Return weights (K,) inverse to the number of labels (n,), 1 on average over them; 0 for a class without."""
    counts = torch.bincount(labels, minlength=num_classes)
    fair = len(labels) / (counts > 0).sum().clamp(min=1)
    return torch.where(counts > 0, fair / counts.clamp(min=1), 0)


def confident(context: EpochContext, network: nn.Module) -> Tensor:
    """Return the samples (N,) bool, on the CPU, whose given label has the largest mean probability of two weak views.

    Both are predicted in eval mode. Where there is no such sample, all are returned that are trained on, with a
    warning.
    """
    views = [context.predict(network, augmented=True, view=view) for view in range(2)]
    p = sum((log_probabilities(logits).exp() for logits in views), torch.zeros(()))
    found = (p.argmax(1) == context.labels) & p.isfinite().all(1)
    if found.any():
        return found
    warnings.warn("no given label is predicted: all labels are used for an epoch", stacklevel=3)
    return context.labels >= 0


def no_losses(network: nn.Module) -> Tensor:
    """Return losses (0,) whose sum, 0, has a gradient of 0 for every weight: DistributedDataParallel waits for each."""
    return torch.cat([weight.flatten()[:0] for weight in network.parameters() if weight.requires_grad])


def labeled_and_unlabeled(
    losses: Tensor, logits: Tensor, target: Tensor, labeled: Tensor, unlabeled_weight: float
) -> Tensor:
    """Return this rank's part of L_x + λ·L_u () as in MixMatch (Berthelot et al., NeurIPS 2019); see `batch_mean`.

    Args:
        losses: (R,) of which L_x is the mean over what is labeled.
        logits: (R, K).
        target: (R, K); L_u is the mean squared error of the probabilities over what is not labeled.
        labeled: (R,) bool.
        unlabeled_weight: λ.
    """
    p = log_probabilities(logits).exp()
    on_unlabeled = weighted_mean((p - target).square().mean(1), ~labeled)
    return weighted_mean(losses, labeled) + unlabeled_weight * on_unlabeled


def mixed_loss(loss: nn.Module, logits: Tensor, target: Tensor, labeled: Tensor, unlabeled_weight: float) -> Tensor:
    """Return this rank's part of L_x + λ·L_u + L_reg (), which is the mean over the ranks; see `batch_mean`.

    Args:
        loss: Of logits and soft targets.
        logits: (R, K).
        target: (R, K).
        labeled: (R,) bool.
        unlabeled_weight: λ.
    """
    both = labeled_and_unlabeled(loss(logits, target), logits, target, labeled, unlabeled_weight)
    # The mean over all ranks, with the gradient of this rank's part.
    own = log_probabilities(logits).exp().sum(0)
    number = total(torch.tensor(len(logits), device=own.device))
    mean = (total(own) + world_size() * (own - own.detach())) / number
    # Without a lower bound, a class of mean probability 0 would make the penalty infinite.
    penalty = -(len(mean) * mean.clamp(min=1e-12)).log().mean()
    return both + penalty

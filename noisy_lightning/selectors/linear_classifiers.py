"""Linear classifiers of features, one for each fold, trained side by side on all samples but those of their fold."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from noisy_lightning.data.audit.features import Features
from noisy_lightning.data.loading.statistics import feature_statistics
from noisy_lightning.losses import RobustLoss
from noisy_lightning.runs.measures import Ints

_AT_ONCE = 2000  # samples that are predicted at once


@dataclass(frozen=True)
class Recipe:
    """How the classifiers learn: AdamW, whose learning rate falls to 0 along a cosine."""

    loss: RobustLoss
    epochs: int
    lr: float
    weight_decay: float
    batch_size: int
    """Samples per step of each classifier."""


def held_out_probabilities(
    features: Features, labels: Ints, fold: Ints, num_classes: int, recipe: Recipe, generator: torch.Generator
) -> NDArray[np.float64]:
    """Return the class probabilities (N, K) of each sample by the classifier that was trained without its fold.

    Features are standardized. In training, a sample shows one of its views, drawn anew in each epoch; its probability
    is the mean over all views. All classifiers begin at 0, so that nothing of the outcome depends on random weights.

    Args:
        features: (N, V, D).
        labels: (N,) int in [0, K) to learn.
        fold: (N,) int in [0, F), -1 for samples that take no part: their probabilities are NaN.
        num_classes: K.
        recipe: How they learn.
        generator: What draws order and views.
    """
    members = torch.from_numpy(np.flatnonzero(fold >= 0))
    folds = int(fold.max()) + 1
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    stored = torch.from_numpy(features)
    mean, std = (torch.tensor(values, device=device) for values in feature_statistics(stored, members))
    own, target = (torch.from_numpy(values.astype(np.int64)).to(device) for values in (fold, labels))
    classifiers = torch.zeros(folds * num_classes, features.shape[2] + 1, device=device, requires_grad=True)

    def logits(index: Tensor, view: Tensor) -> Tensor:
        """Return what each classifier makes of samples (B,) in their views (B,): (B, F, K)."""
        seen = (stored[index, view].to(device).float() - mean) / std
        made = torch.addmm(classifiers[:, -1], seen, classifiers[:, :-1].T)
        return made.view(len(index), folds, num_classes)

    optimizer = torch.optim.AdamW([classifiers], recipe.lr, weight_decay=recipe.weight_decay, fused=True)
    # Each classifier leaves out the samples of its fold.
    step_size = max(1, round(recipe.batch_size * folds / (folds - 1)))
    steps = recipe.epochs * math.ceil(len(members) / step_size)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5 * (1 + math.cos(math.pi * step / steps)))
    for _ in range(recipe.epochs):
        order = members[torch.randperm(len(members), generator=generator)]
        views = torch.randint(features.shape[1], (len(order),), generator=generator)
        for index, view in zip(torch.split(order, step_size), torch.split(views, step_size), strict=True):
            made = logits(index, view)
            place = index.to(device)
            labels_of_all = target[place].repeat_interleave(folds)
            losses = recipe.loss(made.flatten(0, 1), labels_of_all).view(len(index), folds)
            learns = own[place][:, None] != torch.arange(folds, device=device)
            loss = (losses * learns).sum(0) / learns.sum(0).clamp(min=1)
            torch.autograd.backward(loss.sum())
            optimizer.step()
            optimizer.zero_grad()
            scheduler.step()
    probability = np.full((len(fold), num_classes), np.nan)
    with torch.no_grad():
        for index in torch.split(members, _AT_ONCE):
            made = torch.stack([logits(index, torch.full_like(index, view)) for view in range(features.shape[1])])
            held_out = made[:, torch.arange(len(index)), own[index.to(device)]]
            probability[index.numpy()] = held_out.double().softmax(2).mean(0).cpu().numpy()
    return probability

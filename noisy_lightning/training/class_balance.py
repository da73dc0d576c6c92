"""Whether a method goes with how classes of different sizes are sampled and weighted, and the weights."""

from typing import Literal

import torch
from torch import Tensor

from noisy_lightning.data import NoisyDataModule
from noisy_lightning.errors import InputError
from noisy_lightning.methods import Method

ClassWeights = Literal["balanced"] | list[float]


def balance(method: Method, data: NoisyDataModule, weights: ClassWeights | None) -> None:
    """Have a method weigh classes, and check that it can, and that it goes with the sampling.

    Args:
        method: What is to be trained.
        data: What it is trained on, after `setup`.
        weights: See `class_weights`; None: every sample weighs 1.

    Raises:
        InputError: The method does not go with one of them, or there are no such weights.
    """
    name = type(method).__name__
    if data.sampling not in method.samplings:
        several = "undersample" in method.samplings
        reason = "remembers samples or counts on seeing each once" if several else "corrects by how labels were given"
        raise InputError(
            f"data.sampling {data.sampling} does not go with {name}, which {reason}: choose "
            f"{' or '.join(method.samplings)}{', or model.class_weights' * method.weighs_classes}"
        )
    if weights is None:
        return
    if not method.weighs_classes:
        others = [one for one in method.samplings if one != "natural"]
        raise InputError(
            f"model.class_weights does not go with {name}, whose targets are not the given labels alone: leave it null"
            + (f", or choose data.sampling {others[0]} instead" if others else "")
        )
    if data.redraw == "per_epoch":
        raise InputError("model.class_weights needs classes that keep their size: data.redraw must be once")
    method.class_weights = class_weights(weights, data.served_counts())


def class_weights(weights: ClassWeights, served: Tensor) -> Tensor:
    """Return the weight of each given class, (K,) float32, 1 on average over the samples of an epoch.

    Args:
        weights: `balanced`, as scikit-learn has it: Σ n / (K·n_k), K being the classes that have samples; or K numbers
            >= 0, of which only the ratios matter, as in torch's CrossEntropyLoss.
        served: (K,) int64, n_k, how many samples of each class an epoch serves.

    Raises:
        InputError: These are no such numbers.
    """
    if isinstance(weights, str):
        if weights != "balanced":
            raise InputError(f"model.class_weights must be balanced or a list of numbers, got {weights!r}")
        there = served > 0
        return torch.where(there, served.sum() / (there.sum() * served.clamp(min=1)), 0.0).float()
    given = torch.tensor(weights, dtype=torch.float64)
    if given.shape != served.shape or not (given.isfinite() & (given >= 0)).all() or not (given * served).any():
        raise InputError(
            f"model.class_weights must be balanced or {len(served)} numbers >= 0, one per class, not all of them 0, "
            f"got {weights}"
        )
    return (given * served.sum() / (given * served).sum()).float()

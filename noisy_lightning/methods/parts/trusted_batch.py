"""Samples with verified labels beside each batch, and which samples teach a network what these want to be taught."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import final

import torch
from torch import Tensor, nn
from torch.func import functional_call

from noisy_lightning.errors import InputError
from noisy_lightning.methods.base import Problem
from noisy_lightning.methods.parts.trusted_labels import read_trusted_labels
from noisy_lightning.types import Companion


@final
class TrustedBatch(nn.Module):
    """The samples that a file names, with their verified labels.

    Args:
        path: The file, see `read_trusted_labels`; None: it was not given, which `index` complains of.
        problem: The task.

    Raises:
        InputError: The file cannot be read.
    """

    label: Tensor
    """(N,) int64: verified labels, -1 for all other samples."""

    def __init__(self, path: Path | None, problem: Problem) -> None:
        super().__init__()
        label = torch.full((problem.num_samples,), -1)
        if path is not None:
            trusted = read_trusted_labels(Path(path), problem.num_samples, problem.num_classes)
            label[trusted.index] = trusted.label
        self.register_buffer("label", label, persistent=False)

    @property
    def index(self) -> Tensor:
        """(M,) int64, ascending, on the CPU.

        Raises:
            InputError: There is none.
        """
        index = (self.label >= 0).nonzero().flatten().cpu()
        if not len(index):
            raise InputError("model.method.trusted must be a CSV file of verified labels, with the columns index,label")
        return index

    def others(self, index: Tensor) -> Tensor:
        """Return which samples (B,) of a batch have no verified label, (B,) bool."""
        return self.label[index] < 0

    def of(self, companion: Companion | None) -> tuple[Tensor, Tensor]:
        """Return images (M, C, H, W) and verified labels (M,) of what was served beside a batch."""
        assert companion is not None
        return companion.image, self.label[companion.index]


def learned_weights(network: nn.Module) -> dict[str, Tensor]:
    """Return the weights that learn at present, by name."""
    return {name: weight for name, weight in network.named_parameters() if weight.requires_grad}


def logits_at(network: nn.Module, weights: Mapping[str, Tensor], image: Tensor) -> Tensor:
    """Return the logits (B, K) that a network has with other weights; its running statistics stay as they are."""
    statistics = {name: value.clone() for name, value in network.named_buffers()}
    logits: Tensor = functional_call(network, {**weights, **statistics}, (image,))
    return logits


def alignments(losses: Tensor, weights: Sequence[Tensor], direction: Sequence[Tensor]) -> Tensor:
    """Return ⟨∇ℓ_i, direction⟩ (B,) of losses (B,), their gradients being those with respect to weights.

    By differentiating Σ ε_i·∇ℓ_i, which is linear in ε: all of them at once cost one further backward pass.
    """
    epsilon = torch.zeros_like(losses).requires_grad_()
    summed = torch.autograd.grad(losses, weights, epsilon, create_graph=True, materialize_grads=True)
    connected = [(one, along) for one, along in zip(summed, direction, strict=True) if one.requires_grad]
    products = torch.stack([(one * along.detach()).sum() for one, along in connected]).sum()
    (found,) = torch.autograd.grad(products, epsilon, retain_graph=True)
    return found.detach()

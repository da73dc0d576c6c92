"""How the loss changes around a trained network: along two random directions of its weights."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call

from noisy_lightning.losses import CrossEntropy, RobustLoss

_TINY = 1e-10  # keeps a filter of zeros from a division by zero


def loss_surface(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    steps: Sequence[float] | NDArray[np.float64],
    loss: RobustLoss | None = None,
    seed: int = 0,
    batch_size: int = 500,
) -> NDArray[np.float64]:
    """Return the mean loss of a network whose weights are moved along two random directions, for a picture of them.

    A direction has a normal random number for each weight, and each filter of it, or each row of a matrix, is as long
    as that of the network. So networks whose weights differ in scale can be compared, which is of no use for ones with
    other layers. Biases and the weights of normalization stay as they are. The network is looked at in evaluation mode,
    and left as it was; it looks at all images len(steps)² times.

    Source: Li, Xu, Taylor, Studer and Goldstein, Visualizing the Loss Landscape of Neural Nets, NeurIPS 2018; with it
    SLN (Chen et al., ICLR 2021) shows that label noise in training leads to flatter minima.

    Args:
        network: Maps images (B, C, H, W) to logits (B, K), such as the model of `load_run`.
        images: (N, C, H, W), as the network takes them.
        labels: (N,) int64 in [0, K); given ones show what was memorized, true ones how it generalizes.
        steps: n lengths along either direction; 1 is as long as the weights themselves.
        loss: Any of `noisy_lightning.losses`; cross-entropy by default.
        seed: Of the directions: the same for networks that are compared.
        batch_size: How many images are looked at at once, >= 1.

    Returns:
        (n, n) float64: a row for each step along the second direction, a column for each along the first.

    Raises:
        ValueError: Images and labels differ in number, or there are none.
    """
    if len(images) != len(labels) or not len(images):
        raise ValueError(f"a surface needs a label for each image, got {len(images)} images and {len(labels)} labels")
    weights = {name: weight.detach() for name, weight in network.named_parameters()}
    generator = torch.Generator().manual_seed(seed)
    first, second = ({name: _direction(w, generator) for name, w in weights.items()} for _ in range(2))
    loss = CrossEntropy() if loss is None else loss
    modes = {module: module.training for module in network.modules()}
    surface = np.zeros((len(steps), len(steps)))
    network.eval()
    try:
        for row, b in enumerate(steps):
            for column, a in enumerate(steps):
                moved = {name: w + float(a) * first[name] + float(b) * second[name] for name, w in weights.items()}
                surface[row, column] = _mean_loss(network, moved, images, labels, loss, batch_size)
    finally:
        for module, mode in modes.items():
            module.training = mode
    return surface


def _direction(weight: Tensor, generator: torch.Generator) -> Tensor:
    """Return numbers like a weight's, filter by filter as long as they are; 0 for what has no filters."""
    drawn = torch.randn(weight.shape, generator=generator).to(weight)
    if weight.dim() < 2:
        return torch.zeros_like(weight)
    filters, own = drawn.flatten(1), weight.flatten(1)
    lengths = own.norm(dim=1, keepdim=True) / (filters.norm(dim=1, keepdim=True) + _TINY)
    direction: Tensor = (filters * lengths).view_as(weight)
    return direction


@torch.no_grad()
def _mean_loss(
    network: nn.Module, weights: dict[str, Tensor], images: Tensor, labels: Tensor, loss: RobustLoss, batch_size: int
) -> float:
    total = 0.0
    device = next(iter(weights.values())).device
    for start in range(0, len(images), batch_size):
        part = slice(start, start + batch_size)
        logits = functional_call(network, weights, (images[part].to(device),))
        total += float(loss(logits.float(), labels[part].to(device)).double().sum())
    return total / len(images)

"""Sharpness-aware minimization: Foret, Kleiner, Mobahi and Neyshabur, ICLR 2021.

ASAM is by Kwon, Kim, Park and Choi, ICML 2021.
"""

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal, final

import torch
from torch import Tensor, nn

from noisy_lightning.losses.ranges import check_range
from noisy_lightning.regularizers.base import GradientRule


@final
class SAM(GradientRule):
    """The gradient where the loss is worst nearby: at w + ρ·g / ‖g‖ instead of at the weights w.

    A step takes two passes over the batch. The first gives the gradient g at w, without weight decay; ‖g‖ is one norm
    over all weights of a network. The second gives the gradient at w + ε, by which the optimizer then steps from w. In
    the second pass, batch normalization normalizes by the batch, as ever, and does not move its running statistics. It
    is the same function of the weights: same draws of dropout and of mixing, same memory of samples. What a method
    chooses within its step, such as the samples of small loss, it chooses anew at w + ε. Recorded is the first pass.

    Of a method with two networks, each has a norm and an ε of its own. Weights without a gradient, such as frozen
    ones, stay. It does not go with gradient accumulation.

    Args:
        networks: Those that are trained.
        rho: ρ > 0, how far the weights move; 0.05 in the paper for CIFAR, 0.1 against wrong labels.

    Raises:
        ValueError: A value is out of range.
    """

    second_pass: ClassVar[bool] = True

    def __init__(self, networks: Sequence[nn.Module], rho: float = 0.05) -> None:
        check_range("rho", rho, "(0, inf)")
        super().__init__(networks)
        self.rho = rho

    def apply(self, again: Callable[[], None]) -> None:
        """Replace the gradient at w by that at w + ε."""
        _at_ascended(self.networks, lambda name, weight: torch.ones((), device=weight.device), self.rho, 1e-12, again)


@final
class ASAM(GradientRule):
    """`SAM` with a step uphill that is longer for larger weights: ε = ρ·T²g / ‖T·g‖.

    The result does not change where one layer is scaled up and the next one down. Two forms are in use:

    - `authors`: T = |w| + η for weights whose name contains "weight", those of batch normalization included, and T = 1
      for all others, the biases. ρ is 0.5 in the paper for CIFAR-10, and 1 for CIFAR-100. The default, because the
      paper's numbers are those of this form.
    - `davda54`: T = |w| for all, as in the PyTorch code for SAM that most use, where ρ is 2. A weight of 0 does not
      move.

    Otherwise all that is said of `SAM` holds here, too. The authors' example lets the second pass move the running
    statistics of batch normalization; here it does not.

    Args:
        networks: Those that are trained.
        rho: ρ > 0.
        eta: η >= 0 of the authors' form; 0.01 by default there, 0 in their example.
        form: Which of the two.

    Raises:
        ValueError: A value is out of range.
    """

    second_pass: ClassVar[bool] = True

    def __init__(
        self,
        networks: Sequence[nn.Module],
        rho: float = 0.5,
        eta: float = 0.01,
        form: Literal["authors", "davda54"] = "authors",
    ) -> None:
        check_range("rho", rho, "(0, inf)")
        check_range("eta", eta, "[0, inf)")
        if form not in ("authors", "davda54"):
            raise ValueError(f"form must be authors or davda54, got {form}")
        super().__init__(networks)
        self.rho, self.eta, self.form = rho, eta, form

    def apply(self, again: Callable[[], None]) -> None:
        """Replace the gradient at w by that at w + ε."""
        _at_ascended(self.networks, self._scale, self.rho, 1e-12 if self.form == "davda54" else 1e-16, again)

    def _scale(self, name: str, weight: Tensor) -> Tensor:
        """Return T of a weight, by its name in the network."""
        if self.form == "davda54":
            return weight.abs()
        return weight.abs() + self.eta if "weight" in name else torch.ones((), device=weight.device)


@torch.no_grad()
def _at_ascended(
    networks: Sequence[nn.Module],
    scale: Callable[[str, Tensor], Tensor],
    rho: float,
    least_norm: float,
    again: Callable[[], None],
) -> None:
    """Take a second pass at w + ρ·T²g / (‖T·g‖ + least_norm), then bring w back to the last bit.

    A gradient that is not finite, as a scaler of half precision meets at first, moves nothing.

    Args:
        networks: Each has a norm of its own.
        scale: Returns T by name and weight.
        rho: ρ.
        least_norm: What is added to the norm.
        again: Takes the pass.
    """
    moved: list[tuple[Tensor, Tensor]] = []
    for network in networks:
        weights = [
            (weight, weight.grad, scale(name, weight))
            for name, weight in network.named_parameters()
            if weight.grad is not None
        ]
        if not weights:
            continue
        norm = torch.stack([(t * gradient).norm() for _, gradient, t in weights]).norm()
        length = rho / (norm + least_norm)
        for weight, gradient, t in weights:
            moved.append((weight, weight.clone()))
            weight.copy_(torch.where(norm.isfinite(), weight + t * t * gradient * length, weight))
    again()
    for moved_weight, before in moved:
        moved_weight.copy_(before)

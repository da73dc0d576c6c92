"""CDR, robust early-learning: Xia, Liu, Han, Gong, Wang, Ge and Chang, ICLR 2021."""

from collections.abc import Callable, Sequence
from typing import final

import torch
from torch import Tensor, nn

from noisy_lightning.losses.ranges import check_range
from noisy_lightning.regularizers.base import GradientRule


@final
class CDR(GradientRule):
    """Gradients of the critical weights only; all others only decay, so that they cannot memorize wrong labels.

    In each step, a weight w with the gradient g has the score |g·w|. Of the n weights of a network in tensors of 2 or 4
    dimensions, those of linear layers and convolutions, the ⌊(1 − r)·n⌋ of the highest score are critical, and so is
    whatever equals the last of them. The gradient of a critical weight is multiplied by 1 − r, that of another one
    becomes 0, on which the optimizer's momentum and weight decay still act. Biases and batch normalization learn as
    ever. One threshold holds for all of a network; of a method with two networks, each has its own.

    The weight decay is part of the method: 0.001 in the paper.

    Deviation: the authors' code passes each batch through the network twice, first for the scores, so that batch
    normalization moves its running statistics twice; here one pass gives both. Its factor 1 − r, too, is constant: a
    schedule for it is computed there, and then not used.

    Args:
        networks: Those that are trained.
        noise_rate: r in [0, 1), the share of wrong labels, which has to be known: a run with it counts as an oracle.

    Raises:
        ValueError: A value is out of range.
    """

    def __init__(self, networks: Sequence[nn.Module], noise_rate: float) -> None:
        check_range("noise_rate", noise_rate, "[0, 1)")
        super().__init__(networks)
        self.noise_rate = noise_rate

    @property
    def oracle(self) -> bool:
        """Whether it was given the noise rate: always."""
        return True

    @torch.no_grad()
    def apply(self, again: Callable[[], None]) -> None:
        """Reduce the gradients."""
        for network in self.networks:
            weights = [weight for weight in network.parameters() if weight.grad is not None and weight.ndim in (2, 4)]
            gradients = [weight.grad for weight in weights if weight.grad is not None]
            scores = [(weight * gradient).abs() for weight, gradient in zip(weights, gradients, strict=True)]
            least = self._threshold(scores)
            for gradient, score in zip(gradients, scores, strict=True):
                gradient.mul_(score >= least).mul_(1 - self.noise_rate)

    def _threshold(self, scores: Sequence[Tensor]) -> Tensor | float:
        """Return the least score of a critical weight; infinity where none is critical."""
        number = sum(score.numel() for score in scores)
        critical = int((1 - self.noise_rate) * number)  # as floating point has it: (1 − 0.8)·15 is 2
        if not critical:
            return torch.inf
        return kth_largest(torch.cat([score.flatten() for score in scores]), critical)


def kth_largest(values: Tensor, k: int) -> Tensor:
    """Return the k-th largest, k in [1, n], of numbers (n,) >= 0; of millions in a third of the time of kthvalue.

    The bits of such numbers, read as integers, are in the same order. They are counted by the first 16, and only those
    that share these with the one sought are looked at further.
    """
    numbers = values if values.dtype == torch.float64 else values.float()
    kind, width = (torch.int64, 64) if numbers.dtype == torch.float64 else (torch.int32, 32)
    first = numbers.view(kind) >> (width - 16)
    at_least = first.bincount(minlength=2**15).flip(0).cumsum(0).flip(0)  # how many begin with this or with more
    found = (at_least >= k).sum() - 1
    above = at_least[found + 1] if found + 1 < len(at_least) else 0
    among = numbers[first == found]
    return among.kthvalue(len(among) - int(k - above) + 1).values

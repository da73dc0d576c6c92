"""Two networks that leave out the samples of a batch with the largest losses, as in Co-teaching."""

from typing import Literal

from torch import Tensor

from noisy_lightning.methods.base import Problem
from noisy_lightning.methods.parts.forget_rate import ForgetRate
from noisy_lightning.methods.parts.networks import TwoNetworks


class SmallLossNetworks(TwoNetworks):
    """A method with two networks and a forget rate; `on_epoch_start` of a subclass has to update `forgetting`.

    Args:
        problem: The task.
        forget_rate: τ in [0, 1), or `estimate`; see `ForgetRate`.
        warm_up: T_k >= 0, epochs of the ramp.
        exponent: c > 0 of the ramp.

    Raises:
        ValueError: A value is out of range.
    """

    def __init__(
        self, problem: Problem, forget_rate: float | Literal["estimate"], warm_up: int, exponent: float
    ) -> None:
        super().__init__(problem)
        self.forgetting = ForgetRate(forget_rate, warm_up, exponent, problem.num_samples, problem.num_classes)

    @property
    def oracle(self) -> bool:
        """Whether the forget rate was given: it is chosen by the rate of wrong labels."""
        return self.forgetting.given is not None

    @property
    def depends_on_length(self) -> bool:
        """Whether a rate is estimated, after at most half of all epochs."""
        return self.forgetting.given is None

    def scalars(self) -> dict[str, Tensor]:
        """Return the forget rate, and the estimated noise rate if it is estimated."""
        return self.forgetting.scalars()

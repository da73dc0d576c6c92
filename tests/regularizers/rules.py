"""Rules for the gradient that only tests have, named on command lines by their class path."""

from collections.abc import Callable
from typing import ClassVar, final

from noisy_lightning.regularizers import GradientRule


@final
class Twice(GradientRule):
    """Takes the second pass at the same weights, so that the gradient is what it was."""

    second_pass: ClassVar[bool] = True

    def apply(self, again: Callable[[], None]) -> None:
        before = [weight.grad for network in self.networks for weight in network.parameters()]
        again()
        after = [weight.grad for network in self.networks for weight in network.parameters()]
        for one, other in zip(before, after, strict=True):
            assert (one is None) == (other is None)
            if one is not None and other is not None:
                assert one is not other
                assert one.equal(other), "the second pass is another step"

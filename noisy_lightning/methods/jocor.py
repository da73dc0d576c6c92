"""JoCoR, joint training with co-regularisation: Wei, Feng, Chen and An, CVPR 2020."""

from typing import Literal, final

from torch import Tensor, nn

from noisy_lightning.losses.probabilities import log_probabilities
from noisy_lightning.losses.ranges import check_range
from noisy_lightning.methods.base import EpochContext, Method, Problem
from noisy_lightning.methods.parts.forget_rate import ForgetRate
from noisy_lightning.methods.parts.small_loss import mean_of_kept, small_loss
from noisy_lightning.types import Step


@final
class JoCoR(Method):
    """Two networks that train as one, on the samples of a batch on which both together have the smallest losses.

    Different networks agree on most samples whose label is right, and less so where it is wrong. So they are drawn
    towards each other, and what they disagree on counts against a sample. Its joint loss is

        ℓ = (1 − λ)·(ℓ₁ + ℓ₂) + λ·(KL(p₁‖p₂) + KL(p₂‖p₁)),

    and of a batch of B samples, those of all ranks together, both networks minimise the mean of the ⌊(1 − R)·B⌋
    smallest, at least one; R grows as in `CoTeaching`. The gradient flows through both sides of either divergence. A
    sample whose joint loss is NaN is not selected.

    The first network gives the logits; the authors report both, and so do the metrics. Recorded are the mean of ℓ₁ and
    ℓ₂, without the divergence, and as kept what was selected.

    Args:
        problem: The task; any loss, cross-entropy in the paper.
        forget_rate: τ, what is left out in the end: `estimate`, the share of high losses in the first half of
            `warm_up`, in which nothing is then left out, for labels that nobody has checked; or a number in [0, 1). The
            paper takes the rate of wrong labels, which an experiment knows, and for asymmetric noise, in which half of
            the classes have wrong labels, half of what these have. The estimate is the nearer the truth, the easier
            right labels are to learn; where wrong ones are soon memorised it comes out too low.
        warm_up: T_k >= 0, epochs of the ramp; 10 in the paper.
        exponent: c > 0 of the ramp, as in `CoTeaching`; 1 in the paper.
        co_lambda: λ in [0, 1). The paper has 0.9 for CIFAR-10, but 0.65 where 80 % of the labels are wrong, and 0.85
            for CIFAR-100; its code has 0.1 by default.

    Raises:
        ValueError: A value is out of range.
    """

    def __init__(
        self,
        problem: Problem,
        forget_rate: float | Literal["estimate"] = "estimate",
        warm_up: int = 10,
        exponent: float = 1.0,
        co_lambda: float = 0.9,
    ) -> None:
        super().__init__()
        check_range("co_lambda", co_lambda, "[0, 1)")
        self.first, self.second = problem.make_backbone(), problem.make_backbone()
        self.loss = problem.loss
        self.forgetting = ForgetRate(forget_rate, warm_up, exponent, problem.num_samples)
        self.co_lambda = co_lambda

    @property
    def oracle(self) -> bool:
        """Whether the forget rate was given: it is chosen by the rate of wrong labels."""
        return self.forgetting.given is not None

    def forward(self, image: Tensor) -> Tensor:
        """Return the first network's logits (B, K) of images (B, C, H, W)."""
        logits: Tensor = self.first(image)
        return logits

    def networks(self) -> dict[str, nn.Module]:
        """Return the second network."""
        return {"second": self.second}

    def scalars(self) -> dict[str, Tensor]:
        """Return the forget rate, and the estimated noise rate if it is estimated."""
        return self.forgetting.scalars()

    def on_epoch_start(self, context: EpochContext) -> None:
        """Follow the schedule of the forget rate."""
        self.forgetting.update(context.epoch)

    def step(self, image: Tensor, label: Tensor, index: Tensor) -> Step:
        """Train both networks on the smallest joint losses."""
        first, second = self.first(image), self.second(image)
        supervised = self.loss(first, label) + self.loss(second, label)
        self.forgetting.note(index, supervised / 2)
        joint = (1 - self.co_lambda) * supervised + self.co_lambda * divergence(first, second)
        kept = small_loss(joint, index, self.forgetting.remember_rate)
        return Step(mean_of_kept(joint, kept), supervised / 2, first, kept)


def divergence(first: Tensor, second: Tensor) -> Tensor:
    """Return KL(p₁‖p₂) + KL(p₂‖p₁) of each sample (B,), Jeffreys' divergence, from logits (B, K)."""
    log_first, log_second = log_probabilities(first), log_probabilities(second)
    return ((log_first.exp() - log_second.exp()) * (log_first - log_second)).sum(1)

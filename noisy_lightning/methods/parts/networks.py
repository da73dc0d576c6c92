"""The networks that a method trains: one, or two of which the first is evaluated."""

from torch import Tensor, nn

from noisy_lightning.methods.base import Method, Problem


class OneNetwork(Method):
    """A method with one network, which gives the logits to evaluate; `step` is up to its subclasses."""

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.backbone = problem.make_backbone()
        self.loss = problem.loss

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits (B, K) of images (B, C, H, W)."""
        logits: Tensor = self.backbone(image)
        return logits


class TwoNetworks(Method):
    """A method with two networks, of which the first gives the logits to evaluate; `step` is up to its subclasses.

    One optimizer minimizes the sum of both losses. Two optimizers would do the same, because the networks share no
    weights; but clipping gradients by norm treats both networks as one.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.first, self.second = problem.make_backbone(), problem.make_backbone()
        self.loss = problem.loss

    def forward(self, image: Tensor) -> Tensor:
        """Return the first network's logits (B, K) of images (B, C, H, W)."""
        logits: Tensor = self.first(image)
        return logits

    def networks(self) -> dict[str, nn.Module]:
        """Return the second network."""
        return {"second": self.second}

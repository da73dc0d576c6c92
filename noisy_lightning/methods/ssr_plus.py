"""SSR+, sample selection and relabeling with feature consistency: Feng, Tzimiropoulos and Patras, BMVC 2022."""

from collections.abc import Sequence
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from noisy_lightning.losses.ranges import check_range
from noisy_lightning.methods.base import Problem
from noisy_lightning.methods.parts.features import feature_width, logits_and_features
from noisy_lightning.methods.parts.ranks import gather, gather_with_gradient
from noisy_lightning.methods.parts.selection_relabeling import SelectionAndRelabeling
from noisy_lightning.methods.parts.semi_supervised import no_losses
from noisy_lightning.types import Step, View


@final
class SSRPlus(SelectionAndRelabeling):
    """`SSR` whose features, projected, should also be the same for a strong and for a weak view of every sample.

    Added to the loss is λ_fc times the mean of −cos(h(g(strong)), g(weak)) over all samples of a batch, kept or not.
    Here g projects the features of the network, and h predicts from that; both have two layers with batch
    normalization between. No gradient flows through g(weak). The strong view is the first of the two that are mixed.

    What is said of `SSR` holds here too. On several ranks, g and h normalize the batch as a whole.

    Guards: a batch of a single sample, which cannot be normalized, has no such term.

    Args:
        problem: The task; see `SSR`. The network ends in a linear layer.
        relabel_threshold: θ_r in [0, 1]; see `SSR`.
        selection_threshold: θ_s in [0, 1]; see `SSR`.
        neighbours: k >= 1; see `SSR`.
        balance_votes: Whether votes are divided by the shares of classes; see `SSR`.
        alpha: α > 0; see `SSR`.
        consistency: Weight λ_fc >= 0; 1 in the paper.
        hidden: Features >= 1 between the two layers of g and of h; 256, but 512 for Clothing1M.
        width: Features >= 1 that g and h give; 128, but 256 for WebVision and 512 for Clothing1M.

    Raises:
        InputError: The loss takes no soft targets.
        ValueError: A value is out of range, or the network does not end in a linear layer.
    """

    views: ClassVar[Sequence[View]] = ("strong", "strong", "weak")

    def __init__(
        self,
        problem: Problem,
        relabel_threshold: float = 0.9,
        selection_threshold: float = 1.0,
        neighbours: int = 200,
        balance_votes: bool = True,
        alpha: float = 4.0,
        consistency: float = 1.0,
        hidden: int = 256,
        width: int = 128,
    ) -> None:
        check_range("consistency", consistency, "[0, inf)")
        check_range("hidden", hidden, "[1, inf)")
        check_range("width", width, "[1, inf)")
        super().__init__(problem, relabel_threshold, selection_threshold, neighbours, balance_votes, alpha)
        self.projection = two_layers(feature_width(self.backbone), hidden, width)
        self.prediction = two_layers(width, hidden, width)
        self.consistency = consistency

    def step(self, image: Tensor, label: Tensor, index: Tensor) -> Step:
        """Train on mixed views of what is kept, and on what two views of all samples have in common."""
        loss = self.mixed_loss(image[:2], index) + self.consistency * self._distance(image[0], image[2])
        return Step(loss, *self.recorded(label, index))

    def _distance(self, strong: Tensor, weak: Tensor) -> Tensor:
        """Return the mean negative cosine () of all ranks' projected features, from views (B, C, H, W)."""
        with torch.no_grad():
            target = gather(logits_and_features(self.backbone, weak)[1])
        # Otherwise some releases of torch reuse the weights cast here, without gradient, in the next pass.
        torch.clear_autocast_cache()
        features = gather_with_gradient(logits_and_features(self.backbone, strong)[1])
        if len(features) < 2:
            return no_losses(self.projection).sum() + no_losses(self.prediction).sum()
        with torch.no_grad():
            target = self.projection(target)
        torch.clear_autocast_cache()
        predicted = self.prediction(self.projection(features))
        return -F.cosine_similarity(predicted.float(), target.float()).mean()


def two_layers(in_features: int, hidden: int, out_features: int) -> nn.Sequential:
    """Return a network from features (B, in_features) to (B, out_features)."""
    return nn.Sequential(
        nn.Linear(in_features, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, out_features)
    )

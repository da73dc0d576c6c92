"""SSR, sample selection and relabeling: Feng, Tzimiropoulos and Patras, BMVC 2022."""

from collections.abc import Sequence
from typing import ClassVar, final

from torch import Tensor

from noisy_lightning.methods.base import Problem
from noisy_lightning.methods.parts.selection_relabeling import SelectionAndRelabeling
from noisy_lightning.types import Step, View


@final
class SSR(SelectionAndRelabeling):
    """One network that learns from the samples whose label most of their neighbors have, after correcting labels.

    Each epoch, the first one included, begins with a pass over the weakly augmented training part, in eval mode. Then

    - where the largest probability is above `relabel_threshold`, θ_r, the predicted class replaces the given label, for
      this epoch only;
    - the k nearest neighbors of a sample by the cosine of features, the sample itself among them, vote with their
      labels. Votes for a class are divided by its share in all labels. A sample is kept if its label has at least
      `selection_threshold`, θ_s, times as many votes as the class with most.

    The loss is cross-entropy on two strong views of the samples kept, each mixed with another of the batch, images and
    labels alike. The own share is max(l, 1 − l), where l ~ Beta(α, α) is drawn once for each batch. All classes weigh
    the same. On several ranks, all parts of a batch are mixed with each other.

    Recorded are logits and losses, on the given labels, of the pass at the beginning of the epoch; and as `kept`
    whether a sample is kept with its given label. `kept` and `relabelled` are logged: the shares of samples that are
    kept and that got another label.

    Deviations. The authors repeat samples until all classes are kept equally often, and draw batches of 128 from that;
    their epochs are longer or shorter by it. Here a batch is any samples, of which those kept teach: the loss of a
    mixture is weighted by the inverse size of the classes of both its samples, and divided by the sum of these weights
    in the batch. That has the same expectation, up to the bias of a ratio.

    Guards: a batch without samples to keep teaches nothing. Where the features are not finite, all given labels are
    used for an epoch, with a warning. The pass keeps logits and features of all samples in memory, 4 · (K + D) bytes
    each.

    Args:
        problem: The task; any loss that takes soft targets, cross-entropy in the paper.
        relabel_threshold: θ_r in [0, 1]; 0.9, but 0.8 for CIFAR-100 with 50 % symmetric noise or more, 0.95 for
            Animal-10N and WebVision, 0.99 for Clothing1M. 1: no label changes.
        selection_threshold: θ_s in [0, 1]; 1, the label wins, in all of the authors' experiments. 0: all are kept.
        neighbours: k >= 1; 200.
        balance_votes: Whether votes are divided by the shares of classes; not for Clothing1M, in the authors' code.
        alpha: α > 0; 4, but 0.5 for data sets of the real world.

    Raises:
        InputError: The loss takes no soft targets.
        ValueError: A value is out of range.
    """

    views: ClassVar[Sequence[View]] = ("strong", "strong")

    def __init__(
        self,
        problem: Problem,
        relabel_threshold: float = 0.9,
        selection_threshold: float = 1.0,
        neighbours: int = 200,
        balance_votes: bool = True,
        alpha: float = 4.0,
    ) -> None:
        super().__init__(problem, relabel_threshold, selection_threshold, neighbours, balance_votes, alpha)

    def step(self, image: Tensor, label: Tensor, index: Tensor) -> Step:
        """Train on mixed views of what is kept."""
        return Step(self.mixed_loss(image, index), *self.recorded(label, index))

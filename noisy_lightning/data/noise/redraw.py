"""Given labels that are drawn anew for each epoch: no wrong label lasts long enough to be memorized."""

from typing import final

from torch import Tensor

from noisy_lightning.data.loading.augment import seeded_generator
from noisy_lightning.data.noise.class_conditional import LabelNoise


@final
class EpochLabels:
    """The labels of each epoch, a function of seed and epoch alone: the same on all ranks and after a resume.

    Args:
        noise: What draws them.
        true_labels: (N,) int64 in [0, K).
        images: (N, C, H, W) uint8 as `LabelNoise.corrupt` takes them.
        num_classes: K.
        seed: Of the noise.
        first: (N,) int64: the labels of epoch 0.
        redrawn: (n,) positions whose labels change; the others, such as those to validate on, keep their first ones.
    """

    def __init__(
        self,
        noise: LabelNoise,
        true_labels: Tensor,
        images: Tensor | None,
        num_classes: int,
        seed: int,
        first: Tensor,
        redrawn: Tensor,
    ) -> None:
        self.noise, self.true_labels, self.images, self.num_classes = noise, true_labels, images, num_classes
        self.seed, self.first, self.redrawn = seed, first, redrawn
        self._current = 0, first

    def __call__(self, epoch: int) -> Tensor:
        """Return the labels (N,) of an epoch, counted from 0."""
        if epoch == 0:
            return self.first
        if epoch != self._current[0]:
            generator = seeded_generator("noise", self.seed, epoch)
            drawn = self.noise.corrupt(self.true_labels, self.images, self.num_classes, generator)
            self._current = epoch, self.first.index_copy(0, self.redrawn, drawn[self.redrawn])
        return self._current[1]

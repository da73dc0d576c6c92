"""What passes between loader, method, module and recorder."""

from typing import Literal, NamedTuple

from torch import Tensor

View = Literal["weak", "strong"]
"""How far a view of an image differs from the image: by `data.augmentation`, or by `data.strong_augmentation`."""


class Companion(NamedTuple):
    """Further samples of the training set, served beside a batch to methods that ask for them."""

    image: Tensor
    """(M, C, H, W) normalized images, weakly augmented; M is the size of a batch, or less."""
    index: Tensor  # type: ignore[assignment]  # hides tuple.index
    """(M,) positions in the original training set."""


class Batch(NamedTuple):
    """What every loader yields."""

    image: Tensor
    """(B, C, H, W) normalized images; (views, B, C, H, W) in training, where a method takes more than one view."""
    label: Tensor
    """(B,) given labels, possibly wrong."""
    index: Tensor  # type: ignore[assignment]  # hides tuple.index, which a batch has no use for
    """(B,) positions in the original data set, for life."""
    true_label: Tensor
    """(B,) true labels, for measurement only; -1 where nobody knows them, -2 where the image is of no class at all."""
    companion: Companion | None = None
    """In training, where a method asks for `companions`."""


class Step(NamedTuple):
    """What a method returns for one batch."""

    loss: Tensor
    """() to minimize."""
    losses: Tensor
    """(B,) per-sample losses to record."""
    logits: Tensor
    """(B, K) to record."""
    sample_weight: Tensor | None = None
    """(B,) bool or in [0, 1]: how far each sample takes part with its given label, recorded as `kept`; 0 where it has
    another label instead. None: all of them, fully."""

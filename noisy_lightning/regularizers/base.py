"""What a regularizer is: a way to mix two images, or a change of the gradient."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from torch import nn


class Mixing(ABC):
    """How each image of a batch is mixed with another one: `mixing` of a classifier.

    Subclasses are final. With λ the share of a sample in its mixed image, and π a permutation of the batch,

        x̃_i = λ·x_i + (1 − λ)·x_π(i),  loss_i = λ·loss(f(x̃_i), y_i) + (1 − λ)·loss(f(x̃_i), y_π(i)),

    where λ may differ between pixels, and in the loss is then its mean over them. λ and π are drawn once for each
    batch, on all devices together and the same after a resume. λ is not folded into [0.5, 1]. But in a batch with
    λ < 0.5 the mixed images stand in the order of the samples that the larger part of each comes from: the same images
    and the same loss, in another order.

    So each sample is recorded once per epoch, by the mixed image of which it is the larger part: its loss, without the
    other label's part, its confidence and its margin are those of its own given label there.

    It goes with methods that are `mixable`: those whose step takes the mean of losses that depend on one label each.
    Methods that mix images themselves, or that select or correct by what a network makes of single images, refuse it.
    """

    @abstractmethod
    def draw(self, random: np.random.Generator, height: int, width: int) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Return λ of each pixel, in [0, 1]: (H, W), or (1, 1) where all have the same.

        Args:
            random: What to draw from.
            height: H of the images.
            width: W of the images.

        Raises:
            InputError: Images of this size cannot be mixed.
        """


class GradientRule(ABC):
    """What becomes of the gradient before the optimizer steps: `gradient` of a classifier.

    Subclasses are final and take the networks first, each of which is treated by itself. A rule acts on the gradient of
    the loss, averaged over devices; `l1_decay` and clipping come after it, weight decay is the optimizer's. It must not
    depend on the scale of the gradient, which in `16-mixed` precision is not yet the true one.

    Args:
        networks: Those that a method has made; not averages of them.
    """

    second_pass: ClassVar[bool] = False
    """Whether it takes the gradient of a batch twice, which doubles the time of a step."""

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        self.networks = networks

    @property
    def oracle(self) -> bool:
        """Whether it was given what only an experiment knows, such as how many labels are wrong."""
        return False

    @abstractmethod
    def apply(self, again: Callable[[], None]) -> None:
        """Change the gradients (`grad`) of the networks' weights in place.

        Args:
            again: Takes the gradient of the same batch once more, at the weights as they are when it is called. The
                step is the same: same draws of dropout and mixing, same memory of samples; it leaves no trace but the
                gradient, neither in batch statistics nor in what is remembered or recorded.
        """

"""Open-set noise: images of no class at all, under labels of the data set's classes."""

import difflib
from collections.abc import Callable, Sequence
from typing import Literal, final

import torch
from torch import Tensor

from noisy_lightning.data.datamodule import NoisyDataModule
from noisy_lightning.data.noise.class_conditional import LabelNoise, check_rate
from noisy_lightning.data.noise.foreign import ForeignImages, take_images
from noisy_lightning.data.noise.sampling import check_labels, choose_exactly
from noisy_lightning.data.sets.cifar100_classes import CIFAR10_ALIKE
from noisy_lightning.data.sets.sources import Source
from noisy_lightning.errors import InputError


@final
class OpenSet(LabelNoise):
    """Training images are replaced by those of another data set; all labels stay as they are (as in SLN, Chen 2021).

    Exactly round(rate·N) images, anywhere in the training set, are replaced by as many different ones from the
    training set of `source`, which are resized (bilinear, antialiased) and made gray or colored to have the shape of
    the others. Their labels are wrong though no label has changed: they count as noisy, their true label is -2, "none
    of the classes". The validation part has its share of them; test images stay as they are.

    SLN puts CIFAR-100 into CIFAR-10 at rate 0.4 and cuts the number where it is rounded here. It draws from a generator
    that its training script never seeds, so that each of its runs has other images; here `data.seed` decides. It also
    takes all classes, some of which are much like those of CIFAR-10: a pickup truck labeled "truck" is hardly wrong.

    Args:
        rate: Share of the training images that are replaced, in [0, 1].
        source: The data set whose training images replace them; its noise, split and test set are not used.
        exclude: Classes of it, by name, from which nothing is taken; null takes from all, as published.
            `cifar10_alike`: the classes of CIFAR-100 that could also have the name of a class of CIFAR-10 (our
            choice): bus, pickup_truck and streetcar; leopard, lion and tiger; fox and wolf.
    """

    def __init__(
        self, rate: float, source: NoisyDataModule, exclude: list[str] | Literal["cifar10_alike"] | None = None
    ) -> None:
        check_rate(rate)
        self.rate = rate
        self.source = source
        self.exclude = exclude
        self._excluded = [_label(source, name) for name in _names(exclude)]

    @property
    def nominal_rate(self) -> float:
        """The share of foreign images."""
        return self.rate

    def transition_matrix(self, num_classes: int) -> None:
        """Return None: the true label of a foreign image is none of the classes."""

    def prepare(self, load: Callable[[], Source], num_classes: int) -> None:
        """Prepare the files of the other data set."""
        self.source.prepare_data()

    def corrupt(self, labels: Tensor, images: Tensor | None, num_classes: int, generator: torch.Generator) -> Tensor:
        """Return a copy; draws nothing."""
        check_labels(labels, num_classes)
        return labels.clone()

    def foreign_images(
        self, count: int, shape: tuple[int, int, int], generator: torch.Generator
    ) -> ForeignImages | None:
        """Draw the places and the images.

        Raises:
            InputError: The other data set has too few images, or does not keep them in memory.
        """
        source = self.source.load(train=True)
        pool = self._pool(source)
        places = choose_exactly(torch.zeros(count, dtype=torch.int64), self.rate, False, generator).nonzero().squeeze(1)
        if len(pool) < len(places):
            raise InputError(
                f"rate: {self.rate} of {count} images are {len(places)}, but {type(self.source).__name__} has only "
                f"{len(pool)} to take (source, exclude): choose a rate of at most {len(pool) / count:.4g}"
            )
        # By rank of uniforms, as choose_exactly does, and for its reason.
        order = torch.rand(len(pool), dtype=torch.float64, generator=generator).argsort(stable=True)
        index = torch.full((count,), -1).index_copy(0, places, pool[order[: len(places)]])
        return take_images(source, index, shape)

    def _pool(self, source: Source) -> Tensor:
        """Return the positions (n,) of the images that may be taken."""
        labels = source.labels if source.given_labels is None else source.given_labels
        usable = source.usable()
        return usable[~torch.isin(labels[usable], torch.tensor(self._excluded, dtype=torch.int64))]


def _names(exclude: list[str] | str | None) -> Sequence[str]:
    if isinstance(exclude, str):
        if exclude != "cifar10_alike":
            raise InputError(f"exclude must be a list of class names, cifar10_alike or null, got {exclude!r}")
        return CIFAR10_ALIKE
    return exclude or ()


def _label(source: NoisyDataModule, name: str) -> int:
    """Return the label of a class of the other data set."""
    names = list(source.class_names)
    if name in names:
        return names.index(name)
    close = difflib.get_close_matches(str(name), names, n=1)
    hint = (
        f"; did you mean {close[0]}?"
        if close
        else f", whose classes are {', '.join(names[:10])}{', …' * (len(names) > 10)}"
    )
    raise InputError(f"exclude: {name!r} is no class of {type(source).__name__}{hint}")

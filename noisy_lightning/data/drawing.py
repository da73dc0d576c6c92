"""Drawing the given labels of a training set, and replacing some of its images by those of another data set."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from noisy_lightning.data.loading.augment import seeded_generator
from noisy_lightning.data.noise.class_conditional import LabelNoise, NoNoise
from noisy_lightning.data.noise.foreign import ForeignImages
from noisy_lightning.data.sets.sources import Source
from noisy_lightning.errors import InputError
from noisy_lightning.runs.measures import FOREIGN

Redraw = Literal["once", "per_epoch"]


class Drawn(NamedTuple):
    """A training set with its given labels."""

    source: Source
    """The images, some replaced by foreign ones, and what else the data set says about them."""
    labels: Tensor
    """(N,) int64 given labels in [0, K)."""
    true_labels: Tensor
    """(N,) int64 true labels in [0, K); -1 where nobody knows them, -2 where the image is foreign."""
    foreign_index: Tensor | None = None
    """(N,) int64 as in `ForeignImages`; None: all images are the data set's own."""
    foreign_checksum: str | None = None
    """What identifies the data set of the foreign images."""

    @property
    def is_clean(self) -> Tensor:
        """(N,) bool: the given label is the true one; false where that is unknown."""
        return self.labels == self.true_labels

    @property
    def is_trusted(self) -> Tensor:
        """(N,) bool: the data set says that the given label is right."""
        trusted = self.source.trusted
        return torch.zeros_like(self.labels, dtype=torch.bool) if trusted is None else trusted

    @property
    def is_foreign(self) -> Tensor:
        """(N,) bool: the image is that of another data set."""
        index = self.foreign_index
        return torch.zeros_like(self.labels, dtype=torch.bool) if index is None else index >= 0


def draw(source: Source, noise: LabelNoise, num_classes: int, seed: int, redraw: Redraw) -> Drawn:
    """Draw the given labels, and replace images where the noise takes those of another data set.

    Args:
        source: The training set.
        noise: What draws them.
        num_classes: K.
        seed: Of the noise, >= 0; the draw depends on nothing else.
        redraw: Whether each epoch is to have labels of its own; those returned belong to epoch 0.

    Raises:
        InputError: The noise cannot be drawn for these labels; it draws nothing, although each epoch is to have labels
            of its own; or it replaces images that are not in memory.
    """
    generator = seeded_generator("noise", seed)
    undrawn = generator.get_state()
    labels = given_labels(source, noise, num_classes, generator)
    if redraw == "per_epoch" and generator.get_state().equal(undrawn):
        kind = "the labels as found" if is_as_found(source, noise) else type(noise).__name__
        raise InputError(f"data.redraw must be once: {kind} would be the same in every epoch, nothing is drawn")
    # Images may be kept larger than networks get them, to crop from; foreign ones have to be as large.
    height, width, channels = source.images.shape[1:]
    foreign = noise.foreign_images(len(labels), (height, width, channels), seeded_generator("foreign", seed))
    if foreign is None or not len(foreign.images):
        return Drawn(source, labels, source.labels)
    true_labels = torch.where(foreign.index >= 0, FOREIGN, source.labels)
    return Drawn(with_foreign_images(source, foreign), labels, true_labels, foreign.index, foreign.checksum)


def is_as_found(source: Source, noise: LabelNoise) -> bool:
    """Return whether the given labels are those that came with the images."""
    return source.given_labels is not None and isinstance(noise, NoNoise)


def given_labels(source: Source, noise: LabelNoise, num_classes: int, generator: torch.Generator) -> Tensor:
    """Take the labels (N,) that came with the images, or draw them from the true ones.

    Raises:
        InputError: The noise needs true labels that nobody knows, or cannot be drawn for these.
    """
    if source.given_labels is not None and is_as_found(source, noise):
        return source.given_labels
    check_truth(source, noise)
    return noise.corrupt(source.labels, pixels(source), num_classes, generator)


def check_truth(source: Source, noise: LabelNoise) -> None:
    """Check that the labels can be drawn; no image is read for it.

    Raises:
        InputError: The noise needs true labels that nobody knows.
    """
    unknown = int((source.labels < 0).sum())
    if unknown and noise.needs_true_labels and not is_as_found(source, noise):
        raise InputError(
            f"data.noise: {type(noise).__name__} needs every sample's true label, which {unknown} of "
            f"{len(source.labels)} samples do not have: leave data.noise out to train on the labels as they are, or "
            "say by data.clean that they are right"
        )


def pixels(source: Source) -> Tensor | None:
    """Return the images (N, C, H, W) uint8 as noise takes them; None where they are not in memory."""
    images = source.images
    return images.permute(0, 3, 1, 2) if isinstance(images, Tensor) else None


def with_foreign_images(source: Source, foreign: ForeignImages) -> Source:
    """Return a training set in which foreign images have replaced its own; its checksum stays.

    Raises:
        InputError: The images of the training set are not in memory.
    """
    if not isinstance(source.images, Tensor):
        raise InputError("data.noise: foreign images can be put among images in memory only: raise data.cache_gib")
    images = source.images.clone()
    images[foreign.index >= 0] = foreign.images
    return source._replace(images=images, identity=source.checksum())

"""Class scores of every training image, from a small network trained for it: which images a network finds hard."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from noisy_lightning.backbones import SmallCNN
from noisy_lightning.data.loading.augment import Augmentation, WindowStore
from noisy_lightning.data.loading.loader import Batches, BatchLoader, LabeledImages, Schedule
from noisy_lightning.data.loading.statistics import channel_statistics
from noisy_lightning.data.noise.scores import Scores, read_scores
from noisy_lightning.data.sets.sources import Source
from noisy_lightning.errors import InputError, cannot_write
from noisy_lightning.runs.files import replacing

_RECIPE = 1  # to be raised where training changes, so that older scores are not used in place of new ones


@final
@dataclass(frozen=True)
class TrainedScores:
    """Class probabilities of a network trained on the true labels, averaged over its epochs (Chen et al., AAAI 2021).

    SGD with momentum 0.9, weight decay 5e-4 and a cosine to zero. Images are seen as they are; the published code
    records crops and reflections, and trains a WRN-28-10 for 150 epochs.

    The scores are kept in a file whose name depends on all that they depend on: images, labels, network and these
    arguments. Other machines and releases of torch round differently, which can change a few labels and with them the
    hash of the labels: to get the same labels elsewhere, copy the file.

    Args:
        cache: Folder of the files; several machines need one that they share.
        backbone: Class of the network, called with (num_classes, in_channels).
        epochs: Passes over the training images, at least 1.
        batch_size: Images per step, at least 2.
        lr: First learning rate, > 0.
        crop_padding: Zero pixels around an image from which it is cropped in training.
        horizontal_flip: Whether training mirrors images at random, each with probability one half.
        seed: Of weights, order and augmentation.
    """

    cache: Path = Path("scores")
    backbone: Callable[[int, int], nn.Module] = SmallCNN
    epochs: int = 10
    batch_size: int = 128
    lr: float = 0.1
    crop_padding: int = 0
    horizontal_flip: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in {"epochs": 1, "batch_size": 2, "crop_padding": 0, "seed": 0}.items():
            if getattr(self, name) < least:
                raise InputError(f"scores.{name} must be at least {least}, got {getattr(self, name)}")
        if not self.lr > 0:
            raise InputError(f"scores.lr must be above 0, got {self.lr}")

    def of(self, images: Tensor, labels: Tensor, num_classes: int) -> Scores:
        """Return the scores, from their file, which is made by training where it is missing.

        Args:
            images: (N, H, W, C) uint8.
            labels: (N,) int64 true labels in [0, K).
            num_classes: K.

        Raises:
            InputError: The file cannot be written, or is damaged.
        """
        with torch.random.fork_rng():
            torch.manual_seed(self.seed)
            network = self.backbone(num_classes, images.shape[3])
            path = Path(self.cache) / f"{self._key(network, images, labels)}.npy"
            if not path.exists():
                print(
                    f"training {type(network).__name__} on the true labels for {self.epochs} epochs; its scores are "
                    f"kept in {path}",
                    flush=True,
                )
                _save(path, self._trained(network, images, labels, num_classes))
        return read_scores("scores", path)

    def _key(self, network: nn.Module, images: Tensor, labels: Tensor) -> str:
        settings = (self.epochs, self.batch_size, self.lr, self.crop_padding, self.horizontal_flip, self.seed)
        inputs = repr((_RECIPE, Source(images, labels).checksum(), repr(network), settings))
        return hashlib.sha256(inputs.encode()).hexdigest()[:32]

    def _trained(self, network: nn.Module, images: Tensor, labels: Tensor, num_classes: int) -> Tensor:
        """Train the network; return its mean probabilities (N, K)."""
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        network = network.to(device)
        everything = torch.arange(len(labels))
        mean, std = channel_statistics(images, everything)
        augmentation = Augmentation(
            images.shape[1], images.shape[2], mean, std, self.crop_padding, self.horizontal_flip
        )
        data, store = LabeledImages(images, labels, labels), WindowStore(images, augmentation, device)
        shuffled, plain = (Schedule(everything, self.batch_size, shuffle, self.seed) for shuffle in (True, False))
        training, looking = (BatchLoader(Batches(data, augmentation, part, store)) for part in (shuffled, plain))
        optimizer = torch.optim.SGD(network.parameters(), lr=self.lr, momentum=0.9, weight_decay=5e-4)
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.epochs)
        total = torch.zeros(len(labels), num_classes, dtype=torch.float64, device=device)
        for epoch in range(self.epochs):
            network.train()
            training.set_epoch(epoch)
            for batch in training:
                optimizer.zero_grad()
                loss = F.cross_entropy(network(batch.image), batch.label)
                torch.autograd.backward(loss)
                optimizer.step()
            scheduler.step()
            network.eval()
            with torch.no_grad():
                total += torch.cat([network(batch.image).double().softmax(1) for batch in looking])
        return total.cpu() / self.epochs


def _save(path: Path, scores: Tensor) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as staged, staged.open("wb") as file:
            np.save(file, scores.numpy())
    except OSError as error:
        raise cannot_write("scores.cache", path.parent, error) from error

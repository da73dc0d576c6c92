"""Published data sets as verified uint8 tensors."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from noisy_lightning.compat import digits
from noisy_lightning.data.annotators import Consensus
from noisy_lightning.data.sets.cifar100_classes import FINE_TO_COARSE
from noisy_lightning.errors import InputError


class Images(Protocol):
    """Images (N, H, W, C) uint8: a tensor, or what decodes them whenever they are asked for."""

    @property
    def shape(self) -> Sequence[int]:
        """(N, H, W, C)."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: Tensor, /) -> Tensor:
        """Return the images (B, H, W, C) at positions (B,)."""


class Source(NamedTuple):
    """Images with their true labels, and what else a data set says about them."""

    images: Images
    """(N, H, W, C) uint8."""
    labels: Tensor
    """(N,) int64 true labels; -1 where nobody knows them."""
    given_labels: Tensor | None = None
    """(N,) int64 labels that came with the images and may be wrong; None: there are the true ones only."""
    broken: Tensor | None = None
    """(N,) bool: the image cannot be read; None: all can."""
    validation: Tensor | None = None
    """(N,) bool: the data set keeps the sample for validation; None: it leaves the choice to others."""
    trusted: Tensor | None = None
    """(N,) bool: the given label is known to be right; None: this is known of no sample."""
    identity: str | None = None
    """What `checksum` returns where images are files; None: it reads the images."""
    groups: Tensor | None = None
    """(N,) int64, >= 0: the group of images that belong together, such as a burst, a patient or a video; -1: the image
    is in none. None: there are no groups."""
    consensus: Consensus | None = None
    """Where the labels that came with the images are those of several annotators: how far they agree."""

    def checksum(self) -> str:
        """Return the SHA-256 of the images' bytes followed by the labels' (little-endian int64), in hex."""
        if self.identity is not None:
            return self.identity
        assert isinstance(self.images, Tensor)
        digest = hashlib.sha256(np.ascontiguousarray(self.images.numpy()).data)
        digest.update(self.labels.numpy().astype("<i8").tobytes())
        return digest.hexdigest()

    def usable(self) -> Tensor:
        """Return the positions (n,), ascending, of the images that can be read."""
        return torch.arange(len(self.labels)) if self.broken is None else (~self.broken).nonzero().squeeze(1)


def number_groups(names: Iterable[object]) -> Tensor | None:
    """Return the groups (N,) of `Source` by their names, numbered in the order in which they appear.

    Args:
        names: Of N groups; an empty text, None or -1 stands for an image that is in none.

    Returns:
        None where no image is in a group.
    """
    numbers: dict[object, int] = {}
    groups = [-1 if name in ("", None, -1) else numbers.setdefault(name, len(numbers)) for name in names]
    return torch.tensor(groups) if numbers else None


# The raw files as LeCun published them; torchvision checks the archives only.
MNIST_FILES = {
    "MNIST/raw/train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "MNIST/raw/train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "MNIST/raw/t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "MNIST/raw/t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}


def cifar10_files() -> dict[str, str]:
    """Return the files of CIFAR-10 below its root, each with its MD5."""
    return _cifar_files(_torchvision("CIFAR10"))


def cifar100_files() -> dict[str, str]:
    """Return the files of CIFAR-100 below its root, each with its MD5."""
    return _cifar_files(_torchvision("CIFAR100"))


def _cifar_files(dataset: Any) -> dict[str, str]:
    listed = [*dataset.train_list, *dataset.test_list, [dataset.meta["filename"], dataset.meta["md5"]]]
    return {f"{dataset.base_folder}/{name}": md5 for name, md5 in listed}


def fetch_cifar10(root: Path, download: bool) -> None:
    """Make sure that CIFAR-10 (Krizhevsky, 2009) lies below `root`.

    Raises:
        InputError: A file is damaged, or missing and not to be had.
    """
    dataset = _torchvision("CIFAR10")
    _fetch("CIFAR-10", root, cifar10_files(), dataset, dataset.url, download)


def fetch_cifar100(root: Path, download: bool) -> None:
    """Make sure that CIFAR-100 (Krizhevsky, 2009) lies below `root`.

    Raises:
        InputError: A file is damaged, or missing and not to be had.
    """
    dataset = _torchvision("CIFAR100")
    _fetch("CIFAR-100", root, cifar100_files(), dataset, dataset.url, download)


def fetch_mnist(root: Path, download: bool) -> None:
    """Make sure that MNIST (LeCun et al., 1998) lies below `root`.

    Raises:
        InputError: A file is damaged, or missing and not to be had.
    """
    dataset = _torchvision("MNIST")
    _fetch("MNIST", root, MNIST_FILES, dataset, dataset.mirrors[0], download)


def load_cifar10(root: Path, train: bool) -> Source:
    """Return the 50,000 training or the 10,000 test images of CIFAR-10, in torchvision's order."""
    data = _torchvision("CIFAR10")(root, train=train)
    return Source(torch.from_numpy(data.data), torch.tensor(data.targets))


def load_cifar100(root: Path, train: bool, coarse: bool = False) -> Source:
    """Return the 50,000 training or the 10,000 test images of CIFAR-100, in torchvision's order.

    Args:
        root: Folder that `fetch_cifar100` has verified.
        train: The training images, not the test images.
        coarse: Label them with their 20 superclasses instead of their 100 classes.
    """
    data = _torchvision("CIFAR100")(root, train=train)
    labels = torch.tensor(data.targets)
    # Torchvision leaves out the coarse labels in the files, which are a function of the fine ones.
    return Source(torch.from_numpy(data.data), torch.tensor(FINE_TO_COARSE)[labels] if coarse else labels)


def load_mnist(root: Path, train: bool) -> Source:
    """Return the 60,000 training or the 10,000 test images of MNIST, in their published order."""
    data = _torchvision("MNIST")(root, train=train)
    return Source(data.data.unsqueeze(-1), data.targets)


def load_digits8x8(train: bool) -> Source:
    """Return scikit-learn's embedded 8×8 digits: the first 1,437 to train, the last 360 to test.

    Source: Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, 1998. The set is ordered by writer, so
    the test images come from other hands.
    """
    table = digits()[slice(1437) if train else slice(1437, None)]
    images = torch.from_numpy(np.rint(table[:, :-1] * (255 / 16)).astype(np.uint8))
    return Source(images.view(-1, 8, 8, 1), torch.from_numpy(table[:, -1]).long())


def _torchvision(name: str) -> Any:
    """Return a class of torchvision's data sets; importing them takes time that many commands need not spend."""
    from torchvision import datasets  # noqa: PLC0415

    return getattr(datasets, name)


def _fetch(name: str, root: Path, files: dict[str, str], dataset: type, url: str, download: bool) -> None:
    """Verify files below `root`, or download them all if none is there; a file that exists is never touched."""
    present = [file for file in files if (root / file).is_file()]
    damaged = [file for file in present if _md5(root / file) != files[file]]
    if damaged:
        raise InputError(
            f"data.root: {name} in {root} is damaged: {', '.join(damaged)} should have the MD5 "
            f"{', '.join(files[file] for file in damaged)}. Replace it from {url}"
        )
    missing = [file for file in files if file not in present]
    if not missing:
        return
    reason = "downloading is off (data.download)"
    if download and not present:
        try:
            dataset(root, download=True)
        except (OSError, RuntimeError) as error:
            reason = f"the download failed: {error}"
        else:
            return
    elif download:
        reason = "the folder is incomplete and is left as it is"
    wanted = ", ".join(f"{file} (MD5 {files[file]})" for file in missing)
    raise InputError(
        f"data.root: {name} is not in {root.absolute()} and {reason}. Unpack {url} there; missing: {wanted}"
    )


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()

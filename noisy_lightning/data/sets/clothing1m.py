"""Clothing1M: a million images of clothes from online shops, labeled by the words around them."""

import warnings
from pathlib import Path
from typing import Any, final

import torch

from noisy_lightning.data.sets.file_data import FileDataModule, Listing, Listings
from noisy_lightning.errors import InputError
from noisy_lightning.runs.files import read_text

CLASS_NAMES = (
    *("T-shirt", "Shirt", "Knitwear", "Chiffon", "Sweater", "Hoodie", "Windbreaker", "Jacket", "Down coat", "Suit"),
    *("Shawl", "Dress", "Vest", "Underwear"),
)
_NAMED = 3  # bad lines that a warning names

Labels = dict[str, int]


@final
class Clothing1M(FileDataModule):
    """Clothing1M (Xiao et al., CVPR 2015): 1,000,000 noisy training images in 14 classes, some 38 % of them wrong.

    Researchers get it on request. Beside the images, `root` or its folder `annotations` holds

    - either `noisy_train.txt`, `clean_val.txt` and `clean_test.txt` with a path and a label per line, as many
      repositories have them;
    - or, as published, `noisy_label_kv.txt` and `clean_label_kv.txt` with a path and a label per line, and
      `noisy_train_key_list.txt`, `clean_val_key_list.txt` and `clean_test_key_list.txt` with a path per line.

    Paths begin with `images/`, whether there is such a folder in `root` or its content lies in `root` itself. A line
    without a label, such as in one of the published lists, is left out with a warning. Where the published list of
    clean labels has a training image, its true label is known and used to measure; it is never trained on.

    The 14,313 clean validation images are used where `validation` is `trusted`, as in papers: they then have the last
    indices. The 10,526 clean test images are the test set. Images are normalized by the usual constants; papers scale
    to 256 pixels, and crop 224 at random in training, from the center elsewhere: `image_size` 224 and `crop_margin` 16.

    Args:
        root: Folder of the images and annotations.
        **arguments: Those of every data set of files.
    """

    def __init__(self, root: Path = Path("data/clothing1M"), **arguments: Any) -> None:
        self._with_clean = arguments.get("validation") == "trusted"
        for name, values in {"mean": [0.6959, 0.6537, 0.6371], "std": [0.3113, 0.3192, 0.3214]}.items():
            if arguments.get(name) is None:
                arguments[name] = values
        super().__init__(root, **arguments)

    def list_files(self) -> Listings:
        """Return the images that the annotations list."""
        place = self.root / "annotations" if (self.root / "annotations").is_dir() else self.root
        if (place / "noisy_train.txt").exists():
            noisy, val, test = (
                _read_labels(place / f"{name}.txt") for name in ("noisy_train", "clean_val", "clean_test")
            )
            clean: Labels = {}
        else:
            noisy_labels, clean = (_read_labels(place / f"{kind}_label_kv.txt") for kind in ("noisy", "clean"))
            noisy = _select(noisy_labels, place / "noisy_train_key_list.txt")
            val, test = (_select(clean, place / f"clean_{part}_key_list.txt") for part in ("val", "test"))
        if not self._with_clean:
            val = {}
        given = torch.tensor([*noisy.values(), *val.values()])
        true = torch.tensor([*(clean.get(path, -1) for path in noisy), *val.values()])
        trusted = torch.arange(len(given)) >= len(noisy)
        train = Listing(
            self.root, self._names([*noisy, *val]), given, given if self.clean else true, None, trusted if val else None
        )
        labels = torch.tensor(list(test.values()))
        return Listings(CLASS_NAMES, train, Listing(self.root, self._names(list(test)), labels, labels))

    def _names(self, paths: list[str]) -> list[str]:
        """Return paths below the root; images may have been unpacked without the folder that holds them."""
        if (self.root / "images").is_dir():
            return paths
        return [path.removeprefix("images/") for path in paths]


def _lines(path: Path) -> list[list[str]]:
    """Return the words of the lines that have any.

    Raises:
        InputError: The file cannot be read.
    """
    try:
        lines = [line.split() for line in read_text(path, "data.root").splitlines()]
    except InputError as error:
        raise InputError(f"{error}; researchers get Clothing1M on request, see its README for the files") from error
    return [words for words in lines if words]


def _read_labels(path: Path) -> Labels:
    """Read a path and a label per line.

    Raises:
        InputError: The file cannot be read, a label is none of 0 to 13, or a path leads out of the root.
    """
    labels: Labels = {}
    bad = []
    for words in _lines(path):
        if len(words) != 2:
            bad.append(" ".join(words))
            continue
        name, label = words
        if not (label.isdecimal() and int(label) < len(CLASS_NAMES)):
            raise InputError(f"data.root: {path} has the label {label} for {name}, must be 0 to {len(CLASS_NAMES) - 1}")
        labels[_checked(path, name)] = int(label)
    if bad:
        named = "; ".join(bad[:_NAMED]) + "; …" * (len(bad) > _NAMED)
        warnings.warn(f"{path}: {len(bad)} lines are not a path with a label and are left out: {named}", stacklevel=2)
    if not labels:
        raise InputError(f"data.root: {path} lists no image")
    return labels


def _select(labels: Labels, path: Path) -> Labels:
    """Return the labels of the paths that a file lists, in its order."""
    names = [_checked(path, " ".join(words)) for words in _lines(path)]
    missing = [name for name in names if name not in labels]
    if missing:
        named = "; ".join(missing[:_NAMED]) + "; …" * (len(missing) > _NAMED)
        warnings.warn(f"{path}: {len(missing)} paths have no label and are left out: {named}", stacklevel=2)
    found = {name: labels[name] for name in names if name in labels}
    if not found:
        raise InputError(f"data.root: {path} lists no image with a label")
    return found


def _checked(path: Path, name: str) -> str:
    if name.startswith("/") or ".." in name.split("/"):
        raise InputError(f"data.root: {path} lists {name}, which leads out of the data set's folder")
    return name

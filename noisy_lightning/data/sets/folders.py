"""Your own images in folders, one per class."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, final

import torch

from noisy_lightning.data.arguments import check_alike
from noisy_lightning.data.loading.opening import SUFFIXES
from noisy_lightning.data.sets.file_data import FileDataModule, Listing, Listings
from noisy_lightning.data.sets.unread import UnreadFiles
from noisy_lightning.errors import InputError


@final
class ImageFolder(FileDataModule):
    """Your own images, in one folder per class.

    A class has the name of its folder, and classes are numbered in the order of their sorted names. Where `root` has a
    folder `train` that holds the folders of the classes, these are the training images, and `val` and `test` beside it,
    if they are there, what to validate and to test on. The folder of a class may have folders of its own. Names that
    begin with a dot are ignored. Files whose names do not end like those of images are counted, and one line says what
    is not read. An index counts the images of train and then of val, in the order of classes and paths.

    Args:
        root: Folder with a folder per class, or with `train`, `val` and `test`.
        test_root: Folder of the test images, with a folder per class; None: `test` in `root`, if it is there beside
            `train`. Their labels count as true.
        **arguments: Those of every data set of files.

    Example:
        >>> from PIL import Image
        >>> for name in ("cat", "dog"):
        ...     Path("pets", name).mkdir(parents=True)
        ...     for number in range(10):
        ...         Image.new("RGB", (40, 30)).save(f"pets/{name}/{number}.png")
        >>> data = ImageFolder(Path("pets"), image_size=32)
        >>> data.setup("fit")
        >>> data.class_names, len(data.labels)
        (['cat', 'dog'], 20)
    """

    def __init__(self, root: Path, test_root: Path | None = None, **arguments: Any) -> None:
        self.test_root = None if test_root is None else Path(test_root)
        super().__init__(root, **arguments)

    def list_files(self) -> Listings:
        """Return the images in the folders of the classes."""
        self.unread = UnreadFiles()
        parts = self._parts()
        test = parts.get("test")
        folders = [
            folder
            for folder in class_folders("data.root", parts["train"])
            if test is None or folder.resolve() != test.resolve()
        ]
        classes = [folder.name for folder in folders]
        check_alike("data.root", classes, "rename one of the folders, or move the images of one to the other")
        images = images_by_class("data.root", self.root, folders, classes, self.unread)
        count = len(images)
        if "val" in parts:
            val_folders = class_folders("data.root", parts["val"])
            images += images_by_class("data.root", self.root, val_folders, classes, self.unread)
        names, labels = [name for name, _ in images], torch.tensor([label for _, label in images])
        true_labels = labels if self.clean else torch.full_like(labels, -1)
        validation = torch.arange(len(labels)) >= count if "val" in parts else None
        train = Listing(self.root, names, labels, true_labels, validation)
        for part in parts.values():
            _count_loose(part, self.unread)
        if test is None:
            return Listings(classes, train, None)
        key, root = ("data.root", self.root) if self.test_root is None else ("data.test_root", self.test_root)
        images = images_by_class(key, root, class_folders(key, test), classes, self.unread)
        names, labels = [name for name, _ in images], torch.tensor([label for _, label in images])
        return Listings(classes, train, Listing(root, names, labels, labels))

    def _parts(self) -> dict[str, Path]:
        """Return the folders that hold the folders of the classes."""
        parts = {"train": self.root}
        if (self.root / "train").is_dir() and class_folders("data.root", self.root / "train"):
            parts = {name: self.root / name for name in ("train", "val", "test") if (self.root / name).is_dir()}
            for path in parts.values():
                _refuse_link("data.root", path)
        if self.test_root is not None:
            # ImageNet's test images, for one, are called val.
            parts = {name: path for name, path in parts.items() if path.resolve() != self.test_root.resolve()}
            if "train" not in parts:
                raise InputError(f"data.test_root: {self.test_root} holds the training images, name another folder")
            parts["test"] = self.test_root
        return parts


def class_folders(key: str, folder: Path) -> list[Path]:
    """Return the folders in a folder in the order of their names, without those that begin with a dot.

    Args:
        key: What the user calls the place.
        folder: Where to look.

    Raises:
        InputError: There is no such folder, or a link to a folder in it.
    """
    try:
        found = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise InputError(f"{key}: cannot read {folder}: {error.strerror}") from error
    for path in found:
        _refuse_link(key, path)
    return found


def images_by_class(
    key: str, root: Path, folders: Sequence[Path], classes: Sequence[str], unread: UnreadFiles
) -> list[tuple[str, int]]:
    """Return the path below the root and the label of each image, in the order of folders and paths.

    Args:
        key: What the user calls the root.
        root: Folder that no image may lie outside of.
        folders: Folders below it, one per class.
        classes: K names, by label.
        unread: Counts the files that are no images.

    Raises:
        InputError: A folder is no class, or empty, or there is none; or a link leads outside.
    """
    if not folders:
        raise InputError(f"{key}: {root} must hold a folder per class, and has none")
    images = []
    for folder in folders:
        if folder.name not in classes:
            raise InputError(f"{key}: {folder} is no class of the training images, which are {', '.join(classes)}")
        names = _images_below(key, root, folder, unread)
        if not names:
            found = f"; {unread}" if str(unread) else ""
            raise InputError(f"{key}: {folder} holds no image ({', '.join(SUFFIXES)}): fill or remove it{found}")
        label = classes.index(folder.name)
        images += [(name, label) for name in names]
    return images


def _images_below(key: str, root: Path, folder: Path, unread: UnreadFiles) -> list[str]:
    """Return the paths below the root of the images in a folder and its folders."""
    real_root = root.resolve()
    names = []
    waiting = [(os.fspath(folder), folder.relative_to(root).as_posix())]
    while waiting:
        place, prefix = waiting.pop()
        # A scan says what is a file or a link without looking at each of them, as a Path would.
        for entry in _entries(key, place):
            path = f"{prefix}/{entry.name}"
            if _is(entry, os.DirEntry.is_dir):
                _refuse_link(key, Path(entry.path))
                waiting.append((entry.path, path))
            elif unread.takes(entry.name, entry.path):
                if not _is(entry, os.DirEntry.is_file):
                    unread.leave_out(entry.name, "no regular file")
                    continue
                if entry.is_symlink():
                    check_inside(key, real_root, Path(entry.path))
                names.append(path)
    return sorted(names)


def _count_loose(folder: Path, unread: UnreadFiles) -> None:
    """Count the images that lie beside the folders of the classes."""
    for entry in _entries("data.root", os.fspath(folder)):
        if entry.name.lower().endswith(SUFFIXES) and _is(entry, os.DirEntry.is_file):
            unread.leave_out(entry.name, "in no folder of a class")


def _entries(key: str, place: str) -> list["os.DirEntry[str]"]:
    """Return what a folder holds, but for hidden names."""
    try:
        with os.scandir(place) as entries:
            return [entry for entry in entries if not entry.name.startswith(".")]
    except OSError as error:
        raise InputError(f"{key}: cannot read {place}: {error.strerror}") from error


def _is(entry: "os.DirEntry[str]", kind: Callable[["os.DirEntry[str]"], bool]) -> bool:
    try:
        return kind(entry)
    except OSError:  # a link that leads to itself, or to what may not be looked at
        return False


def check_inside(where: str, real_root: Path, path: Path) -> None:
    """Check that an image is no link out of its root.

    Args:
        where: The beginning of the error.
        real_root: The root, resolved; no folder between it and the image may be a link.
        path: The image.

    Raises:
        InputError: It is.
    """
    if path.is_symlink() and not path.resolve().is_relative_to(real_root):
        raise InputError(f"{where}: {path} is a link that leads out of {real_root}, copy the image there instead")


def _refuse_link(key: str, path: Path) -> None:
    # It could lead outside, or in circles.
    if path.is_symlink():
        raise InputError(f"{key}: {path} is a link to a folder, which is not followed: move or copy the folder there")

"""Your own images in a folder that Hugging Face's datasets have been saved to."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, final

import torch

from noisy_lightning.data.sets.arrow_images import ArrowImages
from noisy_lightning.data.sets.columns import SYNONYMS, find_columns, split_of
from noisy_lightning.data.sets.file_data import FileDataModule, Listing, Listings
from noisy_lightning.data.sets.own_labels import numbered_labels, training_groups, training_labels
from noisy_lightning.errors import InputError, reading

_COLUMNS = {
    "image": ("image", "img"),
    "label": (*SYNONYMS["label"], "labels"),
    "true_label": SYNONYMS["true_label"],
    "group": SYNONYMS["group"],
}
"""Usual names of columns by what they hold."""


class _Part(NamedTuple):
    """A training or test set of a saved data set."""

    rows: Any
    """A `datasets.Dataset`."""
    folders: list[Path]
    """Those of its tables."""
    names: list[str]
    """Of its rows, for errors."""


@final
class HuggingFaceFolder(FileDataModule):
    """Your own images, in a folder that `save_to_disk` of Hugging Face's `datasets` has written.

    Nothing is asked of a hub: `datasets.load_dataset(…).save_to_disk(folder)` brings a data set to disk where there is
    a network. Images are decoded from the tables there. What is called `train` is trained on, then come the images of
    `validation`, which are validated on; `test` is the test set, whose labels count as true; splits of other names are
    not used, nor is a test set of which no label is known (-1). A data set without splits is all for training.

    The images are the only column of the type `Image`. The label is in the column `label`, or one of a usual name, or
    the only one of the type `ClassLabel`, which names the classes; otherwise, they are those that occur. There may be
    columns `true_label`, -1 or empty where nobody knows it, and `group`, as in `ImageTable`.

    Args:
        root: The folder.
        classes: Names of the classes, by label; None: those of the data set, or else those that occur.
        columns: Names of columns by what they hold, such as `{image: photo, label: fine_label}`, where they are called
            otherwise or there are several; null where there shall be none.
        **arguments: Those of every data set of files.

    Raises:
        InputError: `datasets` is missing (`pip install 'noisy_lightning[huggingface]'`), or the folder is not as it
            should be.
    """

    def __init__(
        self,
        root: Path,
        classes: list[str] | None = None,
        columns: dict[str, str | None] | None = None,
        **arguments: Any,
    ) -> None:
        self.classes, self.columns = classes, columns or {}
        self._parts: dict[bool, _Part] = {}
        super().__init__(root, **arguments)

    def list_files(self) -> Listings:
        """Return the images of the data set."""
        splits = self._splits()
        train, val, test = (splits.get(name) for name in ("train", "val", "test"))
        if train is None:
            raise InputError(f"data.root: {self.root} has no split train, but {', '.join(_load(self.root))}")
        where = f"data.root: {self.root}"
        found = self._found(where, train.rows)
        label = found["label"]
        names = self.classes or getattr(train.rows.features[label], "names", None)
        count = len(train.rows)
        if val is not None:
            train = _joined(where, train, val)
        true = _values(train.rows, found["true_label"]) if "true_label" in found else None
        known = training_labels(
            f"{where}, {label}", _values(train.rows, label), true, names, self.clean, len(train.rows)
        )
        groups = training_groups(_values(train.rows, found["group"]), len(train.rows)) if "group" in found else None
        validation = torch.arange(len(train.rows)) >= count if val is not None else None
        self._image = found["image"]
        self._parts = {True: train._replace(rows=_encoded(train.rows, self._image))}
        listing = Listing(self.root, train.names, known.given, known.true, validation, None, groups)
        tested = [] if test is None else _values(test.rows, label)
        if test is None or all(value == -1 for value in tested):
            return Listings(known.class_names, listing, None)
        self._parts[False] = test._replace(rows=_encoded(test.rows, self._image))
        labels = numbered_labels(f"{where}, test, {label}", tested, known.class_names, len(test.rows))
        return Listings(known.class_names, listing, Listing(self.root, test.names, labels, labels))

    @property
    def train_names(self) -> None:  # type: ignore[override]  # of other data sets of files, that which opens them
        """None: the images are no files of their own."""

    @property
    def test_names(self) -> None:
        """None."""

    @property
    def test_folder(self) -> None:
        """None."""

    def _files(self, listing: Listing) -> ArrowImages:
        part = self._parts[listing is self._train]
        return ArrowImages(
            part.rows, self._image, self.root, part.folders, part.names, self.shape_of(listing), self.max_megapixels
        )

    def _splits(self) -> dict[str, _Part]:
        """Return the splits that are used, by train, val and test."""
        found: dict[str, _Part] = {}
        called: dict[str, str] = {}
        for name, rows in _load(self.root).items():
            split = split_of(name)
            if split in called:
                raise InputError(
                    f"data.root: {self.root} has the splits {called[split]!r} and {name!r}, which are both {split}: "
                    "save it with one of them"
                )
            if split is not None and len(rows):
                called[split] = name
                folder = self.root / name if name else self.root
                found[split] = _Part(rows, [folder], [f"{name or 'row'}[{row}]" for row in range(len(rows))])
        return found

    def _found(self, where: str, rows: Any) -> dict[str, str]:
        """Return the names of the columns by what they hold."""
        from datasets import ClassLabel, Image  # noqa: PLC0415

        given: dict[str, str | list[str] | None] = dict(self.columns)
        features: Mapping[str, Any] = rows.features
        if "image" not in given:
            given["image"] = _only(
                where, "image", "Image", [name for name, kind in features.items() if isinstance(kind, Image)]
            )
        columns = {meaning: names[0] for meaning, names in find_columns(where, list(features), given, _COLUMNS).items()}
        if "image" not in columns or not isinstance(features[columns["image"]], Image):
            raise InputError(
                f"{where}: data.columns.image must name a column of the type Image, got {given['image']!r}"
            )
        if "label" not in columns:
            named = [name for name, kind in features.items() if isinstance(kind, ClassLabel)]
            columns["label"] = _only(where, "label", "ClassLabel", named)
        return columns


def _load(root: Path) -> dict[str, Any]:
    """Return the splits of a saved data set by their names; one without splits has an empty name."""
    try:
        from datasets import Dataset, load_from_disk  # noqa: PLC0415
    except ImportError as error:
        raise InputError(
            "data: HuggingFaceFolder needs datasets: pip install 'noisy_lightning[huggingface]'"
        ) from error
    if not root.is_dir():
        raise InputError(f"data.root: there is no folder {root}; HuggingFaceFolder reads what save_to_disk has written")
    if not any((root / name).is_file() for name in ("dataset_dict.json", "state.json")):
        raise InputError(
            f"data.root: {root} is no folder that save_to_disk of Hugging Face's datasets has written: it has neither "
            "dataset_dict.json nor state.json; ImageFolder reads a folder per class, ImageTable a table"
        )
    with reading(root, "data.root"):
        loaded = load_from_disk(str(root))
        return {"": loaded} if isinstance(loaded, Dataset) else dict(loaded)


def _joined(where: str, train: _Part, val: _Part) -> _Part:
    from datasets import concatenate_datasets  # noqa: PLC0415

    if train.rows.features != val.rows.features:
        raise InputError(f"{where}: the columns of train and validation are of other names or types")
    rows = concatenate_datasets([train.rows, val.rows])
    return _Part(rows, train.folders + val.folders, train.names + val.names)


def _encoded(rows: Any, image: str) -> Any:
    """Return rows that give the bytes of their images."""
    from datasets import Image  # noqa: PLC0415

    return rows.with_format(None).select_columns([image]).cast_column(image, Image(decode=False))


def _values(rows: Any, column: str) -> list[Any]:
    """Return the values of a column; an empty one is -1 among numbers and an empty text among names."""
    values: list[Any] = rows.with_format(None).select_columns([column])[:][column]
    empty = "" if any(isinstance(value, str) for value in values) else -1
    return [empty if value is None else value for value in values]


def _only(where: str, meaning: str, kind: str, names: list[str]) -> str:
    if len(names) != 1:
        found = f"{' or '.join(map(repr, names))}: say which" if names else f"no column of the type {kind}: say where"
        raise InputError(f"{where}: the {meaning} could be in {found} by data.columns '{{{meaning}: NAME}}'")
    return names[0]

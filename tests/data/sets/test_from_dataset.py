"""Data sets of torch and torchvision: what images and labels they may have, how they are read, and what is refused."""

import doctest
import pickle
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import ConcatDataset, DataLoader, Dataset, IterableDataset, Subset, TensorDataset
from torchvision import datasets
from torchvision.transforms import v2

from noisy_lightning.data import Digits, FromDataset, ImageArrays, ImageFolder, NoisyDataModule, OpenSet, Symmetric
from noisy_lightning.data.loading.network_input import to_input
from noisy_lightning.data.sets import from_dataset
from noisy_lightning.errors import InputError
from tests.data.sets.training import fitted

RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (60, 6, 8, 3), dtype=np.uint8)
LABELS: list[int] = (np.arange(60) % 3).tolist()
NAMES = ["dog", "cat", "ape"]
PICTURES = [Image.fromarray(pixels) for pixels in PIXELS]
TWICE = PICTURES * 2, [0] * 60 + LABELS


@final
class Pairs(Dataset[Any]):
    """A data set that counts how often each of its items is read."""

    def __init__(self, images: Sequence[Any] = PICTURES, labels: Sequence[Any] = LABELS, **known: Any) -> None:
        self.images, self.given = images, labels
        self.read: Counter[int] = Counter()
        vars(self).update(known)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, position: int) -> tuple[Any, Any]:
        self.read[position] += 1
        return self.images[position], self.given[position]


def opened(dataset: Any = None, **arguments: Any) -> FromDataset:
    data = FromDataset(Pairs() if dataset is None else dataset, **arguments)
    data.setup("fit")
    return data


def pixels_of(data: NoisyDataModule) -> np.ndarray:
    """Return all training images (N, H, W, C) as they are."""
    return data.train_images(torch.arange(data.num_samples)).permute(0, 2, 3, 1).numpy()


def served(data: NoisyDataModule) -> torch.Tensor:
    """Return the training images in their order, as the network gets them."""
    return torch.cat([batch.image for batch in data.predict_dataloader()])


# Images


@pytest.mark.parametrize(
    "images",
    [
        PICTURES,
        list(PIXELS),
        [torch.from_numpy(pixels).permute(2, 0, 1) for pixels in PIXELS],
        [v2.functional.to_dtype(v2.functional.to_image(picture), scale=True) for picture in PICTURES],
        [pixels / 255 for pixels in PIXELS],
        [pixels.astype(np.float32).transpose(2, 0, 1) / 255 for pixels in PIXELS],
    ],
    ids=["pictures", "arrays", "tensors", "torchvision", "float", "float first"],
)
def test_any_kind_of_image_gives_the_same_pixels(images: Sequence[Any]) -> None:
    data = opened(Pairs(images))
    assert data.image_shape == (6, 8, 3)
    assert (pixels_of(data) == PIXELS).all()
    assert served(data).equal(served_arrays())


def served_arrays() -> torch.Tensor:
    """Return what `ImageArrays` makes of the same images."""
    data = ImageArrays(PIXELS, LABELS)
    data.setup("fit")
    return served(data)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16"])
def test_pictures_may_have_any_mode(mode: str) -> None:
    deep = [Image.fromarray(pixels[..., 0].astype(np.uint16) * 257) for pixels in PIXELS]
    pictures = deep if mode == "I;16" else [picture.convert(mode) for picture in PICTURES]
    assert {picture.mode for picture in pictures} == {mode}
    for channels in (1, 3):
        data = opened(Pairs(pictures), channels=channels, mean=[0.5] * channels, std=[0.5] * channels)
        assert data.image_shape == (6, 8, channels)
        expected = [to_input(picture, (6, 8, channels), [0.5] * channels, [0.5] * channels) for picture in pictures]
        assert served(data).equal(torch.stack(expected))


def test_gray_becomes_color_and_color_gray() -> None:
    gray = [Image.fromarray(pixels[..., 0]) for pixels in PIXELS]
    assert (pixels_of(opened(Pairs(gray))) == PIXELS[..., :1]).all()
    assert (pixels_of(opened(Pairs(gray), channels=1)) == PIXELS[..., :1]).all()
    expected = PIXELS @ np.array([0.299, 0.587, 0.114])
    assert np.abs(pixels_of(opened(channels=1))[..., 0] - expected).max() <= 1


def sizes(*pairs: tuple[int, int]) -> list[Image.Image]:
    """Return pictures of these heights and widths, in turn."""
    return [PICTURES[at].resize((pairs[at % len(pairs)][1], pairs[at % len(pairs)][0])) for at in range(60)]


def test_images_of_several_sizes_need_one() -> None:
    message = r"^data\.dataset, item 1: images differ in size, 6×8 \(height×width\) in item 0 and 9×7 here: give image"
    with pytest.raises(InputError, match=message):
        FromDataset(Pairs(sizes((6, 8), (9, 7))))
    listed = FromDataset(Pairs(sizes((6, 8), (9, 7)), targets=LABELS))
    with pytest.raises(InputError, match=message):
        listed.setup("fit")
    pairs = Pairs(sizes((6, 8), (9, 7)), targets=LABELS)
    with pytest.raises(InputError, match=r"^data\.dataset, item \d+: images differ in size, [^\n]*$"):
        opened(pairs, cache_gib=0, workers=1)
    for image_size, expected in ((5, (5, 5, 3)), ([4, 6], (4, 6, 3))):
        pictures = sizes((6, 8), (9, 7))
        data = opened(Pairs(pictures), image_size=image_size, mean=[0.5] * 3, std=[0.5] * 3)
        assert data.image_shape == expected
        inputs = [to_input(picture, expected, [0.5] * 3, [0.5] * 3) for picture in pictures]
        assert served(data).equal(torch.stack(inputs))


def test_a_picture_that_lies_on_its_side_is_turned_upright(tmp_path: Path) -> None:
    turned = PICTURES[0].copy()
    turned.getexif()[0x0112] = 6
    turned.save(tmp_path / "turned.png", exif=turned.getexif())
    with Image.open(tmp_path / "turned.png") as opened_picture:
        data = opened(Pairs([opened_picture] * 60))
        assert data.image_shape == (8, 6, 3)
        assert (pixels_of(data)[0] == np.rot90(PIXELS[0], -1)).all()


def test_files_that_are_opened_late_give_what_image_folder_gives(tmp_path: Path) -> None:
    for at in range(20):
        path = tmp_path / "abc"[at % 2] / f"{at}.jpg"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(RANDOM.integers(0, 256, (90, 120, 3), dtype=np.uint8)).save(path)
    ours = ImageFolder(tmp_path, image_size=8, validation="none")
    ours.setup("fit")
    files = []

    def open_late(path: str) -> Image.Image:
        files.append(Image.open(path))
        return files[-1]

    theirs = opened(datasets.ImageFolder(tmp_path, loader=open_late), image_size=8, validation="none")
    assert (pixels_of(ours) == pixels_of(theirs)).all()
    assert ours.class_names == theirs.class_names == ["a", "b"]
    assert ours.noise_hash == theirs.noise_hash
    for file in files:
        assert file.size == (120, 90), "not even its size has changed"
        file.close()


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (torch.zeros(3, 6, 8) - 1, "data.dataset, item 0: floating-point images must be in .*leave normalization out"),
        (np.zeros((6, 8), np.int64), "data.dataset, item 0: an image must be uint8, or floating-point in .* got int64"),
        (np.zeros((6, 8, 4), np.uint8), "data.dataset, item 0: an image must be .* with 1 or 3 channels"),
        ("a.png", "data.dataset, item 0: an image must be a picture of Pillow, an array or a tensor, got str"),
    ],
)
def test_other_images_are_refused(image: object, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        FromDataset(Pairs([image] * 60))
    assert "\n" not in str(error.value)


def test_an_image_further_on_is_named() -> None:
    images = [*PICTURES[:33], torch.full((3, 6, 8), torch.nan), *PICTURES[34:]]
    with pytest.raises(InputError, match=r"^data\.dataset, item 33: floating-point images must be in"):
        opened(Pairs(images, targets=LABELS))


def test_a_random_transform_is_warned_of() -> None:
    transform = v2.Compose([v2.Pad(2), v2.RandomCrop((6, 8))])

    @final
    class Cropped(Dataset[Any]):
        def __len__(self) -> int:
            return 60

        def __getitem__(self, position: int) -> tuple[Image.Image, int]:
            return transform(PICTURES[position]), LABELS[position]

    torch.manual_seed(0)
    with pytest.warns(
        UserWarning, match=r"^data\.dataset: item 0 differs between two readings: leave random transforms"
    ):
        FromDataset(Cropped())


# Labels


@pytest.mark.parametrize(
    "dataset",
    [
        Pairs,
        lambda: Pairs(targets=LABELS),
        lambda: Pairs(labels=[np.int64(label) for label in LABELS], targets=torch.tensor(LABELS)),
        lambda: Pairs(labels=[torch.tensor(label) for label in LABELS]),
        lambda: TensorDataset(torch.from_numpy(PIXELS).permute(0, 3, 1, 2), torch.tensor(LABELS)),
        lambda: Subset(Pairs(*TWICE), range(60, 120)),
        lambda: Subset(Subset(Pairs(*TWICE, targets=TWICE[1]), range(50, 120)), range(10, 70)),
        lambda: ConcatDataset([Pairs(PICTURES[:20], LABELS[:20]), Pairs(PICTURES[20:], LABELS[20:])]),
        lambda: list(zip(PICTURES, LABELS, strict=True)),
    ],
    ids=["pairs", "targets", "numpy", "tensors", "TensorDataset", "Subset", "Subset of Subset", "Concat", "list"],
)
def test_labels_are_those_of_the_items(dataset: Callable[[], Any]) -> None:
    data = opened(dataset())
    assert data.labels.tolist() == LABELS
    assert (pixels_of(data) == PIXELS).all()
    assert list(data.class_names) == ["0", "1", "2"]


def test_where_labels_are_listed_items_are_read_late_and_once() -> None:
    listed, other = Pairs(targets=LABELS), Pairs(labels=LABELS)
    data = FromDataset(listed)
    assert 0 < sum(listed.read[position] for position in range(1, 60)) < 32, "some are looked at"
    before = listed.read.copy()
    for stage in ("fit", "validate"):
        data.setup(stage)
        assert (listed.read - before).total() == 60
    FromDataset(other).setup("fit")
    assert [other.read[position] for position in range(1, 60)] == [1] * 59, "each item once, for image and label"


def test_a_list_of_other_labels_than_those_of_the_items_is_not_believed() -> None:
    """Such as the true labels of a data set whose items have noisy ones."""
    assert opened(Pairs(targets=[0] * 60)).labels.tolist() == LABELS
    data = FromDataset(Pairs(targets=[*LABELS[:33], 0, *LABELS[34:]], labels=[*LABELS[:33], 1, *LABELS[34:]]))
    message = (
        r"^data\.dataset: its list of labels \(targets or labels\) has 0 for item 33, whose label is 1: remove the"
    )
    with pytest.raises(InputError, match=message):
        data.setup("fit")


def test_a_transform_of_labels_is_heeded(tmp_path: Path) -> None:
    for at in range(12):
        path = tmp_path / "abc"[at % 3] / f"{at}.png"
        path.parent.mkdir(exist_ok=True)
        PICTURES[at].save(path)
    dataset = datasets.ImageFolder(tmp_path, target_transform=lambda label: 2 - label)
    assert opened(dataset, validation="none").labels.tolist() == [2 - label for label in dataset.targets]


def test_names_are_those_of_the_data_set_or_given_or_those_that_occur() -> None:
    assert list(opened(Pairs(classes=NAMES)).class_names) == NAMES
    assert list(opened(Subset(Pairs(classes=NAMES), range(30))).class_names) == NAMES
    assert list(opened(Pairs(classes=[("tench", "Tinca tinca"), ("crane",), ("crane", "bird")])).class_names) == [
        "tench, Tinca tinca",
        "crane",
        "crane, bird",
    ]
    assert list(opened(Pairs(classes=NAMES), class_names=["x", "y", "z"]).class_names) == ["x", "y", "z"]
    assert list(opened(Pairs(classes={"dog": 0})).class_names) == ["0", "1", "2"]
    named = opened(Pairs(labels=[NAMES[label] for label in LABELS]))
    assert list(named.class_names) == ["ape", "cat", "dog"]
    assert named.labels.tolist() == [2 - label for label in LABELS]


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (Pairs(labels=[float(label) for label in LABELS]), "data.dataset: labels must be whole numbers or class names"),
        (Pairs(labels=[torch.nan] * 60), "data.dataset: labels must be whole numbers or class names, got float64"),
        (Pairs(labels=list(torch.eye(3)[torch.tensor(LABELS)])), r"got \(60, 3\); argmax\(1\) makes labels of one-hot"),
        (Pairs(labels=[0] * 60), "data.dataset: labels: there is one class, '0', and must be 2 or more"),
        (Pairs(labels=LABELS, classes=NAMES[:2]), r"data\.dataset: labels must be in \[0, 2\), got 2 for image 2"),
        (Pairs(labels=[label - 1 for label in LABELS], classes=NAMES), r"must be in \[0, 3\), got -1 for image 0"),
        (Pairs(labels=[label + 1 for label in LABELS]), "data.dataset: labels: no image is of class 0"),
    ],
)
def test_other_labels_are_refused(dataset: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        FromDataset(dataset)
    assert "\n" not in str(error.value)


def test_true_labels_and_clean_labels_are_as_in_arrays() -> None:
    true = [(label + (at < 15)) % 3 for at, label in enumerate(LABELS)]
    data = opened(true_labels=true)
    assert data.noise_summary().realised_rate == 0.25
    assert opened(clean=True, noise=Symmetric(0.4)).true_labels.tolist() == LABELS
    with pytest.raises(InputError, match=r"data\.noise: Symmetric needs every sample's true label.*data\.clean"):
        opened(noise=Symmetric(0.4))


# Data sets


@final
class Endless(IterableDataset[Any]):
    def __iter__(self) -> Iterator[Any]:
        yield from zip(PICTURES, LABELS, strict=True)


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (None, "data.dataset must be a map-style data set .* got nothing: FromDataset is made in Python, since a conf"),
        ("CIFAR10", "data.dataset must be a map-style data set .* got str"),
        ({"class_path": "torchvision.datasets.CIFAR10"}, "data.dataset must be a map-style data set .* got dict"),
        (Endless(), "data.dataset must be a map-style data set .* got Endless"),
        (iter([]), "data.dataset must be a map-style data set .* got list_iterator"),
        (DataLoader(Pairs()), "data.dataset must be a data set, got a DataLoader: give its dataset"),
        ([], "data.dataset has no items"),
        (Subset(Pairs(), []), "data.dataset has no items"),
        (PICTURES, r"an item must be a pair \(image, label\), item 0 is a Image"),
        ([{"image": PICTURES[0], "label": 0}], r"an item must be a pair \(image, label\), item 0 is a dict"),
        ([(PICTURES[0], 0, 0)], r"an item must be a pair \(image, label\), item 0 is a tuple of 3"),
    ],
)
def test_other_data_sets_are_refused(dataset: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        FromDataset(dataset)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_size": 0}, "data.image_size must be a number or"),
        ({"image_size": [4, 5, 6]}, "data.image_size must be a number or"),
        ({"channels": 4}, "data.channels must be 1 or 3, got 4"),
        ({"cache_gib": -1.0}, "data.cache_gib must be at least 0, got -1.0"),
        ({"batch_size": 0}, "data.batch_size must be at least 1"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        FromDataset(Pairs(), **arguments)


def test_an_error_of_the_data_set_itself_says_which_item_was_read() -> None:
    @final
    class Broken(Dataset[Any]):
        targets = LABELS

        def __len__(self) -> int:
            return 60

        def __getitem__(self, position: int) -> tuple[Image.Image, int]:
            if position == 33:
                raise OSError("truncated")
            return PICTURES[position], LABELS[position]

    with pytest.raises(OSError, match="truncated") as error:
        opened(Broken())
    assert error.value.__notes__ == ["while reading item 33 of data.dataset"]


# Test sets


def test_the_test_set_has_the_shape_of_the_training_set() -> None:
    data = opened(test=Pairs(sizes((9, 7), (20, 30))[:10], LABELS[:10]), mean=[0.5] * 3, std=[0.5] * 3)
    data.setup("test")
    (loader,) = data.test_dataloader()
    expected = [to_input(image, (6, 8, 3), [0.5] * 3, [0.5] * 3) for image in sizes((9, 7), (20, 30))[:10]]
    assert torch.cat([batch.image for batch in loader]).equal(torch.stack(expected))
    assert torch.cat([batch.true_label for batch in loader]).tolist() == LABELS[:10]


def test_without_a_test_set_only_a_test_fails() -> None:
    data = opened()
    data.setup()
    with pytest.raises(InputError, match=r"^data\.test: there is no test set; only test needs one$"):
        data.setup("test")


@pytest.mark.parametrize(
    ("test", "message"),
    [
        ([], "data.test has no items"),
        (Pairs(labels=[3] * 60), r"data\.test: labels must be in \[0, 3\), got 3 for image 0"),
        (Pairs(labels=["dog"] * 60), "data.test: labels: 'dog' of image 0 is no class, which are 0, 1, 2"),
        (Pairs(["a"] * 60), "data.test, item 0: an image must be"),
    ],
)
def test_other_test_sets_are_refused(test: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        FromDataset(Pairs(), test=test)


def test_it_can_be_a_test_set_of_another_data_set_and_lend_it_images() -> None:
    other = FromDataset(Pairs(), test=Pairs(PICTURES[:7], LABELS[:7]))
    data = Digits(test_sets={"own": other}, noise=OpenSet(0.02, other))
    data.setup()
    assert int(data.is_foreign.sum()) == 29
    assert sum(len(batch.label) for batch in data.test_dataloader()[1]) == 7


# In memory, or item by item


def test_items_are_read_by_workers_where_they_do_not_fit_in_memory() -> None:
    kept, late = (
        opened(Pairs(targets=LABELS), test=Pairs(), cache_gib=gib, workers=1, crop_padding=1, batch_size=16)
        for gib in (8.0, 0.0)
    )
    assert kept.in_memory
    assert not late.in_memory
    assert not isinstance(late.source.images, torch.Tensor)
    for one, other in zip(kept.train_dataloader(), late.train_dataloader(), strict=True):
        assert one.image.equal(other.image)
        assert one.label.equal(other.label)
    late.setup("test")
    kept.setup("test")
    assert next(iter(late.test_dataloader()[0])).image.equal(next(iter(kept.test_dataloader()[0])).image)
    assert late.noise_hash == kept.noise_hash
    assert late.train_images(torch.tensor([5])).equal(kept.train_images(torch.tensor([5])))


def test_where_items_do_not_fit_there_are_workers_and_a_checksum() -> None:
    checksums = []
    for images in (PICTURES, PICTURES, PICTURES[::-1]):
        data = FromDataset(Pairs(images), cache_gib=0)
        assert data.workers >= 1
        data.setup("fit")
        checksums.append(data.noise_summary().dataset_checksum)
    assert checksums[0] == checksums[1] != checksums[2]


def test_an_item_that_cannot_be_used_is_named_by_a_worker() -> None:
    images = [*PICTURES[:33], torch.full((3, 6, 8), 2.0), *PICTURES[34:]]
    data = opened(Pairs(images, targets=LABELS), cache_gib=0, workers=1, mean=[0.5] * 3, std=[0.5] * 3)
    with pytest.raises(InputError, match=r"^data\.dataset, item 33: floating-point images must be in [^\n]*$"):
        list(data.train_dataloader())


@pytest.mark.parametrize("cache_gib", [8.0, 0.0])
def test_copies_for_other_processes_serve_the_same_batches(cache_gib: float) -> None:
    data = opened(cache_gib=cache_gib, workers=1)
    batches = data.train_dataloader().batches
    assert pickle.loads(pickle.dumps(batches))[0, 0].image.equal(batches[0, 0].image)
    assert pickle.loads(pickle.dumps(data)).noise_hash == data.noise_hash


# Training


@pytest.mark.parametrize("cache_gib", [8.0, 0.0])
def test_it_is_trained_on_and_recorded(cache_gib: float, tmp_path: Path) -> None:
    data = FromDataset(
        Pairs(classes=NAMES),
        test=Pairs(PICTURES[:20], LABELS[:20]),
        clean=True,
        noise=Symmetric(0.4),
        batch_size=16,
        cache_gib=cache_gib,
        workers=0 if cache_gib else 1,
    )
    records = fitted(data, tmp_path)
    assert records.loss.shape == (2, 60)
    assert (records.labels == data.labels.numpy()).all()
    assert np.isfinite(records.loss[:, data.train_indices.numpy()]).all()


def test_the_seed_alone_decides_on_noise_and_split() -> None:
    one, again, other = (opened(clean=True, noise=Symmetric(0.5), seed=seed) for seed in (0, 0, 1))
    arrays = ImageArrays(PIXELS, LABELS, clean=True, noise=Symmetric(0.5))
    arrays.setup("fit")
    assert one.noise_hash == again.noise_hash == arrays.noise_hash != other.noise_hash
    assert one.val_indices.equal(arrays.val_indices)
    assert one.source.checksum() == arrays.source.checksum()


@pytest.mark.parametrize("options", [(), ("--data.dataset", "torchvision.datasets.CIFAR10")])
def test_a_configuration_file_is_refused(
    options: tuple[str, ...], run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("noise", "--data", "FromDataset", *options) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: data.dataset must be a map-style data set")


def test_the_example_works() -> None:
    found = doctest.testmod(from_dataset)
    assert found.attempted > 0
    assert found.failed == 0


@final
class Wavering(Dataset[Any]):
    """A data set that draws its labels anew each time, and keeps its images."""

    def __init__(self) -> None:
        self.reads = 0

    def __len__(self) -> int:
        return 4

    def __getitem__(self, position: int) -> tuple[Any, int]:
        self.reads += 1
        return PICTURES[position], self.reads % 2


def test_labels_that_change_between_readings_are_warned_of() -> None:
    with pytest.warns(UserWarning, match=r"^data\.dataset: item 0 differs between two readings"):
        FromDataset(Wavering(), class_names=["a", "b"], cache_gib=0)

"""A user's own images in arrays: what is taken, what comes of it, and what is refused in one line."""

import doctest
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from noisy_lightning.data import (
    Digits,
    FromDataset,
    ImageArrays,
    LabelFile,
    NoisyDataModule,
    OpenSet,
    PairFlip,
    Symmetric,
)
from noisy_lightning.data.adapting import reshaped
from noisy_lightning.data.manifest import read_manifest, write_manifest
from noisy_lightning.data.sets import arrays
from noisy_lightning.data.sets.arrays import as_images
from noisy_lightning.errors import InputError
from tests.data.sets.training import fitted

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (60, 6, 8, 3), dtype=np.uint8)
LABELS = np.arange(60) % 3
NAMES = np.array(["dog", "cat", "ape"])


def opened(**arguments: Any) -> ImageArrays:
    data = ImageArrays(**{"images": IMAGES, "labels": LABELS, **arguments})
    data.setup("fit")
    return data


def served(data: NoisyDataModule) -> torch.Tensor:
    """Return the training images in their order, as the network gets them."""
    return torch.cat([batch.image for batch in data.predict_dataloader()])


def test_groups_are_numbered_and_counted() -> None:
    names = ["b", "a", "", None, -1, "a", *["b"] * 54]
    numbered = [0, 1, -1, -1, -1, 1, *[0] * 54]
    items = FromDataset(list(zip(IMAGES, LABELS.tolist(), strict=True)), groups=names)
    items.setup("fit")
    for data in (items, opened(groups=names), opened(groups=np.array(names, dtype=object))):
        assert data.source.groups is not None
        assert data.source.groups.tolist() == numbered
    assert opened(groups=[-1] * 60).source.groups is None
    for wrong in (names[1:], "b" * 60, [[1]] * 60):
        with pytest.raises(InputError, match=r"data\.groups must hold a name or a number per image, of which .* 60"):
            opened(groups=wrong)


# Images


@pytest.mark.parametrize(
    "arrange",
    [
        lambda images: images,
        torch.from_numpy,
        lambda images: images.transpose(0, 3, 1, 2),
        lambda images: torch.from_numpy(images).permute(0, 3, 1, 2),
        lambda images: np.ascontiguousarray(images.transpose(0, 3, 1, 2)),
        np.asfortranarray,
        lambda images: images[::-1][::-1],
        lambda images: np.ascontiguousarray(images[:, ::-1])[:, ::-1],
        lambda images: np.repeat(images, 2, 2)[:, :, ::2],
    ],
    ids=["last", "tensor", "first", "tensor first", "copied", "columns", "twice reversed", "reversed", "strided"],
)
def test_any_arrangement_gives_the_same_images(arrange: Callable[[Any], Any]) -> None:
    data, expected = opened(images=arrange(IMAGES)), opened()
    assert data.image_shape == (6, 8, 3)
    assert data.train_images(torch.arange(60)).equal(torch.from_numpy(IMAGES).permute(0, 3, 1, 2))
    assert data.source.checksum() == expected.source.checksum()
    assert served(data).equal(served(expected))


@pytest.mark.parametrize("shape", [(60, 6, 8), (60, 6, 8, 1), (60, 1, 6, 8)])
def test_gray_images_have_one_channel(shape: tuple[int, ...]) -> None:
    data = opened(images=IMAGES[..., 0].reshape(shape))
    assert data.image_shape == (6, 8, 1)
    assert data.in_channels == 1
    assert (data.train_images(torch.arange(60))[:, 0].numpy() == IMAGES[..., 0]).all()


def test_images_that_cannot_be_written_to_are_read_without_a_warning() -> None:
    images = IMAGES.copy()
    images.flags.writeable = False
    assert served(opened(images=images)).equal(served(opened()))


def test_images_are_normalized_by_what_is_measured_or_given() -> None:
    data = opened()
    values = IMAGES / 255
    assert list(data.augmentation.mean) == np.round(values.mean((0, 1, 2)), 4).tolist()
    assert list(data.augmentation.std) == np.round(values.std((0, 1, 2)), 4).tolist()
    assert list(opened(mean=[0.1, 0.2, 0.3]).augmentation.mean) == [0.1, 0.2, 0.3]
    assert list(opened(mean=[0.1, 0.2, 0.3]).augmentation.std) == list(data.augmentation.std)
    assert served(opened(mean=[0.0] * 3, std=[1.0] * 3)).max() == 1


def test_nothing_is_augmented_unless_asked_for() -> None:
    assert (opened().augmentation.padding, opened().augmentation.flip) == (0, False)
    assert (opened(crop_padding=2).augmentation.padding, opened(horizontal_flip=True).augmentation.flip) == (2, True)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (None, "data.images must be an array or a tensor, got nothing: ImageArrays is made in Python, since a config"),
        ("images.npy", "data.images must be an array or a tensor, got str: ImageArrays is made in Python"),
        (list(IMAGES), "got a list: numpy.stack makes one of arrays of one shape; FromDataset"),
        ([Image.new("L", (8, 6))] * 60, r"FromDataset\(list\(zip\(images, labels\)\)\) takes pictures of Pillow"),
        (IMAGES / 255, "data.images must be uint8, got float64: scale them to 0 … 255"),
        (torch.from_numpy(IMAGES).float(), "data.images must be uint8, got torch.float32"),
        (IMAGES.astype(np.int64), "data.images must be uint8, got int64"),
        (IMAGES > 100, "data.images must be uint8, got bool"),
        (IMAGES[:0], r"none of them 0, got \(0, 6, 8, 3\)"),
        (IMAGES[:, :0], r"none of them 0, got \(60, 0, 8, 3\)"),
        (IMAGES[0, 0], r"must be \(N, H, W, C\), .* got \(8, 3\)"),
        (IMAGES[None], r"must be \(N, H, W, C\), .* got \(1, 60, 6, 8, 3\)"),
        (np.zeros((60, 6, 8, 4), np.uint8), r"must have 1 or 3 channels, .* got \(60, 6, 8, 4\)"),
        (np.zeros((60, 3, 8, 3), np.uint8), r"can be read as \(N, H, W, C\) and as \(N, C, H, W\)"),
        (np.zeros((60, 1, 8, 3), np.uint8), r"can be read as \(N, H, W, C\) and as \(N, C, H, W\)"),
    ],
)
def test_other_images_are_refused(images: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        ImageArrays(images, LABELS)
    assert "\n" not in str(error.value)


def test_images_share_their_memory_where_they_can() -> None:
    shared = as_images("data.images", IMAGES)
    assert shared.data_ptr() == IMAGES.ctypes.data


# Labels


@pytest.mark.parametrize(
    "labels",
    [LABELS, LABELS.tolist(), torch.from_numpy(LABELS), LABELS.astype(np.uint8), torch.from_numpy(LABELS).int()],
)
def test_labels_are_whole_numbers_of_any_type(labels: Any) -> None:
    data = opened(labels=labels)
    assert data.labels.equal(torch.from_numpy(LABELS))
    assert data.labels.dtype == torch.int64
    assert (list(data.class_names), data.num_classes) == (["0", "1", "2"], 3)


@pytest.mark.parametrize("labels", [NAMES[LABELS], NAMES[LABELS].tolist(), NAMES[LABELS].astype(object)])
def test_labels_are_names_in_the_order_of_the_alphabet(labels: Any) -> None:
    data = opened(labels=labels)
    assert list(data.class_names) == ["ape", "cat", "dog"]
    assert [data.class_names[label] for label in data.labels.tolist()] == NAMES[LABELS].tolist()


def test_numbers_come_before_names_and_in_their_order() -> None:
    assert list(opened(labels=np.array(["10", "b", "9"])[LABELS]).class_names) == ["9", "10", "b"]


def test_class_names_can_be_given() -> None:
    assert list(opened(class_names=["x", "y", "z"]).class_names) == ["x", "y", "z"]
    data = opened(labels=NAMES[LABELS], class_names=["dog", "cat", "ape", "bee"])
    assert data.labels.equal(torch.from_numpy(LABELS))
    assert data.num_classes == 4
    assert opened(class_names=["a", "b", "c", "d"]).num_classes == 4, "a class without an image"


def test_what_is_given_is_left_alone() -> None:
    labels, images = LABELS.copy(), IMAGES.copy()
    data = opened(images=images, labels=labels, clean=True, noise=Symmetric(0.5), crop_padding=1, horizontal_flip=True)
    list(data.train_dataloader())
    assert (labels == LABELS).all()
    assert (images == IMAGES).all()


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (None, r"data\.labels must be of shape \(60,\), a label per image, got \(\)"),
        (LABELS[:59], "data.labels must hold one label per image: 60 images, 59 labels"),
        ([*LABELS.tolist(), 0], "60 images, 61 labels"),
        (LABELS.astype(float), "must be whole numbers or class names, got float64"),
        (np.where(LABELS == 0, np.nan, LABELS), "must be whole numbers or class names, got float64"),
        (LABELS == 1, "must be whole numbers or class names, got bool"),
        ([None, *LABELS[1:].tolist()], "must be whole numbers or class names, got object"),
        (np.eye(3)[LABELS], r"got \(60, 3\); argmax\(1\) makes labels of one-hot rows"),
        ([[0], [1, 2]], "data.labels must hold one label per image: "),
        (LABELS - 1, r"data\.labels must be in \[0, 2\), got -1 for image 0"),
        (
            LABELS + 1,
            "no image is of class 0, but one of class 3: labels count from 0; name all classes by",
        ),
        (LABELS * 10**12, "no image is of class 1, but one of class 2000000000000"),
        (LABELS * 0, "there is one class, '0', and must be 2 or more"),
        (["cat"] * 60, "there is one class, 'cat'"),
        (np.where(LABELS == 0, "", NAMES[LABELS]), "data.labels: '' of image 0 is no class, which are ape, cat"),
    ],
)
def test_other_labels_are_refused(labels: Any, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        ImageArrays(IMAGES, labels)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("class_names", "message"),
    [
        (["a", "b"], r"data\.labels must be in \[0, 2\), got 2 for image 2"),
        (["a", "b", "a"], "data.class_names must all differ, got a, b, a"),
        ("abc", "data.class_names must be a list of names, by label, got 'abc'"),
        ([0, 1, 2], "data.class_names must be a list of names"),
        ([], "data.class_names must be a list of names"),
    ],
)
def test_other_class_names_are_refused(class_names: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ImageArrays(IMAGES, LABELS, class_names=class_names)


# True labels and noise


def test_without_more_nobody_knows_the_true_labels() -> None:
    data = opened()
    assert (data.true_labels == -1).all()
    assert not data.is_clean.any()
    summary = data.noise_summary()
    assert (summary.kind, summary.realised_rate) == ("AsFound", None)
    message = (
        r"^data\.noise: Symmetric needs every sample's true label, which 60 of 60 .* data\.clean that they are right$"
    )
    with pytest.raises(InputError, match=message):
        opened(noise=Symmetric(0.4))


def test_labels_that_are_right_are_true_and_noise_is_drawn_from_them() -> None:
    assert opened(clean=True).is_clean.all()
    data = opened(clean=True, noise=PairFlip(1.0))
    assert data.labels.equal(torch.from_numpy((LABELS + 1) % 3))
    assert data.true_labels.equal(torch.from_numpy(LABELS))


def test_true_labels_measure_and_are_what_noise_is_drawn_from() -> None:
    true = (LABELS + (np.arange(60) < 15)) % 3
    data = opened(true_labels=true)
    assert data.labels.equal(torch.from_numpy(LABELS))
    assert data.noise_summary().realised_rate == 0.25
    assert opened(true_labels=true, noise=PairFlip(1.0)).labels.equal(torch.from_numpy((true + 1) % 3))


def test_some_true_labels_may_be_unknown() -> None:
    true = np.where(np.arange(60) < 20, LABELS, -1)
    data = opened(true_labels=true)
    assert int(data.is_clean.sum()) == 20
    assert data.noise_summary().realised_rate == 0
    named = opened(labels=NAMES[LABELS], true_labels=np.where(true < 0, "", NAMES[true]))
    assert named.is_clean.equal(data.is_clean)
    with pytest.raises(InputError, match="which 40 of 60 samples do not have"):
        opened(true_labels=true, noise=Symmetric(0.4))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"true_labels": LABELS[:5]}, "data.true_labels must hold one label per image: 60 images, 5 labels"),
        (
            {"true_labels": LABELS + 1},
            r"data\.true_labels: 3 of image \d+ is the given label of no image; class_names names",
        ),
        (
            {"labels": NAMES[LABELS], "true_labels": np.where(LABELS == 0, "Dgo", NAMES[LABELS])},
            "'Dgo' of image 0 is the given label of no image",
        ),
        ({"true_labels": LABELS - 2}, r"data\.true_labels must be in \[-1, 3\), got -2 for image 0"),
        ({"true_labels": NAMES[LABELS]}, "data.true_labels must be whole numbers or names as the given labels"),
        (
            {"true_labels": (LABELS + 1) % 3, "clean": True},
            "label of image 0 is right by data.clean, and wrong by",
        ),
    ],
)
def test_other_true_labels_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ImageArrays(IMAGES, **{"labels": LABELS, **arguments})


def test_the_seed_alone_decides_on_noise_and_split() -> None:
    one, again, other = (opened(clean=True, noise=Symmetric(0.5), seed=seed) for seed in (0, 0, 1))
    assert one.noise_hash == again.noise_hash != other.noise_hash
    assert one.val_indices.equal(again.val_indices)
    assert not one.val_indices.equal(other.val_indices)


def test_labels_come_back_from_the_files_of_a_run(tmp_path: Path) -> None:
    data = opened(clean=True, noise=Symmetric(0.5))
    write_manifest(tmp_path, data.noise_summary(), data.label_table())
    assert read_manifest(tmp_path)[0].dataset == "ImageArrays"
    again = opened(clean=True, noise=LabelFile(tmp_path / "noise.csv"))
    assert again.noise_hash == data.noise_hash


def test_images_can_be_put_into_another_data_set_and_take_those_of_another() -> None:
    source = ImageArrays(IMAGES, LABELS)
    digits = Digits(noise=OpenSet(0.02, source))
    digits.setup("fit")
    assert int(digits.is_foreign.sum()) == 29
    assert int(opened(clean=True, noise=OpenSet(0.5, Digits())).is_foreign.sum()) == 30


# Test images


def test_test_images_are_served_with_their_labels() -> None:
    data = opened(labels=NAMES[LABELS], test=(IMAGES[:10], NAMES[LABELS[:10]]))
    assert data.has_test_set
    data.setup("test")
    (loader,) = data.test_dataloader()
    assert torch.cat([batch.image for batch in loader]).equal(served(data)[:10])
    assert torch.cat([batch.true_label for batch in loader]).equal(data.labels[:10])


def test_test_images_of_another_shape_are_adapted() -> None:
    gray = torch.from_numpy(RANDOM.integers(0, 256, (10, 20, 12), dtype=np.uint8))
    data = opened(test=(gray, LABELS[:10]))
    assert torch.as_tensor(data.load(train=False).images).equal(reshaped(gray.unsqueeze(3), (6, 8, 3)))


def test_without_test_images_only_a_test_fails() -> None:
    data = opened()
    data.setup()
    with pytest.raises(InputError, match=r"^data\.test: there are no test images; only test needs them$"):
        data.setup("test")


@pytest.mark.parametrize(
    ("test", "message"),
    [
        (IMAGES, "data.test must be a pair of images and labels, got ndarray"),
        ((IMAGES, LABELS, LABELS), "data.test must be a pair of images and labels, got tuple"),
        ((IMAGES / 255, LABELS), "data.test must be uint8, got float64"),
        ((IMAGES, LABELS[:5]), "data.test: labels must hold one label per image: 60 images, 5 labels"),
        ((IMAGES, LABELS + 1), r"data\.test: labels must be in \[0, 3\), got 3 for image 2"),
        ((IMAGES, LABELS - 1), r"data\.test: labels must be in \[0, 3\), got -1 for image 0"),
        ((IMAGES, NAMES[LABELS]), "data.test: labels: 'dog' of image 0 is no class, which are 0, 1, 2"),
    ],
)
def test_other_test_sets_are_refused(test: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ImageArrays(IMAGES, LABELS, test=test)


def test_it_can_be_a_test_set_of_another_data_set() -> None:
    other = ImageArrays(IMAGES, LABELS, test=(IMAGES[:7], LABELS[:7]))
    data = Digits(test_sets={"own": other}, mean=[0.0], std=[1.0])
    data.setup("test")
    own = torch.cat([batch.image for batch in data.test_dataloader()[1]])
    expected = reshaped(torch.from_numpy(IMAGES[:7]), (8, 8, 1)).permute(0, 3, 1, 2)
    assert (own * 255).round().equal(expected.float())


# Training


def test_it_is_trained_on_and_recorded(tmp_path: Path) -> None:
    data = ImageArrays(
        IMAGES,
        NAMES[LABELS],
        test=(IMAGES[:20], NAMES[LABELS[:20]]),
        clean=True,
        noise=Symmetric(0.4),
        batch_size=16,
    )
    records = fitted(data, tmp_path)
    assert records.loss.shape == (2, 60)
    assert (records.labels == data.labels.numpy()).all()
    assert np.isfinite(records.loss[:, data.train_indices.numpy()]).all()


def test_workers_and_their_copies_serve_the_same_batches() -> None:
    plain, working = (opened(workers=workers, crop_padding=1, batch_size=16) for workers in (0, 1))
    copied = pickle.loads(pickle.dumps(opened(crop_padding=1, batch_size=16)))
    for one, other, third in zip(
        plain.train_dataloader(), working.train_dataloader(), copied.train_dataloader(), strict=True
    ):
        assert one.image.equal(other.image)
        assert one.image.equal(third.image)
        assert one.index.equal(other.index)
    batches = pickle.loads(pickle.dumps(working.train_dataloader().batches))
    assert batches[0, 0].image.equal(next(iter(plain.train_dataloader())).image)


@pytest.mark.parametrize(
    "options", [(), ("--data.images", "images.npy", "--data.labels", "labels.npy"), ("--data.images", "[[[0]]]")]
)
def test_a_configuration_file_is_refused(
    options: tuple[str, ...], run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("noise", "--data", "ImageArrays", *options) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: data.images must be ")


def test_the_example_works() -> None:
    found = doctest.testmod(arrays)
    assert found.attempted > 0
    assert found.failed == 0

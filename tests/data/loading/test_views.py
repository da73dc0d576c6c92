"""Views that recipes augment: the same however batches are made."""

from itertools import pairwise

import pytest
import torch

from noisy_lightning.data.loading.augment import Augmentation, WindowStore, seeded_generator, uniforms
from noisy_lightning.data.loading.loader import Batches, BatchLoader, LabeledImages, Schedule
from noisy_lightning.data.loading.recipes import (
    AutoAugment,
    Cutout,
    NoAugmentation,
    RandAugment,
    RandomResizedCrop,
    Recipe,
)
from noisy_lightning.data.loading.recipes.in_turn import recipe_of
from noisy_lightning.data.loading.sampling import Sampling
from noisy_lightning.types import View
from tests.data.loading.recipes.test_recipes import ALL

RECIPES: list[tuple[Recipe, Recipe]] = [
    (RandAugment(), Cutout()),
    (RandomResizedCrop(), AutoAugment()),
    (NoAugmentation(), RandomResizedCrop()),
]
# Each weak once and strong once.
EVERY: list[tuple[Recipe, Recipe]] = list(pairwise([*ALL, ALL[0]]))
BOTH: tuple[View, View] = ("weak", "strong")
ONLY_CUT = recipe_of([NoAugmentation(), Cutout()], NoAugmentation(), "augmentation")  # neither cropped nor mirrored


def _loader(
    recipes: tuple[Recipe, Recipe],
    views: tuple[View, ...] = BOTH,
    index: torch.Tensor | None = None,
    rank: int = 0,
    world_size: int = 1,
    workers: int = 0,
    shuffle: bool = True,
    sampling: Sampling = "natural",
    kept: tuple[int, int] | None = None,
) -> BatchLoader:
    side = 8 if kept is None else kept[0]
    images = torch.randint(0, 256, (40, side, side, 3), dtype=torch.uint8, generator=seeded_generator("test", 0))
    labels = torch.arange(40) % 3
    augmentation = Augmentation(8, 8, (0.4,) * 3, (0.2,) * 3, 1, True, 1, *recipes, kept)
    index = torch.arange(40) if index is None else index
    classes = None if sampling == "natural" else labels[index].clamp(max=1)
    schedule = Schedule(index, 9, shuffle, 3, rank, world_size, sampling, classes)
    store = None if workers else WindowStore(images, augmentation)
    return BatchLoader(Batches(LabeledImages(images, labels, labels), augmentation, schedule, store, views), workers)


def _by_sample(loader: BatchLoader, epoch: int = 0) -> dict[int, torch.Tensor]:
    loader.set_epoch(epoch)
    return {int(index): batch.image[..., place, :, :, :] for batch in loader for place, index in enumerate(batch.index)}


@pytest.mark.parametrize("recipes", RECIPES, ids=["policies", "zooming weak", "zooming strong"])
def test_views_are_the_same_with_workers(recipes: tuple[Recipe, Recipe]) -> None:
    alone = _by_sample(_loader(recipes))
    assert alone[0].shape == (2, 3, 8, 8)
    assert all(image.equal(alone[sample]) for sample, image in _by_sample(_loader(recipes, workers=2)).items())
    later = _by_sample(_loader(recipes), epoch=1)
    assert sum(later[sample].equal(image) for sample, image in alone.items()) < 4


@pytest.mark.parametrize("recipes", EVERY, ids=lambda pair: "-".join(type(one).__name__ for one in pair))
def test_views_are_the_same_on_ranks_under_every_recipe(recipes: tuple[Recipe, Recipe]) -> None:
    alone = _by_sample(_loader(recipes))
    ranks = [_by_sample(_loader(recipes, rank=rank, world_size=2)) for rank in range(2)]
    assert len(ranks[0] | ranks[1]) == 40
    assert all(image.equal(alone[sample]) for sample, image in (ranks[0] | ranks[1]).items())


@pytest.mark.parametrize("recipes", EVERY, ids=lambda pair: "-".join(type(one).__name__ for one in pair))
def test_an_epoch_is_resumed_under_every_recipe(recipes: tuple[Recipe, Recipe]) -> None:
    loader = _loader(recipes)
    loader.set_epoch(2)
    whole = list(loader)
    resumed = _loader(recipes)
    resumed.load_state_dict({"epoch": 2, "next": 3})
    resumed.set_epoch(2)
    assert all(one.image.equal(other.image) for one, other in zip(resumed, whole[3:], strict=True))


def test_weak_and_strong_views_have_recipes_of_their_own() -> None:
    plain = _by_sample(_loader((NoAugmentation(), NoAugmentation()), ("weak",)))
    views = _by_sample(_loader((NoAugmentation(), ONLY_CUT), ("weak", "strong", "weak", "strong")))
    for sample, (weak, strong, second, _) in views.items():
        assert weak.equal(plain[sample])
        assert second.equal(weak)
        assert not strong.equal(weak)
    assert sum(one[1].equal(one[3]) for one in views.values()) < 4, "two views of a kind have draws of their own"


def test_the_first_view_is_the_same_however_many_there_are() -> None:
    recipes = RandAugment(), Cutout()
    one, two = _by_sample(_loader(recipes, ("weak",))), _by_sample(_loader(recipes))
    assert all(image.equal(two[sample][0]) for sample, image in one.items())


def test_nothing_is_augmented_where_nothing_is_shuffled() -> None:
    recipes = RandAugment(), RandomResizedCrop()
    plain = _by_sample(_loader((NoAugmentation(), NoAugmentation()), ("weak",)))
    looked_at = _by_sample(_loader(recipes, ("weak",), shuffle=False))
    assert all(image.equal(plain[sample]) for sample, image in looked_at.items())


def test_a_sample_that_is_served_again_is_augmented_anew() -> None:
    loader = _loader((ONLY_CUT, ONLY_CUT), ("weak",), sampling="oversample")
    served = [(int(index), image) for batch in loader for index, image in zip(batch.index, batch.image, strict=True)]
    again = {sample: [image for other, image in served if other == sample] for sample, _ in served}
    twice = [images for images in again.values() if len(images) > 1]
    assert twice
    assert not all(images[0].equal(images[1]) for images in twice)


def test_a_recipe_gets_the_crops_that_there_were_without_it() -> None:
    augmentation = Augmentation(8, 8, (0.4,) * 3, (0.2,) * 3, 1, True, 1, Cutout())
    plain = Augmentation(8, 8, (0.4,) * 3, (0.2,) * 3, 1, True)
    offsets = [one.random_offsets(30, seeded_generator("test", 1)) for one in (augmentation, plain)]
    assert offsets[0].equal(offsets[1])
    whole = Augmentation(8, 8, (0.4,) * 3, (0.2,) * 3, 1, True, 1, RandomResizedCrop())
    mirrored = whole.random_offsets(30, seeded_generator("test", 1)) - whole.center_offsets(30)
    assert set(mirrored.tolist()) == {0, whole.rows * whole.columns}
    assert (mirrored > 0).equal(offsets[1] >= whole.rows * whole.columns)


def test_pixels_are_normalized_after_the_recipe() -> None:
    loader = _loader((Cutout(1.0), NoAugmentation()), ("weak",))
    assert isinstance(loader.batches, Batches)
    store, augmentation = loader.batches.store, loader.batches.augmentation
    assert store is not None
    (batch, *_) = loader
    draws = uniforms("recipe", (3, 0, 0), batch.index, 2)
    offset = augmentation.random_offsets(40, _after_order())[batch.index]
    expected = augmentation.weak(store.windows(batch.index, offset), draws, store.mean, (8, 8))
    torch.testing.assert_close(batch.image, (expected.permute(0, 3, 1, 2) / 255 - 0.4) / 0.2)
    assert store.mean.tolist() == [102, 102, 102]


def _after_order() -> torch.Generator:
    generator = seeded_generator("epoch", 3, 0)
    torch.randperm(40, generator=generator)
    return generator


def test_images_that_are_kept_larger_are_resized_where_nothing_crops_them() -> None:
    loader = _loader((RandomResizedCrop(), RandAugment()), kept=(12, 12))
    (batch, *_) = loader
    assert batch.image.shape == (2, 9, 3, 8, 8)
    (looked_at, *_) = _loader((RandomResizedCrop(), RandAugment()), ("weak",), shuffle=False, kept=(12, 12))
    assert looked_at.image.shape == (9, 3, 8, 8)
    assert isinstance(loader.batches, Batches)
    images = torch.as_tensor(loader.batches.data.images)[:9].permute(0, 3, 1, 2).float()
    expected = torch.nn.functional.interpolate(images, size=(8, 8), mode="bilinear", antialias=True)
    assert ((looked_at.image * 0.2 + 0.4) * 255 - expected).abs().max() <= 1


def test_every_view_has_its_channel_last_in_memory() -> None:
    (batch, *_) = _loader((RandAugment(), RandomResizedCrop()))
    assert all(view.is_contiguous(memory_format=torch.channels_last) for view in batch.image)

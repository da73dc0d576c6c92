"""Given labels of a training set: taken as found or drawn, with foreign images in their places, or refused."""

from collections.abc import Callable
from typing import Any, final

import pytest
import torch
from torch import Tensor

from noisy_lightning.data import Digits, LabelNoise, NoNoise, OpenSet, PairFlip, PartDependent, Symmetric
from noisy_lightning.data.drawing import Drawn, draw, given_labels, is_as_found, pixels, with_foreign_images
from noisy_lightning.data.loading.augment import seeded_generator
from noisy_lightning.data.noise.foreign import ForeignImages
from noisy_lightning.data.sets.sources import Source
from noisy_lightning.errors import InputError

SHAPE = (2, 2, 1)


def source(count: int = 12) -> Source:
    images = (torch.arange(4 * count) % 256).to(torch.uint8).view(count, *SHAPE)
    return Source(images, torch.arange(count) % 3)


def drawn(noise: LabelNoise, redraw: Any = "once", **known: Any) -> Drawn:
    """Draw the labels of a data set of which these things are known."""
    return draw(source()._replace(**known), noise, 3, 0, redraw)


@final
class Lazy:
    """Images that are not in memory."""

    shape = (12, *SHAPE)

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: Tensor) -> Tensor:
        return source().images[index]


def test_labels_that_came_with_the_images_stay_without_noise() -> None:
    given = torch.ones(12, dtype=torch.int64)
    found = drawn(NoNoise(), given_labels=given, labels=torch.full((12,), -1))
    assert found.labels is given
    assert found.true_labels.tolist() == [-1] * 12
    assert not found.is_clean.any()
    assert is_as_found(found.source, NoNoise())
    assert not is_as_found(found.source, Symmetric(0.1))
    assert not is_as_found(source(), NoNoise())


def test_noise_is_drawn_from_true_labels_and_not_from_those_that_came_with_the_images() -> None:
    noise = PairFlip(1.0)
    expected = (torch.arange(12) + 1) % 3
    for given in (None, torch.zeros(12, dtype=torch.int64)):
        found = drawn(noise, given_labels=given)
        assert found.labels.equal(expected)
        assert found.true_labels.equal(torch.arange(12) % 3)
        assert not found.is_clean.any()


def test_the_seed_alone_decides() -> None:
    torch.manual_seed(1)
    first = draw(source(300), Symmetric(0.5), 3, 5, "once")
    torch.manual_seed(2)
    again, other = (draw(source(300), Symmetric(0.5), 3, seed, "once") for seed in (5, 6))
    assert first.labels.equal(again.labels)
    assert not first.labels.equal(other.labels)
    expected = given_labels(source(300), Symmetric(0.5), 3, seeded_generator("noise", 5))
    assert first.labels.equal(expected)


def test_noise_that_needs_true_labels_is_refused_where_one_is_unknown() -> None:
    labels = torch.arange(12) % 3
    labels[[4, 7]] = -1
    with pytest.raises(InputError, match=r"^data\.noise: Symmetric needs .*2 of 12 samples .*leave .*data\.clean"):
        drawn(Symmetric(0.5), labels=labels, given_labels=torch.arange(12) % 3)


@pytest.mark.parametrize(
    ("noise", "given", "kind"),
    [(NoNoise(), None, "NoNoise"), (NoNoise(), torch.zeros(12, dtype=torch.int64), "the labels as found")],
)
def test_what_draws_nothing_cannot_be_redrawn(noise: LabelNoise, given: Tensor | None, kind: str) -> None:
    with pytest.raises(InputError, match=rf"^data\.redraw must be once: {kind} would be the same in every epoch"):
        drawn(noise, "per_epoch", given_labels=given)
    assert drawn(Symmetric(0.5), "per_epoch").labels.equal(drawn(Symmetric(0.5)).labels)


def test_noise_sees_the_images_where_they_are_in_memory() -> None:
    seen = pixels(source())
    assert seen is not None
    assert seen.shape == (12, 1, 2, 2)
    assert pixels(source()._replace(images=Lazy())) is None
    with pytest.raises(InputError, match="do not fit in memory"):
        draw(source()._replace(images=Lazy()), PartDependent(0.3), 3, 0, "once")


def test_trust_is_what_the_data_set_says() -> None:
    assert not drawn(NoNoise()).is_trusted.any()
    trusted = torch.arange(12) < 4
    assert drawn(NoNoise(), trusted=trusted).is_trusted.equal(trusted)


# Foreign images


def test_foreign_images_take_places_and_leave_labels_and_checksum() -> None:
    own = source(30)
    found = draw(own, OpenSet(0.4, Digits()), 3, 0, "once")
    assert found.foreign_index is not None
    assert found.foreign_checksum == Digits().load(train=True).checksum()
    assert int(found.is_foreign.sum()) == 12
    assert found.labels.equal(own.labels)
    assert found.true_labels.equal(own.labels.masked_fill(found.is_foreign, -2))
    assert found.is_clean.equal(~found.is_foreign)
    assert found.source.checksum() == own.checksum()
    before, after = torch.as_tensor(own.images), torch.as_tensor(found.source.images)
    assert (before == after).flatten(1).all(1)[~found.is_foreign].all()
    assert before.equal(torch.as_tensor(source(30).images)), "the images that were handed in stay"
    assert not before[found.is_foreign].equal(after[found.is_foreign])


@pytest.mark.parametrize("noise", [NoNoise, lambda: OpenSet(0.0, Digits())])
def test_without_foreign_images_there_is_nothing_to_say_of_them(noise: Callable[[], LabelNoise]) -> None:
    found = drawn(noise())
    assert (found.foreign_index, found.foreign_checksum) == (None, None)
    assert not found.is_foreign.any()


def test_foreign_images_need_images_in_memory() -> None:
    index = torch.full((12,), -1).index_fill(0, torch.tensor([3]), 0)
    foreign = ForeignImages(index, torch.zeros(1, *SHAPE, dtype=torch.uint8), "0a")
    with pytest.raises(InputError, match=r"^data\.noise: foreign images .* in memory only: raise data\.cache_gib$"):
        with_foreign_images(source()._replace(images=Lazy()), foreign)
    images = torch.as_tensor(with_foreign_images(source(), foreign).images)
    assert (images[3] == 0).all()

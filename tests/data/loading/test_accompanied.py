import pytest
import torch

from noisy_lightning.data.loading.accompanied import AccompaniedBatches
from noisy_lightning.data.loading.augment import Augmentation, WindowStore
from noisy_lightning.data.loading.loader import Batches, BatchLoader, LabeledImages, Schedule
from noisy_lightning.types import Batch, Companion

AUGMENTATION = Augmentation(4, 4, [0.5], [0.5], padding=1, flip=True)
IMAGES = torch.arange(40, dtype=torch.uint8).view(40, 1, 1, 1).expand(40, 4, 4, 1).contiguous() + 1


def _loader(
    companions: torch.Tensor, rank: int = 0, world_size: int = 1, workers: int = 0, epoch: int = 0
) -> BatchLoader:
    """Serve samples 0 to 29 in batches of 8, the others beside them."""
    data = LabeledImages(IMAGES, torch.arange(40), torch.arange(40))
    store = None if workers else WindowStore(IMAGES, AUGMENTATION)
    both = [
        Batches(data, AUGMENTATION, Schedule(index, 8, True, 0, rank, world_size), store)
        for index in (torch.arange(30), companions)
    ]
    loader = BatchLoader(AccompaniedBatches(*both), workers)
    loader.set_epoch(epoch)
    return loader


def _companions(loader: BatchLoader) -> list[Companion]:
    found = [batch.companion for batch in loader]
    assert all(found)
    return [one for one in found if one is not None]


def test_batches_are_as_they_are_without_companions() -> None:
    data = LabeledImages(IMAGES, torch.arange(40), torch.arange(40))
    alone = BatchLoader(
        Batches(data, AUGMENTATION, Schedule(torch.arange(30), 8, True), WindowStore(IMAGES, AUGMENTATION))
    )
    beside: Batch
    for plain, beside in zip(alone, _loader(torch.arange(30, 40)), strict=True):
        assert plain.companion is None
        assert all(one.equal(other) for one, other in zip(plain[:4], beside[:4], strict=True))


def test_a_pass_over_the_companions_has_each_of_them_once_and_the_next_another_order() -> None:
    served = torch.cat(
        [one.index for epoch in range(2) for one in _companions(_loader(torch.arange(24, 40), epoch=epoch))]
    )
    passes = served.split(16)
    assert [len(one) for one in passes] == [16, 16, 16, 16]
    assert all(one.sort().values.equal(torch.arange(24, 40)) for one in passes)
    assert len({tuple(one.tolist()) for one in passes}) == 4


def test_the_image_is_that_of_the_sample() -> None:
    for one in _companions(_loader(torch.arange(24, 40))):
        assert ((one.image.amax((1, 2, 3)) + 1) * 127.5).round().long().equal(one.index + 1)


def test_the_same_samples_come_in_another_order_beside_themselves() -> None:
    served = torch.cat([batch.index for batch in _loader(torch.arange(30))])
    beside = torch.cat([one.index for one in _companions(_loader(torch.arange(30)))])
    assert served.sort().values.equal(torch.arange(30))
    assert beside.sort().values.equal(torch.arange(30))
    assert not served.equal(beside)


def test_few_companions_come_with_every_batch() -> None:
    assert [sorted(one.index.tolist()) for one in _companions(_loader(torch.tensor([33, 31, 35])))] == [
        [31, 33, 35]
    ] * 4


def test_ranks_share_them() -> None:
    alone = _companions(_loader(torch.arange(24, 40)))
    ranks = [_companions(_loader(torch.arange(24, 40), rank, 2)) for rank in range(2)]
    for whole, *parts in zip(alone, *ranks, strict=True):
        for rank, part in enumerate(parts):
            assert part.index.equal(whole.index[rank::2])
            assert part.image.equal(whole.image[rank::2])


@pytest.mark.parametrize("stop", [1, 3])
def test_resumes_within_an_epoch(stop: int) -> None:
    whole = _companions(_loader(torch.arange(24, 40), epoch=1))
    loader = _loader(torch.arange(24, 40), epoch=1)
    state = loader.state_dict() | {"next": stop}
    loader.load_state_dict(state)
    for one, other in zip(whole[stop:], _companions(loader), strict=True):
        assert one.index.equal(other.index)
        assert one.image.equal(other.image)


def test_workers_serve_the_same() -> None:
    served = _companions(_loader(torch.arange(24, 40), workers=1))
    for one, other in zip(_companions(_loader(torch.arange(24, 40))), served, strict=True):
        assert one.index.equal(other.index)
        assert one.image.equal(other.image)

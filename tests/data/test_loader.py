import pytest
import torch

from noisy_lightning.data.augment import Augmentation, WindowStore, seeded_generator
from noisy_lightning.data.loader import Batches, BatchLoader, LabelledImages, Schedule
from noisy_lightning.errors import InputError
from noisy_lightning.types import Batch

AUGMENTATION = Augmentation(4, 4, (0.5,), (0.5,), padding=1, flip=True)


def _data(count: int = 60) -> LabelledImages:
    labels = torch.arange(count) % 7
    return LabelledImages(
        torch.randint(0, 256, (count, 4, 4, 1), dtype=torch.uint8, generator=seeded_generator("test", 0)),
        labels,
        labels.flip(0),
    )


def _loader(
    index: torch.Tensor | None = None,
    batch_size: int = 8,
    shuffle: bool = True,
    seed: int = 0,
    rank: int = 0,
    world_size: int = 1,
    workers: int = 0,
) -> BatchLoader:
    data = _data()
    schedule = Schedule(torch.arange(60) if index is None else index, batch_size, shuffle, seed, rank, world_size)
    store = None if workers else WindowStore(data.images, AUGMENTATION)
    return BatchLoader(Batches(data, AUGMENTATION, schedule, store), workers)


def _equal(first: list[Batch], second: list[Batch]) -> bool:
    return len(first) == len(second) and all(
        torch.equal(a, b) for one, other in zip(first, second, strict=True) for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 15, 16, 17, 18, 60])
@pytest.mark.parametrize("world_size", [1, 2, 3])
@pytest.mark.parametrize("batch_size", [1, 3, 8, 100])
def test_every_sample_is_served_once_on_any_number_of_ranks(count: int, world_size: int, batch_size: int) -> None:
    index = torch.arange(60)[-count:]
    if min(count, batch_size) < world_size:
        with pytest.raises(InputError, match="devices"):
            Schedule(index, batch_size, True, 0, 0, world_size)
        return
    ranks = [list(_loader(index, batch_size, rank=rank, world_size=world_size)) for rank in range(world_size)]
    assert len({len(batches) for batches in ranks}) == 1
    served = torch.cat([batch.index for batches in ranks for batch in batches])
    assert served.sort()[0].equal(index)
    alone = list(_loader(index, batch_size))
    if len(alone) == len(ranks[0]):  # the ranks' parts make up the batches of one process
        for number, batch in enumerate(alone):
            parts = torch.cat([batches[number].index for batches in ranks])
            assert parts.sort()[0].equal(batch.index.sort()[0])


def test_no_rank_trains_on_a_single_sample() -> None:
    for count in range(4, 40):
        for world_size in (1, 2):
            loader = _loader(torch.arange(count), 4, world_size=world_size)
            assert min(len(batch.index) for batch in loader) >= 2
            assert len(list(loader)) == len(loader)


def test_a_batch_is_consistent() -> None:
    data, loader = _data(), _loader()
    for batch in loader:
        assert batch.label.equal(data.labels[batch.index])
        assert batch.true_label.equal(data.true_labels[batch.index])
        assert batch.image.shape == (len(batch.index), 1, 4, 4)


def test_order_and_augmentation_follow_seed_and_epoch() -> None:
    loader = _loader()
    first = list(loader)
    loader.set_epoch(1)
    second = list(loader)
    loader.set_epoch(0)
    assert _equal(first, list(loader))
    assert not _equal(first, second)
    assert not _equal(first, list(_loader(seed=1)))


def test_augmentation_does_not_hang_on_the_split() -> None:
    # Whichever samples are served: what is drawn for a sample is drawn for its position in the whole data set.
    halves = [next(iter(_loader(torch.arange(start, 60, 2), 30))) for start in (0, 1)]
    offsets = [AUGMENTATION.random_offsets(60, _after_order(30))[batch.index] for batch in halves]
    store = WindowStore(_data().images, AUGMENTATION)
    for batch, offset in zip(halves, offsets, strict=True):
        assert batch.image.equal(store.read(batch.index, offset))


def _after_order(count: int) -> torch.Generator:
    generator = seeded_generator("epoch", 0, 0)
    torch.randperm(count, generator=generator)
    return generator


def test_without_shuffling_images_are_plain_and_in_order() -> None:
    loader = _loader(shuffle=False)
    assert torch.cat([batch.index for batch in loader]).equal(torch.arange(60))
    loader.set_epoch(5)
    plain = WindowStore(_data().images, AUGMENTATION).read(torch.arange(60), AUGMENTATION.centre_offsets(60))
    assert torch.cat([batch.image for batch in loader]).equal(plain)
    assert not hasattr(loader, "sampler")  # Lightning would warn when it is asked to overfit


@pytest.mark.parametrize("stop", [1, 3, 7])
def test_resumes_within_an_epoch(stop: int) -> None:
    loader = _loader()
    loader.set_epoch(2)
    whole = list(loader)
    loader.set_epoch(3)
    loader.set_epoch(2)
    iterator = iter(loader)
    begun = [next(iterator) for _ in range(stop)]
    resumed = _loader()
    resumed.load_state_dict(loader.state_dict())
    resumed.set_epoch(2)
    iter(resumed)  # Lightning makes iterators that it never uses
    assert _equal(begun + list(resumed), whole)
    assert _equal(list(resumed), whole)  # and the next pass is a whole one again


def test_a_state_from_the_end_of_an_epoch_leads_to_the_next_one() -> None:
    loader = _loader()
    list(loader)
    resumed = _loader()
    resumed.load_state_dict(loader.state_dict())
    resumed.set_epoch(1)
    loader.set_epoch(1)
    assert _equal(list(resumed), list(loader))


def test_breaking_off_does_not_shorten_the_next_pass() -> None:
    loader = _loader(shuffle=False)
    next(iter(loader))
    assert len(list(loader)) == len(loader)


def test_workers_make_the_same_batches() -> None:
    memory, workers = _loader(), _loader(workers=2)
    state = torch.get_rng_state()
    for epoch in (0, 4):
        memory.set_epoch(epoch)
        workers.set_epoch(epoch)
        assert _equal(list(memory), list(workers))
    assert state.equal(torch.get_rng_state())  # dropout must not depend on who makes the batches
    resumed = _loader(workers=1)
    resumed.load_state_dict({"epoch": 4, "next": 5})
    resumed.set_epoch(4)
    assert _equal(list(memory)[5:], list(resumed))


def test_batch_size_zero_is_refused() -> None:
    with pytest.raises(InputError, match="batch_size must be at least 1, got 0"):
        _loader(batch_size=0)

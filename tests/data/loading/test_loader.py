import multiprocessing
from collections.abc import Sequence

import pytest
import torch

from noisy_lightning.data.loading.augment import Augmentation, WindowStore, seeded_generator
from noisy_lightning.data.loading.loader import Batches, BatchLoader, LabeledImages, Schedule
from noisy_lightning.data.loading.sampling import Sampling
from noisy_lightning.errors import InputError
from noisy_lightning.types import Batch, View

AUGMENTATION = Augmentation(4, 4, (0.5,), (0.5,), padding=1, flip=True)


def _data(count: int = 60) -> LabeledImages:
    labels = torch.arange(count) % 7
    return LabeledImages(
        torch.randint(0, 256, (count, 4, 4, 1), dtype=torch.uint8, generator=seeded_generator("test", 0)),
        labels,
        labels.flip(0),
    )


def _weak(views: int) -> Sequence[View]:
    weak: View = "weak"
    return (weak,) * views


def _loader(
    index: torch.Tensor | None = None,
    batch_size: int = 8,
    shuffle: bool = True,
    seed: int = 0,
    rank: int = 0,
    world_size: int = 1,
    workers: int = 0,
    views: int = 1,
) -> BatchLoader:
    data = _data()
    schedule = Schedule(torch.arange(60) if index is None else index, batch_size, shuffle, seed, rank, world_size)
    store = None if workers else WindowStore(torch.as_tensor(data.images), AUGMENTATION)
    return BatchLoader(Batches(data, AUGMENTATION, schedule, store, _weak(views)), workers)


def _equal(first: list[Batch], second: list[Batch]) -> bool:
    return len(first) == len(second) and all(
        torch.equal(a, b)
        for one, other in zip(first, second, strict=True)
        for a, b in zip(one[:4], other[:4], strict=True)
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


def test_balanced_classes_are_served_equally_often() -> None:
    index = torch.arange(10, 60)
    classes = torch.tensor([0] * 30 + [2] * 8 + [5] * 12)
    ranks = []
    for rank in range(2):
        schedule = Schedule(index, 6, True, 0, rank, 2, "undersample", classes)
        assert (schedule.count, len(schedule)) == (24, 4)
        ranks += [batch.index for batch in BatchLoader(Batches(_data(), AUGMENTATION, schedule, None))]
    epochs = []
    for epoch in range(2):
        schedule = Schedule(index, 6, True, sampling="undersample", classes=classes)
        loader = BatchLoader(Batches(_data(), AUGMENTATION, schedule, None))
        loader.set_epoch(epoch)
        epochs.append(torch.cat([batch.index for batch in loader]))
        assert len(epochs[-1].unique()) == 24
        assert classes[epochs[-1] - 10].bincount().tolist() == [8, 0, 8, 0, 0, 8]
    assert not epochs[0].sort().values.equal(epochs[1].sort().values), "others of the frequent classes"
    assert torch.cat(ranks).sort().values.equal(epochs[0].sort().values)


# Of 60 samples, 50 are served; the classes have 30, 8 and 12 of them.
SAMPLED = torch.arange(10, 60)
CLASSES = torch.tensor([0] * 30 + [2] * 8 + [5] * 12)


def _sampled(
    sampling: Sampling, rank: int = 0, world_size: int = 1, workers: int = 0, views: int = 1, epoch: int = 0
) -> BatchLoader:
    data = _data()
    schedule = Schedule(SAMPLED, 9, True, 3, rank, world_size, sampling, CLASSES)
    store = None if workers else WindowStore(torch.as_tensor(data.images), AUGMENTATION)
    loader = BatchLoader(Batches(data, AUGMENTATION, schedule, store, _weak(views)), workers)
    loader.set_epoch(epoch)
    return loader


def test_the_order_of_undersampled_classes_is_that_of_older_versions() -> None:
    """Runs that they have begun go on with the same batches."""
    generator = seeded_generator("epoch", 3, 4)
    drawn = torch.randperm(50, generator=generator)
    by_class = CLASSES[drawn].argsort(stable=True)
    first = torch.cat([part[:8] for part in by_class.split([30, 8, 12])]).sort().values
    order = SAMPLED[drawn[first]]
    batches = list(_sampled("undersample", epoch=4))
    assert torch.cat([batch.index for batch in batches]).equal(order)
    store = WindowStore(torch.as_tensor(_data().images), AUGMENTATION)
    images = store.read(order, AUGMENTATION.random_offsets(60, generator)[order])
    assert torch.cat([batch.image for batch in batches]).equal(images)


@pytest.mark.parametrize(("sampling", "served"), [("oversample", [30, 30, 30]), ("sqrt", [23, 12, 15])])
def test_samples_of_a_class_are_repeated_equally_often_others_in_each_epoch(
    sampling: Sampling, served: list[int]
) -> None:
    epochs = []
    for epoch in range(2):
        index = torch.cat([batch.index for batch in _sampled(sampling, epoch=epoch)])
        times = index.bincount(minlength=60)
        assert times[:10].sum() == 0
        for part, count in zip(times[10:].split([30, 8, 12]), served, strict=True):
            assert part.sum() == count
            assert part.max() - part.min() <= 1
        epochs.append((index, times))
    assert not epochs[0][1].equal(epochs[1][1])
    assert not epochs[0][0].equal(epochs[0][0].sort().values)
    assert (epochs[0][0][1:] != epochs[0][0][:-1]).float().mean() > 0.8, "appearances are spread over the epoch"


@pytest.mark.parametrize("views", [1, 2])
def test_each_appearance_of_a_sample_is_augmented_anew(views: int) -> None:
    batches = list(_sampled("oversample", views=views))
    index = torch.cat([batch.index for batch in batches])
    images = torch.cat([batch.image if views == 1 else batch.image[0] for batch in batches])
    rare = index[index >= 40].unique()
    assert all(len({image.numpy().tobytes() for image in images[index == one]}) > 1 for one in rare[:5])
    store = WindowStore(torch.as_tensor(_data().images), AUGMENTATION)
    windows = {  # all that crop and flip can make of a sample
        store.read(rare[:1], torch.tensor([offset])).numpy().tobytes() for offset in range(2 * 36) if _fits(offset)
    }
    assert {image.numpy().tobytes() for image in images[index == rare[0]]} <= windows


def _fits(offset: int) -> bool:
    """Return whether a window of 4×4 begins there, in 6×6 pixels and their mirror image."""
    row, column = divmod(offset % 36, 6)
    return row <= 2 and column <= 2


@pytest.mark.parametrize("sampling", ["undersample", "oversample", "sqrt"])
def test_sampled_epochs_do_not_hang_on_ranks_and_workers_and_go_on_within(sampling: Sampling) -> None:
    whole = list(_sampled(sampling, epoch=2))
    ranks = [list(_sampled(sampling, rank, 2, epoch=2)) for rank in range(2)]
    for number, batch in enumerate(whole):
        for rank, batches in enumerate(ranks):
            assert batches[number].index.equal(batch.index[rank::2])
            assert batches[number].image.equal(batch.image[rank::2])
    assert _equal(whole, list(_sampled(sampling, workers=1, epoch=2)))
    begun = _sampled(sampling, epoch=2)
    iterator = iter(begun)
    head = [next(iterator) for _ in range(2)]
    resumed = _sampled(sampling)
    resumed.load_state_dict(begun.state_dict())
    resumed.set_epoch(2)
    assert _equal(head + list(resumed), whole)


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


def test_augmentation_does_not_depend_on_the_split() -> None:
    # Whichever samples are served: what is drawn for a sample is drawn for its position in the whole data set.
    halves = [next(iter(_loader(torch.arange(start, 60, 2), 30))) for start in (0, 1)]
    offsets = [AUGMENTATION.random_offsets(60, _after_order(30))[batch.index] for batch in halves]
    store = WindowStore(torch.as_tensor(_data().images), AUGMENTATION)
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
    plain = WindowStore(torch.as_tensor(_data().images), AUGMENTATION).read(
        torch.arange(60), AUGMENTATION.center_offsets(60)
    )
    assert torch.cat([batch.image for batch in loader]).equal(plain)
    assert not hasattr(loader, "sampler")  # Lightning would warn when it is asked to overfit


def test_each_view_has_draws_of_its_own_and_the_first_those_of_a_single_one() -> None:
    single, double, triple = ([*_loader(views=views)] for views in (1, 2, 3))
    for one, two, three in zip(single, double, triple, strict=True):
        assert two.image.shape == (2, len(one.index), 1, 4, 4)
        assert two.image[0].equal(one.image)
        assert not two.image[1].equal(one.image)
        assert three.image[:2].equal(two.image)
        assert _equal([one], [two._replace(image=two.image[0])])  # labels and positions are there once


def test_every_view_is_of_the_sample_that_it_stands_for() -> None:
    data, store = _data(), WindowStore(torch.as_tensor(_data().images), AUGMENTATION)
    generator = _after_order(60)
    offsets = [AUGMENTATION.random_offsets(60, generator) for _ in range(2)]
    for batch in _loader(views=2):
        assert batch.label.equal(data.labels[batch.index])
        for view, offset in zip(batch.image, offsets, strict=True):
            assert view.equal(store.read(batch.index, offset[batch.index]))


def test_every_view_has_its_channel_last_in_memory() -> None:
    color = LabeledImages(torch.zeros(6, 4, 4, 3, dtype=torch.uint8), torch.zeros(6), torch.zeros(6))
    augmentation = Augmentation(4, 4, (0.5,) * 3, (0.5,) * 3, padding=1)
    batches = Batches(color, augmentation, Schedule(torch.arange(6), 6, True), None, ("weak", "weak"))
    (batch,) = BatchLoader(batches)
    assert batch.image.shape == (2, 6, 3, 4, 4)
    assert all(view.is_contiguous(memory_format=torch.channels_last) for view in batch.image)


def test_the_views_do_not_hang_on_the_number_of_ranks() -> None:
    alone = list(_loader(views=2))
    ranks = [list(_loader(views=2, rank=rank, world_size=2)) for rank in range(2)]
    for number, batch in enumerate(alone):
        for rank, batches in enumerate(ranks):
            assert batches[number].image.equal(batch.image[:, rank::2])


def test_without_shuffling_all_views_are_plain() -> None:
    for one, two in zip(_loader(shuffle=False), _loader(shuffle=False, views=2), strict=True):
        assert two.image.equal(one.image.expand(2, -1, -1, -1, -1))


@pytest.mark.parametrize("views", [1, 2])
@pytest.mark.parametrize("stop", [1, 3, 7])
def test_resumes_within_an_epoch(stop: int, views: int) -> None:
    loader = _loader(views=views)
    loader.set_epoch(2)
    whole = list(loader)
    loader.set_epoch(3)
    loader.set_epoch(2)
    iterator = iter(loader)
    begun = [next(iterator) for _ in range(stop)]
    resumed = _loader(views=views)
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


def test_a_state_from_the_end_of_a_pass_that_no_epoch_follows_leads_to_a_whole_one() -> None:
    """As of a loader for evaluation, to which no epoch is announced."""
    loader = _loader(shuffle=False)
    whole = list(loader)
    resumed = _loader(shuffle=False)
    resumed.load_state_dict(loader.state_dict())
    assert _equal(list(resumed), whole)


def test_breaking_off_does_not_shorten_the_next_pass() -> None:
    loader = _loader(shuffle=False)
    next(iter(loader))
    assert len(list(loader)) == len(loader)


@pytest.mark.parametrize("views", [1, 2])
def test_workers_make_the_same_batches(views: int) -> None:
    memory, workers = _loader(views=views), _loader(workers=2, views=views)
    state = torch.get_rng_state()
    for epoch in (0, 4):
        memory.set_epoch(epoch)
        workers.set_epoch(epoch)
        assert _equal(list(memory), list(workers))
        assert all(image.stride() == other.stride() for (image, *_), (other, *_) in zip(memory, workers, strict=True))
    assert state.equal(torch.get_rng_state())  # dropout must not depend on who makes the batches
    assert multiprocessing.active_children()
    workers._iterator = None  # as Lightning does
    assert not multiprocessing.active_children()
    resumed = _loader(workers=1, views=views)
    resumed.load_state_dict({"epoch": 4, "next": 5})
    resumed.set_epoch(4)
    assert _equal(list(memory)[5:], list(resumed))


def test_batch_size_zero_is_refused() -> None:
    with pytest.raises(InputError, match="batch_size must be at least 1, got 0"):
        _loader(batch_size=0)


def test_the_workers_of_a_loader_end_with_it() -> None:
    loader = _loader(workers=1)
    batches = iter(loader)
    next(batches)
    assert multiprocessing.active_children()
    del batches, loader
    assert not multiprocessing.active_children()

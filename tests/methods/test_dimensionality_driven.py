import copy
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from noisy_lightning.backbones import ResNet32
from noisy_lightning.errors import InputError
from noisy_lightning.losses import SymmetricCrossEntropy, TruncatedGeneralizedCrossEntropy
from noisy_lightning.methods import DimensionalityDriven, EpochContext, Problem
from noisy_lightning.methods.dimensionality_driven import Penultimate, mean_lid
from tests.methods.toys import (
    B,
    K,
    N,
    assert_same_weights,
    batches,
    network,
    points,
    problem,
)
from tests.reference import dimensionality_driven as reference

ETA, EPOCHS = 0.5, 10


def _context(epoch: int, seen: list[Tensor] | None = None) -> EpochContext:
    images, labels = points()

    @torch.no_grad()
    def predict(network: nn.Module, augmented: bool = False, index: Tensor | None = None, view: int = 0) -> Tensor:
        assert index is not None
        assert not augmented
        if seen is not None:
            seen.append(index)
        output: Tensor = network(images[index])
        return output

    return EpochContext(epoch, EPOCHS, labels, predict)


def _epoch(method: DimensionalityDriven, optimizer: torch.optim.Optimizer, epoch: int) -> None:
    images, labels = points()
    for index in batches(epoch):
        optimizer.zero_grad()
        method.step(images[index], labels[index], index).loss.backward()
        optimizer.step()


@pytest.mark.parametrize("roll_back", [True, False])
@pytest.mark.parametrize(("init_epoch", "window", "k", "samples"), [(0, 1, 5, N), (2, 2, 3, 20), (3, 1, 50, 12)])
def test_walks_the_path_of_the_authors(init_epoch: int, window: int, k: int, samples: int, roll_back: bool) -> None:
    torch.manual_seed(0)
    method = DimensionalityDriven(problem(), init_epoch, window, k, samples, roll_back).double()
    f = network()
    f.load_state_dict(method.backbone.state_dict())
    optimizer = torch.optim.SGD(method.backbone.parameters(), lr=ETA)
    images, labels = points()
    lids: list[float] = []
    turning, saved, alpha = -1, copy.deepcopy(f.state_dict()), 1.0
    for epoch in range(EPOCHS):
        seen: list[Tensor] = []
        method.on_epoch_start(_context(epoch, seen))
        (index,) = seen
        assert len(index.unique()) == samples
        lids.append(reference.mean_lid(f[:-1](images[index]).detach(), k))  # type: ignore[index]
        if turning < 0 and reference.found_turning_point(lids, init_epoch, window):
            turning = epoch
            if roll_back:
                f.load_state_dict(saved)
        saved = copy.deepcopy(f.state_dict())
        if turning >= 0:
            alpha = reference.alpha(epoch, EPOCHS, lids)
        assert method.scalars()["lid"].item() == pytest.approx(lids[-1])
        assert method.scalars()["alpha"].item() == pytest.approx(alpha)
        assert method.turning_epoch == turning
        _epoch(method, optimizer, epoch)
        for batch in batches(epoch):
            reference.d2l_step(f, images[batch], labels[batch], alpha, ETA)
        assert_same_weights(method.backbone, f, rtol=1e-7, atol=1e-10)
    assert turning >= 0


def test_the_weights_go_back_by_one_epoch_and_once_only() -> None:
    torch.manual_seed(0)
    method = DimensionalityDriven(problem(), init_epoch=1, window=1, neighbours=2).double()
    lids = iter([4.0, 3.0, 5.0, 9.0])
    optimizer = torch.optim.SGD(method.backbone.parameters(), lr=ETA)
    starts, ends = [], []
    for epoch in range(4):
        _start_with(method, next(lids), epoch)
        starts.append(copy.deepcopy(method.backbone.state_dict()))
        _epoch(method, optimizer, epoch)
        ends.append(copy.deepcopy(method.backbone.state_dict()))
    assert method.turning_epoch == 2
    for name, value in starts[2].items():
        assert value.equal(starts[1][name])
        assert not value.equal(ends[1][name])
        assert starts[3][name].equal(ends[2][name])


def test_without_a_rise_it_is_plain_training() -> None:
    torch.manual_seed(0)
    method = DimensionalityDriven(problem(), init_epoch=0, window=1, neighbours=2).double()
    images, labels = points()
    for epoch in range(5):
        _start_with(method, 5.0 - epoch, epoch)
        step = method.step(images[:B], labels[:B], torch.arange(B))
        torch.testing.assert_close(step.loss, step.losses.mean())
        assert step.sample_weight is not None
        assert step.sample_weight.tolist() == [1.0] * B
    assert method.turning_epoch == -1


def test_a_rise_within_two_standard_deviations_is_none() -> None:
    for last, turning in ((4.99, -1), (5.01, 4)):
        method = DimensionalityDriven(problem(), init_epoch=0, window=4, neighbours=2)
        for epoch, lid in enumerate([2.0, 4.0, 2.0, 4.0, last]):  # mean 3, standard deviation 1
            _start_with(method, lid, epoch)
        assert method.turning_epoch == turning


def test_a_target_is_given_and_predicted_label_in_parts() -> None:
    torch.manual_seed(0)
    loss = SymmetricCrossEntropy()
    method = DimensionalityDriven(problem(loss), neighbours=2)
    method.alpha.fill_(0.3)
    images, labels = points()
    step = method.step(images, labels, torch.arange(N))
    predicted = step.logits.argmax(1)
    torch.testing.assert_close(step.losses, loss(step.logits, labels))
    target = 0.3 * torch.eye(K)[labels].double() + 0.7 * torch.eye(K)[predicted].double()
    torch.testing.assert_close(step.loss, loss(step.logits, target).mean())
    assert step.sample_weight is not None
    torch.testing.assert_close(step.sample_weight, torch.where(predicted == labels, 1.0, 0.3).double())


# The estimate


@pytest.mark.parametrize(("size", "k"), [(300, 20), (128, 3), (131, 20), (10, 20), (3, 2)])
def test_the_estimate_is_that_of_the_authors(size: int, k: int) -> None:
    features = torch.randn(size, 4, generator=torch.Generator().manual_seed(size))
    assert mean_lid(features, k) == pytest.approx(reference.mean_lid(features, k), rel=1e-6)


def test_points_on_a_plane_have_two_dimensions() -> None:
    random = torch.Generator().manual_seed(0)
    plane = torch.rand(1280, 2, generator=random) @ torch.randn(2, 50, generator=random)
    assert 1.8 < mean_lid(plane, 20) < 2.6
    assert mean_lid(torch.rand(1280, 50, generator=random), 20) > 6


def test_samples_without_an_estimate_are_left_out() -> None:
    random = torch.Generator().manual_seed(0)
    spread = torch.randn(100, 3, generator=random)
    same = torch.zeros(28, 3) + 1e6  # so many in one place that no neighbor is elsewhere
    assert mean_lid(torch.cat([spread, same]), 20) == pytest.approx(mean_lid(spread, 20))
    assert math.isnan(mean_lid(same, 20))
    assert math.isnan(mean_lid(torch.eye(6), 3))  # all equally far away
    assert math.isnan(mean_lid(torch.full((9, 3), torch.nan), 3))
    assert math.isnan(mean_lid(spread[:2], 20))
    twins = torch.cat([spread, spread])
    assert math.isfinite(mean_lid(twins, 20))
    assert mean_lid(torch.cat([spread[:99], torch.full((1, 3), torch.nan)]), 5) == pytest.approx(
        mean_lid(spread[:99], 5)
    )


def test_an_epoch_without_an_estimate_repeats_the_last() -> None:
    method = DimensionalityDriven(problem(), init_epoch=0, window=2, neighbours=2)
    for epoch, lid in enumerate([math.nan, 3.0, math.nan, -4.0]):
        if lid > 0:
            _start_with(method, lid, epoch)
        else:
            with pytest.warns(UserWarning, match="no dimension can be estimated"):
                _start_with(method, lid, epoch)
    assert method.estimates == 3
    assert method.recent.tolist() == [3.0, 3.0, 3.0]
    assert method.lowest == 3
    assert method.turning_epoch == -1


def test_the_last_estimate_is_repeated_and_not_the_lowest() -> None:
    method = DimensionalityDriven(problem(), init_epoch=9, window=2, neighbours=2)
    for epoch, lid in enumerate([3.0, 5.0]):
        _start_with(method, lid, epoch)
    with pytest.warns(UserWarning, match="no dimension can be estimated"):
        _start_with(method, math.inf, 2)
    assert method.recent.tolist() == [3.0, 5.0, 5.0]
    assert method.lowest == 3


def test_features_are_what_enters_the_classifier() -> None:
    torch.manual_seed(0)
    images = torch.randn(5, 3, 32, 32)
    backbone = ResNet32(10, 3).eval()
    torch.testing.assert_close(Penultimate(backbone)(images), backbone.features(images).mean((2, 3)))
    assert not backbone.classifier._forward_pre_hooks
    compiled = copy.deepcopy(backbone)
    compiled.compile(backend="eager")
    torch.testing.assert_close(Penultimate(compiled)(images), Penultimate(backbone)(images))


def test_only_the_training_part_is_looked_at_and_other_samples_of_it_each_time() -> None:
    seen: list[Tensor] = []
    _, labels = points()
    labels[:20] = -1
    method = DimensionalityDriven(problem(), neighbours=2, samples=5).double()
    for epoch in range(2):
        method.on_epoch_start(EpochContext(epoch, EPOCHS, labels, _context(epoch, seen).predict))
    assert all(len(index) == 5 and index.min() >= 20 for index in seen)
    assert not seen[0].sort()[0].equal(seen[1].sort()[0])


# Refusals


def test_a_loss_without_soft_targets_is_refused() -> None:
    with pytest.raises(InputError, match="TruncatedGeneralizedCrossEntropy"):
        DimensionalityDriven(problem(TruncatedGeneralizedCrossEntropy()))


def test_a_run_without_an_end_is_refused() -> None:
    with pytest.raises(InputError, match=r"trainer\.max_epochs"):
        DimensionalityDriven(problem()).on_epoch_start(EpochContext(0, -1, points()[1], _context(0).predict))


@pytest.mark.parametrize(
    "arguments", [{"init_epoch": -1}, {"window": 0}, {"neighbours": 1}, {"samples": 2}], ids=lambda a: next(iter(a))
)
def test_a_value_out_of_range_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        DimensionalityDriven(problem(), **arguments)


@pytest.mark.parametrize("size", [1, 2])
def test_a_last_batch_of_one_or_two_passes(size: int) -> None:
    method = DimensionalityDriven(Problem(network, problem().loss, K, N), neighbours=2)
    method.alpha.fill_(0.5)
    images, labels = points()
    assert method.step(images[:size], labels[:size], torch.arange(size)).loss.isfinite()


def _start_with(method: DimensionalityDriven, lid: float, epoch: int) -> None:
    """Start an epoch with an estimate of one's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("noisy_lightning.methods.dimensionality_driven.mean_lid", lambda features, neighbours: lid)
        method.on_epoch_start(
            _context(epoch)
            if method.alpha.dtype == torch.float64
            else EpochContext(
                epoch, EPOCHS, points()[1], lambda network, augmented=False, index=None, view=0: torch.zeros(1)
            )
        )

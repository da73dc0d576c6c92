from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from noisy_lightning.methods.parts.small_loss import check_schedule, forget_rate_at, mean_of_kept, small_loss
from tests.ranks import on_two_ranks

NAN, INF = float("nan"), float("inf")
LOSSES = torch.tensor([0.5, 0.1, 0.9, 0.1, 0.7, 0.3])
INDEX = torch.tensor([40, 9, 2, 7, 11, 3])


def _kept(share: float, losses: Tensor = LOSSES, among: Tensor | None = None) -> list[int]:
    index = INDEX[: len(losses)]
    return small_loss(losses, index, torch.tensor(share), among).nonzero().flatten().tolist()


# The forget rate


@pytest.mark.parametrize(("tau", "warm_up", "exponent"), [(0.45, 10, 1.0), (0.5, 5, 2.0), (0.2, 15, 0.5), (0.3, 1, 1)])
def test_the_forget_rate_is_that_of_the_authors_code(tau: float, warm_up: int, exponent: float) -> None:
    schedule = np.ones(20) * tau
    schedule[:warm_up] = np.linspace(0, tau**exponent, warm_up)
    assert [forget_rate_at(e, tau, warm_up, exponent) for e in range(20)] == pytest.approx(schedule.tolist())


def test_the_forget_rate_jumps_at_the_end_of_its_ramp_unless_the_exponent_is_1() -> None:
    assert [forget_rate_at(epoch, 0.5, 3, 2.0) for epoch in range(5)] == [0, 0.125, 0.25, 0.5, 0.5]
    assert [forget_rate_at(epoch, 0.5, 3, 1.0) for epoch in range(5)] == [0, 0.25, 0.5, 0.5, 0.5]


def test_without_a_ramp_the_forget_rate_is_constant() -> None:
    assert [forget_rate_at(epoch, 0.4, 0, 2.0) for epoch in range(3)] == [0.4, 0.4, 0.4]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("forget_rate", (1.0, 10, 1.0)),
        ("forget_rate", (-0.1, 10, 1.0)),
        ("warm_up", (0.2, -1, 1.0)),
        ("exponent", (0.2, 10, 0.0)),
        ("exponent", (0.2, 10, NAN)),
    ],
)
def test_a_schedule_out_of_range_is_refused(name: str, values: tuple[float, int, float]) -> None:
    with pytest.raises(ValueError, match=name):
        check_schedule(*values)


# Small losses


def test_the_smallest_losses_are_kept_and_of_equal_ones_the_smaller_index() -> None:
    assert _kept(1 / 6) == [3]
    assert _kept(2 / 6) == [1, 3]
    assert _kept(3 / 6) == [1, 3, 5]
    assert _kept(1.0) == [0, 1, 2, 3, 4, 5]


def test_of_losses_that_are_all_equal_exactly_as_many_are_kept_as_asked_for() -> None:
    assert _kept(0.5, torch.zeros(6)) == [2, 3, 5]


def test_the_number_kept_is_rounded_down_but_never_to_none() -> None:
    assert len(_kept(0.66)) == 3
    assert len(_kept(0.01)) == 1


@pytest.mark.parametrize("size", [1, 2, 5, 10, 20, 100, 128, 500, 1000])
def test_rounding_down_survives_the_arithmetic_of_floats(size: int) -> None:
    for tenths in range(1, 11):
        kept = small_loss(torch.rand(size), torch.arange(size), torch.ones(()).fill_(1 - (10 - tenths) / 10))
        assert kept.sum() == max(1, tenths * size // 10), tenths


def test_a_share_that_float32_rounds_below_a_whole_number_keeps_that_number() -> None:
    """1 − 0.47 times 100 is 52.999996 there."""
    for forget, kept in ((0.47, 53), (0.41, 59)):
        share = torch.ones(()).fill_(1 - forget)
        assert (share * 100).floor() == kept - 1
        assert small_loss(torch.rand(100), torch.arange(100), share).sum() == kept


def test_a_nan_is_never_kept_but_counts_as_a_sample() -> None:
    losses = torch.tensor([NAN, 0.2, INF, NAN, 0.1, 0.3])
    assert _kept(0.5, losses) == [1, 4, 5]
    assert _kept(1.0, losses) == [1, 2, 4, 5]
    assert _kept(1.0, torch.full((6,), NAN)) == []


def test_a_selection_can_be_made_among_some_samples() -> None:
    among = torch.tensor([True, False, True, True, True, False])
    assert _kept(0.5, among=among) == [0, 3]
    assert _kept(0.1, among=among) == [3]
    assert _kept(1.0, among=torch.zeros(6, dtype=torch.bool)) == []


def test_one_sample_is_kept_of_one() -> None:
    assert _kept(0.1, LOSSES[:1]) == [0]


def test_a_selection_has_no_gradient() -> None:
    assert not small_loss(LOSSES.clone().requires_grad_(), INDEX, torch.tensor(0.5)).requires_grad


# Means


def test_a_mean_is_over_what_was_kept() -> None:
    losses = torch.tensor([1.0, NAN, 4.0, 7.0], requires_grad=True)
    mean = mean_of_kept(losses, torch.tensor([True, False, True, False]))
    assert mean.item() == 2.5
    (gradient,) = torch.autograd.grad(mean, losses)
    assert gradient.tolist() == [0.5, 0, 0.5, 0]


def test_a_mean_over_few_can_count_as_little_as_one_over_more() -> None:
    losses, kept = torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([False, False, True, False])
    assert mean_of_kept(losses, kept, least=0.5).item() == 1.5
    assert mean_of_kept(losses, kept, least=0.1).item() == 3.0
    assert mean_of_kept(losses, kept & False, least=0.1).item() == 0


def test_a_mean_over_nothing_shows() -> None:
    losses = torch.tensor([1.0, 2.0], requires_grad=True)
    assert mean_of_kept(losses, torch.tensor([False, False])).isnan()


# Two processes, of which the first has four samples of the batch and the second two

PARTS = [slice(0, 4), slice(4, 6)]
SHARES = (0.17, 0.34, 0.5, 0.9, 1.0)
AMONG = torch.tensor([True, False, True, True, True, False])
TIED = torch.tensor([0.2, 0.2, 0.2, 0.1, 0.2, 0.2])


def _selections(part: slice) -> list[list[bool]]:
    index = INDEX[part]
    among = AMONG[part]
    return [
        small_loss(losses[part], index, torch.tensor(share), candidates).tolist()
        for losses in (LOSSES, TIED)
        for share in SHARES
        for candidates in (None, among)
    ]


def _gradients(part: slice) -> list[Tensor]:
    losses = LOSSES[part].clone().requires_grad_()
    means = [mean_of_kept(losses, kept[part], least) for kept in (AMONG, AMONG & (LOSSES > 0.8)) for least in (0, 0.5)]
    return [torch.autograd.grad(mean, losses)[0] for mean in means]


def _found(rank: int) -> tuple[list[list[bool]], list[list[float]]]:
    return _selections(PARTS[rank]), [gradient.tolist() for gradient in _gradients(PARTS[rank])]


@pytest.fixture(scope="module")
def ranks() -> list[Any]:
    return on_two_ranks(_found)


def test_two_ranks_select_what_one_does(ranks: list[Any]) -> None:
    whole = _selections(slice(0, 6))
    assert [first + second for first, second in zip(ranks[0][0], ranks[1][0], strict=True)] == whole
    assert any(not any(selection) for selection in ranks[1][0])  # a rank can be left with none


def test_averaged_gradients_are_those_of_the_whole_batch(ranks: list[Any]) -> None:
    for number, expected in enumerate(_gradients(slice(0, 6))):
        averaged = torch.tensor(ranks[0][1][number] + ranks[1][1][number]) / 2  # as DistributedDataParallel does
        torch.testing.assert_close(averaged, expected)

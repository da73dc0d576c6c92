import math

import pytest
import torch

from noisy_lightning.losses import GeneralizedCrossEntropy
from noisy_lightning.methods import CoTeaching, CoTeachingPlus
from tests.methods.toys import (
    B,
    assert_same_weights,
    context,
    lookup,
    points,
    problem,
    sample_weights,
    train,
    training,
)
from tests.reference.co_teaching import forget_rate
from tests.reference.co_teaching_plus import co_teaching_plus_step

ETA, EPOCHS = 0.5, 6
# The networks disagree on samples 0, 1 and 3; by their losses on label 0 the first ranks 3, 1, 0, the second 0, 3, 1.
FIRST = [[0, 3.0, 0], [0, 2.0, 0], [5.0, 0, 0], [4.0, 0, 0]]
SECOND = [[2.0, 0, 0], [0, 0, 2.0], [4.0, 0, 0], [0, 1.0, 0]]
LABELS, INDEX = torch.zeros(4, dtype=torch.long), torch.arange(4)
NAN = [float("nan")] * 3


def _fixed(first: list[list[float]], second: list[list[float]], forget: float, double: bool = False) -> CoTeachingPlus:
    """Return the method, started, with networks that look up their logits."""
    method = CoTeachingPlus(lookup(first, second), forget, warm_up=0, start_epoch=0, double_softmax=double)
    method.on_epoch_start(context(0))
    return method


@pytest.mark.parametrize("double_softmax", [False, True])
@pytest.mark.parametrize(("tau", "warm_up", "start_epoch"), [(0.45, 4, 2), (0.3, 2, 0), (0.2, 0, 3)])
def test_walks_the_path_of_the_paper(tau: float, warm_up: int, start_epoch: int, double_softmax: bool) -> None:
    torch.manual_seed(0)
    method = CoTeachingPlus(problem(), tau, warm_up, start_epoch, double_softmax=double_softmax)
    w1, w2 = problem().make_backbone(), problem().make_backbone()
    w1.load_state_dict(method.first.state_dict())
    w2.load_state_dict(method.second.state_dict())
    images, labels = points()
    selected = set()
    for epoch, index, step in training(method, EPOCHS, ETA):
        forget = forget_rate(epoch, tau, warm_up, 1)
        d_1, d_2 = co_teaching_plus_step(
            w1, w2, images[index], labels[index], epoch, start_epoch, forget, ETA, double_softmax
        )
        assert sample_weights(step) == [((i in d_1) + (i in d_2)) / 2 for i in range(B)]
        if epoch >= start_epoch:
            selected.add(len(d_1))
    assert len(selected) > 1
    for ours, theirs in ((method.first, w1), (method.second, w2)):
        assert_same_weights(ours, theirs, rtol=1e-9, atol=1e-12)


def test_before_its_start_it_is_co_teaching() -> None:
    states = []
    for make in (
        lambda: CoTeaching(problem(), 0.4, 3, 2.0),
        lambda: CoTeachingPlus(problem(), 0.4, 3, 4, 2.0, double_softmax=True),
    ):
        torch.manual_seed(0)
        method = make()
        train(method, 4, ETA)
        states.append(method.state_dict())
    for name, value in states[0].items():
        assert value.equal(states[1][name]), name


def test_each_network_selects_small_losses_among_disagreements_for_the_other() -> None:
    method = _fixed(FIRST, SECOND, forget=0.5)  # of three disagreements one
    step = method.step(INDEX, LABELS, INDEX)
    assert sample_weights(step) == [0.5, 0, 0, 0.5]
    losses = problem().loss(torch.tensor([FIRST[0], SECOND[3]]), LABELS[:2])
    assert step.loss.item() == pytest.approx(losses.sum().item())
    assert step.logits.tolist() == FIRST
    assert method.networks() == {"second": method.second}


def test_where_none_disagree_both_train_on_the_whole_batch() -> None:
    step = _fixed(FIRST, FIRST, forget=0.5).step(INDEX, LABELS, INDEX)
    assert sample_weights(step) == [1, 1, 1, 1]
    assert step.loss.item() == pytest.approx(2 * problem().loss(torch.tensor(FIRST), LABELS).mean().item())


def test_one_of_few_disagreements_is_always_kept() -> None:
    step = _fixed(FIRST[:2], SECOND[:2], forget=0.9).step(INDEX[:2], LABELS[:2], INDEX[:2])
    assert sample_weights(step) == [0.5, 0.5]  # each its own


@pytest.mark.parametrize("size", [1, 2])
def test_a_last_batch_of_one_or_two_is_stepped_on(size: int) -> None:
    for second in (FIRST, SECOND):
        step = _fixed(FIRST, second, forget=0.6).step(INDEX[:size], LABELS[:size], INDEX[:size])
        assert step.loss.isfinite()
        assert step.loss > 0


def test_the_double_softmax_of_the_authors_code_bounds_the_loss() -> None:
    certain, wrong = [50.0] + 9 * [0.0], [0.0, 50.0] + 8 * [0.0]
    method = CoTeachingPlus(lookup([certain, wrong], [wrong, certain]), 0.0, 0, 0, double_softmax=True)
    method.on_epoch_start(context(0))
    low, high = math.log(math.e + 9) - 1, math.log(math.e + 9)
    step = method.step(INDEX[:2], LABELS[:2], INDEX[:2])
    assert step.loss.item() == pytest.approx(low + high)
    assert (round(low, 2), round(high, 2)) == (1.46, 2.46)
    assert step.losses.tolist() == pytest.approx([25, 25])  # recorded as without it


def test_any_loss_ranks_and_teaches() -> None:
    torch.manual_seed(0)
    loss = GeneralizedCrossEntropy()
    method = CoTeachingPlus(problem(loss), forget_rate=0.5, warm_up=0, start_epoch=0)
    method.on_epoch_start(context(0))
    images, labels = points()
    logits = [network(images) for network in (method.first, method.second)]
    apart = (logits[0].argmax(1) != logits[1].argmax(1)).nonzero().flatten()
    assert 1 < len(apart) < len(images)
    first, second = (loss(z[apart], labels[apart]) for z in logits)
    number = len(apart) // 2
    expected = first[second.argsort()[:number]].mean() + second[first.argsort()[:number]].mean()
    torch.testing.assert_close(method.step(images, labels, torch.arange(len(images))).loss, expected)


def test_a_nan_teaches_nobody_and_nothing_but_nan_shows() -> None:
    step = _fixed([NAN, *FIRST[1:]], SECOND, forget=0.0).step(INDEX, LABELS, INDEX)
    assert sample_weights(step)[1:] == [1, 0, 1]
    assert _selected_by_first(NAN)[0] == 0
    for second in ([NAN, NAN], SECOND[:2]):
        assert _fixed([NAN, NAN], second, forget=0.0).step(INDEX[:2], LABELS[:2], INDEX[:2]).loss.isnan()


def _selected_by_first(row: list[float]) -> list[float]:
    """Return what is kept where both networks have this row for the first sample."""
    step = _fixed([row, *FIRST[1:]], [row, *SECOND[1:]], forget=0.0).step(INDEX, LABELS, INDEX)
    assert step.loss.isfinite()
    kept: list[float] = sample_weights(step)
    return kept


def test_a_value_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="start_epoch"):
        CoTeachingPlus(problem(), start_epoch=-1)

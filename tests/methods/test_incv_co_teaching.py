from dataclasses import replace
from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from noisy_lightning.errors import InputError
from noisy_lightning.losses import CrossEntropy, GeneralizedCrossEntropy, RobustLoss
from noisy_lightning.methods import EpochContext, INCVCoTeaching, Problem
from tests.methods.toys import (
    B,
    K,
    N,
    context,
    lookup,
    points,
    sample_weights,
    training,
)
from tests.reference.incv import modified_co_teaching_step, noise_of_selected

ETA, EPOCHS = 0.3, 7
SELECTED = [i for i in range(N) if i % 5 in (0, 1, 3)]
CANDIDATES = [i for i in range(N) if i % 5 == 2]
NAN = float("nan")


def _context(epoch: int, selected: list[int], candidates: list[int], noise_rate: float | None = None) -> EpochContext:
    """Return a context whose training part is what a selection names."""
    is_candidate = torch.zeros(N, dtype=torch.bool)
    is_candidate[candidates] = True
    labels = torch.full((N,), -1)
    labels[selected + candidates] = points()[1][selected + candidates]
    return EpochContext(epoch, 10, labels, context(epoch).predict, is_candidate, noise_rate)


def _network() -> nn.Module:
    """A network that tells training from inference."""
    return nn.Sequential(nn.Linear(2, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, K)).double()


def _problem(loss: RobustLoss | None = None) -> Problem:
    return Problem(_network, loss or CrossEntropy(), K, N)


def _fixed(
    losses_first: list[float], losses_second: list[float], selected: list[int], candidates: list[int], start: int = 0
) -> INCVCoTeaching:
    """Return the method with networks whose losses on class 0 are looked up, at half to forget."""
    tables = ([[0.0, loss] for loss in losses] for losses in (losses_first, losses_second))
    method = INCVCoTeaching(lookup(*tables, num_samples=N), 0.5, "pair", warm_up=0, candidates_from=start)
    method.on_epoch_start(_context(0, selected, candidates))
    return method


@pytest.mark.parametrize(
    ("rate", "pattern", "kappa", "warm_up", "candidates_from"),
    [(0.5, "pair", 1, 3, 4), (0.6, "symmetric", K - 1, 5, 2), (0.0, "symmetric", K - 1, 2, 0)],
)
def test_walks_the_path_of_the_paper(
    rate: float, pattern: Literal["symmetric", "pair"], kappa: int, warm_up: int, candidates_from: int
) -> None:
    torch.manual_seed(0)
    method = INCVCoTeaching(_problem(), rate, pattern, warm_up, candidates_from)
    f, g = _network(), _network()
    f.load_state_dict(method.first.state_dict())
    g.load_state_dict(method.second.state_dict())
    images, labels = points()
    displaced = 0
    for epoch, index, step in training(method, EPOCHS, ETA, lambda epoch: _context(epoch, SELECTED, CANDIDATES)):
        x, y = images[index], labels[index]
        s, c = ([b for b in range(B) if int(index[b]) in part] for part in (SELECTED, CANDIDATES))
        epsilon_s = noise_of_selected(rate, kappa)
        d_f, d_g = modified_co_teaching_step(f, g, x, y, s, c, epsilon_s, epoch, candidates_from - 1, warm_up, ETA)
        assert sample_weights(step) == [((b in d_f) + (b in d_g)) / 2 for b in range(B)]
        displaced += len(set(d_f) & set(c))
    assert displaced > 0
    for ours, theirs in ((method.first, f), (method.second, g)):
        for name, value in theirs.state_dict().items():
            if "num_batches" not in name:
                torch.testing.assert_close(ours.state_dict()[name], value, rtol=1e-7, atol=1e-9)


def test_candidates_displace_and_do_not_add() -> None:
    """Of four selected samples two are kept, of the pool of six: the candidates, if they cost less."""
    method = _fixed([1.0, 2, 3, 4, 0, 9, 0], [1.0, 2, 3, 4, 0, 0, 0], [0, 1, 2, 3], [4, 5])
    step = method.step(torch.arange(7), torch.zeros(7, dtype=torch.long), torch.arange(7))
    assert sample_weights(step) == [0.5, 0, 0, 0, 1, 0.5, 0]
    method = _fixed([1.0, 2, 3, 4, 0, 9, 0], [1.0, 2, 3, 4, 0, 0, 0], [0, 1, 2, 3], [4, 5], start=1)
    step = method.step(torch.arange(7), torch.zeros(7, dtype=torch.long), torch.arange(7))
    assert sample_weights(step) == [1, 1, 0, 0, 0, 0, 0]


def test_each_network_learns_what_the_other_chose() -> None:
    method = _fixed([0.0, 5.0], [5.0, 0.0], [0, 1], [])
    method.step(torch.arange(2), torch.zeros(2, dtype=torch.long), torch.arange(2)).loss.backward()
    gradients = [network.weight.grad.abs().sum(1) > 0 for network in (method.first, method.second)]  # type: ignore[union-attr,operator]
    assert [gradient.tolist() for gradient in gradients] == [[False, True], [True, False]]


@pytest.mark.parametrize("candidates", [[], [0, 1, 2]])
def test_a_batch_without_a_selected_sample_teaches_nothing(candidates: list[int]) -> None:
    method = _fixed([1.0, 2, 3, 4], [1.0, 2, 3, 4], [3], candidates)
    step = method.step(torch.arange(3), torch.zeros(3, dtype=torch.long), torch.arange(3))
    assert step.loss.item() == 0
    assert not any(sample_weights(step))
    step.loss.backward()
    gradients = [weight.grad for weight in method.parameters()]
    assert all(gradient is not None and not gradient.any() for gradient in gradients)


def test_one_of_one_selected_sample_is_kept() -> None:
    method = _fixed([1.0, 2], [1.0, 2], [1], [])
    step = method.step(torch.arange(2), torch.zeros(2, dtype=torch.long), torch.arange(2))
    assert sample_weights(step) == [0, 1]
    assert step.loss > 0


def test_a_nan_is_not_kept_and_nothing_but_nan_shows() -> None:
    labels = torch.zeros(3, dtype=torch.long)
    step = _fixed([NAN, 1, 2], [NAN, 1, 2], [0, 1, 2], []).step(torch.arange(3), labels, torch.arange(3))
    assert sample_weights(step)[0] == 0
    assert step.loss.isfinite()
    nothing = _fixed([NAN] * 3, [NAN] * 3, [0, 1, 2], [])
    assert nothing.step(torch.arange(3), labels, torch.arange(3)).loss.isnan()


def test_ranking_leaves_running_statistics_and_modes_alone() -> None:
    torch.manual_seed(0)
    method = INCVCoTeaching(_problem(), "estimate")
    method.on_epoch_start(_context(0, SELECTED, []))
    method.second[1].eval()  # type: ignore[index]  # as where a body is frozen
    images, labels = points()
    method.step(images, labels, torch.arange(N))
    first, second = method.first[1], method.second[1]  # type: ignore[index]
    assert first.num_batches_tracked == 1
    assert second.num_batches_tracked == 0
    assert first.training
    assert not second.training
    assert method.first.training


def test_half_precision_does_not_lose_the_gradient_to_the_ranking() -> None:
    torch.manual_seed(0)
    images, labels = points()
    problem = Problem(lambda: nn.Linear(2, K), CrossEntropy(), K, N)
    method = INCVCoTeaching(problem, "estimate")
    method.on_epoch_start(_context(0, SELECTED, []))
    with torch.autocast("cpu", torch.bfloat16):
        step = method.step(images.float(), labels, torch.arange(N))
    step.loss.backward()
    gradients = [weight.grad for weight in method.parameters()]
    assert all(gradient is not None and gradient.any() for gradient in gradients)


def test_the_noise_of_selected_samples_can_be_estimated_from_predictions_of_held_out_ones() -> None:
    torch.manual_seed(0)
    method = INCVCoTeaching(_problem(), "estimate", warm_up=2)
    assert not method.oracle
    asked: list[Tensor] = []

    def predict(network: nn.Module, augmented: bool = False, index: Tensor | None = None, view: int = 0) -> Tensor:
        assert index is not None
        asked.append(index)
        wrong = points()[1][index].roll(1) if network is method.first else points()[1][index]
        return 9 * nn.functional.one_hot(wrong, K).float()

    rates = []
    for epoch in range(7):
        method.on_epoch_start(replace(_context(epoch, SELECTED, CANDIDATES), predict=predict))
        rates.append(method.scalars()["forget_rate"].item())
    end = method.scalars()["noise_rate"].item()
    assert rates == pytest.approx([0, 0, 0, end, end, end, end])
    assert len(asked) == 6  # both networks in the last three epochs
    for part, unseen in zip(asked, [method.forgetting.of_first, method.forgetting.of_second] * 3, strict=True):
        assert part.tolist() == [i for i in sorted([*SELECTED, *CANDIDATES]) if unseen.held_out[i]]


@pytest.mark.parametrize(("pattern", "expected"), [("symmetric", 1 - 0.9931), ("pair", 1 / 17)])
def test_the_noise_rate_is_that_of_all_labels(pattern: Literal["symmetric", "pair"], expected: float) -> None:
    ten = Problem(_network, CrossEntropy(), 10, N)
    told, read = INCVCoTeaching(ten, 0.2, pattern), INCVCoTeaching(ten, pattern=pattern)
    assert told.oracle
    assert read.oracle == (pattern == "pair")  # symmetric noise is assumed, another pattern told
    assert not INCVCoTeaching(ten, "estimate", pattern).oracle  # where it has no use for the pattern
    for method in (told, read):
        method.on_epoch_start(_context(10, SELECTED, [], noise_rate=0.2 if method is read else 0.9))
        assert method.scalars()["forget_rate"].item() == pytest.approx(expected, abs=1e-4)


def test_any_loss_ranks_and_teaches() -> None:
    torch.manual_seed(0)
    loss = GeneralizedCrossEntropy()
    method = INCVCoTeaching(_problem(loss), 0.5, "pair", warm_up=0)
    method.on_epoch_start(_context(0, list(range(4)), []))
    images, labels = points()
    ranked = []
    for network in (method.first, method.second):
        ranked.append(loss(network.eval()(images[:4]), labels[:4]).argsort()[:2])
        network.train()
    first, second = (loss(network(images[:4]), labels[:4]) for network in (method.first, method.second))
    step = method.step(images[:4], labels[:4], torch.arange(4))
    torch.testing.assert_close(step.loss, first[ranked[1]].mean() + second[ranked[0]].mean())
    torch.testing.assert_close(step.losses, (first + second) / 2)
    assert method.networks() == {"second": method.second}


def test_no_selection_is_refused() -> None:
    with pytest.raises(InputError, match=r"data\.selection must be the file"):
        INCVCoTeaching(_problem()).on_epoch_start(context(0))


@pytest.mark.parametrize("rate", [None, 1.0])
def test_a_selection_without_a_noise_rate_is_refused_where_it_shall_say_it(rate: float | None) -> None:
    with pytest.raises(InputError, match="no column eval_ratio with a rate below 1; choose estimate"):
        INCVCoTeaching(_problem()).on_epoch_start(_context(0, SELECTED, CANDIDATES, rate))


@pytest.mark.parametrize("arguments", [{"noise_rate": 1.0}, {"warm_up": -1}, {"candidates_from": -1}])
def test_a_value_out_of_range_is_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        INCVCoTeaching(_problem(), **arguments)  # type: ignore[arg-type]

import copy
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from noisy_lightning.methods import EpochContext, Problem, ProMix
from noisy_lightning.methods.parts.agreement import agreed
from noisy_lightning.methods.parts.class_prior import ClassPrior
from noisy_lightning.methods.parts.class_quotas import smallest_of_classes
from noisy_lightning.methods.parts.ramps import rise
from tests.methods.toys import BATCHES, B, K, N, batches, points, problem, sample_weights
from tests.reference import promix as paper
from tests.reference.divide_mix import warm_up_loss
from tests.reference.losses import cross_entropy, one_hot, softmax

ETA, EPOCHS, WARM_UP, RAMP, TAU, H, W = 1.0, 6, 2, 4, 0.5, 2, 3
ARGUMENTS = {
    "warm_up": WARM_UP,
    "keep_start": 0.6,
    "keep_end": 0.2,
    "ramp": RAMP,
    "threshold": TAU,
    "guessing_epochs": 2,
    "momentum": 0.9,
    "unlabelled_weight": 0.7,
    "unlabelled_ramp": 5,
}


def _network() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(H * W, 5), nn.Tanh(), nn.Linear(5, K)).double()


def _images() -> tuple[Tensor, Tensor]:
    """Return (N, 1, H, W) images and their labels."""
    images, labels = points()
    noise = torch.randn(N, H * W - 2, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    return torch.cat([images, 0.3 * noise], 1).view(N, 1, H, W), labels


def _views(index: Tensor) -> Tensor:
    """Return (2, B, 1, H, W): the strong view is farther off."""
    images = _images()[0][index]
    return torch.stack([images, 1.3 * images.flip(3) + 0.1])


def _context(epoch: int) -> EpochContext:
    images, labels = _images()

    @torch.no_grad()
    def predict(network: nn.Module, augmented: bool = False, index: Tensor | None = None, view: int = 0) -> Tensor:
        assert not augmented
        output: Tensor = network(images)
        return output

    return EpochContext(epoch, EPOCHS, labels, predict)


def _method(**arguments: object) -> ProMix:
    torch.manual_seed(0)
    task = Problem(_network, problem().loss, K, N)
    return ProMix(task, **{**ARGUMENTS, **arguments}).double()  # type: ignore[arg-type]


def _drawn(random: np.random.Generator, batch: Tensor, selected: Sequence[bool]) -> list[object]:
    """Return for each head what MixUp and FMix draw, with partners by their place in the batch."""
    order = sorted((i for i in range(B) if selected[i]), key=lambda i: int(batch[i]))

    def partner() -> dict[int, int]:
        permutation = random.permutation(len(order))
        return {i: order[permutation[place]] for place, i in enumerate(order)}

    draws: list[object] = []
    for _ in range(2):
        mixup = float(random.beta(4, 4)), partner()
        lam, (real, imaginary) = random.beta(1, 1), random.standard_normal((2, H, W // 2 + 1))
        mask = paper.fmix_mask(lam, real, imaginary, 3, H, W, random.random() > 0.5)
        draws.append((mixup, (float(lam), mask, partner())))
    return draws


def _heads(net: nn.ModuleList) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    body, last, pseudo = net

    def logits(x: Tensor) -> tuple[Tensor, Tensor]:
        features = body(x[None])[0]
        return last(features), pseudo(features)

    return logits


def _descend(weights: list[nn.Parameter], loss: Tensor) -> None:
    gradients = torch.autograd.grad(loss, weights, allow_unused=True)
    with torch.no_grad():
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.sub_(ETA * (torch.zeros_like(weight) if gradient is None else gradient))


def test_walks_the_path_of_the_paper() -> None:
    method = _method()
    nets = []
    for network, side in method._sides():
        layers: nn.Sequential = copy.deepcopy(network)  # type: ignore[assignment]
        nets.append(nn.ModuleList([layers[:-1], layers[-1], copy.deepcopy(side.heads.linear)]))
    pi, pi_u = [[[1 / K] * K for _ in range(2)] for _ in range(2)]
    optimizer = torch.optim.SGD(method.parameters(), lr=ETA)
    images, labels = _images()
    seen: set[str] = set()
    for epoch in range(EPOCHS):
        method.on_epoch_start(_context(epoch))
        rho = 0.6 + (0.2 - 0.6) * min(epoch / RAMP, 1)
        small = []
        for net in nets:
            h = [_heads(net)(x)[0] for x in images]
            losses = [cross_entropy(softmax(z), one_hot(int(y), K)).item() for z, y in zip(h, labels, strict=True)]
            small.append(paper.class_wise_small_loss(losses, labels.tolist(), K, rho))
        for number, batch in enumerate(batches(epoch)):
            weak, strong = _views(batch)
            step = method.step(_views(batch), labels[batch], batch)
            optimizer.zero_grad()
            step.loss.backward()
            optimizer.step()
            method.on_step_end()
            random = np.random.default_rng([int(method.seed), epoch, number * B])
            y = labels[batch].tolist()
            p = [[[p_c.item() for p_c in softmax(_heads(net)(x)[0])] for x in weak] for net in nets]
            total, kept = 0.0, [0.0] * B
            losses_of_both = []
            for k, net in enumerate(nets):
                if epoch < WARM_UP:
                    loss = warm_up_loss([_heads(net)(x)[0] for x in weak], labels[batch], penalize=False)
                    selected, targets = [True] * B, list(y)
                else:
                    selected = [small[k][int(batch[i])] or p[k][i][y[i]] > TAU for i in range(B)]
                    targets = list(y)
                    joined = paper.label_guessing(p[0], p[1], selected, TAU) if epoch >= EPOCHS - 2 else []
                    for i in joined:
                        targets[i] = paper.guess(_heads(net)(weak[i])[0], pi[k], 0.8)
                        selected[i] = True
                    seen |= {"guessed"} if joined else set()
                    seen |= {"rest"} if not all(selected) else set()
                    pi[k] = paper.follow(pi[k], [p[k][i] for i in range(B) if selected[i]], 0.9)
                    pi_u[k] = paper.follow(pi_u[k], [p[k][i] for i in range(B) if not selected[i]], 0.9)
                    loss = paper.promix_loss(
                        _heads(net),
                        weak,
                        strong,
                        targets,
                        selected,
                        pi[k],
                        pi_u[k],
                        0.8,
                        min(epoch / RAMP, 1),
                        paper.beta_of(epoch, 0.7, 5, ends=True),
                        0.5,
                        _drawn(random, batch, selected),
                    )
                losses_of_both.append(loss)
                total += loss.item()
                kept = [a + (s and t == g) / 2 for a, s, t, g in zip(kept, selected, targets, y, strict=True)]
            for net, loss in zip(nets, losses_of_both, strict=True):
                _descend(list(net.parameters()), loss)
            assert step.loss.item() == pytest.approx(total, abs=1e-5)
            assert sample_weights(step) == kept
    assert seen == {"guessed", "rest"}
    for (network, side), net, own, other in zip(method._sides(), nets, pi, pi_u, strict=True):
        for mine, theirs in zip(
            [*network.parameters(), *side.heads.linear.parameters()], net.parameters(), strict=True
        ):
            torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=0)
        assert side.selected.values.tolist() == pytest.approx(own)
        assert side.others.values.tolist() == pytest.approx(other)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.7, 1.0])
def test_the_small_losses_of_each_class_are_those_of_the_paper(share: float) -> None:
    random = torch.Generator().manual_seed(1)
    table = torch.randn(40, 4, generator=random)
    given = torch.cat([torch.zeros(25), torch.ones(12), torch.full((3,), 2.0)]).long()
    labels = given[torch.randperm(40, generator=random)]
    task = Problem(lambda: nn.Linear(3, 4), problem().loss, 4, 40)
    method = ProMix(task, warm_up=0, keep_start=share, keep_end=share)
    method.on_epoch_start(EpochContext(0, 1, labels, lambda *_: table))
    losses = [cross_entropy(softmax(z), one_hot(int(y), 4)).item() for z, y in zip(table, labels, strict=True)]
    expected = paper.class_wise_small_loss(losses, labels.tolist(), 4, share)
    assert method.of_first.small.values.tolist() == expected
    # 3,500 of each class of CIFAR-10 where ρ is 0.7.
    assert sum(expected) == sum(min(size, -int(-10 * share // 1)) for size in (25, 12, 3, 0))


def test_of_equal_losses_the_first_are_small() -> None:
    labels = torch.tensor([0, 1, 0, 0, 1])
    assert smallest_of_classes(torch.ones(5), labels, 2, 2).tolist() == [True, True, True, False, True]
    assert not smallest_of_classes(torch.ones(5), labels, 2, 0).any()


def test_guesses_fill_nine_tenths_of_a_batch_and_the_surest_come_first() -> None:
    random = torch.Generator().manual_seed(0)
    for sharpness in (2.0, 8.0):
        p, q = (torch.softmax(sharpness * torch.rand(23, 3, generator=random), 1) for _ in range(2))
        q[:15] = p[:15] * torch.tensor([1.0, 1.1, 0.9])
        for chosen in (0, 11, 20, 21, 23):
            selected = torch.arange(23) < chosen
            joined = agreed(p, q, selected, 0.4).nonzero().squeeze(1).tolist()
            assert joined == sorted(paper.label_guessing(p.tolist(), q.tolist(), selected.tolist(), 0.4))
            assert chosen + len(joined) <= max(20, chosen)
    sure = torch.tensor([[0.1, 0.9]] * 20)
    assert agreed(sure, sure, torch.zeros(20, dtype=torch.bool), 0.5).sum() == 18


def test_an_average_of_predictions_moves_by_the_mean_of_its_part() -> None:
    prior = ClassPrior(2, 0.75)
    p = torch.tensor([[0.9, 0.1], [0.5, 0.5], [0.0, 1.0]])
    prior.follow(p, torch.tensor([True, True, False]))
    assert prior.values.tolist() == pytest.approx([0.375 + 0.25 * 0.7, 0.375 + 0.25 * 0.3])
    before = prior.values.clone()
    prior.follow(p, torch.zeros(3, dtype=torch.bool))
    assert prior.values.equal(before)
    torch.testing.assert_close(prior.log(), before.log())


def test_the_weights_of_the_paper_count_from_the_first_epoch() -> None:
    assert rise(10, 50) == pytest.approx(0.2)
    assert [rise(epoch, 2) for epoch in range(4)] == [0.0, 0.5, 1.0, 1.0]
    assert rise(0, 0) == 1
    for ends in (True, False):
        for epoch in (0, 50, 99, 100, 300):
            assert 0.1 * rise(epoch, 100, ends) == pytest.approx(paper.beta_of(epoch, 0.1, 100, ends))


@pytest.mark.parametrize("all_of_them", [True, False])
@pytest.mark.parametrize("size", [1, B])
def test_a_batch_with_all_or_none_selected_has_finite_losses_and_gradients(all_of_them: bool, size: int) -> None:
    method, labels = _method(threshold=0.0 if all_of_them else 0.999, guessing_epochs=0), _images()[1]
    method.on_epoch_start(_context(WARM_UP + 1))
    for _, side in method._sides():
        side.small.values.fill_(all_of_them)
    index = torch.arange(size)
    step = method.step(_views(index), labels[index], index)
    step.loss.backward()
    assert step.loss.isfinite()
    gradients = [weight.grad for weight in method.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
    assert any(gradient is not None and gradient.any() for gradient in gradients)
    assert sample_weights(step) == [float(all_of_them)] * size
    assert all(value.isfinite().all() for value in method.state_dict().values())


@pytest.mark.parametrize("penalize", [False, True])
def test_the_warm_up_takes_the_weak_view_and_may_penalize_confidence(penalize: bool) -> None:
    method = _method(negative_entropy=penalize)
    method.on_epoch_start(_context(0))
    index = torch.arange(B)
    images, labels = _views(index), _images()[1][index]
    step = method.step(images, labels, index)
    networks = list(method.networks().values())
    expected = sum(warm_up_loss(network(images[0]), labels, penalize) for network in networks)
    assert step.loss.item() == pytest.approx(expected.item())
    step.loss.backward()
    assert not any(
        weight.grad is None or weight.grad.any()
        for _, side in method._sides()
        for weight in side.heads.linear.parameters()
    )


def test_labels_are_guessed_in_the_last_epochs_alone() -> None:
    guessing = []
    method = _method(guessing_epochs=2)
    for epoch in range(EPOCHS):
        method.on_epoch_start(_context(epoch))
        guessing.append(bool(method.guessing))
    assert guessing == [False] * (EPOCHS - 2) + [True] * 2
    assert method.depends_on_length
    assert not _method(guessing_epochs=0).depends_on_length


def test_what_is_selected_and_guessed_is_logged() -> None:
    method, labels = _method(threshold=0.2), _images()[1]
    method.on_epoch_start(_context(EPOCHS - 1))
    shares = []
    for batch in batches(0):
        shares += sample_weights(method.step(_views(batch), labels[batch], batch))
    logged = method.scalars()
    assert logged["selected"].item() == pytest.approx(sum(shares) / (BATCHES * B))
    assert 0 <= logged["guessed"] <= logged["selected"]


def test_the_mean_of_logits_is_evaluated_and_each_network_beside_it() -> None:
    method, images = _method(), _images()[0]
    first, second = method.networks().values()
    torch.testing.assert_close(method(images), (first(images) + second(images)) / 2)
    assert not method.oracle


@pytest.mark.parametrize(
    "arguments",
    [
        {"warm_up": -1},
        {"keep_start": 0.0},
        {"keep_end": 1.1},
        {"ramp": -1},
        {"threshold": 1.0},
        {"guessing_epochs": -1},
        {"debias": -0.1},
        {"momentum": 1.0},
        {"temperature": 0.0},
        {"unlabelled_weight": -1.0},
        {"unlabelled_ramp": -1},
    ],
)
def test_a_value_out_of_range_is_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        _method(**arguments)


def test_a_network_that_ends_in_no_linear_layer_is_refused() -> None:
    task = Problem(lambda: nn.Conv2d(1, K, 1), problem().loss, K, N)
    with pytest.raises(ValueError, match="must end in a linear layer"):
        ProMix(task)

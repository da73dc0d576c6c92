import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from noisy_lightning.errors import InputError
from noisy_lightning.losses import GeneralizedCrossEntropy
from noisy_lightning.methods import DivideMix, EpochContext, Problem
from noisy_lightning.methods.divide_mix import low_loss_probability, scaled
from noisy_lightning.methods.parts.semi_supervised import mixed_loss, negative_entropy, sharpened
from tests.methods.toys import (
    BATCHES,
    B,
    K,
    N,
    batches,
    points,
    problem,
    sample_weights,
)
from tests.networks import Random
from tests.reference import divide_mix as paper
from tests.reference.losses import cross_entropy, one_hot, softmax

ETA, EPOCHS, WARM_UP, RAMP, WEIGHT = 0.5, 5, 2, 3, 5.0


def _context(epoch: int) -> EpochContext:
    points_, labels = points()

    @torch.no_grad()
    def predict(network: nn.Module, augmented: bool = False, index: Tensor | None = None, view: int = 0) -> Tensor:
        assert not augmented
        output: Tensor = network(points_)
        return output.float()

    return EpochContext(epoch, EPOCHS, labels, predict)


def _views(index: Tensor) -> Tensor:
    """Return (2, B, 2): the second view is a little off."""
    images = points()[0][index]
    return torch.stack([images, 1.1 * images + 0.05])


def _method(**arguments: object) -> DivideMix:
    torch.manual_seed(0)
    made = {"warm_up": WARM_UP, "ramp": RAMP, "unlabelled_weight": WEIGHT, **arguments}
    return DivideMix(problem(), **made)  # type: ignore[arg-type]


def _begun(weights: Tensor, **arguments: object) -> DivideMix:
    """Return a method in the middle of a run, with w (N,) by both networks."""
    method = _method(**arguments)
    method.on_epoch_start(_context(WARM_UP + 1))
    for memory in (method.by_first, method.by_second):
        memory.values.copy_(weights)
    return method


def test_walks_the_path_of_the_paper() -> None:
    method = _method(threshold=0.4)
    f = [copy.deepcopy(method.first), copy.deepcopy(method.second)]
    ours = torch.optim.SGD(method.parameters(), lr=ETA)
    everything, labels = points()
    kinds = set()
    for epoch in range(EPOCHS):
        method.on_epoch_start(_context(epoch))
        w = []
        for network in f:
            losses = [
                cross_entropy(softmax(z), one_hot(int(y), K)).item()
                for z, y in zip(network(everything), labels, strict=True)
            ]
            high = max(losses) - min(losses)
            # As the package has its mixture from scikit-learn, compared below, so has this the split of it.
            w.append(low_loss_probability(torch.tensor([(loss - min(losses)) / high for loss in losses])).tolist())
        for number, batch in enumerate(batches(epoch)):
            x1, x2 = _views(batch)
            step = method.step(_views(batch), labels[batch], batch)
            ours.zero_grad()
            step.loss.backward()
            ours.step()
            if epoch < WARM_UP:
                total = 0.0
                for network in f:
                    loss = paper.warm_up_loss(network(x1), labels[batch], penalize=False)
                    total += loss.item()
                    with torch.no_grad():
                        for weight, gradient in zip(
                            network.parameters(), torch.autograd.grad(loss, list(network.parameters())), strict=True
                        ):
                            weight.sub_(ETA * gradient)
            else:
                random = np.random.default_rng([int(method.seed), epoch, number * B])
                logits = [[network(x1).detach(), network(x2).detach()] for network in f]
                lam = paper.lambda_u(epoch + number / BATCHES, WARM_UP, RAMP, WEIGHT)
                # Rows are permuted in the order of the samples' positions, each sample's views one after the other.
                order = sorted(range(2 * B), key=lambda row: (int(batch[row % B]), row // B))
                place = {row: at for at, row in enumerate(order)}
                total = 0.0
                for k in range(2):
                    share, permutation = random.beta(4.0, 4.0), random.permutation(2 * B)
                    partner = [order[permutation[place[row]]] for row in range(2 * B)]
                    w_other = [w[1 - k][int(i)] for i in batch]
                    kinds |= {w_i > 0.4 for w_i in w_other}
                    total += paper.divide_mix_step(
                        f[k], logits[1 - k], x1, x2, labels[batch], w_other, 0.4, 0.5, lam, share, partner, ETA
                    ).item()
            assert step.loss.item() == pytest.approx(total, abs=1e-5)
            method.on_step_end()
        method.on_epoch_end(_context(epoch))
    assert kinds == {True, False}
    for mine, network in zip((method.first, method.second), f, strict=True):
        for weight, expected in zip(mine.parameters(), network.parameters(), strict=True):
            torch.testing.assert_close(weight, expected, atol=1e-5, rtol=0)


def test_the_mixture_is_that_of_the_published_constants() -> None:
    random = np.random.default_rng(0)
    losses = np.concatenate([random.normal(0.2, 0.08, 60), random.normal(0.55, 0.15, 40)])
    w = low_loss_probability(torch.from_numpy(losses))
    split = _two_means(losses.tolist())
    expected = paper.divide(losses.tolist(), split)
    assert w.tolist() == pytest.approx(expected, abs=1e-6)
    assert 0.3 < sum(expected) / len(expected) < 0.9


def _two_means(losses: list[float]) -> float:
    split = sum(losses) / len(losses)
    for _ in range(50):
        low, high = ([loss for loss in losses if (loss < split) == below] for below in (True, False))
        split = (sum(low) / len(low) + sum(high) / len(high)) / 2
    return split


def test_losses_are_scaled_between_the_extremes() -> None:
    losses = [3.0, 1.0, 2.0, 5.0]
    assert scaled(torch.tensor(losses)).tolist() == pytest.approx(paper.min_max(losses))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 0.01])
def test_sharpening_is_that_of_the_paper(temperature: float) -> None:
    p = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]], dtype=torch.float64)
    for row, expected in zip(sharpened(p, temperature), p, strict=True):
        assert row.tolist() == pytest.approx([value.item() for value in paper.sharpen(list(expected), temperature)])


def test_sharpening_many_classes_alike_leaves_them_alike() -> None:
    assert sharpened(torch.full((1, 100), 0.01), 0.01).tolist() == [pytest.approx([0.01] * 100)]


@pytest.mark.parametrize("labeled", [[True, False, True], [True] * 3, [False] * 3])
def test_the_loss_of_a_batch_needs_neither_kind(labeled: list[bool]) -> None:
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(3, K, generator=random, dtype=torch.float64).requires_grad_()
    target = torch.rand(3, K, generator=random, dtype=torch.float64).softmax(1)
    loss = mixed_loss(problem().loss, logits, target, torch.tensor(labeled), 7.0)
    rows = list(zip(logits, target, labeled, strict=True))
    x = [(z, t) for z, t, kind in rows if kind]
    u = [(z, t) for z, t, kind in rows if not kind]
    expected = paper.mixmatch_loss([z for z, _ in x], [t for _, t in x], [z for z, _ in u], [t for _, t in u], 7.0)
    assert loss.item() == pytest.approx(expected.item())
    ours, theirs = (torch.autograd.grad(value, logits)[0] for value in (loss, expected))
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("penalize", [False, True])
def test_the_warm_up_takes_the_first_view_and_may_penalize_confidence(penalize: bool) -> None:
    method = _method(negative_entropy=penalize)
    method.on_epoch_start(_context(0))
    index = torch.arange(B)
    images, labels = _views(index), points()[1][index]
    step = method.step(images, labels, index)
    networks = (method.first, method.second)
    expected = sum(paper.warm_up_loss(network(images[0]), labels, penalize) for network in networks)
    assert step.loss.item() == pytest.approx(expected.item())
    torch.testing.assert_close(step.logits, method.first(images[0]) + method.second(images[0]))
    assert sample_weights(step) == [1] * B


def test_a_class_of_probability_zero_in_a_whole_batch_gives_finite_losses_and_gradients() -> None:
    logits = torch.tensor([[1e4, 0.0, 0.0]] * 4, requires_grad=True)
    target, labeled = torch.eye(3)[torch.tensor([0, 0, 1, 2])], torch.tensor([True, False, True, False])
    loss = mixed_loss(problem().loss, logits, target, labeled, 7.0)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert loss.isfinite()
    assert gradient.isfinite().all()


def test_negative_entropy_survives_extreme_logits() -> None:
    logits = torch.tensor([[1e4, 0, 0]], requires_grad=True)
    value = negative_entropy(logits).sum()
    assert value.item() == 0
    assert torch.autograd.grad(value, logits)[0].isfinite().all()


def test_the_weight_of_the_unlabeled_grows_from_batch_to_batch() -> None:
    method, labels = _method(), points()[1]
    for epoch in range(EPOCHS + 1):
        method.on_epoch_start(_context(epoch))
        for number, batch in enumerate(batches(epoch)):
            now = method.scalars()["unlabelled_weight"].item()
            expected = paper.lambda_u(epoch + number / BATCHES, WARM_UP, RAMP, WEIGHT)
            assert now == pytest.approx(expected)
            method.step(_views(batch), labels[batch], batch)
    at_once = _method(ramp=0)
    for epoch, expected in ((WARM_UP - 1, 0), (WARM_UP, WEIGHT)):
        at_once.on_epoch_start(_context(epoch))
        assert at_once.scalars()["unlabelled_weight"] == expected


def test_each_network_follows_the_division_by_the_other() -> None:
    method = _method()
    method.on_epoch_start(_context(WARM_UP))
    method.by_first.values.fill_(0.9)
    method.by_second.values.fill_(0.1)
    index = torch.arange(B)
    labels = points()[1][index]
    rows, given = _views(index).flatten(0, 1), F.one_hot(labels, K)
    one, two = method.first(rows), method.second(rows)
    first, second = (
        method._targets(own, other, given, memory.read(index), memory.read(index) > 0.5)
        for own, other, memory in ((one, two, method.by_second), (two, one, method.by_first))
    )
    step = method.step(_views(index), labels, index)
    assert sample_weights(step) == pytest.approx([0.45] * B)
    for i in range(B):
        views = _views(index)[:, i]
        ours, theirs = method.first(views), method.second(views)
        assert first[i].tolist() == pytest.approx([v.item() for v in paper.co_guess(list(ours), list(theirs), 0.5)])
        expected = paper.co_refine(labels[i], 0.9, list(theirs), 0.5)
        assert second[i].tolist() == pytest.approx([v.item() for v in expected])


@pytest.mark.parametrize("weights", [torch.zeros(N), torch.ones(N)], ids=["none labeled", "all labeled"])
@pytest.mark.parametrize("size", [1, 2, B])
def test_a_batch_of_one_kind_still_teaches(weights: Tensor, size: int) -> None:
    method, labels = _begun(weights), points()[1]
    index = torch.arange(size)
    step = method.step(_views(index), labels[index], index)
    step.loss.backward()
    assert step.loss.isfinite()
    for network in (method.first, method.second):
        gradients = [weight.grad for weight in network.parameters()]
        assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
        assert any(gradient is not None and gradient.any() for gradient in gradients)
    assert sample_weights(step) == weights[:size].tolist()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0], ids=str)
def test_losses_that_cannot_be_divided_leave_all_labeled(value: float) -> None:
    method = _method()
    labels = points()[1]

    def predict(network: nn.Module, augmented: bool = False, index: Tensor | None = None, view: int = 0) -> Tensor:
        output = torch.zeros(N, K)
        output[0, 0] = value
        return output

    with pytest.warns(UserWarning, match="cannot be divided"):
        method.on_epoch_start(EpochContext(WARM_UP, EPOCHS, labels, predict))
    assert (method.by_first.values == 1).all()
    assert method.scalars()["labelled"] == 1
    assert all(value.isfinite().all() for value in method.state_dict().values())
    index = torch.arange(B)
    assert method.step(_views(index), labels[index], index).loss.isfinite()


def test_clean_labels_are_divided_too() -> None:
    method, (images, _) = _method(), points()
    labels = method.first(images).argmax(1)
    method.on_epoch_start(EpochContext(WARM_UP, EPOCHS, labels, _context(0).predict))
    assert 0 < method.scalars()["labelled"] <= 1
    assert method.by_first.values.isfinite().all()


def test_samples_outside_the_training_part_divide_nothing() -> None:
    method, labels = _method(), points()[1]
    some = labels.clone()
    some[N // 2 :] = -1

    def predict(network: nn.Module, augmented: bool = False, index: Tensor | None = None, view: int = 0) -> Tensor:
        output = _context(0).predict(network)
        output[N // 2 :] = float("nan")
        return output

    method.on_epoch_start(EpochContext(WARM_UP, EPOCHS, some, predict))
    inside = method.by_first.values[: N // 2]
    losses = F.cross_entropy(method.first(points()[0]).float()[: N // 2], labels[: N // 2], reduction="none").detach()
    assert inside.tolist() == pytest.approx(low_loss_probability(scaled(losses)).tolist())
    assert (method.by_first.values[N // 2 :] == 1).all()
    assert method.size == N // 2


def test_the_losses_of_the_last_epochs_are_averaged() -> None:
    method, labels = _method(average_last=2), points()[1]
    tables = [torch.randn(N, K, generator=torch.Generator().manual_seed(seed)) for seed in range(3)]
    epochs = []
    for number, table in enumerate(tables):
        method.on_epoch_start(EpochContext(WARM_UP + number, 9, labels, lambda *_, table=table: table))
        epochs.append(scaled(F.cross_entropy(table, labels, reduction="none")))
        expected = low_loss_probability(torch.stack(epochs[-2:]).mean(0))
        torch.testing.assert_close(method.by_second.values, expected)


def test_the_guesses_are_made_in_the_published_modes() -> None:
    # The network's own guesses move its batch statistics, the other's do not; with mixed images that makes two updates.
    torch.manual_seed(0)
    method = DivideMix(Problem(lambda: Random(K, 1), problem().loss, K, 8), warm_up=0)
    method.size.fill_(8)
    method.step(torch.randn(2, 8, 1, 4, 4), torch.zeros(8, dtype=torch.long), torch.arange(8))
    for network in (method.first, method.second):
        (norm,) = (layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d))
        assert norm.num_batches_tracked == 2
        assert all(layer.training for layer in network.modules())


def test_half_precision_teaches_as_much() -> None:
    # Weights that autocast has cast for the guesses must not be taken for the pass with gradient.
    gradients = []
    for half in (False, True):
        torch.manual_seed(0)
        method = DivideMix(Problem(lambda: Random(K, 1), problem().loss, K, 64), warm_up=0)
        for layer in method.modules():
            if isinstance(layer, nn.Dropout):
                layer.p = 0.0
        method.size.fill_(64)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            images = torch.randn(2, 64, 1, 4, 4, generator=torch.Generator().manual_seed(1))
            step = method.step(images, torch.arange(64) % K, torch.arange(64))
        step.loss.backward()
        assert step.loss.dtype == step.losses.dtype == torch.float32
        gradients.append(
            torch.cat([weight.grad.flatten() for weight in method.parameters() if weight.grad is not None])
        )
    assert len(gradients[0]) == sum(weight.numel() for weight in method.parameters())
    assert F.cosine_similarity(gradients[0], gradients[1], dim=0) > 0.97
    assert gradients[1].norm() == pytest.approx(gradients[0].norm().item(), rel=0.1)


def test_the_draws_follow_the_epoch_and_the_place_in_it() -> None:
    labels, index = points()[1], torch.arange(B)
    method = _begun(torch.full((N,), 0.6))
    losses = [method.step(_views(index), labels[index], index).loss.item() for _ in range(2)]
    assert losses[0] != pytest.approx(losses[1])
    again = _method()
    again.load_state_dict(method.state_dict())
    again.served.zero_()
    assert again.step(_views(index), labels[index], index).loss.item() == losses[0]


def test_any_loss_with_soft_targets_divides_and_teaches() -> None:
    torch.manual_seed(0)
    loss = GeneralizedCrossEntropy()
    method = DivideMix(problem(loss), warm_up=0)
    method.on_epoch_start(_context(0))
    images, labels = points()
    expected = low_loss_probability(scaled(loss(method.first(images).float(), labels).detach()))
    torch.testing.assert_close(method.by_first.values, expected.float())


def test_a_loss_without_soft_targets_is_refused() -> None:
    class Hard(nn.Module):
        def forward(self, logits: Tensor, target: Tensor) -> Tensor:
            raise ValueError("class indices only")

    with pytest.raises(InputError, match="Hard does not go with this method"):
        DivideMix(problem(Hard()))  # type: ignore[arg-type]


def test_the_sum_of_logits_is_evaluated_and_each_network_beside_it() -> None:
    method, images = _method(), points()[0]
    torch.testing.assert_close(method(images), method.first(images) + method.second(images))
    assert method.networks() == {"first": method.first, "second": method.second}
    assert not method.oracle


@pytest.mark.parametrize(
    "arguments",
    [
        {"warm_up": -1},
        {"threshold": 1.0},
        {"temperature": 0.0},
        {"alpha": 0.0},
        {"unlabelled_weight": -1.0},
        {"ramp": -1},
        {"average_last": 0},
    ],
)
def test_a_value_out_of_range_is_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        _method(**arguments)

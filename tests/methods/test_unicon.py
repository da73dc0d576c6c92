import copy
import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from noisy_lightning.errors import InputError
from noisy_lightning.methods import UNICON, EpochContext
from noisy_lightning.methods.parts.projection import Projection
from noisy_lightning.methods.unicon import jensen_shannon
from tests.methods.toys import BATCHES, B, K, N, batches, points, problem, sample_weights
from tests.reference import unicon as paper
from tests.reference.divide_mix import lambda_u, warm_up_loss
from tests.reference.losses import softmax

ETA, EPOCHS, WARM_UP, RAMP, WEIGHT, CONTRAST, T_C = 0.5, 4, 1, 3, 5.0, 0.5, 0.4


def _context(epoch: int) -> EpochContext:
    points_, labels = points()

    @torch.no_grad()
    def predict(network: nn.Module, augmented: bool = False, index: Tensor | None = None, view: int = 0) -> Tensor:
        assert not augmented
        output: Tensor = network(points_)
        return output

    return EpochContext(epoch, EPOCHS, labels, predict)


def _views(index: Tensor) -> Tensor:
    """Return (4, B, 2): two weak views and two strong ones, each a little off."""
    images = points()[0][index]
    return torch.stack([images, 1.1 * images + 0.05, images.flip(1), 0.7 * images - 0.1])


def _method(**arguments: object) -> UNICON:
    torch.manual_seed(0)
    made = {"warm_up": WARM_UP, "ramp": RAMP, "unlabelled_weight": WEIGHT, "contrast_weight": CONTRAST}
    return UNICON(problem(), **{**made, "contrast_temperature": T_C, **arguments}).double()  # type: ignore[arg-type]


def test_walks_the_path_of_the_paper() -> None:
    method = _method()
    # The loops are short for few numbers.
    method.projection_first, method.projection_second = (Projection(method.first, 4) for _ in range(2))
    nets = [
        (copy.deepcopy(network), copy.deepcopy(projection))
        for network, projection in (
            (method.first, method.projection_first),
            (method.second, method.projection_second),
        )
    ]
    optimizer = torch.optim.SGD(method.parameters(), lr=ETA)
    everything, labels = points()
    kinds = set()
    for epoch in range(EPOCHS):
        method.on_epoch_start(_context(epoch))
        p_1, p_2 = ([[p.item() for p in softmax(z)] for z in network(everything)] for network, _ in nets)
        w_of_all = paper.select(p_1, p_2, labels.tolist(), K)
        if epoch >= WARM_UP:
            assert method.weights.values.tolist() == pytest.approx(w_of_all)
        # Of so few points, none is labeled with a divergence above 0.5.
        w_of_all = [0.6 * w if i % 3 else w for i, w in enumerate(w_of_all)]
        method.weights.values.copy_(torch.tensor(w_of_all))
        for number, batch in enumerate(batches(epoch)):
            views, y = _views(batch), labels[batch]
            step = method.step(views, y, batch)
            optimizer.zero_grad()
            step.loss.backward()
            optimizer.step()
            w = [w_of_all[int(i)] for i in batch]
            random = np.random.default_rng([int(method.seed), epoch, number * B])
            logits = [[[network(x) for x in view] for view in views[:2].detach()] for network, _ in nets]
            order = sorted(range(2 * B), key=lambda row: (int(batch[row % B]), row // B))
            place = {row: at for at, row in enumerate(order)}
            losses = []
            for k, (network, projection) in enumerate(nets):
                if epoch < WARM_UP:
                    losses.append(warm_up_loss(network(views[0]), y, penalize=False))
                    continue
                kinds |= set(w)
                share, permutation = random.beta(4.0, 4.0), random.permutation(2 * B)
                partner = [order[permutation[place[row]]] for row in range(2 * B)]
                lam = lambda_u(epoch + number / BATCHES, WARM_UP, RAMP, WEIGHT)
                losses.append(
                    paper.unicon_loss(
                        network,
                        nn.Sequential(*list(network.children())[:2]),
                        projection.linear,
                        projection.norm,
                        views[:2],
                        views[2:],
                        [[z.detach() for z in view] for view in logits[1 - k]],
                        y,
                        w,
                        0.5,
                        lam,
                        CONTRAST,
                        T_C,
                        share,
                        partner,
                    )
                )
            assert step.loss.item() == pytest.approx(sum(losses).item(), abs=1e-6)
            assert sample_weights(step) == ([1.0] * B if epoch < WARM_UP else pytest.approx(w))
            for loss, (network, projection) in zip(losses, nets, strict=True):
                _descend([*network.parameters(), *projection.parameters()], loss)
    assert kinds == {0, 0.6, 1}
    for mine, projected, (network, projection) in zip(
        (method.first, method.second), (method.projection_first, method.projection_second), nets, strict=True
    ):
        ours = [*mine.parameters(), *projected.parameters()]
        for weight, expected in zip(ours, [*network.parameters(), *projection.parameters()], strict=True):
            torch.testing.assert_close(weight, expected, atol=1e-6, rtol=0)


def _descend(weights: list[nn.Parameter], loss: Tensor) -> None:
    gradients = torch.autograd.grad(loss, weights, allow_unused=True)
    with torch.no_grad():
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.sub_(ETA * (torch.zeros_like(weight) if gradient is None else gradient))


def test_the_divergence_is_that_of_the_formula_and_at_most_the_logarithm_of_two() -> None:
    random = torch.Generator().manual_seed(0)
    p = torch.softmax(5 * torch.randn(200, K, generator=random, dtype=torch.float64), 1)
    q = F.one_hot(torch.randint(0, K, (200,), generator=random), K).double()
    d = jensen_shannon(p, q)
    assert d.tolist() == pytest.approx([paper.jsd(a, b) for a, b in zip(p.tolist(), q.tolist(), strict=True)])
    assert 0 <= d.min() < 0.01
    assert 0.65 < d.max() <= math.log(2)
    torch.testing.assert_close(d, jensen_shannon(q, p))
    apart = jensen_shannon(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]))
    assert apart.item() == pytest.approx(math.log(2))
    assert jensen_shannon(q, q).abs().max() < 1e-9


def _selected(labels: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
    """Return w (N,) after the warm-up, and the share labeled."""
    method = _method(warm_up=0)
    padded = torch.full((N,), -1)
    padded[: len(labels)] = labels
    table = torch.full((N, K), torch.nan)
    table[: len(labels)] = logits
    method.on_epoch_start(EpochContext(0, 1, padded, lambda *_: table))
    return method.weights.values, method.scalars()["labelled"]


def test_each_class_gives_its_quota_and_a_short_one_all_that_it_has() -> None:
    random = torch.Generator().manual_seed(2)
    labels = torch.tensor([0] * 14 + [1] * 8 + [2] * 2)
    logits = F.one_hot(labels, K) * torch.linspace(0, 4, 24)[torch.randperm(24, generator=random), None]
    w, share = _selected(labels, logits)
    p = torch.softmax(logits, 1).tolist()
    expected = paper.select(p, p, labels.tolist(), K)
    assert w[:24].tolist() == pytest.approx(expected)
    counts = [int((w[:24][labels == k] > 0).sum()) for k in range(K)]
    quota = counts[0]
    assert 2 < quota <= 8
    assert counts == [quota, quota, 2]
    assert (w[24:] == 1).all(), "samples outside the training part are not selected from"
    assert share.item() == pytest.approx(sum(counts) / 24)


def test_predictions_that_are_not_finite_leave_no_label() -> None:
    labels, logits = torch.arange(24) % K, torch.zeros(24, K)
    logits[3] = torch.nan
    w, share = _selected(labels, logits)
    assert not w[:24].any()
    assert share == 0


@pytest.mark.parametrize("w", [0.0, 1.0], ids=["none labeled", "all labeled"])
@pytest.mark.parametrize("size", [1, 2, B])
def test_a_batch_of_one_kind_still_teaches(w: float, size: int) -> None:
    method, labels = _method(), points()[1]
    method.on_epoch_start(_context(WARM_UP + 1))
    method.weights.values.fill_(w)
    index = torch.arange(size)
    step = method.step(_views(index), labels[index], index)
    step.loss.backward()
    assert step.loss.isfinite()
    gradients = [weight.grad for weight in method.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
    assert any(gradient is not None and gradient.any() for gradient in gradients)
    contrasted = any(weight.grad.any() for weight in method.projection_first.parameters() if weight.grad is not None)
    assert contrasted == (w == 0 and size > 1)
    assert sample_weights(step) == [w] * size


def test_the_weight_of_the_unlabeled_grows_from_batch_to_batch() -> None:
    method, labels = _method(), points()[1]
    for epoch in range(EPOCHS):
        method.on_epoch_start(_context(epoch))
        for number, batch in enumerate(batches(epoch)):
            now = method.scalars()["unlabelled_weight"].item()
            assert now == pytest.approx(lambda_u(epoch + number / BATCHES, WARM_UP, RAMP, WEIGHT))
            method.step(_views(batch), labels[batch], batch)


@pytest.mark.parametrize("penalize", [False, True])
def test_the_warm_up_takes_the_first_view_and_may_penalize_confidence(penalize: bool) -> None:
    method = _method(negative_entropy=penalize)
    method.on_epoch_start(_context(0))
    index = torch.arange(B)
    images, labels = _views(index), points()[1][index]
    step = method.step(images, labels, index)
    expected = sum(warm_up_loss(network(images[0]), labels, penalize) for network in (method.first, method.second))
    assert step.loss.item() == pytest.approx(expected.item())
    torch.testing.assert_close(step.logits, method(images[0]))


def test_the_sum_of_logits_is_evaluated_and_each_network_beside_it() -> None:
    method, images = _method(), points()[0]
    torch.testing.assert_close(method(images), method.first(images) + method.second(images))
    assert method.networks() == {"first": method.first, "second": method.second}


def test_a_loss_without_soft_targets_is_refused() -> None:
    class Hard(nn.Module):
        def forward(self, logits: Tensor, target: Tensor) -> Tensor:
            raise ValueError("class indices only")

    with pytest.raises(InputError, match="Hard does not go with this method"):
        UNICON(problem(Hard()))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "arguments",
    [
        {"warm_up": -1},
        {"temperature": 0.0},
        {"alpha": 0.0},
        {"unlabelled_weight": -1.0},
        {"ramp": -1},
        {"contrast_weight": -1.0},
        {"contrast_temperature": 0.0},
    ],
)
def test_a_value_out_of_range_is_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        _method(**arguments)

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from noisy_lightning.errors import InputError
from noisy_lightning.losses import CrossEntropy, GeneralizedCrossEntropy, TruncatedGeneralizedCrossEntropy
from noisy_lightning.methods import EpochContext, Problem, StochasticLabelNoise
from noisy_lightning.methods.stochastic_label_noise import weights_of_given
from tests.conftest import SMALL
from tests.methods.toys import (
    BATCHES,
    B,
    K,
    N,
    assert_same_weights,
    batches,
    context,
    points,
    problem,
    sample_weights,
    train,
    training,
)
from tests.reference.losses import one_hot
from tests.reference.stochastic_label_noise import corrected, follow, sln_step

ETA = 0.2


class Normalized(nn.Module):
    """A network with running statistics and a counter."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, K)).double()

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.layers(image)
        return logits


def _context(epoch: int, outside: tuple[int, ...] = ()) -> EpochContext:
    """Return the state of training; some samples are outside of the training part."""
    images, labels = points()
    labels[list(outside)] = -1

    @torch.no_grad()
    def predict(network: nn.Module, augmented: bool = False, index: Tensor | None = None, view: int = 0) -> Tensor:
        assert augmented
        outputs: Tensor = network(images).float()
        outputs[list(outside)] = math.nan
        return outputs

    return EpochContext(epoch, 10, labels, predict)


def _noise(method: StochasticLabelNoise, epoch: int) -> Tensor:
    """Return n of all samples in an epoch, as documented."""
    return torch.randn(N, K, generator=torch.Generator().manual_seed(int(method.seed) + epoch))


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("reference", ["current", "given"])
def test_walks_the_path_of_the_paper(reference: Any, soft: bool) -> None:
    """The network is plain: one with batch normalization is not the same sample by sample."""
    torch.manual_seed(0)
    method = StochasticLabelNoise(problem(), 0.7, 0.9, 2, reference, soft)
    net, ema_net = copy.deepcopy(method.backbone), copy.deepcopy(method.backbone)
    steps = training(method, 5, ETA, _context)
    images, labels = points()
    t = [one_hot(int(y), K) for y in labels]
    sigma, w = 0.7, [1.0] * N
    for epoch in range(5):
        if epoch >= 2:
            sigma = 0.0
            t, w = corrected(ema_net, images, labels, t, reference, soft)
        n = _noise(method, epoch)
        for index in batches(epoch):
            loss = sln_step(net, images[index], [t[i] for i in index], n[index], sigma, ETA)
            follow(ema_net, net, 0.9)
            _, _, step = next(steps)
            assert step.loss.item() == pytest.approx(loss, rel=1e-5)
            assert sample_weights(step) == pytest.approx([w[i] for i in index], abs=1e-6)
    assert 0 < sum(w) < N
    assert any(0.1 < w_i < 0.9 for w_i in w)
    for ours, theirs in ((method.backbone, net), (method.average.network, ema_net)):
        assert_same_weights(ours, theirs, rtol=1e-5, atol=1e-6)


def test_running_statistics_are_averaged_too() -> None:
    torch.manual_seed(0)
    method = StochasticLabelNoise(Problem(Normalized, CrossEntropy(), K, N), momentum=0.8)
    ema_net = copy.deepcopy(method.backbone)
    for _ in training(method, 2, ETA, _context):
        follow(ema_net, method.backbone, 0.8)
    for name, value in ema_net.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(method.average.network.state_dict()[name], value)
    assert method.average.network.layers[1].num_batches_tracked == 2 * BATCHES  # type: ignore[index, union-attr]


def test_with_cross_entropy_it_is_the_loss_of_the_noisy_target() -> None:
    torch.manual_seed(0)
    method = StochasticLabelNoise(problem(), sigma=0.5)
    images, labels = points()
    method.on_epoch_start(context(3))
    step = method.step(images, labels, torch.arange(N))
    target = nn.functional.one_hot(labels, K) + 0.5 * _noise(method, 3)
    assert target.min() < 0
    assert (target.sum(1) - 1).abs().max() > 0.5
    torch.testing.assert_close(step.loss, CrossEntropy()(step.logits, target).mean())


def test_the_noise_has_the_strength_asked_for_and_changes_by_epoch_and_seed() -> None:
    large = Problem(lambda: nn.Linear(1, 10), CrossEntropy(), 10, 20_000)
    tables = []
    for _ in range(2):
        method = StochasticLabelNoise(large)
        for epoch in range(2):
            method.on_epoch_start(context(epoch))
            tables.append(method._noise())
    for i, table in enumerate(tables):
        assert table.mean().item() == pytest.approx(0, abs=0.01)
        assert table.std().item() == pytest.approx(1, abs=0.01)
        for other in tables[:i]:
            assert abs((table * other).mean().item()) < 0.01


def test_the_noise_is_the_same_whatever_the_batches() -> None:
    """Gradients of a batch are the mean of its halves', which is what two ranks compute."""
    torch.manual_seed(0)
    method = StochasticLabelNoise(problem())
    images, labels = points()
    method.on_epoch_start(context(0))
    index = torch.arange(N).flip(0)
    whole = method.step(images[index], labels[index], index).loss
    halves = [method.step(images[i], labels[i], i).loss for i in index.chunk(2)]
    torch.testing.assert_close(whole, sum(halves) / 2)


def test_loaded_state_brings_its_noise() -> None:
    images, labels = points()
    torch.manual_seed(0)
    one, other = StochasticLabelNoise(problem()), StochasticLabelNoise(problem())
    for method, epoch in ((one, 0), (other, 1)):
        method.on_epoch_start(context(epoch))
        method.step(images, labels, torch.arange(N))
    other.load_state_dict(one.state_dict())
    losses = [method.step(images, labels, torch.arange(N)).loss for method in (one, other)]
    assert losses[0].equal(losses[1])


def test_no_noise_and_no_correction_is_plain_training() -> None:
    torch.manual_seed(0)
    method = StochasticLabelNoise(problem(), sigma=0.0)
    images, labels = points()
    method.on_epoch_start(context(9))
    step = method.step(images, labels, torch.arange(N))
    assert step.loss.equal(CrossEntropy()(method.backbone(images), labels).mean())
    assert step.sample_weight is None
    assert method.scalars().keys() == {"sigma"}
    assert not any(name.startswith("targets") for name in method.state_dict())


def test_the_average_is_evaluated_beside_the_network_that_trains() -> None:
    torch.manual_seed(0)
    method = StochasticLabelNoise(problem(), momentum=0.5)
    images, _ = points()
    assert method(images).equal(method.backbone(images))
    train(method, 1, ETA, _context)
    assert not method(images).equal(method.backbone(images))
    assert method.networks() == {"raw": method.backbone}
    assert not method.oracle


def test_what_is_recorded_is_the_loss_on_the_given_label() -> None:
    torch.manual_seed(0)
    method = StochasticLabelNoise(problem(), momentum=0.5, correction_epoch=1)
    _, labels = points()
    steps = train(method, 3, ETA, _context)
    index = torch.cat([batch for epoch in range(3) for batch in batches(epoch)])
    logits = torch.cat([step.logits for step in steps])
    torch.testing.assert_close(torch.cat([step.losses for step in steps]), CrossEntropy()(logits, labels[index]))


def test_samples_outside_the_training_part_change_nothing() -> None:
    torch.manual_seed(0)
    method = StochasticLabelNoise(problem(), correction_epoch=0)
    assert method.targets is not None
    assert method.given_weights is not None
    outside = (0, 7, N - 1)
    method.on_epoch_start(_context(0, outside))
    assert method.targets.values[list(outside)].equal(torch.full((3, K), 1 / K))
    assert method.given_weights.values[list(outside)].tolist() == [1, 1, 1]
    others = [i for i in range(N) if i not in outside]
    images, labels = points()
    targets, w = corrected(
        method.backbone, images[others], labels[others], [one_hot(int(y), K) for y in labels[others]], "current", False
    )
    torch.testing.assert_close(method.targets.values[others], torch.tensor(targets))
    assert method.given_weights.values[others].tolist() == pytest.approx(w, abs=1e-6)
    overruled = sum(max(t) != t[int(y)] for t, y in zip(targets, labels[others], strict=True))
    assert method.scalars()["relabelled"].item() == pytest.approx(overruled / len(others))
    assert method.scalars()["sigma"] == 0


def test_correction_begins_when_as_many_epochs_are_over() -> None:
    method = StochasticLabelNoise(problem(), sigma=0.5, correction_epoch=250)
    sigmas = []
    for epoch in (0, 249, 250, 299):
        method.on_epoch_start(_context(epoch))
        sigmas.append(method.scalars()["sigma"].item())
    assert sigmas == [0.5, 0.5, 0, 0]


def test_the_largest_loss_keeps_its_label() -> None:
    assert weights_of_given(torch.tensor([1.0, 5.0, 2.0])).tolist() == [0, 1, 0.25]


@pytest.mark.parametrize("losses", [[2.0, 2.0, 2.0], [0.0], [1.0, math.nan, 2.0], [1.0, math.inf, 2.0]])
def test_where_losses_tell_nothing_the_given_labels_stay(losses: list[float]) -> None:
    with pytest.warns(UserWarning, match="all given ones are kept"):
        assert weights_of_given(torch.tensor(losses)).tolist() == [1.0] * len(losses)


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("soft", [False, True])
def test_outputs_that_are_not_finite_correct_nothing(soft: bool, value: float) -> None:
    method = StochasticLabelNoise(problem(), correction_epoch=0, soft_correction=soft)
    assert method.targets is not None
    _, labels = points()
    outputs = torch.randn(N, K)
    outputs[0, 0] = value
    with pytest.warns(UserWarning, match="all given ones are kept"):
        method.on_epoch_start(EpochContext(0, 10, labels, lambda network, augmented=False, index=None, view=0: outputs))
    assert method.targets.values.equal(nn.functional.one_hot(labels, K).float())
    assert method.scalars()["relabelled"] == 0


@pytest.mark.parametrize("size", [1, 2])
def test_a_last_batch_of_one_or_two_teaches(size: int) -> None:
    method = StochasticLabelNoise(problem(), correction_epoch=1)
    images, labels = points()
    for epoch in range(3):
        method.on_epoch_start(_context(epoch))
        step = method.step(images[:size], labels[:size], torch.arange(size))
        assert step.loss.isfinite()


def test_any_loss_teaches() -> None:
    torch.manual_seed(0)
    loss = GeneralizedCrossEntropy()
    method = StochasticLabelNoise(problem(loss), sigma=0.5)
    images, labels = points()
    method.on_epoch_start(context(0))
    step = method.step(images[:B], labels[:B], torch.arange(B))
    log_p = step.logits.log_softmax(1)
    expected = loss(step.logits, labels[:B]) - 0.5 * (_noise(method, 0)[:B] * log_p).sum(1)
    torch.testing.assert_close(step.loss, expected.mean())


def test_a_loss_of_hard_labels_cannot_be_taught_corrections() -> None:
    hard = problem(TruncatedGeneralizedCrossEntropy())
    StochasticLabelNoise(hard)
    with pytest.raises(InputError, match="TruncatedGeneralizedCrossEntropy does not go with this method"):
        StochasticLabelNoise(hard, correction_epoch=250)


def test_the_command_line_says_so(run: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--model.loss", "TruncatedGeneralizedCrossEntropy", "--model.method", "StochasticLabelNoise")
    assert run("fit", *SMALL, *options, "--model.method.correction_epoch", "1") == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: model.loss: TruncatedGeneralizedCrossEntropy does not go with this method: ")


@pytest.mark.parametrize("arguments", [{"sigma": -0.1}, {"momentum": 1.0}, {"correction_epoch": -1}])
def test_a_value_out_of_range_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        StochasticLabelNoise(problem(), **arguments)

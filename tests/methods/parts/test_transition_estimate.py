import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from noisy_lightning.errors import InputError
from noisy_lightning.methods import EpochContext
from noisy_lightning.methods.parts.held_out import surest_transition
from noisy_lightning.methods.parts.snapshot import Snapshot
from noisy_lightning.methods.parts.transition_estimate import (
    Matrix,
    TransitionEstimate,
    dual_transition,
    estimate_transition,
)
from tests.reference.loss_correction import estimate, percentile_higher

K = 4
THREE = [[0.75, 0.25, 0.0], [0.0, 1.0, 0.0], [0.25, 0.25, 0.5]]


def _probabilities(number: int, seed: int = 0, num_classes: int = K) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return (3 * torch.randn(number, num_classes, generator=random, dtype=torch.float64)).softmax(1)


def _labels(number: int, num_classes: int = K) -> Tensor:
    return torch.arange(number) % num_classes


def _estimate(network: nn.Module, num_classes: int = 3, matrix: Matrix = "anchor_points") -> TransitionEstimate:
    return TransitionEstimate(network, num_classes, 6, matrix, 2, 97.0, restart=True, erase=False)


# The estimate


@pytest.mark.parametrize("erase", [False, True])
@pytest.mark.parametrize("percentile", [50.0, 90.0, 97.0, 100.0])
@pytest.mark.parametrize("number", [4, 7, 101, 300])
def test_the_rows_are_those_of_the_authors_code(number: int, percentile: float, erase: bool) -> None:
    probability = _probabilities(number, seed=number)
    matrix = estimate_transition(probability, _labels(number), percentile, erase)
    expected = estimate(probability.tolist(), percentile, in_place=erase)
    np.testing.assert_allclose(matrix.numpy(), np.array(expected), rtol=1e-12)


@pytest.mark.parametrize("percent", [10.0, 50.0, 97.0, 99.0])
@pytest.mark.parametrize("number", [1, 2, 100, 101, 1001])
def test_the_references_percentile_is_numpys(number: int, percent: float) -> None:
    values = np.random.default_rng(number).random(number)
    assert percentile_higher(values.tolist(), percent) == np.percentile(values, percent, method="higher")


@pytest.mark.parametrize("erase", [False, True])
@pytest.mark.parametrize("percentile", [90.0, 100.0])
def test_dual_t_goes_over_the_predictions(percentile: float, erase: bool) -> None:
    probability, labels = _probabilities(101, seed=1), _labels(101)
    matrix = dual_transition(probability, labels, percentile, erase)
    anchored = estimate(probability.tolist(), percentile, in_place=erase)
    counts = [[0] * K for _ in range(K)]
    for row, given in zip(probability.tolist(), labels.tolist(), strict=True):
        counts[row.index(max(row))][given] += 1
    for i in range(K):
        for j in range(K):
            expected = sum(anchored[i][k] * counts[k][j] / sum(counts[k]) for k in range(K))
            assert matrix[i, j].item() == pytest.approx(expected, rel=1e-9)


def test_dual_t_counts_what_a_sure_network_contradicts() -> None:
    """Such a network says nothing of the noise by its probabilities, all by what it predicts."""
    predicted = torch.arange(12) % 3
    labels = predicted.clone()
    labels[0], labels[3], labels[1] = 1, 2, 0  # of four each: class 0 becomes 1 once and 2 once, class 1 becomes 0 once
    probability = torch.full((12, 3), 1e-6).double().scatter(1, predicted[:, None], 1.0)
    matrix = dual_transition(probability, labels, 100.0)
    expected = torch.tensor([[0.5, 0.25, 0.25], [0.25, 0.75, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    torch.testing.assert_close(matrix, expected, atol=1e-5, rtol=0)
    assert (estimate_transition(probability, labels, 100.0).diagonal() > 0.9999).all()


def test_dual_t_of_a_class_that_is_never_predicted_sums_to_one() -> None:
    probability = torch.tensor([[0.8, 0.1, 0.1], [0.3, 0.6, 0.1], [0.5, 0.3, 0.2], [0.45, 0.25, 0.3]])
    labels = torch.tensor([0, 1, 2, -1])
    matrix = dual_transition(probability, labels, 100.0)
    torch.testing.assert_close(matrix.sum(1), torch.ones(3))
    assert dual_transition(probability.fill_(math.nan), labels, 100.0).equal(torch.eye(3))


def test_the_published_side_effect_reaches_later_rows_only() -> None:
    """The surest sample of class 1 stands high for class 0, too: the authors' code has zeroed that."""
    probability = torch.tensor([[0.60, 0.25, 0.15]] * 4 + [[0.55, 0.40, 0.05]] * 2 + [[0.1, 0.3, 0.6]] * 4)
    probability[5] = torch.tensor([0.50, 0.45, 0.05])
    labels = _labels(10, 3)
    plain, erased = (estimate_transition(probability, labels, 60.0, erase) for erase in (False, True))
    assert plain[0].equal(erased[0])
    torch.testing.assert_close(plain[1], torch.tensor([0.60, 0.25, 0.15]))
    torch.testing.assert_close(erased[1], torch.tensor([0.0, 0.625, 0.375]))


def test_a_perfect_posterior_gives_the_true_matrix() -> None:
    truth = torch.tensor(THREE)
    probability = torch.eye(3).repeat(20, 1) @ truth
    torch.testing.assert_close(estimate_transition(probability, _labels(60, 3), 100.0), truth)


def test_samples_not_trained_on_do_not_count() -> None:
    probability, labels = _probabilities(60), _labels(60)
    expected = estimate_transition(probability, labels, 97.0)
    more = torch.cat([torch.full((5, K), math.nan, dtype=torch.float64), torch.eye(K).double(), probability])
    outside = torch.full((5 + K,), -1)
    assert estimate_transition(more, torch.cat([outside, labels]), 97.0).equal(expected)


def test_the_probabilities_are_left_as_they_are() -> None:
    probability, labels = _probabilities(60), _labels(60)
    before = probability.clone()
    estimate_transition(probability, labels, 90.0, erase=True)
    assert probability.equal(before)


def test_a_class_that_is_never_predicted_has_the_sample_that_is_surest_of_it() -> None:
    probability = torch.tensor([[0.5, 0.2, 0.3], [0.3, 0.1, 0.6], [0.6, 0.3, 0.1]])
    matrix = estimate_transition(probability, torch.arange(3), 100.0)
    torch.testing.assert_close(matrix[1], probability[2])


def test_a_class_without_samples_keeps_its_row_of_the_identity(caplog: pytest.LogCaptureFixture) -> None:
    matrix = estimate_transition(_probabilities(60), _labels(60, 2), 97.0)
    assert "given label 2, 3:" in caplog.text
    assert matrix[2:].equal(torch.eye(K).double()[2:])
    assert not matrix[:2].equal(torch.eye(K).double()[:2])
    torch.testing.assert_close(matrix.sum(1), torch.ones(K).double())


def test_a_network_that_has_broken_down_corrects_nothing(caplog: pytest.LogCaptureFixture) -> None:
    probability = _probabilities(60)
    probability[17, 1] = math.nan
    assert estimate_transition(probability, _labels(60), 97.0).equal(torch.eye(K).double())
    assert "NaN" in caplog.text


@pytest.mark.parametrize("erase", [False, True])
def test_where_all_samples_are_alike_the_first_one_counts(erase: bool) -> None:
    probability = torch.full((30, K), 1 / K)
    matrix = estimate_transition(probability, _labels(30), 97.0, erase)
    assert matrix[0, 1:].gt(0).all()
    torch.testing.assert_close(matrix.sum(1), torch.ones(K))


def test_where_everything_was_erased_the_identity_remains() -> None:
    probability = torch.tensor([[1.0, 0, 0]] * 6)
    matrix = estimate_transition(probability, _labels(6, 3), 50.0, erase=True)
    assert matrix.equal(torch.eye(3))


# When it is made


def _context(epoch: int, outputs: Tensor, max_epochs: int = 6) -> EpochContext:
    return EpochContext(
        epoch, max_epochs, _labels(len(outputs), 3), lambda network, augmented=False, index=None, view=0: outputs
    )


def test_it_is_made_once_when_the_warm_up_is_over_and_sets_the_network_back() -> None:
    linear = nn.Linear(2, 3)
    network = nn.Sequential(linear, nn.BatchNorm1d(3))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    noise = _estimate(network)
    outputs = torch.randn(30, 3, generator=torch.Generator().manual_seed(0))
    for epoch in range(5):
        with torch.no_grad():
            network(torch.randn(4, 2))
            linear.weight.add_(1.0)
        assert (noise.transition() is not None) == (epoch > 2)
        assert noise.update(_context(epoch, outputs), network) == (epoch == 2)
        restored = all(value.equal(before[name]) for name, value in network.state_dict().items())
        assert restored == (epoch == 2)
    expected = estimate_transition(outputs.softmax(1), _labels(30, 3), 97.0)
    transition = noise.transition()
    assert transition is not None
    assert transition.equal(expected)
    assert noise.scalars()["noise_rate"].item() == pytest.approx(1 - expected.diagonal().mean().item())


@pytest.mark.parametrize(("max_epochs", "expected"), [(1, 1), (2, 1), (3, 1), (10, 5), (240, 120)])
def test_the_warm_up_is_half_of_the_run_unless_it_is_given(max_epochs: int, expected: int) -> None:
    outputs = torch.randn(30, 3)
    noise = TransitionEstimate(nn.Linear(2, 3), 3, 6, "anchor_points", None, 97.0, restart=False, erase=False)
    made = [noise.update(_context(epoch, outputs, max_epochs), nn.Linear(2, 3)) for epoch in range(max_epochs + 1)]
    assert made.index(True) == expected


def test_by_default_it_is_counted_among_the_surest_of_the_samples_held_out() -> None:
    noise = TransitionEstimate(nn.Linear(2, 3), 3, 400, "estimate", 2, 97.0, restart=False, erase=False)
    random = torch.Generator().manual_seed(0)
    outputs, labels = torch.randn(400, 3, generator=random), torch.randint(0, 3, (400,), generator=random)
    labels[::7] = -1
    asked: list[Tensor] = []

    def predict(network: nn.Module, augmented: bool = False, index: Tensor | None = None, view: int = 0) -> Tensor:
        assert index is not None
        asked.append(index)
        return outputs[index]

    assert not noise.given
    assert noise.unseen.held_out.sum() == 100
    for epoch in range(4):
        assert noise.update(EpochContext(epoch, 6, labels, predict), nn.Linear(2, 3)) == (epoch == 2)
    first, index = asked  # after the first and the second epoch
    assert first.equal(index)
    assert index.tolist() == [i for i in range(400) if noise.unseen.held_out[i] and labels[i] >= 0]
    expected, _ = surest_transition(outputs[index].softmax(1), labels[index])
    torch.testing.assert_close(noise.matrix, expected.float())


def test_a_counted_matrix_that_is_a_guess_is_said(caplog: pytest.LogCaptureFixture) -> None:
    labels = torch.zeros(400, dtype=torch.long)
    for outputs, message in (
        (torch.tensor([[0.0, 2.0, 1.0]]), "no training sample has the given label 1, 2: its row"),
        (torch.full((1, 3), float("nan")), "no finite outputs"),
    ):
        noise = TransitionEstimate(nn.Linear(2, 3), 3, 400, "estimate", 1, 97.0, restart=False, erase=False)
        rows = outputs.expand(100, 3)
        context = EpochContext(1, 6, labels, lambda network, augmented=False, index=None, rows=rows: rows)
        caplog.clear()
        assert noise.update(context, nn.Linear(2, 3))
        assert message in caplog.text
        assert noise.matrix[2].tolist() == [0, 0, 1]
        assert noise.matrix.isfinite().all()


def test_without_a_restart_the_network_goes_on() -> None:
    network = nn.Linear(2, 3)
    noise = TransitionEstimate(network, 3, 6, "anchor_points", 1, 97.0, restart=False, erase=False)
    assert noise.initial is None
    with torch.no_grad():
        network.weight.add_(1.0)
    after = network.weight.clone()
    assert noise.update(_context(1, torch.randn(30, 3)), network)
    assert network.weight.equal(after)


@pytest.mark.parametrize("kind", ["rows", "file"])
def test_a_given_matrix_is_known_from_the_start_and_never_estimated(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "matrix.json"
    path.write_text(json.dumps(THREE))
    network = nn.Linear(2, 3)
    noise = _estimate(network, matrix=THREE if kind == "rows" else path)
    assert noise.given
    assert noise.initial is None
    for epoch in range(4):
        assert not noise.update(_context(epoch, torch.randn(30, 3)), network)
    transition = noise.transition()
    assert transition is not None
    assert transition.equal(torch.tensor(THREE))


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([[1.0, 0.0], [0.0, 1.0]], r"^model\.method\.matrix must be 3×3 for this data set, got 2 rows$"),
        (
            [[0.5, 0.2, 0.2], [0, 1, 0], [0, 0, 1]],
            r"^model\.method\.matrix must have rows with sum 1, row 0 sums to 0.9$",
        ),
        (Path("absent.npy"), r"^model\.method\.matrix: cannot read absent.npy"),
    ],
)
def test_a_matrix_that_is_none_is_refused(matrix: Matrix, message: str) -> None:
    with pytest.raises(InputError, match=message):
        _estimate(nn.Linear(2, 3), matrix=matrix)


@pytest.mark.parametrize(("name", "value"), [("warm_up", 0), ("percentile", 0.0), ("percentile", 100.5)])
def test_a_value_out_of_range_is_refused(name: str, value: float) -> None:
    values = {"warm_up": 2, "percentile": 97.0} | {name: value}
    with pytest.raises(ValueError, match=name):
        TransitionEstimate(nn.Linear(2, 3), 3, 6, "anchor_points", restart=True, erase=False, **values)  # type: ignore[arg-type]


# What a network goes back to


def test_a_snapshot_is_a_copy_that_no_optimizer_sees() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).to(memory_format=torch.channels_last)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    snapshot = Snapshot(network)
    assert not list(snapshot.parameters())
    network(torch.randn(2, 1, 4, 4)).sum().backward()
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(1.0)
    places = [weight.data_ptr() for weight in network.parameters()]
    snapshot.restore(network)
    assert all(value.equal(before[name]) for name, value in network.state_dict().items())
    assert [weight.data_ptr() for weight in network.parameters()] == places

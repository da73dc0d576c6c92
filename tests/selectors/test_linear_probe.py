"""Linear classifiers of features, out of fold, and the selector that judges labels by them."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from noisy_lightning.errors import InputError
from noisy_lightning.losses import CrossEntropy, GeneralizedCrossEntropy, RobustLoss
from noisy_lightning.selectors import Judgment, LinearProbe, Task, linear_probe
from noisy_lightning.selectors.linear_classifiers import Recipe, held_out_probabilities
from tests.selectors.toys import MadeUp


def _clouds(count: int, wrong: float, views: int = 1, spread: float = 0.5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return features (N, V, D) of three classes, given labels (N,) and true ones (N,)."""
    generator = np.random.default_rng(0)
    true = generator.integers(0, 3, count)
    centers = generator.normal(size=(3, 20))
    features = centers[true][:, None] + spread * generator.normal(size=(count, views, 20))
    labels = true.copy()
    flipped = generator.permutation(count)[: round(wrong * count)]
    labels[flipped] = (labels[flipped] + generator.integers(1, 3, len(flipped))) % 3
    return (5 * features + 3).astype(np.float16), labels, true


def _judged(features: np.ndarray | None, labels: np.ndarray, **arguments: Any) -> Judgment:
    left_out = arguments.pop("left_out", [])
    groups = arguments.pop("groups", None)
    judged = np.ones(len(labels), bool)
    judged[left_out] = False
    task = Task(labels, judged, 3, 0, features=features, groups=groups)
    return LinearProbe(**{"steps": 60, "batch_size": 64, "lr": 0.01, **arguments}).select(task, MadeUp())


@pytest.mark.parametrize("loss", [CrossEntropy(), GeneralizedCrossEntropy(q=1.0)])
def test_classifiers_side_by_side_learn_what_each_would_learn_alone(loss: RobustLoss) -> None:
    features, labels, _ = _clouds(100, 0.2, views=2)
    fold = np.arange(100) % 3
    fold[[4, 17]] = -1
    recipe = Recipe(loss, epochs=3, lr=0.01, weight_decay=0.1, batch_size=20)
    generator = torch.Generator().manual_seed(5)
    probability = held_out_probabilities(features, labels, fold, 3, recipe, generator)
    assert np.isnan(probability[[4, 17]]).all()

    members = torch.from_numpy(np.flatnonzero(fold >= 0))
    stored = torch.from_numpy(features).double()
    flat = stored[members].flatten(0, 1)
    standardized = ((stored - flat.mean(0)) / flat.std(0, correction=0)).float()
    step_size, targets = 30, torch.from_numpy(labels)
    steps = 3 * math.ceil(len(members) / step_size)
    for held_out in range(3):
        generator = torch.Generator().manual_seed(5)
        network = nn.Linear(20, 3)
        nn.init.zeros_(network.weight)
        nn.init.zeros_(network.bias)
        optimizer = torch.optim.AdamW(network.parameters(), 0.01, weight_decay=0.1)
        step = 0
        for _ in range(3):
            order = members[torch.randperm(len(members), generator=generator)]
            views = torch.randint(2, (len(order),), generator=generator)
            for index, view in zip(torch.split(order, step_size), torch.split(views, step_size), strict=True):
                learns = torch.from_numpy(fold)[index] != held_out
                optimizer.param_groups[0]["lr"] = 0.01 * 0.5 * (1 + math.cos(math.pi * step / steps))
                optimizer.zero_grad()
                made = network(standardized[index[learns], view[learns]])
                loss(made, targets[index[learns]]).mean().backward()
                optimizer.step()
                step += 1
        rows = np.flatnonzero(fold == held_out)
        expected = network(standardized[torch.from_numpy(rows)]).double().softmax(2).mean(1).detach().numpy()
        np.testing.assert_allclose(probability[rows], expected, atol=2e-3)


def test_wrong_labels_are_found_and_right_ones_suggested() -> None:
    features, labels, true = _clouds(600, 0.3)
    judgment = _judged(features, labels, left_out=[5])
    wrong = labels != true
    judged = np.arange(600) != 5
    assert np.isnan(judgment.score[5])
    assert not judgment.select[5]
    called = ~judgment.select & judged
    assert (called & wrong).sum() > 0.95 * (wrong & judged).sum()
    assert (called & wrong).sum() > 0.95 * called.sum()
    assert (judgment.suggested[called & wrong] == true[called & wrong]).mean() > 0.95
    assert (judgment.suggested[judgment.select] == -1).all()
    order = np.argsort(-judgment.score[judged])
    assert wrong[judged][order[:100]].all()
    assert judgment.noise_rate == pytest.approx(0.3, abs=0.1)
    assert judgment.check is not None
    assert np.isfinite(judgment.score[judged]).all()


def test_a_bounded_loss_finds_more_than_cross_entropy_where_training_is_long() -> None:
    features, labels, true = _clouds(600, 0.4)
    wrong = labels != true

    def found(loss: RobustLoss | None) -> float:
        judgment = _judged(features, labels, loss=loss, steps=1500, rounds=1)
        return float((~judgment.select == wrong).mean())

    assert found(None) > found(CrossEntropy()) + 0.02


def test_a_further_round_learns_the_predictions_of_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels, true = _clouds(300, 0.3)
    learned: list[np.ndarray] = []

    def recorded(features: np.ndarray, labels: np.ndarray, *rest: Any) -> np.ndarray:
        learned.append(labels.copy())
        return held_out_probabilities(features, labels, *rest)

    monkeypatch.setattr(linear_probe, "held_out_probabilities", recorded)
    _judged(features, labels, rounds=2)
    assert len(learned) == 2
    assert (learned[0] == labels).all()
    assert (learned[1] != true).mean() < 0.1 < (learned[0] != true).mean()


def test_the_probabilities_of_all_rounds_are_averaged(monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels, _ = _clouds(30, 0.0)
    answers = [np.full((30, 3), 1 / 3), np.tile([0.7, 0.2, 0.1], (30, 1))]
    monkeypatch.setattr(linear_probe, "held_out_probabilities", lambda *arguments: answers.pop(0))
    judgment = _judged(features, labels, rounds=2)
    mean = (1 / 3 + np.array([0.7, 0.2, 0.1])) / 2
    np.testing.assert_allclose(judgment.score, -np.log(mean[labels]), rtol=1e-6)


def test_a_group_is_no_evidence_for_itself() -> None:
    """Near copies with one wrong label would otherwise confirm each other."""
    features, labels, _ = _clouds(600, 0.0)
    features, labels = np.tile(features[:120], (5, 1, 1)), np.tile(labels[:120], 5)
    groups = np.tile(np.arange(120), 5)
    labels = np.where(groups < 12, (labels + 1) % 3, labels)
    wrong = groups < 12

    def missed(groups: np.ndarray | None) -> int:
        return int((_judged(features, labels, groups=groups, loss=CrossEntropy(), steps=600).select & wrong).sum())

    assert missed(groups) < missed(None)


def test_the_seed_decides_alone() -> None:
    features, labels, _ = _clouds(200, 0.2)
    first, second = (_judged(features, labels) for _ in range(2))
    np.testing.assert_array_equal(first.score, second.score)


def test_cleanlabs_rules_take_the_same_probabilities() -> None:
    pytest.importorskip("cleanlab")
    features, labels, _ = _clouds(300, 0.3, spread=1.5)
    plain = _judged(features, labels)
    by_rule = _judged(features, labels, filter_by="prune_by_noise_rate")
    np.testing.assert_array_equal(plain.score, by_rule.score)
    assert (plain.select != by_rule.select).any()
    same = _judged(features, labels, filter_by="predicted_neq_given")
    np.testing.assert_array_equal(plain.select, same.select)


def test_data_without_features_are_refused() -> None:
    with pytest.raises(InputError, match="set data to Embedded"):
        _judged(None, np.arange(30) % 3)


@pytest.mark.parametrize(
    ("name", "value"),
    [("folds", 1), ("epochs", 0), ("steps", 0), ("lr", 0), ("weight_decay", -1), ("batch_size", 0), ("rounds", 0)],
)
def test_a_value_out_of_range_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} must be in"):
        LinearProbe(**{name: value})  # type: ignore[arg-type]


def test_diverged_classifiers_are_named() -> None:
    features, labels, _ = _clouds(60, 0.2)
    features[3] = np.inf
    with pytest.raises(InputError, match="diverged"):
        _judged(features, labels)

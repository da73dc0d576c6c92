import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from noisy_lightning.errors import InputError
from noisy_lightning.losses import GeneralizedCrossEntropy
from noisy_lightning.methods import EpochContext, MentorNet
from noisy_lightning.methods.mentor_net import parse_dropout
from noisy_lightning.methods.parts.mentor_network import MentorNetwork, teach
from tests.methods.toys import (
    BATCHES,
    B,
    K,
    N,
    assert_same_weights,
    batches,
    context,
    lookup,
    network,
    points,
    problem,
    sample_weights,
    train,
)
from tests.reference import mentor_net as reference
from tests.reference.co_teaching import loss_of

ETA, EPOCHS = 0.5, 10
Teacher = Callable[[float, float, int], float]


def _train(
    method: MentorNet, epochs: int = EPOCHS, given: Callable[[int], EpochContext] = context
) -> list[list[float]]:
    """Return v of each step."""
    return [sample_weights(step) for step in train(method, epochs, ETA, given)]


def _curriculum(name: str) -> Teacher:
    if name == "self_paced":
        return lambda ell, ma, e: reference.v_self_paced(ell, ma)
    return reference.v_predefined


@pytest.mark.parametrize("curriculum", ["self_paced", "predefined"])
@pytest.mark.parametrize(
    ("percentile", "decay", "dropout", "weight_decay"),
    [(0.75, 0.5, "0.5,17,0.05,83", 0.0), (0.7, 0.9, "0,100", 0.01), (0.5, 0.0, "0.3,50,0,49,1,1", 0.0)],
)
def test_walks_the_path_of_the_authors(
    curriculum: Any, percentile: float, decay: float, dropout: str, weight_decay: float
) -> None:
    torch.manual_seed(0)
    method = MentorNet(problem(), curriculum, percentile, decay, dropout, weight_decay).double()
    f = network()
    f.load_state_dict(method.backbone.state_dict())
    order = MentorNetOrder(method)
    kept = _train(method)

    images, labels = points()
    ma, rates, seen = 0.0, reference.dropout_rates(dropout), set()
    for epoch in range(EPOCHS):
        for number, index in enumerate(batches(epoch)):
            e = 100 * (epoch * BATCHES + number) // (EPOCHS * BATCHES)
            ma, v = reference.mentor_net_step(
                *(f, images[index], labels[index], ma, e, _curriculum(curriculum), percentile, decay, rates[e]),
                *(order.of(epoch, index), ETA, weight_decay),
            )
            assert kept.pop(0) == pytest.approx(v, abs=1e-9)
            seen.update(v)
    assert method.average.item() == pytest.approx(ma)
    assert {0.0, 1.0} < seen or curriculum == "self_paced" or dropout == "0.3,50,0,49,1,1"
    assert_same_weights(method.backbone, f, rtol=1e-9, atol=1e-12)


class MentorNetOrder:
    """The order in which a method draws samples, by epoch."""

    def __init__(self, method: MentorNet) -> None:
        self.seed = int(method.seed)

    def of(self, epoch: int, index: Tensor) -> list[int]:
        drawn: Tensor = torch.randperm(N, generator=torch.Generator().manual_seed(self.seed + epoch))[index]
        return drawn.tolist()


# Dropping samples


def test_another_part_of_a_batch_is_dropped_in_each_epoch_and_under_each_seed() -> None:
    torch.manual_seed(0)
    one, other = (MentorNet(problem(), dropout="0.5,100") for _ in range(2))
    images, labels = points()
    index = torch.arange(N)
    dropped = []
    for method in (one, other):
        for epoch in range(2):
            method.on_epoch_start(context(epoch))
            kept = method.step(images, labels, index).sample_weight
            assert kept is not None
            assert kept.sum() == N / 2
            dropped.append(kept.tolist())
    assert len({tuple(kept) for kept in dropped}) == 4


def test_the_published_default_learns_nothing_in_the_last_percents() -> None:
    method = MentorNet(problem(), dropout="0.5,17,0.05,78,1.0,5")
    method.on_epoch_start(context(9))
    method.seen.fill_(int(0.96 * method.to_see))
    images, labels = points()
    step = method.step(images[:B], labels[:B], torch.arange(B))
    assert not any(sample_weights(step))
    assert step.loss == 0


@pytest.mark.parametrize("schedule", ["", "0.5", "0.5,17,0.05,82", "1.5,100", "a,100", "0.1,50,0.2", "-0.1,100"])
def test_a_schedule_that_is_none_is_refused(schedule: str) -> None:
    with pytest.raises(ValueError, match="dropout must be pairs"):
        parse_dropout(schedule)


# Broken and small batches


def test_a_loss_that_is_not_finite_counts_for_nothing_until_all_are() -> None:
    nan, inf = float("nan"), float("inf")
    table = torch.tensor([[nan, nan, nan], [1.0, 0, 0], [-inf, 0, 0], [0, 1.0, 0]])
    method = MentorNet(lookup(table.tolist()), dropout="0,100")
    method.on_epoch_start(EpochContext(0, 10, torch.zeros(4, dtype=torch.long), context(0).predict))
    labels = torch.zeros(4, dtype=torch.long)
    step = method.step(torch.arange(4), labels, torch.arange(4))
    assert sample_weights(step) == [0, 1, 0, 1]
    expected = F.cross_entropy(table[[1, 3]], labels[:2], reduction="none")
    torch.testing.assert_close(step.loss.detach(), expected.sum() / 4)
    torch.testing.assert_close(method.average, expected.max() / 2)
    step.loss.backward()
    assert method.backbone.weight.grad[[1, 3]].isfinite().all()  # type: ignore[index]
    average = method.average.clone()
    assert method.step(torch.tensor([0]), labels[:1], torch.tensor([0])).loss.isnan()
    assert method.average.equal(average)


@pytest.mark.parametrize(
    ("percentage", "weights"), [(18, [1, 1, 1, 1]), (19, [1, 1, 0, 0]), (89, [1, 1, 0, 0]), (90, [1, 1, 0.5, 0])]
)
def test_the_predefined_curriculum_changes_at_its_percentages(percentage: int, weights: list[float]) -> None:
    """Up to 18 % of training all samples count, and from 90 % on some in part, as in the authors' code."""
    method = MentorNet(problem())
    method.average.fill_(1.0)
    found = method._weights(torch.tensor([0.5, 1.0, 1.5, 2.5]), torch.tensor(percentage))
    assert found.tolist() == weights
    assert found.tolist() == [reference.v_predefined(ell, 1.0, percentage) for ell in (0.5, 1.0, 1.5, 2.5)]


@pytest.mark.parametrize("curriculum", ["self_paced", "predefined"])
@pytest.mark.parametrize("size", [1, 2])
def test_a_last_batch_of_one_or_two_passes(curriculum: Any, size: int) -> None:
    method = MentorNet(problem(), curriculum)
    method.on_epoch_start(context(9))
    images, labels = points()
    step = method.step(images[:size], labels[:size], torch.arange(size))
    assert step.loss.isfinite()


def test_any_loss_decides_and_teaches() -> None:
    torch.manual_seed(0)
    loss = GeneralizedCrossEntropy()
    method = MentorNet(problem(loss), "self_paced", decay=0.0, percentile=0.5, dropout="0,100")
    method.on_epoch_start(context(0))
    images, labels = points()
    step = method.step(images[:5], labels[:5], torch.arange(5))
    losses = loss(method.backbone(images[:5]), labels[:5]).detach()
    torch.testing.assert_close(step.losses.detach(), losses)
    assert method.average.item() == pytest.approx(losses.median().item())
    torch.testing.assert_close(step.loss.detach(), losses[losses <= method.average].sum() / 5)


def test_a_run_without_an_end_is_refused() -> None:
    with pytest.raises(InputError, match=r"trainer\.max_epochs"):
        MentorNet(problem()).on_epoch_start(EpochContext(0, -1, points()[1], context(0).predict))


@pytest.mark.parametrize(
    "arguments", [{"percentile": 1.1}, {"decay": 1.0}, {"weight_decay": -1.0}, {"warm_up": 0}, {"dropout": "1,1"}]
)
def test_a_value_out_of_range_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        MentorNet(problem(), **arguments)


# The mentor


def _trusted(folder: Path, verified: list[tuple[int, int]]) -> Path:
    path = folder / "trusted.csv"
    path.write_text("index,label\n" + "".join(f"{index},{label}\n" for index, label in verified))
    return path


def _verified() -> list[tuple[int, int]]:
    """Return the true labels of two thirds of the points, in no order."""
    return [(i, i % K) for i in reversed(range(N)) if i % 3]


def test_the_mentor_is_the_authors_network() -> None:
    torch.manual_seed(0)
    mentor = MentorNetwork()
    features = torch.tensor([[0.3, -0.5], [4.0, 3.0], [0.0, -9.0]])
    percentage = torch.tensor([0, 18, 99])
    for row, e, logit in zip(features.tolist(), percentage.tolist(), mentor(features, percentage), strict=True):
        expected = reference.mentor(mentor.state_dict(), row[0], row[1], e)
        assert logit.item() == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_the_mentor_is_taught_by_the_authors_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("noisy_lightning.methods.parts.mentor_network._STEPS", 60)
    torch.manual_seed(0)
    ours, twin = MentorNetwork(), MentorNetwork()
    twin.load_state_dict(ours.state_dict())
    features, percentage = 5 * torch.randn(20, 2), torch.arange(20)
    right = features[:, 0] < 0
    teach(ours, features, percentage, right, seed=5)

    random = torch.Generator().manual_seed(5)
    names = [name for name, _ in twin.named_parameters()]
    moments = [(torch.zeros_like(weight), torch.zeros_like(weight)) for weight in twin.parameters()]
    for step in range(60):
        chosen = torch.randint(20, (32,), generator=random)
        v = torch.sigmoid(twin(features[chosen], percentage[chosen]))
        terms = [-torch.log(v[n] if right[i] else 1 - v[n]) for n, i in enumerate(chosen)]
        gradients = torch.autograd.grad(sum(terms) / 32, list(twin.parameters()))  # type: ignore[arg-type]
        weights = [weight.detach() for weight in twin.parameters()]
        reference.adam(weights, gradients, moments, step + 1, 0.1 * 0.9 ** (step // 2))
        twin.load_state_dict(dict(zip(names, weights, strict=True)), strict=False)
    for name, value in ours.state_dict().items():
        torch.testing.assert_close(value, twin.state_dict()[name], rtol=1e-3, atol=1e-3)


def test_the_mentor_learns_which_losses_right_labels_have() -> None:
    torch.manual_seed(0)
    mentor = MentorNetwork().requires_grad_(False)
    right = torch.arange(400) % 3 > 0
    losses = torch.where(right, 0.2, 3.0) + 0.1 * torch.randn(400)
    features = torch.stack([losses, losses - 1], 1)
    percentage = torch.arange(400) % 20
    assert teach(mentor, features, percentage, right, seed=0) > 0.97
    assert not any(weight.requires_grad for weight in mentor.parameters())
    for e in (0, 19):
        low, high = mentor(torch.tensor([[0.2, -0.8], [3.0, 2.0]]), torch.tensor(e)).sigmoid()
        assert low > 0.9
        assert high < 0.1


def test_a_learned_curriculum_is_predefined_first_and_then_the_mentors(tmp_path: Path) -> None:
    torch.manual_seed(0)
    trusted = _trusted(tmp_path, _verified())
    method = MentorNet(problem(), "learned", dropout="0,100", trusted=trusted, warm_up=25)
    assert method.mentor is not None
    f = network()
    f.load_state_dict(method.backbone.state_dict())
    untaught = {name: value.clone() for name, value in method.mentor.network.state_dict().items()}
    images, labels = points()
    verified = dict(_verified())
    optimizer = torch.optim.SGD(method.backbone.parameters(), lr=ETA)
    twin = MentorNetwork()
    twin.load_state_dict(untaught)
    history: dict[tuple[int, int], tuple[float, float]] = {}
    ma, lesson = 0.0, -1
    for epoch in range(6):
        method.on_epoch_start(context(epoch))
        if 10 * epoch >= 25:
            keys = sorted(history, key=lambda key: (list(verified).index(key[0]), key[1]))
            right = torch.tensor([verified[i] == labels[i] for i, _ in keys])
            teach(
                twin, torch.tensor([history[key] for key in keys]), torch.tensor([e for _, e in keys]), right,
                int(method.seed) + epoch,
            )  # fmt: skip
            lesson = 10 * (epoch - 1)
        for name, value in method.mentor.network.state_dict().items():
            torch.testing.assert_close(value, twin.state_dict()[name], rtol=1e-3, atol=1e-3)
        weights = {name: value.clone() for name, value in method.mentor.network.state_dict().items()}
        twin.load_state_dict(weights)  # its rounding errors shall not grow

        def teacher(ell: float, ma: float, e: int, weights: Any = weights, lesson: int = lesson) -> float:
            if lesson < 0:
                return float(reference.v_predefined(ell, ma, e))
            log_odds = float(reference.mentor(weights, ell, ell - ma, lesson))
            return 1 / (1 + math.exp(-log_odds))

        for number, index in enumerate(batches(epoch)):
            before = [loss_of(f, images[i], labels[i]).item() for i in index]
            optimizer.zero_grad()
            step = method.step(images[index], labels[index], index)
            step.loss.backward()
            optimizer.step()
            e = 100 * (epoch * BATCHES + number) // (EPOCHS * BATCHES)
            ma, v = reference.mentor_net_step(
                f, images[index], labels[index], ma, e, teacher, 0.75, 0.5, 0.0, list(range(B)), ETA
            )
            assert sample_weights(step) == pytest.approx(v, abs=1e-4)
            for i, ell in zip(index.tolist(), before, strict=True):
                if i in verified:
                    history[i, 10 * epoch] = ell, ell - ma
    assert_same_weights(method.backbone, f, rtol=1e-3, atol=1e-4)
    assert method.scalars()["mentor_accuracy"] > 0.6


def test_the_mentor_is_taught_from_the_very_percentage_on(tmp_path: Path) -> None:
    method = MentorNet(problem(), "learned", trusted=_trusted(tmp_path, _verified()), warm_up=20)
    assert method.mentor is not None
    _train(method, epochs=2)
    assert not method.mentor.taught
    method.on_epoch_start(context(2))  # of ten: 20 %
    assert method.mentor.taught


def test_no_optimizer_gets_the_mentor_but_every_checkpoint(tmp_path: Path) -> None:
    method = MentorNet(problem(), "learned", trusted=_trusted(tmp_path, _verified()), warm_up=10)
    assert method.mentor is not None
    before = method.mentor.network.output.weight.clone()
    _train(method, epochs=3)
    assert not any(weight.requires_grad or weight.grad is not None for weight in method.mentor.parameters())
    assert not method.state_dict()["mentor.network.output.weight"].equal(before)


def test_samples_that_are_not_trained_on_are_no_lesson(tmp_path: Path) -> None:
    def given(epoch: int) -> EpochContext:
        labels = points()[1].clone()
        labels[:20] = -1
        return EpochContext(epoch, 10, labels, context(0).predict)

    method = MentorNet(problem(), "learned", trusted=_trusted(tmp_path, _verified()))
    method.on_epoch_start(given(0))
    images, labels = points()
    index = torch.arange(20, 30)
    method.step(images[index], labels[index], index)
    assert method.mentor is not None
    assert method.mentor.known.sum() == sum(i >= 20 for i, _ in _verified())


@pytest.mark.parametrize("kind", ["all right", "all wrong", "few", "none"])
def test_with_nothing_to_learn_it_warns_and_stays_predefined(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    labels = points()[1].tolist()
    verified = {
        "all right": list(enumerate(labels)),
        "all wrong": [(i, (label + 1) % K) for i, label in enumerate(labels)],
        "few": [*((i, i % K) for i in (0, 4, 8, 12)), (1, 1), (2, 2)],
        "none": [],
    }[kind]
    torch.manual_seed(0)
    learned = MentorNet(problem(), "learned", trusted=_trusted(tmp_path, verified))
    torch.manual_seed(0)
    predefined = MentorNet(problem())
    with caplog.at_level(logging.WARNING):
        kept = _train(learned)
    assert len(caplog.records) == 1
    assert "stays predefined" in caplog.text
    assert kept == _train(predefined)


def test_losses_that_are_not_finite_are_not_written_down(tmp_path: Path) -> None:
    method = MentorNet(
        lookup([[float("nan")] * 3, [1.0, 0, 0]]), "learned", trusted=_trusted(tmp_path, [(0, 1), (1, 0)])
    )
    method.on_epoch_start(EpochContext(0, 10, torch.zeros(2, dtype=torch.long), context(0).predict))
    method.step(torch.arange(2), torch.zeros(2, dtype=torch.long), torch.arange(2))
    assert method.mentor is not None
    assert method.mentor.known.sum(1).tolist() == [0, 1]
    assert method.mentor.history.isfinite().all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "first line"),
        ("0,1\n", "first line"),
        ("index,true_label\n0,1\n", "first line"),
        ("index,label\n0,1,2\n", "two whole numbers"),
        ("index,label\n0,x\n", "two whole numbers"),
        ("index,label\n30,0\n", "index in"),
        ("index,label\n-1,0\n", "index in"),
        ("index,label\n0,3\n", "label in"),
        ("index,label\n0,1\n0,1\n", "twice"),
    ],
)
def test_a_file_of_trusted_labels_that_is_none_is_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "trusted.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        MentorNet(problem(), "learned", trusted=path)


def test_a_missing_file_and_one_that_nobody_asked_for_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        MentorNet(problem(), "learned", trusted=tmp_path / "none.csv")
    with pytest.raises(InputError, match="needs a file"):
        MentorNet(problem(), "learned")
    with pytest.raises(InputError, match="no other takes one"):
        MentorNet(problem(), trusted=_trusted(tmp_path, _verified()))

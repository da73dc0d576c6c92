import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from noisy_lightning.errors import InputError
from noisy_lightning.losses import CrossEntropy
from noisy_lightning.methods import EpochContext, GlobalLocal, Problem
from noisy_lightning.methods.global_local import soft_targets, unit_vectors
from noisy_lightning.methods.parts.cosine_neighbors import cosine_neighbors
from noisy_lightning.methods.parts.two_gaussians import upper_group
from tests.methods.toys import problem, sample_weights
from tests.reference import global_local as paper

N, K, D, B, K_NEAR, ETA = 150, 3, 4, 30, 9, 0.5


def _data(spread: float = 0.45) -> tuple[Tensor, Tensor, Tensor]:
    """Return features (N, D, 1, 1), given labels, and which are wrong."""
    random = torch.Generator().manual_seed(0)
    true = torch.arange(N) % K
    features = 2 + torch.eye(D)[true] + spread * torch.randn(N, D, generator=random)
    wrong = torch.rand(N, generator=random) < 0.3
    return features.view(N, D, 1, 1), torch.where(wrong, (true + 1) % K, true), wrong


def _network() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(D, K))


def _method(**arguments: Any) -> GlobalLocal:
    torch.manual_seed(0)
    return GlobalLocal(Problem(_network, CrossEntropy(), K, N), **{"k": K_NEAR, **arguments})


def _context(labels: Tensor, features: Tensor, epoch: int = 0) -> EpochContext:
    def predict(network: nn.Module, augmented: bool = False, index: Tensor | None = None, view: int = 0) -> Tensor:
        output: Tensor = network(features)
        return output

    return EpochContext(epoch, 2, labels, predict)


def _upper(values: list[float]) -> list[float]:
    probabilities = upper_group(np.array(values))  # whose twin is in the tests of the selector
    assert probabilities is not None
    return list(probabilities)


@pytest.mark.parametrize(("sure", "local_mixture"), [(0.8, False), (0.99, True)])
def test_walks_the_path_of_the_specification(sure: float, local_mixture: bool) -> None:
    images, labels, _ = _data()
    method = _method(clean=sure, noisy=sure)
    backbone = copy.deepcopy(method.backbone)
    method.on_epoch_start(_context(labels, images))
    given = labels.tolist()
    z = paper.unit(images.flatten(1).double().tolist())
    parts, mixed = paper.partition(z, given, K, _upper, sure, sure, 0.5, K_NEAR)
    assert set(parts) == {"clean", "hard", "noisy"}
    assert mixed == local_mixture
    targets = [paper.soft_target(i, z, given, parts, K, 0.1) for i in range(N)]
    assert (method.hard.values > 0).tolist() == [part == "hard" for part in parts]
    for i, (part, (target, confidence)) in enumerate(zip(parts, targets, strict=True)):
        replaced = part == "noisy"
        assert method.weights.values[i].item() == pytest.approx(confidence if replaced else 1, abs=1e-5)
        assert method.targets.values[i].tolist() == pytest.approx(target if replaced else [0] * K, abs=1e-5)
    ours, theirs = (torch.optim.SGD(one.parameters(), lr=ETA) for one in (method, backbone))
    for batch in torch.arange(N).split(B):
        step = method.step(images[batch], labels[batch], batch)
        rows = batch.tolist()
        loss = paper.batch_loss(
            backbone(images[batch]),
            [given[i] for i in rows],
            [parts[i] for i in rows],
            [targets[i] for i in rows],
            0.7,
        )
        assert step.loss.item() == pytest.approx(loss.item(), abs=1e-5)
        assert sample_weights(step) == [parts[i] != "noisy" for i in rows]
        torch.testing.assert_close(step.losses, CrossEntropy()(backbone(images[batch]), labels[batch]))
        for optimizer, value in ((ours, step.loss), (theirs, loss)):
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
    for mine, other in zip(method.backbone.parameters(), backbone.parameters(), strict=True):
        torch.testing.assert_close(mine, other, atol=1e-5, rtol=0)


def test_wrong_labels_are_replaced_by_the_right_ones() -> None:
    images, labels, wrong = _data(0.2)
    method = _method()
    method.on_epoch_start(_context(labels, images))
    replaced = method.targets.values.sum(1) > 0
    assert (replaced == wrong).float().mean() > 0.97
    right = (method.targets.values.argmax(1) == torch.arange(N) % K)[replaced]
    assert right.float().mean() > 0.97
    assert method.scalars()["replaced"].item() == pytest.approx(replaced.float().mean().item())


def test_samples_are_divided_once() -> None:
    images, labels, _ = _data()
    method = _method()
    method.on_epoch_start(_context(labels, images))
    before = {name: value.clone() for name, value in method.state_dict().items()}
    method.on_epoch_start(_context(labels.roll(1), images.flip(0), 1))
    assert all(value.equal(before[name]) for name, value in method.state_dict().items())


def test_what_is_not_trained_on_is_no_part_of_a_prototype() -> None:
    images, labels, _ = _data()
    some = labels.clone()
    some[100:] = -1
    wild = images.clone()
    wild[100:] = torch.nan
    part, alone = _method(), _method()
    part.on_epoch_start(_context(some, wild))
    shorter = _context(labels[:100], images[:100])
    alone.on_epoch_start(shorter)
    for name in ("hard", "weights", "targets"):
        assert getattr(part, name).values[:100].equal(getattr(alone, name).values[:100])
    assert part.state_dict()["targets.values"].isfinite().all()
    assert (part.weights.values[100:] == 1).all()


def test_equal_features_leave_all_labels_clean_with_a_warning() -> None:
    _, labels, _ = _data()
    method = _method()
    with pytest.warns(UserWarning, match="do not fall into two groups"):
        method.on_epoch_start(_context(labels, torch.ones(N, D, 1, 1)))
    assert not method.hard.values.any()
    assert not method.targets.values.any()


def test_classes_may_have_mixtures_of_their_own_and_each_keeps_some() -> None:
    images, labels, wrong = _data(0.3)
    # Of the last class nearly all labels are wrong.
    lost = (torch.arange(N) % K == 0) & (torch.arange(N) % 2 == 0)
    labels = torch.where(lost, 2, labels)
    wrong |= lost
    method = _method(clean=0.7, noisy=0.95, local=0.8, class_wise=True)
    method.on_epoch_start(_context(labels, images))
    kept = (method.targets.values.sum(1) == 0) & (method.hard.values == 0)
    for label in range(K):
        members = labels == label
        assert kept[members].sum() >= 0.05 * members.sum()
    assert (kept & ~wrong).sum() / kept.sum() > 1 - wrong.float().mean()


def test_a_class_without_clean_samples_has_no_probability() -> None:
    unit = unit_vectors(torch.randn(12, 4, generator=torch.Generator().manual_seed(0)))
    labels = np.arange(12) % 3
    target, weight = soft_targets(unit, labels, labels < 2, 3, 0.1)
    assert not target[:, 2].any()
    assert ((weight >= 0) & (weight <= 1)).all()
    nothing, none = soft_targets(unit, labels, labels > 5, 3, 0.1)
    torch.testing.assert_close(nothing, torch.full((12, 3), 1 / 3))
    assert none.abs().max() < 1e-6


@pytest.mark.parametrize("k", [1, 4, 50])
def test_neighbors_are_the_nearest_others(k: int) -> None:
    unit = unit_vectors(torch.randn(20, 3, generator=torch.Generator().manual_seed(1)))
    found = cosine_neighbors(unit, k)
    for i in range(20):
        others = sorted(
            (j for j in range(20) if j != i), key=lambda j: -paper.cosine(unit[i].tolist(), unit[j].tolist())
        )
        assert found.positions[i].tolist() == others[:k]
        expected = [paper.cosine(unit[i].tolist(), unit[j].tolist()) for j in others[:k]]
        assert found.similarity[i].tolist() == pytest.approx(expected, abs=1e-5)
    some = cosine_neighbors(unit, k, torch.tensor([7, 2]))
    assert some.positions.equal(found.positions[[7, 2]])
    assert cosine_neighbors(unit, k, torch.tensor([], dtype=torch.long)).positions.shape == (0, min(k, 19))


def test_a_loss_without_soft_targets_is_refused() -> None:
    class Hard(nn.Module):
        def forward(self, logits: Tensor, target: Tensor) -> Tensor:
            raise ValueError("class indices only")

    with pytest.raises(InputError, match="Hard does not go with this method"):
        GlobalLocal(problem(Hard()))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "arguments",
    [{"clean": 0.5}, {"noisy": 1.1}, {"local": 0.0}, {"k": 0}, {"q": 0.0}, {"temperature": 0.0}],
)
def test_a_value_out_of_range_is_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        _method(**arguments)

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from noisy_lightning.methods import DISC
from noisy_lightning.methods.disc import divided
from tests.methods.toys import K, N, assert_same_weights, batches, context, points, problem, sample_weights
from tests.reference import disc as paper

ETA, EPOCHS = 0.3, 6


def _views(index: Tensor) -> Tensor:
    """Return (2, B, 2): the strong view is farther off."""
    images = points()[0][index]
    return torch.stack([images, 0.7 * images + 0.1])


def _method(**arguments: float) -> DISC:
    torch.manual_seed(0)
    return DISC(problem(), **{"warm_up": 2, "momentum": 0.8, "sigma": 0.3, **arguments})  # type: ignore[arg-type]


def _mixing(method: DISC, number: int, index: list[int], sets: list[str | None]) -> list[tuple[float, dict[int, int]]]:
    """Return the share and the partners of each view, as documented."""
    random = np.random.default_rng([int(method.random.seed), number])
    members = sorted(i for i in index if sets[i] is not None)
    mixing: list[tuple[float, dict[int, int]]] = []
    for _ in range(2):
        if len(members) < 2:
            mixing.append((1.0, {}))
            continue
        draw, permutation = random.beta(5.0, 5.0), random.permutation(len(members))
        partner = {index.index(i): index.index(members[permutation[n]]) for n, i in enumerate(members)}
        mixing.append((max(draw, 1 - draw), partner))
    return mixing


def test_walks_the_path_of_the_paper() -> None:
    method = _method(hard_weight=0.2)
    f = copy.deepcopy(method.backbone)
    optimizer = torch.optim.SGD(method.parameters(), lr=ETA)
    y = points()[1].tolist()
    p_w, p_s = ([[0.0] * K for _ in range(N)] for _ in range(2))
    tau_w, tau_s = [1 / N] * N, [1 / N] * N
    sets: list[str | None] = []
    labels: list[int] = []
    seen, number = set(), 0
    for epoch in range(EPOCHS):
        method.on_epoch_start(context(epoch))
        for batch in batches(epoch):
            index, (w, s) = batch.tolist(), _views(batch)
            for p, view in ((p_w, w), (p_s, s)):
                for i, z in zip(index, f(view).detach().softmax(1), strict=True):
                    p[i] = z.tolist()
            if epoch < 2:
                objective = paper.warm_up_objective(f, w, s, points()[1][batch])
                kept = [1.0] * len(index)
            else:
                mixing = _mixing(method, number, index, sets)
                objective = paper.objective(f, w, s, points()[1][batch], index, sets, labels, 0.2, 0.7, mixing)
                kept = [float(sets[i] in {"clean", "hard"}) for i in index]
                number += 1
            step = method.step(_views(batch), points()[1][batch], batch)
            optimizer.zero_grad()
            step.loss.backward()
            optimizer.step()
            assert step.loss.item() == pytest.approx(paper.step(f, objective, ETA), rel=1e-5)
            assert sample_weights(step) == kept
        method.on_epoch_end(context(epoch))
        sets, labels = paper.select(p_w, p_s, tau_w, tau_s, y, 0.3)
        tau_w, tau_s = paper.follow(tau_w, p_w, 0.8), paper.follow(tau_s, p_s, 0.8)
        assert method.tau_weak.values.tolist() == pytest.approx(tau_w, abs=1e-5)
        assert method.tau_strong.values.tolist() == pytest.approx(tau_s, abs=1e-5)
        for name in ("clean", "hard", "purified"):
            assert getattr(method, name).values.tolist() == [one == name for one in sets], name
            assert method.scalars()[name].item() == pytest.approx(sets.count(name) / N)
        seen |= set(sets)
    assert seen == {"clean", "hard", "purified", None}
    assert_same_weights(method.backbone, f, rtol=1e-5, atol=1e-6)


TABLE = [  # p_w, p_s, τ_w, τ_s, given label, set, label
    ((0.7, 0.2, 0.1), (0.6, 0.3, 0.1), 0.5, 0.5, 0, "clean", 0),
    ((0.7, 0.2, 0.1), (0.5, 0.4, 0.1), 0.5, 0.5, 0, "hard", 0),  # 0.5 is not above 0.5
    ((0.4, 0.5, 0.1), (0.6, 0.3, 0.1), 0.5, 0.5, 0, "hard", 0),
    ((0.1, 0.8, 0.1), (0.0, 1.0, 0.0), 0.5, 0.5, 0, "purified", 1),
    ((0.1, 0.8, 0.1), (0.1, 0.7, 0.2), 0.5, 0.5, 0, None, 0),  # 0.75 is not above 0.8
    ((0.0, 1.0, 0.0), (0.0, 0.99, 0.01), 0.9, 0.8, 2, "purified", 1),  # 0.995 > 0.99, not 1.15
    ((0.01, 0.985, 0.005), (0.0, 0.99, 0.01), 0.9, 0.8, 2, None, 2),
    ((0.0, 0.0, 1.0), (0.9, 0.1, 0.0), 0.2, 0.2, 1, "purified", 2),  # their mean counts: 0.5 of class 2
    ((0.3, 0.3, 0.4), (0.3, 0.3, 0.4), 0.1, 0.1, 0, "clean", 0),  # though another class is likelier
    ((0.2, 0.2, 0.6), (0.2, 0.2, 0.6), 0.3, 0.4, 0, None, 0),
]


def test_the_sets_are_those_of_a_table_made_by_hand() -> None:
    p_w, p_s, tau_w, tau_s, given, names, labels = (list(column) for column in zip(*TABLE, strict=True))
    tables = [torch.tensor(column) for column in (p_w, p_s, tau_w, tau_s, given)]
    sets = divided(tables[0], tables[1], tables[2], tables[3], tables[4], sigma=0.2999)
    assert sets.clean.tolist() == [name == "clean" for name in names]
    assert sets.hard.tolist() == [name == "hard" for name in names]
    assert sets.purified.tolist() == [name == "purified" for name in names]
    assert sets.labels.tolist() == labels
    assert paper.select(p_w, p_s, tau_w, tau_s, given, 0.2999) == (names, labels)


def test_thresholds_start_at_one_over_the_number_of_samples() -> None:
    method = _method()
    assert method.tau_weak.values.tolist() == method.tau_strong.values.tolist() == pytest.approx([1 / N] * N)


@pytest.mark.parametrize("members", [0, 1, 2])
def test_a_batch_with_few_or_no_members_of_the_sets_is_fine(members: int) -> None:
    method = _method(warm_up=0)
    method.on_epoch_start(context(0))
    method.purified.values[:members] = True
    index = torch.arange(5)
    step = method.step(_views(index), points()[1][index], index)
    step.loss.backward()
    gradients = [weight.grad for weight in method.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
    assert any(gradient is not None and gradient.any() for gradient in gradients) == (members == 2)
    assert sample_weights(step) == [0] * 5


def test_the_mixed_pass_sees_the_members_of_the_sets_alone() -> None:
    sizes = []

    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, K).double()

        def forward(self, image: Tensor) -> Tensor:
            sizes.append(len(image))
            logits: Tensor = self.layer(image)
            return logits

    method = DISC(replace(problem(), make_backbone=Counting), warm_up=0)
    method.on_epoch_start(context(0))
    method.clean.values[0], method.hard.values[2], method.purified.values[3] = True, True, True
    index = torch.arange(5)
    method.step(_views(index), points()[1][index], index)
    assert sizes == [5, 5, 3, 3]


def test_a_step_that_failed_is_forgotten() -> None:
    method = _method()
    method.on_epoch_start(context(0))
    index = torch.arange(4)
    method.step(_views(index), points()[1][index], index)
    before = method.p_weak.values.clone()
    method.step(_views(index) * float("nan"), points()[1][index], index)
    assert method.p_weak.values.equal(before)


def test_samples_outside_the_training_part_are_in_no_set() -> None:
    method = _method()
    labels = points()[1].clone()
    labels[:10] = -1

    now = replace(context(0), labels=labels)
    method.on_epoch_start(now)
    index = torch.arange(10, N)
    method.step(_views(index), labels[index], index)
    method.on_epoch_end(now)
    assert not (method.clean.values | method.hard.values | method.purified.values)[:10].any()
    assert method.tau_weak.values[:10].tolist() == pytest.approx([1 / N] * 10)
    assert sum(method.scalars().values()) <= 1


@pytest.mark.parametrize(
    "arguments",
    [{"warm_up": -1}, {"momentum": 1.0}, {"sigma": -0.1}, {"hard_weight": -1.0}, {"q": 0.0}, {"alpha": 0.0}],
)
def test_a_value_out_of_range_is_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        _method(**arguments)

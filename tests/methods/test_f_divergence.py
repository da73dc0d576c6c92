import math
from collections.abc import Callable
from typing import get_args

import pytest
import torch

from noisy_lightning.methods import FDivergence
from noisy_lightning.methods.f_divergence import Divergence, activation, conjugate
from tests.methods.toys import K, assert_same_weights, beside, context, points, problem, training
from tests.reference.loss_correction import probabilities
from tests.reference.losses import cross_entropy, one_hot
from tests.reference.peer import divergence

ETA = 0.3


@pytest.mark.parametrize("kind", get_args(Divergence))
@pytest.mark.parametrize("added", [0.0, 1e-5])
def test_walks_the_path_of_the_paper(kind: Divergence, added: float) -> None:
    torch.manual_seed(0)
    method = FDivergence(problem(), kind, warm_up=1, added=added).double()
    f = problem().make_backbone()
    f.load_state_dict(method.backbone.state_dict())
    images, labels = points()
    optimizer = torch.optim.SGD(f.parameters(), ETA)
    reached = []
    for number, (epoch, index, step) in enumerate(training(method, 3, ETA)):
        samples, given = probabilities(f, images[index]), labels[index].tolist()
        if epoch < 1:
            loss = sum(cross_entropy(p, one_hot(y, K)) for p, y in zip(samples, given, strict=True)) / len(given)
        else:
            others = beside(epoch, number % 3)
            peers = probabilities(f, images[others]), method.peers.values[others].tolist()
            loss = -divergence(kind, samples, given, *peers, added)
            reached.append(-loss.item())
        torch.testing.assert_close(step.loss, loss, rtol=1e-7, atol=1e-9)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert_same_weights(method.backbone, f, rtol=1e-7, atol=1e-9)
    assert method.scalars()["divergence"].item() == pytest.approx(sum(reached[-3:]) / 3)


@pytest.mark.parametrize(("kind", "f"), [
    ("total_variation", lambda u: abs(u - 1) / 2),
    ("jensen_shannon", lambda u: u * math.log(u) - (u + 1) * math.log((u + 1) / 2)),
    ("pearson", lambda u: (u - 1) ** 2),
    ("kl", lambda u: u * math.log(u)),
    ("jeffrey", lambda u: (u - 1) * math.log(u)),
])  # fmt: skip
def test_the_forms_are_conjugate(kind: Divergence, f: Callable[[float], float]) -> None:
    """f*(t) = sup_u u·t − f(u), at t = g(v)."""
    for v in (0.05, 0.3, 0.6):
        value = torch.tensor(v, dtype=torch.float64)
        t = activation(kind, value).item()
        supremum = max(u * t - f(u) for u in (n / 2000 for n in range(1, 8000)))
        assert conjugate(kind, value).item() == pytest.approx(supremum, abs=0.01 if kind == "jeffrey" else 1e-3)


def test_nothing_is_reported_before_the_warm_up_is_over() -> None:
    method = FDivergence(problem(), warm_up=2)
    method.on_epoch_start(context(0))
    images, labels = points()
    step = method.step(images, labels, torch.arange(len(labels)))
    assert step.losses.equal(method.loss(step.logits, labels))
    assert method.scalars() == {}


@pytest.mark.parametrize("value", [{"warm_up": -1}, {"added": -1.0}, {"divergence": "chi"}, {"random_labels": "none"}])
def test_a_value_out_of_range_is_refused(value: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(value))):
        FDivergence(problem(), **value)  # type: ignore[arg-type]

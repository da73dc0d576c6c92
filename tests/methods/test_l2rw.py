from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from noisy_lightning.errors import InputError
from noisy_lightning.losses import CrossEntropy
from noisy_lightning.methods import L2RW, Problem
from noisy_lightning.methods.parts.trusted_batch import alignments, logits_at
from noisy_lightning.types import Companion
from tests.methods.toys import N, beside, points, problem, sample_weights, training
from tests.reference.meta import cross_entropy, l2rw_weights

ETA = 0.3


def trusted(folder: Path, samples: range = range(0, N, 5)) -> Path:
    """Return a file with the labels that the points of toys have before some are made wrong."""
    path = folder / "trusted.csv"
    path.write_text("index,label\n" + "".join(f"{i},{i % 3}\n" for i in samples))
    return path


def theta_of(method: L2RW) -> list[Tensor]:
    return [weight.detach().clone().requires_grad_() for weight in method.backbone.parameters()]


@pytest.mark.parametrize(("weight_decay", "alpha"), [(2e-4, 0.1), (0.5, 1.0), (0.0, 1e-3)])
def test_walks_the_path_of_the_paper_whatever_the_length_of_the_virtual_step(
    weight_decay: float, alpha: float, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    method = L2RW(problem(), trusted(tmp_path), weight_decay).double()
    images, labels = points()
    theta = theta_of(method)
    known, negative = list(range(0, N, 5)), 0
    for number, (epoch, index, step) in enumerate(training(method, 3, ETA)):
        clean = [(images[known[i % len(known)]], known[i % len(known)] % 3) for i in beside(epoch, number % 3).tolist()]
        noisy = [i for i in index.tolist() if i not in known]
        samples = [(images[i], labels[i].item()) for i in noisy]
        expected = dict(zip(noisy, l2rw_weights(theta, samples, clean, weight_decay, alpha), strict=True))
        weights = dict(zip(index.tolist(), sample_weights(step), strict=True))
        for i, weight in weights.items():
            assert weight == pytest.approx(expected.get(i, 0.0), rel=1e-6, abs=1e-9)
        negative += list(expected.values()).count(0.0)
        loss = sum(expected[i] * cross_entropy(theta, images[i], labels[i].item()) for i in noisy)
        torch.testing.assert_close(step.loss, loss, rtol=1e-6, atol=1e-8)
        gradients = torch.autograd.grad(loss, theta)
        theta = [(w - ETA * g).detach().requires_grad_() for w, g in zip(theta, gradients, strict=True)]
    assert negative
    for weight, other in zip(method.backbone.parameters(), theta, strict=True):
        torch.testing.assert_close(weight, other, rtol=1e-6, atol=1e-8)


def test_wrong_labels_weigh_less(tmp_path: Path) -> None:
    torch.manual_seed(0)
    method = L2RW(problem(), trusted(tmp_path))
    wrong: list[float] = []
    right: list[float] = []
    _, labels = points()
    for _, index, step in training(method, 8, ETA):
        for i, weight in zip(index.tolist(), sample_weights(step), strict=True):
            if i % 5:
                (right if labels[i] == i % 3 else wrong).append(weight)
    assert sum(wrong) / len(wrong) < 0.3 * sum(right) / len(right)


def test_a_batch_that_helps_nothing_teaches_nothing(tmp_path: Path) -> None:
    """Its label is the opposite of what the verified sample, which has the same image, wants."""
    table = nn.Embedding(1, 2)
    method = L2RW(Problem(lambda: table, CrossEntropy(), 2, 4), trusted(tmp_path, range(1)), weight_decay=0)
    method.companion = Companion(torch.tensor([0]), torch.tensor([0]))
    step = method.step(torch.tensor([0, 0]), torch.tensor([1, 1]), torch.tensor([1, 2]))
    assert sample_weights(step) == [0, 0]
    assert step.loss.item() == 0


def test_alignments_are_products_of_gradients() -> None:
    network = nn.Linear(3, 2)
    losses = network(torch.randn(4, 3)).square().sum(1)
    weights = list(network.parameters())
    direction = [torch.randn_like(weight) for weight in weights]
    found = alignments(losses, weights, direction)
    for loss, value in zip(losses, found, strict=True):
        gradients = torch.autograd.grad(loss, weights, retain_graph=True)
        torch.testing.assert_close(value, sum((g * d).sum() for g, d in zip(gradients, direction, strict=True)))


def test_running_statistics_stay_in_a_pass_with_other_weights() -> None:
    network = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    before = {name: value.clone() for name, value in network.named_buffers()}
    logits = logits_at(network, dict(network.named_parameters()), torch.randn(5, 2))
    assert logits.mean(0).abs().max() < 1e-6  # in training mode
    assert all(value.equal(before[name]) for name, value in network.named_buffers())


def test_verified_labels_are_needed(tmp_path: Path) -> None:
    for method in (L2RW(problem()), L2RW(problem(), trusted(tmp_path, range(0)))):
        with pytest.raises(InputError, match="trusted must be a CSV file of verified labels"):
            method.companions(torch.arange(N))
    with pytest.raises(ValueError, match="weight_decay"):
        L2RW(problem(), trusted(tmp_path), weight_decay=-1)

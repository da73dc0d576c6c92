"""Every generator over rates, class counts and seeds: its realized matrix is within the interval of its nominal one."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from noisy_lightning.data import Asymmetric, Digits, OpenSet, PairFlip, PartDependent, Symmetric, TransitionMatrix
from noisy_lightning.data.labels import expected_rate, realised_matrix, realised_rate
from noisy_lightning.data.noise.class_conditional import LabelNoise
from tests.reference import noise as reference

RATES = (0.0, 0.01, 0.2, 0.45, 0.8, 1.0)
CLASSES = (2, 3, 10, 37, 100)
SEEDS = (0, 1, 2)
# One cell is out of its interval by chance with a probability of at most 2·exp(-25) = 3e-11: none of a million is.
EXPONENT = 25.0


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def unbalanced(num_classes: int) -> Tensor:
    """Return 20,000 or so labels in random order, the last class four times as frequent as the first."""
    share = torch.linspace(1, 4, num_classes)
    labels = torch.arange(num_classes).repeat_interleave((20_000 * share / share.sum()).long())
    return labels[torch.randperm(len(labels), generator=seeded(9))]


def bound(variance: Tensor) -> Tensor:
    """Return Bernstein's bound on how far a count is from its mean: sound for rare cells, unlike the normal one."""
    return EXPONENT / 3 + ((EXPONENT / 3) ** 2 + 2 * EXPONENT * variance).sqrt()


def random_matrix(num_classes: int, rate: float) -> LabelNoise:
    """Return a matrix of random rows: a wrong label is some classes rather than others, and some never."""
    wrong = torch.rand(num_classes, num_classes, dtype=torch.float64, generator=seeded(3)) ** 3
    wrong[wrong < 0.05] = 0
    wrong.fill_diagonal_(0)[torch.arange(num_classes), (torch.arange(num_classes) + 1) % num_classes] += 0.1
    rows = rate * wrong / wrong.sum(1, keepdim=True)
    return TransitionMatrix((rows + (1 - rate) * torch.eye(num_classes)).tolist())


MAKERS: dict[str, Callable[[int, float], LabelNoise]] = {
    "symmetric": lambda classes, rate: Symmetric(rate),
    "symmetric_any": lambda classes, rate: Symmetric(rate, include_true=True),
    "symmetric_total": lambda classes, rate: Symmetric(rate, exact="total"),
    "symmetric_per_class": lambda classes, rate: Symmetric(rate, exact="per_class"),
    "symmetric_any_per_class": lambda classes, rate: Symmetric(rate, include_true=True, exact="per_class"),
    "next_class": lambda classes, rate: Asymmetric(rate, "next_class"),
    "chained": lambda classes, rate: Asymmetric(rate, {0: 1, 1: 0}, chained=True),
    "pair": lambda classes, rate: PairFlip(rate),
    "matrix": random_matrix,
}
NAMED = {"cifar10": 10, "cifar10_l_dmi": 10, "mnist": 10, "cifar100_block5": 100, "cifar100_superclass": 100}


def check(noise: LabelNoise, num_classes: int, seed: int) -> None:
    labels = unbalanced(num_classes)
    given = noise.corrupt(labels, None, num_classes, seeded(seed))
    nominal = noise.transition_matrix(num_classes)
    assert nominal is not None
    sizes = labels.bincount(minlength=num_classes).unsqueeze(1)
    measured = realised_matrix(labels, given, num_classes)
    off = (measured - nominal).abs() * sizes
    # An exact count is rounded, by half a sample; the rest spreads no more than independent draws.
    assert bool((off <= bound(sizes * nominal * (1 - nominal)) + 0.5).all())
    assert bool((measured[nominal == 0] == 0).all())
    expected, realised = expected_rate(noise, labels, num_classes), realised_rate(labels, given)
    assert expected is not None
    assert realised is not None
    spread = bound(torch.tensor(len(labels) * expected * (1 - expected))).item()
    assert abs(realised - expected) * len(labels) <= spread


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("num_classes", CLASSES)
@pytest.mark.parametrize("name", MAKERS)
def test_the_realized_matrix_is_the_nominal_one(name: str, num_classes: int, rate: float, seed: int) -> None:
    check(MAKERS[name](num_classes, rate), num_classes, seed)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("chained", [False, True])
@pytest.mark.parametrize("flips", NAMED)
def test_named_flips_have_their_matrix(flips: str, chained: bool, rate: float, seed: int) -> None:
    check(Asymmetric(rate, flips, chained), NAMED[flips], seed)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("rate", [0.01, 0.2, 0.45, 0.8])
@pytest.mark.parametrize("num_classes", [2, 10, 37])
def test_part_dependent_noise_has_its_rate_in_each_class(num_classes: int, rate: float, seed: int) -> None:
    """How often an image is mislabeled does not depend on its class; as what, depends on the image alone."""
    labels = unbalanced(num_classes)
    images = torch.randint(256, (len(labels), 1, 3, 3), dtype=torch.uint8, generator=seeded(4))
    given = PartDependent(rate).corrupt(labels, images, num_classes, seeded(seed))
    expected = reference.mean_flip_rate(rate, 0.1)
    sizes = labels.bincount(minlength=num_classes)
    wrong = 1 - realised_matrix(labels, given, num_classes).diagonal()
    assert bool(((wrong - expected).abs() * sizes <= bound(sizes * expected * (1 - expected))).all())


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("rate", [0.01, 0.2, 0.45, 0.8])
def test_open_set_noise_has_its_rate_in_each_class(rate: float, seed: int) -> None:
    data = Digits(noise=OpenSet(rate, Digits()), seed=seed)
    data.setup("fit")
    sizes, foreign = data.labels.bincount(minlength=10), data.labels[data.is_foreign].bincount(minlength=10)
    assert bool(((foreign - rate * sizes).abs() <= bound(sizes * rate * (1 - rate))).all())
    assert data.noise_summary().realised_rate == round(rate * 1437) / 1437
    assert math.isclose(data.is_foreign.double().mean().item(), round(rate * 1437) / 1437)

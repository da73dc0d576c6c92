import pytest
import torch
from torch import Tensor

from noisy_lightning.methods.parts.noise_rate import rate_from_agreement
from tests.reference.incv import agreement_of, estimated_rate

NAN = float("nan")


def _symmetric(rate: float, classes: int) -> list[list[float]]:
    return [[1 - rate if i == j else rate / (classes - 1) for j in range(classes)] for i in range(classes)]


def _pair(rate: float, classes: int) -> list[list[float]]:
    return [[1 - rate if i == j else rate * (j == (i + 1) % classes) for j in range(classes)] for i in range(classes)]


@pytest.mark.parametrize("classes", [2, 10, 100])
@pytest.mark.parametrize("rate", [0.0, 0.001, 0.2, 0.45])
def test_a_rate_is_found_again_from_the_agreement_that_it_causes(rate: float, classes: int) -> None:
    uniform = [1 / classes] * classes
    symmetric = min(1, agreement_of(_symmetric(rate, classes), uniform))
    pair = min(1, agreement_of(_pair(rate, classes), uniform))
    assert rate_from_agreement(symmetric, classes, "symmetric") == pytest.approx(rate)
    assert rate_from_agreement(pair, classes, "pair") == pytest.approx(rate)


def test_a_rate_of_any_pattern_is_found_again() -> None:
    pattern = torch.eye(10)
    for source, target in ((9, 1), (2, 0), (4, 7), (3, 5), (5, 3)):
        pattern[source] = 0
        pattern[source, target] = 1
    for rate in (0.0, 0.1, 0.4):
        rows = ((1 - rate) * torch.eye(10) + rate * pattern).tolist()
        agreement = agreement_of(rows, [0.1] * 10)
        assert rate_from_agreement(agreement, 10, pattern) == pytest.approx(rate, abs=1e-6)


@pytest.mark.parametrize("classes", [3, 10])
def test_patterns_by_name_are_those_by_matrix(classes: int) -> None:
    others = (1 - torch.eye(classes)) / (classes - 1)
    following = torch.eye(classes).roll(1, 1)
    for agreement in (1.0, 0.8, 0.55, 0.2):
        symmetric, pair = (rate_from_agreement(agreement, classes, matrix) for matrix in (others, following))
        assert rate_from_agreement(agreement, classes, "symmetric") == pytest.approx(symmetric, abs=1e-3)
        assert rate_from_agreement(agreement, classes, "pair") == pytest.approx(pair, abs=1e-3)


@pytest.mark.parametrize("agreement", [1.0, 0.9, 0.6444, 0.5, 0.2778, 0.12])
def test_the_authors_code_finds_the_same_to_its_precision(agreement: float) -> None:
    expected = estimated_rate(agreement, 10)
    assert -1e-9 <= expected - rate_from_agreement(agreement, 10, "symmetric") <= 0.001 + 1e-9


def test_pair_noise_taken_for_symmetric_looks_like_less() -> None:
    assert rate_from_agreement(0.52, 10, "symmetric") == pytest.approx(0.286, abs=1e-3)
    assert rate_from_agreement(0.52, 10, "pair") == pytest.approx(0.4)


def test_an_agreement_that_no_rate_explains_gives_the_nearest() -> None:
    for agreement in (0.1, 0.05, 0.0):
        assert rate_from_agreement(agreement, 10, "symmetric") == pytest.approx(0.9)
    assert rate_from_agreement(0.3, 10, "pair") == pytest.approx(0.5)
    half = torch.full((4, 4), 0.25)  # own class included: all labels can be random
    assert rate_from_agreement(0.0, 4, half) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("agreement", "classes", "pattern", "message"),
    [
        (-0.1, 10, "symmetric", "agreement"),
        (NAN, 10, "symmetric", "agreement"),
        (0.5, 1, "pair", "num_classes"),
        (0.5, 3, torch.eye(3), "at least one class"),
        (0.5, 3, torch.eye(4), "3 rows"),
        (0.5, 3, torch.ones(3, 3), "3 rows"),
    ],
)
def test_what_makes_no_sense_is_refused(agreement: float, classes: int, pattern: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rate_from_agreement(agreement, classes, pattern)

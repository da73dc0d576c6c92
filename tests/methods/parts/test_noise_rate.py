import pytest
import torch
from torch import Tensor

from noisy_lightning.methods.parts.noise_rate import high_loss_share, rate_from_agreement
from tests.reference.incv import agreement_of, estimated_rate

NAN, INF = float("nan"), float("inf")


# By losses


def _losses(share: float, apart: float = 2.0, size: int = 2000) -> Tensor:
    """Return losses of which a share lies higher, in two bell-shaped groups."""
    random = torch.Generator().manual_seed(0)
    high = torch.arange(size) < share * size
    return torch.where(high, apart, 0.0) + 0.3 * torch.randn(size, generator=random)


@pytest.mark.parametrize("share", [0.05, 0.2, 0.4, 0.6, 0.9])
def test_the_share_of_high_losses_is_found(share: float) -> None:
    assert high_loss_share(_losses(share)) == pytest.approx(share, abs=0.02)


def test_scale_place_and_precision_of_losses_do_not_matter() -> None:
    share = high_loss_share(_losses(0.3))
    assert share is not None
    assert high_loss_share(1000 * _losses(0.3) - 70) == pytest.approx(share, abs=1e-3)
    assert high_loss_share(_losses(0.3).bfloat16()) == pytest.approx(share, abs=1e-2)


def test_the_same_losses_give_the_same_share() -> None:
    assert high_loss_share(_losses(0.3)) == high_loss_share(_losses(0.3))


def test_what_is_left_of_right_labels_alone_looks_like_wrong_ones() -> None:
    """The bias that the documentation warns of: hard samples are taken for wrong ones."""
    losses = -torch.rand(5000, generator=torch.Generator().manual_seed(0)).log()  # many small, few large
    share = high_loss_share(losses)
    assert share is not None
    assert 0.1 < share < 0.4


@pytest.mark.parametrize(
    "losses",
    [
        torch.tensor([]),
        torch.tensor([0.0, 1.0] * 4),
        torch.full((100,), 0.7),
        torch.cat([_losses(0.3), torch.tensor([NAN])]),
        torch.cat([_losses(0.3), torch.tensor([INF])]),
        _losses(0.3, apart=0.0),
        _losses(0.0) * torch.where(torch.arange(2000) % 7 == 0, 1.0, 0.02),
    ],
    ids=["none", "few", "constant", "NaN", "infinite", "one group", "one place"],
)
def test_losses_without_two_groups_have_no_share(losses: Tensor) -> None:
    assert high_loss_share(losses) is None


def test_two_groups_within_a_standard_deviation_of_each_other_are_one() -> None:
    """Wide and narrow groups in about one place are easy and hard samples, and no wrong labels."""
    normal = torch.randn(2000, generator=torch.Generator().manual_seed(0))
    hard = torch.arange(2000) % 4 == 0
    assert high_loss_share(torch.where(hard, 0.1 + 0.3 * normal, 0.01 * normal)) is None
    assert high_loss_share(torch.where(hard, 0.3 + 0.3 * normal, 0.01 * normal)) is not None


# By agreement


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

import pytest
import torch

from noisy_lightning.methods.parts import cosine_neighbors
from noisy_lightning.methods.parts.neighbors import balanced, neighbor_votes
from tests.reference import ssr as paper

ANGLES = torch.tensor([0.0, 5.0, 12.0, 40.0, 45.0, 52.0, 85.0]).deg2rad()
FEATURES = torch.stack([ANGLES.cos(), ANGLES.sin()], 1) * torch.tensor([1.0, 9, 2, 3, 0.1, 5, 7])[:, None]
LABELS = torch.tensor([0, 0, 1, 1, 1, 1, 2])


def test_the_nearest_by_angle_vote_a_sample_itself_among_them() -> None:
    votes = neighbor_votes(FEATURES, LABELS, 3, 4)
    thirds = [[2, 1, 0], [2, 1, 0], [2, 1, 0], [0, 3, 0], [0, 3, 0], [0, 3, 0], [0, 2, 1]]
    assert votes.tolist() == [pytest.approx([n / 3 for n in [*row, 0]]) for row in thirds]


def test_a_class_is_balanced_by_its_share_and_one_without_samples_gets_no_votes() -> None:
    votes = balanced(neighbor_votes(FEATURES, LABELS, 3, 4), LABELS)
    assert votes[6].tolist() == pytest.approx([0, (2 / 4) / (2 / 4 + 1), 1 / (2 / 4 + 1), 0])
    assert votes[:, 3].tolist() == [0] * 7
    assert votes.sum(1).tolist() == pytest.approx([1] * 7)


@pytest.mark.parametrize("balance", [False, True])
@pytest.mark.parametrize("k", [1, 4, 30, 99])
def test_votes_are_those_of_the_paper(k: int, balance: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cosine_neighbors, "_COSINES", 7 * 30)  # blocks of 7 of 30 samples
    random = torch.Generator().manual_seed(0)
    features = torch.randn(30, 5, generator=random, dtype=torch.float64)
    labels = torch.randint(0, 4, (30,), generator=random)
    votes = neighbor_votes(features, labels, k, 5)
    if balance:
        votes = balanced(votes, labels)
    expected = paper.votes(features.tolist(), labels.tolist(), min(k, 30), 5, balance)
    torch.testing.assert_close(votes, torch.tensor(expected, dtype=torch.float64))

import numpy as np
import pytest

from noisy_lightning.data.audit import hashes
from noisy_lightning.data.audit.hashes import Hashes, close_pairs


def brute(values: Hashes, bits: int) -> list[list[int]]:
    distance = np.bitwise_count(values[:, None] ^ values)
    return np.argwhere(np.triu(distance <= bits, 1)).tolist()


@pytest.mark.parametrize("kind", ["spread", "crowded", "of few bits"])
@pytest.mark.parametrize("bits", [0, 1, 4])
def test_the_pairs_are_those_of_comparing_each_with_each(kind: str, bits: int) -> None:
    random = np.random.default_rng(0)
    values = random.integers(0, 2**63, 600, dtype=np.uint64)
    if kind == "crowded":  # more than are compared at once
        values[100:500] = values[0]
    if kind == "of few bits":
        values &= np.uint64(0x0F0F0F000000)
    near = random.integers(0, 600, 200)
    for _ in range(3):
        flips = np.uint64(1) << random.integers(0, 64, 200).astype(np.uint64)
        values[near] = values[random.integers(0, 600, 200)] ^ flips
    found = close_pairs(values, bits)
    assert found is not None
    assert sorted(found.tolist()) == brute(values, bits)


@pytest.mark.parametrize("limit", ["_MOST_COMPARED", "_MOST_FOUND"])
def test_hashes_that_are_all_alike_are_given_up(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.zeros(50, np.uint64)
    found = close_pairs(values, 4)
    assert found is not None
    assert len(found) == 50 * 49 / 2
    monkeypatch.setattr(hashes, limit, 1000)
    assert close_pairs(values, 4) is None


def test_few_hashes_have_no_pairs() -> None:
    for count in (0, 1):
        found = close_pairs(np.zeros(count, np.uint64), 4)
        assert found is not None
        assert found.shape == (0, 2)

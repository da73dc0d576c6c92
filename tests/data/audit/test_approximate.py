import numpy as np
import pytest

from noisy_lightning.data.audit import features as module
from noisy_lightning.data.audit.features import nearest_neighbors, unit_features
from noisy_lightning.runs.measures import Floats, Ints

COUNT, K = 3000, 10


def _clouds() -> tuple[Floats, Ints]:
    """Return unit features (N, 16) in thirty clouds, and groups (N,) of five."""
    random = np.random.default_rng(0)
    centers = random.normal(size=(30, 16))
    features = centers[np.arange(COUNT) % 30] + random.normal(0, 0.3, (COUNT, 16))
    groups = np.where(np.arange(COUNT) < 1000, np.arange(COUNT) // 5, -1)
    return unit_features(features[:, None].astype(np.float32), np.ones(COUNT, bool)), groups


def test_faiss_finds_nearly_the_same_neighbors(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("faiss")
    unit, groups = _clouds()
    usable = np.arange(COUNT) % 7 != 0
    asked = np.arange(0, COUNT, 3)
    exact = nearest_neighbors(unit, usable, K, groups, asked)
    assert exact.exact
    monkeypatch.setattr(module, "MANY", 0)
    found = nearest_neighbors(unit, usable, K, groups, asked)
    assert not found.exact
    assert not found.of(np.arange(3)).exact
    same = [len(set(a) & set(b)) / K for a, b in zip(exact.positions.tolist(), found.positions.tolist(), strict=True)]
    assert np.mean(same) > 0.9
    there = found.positions >= 0
    assert usable[found.positions[there]].all()
    assert (np.diff(found.similarity, axis=1)[there[:, 1:]] <= 0).all()
    own = groups[asked][:, None]
    assert not ((groups[found.positions] == own) & (own >= 0) & there).any()
    assert not (found.positions == asked[:, None]).any()
    np.testing.assert_allclose(
        found.similarity[there], (unit[asked][:, None] * unit[found.positions]).sum(2)[there], atol=2e-3
    )


def test_faiss_says_where_there_are_fewer_neighbors(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("faiss")
    unit, _ = _clouds()
    monkeypatch.setattr(module, "MANY", 0)
    found = nearest_neighbors(unit, np.arange(COUNT) < 4, 6)
    assert (found.positions[:4, 3:] == -1).all()
    assert (found.positions[4:, 4:] == -1).all()
    assert np.isneginf(found.similarity[:, 4:]).all()


def test_without_faiss_all_samples_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    unit, groups = _clouds()
    asked = np.arange(20)
    exact = nearest_neighbors(unit, np.ones(COUNT, bool), K, groups, asked)
    monkeypatch.setattr(module, "MANY", 0)
    monkeypatch.setattr(module, "is_installed", lambda: False)
    found = nearest_neighbors(unit, np.ones(COUNT, bool), K, groups, asked)
    assert found.exact
    np.testing.assert_array_equal(found.positions, exact.positions)

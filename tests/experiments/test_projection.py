"""Features lie on a plane, the same each time, and what is not installed is refused in a line."""

import sys
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from noisy_lightning.errors import InputError
from noisy_lightning.experiments.projection import check_projection, projected
from tests.conftest import SMALL


def test_groups_that_lie_apart_lie_apart_on_the_plane() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 2, 8)).astype(np.float32)
    features[:30, :, 0] += 20
    usable = np.arange(60) != 5
    points = projected(features, usable, largest=40)
    assert np.isnan(points[5]).all()
    assert np.isfinite(points[usable]).all()
    first, second = points[:30, 0], points[30:, 0]
    assert np.nanmax(first) < second.min() or np.nanmin(first) > second.max()
    np.testing.assert_array_equal(points, projected(features, usable, largest=40))


def test_too_few_samples_for_a_plane_have_no_places() -> None:
    assert np.isnan(projected(np.ones((2, 1, 4), np.float32), np.ones(2, bool))).all()


def test_umap_places_only_those_it_was_fitted_to(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {}

    def umap(**options: object) -> SimpleNamespace:
        asked.update(options)
        return SimpleNamespace(fit_transform=lambda rows: rows[:, :2])

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=umap))
    check_projection("UMAP")
    features = np.random.default_rng(0).normal(size=(20, 1, 4)).astype(np.float32)
    points = projected(features, np.ones(20, bool), "UMAP", largest=8)
    assert np.isfinite(points).all(1).sum() == 8
    assert asked == {"n_components": 2, "n_neighbors": 7, "random_state": 0, "n_jobs": 1}


def test_without_umap_one_line_says_what_to_install(
    run: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(InputError, match=r"pip install 'noisy_lightning\[map\]'"):
        check_projection("UMAP")
    check_projection("PCA")
    assert run("clean", "--selector", "NoisyCrossValidation", "--projection", "UMAP", *SMALL) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "pip install 'noisy_lightning[map]'" in line

from pathlib import Path

import numpy as np
import pytest

from noisy_lightning.data import Asymmetric, PairFlip, Symmetric
from noisy_lightning.data.noise.class_conditional import LabelNoise
from noisy_lightning.errors import InputError
from noisy_lightning.selectors import INCV, NoisyCrossValidation, Selector
from noisy_lightning.selectors.noise_estimate import estimated_rate, highest_rate, pattern_of
from tests.reference.incv import agreement_of
from tests.selectors.toys import MadeUp, labels, task


def _file(folder: Path, noise: LabelNoise, num_classes: int = 10) -> Path:
    """Write what replaces labels, a noise that leaves none as it is, into a file."""
    matrix = noise.transition_matrix(num_classes)
    assert matrix is not None
    np.save(folder / "matrix.npy", matrix.numpy())
    return folder / "matrix.npy"


@pytest.mark.parametrize(
    ("replacing", "noise", "wrong"),
    [
        (Symmetric(1.0), Symmetric(0.3), 0.3),
        (PairFlip(1.0), PairFlip(0.4), 0.4),
        (Asymmetric(1.0, "cifar10"), Asymmetric(0.4, "cifar10"), 0.2),  # five of ten classes are never wrong
    ],
)
def test_a_matrix_in_a_file_tells_the_share_of_wrong_labels(
    replacing: LabelNoise, noise: LabelNoise, wrong: float, tmp_path: Path
) -> None:
    pattern = pattern_of(_file(tmp_path, replacing))
    transition = noise.transition_matrix(10)
    assert transition is not None
    estimate = estimated_rate(agreement_of(transition.tolist(), [0.1] * 10), 10, pattern)
    assert estimate.rate == pytest.approx(wrong, abs=1e-6)
    assert estimate.assumption.startswith(f"the pattern of {tmp_path / 'matrix.npy'} noise, balanced classes")
    assert not estimate.warnings


@pytest.mark.parametrize(("name", "bound"), [("symmetric", 0.9), ("pair", 0.5)])
def test_an_agreement_that_no_rate_explains_warns(name: str, bound: float) -> None:
    pattern = pattern_of(name)  # type: ignore[arg-type]
    assert highest_rate(10, pattern) == pytest.approx(bound)
    assert estimated_rate(0.51, 10, pattern).warnings == []
    estimate = estimated_rate(0.05, 10, pattern)
    assert estimate.rate == pytest.approx(bound)
    (warning,) = estimate.warnings
    assert warning.startswith("only 5.0 % of the held-out labels are predicted")
    assert f"at its bound, {bound:.3f}" in warning


@pytest.mark.parametrize("kind", [INCV, NoisyCrossValidation])
@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (1 - np.eye(2), r"the pattern of \S+ must be 4×4, a row for each class, got 2×2"),
        (np.eye(4), "must replace labels of at least one class"),
    ],
)
def test_a_matrix_that_does_not_fit_is_refused_before_training(
    kind: type[Selector], rows: np.ndarray, message: str, tmp_path: Path
) -> None:
    np.save(tmp_path / "matrix.npy", rows)
    runs = MadeUp()
    with pytest.raises(InputError, match=rf"^selector\.inversion: .*{message}") as error:
        kind(inversion=tmp_path / "matrix.npy").select(task(labels(40)[0]), runs)  # type: ignore[call-arg]
    assert "\n" not in str(error.value)
    assert not runs.asked

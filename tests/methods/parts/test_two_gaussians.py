import numpy as np
import pytest

from noisy_lightning.methods.parts.two_gaussians import Values, fit_gaussians, scaled_to_unit, two_groups

NAN, INF = float("nan"), float("inf")


def _values(order: int = 1) -> Values:
    """Return 300 values around 0.2 and 100 around 0.8, in one order or the reverse."""
    random = np.random.default_rng(0)
    values: Values = np.concatenate([random.normal(0.2, 0.05, 300), random.normal(0.8, 0.05, 100)])
    return values[::order].copy()


@pytest.mark.parametrize("order", [1, -1])
def test_each_value_belongs_to_the_group_that_it_is_near(order: int) -> None:
    values = _values(order)
    groups = two_groups(values)
    np.testing.assert_array_equal(groups.low > 0.5, values < 0.5)
    np.testing.assert_allclose(groups.low + groups.high, 1)


def test_a_mixture_has_the_means_and_weights_of_the_groups() -> None:
    mixture = fit_gaussians(_values())
    low, high = mixture.means_[:, 0].argsort()
    assert mixture.means_[[low, high], 0].tolist() == pytest.approx([0.2, 0.8], abs=0.02)
    assert mixture.weights_[[low, high]].tolist() == pytest.approx([0.75, 0.25], abs=0.01)


def test_a_fit_that_has_not_converged_gives_no_warning() -> None:
    assert not fit_gaussians(np.random.default_rng(0).random(200), tol=0.0, max_iter=1).converged_


def test_values_are_scaled_from_the_least_to_the_largest() -> None:
    scaled = scaled_to_unit(np.arange(3, 14, dtype=np.float32))
    assert scaled is not None
    assert scaled.dtype == np.float64
    assert scaled.tolist() == [number / 10 for number in range(11)]


@pytest.mark.parametrize(
    "values",
    [[], [0.0, 1.0] * 4, [0.7] * 20, [0.0, 1.0] * 10 + [NAN], [0.0, 1.0] * 10 + [INF]],
    ids=["none", "few", "equal", "NaN", "infinite"],
)
def test_some_values_cannot_be_two_groups(values: list[float]) -> None:
    assert scaled_to_unit(np.array(values)) is None

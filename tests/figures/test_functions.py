import numpy as np

from noisy_lightning.figures.functions import loss_shapes


def test_each_loss_is_a_line_over_the_probability_of_the_given_label() -> None:
    probability = np.linspace(0.1, 1, 10, dtype=np.float32)
    (axes,) = loss_shapes(probability, {"CE": -np.log(probability), "MAE": 2 - 2 * probability}).axes
    assert [line.get_label() for line in axes.lines] == ["CE", "MAE"]
    np.testing.assert_array_equal(np.asarray(axes.lines[1].get_ydata()), 2 - 2 * probability)
    assert axes.get_ylim()[0] == 0 or axes.get_ylim()[0] < 0
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("probability of the given label", "loss")
    assert len({line.get_linestyle() for line in axes.lines}) == 2

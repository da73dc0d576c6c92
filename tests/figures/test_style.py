"""What all pictures share."""

import io

import numpy as np
import pytest
from PIL import Image

from noisy_lightning.figures.style import as_array, as_png, finish, legend_below, new_figure


@pytest.mark.parametrize("dpi", [100, 150])
def test_a_figure_is_as_many_pixels_as_its_inches_ask_for(dpi: int) -> None:
    assert as_array(new_figure(4, 2, ""), dpi).shape == (2 * dpi, 4 * dpi, 3)


def test_a_file_holds_the_picture_and_its_resolution() -> None:
    figure = new_figure(4, 2, "a title")
    finish(figure.subplots(), "a heading", "epoch")
    pixels = as_array(figure, 150)
    assert len(np.unique(pixels)) > 10
    with Image.open(io.BytesIO(as_png(pixels, 150))) as image:
        assert image.format == "PNG"
        assert image.info["dpi"] == pytest.approx((150, 150), abs=0.1)  # PNG counts pixels a meter
        np.testing.assert_array_equal(np.asarray(image), pixels)


def test_a_figure_drawn_twice_is_the_same() -> None:
    figure = new_figure(4, 2, "a title")
    finish(figure.subplots(), "a heading", "epoch")
    first = as_array(figure, 150)
    as_array(figure)
    np.testing.assert_array_equal(as_array(figure, 150), first)


def test_the_rows_of_a_legend_are_full_as_far_as_possible() -> None:
    figure = new_figure(5, 2, "")  # of nine columns
    axes = figure.subplots()
    for number in range(10):
        axes.plot([0, 1], label=f"{number}")
    legend_below(figure)
    as_array(figure)
    (legend,) = figure.legends
    heights = [round(text.get_window_extent().y0) for text in legend.get_texts()]
    assert [heights.count(height) for height in set(heights)] == [5, 5]

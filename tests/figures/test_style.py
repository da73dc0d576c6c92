"""What all pictures share."""

import io

import numpy as np
import pytest
from PIL import Image

from noisy_lightning.figures.style import as_array, as_png, finish, new_figure


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

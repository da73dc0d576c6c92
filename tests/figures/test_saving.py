import io
import re

import pytest
from matplotlib.figure import Figure
from PIL import Image

from noisy_lightning.figures.saving import as_files, for_page
from noisy_lightning.figures.style import finish, new_figure


def _figure(points: int = 3) -> Figure:
    figure = new_figure(5, 3, "Test accuracy")
    axes = figure.subplots()
    axes.plot(range(points), [number % 7 for number in range(points)], marker="o")
    finish(axes, "Symmetric", "noise rate")
    return figure


def _files(points: int = 3) -> dict[str, bytes]:
    return as_files(_figure(points))


def test_the_same_picture_is_the_same_bytes_whenever_it_is_saved() -> None:
    first = _files()
    assert list(first) == ["png", "pdf", "svg"]
    assert first == _files()


def test_text_stays_text_and_the_pdf_has_its_fonts_in_it() -> None:
    files = _files()
    for text in (b"Test accuracy", b"noise rate", b"Symmetric"):
        assert text in files["svg"]
    assert b"<text" in files["svg"]
    assert b"/FontFile2" in files["pdf"]  # TrueType
    assert b"/Type3" not in files["pdf"]
    assert not re.search(rb"CreationDate|<dc:date>", files["pdf"] + files["svg"])


def test_the_picture_is_of_one_size_in_all_its_forms() -> None:
    figure = _figure()
    width, height = figure.get_size_inches()
    files = as_files(figure)
    assert width == 5
    assert Image.open(io.BytesIO(files["png"])).size == (650, int(130 * height))
    found = re.search(rb'<svg [^>]*width="([\d.]+)pt" height="([\d.]+)pt"', files["svg"])
    assert found is not None
    assert [float(side) for side in found.groups()] == pytest.approx([360, 72 * height], abs=0.01)
    found = re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+) \]", files["pdf"])
    assert found is not None
    assert [float(side) for side in found.groups()] == pytest.approx([360, 72 * height], abs=0.01)


def test_a_page_has_the_sharp_one_unless_it_is_much_larger() -> None:
    assert for_page(_files()) == "svg"
    assert for_page(_files(20_000)) == "png"

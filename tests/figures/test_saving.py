import io
import re

from PIL import Image

from noisy_lightning.figures.saving import as_files, for_page
from noisy_lightning.figures.style import finish, new_figure


def _files(points: int = 3) -> dict[str, bytes]:
    figure = new_figure(5, 3, "Test accuracy")
    axes = figure.subplots()
    axes.plot(range(points), [number % 7 for number in range(points)], marker="o", label="ELR")
    finish(axes, "Symmetric", "noise rate")
    return as_files(figure)


def test_the_same_picture_is_the_same_bytes_whenever_it_is_saved() -> None:
    first = _files()
    assert list(first) == ["png", "pdf", "svg"]
    assert first == _files()


def test_text_stays_text_and_the_pdf_has_its_fonts_in_it() -> None:
    files = _files()
    for text in (b"Test accuracy", b"noise rate", b"ELR"):
        assert text in files["svg"]
    assert b"<text" in files["svg"]
    assert b"/FontFile2" in files["pdf"]  # TrueType
    assert b"/Type3" not in files["pdf"]
    assert not re.search(rb"CreationDate|<dc:date>", files["pdf"] + files["svg"])


def test_the_picture_is_of_one_size_in_all_its_forms() -> None:
    files = _files()
    assert Image.open(io.BytesIO(files["png"])).size == (650, 390)  # 5 x 3 inches at 130 an inch
    assert b'width="360pt" height="216pt"' in files["svg"]
    assert b"[ 0 0 360 216 ]" in files["pdf"]


def test_a_page_has_the_sharp_one_unless_it_is_much_larger() -> None:
    assert for_page(_files()) == "svg"
    assert for_page(_files(20_000)) == "png"

"""Letters of other scripts are drawn by fonts that have them."""

import warnings
from pathlib import Path

import pytest
from matplotlib.font_manager import fontManager

from noisy_lightning.figures import letters
from noisy_lightning.figures.saving import as_files
from noisy_lightning.figures.style import finish, new_figure


@pytest.fixture(autouse=True)
def _only_matplotlibs_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no font be there but those that come with matplotlib, none of which has Chinese letters."""
    own = [font for font in fontManager.ttflist if "mpl-data" in font.fname]
    monkeypatch.setattr(fontManager, "ttflist", own)
    letters._family_of.cache_clear()
    letters._warn_of_boxes.cache_clear()


def test_a_letter_that_the_own_font_lacks_comes_from_one_that_has_it() -> None:
    own = letters.families_for("cat")
    assert letters.families_for("cat ᴕ") == [*own, "DejaVu Serif"]
    figure = new_figure(3, 2, "ᴕ")
    finish(figure.subplots(), "cat", "class ᴕ")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        files = as_files(figure)
    assert b"DejaVu Serif" in files["svg"]
    assert b"DejaVuSerif" in files["pdf"]


def test_letters_that_no_font_has_are_warned_of_once() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        figure = new_figure(3, 2, "猫")
        finish(figure.subplots(), "狗", "class 猫")
        files = as_files(figure)
        as_files(figure)
    assert [str(one.message)[:40] for one in caught] == ["no installed font has all letters of the"]
    assert "猫".encode() in files["svg"]  # a reader of it may have a font


def test_a_font_that_cannot_be_read_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "broken.ttf").write_text("no font")
    broken = type(fontManager.ttflist[0])(fname=str(tmp_path / "broken.ttf"), name="Broken", weight=400)
    monkeypatch.setattr(fontManager, "ttflist", [broken, *fontManager.ttflist])
    assert letters.families_for("ᴕ")[-1] == "DejaVu Serif"

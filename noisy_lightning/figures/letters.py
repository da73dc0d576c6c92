"""Letters that matplotlib's own font lacks, such as Chinese ones, from another font that is installed."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from matplotlib import rcParams
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.text import Text

_REGULAR = 400
_LAST_RESORT = "Last Resort"  # matplotlib's boxes


def families_for(text: str) -> list[str]:
    """Return the names of fonts that together have the letters of a text, matplotlib's own first.

    Where no font has a letter it is drawn as a box, which is warned of once.
    """
    families = list(rcParams["font.family"])
    for letter in sorted(set(text)):
        family = _family_of(letter)
        if family is not None and family not in families:
            families.append(family)
    return families


def give_letters(figure: Figure) -> None:
    """Have all texts of a figure drawn by fonts that have their letters."""
    for text in figure.findobj(Text):
        if isinstance(text, Text) and not text.get_text().isascii():
            text.set_fontfamily(families_for(text.get_text()))


@contextmanager
def without_glyph_warnings() -> Iterator[None]:
    """Keep matplotlib from warning of each letter of each text that no font has, which we have done."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"(?s)Glyph \d+ .*missing")
        yield


@cache
def _family_of(letter: str) -> str | None:
    """Return the font to draw a letter by; None: matplotlib's own."""
    if ord(letter) in _letters(findfont(FontProperties())) or letter.isspace():
        return None
    for font in fontManager.ttflist:
        regular = font.style == "normal" and font.weight == _REGULAR and not font.name.startswith(_LAST_RESORT)
        if regular and ord(letter) in _letters(font.fname):
            return str(font.name)
    _warn_of_boxes()
    return None


@cache
def _letters(path: str) -> frozenset[int]:
    """Return the letters of a font by their numbers; none where it cannot be read."""
    try:
        return frozenset(get_font(path).get_charmap())
    except (OSError, RuntimeError):
        return frozenset()


@cache
def _warn_of_boxes() -> None:
    warnings.warn(
        "no installed font has all letters of these pictures: the others are boxes; for Chinese, Japanese and Korean "
        "install Noto Sans CJK (Debian: fonts-noto-cjk)",
        stacklevel=2,
    )

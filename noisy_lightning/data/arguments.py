"""Checks of what a data set is given; an error names the key of the configuration."""

import math
import unicodedata
from collections.abc import Iterable, Sequence

from noisy_lightning.errors import InputError


def at_least(minimum: int, key: str, value: int) -> int:
    """Return a whole number that must not be smaller than another one.

    Raises:
        InputError: It is.
    """
    if value < minimum:
        raise InputError(f"data.{key} must be at least {minimum}, got {value}")
    return value


def check_choice(key: str, value: object, choices: Sequence[str]) -> None:
    """Check that a value is one of those that there are.

    Raises:
        InputError: It is not.
    """
    if value not in choices:
        raise InputError(f"data.{key} must be one of {', '.join(choices)}, got {value!r}")


def check_statistics(mean: Sequence[float] | None, std: Sequence[float] | None, channels: int) -> None:
    """Check that a mean and a standard deviation have a number per channel, of pixels that are in [0, 1].

    Raises:
        InputError: They have not, or one is out of its range.
    """
    for key, values, right in (("mean", mean, "in [0, 1]"), ("std", std, "> 0")):
        if values is None:
            continue
        fits = (0 <= value <= 1 if key == "mean" else 0 < value < math.inf for value in values)
        if len(values) != channels or not all(fits):
            number = "a number" if channels == 1 else f"{channels} numbers"
            raise InputError(f"data.{key} needs {number} {right}, one per channel, got {values}")


def check_names(names: Iterable[str]) -> None:
    """Check that test sets have names of which names of metrics can be made.

    Raises:
        InputError: One of them has not.
    """
    for name in names:
        if not name.isidentifier():
            raise InputError(f"data.test_sets: a name is made of letters, digits and _, got {name!r}")


def check_alike(key: str, names: Iterable[str], instead: str) -> None:
    """Check that no two classes differ by case, blanks or Unicode form only: one of them is probably misspelled.

    Blanks count wherever they stand. A letter with an accent is one character in one Unicode form and two in another,
    which look the same; file systems and spreadsheets differ in it. Names of one letter may differ by case: there are
    data sets of letters.

    Args:
        key: Where the names come from, the beginning of an error.
        names: Of the classes.
        instead: What to do about it.

    Raises:
        InputError: Two do.
    """
    known: dict[str, str] = {}
    for name in names:
        other = known.setdefault(spelled_alike(name), name)
        if other != name and max(len(name), len(other)) > 1:
            raise InputError(
                f"{key}: the classes {other!r} and {name!r} differ by {_difference(other, name)}: {instead}"
            )


def spelled_alike(name: str) -> str:
    """Return what is the same for names that differ by case, blanks or Unicode form only."""
    return unicodedata.normalize("NFC", "".join(name.split()).casefold())


def _difference(one: str, other: str) -> str:
    if one.casefold() == other.casefold():
        return "case only"
    if unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", other):
        return "Unicode form only, in which they look the same"
    return "blanks only" if "".join(one.split()) == "".join(other.split()) else "case, blanks or Unicode form only"


def check_image_options(channels: int, cache_gib: float) -> None:
    """Check how images are brought to one shape and how many of them are kept.

    Raises:
        InputError: There are not 1 or 3 channels, or there is less than no memory for them.
    """
    if channels not in (1, 3):
        raise InputError(f"data.channels must be 1 or 3, got {channels}")
    if not cache_gib >= 0:
        raise InputError(f"data.cache_gib must be at least 0, got {cache_gib}")


def height_and_width(image_size: int | Sequence[int]) -> tuple[int, int]:
    """Return the height and the width that an image size says.

    Raises:
        InputError: It is not one number or two, each at least 1.
    """
    size = [image_size, image_size] if isinstance(image_size, int) else list(image_size)
    if len(size) != 2 or min(size) < 1:
        raise InputError(f"data.image_size must be a number or [height, width], each at least 1, got {image_size}")
    return size[0], size[1]

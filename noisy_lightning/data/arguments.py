"""Checks of what a data set is given; an error names the key of the configuration."""

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
    """Check that a mean and a standard deviation have a number per channel.

    Raises:
        InputError: They have not, or a deviation is not above 0.
    """
    for key, values in {"mean": mean, "std": std}.items():
        if values is not None and (len(values) != channels or (key == "std" and min(values) <= 0)):
            raise InputError(f"data.{key} needs {channels} numbers{' > 0' * (key == 'std')}, got {values}")


def check_names(names: Iterable[str]) -> None:
    """Check that test sets have names of which names of metrics can be made.

    Raises:
        InputError: One of them has not.
    """
    for name in names:
        if not name.isidentifier():
            raise InputError(f"data.test_sets: a name is made of letters, digits and _, got {name!r}")

"""The named flips of asymmetric noise: which class is mistaken for which other one."""

from typing import Literal, get_args

from noisy_lightning.data.sets.cifar100_classes import CLASS_NAMES, SUPERCLASSES
from noisy_lightning.errors import InputError

FlipName = Literal["cifar10", "cifar10_l_dmi", "mnist", "cifar100_block5", "cifar100_superclass", "next_class"]


def _ring(labels: list[int]) -> dict[int, int]:
    """Map each label to the one after it and the last to the first."""
    return dict(zip(labels, labels[1:] + labels[:1], strict=True))


# The order of the entries matters to chained flips: it is that of the Active-Passive-Losses code.
_CIFAR10 = {9: 1, 2: 0, 3: 5, 5: 3, 4: 7}
_CIFAR10_L_DMI = {9: 1, 2: 0, 3: 5, 4: 7}
_MNIST = {7: 1, 2: 7, 5: 6, 6: 5, 3: 8}
# Published as "inside the superclass", yet the labels are alphabetical: 6 of these 100 flips stay inside it.
_CIFAR100_BLOCK5 = {fine: fine - 4 if fine % 5 == 4 else fine + 1 for fine in range(100)}
_CIFAR100_SUPERCLASS = {
    source: target
    for names in SUPERCLASSES.values()
    for source, target in _ring([CLASS_NAMES.index(name) for name in names]).items()
}

_BY_NAME: dict[str, tuple[int, dict[int, int]]] = {
    "cifar10": (10, _CIFAR10),
    "cifar10_l_dmi": (10, _CIFAR10_L_DMI),
    "mnist": (10, _MNIST),
    "cifar100_block5": (100, _CIFAR100_BLOCK5),
    "cifar100_superclass": (100, _CIFAR100_SUPERCLASS),
}


def check_flips(flips: FlipName | dict[int, int]) -> None:
    """Check what can be checked of flips before the number of classes is known.

    Raises:
        InputError: The name is unknown, or the map is empty, names a negative class or flips a class to itself.
    """
    if isinstance(flips, str):
        if flips not in get_args(FlipName):
            raise InputError(f"flips must be a map or one of {', '.join(get_args(FlipName))}, got {flips!r}")
        return
    if not flips:
        raise InputError("flips must name at least one flip, got an empty map")
    for source, target in flips.items():
        if min(source, target) < 0:
            raise InputError(f"flips must map classes from 0 on, got {source}: {target}")
        if source == target:
            raise InputError(f"flips must map a class to another one, got {source}: {target}")


def flips_among(flips: FlipName | dict[int, int], num_classes: int) -> dict[int, int]:
    """Return the map from source to target class for a data set.

    Args:
        flips: A map, or the name of one.
        num_classes: K, the classes of the data set.

    Raises:
        InputError: The flips name a class outside [0, K), or their name belongs to another number of classes.
    """
    if flips == "next_class":
        return _ring(list(range(num_classes)))
    if isinstance(flips, str):
        expected, named = _BY_NAME[flips]
        if num_classes != expected:
            raise InputError(f"flips {flips!r} needs {expected} classes, the data set has {num_classes}")
        return named
    for source, target in flips.items():
        if max(source, target) >= num_classes:
            raise InputError(f"flips must map classes in [0, {num_classes - 1}], got {source}: {target}")
    return flips

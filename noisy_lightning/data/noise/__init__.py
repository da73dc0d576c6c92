"""How given labels come to be wrong: `from noisy_lightning.data import noise; noise.Symmetric(0.4)`.

A name is imported when it is used: some kinds of noise import the data module, which imports other kinds.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from noisy_lightning.data import (
        Asymmetric,
        InstanceDependent,
        LabelFile,
        LabelNoise,
        NoNoise,
        OpenSet,
        PairFlip,
        PartDependent,
        PolynomialMargin,
        Symmetric,
        TrainedScores,
        TransitionMatrix,
    )

__all__ = [
    "Asymmetric",
    "InstanceDependent",
    "LabelFile",
    "LabelNoise",
    "NoNoise",
    "OpenSet",
    "PairFlip",
    "PartDependent",
    "PolynomialMargin",
    "Symmetric",
    "TrainedScores",
    "TransitionMatrix",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("noisy_lightning.data"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

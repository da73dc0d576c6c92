"""How strong the operations of well-known policies are."""

from collections.abc import Mapping

from noisy_lightning.data.loading.recipes.performing import Range

_SIDE = 150 / 331  # of the image, as AutoAugment moved those of ImageNet
TORCHVISION: Mapping[str, Range] = {
    "Identity": Range(),
    "ShearX": Range(0, 0.3, True),
    "ShearY": Range(0, 0.3, True),
    "TranslateX": Range(0, _SIDE, True),
    "TranslateY": Range(0, _SIDE, True),
    "Rotate": Range(0, 30, True),
    "Brightness": Range(0, 0.9, True, 1),
    "Color": Range(0, 0.9, True, 1),
    "Contrast": Range(0, 0.9, True, 1),
    "Sharpness": Range(0, 0.9, True, 1),
    "Posterize": Range(8, 4, whole="rounded"),
    "Solarize": Range(255, 0),
    "AutoContrast": Range(),
    "Equalize": Range(),
}
TORCHVISION_AND_INVERT = {**TORCHVISION, "Invert": Range()}
WIDE: Mapping[str, Range] = {
    **TORCHVISION,
    "ShearX": Range(0, 0.99, True),
    "ShearY": Range(0, 0.99, True),
    "Rotate": Range(0, 135, True),
    "Brightness": Range(0, 0.99, True, 1),
    "Color": Range(0, 0.99, True, 1),
    "Contrast": Range(0, 0.99, True, 1),
    "Sharpness": Range(0, 0.99, True, 1),
    "Posterize": Range(8, 2, whole="rounded"),
}
_FIXMATCH: Mapping[str, Range] = {
    "AutoContrast": Range(),
    "Brightness": Range(0.05, 0.95),
    "Color": Range(0.05, 0.95),
    "Contrast": Range(0.05, 0.95),
    "Equalize": Range(),
    "Identity": Range(),
    "Posterize": Range(4, 8, whole="toward zero"),
    "Rotate": Range(0, 30, True),
    "Sharpness": Range(0.05, 0.95),
    "ShearX": Range(0, 0.3, True),
    "ShearY": Range(0, 0.3, True),
    "Solarize": Range(256, 0),
    "TranslateX": Range(0, 0.3, True),
    "TranslateY": Range(0, 0.3, True),
}
_BRIGHTER = dict.fromkeys(("Brightness", "Color", "Contrast", "Sharpness"), Range(0.1, 1.9))
_FARTHER = dict.fromkeys(("TranslateX", "TranslateY"), Range(0, 0.45, True))
_WITHOUT_IDENTITY = {name: one for name, one in _FIXMATCH.items() if name != "Identity"}
_ADDED = {"Cutout": Range(0, 0.2), "Invert": Range(), "SolarizeAdd": Range(0, 110)}
POOLS: Mapping[str, Mapping[str, Range]] = {
    "fixmatch": _FIXMATCH,
    "wide": {**_WITHOUT_IDENTITY, **_BRIGHTER, **_FARTHER, **_ADDED},
}
AUGMIX: Mapping[str, Range] = {
    "Identity": Range(),  # beyond the end of a chain
    "AutoContrast": Range(),
    "Equalize": Range(),
    "Posterize": Range(0, -4, offset=4, whole="toward zero"),
    "Rotate": Range(0, 30, True, whole="toward zero"),
    "Solarize": Range(0, -256, offset=256, whole="toward zero"),
    "ShearX": Range(0, 0.3, True),
    "ShearY": Range(0, 0.3, True),
    "TranslateX": Range(0, 1 / 3, True),
    "TranslateY": Range(0, 1 / 3, True),
    **_BRIGHTER,
}
"""The operations of AugMix's authors, with those that change color, brightness, contrast and sharpness."""

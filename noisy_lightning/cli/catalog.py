"""Which classes there are to choose from, read from the source: neither torch nor Lightning is imported for a list."""

import ast
from functools import cache
from pathlib import Path
from typing import NamedTuple

PACKAGE = Path(__file__).parents[1]

KINDS = {
    "losses": ("losses", "losses", "RobustLoss"),
    "methods": ("methods", "methods", "Method"),
    "backbones": ("backbones", "backbones", "Module"),
    "mixings": ("regularizers", "regularizers", "Mixing"),
    "gradients": ("regularizers", "regularizers", "GradientRule"),
    "noise": ("data", "data/noise", "LabelNoise"),
    "data": ("data", "data/sets", "NoisyDataModule"),
    "augmentation": ("data", "data/loading/recipes", "Recipe"),
    "selectors": ("selectors", "selectors", "Selector"),
}
"""By kind: the package whose `__all__` names its classes, the folder that defines them, and what they derive from."""

# One table of what the field calls these classes; each name stands for one class of one kind.
ALIASES = {
    "losses": {
        "AGCE": "AsymmetricGCE",
        "AMSE": "AsymmetricMSE",
        "ANLCE": "ActiveNegativeCrossEntropy",
        "ANLFL": "ActiveNegativeFocalLoss",
        "APL": "ActivePassive",
        "CE": "CrossEntropy",
        "FL": "FocalLoss",
        "GCE": "GeneralizedCrossEntropy",
        "GJS": "JensenShannon",
        "GLS": "GeneralizedLabelSmoothing",
        "JAL": "JointAsymmetricLoss",
        "LS": "LabelSmoothing",
        "MAE": "MeanAbsoluteError",
        "NCE": "NormalizedCrossEntropy",
        "NFL": "NormalizedFocalLoss",
        "NGCE": "NormalizedGeneralizedCrossEntropy",
        "NLS": "GeneralizedLabelSmoothing",
        "RCE": "ReverseCrossEntropy",
        "SCE": "SymmetricCrossEntropy",
    },
    "methods": {
        "CORES": "SampleSelectionCORES",
        "D2L": "DimensionalityDriven",
        "ELR": "EarlyLearningRegularization",
        "ELRPlus": "EarlyLearningRegularizationPlus",
        "SAT": "SelfAdaptiveTraining",
        "SELC": "SelfEnsembleLabelCorrection",
        "SLN": "StochasticLabelNoise",
    },
    "augmentation": {
        "aug_mix": "AugMix",
        "auto_augment_cifar10": "AutoAugment",
        "color_jitter": "ColorJitter",
        "crop_flip": "CropFlip",
        "cutout": "Cutout",
        "fixmatch": "FixMatchAugment",
        "none": "NoAugmentation",
        "rand_augment": "RandAugment",
        "random_resized_crop": "RandomResizedCrop",
        "trivial_augment": "TrivialAugment",
    },
    "noise": {"IDN": "InstanceDependent", "PMD": "PolynomialMargin"},
    "selectors": {
        "AUM": "AreaUnderMargin",
        "CL": "ConfidentLearning",
        "NCV": "NoisyCrossValidation",
        "SimiFeat": "NearestNeighbours",
    },
}

# Schedules of ours; and of two of one name, the one that can be configured: torch's lacks what is monitored, or wants
# an optimizer.
SCHEDULERS = {
    "ReduceLROnPlateau": "lightning.pytorch.cli.ReduceLROnPlateau",
    "SequentialLR": "noisy_lightning.training.schedules.SequentialLR",
    "WarmupCosine": "noisy_lightning.training.warmup_cosine.WarmupCosine",
}


class Entry(NamedTuple):
    """A class that a configuration can name."""

    name: str
    aliases: tuple[str, ...]
    summary: str
    """The first line of its docstring."""
    source: str
    """Who published it, as its file says; empty where nobody did."""
    class_path: str


@cache
def entries(kind: str) -> tuple[Entry, ...]:
    """Return the classes of a kind, in the order of their names.

    Args:
        kind: A key of `KINDS`.
    """
    package, folder, ancestor = KINDS[kind]
    files = [ast.parse(path.read_text(encoding="utf-8")) for path in sorted((PACKAGE / folder).rglob("*.py"))]
    classes = {node.name: (node, file) for file in files for node in file.body if isinstance(node, ast.ClassDef)}

    def derives(name: str) -> bool:
        bases = {ast.unparse(base).rpartition(".")[2] for base in classes[name][0].bases} if name in classes else set()
        return ancestor in bases or any(map(derives, bases))

    public = sorted((name for name in _public(package) if derives(name)), key=str.lower)
    return tuple(_entry(kind, *classes[name]) for name in public)


def names(kind: str) -> list[str]:
    """Return all names of a kind, aliases among them."""
    return [name for entry in entries(kind) for name in (entry.name, *entry.aliases)]


def kind_of(key: str) -> str | None:
    """Return the kind of class that a key of the configuration takes; None where it takes none of ours.

    Args:
        key: Dotted, such as `model.loss` or `data.noise.source`.
    """
    parts = key.split(".")
    if parts[-1] == "data" or parts[-1] == "source" or "test_sets" in parts:
        return "data"
    if parts[-1] in ("loss", "active", "passive"):
        return "losses"
    plural = {
        "noise": "noise",
        "augmentation": "augmentation",
        "strong_augmentation": "augmentation",
        "method": "methods",
        "backbone": "backbones",
        "mixing": "mixings",
        "gradient": "gradients",
        "network": "backbones",
        "selector": "selectors",
    }
    return plural.get(parts[-1])


def long_name(kind: str | None, name: str) -> str:
    """Return the name of the class that an alias stands for; a name that is no alias stays.

    Args:
        kind: A key of `KINDS`; None: any.
        name: As the user wrote it.
    """
    tables = ALIASES.values() if kind is None else [ALIASES.get(kind, {})]
    return next((table[name] for table in tables if name in table), name)


def named(key: str, name: str) -> str:
    """Return what a name of a class stands for at a key of the configuration; a name that is no alias stays.

    Args:
        key: Dotted, such as `model.loss`.
        name: As the user wrote it.
    """
    if key.rpartition(".")[2] in ("lr_scheduler", "schedulers"):
        return SCHEDULERS.get(name, name)
    kind = kind_of(key)
    if kind == "backbones" and name in _public(kind):
        # Any module is a network: torch has a Linear, torchvision an MLP, and more may be imported.
        return f"{PACKAGE.name}.{kind}.{name}"
    return name if kind is None else long_name(kind, name)


@cache
def _public(package: str) -> set[str]:
    for node in ast.parse((PACKAGE / package / "__init__.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return set(ast.literal_eval(node.value))
    return set()


def _entry(kind: str, node: ast.ClassDef, file: ast.Module) -> Entry:
    aliases = tuple(alias for alias, name in ALIASES.get(kind, {}).items() if name == node.name)
    summary = (ast.get_docstring(node) or "").partition("\n")[0]
    class_path = f"{PACKAGE.name}.{KINDS[kind][0]}.{node.name}"
    return Entry(node.name, aliases, summary, _source(ast.get_docstring(file) or ""), class_path)


def _source(docstring: str) -> str:
    """Return the publication after the colon of a file's first sentence, such as "Lu and He, IJCAI 2022"."""
    first = " ".join(docstring.partition("\n\n")[0].split()).rstrip(".")
    _, colon, words = first.rpartition(": ")
    return words if colon and words[-4:].isdecimal() else ""

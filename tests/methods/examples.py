"""Arguments with which the contract tests make each method; a method may stand here more than once."""

from pathlib import Path
from typing import Any

from noisy_lightning import methods
from noisy_lightning.methods import Method, Problem

TRUSTED = Path(__file__).with_name("trusted.csv")
FEW_TRUSTED = Path(__file__).with_name("few_trusted.csv")
SELECTION = Path(__file__).with_name("selection.csv")
EXAMPLES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("Standard", {}),
    ("CoTeaching", {"forget_rate": 0.3, "warm_up": 3}),
    ("CoTeaching", {"warm_up": 3}),
    ("Decoupling", {}),
    ("Decoupling", {"warm_up_steps": 5, "min_share": 0.5}),
    ("CoTeachingPlus", {"forget_rate": 0.3, "warm_up": 2, "start_epoch": 1}),
    ("CoTeachingPlus", {"forget_rate": 0.3, "warm_up": 3, "start_epoch": 2, "double_softmax": True}),
    ("JoCoR", {"forget_rate": 0.3, "warm_up": 3, "co_lambda": 0.5}),
    ("INCVCoTeaching", {"noise_rate": 0.5, "warm_up": 2, "candidates_from": 2}),
    ("MentorNet", {"curriculum": "predefined", "weight_decay": 0.01}),
    ("MentorNet", {"curriculum": "learned", "dropout": "0.2,100", "trusted": TRUSTED, "warm_up": 30}),
    ("L2RW", {"trusted": FEW_TRUSTED}),
    ("MetaWeightNet", {"trusted": FEW_TRUSTED, "lr": 0.01, "virtual_lr": 0.1}),
    ("MetaWeightNet", {"trusted": FEW_TRUSTED, "lr": 0.01, "virtual_lr": 0.1, "normalize": True}),
    ("DimensionalityDriven", {"init_epoch": 0, "window": 1, "neighbours": 5, "samples": 40}),
    ("ForwardCorrection", {}),
    ("ForwardCorrection", {"matrix": "anchor_points"}),
    ("ForwardCorrection", {"matrix": "dual_t", "warm_up": 2}),
    ("ForwardCorrection", {"matrix": "hoc", "warm_up": 2}),
    ("BackwardCorrection", {"warm_up": 2, "restart": False}),
    ("BackwardCorrection", {"matrix": "anchor_points", "warm_up": 2, "percentile": 100.0, "restart": False}),
    ("VolMinNet", {"volume_weight": 0.1, "lr": 0.5}),
    ("TRevision", {"warm_up": 1, "reweighting": 1, "lr": 0.01}),
    ("TRevision", {"warm_up": 1, "reweighting": 1, "matrix": "estimate", "lr": 0.01}),
    ("PeerLoss", {"alpha": "0,0,1,0.5,3,1"}),
    ("FDivergence", {"warm_up": 1}),
    ("FDivergence", {"warm_up": 0, "divergence": "kl", "random_labels": "uniform"}),
    ("CAL", {"sieve_epoch": 1, "warm_up": 0, "ramp": 2, "threshold": -0.5}),
    ("SampleSelectionCORES", {"warm_up": 0, "ramp": 2, "sieve_from": 1}),
    ("SOP", {"initial_std": 0.01}),
    ("SOPPlus", {"initial_std": 0.01}),
    ("EarlyLearningRegularization", {}),
    ("EarlyLearningRegularizationPlus", {"momentum": 0.9, "ramp_steps": 8, "strength_ramp_steps": 5}),
    ("SelfAdaptiveTraining", {"correction_epoch": 1, "momentum": 0.7}),
    ("SelfEnsembleLabelCorrection", {"correction_epoch": 1, "momentum": 0.6}),
    ("StochasticLabelNoise", {"sigma": 0.5, "momentum": 0.9}),
    ("StochasticLabelNoise", {"sigma": 0.5, "momentum": 0.9, "correction_epoch": 2}),
    ("DivideMix", {"warm_up": 1, "ramp": 2, "average_last": 2}),
    ("DISC", {"warm_up": 1, "momentum": 0.5, "sigma": 0.1}),
    ("SSR", {"relabel_threshold": 0.5, "neighbours": 9}),
    ("SSRPlus", {"relabel_threshold": 0.6, "neighbours": 9, "hidden": 8, "width": 4}),
    ("PES", {"warm_up": 1, "stage_epochs": 1, "classifier_epochs": 1, "retraining_lr": 0.01}),
    ("PESSemi", {"warm_up": 1, "classifier_epochs": 1, "retraining_lr": 0.01, "unlabelled_weight": 5.0, "ramp": 2}),
    (
        "ProMix",
        {"warm_up": 1, "ramp": 2, "threshold": 0.5, "guessing_epochs": 2, "momentum": 0.9, "unlabelled_ramp": 4},
    ),
    ("UNICON", {"warm_up": 1, "ramp": 2, "contrast_weight": 0.5, "contrast_temperature": 0.5}),
    ("GlobalLocal", {"clean": 0.7, "k": 5}),
    ("RRL", {"width": 5, "warm_up": 2, "correct_from": 2, "k": 10, "low": 0.1, "high": 0.3, "prototype_ramp": 3}),
    ("MixFix", {"absorb": 0.3, "relabel": 0.5}),
    ("DynamicWeights", {"mode": "as_described"}),
    ("DynamicWeights", {"mode": "as_run"}),
    ("DynamicWeights", {"mode": "per_sample"}),
)
NAMES = [
    f"{name}-{'-'.join(Path(str(value)).name for value in arguments.values())}".strip("-")
    for name, arguments in EXAMPLES
]


def make(example: tuple[str, dict[str, Any]], problem: Problem) -> Method:
    """Return the method."""
    name, arguments = example
    method: Method = getattr(methods, name)(problem, **arguments)
    return method


def options(example: tuple[str, dict[str, Any]]) -> list[str]:
    """Return the method as options of the command line."""
    name, arguments = example
    words = ["--model.method", name]
    for key, value in arguments.items():
        words += [f"--model.method.{key}", str(value)]
    if getattr(methods, name).uses_candidates:
        words += ["--data.selection", str(SELECTION)]
    return words

"""What makes an epoch depend on how many epochs a run has."""

from collections.abc import Mapping
from typing import Any

from noisy_lightning.methods import Method


def why_length_matters(config: Mapping[str, Any], method: Method) -> list[str]:
    """Return why the first epochs of a run would have been others if the run had been longer, if they would.

    Args:
        config: Resolved, as plain data.
        method: That of the configuration.
    """
    reasons = []
    scheduler = config["model"].get("lr_scheduler") or {}
    if spans_run(scheduler):
        reasons.append("model.lr_scheduler spans the whole run (T_max 0), so that its learning rates were lower")
    if method.depends_on_length:
        reasons.append(f"model.method {type(method).__name__} divides the run into parts by its number of epochs")
    callbacks = (str(callback.get("class_path")) for callback in config["trainer"].get("callbacks") or [])
    if any(path.endswith("StochasticWeightAveraging") for path in callbacks):
        reasons.append("trainer.callbacks: StochasticWeightAveraging begins by the number of epochs")
    return reasons


def spans_run(scheduler: Mapping[str, Any]) -> bool:
    """Return whether a scheduler, as a configuration has it, is a cosine over the whole run."""
    path, arguments = str(scheduler.get("class_path")), scheduler.get("init_args") or {}
    return path.endswith(".CosineAnnealingLR") and arguments.get("T_max") == 0

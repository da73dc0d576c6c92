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
    if how := spans_run(scheduler):
        reasons.append(f"model.lr_scheduler spans the whole run ({how}), so that its learning rates were others")
    if method.depends_on_length:
        reasons.append(f"model.method {type(method).__name__} divides the run into parts by its number of epochs")
    callbacks = (str(callback.get("class_path")) for callback in config["trainer"].get("callbacks") or [])
    if any(path.endswith("StochasticWeightAveraging") for path in callbacks):
        reasons.append("trainer.callbacks: StochasticWeightAveraging begins by the number of epochs")
    return reasons


def spans_run(scheduler: Mapping[str, Any]) -> str | None:
    """Return by what a scheduler, as a configuration has it, ends with the run, if it does.

    Of several, one after another, only the last can: the length of any other is that up to the next one.
    """
    kind = str(scheduler.get("class_path")).rpartition(".")[2]
    arguments = scheduler.get("init_args") or {}
    if kind == "SequentialLR" and arguments.get("schedulers"):
        return spans_run(arguments["schedulers"][-1])
    if kind == "CosineAnnealingLR" and arguments.get("T_max") == 0:
        return "T_max 0"
    if kind == "OneCycleLR" and arguments.get("total_steps") is None and arguments.get("epochs") is None:
        return "OneCycleLR without total_steps"
    return kind if kind == "WarmupCosine" else None

"""What decides a run, in a few values that can be sorted and compared, for loggers."""

from collections.abc import Mapping
from typing import Any

from noisy_lightning import compat
from noisy_lightning.data import NoisyDataModule

_LONGEST = 200  # characters of a value: MLflow takes 500 and others show fewer


def hyper_parameters(made: Mapping[str, Any], data: NoisyDataModule, epochs: int) -> dict[str, str | float]:
    """Return what is most often compared of runs, by names that all loggers take.

    Args:
        made: What the model was made of: its `specification`, or the part `model` of a configuration.
        data: What it is trained on, after its `setup`.
        epochs: How many the run is to have.
    """
    noise = data.noise_summary()
    optimizer = made.get("optimizer")
    own: Mapping[str, Any] = (optimizer.get("init_args") or {}) if isinstance(optimizer, Mapping) else {}
    rate = noise.realised_rate if noise.nominal_rate is None else noise.nominal_rate
    found: dict[str, Any] = {
        "data": noise.dataset,
        "noise": noise.kind,
        "noise_rate": rate,
        "network": _call(made.get("backbone")),
        "loss": _call(made.get("loss")) or "CrossEntropy",
        "method": _call(made.get("method")),
        "mixing": _call(made.get("mixing")),
        "gradient": _call(made.get("gradient")),
        "optimizer": _name(optimizer),
        "lr": own.get("lr"),
        "weight_decay": own.get("weight_decay"),
        "schedule": _name(made.get("lr_scheduler")),
        "batch_size": data.batch_size,
        "epochs": epochs,
        "sampling": data.sampling,
        "seed": compat.training_seed(),
        "data_seed": data.seed,
    }
    return {
        name: value[:_LONGEST] if isinstance(value, str) else value
        for name, value in found.items()
        if value not in (None, "")
    }


def _name(made: Any) -> str:
    """Return the name of a class that a configuration names, or of that of an object; empty where there is none."""
    if isinstance(made, Mapping):
        return str(made.get("class_path") or next(iter(made.values()), "")).rpartition(".")[2]
    return "" if made is None else str(made).rpartition(".")[2]


def _call(made: Any) -> str:
    """Return a class of a configuration as it would be called, such as `Symmetric(rate=0.4)`."""
    arguments = (made.get("init_args") or {}) if isinstance(made, Mapping) else {}
    shown = (
        f"{name}={_call(value) if isinstance(value, Mapping) else value}"
        for name, value in arguments.items()
        if value is not None
    )
    text = ", ".join(shown)
    return f"{_name(made)}({text})" if text else _name(made)

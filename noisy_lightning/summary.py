"""A run's headline numbers as a short table."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def evaluation_table(
    command: str, measured: Mapping[str, Mapping[str, float]], result: Mapping[str, Any], run: Path | None
) -> str:
    """Return what was measured, beside what is known of the run.

    Args:
        command: `test` or `validate`.
        measured: Values by name for each checkpoint, by its name.
        result: The run's `result.json`; may be empty.
        run: The run's folder, if there is one.
    """
    rows: list[tuple[str, str]] = []
    if run is not None:
        rows.append(("run", str(run)))
    if noise := result.get("noise"):
        rows.append(
            ("data", f"{result['dataset']}, {noise['kind']}, {_percent(noise['realised_rate'])} of labels wrong")
        )
    for name, values in measured.items():
        parts = [f"{_percent(values[key])} {text}" for key, text in _accuracies(command) if key in values]
        epoch = {"best": "chosen on noisy validation", "last": "last epoch"}.get(name, "this checkpoint")
        rows.append((f"{command} accuracy", f"{', '.join(parts)} ({epoch}: {name})"))
    last = result.get("last_epoch", {})
    if "train/auroc" in last:
        rows.append(("noise detection", f"AUROC of the loss {last['train/auroc']:.4f} in the last epoch"))
    if "train/memorised" in last:
        rows.append(("wrong labels", f"{_percent(last['train/memorised'])} memorised in the last epoch"))
    if run is not None:
        rows.append(("pictures", f"tensorboard --logdir {run}"))
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def _accuracies(command: str) -> list[tuple[str, str]]:
    if command == "test":
        return [("test/acc", "on clean labels")]
    return [("val/acc", "on given labels"), ("val/acc_true", "on true labels")]


def _percent(value: float | None) -> str:
    return "an unknown share" if value is None else f"{100 * value:.2f} %"

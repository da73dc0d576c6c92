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
    if result.get("oracle"):
        rows.append(("oracle", "it knew what only an experiment knows of the true labels: no result to compare with"))
    if noise := result.get("noise"):
        rows.append(
            ("data", f"{result['dataset']}, {noise['kind']}, {_percent(noise['realised_rate'])} of labels wrong")
        )
    for name, values in measured.items():
        epoch = {"best": _choice(result), "last": "last epoch"}.get(name, "this checkpoint")
        for measure, shares in _accuracies(command, values).items():
            rows.append((f"{measure} accuracy", f"{', '.join(shares)} ({epoch}: {name})"))
    last = result.get("last_epoch", {})
    if "train/auroc" in last:
        rows.append(("noise detection", f"AUROC of the loss {last['train/auroc']:.4f} in the last epoch"))
    if "train/memorised" in last:
        rows.append(("wrong labels", f"{_percent(last['train/memorised'])} memorized in the last epoch"))
    if run is not None:
        rows.append(("pictures", f"tensorboard --logdir {run}"))
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def _choice(result: Mapping[str, Any]) -> str:
    """Return how the best epoch was chosen."""
    monitors = [name for name in result.get("best_epoch") or {} if name not in ("epoch", "val/acc")]
    if monitors:
        return f"chosen by {monitors[0]}"
    return f"chosen on {'trusted' if result.get('validation') == 'trusted' else 'noisy'} validation"


def _accuracies(command: str, values: Mapping[str, float]) -> dict[str, list[str]]:
    """Return what to show of accuracies, by what was measured: a test set each, or the validation part."""
    if command == "test":
        sets = [key.removesuffix("/acc") for key in values if key.endswith("/acc")]
        return {name.replace("_", " ", 1): [f"{_percent(values[f'{name}/acc'])} on clean labels"] for name in sets}
    kinds = {"val/acc": "on given labels", "val/acc_true": "on true labels"}
    return {command: [f"{_percent(values[key])} {text}" for key, text in kinds.items() if key in values]}


def _percent(value: float | None) -> str:
    return "an unknown share" if value is None else f"{100 * value:.2f} %"

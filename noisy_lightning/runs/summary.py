"""A run's headline numbers as a short table."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from noisy_lightning.runs.measures import wrong_share


def divergence(found: Mapping[str, Any]) -> str:
    """Return where a run diverged.

    Args:
        found: `diverged` of its `result.json`.
    """
    verb = "are" if found["what"] == "weights" else "is"
    rate = found["learning_rate"]
    at = "of unknown size" if rate is None else f"{rate:g}"
    return f"{found['what']} {verb} not finite in step {found['step']} (epoch {found['epoch'] + 1}), learning rate {at}"


def of_the_end(result: Mapping[str, Any], measured: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Return what an evaluation measured, without what is of weights that a longer run has replaced.

    Args:
        result: `result.json` of a finished run.
        measured: `test` or `validate` of it: values by checkpoint. `epoch`, which older versions have not written, is
            that of the weights.
    """
    ends = {"last": result["epochs"] - 1, "best": (result.get("best_epoch") or {}).get("epoch")}
    return {
        name: values
        for name, values in measured.items()
        if name not in ends or values.get("epoch", ends[name]) == ends[name]
    }


def evaluation_table(
    command: str,
    measured: Mapping[str, Mapping[str, float]],
    result: Mapping[str, Any],
    run: Path | None,
    max_epochs: int = 0,
) -> str:
    """Return what was measured, beside what is known of the run.

    Args:
        command: `test` or `validate`.
        measured: Values by name for each checkpoint, by its name; `epoch` is that of its weights, counted from 0.
        result: The run's `result.json`; may be empty.
        run: The run's folder, if there is one.
        max_epochs: How many the run is to have.
    """
    rows: list[tuple[str, str]] = []
    unfinished = run is not None and "epochs" not in result
    if run is not None:
        rows.append(("run", f"{run}, unfinished: its command continues it" if unfinished else str(run)))
    if found := result.get("diverged"):
        rows.append(("diverged", divergence(found)))
    if result.get("oracle"):
        rows.append(("oracle", "it knew what only an experiment knows of the true labels: no result to compare with"))
    if noise := result.get("noise"):
        share = wrong_share(noise["realised_rate"], noise.get("num_known"))
        rows.append(("data", f"{result['dataset']}, {noise['kind']}, {share}"))
    for name, values in measured.items():
        epoch = {"best": _choice(result), "last": "last epoch"}.get(name, "this checkpoint")
        if unfinished and name in ("best", "last"):
            reached = f"epoch {values['epoch'] + 1} of {max_epochs}"
            epoch = reached if name == "last" else f"{reached}, {epoch} so far"
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
        shares = {name: [f"{_percent(values[f'{name}/acc'])} on clean labels"] for name in sets}
        for name in sets:
            if f"{name}/ece" in values:
                shares[name].append(f"calibration error {_percent(values[f'{name}/ece'])}")
        return {name.replace("_", " ", 1): texts for name, texts in shares.items()}
    kinds = {"val/acc": "on given labels", "val/acc_true": "on true labels"}
    return {command: [f"{_percent(values[key])} {text}" for key, text in kinds.items() if key in values]}


def _percent(value: float | None) -> str:
    return "an unknown share" if value is None else f"{100 * value:.2f} %"

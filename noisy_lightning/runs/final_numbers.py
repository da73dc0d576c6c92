"""What came out of a run, as a few numbers to sort runs by and as a table."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

_FIRST = ("test_acc_last", "test_acc_best", "test_ece_last", "test_ece_best")
_OF_LAST = {
    "val/acc": "val_acc_last",
    "train/loss": "train_loss",
    "train/auroc": "auroc",
    "train/memorised": "memorized",
}
_TESTED = {"acc": "accuracy", "ece": "calibration error", "loss": "loss"}


def final_numbers(result: Mapping[str, Any]) -> dict[str, float]:
    """Return what a run has of these, all as `final/...`, at the `last` epoch and at the `best`, the chosen one.

    `test_acc_last`, `test_acc_best`, `test_ece_last`, `test_ece_best`: accuracy and calibration error on test images,
    and the same of further test sets by their names. `val_acc_last`, `val_acc_best`: accuracy on the given labels of
    the validation part. `train_loss`, `auroc`, `memorized`: of the last epoch's training, the mean loss, its AUROC as
    noise detector and the share of the wrong labels that are memorized.

    Args:
        result: As `result.json` holds it, of an unfinished run, too.
    """
    last, best = result.get("last_epoch") or {}, result.get("best_epoch") or {}
    found = {name: last.get(key) for key, name in _OF_LAST.items()}
    found["val_acc_best"] = best.get("val/acc")
    for checkpoint in ("last", "best"):
        for key, value in ((result.get("test") or {}).get(checkpoint) or {}).items():
            images, _, measure = key.partition("/")
            if measure in ("acc", "ece"):
                found[f"{images}_{measure}_{checkpoint}"] = value
    ordered = dict.fromkeys([*(name for name in _FIRST if name in found), *found])
    return {f"final/{name}": value for name in ordered if (value := found[name]) is not None and math.isfinite(value)}


def tables_of_tests(tested: Mapping[str, Mapping[str, Any]], class_names: Sequence[str]) -> dict[str, str]:
    """Return what tests measured as tables of Markdown, by what was measured, such as `test`: a column a checkpoint.

    Args:
        tested: `test` of a result: values by checkpoint, with `epoch`, counted from 0; the tables count from 1.
        class_names: K names; the accuracies of at most 100 classes are in the tables.
    """
    rows: dict[str, dict[str, dict[str, float]]] = {}
    for checkpoint, values in tested.items():
        for key, value in values.items():
            images, _, measure = key.partition("/")
            if (title := _title(measure, class_names)) is not None and value is not None:
                rows.setdefault(images, {}).setdefault(title, {})[checkpoint] = value
    heads = [f"{_cell(name)} (epoch {values['epoch'] + 1})" for name, values in tested.items()]
    return {
        images: "\n".join(
            [
                f"| | {' | '.join(heads)} |",
                f"| --- | {' | '.join('---:' for _ in heads)} |",
                *(
                    f"| {title} | {' | '.join(_number(title, of.get(name)) for name in tested)} |"
                    for title, of in measured.items()
                ),
            ]
        )
        for images, measured in rows.items()
    }


def _title(measure: str, class_names: Sequence[str]) -> str | None:
    kind, _, number = measure.partition("/")
    if kind == "acc_class":
        return f"accuracy of {_cell(class_names[int(number)])}" if len(class_names) <= _MOST else None
    return _TESTED.get(measure)


_MOST = 100  # classes


def _cell(text: str) -> str:
    """Return a text that no sign in it lets out of its cell."""
    return "".join(f"\\{sign}" if sign in r"\|*_`<>[]#" else " " if sign in "\r\n" else sign for sign in text)


def _number(title: str, value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.4f}" if title == "loss" else f"{100 * value:.2f} %"

"""What came out of a selection: measured where true labels are known, as a file and as a table."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from noisy_lightning.runs.files import as_cell, replacing
from noisy_lightning.runs.measures import UNKNOWN, Bools, Ints, noise_auroc, wrong_share
from noisy_lightning.selectors.base import Judgment
from noisy_lightning.selectors.self_check import advice
from noisy_lightning.selectors.theory import (
    CrossValidated,
    Matrix,
    confusion_of,
    measured,
    priors_of,
    quality,
    theory_of,
)

# The names of INCV's authors, and what it does not have.
COLUMNS = ("index", "path", "y", "y_noisy", "select", "candidate", "score", "suggested_label", "eval_ratio", "oracle")
TOP = 100  # suspects of which the wrong ones are counted


@dataclass(frozen=True)
class Outcome:
    """A judgment of labels and what is known of them."""

    judgment: Judgment
    labels: Ints
    """(N,) given labels."""
    true_labels: Ints
    """(N,) -1 where unknown, -2 where the image is of none of the classes."""
    num_classes: int

    def measures(self) -> dict[str, Any]:
        """Return what the judgment came to, as JSON keeps it; what needs true labels is absent without them."""
        judgment, known = self.judgment, self.true_labels != UNKNOWN
        measures: dict[str, Any] = {
            "samples": len(self.labels),
            "selected": int(judgment.select.sum()),
            "candidates": int(judgment.candidate.sum()),
            "estimated_noise_rate": judgment.noise_rate,
            "assumption": judgment.assumption,
            "self_check": None,
            "warnings": list(judgment.warnings),
        }
        if judgment.check is not None:
            measures["self_check"] = {**judgment.check._asdict(), "too_weak": judgment.check.too_weak}
            measures["warnings"] += advice(judgment.check)
        if not known.any():
            return measures
        noisy = known & (self.labels != self.true_labels)
        measures["label_precision"], measures["label_recall"] = self.quality(judgment.select)
        measures["iterations"] = [
            {"selected": int(select.sum()), **dict(zip(("label_precision", "label_recall"), values, strict=True))}
            for select in judgment.iterations
            for values in [self.quality(select)]
        ]
        judged = self.judged
        measures["auroc"] = noise_auroc(judgment.score[judged], noisy[judged])
        measures["average_precision"] = self.average_precision()
        measures["found"] = self.found()
        measures["suggestions_right"] = self.suggestions_right()
        measures["wrong_among_top"] = {
            "suspects": min(TOP, int(judged.sum())),
            "wrong": int(noisy[self.top(TOP)].sum()),
        }
        if self.is_cross_validation:
            numbers = {
                "measured": self.cross_validated(),
                "theory": self.theory(),
                "theory_of_predictions": self.theory(self.confusion()),
            }
            measures["cross_validation"] = {name: values._asdict() for name, values in numbers.items()}
            measures["cross_validated_noise_rate"] = self.noise_rate()
        return measures

    def quality(self, select: Bools) -> tuple[float, float]:
        """Return label precision and recall of what is selected (N,)."""
        return quality(select, self.labels, self.true_labels)

    def top(self, number: int) -> Ints:
        """Return the positions of the most suspicious labels, the most suspicious first."""
        order = np.argsort(-self.judgment.score, kind="stable")  # NaN comes last
        return order[: min(number, int((~np.isnan(self.judgment.score)).sum()))]

    def average_precision(self) -> float | None:
        """Return the area under precision over recall of the score as detector of wrong labels, in [0, 1]."""
        from sklearn.metrics import average_precision_score  # noqa: PLC0415  # slow to import

        judged = self.judged
        noisy = (self.labels != self.true_labels)[judged]
        if not noisy.any():
            return None
        return float(average_precision_score(noisy, np.nan_to_num(self.judgment.score[judged])))

    def found(self) -> dict[str, float] | None:
        """Return precision, recall and F1 of what is not selected as finder of wrong labels; None if none is wrong."""
        judged = self.judged
        noisy, called = (self.labels != self.true_labels)[judged], ~self.judgment.select[judged]
        if not noisy.any():
            return None
        both = float((noisy & called).sum())
        precision, recall = both / max(1, called.sum()), both / noisy.sum()
        return {
            "precision": float(precision),
            "recall": float(recall),
            "f1": float(2 * both / (noisy.sum() + called.sum())),
        }

    def suggestions_right(self) -> float | None:
        """Return the share of samples whose suggested, or else given, label is right; None if nobody knows any."""
        known = (self.true_labels >= 0) & ~np.isnan(self.judgment.score)
        best = np.where(self.judgment.suggested >= 0, self.judgment.suggested, self.labels)
        return float((best == self.true_labels)[known].mean()) if known.any() else None

    @property
    def judged(self) -> Bools:
        """(N,) labels with a score of which it is known whether they are wrong."""
        judged: Bools = (self.true_labels != UNKNOWN) & ~np.isnan(self.judgment.score)
        return judged

    @property
    def is_cross_validation(self) -> bool:
        """Whether each sample was predicted once, by a training run without it, and something is known of its truth."""
        judgment = self.judgment
        return judgment.prediction is not None and not judgment.iterations and bool((self.true_labels >= 0).any())

    def transition(self) -> Matrix:
        """Return the measured T (K, K) of the samples that were held out."""
        assert self.judgment.prediction is not None
        held_out = self.judgment.prediction >= 0
        return confusion_of(np.where(held_out, self.labels, UNKNOWN), self.true_labels, self.num_classes)

    def confusion(self) -> Matrix:
        """Return the measured M (K, K)."""
        assert self.judgment.prediction is not None
        return confusion_of(self.judgment.prediction, self.true_labels, self.num_classes)

    def noise_rate(self) -> float:
        """Return the share of wrong labels among the samples that were held out and whose class is known."""
        return float(1 - priors_of(self.true_labels, self.num_classes) @ self.transition().diagonal())

    def cross_validated(self) -> CrossValidated:
        """Return what was measured of the cross-validation."""
        assert self.judgment.prediction is not None
        return measured(self.judgment.prediction, self.labels, self.true_labels)

    def theory(self, confusion: Matrix | None = None) -> CrossValidated:
        """Return what the theory says of it, of predictions with the labels' mistakes or with measured ones (K, K)."""
        return theory_of(self.transition(), priors_of(self.true_labels, self.num_classes), confusion)


def write_selection(path: Path, outcome: Outcome, names: Sequence[str] | None, oracle: bool = False) -> None:
    """Write the selection file, a row per sample in the order of the indices.

    Its columns are those of INCV's authors, `y` (true label, empty where unknown), `y_noisy` (given label), `select`,
    `candidate` and `eval_ratio` (the estimated noise rate, the same in each row, empty where there is none), and beside
    them `index`, `path` (empty where images are not files), `score`, `suggested_label` (empty where there is none) and
    `oracle`, the same in each row, which marks whatever is trained on the file.

    Args:
        path: The file.
        outcome: What to write.
        names: N paths of images below their folder; None: they are not files.
        oracle: Whether the selector knew what only an experiment knows of the true labels.
    """
    judgment = outcome.judgment
    rate = "" if judgment.noise_rate is None else f"{judgment.noise_rate:.6g}"
    rows = zip(
        range(len(outcome.labels)),
        map(as_cell, names or [""] * len(outcome.labels)),
        ["" if label == UNKNOWN else label for label in outcome.true_labels.tolist()],
        outcome.labels.tolist(),
        judgment.select.astype(int).tolist(),
        judgment.candidate.astype(int).tolist(),
        ["" if np.isnan(score) else f"{score:.6g}" for score in judgment.score.tolist()],
        ["" if label == UNKNOWN else label for label in judgment.suggested.tolist()],
        [rate] * len(outcome.labels),
        [int(oracle)] * len(outcome.labels),
        strict=True,
    )
    with replacing(path) as staged, staged.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows)


def summary_table(result: Mapping[str, Any], folder: Path, files: Sequence[str]) -> str:
    """Return the headline numbers of a selection.

    Args:
        result: Its `result.json`.
        folder: Of the selection.
        files: Names of the files to look at.
    """
    rows = [("run", str(folder))]
    if result["oracle"]:
        rows.append(("oracle", "it was given what only an experiment knows: no result to compare with"))
    noise = result["noise"]
    share = wrong_share(noise["realised_rate"], noise.get("num_known"))
    rows.append(("data", f"{result['dataset']}, {noise['kind']}, {share}"))
    selected = f"{result['selected']:,} of {result['samples']:,} labels selected"
    rows.append(("labels", selected + (f", {result['candidates']:,} candidates" if result["candidates"] else "")))
    if result["estimated_noise_rate"] is not None:
        rows.append(("noise rate", f"{_percent(result['estimated_noise_rate'])} estimated ({result['assumption']})"))
    if check := result["self_check"]:
        rows.append(
            (
                "self-check",
                f"{_percent(check['accuracy_given'])} of held-out labels predicted, which fits "
                f"{_percent(check['noise_rate'])} wrong labels and a network that is right on "
                f"{_percent(check['accuracy_true'])}",
            )
        )
    for number, one in enumerate(result.get("iterations") or [], 1):
        rows.append((f"iteration {number}", f"{one['selected']:,} selected, {_quality(one)}"))
    if "label_precision" in result:
        rows.append(("selection", _quality(result)))
    if result.get("auroc") is not None:
        top = result["wrong_among_top"]
        text = f"AUROC {result['auroc']:.4f}, average precision {result['average_precision']:.4f}"
        rows.append(("score", f"{text}; {top['wrong']} of the {top['suspects']} most suspicious labels are wrong"))
    if found := result.get("found"):
        text = (
            f"F1 {_percent(found['f1'])}, precision {_percent(found['precision'])}, recall {_percent(found['recall'])}"
        )
        rows.append(("found", f"{text}; suggested labels right for {_percent(result['suggestions_right'])}"))
    for name, numbers in (result.get("cross_validation") or {}).items():
        rows.append(
            (name, f"accuracy on given labels {_percent(numbers['accuracy'])}, {_quality(numbers)}"),
        )
    rows += [("warning", warning) for warning in result["warnings"]]
    rows.append(("files", ", ".join(str(folder / name) for name in files)))
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def _quality(numbers: Mapping[str, float]) -> str:
    return f"label precision {_percent(numbers['label_precision'])}, recall {_percent(numbers['label_recall'])}"


def _percent(value: float | None) -> str:
    return "an unknown share" if value is None or np.isnan(value) else f"{100 * value:.2f} %"

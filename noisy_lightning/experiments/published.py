"""Published accuracies, to set beside one's own.

`published.csv` has a row per number: source, table, data set, method, setting, value and standard deviation in %, n
runs, at which epoch it was taken, the convention of the noise, the protocol, and a status: `read` in the source,
`secondary` where somebody else reports it, `memory` where it could not be looked up: nothing is compared with that.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

# What of ours a number is compared with, by the epoch at which it was taken.
MEASURES = {
    "last": "acc_last",
    "mean of last 10": "acc_mean_last_10",
    "chosen on validation": "acc_chosen",
    "best on test": "acc_best_oracle",
    "unstated": "acc_last",
}

# How a source is cited, where its name is not a citation.
_CITATIONS = {
    "study 0": "Ouellette and Mahmoud (2023)",
    "study 1": "Kathuria",
    "study 2": "SLN (Chen et al. 2021)",
    "study 3": "INCV (Chen et al. 2019)",
    "study 4": "Kim and Kang (2023)",
}


@dataclass(frozen=True)
class Published:
    """A published accuracy."""

    source: str
    table: str
    dataset: str
    """Name of our class."""
    method: str
    setting: str
    """Of the noise, such as `symmetric 0.4`, nominal rates as published."""
    value: float
    """In %."""
    std: float | None
    """In %, where published."""
    n: str
    """Runs, empty where unknown."""
    epoch_rule: str
    """A key of `MEASURES`."""
    noise_convention: str
    protocol: str
    status: str

    @property
    def citation(self) -> str:
        """The source, as a reader knows it."""
        return _CITATIONS.get(self.source, self.source)

    @property
    def comparable(self) -> bool:
        """Whether it was seen, by us or by somebody who reports it."""
        return self.status != "memory"


@cache
def published() -> Sequence[Published]:
    """Return all published accuracies that we know of."""
    text = (files("noisy_lightning.experiments") / "published.csv").read_text(encoding="utf-8")
    found = []
    for row in csv.DictReader(text.splitlines()):
        numbers: dict[str, Any] = {"value": float(row["value"]), "std": float(row["std"]) if row["std"] else None}
        found.append(Published(**{**row, **numbers}))
    return found


def find(sources: Sequence[str], dataset: str, names: Sequence[str]) -> list[Published]:
    """Return what sources publish of a method under a setting.

    Args:
        sources: Names of sources.
        dataset: Name of our class.
        names: What the publication calls method and setting, in any order, among others.
    """
    return [
        one
        for one in published()
        if one.source in sources and one.dataset == dataset and one.method in names and one.setting in names
    ]

"""What an audit found of one kind, as `doctor` prints it and the page of suspects shows it."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Findings:
    """Images that were found for one reason, the most noteworthy first."""

    kind: str
    """What they are, in the plural: "near duplicates", "outliers", "dark images"."""
    rule: str
    """By which rule and which threshold they were found, in a line."""
    members: Sequence[tuple[int, ...]]
    """Positions in the training set: one for an image of its own, two or more for images that belong together. Where
    an image is one of the test set, its position t stands as -1 - t."""
    scores: Sequence[float]
    """As many numbers: the higher, the more noteworthy, on the rule's own scale."""

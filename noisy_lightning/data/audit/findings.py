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
    remark: str = ""
    """Why nothing is listed, where there is a reason beside that nothing was found."""

    @property
    def leaks(self) -> int:
        """How many of the members hold both a training image and a test image."""
        return sum(min(member) < 0 <= max(member) for member in self.members)

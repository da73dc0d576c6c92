"""What a data set of files does not read: files of other kinds, counted, and broken images, listed in a file."""

import csv
from collections import Counter
from collections.abc import Mapping
from pathlib import Path, PurePath

from noisy_lightning.data.loading.opening import HEIC_EXTRA, HEIC_SUFFIXES, SUFFIXES, reads_heic
from noisy_lightning.runs.files import as_cell, replacing

LIST_FILE = "broken_images.csv"
_LITTER = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"})  # of file managers, in small letters
_COUNTED = 10  # suffixes that a line names


class UnreadFiles:
    """Files in the folders of a data set that are none of its images."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        """How many there are, by suffix in small letters and perhaps the reason."""
        self.heic: list[str] = []
        """Paths of the images that pillow-heif would read."""
        self._suffixes = SUFFIXES if reads_heic() else tuple(set(SUFFIXES) - set(HEIC_SUFFIXES))

    def takes(self, name: str, path: str) -> bool:
        """Return whether a file is an image by its name; count it where it is not.

        Args:
            name: Of the file.
            path: To note of an image that only pillow-heif reads.
        """
        small = name.lower()
        if small.endswith(self._suffixes):
            return True
        if small.endswith(HEIC_SUFFIXES):
            self.heic.append(path)
        elif small not in _LITTER:
            self.counts[PurePath(small).suffix or "without suffix"] += 1
        return False

    def leave_out(self, name: str, reason: str) -> None:
        """Count an image that is not one of the data set."""
        self.counts[f"{PurePath(name.lower()).suffix} ({reason})"] += 1

    def __str__(self) -> str:
        """Say in one line what there is; empty where there is nothing."""
        frequent = sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))
        named = [f"{count:,} {suffix}" for suffix, count in frequent[:_COUNTED]]
        rest = sum(count for _, count in frequent[_COUNTED:])
        named += [f"{rest:,} others"] * (rest > 0)
        named += [f"{len(self.heic):,} of HEIC, which need {HEIC_EXTRA}"] * bool(self.heic)
        return f"not read: {', '.join(named)}" if named else ""


class BrokenList:
    """A file with the path of each image that cannot be read, and why.

    Args:
        folder: Where `broken_images.csv` is written.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / LIST_FILE
        self._reasons: dict[str, str] = {}

    def add(self, reasons: Mapping[str, str]) -> str:
        """Write the file anew, with further images.

        Args:
            reasons: Why an image cannot be read, by its path.

        Returns:
            What to say of the images: where they are listed.
        """
        self._reasons.update(reasons)
        try:
            with (
                replacing(self.path) as staged,
                staged.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file,
            ):
                table = csv.writer(file, lineterminator="\n")
                table.writerow(("path", "reason"))
                table.writerows((as_cell(path), as_cell(reason)) for path, reason in sorted(self._reasons.items()))
        except OSError as error:
            return f"to be listed in {self.path}, which cannot be written: {error.strerror or error}"
        return f"listed in {self.path}"

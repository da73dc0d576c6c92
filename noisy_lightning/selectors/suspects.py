"""The page on which somebody reviews the most suspicious labels of a training set.

One HTML file, which asks no network for anything: the frame of `selectors.page`, the samples as JSON, and their
thumbnails in sheets of a hundred, most suspicious first. What would make the file too large lies in a folder beside it.
"""

import hashlib
import io
import json
import os
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from noisy_lightning.data.audit.findings import Findings
from noisy_lightning.runs.files import replacing
from noisy_lightning.runs.measures import UNKNOWN, Ints
from noisy_lightning.selectors.page import frame

# The template knows these two by the same names.
_COLUMNS, _ROWS = 10, 10  # of thumbnails in a sheet
_LONGEST = 64  # pixels of a thumbnail's longest side
_BLOCK = 16  # pixels of a side of what WebP compresses as one
_QUALITY = 80  # of 100; an image of CIFAR-10 takes some 300 bytes
_LARGEST = 1e300  # stands for infinity, which JSON doesn't have

_Pictures = Callable[[NDArray[np.int64]], NDArray[np.uint8]]


@dataclass(frozen=True)
class Suspects:
    """What the page shows of each of N samples."""

    title: str
    """What judged which labels, such as "INCV on CIFAR10, Symmetric 50 %"."""
    class_names: Sequence[str]
    """K names."""
    given: Ints
    """(N,) given labels."""
    suggested: Ints
    """(N,) better labels, -1 where there is no suggestion."""
    score: NDArray[np.floating[Any]]
    """(N,) the higher, the more suspicious; NaN where a sample was not judged, such as for a broken image."""
    true: Ints
    """(N,) true labels, -1 where unknown, -2 where the image is of none of the classes."""
    paths: Sequence[str] | None = None
    """N names of files, if the images are files."""
    root: Path | None = None
    """The folder that the paths start from: the page shows the files themselves, from wherever both lie. None: it has
    thumbnails only."""
    score_meaning: str = ""
    """What the score is, in a line, such as "1 - held-out probability of the given label"."""
    neighbors: Ints | None = None
    """(N, k) positions of the samples whose images are most like each one, the nearest first, -1 where there are no
    more; None: nobody looked for them. Those of samples without a score are not shown."""
    findings: Sequence[Findings] = ()
    """What an audit found, each kind a tab of the page."""
    test_paths: Sequence[str] | None = None
    """Names of the files of the test images, for findings that name some."""
    test_root: Path | None = None
    """The folder that they start from, as `root`."""


def write_suspects(page: Path, suspects: Suspects, pictures: _Pictures, embedded: int = 20 * 2**20) -> list[Path]:
    """Write the page on which a person keeps, changes or excludes the labels, most suspicious first.

    The person's verdicts stay in their browser, until exported: as verdicts, of which `noisy-lightning clean --apply`
    makes a corrected copy, or as labels, which `LabelFile` reads. The 50,000 images of CIFAR-10 take about 6 s and
    22 MB; five neighbors of each take 1.5 MB more.

    Args:
        page: the file to write, `.html`; sheets of thumbnails that it has no room for go into a folder beside it, named
            `<stem>_images`.
        suspects: what to show.
        pictures: returns the images (n, C, H, W) of samples (n,), C of 1 or 3. It is asked for a hundred at a time at
            most, and never for samples without a score.
        embedded: bytes in the page that thumbnails may take.

    Returns:
        All files that belong to the page, and the page first.
    """
    # A stable order; NaN goes last.
    order = np.argsort(-suspects.score.astype(np.float64), kind="stable")
    pictured = order[: np.count_nonzero(~np.isnan(suspects.score))]
    folder = page.with_name(f"{page.stem}_images")
    beside: list[Path] = []
    sheets: list[dict[str, Any]] = []
    room = embedded
    before, after = frame(suspects.title)
    # A title may hold the name of a file, which need not be text.
    with replacing(page) as staged, staged.open("w", encoding="utf-8", errors="replace", newline="\n") as file:
        file.write(before)
        for number, (size, sheet) in enumerate(_sheets(pictured, pictures)):
            sheets.append({"size": size, "file": None})
            room -= -(-len(sheet) // 3) * 4  # what base64 makes of it
            # Once one has no room, none has: all others go beside the page, and what is most suspicious is in it.
            if room >= 0:
                text = b64encode(sheet).decode()
                file.write(f'<script type="text/plain" id="sheet-{number}">{text}</script>\n')
            else:
                beside.append(_write_sheet(folder, number, sheet))
                sheets[-1]["file"] = beside[-1].name
        data = _data(suspects, order) | _beyond_labels(suspects, page, pictured)
        data |= {"pictured": len(pictured), "folder": folder.name, "sheets": sheets}
        file.write(f'<script type="application/json" id="data">{_json(data)}</script>\n')
        file.write(after)
    _remove_old_sheets(folder, beside)
    return [page, *beside]


def _data(suspects: Suspects, order: NDArray[np.int64]) -> dict[str, Any]:
    """Return what the page knows of the samples, apart from their pictures."""
    # Verdicts belong to these labels under this title; a browser may hold those of other pages, too.
    key = hashlib.sha256(suspects.title.encode(errors="replace") + suspects.given.astype("<i8").tobytes()).hexdigest()
    return {
        "key": key[:16],
        "classes": list(suspects.class_names),
        "order": order.tolist(),
        "given": suspects.given.tolist(),
        "suggested": suspects.suggested.tolist(),
        "score": _scores(suspects.score),
        "true": suspects.true.tolist() if (suspects.true != UNKNOWN).any() else None,
        "paths": None if suspects.paths is None else list(suspects.paths),
    }


def _beyond_labels(suspects: Suspects, page: Path, pictured: NDArray[np.int64]) -> dict[str, Any]:
    """Return what explains the labels, and what an audit found: where files are, neighbors, findings."""
    neighbors, tests = None, {}
    if suspects.neighbors is not None:
        rows = suspects.neighbors[pictured]
        neighbors = {"width": rows.shape[1], "rows": rows.ravel().tolist()}
    if suspects.test_paths is not None:
        named = {index for found in suspects.findings for member in found.members for index in member if index < 0}
        tests = {-1 - index: suspects.test_paths[-1 - index] for index in sorted(named)}
    return {
        "root": _address(suspects.root, page),
        "scoreMeaning": suspects.score_meaning,
        "neighbors": neighbors,
        "tests": {"paths": tests, "root": _address(suspects.test_root, page)},
        "findings": [
            {
                "kind": found.kind,
                "rule": found.rule,
                "members": [[int(index) for index in member] for member in found.members],
                "scores": _scores(np.array(found.scores, np.float64)),
            }
            for found in suspects.findings
        ],
    }


def _scores(scores: NDArray[np.floating[Any]]) -> list[float | None]:
    """Return scores as JSON can hold them, to six digits; None where there is none."""
    finite = np.clip(scores.astype(np.float64), -_LARGEST, _LARGEST).tolist()
    return [None if np.isnan(score) else float(f"{score:.6g}") for score in finite]


def _address(folder: Path | None, page: Path) -> str | None:
    """Return the address of a folder as seen from a page: relative, so that both can be moved together."""
    if folder is None:
        return None
    try:
        relative = Path(os.path.relpath(folder.absolute(), page.parent.absolute()))
    except ValueError:  # on another drive
        return f"{folder.absolute().as_uri()}/"
    return quote(os.fsencode(f"./{relative.as_posix()}/"))


def _json(data: dict[str, Any]) -> str:
    """Return JSON that can stand within a script element, whatever the texts in it."""
    # Without "<" nothing ends the element; other than ASCII is escaped, so no encoding can spoil it.
    return json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _sheets(indices: NDArray[np.int64], pictures: _Pictures) -> Iterator[tuple[tuple[int, int], bytes]]:
    """Yield sheets of thumbnails, each with the width and height of one of them in pixels."""
    step = _COLUMNS * _ROWS
    for start in range(0, len(indices), step):
        thumbnails = _thumbnails(pictures(indices[start : start + step]))
        yield (thumbnails.shape[2], thumbnails.shape[1]), _sheet(thumbnails)


def _thumbnails(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Turn pictures (n, C, H, W) into color (n, h, w, 3), shrunk where they are larger than a thumbnail."""
    count, _, height, width = pictures.shape
    color = np.broadcast_to(pictures, (count, 3, height, width))
    if max(height, width) <= _LONGEST:
        return color.transpose(0, 2, 3, 1)
    shrink = _LONGEST / max(height, width)
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    images = (Image.merge("RGB", [Image.fromarray(channel) for channel in picture]) for picture in color)
    return np.stack([np.asarray(image.resize(size, Image.Resampling.HAMMING)) for image in images])


def _sheet(thumbnails: NDArray[np.uint8]) -> bytes:
    """Return thumbnails (n, h, w, 3) row by row as one WebP picture."""
    count, height, width = thumbnails.shape[:3]
    # Each fills whole blocks by repeating its edge, lest it bleed into its neighbors.
    cells = np.pad(thumbnails, ((0, 0), (0, -height % _BLOCK), (0, -width % _BLOCK), (0, 0)), mode="edge")
    rows = -(-count // _COLUMNS)
    cells = np.pad(cells, ((0, rows * _COLUMNS - count), (0, 0), (0, 0), (0, 0)))
    height, width = cells.shape[1:3]
    grid = cells.reshape(rows, _COLUMNS, height, width, 3).transpose(0, 2, 1, 3, 4)
    buffer = io.BytesIO()
    Image.fromarray(grid.reshape(rows * height, _COLUMNS * width, 3)).save(buffer, "WEBP", quality=_QUALITY)
    return buffer.getvalue()


def _write_sheet(folder: Path, number: int, sheet: bytes) -> Path:
    # Named after its content: until the new page is there, the old one goes on to show its own.
    path = folder / f"sheet-{number:04d}-{hashlib.sha256(sheet).hexdigest()[:8]}.webp"
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(path) as staged:
        staged.write_bytes(sheet)
    return path


def _remove_old_sheets(folder: Path, beside: list[Path]) -> None:
    """Remove what an earlier page of the same name left."""
    for path in set(folder.glob("sheet-*.webp")) - set(beside):
        path.unlink()

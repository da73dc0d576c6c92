"""noisy-lightning clean --apply: a corrected copy of a data set, by the verdicts that a person gave on the page."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from noisy_lightning import compat
from noisy_lightning.cli.keys import add_data, built_data
from noisy_lightning.cli.parser import Parser
from noisy_lightning.data import ImageFolder, ImageTable, NoisyDataModule, NoNoise
from noisy_lightning.data.drawing import draw
from noisy_lightning.data.selection import read_selection
from noisy_lightning.data.sets.image_files import ImageFiles
from noisy_lightning.data.sets.sources import Source
from noisy_lightning.errors import InputError
from noisy_lightning.experiments.corrected import CORRECTIONS_FILE, write_folder, write_table
from noisy_lightning.experiments.verdicts import Verdicts, read_verdicts
from noisy_lightning.runs.measures import Bools, Ints


def asks_to_apply(args: Sequence[str]) -> bool:
    """Return whether options of `clean` ask for a corrected copy, and not for a judgment."""
    return any(word.partition("=")[0] == "--apply" for word in args)


def run_apply(args: Sequence[str]) -> None:
    """Write a corrected copy of the data set of a configuration and print what became of it.

    What is excluded is left out. With `data.selection`, so is what it does not select, unless there is a verdict: a
    person's word counts more. `unsure` counts as `keep`.

    Args:
        args: Options.

    Raises:
        InputError: The input cannot work; nothing is written then.
    """
    compat.silence()
    parser = Parser("clean", "Write a corrected copy of a data set.")
    parser.usage = "noisy-lightning clean --apply verdicts.csv --out PATH --config FILE [KEYS]"
    parser.add_argument("--apply", type=Path, required=True, help="Verdicts, as the page of suspects exports them.")
    parser.add_argument("--out", type=Path, required=True, help="Folder, or table, to write; must not be there yet.")
    for name in ("drop", "audit", "projection"):
        parser.add_argument(f"--{name}", type=Any, help="Not used: what a run of clean has been given.")
    add_data(parser)
    config = parser.parse_args(args)
    data = built_data(parser, config)
    files = _files_of(data)
    labels, names = _given_labels(data, files), files.train_names
    verdicts = read_verdicts(config.apply, labels, files.class_names, names)
    keep = _kept(data, labels, verdicts)
    copied = 0
    if isinstance(files, ImageTable):
        write_table(config.out, files, verdicts.labels, keep)
    else:
        copied = write_folder(config.out, files, verdicts.labels, keep)
    print(_summary(config.out, data, files, verdicts, keep, copied))


def _files_of(data: NoisyDataModule) -> ImageTable | ImageFolder:
    """Return the data set of files; features are computed of one that they know as `data`.

    Raises:
        InputError: It is none that can be copied.
    """
    inner = getattr(data, "data", None)
    if isinstance(inner, NoisyDataModule):
        return _files_of(inner)
    if isinstance(data, ImageTable | ImageFolder):
        return data
    raise InputError(
        f"apply: {type(data).__name__} is no folder or table of images to copy; train on it with the labels.csv that "
        "the page exports, too: --data.noise LabelFile --data.noise.path labels.csv"
    )


def _given_labels(data: NoisyDataModule, files: ImageTable | ImageFolder) -> Ints:
    """Return the labels (N,) that were judged; no image is decoded for them."""
    listing = files.list_files().train
    images = ImageFiles(listing.root, listing.names, files.decoded_shape, files.max_megapixels)
    data.noise.prepare(lambda: data.load(train=True), data.num_classes)
    source = Source(images, listing.true_labels, listing.given_labels)
    drawn = draw(source, data.noise, data.num_classes, data.seed, data.redraw)
    labels: Ints = drawn.labels.numpy()
    return labels


def _kept(data: NoisyDataModule, labels: Ints, verdicts: Verdicts) -> Bools:
    """Return which samples (N,) are in the copy."""
    keep: Bools = ~verdicts.excluded
    if data.selection is None:
        return keep
    selection = read_selection(data.selection, torch.from_numpy(labels), data.class_names)
    selected = selection.select if selection.validate is None else selection.select | selection.validate
    return keep & (selected.numpy() | verdicts.judged)


def _summary(
    out: Path,
    data: NoisyDataModule,
    files: ImageTable | ImageFolder,
    verdicts: Verdicts,
    keep: Bools,
    copied: int,
) -> str:
    """Return what was decided and written, and how the copy is read."""
    counts = ", ".join(f"{number:,} {verdict}" for verdict, number in verdicts.counts.items())
    unselected = int((~keep & ~verdicts.excluded).sum())
    lines = [
        f"verdicts  {counts}; {int((~verdicts.judged).sum()):,} samples have none",
        *([f"left out  {unselected:,} more, which {data.selection} does not select"] if data.selection else []),
    ]
    count = f"{int(np.count_nonzero(keep)):,} of {len(keep):,} training images"
    if isinstance(files, ImageTable):
        is_beside = out.absolute().parent.resolve() == files.root.resolve()
        keys = f"ImageTable --data.csv {shlex.quote(str(out))}"
        keys += "" if is_beside else f" --data.root {shlex.quote(str(files.root))}"
        if files.columns and not files.is_crowd:
            keys += f" --data.columns {shlex.quote(json.dumps(files.columns))}"
        lines.append(f"written   {out}: {count}")
    else:
        keys = f"ImageFolder --data.root {shlex.quote(str(out))}"
        kind = f"hard links, {copied:,} of them copies" if copied else "hard links"
        lines.append(f"written   {out}: {count} as {kind}; {CORRECTIONS_FILE} in it names what has changed")
    noise = "" if isinstance(data.noise, NoNoise) else " --data.noise NoNoise"
    lines.append(f"read by   --data {keys}{noise}")
    return "\n".join(lines)

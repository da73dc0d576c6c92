"""noisy-lightning predict RUN --images: what the weights of a run say of any images, in one row each."""

import csv
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.fabric import Fabric
from lightning.fabric.utilities.exceptions import MisconfigurationException
from torch import Tensor
from tqdm import tqdm

from noisy_lightning import compat
from noisy_lightning.cli.class_report import Answers, class_table, remove_classes, write_classes
from noisy_lightning.cli.commands import BY_NAME
from noisy_lightning.cli.help import own_parser
from noisy_lightning.cli.image_labels import find_images, image_labels
from noisy_lightning.data.sets.embedding import FeaturesOf
from noisy_lightning.data.sets.image_files import processors
from noisy_lightning.errors import InputError, cannot_write, reading
from noisy_lightning.runs.files import as_cell, replacing
from noisy_lightning.training.loaded_run import LoadedRun, load_run

OUT = Path("predictions.csv")
_COLUMNS = ("path", "class", "probability")  # that each file of predictions begins with
_AT_ONCE = 64  # images that the network looks at
_SHOWN = 20  # images of which a line each is printed, and classes that are counted
_NO_LABEL = -1


@dataclass
class _Seen:
    """What is counted while rows are written."""

    broken: list[str] = field(default_factory=list)
    """Why images cannot be read."""
    rows: list[str] = field(default_factory=list)
    """What is printed, of few images."""
    answers: list[tuple[int, int, float]] = field(default_factory=list)
    """True label, predicted one and its probability, of images with a label."""
    classes: Counter[int] = field(default_factory=Counter)
    """How many images were taken for which."""


def predict_images(run: Path, checkpoint: str | None, args: Sequence[str]) -> None:
    """Write what the weights of a run say of images, and measure it where these have labels.

    Args:
        run: The run's folder.
        checkpoint: `best`, `last` or a file; None: the best where there is one, else the last.
        args: Options.

    Raises:
        InputError: The input cannot work, or not one of the images can be read.
    """
    compat.silence()
    parser = own_parser(BY_NAME["predict"])
    parser.add_argument("--trainer.accelerator", type=str, default="auto")
    options = parser.parse_args(args)
    if options.top < 1:
        raise InputError(f"top must be at least 1, got {options.top}")
    out: Path = options.out or OUT
    _check_out(out)
    measured = out.with_name(f"{out.stem}_measured")
    paths = find_images(options.images, left_out=measured)
    opened = _on_device(load_run(run, checkpoint), options.trainer.accelerator)
    labels = image_labels(paths, options.images, options.labels, opened.class_names)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        remove_classes(measured)  # of other predictions
        seen = _write(out, opened, paths, labels, min(options.top, len(opened.class_names)))
        _report(out, measured, opened, seen, len(paths))
    except OSError as error:
        raise cannot_write("out", out, error) from error


def _check_out(out: Path) -> None:
    """Refuse to replace a file that holds something else than predictions."""
    if out.is_dir():
        raise InputError(f"out: {out} is a folder; name a file, such as {out / OUT}")
    if out.exists():
        with reading(out, "out"), out.open(encoding="utf-8", errors="replace", newline="") as file:
            first = file.readline(1000)
        if tuple(first.strip().split(",")[:3]) != _COLUMNS:
            raise InputError(f"out: {out} is there and holds no predictions; name another file")


def _on_device(run: LoadedRun, accelerator: str) -> LoadedRun:
    """Move a run to the device of an accelerator, as the trainer calls it."""
    try:
        device = Fabric(accelerator=accelerator, devices=1).device
    except (MisconfigurationException, ValueError, RuntimeError) as error:
        raise InputError(f"trainer.accelerator: {' '.join(str(error).split())}") from error
    transform = run.transform
    if isinstance(transform, FeaturesOf):
        transform = replace(transform, embedding=transform.embedding.rounded(device))
    return replace(run, model=run.model.to(device), transform=transform)


def _write(out: Path, run: LoadedRun, paths: Sequence[Path], labels: Sequence[int] | None, top: int) -> _Seen:
    """Write a row per image as the network comes to it; the file is there once it is whole.

    Raises:
        InputError: Not one image can be read.
    """
    names, seen = run.class_names, _Seen()
    more = [column for k in range(2, top + 1) for column in (f"class_{k}", f"probability_{k}")]
    columns = [*_COLUMNS, *more, "margin", *(["label"] if labels is not None else []), "error"]
    with replacing(out) as staged, staged.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        with closing(_predictions(run, paths)) as predictions:
            for number, found in enumerate(predictions):
                label = _NO_LABEL if labels is None else labels[number]
                own = [] if labels is None else [names[label] if label >= 0 else ""]
                row: list[Any] = ["" for _ in range(2 * top + 1)]
                if isinstance(found, str):
                    seen.broken.append(found)
                else:
                    values, classes = found.topk(max(2, top))
                    pairs = list(zip([names[k] for k in classes.tolist()], values.tolist(), strict=True))
                    row = [cell for pair in pairs[:top] for cell in pair] + [pairs[0][1] - pairs[1][1]]
                    predicted = int(classes[0])
                    seen.classes[predicted] += 1
                    if label >= 0:
                        seen.answers.append((label, predicted, pairs[0][1]))
                    if len(paths) <= _SHOWN:
                        texts = [f"{name} {100 * share:.1f} %" for name, share in pairs[:top]]
                        seen.rows.append(f"{paths[number]}  {', '.join(texts)}")
                cells = [str(paths[number]), *row, *own, found if isinstance(found, str) else ""]
                writer.writerow([f"{cell:.6g}" if isinstance(cell, float) else as_cell(cell) for cell in cells])
        if len(seen.broken) == len(paths):
            raise InputError(f"images: not one of {len(paths):,} can be read: {seen.broken[0]}")
    return seen


def _predictions(run: LoadedRun, paths: Sequence[Path]) -> Generator[Tensor | str]:
    """Yield class probabilities (K,) of each image, or why it cannot be read; threads read what comes next."""
    with ThreadPoolExecutor(processors()) as pool, tqdm(total=len(paths), unit=" images", disable=None) as bar:
        ahead: list[Future[Tensor | str]] = []
        for start in range(0, len(paths) + _AT_ONCE, _AT_ONCE):
            waiting, ahead = ahead, [pool.submit(_read, run, path) for path in paths[start : start + _AT_ONCE]]
            yield from _looked_at(run, waiting)
            bar.update(len(waiting))


def _read(run: LoadedRun, path: Path) -> Tensor | str:
    """Return an image as the first network takes it, or why it cannot be read."""
    picture = run.transform.picture if isinstance(run.transform, FeaturesOf) else run.transform
    try:
        return picture(path)
    except InputError as error:
        return str(error)


@torch.inference_mode()
def _looked_at(run: LoadedRun, waiting: Sequence[Future[Tensor | str]]) -> Iterator[Tensor | str]:
    """Yield what the network makes of a batch."""
    found = [future.result() for future in waiting]
    read = [image for image in found if isinstance(image, Tensor)]
    probabilities = iter(())
    if read:
        images = torch.stack(read).to(run.model.device)
        if isinstance(run.transform, FeaturesOf):
            images = run.transform.features(images)
        elif run.model.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        probabilities = iter(run.model(images).float().softmax(1).cpu())
    yield from (next(probabilities) if isinstance(image, Tensor) else image for image in found)


def _report(out: Path, folder: Path, run: LoadedRun, seen: _Seen, count: int) -> None:
    """Print what came out, and measure it where there are labels."""
    names, written = run.class_names, [str(out)]
    _say("\n".join(seen.rows), end="\n\n" if seen.rows else "")
    lines = [f"run       {run.path} ({run.checkpoint.stem})"]
    if seen.broken:
        lines.append(f"unread    {len(seen.broken):,} of {count:,} images, see the column error: {seen.broken[0]}")
    common = seen.classes.most_common(_SHOWN)
    more = f" and {len(seen.classes) - _SHOWN} more classes" * (len(seen.classes) > _SHOWN)
    lines.append(f"found     {', '.join(f'{names[k]} {number:,}' for k, number in common)}{more}")
    if seen.answers:
        label, predicted, probability = (np.array(column) for column in zip(*seen.answers, strict=True))
        answers = Answers(label, predicted, probability.astype(np.float32))
        accuracy = float((label == predicted).mean())
        lines.append(f"accuracy  {100 * accuracy:.2f} % of {len(label):,} images with a label")
        lines += ["", "in %:", str(class_table({"": answers}, names)), ""]
        title = f"{run.path.parent.name}/{run.path.name}, {run.checkpoint.stem}: {out.stem}"
        write_classes(folder, answers, names, title, pictures=True)
        written.append(f"{folder}: tables and pictures of classes and calibration")
    _say("\n".join([*lines, f"files     {', '.join(written)}"]))


def _say(text: str, end: str = "\n") -> None:
    """Print a text in which a path may be no text: its bytes are then shown as a terminal can show them."""
    print(text.encode("utf-8", "backslashreplace").decode(), end=end)

"""noisy-lightning export: the classifier of a run in one file, for programs that know nothing of this package."""

import json
from collections.abc import Sequence
from pathlib import Path

from noisy_lightning import compat
from noisy_lightning.cli.commands import BY_NAME
from noisy_lightning.cli.help import own_parser
from noisy_lightning.errors import InputError, cannot_write
from noisy_lightning.runs.files import replacing
from noisy_lightning.training.deployed import deployed
from noisy_lightning.training.export_check import compared, images_for
from noisy_lightning.training.export_description import description
from noisy_lightning.training.export_formats import EVALUATOR, FORMATS, written
from noisy_lightning.training.loaded_run import LoadedRun, load_run

_MANY, _FEW = 100, 10  # images that predictions are compared on


def run_export(args: Sequence[str]) -> None:
    """Write the classifier of a run into one file, once it has been seen to predict what the run predicts.

    Args:
        args: The run's folder and perhaps a checkpoint, then options.

    Raises:
        InputError: The input cannot work, or the file would predict something else.
    """
    if not args or args[0].startswith("-"):
        raise InputError("export needs a run: noisy-lightning export runs/<experiment>/<number>")
    compat.silence()
    options = own_parser(BY_NAME["export"]).parse_args(list(args))
    FORMATS[options.format].check(options.format)
    run = load_run(options.run, options.checkpoint, compile=False)
    path = _path(run, options.format, options.out)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _export(run, options.format, path)
    except OSError as error:
        raise cannot_write("out", path, error) from error


def _path(run: LoadedRun, format_name: str, out: Path | None) -> Path:
    """Return the file to write.

    Raises:
        InputError: What was given is a folder, or has the ending of something else.
    """
    suffix = FORMATS[format_name].suffix
    path = run.path / f"model_{run.checkpoint.stem}{suffix}" if out is None else out
    if path.is_dir():
        raise InputError(f"out: {path} is a folder: name a file, such as {path / f'model{suffix}'}")
    if path.suffix != suffix:
        raise InputError(f"out: a file of --format {format_name} ends in {suffix}, got {path}")
    return path


def _export(run: LoadedRun, format_name: str, path: Path) -> None:
    model = deployed(run)
    exported = model.in_float32() if format_name == "onnx" and model.embedding is not None else model
    about = description(run, model, format_name)
    beside = path.with_name(f"{path.name}.json")
    with replacing(path) as staged, replacing(beside) as text:
        predict, reader = written(format_name, exported, about, staged)
        images = images_for(run, model.image_shape, _FEW if reader == EVALUATOR else _MANY)
        found = compared(run, model, exported, predict, images)
        about["checked"] = f"{found.images}: largest difference of a probability {found.difference:.1e}, by {reader}"
        text.write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{path}: {run.checkpoint.name}, {path.stat().st_size / 1e6:.2f} MB; {beside.name} describes it")
    print(f"takes    {about['input']}")
    print(f"gives    {about['output']}")
    print(
        f"checked  on {found.images}, by {reader}: probabilities differ from the run's by up to "
        f"{found.difference:.1e}, the predicted class is the same for {found.agreeing} of {found.compared}"
    )
    if exported is not model:
        print(
            "         the frozen network computes in float32 here, and in bfloat16 in the run: that is the difference"
        )

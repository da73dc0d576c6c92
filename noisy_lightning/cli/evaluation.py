"""noisy-lightning validate, test and predict: what the weights of a run are worth, and what they say."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from noisy_lightning.cli.class_report import write_rows
from noisy_lightning.cli.predict import predict_images
from noisy_lightning.cli.tested import show_classes, write_tested
from noisy_lightning.cli.trainer_keys import check_trainer, what_lightning_refuses
from noisy_lightning.cli.training import NoisyCLI
from noisy_lightning.data import NoisyDataModule
from noisy_lightning.errors import InputError, reading
from noisy_lightning.runs.files import replacing
from noisy_lightning.runs.folder import RunFolder, existing_run
from noisy_lightning.runs.older_keys import with_present_keys
from noisy_lightning.runs.summary import evaluation_table
from noisy_lightning.training.callbacks.hyper_parameters import show_result
from noisy_lightning.training.hyper_parameters import hyper_parameters
from noisy_lightning.training.metrics import TestedImages

_OF_IMAGES = {"--images", "--labels", "--out", "--top"}


class Evaluated(NamedTuple):
    """What a command line names to evaluate."""

    run: RunFolder | None
    """None where only a checkpoint is named, by --ckpt_path."""
    checkpoints: Sequence[Path]
    cli: NoisyCLI
    """Model, data and trainer of the run's own configuration and the rest of the command line."""


def run_validate(args: Sequence[str]) -> None:
    """Measure the accuracy of a run on the validation part, print it and add it to the run's result.

    Args:
        args: The run's folder and perhaps a checkpoint, then options.

    Raises:
        InputError: The input cannot work.
    """
    what = _evaluated("validate", args)
    if not what.cli.datamodule.validates:
        raise InputError("data.validation: there is no validation part")
    _measure("validate", what)


def run_test(args: Sequence[str]) -> None:
    """Measure the accuracy of a run on clean test sets, print it, draw it and add it to the run's result.

    Args:
        args: The run's folder and perhaps a checkpoint, then options.

    Raises:
        InputError: The input cannot work.
    """
    _measure("test", _evaluated("test", args))


def run_predict(args: Sequence[str]) -> None:
    """Save what the weights of a run make of the whole training set, in its original order; or of other images.

    Args:
        args: The run's folder and perhaps a checkpoint, then options.

    Raises:
        InputError: The input cannot work.
    """
    given = {option.partition("=")[0] for option in args}
    for option in sorted(given - _OF_IMAGES):
        if meant := get_close_matches(option, _OF_IMAGES, n=1, cutoff=0.8):
            raise InputError(f"predict: unknown option {option}; did you mean {meant[0]}?")
    if "--images" not in given and (without := given & _OF_IMAGES):
        raise InputError(f"predict: {min(without)} is of --images, which is missing")
    if "--images" in given:
        run, checkpoint, options = _named("predict", args)
        predict_images(run.path, checkpoint, options)
        return
    what = _evaluated("predict", args)
    cli = what.cli
    check_trainer(cli.config.trainer, ["limit_predict_batches"])
    trainer = cli.new_trainer(logger=False)
    if trainer.world_size > 1:
        raise InputError("predict runs in one process: --trainer.devices 1 --trainer.strategy auto")
    for path in _weights("predict", what):
        with what_lightning_refuses():
            batches: Any = trainer.predict(cli.model, cli.datamodule, return_predictions=True, ckpt_path=str(path))
        columns = {name: torch.cat([batch[name] for batch in batches]).cpu() for name in batches[0]}
        order = columns["index"].argsort()
        file = (what.run.path if what.run else path.parent) / f"predictions_{path.stem}.npz"
        arrays: dict[str, Any] = {name: column[order].numpy() for name, column in columns.items()}
        with replacing(file) as staged, staged.open("wb") as archive:
            np.savez_compressed(archive, **arrays)
        print(f"{file}: {', '.join(f'{name} {tuple(column.shape)}' for name, column in columns.items())}")
        _write_predictions(file.with_suffix(".csv"), arrays, cli.datamodule)


def _write_predictions(path: Path, arrays: Mapping[str, NDArray[Any]], data: NoisyDataModule) -> None:
    """Write a row per training image: what it is, what was made of it, and which part it belongs to."""
    index, label, probability = (arrays[name] for name in ("index", "label", "probability"))
    names = data.train_names
    parts = np.full(len(data.labels), "unused", object)
    parts[data.train_indices], parts[data.val_indices] = "train", "val"
    # The two largest, of which there are always two.
    ranked = np.argpartition(-probability, 1, axis=1)[:, :2]
    first, second = np.take_along_axis(probability, ranked, 1).T
    columns = [
        index,
        [data.class_names[k] for k in label],
        [data.class_names[k] for k in ranked[:, 0]],
        first,
        np.take_along_axis(probability, label[:, None], 1)[:, 0],
        first - second,
        parts[index],
    ]
    heads = ["index", "label", "class", "probability", "probability_of_label", "margin", "part"]
    if names is not None:
        columns.insert(1, [names[position] for position in index])
        heads.insert(1, "path")
    write_rows(path, heads, zip(*columns, strict=True))
    print(f"{path}: {', '.join(heads)}")


def _evaluated(command: str, args: Sequence[str]) -> Evaluated:
    """Return what a command line names: perhaps a run's folder and a checkpoint at its beginning, then options.

    Raises:
        InputError: There is neither a run nor a configuration, or the input cannot work.
    """
    if args and args[0].startswith("-") and any(option.startswith(("--config", "-c", "--data")) for option in args):
        return Evaluated(None, [], NoisyCLI(args, weights_follow=True))
    run, checkpoint, options = _named(command, args)
    checkpoints = [run.checkpoint(checkpoint)] if checkpoint else _headline_checkpoints(run)
    return Evaluated(run, checkpoints, NoisyCLI(["--config", str(run.config), *options], weights_follow=True))


def _named(command: str, args: Sequence[str]) -> tuple[RunFolder, str | None, list[str]]:
    """Return the run and the checkpoint that a command line begins with, and the rest of it.

    Raises:
        InputError: There is no run.
    """
    options = list(args)
    if not options or options[0].startswith("-"):
        raise InputError(f"{command} needs a run: noisy-lightning {command} runs/<experiment>/<number>")
    run = existing_run(Path(options.pop(0)))
    return run, options.pop(0) if options and not options[0].startswith("-") else None, options


def _headline_checkpoints(run: RunFolder) -> list[Path]:
    """Return the checkpoint chosen on validation, where there is one, and the last."""
    best = run.checkpoints / "best.ckpt"
    return [*([best] if best.exists() else []), run.checkpoint("last")]


def _weights(command: str, what: Evaluated) -> Sequence[Path]:
    """Return the checkpoint files to evaluate; never the random weights that Lightning would take."""
    if (named := what.cli.config.ckpt_path) is not None:
        return [RunFolder(Path()).checkpoint(named)]
    if not what.checkpoints:
        raise InputError(f"{command} needs weights: name a run's folder first, or give --ckpt_path FILE")
    return what.checkpoints


def _measure(command: str, what: Evaluated) -> None:
    """Measure each of the chosen weights, print a table and add it to the run's result."""
    cli = what.cli
    check_trainer(cli.config.trainer, ["limit_test_batches" if command == "test" else "limit_val_batches"])
    trainer = cli.new_trainer(logger=False)
    evaluate = {"validate": trainer.validate, "test": trainer.test}[command]
    measured: dict[str, dict[str, Any]] = {}
    tested: dict[str, dict[str, TestedImages]] = {}
    for path in _weights(command, what):
        with what_lightning_refuses():
            of_loaders = evaluate(cli.model, datamodule=cli.datamodule, ckpt_path=str(path), verbose=False)
        epoch = cli.model.loaded_epoch
        # What is logged after all loaders is in each.
        name = _name_of(path, what.run)
        measured[name], tested[name] = {"epoch": epoch, **of_loaders[0]}, cli.model.tested()
    if not trainer.is_global_zero:
        return
    places: list[Path] = []
    if command == "test" and what.run is not None:
        pictures = cli.config_init.recorder.pictures
        for name, images in tested.items():
            epoch = measured[name]["epoch"]
            places.append(write_tested(what.run.path, name, epoch, images, cli.datamodule, pictures))
    result: dict[str, Any] = {"oracle": cli.config.oracle}
    if what.run is not None:
        result = what.run.update_result(lambda before: before | {command: before.get(command, {}) | measured})
        if command == "test":
            _show(cli, what.run, result)
    run = what.run.path if what.run else None
    with reading(what.run.result if what.run else "result.json"):
        print(evaluation_table(command, measured, result, run, cli.config.trainer.max_epochs))
    if command == "test":
        show_classes(tested, cli.datamodule.class_names)
    if places:
        print(f"\nfiles  {', '.join(map(str, places))}: tables and pictures of classes, calibration, hardest images")


def _name_of(checkpoint: Path, run: RunFolder | None) -> str:
    """Return what results call a checkpoint: `best` and `last` are the run's own."""
    own = run is None or checkpoint.resolve().parent == run.checkpoints.resolve()
    return checkpoint.stem if own or checkpoint.stem not in ("best", "last") else str(checkpoint)


def _show(cli: NoisyCLI, run: RunFolder, result: Mapping[str, Any]) -> None:
    """Put what a test measured on the run's board, if it has one: as numbers and tables, since it is no curve."""
    if any(run.path.glob("events.out.tfevents.*")):
        # The run's own configuration: that of a test says of a class only what was made of it.
        made = with_present_keys(run.read_config().get("model") or {})
        parameters = hyper_parameters(made, cli.datamodule, cli.config.trainer.max_epochs)
        show_result(run.path, parameters, result, cli.datamodule.class_names)

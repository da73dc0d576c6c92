"""noisy-lightning clean: which labels of a training set to trust, by the trainings that a selector asks for."""

import copy
import inspect
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import torch
import yaml

from noisy_lightning import compat
from noisy_lightning.cli.data import built_data, data_parser, experiment_of
from noisy_lightning.cli.folds import FoldRuns
from noisy_lightning.cli.lightning import TRAINER_DEFAULTS, Parser
from noisy_lightning.cli.messages import explain
from noisy_lightning.data import NoisyDataModule
from noisy_lightning.data.manifest import write_manifest
from noisy_lightning.errors import InputError
from noisy_lightning.experiments.selection import Outcome, draw, summary_table, write_selection
from noisy_lightning.runs.environment import git_commit, versions
from noisy_lightning.runs.files import replacing
from noisy_lightning.runs.folder import RunFolder, RunOptions, claim_run
from noisy_lightning.selectors import Judgement, Selector, Task
from noisy_lightning.selectors.base import mask
from noisy_lightning.selectors.suspects import Suspects, write_suspects
from noisy_lightning.training.callbacks.sample_recorder import SampleRecorder
from noisy_lightning.training.module import NoisyClassifier

SELECTION_FILE, PAGE_FILE, TRAINING_FILE = "selection.csv", "suspects.html", "fit.yaml"


def run_clean(args: Sequence[str]) -> None:
    """Judge the labels of a configuration, write what came out of it and print a summary.

    Args:
        args: Options.

    Raises:
        InputError: The input cannot work, or a training failed.
    """
    parser = _parser()
    config = parser.parse_args(list(args))
    plain: dict[str, Any] = yaml.safe_load(parser.dump(config, skip_none=False))
    selector = _selector(parser, config)
    if config.jobs < 1:
        raise InputError(f"jobs must be at least 1, got {config.jobs}")
    if plain["trainer"]["fast_dev_run"]:
        raise InputError("trainer.fast_dev_run must be false: it leaves no run to judge by")
    options = RunOptions(**plain["run"])
    training = {key: plain[key] for key in ("seed_everything", "trainer", "model", "data", "recorder", "oracle")}
    training["run"] = {"checkpoint_every_n_steps": options.checkpoint_every_n_steps}
    data = _data(training)
    run = claim_run(Path(options.root) / experiment_of(config), options.version, options.resume, plain)
    try:
        if not run.config.exists():
            run.config.write_text(yaml.safe_dump(plain, sort_keys=False))
        _clean(run, selector, data, training, config.jobs)
    except KeyboardInterrupt:
        print(f"interrupted: the same command continues {run.path}")
        raise SystemExit(130) from None
    except InputError:
        run.discard_unstarted()
        raise
    finally:
        run.unlock()


def resolve_clean(args: Sequence[str]) -> dict[str, Any]:
    """Return the configuration that options of `clean` amount to, as plain data; nothing is built.

    Raises:
        InputError: An option is unknown, or a value has the wrong type.
    """
    parser = _parser()
    plain: dict[str, Any] = yaml.safe_load(parser.dump(parser.parse_args(list(args)), skip_none=False))
    return plain


def _clean(run: RunFolder, selector: Selector, data: NoisyDataModule, training: dict[str, Any], jobs: int) -> None:
    """Judge the labels and write everything into the folder of the run."""
    started = time.monotonic()
    data.prepare_data()
    data.setup("fit")
    write_manifest(run.path, data.noise_summary(), data.label_table())
    with replacing(run.path / TRAINING_FILE) as staged:
        staged.write_text(yaml.safe_dump(training, sort_keys=False))
    labels = data.labels.numpy()
    judged = mask(len(labels), data.source.usable().numpy())
    folds = FoldRuns(run.path, run.path / TRAINING_FILE, labels, data.num_classes, jobs)
    judgement = selector.select(Task(labels, judged, data.num_classes, data.seed), folds)
    outcome = Outcome(_trusting(judgement, data), labels, data.true_labels.numpy(), data.num_classes)
    noise = data.noise_summary()
    title = f"{type(selector).__name__} on {noise.dataset}, {noise.kind}"
    oracle = selector.oracle or bool(training["oracle"])
    write_selection(run.path / SELECTION_FILE, outcome, data.train_names, oracle)
    _write_page(run.path / PAGE_FILE, outcome, data, title)
    draw(run.path, outcome, data, noise, title)
    result = {
        "run": str(run.path),
        "selector": {"kind": type(selector).__name__, "arguments": _arguments(selector)},
        "oracle": oracle,
        **outcome.measures(),
        "dataset": noise.dataset,
        "noise": noise.headline(),
        "seconds": round(time.monotonic() - started, 2),
        "versions": versions(),
        "git_commit": git_commit(),
    }
    run.write_result(result)
    print(summary_table(result, run.path, [SELECTION_FILE, PAGE_FILE]))


def _parser() -> Parser:
    """Return a parser that takes a configuration of fit and a selector."""
    compat.silence()
    parser = Parser(
        prog="noisy-lightning clean",
        description="Find out which labels to trust by trainings that cross-check each other: writes selection.csv, on "
        "which fit can train (--data.selection), and suspects.html, to review the most suspicious labels.",
    )
    parser.add_argument("-c", "--config", action=compat.config_file_action(), help="Path to a configuration file.")
    parser.add_argument("--seed_everything", type=bool | int, default=0, help="Seed of every training.")
    parser.add_argument("--jobs", type=int, default=1, help="Trainings at a time; more than one write to log files.")
    parser.add_subclass_arguments(Selector, "selector", required=True)
    parser.add_lightning_class_args(L.Trainer, "trainer")
    parser.set_defaults({f"trainer.{name}": value for name, value in TRAINER_DEFAULTS.items()})
    parser.add_lightning_class_args(NoisyClassifier, "model")
    parser.add_subclass_arguments(NoisyDataModule, "data", required=True)
    for name in ("num_classes", "in_channels", "num_samples"):
        parser.link_arguments(f"data.{name}", f"model.{name}", apply_on="instantiate")
    parser.add_class_arguments(SampleRecorder, "recorder")
    parser.add_class_arguments(RunOptions, "run")
    parser.add_argument("--oracle", type=bool, default=False, help="As for fit.")
    # What else a configuration of fit has.
    parser.add_argument("--monitor", type=Any, help="Not used: where a fold chooses an epoch, it does by accuracy.")
    parser.add_argument("--test_every_epoch", type=Any, help="Not used: folds are not tested.")
    for key in ("ckpt_path", "weights_only"):
        parser.add_argument(f"--{key}", type=Any, help="Not used: every training starts from the beginning.")
    return parser


def _selector(parser: Parser, config: Any) -> Selector:
    """Build the selector.

    Raises:
        InputError: It refused its arguments.
    """
    try:
        selector: Selector = parser.instantiate_classes(config.clone()).selector
    except InputError:
        raise
    except (ValueError, TypeError) as error:
        raise InputError(explain(str(error))) from error
    return selector


def _data(training: dict[str, Any]) -> NoisyDataModule:
    """Build the data module, which has not read its images yet.

    Raises:
        InputError: An argument cannot work, or would leave labels unjudged.
    """
    parser = data_parser("clean", "")
    data = built_data(parser, parser.parse_object(copy.deepcopy(training)))  # the parser puts objects into it
    if data.selection is not None:
        raise InputError("data.selection must be left out: clean judges all labels")
    if data.redraw != "once":
        raise InputError("data.redraw must be once: there are no labels to judge where each epoch has its own")
    return data


def _trusting(judgement: Judgement, data: NoisyDataModule) -> Judgement:
    """Return the judgement with all labels selected that the data set itself vouches for."""
    trusted = data.is_trusted.numpy()
    return judgement if not trusted.any() else judgement.trusting(trusted)


def _arguments(selector: Selector) -> dict[str, Any]:
    """Return the constructor arguments of a selector, which it keeps as attributes of the same names."""
    names = inspect.signature(type(selector)).parameters
    values = {name: getattr(selector, name) for name in names}
    return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}


def _write_page(page: Path, outcome: Outcome, data: NoisyDataModule, title: str) -> None:
    """Write the page of suspects."""
    judgement = outcome.judgement
    suspects = Suspects(
        title=title,
        class_names=data.class_names,
        given=outcome.labels,
        suggested=judgement.suggested,
        score=judgement.score,
        true=outcome.true_labels,
        paths=data.train_names,
    )
    write_suspects(page, suspects, lambda index: data.train_images(torch.from_numpy(index)).numpy())

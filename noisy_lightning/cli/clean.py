"""noisy-lightning clean: which labels of a training set to trust, by runs that a selector asks for."""

import csv
import inspect
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jsonargparse import Namespace

from noisy_lightning import compat
from noisy_lightning.cli.apply import asks_to_apply, run_apply
from noisy_lightning.cli.commands import BY_NAME
from noisy_lightning.cli.folds import FoldRuns
from noisy_lightning.cli.help import own_parser
from noisy_lightning.cli.keys import add_training, as_yaml, experiment_of, plain
from noisy_lightning.cli.parser import Parser, refused_in_one_line
from noisy_lightning.cli.trainer_keys import check_seed, check_trainer, keeps_nothing
from noisy_lightning.data import Embedded, NoisyDataModule
from noisy_lightning.data.audit.audit import audit
from noisy_lightning.data.audit.features import nearest_neighbors, unit_features
from noisy_lightning.data.audit.findings import Findings
from noisy_lightning.data.manifest import write_manifest
from noisy_lightning.data.sets.unread import BrokenList
from noisy_lightning.errors import InputError, storing
from noisy_lightning.experiments.projection import check_projection, projected
from noisy_lightning.experiments.selection import Outcome, summary_table, write_selection
from noisy_lightning.experiments.selection_pictures import draw
from noisy_lightning.experiments.settings import as_call
from noisy_lightning.runs.claims import RunOptions, claim_run
from noisy_lightning.runs.environment import git_commit, versions
from noisy_lightning.runs.files import replacing, write_text
from noisy_lightning.runs.folder import RunFolder
from noisy_lightning.runs.measures import Ints
from noisy_lightning.selectors import Judgment, Selector, Task
from noisy_lightning.selectors.base import check_drop, mask
from noisy_lightning.selectors.suspects import Suspects, write_suspects

SELECTION_FILE, PAGE_FILE, TRAINING_FILE = "selection.csv", "suspects.html", "fit.yaml"
AUDIT_FILE = "audit.csv"
_NEIGHBORS = 5  # that the page shows of a suspect
_WITH_NEIGHBORS = 5000  # suspects whose neighbors are sought; of all of them it would take longer than all the rest


def run_clean(args: Sequence[str]) -> None:
    """Judge the labels of a configuration, write what came out of it and print a summary; or apply verdicts to them.

    Args:
        args: Options.

    Raises:
        InputError: The input cannot work, or a training run failed.
    """
    if asks_to_apply(args):
        run_apply(args)
        return
    compat.silence()
    parser = _parser()
    config = parser.parse_args(args)
    settings = plain(parser, config)
    if config.jobs < 1:
        raise InputError(f"jobs must be at least 1, got {config.jobs}")
    check_drop(config.drop)
    check_projection(config.projection)
    if cause := keeps_nothing(settings["trainer"]):
        raise InputError(f"{cause} leaves no run to judge by")
    check_seed(config.seed_everything)
    check_trainer(config.trainer)
    with refused_in_one_line():
        built = parser.instantiate(config)  # the model, too: what it refuses is better known now
    _check(built.data)
    options: RunOptions = built.run
    training = {key: settings[key] for key in ("seed_everything", "trainer", "model", "data", "recorder", "oracle")}
    if options.extend:
        raise InputError("run.extend must be false: a selection has no epochs of its own")
    kept = ("checkpoint_every_n_steps", "stop_when_diverged")
    training["run"] = {name: settings["run"][name] for name in kept}
    run = claim_run(options.root / experiment_of(config), options.version, options.resume, settings)
    try:
        if not run.config.exists():
            write_text(run.config, as_yaml(settings))
        with storing(lambda: f"the same command continues {run.path}"):
            arguments = dict(settings["selector"].get("init_args") or {})
            _clean(run, built.selector, arguments, built.data, training, config)
    except KeyboardInterrupt:
        print(f"interrupted: the same command continues {run.path}", file=sys.stderr)
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
    return plain(parser, parser.parse_args(args))


def _clean(
    run: RunFolder,
    selector: Selector,
    arguments: dict[str, Any],
    data: NoisyDataModule,
    training: dict[str, Any],
    options: Namespace,
) -> None:
    """Judge the labels and write everything into the folder of the run."""
    drop = options.drop
    started = time.monotonic()
    data.list_broken(BrokenList(run.path))
    data.prepare_data()
    data.setup("fit")
    labels = data.labels.numpy()
    if drop is not None and drop > len(labels):
        raise InputError(f"drop must be at most {len(labels)}, the number of labels, got {drop:g}")
    write_manifest(run.path, data.noise_summary(), data.label_table())
    write_text(run.path / TRAINING_FILE, as_yaml(training))
    judged = mask(len(labels), data.source.usable().numpy())
    folds = FoldRuns(run.path, run.path / TRAINING_FILE, labels, data.num_classes, options.jobs)
    features = data.features()
    task = Task(
        labels,
        judged,
        data.num_classes,
        data.seed,
        data.class_names,
        None if features is None else features.numpy(),
        None if data.source.groups is None else data.source.groups.numpy(),
    )
    judgment = _trusting(selector.select(task, folds), data)
    if drop is not None:
        judgment = judgment.dropping(drop, data.is_trusted.numpy())
    outcome = Outcome(judgment, labels, data.true_labels.numpy(), data.num_classes)
    noise = data.noise_summary()
    title = f"{type(selector).__name__} on {noise.dataset}, {noise.kind}"
    oracle = selector.oracle or bool(training["oracle"])
    write_selection(run.path / SELECTION_FILE, outcome, data.train_names, oracle)
    findings = _audited(run, data, task) if options.audit else []
    _write_page(run.path / PAGE_FILE, outcome, data, task, title, selector.score_meaning, findings)
    points = None if task.features is None else projected(task.features, task.judged, options.projection)
    draw(run.path, outcome, data, noise, title, points, options.projection)
    result = {
        "run": str(run.path),
        "selector": {
            "kind": type(selector).__name__,
            "arguments": arguments,
            "changed": _changed(type(selector), arguments),
        },
        "oracle": oracle,
        **outcome.measures(),
        "audit": {one.kind: len(one.members) for one in findings},
        "dataset": noise.dataset,
        "noise": noise.headline(),
        "seconds": round(time.monotonic() - started, 2),
        "versions": versions(),
        "git_commit": git_commit(),
    }
    run.write_result(result)
    print(summary_table(result, run.path, [SELECTION_FILE, PAGE_FILE, *([AUDIT_FILE] if options.audit else [])]))


@cache
def _parser() -> Parser:
    """Return a parser that takes a configuration of fit and a selector."""
    parser = own_parser(BY_NAME["clean"])
    parser.add_subclass_arguments(Selector, "selector", required=True)
    add_training(parser)
    return parser


def _check(data: NoisyDataModule) -> None:
    """Refuse data of which labels would be left unjudged.

    Raises:
        InputError: It is such.
    """
    if data.selection is not None:
        raise InputError("data.selection must be left out: clean judges all labels")
    if data.redraw != "once":
        raise InputError("data.redraw must be once: there are no labels to judge where each epoch has its own")


def _trusting(judgment: Judgment, data: NoisyDataModule) -> Judgment:
    """Return the judgment with all labels selected that the data set itself vouches for."""
    trusted = data.is_trusted.numpy()
    return judgment if not trusted.any() else judgment.trusting(trusted)


def _changed(selector: type[Selector], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that differ from their defaults, classes as calls."""
    defaults = {name: one.default for name, one in inspect.signature(selector).parameters.items()}
    changed = {name: value for name, value in arguments.items() if value != defaults.get(name)}
    return {name: as_call(value) if isinstance(value, dict) else value for name, value in changed.items()}


def _audited(run: RunFolder, data: NoisyDataModule, task: Task) -> list[Findings]:
    """Return what else is found in the images, and write it into a file."""
    findings = audit(data, task.features if isinstance(data, Embedded) else None)
    lines = [("kind", "score", "images", "rule")]
    for one in findings:
        for members, score in zip(one.members, one.scores, strict=True):
            lines.append((one.kind, f"{score:.6g}", " ".join(_place(member) for member in members), one.rule))
    with replacing(run.path / AUDIT_FILE) as staged, staged.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(lines)
    return findings


def _place(member: int) -> str:
    return str(member) if member >= 0 else f"test:{-1 - member}"


def _neighbors(data: NoisyDataModule, task: Task, outcome: Outcome) -> Ints | None:
    """Return the nearest neighbors (N, k) by features of the most suspicious labels, -1 for the others."""
    if task.features is None or not isinstance(data, Embedded):
        return None
    asked = outcome.top(_WITH_NEIGHBORS)
    nearest = np.full((len(task.labels), _NEIGHBORS), -1)
    unit = unit_features(task.features, task.judged)
    nearest[asked] = nearest_neighbors(unit, task.judged, _NEIGHBORS, task.groups, asked).positions
    return nearest


def _write_page(
    page: Path,
    outcome: Outcome,
    data: NoisyDataModule,
    task: Task,
    title: str,
    score_meaning: str,
    findings: Sequence[Findings],
) -> None:
    """Write the page of suspects."""
    judgment = outcome.judgment
    suspects = Suspects(
        title=title,
        class_names=data.class_names,
        given=outcome.labels,
        suggested=judgment.suggested,
        score=judgment.score,
        true=outcome.true_labels,
        paths=data.train_names,
        root=None if data.train_names is None else data.root,
        score_meaning=score_meaning,
        neighbors=_neighbors(data, task, outcome),
        findings=findings,
        test_paths=data.test_names,
        test_root=data.test_folder,
    )
    write_suspects(page, suspects, lambda index: data.train_images(torch.from_numpy(index)).numpy())

"""noisy-lightning sweep: the runs of a grid, each once, on this machine or by a cluster's scheduler."""

import difflib
import re
import shlex
import signal
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch

from noisy_lightning import compat
from noisy_lightning.cli.clean import SELECTION_FILE, resolve_clean, run_clean
from noisy_lightning.cli.commands import BY_NAME
from noisy_lightning.cli.help import own_parser
from noisy_lightning.cli.keys import resolved
from noisy_lightning.cli.main import run_here
from noisy_lightning.cli.screen import print_texts
from noisy_lightning.cli.trainer_keys import keeps_nothing
from noisy_lightning.errors import InputError, cannot_write, in_one_line, storing
from noisy_lightning.experiments.grid import PlannedRun, Sweep, chosen, read_sweep
from noisy_lightning.experiments.ledger import LEDGER_FILE
from noisy_lightning.experiments.resolution import Resolver
from noisy_lightning.experiments.sweep_folder import ManifestEntry, SweepFolder
from noisy_lightning.experiments.sweep_progress import SweepProgress, overview
from noisy_lightning.jobs.cluster import GONE, Cluster
from noisy_lightning.jobs.processes import INTERRUPTED, Job, run_jobs
from noisy_lightning.runs.claims import checked_name
from noisy_lightning.runs.files import write_text
from noisy_lightning.runs.folder import RunFolder
from noisy_lightning.runs.identity import identity

_DEVICE = r"\d+|(GPU|MIG)-[\w/-]+"


def run_sweep(args: Sequence[str]) -> int:
    """Do the runs of a sweep that are not done yet, and write the ledger.

    Args:
        args: Options.

    Returns:
        How many runs have failed.

    Raises:
        InputError: The input cannot work.
    """
    options, of_fit = _parsed(args)
    if options.jobs < 1:
        raise InputError(f"jobs must be at least 1, got {options.jobs}")
    devices = _devices(options.devices, options.executor)
    sweep = read_sweep(options.config)
    folder = SweepFolder(options.root / checked_name("name", options.name or options.config.stem))
    runs = _plan(sweep, folder, of_fit)
    wanted = [runs[number] for number in chosen([run.grid for run in runs], options.only, options.shard)]
    if options.dry_run:
        planned = overview(wanted, folder)
        print_texts(planned.rows, has_heads=True)
        print(planned.left)
        return 0
    try:
        folder.make()
    except OSError as error:
        raise cannot_write("root", folder.path, error) from error
    entries = [ManifestEntry(run.name, run.grid.labels, run.grid.published) for run in runs]
    try:
        with storing(lambda: f"what {folder.path} holds is kept, and the same command continues it"):
            folder.write_manifest(entries, sweep.published)
            failed = _execute(wanted, folder, options, devices)
            folder.write_ledger()
    except KeyboardInterrupt:
        print(f"interrupted: the same command continues {folder.path}", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None
    print(_summary(wanted, failed, folder))
    return len(failed)


def complete(
    path: Path, name: str, options: Sequence[str], clean: Sequence[str] = (), selection: str | None = None
) -> None:
    """Train and test one run of a sweep, from wherever an earlier process came to; nothing if another one is at it.

    Args:
        path: Folder of the sweep.
        name: Of the run.
        options: Of `fit`.
        clean: Options of `clean`, if there are labels to select first.
        selection: Name of the selection.
    """
    folder = SweepFolder(path)
    with folder.held(name) as held:
        if not held:
            print(f"another process is at {path / name}")
            return
        run = folder.run(name)
        try:
            if selection is not None:
                _select(folder, selection, clean)
            if not run.finished:
                place = ["--run.root", str(path.parent), "--run.experiment", path.name, "--run.version", name]
                run_here(["fit", *options, *place])
            if run.finished and not folder.done(name):
                run_here(["test", str(run.path)])
        except Exception as error:
            write_text(folder.error(name), f"{in_one_line(' '.join(str(error).split())) or type(error).__name__}\n")
            raise
        folder.error(name).unlink(missing_ok=True)


def _select(folder: SweepFolder, name: str, options: Sequence[str]) -> None:
    """Select labels, once for all runs that are trained on them."""
    with folder.held(name, wait=True):
        if not RunFolder(folder.selections / name).finished:
            place = ["--run.root", str(folder.path), "--run.experiment", folder.selections.name, "--run.version", name]
            run_clean([*options, *place])


def _parsed(args: Sequence[str]) -> tuple[Any, list[str]]:
    """Return what a command line says to the sweep itself, and what is for each of its runs."""
    parser = own_parser(BY_NAME["sweep"])
    own_options = compat.option_strings(parser)
    parts: dict[bool, list[str]] = {True: [], False: []}
    is_own = True  # what no option comes before is for the parser to refuse
    for word in args:
        if word.startswith("--") or word in own_options:
            option = word.partition("=")[0]
            is_own = option in own_options
            if not is_own and (meant := difflib.get_close_matches(option, own_options, n=1, cutoff=0.8)):
                raise InputError(f"sweep: unknown option {option}; did you mean {meant[0]}?")
        parts[is_own].append(word)
    return parser.parse_args(parts[True]), parts[False]


def _plan(sweep: Sweep, folder: SweepFolder, of_fit: Sequence[str]) -> list[PlannedRun]:
    """Resolve the configuration of every run.

    Raises:
        InputError: A key is none of the configuration's, a value has the wrong type, or two runs are the same.
    """
    resolve, resolve_selection = Resolver(resolved), cache(lambda words: identity(resolve_clean(words)))
    planned: dict[str, PlannedRun] = {}
    for grid in sweep.runs(of_fit):
        selection: str | None = None
        try:
            if grid.clean:
                selection = f"{grid.slug}-{resolve_selection(tuple(grid.clean))[:8]}"
                chosen_by = ["--data.selection", str(folder.selections / selection / SELECTION_FILE)]
                grid = replace(grid, parts=[*grid.parts, chosen_by])  # noqa: PLW2901
            config = resolve(grid)
            if cause := keeps_nothing(config["trainer"]):
                raise InputError(f"{cause} leaves no run to test")
        except InputError as error:
            raise InputError(f"{grid.title}: {error}") from error
        known = identity(config)
        if known in planned:
            raise InputError(f"axes: {grid.title} has the same configuration as {planned[known].grid.title}")
        planned[known] = PlannedRun(grid, f"{grid.slug}-{known[:8]}", config, selection)
    return list(planned.values())


def _devices(names: str, executor: str) -> list[str]:
    """Return the GPUs that jobs take turns on; none: each sees all.

    Raises:
        InputError: There are no such GPUs here, where all would train on the processor and not say so.
    """
    devices = [name.strip() for name in names.split(",")] if names else []
    if not all(re.fullmatch(_DEVICE, name) for name in devices):
        raise InputError(f"devices must be numbers of GPUs, such as 0,1, got {names}")
    if devices and executor != "processes":
        raise InputError(f"devices: executor {executor} has its GPUs from --submitit, such as gpus_per_node=1")
    count = torch.cuda.device_count() if devices else 0
    if wrong := [name for name in devices if not count or (name.isdigit() and int(name) >= count)]:
        here = f"there are 0 to {count - 1}" if count > 1 else "there is 0 alone" if count else "there is none"
        raise InputError(f"devices: {wrong[0] or repr(names)} is no GPU of this machine; {here}")
    return devices


def _execute(
    wanted: Sequence[PlannedRun], folder: SweepFolder, options: Any, devices: Sequence[str]
) -> list[PlannedRun]:
    """Do what is not done; return what failed."""
    waiting = {run.name: run for run in wanted if not folder.done(run.name)}
    jobs = [
        Job(
            run.name,
            complete,
            (folder.path, run.name, run.grid.options, run.grid.clean, run.selection),
            folder.log(run.name),
        )
        for run in waiting.values()
    ]
    failed: list[PlannedRun] = []
    with closing(SweepProgress(wanted, folder)) as progress:

        def begin(job: Job) -> None:
            folder.error(job.name).unlink(missing_ok=True)
            progress.begin(waiting[job.name])

        if options.executor == "processes":
            ended = run_jobs(jobs, options.jobs, devices, begin, progress.refresh)
        else:
            cluster = Cluster(options.executor, folder.path / "submitit", options.submitit)
            ended = cluster.run_jobs(jobs, options.jobs, begin, progress.refresh)
        with closing(ended):
            for job, code in ended:
                if code == INTERRUPTED:
                    raise KeyboardInterrupt
                if code and not folder.error(job.name).exists():
                    write_text(folder.error(job.name), _fate(code) + "\n")
                if code:
                    failed.append(waiting[job.name])
                progress.end(waiting[job.name])
                folder.write_ledger()
    return failed


def _fate(code: int) -> str:
    """Return how a process ended that could not say so itself."""
    if code < 0:
        name = signal.Signals(-code).name
        return f"ended by {name}{', perhaps because memory ran out' * (name == 'SIGKILL')}"
    if code == GONE:
        return "ended by Slurm, perhaps because memory or time ran out"
    return f"ended with exit code {code}"


def _summary(runs: Sequence[PlannedRun], failed: Sequence[PlannedRun], folder: SweepFolder) -> str:
    """Return how a sweep ended."""
    states = [folder.state(run.name) for run in runs]
    lines = [f"{states.count('done')} of {len(runs)} runs are done"]
    lines += [f"failed: {run.grid.title}, see {folder.log(run.name)}" for run in failed]
    elsewhere = len(runs) - states.count("done") - len(failed)
    if elsewhere:
        lines.append(f"{elsewhere} runs are unfinished: trainer.max_time was over, or other processes are at them")
    lines.append(f"ledger: {folder.path / LEDGER_FILE}")
    lines.append(f"next: noisy-lightning report {shlex.quote(str(folder.path))}")
    return "\n".join(lines)

"""Every hook into what other packages do not promise to keep: private names, and behavior that no manual describes.

Each hook says what it is for, what of it is private, and what happens if a release of the package takes that away. For
each, `tests/test_compat.py` has a test that then fails by name: to raise a bound in `pyproject.toml`, run that file.

Four kinds of hooks are not here, and only their tests are there. `cli/messages.py` reads the texts of jsonargparse's
errors; those that it does not know it shows as they are. `methods`, which may not import this module, empty a cache of
torch. `NoProfiler` in `training/callbacks/step_hooks.py` overrides the method that Lightning calls around each part of
a step. `MetricsTable` and `TestCurve` in `training/callbacks` derive from `Checkpoint`, which Lightning runs last.

A function imports the package that it needs: some commands read this module and need none of them.
"""

import inspect
import logging
import os
import sys
import threading
import types
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import lightning as L
    import numpy as np
    from torch import nn
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler
    from torch.utils.tensorboard import FileWriter, SummaryWriter

Function = TypeVar("Function", bound=Callable[..., Any])

# Lightning: what it does in every step

RUNNING_HOOK = "_current_fx_name"
"""The attribute of a module that Lightning sets 46 times a step, so that a module had better set it past torch's search
for parameters.

Private: its name.
If lost: a step takes longer.
"""


def with_ready_signature(step: Function) -> Function:
    """Return a step function that has its signature at hand.

    Private: Lightning inspects it in every step, to find out whether it takes `batch_idx`; Python looks for
        `__signature__` first.
    If lost: a step takes longer.
    """
    step.__signature__ = inspect.signature(step)  # type: ignore[attr-defined]
    return step


def skip_hook(owner: object, hook: str) -> None:
    """Have Lightning skip a hook of a callback, or of a class of callbacks.

    Private: Lightning calls what is callable, also the empty hooks that a callback inherits, at 10 µs each.
    If lost: every training run ends with "'NoneType' object is not callable".
    """
    setattr(owner, hook, None)


# Lightning: loaders and seeds


def announce_epochs(loader: Any) -> None:
    """Have Lightning call `set_epoch` of a loader that is not a DataLoader when an epoch begins.

    Private: Lightning looks for that method in an attribute `sampler`.
    If lost: every epoch has the order and the augmentation of the first one.
    """
    loader.sampler = weakref.proxy(loader)  # what refers to itself ends late, and workers with it


def iterator_of(pool: str) -> property:
    """Return the property by which Lightning ends the workers of a loader that is not a DataLoader but has one.

    Private: a DataLoader has its workers in an attribute `_iterator`, and Lightning ends what it finds there.
    If lost: workers stay after a training run in Python, until the garbage collector waits ten seconds for them.

    Args:
        pool: Attribute of the loader, the DataLoader or None.
    """

    def get(loader: Any) -> Any:
        return getattr(getattr(loader, pool), "_iterator", None)

    def put(loader: Any, iterator: Any) -> None:
        if get(loader) is not None:
            getattr(loader, pool)._iterator = iterator

    return property(get, put)


def steps_of(trainer: "L.Trainer") -> float:
    """Return how many steps of the optimizer a run has, infinity where it has no end, before its checkpoint is read.

    Private: the attribute with the loader that Lightning makes to count the batches, and then keeps. It gives a loader
        its state when it makes it: to this one, none.
    If lost: a run that goes on from within an epoch trains on the first batches of that epoch again.
    """
    steps = trainer.estimated_stepping_batches
    if trainer.max_epochs == -1:  # of such a run Lightning has not counted the batches of an epoch
        trainer.fit_loop.setup_data()
    trainer.fit_loop._combined_loader = None
    return steps


def training_seed() -> int:
    """Return the seed of a training run, 0 where there is none.

    Private: `seed_everything` leaves it in this environment variable.
    If lost: order and augmentation are the same for all seeds.
    """
    return int(os.environ.get("PL_GLOBAL_SEED", "0"))


# Lightning: what is logged, and what a checkpoint holds

EQUAL_ON_ALL_RANKS: Mapping[str, Any] = {"sync_dist": True, "rank_zero_only": True}
"""Arguments of `log` for values that are the same on all ranks.

Private: together they mean "neither synchronize nor warn".
If lost: a rank that reads `callback_metrics` waits for the others.
"""


def logged_values(trainer: "L.Trainer") -> dict[str, Any]:
    """Return the very dictionary in which Lightning keeps what has been logged for callbacks.

    Private: its name. `trainer.callback_metrics` returns it, too, but says so nowhere.
    If lost: what is undefined in an epoch repeats the value of an earlier one in metrics.csv and result.json.
    """
    return trainer._logger_connector._callback_metrics


def log_evaluation_by(trainer: "L.Trainer", log: Callable[[Mapping[str, Any]], None]) -> None:
    """Have the loggers get from a function what an evaluation measures, not from Lightning.

    Private: the method that gives it to them, and where it is for `trainer.logged_metrics`. For the x axis, it would
        take a metric called `step`, which it then returned, too.
    If lost: what a test measures stands at step 0 of the curves, with numbers for classes.
    """
    connector = trainer._logger_connector

    def log_once(metrics: Any) -> None:
        del connector.log_eval_end_metrics  # so that the method of the class is back
        connector._logged_metrics.update(metrics)  # as that one does
        log(metrics)

    connector.log_eval_end_metrics = log_once  # type: ignore[method-assign]


def keeps_state_of(checkpoint: Mapping[str, Any], data: object) -> bool:
    """Return whether Lightning gives a data module its state from a checkpoint.

    Private: it keeps the state under the name of the class, and gives it to an object of that class only.
    If lost: a checkpoint of another data set is accepted, whatever its labels.
    """
    return type(data).__qualname__ in checkpoint


INTERRUPTION = SystemExit
"""What `Trainer.fit` raises when a user presses Ctrl-C.

Private: Lightning turns KeyboardInterrupt into it.
If lost: the user does not learn how to continue.
"""

# Lightning and torch: several processes


def leave_out_of_ddp(module: "nn.Module", names: Iterable[str]) -> None:
    """Have DistributedDataParallel synchronize all buffers but those of these names.

    Private: torch reads the names from this attribute of what it wraps, and Lightning has it wrap the module itself.
    If lost: what a method remembers of all samples is sent in every step.
    """
    module._ddp_params_and_buffers_to_ignore = list(names)  # type: ignore[assignment]


def waits_for_all_gradients(strategy: object) -> bool:
    """Return whether a strategy would wait for the gradients of frozen weights, which never come.

    Private: the attribute in which Lightning keeps the arguments of DistributedDataParallel.
    If lost: such a training run ends in an error of torch instead of a line that names the remedy.
    """
    from lightning.pytorch.strategies import DDPStrategy  # noqa: PLC0415

    return isinstance(strategy, DDPStrategy) and not strategy._ddp_kwargs.get("find_unused_parameters")


def started_by_others() -> tuple[int, int]:
    """Return rank and number of the processes that torchrun or Slurm has started; (0, 1) where neither has.

    Private: Lightning takes them from these environment variables, too.
    If lost: each of these processes makes a run folder of its own.
    """
    for rank, size in (("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_NTASKS")):
        if int(os.environ.get(size, "1")) > 1:
            return int(os.environ.get(rank, "0")), int(os.environ[size])
    return 0, 1


def leave_slurm() -> None:
    """Keep Lightning from taking this process for one of the many of a Slurm job.

    Private: Lightning knows such a job by this environment variable.
    If lost: a training run in a job of several tasks waits for others that never come.
    """
    os.environ.pop("SLURM_NTASKS", None)


@contextmanager
def ranks_started_by(module: str, command_line: Sequence[str]) -> Iterator[None]:
    """Have Lightning start further ranks, for more devices, by `python -m module` and a command line's arguments.

    By `-m`, since a file would find the package's modules, such as `selectors`, in place of Python's.

    Private: Lightning repeats how this process was started: the spec of `__main__`, if there is one, and `sys.argv`.
    If lost: a further rank starts the whole sweep, or the user's script, again.
    """
    main = sys.modules["__main__"]
    # A notebook in which `%reset` was called has none.
    spec, arguments = getattr(main, "__spec__", None), sys.argv
    main.__spec__, sys.argv = find_spec(module), list(command_line)
    try:
        yield
    finally:
        main.__spec__, sys.argv = spec, arguments


# Lightning's command line and jsonargparse


def option_strings(parser: Any) -> list[str]:
    """Return all options that an argument parser takes, such as `--data.seed`.

    Private: the list in which argparse has them.
    If lost: an error cannot say which option was probably meant.
    """
    return [option for action in parser._actions for option in action.option_strings]


def for_lightning(parser: Any) -> Any:
    """Return an argument parser that Lightning's command line takes in place of its own.

    Private: an attribute that it asks its parser for: which keys hold callbacks of their own. None do.
    If lost: no trainer is built.
    """
    parser.callback_keys = ()
    return parser


def config_file_action() -> Any:
    """Return the action of an option that takes a configuration file.

    Private: jsonargparse describes the class but does not export it, so that type checkers refuse the import.
    If lost: commands cannot read a configuration file.
    """
    from jsonargparse import ActionConfigFile  # type: ignore[attr-defined]  # noqa: PLC0415

    return ActionConfigFile


@contextmanager
def texts_kept_as_texts() -> Iterator[None]:
    """Have jsonargparse write a text, given where a function or a text may stand, as it is.

    An argument of Lightning is of this kind: `pruning_fn` of ModelPruning.

    Private: the function, which takes everything there for a function and writes that it is none.
    If lost: the configuration that a run with ModelPruning keeps cannot be read.
    """
    from jsonargparse import _typehints  # noqa: PLC0415

    written: Any = _typehints.serialize_as_import_path
    _typehints.serialize_as_import_path = lambda value: value if isinstance(value, str) else written(value)
    try:
        yield
    finally:
        _typehints.serialize_as_import_path = written


def class_of(made: "partial[Any]") -> Any:
    """Return the class, or the function, behind what the command line makes of a class and some of its arguments.

    Private: jsonargparse hands the class to a function of its own, by `functools.partial`.
    If lost: the noise files name that function instead of the class.
    """
    return next((argument for argument in made.args if isinstance(argument, type)), made.func)


_UNHELPFUL_WARNINGS = (
    r"Be aware that when using `ckpt_path`, callbacks used",  # an evaluation needs no training callbacks
    r"The `srun` command is available on your system but is not used",  # an array job needs none
    r"You are trying to `self\.log\(\)` but `Trainer\(barebones=True\)`",  # whoever asks for that knows
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",  # Lightning's own use of torch
)

# What only says something where a user has asked for it.
_ASKED_FOR = ("lightning.pytorch.callbacks.model_summary", "lightning.pytorch.profilers.profiler")


def silence() -> None:
    """Silence what Lightning and jsonargparse say that helps no user.

    Private: the names of their loggers, the texts of their warnings, and the environment variable.
    If lost: each run begins with a screen of warnings.
    """
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in _ASKED_FOR:
        logging.getLogger(name).setLevel(logging.INFO)
    os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "off")  # of what Lightning calls
    for message in _UNHELPFUL_WARNINGS:
        warnings.filterwarnings("ignore", message)


# TensorBoard


def run_within(board: "SummaryWriter", name: str) -> "FileWriter":
    """Return the writer of a run within a board's run, in a folder of that name, made at its first use.

    Private: the attribute in which torch keeps such writers, and that it flushes and closes all that are in there, as
        it does with those of its own `add_scalars`, which makes a run for each curve.
    If lost: clean and noisy samples have no curves.
    """
    from torch.utils.tensorboard import FileWriter  # noqa: PLC0415

    board._get_file_writer()  # type: ignore[no-untyped-call]  # a board that was closed opens again
    writers: dict[str, FileWriter] = board.all_writers  # type: ignore[assignment]
    folder = f"{board.log_dir}/{name}"
    if folder not in writers:
        writers[folder] = FileWriter(folder, board.max_queue, board.flush_secs, board.filename_suffix)
    return writers[folder]


@contextmanager
def one_report_of_boards() -> Iterator[None]:
    """Have what TensorBoard's writing thread ends in reported once: by the run, in which the writer raises it again.

    Private: the package of the thread's class, and that the writer raises it again.
    If lost: a full disk prints a traceback before the line that says so.
    """
    before = threading.excepthook

    def report(args: Any) -> None:
        if not type(args.thread).__module__.startswith("tensorboard."):
            before(args)

    threading.excepthook = report
    try:
        yield
    finally:
        threading.excepthook = before


# torch


def fuse(optimizer: "Optimizer") -> None:
    """Choose the fused implementation of SGD, Adam and AdamW, unless the user has chosen one.

    Not by the constructor, after which Lightning would refuse to clip gradients.

    Private: these optimizers read `fused` from their groups in every step.
    If lost: a step of the optimizer takes twice as long.
    """
    from torch.optim import SGD, Adam  # noqa: PLC0415

    if not isinstance(optimizer, SGD | Adam):  # AdamW is an Adam; Adagrad is not fused everywhere
        return
    for group in optimizer.param_groups:
        if group["fused"] is group["foreach"] is None and not group["differentiable"]:
            group["fused"] = True


def span(scheduler: "CosineAnnealingLR", epochs: int) -> None:
    """Have a cosine schedule reach its lowest learning rate after a number of epochs.

    Private: it reads `T_max` whenever it steps.
    If lost: T_max 0 divides by zero.
    """
    scheduler.T_max = epochs


def span_of(scheduler: "LRScheduler") -> dict[str, Any]:
    """Return what a schedule that can span a run keeps of its length: a part of its state, which it takes back.

    Private: the names; those of the phases of one cycle, which say when each ends, begin with an underscore.
    If lost: a run that begins with the checkpoint of a shorter one has the learning rates of that one, which end in an
        error of torch where they are those of one cycle.
    """
    names = ("T_max", "warmup_steps", "total_steps", "_schedule_phases")
    return {name: value for name, value in scheduler.state_dict().items() if name in names}


def error_of_worker(error: Exception) -> str:
    """Return the message of an InputError, also of one from a process that prepares batches.

    Private: torch puts the traceback of that process, as text, before the message.
    If lost: a user reads 30 lines.
    """
    return str(error).rpartition("InputError: ")[2].strip()


# submitit


def submitted_jobs(folder: Path) -> Iterator[str]:
    """Yield the numbers of the jobs that submitit has ever submitted from a folder.

    Private: the name of the file that it keeps for each.
    If lost: a sweep that is started again submits its jobs twice.
    """
    ending = "_submitted.pkl"
    return (file.name.removesuffix(ending) for file in folder.glob(f"*{ending}"))


def function_of(submitted: Any) -> Any:
    """Return the function that a job of submitit calls.

    Private: the method that reads it from the job's file.
    If lost: a sweep that is started again cannot know whose jobs there are.
    """
    return submitted.submission().function


def has_result(submitted: Any) -> bool:
    """Return whether a job of submitit has left its result.

    Its own `done` asks Slurm's accounting, which not every cluster has.

    Private: where the result is.
    If lost: no job ever ends.
    """
    exists: bool = submitted.paths.result_pickle.exists()
    return exists


# scikit-learn


def digits() -> "np.ndarray[Any, np.dtype[np.float64]]":
    """Return scikit-learn's embedded digits: (1797, 65), 64 pixels from 0 to 16 in rows of 8, and the class.

    Private: the place of the file that its `load_digits` reads.
    If lost: whatever reads digits takes 0.7 s longer, which is how long scikit-learn takes to import.
    """
    import numpy as np  # noqa: PLC0415

    spec = find_spec("sklearn")
    file = Path(spec.origin or "").parent / "datasets/data/digits.csv.gz" if spec else Path()
    if file.is_file():
        return np.loadtxt(file, delimiter=",")
    from sklearn.datasets import load_digits  # noqa: PLC0415

    found = load_digits()
    return np.column_stack([found.data, found.target])


# numpy


def numpy_reconstruct() -> Any:
    """Return the function that rebuilds an array from a pickle, for a list of what an unpickler may call.

    Private: the function, which every such pickle names.
    If lost: label files that are pickles cannot be read.
    """
    import numpy as np  # noqa: PLC0415

    return np._core.multiarray._reconstruct  # type: ignore[attr-defined]


# multiprocessing


@contextmanager
def hidden_main() -> Iterator[None]:
    """Hide the script of this process from the processes that start meanwhile.

    Private: multiprocessing looks `__main__` up in `sys.modules`, and has each new process run it again.
    If lost: a script that calls a command without `if __name__ == "__main__"` runs again for each training run.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main

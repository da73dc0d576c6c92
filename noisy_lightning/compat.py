"""Every hook into what other packages do not promise to keep: private names, and behavior that no manual describes.

Each hook says what is private, why it is needed and what breaks without it. For each, `tests/test_compat.py` has a test
that fails by name when a release of the package no longer has it: to raise a bound in `pyproject.toml`, run that file.

Of two kinds only the test stands there, since they are used elsewhere: jsonargparse's texts, which `cli/messages.py`
reads and shows as they are where it does not know them, and what `methods`, which may not import this module, need of
torch.

The packages are imported where a function needs them: some commands that read this module need none of them.
"""

import inspect
import logging
import os
import sys
import types
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import lightning as L
    from torch import nn
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import CosineAnnealingLR

Function = TypeVar("Function", bound=Callable[..., Any])

# Lightning: what it does in every step

RUNNING_HOOK = "_current_fx_name"
"""The attribute of a module that Lightning sets before and after every hook, 46 times a step. The module writes it past
torch's search for parameters. Without the hook, a step only takes longer."""


def with_ready_signature(step: Function) -> Function:
    """Return a step function that has its signature at hand.

    Lightning inspects the function in every step, to find out whether it takes `batch_idx`, and Python then looks for
    `__signature__` first. Without the hook, a step only takes longer.
    """
    step.__signature__ = inspect.signature(step)  # type: ignore[attr-defined]
    return step


def skip_hook(owner: object, hook: str) -> None:
    """Have Lightning skip a hook of a callback, or of a class of callbacks.

    Lightning calls what is callable, also the empty hooks that a callback inherits, which takes 10 µs each. If it did
    not ask first, every training would end with "'NoneType' object is not callable".
    """
    setattr(owner, hook, None)


# Lightning: loaders and seeds


def announce_epochs(loader: Any) -> None:
    """Have Lightning call `set_epoch` of a loader that is not a DataLoader when an epoch begins.

    Lightning looks for that method in an attribute `sampler`. Without the hook, every epoch would have the order and
    the augmentation of the first one.
    """
    loader.sampler = loader


def training_seed() -> int:
    """Return the seed of a training, 0 where there is none.

    `seed_everything` leaves it in an environment variable. Without the hook, order and augmentation would be the same
    for all seeds.
    """
    return int(os.environ.get("PL_GLOBAL_SEED", "0"))


# Lightning: what is logged, and what a checkpoint holds

EQUAL_ON_ALL_RANKS: Mapping[str, Any] = {"sync_dist": True, "rank_zero_only": True}
"""Arguments of `log` for values that are the same on all ranks. Together they mean "neither synchronize nor warn",
which no manual says. A synchronized value would wait for the other ranks wherever one rank reads `callback_metrics`."""


def log_evaluation_at(trainer: "L.Trainer", epoch: int) -> None:
    """Have Lightning log what an evaluation measures with an epoch on the x axis of the loggers.

    Lightning takes the axis from a metric called `step`, which it then returns with the others. Without the hook, what
    a test measures would stand at step 0 of the curves.
    """
    connector = trainer._logger_connector

    def log_once(metrics: Any) -> None:
        del connector.log_eval_end_metrics  # so that the method of the class is back
        connector.log_metrics(metrics, step=epoch)

    connector.log_eval_end_metrics = log_once  # type: ignore[method-assign]


def keeps_state_of(checkpoint: Mapping[str, Any], data: object) -> bool:
    """Return whether Lightning gives a data module its state from a checkpoint.

    It keeps the state under the name of the class, and gives it to an object of that class only. Without the hook, a
    checkpoint of another data set would be accepted, whatever its labels.
    """
    return type(data).__qualname__ in checkpoint


INTERRUPTION = SystemExit
"""What `Trainer.fit` raises when a user presses Ctrl-C: Lightning turns KeyboardInterrupt into it. Without the hook,
the user would not learn how to continue."""

# Lightning and torch: several processes


def leave_out_of_ddp(module: "nn.Module", names: Iterable[str]) -> None:
    """Have DistributedDataParallel synchronize all buffers but those of these names.

    torch reads the names from this attribute of what it wraps, which is Lightning's module itself. Without the hook,
    what a method remembers of all samples would be sent in every step.
    """
    module._ddp_params_and_buffers_to_ignore = list(names)  # type: ignore[assignment]


def waits_for_all_gradients(strategy: object) -> bool:
    """Return whether a strategy would wait for the gradients of frozen weights, which never come.

    Lightning keeps the arguments of DistributedDataParallel in a private attribute. Without the hook, such a training
    would end in an error of torch instead of a line that names the remedy.
    """
    from lightning.pytorch.strategies import DDPStrategy  # noqa: PLC0415

    return isinstance(strategy, DDPStrategy) and not strategy._ddp_kwargs.get("find_unused_parameters")


def started_by_others() -> tuple[int, int]:
    """Return rank and number of the processes that torchrun or Slurm has started; (0, 1) where neither has.

    Lightning takes its own from the same environment variables. Without the hook, each of these processes would make a
    run folder of its own.
    """
    for rank, size in (("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_NTASKS")):
        if int(os.environ.get(size, "1")) > 1:
            return int(os.environ.get(rank, "0")), int(os.environ[size])
    return 0, 1


def leave_slurm() -> None:
    """Keep Lightning from taking this process for one of the many of a Slurm job.

    It looks for this environment variable. Without the hook, a training in a job of several tasks would wait for others
    that never come.
    """
    os.environ.pop("SLURM_NTASKS", None)


@contextmanager
def ranks_started_by(module: str, command_line: Sequence[str]) -> Iterator[None]:
    """Have Lightning start further ranks, for more devices, by `python -m module` and a command line's arguments.

    It repeats how this process was started, by the spec of `__main__` where there is one, and `sys.argv`. Without the
    hook, a rank of a training would start the whole sweep, or the user's script, again. Not as a file, which would find
    the package's modules, such as `selectors`, in place of Python's.
    """
    main = sys.modules["__main__"]
    spec, arguments = main.__spec__, sys.argv
    main.__spec__, sys.argv = find_spec(module), list(command_line)
    try:
        yield
    finally:
        main.__spec__, sys.argv = spec, arguments


# Lightning's command line and jsonargparse


def option_strings(parser: Any) -> list[str]:
    """Return all options that an argument parser takes, such as `--data.seed`.

    argparse has them in a private list. Without the hook, an error could not say which option was probably meant.
    """
    return [option for action in parser._actions for option in action.option_strings]


def config_file_action() -> Any:
    """Return the action of an option that takes a configuration file.

    jsonargparse describes the class and does not export it, so that type checkers refuse the import. Without the hook,
    commands could not read a configuration file.
    """
    from jsonargparse import ActionConfigFile  # type: ignore[attr-defined]  # noqa: PLC0415

    return ActionConfigFile


def class_of(made: "partial[Any]") -> Any:
    """Return the class, or the function, behind what the command line makes of a class and some of its arguments.

    jsonargparse hands the class to a function of its own, by `functools.partial`. Without the hook, the noise files
    would name that function instead of the class.
    """
    return next((argument for argument in made.args if isinstance(argument, type)), made.func)


_UNHELPFUL_WARNINGS = (
    r"Be aware that when using `ckpt_path`, callbacks used",  # an evaluation needs no training callbacks
    r"The `srun` command is available on your system but is not used",  # an array job needs none
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",  # Lightning's own use of torch
)


def silence() -> None:
    """Silence what Lightning and jsonargparse say that helps no user.

    Loggers, texts and the variable are theirs. Without the hook, each run would begin with a screen of warnings.
    """
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    os.environ.setdefault("JSONARGPARSE_DEPRECATION_WARNINGS", "off")  # of what Lightning calls
    for message in _UNHELPFUL_WARNINGS:
        warnings.filterwarnings("ignore", message)


# torch


def fuse(optimizer: "Optimizer") -> None:
    """Choose the fused implementation of SGD, Adam and AdamW, unless the user has chosen one.

    These read `fused` of their groups in every step. Given to the constructor, it would make Lightning refuse to clip
    gradients. Without the hook, a step of the optimizer takes twice as long.
    """
    from torch.optim import SGD, Adam  # noqa: PLC0415

    if not isinstance(optimizer, SGD | Adam):  # AdamW is an Adam; Adagrad is not fused everywhere
        return
    for group in optimizer.param_groups:
        if group["fused"] is group["foreach"] is None and not group["differentiable"]:
            group["fused"] = True


def span(scheduler: "CosineAnnealingLR", epochs: int) -> None:
    """Have a cosine schedule reach its lowest learning rate after a number of epochs.

    It reads `T_max` whenever it steps. Without the hook, T_max 0 would divide by zero.
    """
    scheduler.T_max = epochs


def error_of_worker(error: Exception) -> str:
    """Return the message of an InputError, also of one from a process that prepares batches.

    torch puts the traceback of that process, as text, before the message. Without the hook, a user would read 30 lines.
    """
    return str(error).rpartition("InputError: ")[2].strip()


# submitit


def submitted_jobs(folder: Path) -> Iterator[str]:
    """Yield the numbers of the jobs that submitit has ever submitted from a folder.

    It keeps a file of this name for each. Without the hook, a sweep that is started again would submit its jobs twice.
    """
    ending = "_submitted.pkl"
    return (file.name.removesuffix(ending) for file in folder.glob(f"*{ending}"))


def function_of(submitted: Any) -> Any:
    """Return the function that a job of submitit calls, which its file holds. Without the hook, as above."""
    return submitted.submission().function


def has_result(submitted: Any) -> bool:
    """Return whether a job of submitit has left its result.

    Its own `done` asks Slurm's accounting, which not every cluster has: without the hook, a sweep would never end.
    """
    exists: bool = submitted.paths.result_pickle.exists()
    return exists


# numpy


def numpy_reconstruct() -> Any:
    """Return the function that rebuilds an array from a pickle, for a list of what an unpickler may call.

    It is private, and pickles call it. Without the hook, label files that are pickles could not be read safely.
    """
    import numpy as np  # noqa: PLC0415

    return np._core.multiarray._reconstruct  # type: ignore[attr-defined]


# multiprocessing


@contextmanager
def hidden_main() -> Iterator[None]:
    """Hide the script of this process from the processes that start meanwhile.

    multiprocessing has each new process run `__main__` again, which it looks up in `sys.modules`. Without the hook, a
    script that calls a command would have to guard it by `if __name__ == "__main__"`, or run again for each training.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main

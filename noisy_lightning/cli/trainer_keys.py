"""What Lightning's trainer is given: values that cannot work here, and what Lightning refuses, by the names of keys."""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import lightning as L
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import BatchSizeFinder, Callback, LearningRateFinder, ModelPruning

from noisy_lightning.cli.messages import close
from noisy_lightning.errors import InputError


class _Rule(NamedTuple):
    allowed: Callable[[Any], bool]
    right: str
    """What would be right."""


def _at_least(least: float, *besides: float) -> _Rule:
    also = f", or {besides[0]:g} for no limit" if besides else ""
    return _Rule(lambda value: value >= least or value in besides, f"must be at least {least:g}{also}")


def _share_or_count(value: float) -> bool:
    return 0 < value < 1 or (value >= 1 and value == int(value))  # 2.0 is taken for 2


_LIMIT = _Rule(_share_or_count, "must be a number of batches, at least 1, or a share of them in (0, 1]")
_RULES = {
    "num_nodes": _at_least(1),
    "max_epochs": _at_least(1, -1),
    "max_steps": _at_least(1, -1),
    "limit_train_batches": _LIMIT,
    "limit_val_batches": _LIMIT._replace(right=f"{_LIMIT.right} (data.validation none validates on nothing)"),
    "limit_test_batches": _LIMIT,
    "limit_predict_batches": _LIMIT,
    "overfit_batches": _Rule(lambda value: value == 0 or _share_or_count(value), _LIMIT.right),
    "check_val_every_n_epoch": _at_least(1),
    "accumulate_grad_batches": _at_least(1),
    "gradient_clip_val": _Rule(lambda value: value >= 0, "must be at least 0, which clips nothing"),
    "reload_dataloaders_every_n_epochs": _at_least(0),
    "use_distributed_sampler": _Rule(lambda value: not value, "must be false: each device has its own part already"),
    "default_root_dir": _Rule(lambda _: False, "must be left out: run.root says where runs are kept"),
    "model_registry": _Rule(lambda _: False, "must be left out: a run is kept in its folder only"),
}
# What Lightning says without the key, or at length.
_IN_OTHER_WORDS = {
    "accelerator": (
        re.compile("accelerator name|torch_xla|backend found|can not run on your system"),
        "a kind of device that this machine has: auto, cpu, gpu, …",
    ),
    "strategy": (re.compile("strategy name"), "auto, ddp, ddp_find_unused_parameters_true, fsdp, …"),
    "devices": (re.compile(r"devices\b.*(not a valid|should be an int)"), "at least 1, -1 for all, or auto"),
    "max_time": (re.compile("duration"), "DD:HH:MM:SS, such as 00:02:00:00 for two hours"),
    "profiler": (re.compile("string value for the `profiler`"), "simple, advanced, pytorch or a class"),
}
_ENDLESS = (None, -1)
_LARGEST_SEED = 2**32 - 1
# What EarlyStopping, ModelCheckpoint and ReduceLROnPlateau say of a metric that there is not.
_NOT_MEASURED = re.compile(
    r"(Early stopping|ModelCheckpoint|ReduceLROnPlateau)\W.*?(?:on metric |monitor=)[`']?([\w/]+)"
    r".*?(?:following|metrics are|metrics): (.*?)(?:HINT|Condition can|$)",
    re.DOTALL,
)
_TOO_SELDOM = re.compile(r"`val_check_interval` .* number of the training batches \((\d+)\)")


def check_trainer(trainer: Mapping[str, Any], keys: Iterable[str] = ()) -> None:
    """Check keys of the trainer that Lightning takes as they are, and that then end in a crash, or in nothing done.

    Args:
        trainer: Part `trainer` of a parsed configuration.
        keys: Which; none given: all.

    Raises:
        InputError: One of them cannot work.
    """
    for key in keys or _RULES:
        value, (allowed, right) = trainer[key], _RULES[key]
        if value is not None and not allowed(value):
            raise InputError(f"trainer.{key} {right}, got {value}")


def check_validation(trainer: Mapping[str, Any]) -> None:
    """Check that a validation part is validated on.

    Args:
        trainer: Part `trainer` of a parsed configuration.

    Raises:
        InputError: It never would be.
    """
    seldom, epochs = trainer["check_val_every_n_epoch"], trainer["max_epochs"]
    if epochs not in _ENDLESS and seldom is not None and seldom > epochs:
        raise InputError(
            f"trainer.check_val_every_n_epoch {seldom} is more than trainer.max_epochs {epochs}: nothing would be "
            "validated; data.validation none asks for that"
        )


def check_seed(seed: bool | int) -> None:
    """Check that a seed is one that all generators of random numbers take.

    Raises:
        InputError: It is not.
    """
    if not 0 <= seed <= _LARGEST_SEED:
        raise InputError(f"seed_everything must be in [0, {_LARGEST_SEED}], got {seed}")


def keeps_nothing(trainer: Mapping[str, Any]) -> str | None:
    """Return the key by which a run keeps nothing, and needs no folder; None where it keeps what it should.

    Args:
        trainer: Part `trainer` of a parsed configuration.
    """
    if trainer["enable_checkpointing"] is False:
        return "trainer.enable_checkpointing false"
    return next((f"trainer.{key}" for key in ("fast_dev_run", "barebones") if trainer[key]), None)


def check_callbacks(callbacks: Sequence[Callback], channels_last: bool) -> None:
    """Check that callbacks can do here what they do.

    Args:
        callbacks: Those of the configuration.
        channels_last: Whether weights lie in memory with the channel last.

    Raises:
        InputError: One cannot.
    """
    for callback in callbacks:
        where = f"trainer.callbacks: {type(callback).__name__}"
        if isinstance(callback, LearningRateFinder):
            raise InputError(
                f"{where} has no learning rate to set here: compare values of model.optimizer.lr by a sweep"
            )
        if isinstance(callback, BatchSizeFinder):
            raise InputError(f"{where} cannot set data.batch_size, which decides the result: try values of it")
        if isinstance(callback, ModelPruning) and channels_last:
            raise InputError(f"{where} needs model.channels_last false")


@contextmanager
def what_lightning_refuses() -> Iterator[None]:
    """Turn Lightning's word on a configuration that cannot work into an InputError that names the key.

    Raises:
        InputError: Lightning refuses the configuration.
    """
    try:
        yield
    except InputError:
        raise
    except (MisconfigurationException, RuntimeError, ValueError) as error:
        if unknown := _NOT_MEASURED.search(str(error)):
            where = "model.lr_scheduler" if unknown[1] == "ReduceLROnPlateau" else "trainer.callbacks"
            known = re.findall(r"[`']([\w/]+)[`']", unknown[3])
            hint = close(unknown[2], known) or f"; there are {', '.join(known)}"
            raise InputError(f"{where}: monitor: {unknown[2]} is not measured here{hint}") from error
        if interval := _TOO_SELDOM.search(str(error)):
            raise InputError(
                f"trainer.val_check_interval must be at most the {interval[1]} batches of an epoch"
            ) from error
        if not isinstance(error, MisconfigurationException):
            raise
        raise InputError(_after_its_key(error)) from error


@contextmanager
def building_the_trainer(trainer: Mapping[str, Any]) -> Iterator[None]:
    """Turn whatever the constructors of Lightning say of their arguments into an InputError that names the key.

    Args:
        trainer: Part `trainer` of a parsed configuration.

    Raises:
        InputError: One of them refuses its arguments, or needs a package that is not installed.
    """
    try:
        yield
    except InputError:
        raise
    except (MisconfigurationException, ValueError, TypeError, ImportError, RuntimeError) as error:
        for key, (said, right) in _IN_OTHER_WORDS.items():
            if said.search(str(error)):
                raise InputError(f"trainer.{key} must be {right}, got {trainer[key]}") from error
        raise InputError(_after_its_key(error)) from error


def _after_its_key(error: Exception) -> str:
    """Return what Lightning says, after the key of the trainer that it is about."""
    text = " ".join(str(error).split()).replace("`", "")
    keys = [key for key in inspect.signature(L.Trainer).parameters if re.search(rf"\b{key}\b", text)]
    return f"trainer.{max(keys, key=len)}: {text}" if keys else text

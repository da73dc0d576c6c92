"""When two configurations are one run: what decides the outcome of a run, and what only says where and how it is kept.

All of a configuration decides but the keys that are listed here, so that a key that is added later does, too.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from noisy_lightning.runs.older_keys import with_present_keys

RESULTS_VERSION = 1
"""Changes when the same configuration no longer gives the same numbers: every grid is then trained anew."""

_RESULTS_OF = {"SOPPlus": 2}
"""The same for single methods: its second view is strong since version 2."""

_PLACE = ("config", "run", "ckpt_path", "jobs")
"""Where a run is kept and goes on from, and how many runs of a selection go on side by side."""
_OF_TRAINER = ("enable_progress_bar", "profiler", "logger", "enable_model_summary")
"""How Lightning shows a training run."""
_COUNTS = ("limit_train_batches", "limit_val_batches", "limit_test_batches", "limit_predict_batches")
"""Numbers of batches, or shares of them; a number of at least 2 was once kept as 2.0, and is the same."""
_OF_DATA = ("root", "download", "workers")
"""Where a data set lies and how its batches are made. Labels that differ are refused by their hash."""
_NOT_OF_SELECTION = ("monitor", "test_every_epoch", "weights_only", "audit")
"""What `noisy-lightning clean` does not use, or what does not change its judgment."""
_ADDED_TO_MODEL = {"class_weights": None, "ema_decay": None, "gradient": None, "mixing": None, "test_flips": False}
_ADDED_TO_DATA = {"augmentation": None, "strong_augmentation": None}
"""Keys that older runs lack, with what leaves all as before: then they are left out."""


def deciding(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a configuration that decides the outcome of a run.

    Args:
        config: Resolved, as plain data, as `config.yaml` of a run holds it.
    """
    left_out = (*_PLACE, *(_NOT_OF_SELECTION if "selector" in config else ()))
    kept = {key: with_present_keys(value) for key, value in config.items() if key not in left_out}
    if isinstance(trainer := kept.get("trainer"), Mapping):
        own = {key: value for key, value in trainer.items() if key not in _OF_TRAINER}
        counts = {key: float(value) for key in _COUNTS if isinstance(value := own.get(key), int) and value > 1}
        kept["trainer"] = own | counts
    if isinstance(model := kept.get("model"), Mapping):
        kept["model"] = _without_unused(model, _ADDED_TO_MODEL)
        method = model.get("method")
        name = str(method.get("class_path") if isinstance(method, Mapping) else method).rpartition(".")[2]
        if name in _RESULTS_OF:
            kept["results_version"] = _RESULTS_OF[name]
    if isinstance(data := kept.get("data"), Mapping) and isinstance(arguments := data.get("init_args"), Mapping):
        kept["data"] = {**data, "init_args": _of_data(arguments)}
    return kept


def _of_data(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return what decides of the arguments of a data set, and of one that it is made of."""
    own = {key: value for key, value in arguments.items() if key not in _OF_DATA}
    own = _without_unused(own, _ADDED_TO_DATA)
    inner = own.get("data")
    if isinstance(inner, Mapping) and isinstance(inner.get("init_args"), Mapping):
        own["data"] = {**inner, "init_args": _of_data(inner["init_args"])}
        own.pop("cache", None)  # where the features lie
    return own


def _without_unused(arguments: Mapping[str, Any], added: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments without those that were added since and change nothing."""
    return {key: value for key, value in arguments.items() if key not in added or value != added[key]}


def length_of(config: Mapping[str, Any]) -> int:
    """Return the epochs that a configuration asks for; 0 where it does not say."""
    return int((config.get("trainer") or {}).get("max_epochs") or 0)


def without_length(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what decides the outcome of a run, but for how many epochs it has."""
    kept = deciding(config)
    return kept | {"trainer": {**(kept.get("trainer") or {}), "max_epochs": None}}


def identity(config: Mapping[str, Any]) -> str:
    """Return a SHA-256, in hex, of what decides the outcome of a run and of the version of results.

    Args:
        config: Resolved, as plain data.
    """
    content = json.dumps([RESULTS_VERSION, deciding(config)], sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()

"""What tables and pages call the columns of a ledger, the axes of a sweep and the keys of a configuration."""

import re

_NAMES = {
    "acc_last": "test accuracy, last epoch",
    "acc_mean_last_10": "test accuracy, mean of the last ten epochs",
    "acc_chosen": "test accuracy, epoch chosen on noisy validation",
    "acc_best_oracle": "test accuracy, best epoch on the test set (oracle)",
    "acc_train": "accuracy on given labels, training",
    "acc_val": "accuracy on given labels, validation",
    "auroc": "AUROC of the loss as noise detector",
    "backbone": "network",
    "chosen_by": "epoch chosen by",
    "corrected": "noisy labels corrected",
    "data.batch_size": "batch size",
    "data.noise.rate": "noise rate",
    "data.seed": "seed of the data",
    "data_seed": "seed of the data",
    "dataset": "data set",
    "device": "device",
    "devices": "number of devices",
    "epoch_best_oracle": "best epoch on the test set (oracle)",
    "epoch_chosen": "chosen epoch",
    "git_commit": "commit",
    "images_per_second": "images per second",
    "label_precision": "label precision",
    "label_recall": "label recall",
    "memorised": "noisy labels memorized",
    "model.optimizer.lr": "learning rate",
    "model.optimizer.weight_decay": "weight decay",
    "noise_hash": "hash of the labels",
    "noise_kind": "kind of noise",
    "peak_memory_mib": "memory in MiB",
    "rate_nominal": "noise rate, nominal",
    "rate_realised": "noise rate, realized",
    "seconds": "seconds",
    "trainer.max_epochs": "epochs",
    "transition_error": "error of the transition matrix",
    "val_fraction": "share held out for validation",
}
_SECTIONS = ("data", "model", "trainer", "run")
_PLAIN = re.compile(r"[-+]?[\d.]+(e[-+]?\d+)?|true|false|null|none|–", re.IGNORECASE)


def heading(key: str) -> str:
    """Return what a reader calls a column, an axis or a dotted key, such as `noise rate`."""
    short = key.replace(".init_args", "")
    if short in _NAMES:
        return _NAMES[short]
    section, _, rest = short.partition(".")
    return (rest if section in _SECTIONS and rest else short).replace(".", " ").replace("_", " ")


def named(key: str, value: str) -> str:
    """Return a value that says what it is of: `noise rate 0.4`, but a method's name as it is."""
    return f"{heading(key)} {value}" if _PLAIN.fullmatch(value) else value

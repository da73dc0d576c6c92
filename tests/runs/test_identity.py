"""Which keys of a configuration decide on the numbers of a run, and so on whether two runs are the same one."""

from typing import Any

import pytest

from noisy_lightning.runs.identity import deciding, identity

CONFIG: dict[str, Any] = {
    "config": ["a.yaml"],
    "seed_everything": 0,
    "trainer": {"max_epochs": 2, "logger": None, "profiler": None, "enable_progress_bar": None},
    "model": {"loss": "CrossEntropy"},
    "data": {"class_path": "Digits", "init_args": {"root": "data", "download": True, "workers": 0, "batch_size": 8}},
    "monitor": "val/acc",
    "test_every_epoch": False,
    "run": {"root": "runs"},
    "ckpt_path": None,
    "weights_only": None,
}


def _with(key: str, value: object, config: dict[str, Any] = CONFIG) -> dict[str, Any]:
    """Return the configuration with another value at a dotted key."""
    first, _, rest = key.partition(".")
    return {**config, first: _with(rest, value, config[first]) if rest else value}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed_everything", 1),
        ("trainer.max_epochs", 3),
        ("model.loss", "MeanAbsoluteError"),
        ("data.class_path", "MNIST"),
        ("data.init_args.batch_size", 16),
        ("monitor", "val/loss"),
        ("test_every_epoch", True),  # whose curve a ledger takes numbers from
    ],
)
def test_what_changes_a_result_makes_another_run(key: str, value: object) -> None:
    assert identity(_with(key, value)) != identity(CONFIG)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("config", ["b.yaml"]),
        ("run.root", "elsewhere"),
        ("ckpt_path", "last.ckpt"),
        ("trainer.logger", True),
        ("trainer.profiler", "simple"),
        ("trainer.enable_progress_bar", False),
        ("data.init_args.root", "elsewhere"),
        ("data.init_args.download", False),
        ("data.init_args.workers", 4),
    ],
)
def test_place_and_display_make_no_other_run(key: str, value: object) -> None:
    assert identity(_with(key, value)) == identity(CONFIG)


def test_a_number_of_batches_is_what_it_was_when_it_was_kept_as_a_float() -> None:
    trainer = {**CONFIG["trainer"], "limit_train_batches": None}
    ones, twos = ([{**trainer, "limit_train_batches": kind(count)} for kind in (int, float)] for count in (1, 2))
    as_int, as_float = (identity(_with("trainer", one)) for one in twos)
    assert as_int == as_float
    one_batch, all_batches = (identity(_with("trainer", one)) for one in ones)
    assert one_batch != all_batches


def test_the_order_of_keys_makes_no_other_run() -> None:
    assert identity(dict(reversed(CONFIG.items()))) == identity(CONFIG)


def test_what_a_selection_does_not_use_makes_no_other_selection() -> None:
    selection = {**CONFIG, "selector": {"class_path": "INCV"}, "jobs": 1}
    for key, value in {"monitor": "val/loss", "test_every_epoch": True, "weights_only": True, "jobs": 2}.items():
        assert identity(_with(key, value, selection)) == identity(selection)
    assert identity(_with("selector.class_path", "AreaUnderMargin", selection)) != identity(selection)


def test_a_configuration_is_left_as_it_is() -> None:
    before = repr(CONFIG)
    assert deciding(CONFIG)["trainer"] == {"max_epochs": 2}
    assert repr(CONFIG) == before


def test_where_features_and_their_images_lie_makes_no_other_run() -> None:
    inner = {
        "class_path": "CIFAR10",
        "init_args": {"root": "data", "download": True, "workers": 0, "horizontal_flip": None},
    }
    embedded = {"data": inner, "views": 1, "cache": None, "batch_size": 8}
    config = _with("data", {"class_path": "Embedded", "init_args": embedded})
    for key, value in {"cache": "c", "data.init_args.root": "elsewhere", "data.init_args.workers": 3}.items():
        assert identity(_with(f"data.init_args.{key}", value, config)) == identity(config)
    for key, value in {"views": 2, "data.init_args.horizontal_flip": True, "data.class_path": "MNIST"}.items():
        assert identity(_with(f"data.init_args.{key}", value, config)) != identity(config)


@pytest.mark.parametrize("key", ["data.init_args.augmentation", "data.init_args.strong_augmentation"])
def test_a_recipe_makes_another_run_and_none_is_what_older_runs_had(key: str) -> None:
    config = _with("data", {"class_path": "CIFAR10", "init_args": {"seed": 0}})
    assert identity(_with(key, None, config)) == identity(config)
    recipe = {"class_path": "noisy_lightning.data.RandAugment", "init_args": {"magnitude": 9}}
    assert identity(_with(key, recipe, config)) != identity(config)


def test_a_method_that_has_changed_makes_other_runs_of_itself_alone() -> None:
    methods = [{"class_path": f"noisy_lightning.methods.{name}"} for name in ("SOPPlus", "SOP")]
    changed, same = (deciding({**CONFIG, "model": {"method": method}}) for method in methods)
    assert changed["results_version"] == 2
    assert "results_version" not in same

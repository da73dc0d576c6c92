import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from noisy_lightning.errors import InputError
from noisy_lightning.experiments.settings import ABSENT, as_json, differing, from_text, settings_of, value_at
from tests.experiments.test_ledger import CONFIG


def _config(**changes: Any) -> dict[str, Any]:
    """Return a configuration with other values at dotted keys, `/` for each dot."""
    config: dict[str, Any] = json.loads(json.dumps({**CONFIG, "trainer": {"max_epochs": 2}, "run": {"root": "runs"}}))
    for key, value in changes.items():
        *parents, last = key.split("__")
        part = config
        for name in parents:
            part = part[name]
        part[last] = value
    return config


def test_seeds_and_the_place_of_a_run_are_no_settings() -> None:
    other = _config(seed_everything=1, data__init_args__seed=9, run={"root": "other"}, recorder={"pictures": False})
    other["test_every_epoch"] = True
    assert settings_of(_config()) == settings_of(other)
    assert "seed" not in as_json(settings_of(_config()))


@pytest.mark.parametrize(
    ("changes", "key", "values"),
    [
        ({"trainer__max_epochs": 10}, "trainer.max_epochs", ("2", "10")),
        ({"data__init_args__batch_size": 8}, "data.batch_size", ("64", "8")),
        ({"model__loss__init_args__alpha": 0.5}, "model.loss.alpha", ("0.1", "0.5")),
        (
            {"model__loss": {"class_path": "noisy_lightning.losses.CrossEntropy"}},
            "model.loss",
            ("SymmetricCrossEntropy(alpha=0.1, beta=1.0)", "CrossEntropy"),
        ),
        ({"trainer__max_time": "00:01:00:00"}, "trainer", None),
    ],
)
def test_what_differs_has_a_dotted_key_and_a_value(
    changes: dict[str, Any], key: str, values: tuple[str, str] | None
) -> None:
    both = [settings_of(_config()), settings_of(_config(**changes))]
    assert differing(both) == [key]
    if values:
        assert tuple(value_at(settings, key) for settings in both) == values
    assert from_text(as_json(both[1])) == both[1]


def test_a_matrix_is_known_by_its_hash() -> None:
    changes = ({"model__loss": {"class_path": "L", "init_args": {"m": matrix}}} for matrix in ([[0.95, 0.05]], [[1.0]]))
    one, other = (settings_of(_config(**change)) for change in changes)
    assert "0.95" not in as_json(one)
    assert differing([one, other]) == ["model.loss.m"]


def test_a_selection_is_known_by_what_selected_not_by_its_file(tmp_path: Path) -> None:
    paths = []
    for name, seed, folds in (("a", 0, 2), ("b", 1, 2), ("c", 0, 5)):
        (tmp_path / "selections" / name).mkdir(parents=True)
        selector = {"class_path": "noisy_lightning.selectors.NoisyCrossValidation", "init_args": {"folds": folds}}
        config = _config(seed_everything=seed, selector=selector)
        (tmp_path / "selections" / name / "config.yaml").write_text(yaml.safe_dump(config))
        paths.append(str(tmp_path / "selections" / name / "selection.csv"))
    one, same, other = (settings_of(_config(data__init_args__selection=path)) for path in paths)
    assert one == same
    moved = _config(data__init_args__selection="elsewhere/a/selection.csv")
    assert settings_of(moved, tmp_path) == one
    assert differing([one, other]) == ["data.selection"]
    assert value_at(one, "data.selection").startswith("NoisyCrossValidation(folds=2) ")


def test_what_is_absent_is_shown_so() -> None:
    assert value_at({"a": {"class_path": "x.Y", "init_args": {"b": 1}}}, "a.c") == ABSENT


@pytest.mark.parametrize("text", ["{", "[]", "3", "[" * 5000])
def test_damaged_settings_are_one_line(text: str) -> None:
    with pytest.raises(InputError, match="the column settings of a ledger") as error:
        from_text(text)
    assert "\n" not in str(error.value)

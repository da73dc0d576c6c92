from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from noisy_lightning import checkpoint_file
from noisy_lightning.errors import InputError
from noisy_lightning.training.kinds import check_class_paths
from noisy_lightning.training.loaded_run import load_run
from tests.conftest import SMALL

HARMFUL = ["os.system", "subprocess.Popen", "functools.partial", "builtins.eval", "tests.training.test_kinds.function"]


def function(*_: Any) -> torch.nn.Module:
    Path("it-ran").touch()
    return torch.nn.Linear(1, 1)


@pytest.mark.parametrize("path", HARMFUL)
@pytest.mark.parametrize("key", ["backbone", "optimizer", "lr_scheduler", "method", "loss"])
def test_only_classes_of_the_kinds_that_keys_ask_for_are_named(key: str, path: str) -> None:
    for config in ({key: {"class_path": path}}, Namespace(**{key: Namespace(class_path=path, init_args=Namespace())})):
        with pytest.raises(InputError, match=f"^model.{key}: {path} is no class of"):
            check_class_paths({"model": config})


@pytest.mark.parametrize("value", [function, print, {"a": [{"class_path": "os.system"}]}, [function]])
def test_nothing_else_that_can_be_called_is_left_anywhere(value: object) -> None:
    with pytest.raises(InputError, match="is no class of"):
        check_class_paths({"trainer": {"callbacks": [{"class_path": "lightning.Callback", "init_args": {"x": value}}]}})


def test_what_leads_nowhere_is_named() -> None:
    with pytest.raises(InputError, match=r"^model\.loss: nowhere\.Loss cannot be imported"):
        check_class_paths({"model": {"loss": {"class_path": "nowhere.Loss"}}})


FUNCTION = "tests.training.test_kinds.function"


@pytest.mark.parametrize(
    "options",
    [
        ("--model.backbone", FUNCTION),
        ("--model.backbone", f'{{"class_path": "{FUNCTION}"}}'),
        ("--model.lr_scheduler", "LambdaLR", "--model.lr_scheduler.lr_lambda", FUNCTION),
        ("--trainer.callbacks", f'[{{"class_path": "LambdaCallback", "init_args": {{"on_fit_start": "{FUNCTION}"}}}}]'),
    ],
)
def test_a_configuration_runs_no_function(
    options: tuple[str, ...], run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("fit", *SMALL, *options) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_of_somebody_else_runs_no_function(run: Callable[..., int], tmp_path: Path) -> None:
    assert run("fit", *SMALL, "--trainer.max_epochs", "1", "--trainer.limit_train_batches", "1") == 0
    path = tmp_path / "runs/default/0/checkpoints/last.ckpt"
    checkpoint = checkpoint_file.read(path)
    checkpoint["hyper_parameters"]["backbone"] = {"class_path": FUNCTION}
    checkpoint_file.write(checkpoint, path)
    with pytest.raises(InputError, match=f"backbone: {FUNCTION} is no class of"):
        load_run(tmp_path / "runs/default/0", "last")
    assert not (tmp_path / "it-ran").exists()

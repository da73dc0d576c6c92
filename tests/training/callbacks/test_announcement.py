"""What fit says before its first step."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from lightning.pytorch.loggers import CSVLogger

from noisy_lightning.runs.folder import RunFolder
from noisy_lightning.training.callbacks.announcement import watching
from tests.conftest import SMALL
from tests.kill import Fall

Run = Callable[..., int]


def test_fit_says_where_on_what_with_which_data_and_how_to_watch(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("fit", *SMALL) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "run     runs/default/0, new"
    assert re.fullmatch(r"device  cpu \(.*, \d+ threads?\), precision 32-true", lines[1])
    data = "data    Digits: 1,293 training and 144 validation samples of 10 classes; Symmetric: "
    assert re.fullmatch(data + r"\d\d\.\d\d % of labels wrong", lines[2])
    assert lines[3] == "watch   tensorboard --logdir runs; runs/default/0/metrics.csv"
    assert lines[4].startswith("epoch 1/2")
    assert lines[-1] == "next: noisy-lightning test runs/default/0, tensorboard --logdir runs"


@pytest.mark.parametrize(
    ("sampling", "served"),
    [
        ("undersample", r"undersample: 1,\d\d0 samples per epoch, 1\d\d of each class"),
        ("sqrt", r"sqrt: 1,293 samples per epoch, 1\d\d to 1\d\d of a class"),
    ],
)
def test_fit_says_how_many_samples_an_epoch_has_where_classes_are_sampled(
    sampling: str, served: str, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("fit", *SMALL, "--data.sampling", sampling) == 0
    assert re.search(f"% of labels wrong; {served}\n", capsys.readouterr().out)


@pytest.mark.parametrize(("at", "place"), [((1, 0), "epoch 2/2"), ((1, 3), "epoch 2/2, batch 4")])
def test_fit_says_from_where_it_goes_on(
    at: tuple[int, int], place: str, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Fall, "at", at)
    command = ("fit", *SMALL, "--trainer.callbacks+=tests.kill.Fall", "--run.checkpoint_every_n_steps", "1")
    with pytest.raises(ZeroDivisionError):
        run(*command)
    capsys.readouterr()
    assert run(*command) == 0
    first, *_ = capsys.readouterr().out.splitlines()
    assert first == f"run     continuing runs/default/0 from its last checkpoint, with {place}"


def test_each_logger_is_watched_in_its_own_way(tmp_path: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert watching([CSVLogger(tmp_path, name="n", version="v")], RunFolder(tmp_path)) == [
        f"{tmp_path}/n/v/metrics.csv"
    ]
    assert run("fit", *SMALL, "--trainer.logger", "false", "--trainer.max_epochs", "1") == 0
    out = capsys.readouterr().out
    assert "watch   runs/default/0/metrics.csv\n" in out
    assert "tensorboard" not in out

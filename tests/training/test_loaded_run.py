"""Runs opened from Python, those of older versions among them."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from noisy_lightning import Digits, NoisyClassifier, load_records, load_run
from noisy_lightning.errors import InputError
from tests.conftest import SMALL
from tests.processes import ROOT

Run = Callable[..., int]
OLDER = ROOT / "tests/older_runs"


def _tested(model: NoisyClassifier) -> float:
    """Return the accuracy on the test images."""
    data = Digits()
    data.setup("test")
    (loader,) = data.test_dataloader()
    right = [(model(batch.image).argmax(1) == batch.true_label) for batch in loader]
    return torch.cat(right).float().mean().item()


@torch.no_grad()
def test_a_run_is_opened_whole(run: Run, tmp_path: Path) -> None:
    assert run("fit", *SMALL) == 0
    assert run("test", "runs/default/0") == 0
    for name in ("best", "last"):
        opened = load_run("runs/default/0", name)
        assert opened.checkpoint.name == f"{name}.ckpt"
        assert not opened.model.training
        assert _tested(opened.model) == pytest.approx(opened.result["test"][name]["test/acc"])
    opened = load_run(tmp_path / "runs/default/0")
    assert opened.checkpoint.name == "best.ckpt"
    assert list(opened.class_names) == [str(digit) for digit in range(10)]
    assert opened.config["data"]["class_path"] == "noisy_lightning.data.Digits"
    np.testing.assert_array_equal(opened.records.loss, load_records("runs/default/0").loss)
    data = Digits()
    data.setup("test")
    (loader,) = data.test_dataloader()
    batch = next(iter(loader))
    pixels = data.load(train=False).images[torch.arange(3)]
    for number, picture in enumerate(pixels):
        for image in (picture, picture.numpy(), Image.fromarray(picture.squeeze(-1).numpy())):
            torch.testing.assert_close(opened.transform(image), batch.image[number], rtol=0, atol=0)


@pytest.mark.parametrize(
    ("path", "checkpoint", "message"),
    [("nowhere", None, "is not the folder of a run"), ("runs/default/0", "middle", "no checkpoint middle")],
)
def test_what_is_not_there_is_named(path: str, checkpoint: str | None, message: str, run: Run) -> None:
    assert run("fit", *SMALL, "--trainer.limit_train_batches", "1") == 0
    with pytest.raises(InputError, match=message):
        load_run(path, checkpoint)


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """Return a folder with runs of version 0.1.0, before the package's modules moved: one finished, one killed."""
    shutil.copytree(OLDER, tmp_path / "runs")
    return tmp_path / "runs"


AS_OLDER = (*SMALL, "--recorder.pictures", "false", "--trainer.logger", "false")


@torch.no_grad()
def test_an_older_run_is_opened_and_tested(older: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    opened = load_run(older / "finished/0", "last")
    assert _tested(opened.model) == pytest.approx(opened.result["test"]["last"]["test/acc"])
    assert list(opened.class_names) == [str(digit) for digit in range(10)]
    assert opened.transform(np.zeros((8, 8), np.uint8)).shape == (1, 8, 8)
    assert opened.records.loss.shape == (2, 1437)
    assert NoisyClassifier.load_from_checkpoint(older / "finished/0/checkpoints/best.ckpt").num_samples == 1437
    assert run("test", "runs/finished/0", "last") == 0
    assert f"{100 * opened.result['test']['last']['test/acc']:.2f} %" in capsys.readouterr().out
    assert run("report", "runs/finished/0", "--out", "report", "--no-figures") == 0


def test_opening_a_run_calls_nothing_deprecated(older: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JSONARGPARSE_DEPRECATION_WARNINGS", "all")  # off after any command of ours, but not in a script
    assert load_run(older / "finished/0").result


def test_an_older_unfinished_run_is_continued_to_the_same_end(
    older: Path, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("fit", *AS_OLDER, "--run.experiment", "unfinished") == 0
    assert "continuing runs/unfinished/0 from its last checkpoint" in capsys.readouterr().out
    assert [path.name for path in (older / "unfinished").iterdir()] == ["0"]
    one, other = load_records(older / "finished/0"), load_records(older / "unfinished/0")
    # Equal up to what another processor rounds otherwise.
    np.testing.assert_allclose(other.loss, one.loss, rtol=1e-4)
    assert (one.prediction == other.prediction).mean() > 0.999
    finished, continued = (
        torch.load(older / name / "0/checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for name in ("finished", "unfinished")
    )
    for name, value in finished.items():
        torch.testing.assert_close(continued[name], value, rtol=1e-4, atol=1e-5)

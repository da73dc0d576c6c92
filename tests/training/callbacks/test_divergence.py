"""A run that diverges stops, says where, and leaves what it had before."""

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor, nn

from noisy_lightning import Digits, Divergence, NoisyClassifier, noise
from noisy_lightning.errors import InputError
from noisy_lightning.runs.records import load
from tests.conftest import SMALL

Run = Callable[..., int]
# 11 steps an epoch; the second one begins with step 12.
STEPS = ("--data.batch_size", "128")


class Breaking(nn.Module):
    """A linear network that breaks in the forward pass of a step: its output, a weight or a running variance."""

    def __init__(self, num_classes: int, in_channels: int, what: str = "loss", at: int = 15) -> None:
        super().__init__()
        self.layer = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64 * in_channels), nn.Linear(64, num_classes))
        self.unused = nn.Parameter(torch.zeros(1))
        self.what, self.at = what, at
        self.register_buffer("step", torch.zeros(()))

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.layer(image)
        if not self.training:
            return logits
        assert isinstance(self.step, Tensor)
        self.step += 1
        if self.step == self.at:
            if self.what == "loss":
                return logits * torch.nan
            normalization = self.layer[1]
            assert isinstance(normalization, nn.BatchNorm1d)
            assert normalization.running_var is not None
            (self.unused if self.what == "weight" else normalization.running_var).data.fill_(torch.inf)
        return logits


def _breaking(what: str, at: int = 15) -> tuple[str, ...]:
    network = {"class_path": f"{__name__}.Breaking", "init_args": {"what": what, "at": at}}
    return ("fit", *SMALL, *STEPS, "--model.backbone", json.dumps(network))


def _result(run: str = "default/0") -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(f"runs/{run}/result.json").read_text())
    return content


@pytest.mark.parametrize(
    ("what", "says"), [("loss", "loss is"), ("weight", "weights are"), ("statistic", "weights are")]
)
def test_the_first_loss_or_weight_that_is_not_finite_stops_a_run(
    what: str, says: str, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*_breaking(what)) == 2
    error = capsys.readouterr().err
    step = 15 if what == "loss" else 22  # weights are looked at when the epoch ends
    assert f"runs/default/0 has diverged: {says} not finite in step {step} (epoch 2), learning rate 0.1" in error
    assert error.count("\n") == 1
    found = {"what": says.split(maxsplit=1)[0], "epoch": 1, "step": step, "learning_rate": 0.1}
    assert _result() == {"run": "runs/default/0", "diverged": found}
    # What there was before is as it was.
    folder = Path("runs/default/0")
    assert load(folder).epochs.tolist() == [0]
    assert len((folder / "metrics.csv").read_text().splitlines()) == 2
    checkpoint = torch.load(folder / "checkpoints/last.ckpt", weights_only=True)
    assert checkpoint["epoch"] == 0
    assert all(value.isfinite().all() for value in checkpoint["state_dict"].values())


def test_a_checkpoint_within_an_epoch_is_never_of_broken_weights(run: Run) -> None:
    assert run(*_breaking("loss"), "--run.checkpoint_every_n_steps", "1") == 2
    assert _result()["diverged"]["step"] == 15
    assert torch.load("runs/default/0/checkpoints/last.ckpt", weights_only=True)["global_step"] == 14


def test_test_and_report_say_that_a_run_has_diverged(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*_breaking("loss")) == 2
    assert run("test", "runs/default/0") == 0
    out = capsys.readouterr().out
    assert "diverged       loss is not finite in step 15 (epoch 2), learning rate 0.1" in out
    assert "(epoch 1 of 2: last)" in out
    assert _result()["diverged"]["step"] == 15
    assert run("report", "runs/default", "--only-print") == 2
    assert "runs/default/0 has failed: diverged: loss is not finite in step 15" in capsys.readouterr().err
    assert run("fit", *SMALL) == 0
    assert run("report", "runs/default", "--only-print") == 0
    assert "Failed: runs/default/0: diverged: loss is not finite in step 15" in capsys.readouterr().out


def test_a_test_says_it_of_a_run_that_has_diverged_before_its_first_checkpoint(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*_breaking("loss", at=2)) == 2
    capsys.readouterr()
    for name in ("best", "last"):
        assert run("test", "runs/default/0", name) == 2
        error = capsys.readouterr().err
        assert f"no checkpoint {name} at " in error
        assert error.endswith("has: none; it has diverged: loss is not finite in step 2 (epoch 1), learning rate 0.1\n")


def test_a_run_that_may_go_on_does_and_is_marked(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*_breaking("loss")) == 2
    # The same run, from its last checkpoint.
    assert run(*_breaking("loss"), "--run.stop_when_diverged", "false", "--run.checkpoint_every_n_steps", "1") == 0
    said = "has diverged: loss is not finite in step 15 (epoch 2), learning rate 0.1; it goes on"
    assert capsys.readouterr().out.count(said) == 1  # and not for every checkpoint after it
    assert _result()["epochs"] == 2
    assert _result()["diverged"]["step"] == 15
    assert "train/loss" in _result()["last_epoch"]  # of the steps before
    assert run("test", "runs/default/0") == 0
    assert run("report", "runs/default", "--only-print") == 0
    out = capsys.readouterr().out
    assert "(diverged)" in out
    assert "Diverged, and went on: runs/default/0: loss is not finite in step 15" in out


class _Trainer:
    """One of two processes, or alone, in its first epoch; on the other one, or on none, the losses are not finite."""

    current_epoch, global_step, is_global_zero = 0, 3, True

    def __init__(self, world_size: int) -> None:
        self.world_size, self.strategy = world_size, self

    def reduce(self, broken: Tensor, reduce_op: str) -> Tensor:
        assert reduce_op == "max"
        return torch.ones_like(broken)


@pytest.mark.parametrize(("world_size", "stops"), [(1, False), (2, True)])
def test_what_is_not_finite_on_another_process_stops_this_one(world_size: int, stops: bool) -> None:
    trainer: Any = _Trainer(world_size)
    module: Any = nn.Linear(1, 1)
    module.last_step, module.learning_rate = SimpleNamespace(loss=torch.ones(())), 0.1
    divergence = Divergence()
    divergence.on_train_batch_end(trainer, module, None, None, 0)
    with pytest.raises(InputError, match="loss is not finite in step 3") if stops else nullcontext():
        divergence.on_train_epoch_end(trainer, module)


def test_weights_are_looked_at_after_losses_that_all_were_finite() -> None:
    trainer: Any = _Trainer(1)
    module: Any = nn.Linear(1, 1)
    module.last_step, module.learning_rate = SimpleNamespace(loss=torch.ones(())), 0.1
    divergence = Divergence()
    for _ in range(32):  # after which the losses are looked at
        divergence.on_train_batch_end(trainer, module, None, None, 0)
    module.weight.data.fill_(torch.inf)
    with pytest.raises(InputError, match="weights are not finite in step 3"):
        divergence.on_train_epoch_end(trainer, module)


def test_a_huge_learning_rate_is_no_success(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("fit", *SMALL, "--model.optimizer.lr", "1e38") == 2
    assert "learning rate 1e+38" in capsys.readouterr().err


@pytest.mark.parametrize(("option", "code"), [((), 2), (("--run.stop_when_diverged", "false"), 0)])
def test_a_run_that_keeps_nothing_stops_as_well(
    option: tuple[str, ...], code: int, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*_breaking("loss"), "--trainer.barebones", "true", *option) == code
    captured = capsys.readouterr()
    assert "the run has diverged: loss is not finite in step 15 (epoch 2)" in (captured.err if code else captured.out)
    assert not Path("runs").exists()


def _trained_in_python(folder: Path, *callbacks: L.Callback) -> L.Trainer:
    data = Digits(noise=noise.Symmetric(0.4), batch_size=128)
    quiet: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = L.Trainer(
        max_epochs=2, accelerator="cpu", devices=1, default_root_dir=folder, callbacks=list(callbacks), **quiet
    )
    trainer.fit(NoisyClassifier.for_data(data, Breaking), datamodule=data)
    return trainer


def test_a_trainer_in_python_stops_and_keeps_its_last_good_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the run has diverged: loss is not finite in step 15 \(epoch 2\)"):
        _trained_in_python(tmp_path)
    (saved,) = tmp_path.rglob("*.ckpt")
    assert torch.load(saved, weights_only=True)["global_step"] == 11


def test_a_trainer_in_python_goes_on_if_it_may(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    allowed = Divergence(stop=False)
    assert _trained_in_python(tmp_path, allowed).global_step == 22
    assert allowed.found is not None
    assert (allowed.found["what"], allowed.found["step"]) == ("loss", 15)
    assert "the run has diverged" in capsys.readouterr().out

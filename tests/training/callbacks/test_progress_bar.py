import io
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import final

import lightning as L
import pytest

from noisy_lightning.training.callbacks import progress_bar
from noisy_lightning.training.callbacks.checkpoints import LastCheckpoint
from noisy_lightning.training.callbacks.progress_bar import RunProgress
from tests.training.callbacks.scripted import Scripted, scripted_trainer

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),  # of Lightning, for its own loaders
]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Make standard error a terminal; return what it gets. In a fixture, pytest would replace it before the test."""
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    return screen


@final
class Losses(L.Callback):
    """Logs each epoch's mean loss where the recorder does so."""

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        pl_module.log("train/loss", [2.0, 1.5][trainer.current_epoch])


def _fit(folder: Path, bar: RunProgress, module: Scripted, *others: L.Callback) -> None:
    scripted_trainer(folder, *others, bar, epochs=2, enable_progress_bar=True).fit(module)


def _refreshes(screen: Terminal) -> list[str]:
    return [text for text in re.split(r"[\r\n]+", screen.getvalue()) if text.strip()]


def _percentages(screen: Terminal) -> list[int]:
    return [int(found[1]) for text in _refreshes(screen) if (found := re.search(r"(\d+) ?%", text))]


def test_where_there_is_no_terminal_each_epoch_prints_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _fit(tmp_path, RunProgress(interval=0), Scripted([0.25, 0.5]), Losses())
    printed = capsys.readouterr()
    first, second = printed.out.splitlines()
    assert re.fullmatch(r"epoch 1/2  loss 2\.000  val acc 0\.250  \d+ s", first)
    assert re.fullmatch(r"epoch 2/2  loss 1\.500  val acc 0\.500  \d+ s", second)
    assert "batch" not in printed.err


def test_a_line_goes_without_what_is_not_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _fit(tmp_path, RunProgress(), Scripted())
    assert re.fullmatch(r"(epoch [12]/2 +\d+ s\n){2}", capsys.readouterr().out)


def test_a_terminal_gets_one_bar_for_the_whole_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal, bar = _terminal(monkeypatch), RunProgress(interval=0)
    _fit(tmp_path, bar, Scripted([0.25, 0.5]), Losses())
    shown = _refreshes(terminal)
    assert any("epoch 1/2" in text and "loss 0.250" in text for text in shown)  # of a step
    assert any("epoch 2/2" in text and "val acc 0.250" in text for text in shown)  # until the next validation
    last = shown[-1]
    assert "epoch 2/2" in last
    assert "loss 1.500" in last
    assert "val acc 0.500" in last
    assert _percentages(terminal)[-1] == 100
    assert re.search(r"\d\d:\d\d", shown[len(shown) // 2])  # time left
    assert terminal.getvalue().endswith("\n")  # closed: what follows has a line of its own
    assert bar._bar is None
    assert not capsys.readouterr().out


def test_the_bar_is_seldom_refreshed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading a loss waits for the device: only the first step and the ends of epochs, in a run this short."""
    terminal = _terminal(monkeypatch)
    _fit(tmp_path, RunProgress(interval=1000), Scripted([0.25, 0.5]), Losses())
    assert len([text for text in _refreshes(terminal) if "loss 0.250" in text]) == 1
    assert _percentages(terminal)[-1] == 100


def test_accumulated_batches_show_their_loss_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, bar = _terminal(monkeypatch), RunProgress(interval=0)
    trainer = scripted_trainer(tmp_path, bar, epochs=1, enable_progress_bar=True, accumulate_grad_batches=2)
    trainer.fit(Scripted())
    assert "loss 0.250" in terminal.getvalue()


def test_an_error_closes_the_bar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, bar = _terminal(monkeypatch), RunProgress(interval=0)
    with pytest.raises(RuntimeError, match="of the run"):
        _fit(tmp_path, bar, Scripted(error=RuntimeError("of the run")))
    assert bar._bar is None
    assert terminal.getvalue().endswith("\n")


def test_a_resumed_run_shows_where_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _terminal(monkeypatch)
    scripted_trainer(tmp_path, LastCheckpoint(tmp_path), epochs=1).fit(Scripted())
    assert not _percentages(terminal)
    trainer = scripted_trainer(tmp_path, RunProgress(interval=0), epochs=3, enable_progress_bar=True)
    trainer.fit(Scripted(), ckpt_path=str(tmp_path / "last.ckpt"))
    assert _percentages(terminal)[0] == 33
    assert _percentages(terminal)[-1] == 100


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_disabled_bar_shows_nothing(
    is_terminal: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    screen = _terminal(monkeypatch) if is_terminal else Terminal()
    bar = RunProgress(interval=0)
    bar.disable()
    _fit(tmp_path, bar, Scripted([0.25, 0.5]), Losses())
    assert not _percentages(screen)
    assert not capsys.readouterr().out
    bar.enable()
    _fit(tmp_path, bar, Scripted([0.25, 0.5]), Losses())
    assert _percentages(screen) if is_terminal else capsys.readouterr().out


def test_the_bar_shows_how_fast_the_epoch_is_and_how_much_memory_was_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal, now = _terminal(monkeypatch), iter(range(10_000))
    clock = SimpleNamespace(monotonic=lambda: next(now) / 8)  # each look at it takes an eighth of a second
    monkeypatch.setattr(progress_bar, "time", clock)
    monkeypatch.setattr(progress_bar, "peak_memory", lambda device: 2560)
    _fit(tmp_path, RunProgress(interval=0), Scripted([0.25, 0.5]), Losses())
    shown = _refreshes(terminal)
    assert all("2.5 GiB" in text for text in shown if "images/s" in text)
    rates = [int(found[1].replace(",", "")) for text in shown if (found := re.search(r"([\d,]+) images/s", text))]
    assert rates[1:5] == [8, 8, 8, 8], "batches of one image, and a look at the clock with each"


def test_where_the_system_does_not_say_there_is_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _terminal(monkeypatch)
    monkeypatch.setattr(progress_bar, "peak_memory", lambda device: None)
    _fit(tmp_path, RunProgress(interval=0), Scripted())
    assert "images/s" in terminal.getvalue()
    assert "GiB" not in terminal.getvalue()

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from noisy_lightning.cli.main import main

# Everything that talks to another process stays on this machine.
os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")

SHARED_DATA = Path(__file__).parents[1].parent / "shared" / "data"


@pytest.fixture(autouse=True)
def _seedless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep one test's global seed from the next."""
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)


@pytest.fixture(autouse=True)
def _interruptible() -> None:
    """Have Ctrl-C reach the processes that a test starts.

    It would not where a shell started the tests in the background, or once Lightning was interrupted in this process.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Return a function that runs a command in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def command(*args: str) -> int:
        return main(list(args))

    return command


# A run of less than a second: two epochs of digits with a tiny network.
SMALL = (
    *("--data", "Digits", "--data.noise", "Symmetric", "--data.noise.rate", "0.4", "--data.batch_size", "256"),
    *("--model.backbone", "tests.networks.Plain", "--model.optimizer", "SGD", "--model.optimizer.lr", "0.1"),
    *("--trainer.max_epochs", "2", "--trainer.accelerator", "cpu", "--trainer.devices", "1"),
    *("--recorder.pictures", "false"),  # which take longer than the rest
)

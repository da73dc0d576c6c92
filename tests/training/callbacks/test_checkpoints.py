import math
import random
from pathlib import Path
from typing import Any, BinaryIO, final

import lightning as L
import numpy as np
import pytest
import torch

from noisy_lightning import checkpoint_file
from noisy_lightning.training.callbacks.checkpoints import (
    AtomicCheckpointIO,
    BestCheckpoint,
    LastCheckpoint,
    RandomState,
)
from tests.training.callbacks.scripted import BATCHES, Scripted, scripted_trainer

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),  # of Lightning, for its own loaders
]


def _epoch_in(checkpoint: Path) -> int:
    return int(torch.load(checkpoint, weights_only=True)["state_dict"]["epoch"])


@pytest.mark.parametrize(
    ("scores", "best"),
    [
        ([0.3, 0.5, 0.5, 0.4], 1),
        ([0.2, 0.2], 0),
        ([0.5, 0.4, 0.6], 2),
        ([0.0, 0.0], 0),  # a network that gets nothing right has a best epoch too
        ([math.nan, 0.1, math.nan], 1),
    ],
)
def test_the_first_of_the_best_epochs_is_kept(scores: list[float], best: int, tmp_path: Path) -> None:
    callback = BestCheckpoint(tmp_path)
    scripted_trainer(tmp_path, callback, epochs=len(scores)).fit(Scripted(scores))
    assert callback.epoch == best
    assert callback.score == pytest.approx(scores[best])
    assert _epoch_in(tmp_path / "best.ckpt") == best
    assert [path.name for path in tmp_path.iterdir()] == ["best.ckpt"]


def test_what_is_best_can_be_another_metric(tmp_path: Path) -> None:
    callback = BestCheckpoint(tmp_path, monitor="other")
    module = Scripted([0.9, 0.1])
    module.validation_step = lambda *_: module.log("other", float(module.current_epoch))  # type: ignore[method-assign]
    scripted_trainer(tmp_path, callback, epochs=2).fit(module)
    assert _epoch_in(tmp_path / "best.ckpt") == 1


@pytest.mark.parametrize(("losses", "best"), [([0.5, 0.2, 0.2, 0.4], 1), ([math.nan, 0.1, 0.05], 2)])
def test_of_losses_the_lowest_is_best(losses: list[float], best: int, tmp_path: Path) -> None:
    callback = BestCheckpoint(tmp_path, monitor="val/loss")
    module = Scripted(losses)
    module.validation_step = lambda *_: module.log("val/loss", torch.tensor(losses[module.current_epoch]))  # type: ignore[method-assign]
    scripted_trainer(tmp_path, callback, epochs=len(losses)).fit(module)
    assert callback.epoch == best
    assert callback.score == pytest.approx(losses[best])
    assert _epoch_in(tmp_path / "best.ckpt") == best


@pytest.mark.parametrize(("later", "best"), [([0.45, 0.5], 0), ([0.45, 0.6], 3)])
def test_a_resumed_run_compares_with_what_came_before(later: list[float], best: int, tmp_path: Path) -> None:
    scores = [0.5, 0.4, *later]
    scripted_trainer(tmp_path, BestCheckpoint(tmp_path), LastCheckpoint(tmp_path), epochs=2).fit(Scripted(scores))
    callback = BestCheckpoint(tmp_path)
    trainer = scripted_trainer(tmp_path, callback, LastCheckpoint(tmp_path), epochs=4)
    trainer.fit(Scripted(scores), ckpt_path=str(tmp_path / "last.ckpt"))
    assert callback.epoch == best
    assert callback.score == pytest.approx(scores[best])
    assert _epoch_in(tmp_path / "best.ckpt") == best
    assert _epoch_in(tmp_path / "last.ckpt") == 3


def test_only_training_chooses(tmp_path: Path) -> None:
    trainer = scripted_trainer(tmp_path, BestCheckpoint(tmp_path), epochs=1)
    trainer.validate(Scripted([0.5]), verbose=False)
    assert not list(tmp_path.iterdir())
    scripted_trainer(tmp_path, BestCheckpoint(tmp_path), epochs=0, num_sanity_val_steps=1).fit(Scripted([0.5]))
    assert not list(tmp_path.iterdir())


@final
class Watched(L.Callback):
    """Notes after how many batches the last checkpoint changed, and whether that was within an epoch."""

    def __init__(self, trainer: L.Trainer) -> None:
        self.saved: list[tuple[int, str]] = []
        save = trainer.save_checkpoint

        def watched(*arguments: Any, **options: Any) -> None:
            within = trainer.fit_loop.epoch_loop.batch_progress.current.ready
            at_end = "val/acc" in trainer.callback_metrics and within == trainer.num_training_batches
            self.saved.append((trainer.global_step, "end" if at_end else "within"))
            save(*arguments, **options)

        trainer.save_checkpoint = watched  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("every", "within"), [(0, []), (1, [1, 2, 3, 4, 5]), (2, [2, 4]), (3, [3]), (4, [4]), (BATCHES, []), (7, [])]
)
def test_the_last_checkpoint_comes_after_n_steps_and_after_validation(
    every: int, within: list[int], tmp_path: Path
) -> None:
    """Saved at an epoch's last batch, it would make a resumed run skip the validation."""
    trainer = scripted_trainer(tmp_path, LastCheckpoint(tmp_path, every), epochs=2)
    watched = Watched(trainer)
    trainer.fit(Scripted([0.1, 0.2]))
    expected = [(epoch * BATCHES + step, "within") for epoch in (0, 1) for step in within]
    expected += [(BATCHES, "end"), (2 * BATCHES, "end")]
    assert watched.saved == sorted(expected)
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]
    assert _epoch_in(tmp_path / "last.ckpt") == 1


def test_no_accumulated_gradient_is_lost_in_a_checkpoint(tmp_path: Path) -> None:
    trainer = scripted_trainer(tmp_path, LastCheckpoint(tmp_path, 1), epochs=1, accumulate_grad_batches=4)
    pending: list[bool] = []
    trainer.save_checkpoint = lambda *_, **__: pending.append(trainer.fit_loop._should_accumulate())  # type: ignore[method-assign]
    trainer.fit(Scripted())
    assert pending
    assert not any(pending)


def test_a_shortened_epoch_has_its_own_last_batch(tmp_path: Path) -> None:
    trainer = scripted_trainer(tmp_path, LastCheckpoint(tmp_path, 2), epochs=1, limit_train_batches=4)
    watched = Watched(trainer)
    trainer.fit(Scripted([0.1]))
    assert watched.saved == [(2, "within"), (4, "end")]


def test_the_last_checkpoint_resumes_and_the_best_holds_weights_only(tmp_path: Path) -> None:
    callbacks = BestCheckpoint(tmp_path), LastCheckpoint(tmp_path)
    scripted_trainer(tmp_path, *callbacks, epochs=1).fit(Scripted([0.1]))
    best, last = (torch.load(tmp_path / f"{name}.ckpt", weights_only=True) for name in ("best", "last"))
    assert best["state_dict"].keys() == last["state_dict"].keys()
    assert "optimizer_states" in last
    assert "optimizer_states" not in best


def test_a_failed_save_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "checkpoints" / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"epoch": 1}, path)
    old = path.read_bytes()

    def full_disk(checkpoint: dict[str, Any], target: BinaryIO) -> None:
        target.write(b"half a check")
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full_disk)
        with pytest.raises(OSError, match="No space left"):
            AtomicCheckpointIO().save_checkpoint({"epoch": 2, "state_dict": {}}, path)
    assert path.read_bytes() == old
    assert list(path.parent.iterdir()) == [path]
    AtomicCheckpointIO().save_checkpoint({"epoch": 2, "state_dict": {}}, str(path))
    assert AtomicCheckpointIO().load_checkpoint(path) == {"epoch": 2, "state_dict": {}}
    assert list(path.parent.iterdir()) == [path]


def test_a_checkpoint_is_staged_beside_its_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rename across file systems would be a copy, which a kill can cut in half."""
    staged: list[Path] = []
    write = checkpoint_file.write

    def watched(checkpoint: dict[str, Any], target: Path) -> None:
        staged.append(target)
        write(checkpoint, target)

    monkeypatch.setattr(checkpoint_file, "write", watched)
    AtomicCheckpointIO().save_checkpoint({}, tmp_path / "last.ckpt")
    assert [path.parent for path in staged] == [tmp_path]
    assert staged[0].name != "last.ckpt"


def _draw() -> list[float]:
    # Normal numbers come in pairs: the second one is part of the state.
    return [
        random.random(),
        random.gauss(0, 1),
        float(np.random.rand()),
        float(np.random.randn()),
        torch.rand(1).item(),
        torch.randn(1).item(),
    ]


def test_random_states_survive_a_checkpoint(tmp_path: Path) -> None:
    L.seed_everything(5, verbose=False)
    _draw()
    torch.save(RandomState().state_dict(), tmp_path / "state.pt")
    expected = [_draw() for _ in range(3)]
    L.seed_everything(6, verbose=False)
    _draw()
    RandomState().load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert [_draw() for _ in range(3)] == expected


def test_random_states_of_another_number_of_processes_are_left_aside() -> None:
    (state,) = RandomState().state_dict()["ranks"]
    L.seed_everything(7, verbose=False)
    expected = _draw()
    L.seed_everything(7, verbose=False)
    RandomState().load_state_dict({"ranks": [state, state]})
    assert _draw() == expected


def test_a_resumed_run_takes_up_its_random_states(tmp_path: Path) -> None:
    def fit(seed: int, **options: Any) -> list[float]:
        L.seed_everything(seed, verbose=False)
        scripted_trainer(tmp_path, RandomState(), LastCheckpoint(tmp_path), epochs=1).fit(Scripted(), **options)
        return _draw()

    expected = fit(8)
    assert fit(9, ckpt_path=str(tmp_path / "last.ckpt")) == expected
    assert fit(9) != expected

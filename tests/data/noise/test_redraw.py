"""Labels drawn anew for each epoch: a function of seed and epoch, seen alike by loader, method, recorder and reader."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from noisy_lightning.data import Digits, LabelNoise, NoNoise, PairFlip, PartDependent, Symmetric
from noisy_lightning.data.manifest import read_manifest
from noisy_lightning.errors import InputError
from noisy_lightning.figures.samples import loss_and_memorization
from noisy_lightning.runs.measures import measure
from noisy_lightning.runs.records import load
from tests.conftest import SMALL
from tests.fabricated import QUICK, fabricate
from tests.processes import ROOT


def digits(noise: LabelNoise | None = None, **arguments: Any) -> Digits:
    data = Digits(noise=noise or Symmetric(0.4), **{"redraw": "per_epoch", **arguments})
    data.setup("fit")
    return data


def served(data: Digits, epoch: int) -> Tensor:
    """Return the labels (N,) that the training loader gives out; -1 for what it does not."""
    loader, labels = data.train_dataloader(), torch.full((1437,), -1)
    loader.set_epoch(epoch)
    for batch in loader:
        labels[batch.index] = batch.label
        assert torch.equal(batch.true_label, data.true_labels[batch.index])
    return labels


@pytest.mark.parametrize("workers", [0, 2])
def test_the_loader_gives_out_the_labels_of_each_epoch(workers: int) -> None:
    data = digits(workers=workers)
    for epoch in (0, 1, 2, 1):
        labels, expected = served(data, epoch), data.epoch_labels(epoch)
        assert torch.equal(labels[data.train_indices], expected[data.train_indices])
        assert bool((labels[data.val_indices] == -1).all())


@pytest.mark.parametrize("noise", [Symmetric(0.4), PairFlip(0.3), PartDependent(0.4)])
def test_each_epoch_has_wrong_labels_of_its_own_at_the_same_rate(noise: LabelNoise) -> None:
    data = digits(noise)
    wrong = [data.epoch_labels(epoch) != data.true_labels for epoch in range(4)]
    rate, train = noise.nominal_rate, data.train_indices
    assert rate is not None
    for first in range(4):
        assert wrong[first][train].double().mean().item() == pytest.approx(rate, abs=5 * (rate / len(train)) ** 0.5)
        for second in range(first):
            both = (wrong[first] & wrong[second])[train].double().mean().item()
            # What is drawn independently coincides by chance; difficult images would not, and PartDependent has them.
            assert both < rate


def test_seed_and_epoch_decide_and_nothing_else() -> None:
    data, again, other = digits(), digits(), digits(seed=1)
    for epoch in (3, 1, 2, 3):
        assert torch.equal(data.epoch_labels(epoch), digits().epoch_labels(epoch))
    assert torch.equal(again.epoch_labels(3), data.epoch_labels(3))
    assert not torch.equal(other.epoch_labels(3), data.epoch_labels(3))


def test_the_first_epoch_has_the_labels_that_are_drawn_once() -> None:
    once, data = digits(redraw="once"), digits()
    assert torch.equal(once.labels, data.labels)
    assert once.noise_hash == data.noise_hash
    assert data.epoch_labels(0) is data.labels
    assert once.epoch_labels(7) is once.labels
    assert (once.noise_summary().redraw, data.noise_summary().redraw) == ("once", "per_epoch")


def test_validation_keeps_the_labels_of_the_first_draw() -> None:
    data = digits()
    index = data.val_indices
    assert torch.equal(data.epoch_labels(5)[index], data.labels[index])
    (loader,) = data.val_dataloader()
    loader.set_epoch(5)
    assert torch.equal(torch.cat([batch.label for batch in loader]), data.labels[index])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: digits(NoNoise()), "^data.redraw must be once: NoNoise would be the same in every epoch"),
        (lambda: digits(redraw="often"), "^data.redraw must be one of once, per_epoch, got 'often'$"),
        (lambda: digits(sampling="sqrt"), "^data.redraw per_epoch .* data.sampling must be natural$"),
    ],
)
def test_what_makes_no_sense_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_a_run_records_the_labels_of_each_epoch(run: Callable[..., int], tmp_path: Path) -> None:
    options = ("--data.redraw", "per_epoch", "--trainer.max_epochs", "3")
    assert run("fit", *SMALL, *options) == 0
    folder, data = tmp_path / "runs/default/0", digits(batch_size=256)
    summary, table = read_manifest(folder)
    assert (summary.redraw, summary.label_hash) == ("per_epoch", data.noise_hash)
    assert torch.equal(table.given_labels, data.labels)
    records = load(folder)
    assert records.epoch_labels is not None
    for epoch in range(3):
        labels = data.epoch_labels(epoch).numpy()
        np.testing.assert_array_equal(records.epoch_labels[epoch], labels)
        np.testing.assert_array_equal(records.is_clean[epoch], labels == data.true_labels.numpy())
        np.testing.assert_array_equal(records.is_noisy[epoch], labels != data.true_labels.numpy())
        expected = measure(records.epoch(epoch)._replace(labels=None), labels, data.true_labels.numpy())
        for name, value in expected.items():
            assert records.measures()[name][epoch] == pytest.approx(value, rel=1e-6)
    loss_and_memorization(records)


def test_measures_are_taken_against_the_labels_that_were_trained_on(run: Callable[..., int], tmp_path: Path) -> None:
    """What the recorder logged equals what a later reader computes, and confidences are those in the epoch's labels."""
    assert run("fit", *SMALL, "--data.redraw", "per_epoch", "--model.optimizer.lr", "0") == 0
    folder = tmp_path / "runs/default/0"
    records = load(folder)
    header, *rows = (line.split(",") for line in (folder / "metrics.csv").read_text().splitlines())
    for epoch, row in enumerate(rows):
        logged = dict(zip(header, row, strict=True))
        for name in ("acc", "acc_true", "loss_clean", "loss_noisy", "memorised"):
            assert float(logged[f"train/{name}"]) == pytest.approx(records.measures()[name][epoch], rel=1e-5)
    assert records.epoch_labels is not None
    # Nothing is learned, so that a sample's confidence changes just where its label does.
    seen = records.prediction[0] >= 0
    changed = records.epoch_labels[0] != records.epoch_labels[1]
    same = np.isclose(records.confidence[0], records.confidence[1], atol=1e-3)
    assert same[seen & ~changed].all()
    assert not same[seen & changed].all()


def test_a_resumed_run_has_the_same_labels(run: Callable[..., int], tmp_path: Path) -> None:
    options = (*SMALL, "--data.redraw", "per_epoch", "--trainer.max_epochs", "3", "--run.version")
    assert run("fit", *options, "whole") == 0
    assert run("fit", *options, "cut", "--trainer.max_epochs", "2") == 0
    checkpoint = str(tmp_path / "runs/default/cut/checkpoints/last.ckpt")
    assert run("fit", *options, "rest", "--ckpt_path", checkpoint) == 0
    whole, rest = load(tmp_path / "runs/default/whole"), load(tmp_path / "runs/default/rest")
    assert whole.epoch_labels is not None
    assert rest.epoch_labels is not None
    np.testing.assert_array_equal(whole.epoch_labels[-1], rest.epoch_labels[-1])
    np.testing.assert_array_equal(whole.loss[-1], rest.loss[-1])


@pytest.mark.parametrize("name", ["study0_ce", "study0_sce", "study0_sce_efficientnet_b3"])
def test_the_configurations_of_study_0_take_its_protocol(
    name: str, run: Callable[..., int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = ROOT / f"configs/{name}.yaml"
    fabricate(monkeypatch)
    assert run("noise", "--config", str(path)) == 0
    assert read_manifest(tmp_path / "noise" / name)[0].redraw == "per_epoch"
    assert "--data.redraw once" in path.read_text()
    assert run("noise", "--config", str(path), "--data.redraw", "once", "--out", "once") == 0
    assert read_manifest(tmp_path / "once")[0].redraw == "once"
    if name == "study0_ce":
        assert run("fit", "--config", str(path), *QUICK) == 0


@pytest.mark.parametrize("arguments", [{}, {"redraw": "once", "sampling": "oversample"}])
def test_a_run_that_overfits_keeps_samples_and_the_labels_of_the_first_epoch(arguments: dict[str, Any]) -> None:
    """It repeats a few batches to see whether they can be learned, which labels drawn anew never are."""
    data = digits(**arguments)
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    data.trainer = SimpleNamespace(overfit_batches=1.0, global_rank=0, world_size=1, strategy=strategy)  # type: ignore[assignment]
    for epoch in (0, 1):
        assert data.epoch_labels(epoch) is data.labels
        assert torch.equal(served(data, epoch)[data.train_indices], data.labels[data.train_indices])

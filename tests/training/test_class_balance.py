"""Classes of different sizes: weights against those of scikit-learn and torch, and what goes with which method."""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional as F

from noisy_lightning import Digits, ImageArrays, NoisyClassifier, methods
from noisy_lightning.data.loading.sampling import Sampling
from noisy_lightning.errors import InputError
from noisy_lightning.methods import Method
from noisy_lightning.runs.records import load
from noisy_lightning.training.class_balance import class_weights
from tests.conftest import SMALL
from tests.kill import Fall
from tests.networks import Plain

Run = Callable[..., int]
METHODS = sorted(name for name in methods.__all__ if name != "Method" and issubclass(getattr(methods, name), Method))
SAMPLINGS: tuple[Sampling, ...] = ("natural", "undersample", "oversample", "sqrt")


def _uneven(**arguments: Any) -> ImageArrays:
    """Return 46 images of three classes of 30, 12 and 4."""
    labels = np.repeat([0, 1, 2], [30, 12, 4])
    images = np.random.default_rng(0).integers(0, 256, (46, 8, 8), dtype=np.uint8)
    data = ImageArrays(images, labels, **{"batch_size": 46, "validation": "none", **arguments})
    data.setup("fit")
    return data


def _fitted(data: ImageArrays | Digits, folder: Path, **arguments: Any) -> NoisyClassifier:
    torch.manual_seed(0)
    arguments = {"backbone": Plain, "optimizer": partial(torch.optim.SGD, lr=0.5), **arguments}
    model = NoisyClassifier.for_data(data, **arguments)
    trainer = L.Trainer(
        max_epochs=1,
        limit_val_batches=0,
        default_root_dir=folder,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, datamodule=data)
    return model


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    data = _uneven()
    labels = data.labels[data.train_indices].numpy()
    expected = compute_class_weight("balanced", classes=np.unique(labels), y=labels)
    weights = class_weights("balanced", data.served_counts())
    np.testing.assert_allclose(weights.numpy(), expected, rtol=1e-6)
    assert class_weights("balanced", torch.tensor([6, 0, 2])).tolist() == pytest.approx([8 / 12, 0, 2])
    assert class_weights("balanced", _uneven(sampling="oversample").served_counts()).tolist() == [1, 1, 1]


@pytest.mark.parametrize("weights", ["balanced", [1, 2.5, 0.5]])
def test_weights_are_1_on_average_over_an_epoch(weights: Any) -> None:
    for sampling in SAMPLINGS:
        served = _uneven(sampling=sampling).served_counts()
        found = class_weights(weights, served)
        assert float((found * served).sum() / served.sum()) == pytest.approx(1)
        if isinstance(weights, list):
            assert (found / found[0]).tolist() == pytest.approx(weights)


@pytest.mark.parametrize("weights", ["balanced", [0.2, 1.0, 3.0]])
def test_a_step_on_all_samples_is_that_of_torch_with_the_same_weights(weights: Any, tmp_path: Path) -> None:
    """Torch divides by the sum of weights, which over all samples is their number."""
    data = _uneven()
    trained = _fitted(data, tmp_path, class_weights=weights)
    torch.manual_seed(0)
    by_torch = NoisyClassifier.for_data(data, backbone=Plain)
    batch = next(iter(data.training_part(0, augmented=False)))
    given = torch.tensor(weights) if isinstance(weights, list) else len(batch.label) / (3 * batch.label.bincount())
    F.cross_entropy(by_torch(batch.image), batch.label, weight=given).backward()
    for after, before in zip(trained.method.parameters(), by_torch.method.parameters(), strict=True):
        assert before.grad is not None
        torch.testing.assert_close(after, before - 0.5 * before.grad)


def test_losses_are_recorded_and_validated_unweighted(run: Run, tmp_path: Path) -> None:
    still = (*SMALL, "--model.optimizer.lr", "0", "--run.version")
    assert run("fit", *still, "plain") == 0
    assert run("fit", *still, "weighted", "--model.class_weights", "[1, 9, 1, 9, 1, 9, 1, 9, 1, 9]") == 0
    plain, weighted = (tmp_path / "runs/default" / name for name in ("plain", "weighted"))
    np.testing.assert_array_equal(load(plain).loss, load(weighted).loss)
    assert (plain / "metrics.csv").read_text() == (weighted / "metrics.csv").read_text()


def test_weights_come_of_what_is_trained_on(tmp_path: Path) -> None:
    """Not of what a selection leaves out, and after candidates have joined."""
    rows = ["index,select,candidate", *(f"{index},1,0" for index in range(20)), *(f"{index},0,1" for index in (30, 42))]
    path = tmp_path / "selection.csv"
    path.write_text("\n".join(rows) + "\n")
    data = _uneven(selection=path, batch_size=8)
    inner = partial(methods.INCVCoTeaching, noise_rate=0.2)
    found = _fitted(data, tmp_path, method=inner, class_weights="balanced").method.class_weights
    assert found is not None
    assert found.tolist() == pytest.approx([22 / (3 * 20), 22 / 3, 22 / 3])


@pytest.mark.parametrize("weights", [[1, 2], [1, 2, -1], [1, 2, math.nan], [0, 0, 0], "even"])
def test_what_are_no_weights_is_refused(weights: Any) -> None:
    with pytest.raises(InputError, match=r"^model.class_weights must be balanced or .*, got"):
        class_weights(weights, torch.tensor([3, 2, 1]))
    with pytest.raises(InputError, match=r"^model.class_weights must be balanced or 3 numbers"):
        class_weights([0, 0, 5], torch.tensor([3, 2, 0]))


def _steps(name: str, data: Digits, folder: Path, **arguments: Any) -> NoisyClassifier:
    return _fitted(data, folder, method=getattr(methods, name), **arguments)


@pytest.mark.parametrize("name", METHODS)
def test_what_a_method_does_not_go_with_is_refused_by_name(name: str, tmp_path: Path) -> None:
    method = getattr(methods, name)
    for sampling in set(SAMPLINGS) - set(method.samplings):
        with pytest.raises(
            InputError, match=f"^data.sampling {sampling} does not go with {name}, which .*: choose nat"
        ):
            _steps(name, Digits(sampling=sampling), tmp_path)
    if not method.weighs_classes:
        with pytest.raises(InputError, match=f"^model.class_weights does not go with {name}, whose .*leave it null"):
            _steps(name, Digits(), tmp_path, class_weights="balanced")


def test_classes_that_change_their_size_in_every_epoch_get_no_weights(run: Run, capsys: Any) -> None:
    assert run("fit", *SMALL, "--data.redraw", "per_epoch", "--model.class_weights", "balanced") == 2
    assert "class_weights needs classes that keep their size: data.redraw must be once" in capsys.readouterr().err


def test_weights_are_kept_with_the_model_but_not_needed_to_open_it(run: Run, tmp_path: Path) -> None:
    assert run("fit", *SMALL, "--model.class_weights", "[1, 9, 1, 9, 1, 9, 1, 9, 1, 9]") == 0
    checkpoint = tmp_path / "runs/default/0/checkpoints/last.ckpt"
    assert not any("class_weights" in name for name in torch.load(checkpoint, weights_only=True)["state_dict"])
    assert NoisyClassifier.load_from_checkpoint(checkpoint).class_weights == [1, 9] * 5
    assert run("test", "runs/default/0") == 0


BALANCED = ("--data.sampling", "undersample", "--run.version", "older")


def test_a_run_with_balanced_classes_of_an_older_version_is_continued_and_tested(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    longer = ("--trainer.max_epochs", "3", "--run.extend", "true")
    assert run("fit", *SMALL, *BALANCED) == 0
    config = tmp_path / "runs/default/older/config.yaml"
    text = config.read_text().replace("    sampling: undersample\n", "    balanced: true\n")
    config.write_text(text.replace("  class_weights: null\n", ""))
    assert "balanced: true" in config.read_text()
    assert "class_weights" not in config.read_text()
    capsys.readouterr()
    assert run("test", "runs/default/older") == 0
    assert run("fit", *SMALL, *BALANCED, *longer) == 0
    assert "continuing runs/default/older" in capsys.readouterr().out
    assert run("fit", *SMALL, "--run.version", "new", *BALANCED[:2], "--trainer.max_epochs", "3") == 0
    np.testing.assert_array_equal(load(config.parent).loss, load(tmp_path / "runs/default/new").loss)


@pytest.mark.parametrize("sampling", ["oversample", "sqrt"])
def test_a_run_of_repeated_samples_goes_on_in_mid_epoch_as_if_nothing_had_happened(
    sampling: str, run: Run, tmp_path: Path
) -> None:
    options = ("--data.sampling", sampling, "--model.class_weights", "[1, 9, 1, 9, 1, 9, 1, 9, 1, 9]")
    falls = ("--run.checkpoint_every_n_steps", "1", "--trainer.callbacks+=tests.kill.Fall", "--run.version", "fallen")
    assert run("fit", *SMALL, *options, "--run.version", "whole") == 0
    Fall.at = (1, 3)
    with pytest.raises(ZeroDivisionError):
        run("fit", *SMALL, *options, *falls)
    assert run("fit", *SMALL, *options, *falls) == 0
    whole, fallen = (tmp_path / "runs/default" / name for name in ("whole", "fallen"))
    states = [torch.load(path / "checkpoints/last.ckpt", weights_only=True)["state_dict"] for path in (whole, fallen)]
    for name, value in states[0].items():
        assert value.equal(states[1][name]), name
    for name in ("loss", "confidence", "prediction"):
        np.testing.assert_array_equal(getattr(load(whole), name), getattr(load(fallen), name))

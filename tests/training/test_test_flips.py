"""Logits averaged over an image and its mirror image, wherever the network is used and not while it is validated."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from noisy_lightning import Digits, load_run
from noisy_lightning.training.deployed import deployed
from tests.conftest import SMALL

Run = Callable[..., int]
FLIPS = ("--model.test_flips", "true")


def test_a_run_is_tested_predicted_with_and_exported_with_mirror_images(run: Run) -> None:
    assert run("fit", *SMALL, *FLIPS) == 0
    assert run("test", "runs/default/0") == 0
    opened = load_run("runs/default/0")
    data = Digits()
    data.setup("test")
    (loader,) = data.test_dataloader()
    right = []
    with torch.no_grad():
        for batch in loader:
            both = opened.model.method(batch.image), opened.model.method(batch.image.flip(3))
            mean = (both[0] + both[1]) / 2
            assert not mean.argmax(1).equal(both[0].argmax(1))
            right.append(mean.argmax(1) == batch.true_label)
            torch.testing.assert_close(opened.model(batch.image), mean)
    tested = json.loads(Path("runs/default/0/result.json").read_text())
    measured = {name: value for name, value in _numbers(tested) if name.endswith("test/acc")}
    assert torch.cat(right).double().mean().item() in [pytest.approx(value) for value in measured.values()]
    images = torch.randint(0, 256, (5, 1, 8, 8), dtype=torch.uint8)
    augmentation = data.augmentation
    seen = (images / 255 - torch.tensor(augmentation.mean)) / torch.tensor(augmentation.std)
    torch.testing.assert_close(deployed(opened)(images), opened.model(seen).softmax(1))


def test_validation_looks_at_the_image_alone(run: Run) -> None:
    for version, flags in (("plain", ()), ("flips", FLIPS)):
        assert run("fit", *SMALL, *flags, "--run.version", version) == 0
    plain, flips = (Path(f"runs/default/{version}/metrics.csv").read_text() for version in ("plain", "flips"))
    assert plain == flips


def _numbers(found: object, name: str = "") -> list[tuple[str, float]]:
    if isinstance(found, dict):
        return [one for key, value in found.items() for one in _numbers(value, f"{name}.{key}")]
    return [(name, float(found))] if isinstance(found, int | float) else []

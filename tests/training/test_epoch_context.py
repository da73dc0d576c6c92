from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from lightning import Trainer
from torch.optim import SGD

from noisy_lightning import ImageArrays, NoisyClassifier
from noisy_lightning.methods import CoTeaching, INCVCoTeaching, Method, MixFix
from noisy_lightning.training.epoch_context import epoch_context
from tests.networks import Plain

LABELS = [0, 0, 1, 1] * 10


def _module(uses_candidates: bool, candidate_indices: torch.Tensor | None) -> Any:
    data = SimpleNamespace(
        labels=torch.tensor([0, 1, 2, 0]),
        train_indices=torch.tensor([0, 2]),
        candidate_indices=candidate_indices,
        is_clean=torch.ones(4, dtype=torch.bool),
        estimated_noise_rate=0.25,
        epoch_labels=lambda epoch: torch.tensor([epoch, 1, 2, 0]),
    )
    method, trainer = (
        SimpleNamespace(uses_candidates=uses_candidates),
        SimpleNamespace(max_epochs=9, estimated_stepping_batches=90),
    )
    return SimpleNamespace(data=data, current_epoch=3, trainer=trainer, method=method)


def test_labels_are_those_of_the_epoch_and_of_the_training_part_alone() -> None:
    context = epoch_context(_module(False, None))
    assert (context.epoch, context.max_epochs, context.noise_rate) == (3, 9, 0.25)
    assert context.labels.tolist() == [3, -1, 2, -1]
    assert context.candidates is None


@pytest.mark.parametrize(
    ("method", "shares"), [(INCVCoTeaching, (3 / 4, 1 / 4)), (CoTeaching, (1 / 2, 0)), (MixFix, (1, 1 / 2))]
)
def test_a_method_that_uses_candidates_trains_on_them(
    method: Callable[..., Method], shares: tuple[float, float], tmp_path: Path
) -> None:
    lines = [f"{index},{label},{int(index % 2 == 0)},{int(index % 4 == 1)},0.3" for index, label in enumerate(LABELS)]
    (tmp_path / "selection.csv").write_text("\n".join(["index,y_noisy,select,candidate,eval_ratio", *lines]) + "\n")
    images = np.zeros((len(LABELS), 8, 8), np.uint8)
    chosen = tmp_path / "selection.csv"
    data = ImageArrays(images, LABELS, selection=chosen, val_fraction=0, batch_size=4, mean=[0.0], std=[1.0])
    arguments = {} if method is MixFix else {"warm_up": 1}
    model = NoisyClassifier.for_data(data, Plain, method=partial(method, **arguments), optimizer=partial(SGD, lr=0.1))
    quiet: dict[str, Any] = {
        "limit_val_batches": 0,
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    trainer = Trainer(max_epochs=1, accelerator="cpu", devices=1, enable_checkpointing=False, **quiet)
    trainer.fit(model, datamodule=data)
    of_all, beside = shares
    assert len(data.train_indices) == of_all * len(LABELS)
    candidates = epoch_context(model).candidates
    assert candidates is not None
    assert candidates.sum() == beside * len(LABELS)


@pytest.mark.parametrize(("uses", "expected"), [(True, [False, True, False, False]), (False, [False] * 4)])
def test_candidates_are_for_methods_that_use_them(uses: bool, expected: list[bool]) -> None:
    candidates = epoch_context(_module(uses, torch.tensor([1]))).candidates
    assert candidates is not None
    assert candidates.tolist() == expected

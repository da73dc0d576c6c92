from types import SimpleNamespace
from typing import Any

import pytest
import torch

from noisy_lightning.training.epoch_context import epoch_context


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


@pytest.mark.parametrize(("uses", "expected"), [(True, [False, True, False, False]), (False, [False] * 4)])
def test_candidates_are_for_methods_that_use_them(uses: bool, expected: list[bool]) -> None:
    candidates = epoch_context(_module(uses, torch.tensor([1]))).candidates
    assert candidates is not None
    assert candidates.tolist() == expected

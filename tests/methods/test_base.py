import logging
from typing import Any

import pytest
import torch
from torch import nn

from noisy_lightning import methods
from noisy_lightning.errors import InputError
from noisy_lightning.losses import CrossEntropy, RobustLoss, TruncatedGeneralizedCrossEntropy
from noisy_lightning.methods import EpochContext, Problem
from noisy_lightning.methods.base import warn_of_short_run
from tests.methods.toys import problem


def _problem(loss: RobustLoss) -> Problem:
    return Problem(nn.Identity, loss, num_classes=3, num_samples=10)


def test_a_loss_that_takes_soft_targets_is_let_through() -> None:
    _problem(CrossEntropy()).require_soft_targets()


def test_a_loss_that_takes_none_is_refused_by_name_and_with_its_reason() -> None:
    with pytest.raises(InputError, match=r"model\.loss: TruncatedGeneralizedCrossEntropy .* soft targets") as refusal:
        _problem(TruncatedGeneralizedCrossEntropy()).require_soft_targets()
    assert "\n" not in str(refusal.value)


def test_a_loss_of_the_users_own_that_fails_on_soft_targets_is_refused() -> None:
    class Hard(RobustLoss):
        def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            return logits.gather(1, target.unsqueeze(1)).squeeze(1)

    with pytest.raises(InputError, match=r"model\.loss: Hard does not go with this method"):
        _problem(Hard()).require_soft_targets()


def _context(epochs: int, steps_per_epoch: int | None = 10, batch_size: int = 128) -> EpochContext:
    """Return the start of a run; steps are None where its length is unknown."""
    labels = torch.zeros((steps_per_epoch or 10) * batch_size, dtype=torch.long)
    steps = epochs * steps_per_epoch if steps_per_epoch else 0
    return EpochContext(0, epochs, labels, lambda network, augmented=False, index=None, view=0: labels, max_steps=steps)


# For each argument, the shortest run in which it takes full effect, in epochs of 10 steps.
NEEDED: tuple[tuple[str, dict[str, Any], dict[str, int]], ...] = (
    ("CoTeaching", {"forget_rate": 0.4}, {"warm_up": 10}),
    ("JoCoR", {}, {"warm_up": 10}),
    ("CoTeachingPlus", {}, {"warm_up": 10, "start_epoch": 21}),
    ("INCVCoTeaching", {}, {"warm_up": 11, "candidates_from": 42}),
    ("Decoupling", {"warm_up_steps": 400}, {"warm_up_steps": 41}),
    ("StochasticLabelNoise", {"correction_epoch": 250}, {"momentum": 500, "correction_epoch": 251}),
    ("SelfEnsembleLabelCorrection", {}, {"correction_epoch": 31}),
    ("SelfAdaptiveTraining", {}, {"correction_epoch": 61}),
    ("SampleSelectionCORES", {}, {"ramp": 40, "sieve_from": 32}),
    ("DimensionalityDriven", {}, {"init_epoch": 46}),
    ("MentorNet", {}, {"dropout": 100}),
    ("MentorNet", {"dropout": "0.2,100"}, {}),
    ("SOP", {}, {"lr_u": 68, "lr_v": 68}),
    ("SOPPlus", {"lr_u": 100.0, "lr_v": 0.0}, {"lr_u": 13}),
    ("EarlyLearningRegularizationPlus", {}, {"ramp_steps": 4000}),
    ("DivideMix", {}, {"warm_up": 11, "ramp": 26}),
    ("DISC", {}, {"warm_up": 21}),
    ("PES", {}, {"warm_up": 38}),
    ("PESSemi", {}, {"warm_up": 26, "ramp": 41}),
    ("ForwardCorrection", {"warm_up": 120}, {"warm_up": 121}),
)


@pytest.mark.parametrize(("name", "arguments", "needed"), NEEDED)
def test_a_run_too_short_for_an_argument_says_so(
    name: str, arguments: dict[str, Any], needed: dict[str, int], caplog: pytest.LogCaptureFixture
) -> None:
    method = getattr(methods, name)(problem(), **arguments)
    with caplog.at_level(logging.WARNING):
        warn_of_short_run(method, _context(max(needed.values(), default=1)))
        assert not caplog.messages
        for epochs in {epochs - 1 for epochs in needed.values()} | ({1} if needed else set()):
            caplog.clear()
            warn_of_short_run(method, _context(epochs))
            (message,) = caplog.messages
            assert message.startswith(f"{name} is set for a longer run than this one of {epochs} epochs: ")
            for argument, epochs_needed in needed.items():
                said = f"model.method.{argument} needs {epochs_needed:,}" in message
                assert said == (epochs < epochs_needed), argument


@pytest.mark.parametrize(
    "name", [name for name in methods.__all__ if name not in ("EpochContext", "Method", "Problem")]
)
def test_a_run_of_unknown_length_warns_of_nothing(name: str, caplog: pytest.LogCaptureFixture) -> None:
    method = getattr(methods, name)(problem())
    warn_of_short_run(method, _context(-1, steps_per_epoch=None))
    assert not caplog.messages


def test_steps_of_an_epoch_are_those_of_the_run_by_its_epochs() -> None:
    assert _context(4).steps_per_epoch == 10
    assert _context(4, steps_per_epoch=None).steps_per_epoch == float("inf")

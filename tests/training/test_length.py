from typing import Any

import pytest
from torch import nn

from noisy_lightning import methods
from noisy_lightning.losses import CrossEntropy
from noisy_lightning.methods import Method, Problem
from noisy_lightning.training.length import why_length_matters

PROBLEM = Problem(lambda: nn.Linear(4, 3), CrossEntropy(), num_classes=3, num_samples=8)
COSINE = "torch.optim.lr_scheduler.CosineAnnealingLR"
CYCLE = "torch.optim.lr_scheduler.OneCycleLR"
STEP = {"class_path": "torch.optim.lr_scheduler.StepLR", "init_args": {"step_size": 2}}
STANDARD = methods.Standard(PROBLEM)
SWA = {"class_path": "lightning.pytorch.callbacks.StochasticWeightAveraging", "init_args": {"swa_lrs": 0.1}}


def _config(scheduler: Any = None, callbacks: Any = None) -> dict[str, Any]:
    return {"model": {"lr_scheduler": scheduler}, "trainer": {"callbacks": callbacks}}


def _sequence(*schedulers: Any) -> dict[str, Any]:
    kind = "noisy_lightning.training.schedules.SequentialLR"
    return _config({"class_path": kind, "init_args": {"schedulers": list(schedulers), "milestones": [2]}})


@pytest.mark.parametrize(
    ("config", "method", "reason"),
    [
        (_config({"class_path": COSINE, "init_args": {"T_max": 0}}), STANDARD, "T_max 0"),
        (_config({"class_path": "noisy_lightning.training.warmup_cosine.WarmupCosine"}), STANDARD, "WarmupCosine"),
        (_config({"class_path": CYCLE, "init_args": {"max_lr": 1, "total_steps": None}}), STANDARD, "total_steps"),
        (_sequence(STEP, {"class_path": COSINE, "init_args": {"T_max": 0}}), STANDARD, "T_max 0"),
        (_config(callbacks=[SWA]), STANDARD, "StochasticWeightAveraging"),
        (_config(), methods.BackwardCorrection(PROBLEM), "BackwardCorrection"),
        (_config(), methods.StochasticLabelNoise(PROBLEM, correction_epoch=2), "StochasticLabelNoise"),
        (_config({"class_path": COSINE, "init_args": {"T_max": 60}}), STANDARD, None),
        (_config({"class_path": CYCLE, "init_args": {"max_lr": 1, "total_steps": 9}}), STANDARD, None),
        (_config({"class_path": CYCLE, "init_args": {"epochs": 3, "steps_per_epoch": 3}}), STANDARD, None),
        (_sequence({"class_path": COSINE, "init_args": {"T_max": 0}}, STEP), STANDARD, None),
        (_sequence(), STANDARD, None),
        (_config(STEP), methods.CoTeaching(PROBLEM, 0.3), None),
        (_config(), methods.BackwardCorrection(PROBLEM, warm_up=2), None),
    ],
)
def test_the_reasons_for_which_the_length_of_a_run_matters(
    config: dict[str, Any], method: Method, reason: str | None
) -> None:
    reasons = why_length_matters(config, method)
    assert len(reasons) == (reason is not None)
    assert reason is None or reason in reasons[0]

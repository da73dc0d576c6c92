from typing import Any

import pytest
from torch import nn

from noisy_lightning import methods
from noisy_lightning.losses import CrossEntropy
from noisy_lightning.methods import Method, Problem
from noisy_lightning.training.length import why_length_matters

PROBLEM = Problem(lambda: nn.Linear(4, 3), CrossEntropy(), num_classes=3, num_samples=8)
COSINE = "torch.optim.lr_scheduler.CosineAnnealingLR"
SWA = {"class_path": "lightning.pytorch.callbacks.StochasticWeightAveraging", "init_args": {"swa_lrs": 0.1}}


def _config(scheduler: Any = None, callbacks: Any = None) -> dict[str, Any]:
    return {"model": {"lr_scheduler": scheduler}, "trainer": {"callbacks": callbacks}}


@pytest.mark.parametrize(
    ("config", "method", "reason"),
    [
        (_config({"class_path": COSINE, "init_args": {"T_max": 0}}), methods.Standard(PROBLEM), "T_max 0"),
        (_config(callbacks=[SWA]), methods.Standard(PROBLEM), "StochasticWeightAveraging"),
        (_config(), methods.BackwardCorrection(PROBLEM), "BackwardCorrection"),
        (_config(), methods.StochasticLabelNoise(PROBLEM, correction_epoch=2), "StochasticLabelNoise"),
        (_config({"class_path": COSINE, "init_args": {"T_max": 60}}), methods.Standard(PROBLEM), None),
        (_config({"class_path": "torch.optim.lr_scheduler.StepLR"}), methods.CoTeaching(PROBLEM, 0.3), None),
        (_config(), methods.BackwardCorrection(PROBLEM, warm_up=2), None),
    ],
)
def test_the_reasons_for_which_the_length_of_a_run_matters(
    config: dict[str, Any], method: Method, reason: str | None
) -> None:
    reasons = why_length_matters(config, method)
    assert len(reasons) == (reason is not None)
    assert reason is None or reason in reasons[0]

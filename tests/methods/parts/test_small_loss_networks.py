"""What Co-teaching, Co-teaching+ and JoCoR share."""

from typing import Any

import pytest
import torch
from torch import Tensor

from noisy_lightning.methods import CoTeaching, CoTeachingPlus, JoCoR
from noisy_lightning.methods.parts import forget_rate
from tests.methods.toys import BATCHES, N, context, points, problem, sample_weights, training

Kind = type[CoTeaching | CoTeachingPlus | JoCoR]
each_kind = pytest.mark.parametrize("kind", [CoTeaching, CoTeachingPlus, JoCoR])


@each_kind
def test_a_method_estimates_from_the_losses_that_it_records(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Tensor] = []

    def estimate(losses: Tensor) -> float:
        seen.append(losses)
        return 0.1 * len(seen)

    monkeypatch.setattr(forget_rate, "high_loss_share", estimate)
    torch.manual_seed(0)
    method = kind(problem())
    assert not method.oracle
    losses, before = torch.zeros(N, dtype=torch.float64), torch.zeros(N, dtype=torch.float64)
    for number, (epoch, index, step) in enumerate(training(method, 4)):
        if number % BATCHES == 0:
            before = losses.clone()
        assert method.scalars()["noise_rate"].item() == pytest.approx(0.1 * epoch)
        if epoch > 0:
            torch.testing.assert_close(seen[-1], before.float())
        losses[index] = step.losses.detach()
    assert len(seen) == 3


@each_kind
def test_a_method_that_is_given_the_rate_is_an_oracle(kind: Kind) -> None:
    method = kind(problem(), 0.2)
    assert method.oracle
    assert list(method.scalars()) == ["forget_rate"]
    assert not any("losses" in name for name in method.state_dict())


@each_kind
@pytest.mark.parametrize("size", [1, 2])
def test_a_last_batch_of_one_or_two_still_teaches(kind: Kind, size: int) -> None:
    method = kind(problem(), forget_rate=0.9, warm_up=0)
    method.on_epoch_start(context(0))
    images, labels = points()
    step = method.step(images[:size], labels[:size], torch.arange(size))
    assert step.loss.isfinite()
    assert sum(sample_weights(step)) == 1


@each_kind
@pytest.mark.parametrize("arguments", [{"forget_rate": 1.0}, {"warm_up": -1}, {"exponent": 0.0}])
def test_a_value_out_of_range_is_refused(kind: Kind, arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        kind(problem(), **arguments)

import logging

import pytest
import torch
from torch import Tensor

from noisy_lightning.methods.parts.forget_rate import ForgetRate
from noisy_lightning.methods.parts.noise_rate import high_loss_share

SIZE = 200
INDEX = torch.arange(SIZE)


def _losses(share: float) -> Tensor:
    """Return losses of which a share lies around 3 and the rest around 0."""
    return torch.where(share * SIZE > INDEX, 3.0, 0.0) + 0.1 * torch.sin(INDEX)


def test_a_given_rate_follows_its_schedule_whatever_the_losses() -> None:
    forgetting = ForgetRate(0.4, 3, 1.0, SIZE)
    rates = []
    for epoch in range(5):
        forgetting.update(epoch)
        forgetting.note(INDEX, _losses(0.9))
        rates.append(forgetting.scalars()["forget_rate"].item())
    assert rates == pytest.approx([0, 0.2, 0.4, 0.4, 0.4])
    assert list(forgetting.scalars()) == ["forget_rate"]


def test_an_estimate_is_of_the_epoch_before_and_stays_once_samples_are_left_out() -> None:
    forgetting = ForgetRate("estimate", 6, 1.0, SIZE)
    estimates, rates = [], []
    for epoch, share in enumerate((0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)):
        forgetting.update(epoch)
        forgetting.note(INDEX, _losses(share))
        estimates.append(forgetting.scalars()["noise_rate"].item())
        rates.append(forgetting.scalars()["forget_rate"].item())
    assert estimates == pytest.approx([0, 0.1, 0.2, 0.3, 0.3, 0.3, 0.3], abs=0.01)
    assert rates == pytest.approx([0, 0, 0, 0, 0.15, 0.3, 0.3], abs=0.01)


def test_without_a_warm_up_there_is_one_estimate() -> None:
    forgetting = ForgetRate("estimate", 0, 1.0, SIZE)
    rates = []
    for epoch, share in enumerate((0.1, 0.2, 0.3)):
        forgetting.update(epoch)
        forgetting.note(INDEX, _losses(share))
        rates.append(forgetting.scalars()["forget_rate"].item())
    assert rates == pytest.approx([0, 0.1, 0.1], abs=0.01)


def test_samples_not_seen_do_not_count() -> None:
    forgetting = ForgetRate("estimate", 5, 1.0, 3 * SIZE)
    forgetting.note(INDEX + SIZE, _losses(0.25))
    forgetting.update(1)
    assert forgetting.estimate.item() == pytest.approx(high_loss_share(_losses(0.25)) or 0)
    assert forgetting.state_dict()["losses.values"].isfinite().all()


@pytest.mark.parametrize(
    "losses", [torch.zeros(SIZE), _losses(0.3) * float("nan"), _losses(0.3)[:4]], ids=["constant", "NaN", "few"]
)
def test_losses_without_two_groups_leave_nothing_out_and_warn_once(
    losses: Tensor, caplog: pytest.LogCaptureFixture
) -> None:
    forgetting = ForgetRate("estimate", 3, 1.0, SIZE)
    with caplog.at_level(logging.WARNING):
        for epoch in range(6):
            forgetting.update(epoch)
            forgetting.note(INDEX[: len(losses)], losses)
            assert forgetting.remember_rate == 1
    assert len(caplog.messages) == 1
    assert "two groups" in caplog.text


def test_an_estimate_continues_from_a_saved_state() -> None:
    """In mid-epoch, too, where nothing announces an epoch's start."""
    saved = ForgetRate("estimate", 6, 1.0, SIZE)
    for epoch in range(3):
        saved.update(epoch)
        saved.note(INDEX, _losses(0.2 + 0.1 * epoch))
    loaded = ForgetRate("estimate", 6, 1.0, SIZE)
    loaded.load_state_dict(saved.state_dict())
    assert loaded.remember_rate.equal(saved.remember_rate)
    for forgetting in (saved, loaded):
        forgetting.update(3)
        forgetting.update(5)
    assert loaded.remember_rate.equal(saved.remember_rate)
    assert loaded.remember_rate.item() == pytest.approx(0.6, abs=0.01)


@pytest.mark.parametrize("values", [(1.0, 3, 1.0), (-0.1, 3, 1.0), ("estimate", -1, 1.0), ("estimate", 3, 0.0)])
def test_a_value_out_of_range_is_refused(values: tuple[float, int, float]) -> None:
    with pytest.raises(ValueError, match="must be in"):
        ForgetRate(*values, SIZE)

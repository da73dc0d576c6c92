import logging
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from noisy_lightning.errors import InputError
from noisy_lightning.methods import EpochContext
from noisy_lightning.methods.parts.forget_rate import ForgetRate
from noisy_lightning.methods.parts.held_out import self_check

K, SIZE = 4, 16000
INDEX = torch.arange(SIZE)
TRUE = INDEX % K
FIRST, SECOND = nn.Identity(), nn.Identity()


def _forgetting(warm_up: int, rate: Any = "estimate", exponent: float = 1.0) -> ForgetRate:
    return ForgetRate(rate, warm_up, exponent, SIZE, K)


def _labels(rate: float) -> Tensor:
    """Return given labels of which a share is wrong."""
    wrong = torch.rand(SIZE, generator=torch.Generator().manual_seed(5)) < rate
    return torch.where(wrong, (TRUE + 1) % K, TRUE)


def _logits(accuracy: float = 0.9) -> Tensor:
    """Return outputs that are right this often, and the surer, the more often."""
    random = torch.Generator().manual_seed(4)
    right = torch.rand(SIZE, generator=random) < accuracy
    height = torch.rand(SIZE, generator=random) * torch.where(right, 4, 2)
    classes = torch.where(right, TRUE, (TRUE + 2) % K)
    return nn.functional.one_hot(classes, K) * height[:, None]


def _context(epoch: int, labels: Tensor, logits: Tensor | None = None, max_epochs: int = 20) -> EpochContext:
    """Return the start of an epoch; without outputs, nothing may be predicted."""

    def predict(network: nn.Module, augmented: bool = False, index: Tensor | None = None, view: int = 0) -> Tensor:
        assert logits is not None
        assert index is not None
        assert not augmented
        forgetting = _forgetting(6)
        assert (forgetting.of_first if network is FIRST else forgetting.of_second).held_out[index].all()
        return logits[index]

    return EpochContext(epoch, max_epochs, labels, predict)


def _update(forgetting: ForgetRate, context: EpochContext, **arguments: Any) -> dict[str, float]:
    forgetting.update(context, FIRST, SECOND, **arguments)
    return {name: value.item() for name, value in forgetting.scalars().items()}


def test_a_given_rate_follows_its_schedule_and_all_learn_from_all() -> None:
    forgetting = _forgetting(3, 0.4)
    scalars = [_update(forgetting, _context(epoch, TRUE)) for epoch in range(5)]
    assert [values["forget_rate"] for values in scalars] == pytest.approx([0, 0.2, 0.4, 0.4, 0.4])
    assert list(scalars[0]) == ["forget_rate"]
    assert all(learned.all() for learned in forgetting.learned_by(INDEX))
    assert forgetting.least == 0


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.5])
def test_the_rate_is_estimated_once_by_labels_that_the_networks_have_not_seen(rate: float) -> None:
    forgetting, labels = _forgetting(5), _labels(rate)
    scalars = [_update(forgetting, _context(epoch, labels)) for epoch in range(3)]  # predicts nothing
    scalars += [_update(forgetting, _context(epoch, labels, _logits())) for epoch in (3, 4)]
    assert scalars == [{"forget_rate": 0}] * 5
    first, second = forgetting.learned_by(INDEX)
    assert (first | second).all()
    assert first.sum() == second.sum() == 3 * SIZE / 4
    assert forgetting.least > 0
    estimates = [_update(forgetting, _context(5, labels, _logits()))]
    estimates += [_update(forgetting, _context(epoch, labels)) for epoch in range(6, 10)]
    noise_rate, held_out = estimates[0]["noise_rate"], torch.cat([(~first).nonzero(), (~second).nonzero()]).flatten()
    assert noise_rate == pytest.approx(rate, abs=0.06)
    assert noise_rate == pytest.approx(self_check(_logits()[held_out].softmax(1), labels[held_out]).noise_rate)
    assert [values["forget_rate"] for values in estimates] == pytest.approx([noise_rate] * 5)
    assert all(learned.all() for learned in forgetting.learned_by(INDEX))


@pytest.mark.parametrize(
    ("warm_up", "max_epochs", "epoch"), [(0, 20, 1), (3, 20, 3), (10, 20, 10), (10, 5, 2), (10, 1, 1), (3, -1, 3)]
)
def test_it_is_estimated_after_the_warm_up_or_half_of_a_shorter_run(warm_up: int, max_epochs: int, epoch: int) -> None:
    forgetting = _forgetting(warm_up)
    for before in range(epoch):
        _update(forgetting, _context(before, TRUE, _logits(), max_epochs))
        assert forgetting.measuring
    _update(forgetting, _context(epoch, TRUE, _logits(), max_epochs))
    assert not forgetting.measuring


def test_only_samples_trained_on_and_among_those_asked_for_count() -> None:
    forgetting, labels = _forgetting(1), _labels(0.0)
    labels[::5] = -1
    labels[1::5] = (TRUE[1::5] + 1) % K
    scalars = _update(forgetting, _context(1, labels, _logits()), among=INDEX % 5 != 1)
    assert scalars["noise_rate"] == pytest.approx(0, abs=0.06)


def test_a_tenth_is_kept_whatever_is_estimated_and_weak_networks_are_said(caplog: pytest.LogCaptureFixture) -> None:
    forgetting = _forgetting(1)
    with caplog.at_level(logging.WARNING):
        scalars = _update(forgetting, _context(1, (TRUE + 3) % K, _logits()))
        assert scalars["noise_rate"] == pytest.approx(0.9)
        _update(forgetting, _context(2, TRUE))
    (message,) = caplog.messages
    assert message.startswith("do not rely on the estimated noise rate, ")
    assert "right on about 0 % of the images only" in message


def test_an_estimate_of_strong_networks_is_not_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    _update(_forgetting(1), _context(1, _labels(0.2), _logits(0.95)))
    assert not caplog.messages


def test_outputs_that_are_not_finite_are_refused_with_what_to_give_instead() -> None:
    broken = _logits()
    broken[::2] = float("nan")
    with pytest.raises(InputError, match=r"^model.method: the noise rate cannot be estimated, .* give the rate"):
        _update(_forgetting(1), _context(1, TRUE, broken))


def test_an_estimate_continues_from_a_saved_state() -> None:
    """In mid-epoch, too, where nothing announces an epoch's start; and from before the losses were left out of it."""
    saved, labels = _forgetting(3), _labels(0.3)
    for epoch in range(4):
        loaded = _forgetting(3)
        loaded.load_state_dict({**saved.state_dict(), "losses.values": torch.zeros(SIZE)})
        assert loaded.of_second.held_out.equal(saved.of_second.held_out)
        assert loaded.measuring == saved.measuring
        scalars = [_update(one, _context(epoch, labels, _logits())) for one in (saved, loaded)]
        assert scalars[0] == scalars[1]
    assert all(value.isfinite().all() for value in saved.state_dict().values())


@pytest.mark.parametrize("values", [(1.0, 3, 1.0), (-0.1, 3, 1.0), ("estimate", -1, 1.0), ("estimate", 3, 0.0)])
def test_a_value_out_of_range_is_refused(values: tuple[float, int, float]) -> None:
    with pytest.raises(ValueError, match="must be in"):
        ForgetRate(*values, SIZE, K)

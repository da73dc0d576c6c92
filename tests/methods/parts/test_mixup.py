import numpy as np
import pytest
import torch

from noisy_lightning.methods.parts.mixup import Mixup


def test_a_batch_is_mixed_as_one_whatever_its_parts() -> None:
    everyone = torch.tensor([7, 2, 9, 4, 0, 5])
    values = everyone[:, None].float()
    whole = Mixup(everyone, everyone, 1.0, np.random.default_rng(3))
    assert 0.5 < whole.share < 1
    assert whole.partner.sort().values.tolist() == list(range(6))
    expected = dict(zip(everyone.tolist(), whole.of(values).flatten().tolist(), strict=True))
    shuffled = torch.tensor([9, 7, 4, 5, 2, 0])  # the parts of two ranks, in another order
    for part in shuffled.split(3):
        mixup = Mixup(part, shuffled, 1.0, np.random.default_rng(3))
        mixed = mixup.of(shuffled[:, None].float()).flatten().tolist()
        assert mixed == [expected[i] for i in part.tolist()]


def test_the_share_is_drawn_from_beta_and_at_least_a_half() -> None:
    random = np.random.default_rng(0)
    one = torch.arange(1)
    for alpha, mean in ((1.0, 0.75), (8.0, 0.597)):  # of max(s, 1 − s)
        shares = [Mixup(one, one, alpha, random).share for _ in range(4000)]
        assert min(shares) >= 0.5
        assert sum(shares) / len(shares) == pytest.approx(mean, abs=0.01)

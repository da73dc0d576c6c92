import numpy as np
import pytest
import torch

from noisy_lightning.methods.parts.fmix import FMix, low_frequency_mask
from tests.reference.promix import fmix_mask


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 3), (3, 5), (1, 1), (1, 4)])
@pytest.mark.parametrize("decay", [3.0, 0.5])
def test_a_mask_is_that_of_the_formula(shape: tuple[int, int], decay: float) -> None:
    for seed in range(4):
        mask = low_frequency_mask(0.37, shape, np.random.default_rng(seed), decay)
        random = np.random.default_rng(seed)
        real, imaginary = random.standard_normal((2, shape[0], shape[1] // 2 + 1))
        expected = fmix_mask(0.37, real, imaginary, decay, *shape, up=random.random() > 0.5)
        assert mask.astype(int).tolist() == expected


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_a_mask_covers_the_share_of_the_area(share: float) -> None:
    assert low_frequency_mask(share, (8, 8), np.random.default_rng(0)).mean() == share


def test_a_share_between_two_pixels_is_rounded_up_and_down() -> None:
    random = np.random.default_rng(0)
    areas = [int(low_frequency_mask(0.405, (5, 2), random).sum()) for _ in range(200)]
    assert set(areas) == {4, 5}
    assert sum(area == 5 for area in areas) == pytest.approx(100, abs=35)


def test_regions_are_smooth_and_of_no_direction() -> None:
    # Each border between a true and a false pixel, along rows and along columns, over many masks.
    random = np.random.default_rng(0)
    masks = [low_frequency_mask(0.5, (32, 32), random) for _ in range(200)]
    across, down = (np.mean([np.diff(mask, axis=axis).mean() for mask in masks]) for axis in (0, 1))
    assert across < 0.1  # it is 0.5 for independent pixels
    assert across / down == pytest.approx(1, abs=0.2)


def test_images_are_cut_together_by_one_mask() -> None:
    images = torch.arange(4.0).view(4, 1, 1, 1).expand(4, 2, 6, 6)
    index = torch.tensor([7, 3, 5, 9])
    mix = FMix(index, index, (6, 6), 1.0, np.random.default_rng(2))
    mixed = mix.of(images)
    assert 0 < mix.mask.sum() < 36
    for i in range(4):
        assert mixed[i, :, mix.mask].unique().tolist() == [i]
        assert mixed[i, :, ~mix.mask].unique().tolist() == [int(mix.partner[i])]
    assert sorted(mix.partner.tolist()) == [0, 1, 2, 3]


def test_parts_of_a_batch_are_mixed_as_the_whole() -> None:
    images = torch.randn(5, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    index = torch.tensor([4, 0, 8, 2, 6])
    whole = FMix(index, index, (4, 4), 1.0, np.random.default_rng(1)).of(images)
    parts = [FMix(part, index, (4, 4), 1.0, np.random.default_rng(1)).of(images) for part in (index[:2], index[2:])]
    assert torch.cat(parts).equal(whole)


def test_a_share_is_not_folded() -> None:
    index = torch.arange(3)
    shares = [FMix(index, index, (2, 2), 1.0, np.random.default_rng(seed)).share for seed in range(40)]
    assert min(shares) < 0.2
    assert max(shares) > 0.8

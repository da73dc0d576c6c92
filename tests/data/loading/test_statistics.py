"""Mean and standard deviation per channel, as numpy measures them."""

import numpy as np
import pytest
import torch

from noisy_lightning.data.loading.statistics import channel_statistics, measure

IMAGES = torch.randint(0, 256, (70, 5, 4, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("usable", [torch.arange(70), torch.tensor([3]), torch.arange(0, 70, 2)])
def test_they_are_those_of_the_usable_images(usable: torch.Tensor) -> None:
    mean, std = channel_statistics(IMAGES, usable)
    values = IMAGES[usable].numpy() / 255
    assert mean == np.round(values.mean((0, 1, 2)), 4).tolist()
    assert std == np.round(values.std((0, 1, 2)), 4).tolist()


def test_a_thousand_images_are_enough() -> None:
    levels = torch.arange(4000, dtype=torch.int64) % 250
    images = levels.to(torch.uint8).view(4000, 1, 1, 1)
    chosen = torch.linspace(0, 3999, 1000).round().long()
    mean, std = channel_statistics(images, torch.arange(4000))
    assert mean == [round((levels[chosen].double() / 255).mean().item(), 4)]
    assert std == [round((levels[chosen].double() / 255).std(correction=0).item(), 4)]


def test_images_of_one_color_can_be_divided_by_their_deviation() -> None:
    assert channel_statistics(torch.full((3, 2, 2, 1), 51, dtype=torch.uint8), torch.arange(3)) == ([0.2], [0.0039])


def test_what_is_asked_for_is_returned() -> None:
    mean, std = channel_statistics(IMAGES, torch.arange(70))
    assert measure(["mean", "std"], IMAGES, torch.arange(70)) == {"mean": mean, "std": std}
    assert measure(["std"], IMAGES, torch.arange(70)) == {"std": std}

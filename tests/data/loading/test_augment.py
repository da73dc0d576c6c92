import numpy as np
import pytest
import torch

from noisy_lightning.data.loading.augment import Augmentation, WindowStore, seeded_generator

MEAN, STD = (0.2, 0.5, 0.7), (0.3, 0.4, 0.5)


def _images(count: int, channels: int = 3) -> torch.Tensor:
    return torch.randint(0, 256, (count, 6, 5, channels), dtype=torch.uint8, generator=seeded_generator("test", 1))


def _reference(image: np.ndarray, a: Augmentation, offset: int) -> np.ndarray:
    """Pad, mirror, crop and normalize one image (H, W, C) in loops; return (C, H, W)."""
    mirrored, inside = divmod(offset, a.rows * a.columns)
    top, left = divmod(inside, a.columns)
    height, width, channels = image.shape
    result = np.zeros((channels, height, width))
    for row in range(height):
        for column in range(width):
            y, x = row + top - a.padding, column + left - a.padding
            for channel in range(channels):
                value = 0.0
                if 0 <= y < height and 0 <= x < width:
                    value = image[y, width - 1 - x if mirrored else x, channel] / 255
                result[channel, row, column] = (value - a.mean[channel]) / a.std[channel]
    return result


@pytest.mark.parametrize("padding", [0, 2])
@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_each_sample_is_cropped_mirrored_and_normalized_on_its_own(padding: int, flip: bool, channels: int) -> None:
    images = _images(40, channels)
    a = Augmentation(6, 5, MEAN[:channels], STD[:channels], padding, flip)
    offsets = a.random_offsets(40, seeded_generator("test", 2))
    slots = torch.randperm(40, generator=seeded_generator("test", 3))
    batch = WindowStore(images, a).read(slots, offsets[slots])
    for position, slot in enumerate(slots.tolist()):
        expected = _reference(images[slot].numpy(), a, int(offsets[slot]))
        np.testing.assert_allclose(batch[position].numpy(), expected, atol=1e-5)
    assert batch.is_contiguous(memory_format=torch.channels_last)


def test_a_centerd_window_is_the_image_itself() -> None:
    images = _images(10)
    a = Augmentation(6, 5, MEAN, STD, padding=2, flip=True)
    batch = WindowStore(images, a).read(torch.arange(10), a.center_offsets(10))
    plain = (images.permute(0, 3, 1, 2) / 255 - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(
        1, 3, 1, 1
    )
    torch.testing.assert_close(batch, plain, atol=1e-5, rtol=0)


def test_every_shift_and_both_mirrorings_are_equally_likely() -> None:
    a = Augmentation(6, 5, MEAN, STD, padding=1, flip=True)
    count = 18_000
    counts = a.random_offsets(count, seeded_generator("test", 0)).unique(return_counts=True)[1].double()
    assert len(counts) == 18
    assert ((counts - count / 18).abs() < 5 * (count / 18) ** 0.5).all()


def test_the_memory_of_a_store_is_known_before_it_is_made() -> None:
    images, a = _images(7), Augmentation(6, 5, MEAN, STD, padding=2, flip=True)
    assert WindowStore.nbytes(images, a) == (7 * 2 * 10 * 9 + 4) * 3 == len(WindowStore(images, a)._pixels)


def test_a_generator_depends_on_its_whole_key() -> None:
    keys = [("a", 0), ("b", 0), ("a", 1), ("a", 0, 0), ("a", 0, 1), ("a", 1, 0)]
    draws = {torch.rand(1, generator=seeded_generator(*key)).item() for key in keys}  # type: ignore[arg-type]
    assert len(draws) == len(keys)
    assert torch.rand(1, generator=seeded_generator("a", 3)) == torch.rand(1, generator=seeded_generator("a", 3))


def test_a_larger_image_is_cropped_from_its_own_pixels() -> None:
    images = torch.randint(1, 256, (5, 8, 9, 3), dtype=torch.uint8, generator=seeded_generator("test", 3))
    augmentation = Augmentation(4, 5, (0.0,) * 3, (1 / 255,) * 3, padding=2, flip=True)
    store = WindowStore(images, augmentation)
    plain = store.read(torch.arange(5), augmentation.center_offsets(5))
    assert plain.equal(images[:, 2:6, 2:7].permute(0, 3, 1, 2).float())
    slot = torch.arange(5).repeat(40)
    offsets = torch.cat([augmentation.random_offsets(5, seeded_generator("draw", draw)) for draw in range(40)])
    both = torch.stack([images, images.flip(2)], 1)
    windows = both.unfold(2, 4, 1).unfold(3, 5, 1).flatten(1, 3).permute(0, 1, 3, 4, 2).permute(0, 1, 4, 2, 3)
    for crop, image in zip(store.read(slot, offsets), slot.tolist(), strict=True):
        assert (crop == windows[image]).flatten(1).all(1).any()

import hashlib

import torch

from noisy_lightning.data.loading.augment import uniforms


def test_numbers_are_uniform_and_independent() -> None:
    numbers = uniforms("test", (1, 2), torch.arange(20_000), 5)
    assert numbers.dtype == torch.float64
    assert numbers.min() >= 0
    assert numbers.max() < 1
    counts = (numbers * 20).long().flatten().bincount(minlength=20)
    assert ((counts - 5000).abs() < 5 * 5000**0.5).all()
    # Neither neighbors in a row, nor rows that follow each other, nor bits.
    flat = numbers.flatten() - 0.5
    for apart in (1, 2, 5, 10):
        assert abs((flat[apart:] * flat[:-apart]).mean() * 12) < 5 / len(flat) ** 0.5
    bits = (numbers[:, 0] * 2**24).long()[:, None] >> torch.arange(24) & 1
    assert ((bits.double().mean(0) - 0.5).abs() < 5 * 0.5 / 20_000**0.5).all()


def test_a_number_depends_on_key_and_index_alone() -> None:
    index = torch.tensor([7, 3, 1_000_000_007])
    numbers = uniforms("test", (0, 5), index, 4)
    assert numbers.equal(uniforms("test", [0, 5], index.flip(0), 4).flip(0))
    assert not numbers.equal(uniforms("test", (0, 6), index, 4))
    assert not numbers.equal(uniforms("other", (0, 5), index, 4))
    assert uniforms("test", (0, 5), index, 0).shape == (3, 0)


def test_it_is_split_mix() -> None:
    """Of seed 1234567, as its authors' code gives them; here the first state is that of the counter one step on."""

    def reference(state: int) -> int:
        z = state & (1 << 64) - 1
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & (1 << 64) - 1
        z = (z ^ z >> 27) * 0x94D049BB133111EB & (1 << 64) - 1
        return z ^ z >> 31

    golden = 0x9E3779B97F4A7C15
    assert [reference(1234567 + step * golden) for step in (1, 2, 3)] == [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
    ]
    start = int.from_bytes(hashlib.sha256(repr(("test", (3,))).encode()).digest()[:8], "little", signed=True)
    ours = uniforms("test", (3,), torch.tensor([0, 4]), 2)
    expected = [[reference(start + (index * 2 + column) * golden) >> 11 for column in range(2)] for index in (0, 4)]
    assert (ours * 2**53).long().tolist() == expected

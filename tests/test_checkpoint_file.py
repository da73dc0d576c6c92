import errno
import random
from pathlib import Path
from typing import Any

import pytest
import torch

from noisy_lightning import checkpoint_file
from noisy_lightning.errors import InputError

CONTENT: dict[str, Any] = {"state_dict": {"weight": torch.arange(60.0)}, "epoch": 3, "hyper_parameters": {"lr": 0.1}}


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / "last.ckpt"
    checkpoint_file.write(CONTENT, path)
    return path


def test_what_was_written_is_read_by_us_and_by_torch(checkpoint: Path) -> None:
    for content in (checkpoint_file.read(checkpoint), torch.load(checkpoint, weights_only=True)):
        assert content["state_dict"]["weight"].equal(CONTENT["state_dict"]["weight"])
        assert (content["epoch"], content["hyper_parameters"]) == (3, {"lr": 0.1})


@pytest.mark.parametrize("flips", [1, 2, 5, 20])
def test_flipped_bits_are_found_wherever_they_are(flips: int, checkpoint: Path) -> None:
    sound, draw = checkpoint.read_bytes(), random.Random(flips)
    for _ in range(60):
        damaged = bytearray(sound)
        for bit in draw.sample(range(8 * len(sound)), flips):
            damaged[bit // 8] ^= 1 << bit % 8
        checkpoint.write_bytes(damaged)
        with pytest.raises(InputError, match=r"last\.ckpt is damaged"):
            checkpoint_file.read(checkpoint)


def test_a_file_that_was_cut_off_is_refused_wherever_it_ends(checkpoint: Path) -> None:
    sound = checkpoint.read_bytes()
    for length in [*range(0, len(sound), 61), len(sound) - 1]:
        checkpoint.write_bytes(sound[:length])
        with pytest.raises(InputError, match=r"cut off|empty|no file that torch writes"):
            checkpoint_file.read(checkpoint)


def test_a_checkpoint_without_a_checksum_is_read_and_its_parts_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "older.ckpt"
    torch.save(CONTENT, path)
    assert checkpoint_file.read(path)["epoch"] == 3
    content = bytearray(path.read_bytes())
    content[content.index(CONTENT["state_dict"]["weight"].numpy().tobytes()) + 7] ^= 4
    path.write_bytes(content)
    assert torch.load(path, weights_only=True)["epoch"] == 3  # torch itself takes it
    with pytest.raises(InputError, match=r"its part .* is damaged"):
        checkpoint_file.read(path)


class Harmful:
    def __reduce__(self) -> Any:
        return print, ("this runs",)


@pytest.mark.parametrize("content", [{**CONTENT, "more": Harmful()}, {**CONTENT, "more": Path("x")}])
def test_objects_are_not_loaded(content: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint_file.write(content, tmp_path / "x.ckpt")
    with pytest.raises(InputError, match="more than tensors and plain data"):
        checkpoint_file.read(tmp_path / "x.ckpt")
    assert not capsys.readouterr().out


@pytest.mark.parametrize("content", [[1], {"epoch": 1}, {"state_dict": {}}, {"state_dict": 1, "epoch": 1}])
def test_what_is_no_checkpoint_is_refused(content: object, tmp_path: Path) -> None:
    checkpoint_file.write(content, tmp_path / "x.ckpt")
    with pytest.raises(InputError, match="is no checkpoint of a run"):
        checkpoint_file.read(tmp_path / "x.ckpt")


@pytest.mark.parametrize("values", [60, 300_000])
def test_a_full_disk_is_called_so(values: int) -> None:
    """Torch says "unexpected pos 64 vs 0" instead."""
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full to stand for a full disk")
    with pytest.raises(OSError, match="No space left") as caught:
        checkpoint_file.write({"state_dict": {"weight": torch.zeros(values)}}, Path("/dev/full"))
    assert caught.value.errno == errno.ENOSPC

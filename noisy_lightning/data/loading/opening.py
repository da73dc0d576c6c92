"""Opening an image file with Pillow, and with pillow-heif where it is one of HEIC, which Pillow does not know."""

import io
from collections.abc import Collection
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from PIL import Image, UnidentifiedImageError

HEIC_SUFFIXES = (".heic", ".heif", ".hif")
"""What the name of an image ends in that only pillow-heif reads, in small letters."""
HEIC_EXTRA = "pip install 'noisy_lightning[heic]'"
SUFFIXES = (
    *(".avif", ".bmp", ".gif", ".ico", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".jpx"),
    *(".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"),
    *HEIC_SUFFIXES,
)
"""What an image file's name ends in, in small letters."""
_HEVC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx")  # ISO/IEC 23008-12, annex B
_HEAD = 128  # bytes in which the brands of a file stand


def open_image(file: Path | io.BytesIO) -> Image.Image:
    """Return a picture whose pixels have not been read, whatever the file is called: its content says what it is.

    Works in any process: pillow-heif is registered when the first file of HEIC is met.

    Args:
        file: Its path, or its content.

    Raises:
        UnidentifiedImageError: It is no image of a known kind.
        ValueError: It is HEIC, and pillow-heif is not installed.
    """
    try:
        return Image.open(file)
    except UnidentifiedImageError:
        if not _is_heic(file):
            raise
    if not reads_heic():
        raise ValueError(f"it is HEIC, which needs {HEIC_EXTRA}")
    _register()
    return Image.open(file)


def reads_heic() -> bool:
    """Return whether pillow-heif is installed."""
    return find_spec("pillow_heif") is not None


def unread_heic(names: Collection[str]) -> list[str]:
    """Return those of the paths that only pillow-heif reads, where it is not installed."""
    return [] if reads_heic() else [name for name in names if name.lower().endswith(HEIC_SUFFIXES)]


def _is_heic(file: Path | io.BytesIO) -> bool:
    if isinstance(file, Path):
        with file.open("rb") as content:
            head = content.read(_HEAD)
    else:
        head = file.getvalue()[:_HEAD]
    brands = head[8 : int.from_bytes(head[:4])]
    return head[4:8] == b"ftyp" and any(brands[place : place + 4] in _HEVC for place in range(0, len(brands), 4))


@cache
def _register() -> None:
    import pillow_heif  # noqa: PLC0415  # most users have no file of it

    pillow_heif.register_heif_opener()

"""A machine on which the extra heic is not installed."""

import pytest
from PIL import Image

from noisy_lightning.data.loading import opening

HEIC = b"\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf"
"""How a file of HEIC begins."""


def forget_heic(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have pillow-heif neither found nor registered for the length of a test."""
    monkeypatch.setattr(opening, "find_spec", lambda name: None)
    Image.init()  # now, or the kinds that it registers later would be forgotten with the test
    monkeypatch.setattr(Image, "OPEN", {kind: one for kind, one in Image.OPEN.items() if kind != "HEIF"})
    monkeypatch.setattr(Image, "ID", [kind for kind in Image.ID if kind != "HEIF"])

"""The whole audit, on data sets of every kind."""

import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from noisy_lightning.data import FromDataset, ImageArrays, ImageFolder, ImageTable
from noisy_lightning.data.audit.audit import audit
from noisy_lightning.data.sets.image_files import ImageFiles
from tests.data.audit.pictures import encoded, photographs

COPIED = photographs(60)
COPIED[7] = COPIED[3]
COPIED[8] = encoded(COPIED[4])
COPIED[9] = 0
TEST = photographs(20, seed=1)
TEST[5], TEST[6] = COPIED[20], encoded(COPIED[21])
LABELS = np.arange(60) % 3


def found(data: Any, **more: Any) -> dict[str, list[tuple[int, ...]]]:
    data.setup("fit")
    return {one.kind: list(one.members) for one in audit(data, **more)}


def test_what_is_planted_is_found_with_conflicts_first_and_leaks_next() -> None:
    data = ImageArrays(COPIED, LABELS, test=(TEST, np.arange(20) % 3))
    expected = {
        "exact duplicates": [(3, 7), (20, -6)],
        "near duplicates": [(4, 8), (21, -7)],
        "nearly constant images": [(9,)],
        "dark images": [],
        "bright images": [],
        "blurred images": [],
        "images of little information": [],
    }
    assert found(data) == expected
    untested = found(ImageArrays(COPIED, LABELS))
    assert untested == expected | {"exact duplicates": [(3, 7)], "near duplicates": [(4, 8)]}


def test_features_take_the_place_of_the_hash_in_the_training_set() -> None:
    random = np.random.default_rng(0)
    features = random.normal(0, 0.2, (60, 2, 16)).astype(np.float16)
    features[:, :, 0] += 3 * (np.arange(60)[:, None] % 2)
    features[31] = features[30]
    features[44] = 0
    features[44, :, 5] = -20
    data = ImageArrays(COPIED, LABELS, test=(TEST, np.arange(20) % 3))
    kinds = found(data, features=features)
    assert kinds["exact duplicates"] == [(3, 7), (20, -6)]
    assert kinds["near duplicates"] == [(30, 31)]
    assert kinds["near duplicates of test images"] == [(21, -7)]
    assert kinds["outliers"][0] == (44,)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Write PNG files of the pictures, a broken one, a tiny one and a table of them."""
    lines = ["path,label,split"]
    for name, pictures in (("train", COPIED), ("test", TEST)):
        (tmp_path / name).mkdir()
        for at, picture in enumerate(pictures):
            Image.fromarray(picture).save(tmp_path / name / f"{at}.png")
            lines.append(f"{name}/{at}.png,{at % 3},{name}")
    Image.new("L", (5, 4)).save(tmp_path / "train" / "11.png")
    Image.fromarray(photographs(1, side=96)[0, :32]).save(tmp_path / "train" / "12.png")
    (tmp_path / "train" / "13.png").write_bytes(b"broken")
    (tmp_path / "table.csv").write_text("\n".join(lines))
    return tmp_path / "table.csv"


@pytest.mark.parametrize("gib", [8.0, 0.0])
def test_files_are_found_by_position_whether_kept_or_decoded_late(
    gib: float, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = ImageTable(table, image_size=32, broken="skip", cache_gib=gib, validation="none")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data.setup()
    read: Counter[int] = Counter()
    monkeypatch.setattr(
        ImageFiles,
        "decoded",
        lambda self, at, real=ImageFiles.decoded: (read.update([len(self) * 1000 + at]), real(self, at))[1],
    )
    kinds = {one.kind: list(one.members) for one in audit(data)}
    assert kinds["exact duplicates"] == [(3, 7), (9, 11), (20, -6)]
    assert kinds["near duplicates"] == [(4, 8), (21, -7)]
    assert kinds["nearly constant images"] == [(9,), (11,)]
    assert kinds["tiny images"] == [(11,)]
    assert kinds["images of odd shape"] == [(12,)]
    assert data.train_names[20] == "train/20.png"
    assert data.test_names is not None
    assert data.test_names[5] == "test/5.png"
    assert (len(read), set(read.values())) == ((79, {1}) if gib == 0 else (0, set())), "each file is decoded once"


def test_a_folder_and_a_data_set_without_test_images_are_audited(tmp_path: Path) -> None:
    for label in (0, 1):
        (tmp_path / str(label)).mkdir()
        for at, picture in enumerate(COPIED[:20]):
            if at % 2 == label:
                Image.fromarray(picture).save(tmp_path / str(label) / f"{at:02}.png")
    folder = ImageFolder(tmp_path, image_size=32)
    assert folder.test_names is None
    kinds = found(folder)
    names = [[folder.train_names[at] for at in group] for group in kinds["exact duplicates"]]
    assert names == [["1/03.png", "1/07.png"]]
    items = FromDataset([(Image.fromarray(picture), at % 2) for at, picture in enumerate(COPIED)], cache_gib=0)
    assert items.test_names is None
    assert found(items)["exact duplicates"] == [(3, 7)]

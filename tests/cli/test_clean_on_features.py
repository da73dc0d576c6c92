"""clean, doctor and noise on photographs that a frozen network has looked at."""

import csv
import json
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from noisy_lightning.data.sets.feature_cache import FeatureCache
from noisy_lightning.selectors import linear_probe
from noisy_lightning.selectors.folds import stratified_folds

Run = Callable[..., int]
LOOKS = ("--data.network.image_size", "32", "--data.views", "1", "--data.stages", "2")


def _color(channel: int, generator: np.random.Generator) -> Image.Image:
    """Return a noisy picture of one color."""
    pixels = generator.integers(0, 60, (24, 24, 3))
    pixels[..., channel] += 150
    return Image.fromarray(pixels.astype(np.uint8))


def _content(path: str) -> int:
    """Return which color a photograph really has."""
    return 50 % 3 if path.endswith("copy.png") else int(Path(path).stem) % 3


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Return a folder of three colors: six photographs in the wrong place, copies, a broken file."""
    generator, root = np.random.default_rng(0), tmp_path / "photographs"
    for number in range(90):
        label = number % 3
        place = (label + 1) % 3 if number < 6 else label
        path = root / f"train/{'rgb'[place]}/{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        _color(label, generator).save(path)
    (root / "train/g/copy.png").write_bytes((root / "train/b/50.png").read_bytes())
    (root / "train/g/broken.png").write_bytes(b"no image")
    for number in range(6):
        path = root / f"test/{'rgb'[number % 3]}/{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        _color(number % 3, generator).save(path)
    (root / "test/r/leaked.png").write_bytes((root / "train/r/33.png").read_bytes())
    return root


def _keys(root: Path) -> tuple[str, ...]:
    inner = ("--data.data.root", str(root), "--data.data.image_size", "24", "--data.val_fraction", "0.2")
    return ("--config", "own_photographs", *inner, *LOOKS)


def test_wrong_folders_are_found_shown_beside_what_else_was_found_and_corrected(
    photographs: Path, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = _keys(photographs)
    with pytest.warns(UserWarning, match="1 of 92 images are broken and left out"):
        assert run("clean", *keys, "--selector", "LinearProbe", "--selector.steps", "200", "--run.version", "c") == 0
    folder = tmp_path / "runs/own_photographs/c"
    with (folder / "selection.csv").open() as file:
        rows = {row["path"]: row for row in csv.DictReader(file)}
    wrong = [path for path, row in rows.items() if row["score"] and row["select"] == "0"]
    misplaced = [f"train/{'gbr'[number % 3]}/{number:02}.png" for number in range(6)]
    assert set(misplaced) <= set(wrong)
    assert len(wrong) <= 8
    assert rows["train/g/broken.png"]["score"] == ""

    result = json.loads((folder / "result.json").read_text())
    assert result["audit"]["exact duplicates"] == 2
    with (folder / "audit.csv").open() as file:
        found = [(row["kind"], row["images"]) for row in csv.DictReader(file)]
    places = list(rows)
    copies = sorted((places.index("train/b/50.png"), places.index("train/g/copy.png")))
    assert found[0] == ("exact duplicates", " ".join(map(str, copies)))
    assert any(kind == "exact duplicates" and "test:" in images for kind, images in found)

    page = (folder / "suspects.html").read_text()
    data = json.loads(re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[0])
    assert "held-out probability" in json.dumps(data)
    assert any(one["kind"] == "exact duplicates" for one in data["findings"])
    near = data["neighbors"]
    first = near["rows"][: near["width"]]  # of the most suspicious label, one of those in the wrong place
    most = min(rows.values(), key=lambda row: -float(row["score"] or -1))
    assert most["path"] in [*misplaced, "train/g/copy.png"]
    assert {_content(places[place]) for place in first} == {_content(most["path"])}

    verdicts = tmp_path / "verdicts.csv"
    lines = ["index,path,label,verdict,new_label"]
    for path in misplaced:
        label = path.split("/")[1]
        lines.append(f"{rows[path]['index']},{path},{label},change,{'rgb'['gbr'.index(label)]}")
    lines.append(f"{rows['train/g/copy.png']['index']},train/g/copy.png,g,exclude,")
    verdicts.write_text("\n".join(lines) + "\n")
    config = ("--config", str(folder / "config.yaml"))
    assert run("clean", "--apply", str(verdicts), "--out", "corrected", *config) == 0
    assert (tmp_path / "corrected/train/r/00.png").exists()
    assert not (tmp_path / "corrected/train/g/copy.png").exists()

    selection = ("--data.selection", str(folder / "selection.csv"), "--trainer.accelerator", "cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert run("fit", *keys, *selection, "--run.version", "f") == 0
        assert run("test", "runs/own_photographs/f", "last") == 0
    tested = json.loads((tmp_path / "runs/own_photographs/f/result.json").read_text())
    assert tested["test"]["last"]["test/acc"] == 1
    capsys.readouterr()


def test_doctor_and_noise_need_no_features(
    photographs: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delattr(FeatureCache, "get")
    with pytest.warns(UserWarning, match="broken and left out"):
        assert run("doctor", *_keys(photographs)) == 0
    said = capsys.readouterr().out
    assert "91 training images can be read, 1 are left out" in said
    assert "exact duplicates: 2" in said
    assert "WARNING" in said
    with pytest.warns(UserWarning, match="broken and left out"):
        assert run("noise", *_keys(photographs), "--out", "noise") == 0
    assert "92 training images in 3 classes" in capsys.readouterr().out


def test_an_audit_can_be_left_out(photographs: Path, run: Run, tmp_path: Path) -> None:
    (photographs / "train/g/broken.png").unlink()
    options = ("--selector", "Prototypes", "--audit", "false", "--run.version", "p")
    assert run("clean", *_keys(photographs), *options) == 0
    folder = tmp_path / "runs/own_photographs/p"
    assert not (folder / "audit.csv").exists()
    assert json.loads((folder / "result.json").read_text())["audit"] == {}


def test_groups_of_a_table_stay_together(
    photographs: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photographs / "train/g/broken.png").unlink()
    files = sorted((photographs / "train").rglob("*.png"))
    lines = ["path,label,group"]
    lines += [f"{path.relative_to(photographs)},{path.parent.name},g{int(i / 3)}" for i, path in enumerate(files)]
    (photographs / "labels.csv").write_text("\n".join(lines) + "\n")
    seen: list[np.ndarray] = []

    def recorded(*arguments: Any) -> np.ndarray:
        seen.append(stratified_folds(*arguments))
        return seen[-1]

    monkeypatch.setattr(linear_probe, "stratified_folds", recorded)
    table = ("--data.data", "ImageTable", "--data.data.csv", str(photographs / "labels.csv"))
    keys = ("--config", "own_photographs", *table, "--data.data.root", str(photographs), "--data.data.image_size", "24")
    probe = ("--selector", "LinearProbe", "--selector.steps", "20", "--audit", "false")
    assert run("clean", *keys, *LOOKS, *probe) == 0
    for fold in seen:
        assert all(len(set(fold[start : start + 3].tolist())) == 1 for start in range(0, 90, 3))

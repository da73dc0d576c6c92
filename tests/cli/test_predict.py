"""Any images by the weights of a run."""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from noisy_lightning import load_run
from noisy_lightning.cli import predict
from noisy_lightning.data.sets.sources import load_digits8x8
from tests.conftest import SMALL

Run = Callable[..., int]
COUNT = 30
FEATURES = (
    *("--data", "Embedded", "--data.data", "Digits", "--data.network", "SmallCNN", "--data.stages", "0"),
    *("--data.cache", "cache", "--model.backbone", "Linear", "--trainer.max_epochs", "1"),
    *("--trainer.accelerator", "cpu", "--recorder.pictures", "false"),
)


def _write_images(root: str, by_class: bool = True) -> None:
    """Write test images of digits to files."""
    digits = load_digits8x8(train=False)
    for number in range(COUNT):
        path = Path(root, str(int(digits.labels[number])) if by_class else "", f"{number:02}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(torch.as_tensor(digits.images[torch.tensor([number])])[0, :, :, 0].numpy()).save(path)


def _rows(path: str | Path) -> list[dict[str, str]]:
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("options", [SMALL, FEATURES], ids=["images", "features"])
def test_images_in_files_are_predicted_as_those_of_the_test_set(
    options: tuple[str, ...], run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict, "_AT_ONCE", 8)  # several batches
    assert run("fit", *options) == 0
    assert run("test", "runs/default/0", "best") == 0
    tested = {int(row["index"]): row for row in _rows("runs/default/0/test/best/images.csv")}
    _write_images("photos")
    Path("photos/3/broken.png").write_text("no picture")
    capsys.readouterr()
    assert run("predict", "runs/default/0", "--images", "photos", "--trainer.accelerator", "cpu") == 0
    shown = capsys.readouterr().out
    rows = _rows("predictions.csv")
    assert list(rows[0]) == [
        *("path", "class", "probability", "class_2", "probability_2", "class_3", "probability_3"),
        *("margin", "label", "error"),
    ]
    paths = [row["path"] for row in rows]
    assert paths == sorted(map(str, Path("photos").rglob("*.png")))
    (broken,) = [row for row in rows if row["error"]]
    assert broken["path"] == "photos/3/broken.png"
    assert broken["class"] == broken["probability"] == broken["margin"] == ""
    assert "unread    1 of 31 images, see the column error: photos/3/broken.png cannot be read: " in shown
    read = [row for row in rows if not row["error"]]
    for row in read:
        reference = tested[int(Path(row["path"]).stem)]
        assert (row["label"], row["class"]) == (reference["true"], reference["predicted"])
        assert float(row["probability"]) == pytest.approx(float(reference["probability"]), abs=1e-3)
        assert float(row["margin"]) == pytest.approx(float(row["probability"]) - float(row["probability_2"]), abs=1e-5)
    right = np.mean([row["label"] == row["class"] for row in read])
    assert f"accuracy  {100 * right:.2f} % of 30 images with a label" in shown
    assert {path.name for path in Path("predictions_measured").iterdir()} == {
        *("classes.csv", "confusion.csv", "calibration.csv", "confusion.png", "calibration.png")
    }
    assert sum(int(row["n"]) for row in _rows("predictions_measured/classes.csv")) == COUNT
    Path("photos/0/caf\udce9.png").write_bytes(Path(paths[0]).read_bytes())  # a name that is no text
    alone = ("--images", "photos/0", "--trainer.accelerator", "cpu")
    assert run("predict", "runs/default/0", *alone) == 0
    assert Path("predictions.csv").read_bytes().count(b"caf\xe9.png") == 1, "as in all tables of paths"
    assert not Path("predictions_measured").exists(), "of other predictions"


def test_few_images_without_labels_are_printed(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("fit", *SMALL) == 0
    _write_images("photos", by_class=False)
    capsys.readouterr()
    images = ("--images", "photos/04.png", "photos/01.png")
    assert run("predict", "runs/default/0", "last", *images, "--top", "20", "--out", "new/p.csv") == 0
    shown = capsys.readouterr().out
    assert [line.split()[0] for line in shown.splitlines()[:2]] == ["photos/01.png", "photos/04.png"]
    assert "run       runs/default/0 (last)" in shown
    assert "accuracy" not in shown
    rows = _rows("new/p.csv")
    assert "label" not in rows[0]
    assert "probability_10" in rows[0], "as many as there are classes"
    assert "probability_11" not in rows[0]
    opened = load_run("runs/default/0", "last")
    with torch.no_grad():
        expected = opened.model(opened.transform(Path("photos/01.png")).unsqueeze(0)).softmax(1)[0]
    shares = {row: float(rows[0][f"probability{row}"]) for row in ("", "_2", "_10")}
    ranked = expected.sort(descending=True).values
    assert [*shares.values()] == pytest.approx([ranked[0].item(), ranked[1].item(), ranked[9].item()], abs=1e-5)
    assert list(Path("new").iterdir()) == [Path("new/p.csv")]


def test_a_run_whose_data_are_gone_still_predicts(run: Run) -> None:
    _write_images("training")
    options = ("--data", "ImageFolder", "--data.root", "training", "--data.image_size", "8", *SMALL[8:])
    assert run("fit", *options, "--data.val_fraction", "0") == 0
    shutil.move("training", "moved")
    assert run("predict", "runs/default/0", "--images", "moved", "--top", "1") == 0
    assert list(_rows("predictions.csv")[0]) == ["path", "class", "probability", "margin", "label", "error"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--images", "photos", "--top", "0"), "top must be at least 1, got 0"),
        (("--images", "photos", "--out", "notes.csv"), "out: notes.csv is there and holds no predictions"),
        (("--images", "photos", "--out", "photos"), "out: photos is a folder; name a file"),
        (("--images", "photos", "--trainer.accelerator", "gppu"), "trainer.accelerator: You selected an invalid"),
        (("--images", "photos", "--data.root", "x"), "unknown option --data.root"),
        (("--images", "bad.png"), "images: not one of 1 can be read: bad.png cannot be read"),
        (("middle", "--images", "photos"), "no checkpoint middle"),
        (("--top", "3"), "predict: --top is of --images, which is missing"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(
    options: tuple[str, ...], message: str, run: Run, capsys: pytest.CaptureFixture[str], older_run: Path
) -> None:
    _write_images("photos")
    Path("notes.csv").write_text("date,text\n")
    Path("bad.png").write_text("no picture")
    capsys.readouterr()
    assert run("predict", str(older_run), *options) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not Path("predictions.csv").exists()
    assert Path("notes.csv").read_text() == "date,text\n"


@pytest.fixture
def older_run() -> Path:
    """Return the folder of a run that has finished."""
    return Path(__file__).parents[1] / "older_runs/finished/0"


@pytest.mark.filterwarnings("ignore:1 of 31 images are broken and left out")
def test_predictions_of_training_images_go_by_path_and_class(run: Run) -> None:
    _write_images("training")
    Path("training/1/broken.png").write_text("no picture")
    options = ("--data", "ImageFolder", "--data.root", "training", "--data.image_size", "8", "--data.broken", "skip")
    assert run("fit", *options, *SMALL[8:], "--data.val_fraction", "0.4") == 0
    assert run("predict", "runs/default/0", "last") == 0
    rows = _rows("runs/default/0/predictions_last.csv")
    assert list(rows[0]) == [
        *("index", "path", "label", "class", "probability", "probability_of_label", "margin", "part")
    ]
    assert len(rows) == COUNT, "what cannot be read has no prediction"
    with np.load("runs/default/0/predictions_last.npz") as archive:
        index, probability = archive["index"], archive["probability"]
    parts = set()
    for row, position, shares in zip(rows, index, probability, strict=True):
        label = Path(row["path"]).parent.name
        ranked = np.sort(shares)[::-1]
        assert int(row["index"]) == position
        assert (row["label"], row["class"]) == (label, str(shares.argmax()))
        assert float(row["probability"]) == pytest.approx(ranked[0], abs=1e-6)
        assert float(row["probability_of_label"]) == pytest.approx(shares[int(label)], abs=1e-6)
        assert float(row["margin"]) == pytest.approx(ranked[0] - ranked[1], abs=1e-6)
        parts.add(row["part"])
    assert parts == {"train", "val"}

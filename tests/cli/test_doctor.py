"""noisy-lightning doctor: what is wrong with a configuration on this machine."""

import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from PIL import Image

from noisy_lightning.cli import doctor as doctor_command
from noisy_lightning.cli.doctor import _classes
from noisy_lightning.data import Digits, Symmetric
from noisy_lightning.data.sets.image_files import ImageFiles
from noisy_lightning.data.sets.sources import Source
from tests.data.audit.pictures import encoded, photographs
from tests.fabricated import enough, fabricate
from tests.test_configs import CONFIGS

Run = Callable[..., int]
STATISTICS = ("--data.mean", "[0.5, 0.5, 0.5]", "--data.std", "[0.2, 0.2, 0.2]")  # or images are read to be measured
SYMMETRIC = ("--data.noise", "Symmetric", "--data.noise.rate", "0.4")


def findings(capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return what was found well and what not, by topic."""
    lines = [line.split(maxsplit=2) for line in written(capsys) if not line.startswith(" ")]
    assert {line[0] for line in lines} <= {"ok", "note", "WARNING", "PROBLEM"}
    well, wrong = ({topic: text for kind, topic, text in lines if kind == name} for name in ("ok", "PROBLEM"))
    return well, wrong


def written(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the lines that were printed, without the last, which sums up."""
    return capsys.readouterr().out.rstrip().splitlines()[:-1]


def of_audit(lines: list[str]) -> dict[str, tuple[str, list[str]]]:
    """Return mark and examples of each line of the audit, by what stands before its rule."""
    found: dict[str, tuple[str, list[str]]] = {}
    for line in lines:
        if line.startswith(" "):
            text, (mark, examples) = list(found.items())[-1]
            found[text] = (mark, [*examples, line.strip()])
        elif line.split()[1] == "audit":
            found[line[17:].partition(" (")[0]] = (line.split()[0], [])
    return found


def test_a_class_whose_only_image_is_validated_on_is_named() -> None:
    data: Any = SimpleNamespace(
        labels=torch.tensor([0, 1, 1]), train_indices=torch.tensor([1, 2]), num_classes=2, class_names=["cat", "dog"]
    )
    finding = _classes(data)
    assert finding.is_problem
    assert finding.text.startswith("no image to train on is labeled cat: ")


def test_a_sound_configuration_passes(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("doctor", "--data", "Digits", *SYMMETRIC, "--data.test_sets", "{again: Digits}") == 0
    well, wrong = findings(capsys)
    assert not wrong
    data = Digits(noise=Symmetric(0.4))
    data.setup("fit")
    assert well["labels"].startswith("Digits: 1,437 training images of 8×8×1 in 10 classes, 38.76 % of labels wrong")
    assert well["split"] == f"{len(data.train_indices):,} images to train on, {len(data.val_indices):,} to validate on"
    assert well["tests"] == "360 test images, 360 test images of again"
    assert well["devices"].startswith("1 × ")
    assert list(tmp_path.iterdir()) == [], "looking leaves nothing behind"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_configuration_of_fit_is_taken(
    path: Path, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fabricate(monkeypatch, enough(path))
    code = run("doctor", "--config", str(path))
    _, wrong = findings(capsys)
    assert set(wrong) <= {"classes"}, "60 fabricated images in 100 classes lack some"
    assert code == bool(wrong)


def test_keys_of_the_trainer_that_cannot_work_are_found(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("doctor", "--data", "Digits", "--trainer.max_epochs", "0") == 1
    _, wrong = findings(capsys)
    assert wrong == {"trainer": "trainer.max_epochs must be at least 1, or -1 for no limit, got 0"}


def test_missing_files_are_named_and_not_downloaded(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("doctor", "--data", "MNIST", "--data.test_sets", "{other: CIFAR10}") == 1
    _, wrong = findings(capsys)
    assert "MNIST is not in" in wrong["files"]
    assert "train-images-idx3-ubyte" in wrong["files"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("broken", "gib"), [("error", "8"), ("skip", "8"), ("skip", "0")])
@pytest.mark.timeout(60)
@pytest.mark.filterwarnings("ignore:1 of 3 images are broken")
def test_a_pipe_among_images_is_a_problem_and_not_waited_for(
    broken: str, gib: str, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b"):
        Image.new("L", (4, 4)).save(tmp_path / f"{name}.png")
    os.mkfifo(tmp_path / "c.png")
    (tmp_path / "t.csv").write_text("path,label\na.png,a\nb.png,b\nc.png,b\n")
    table = ("--data", "ImageTable", "--data.csv", "t.csv", "--data.image_size", "4", "--data.validation", "none")
    assert run("doctor", *table, "--data.broken", broken, "--data.cache_gib", gib) == (broken == "error")
    well, wrong = findings(capsys)
    if broken == "error":
        assert wrong == {"files": "data.csv: t.csv, line 4: there is no file c.png"}
    else:
        assert well["images"] == "2 training images can be read, 1 are left out"


def test_labels_of_another_order_are_a_problem(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = Digits()
    data.setup("fit")
    rows = [f"{label},{label}" for label in data.true_labels.flip(0).tolist()]
    (tmp_path / "labels.csv").write_text("label,label_noisy\n" + "\n".join(rows))
    assert run("doctor", "--data", "Digits", "--data.noise", "LabelFile", "--data.noise.path", "labels.csv") == 1
    well, wrong = findings(capsys)
    assert "another order" in wrong["labels"]
    assert "files" in well
    assert "split" not in well, "what hangs on it is not looked at"


def test_a_class_without_a_label_is_a_problem(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = torch.eye(10)
    rows[3], rows[8] = rows[1], rows[2]
    (tmp_path / "matrix.json").write_text(str(rows.tolist()))
    noise = ("--data.noise", "TransitionMatrix", "--data.noise.matrix", "matrix.json")
    assert run("doctor", "--data", "Digits", *noise) == 1
    _, wrong = findings(capsys)
    assert wrong["classes"].startswith("no image to train on is labeled 3, 8: ")


def test_devices_that_are_not_there_are_a_problem(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert run("doctor", "--data", "Digits", "--trainer.accelerator", "gpu") == 1
    _, wrong = findings(capsys)
    assert set(wrong) == {"devices"}


def test_too_little_disk_or_memory_is_a_problem(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(100, 99, 1))
    free = 1437 * 64 + 1000  # enough for the images as they are
    monkeypatch.setattr(doctor_command, "_available_memory", lambda: free)
    assert run("doctor", "--data", "Digits") == 1
    _, wrong = findings(capsys)
    assert "--run.root" in wrong["disk"]
    assert "--data.workers" in wrong["memory"]
    assert run("doctor", "--data", "Digits", "--data.workers", "1") == 1
    _, wrong = findings(capsys)
    assert set(wrong) == {"disk"}


def test_what_does_not_fit_in_memory_is_not_read(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor_command, "_available_memory", lambda: 1000)
    monkeypatch.setattr(Digits, "load", lambda self, train: pytest.fail("it was read"))
    assert run("doctor", "--data", "Digits", "--data.workers", "1") == 1
    well, wrong = findings(capsys)
    assert set(wrong) == {"memory"}
    assert "--data.cache_gib 0" in wrong["memory"]
    assert "labels" not in well


def test_a_configuration_that_cannot_be_read_is_an_error(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("doctor", "--data", "Digit") == 2
    assert "did you mean Digits?" in capsys.readouterr().err
    assert run("doctor", "--config", "nowhere.yaml") == 2
    assert "nowhere.yaml" in capsys.readouterr().err


def test_the_configuration_of_a_file_with_its_trainer_is_read(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = {"trainer": {"accelerator": "cpu", "devices": 2}, "data": {"class_path": "Digits"}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(content))
    assert run("doctor", "--config", "mine.yaml", "--run.root", "elsewhere") == 0
    well, _ = findings(capsys)
    assert well["devices"].startswith("2 × cpu")
    assert "elsewhere" in well["disk"]


@pytest.fixture
def photographs_in_folders(tmp_path: Path) -> Path:
    """Write PNG files in folders: 3.png of cats is 7.png of dogs, 4.png is 8.png, dog 5.png is tested on."""
    pictures = photographs(60)
    pictures[7], pictures[8], pictures[9] = pictures[3], encoded(pictures[4]), 0
    tested = photographs(6, seed=1)
    tested[4] = pictures[5]
    names = {"train": pictures, "test": tested}
    for part, images in names.items():
        for at, picture in enumerate(images):
            path = tmp_path / "pets" / part / ("dog" if at in (4, 5, 7, 8) or at > 30 else "cat") / f"{at}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(path)
    return tmp_path / "pets"


@pytest.mark.parametrize("gib", ["8", "0"])
def test_duplicates_are_shown_by_path_and_label_and_a_leak_is_warned_of(
    gib: str,
    run: Run,
    photographs_in_folders: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read: Counter[Path] = Counter()
    real = ImageFiles.decoded

    def decoded(files: ImageFiles, position: int) -> Any:
        read[files.root / files.names[position]] += 1
        return real(files, position)

    monkeypatch.setattr(ImageFiles, "decoded", decoded)
    folder = ("--data", "ImageFolder", "--data.root", str(photographs_in_folders), "--data.image_size", "32")
    assert run("doctor", *folder, *STATISTICS, "--data.cache_gib", gib) == 0
    output = capsys.readouterr().out
    found = of_audit(output.splitlines()[:-1])
    none = ["dark images", "bright images", "blurred images", "images of little information", "tiny images"]
    assert found == {
        "exact duplicates: 2, 1 of them of training and test images, which can make the test accuracy too high": (
            "WARNING",
            ["train/cat/3.png (cat) = train/dog/7.png (dog)", "train/dog/5.png (dog) = test/dog/4.png (dog)"],
        ),
        "near duplicates: 1": ("note", ["train/dog/4.png (dog) = train/dog/8.png (dog)"]),
        "nearly constant images: 1": ("note", ["train/cat/9.png (cat)"]),
        f"no {', '.join(none)}, images of odd shape": ("ok", []),
    }
    assert output.splitlines()[-1] == "no problem found, 1 warning"
    assert len(read) == 66
    assert set(read.values()) == {1}, "each file is decoded once"


def test_of_many_finds_the_first_are_shown(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["path,label"]
    for at, picture in enumerate(photographs(20)):
        for copy in range(8 if at == 0 else 2 if at < 7 else 1):
            Image.fromarray(picture).save(tmp_path / f"{at}_{copy}.png")
            lines.append(f"{at}_{copy}.png,{'ab'[at % 2]}")
    (tmp_path / "t.csv").write_text("\n".join(lines))
    assert run("doctor", "--data", "ImageTable", "--data.csv", "t.csv", "--data.image_size", "32") == 0
    mark, examples = of_audit(written(capsys))["exact duplicates: 7"]
    assert mark == "note"
    first = " = ".join(f"0_{copy}.png (a)" for copy in range(5))
    assert examples == [
        f"{first} and 3 more",
        *(f"{at}_0.png ({'ab'[at % 2]}) = {at}_1.png ({'ab'[at % 2]})" for at in range(1, 5)),
        "…",
    ]


def test_images_that_are_no_files_are_shown_by_their_number(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    load = Digits.load

    def copied(self: Digits, train: bool) -> Source:
        source = load(self, train)
        images = torch.as_tensor(source.images).clone()
        images[12] = torch.as_tensor(load(self, train=True).images)[10 if train else 11]
        return source._replace(images=images)

    monkeypatch.setattr(Digits, "load", copied)
    assert run("doctor", "--data", "Digits") == 0
    names = load(Digits(), train=True).labels.tolist(), load(Digits(), train=False).labels.tolist()
    text = "exact duplicates: 2, 1 of them of training and test images, which can make the test accuracy too high"
    assert of_audit(written(capsys))[text] == (
        "WARNING",
        [
            f"image 10 ({names[0][10]}) = image 12 ({names[0][12]})",
            f"image 11 ({names[0][11]}) = test image 12 ({names[1][12]})",
        ],
    )


def test_how_a_data_set_looks_is_said_and_not_listed(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = ["path,label"]
    for at, picture in enumerate(photographs(20)):
        Image.fromarray(picture // 8).save(tmp_path / f"{at}.png")
        lines.append(f"{at}.png,{at % 2}")
    (tmp_path / "t.csv").write_text("\n".join(lines))
    assert run("doctor", "--data", "ImageTable", "--data.csv", "t.csv", "--data.image_size", "32") == 0
    found = of_audit(written(capsys))
    text = "dark images: 20 images are so, more than a tenth: this is how the data set looks"
    assert found[text] == ("note", [])


def test_broken_files_that_are_decoded_late_are_all_named_and_nothing_else_is_looked_for(
    run: Run, photographs_in_folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for at in (10, 12):
        (photographs_in_folders / f"train/cat/{at}.png").write_bytes(b"broken")
    folder = ("--data", "ImageFolder", "--data.root", str(photographs_in_folders), "--data.image_size", "32")
    assert run("doctor", *folder, *STATISTICS, "--data.cache_gib", "0") == 1
    well, wrong = findings(capsys)
    assert "audit" not in well
    assert set(wrong) == {"images"}
    assert "2 of 60 images are broken" in wrong["images"]
    assert "10.png" in wrong["images"]
    assert "12.png" in wrong["images"]

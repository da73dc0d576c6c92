import errno
import json
import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]

import noisy_lightning
from noisy_lightning import checkpoint_file, load_run
from noisy_lightning.data import Digits
from noisy_lightning.data.labels import label_hash
from noisy_lightning.data.manifest import read_manifest
from noisy_lightning.errors import InputError
from noisy_lightning.runs.records import load
from noisy_lightning.training.callbacks.checkpoints import AtomicCheckpointIO
from tests.conftest import SMALL
from tests.fabricated import fabricate
from tests.kill import Fall

Run = Callable[..., int]


def test_a_run_leaves_everything_and_is_tested_from_its_folder(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("fit", *SMALL) == 0
    folder = tmp_path / "runs/default/0"
    kept = {path.name for path in folder.iterdir() if not path.name.startswith("events")}
    assert kept >= {"config.yaml", "checkpoints", "metrics.csv", "noise.csv", "noise.json", "records", "result.json"}
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    summary, labels = read_manifest(folder)
    records = load(folder)
    assert records.loss.shape == (2, 1437)
    np.testing.assert_array_equal(records.labels, labels.given_labels.numpy())
    result = json.loads((folder / "result.json").read_text())
    assert result["noise"]["label_hash"] == summary.label_hash
    assert result["epochs"] == 2
    before = {
        path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.name != "result.json"
    }

    assert run("test", "runs/default/0") == 0
    printed = capsys.readouterr().out
    assert "chosen on noisy validation: best" in printed
    assert "last epoch: last" in printed
    tested = json.loads((folder / "result.json").read_text())
    assert set(tested["test"]) == {"best", "last"}
    assert tested["epochs"] == 2
    assert 0 < tested["test"]["last"]["test/acc"] < 1
    assert tested["test"]["last"]["epoch"] == 1
    per_class = [value for name, value in tested["test"]["last"].items() if name.startswith("test/acc_class/")]
    assert len(per_class) == 10
    assert before == {name: (folder / name).read_bytes() for name in before}  # a test overwrites nothing
    assert run("test", "runs/default/0", "last") == 0
    assert json.loads((folder / "result.json").read_text())["test"] == tested["test"]
    capsys.readouterr()

    assert run("validate", "runs/default/0", "last") == 0
    assert "on given labels" in capsys.readouterr().out
    validated = json.loads((folder / "result.json").read_text())
    assert validated["validate"]["last"]["val/acc"] == pytest.approx(tested["last_epoch"]["val/acc"])
    assert run("predict", "runs/default/0", "last") == 0
    with np.load(folder / "predictions_last.npz") as archive:
        predictions = dict(archive)
    assert predictions["probability"].shape == (1437, 10)
    np.testing.assert_array_equal(predictions["index"], np.arange(1437))
    np.testing.assert_array_equal(predictions["label"], records.labels)
    np.testing.assert_allclose(predictions["probability"].sum(1), 1, atol=1e-5)


def test_further_test_sets_have_rows_numbers_and_tables_of_their_own(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("fit", *SMALL) == 0
    assert run("test", "runs/default/0", "--data.test_sets", "{again: Digits}") == 0
    lines = capsys.readouterr().out.splitlines()
    for name in ("best", "last"):
        (own,) = [line for line in lines if line.startswith("test accuracy") and name in line]
        (other,) = [line for line in lines if line.startswith("test again accuracy") and name in line]
        assert own.split()[2:] == other.split()[3:]
    result = json.loads((tmp_path / "runs/default/0/result.json").read_text())
    tested = result["test"]["last"]
    assert tested["test_again/acc"] == tested["test/acc"]
    assert len([name for name in tested if name.startswith("test_again/acc_class/")]) == 10
    events = EventAccumulator(str(tmp_path / "runs/default/0/final")).Reload()
    for name, key in {"test_acc_last": "test/acc", "test_again_acc_last": "test_again/acc"}.items():
        assert [event.value for event in events.Scalars(f"final/{name}")] == [pytest.approx(tested[key])]
    assert {"test/text_summary", "test_again/text_summary"} <= set(events.Tags()["tensors"])


def test_a_test_set_must_exist(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("fit", *SMALL) == 0
    capsys.readouterr()
    assert run("test", "runs/default/0", "--data.test_sets", "{again: Digit}") == 2
    assert "Digit" in capsys.readouterr().err
    assert run("test", "runs/default/0", "--data.test_sets", "{'a b': Digits}") == 2
    assert "data.test_sets" in capsys.readouterr().err


def test_a_test_asks_for_no_pretrained_weights(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    timm = ["--model.backbone", "Timm", "--model.backbone.name", "mobilenetv3_small_050"]
    quick = ["--trainer.max_epochs", "1", "--trainer.limit_train_batches", "2"]
    assert run("fit", *SMALL, *timm, *quick, "--run.version", "first") == 0
    first = tmp_path / "runs/default/first/checkpoints/last.ckpt"
    assert run("fit", *SMALL, *timm, *quick, "--model.backbone.weights", str(first), "--run.version", "b") == 0
    first.unlink()
    assert run("test", "runs/default/b") == 0
    assert load_run(tmp_path / "runs/default/b").model(torch.zeros(2, 1, 8, 8)).shape == (2, 10)


def test_running_again_neither_overwrites_nor_fails(run: Run, tmp_path: Path) -> None:
    for expected in range(3):
        assert run("fit", *SMALL) == 0
        assert (tmp_path / f"runs/default/{expected}/result.json").exists()
    assert run("fit", *SMALL, "--run.version", "1") == 2


def test_the_experiment_is_named_after_its_configuration(run: Run, tmp_path: Path) -> None:
    assert run("fit", *SMALL) == 0
    config = yaml.safe_load((tmp_path / "runs/default/0/config.yaml").read_text())
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({key: config[key] for key in ("trainer", "model", "data")}))
    assert run("fit", "--config", "mine.yaml", "--data.seed", "3") == 0
    assert yaml.safe_load((tmp_path / "runs/mine/0/config.yaml").read_text())["data"]["init_args"]["seed"] == 3
    assert run("fit", "--config", "mine.yaml", "--run.experiment", "other", "--run.version", "a") == 0
    assert (tmp_path / "runs/other/a/result.json").exists()


def test_a_run_that_began_with_the_checkpoint_of_another_goes_on_from_its_own(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("fit", *SMALL, "--trainer.max_epochs", "1") == 0
    given = "runs/default/0/checkpoints/last.ckpt"
    command = ("fit", *SMALL, "--trainer.max_epochs", "3", "--ckpt_path", given, "--trainer.callbacks+=tests.kill.Fall")
    Fall.at = (2, 0)
    with pytest.raises(ZeroDivisionError):
        run(*command)
    assert f"runs/default/1, new, from {given}, with epoch 2/3" in capsys.readouterr().out
    assert run(*command) == 0
    assert "continuing runs/default/1 from its last checkpoint, with epoch 3/3" in capsys.readouterr().out


def test_the_plain_form_loads_the_weights_that_it_is_given(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("fit", *SMALL) == 0
    assert run("test", "runs/default/0", "last") == 0
    expected = json.loads((tmp_path / "runs/default/0/result.json").read_text())["test"]["last"]["test/acc"]
    capsys.readouterr()
    checkpoint = "runs/default/0/checkpoints/last.ckpt"
    assert run("test", "--config", "runs/default/0/config.yaml", "--ckpt_path", checkpoint) == 0
    assert f"{100 * expected:.2f} %" in capsys.readouterr().out
    assert run("test", "runs/default/0", checkpoint) == 0


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["test", *SMALL], "test needs weights"),
        (["test", *SMALL, "--ckpt_path", "last"], "no checkpoint last"),
        (["test", "nowhere"], "nowhere is not the folder of a run"),
        (["test", "runs/default/0", "middle"], "no checkpoint middle"),
        (["test", "runs/default/0", "last", "--data.seed", "1"], "the checkpoint was trained on labels"),
        (["test", "runs/default/0", "last", "--data.noise.rate", "0.1"], "the checkpoint was trained on labels"),
        (["fit", *SMALL, "--run.version", "0"], "has finished; choose another run.version"),
        (["fit", *SMALL, "--data.seed", "1", "--ckpt_path", "nowhere.ckpt"], "no checkpoint nowhere.ckpt"),
        (["validate", "runs/default/0", "--data.val_fraction", "0"], "there is no validation part"),
        (["frobnicate"], "frobnicate"),
        (["test", "runs/default/0", "--model.backbone.width", "8"], "the checkpoint is of another backbone"),
        (["fit", *SMALL, "--ckpt_path", "runs/default/0/checkpoints/best.ckpt"], "the checkpoint holds weights only"),
        (["fit", *SMALL, "--run.version", "../../x"], "run.version must be a name, not a path"),
        (["fit", *SMALL, "--run.experiment", "../x"], "run.experiment must be a name, not a path"),
    ],
)
def test_weights_and_labels_must_be_the_right_ones(
    command: list[str], message: str, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("fit", *SMALL) == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    capsys.readouterr()
    assert run(*command) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ")
    assert len(error.splitlines()) == 1
    assert message in error
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def test_weights_of_another_data_set_are_refused(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fabricate(monkeypatch)
    assert run("fit", *SMALL) == 0
    capsys.readouterr()
    checkpoint = "runs/default/0/checkpoints/last.ckpt"
    other = [*SMALL, "--data", "MNIST", "--ckpt_path", checkpoint]
    for command in (["test", "runs/default/0", "last", "--data", "MNIST"], ["predict", *other], ["fit", *other]):
        assert run(*command) == 2
        assert "the checkpoint was trained on labels" in capsys.readouterr().err


@pytest.mark.parametrize("classes", [9, 12])
def test_weights_for_another_number_of_classes_are_refused_where_the_labels_are_the_same(
    classes: int, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("fit", *SMALL, "--trainer.max_epochs", "1") == 0
    checkpoint = checkpoint_file.read(Path("runs/default/0/checkpoints/last.ckpt"))
    weights = checkpoint["state_dict"]
    for name, weight in weights.items():
        weights[name] = weight.new_zeros(classes, *weight.shape[1:]) if len(weight) == 10 else weight
    checkpoint_file.write(checkpoint, Path("other.ckpt"))
    capsys.readouterr()
    for command in (["test", "runs/default/0"], ["predict", "runs/default/0"], ["fit", *SMALL, "--ckpt_path"]):
        assert run(*command, "other.ckpt") == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("error: the checkpoint is of another backbone, method, or number of classes")
        assert f"torch.Size([{classes}, 16])" in line
    assert [path.name for path in Path("runs/default").iterdir()] == ["0"]


class Touches:
    """What leaves a file when it is unpickled."""

    def __reduce__(self) -> Any:
        return Path.touch, (Path("touched"),)


@pytest.mark.parametrize("value", ["false", "true", "null"])
def test_nothing_has_objects_of_a_checkpoint_run(value: str, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    only = ("--weights_only", value)
    assert run("fit", *SMALL, "--trainer.max_epochs", "1", *only) == 0
    last = Path("runs/default/0/checkpoints/last.ckpt")
    checkpoint_file.write({**checkpoint_file.read(last), "more": Touches()}, last)
    Path("runs/default/0/result.json").unlink()  # as if the run had not come to its end
    capsys.readouterr()
    for command in (
        ("test", "runs/default/0", "last", *only),
        ("validate", "runs/default/0", "last", *only),
        ("predict", "runs/default/0", "last", *only),
        ("fit", *SMALL, "--trainer.max_epochs", "1", *only),
        ("fit", *SMALL, "--trainer.max_epochs", "3", "--ckpt_path", str(last), *only),
    ):
        assert run(*command) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "last.ckpt is not opened: it holds more than tensors and plain data" in line
    with pytest.raises(InputError, match="more than tensors and plain data"):
        AtomicCheckpointIO().load_checkpoint(last, weights_only=False)
    assert not Path("touched").exists()


def test_a_run_goes_on_with_its_own_labels_only(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = tmp_path / "labels.csv"
    options = (*SMALL, "--data.noise", "LabelFile", "--data.noise.path", str(labels))
    hashes = []
    for shift in (1, 2):
        given = (Digits().load(train=True).labels + shift) % 10
        labels.write_text("label_noisy\n" + "".join(f"{label}\n" for label in given.tolist()))
        hashes.append(label_hash(given))
        if shift == 1:
            assert run("fit", *options) == 0
            (tmp_path / "runs/default/0/result.json").unlink()  # as if it had been killed after its last epoch
            before = (tmp_path / "runs/default/0/noise.csv").read_bytes()
    capsys.readouterr()
    for command in (("fit", *options), ("test", "runs/default/0", "last")):
        assert run(*command) == 2
        message = capsys.readouterr().err
        assert all(given[:16] in message for given in hashes)
        assert "noise.json" in message
    assert (tmp_path / "runs/default/0/noise.csv").read_bytes() == before


def test_a_run_that_cannot_start_leaves_no_folder(run: Run, tmp_path: Path) -> None:
    assert run("fit", *SMALL, "--model.optimizer.lr", "-1") == 2
    assert not list(tmp_path.glob("runs/default/*"))


def test_training_goes_without_a_validation_part(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("fit", *SMALL, "--data.val_fraction", "0") == 0
    assert [path.name for path in (tmp_path / "runs/default/0/checkpoints").iterdir()] == ["last.ckpt"]
    assert run("test", "runs/default/0") == 0
    assert "last epoch" in capsys.readouterr().out


@pytest.mark.parametrize(
    "options",
    [
        ["--trainer.limit_train_batches", "2"],
        ["--trainer.limit_train_batches", "0.5"],
        ["--trainer.overfit_batches", "2"],
        ["--trainer.accumulate_grad_batches", "2"],
        ["--trainer.precision", "bf16-mixed"],
        ["--trainer.fast_dev_run", "true"],
        ["--trainer.logger", "false"],
        ["--data.workers", "1"],
        ["--model.channels_last", "false"],
        ["--trainer.gradient_clip_val", "1.0"],
        ["--trainer.check_val_every_n_epoch", "2"],
        ["--model.lr_scheduler", "lightning.pytorch.cli.ReduceLROnPlateau", "--model.lr_scheduler.monitor", "val/acc"],
    ],
)
def test_trainer_options_work(options: list[str], run: Run, tmp_path: Path) -> None:
    assert run("fit", *SMALL, "--data.batch_size", "128", *options) == 0
    assert (tmp_path / "runs/default/0/result.json").exists() == ("--trainer.fast_dev_run" not in options)


def test_overfitting_repeats_its_batches(run: Run, tmp_path: Path) -> None:
    assert run("fit", *SMALL, "--trainer.overfit_batches", "1", "--data.crop_padding", "2") == 0
    seen = ~np.isnan(load(tmp_path / "runs/default/0").loss)
    assert seen[0].sum() == 256
    np.testing.assert_array_equal(seen[0], seen[1])


def test_what_is_printed_helps(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    assert "noisy-lightning fit --config" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        run("fit", *SMALL, "--print_config")
    assert stop.value.code == 0
    assert "class_path: noisy_lightning.data.Digits" in capsys.readouterr().out
    assert run("--version") == 0
    assert noisy_lightning.__version__ in capsys.readouterr().out


def test_a_run_whose_folder_is_deleted_meanwhile_says_so_and_makes_none_anew(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("fit", *SMALL, "--trainer.logger", "false", "--trainer.callbacks+=tests.kill.Delete") == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert "the folder runs/default/0 has been deleted or moved while the run was going on" in line
    assert not (tmp_path / "runs/default/0").exists()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES])
def test_a_checkpoint_that_cannot_be_written_ends_in_one_line_and_the_same_command_goes_on(
    code: int, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written: list[Path] = []
    write = checkpoint_file.write

    def full(content: object, path: Path) -> None:
        if "last.ckpt" in path.name and written:
            path.write_bytes(b"half a check")
            raise OSError(code, os.strerror(code), str(path))
        written.extend([path] if "last.ckpt" in path.name else [])
        write(content, path)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint_file, "write", full)
        assert run("fit", *SMALL) == 1
    error = capsys.readouterr().err
    assert f"{os.strerror(code)}; runs/default/0 is kept as its last checkpoint has it" in error
    assert "Traceback" not in error
    assert not list(tmp_path.rglob(".*.part"))
    assert run("fit", *SMALL) == 0
    assert "continuing" in capsys.readouterr().out
    assert len(load(tmp_path / "runs/default/0").epochs) == 2


@pytest.mark.parametrize("kept", [slice(0), slice(-1000), slice(500, None)], ids=str)
def test_a_damaged_checkpoint_is_named_in_one_line(
    kept: slice, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("fit", *SMALL) == 0
    path = tmp_path / "runs/default/0/checkpoints/last.ckpt"
    path.write_bytes(path.read_bytes()[kept])
    (tmp_path / "runs/default/0/result.json").unlink()
    capsys.readouterr()
    for command in (("fit", *SMALL), ("test", "runs/default/0", "last"), ("predict", "runs/default/0", "last")):
        assert run(*command) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "last.ckpt is damaged" in line


def test_an_interruption_before_training_prints_no_traceback(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    import_module("noisy_lightning.cli.training")  # else it would keep the parser that it finds in the first place
    for place in ("noisy_lightning.cli.keys.training_parser", "noisy_lightning.cli.training._claimed"):
        with monkeypatch.context() as patch:
            patch.setattr(place, interrupt)
            patch.setattr("noisy_lightning.cli.training.training_parser", interrupt)
            assert run("fit", *SMALL) == 130
        assert capsys.readouterr().err == "interrupted\n"


def test_an_interruption_after_the_folder_was_claimed_names_it(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Digits, "load", interrupt)
    with pytest.raises(SystemExit) as caught:
        run("fit", *SMALL)
    assert caught.value.code == 130
    assert capsys.readouterr().err.splitlines()[-1] == "interrupted: the same command continues runs/default/0"

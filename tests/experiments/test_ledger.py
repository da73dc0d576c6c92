import json
import re
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml

from noisy_lightning.errors import InputError
from noisy_lightning.experiments.ledger import Row, read_ledger, row_of, write_ledger
from noisy_lightning.experiments.settings import as_call
from noisy_lightning.experiments.sweep_folder import ManifestEntry, SweepFolder

CONFIG: dict[str, Any] = {
    "seed_everything": 7,
    "data": {
        "class_path": "noisy_lightning.data.Digits",
        "init_args": {"batch_size": 64, "val_fraction": 0.1, "seed": 8},
    },
    "model": {
        "backbone": {"class_path": "noisy_lightning.backbones.ResNet18", "init_args": {"stem": "imagenet"}},
        "loss": {
            "class_path": "noisy_lightning.losses.SymmetricCrossEntropy",
            "init_args": {"alpha": 0.1, "beta": 1.0},
        },
        "method": {"class_path": "noisy_lightning.methods.Standard"},
        "optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.1, "momentum": 0.9, "foreach": None}},
    },
}
RESULT: dict[str, Any] = {
    "epochs": 12,
    "last_epoch": {"train/auroc": 0.9, "train/memorised": 0.1, "test/acc": 0.61, "test/acc_class/0": 0.5},
    "best_epoch": {"epoch": 3, "val/acc": 0.7},
    "validation": "given",
    "oracle": False,
    "noise": {
        **{"kind": "Symmetric", "arguments": {"rate": 0.4}, "nominal_rate": 0.4, "realised_rate": 0.3876},
        "label_hash": "1" * 64,
    },
    "dataset": "Digits",
    "parameters": 100,
    "seconds": 1.5,
    "images_per_second": 10.0,
    "peak_memory_mib": 200,
    "hardware": {"name": "processor", "devices": 1, "threads": 2, "precision": "32-true"},
    "versions": {"noisy_lightning": "0.1.0", "torch": "2.6", "lightning": "2.6.6", "python": "3.11.7"},
    "git_commit": "12e4",
    "test": {"best": {"test/acc": 0.65}, "last": {"test/acc": 0.62, "test/acc_class/0": 0.55, "test_raw/acc": 0.6}},
}


def make_run(path: Path, result: dict[str, Any] | None = None, config: dict[str, Any] | None = None) -> Path:
    """Write the files of a run of twelve epochs, whose test accuracy is 0.51, 0.52, … 0.62."""
    path.mkdir(parents=True)
    (path / "config.yaml").write_text(yaml.safe_dump(config or CONFIG))
    (path / "result.json").write_text(json.dumps(result or RESULT))
    lines = [f"{epoch},{0.51 + epoch / 100:.2f}" for epoch in range(12)]
    (path / "metrics.csv").write_text("\n".join(["epoch,test/acc", *lines, ""]))
    return path


def test_a_row_says_what_a_run_was_and_reached(tmp_path: Path) -> None:
    row = row_of(make_run(tmp_path / "run"))
    assert row["acc_last"] == 0.62
    assert row["acc_chosen"] == 0.65
    assert row["acc_mean_last_10"] == pytest.approx(0.575)
    assert (row["acc_best_oracle"], row["epoch_best_oracle"]) == (0.62, 11)
    assert (row["epoch_chosen"], row["chosen_by"]) == (3, "val/acc")
    assert (row["seed"], row["data_seed"]) == (7, 8)
    assert row["backbone"] == "ResNet18(stem=imagenet)"
    assert row["stem"] == "imagenet"
    assert row["loss"] == "SymmetricCrossEntropy(alpha=0.1, beta=1.0)"
    assert row["noise"] == "Symmetric(rate=0.4)"
    assert row["optimizer"] == "SGD(lr=0.1, momentum=0.9)"
    assert row["acc_class_0"] == 0.55
    assert row["acc_last_raw"] == 0.6
    assert (row["auroc"], row["memorised"]) == (0.9, 0.1)


def test_the_best_epoch_is_that_of_the_highest_accuracy_and_a_mean_of_ten_needs_ten(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    (run / "metrics.csv").write_text("epoch,test/acc\n0,0.5\n1,0.8\n2,0.6\n")
    row = row_of(run)
    assert (row["acc_best_oracle"], row["epoch_best_oracle"]) == (0.8, 1)
    assert row["acc_mean_last_10"] is None


def test_the_rate_that_was_asked_for_stands_beside_that_which_came_out(tmp_path: Path) -> None:
    row = row_of(make_run(tmp_path / "run"))
    assert (row["rate_nominal"], row["rate_realised"]) == (0.4, 0.3876)


def test_a_run_that_was_not_tested_lacks_what_tests_tell(tmp_path: Path) -> None:
    untested = {name: value for name, value in RESULT.items() if name != "test"}
    untested |= {"last_epoch": {"train/auroc": 0.9}, "best_epoch": None}
    row = row_of(make_run(tmp_path / "run", untested))
    assert row["acc_last"] is row["acc_chosen"] is row["epoch_chosen"] is None


def test_nested_classes_are_described_as_called() -> None:
    inner = {"class_path": "a.NCE"}
    spec = {"class_path": "a.ActivePassive", "init_args": {"active": inner, "alpha": 1.0, "nothing": None}}
    assert as_call(spec) == "ActivePassive(active=NCE, alpha=1.0)"
    assert as_call(None) is None


def test_a_ledger_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    rows = [
        {"axis_seed": "01", **row_of(make_run(tmp_path / "run"))},
        {"run": "b", "status": "failed", "error": "a\nb"},
        {"run": "=b", "status": "failed", "error": "-1", "axis_=1": "@sum"},
    ]
    write_ledger(tmp_path / "ledger.csv", rows)
    first, second, third = read_ledger(tmp_path / "ledger.csv")
    assert (third["run"], third["error"], third["axis_=1"]) == ("=b", "-1", "@sum")
    assert not re.search(r"(?m)(^|,)[=@+-][^,\d]", (tmp_path / "ledger.csv").read_text())
    assert first["axis_seed"] == "01"
    assert first["noise_hash"] == "1" * 64
    assert first["git_commit"] == "12e4"
    assert {name: first[name] for name in rows[0]} == rows[0]
    assert (second["status"], second["acc_last"], second["error"]) == ("failed", None, "a\nb")


def test_pandas_reads_a_ledger_in_one_line_in_both_forms(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")  # comes with cleanlab
    rows = [row_of(make_run(tmp_path / "run"))]
    for path in (tmp_path / "ledger.csv", tmp_path / "ledger.parquet"):
        write_ledger(path, rows)
        frame = getattr(pandas, f"read_{path.suffix[1:]}")(path)
        assert frame.acc_last[0] == 0.62
        assert frame.loss[0] == rows[0]["loss"]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[:-20], "is torn in line 2, which has"),
        (lambda text: text.rstrip("\n"), "is torn in line 2"),
        (lambda text: "a,b\n1,2\n", "is no ledger"),
        (lambda text: "", "is no ledger"),
    ],
)
def test_a_torn_ledger_is_refused_with_a_way_out(damage: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    write_ledger(path, [row_of(make_run(tmp_path / "run"))])
    path.write_text(damage(path.read_text()))
    with pytest.raises(InputError, match=message):
        read_ledger(path)


def test_a_run_of_another_version_is_named(tmp_path: Path) -> None:
    other = {name: value for name, value in RESULT.items() if name != "noise"} | {
        "versions": {"noisy_lightning": "0.0.1"}
    }
    with pytest.raises(InputError, match=r"of another version \(noisy_lightning 0\.0\.1, this is .*KeyError 'noise'"):
        row_of(make_run(tmp_path / "run", other))


def test_what_is_no_finished_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not the folder of a run"):
        row_of(tmp_path)
    with pytest.raises(InputError, match="has not finished"):
        row_of(make_run(tmp_path / "run", {"test": {}}))


def test_a_sweep_has_rows_in_its_order_and_with_its_labels(tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path)
    folder.make()
    entries = [
        ManifestEntry("b", {"loss": "SCE"}, {"loss": "theirs"}),
        ManifestEntry("c", {"loss": "CE"}, {}),
        ManifestEntry("a", {"loss": "x"}, {}),
    ]
    folder.write_manifest(entries, ["study 4", "study 0"])
    make_run(folder.run("b").path)
    folder.error("c").write_text("no memory\n")
    one, two = folder.rows()
    assert (one["axis_loss"], one["status"], one["published_loss"]) == ("SCE", "done", "theirs")
    assert one["published_source"] == "study 4; study 0"
    assert (two["axis_loss"], two["status"], two["error"]) == ("CE", "failed", "no memory")
    assert folder.missing() == ["a"]
    assert [folder.state(name) for name in "abc"] == ["to do", "done", "failed"]
    (tmp_path / "sweep.json").write_text("{")
    with pytest.raises(InputError, match=r"sweep\.json is damaged"):
        folder.rows()


def test_of_two_processes_that_write_a_ledger_the_last_has_the_rows_of_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    early, late = SweepFolder(tmp_path), SweepFolder(tmp_path)
    early.make()
    early.write_manifest([ManifestEntry(name, {}, {}) for name in "ab"], [])
    make_run(early.run("a").path)
    has_read, go_on = threading.Event(), threading.Event()

    def slowly() -> list[Row]:
        rows = late.rows()
        has_read.set()
        assert go_on.wait(60)
        return rows

    monkeypatch.setattr(early, "rows", slowly)
    threads = [threading.Thread(target=folder.write_ledger) for folder in (early, late)]
    threads[0].start()
    assert has_read.wait(60)
    make_run(early.run("b").path)
    threads[1].start()
    threads[1].join(timeout=0.2)  # it waits; without a lock it would be over
    go_on.set()
    for thread in threads:
        thread.join()
    assert len(read_ledger(tmp_path / "ledger.csv")) == 2

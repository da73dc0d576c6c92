"""What the page knows of runs."""

import json
from itertools import pairwise
from pathlib import Path

from noisy_lightning.experiments.ledger import write_ledger
from noisy_lightning.experiments.report import Report, collect
from noisy_lightning.experiments.report_runs import overall_facts, page_data
from tests.experiments.test_ledger import CONFIG, RESULT, make_run

SECOND = {**CONFIG, "model": {**CONFIG["model"], "method": {"class_path": "noisy_lightning.methods.SOP"}}}


def _two(folder: Path) -> Report:
    make_run(folder / "0")
    make_run(folder / "1", {**RESULT, "class_names": ["cat", "dog"]}, SECOND)
    return collect([folder])


def test_settings_that_all_share_are_there_once(tmp_path: Path) -> None:
    data = page_data(_two(tmp_path))
    assert data["shared"]["model.loss"] == "SymmetricCrossEntropy"
    assert data["shared"]["model.loss.alpha"] == "0.1"
    assert data["shared"]["data.batch_size"] == "64"
    assert data["shared"]["seed_everything"] == "7"
    assert [run["facts"] for run in data["runs"]] == [{"model.method": "Standard"}, {"model.method": "SOP"}]


def test_a_single_run_has_all_its_settings_and_one_without_says_so(tmp_path: Path) -> None:
    make_run(tmp_path / "0")
    report = collect([tmp_path / "0"])
    (run,) = page_data(report)["runs"]
    assert run["hasSettings"]
    assert run["facts"] == {}
    report.rows[0]["settings"] = None
    (run,) = page_data(report)["runs"]
    assert not run["hasSettings"]


def test_columns_have_names_and_units(tmp_path: Path) -> None:
    data = page_data(_two(tmp_path))
    columns = {column["key"]: column for column in data["columns"]}
    assert next(iter(columns)) == "run"
    assert columns["acc_last"]["name"] == "test accuracy, last epoch, %"
    assert (columns["acc_last"]["kind"], columns["seconds"]["kind"], columns["loss"]["kind"]) == (
        *("percent", "number", "text"),
    )
    values = dict(zip(columns, data["runs"][0]["values"], strict=True))
    assert (values["acc_last"], values["epoch_chosen"]) == (0.62, 3)
    assert columns["epoch_chosen"]["kind"] == "epoch"  # the page adds 1, its CSV does not, like the ledger
    assert not any(key.startswith(("settings", "acc_class_", "published_")) for key in columns)
    assert [list(columns)[place] for place in data["filters"]] == ["method"]


def test_curves_count_epochs_from_one_and_classes_have_names(tmp_path: Path) -> None:
    first, second = page_data(_two(tmp_path))["runs"]
    assert first["curves"]["epoch"] == list(range(1, 13))
    assert first["curves"]["test/acc"][0] == 0.51
    assert second["classNames"] == ["cat", "dog"]
    assert first["classes"] == {"last": [0.55]}
    assert second["tests"]["last"] == {"test/acc": 0.62, "test_raw/acc": 0.6}


def test_a_long_curve_keeps_its_end(tmp_path: Path) -> None:
    run = make_run(tmp_path / "0")
    lines = [f"{epoch},{epoch / 1000}" for epoch in range(1000)]
    (run / "metrics.csv").write_text("\n".join(["epoch,val/acc", *lines, ""]))
    (one,) = page_data(collect([run]))["runs"]
    epochs = one["curves"]["epoch"]
    assert len(epochs) <= 400
    assert epochs[-1] == 1000
    assert {late - early for early, late in pairwise(epochs)} == {3}


def test_numbers_that_are_not_finite_are_missing(tmp_path: Path) -> None:
    run = make_run(tmp_path / "0")
    (run / "metrics.csv").write_text("epoch,val/loss,val/acc\n0,nan,0.5\n1,inf,\n")
    (one,) = page_data(collect([run]))["runs"]
    assert one["curves"] == {"epoch": [1, 2], "val/acc": [0.5, None]}
    json.dumps(page_data(collect([run])), allow_nan=False)


def test_a_link_names_a_run_alike_when_there_are_more(tmp_path: Path) -> None:
    make_run(tmp_path / "5")
    (alone,) = page_data(collect([tmp_path]))["runs"]
    make_run(tmp_path / "1")
    ids = [run["id"] for run in page_data(collect([tmp_path]))["runs"]]
    assert ids[1] == alone["id"] != ids[0]
    twice = collect([tmp_path / "5", tmp_path / "5"])
    assert [run["id"] for run in page_data(twice)["runs"]] == [alone["id"], f"{alone['id']}-2"]


def test_of_a_ledger_alone_the_page_knows_rows_and_settings(tmp_path: Path) -> None:
    rows = [{**row, "run": f"elsewhere/{number}"} for number, row in enumerate(_two(tmp_path / "runs").rows)]
    write_ledger(tmp_path / "ledger.csv", rows)
    data = page_data(collect([tmp_path / "ledger.csv"]))
    assert [run["facts"]["model.method"] for run in data["runs"]] == ["Standard", "SOP"]
    assert data["runs"][0]["classes"] == {"last": [0.55]}
    assert "curves" not in data["runs"][0]
    assert data["notes"] == []


def test_a_failed_and_a_damaged_run_are_there(tmp_path: Path) -> None:
    report = _two(tmp_path)
    report.failed.append({"status": "failed", "run": str(tmp_path / "2"), "error": "no memory"})
    (tmp_path / "1/metrics.csv").write_text("epoch,val/acc\nnull,0.5\n")
    data = page_data(report)
    status = [column["key"] for column in data["columns"]].index("status")
    assert [run["values"][status] for run in data["runs"]] == ["done", "done", "failed"]
    (note,) = data["notes"]
    assert "metrics.csv" in note
    assert "curves" not in data["runs"][1]


def test_the_head_says_of_what_and_with_what_runs_were_made(tmp_path: Path) -> None:
    facts = dict(overall_facts(_two(tmp_path)))
    assert facts["data set"] == "Digits"
    assert facts["machine"] == "1 × processor"
    assert facts["commit"] == "12e4"
    assert facts["noisy_lightning"] == "0.1.0"

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from noisy_lightning.cli.main import main
from noisy_lightning.errors import InputError
from noisy_lightning.experiments.ledger import read_ledger, row_of, write_ledger
from noisy_lightning.experiments.page import tables_as_markdown, write_report
from noisy_lightning.experiments.report import Report, collect
from noisy_lightning.experiments.sweep_folder import ManifestEntry, SweepFolder
from noisy_lightning.runs.measures import class_accuracy
from noisy_lightning.runs.records import load
from tests.cli.test_sweep import BASE
from tests.conftest import SMALL
from tests.experiments.test_ledger import CONFIG, RESULT, make_run

GRID = """
config: base.yaml
published: study 4
axes:
  method:
    CE: {model.loss: CrossEntropy}
    Co-teaching: {model.method: CoTeaching, model.method.warm_up: 1, model.method.forget_rate: 0.3}
  noise:
    clean: {data.noise: NoNoise}
    symmetric 0.3: {data.noise.rate: 0.3}
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which a small sweep was run."""
    folder = tmp_path_factory.mktemp("swept")
    (folder / "base.yaml").write_text(BASE)
    (folder / "grid.yaml").write_text(GRID)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("noisy_lightning.jobs.processes.START", "fork")
        patch.delenv("PL_GLOBAL_SEED", raising=False)
        patch.chdir(folder)
        assert main(["sweep", "--config", "grid.yaml"]) == 0
    return folder


@pytest.fixture
def swept(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a small sweep."""
    monkeypatch.chdir(made)
    return Path("runs/grid")


@pytest.mark.xdist_group("report")
def test_a_report_shows_tables_pictures_and_ledger_on_one_page(swept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["report", str(swept), "--parquet"]) == 0
    out = capsys.readouterr().out
    assert "| method | clean | symmetric 0.3 |" in out
    assert "Co-teaching (oracle)" in out
    assert "(oracle): the run knew" in out
    folder = swept / "report"
    page = (folder / "report.html").read_text()
    assert page.count('<figure class="result">') == 3
    drawn = len(list((folder / "figures").glob("*.png")))
    assert len(re.findall(r'src="data:image/(?:png|svg\+xml);base64,', page)) == drawn > 8
    assert len({*(path.stem for path in (folder / "figures").iterdir())}) == drawn
    assert not re.search(r'(src|href)="(?!data:|#/)', page.partition("<script")[0])
    for name in ("tables.md", "tables.tex", "tables.csv", "ledger.csv", "ledger.parquet"):
        assert (folder / name).stat().st_size > 100
    figures = {path.name for path in (folder / "figures").iterdir()}
    assert {"acc_last_over_noise_rate.png", "train_and_test_Symmetric.png", "symmetric-0.3_selection.png"} <= figures
    assert {f"clean_validation.{kind}" for kind in ("png", "pdf", "svg")} <= figures
    assert {f"clean_{name}.png" for name in ("validation", "losses", "classes", "labels", "dynamics")} <= figures

    # From the ledger alone, on another machine, come the same tables.
    before = sorted(Path().rglob("*"))
    assert main(["report", str(folder / "ledger.csv"), "--only-print"]) == 0
    assert sorted(Path().rglob("*")) == before
    assert capsys.readouterr().out.startswith((folder / "tables.md").read_text().rstrip())


@pytest.mark.xdist_group("report")
def test_a_picture_shows_what_the_records_say(swept: Path) -> None:
    (_, shown), *_ = collect([swept]).settings()
    first, *_ = shown["classes"].axes
    method = next(row for row in collect([swept]).rows if row["axis_noise"] == "clean")
    assert first.get_title(loc="left") == "CE"
    # 10 classes in gray, the best and the worst over them.
    assert len(first.lines) == 12
    ends = [float(np.asarray(line.get_ydata())[-1]) for line in first.lines]
    last = ends[:10]
    assert np.mean(last) == pytest.approx(method["acc_train"], abs=0.05)
    assert ends[10:] == [max(last), min(last)]

    shown = dict(collect([swept]).settings())["symmetric 0.3"]
    noisy = load(next(row["run"] for row in collect([swept]).rows if row["axis_noise"] == "symmetric 0.3"))
    expected = class_accuracy(noisy.prediction[-1], noisy.true_labels, 10)
    lines = shown["classes"].axes[0].lines[:10]
    assert [np.asarray(line.get_ydata())[-1] for line in lines] == pytest.approx(expected.tolist())


def test_runs_that_failed_are_in_the_ledger_too(tmp_path: Path) -> None:
    rows = [row_of(make_run(tmp_path / "run"))]
    write_report(tmp_path / "out", Report(rows, [{"run": "b", "status": "failed", "error": "no memory"}]), "", False)
    assert [row["run"] for row in read_ledger(tmp_path / "out/ledger.csv")] == [str(tmp_path / "run"), "b"]
    again = collect([tmp_path / "out/ledger.csv"])
    assert (len(again.rows), [row["error"] for row in again.failed]) == (1, ["no memory"])


def test_a_kind_of_noise_with_a_single_rate_has_no_panel_beside_others() -> None:
    ledger = Path(__file__).parents[2] / "notebooks/results/study4.csv"
    name, figure = next(collect([ledger]).overall_figures())
    assert name == "acc_last_over_noise_rate"
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["Asymmetric", "Symmetric"]
    (legend,) = figure.legends
    assert len(legend.get_texts()) == 6
    assert not any(axes.get_legend() for axes in figure.axes)


def test_a_rate_of_zero_is_no_second_rate_of_a_kind_of_noise(tmp_path: Path) -> None:
    row = row_of(make_run(tmp_path / "run")) | {"status": "done", "axis_method": "CE"}
    rows = [
        {
            **row,
            "axis_noise": f"{kind} {rate}",
            "noise": f"{kind}(rate={rate})",
            "noise_kind": kind,
            "rate_nominal": rate,
        }
        for kind, rate in (("Symmetric", 0.0), ("Symmetric", 0.4), ("PairFlip", 0.2), ("PairFlip", 0.4))
    ]
    write_ledger(tmp_path / "ledger.csv", rows)
    figures = dict(collect([tmp_path / "ledger.csv"]).overall_figures())
    assert [axes.get_title(loc="left") for axes in figures["acc_last_over_noise_rate"].axes] == ["PairFlip"]


def test_plain_runs_are_reported_too(run: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    for loss in ("CrossEntropy", "MeanAbsoluteError"):
        assert run("fit", *SMALL, "--model.loss", loss) == 0
    assert run("test", "runs/default/0") == 0
    assert run("test", "runs/default/1") == 0
    capsys.readouterr()
    assert run("report", "runs/default", "--out", "here", "--no-figures") == 0
    out = capsys.readouterr().out
    assert "| loss | last epoch | epoch chosen on noisy validation |" in out
    assert re.search(r"\| CrossEntropy \| [*\d.]+ \| [*\d.]+ \|", out)
    ((setting, shown),) = collect([Path("runs/default")]).settings()
    assert setting == "all runs"
    first, second = shown["validation"].axes[0].get_lines()
    assert (first.get_label(), second.get_label()) == ("CrossEntropy", "MeanAbsoluteError")
    assert sorted(path.name for path in Path("here").iterdir()) == [
        *("ledger.csv", "report.html", "tables.csv", "tables.md", "tables.tex")
    ]


def test_selections_are_reported_too(run: Callable[..., int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("noisy_lightning.jobs.processes.START", "fork")
    assert run("clean", "--selector", "INCV", "--selector.iterations", "2", "--selector.epochs", "1", *SMALL) == 0
    report = collect([Path("runs/default")])
    assert "| INCV | Digits, Symmetric |" in tables_as_markdown(report)
    paths = write_report(Path("out"), report, "selections")
    assert Path("out/figures/selection_default_0.png") in paths
    assert "Selections" in Path("out/report.html").read_text()


def test_what_the_runs_have_in_common_and_what_not_is_said(tmp_path: Path) -> None:
    for name in ("0", "2", "10"):
        make_run(tmp_path / name)
    (tmp_path / "2/result.json").write_text((tmp_path / "2/result.json").read_text().replace("12e4", "34e5"))
    (tmp_path / "3").mkdir()
    (tmp_path / "3/config.yaml").touch()
    report = collect([tmp_path])
    assert [Path(row["run"]).name for row in report.rows] == ["0", "2", "10"]
    assert report.missing == [str(tmp_path / "3")]
    assert report.provenance()[0] == "The runs are of 2 commits: 12e4, 34e5."
    assert report.notes()[-1] == "Yet to do: 1 run."


def test_what_runs_of_two_sweeps_differ_in_and_what_is_there_twice_is_said(tmp_path: Path) -> None:
    """The second sweep is of longer runs, and one of the first has been done in it, too."""
    for sweep, epochs in (("short", 2), ("long", 10)):
        folder = SweepFolder(tmp_path / sweep)
        folder.make()
        folder.write_manifest([ManifestEntry(seed, {"loss": "SCE", "seed": seed}, {}) for seed in ("0", "1")], [])
        for seed in ("0", "1"):
            own = 2 if seed == "1" else epochs
            config = {**CONFIG, "seed_everything": int(seed), "trainer": {"max_epochs": own}}
            make_run(folder.run(seed).path, {**RESULT, "epochs": own}, config)
    short, both = collect([tmp_path / "short"]), collect([tmp_path / "short", tmp_path / "long"])
    assert not [note for note in short.notes() if note.startswith("Besides") or "settings and seeds" in note]
    assert both.notes()[-2:] == [
        "Besides the axes of their sweeps, runs differ in epochs: axes here, too.",
        "Runs with the settings and seeds of others: 1. Each of these counts once.",
    ]
    cells = both.tables[0].rows["SCE"]
    assert {column: len(cell.values) for column, cell in cells.items()} == {"epochs 2": 2, "epochs 10": 1}
    for row in both.rows:
        row["run"] = "elsewhere"
    write_ledger(tmp_path / "ledger.csv", both.rows)
    assert collect([tmp_path / "ledger.csv"]).notes()[-2:] == both.notes()[-2:]


def test_a_reader_who_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    make_run(tmp_path / "0")
    command = [sys.executable, "-m", "noisy_lightning", "report", str(tmp_path / "0"), "--no-figures"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0
    assert (tmp_path / "0/report/report.html").exists()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((), "report needs runs"),
        (("none",), "there is no folder or ledger none"),
        (("empty",), "no finished run in empty"),
        (("runs/1", "--across", "color"), "across: there is no axis color; there are loss, noise"),
        (("runs/1", "--out", "torn.csv"), "out: cannot write to torn.csv: File exists"),
        (("torn.csv",), "torn.csv is torn in line 2, which has 1 of 2 columns"),
        (("--fast", "runs"), "unknown option --fast"),
    ],
)
def test_what_cannot_work_is_one_line(
    args: tuple[str, ...], message: str, run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("empty").mkdir()
    Path("torn.csv").write_text("run,acc_last\n1")
    make_run(Path("runs/1"))
    make_run(Path("runs/2"))
    assert run("report", *args) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_nothing_to_report_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no finished run"):
        collect([tmp_path])


@pytest.mark.parametrize("name", ["result.json", "config.yaml"])
def test_a_damaged_run_is_named_among_the_failed_ones(
    name: str, run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    for version in ("1", "2"):
        make_run(Path("runs", version))
    Path("runs/1", name).write_text("[]")
    assert run("report", "runs", "--only-print") == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Failed: ")]
    assert line.startswith("Failed: runs/1: ")
    assert name in line
    assert run("report", "runs/1", "--only-print") == 2
    assert f"runs/1 has failed: runs/1/{name}" in capsys.readouterr().err


def test_runs_of_other_classes_are_drawn_beside_each_other(run: Callable[..., int], tmp_path: Path) -> None:
    for number in range(8):
        path = tmp_path / "images" / f"kind {number % 2}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 30 * number).save(path)
    own: tuple[str, ...] = (
        "--data",
        "ImageFolder",
        "--data.root",
        "images",
        "--data.image_size",
        "8",
        "--data.channels",
        "1",
    )
    own += ("--data.clean", "true", *SMALL[2:])
    for data in (SMALL, own):
        assert run("fit", *data, "--data.val_fraction", "0.5") == 0
    ((_, shown),) = collect([Path("runs/default")]).settings()
    of_each = {"validation", "epochs", "losses", "loss_quantiles", "dynamics", "classes"}
    assert set(shown) == of_each
    first, second = shown["classes"].axes
    assert (len(first.lines), len(second.lines)) == (12, 4)
    assert not any("kind" in str(line.get_label()) for line in first.lines)
    assert {str(line.get_label())[-6:] for line in second.lines[2:]} <= {"kind 0", "kind 1"}
    (Path("runs/default/1/noise.csv")).write_text("")  # what cannot be read has no part in it
    ((_, shown),) = collect([Path("runs/default")]).settings()
    assert set(shown) == of_each | {"memorization", "labels", "transition"}


@pytest.mark.parametrize("name", ["noise.csv", "records/epoch_0000.npz"])
def test_a_run_whose_samples_cannot_be_read_is_named_and_left_out_of_the_pictures(
    name: str, run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("fit", *SMALL, "--trainer.max_epochs", "1") == 0
    damaged = Path("runs/default/0", name)
    damaged.write_bytes(damaged.read_bytes()[:100])
    capsys.readouterr()
    assert run("report", "runs/default/0", "--out", "out") == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert damaged.name in line
    assert line.endswith("left out of the pictures")

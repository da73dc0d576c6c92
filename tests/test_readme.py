"""Every command, every piece of code and every table in the READMEs holds."""

import csv
import doctest
import re
import shlex
import shutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

import noisy_lightning
from noisy_lightning.cli.catalog import ALIASES, KINDS, entries
from noisy_lightning.cli.commands import BY_NAME
from noisy_lightning.experiments.ledger import read_ledger
from tests.fabricated import QUICK, SMALL_FEATURES, SMALL_PHOTOGRAPHS, fabricate, quickly
from tests.processes import ROOT
from tests.tools.readme_tables import READMES, filled

MAIN = (ROOT / "README.md").read_text()
TEXTS = [ROOT / "README.md", ROOT / "configs/README.md", ROOT / "notebooks/results/README.md"]


def _blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def _commands(text: str) -> list[list[str]]:
    """Return the command lines in order, without comments."""
    return [shlex.split(line, comments=True) for block in _blocks(text, "bash") for line in block.splitlines() if line]


def _quick(command: list[str]) -> tuple[str, ...]:
    """Return what makes a command a matter of seconds."""
    options = QUICK if command[0] in ("fit", "sweep") else ()
    if command[0] == "fit":
        options += ("--trainer.limit_train_batches", "2")
    if "own_photographs" in command:
        options += SMALL_FEATURES
    if command[0] == "clean" and "--apply" not in command:
        options = quickly(ROOT / f"configs/{command[2]}.yaml")
        if "image_folder" in command:
            options += ("--model.backbone", "SmallCNN")  # of five networks
    if options and "image_folder" in command:
        options += SMALL_PHOTOGRAPHS
    if command[0] == "sweep" and "--only" not in command:
        options += ("--only", "method=CE", "seed=0")  # of 18 runs
    return options


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.parent.name)
def test_the_commands_run_in_order(
    path: Path,
    run: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = path.read_text()
    fabricate(monkeypatch)
    monkeypatch.syspath_prepend(str(tmp_path))
    for block in _blocks(text, "python"):
        if name := re.match(r"# (\w+\.py)\n", block):
            (tmp_path / name[1]).write_text(block)
    ours = [command[1:] for command in _commands(text) if command[0] == "noisy-lightning"]
    assert ours
    for command in ours:
        if "--apply" in command:
            _give_a_verdict(Path("runs/own_photographs/cleaned/selection.csv"), Path("verdicts.csv"))
        if "--images" in command:
            Path("data/new_images").mkdir()
            Image.new("RGB", (8, 8)).save("data/new_images/one.jpg")
        assert run(*command, *_quick(command)) == 0, (command, capsys.readouterr().err)


def _give_a_verdict(selection: Path, verdicts: Path) -> None:
    """Keep the first label, as the page of suspects exports it."""
    with selection.open() as file:
        first = next(csv.DictReader(file))
    line = f"{first['index']},{first['path']},class_{first['y_noisy']},keep,"
    verdicts.write_text(f"index,path,label,verdict,new_label\n{line}\n")


def test_the_lines_of_python_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = [block for block in _blocks(MAIN, "python") if "L.Trainer" in block]
    assert len(block.strip().splitlines()) <= 10
    exec(block.replace("max_epochs=2", "max_epochs=1, accelerator='cpu', enable_checkpointing=False"), {})
    assert (tmp_path / "recorded/records/epoch_0000.npz").exists()


def test_the_tables_are_those_of_the_ledgers() -> None:
    for path in READMES:
        text = path.read_text()
        assert text.count("<!-- table of ") == text.count("<!-- end of table -->") > 0
        assert filled(text) == text, "make results writes them anew"


def test_the_advice_has_the_numbers_of_the_ledgers() -> None:
    mnist = {row["axis_method"]: row for row in read_ledger(ROOT / "notebooks/results/mnist.csv")}
    last = {name: f"{100 * float(row['acc_last']):.1f}" for name, row in mnist.items()}
    chosen = {name: f"{100 * float(row['acc_chosen']):.1f}" for name, row in mnist.items()}
    digits: dict[str, list[float]] = {}
    for row in read_ledger(ROOT / "notebooks/results/digits.csv"):
        if row["rate_nominal"] == 0.4:
            digits.setdefault(str(row["axis_method"]), []).append(100 * float(row["acc_last"]))
    mean = {name: f"{np.mean(values):.0f}" for name, values in digits.items()}
    advice = " ".join(re.findall(r"## Which method\?\n(.*?)\n## ", MAIN, re.DOTALL)[0].split())
    sce, gce, ce = (last[name] for name in ("SymmetricCrossEntropy", "GeneralizedCrossEntropy", "CrossEntropy"))
    assert f"last epoch: {sce} and {gce} %, cross entropy {ce} %" in advice
    assert f"takes cross entropy on MNIST from {ce} to {chosen['CrossEntropy']} %" in advice
    assert f"{last['EarlyLearningRegularization']} % on MNIST" in advice
    assert f"40 % noise {mean['ELR']} %, cross entropy {mean['CE']} %" in advice
    assert f"`JoCoR`, `CoTeachingPlus` ({last['JoCoR']}, {last['CoTeachingPlus']} %)" in advice
    assert f"`ELRPlus` ({last['EarlyLearningRegularizationPlus']} %)" in advice
    assert f"`DivideMix` ({last['DivideMix']} %)" in advice


def test_filling_an_empty_table_leaves_what_follows() -> None:
    mark, end = "<!-- table of notebooks/results/digits.csv -->\n", "<!-- end of table -->"
    text = filled(f"{mark}{end}\nbetween\n{mark}stale\n{end}\n")
    assert text.count("| CE |") == 2
    assert f"{end}\nbetween\n{mark}" in text
    assert "stale" not in text


def test_the_sweep_that_is_shown_is_the_file() -> None:
    (shown,) = _blocks(MAIN, "yaml")
    assert (ROOT / "configs/sweeps/digits.yaml").read_text().endswith(f"\n{shown}")


def test_all_other_commands_are_known() -> None:
    targets = re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for path in TEXTS:
        for command in _commands(path.read_text()):
            if command[0] == "make":
                assert command[1] in targets
            else:
                assert command[0] in ("noisy-lightning", "tensorboard", "python3", "pip"), command
        for command in re.findall(r"`noisy-lightning (\w+)", path.read_text()):
            assert command in BY_NAME


def test_the_first_page_is_short() -> None:
    assert len(MAIN.splitlines()) <= 250


def test_the_loss_has_twelve_lines() -> None:
    (block,) = [block for block in _blocks(MAIN, "python") if "RobustLoss" in block]
    assert len(block.split("\n", 1)[1].strip().splitlines()) <= 12


def test_every_file_that_is_named_exists() -> None:
    for path in TEXTS:
        for name in re.findall(
            r"\]\(([^)#:]+)\)|`((?:configs|notebooks|noisy_lightning|\.github)/[\w./]+)`", path.read_text()
        ):
            assert (ROOT / (name[0] or name[1])).exists(), name


def test_what_there_is_stands_in_the_first_page() -> None:
    for kind in ("data", "noise", "methods", "selectors"):
        for entry in entries(kind):
            assert f"`{entry.name}`" in MAIN, entry.name
    for kind in KINDS:
        for alias in ALIASES.get(kind, {}):
            assert f"`{alias}`" in MAIN or kind == "losses", alias


def test_every_configuration_of_a_report_is_explained() -> None:
    text = (ROOT / "configs/README.md").read_text()
    for path in sorted((ROOT / "configs").glob("*.yaml")):
        if name := re.match(r"study\d", path.stem):
            assert f"| `{name[0]}` |" in text
            assert yaml.safe_load(path.read_text())


@pytest.mark.parametrize(
    "module",
    [
        *("training.module", "training.callbacks.sample_recorder", "data.sets.arrays", "data.sets.from_dataset"),
        *("data.sets.digits", "data.noise.class_conditional", "losses.base", "methods.base", "backbones.small"),
        *("training.loaded_run", "runs.records", "training.callbacks.divergence"),
        *("data.sets.cifar", "data.sets.mnist", "data.sets.folders", "data.sets.table"),
    ],
)
def test_the_examples_of_docstrings_run(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "tests/older_runs/finished/0", tmp_path / "runs/demo/0")
    monkeypatch.chdir(tmp_path)
    found = doctest.testmod(import_module(f"{noisy_lightning.__name__}.{module}"))
    assert found.attempted > 0
    assert found.failed == 0

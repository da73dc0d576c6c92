"""Every command and every piece of code in README works."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fabricated import QUICK, fabricate, quickly
from tests.tools.readme_tables import filled

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text()


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def _commands() -> list[list[str]]:
    """Return the command lines in order, without comments."""
    return [shlex.split(line, comments=True) for block in _blocks("bash") for line in block.splitlines() if line]


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_the_commands_run_in_order(
    run: Callable[..., int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fabricate(monkeypatch)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    for block in _blocks("python"):
        if name := re.match(r"# (\w+\.py)\n", block):
            (tmp_path / name[1]).write_text(block)
    ours = [command[1:] for command in _commands() if command[0] == "noisy-lightning"]
    assert len(ours) >= 9
    for command in ours:
        if any(".help" in word for word in command):
            with pytest.raises(SystemExit) as stop:
                run(*command)
            assert stop.value.code == 0
        else:
            options = quickly(Path(command[2])) if command[0] == "clean" else ()
            options = QUICK if command[0] in ("fit", "sweep") else options
            if command[0] == "sweep" and "--only" not in command:
                options += ("--only", "method=CE", "seed=0")  # of 18 runs
            assert run(*command, *options) == 0, (command, capsys.readouterr().err)
    for block in _blocks("python"):
        if "load(" in block:
            exec(block, {})


def test_the_tables_are_those_of_the_ledgers() -> None:
    assert TEXT.count("<!-- table of ") == TEXT.count("<!-- end of table -->") > 0
    assert filled(TEXT) == TEXT, "make results writes them anew"


def test_filling_an_empty_table_leaves_what_follows() -> None:
    mark, end = "<!-- table of notebooks/results/digits.csv -->\n", "<!-- end of table -->"
    text = filled(f"{mark}{end}\nbetween\n{mark}old\n{end}\n")
    assert text.count("| CE |") == 2
    assert f"{end}\nbetween\n{mark}" in text
    assert "old" not in text


def test_the_sweep_that_is_shown_is_the_file() -> None:
    (shown,) = _blocks("yaml")
    assert (ROOT / "configs/sweeps/digits.yaml").read_text().endswith(f"\n{shown}")


def test_all_other_commands_are_known() -> None:
    targets = re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for command in _commands():
        if command[0] == "make":
            assert command[1] in targets
        else:
            assert command[0] in ("noisy-lightning", "tensorboard", "python3", "pip"), command


def test_the_loss_has_twelve_lines() -> None:
    (block,) = [block for block in _blocks("python") if "RobustLoss" in block]
    assert len(block.split("\n", 1)[1].strip().splitlines()) <= 12


def test_every_file_that_is_named_exists() -> None:
    for path in re.findall(r"\]\(([^)#:]+)\)|`((?:configs|notebooks|noisy_lightning)/[\w./]+)`", TEXT):
        assert (ROOT / (path[0] or path[1])).exists(), path

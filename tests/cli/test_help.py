"""Help fits a screen, is there at once, and names what there is."""

import gc
import inspect
import re
from collections.abc import Callable
from importlib import import_module

import pytest
from torch import nn

from noisy_lightning.cli.catalog import ALIASES, KINDS, _source, entries, kind_of, long_name, names
from noisy_lightning.cli.commands import COMMANDS, Command
from noisy_lightning.cli.help import FIT
from noisy_lightning.cli.keys import resolved, training_parser

Run = Callable[..., int]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_a_command_says_what_it_takes(command: Command, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    name = command.name
    assert run(name, "--help") == 0
    shown = capsys.readouterr().out
    assert f"usage: noisy-lightning {name}" in shown
    assert len(shown.splitlines()) <= 60
    assert run("--help") == 0
    assert f"noisy-lightning {name} " in capsys.readouterr().out


def test_help_of_fit_names_keys_that_there_are() -> None:
    text = training_parser().format_help()
    for option in set(re.findall(r"--[\w.]+\w", FIT)) - {"--print_config"}:
        if ".help" not in option and not option.startswith(("--data.", "--model.optimizer.", "--model.backbone.")):
            assert re.search(rf"{option}\b", text), option


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("--model.loss.help", "SymmetricCrossEntropy, SCE"),
        ("--model.method.help", "EarlyLearningRegularization, ELR"),
        ("--model.backbone.help", "ResNet18"),
        ("--data.help", "ImageFolder"),
        ("--data.noise.help", "Symmetric"),
        ("--selector.help", "INCV"),
        ("--model.optimizer.help", "AdamW"),
        ("--model.lr_scheduler.help", "CosineAnnealingLR"),
        ("--trainer.help", "--trainer.max_epochs"),
        ("--run.help", "--run.version"),
        ("--model.help", "--model.l1_decay"),
        ("--recorder.help", "--recorder.pictures"),
    ],
)
def test_a_key_says_what_it_can_name(option: str, expected: str, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("fit", option) == 0
    assert expected in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--model.loss.help", "SCE"], "--model.loss.alpha"),
        (["--model.loss.help=SymmetricCrossEntropy"], "--model.loss.alpha"),
        (["--model.method.help", "DivideMix"], "λ_u matters and depends on the noise"),
        (["--data.help=Digits"], "over all devices together"),
        (["--data.noise.help", "Asymmetric"], "--data.noise.flips"),
        (["--model.optimizer.help", "SGD"], "--model.optimizer.momentum"),
        (["--model.backbone.help", "tests.networks.Plain"], "--model.backbone.width"),
    ],
)
def test_a_class_says_what_it_takes(
    options: list[str], expected: str, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("fit", *options) == 0
    shown = capsys.readouterr().out
    assert expected in shown
    assert "num_classes" not in shown


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model.loss.help", "SC"], "model.loss: no class is called 'SC'; did you mean SCE?"),
        (["--model.optimizer.help", "SDG"], "model.optimizer: no class is called 'SDG'"),
        (["--modl.help"], "fit has no key modl"),
    ],
)
def test_help_for_what_there_is_not_is_one_line(
    options: list[str], message: str, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("fit", *options) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("kind", KINDS)
def test_the_catalog_is_what_can_be_imported(kind: str) -> None:
    package, _, ancestor = KINDS[kind]
    room = import_module(f"noisy_lightning.{package}")
    base = nn.Module if ancestor == "Module" else getattr(room, ancestor)
    public = {name: getattr(room, name) for name in room.__all__}
    classes = {name for name, thing in public.items() if inspect.isclass(thing) and issubclass(thing, base)}
    concrete = {name for name in classes if not inspect.isabstract(public[name])}
    assert {entry.name for entry in entries(kind)} == concrete
    assert all(entry.summary for entry in entries(kind))
    assert all(entry.class_path == f"{room.__name__}.{entry.name}" for entry in entries(kind))


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_source_begins_with_its_authors(kind: str) -> None:
    sources = {entry.name: entry.source for entry in entries(kind) if entry.source}
    assert {name: text for name, text in sources.items() if not re.match(r"[A-Z][\w-]+( et al\.|,| and )", text)} == {}


def test_a_title_without_a_colon_is_no_source() -> None:
    assert _source("The network of He et al., CVPR 2016.") == ""
    assert _source("Residual networks: He et al., CVPR 2016.") == "He et al., CVPR 2016"


def test_an_alias_stands_for_one_class_and_hides_none() -> None:
    aliases = [alias for table in ALIASES.values() for alias in table]
    assert len(set(aliases)) == len(aliases)
    everything = {entry.name for kind in KINDS for entry in entries(kind)}
    assert not everything & set(aliases)
    for kind, table in ALIASES.items():
        assert set(table.values()) <= {entry.name for entry in entries(kind)}


def test_names_are_those_of_the_kind_that_a_key_takes() -> None:
    assert kind_of("model.loss") == kind_of("model.loss.active") == "losses"
    assert kind_of("data.noise.source") == kind_of("data.test_sets.mine") == "data"
    assert kind_of("trainer.max_epochs") is None
    assert "ELR" in names("methods")
    assert "ELR" not in names("losses")


def test_a_network_of_ours_counts_where_others_have_its_name() -> None:
    """torch has a Linear and torchvision an MLP; a class made here stands for what else may be imported."""
    names_of_ours = names("backbones")
    assert {"Linear", "MLP"} <= set(names_of_ours)
    others = [type(name, (nn.Module,), {"__module__": "another.library"}) for name in names_of_ours]
    try:
        for name in names_of_ours:
            found = resolved(["--data", "Digits", "--model.backbone", name])["model"]["backbone"]
            assert found["class_path"] == f"noisy_lightning.backbones.{name}"
    finally:
        others.clear()
        gc.collect()  # or other tests would meet them
    assert not [one for one in nn.Module.__subclasses__() if one.__module__ == "another.library"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_listed_a_line_a_class(kind: str, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list", kind) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0].rstrip(",") for line in lines] == [entry.name for entry in entries(kind)]


def test_an_alias_of_another_kind_is_left_as_it_is() -> None:
    assert long_name("methods", "ELR") == long_name(None, "ELR") == "EarlyLearningRegularization"
    assert long_name("losses", "ELR") == "ELR"


def test_configurations_are_listed_and_printed(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("configs") == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("sce_resnet18 ") for line in lines)
    assert any(line.startswith("sweeps/digits ") for line in lines)
    assert all(line.endswith(".") for line in lines if not line.startswith("noisy-lightning")), "a sentence each"
    for name in ("demo", "sweeps/digits", "digits"):
        assert run("configs", name) == 0
        assert capsys.readouterr().out.startswith("# ")
    assert run("configs", "dmo") == 2
    assert "none of ours has this name" in capsys.readouterr().err


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_shell_completes(shell: str, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("shtab")
    assert run("completion", shell) == 0
    script = capsys.readouterr().out
    assert "sce_resnet18" in script
    assert "SymmetricCrossEntropy" in script
    assert len(script) < 200_000

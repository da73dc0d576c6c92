"""One line for each kind of wrong input, through the real parser: these texts depend on jsonargparse's wording."""

import inspect
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from lightning_utilities.core.imports import RequirementCache

from noisy_lightning import compat
from noisy_lightning.cli.commands import BY_NAME
from noisy_lightning.cli.keys import training_parser
from noisy_lightning.data import NoisyDataModule
from tests.conftest import SMALL
from tests.tools.wrong_inputs import CLEAR, MISTAKES, SILENT, TRACEBACK, answers


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data.noise", "Symetric"], "data.noise: no class is called 'Symetric'; did you mean Symmetric"),
        (["--data", "cifar10"], "data: no class is called 'cifar10'; did you mean CIFAR10?"),
        (["--data", "CIFAR11"], "data: no class is called 'CIFAR11'; did you mean CIFAR10?"),
        (["--data.nois", "Symmetric"], "data: Digits takes no 'nois'; did you mean noise?"),
        (["--data.noise.rat", "0.4"], "data.noise: Symmetric takes no 'rat'; did you mean rate?"),
        (["--data.noise.rate", "abc"], "data.noise.rate must be a number, got abc"),
        (["--data.noise.rate", "1.5"], "Symmetric: rate must be in [0, 1], got 1.5"),
        (["--data.noise.rate", ".nan"], "Symmetric: rate must be in [0, 1], got nan"),
        (["--data.noise", "TransitionMatrix"], "data.noise: TransitionMatrix needs matrix"),
        (["--data.batch_size", "0"], "data.batch_size must be at least 1, got 0"),
        (["--data.batch_size", "many"], "data.batch_size must be a whole number, got many"),
        (["--data.val_fraction", "1"], "data.val_fraction must be in [0, 1), got 1.0"),
        (["--model.loss", "CrossEntrop"], "model.loss: no class is called 'CrossEntrop'; did you mean CrossEntropy"),
        (
            ["--model.loss", "SymmetricCrossEntropy", "--model.loss.alph", "1"],
            "model.loss: SymmetricCrossEntropy takes no 'alph'; did you mean alpha?",
        ),
        (
            ["--model.loss", "GeneralizedCrossEntropy", "--model.loss.q", "1.5"],
            "GeneralizedCrossEntropy: q must be in (0, 1], got 1.5",
        ),
        (
            ["--model.loss", "SymmetricCrossEntropy", "--model.loss.alpha", "-1"],
            "SymmetricCrossEntropy: alpha must be in [0, inf), got -1.0",
        ),
        (
            ["--model.loss", "TruncatedGeneralizedCrossEntropy", "--model.method", "SelfAdaptiveTraining"],
            "model.loss: TruncatedGeneralizedCrossEntropy does not go with this method: soft targets (B, K) are "
            "refused, class indices (B,) are expected: the truncation keeps or drops a sample",
        ),
        (
            ["--model.method", "DynamicWeights", "--model.method.threshold", "0"],
            "model.method: threshold must be in (0, 1], got 0.0",
        ),
        (
            ["--model.method", "DynamicWeights", "--model.method.mode", "as_told"],
            "model.method.mode must be one of ",
        ),
        (
            ["--model.method", "CoTeaching", "--model.method.forget_rate", "guess"],
            "model.method.forget_rate must be a number or estimate, got guess",
        ),
        (
            ["--model.loss", "ActivePassive", "--model.loss.active.q", "1"],
            "model.loss.active: name the class, a Robust",
        ),
        (["--model.freeze_body_epochs", "-1"], "model.freeze_body_epochs must be at least 0, got -1"),
        (["--model.body_lr_factor", "0"], "model.body_lr_factor must be above 0, got 0.0"),
        (["--model.layer_decay", "0"], "model.layer_decay must be in (0, 1], got 0.0"),
        (["--model.ema_decay", "1"], "model.ema_decay must be in (0, 1), got 1.0"),
        (["--model.ema_decay", "often"], "model.ema_decay must be a number, got often"),
        (["--model.frozen_epochs", "1"], "--model.frozen_epochs; model.freeze_body_epochs has taken its place"),
        (["--model.body_lr", "0.1"], "unknown option --model.body_lr; model.body_lr_factor has taken its place"),
        (["--model", "{frozen_epochs: 1}"], "model takes no 'frozen_epochs'; model.freeze_body_epochs has taken its"),
        (
            ["--model.lr_scheduler", "WarmupCosine", "--model.lr_scheduler.warmup_epochs", "9"],
            "model.lr_scheduler.warmup_epochs: the warm-up lasts 54 steps, the run ",
        ),
        (["--data.test_sets", "{mnist: MNIS}"], "no class is called 'MNIS'; did you mean MNIST?"),
        (
            ["--model.backbone", "Timm", "--model.backbone.name", "resnet81"],
            "model.backbone: timm has no model 'resnet81'; similar:",
        ),
        (
            ["--model.backbone", "Timm", "--model.backbone.weights", "nowhere.safetensors"],
            "weights nowhere.safetensors: no such file",
        ),
        (
            ["--model.backbone", "Timm", "--model.backbone.pretrained", "true"],
            "takes no 'pretrained'; weights: hub has taken its place in Timm",
        ),
        (
            ["--model.backbone", "Timm", "--model.backbone.checkpoint_path", "a.pt"],
            "takes no 'checkpoint_path'; weights: FILE has taken its place in Timm",
        ),
        (
            [
                "--data",
                "Embedded",
                "--data.data",
                "Digits",
                "--data.network",
                "Timm",
                "--data.network.pretrained",
                "yes",
            ],
            "takes no 'pretrained'; weights: hub has taken its place in Timm",
        ),
        (["--model.backbone", "SmalCNN"], "model.backbone: no class is called 'SmalCNN'; did you mean SmallCNN?"),
        (
            ["--model.backbone", "tests.networks.Plan"],
            "error: model.backbone: tests.networks.Plan: module 'tests.networks' has no attribute 'Plan'",
        ),
        (["--model.backbone", "my_network.Mine"], "model.backbone: my_network.Mine: No module named 'my_network'"),
        (["--model.loss", "my_loss.Mine"], "model.loss: my_loss.Mine: No module named 'my_loss'"),
        (["--model.loss", "torch.nn.L2Loss"], "model.loss: torch.nn.L2Loss: module 'torch.nn' has no attribute"),
        (["--data.noise", "my_noise.Mine"], "data.noise: my_noise.Mine: No module named 'my_noise'"),
        (["--model.backbone", "PlainCNN"], "model.backbone.image_size is 32, but the images have 8×8 pixels"),
        (["--model.method", "Standrd"], "model.method: no class is called 'Standrd'; did you mean Standard?"),
        (["--model.optimizer", "SDG"], "model.optimizer: no class is called 'SDG'; did you mean SGD?"),
        (["--model.optimizer.lr", "-1"], "model.optimizer: Invalid learning rate: -1.0"),
        (["--model.optimiser", "SGD"], "unknown option --model.optimiser; did you mean --model.optimizer"),
        (["--trainer.max_epoch", "3"], "unknown option --trainer.max_epoch; did you mean --trainer.max_epochs"),
        (["--config", "nowhere.yaml"], "config: there is no file nowhere.yaml, and none of ours has this name"),
        (["--config", "sce_resnet81"], "did you mean sce_resnet18? (noisy-lightning configs lists them)"),
        (["configs/demo.yaml"], "configs/demo.yaml comes after no option; did you mean --config configs/demo.yaml?"),
        (["--model.optimizer", "Adamw"], "model.optimizer: no class is called 'Adamw'; did you mean AdamW?"),
        (["--model.loss", "Symmetric"], "model.loss: no class is called 'Symmetric'; did you mean AsymmetricMSE?"),
        (["--model.loss", "sce"], "model.loss: no class is called 'sce'; did you mean SCE?"),
        (
            ["--model.method", "ELR", "--model.method.strngth", "2"],
            "model.method: EarlyLearningRegularization takes no 'strngth'; did you mean strength?",
        ),
        (["--data", "CIFAR10", "--data.root", "nowhere", "--data.download", "false"], "data.root: CIFAR-10 is not in"),
        (["--data.noise", "Asymmetric", "--data.noise.rate", "0.4", "--data.noise.flips", "{3: 12}"], "12"),
        (["--data.download", "sure"], "data.download must be true or false, got sure"),
        (["--data.mean", "0.5"], "data.mean must be a list, such as [1, 2], got 0.5"),
        (["--data.mean", "[125.0]"], "data.mean needs a number in [0, 1], one per channel, got [125.0]"),
        (["--data.std", "[.nan]"], "data.std needs a number > 0, one per channel, got [nan]"),
        (["--data.test_sets", "MNIST"], "data.test_sets must be a mapping, such as {name: value}, got MNIST"),
        (["--data.noise.exact", "5"], "data.noise.exact must be one of none, total, per_class, got 5"),
        (["--model.optimizer.lr", "high"], "model.optimizer.lr must be a number, got high"),
        (["--model.lr_scheduler", "StepLR"], "model.lr_scheduler: StepLR needs step_size"),
        (["--model.lr_scheduler", "ReduceLROnPlateau"], "model.lr_scheduler: ReduceLROnPlateau needs monitor"),
        (["--model.lr_scheduler", "OneCycleLR"], "model.lr_scheduler: OneCycleLR needs max_lr"),
        (["--model.optimizer", "SparseAdam"], "model.optimizer: SparseAdam takes sparse gradients"),
        (["--model.backbone", "torch.nn.Conv2d"], "model.backbone: Conv2d needs kernel_size"),
        (["--model.loss", "torch.nn.CrossEntropyLoss"], "model.loss: torch.nn.CrossEntropyLoss is no RobustLoss"),
        (["--model.loss", "ResNet18"], "no class is called 'ResNet18'; noisy-lightning list losses names all"),
        (["--model.method", "SCE"], "model.method: no class is called 'SCE'; noisy-lightning list methods names all"),
        (["--trainer", "Mine"], "trainer: it is a part with keys of its own (noisy-lightning fit --trainer.help)"),
        (["--run.experiment", ""], "run.experiment must be a name, not a path, got ''"),
        (["--recorder.picture_epochs", "[0]"], "recorder.picture_epochs must be at least 1"),
        (["--run.checkpoint_every_n_steps", "-1"], "run.checkpoint_every_n_steps must be at least 0, got -1"),
        (
            ["--model.backbone", "tests.tools.mistaken.NoArguments"],
            "is called with num_classes and in_channels",
        ),
        (["--model.backbone", "tests.tools.mistaken.Weightless"], "model.backbone: Weightless has no weights to train"),
        (["--model.backbone", "tests.tools.mistaken.Features"], "model.backbone: Features returns shape (2, 16)"),
        (["--model.loss", "tests.tools.mistaken.Averaging"], "model.loss: Averaging returns shape ()"),
        (["--model.method", "tests.tools.mistaken.NoStep"], "model.method: Can't instantiate abstract class NoStep"),
        (["--model.method", "tests.tools.mistaken.SumStep"], "must return one per sample, (256,)"),
        (["-data.seed", "1"], "-data.seed comes after no option; did you mean --data.seed?"),
        (["data.seed=1"], "data.seed comes after no option; did you mean --data.seed?"),
        (["--seed", "1"], "unknown option --seed; did you mean --data.seed or --seed_everything?"),
        (["--lr", "1"], "unknown option --lr; did you mean --model.optimizer.lr"),
        (["--batch_size", "1"], "unknown option --batch_size; did you mean --data.batch_size?"),
        (["--data.seed"], "needs a value after it"),
        (
            ["--data.noise", "LabelFile", "--data.noise.path", "CIFAR-10_human.pt"],
            "it is in the folder data of https://github.com/UCSC-REAL/cifar-10-100n",
        ),
    ],
)
def test_wrong_input_ends_in_one_line(
    options: list[str], message: str, run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("fit", *SMALL, *options) == 2
    captured = capsys.readouterr()
    (line,) = captured.err.strip().splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert len(line) < 300 or "MD5" in line


def test_a_logger_whose_package_is_missing_says_how_to_install_it_and_nothing_else(
    run: Callable[..., int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Absent, or too old: both are answered alike.
    monkeypatch.setattr("lightning.pytorch.loggers.wandb._WANDB_AVAILABLE", RequirementCache("wandb>=999"))
    assert run("fit", *SMALL, "--trainer.logger", "WandbLogger") == 2
    assert capsys.readouterr().err == (
        "error: WandbLogger: Requirement 'wandb>=999' not met. HINT: Try running `pip install -U 'wandb>=999'`\n"
    )


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("fti", "error: fti is no command; did you mean fit?"),
        ("qqqq", f"error: qqqq is no command; there are {', '.join(BY_NAME)}"),
        ("FIT", f"error: FIT is no command; there are {', '.join(BY_NAME)}"),
    ],
)
def test_a_word_that_is_no_command_is_answered_with_the_closest_or_with_all(
    word: str, line: str, run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(word, *SMALL) == 2
    assert capsys.readouterr().err == f"{line}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fit"], "fit needs data (--config FILE, or --data NAME)"),
        (["noise"], "noise needs data (--config FILE, or --data NAME)"),
        (["test"], "test needs a run: noisy-lightning test runs/<experiment>/<number>"),
        (["predict", "--trainer.devices", "1"], "predict needs a run: noisy-lightning predict"),
        (["fit", "--config"], "config needs a value after it"),
        (["configs", "sce_resnet81"], "did you mean sce_resnet18?"),
        (["sweep", "--config", "digits", "--dryrun"], "sweep: unknown option --dryrun; did you mean --dry-run?"),
        (["sweep", "--config", "digits", "--devices", "cpu"], "devices must be numbers of GPUs, such as 0,1, got cpu"),
    ],
)
def test_a_command_that_lacks_something_says_what(
    words: list[str], message: str, run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: ")
    assert message in line


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "- trainer\n",
            "config: mine.yaml holds a list; it must be a mapping of keys, such as trainer, data",
        ),
        ("", "config: mine.yaml is empty"),
        ("trainer:\n\tmax_epochs: 1\n", "config: mine.yaml, line 2: found character"),
        ("data: Digits\ndata: MNIST\n", "config: mine.yaml, line 2: data is there twice, first in line 1"),
        ("data: Digits\ntrainer: {max_epoch: 1}\n", "trainer takes no 'max_epoch'; did you mean max_epochs?"),
        ("data: Digits\nlr: 0.1\n", "there is no key 'lr'; did you mean --model.optimizer.lr"),
        ("config: demo\naxes: {}\n", "mine.yaml is the grid of a sweep: noisy-lightning sweep --config mine.yaml"),
    ],
)
def test_what_is_wrong_in_a_configuration_is_said_by_its_name(
    text: str, message: str, run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    assert run("fit", "--config", "mine.yaml") == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line


def test_an_argument_of_a_class_in_a_file_is_named_as_on_the_command_line(
    run: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.yaml").write_text("model: {loss: {class_path: SCE, init_args: {alpha: much}}}\n")
    assert run("fit", *SMALL, "--config", "a.yaml") == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "init_args" not in line
    assert "model.loss.alpha must be a number, got much" in line


def test_a_step_that_spans_all_data_is_said(run: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("fit", *SMALL, "--trainer.max_epochs", "1", "--data.batch_size", "5000") == 0
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line == "Digits: data.batch_size 5000 is more than the 1,293 samples to train on: a step per epoch"


def test_there_is_a_mistake_for_each_key_and_each_command() -> None:
    made = " ".join(mistake.command for mistake in MISTAKES)
    parser = training_parser()
    keys = {option for option in compat.option_strings(parser) if option.startswith("--") and "help" not in option}
    arguments = inspect.signature(NoisyDataModule).parameters
    keys |= {f"--data.{name}" for name in arguments if name != "selection"}  # whose mistakes are files
    keys = {key for key in keys if not key.endswith("+") and not key.startswith("--print_")}
    keys -= {"--trainer", "--model", "--recorder", "--run"}
    keys -= {"--model.in_channels", "--model.num_samples"}  # which the data give
    assert [key for key in sorted(keys) if key not in made] == []
    assert [name for name in BY_NAME if not re.search(rf"(^| ){name}( |$)", made)] == []
    assert len(MISTAKES) >= 184


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_nearly_all_wrong_inputs_end_in_one_clear_line() -> None:
    outcomes = Counter(answer.outcome for _, answer in answers(MISTAKES))
    assert outcomes[TRACEBACK] == outcomes[SILENT] == 0
    assert outcomes[CLEAR] >= 0.97 * len(MISTAKES)

"""One line for each kind of wrong input, through the real parser: these texts depend on jsonargparse's wording."""

from collections.abc import Callable

import pytest

from tests.conftest import SMALL


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data.noise", "Symetric"], "data.noise: no class is called 'Symetric'; did you mean Symmetric"),
        (["--data", "CIFAR11"], "data: no class is called 'CIFAR11'; did you mean CIFAR10?"),
        (["--data.nois", "Symmetric"], "data: Digits takes no 'nois'; did you mean noise?"),
        (["--data.noise.rat", "0.4"], "data.noise: Symmetric takes no 'rat'; did you mean rate?"),
        (["--data.noise.rate", "abc"], "data.noise.rate: Expected a <class 'float'>. Got value: abc"),
        (["--data.noise.rate", "1.5"], "Symmetric: rate must be in [0, 1], got 1.5"),
        (["--data.noise.rate", ".nan"], "Symmetric: rate must be in [0, 1], got nan"),
        (["--data.noise", "TransitionMatrix"], "data.noise: TransitionMatrix needs matrix"),
        (["--data.batch_size", "0"], "data.batch_size must be at least 1, got 0"),
        (["--data.batch_size", "many"], "data.batch_size: Expected a <class 'int'>. Got value: many"),
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
            "model.method.mode: Expected a typing.Literal[",
        ),
        (
            ["--model.method", "CoTeaching", "--model.method.forget_rate", "guess"],
            "model.method.forget_rate: Expected a <class 'float'>; Expected a typing.Literal['estimate']",
        ),
        (
            ["--model.loss", "ActivePassive", "--model.loss.active.q", "1"],
            "model.loss.active: name the class, a Robust",
        ),
        (["--model.frozen_epochs", "-1"], "model.frozen_epochs must be at least 0, got -1"),
        (["--model.body_lr", "0"], "model.body_lr must be above 0, got 0.0"),
        (["--data.test_sets", "{mnist: MNIS}"], "no class is called 'MNIS'; did you mean MNIST?"),
        (
            ["--model.backbone", "Timm", "--model.backbone.name", "resnet81"],
            "model.backbone: timm has no model 'resnet81'; similar:",
        ),
        (
            ["--model.backbone", "Timm", "--model.backbone.checkpoint_path", "nowhere.safetensors"],
            "checkpoint_path nowhere.safetensors: no such file",
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
        (["--model.loss", "Symmetric"], "model.loss: no class is called 'Symmetric'; did you mean AsymmetricGCE?"),
        (["--model.loss", "sce"], "model.loss: no class is called 'sce'; did you mean SCE?"),
        (
            ["--model.method", "ELR", "--model.method.strngth", "2"],
            "model.method: EarlyLearningRegularization takes no 'strngth'; did you mean strength?",
        ),
        (["--data", "CIFAR10", "--data.root", "nowhere", "--data.download", "false"], "data.root: CIFAR-10 is not in"),
        (["--data.noise", "Asymmetric", "--data.noise.rate", "0.4", "--data.noise.flips", "{3: 12}"], "12"),
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

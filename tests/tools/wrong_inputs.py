"""Makes mistakes, at least one for every key, file and command, and counts how the command line answers.

    python -m tests.tools.wrong_inputs [--show OUTCOME] [PATTERN]

An answer is clear if it is one line that names the key or the file and says what would be right, with exit code 1 or 2;
where a command may go on all the same, the line is a warning. All others are a traceback, many lines, an unclear line
or silence.
"""

import argparse
import contextlib
import io
import re
import shlex
import shutil
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from noisy_lightning.cli.main import main
from tests.conftest import SMALL
from tests.tools.wrong_files import lay_out

CLEAR, UNCLEAR, LINES, TRACEBACK, SILENT = "clear", "unclear", "many lines", "traceback", "silent"
_LONGEST = 400  # characters of a line that is still read
# What data sets of image files say while they load, wrong or not.
_SAID_BEFORE = re.compile(r"(ImageFolder|ImageTable): (\d|measured )")
_WORDS = {
    "SMALL": " ".join([*SMALL, "--trainer.max_epochs 1"]),
    "DATA": "--data Digits --data.noise Symmetric --data.noise.rate 0.4",
    "FOLDER": "fit SMALL --data ImageFolder --data.image_size 8 --data.root",
    "TABLE": "fit SMALL --data ImageTable --data.image_size 8 --data.root images --data.csv",
    "LABELS": "fit SMALL --data.noise LabelFile --data.noise.path",
    "MATRIX": "fit SMALL --data.noise TransitionMatrix --data.noise.matrix",
    "SELECTION": "fit SMALL --data.selection",
    "CLEAN": "clean SMALL --selector",
    "TIMM": "fit SMALL --model.backbone Timm --model.backbone.name",
}


class Mistake(NamedTuple):
    """One wrong input."""

    command: str
    """Command line; words of `_WORDS` stand for what is right in it."""
    names: str
    """The key or the file that the answer must name, or the command."""
    right: str
    """Regular expression of what would be right, without regard to case."""
    goes_on: bool = False
    """Whether the command may go on after its line."""

    @property
    def words(self) -> list[str]:
        """The command line, word by word."""
        text = self.command
        while found := next((word for word in _WORDS if re.search(rf"\b{word}\b", text)), None):
            text = re.sub(rf"\b{found}\b", lambda _, word=found: _WORDS[word], text)  # type: ignore[misc]
        return shlex.split(text)


class Answer(NamedTuple):
    """How the command line answered."""

    outcome: str
    text: str


COMMANDS = [
    Mistake("fti SMALL", "fti", "did you mean fit"),
    Mistake("train SMALL", "train", "fit"),
    Mistake("--config demo", "--config", "fit|command"),
    Mistake("FIT SMALL", "FIT", "fit"),
    Mistake("evaluate runs/default/0", "evaluate", "validate|test"),
    Mistake("fit", "data", "--data|--config"),
    Mistake("fit demo", "demo", "--config demo"),
    Mistake("fit configs/demo.yaml", "configs/demo.yaml", "--config configs/demo.yaml"),
    Mistake("fit --config", "config", "expected one argument|needs a|file"),
    Mistake("fit SMALL --trainer.max_epochs", "trainer.max_epochs", "expected one argument|needs a value"),
    Mistake("fit SMALL --data.seed 1 2", "2", "after no option|--"),
    Mistake("fit SMALL -data.seed 1", "-data.seed", "--data.seed"),
    Mistake("fit SMALL data.seed=1", "data.seed", "--data.seed"),
    Mistake("fit SMALL --seed 3", "--seed", "--seed_everything"),
    Mistake("fit SMALL --epochs 3", "--epochs", "--trainer.max_epochs"),
    Mistake("fit SMALL --lr 3", "--lr", "--model.optimizer.lr"),
    Mistake("test", "test", "run"),
    Mistake("test nowhere/0", "nowhere/0", "folder of a run|no folder"),
    Mistake("test runs/default", "runs/default", "runs/default/0|folder of a run"),
    Mistake("test runs/default/0 first", "first", "best|last"),
    Mistake("test runs/default/0 runs/default/0/checkpoints", "checkpoints", "best|last"),
    Mistake("test runs/default/0 --data.batch_siz 3", "batch_siz", "batch_size"),
    Mistake("test runs/default/0 --data.noise.rate 0.2", "labels", "seed|noise"),
    Mistake("test runs/default/0 --model.backbone SmallCNN", "model", "backbone|run's own"),
    Mistake("test runs/default/0 --data.test_sets '{a b: Digits}'", "data.test_sets", "letters"),
    Mistake("test --config runs/default/0/config.yaml", "test", "ckpt_path|run's folder"),
    Mistake("validate", "validate", "run"),
    Mistake("validate runs/default/0 --data.val_fraction 0", "data.val", "validation part"),
    Mistake("predict", "predict", "run"),
    Mistake("predict nowhere", "nowhere", "folder of a run|no folder"),
    Mistake("predict runs/default/0 best last", "last", "option|one checkpoint"),
    Mistake("predict runs/default/0 --trainer.devices 2", "predict", "--trainer.devices 1"),
    Mistake("export", "export", "run"),
    Mistake("export nowhere", "nowhere", "folder of a run|no folder"),
    Mistake("export runs/default/0 first", "first", "best|last"),
    Mistake("export runs/default/0 --format pickle", "format", "onnx"),
    Mistake("export runs/default/0 --format torch --out model.onnx", "model.onnx", ".pt2"),
    Mistake("export runs/default/0 --data.root x", "--data.root", "--out|option"),
    Mistake("predict runs/default/0 --images nowhere", "images", "nowhere"),
    Mistake("predict runs/default/0 --images", "images", "argument"),
    Mistake("predict runs/default/0 --image runs", "--image", "did you mean --images"),
    Mistake("predict runs/default/0 --images runs --data.root x", "--data.root", "unknown option"),
    Mistake("predict runs/default/0 --out mine.csv", "--out", "--images"),
    Mistake("noise", "data", "--data|--config"),
    Mistake("noise DATA --data.noise Symetric", "data.noise", "Symmetric"),
    Mistake("noise DATA --out runs/default/0", "runs/default/0", "another"),
    Mistake("noise DATA --out labels.csv", "labels.csv", "folder|directory|File exists"),
    Mistake("noise DATA --outt x", "--outt", "--out"),
    Mistake("clean", "clean", "selector|data"),
    Mistake("clean SMALL", "selector", "noisy-lightning list selectors|INCV|needs selector"),
    Mistake("CLEAN NVC", "selector", "NCV"),
    Mistake("CLEAN NoisyCrossValidation --jobs 0", "jobs", "at least 1"),
    Mistake("CLEAN NoisyCrossValidation --selector.folds 1", "folds", "2"),
    Mistake("CLEAN NoisyCrossValidation --selector.fold 3", "selector", "folds"),
    Mistake("CLEAN NoisyCrossValidation --data.selection selection.csv", "data.selection", "left out"),
    Mistake("CLEAN NoisyCrossValidation --trainer.fast_dev_run true", "trainer.fast_dev_run", "leaves no run"),
    Mistake("sweep", "config", "required|needs"),
    Mistake("sweep digits", "digits", "--config digits"),
    Mistake("sweep --config nowhere.yaml", "nowhere.yaml", "configs"),
    Mistake("sweep --config digts --dry-run", "digts", "digits"),
    Mistake("sweep --config sweeps/good.yaml --jobs 0", "jobs", "at least 1"),
    Mistake("sweep --config sweeps/good.yaml --dryrun", "--dryrun", "--dry-run"),
    Mistake("sweep --config sweeps/good.yaml --only loss", "only", "axis=pattern|AXIS=PATTERN"),
    Mistake("sweep --config sweeps/good.yaml --only model.loss=XYZ --dry-run", "XYZ", "CE|no run matches"),
    Mistake("sweep --config sweeps/good.yaml --shard 3/2 --dry-run", "shard", "i/n"),
    Mistake("sweep --config sweeps/good.yaml --executor slrm", "executor", "slurm"),
    Mistake("sweep --config sweeps/good.yaml --devices cpu --dry-run", "devices", "0,1|number"),
    Mistake("sweep --config sweeps/good.yaml --dry-run --data.batch_siz 3", "batch_siz", "batch_size"),
    Mistake("sweep --config sweeps/good.yaml --name ../x --dry-run", "name", "folder|name"),
    Mistake("report", "runs", "required|needs"),
    Mistake("report nowhere", "nowhere", "folder|no such|run"),
    Mistake("report images", "images", "run|ledger"),
    Mistake("report runs/default/0 --across lossy", "across", "epoch|axes|axis"),
    Mistake("report runs/default/0 --parket", "--parket", "--parquet"),
    Mistake("report runs/default/0 --out labels.csv", "labels.csv", "write|folder"),
    Mistake("report ledgers/no_ledger.csv --only-print", "no_ledger.csv", "run"),
    Mistake("report ledgers/torn.csv --only-print", "torn.csv", "line 2|torn"),
    Mistake("doctor", "data", "--data|--config"),
    Mistake("doctor --config demo --data.noise.rte 1", "data.noise", "rate"),
    Mistake("list loss", "loss", "losses"),
    Mistake("list losses methods", "methods", "one kind|after no option|unrecognized|list"),
    Mistake("configs sce_resnet81", "sce_resnet81", "sce_resnet18"),
    Mistake("completion fish", "fish", "bash"),
    Mistake("fit --model.loss.help GCEE", "GCEE", "GCE"),
    Mistake("fit --model.los.help", "model.los", "model.loss|fit --help"),
]

KEYS_OF_DATA = [
    Mistake("fit SMALL --data cifar10", "data", "CIFAR10"),
    Mistake("fit SMALL --data digits", "data", "Digits"),
    Mistake("fit SMALL --data SCE", "data", "CIFAR10|Digits|data set"),
    Mistake("fit SMALL --data ImageArrays", "data.images", "ImageFolder|Python"),
    Mistake("fit SMALL --data FromDataset", "data.dataset", "ImageFolder|Python"),
    Mistake("fit SMALL --data.nois Symmetric", "data", "noise"),
    Mistake("fit SMALL --data CIFAR10 --data.root nowhere --data.download false", "data.root", "download"),
    Mistake("fit SMALL --data CIFAR10 --data.root labels.csv --data.download false", "data.root", "folder|download"),
    Mistake("fit SMALL --data CIFAR10 --data.root cifar --data.download false", "cifar", "MD5|download|checksum"),
    Mistake("fit SMALL --data CIFAR100 --data.labels medium --data.download false", "data.labels", "fine"),
    Mistake("fit SMALL --data MNIST --data.root nowhere --data.download false", "data.root", "download"),
    Mistake("fit SMALL --data Clothing1M --data.root nowhere", "data.root", "nowhere"),
    Mistake("fit SMALL --data.noise SCE", "data.noise", "Symmetric"),
    Mistake("fit SMALL --data.noise symmetric", "data.noise", "Symmetric"),
    Mistake("fit SMALL --data.noise.rate 40", "rate", r"\[0, 1\]"),
    Mistake("fit SMALL --data.noise.rate high", "data.noise.rate", "number|float"),
    Mistake("fit SMALL --data.noise.include_true maybe", "data.noise.include_true", "true or false|bool"),
    Mistake("fit SMALL --data.noise.exact 5", "exact", "per_class"),
    Mistake("fit SMALL --data.noise Asymmetric --data.noise.rate 0.4 --data.noise.flips mnst", "flips", "mnist"),
    Mistake("fit SMALL --data.noise Asymmetric --data.noise.rate 0.4 --data.noise.flips '{3: 12}'", "12", "10|class"),
    Mistake("fit SMALL --data.noise Asymmetric --data.noise.rate 0.4 --data.noise.flips '{3: 3}'", "flips", "another"),
    Mistake("fit --data Digits --data.noise Asymmetric", "data.noise", "needs rate"),
    Mistake("fit SMALL --data.noise PairFlip --data.noise.rate -0.1", "rate", r"\[0, 1\]"),
    Mistake("fit SMALL --data.noise OpenSet --data.noise.rate 0.4", "data.noise", "needs source"),
    Mistake(
        "fit SMALL --data.noise OpenSet --data.noise.rate 0.9 --data.noise.source ImageFolder"
        " --data.noise.source.root images --data.noise.source.image_size 8",
        "rate",
        "at most",
    ),
    Mistake("fit SMALL --data.noise PartDependent --data.noise.rate 2", "rate", r"\[0, 1|\[0, 1\)"),
    Mistake("fit SMALL --data.noise PolynomialMargin --data.noise.kind 9", "data.noise", "kind|takes no|must"),
    Mistake("fit SMALL --data.batch_size 0", "data.batch_size", "at least 1"),
    Mistake("fit SMALL --data.batch_size many", "data.batch_size", "whole number|int"),
    Mistake("fit SMALL --data.batch_size 12.5", "data.batch_size", "whole number|int"),
    Mistake("fit SMALL --data.batch_size 5000", "data.batch_size", "1,?29. samples", goes_on=True),
    Mistake("fit SMALL --data.eval_batch_size -1", "data.eval_batch_size", "at least 1"),
    Mistake("fit SMALL --data.val_fraction 10", "data.val_fraction", r"\[0, 1\)"),
    Mistake("fit SMALL --data.val_fraction 0.0001", "data.val_fraction", "validation none|larger"),
    Mistake("fit SMALL --data.val_fraction 0.9999", "data.val_fraction", "train on|smaller"),
    Mistake("fit SMALL --data.validation clean", "data.validation", "trusted"),
    Mistake("fit SMALL --data.validation trusted", "data.validation", "trusted"),
    Mistake("fit SMALL --data.sampling balanced", "data.sampling", "undersample"),
    Mistake("fit SMALL --data.balanced true", "balanced", "data.sampling undersample"),
    Mistake("fit SMALL --data.sampling oversample --model.method ELR", "data.sampling", "natural or undersample"),
    Mistake("fit SMALL --data.sampling sqrt --model.method ForwardCorrection", "data.sampling", "choose natural"),
    Mistake("fit SMALL --model.class_weights '[1, 2]'", "model.class_weights", "10 numbers"),
    Mistake("fit SMALL --model.class_weights inverse", "model.class_weights", "balanced"),
    Mistake("fit SMALL --model.class_weights balanced --model.method DivideMix", "model.class_weights", "undersample"),
    Mistake("fit SMALL --data.redraw epoch", "data.redraw", "per_epoch"),
    Mistake("fit SMALL --data.redraw per_epoch --data.sampling sqrt", "data.redraw", "data.sampling"),
    Mistake("fit SMALL --data.seed -1", "data.seed", "at least 0"),
    Mistake("fit SMALL --data.seed random", "data.seed", "whole number|int"),
    Mistake("fit SMALL --data.crop_padding -2", "data.crop_padding", "at least 0"),
    Mistake("fit SMALL --data.horizontal_flip sometimes", "data.horizontal_flip", "true or false|bool"),
    Mistake("fit SMALL --data.augmentation rand_augmnt", "data.augmentation", "rand_augment"),
    Mistake("fit SMALL --data.augmentation RandAugment --data.augmentation.magnitude 31", "magnitude", "0, 30"),
    Mistake("fit SMALL --data.augmentation RandomResizedCrop --data.augmentation.scale 0.5", "scale", "a list"),
    Mistake("fit SMALL --data.augmentation PerImage", "data.augmentation", "transform"),
    Mistake("fit SMALL --data.strong_augmentation []", "data.strong_augmentation", "recipe"),
    Mistake("fit SMALL --model.test_flips twice", "model.test_flips", "true or false|bool"),
    Mistake("fit SMALL --data.mean '[0.5, 0.5, 0.5]'", "data.mean", "a number in"),
    Mistake("fit SMALL --data.mean 0.5", "data.mean", "list"),
    Mistake("fit SMALL --data.std '[0.0]'", "data.std", "> 0"),
    Mistake("fit SMALL --data.std '[.nan]'", "data.std", "> 0|number"),
    Mistake("fit SMALL --data.mean '[125.0]'", "data.mean", r"\[0, 1\]"),
    Mistake("fit SMALL --data.workers -1", "data.workers", "at least 0"),
    Mistake("fit SMALL --data.download sure", "data.download", "true or false|bool"),
    Mistake("fit SMALL --data.test_sets '{mnist: MNIS}'", "data.test_sets", "MNIST"),
    Mistake("fit SMALL --data.test_sets MNIST", "data.test_sets", "mapping|dict|name"),
    Mistake(
        "test runs/default/0 --data.test_sets"
        " '{own: {class_path: ImageFolder, init_args: {root: images, image_size: 8}}}'",
        "data.test_sets.own",
        "lacks: cat, dog",
    ),
    Mistake("FOLDER nowhere", "nowhere", "data.root"),
    Mistake("FOLDER labels.csv", "labels.csv", "data.root"),
    Mistake("FOLDER folders/no_classes", "folders/no_classes", "folder per class"),
    Mistake("FOLDER folders/one_class", "folders/one_class", "2 or more"),
    Mistake("FOLDER folders/empty_class", "bird", "fill or remove"),
    Mistake("FOLDER folders/broken", "b0.png", "data.broken skip"),
    Mistake("FOLDER folders/test_class", "bird", "class"),
    Mistake("FOLDER folders/case", "Cat", "case"),
    Mistake("FOLDER images --data.image_size 0", "data.image_size", "at least 1"),
    Mistake("FOLDER images --data.image_size '[8, 8, 8]'", "data.image_size", "height, width"),
    Mistake("FOLDER images --data.crop_margin -1", "data.crop_margin", "at least 0"),
    Mistake("FOLDER images --data.channels 4", "data.channels", "1|3"),
    Mistake("FOLDER images --data.broken ignore", "data.broken", "skip"),
    Mistake("FOLDER images --data.cache_gib -1", "data.cache_gib", "at least 0"),
    Mistake("FOLDER images --data.cache labels.csv", "labels.csv", "data.cache|folder"),
    Mistake("FOLDER images --data.clean yes_please", "data.clean", "true or false|bool"),
    Mistake("FOLDER images --data.test_root nowhere", "data.test_root", "nowhere"),
    Mistake("FOLDER images", "data.noise", "data.clean"),
    Mistake("fit SMALL --data ImageTable --data.image_size 8", "data", "csv"),
    Mistake("TABLE nowhere.csv", "nowhere.csv", "data.csv"),
    Mistake("TABLE tables/no_label.csv", "no_label.csv", "path and label"),
    Mistake("TABLE tables/missing.csv", "line 3", "no file"),
    Mistake("TABLE tables/twice.csv", "twice.csv", "twice"),
    Mistake("TABLE tables/outside.csv", "line 2", "relative"),
    Mistake("TABLE tables/cells.csv", "line 3", "cells"),
    Mistake("TABLE tables/split.csv", "line 2", "train, val, test"),
    Mistake("TABLE tables/trusted.csv", "line 2", "1, 0, true"),
    Mistake("TABLE tables/latin.csv", "latin.csv", "text|UTF-8"),
    Mistake("TABLE tables/case.csv", "case.csv", "case"),
    Mistake("TABLE tables/true_label.csv", "line 2", "dgo.*(dog|classes)"),
    Mistake("TABLE tables/good.csv --data.classes '[cat]'", "good.csv", "dog"),
    Mistake("TABLE tables/good.csv --data.classes '[cat, cat]'", "data.classes", "differ"),
]

KEYS_OF_MODEL = [
    Mistake("fit SMALL --model.backbone SmalCNN", "model.backbone", "SmallCNN"),
    Mistake("fit SMALL --model.backbone resnet18", "model.backbone", "ResNet18"),
    Mistake("fit SMALL --model.backbone SCE", "model.backbone", "ResNet18|SmallCNN|backbones"),
    Mistake("fit SMALL --model.backbone tests.networks.Plan", "model.backbone", "tests.networks"),
    Mistake("fit SMALL --model.backbone my_network.Mine", "model.backbone", "my_network"),
    Mistake("fit SMALL --model.backbone torch.nn.Linear", "model.backbone", r"num_classes|images|\(B"),
    Mistake("fit SMALL --model.backbone torch.nn.Conv2d", "model.backbone", "needs kernel_size|images|num_classes"),
    Mistake("fit SMALL --model.backbone os.getcwd", "model.backbone", "class|network|num_classes"),
    Mistake("fit SMALL --model.backbone tests.tools.mistaken.Features", "model.backbone", r"\(2, 10\)|10"),
    Mistake("fit SMALL --model.backbone tests.tools.mistaken.Maps", "model.backbone", r"10\)"),
    Mistake("fit SMALL --model.backbone tests.tools.mistaken.Pair", "model.backbone", "logits"),
    Mistake("fit SMALL --model.backbone tests.tools.mistaken.Flat", "model.backbone", "images"),
    Mistake("fit SMALL --model.backbone tests.tools.mistaken.NoArguments", "model.backbone", "num_classes"),
    Mistake("fit SMALL --model.backbone tests.tools.mistaken.Weightless", "model.backbone", "weights|train"),
    Mistake("fit SMALL --model.backbone tests.tools.mistaken.Deep", "model.backbone", "larger|8×8"),
    Mistake("fit SMALL --model.backbone tests.tools.mistaken.not_a_class", "model.backbone", "network|Module|class"),
    Mistake(
        "fit SMALL --model.backbone tests.tools.mistaken.Normalized --data.batch_size 1",
        "data.batch_size",
        "at least 2",
    ),
    Mistake("fit SMALL --model.backbone PlainCNN", "model.backbone.image_size", "8"),
    Mistake("fit SMALL --model.backbone PlainCNN --model.backbone.image_size 3", "image_size", r"4"),
    Mistake("fit SMALL --model.backbone ResNet18 --model.backbone.stm cifar", "model.backbone", "stem"),
    Mistake("fit SMALL --model.backbone ResNet18 --model.backbone.stem small", "model.backbone.stem", "cifar"),
    Mistake("fit SMALL --model.backbone WideResNet --model.backbone.depth 27", "depth", "28|6n"),
    Mistake("TIMM resnet81", "model.backbone", "resnet18|similar"),
    Mistake("TIMM vit_tiny_patch16_224", "model.backbone", "224"),
    Mistake("TIMM vgg11", "model.backbone", "8×8|image_size"),
    Mistake("TIMM resnet18 --model.backbone.drop_rate 1.5", "drop_rate", r"\[0, 1\)"),
    Mistake("TIMM resnet18 --model.backbone.image_size 0", "image_size", "at least 1|1, inf"),
    Mistake("TIMM resnet18 --model.backbone.weights nowhere.pt", "weights", "no such file"),
    Mistake("TIMM resnet18 --model.backbone.weights labels.csv", "labels.csv", "safetensors|torch|weights"),
    Mistake("TIMM resnet18 --model.backbone.pretrained true", "model.backbone", "weights: hub has taken its place"),
    Mistake("fit SMALL --model.loss CrossEntrop", "model.loss", "CrossEntropy"),
    Mistake("fit SMALL --model.loss sce", "model.loss", "SCE"),
    Mistake("fit SMALL --model.loss ResNet18", "model.loss", "losses|CrossEntropy"),
    Mistake("fit SMALL --model.loss torch.nn.CrossEntropyLoss", "model.loss", "RobustLoss"),
    Mistake("fit SMALL --model.loss tests.tools.mistaken.Averaging", "model.loss", r"\(2,\)|one per|average"),
    Mistake("fit SMALL --model.loss SCE --model.loss.alph 1", "model.loss", "alpha"),
    Mistake("fit SMALL --model.loss GCE --model.loss.q 7", "q", r"\(0, 1\]"),
    Mistake("fit SMALL --model.loss GCE --model.loss.q big", "model.loss.q", "number|float"),
    Mistake("fit SMALL --model.loss APL --model.loss.actve NCE", "model.loss", "active"),
    Mistake("fit SMALL --model.loss APL --model.loss.active NCE --model.loss.passive MAEE", "passive", "MAE"),
    Mistake("fit SMALL --model.loss.alpha 1", "model.loss", "name the class"),
    Mistake("fit SMALL --model.method Standrd", "model.method", "Standard"),
    Mistake("fit SMALL --model.method SCE", "model.method", "Standard|ELR|methods"),
    Mistake("fit SMALL --model.method ELR --model.method.strngth 2", "model.method", "strength"),
    Mistake("fit SMALL --model.method CoTeaching --model.method.forget_rate 2", "forget_rate", r"\[0, 1"),
    Mistake("fit SMALL --model.method CoTeaching --model.method.forget_rate guess", "forget_rate", "estimate"),
    Mistake("fit SMALL --model.method DivideMix --model.method.warm_up -1", "warm_up", "at least 0|0"),
    Mistake("fit SMALL --model.method ForwardCorrection --model.method.matrix nowhere.csv", "matrix", "nowhere.csv"),
    Mistake("fit SMALL --model.method tests.tools.mistaken.NoStep", "model.method", "step"),
    Mistake(
        "fit SMALL --model.method tests.tools.mistaken.SumStep", "model.method", r"\(B,\)|\(2,\)|one per|per sample"
    ),
    Mistake("fit SMALL --model.method torch.nn.Linear", "model.method", "Method"),
    Mistake("fit SMALL --model.optimizer SDG", "model.optimizer", "SGD"),
    Mistake("fit SMALL --model.optimizer Adamw", "model.optimizer", "AdamW"),
    Mistake("fit SMALL --model.optimizer.lr high", "model.optimizer.lr", "number|float"),
    Mistake("fit SMALL --model.optimizer.lr -1", "model.optimizer", "at least 0|learning rate"),
    Mistake("fit SMALL --model.optimizer.learning_rate 0.1", "model.optimizer", "lr"),
    Mistake("fit SMALL --model.optimizer Adam --model.optimizer.momentum 0.9", "model.optimizer", "momentum"),
    Mistake("fit SMALL --model.optimizer.momentum -1", "model.optimizer", "momentum"),
    Mistake("fit SMALL --model.optimizer SparseAdam", "model.optimizer", "SGD|Adam|sparse"),
    Mistake("fit SMALL --model.optimizer '{class_path: SGD, init_args: {rl: 0.1}}'", "model.optimizer", "lr"),
    Mistake("fit SMALL --model.lr_scheduler CosineAnealingLR", "model.lr_scheduler", "CosineAnnealingLR"),
    Mistake("fit SMALL --model.lr_scheduler StepLR", "model.lr_scheduler", "step_size"),
    Mistake("fit SMALL --model.lr_scheduler StepLR --model.lr_scheduler.step_size 0", "step_size", "at least 1|> 0"),
    Mistake("fit SMALL --model.lr_scheduler ReduceLROnPlateau", "model.lr_scheduler", "monitor"),
    Mistake(
        "fit SMALL --model.lr_scheduler ReduceLROnPlateau --model.lr_scheduler.monitor val/los",
        "val/los",
        "val/loss",
    ),
    Mistake("fit SMALL --model.lr_scheduler OneCycleLR", "model.lr_scheduler", "max_lr"),
    Mistake("fit SMALL --model.lr_scheduler MultiStepLR --model.lr_scheduler.milestones 5", "milestones", "list"),
    Mistake("fit SMALL --model.lr_scheduler SequentialLR", "model.lr_scheduler", "schedulers"),
    Mistake("fit SMALL --model.lr_scheduler ChainedScheduler", "model.lr_scheduler", "schedulers|SequentialLR"),
    Mistake("fit SMALL --model.lr_scheduler LambdaLR", "model.lr_scheduler", "lr_lambda"),
    Mistake("fit SMALL --model.freeze_body_epochs -1", "model.freeze_body_epochs", "at least 0"),
    Mistake("fit SMALL --model.body_lr_factor 0", "model.body_lr_factor", "above 0"),
    Mistake("fit SMALL --model.layer_decay 2", "model.layer_decay", r"\(0, 1\]"),
    Mistake("fit SMALL --model.ema_decay 1", "model.ema_decay", r"\(0, 1\)"),
    Mistake("fit SMALL --model.body_lr 1", "model.body_lr", "model.body_lr_factor"),
    Mistake("fit SMALL --model.lr_scheduler WarmupCosine --model.lr_scheduler.warmup_epochs -1", "warmup_epochs", "0"),
    Mistake("fit SMALL --model.l1_decay -1", "model.l1_decay", "at least 0"),
    Mistake("fit SMALL --model.mixing MixUp --model.mixing.alpha 0", "model.mixing", "alpha"),
    Mistake(
        "fit SMALL --model.mixing CutMix --model.method DivideMix", "model.mixing", "CutMix does not go with DivideMix"
    ),
    Mistake("fit SMALL --model.mixing Mixup", "model.mixing", "MixUp"),
    Mistake("fit SMALL --model.mixing SAM", "model.mixing", "SAM"),
    Mistake("fit SMALL --model.gradient CDR", "model.gradient", "noise_rate"),
    Mistake("fit SMALL --model.gradient SAM --trainer.accumulate_grad_batches 2", "model.gradient", "leave it 1"),
    Mistake("fit SMALL --model.channels_last first", "model.channels_last", "true or false|bool"),
    Mistake("fit SMALL --model.compile fast", "model.compile", "true or false|bool"),
    Mistake("fit SMALL --model.num_classes 12", "num_classes", "data|unknown option"),
]

KEYS_OF_TRAINER = [
    Mistake("fit SMALL --trainer.accelerator gpuu", "trainer.accelerator", "cpu"),
    Mistake("fit SMALL --trainer.accelerator tpu", "trainer.accelerator", "cpu|available"),
    Mistake("fit SMALL --trainer.strategy dpp", "trainer.strategy", "ddp"),
    Mistake("fit SMALL --trainer.devices 0", "trainer.devices", "at least 1|> 0"),
    Mistake("fit SMALL --trainer.devices two", "trainer.devices", "at least 1"),
    Mistake("fit SMALL --trainer.num_nodes 0", "trainer.num_nodes", "at least 1"),
    Mistake("fit SMALL --trainer.precision 15", "trainer.precision", "16|32"),
    Mistake("fit SMALL --trainer.logger WandbLogger", "trainer.logger|WandbLogger", "pip install"),
    Mistake("fit SMALL --trainer.logger TensorbordLogger", "trainer.logger", "TensorBoardLogger"),
    Mistake("fit SMALL --trainer.logger CSVLogger", "trainer.logger", "save_dir"),
    Mistake("fit SMALL --trainer.callbacks LearningRateMonitr", "trainer.callbacks", "LearningRateMonitor"),
    Mistake("fit SMALL --trainer.callbacks EarlyStopping", "trainer.callbacks", "monitor"),
    Mistake("fit SMALL --trainer.callbacks EarlyStopping --trainer.callbacks.monitor val/los", "val/los", "val/loss"),
    Mistake(
        "fit SMALL --trainer.callbacks EarlyStopping --trainer.callbacks.monitor test/acc", "test/acc", "test set|val"
    ),
    Mistake("fit SMALL --trainer.callbacks ModelCheckpoint --trainer.callbacks.monitor val/los", "val/los", "val/loss"),
    Mistake("fit SMALL --trainer.callbacks LearningRateFinder", "LearningRateFinder", "model.optimizer.lr"),
    Mistake("fit SMALL --trainer.callbacks BatchSizeFinder", "BatchSizeFinder", "data.batch_size"),
    Mistake(
        "fit SMALL --trainer.callbacks ModelPruning --trainer.callbacks.pruning_fn l1_unstructured"
        " --trainer.callbacks.amount 0.5 --model.backbone SmallCNN",
        "ModelPruning",
        "model.channels_last false",
    ),
    Mistake("fit SMALL --trainer.callbacks StochasticWeightAveraging", "trainer.callbacks", "swa_lrs"),
    Mistake("fit SMALL --trainer.callbacks torch.nn.Linear", "trainer.callbacks", "Callback"),
    Mistake("fit SMALL --trainer.callbacks DeviceStatsMonitor --trainer.logger false", "DeviceStatsMonitor", "logger"),
    Mistake(
        "fit SMALL --trainer.callbacks LearningRateMonitor --trainer.logger false", "LearningRateMonitor", "logger"
    ),
    Mistake("fit SMALL --trainer.fast_dev_run 'no way'", "trainer.fast_dev_run", "bool|int|true"),
    Mistake("fit SMALL --trainer.max_epochs 0", "trainer.max_epochs", "at least 1"),
    Mistake("fit SMALL --trainer.max_epochs -3", "trainer.max_epochs", "at least 1|-1"),
    Mistake("fit SMALL --trainer.max_epochs ten", "trainer.max_epochs", "whole number|int"),
    Mistake("fit SMALL --trainer.max_epoch 3", "--trainer.max_epoch", "--trainer.max_epochs"),
    Mistake("fit SMALL --trainer.min_epochs soon", "trainer.min_epochs", "whole number|int"),
    Mistake("fit SMALL --trainer.max_steps 0", "trainer.max_steps", "at least 1|-1"),
    Mistake("fit SMALL --trainer.max_steps -5", "trainer.max_steps", "at least 1|-1"),
    Mistake("fit SMALL --trainer.min_steps x", "trainer.min_steps", "whole number|int"),
    Mistake("fit SMALL --trainer.max_time 2h", "trainer.max_time", "DD:HH:MM:SS|00:"),
    Mistake("fit SMALL --trainer.limit_train_batches 0", "trainer.limit_train_batches", "at least 1|above 0"),
    Mistake("fit SMALL --trainer.limit_train_batches 0.0001", "trainer.limit_train_batches", "at least"),
    Mistake("fit SMALL --trainer.limit_train_batches 1.5", "limit_train_batches", r"[\[(]0(\.0)?, 1"),
    Mistake(
        "fit SMALL --trainer.limit_val_batches -1", "limit_val_batches", r"[\[(]0(\.0)?, 1|at least 0|> 0|positive"
    ),
    Mistake("fit SMALL --trainer.limit_val_batches 0", "trainer.limit_val_batches", "data.validation none|at least 1"),
    Mistake("fit SMALL --trainer.limit_test_batches many", "trainer.limit_test_batches", "int|float|number"),
    Mistake("test runs/default/0 --trainer.limit_test_batches 0", "trainer.limit_test_batches", "at least 1|above"),
    Mistake("fit SMALL --trainer.limit_predict_batches many", "trainer.limit_predict_batches", "int|float|number"),
    Mistake("predict runs/default/0 --trainer.limit_predict_batches 0", "limit_predict_batches", "at least 1|above"),
    Mistake("fit SMALL --trainer.overfit_batches 1.5", "overfit_batches", r"[\[(]0(\.0)?, 1"),
    Mistake("fit SMALL --trainer.val_check_interval 3.5", "val_check_interval", r"[\[(]0(\.0)?, 1"),
    Mistake("fit SMALL --trainer.val_check_interval 5000", "val_check_interval", "batches"),
    Mistake("fit SMALL --trainer.check_val_every_n_epoch 0", "check_val_every_n_epoch", "at least 1"),
    Mistake("fit SMALL --trainer.check_val_every_n_epoch 5", "check_val_every_n_epoch", "epoch", goes_on=True),
    Mistake("fit SMALL --trainer.num_sanity_val_steps x", "trainer.num_sanity_val_steps", "whole number|int"),
    Mistake("fit SMALL --trainer.log_every_n_steps x", "trainer.log_every_n_steps", "whole number|int"),
    Mistake("fit SMALL --trainer.enable_checkpointing never", "trainer.enable_checkpointing", "true or false|bool"),
    Mistake("fit SMALL --trainer.enable_progress_bar rich", "trainer.enable_progress_bar", "true or false|bool"),
    Mistake("fit SMALL --trainer.enable_model_summary 3", "trainer.enable_model_summary", "true or false|bool"),
    Mistake("fit SMALL --trainer.accumulate_grad_batches 0", "accumulate_grad_batches", "at least 1"),
    Mistake("fit SMALL --trainer.gradient_clip_val high", "trainer.gradient_clip_val", "number|float"),
    Mistake("fit SMALL --trainer.gradient_clip_val -1", "trainer.gradient_clip_val", "above 0|at least 0"),
    Mistake(
        "fit SMALL --trainer.gradient_clip_val 1 --trainer.gradient_clip_algorithm max",
        "gradient_clip_algorithm",
        "norm",
    ),
    Mistake("fit SMALL --trainer.deterministic wran", "trainer.deterministic", "warn"),
    Mistake("fit SMALL --trainer.benchmark quick", "trainer.benchmark", "true or false|bool"),
    Mistake("fit SMALL --trainer.inference_mode off_course", "trainer.inference_mode", "true or false|bool"),
    Mistake("fit SMALL --trainer.use_distributed_sampler true", "trainer.use_distributed_sampler", "false"),
    Mistake("fit SMALL --trainer.profiler smple", "trainer.profiler", "simple"),
    Mistake("fit SMALL --trainer.detect_anomaly x", "trainer.detect_anomaly", "true or false|bool"),
    Mistake("fit SMALL --trainer.barebones x", "trainer.barebones", "true or false|bool"),
    Mistake("fit SMALL --trainer.barebones true --trainer.profiler simple", "trainer.barebones", "profiler"),
    Mistake("fit SMALL --trainer.plugins x", "trainer.plugins", "class|plugin"),
    Mistake("fit SMALL --trainer.sync_batchnorm x", "trainer.sync_batchnorm", "true or false|bool"),
    Mistake(
        "fit SMALL --trainer.reload_dataloaders_every_n_epochs -1",
        "reload_dataloaders_every_n_epochs",
        "at least 0|int",
    ),
    Mistake("fit SMALL --trainer.default_root_dir elsewhere", "trainer.default_root_dir", "run.root"),
    Mistake("fit SMALL --trainer.enable_autolog_hparams x", "trainer.enable_autolog_hparams", "true or false|bool"),
    Mistake("fit SMALL --trainer.model_registry here", "trainer.model_registry", "left out"),
    Mistake("fit SMALL --trainer LightningTrainer", "trainer", "trainer.max_epochs|keys|mapping|dict"),
]

OTHER_KEYS = [
    Mistake("fit SMALL --seed_everything -1", "seed_everything", "at least 0|0"),
    Mistake("fit SMALL --seed_everything lucky", "seed_everything", "whole number|int"),
    Mistake("fit SMALL --seed_everything 99999999999", "seed_everything", "4294967295"),
    Mistake("fit SMALL --monitor accuracy", "monitor", "val/acc"),
    Mistake("fit SMALL --monitor val/accuracy", "monitor", "val/acc"),
    Mistake("fit SMALL --monitor val/acc_true", "monitor", "oracle true"),
    Mistake("fit SMALL --monitor test/acc", "monitor", "val/acc"),
    Mistake("fit SMALL --oracle perhaps", "oracle", "true or false|bool"),
    Mistake("fit SMALL --test_every_epoch often", "test_every_epoch", "true or false|bool"),
    Mistake("fit SMALL --recorder.pictures some", "recorder.pictures", "true or false|bool"),
    Mistake("fit SMALL --recorder.picture_epochs first", "recorder.picture_epochs", "list|int"),
    Mistake("fit SMALL --recorder.picture_epochs '[0]'", "recorder.picture_epochs", "at least 1|from 1"),
    Mistake("fit SMALL --recorder.folder x", "recorder.folder", "unknown option|run.root"),
    Mistake("fit SMALL --run.root labels.csv", "labels.csv", "run.root|folder"),
    Mistake("fit SMALL --run.experiment ../up", "run.experiment", "name|folder"),
    Mistake("fit SMALL --run.experiment ''", "run.experiment", "name|empty"),
    Mistake("fit SMALL --run.version 0", "runs/default/0", "another run.version"),
    Mistake("fit SMALL --run.version ../../up", "run.version", "name|folder"),
    Mistake("fit SMALL --run.extend longer", "run.extend", "true or false"),
    Mistake("fit SMALL --run.resume never", "run.resume", "true or false|bool"),
    Mistake("fit SMALL --run.extend true", "run.extend", "no run of this configuration"),
    Mistake("fit SMALL --run.stop_when_diverged perhaps", "run.stop_when_diverged", "true or false|bool"),
    Mistake("fit SMALL --run.checkpoint_every_n_steps -1", "run.checkpoint_every_n_steps", "at least 0"),
    Mistake("fit SMALL --run.versoin x", "--run.versoin", "--run.version"),
    Mistake("fit SMALL --ckpt_path nowhere.ckpt", "nowhere.ckpt", "no such|no checkpoint|there is no"),
    Mistake("fit SMALL --ckpt_path labels.csv", "labels.csv", "checkpoint"),
    Mistake("fit SMALL --ckpt_path damaged/truncated/checkpoints/last.ckpt", "last.ckpt", "damaged|whole|truncated"),
    Mistake("fit SMALL --weights_only perhaps", "weights_only", "true or false|bool"),
    Mistake("fit SMALL --print_confg", "--print_confg", "--print_config"),
]

FILES = [
    Mistake("fit --config configurations/tab.yaml", "tab.yaml", "line 2"),
    Mistake("fit --config configurations/latin.yaml", "latin.yaml", "UTF-8"),
    Mistake("fit --config configurations/list.yaml", "list.yaml", "mapping|keys"),
    Mistake("fit --config configurations/text.yaml", "text.yaml", "mapping|keys"),
    Mistake("fit --config configurations/empty.yaml", "empty.yaml", "trainer, data and model"),
    Mistake("fit --config configurations/twice.yaml", "twice.yaml", "batch_size.*twice|twice.*batch_size|duplicate"),
    Mistake("fit --config configurations/unknown.yaml", "trainer", "max_epochs"),
    Mistake("fit --config configurations/flat.yaml", "lr", "model.optimizer|key"),
    Mistake("fit --config configurations/value.yaml", "data.batch_size", "whole number|int"),
    Mistake("fit --config configurations/class.yaml", "model.loss", "SCE|SymmetricCrossEntropy"),
    Mistake("fit --config images", "images", "file"),
    Mistake("fit --config sweeps/good.yaml", "good.yaml", "sweep"),
    Mistake("LABELS nowhere.csv", "nowhere.csv", "path"),
    Mistake("LABELS labels.txt", "labels.txt", ".csv"),
    Mistake("LABELS labels/short.csv", "short.csv", "1437"),
    Mistake("LABELS labels/class12.csv", "class12.csv", r"\[0, 9\]"),
    Mistake("LABELS labels/text.csv", "text.csv", "whole numbers"),
    Mistake("LABELS labels/columns.csv", "columns.csv", "first, second"),
    Mistake("LABELS labels/columns.csv --data.noise.column frst", "columns.csv", "first"),
    Mistake("LABELS labels/torn.npz", "torn.npz", "whole|npz|damaged"),
    Mistake("LABELS labels/floats.npy", "floats.npy", "whole numbers"),
    Mistake("LABELS labels/objects.npy", "objects.npy", "numbers"),
    Mistake("LABELS labels/objects.pt", "objects.pt", "arrays|numbers"),
    Mistake("LABELS labels/order.csv", "order.csv", "order"),
    Mistake(
        "fit SMALL --data CIFAR10 --data.root nowhere --data.noise LabelFile"
        " --data.noise.path CIFAR-10_human.pt --data.noise.column worst",
        "CIFAR-10_human.pt",
        "cifar-10-100n|noisylabels.com|UCSC",
    ),
    Mistake("MATRIX nowhere.csv", "nowhere.csv", "matrix"),
    Mistake("MATRIX matrices/small.csv", "matrix", "10×10"),
    Mistake("MATRIX matrices/sum.csv", "row 3", "sum 1"),
    Mistake("MATRIX matrices/text.csv", "text.csv", "numbers"),
    Mistake("MATRIX matrices/mapping.json", "matrix", "rows"),
    Mistake("MATRIX matrices/archive.npy", "archive.npy", "npz|numbers|array"),
    Mistake("MATRIX labels.txt", "labels.txt", ".csv"),
    Mistake("SELECTION nowhere.csv", "nowhere.csv", "data.selection"),
    Mistake("SELECTION selections/columns.csv", "columns.csv", "index"),
    Mistake("SELECTION selections/index.csv", "line 2", r"\[0, 1437\)"),
    Mistake("SELECTION selections/twice.csv", "line 3", "twice"),
    Mistake("SELECTION selections/flag.csv", "line 2", "0 or 1"),
    Mistake("SELECTION selections/nothing.csv", "nothing.csv", "train on"),
    Mistake("SELECTION selections/others.csv", "others.csv", "other labels"),
    Mistake("SELECTION selections/torn.csv", "line 3", "cut off"),
    Mistake("sweep --config configurations/tab.yaml --dry-run", "tab.yaml", "line 2|line 3"),
    Mistake("sweep --config demo --dry-run", "demo", "axes"),
    Mistake("sweep --config sweeps/no_config.yaml --dry-run", "config", "no_config.yaml|no file"),
    Mistake("sweep --config sweeps/key.yaml --dry-run", "axis", "axes"),
    Mistake("sweep --config sweeps/axis.yaml --dry-run", "model.los", "model.loss"),
    Mistake("sweep --config sweeps/value.yaml --dry-run", "data.noise.rate", "number|float"),
    Mistake("sweep --config sweeps/empty_axis.yaml --dry-run", "model.loss", "list"),
    Mistake("sweep --config sweeps/same.yaml --dry-run", "axes", "twice|same"),
    Mistake("sweep --config sweeps/seeds.yaml --dry-run", "seeds", "list"),
    Mistake("sweep --config sweeps/twice.yaml --dry-run", "twice.yaml", "twice|duplicate"),
    Mistake("sweep --config sweeps/published.yaml --dry-run", "published", "list|source"),
    Mistake("test damaged/config_torn", "config.yaml", "damaged"),
    Mistake("test damaged/no_config", "damaged/no_config", "config.yaml"),
    Mistake("test damaged/no_checkpoints", "damaged/no_checkpoints", "checkpoint"),
    Mistake("test damaged/truncated", "last.ckpt", "damaged|whole|truncated"),
    Mistake("test damaged/empty", "last.ckpt", "damaged|empty|whole"),
    Mistake("test damaged/backbone", "last.ckpt", "backbone|model"),
    Mistake("test damaged/result_torn", "result.json", "damaged.*written anew", goes_on=True),
    Mistake("test damaged/result_list", "result.json", "damaged.*written anew", goes_on=True),
    Mistake("report damaged/result_torn --only-print", "result.json", "damaged"),
    Mistake("report damaged/config_torn --only-print", "damaged/config_torn", "damaged"),
    Mistake("report damaged/noise_edited --out out", "noise.csv", "left out of the pictures", goes_on=True),
    Mistake("report damaged/record_torn --out out", "epoch_0000.npz", "left out of the pictures", goes_on=True),
    Mistake("report damaged/metrics_torn --only-print", "metrics.csv", "damaged|epoch"),
    Mistake("report damaged/unfinished --only-print", "damaged/unfinished", "finished"),
    Mistake("report damaged/manifest --only-print", "sweep.json", "sweep writes|damaged"),
]

MISTAKES: Sequence[Mistake] = (*COMMANDS, *KEYS_OF_DATA, *KEYS_OF_MODEL, *KEYS_OF_TRAINER, *OTHER_KEYS, *FILES)


def answer_to(mistake: Mistake) -> Answer:
    """Make a mistake in the current folder and judge the answer."""
    out, err = io.StringIO(), io.StringIO()
    code: object = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), warnings.catch_warnings():
        warnings.simplefilter("default")
        try:
            code = main(mistake.words)
        except SystemExit as end:
            code = end.code
        except Exception:
            return Answer(TRACEBACK, traceback.format_exc().strip())
    text = "\n".join(line for line in err.getvalue().splitlines() if not _SAID_BEFORE.match(line)).strip()
    if code == 0 and not (mistake.goes_on and text):
        return Answer(SILENT, text)
    return Answer(_judged(mistake, text), text)


def _judged(mistake: Mistake, text: str) -> str:
    is_long = len(text) > _LONGEST and "MD5" not in text  # a list of files to bring is as long as it is
    if len(text.splitlines()) != 1 or is_long:
        return LINES
    named = any(name in text for name in mistake.names.split("|"))
    return CLEAR if named and re.search(mistake.right, text, re.IGNORECASE) else UNCLEAR


def answers(mistakes: Sequence[Mistake]) -> Iterator[tuple[Mistake, Answer]]:
    """Make mistakes, each in a fresh copy of a folder in which all else is right."""
    with tempfile.TemporaryDirectory() as place, contextlib.chdir(place):
        right = Path(place, "right")
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            lay_out(right)
        for number, mistake in enumerate(mistakes):
            folder = Path(place, str(number))
            shutil.copytree(right, folder)
            with contextlib.chdir(folder):
                yield mistake, answer_to(mistake)
            shutil.rmtree(folder)


def run(args: Sequence[str]) -> None:
    """Make the mistakes whose command lines match a pattern, and print how many answers are of which kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pattern", nargs="?", default="", help="Regular expression.")
    parser.add_argument("--show", nargs="*", default=[UNCLEAR, LINES, TRACEBACK, SILENT], help="Outcomes to print.")
    options = parser.parse_args(args)
    chosen = [one for one in MISTAKES if re.search(options.pattern, one.command)]
    counts: Counter[str] = Counter()
    for mistake, (outcome, text) in answers(chosen):
        counts[outcome] += 1
        if outcome in options.show:
            print(f"{outcome}: {mistake.command}\n    {text[-1500:] if outcome == TRACEBACK else text}\n", flush=True)
    total = len(chosen)
    for outcome in (CLEAR, UNCLEAR, LINES, TRACEBACK, SILENT):
        print(f"{outcome:<12}{counts[outcome]:>4}  {100 * counts[outcome] / max(1, total):5.1f} %")


if __name__ == "__main__":
    run(sys.argv[1:])

import copy
import csv
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, final

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import CosineAnnealingLR

from noisy_lightning.backbones import SmallCNN
from noisy_lightning.backbones.pretrained import Inputs
from noisy_lightning.cli.keys import TRAINER_DEFAULTS
from noisy_lightning.data import Digits, NoisyDataModule, Symmetric
from noisy_lightning.data.sets.sources import Source
from noisy_lightning.errors import InputError
from noisy_lightning.losses import SymmetricCrossEntropy
from noisy_lightning.methods import EpochContext, Method, Problem
from noisy_lightning.runs.records import FOLDER
from noisy_lightning.training.callbacks.divergence import Divergence
from noisy_lightning.training.callbacks.sample_recorder import SampleRecorder
from noisy_lightning.training.module import NoisyClassifier
from noisy_lightning.types import Batch, Companion, Step
from tests.networks import Plain, Random


def _data(**arguments: Any) -> Digits:
    data = Digits(**{"noise": Symmetric(0.4), "batch_size": 256, "val_fraction": 0.2, "crop_padding": 1, **arguments})
    data.setup()
    return data


def _model(**arguments: Any) -> NoisyClassifier:
    torch.manual_seed(0)
    return NoisyClassifier(
        10,
        1,
        1437,
        **{"backbone": Plain, "optimizer": lambda weights: torch.optim.SGD(weights, lr=0.1), **arguments},
    )


@final
class Logged(Checkpoint):
    """Keeps what each epoch logged; Lightning runs checkpoints last."""

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.epochs.append({name: value.item() for name, value in trainer.callback_metrics.items()})


@final
class Losses(L.Callback):
    """Keeps each step's per-sample losses, and the types of its logits."""

    def __init__(self) -> None:
        self.losses: list[Tensor] = []
        self.logits: set[torch.dtype] = set()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert isinstance(pl_module, NoisyClassifier)
        assert pl_module.last_step is not None
        self.losses.append(pl_module.last_step.losses.detach())
        self.logits.add(pl_module.last_step.logits.dtype)


def _trainer(folder: Path, *callbacks: L.Callback, **options: Any) -> L.Trainer:
    defaults = {"accelerator": "cpu", "devices": 1, "logger": False, "enable_progress_bar": False, "max_epochs": 2}
    checkpoints = any(isinstance(callback, Checkpoint) for callback in callbacks)
    return L.Trainer(
        **{
            **TRAINER_DEFAULTS,
            **defaults,
            "default_root_dir": folder,
            "callbacks": list(callbacks),
            "enable_checkpointing": checkpoints,
            **options,
        }
    )


def _fit(
    folder: Path, model: NoisyClassifier, data: Digits, *callbacks: L.Callback, **options: Any
) -> list[dict[str, float]]:
    """Train from one seed; return what each epoch logged."""
    logged = Logged()
    torch.manual_seed(1)
    _trainer(folder, *callbacks, logged, **options).fit(model, data)
    return logged.epochs


def _assert_same_weights(one: nn.Module, other: nn.Module) -> None:
    assert one.state_dict().keys() == other.state_dict().keys()
    for name, value in one.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name


def _first_weight(model: NoisyClassifier) -> Tensor:
    weight: Tensor = model.state_dict()["method.backbone.layers.2.weight"]
    return weight


def _normalized(data: Digits, index: Tensor) -> Tensor:
    return (data.train_images(index) / 255 - 0.305) / 0.376


# Training


@pytest.mark.parametrize(
    "replace",
    [
        lambda true_labels: true_labels[torch.randperm(len(true_labels), generator=torch.Generator().manual_seed(2))],
        lambda true_labels: torch.full_like(true_labels, -1),
        lambda true_labels: (true_labels + 1) % 10,
    ],
    ids=["permuted", "unknown", "shifted"],
)
def test_true_labels_leave_no_trace_in_the_weights(replace: Callable[[Tensor], Tensor], tmp_path: Path) -> None:
    outcomes = []
    for name, change in {"as they are": lambda labels: labels, "replaced": replace}.items():
        data, model = _data(), _model(backbone=Random, lr_scheduler=lambda optimizer: CosineAnnealingLR(optimizer, 0))
        data.true_labels = change(data.true_labels)
        data.is_clean = data.labels == data.true_labels
        logged = _fit(tmp_path / name, model, data, SampleRecorder(pictures=False))
        outcomes.append((model, logged))
    (one, logged_one), (other, logged_other) = outcomes
    _assert_same_weights(one, other)
    given = ("val/acc", "val/loss", "train/loss", "train/acc", "lr")
    assert [[epoch[name] for name in given] for epoch in logged_one] == [
        [epoch[name] for name in given] for epoch in logged_other
    ]
    assert logged_one[-1]["val/acc_true"] != logged_other[-1].get("val/acc_true")  # the other truth did arrive


def test_the_recorder_only_observes(tmp_path: Path) -> None:
    recorded, bare = _model(backbone=Random), _model(backbone=Random)
    _fit(tmp_path / "recorded", recorded, _data(), SampleRecorder(picture_epochs=[1]))
    _fit(tmp_path / "bare", bare, _data())
    assert len(list((tmp_path / "recorded" / FOLDER).iterdir())) == 2
    _assert_same_weights(recorded, bare)


def test_training_changes_the_weights_and_depends_on_the_given_labels(tmp_path: Path) -> None:
    trained, other = _model(), _model()
    _fit(tmp_path, trained, _data())
    _fit(tmp_path, other, _data(noise=Symmetric(0.1)))
    for model in (trained, other):
        assert not torch.equal(_first_weight(model), _first_weight(_model()))
    assert not torch.equal(_first_weight(trained), _first_weight(other))


def test_bfloat16_trains_with_finite_losses(tmp_path: Path) -> None:
    data, model = _data(), _model(backbone=SmallCNN, loss=SymmetricCrossEntropy(0.1, 1.0))
    _trainer(tmp_path, losses := Losses(), max_epochs=1, precision="bf16-mixed").fit(model, data)
    assert losses.logits == {torch.bfloat16}
    assert all(torch.isfinite(batch).all() for batch in losses.losses)
    assert sum(map(len, losses.losses)) == len(data.train_indices)
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())


# What a method is told


@final
class Told(Method):
    """Keeps what it is told, with its weight at that moment."""

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.backbone, self.loss = problem.make_backbone(), problem.loss
        self.told: list[tuple[str, Any, float]] = []

    def _tell(self, name: str, value: Any = None) -> None:
        self.told.append((name, value, sum(weight.detach().double().sum().item() for weight in self.parameters())))

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.backbone(image)
        return logits

    def step(self, image: Tensor, label: Tensor, index: Tensor) -> Step:
        self._tell("step", (image, label, index))
        logits = self.backbone(image)
        losses = self.loss(logits, label)
        return Step(losses.mean(), losses, logits)

    def on_epoch_start(self, context: EpochContext) -> None:
        self._tell("start", context)

    def on_step_end(self) -> None:
        self._tell("stepped")

    def on_epoch_end(self, context: EpochContext) -> None:
        self._tell("end", context)


@pytest.mark.parametrize(("accumulate", "steps"), [(1, [1, 2, 3, 4, 5]), (2, [2, 4, 5]), (3, [3, 5])])
def test_a_method_follows_up_on_each_step_of_the_optimizer(accumulate: int, steps: list[int], tmp_path: Path) -> None:
    model = _model(method=Told)
    trainer = _trainer(tmp_path, accumulate_grad_batches=accumulate)
    trainer.fit(model, _data())
    assert isinstance(model.method, Told)
    told = model.method.told
    assert len(list(_data().train_dataloader())) == 5
    epoch: list[str] = []
    for batch in range(1, 6):
        epoch += ["step", "stepped"] if batch in steps else ["step"]
    assert [name for name, _, _ in told] == [*(["start", *epoch, "end"] * 2)]
    assert sum(name == "stepped" for name, _, _ in told) == trainer.global_step
    before = {i: weight for i, (name, _, weight) in enumerate(told) if name == "step"}
    for i, (name, _, weight) in enumerate(told):
        assert (name != "stepped") or weight != before[i - 1]  # the optimizer has stepped already


def test_a_method_knows_where_training_stands(tmp_path: Path) -> None:
    model = _model(method=Told)
    _trainer(tmp_path, max_epochs=3).fit(model, _data())
    assert isinstance(model.method, Told)
    for name in ("start", "end"):
        contexts = [value for told, value, _ in model.method.told if told == name]
        assert [(context.epoch, context.max_epochs) for context in contexts] == [(epoch, 3) for epoch in range(3)]


@final
class TwoViews(Method):
    """Averages the logits of both views, and keeps what it gets."""

    views = ("weak", "weak")

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.backbone, self.loss = problem.make_backbone(), problem.loss
        self.images: list[Tensor] = []

    def forward(self, image: Tensor) -> Tensor:
        assert image.ndim == 4
        logits: Tensor = self.backbone(image)
        return logits

    def step(self, image: Tensor, label: Tensor, index: Tensor) -> Step:
        self.images.append(image)
        first, second = image
        logits = (self.backbone(first) + self.backbone(second)) / 2
        losses = self.loss(logits, label)
        return Step(losses.mean(), losses, logits)

    def on_epoch_start(self, context: EpochContext) -> None:
        context.predict(self, augmented=True)  # in one view


@final
class Sweeps(Method):
    """Passes the training part through its network before the first epoch, as it is and augmented."""

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.backbone, self.loss = problem.make_backbone(), problem.loss
        self.labels, self.passes = torch.empty(0), [torch.empty(0)]

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.backbone(image)
        return logits

    def step(self, image: Tensor, label: Tensor, index: Tensor) -> Step:
        logits = self.backbone(image)
        losses = self.loss(logits, label)
        return Step(losses.mean(), losses, logits)

    def on_epoch_start(self, context: EpochContext) -> None:
        if context.epoch == 0:
            self.backbone[3].eval()  # type: ignore[index]  # as if it were frozen
            before = [layer.training for layer in self.backbone.modules()]
            self.labels, self.passes = (
                context.labels,
                [context.predict(self.backbone, augmented) for augmented in (False, True)],
            )
            self.passes.append(context.predict(self.backbone, True))
            assert [layer.training for layer in self.backbone.modules()] == before


@pytest.mark.parametrize("options", [{}, {"precision": "bf16-mixed"}], ids=["float32", "bfloat16"])
def test_a_method_can_look_at_the_whole_training_part(options: dict[str, Any], tmp_path: Path) -> None:
    def network(num_classes: int, in_channels: int) -> nn.Module:
        return Random(num_classes, in_channels).layers

    data, model = _data(), _model(backbone=network, method=Sweeps)
    assert isinstance(model.method, Sweeps)
    expected = copy.deepcopy(model.method.backbone)
    _trainer(tmp_path, max_epochs=1, **options).fit(model, data)
    plain, augmented, again = model.method.passes
    trained = data.train_indices
    for output in (plain, augmented):
        assert output.shape == (1437, 10)
        assert output.dtype == torch.float32
        assert not output.requires_grad
        assert output[trained].isfinite().all()
        assert output[data.val_indices].isnan().all()
    assert augmented[trained].equal(again[trained])
    assert not augmented[trained].equal(plain[trained])
    with torch.no_grad():
        logits = expected.eval()(_normalized(data, trained))
    tolerance = 0.05 if options else 1e-5
    torch.testing.assert_close(plain[trained], logits, atol=tolerance, rtol=tolerance)
    assert model.method.labels[trained].equal(data.labels[trained])
    assert (model.method.labels[data.val_indices] == -1).all()


def test_a_look_at_the_training_part_draws_nothing_that_an_epoch_trains_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Losses of the very images that are trained on next would be no measure of them."""
    served, part = [], Digits.training_part

    def noted(self: Digits, epoch: int, *arguments: Any) -> Any:
        served.append(epoch)
        return part(self, epoch, *arguments)

    monkeypatch.setattr(Digits, "training_part", noted)
    _trainer(tmp_path, max_epochs=2).fit(_model(method=TwoViews), _data())
    assert len(set(served)) == len(served) == 2
    assert not set(served) & {0, 1}


@pytest.mark.parametrize("workers", [0, 1])
def test_a_method_gets_as_many_views_as_it_takes(workers: int, tmp_path: Path) -> None:
    data, model = _data(workers=workers), _model(method=TwoViews)
    trainer = _trainer(tmp_path, max_epochs=1)
    trainer.fit(model, data)
    trainer.test(model, data, verbose=False)
    assert isinstance(model.method, TwoViews)
    images = torch.cat(model.method.images, 1)
    assert images.shape == (2, len(data.train_indices), 1, 8, 8)
    assert not images[0].equal(images[1])
    _trainer(tmp_path, max_epochs=1).fit(_model(), data)  # which takes one, of the same data
    assert data.served_views == ("weak",)


@final
class Looks(Method):
    """Passes some training samples through its network at the start of training."""

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.backbone = problem.make_backbone()
        self.loss = problem.loss

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.backbone(image)
        return logits

    def step(self, image: Tensor, label: Tensor, index: Tensor) -> Step:
        logits = self.backbone(image)
        losses = self.loss(logits, label)
        return Step(losses.mean(), losses, logits)

    def on_epoch_start(self, context: EpochContext) -> None:
        if context.epoch == 0:
            trained = (context.labels >= 0).nonzero().squeeze(1)
            self.index = trained[torch.randperm(len(trained), generator=torch.Generator().manual_seed(0))[:300]]
            self.everything = context.predict(self.backbone)
            self.plain, self.augmented = [
                context.predict(self.backbone, augmented, self.index) for augmented in (False, True)
            ]


def test_a_method_can_look_at_some_samples_in_an_order_of_its_own(tmp_path: Path) -> None:
    model = _model(method=Looks)
    assert isinstance(model.method, Looks)
    _trainer(tmp_path, max_epochs=1).fit(model, _data())
    assert model.method.plain.shape == model.method.augmented.shape == (300, 10)
    torch.testing.assert_close(model.method.plain, model.method.everything[model.method.index])
    assert model.method.augmented.isfinite().all()
    assert not model.method.augmented.isclose(model.method.plain).all(1).all()


def test_a_method_gets_images_given_labels_and_lifelong_positions(tmp_path: Path) -> None:
    data, model = _data(crop_padding=0), _model(method=Told)
    _trainer(tmp_path, max_epochs=1).fit(model, data)
    assert isinstance(model.method, Told)
    seen = []
    for name, value, _ in model.method.told:
        if name == "step":
            image, label, index = value
            torch.testing.assert_close(image, _normalized(data, index), atol=1e-5, rtol=0)
            assert label.equal(data.labels[index])
            seen.append(index)
    assert torch.cat(seen).sort()[0].equal(data.train_indices)


# Evaluation


@pytest.mark.parametrize("known", ["all", "half", "none"])
def test_validation_equals_a_computation_by_hand(known: str, tmp_path: Path) -> None:
    data, model = _data(eval_batch_size=100), _model(backbone=Random)  # 287 images: the last batch is smaller
    unknown = {"all": data.val_indices[:0], "half": data.val_indices[::2], "none": data.val_indices}[known]
    data.true_labels[unknown] = -1
    first, logged = _fit(tmp_path, model, data)
    assert first["val/loss"] != logged["val/loss"]  # nothing of the epoch before may linger

    model.eval()
    index = data.val_indices
    with torch.no_grad():
        logits = model(_normalized(data, index))
    predicted, given, true = logits.argmax(1), data.labels[index], data.true_labels[index]
    assert logged["val/loss"] == pytest.approx(F.cross_entropy(logits, given).item(), rel=1e-4)
    assert logged["val/acc"] == pytest.approx((predicted == given).double().mean().item(), abs=1e-6)
    if known == "none":
        assert not [name for name in logged if "acc_true" in name]
    else:
        among = true >= 0
        assert among.sum() == (len(index) if known == "all" else len(index) // 2)
        expected = (predicted == true)[among].double().mean().item()
        assert logged["val/acc_true"] == pytest.approx(expected, abs=1e-6)


def test_each_test_is_measured_afresh(tmp_path: Path) -> None:
    data, model, trainer = _data(), _model(), _trainer(tmp_path)
    first = trainer.test(model, data, verbose=False)[0]
    for weight in model.parameters():
        weight.data.normal_()
    second = trainer.test(model, data, verbose=False)[0]
    alone = _trainer(tmp_path).test(copy.deepcopy(model), data, verbose=False)[0]
    assert first != second == alone


@final
class Diverge(L.Callback):
    """Makes all weights NaN in the second epoch."""

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.current_epoch == 1:
            for weight in pl_module.parameters():
                weight.data.fill_(math.nan)


def test_a_diverged_loss_is_not_hidden_by_the_epoch_before(tmp_path: Path) -> None:
    first, second = _fit(tmp_path, _model(), _data(), Diverge(), Divergence(stop=False))
    assert math.isfinite(first["val/loss"])
    assert math.isnan(second["val/loss"])


def test_a_test_equals_a_computation_by_hand(tmp_path: Path) -> None:
    data, model = _data(eval_batch_size=100), _model(backbone=Random)
    _fit(tmp_path, model, data, max_epochs=1)
    (measured,) = _trainer(tmp_path).test(model, data, verbose=False)
    model.eval()
    source = data.load(train=False)
    with torch.no_grad():
        logits = model((torch.as_tensor(source.images).permute(0, 3, 1, 2) / 255 - 0.305) / 0.376)
    predicted, true = logits.argmax(1), source.labels
    assert measured["test/acc"] == pytest.approx((predicted == true).double().mean().item(), abs=1e-6)
    assert measured["test/loss"] == pytest.approx(F.cross_entropy(logits, true).item(), rel=1e-4)
    for k in range(10):
        expected = (predicted == true)[true == k].double().mean().item()
        assert measured[f"test/acc_class/{k}"] == pytest.approx(expected, abs=1e-6)
    assert not [name for name in measured if name.startswith("val/")]


@final
class Pair(Method):
    """Trains one network and evaluates another, untrained one beside it."""

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.backbone, self.other, self.loss = problem.make_backbone(), problem.make_backbone(), problem.loss
        self.other.requires_grad_(False)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.backbone(image)
        return logits

    def networks(self) -> dict[str, nn.Module]:
        return {"other": self.other}

    def step(self, image: Tensor, label: Tensor, index: Tensor) -> Step:
        logits = self.backbone(image)
        losses = self.loss(logits, label)
        return Step(losses.mean(), losses, logits)


def test_each_network_of_a_method_is_measured_by_itself(tmp_path: Path) -> None:
    data, model = _data(test_sets={"again": _data()}), _model(method=Pair)
    (logged,) = _fit(tmp_path, model, data, max_epochs=1)
    trainer = _trainer(tmp_path)
    trainer.test(model, data, verbose=False)
    tested = {name: value.item() for name, value in trainer.callback_metrics.items()}
    assert isinstance(model.method, Pair)
    source = data.load(train=False)
    image = (torch.as_tensor(source.images).permute(0, 3, 1, 2) / 255 - 0.305) / 0.376
    for ending, network in {"": model.method.backbone, "_other": model.method.other}.items():
        with torch.no_grad():
            predicted = network.eval()(_normalized(data, data.val_indices)).argmax(1)
            test_predicted = network(image).argmax(1)
        expected = (predicted == data.labels[data.val_indices]).double().mean().item()
        assert logged[f"val{ending}/acc"] == pytest.approx(expected)
        expected = (test_predicted == source.labels).double().mean().item()
        assert tested[f"test{ending}/acc"] == tested[f"test_again{ending}/acc"] == pytest.approx(expected)
    assert tested["test/acc"] != tested["test_other/acc"]


def test_each_test_set_is_measured_by_itself(tmp_path: Path) -> None:
    data, model = _data(eval_batch_size=100), _model(backbone=Random)
    _fit(tmp_path, model, data, max_epochs=1)
    (alone,) = _trainer(tmp_path).test(model, data, verbose=False)
    several = _data(eval_batch_size=100, test_sets={"first": _data(), "mirrored": Mirrored()})
    trainer = _trainer(tmp_path)
    trainer.test(model, several, verbose=False)
    measured = {name: value.item() for name, value in trainer.callback_metrics.items()}
    model.eval()
    source = Digits().load(train=False)
    with torch.no_grad():
        logits = model((torch.as_tensor(source.images).permute(0, 3, 1, 2).flip(3) / 255 - 0.305) / 0.376)
    for key, value in alone.items():
        if key.startswith("test/"):
            assert measured[key] == measured[key.replace("test/", "test_first/")] == pytest.approx(value)
    assert measured["test_mirrored/acc"] == pytest.approx((logits.argmax(1) == source.labels).double().mean().item())
    assert measured["test_mirrored/acc"] != measured["test/acc"]
    assert len(measured) == 3 * 13  # loss, acc, ece and ten classes for each


def test_epochs_are_the_x_axis_and_no_metric(tmp_path: Path) -> None:
    data, model, logged = _data(), _model(), Logged()
    fits, tests = (CSVLogger(tmp_path, name, version="") for name in ("fit", "test"))
    _trainer(tmp_path, logged, logger=fits).fit(model, data)
    trainer = _trainer(tmp_path, logger=tests)
    model.loaded_epoch = 7
    (tested,) = trainer.test(model, data, verbose=False)
    assert {"lr", "val/acc", "val/loss"} <= logged.epochs[0].keys()
    assert tested.keys() == trainer.callback_metrics.keys() >= {"test/acc", "test/loss"}
    for names in (logged.epochs[0], tested, trainer.logged_metrics):
        assert not {"step", "epoch"} & names.keys()
    for name in ("lr", "val/acc"):
        curve = {int(row["step"]): float(row[name]) for row in _rows(fits) if row[name]}
        assert curve == {epoch: values[name] for epoch, values in enumerate(logged.epochs, 1)}
    assert [(row["step"], float(row["test/acc"])) for row in _rows(tests)] == [("8", tested["test/acc"])]


def _rows(logger: CSVLogger) -> list[dict[str, str]]:
    with (Path(logger.log_dir) / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_checkpoints_of_lightning_are_named_by_epoch_and_step(tmp_path: Path) -> None:
    checkpoint = ModelCheckpoint(tmp_path / "them", "{epoch}-{step}", every_n_epochs=1, save_top_k=-1)
    _fit(tmp_path, _model(), _data(), checkpoint)  # five batches an epoch
    assert sorted(file.name for file in (tmp_path / "them").iterdir()) == [
        "epoch=0-step=5.ckpt",
        "epoch=1-step=10.ckpt",
    ]


@final
class Mirrored(NoisyDataModule):
    """Digits, mirrored."""

    class_names, num_samples, image_shape = Digits.class_names, Digits.num_samples, Digits.image_shape
    default_mean, default_std = Digits.default_mean, Digits.default_std

    def load(self, train: bool) -> Source:
        source = Digits().load(train)
        return Source(torch.as_tensor(source.images).flip(2), source.labels)


def test_a_prediction_is_a_distribution_for_each_training_image(tmp_path: Path) -> None:
    data, model = _data(), _model()
    batches = _trainer(tmp_path).predict(model, data)
    assert batches is not None
    columns: dict[str, Tensor] = {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}
    assert columns["index"].equal(torch.arange(1437))
    assert columns["label"].equal(data.labels)
    assert columns["true_label"].equal(data.true_labels)
    with torch.no_grad():
        expected = model.eval()(_normalized(data, torch.arange(1437))).softmax(1)
    torch.testing.assert_close(columns["probability"], expected, atol=1e-5, rtol=0)


# The learning rate


def test_a_cosine_without_a_length_spans_the_run(tmp_path: Path) -> None:
    model = _model(lr_scheduler=lambda optimizer: CosineAnnealingLR(optimizer, T_max=0, eta_min=0.01))
    logged = [epoch["lr"] for epoch in _fit(tmp_path, model, _data(), max_epochs=5)]
    assert logged == pytest.approx([0.01 + 0.09 * (1 + math.cos(math.pi * epoch / 5)) / 2 for epoch in range(5)])


def test_a_cosine_cannot_span_a_run_without_end(tmp_path: Path) -> None:
    model = _model(lr_scheduler=lambda optimizer: CosineAnnealingLR(optimizer, T_max=0))
    with pytest.raises(InputError, match="a run without an end cannot be spanned"):
        _fit(tmp_path, model, _data(), max_epochs=-1)


def test_a_given_length_is_kept(tmp_path: Path) -> None:
    model = _model(lr_scheduler=lambda optimizer: CosineAnnealingLR(optimizer, T_max=2))
    logged = [epoch["lr"] for epoch in _fit(tmp_path, model, _data(), max_epochs=4)]
    assert logged == pytest.approx([0.1, 0.05, 0.0, 0.05], abs=1e-7)


def test_without_a_schedule_the_learning_rate_stays(tmp_path: Path) -> None:
    assert [epoch["lr"] for epoch in _fit(tmp_path, _model(), _data())] == pytest.approx([0.1, 0.1])


# Memory format and compilation


def test_the_memory_format_changes_no_logit(tmp_path: Path) -> None:
    data = _data()
    image = next(iter(data.val_dataloader()[0])).image
    outcomes = {}
    for channels_last in (True, False):
        model = _model(backbone=SmallCNN, channels_last=channels_last)
        seen: list[Tensor] = []
        model.method.register_forward_pre_hook(lambda _, args, seen=seen: seen.append(args[0]))
        _trainer(tmp_path, max_epochs=1, limit_train_batches=2).fit(model, data)
        with torch.no_grad():
            outcomes[channels_last] = model.eval()(image)
        weights = [weight for weight in model.parameters() if weight.ndim == 4 and min(weight.shape[1:]) > 1]
        expected = torch.channels_last if channels_last else torch.contiguous_format
        assert weights
        assert all(weight.is_contiguous(memory_format=expected) for weight in weights)
        assert seen
        assert all(given.is_contiguous(memory_format=expected) for given in seen)
    torch.testing.assert_close(outcomes[True], outcomes[False], atol=1e-4, rtol=1e-4)


def test_a_color_image_arrives_in_the_memory_format_of_the_network() -> None:
    image = torch.randn(4, 8, 8, 3).permute(0, 3, 1, 2)  # as the loader has it: the channel last
    logits = []
    for channels_last, expected in {True: torch.channels_last, False: torch.contiguous_format}.items():
        torch.manual_seed(0)
        model = NoisyClassifier(10, 3, 100, backbone=SmallCNN, channels_last=channels_last).eval()
        seen: list[Tensor] = []
        model.method.register_forward_pre_hook(lambda _, args, seen=seen: seen.append(args[0]))
        with torch.no_grad():
            logits.append(model(image))
        assert seen[0].is_contiguous(memory_format=expected)
    torch.testing.assert_close(logits[0], logits[1], atol=1e-5, rtol=1e-5)


def test_views_arrive_in_the_memory_format_of_the_network() -> None:
    image = torch.randn(8, 8, 8, 3).permute(0, 3, 1, 2).unflatten(0, (2, 4))  # as the loader has it
    for channels_last, expected in {True: torch.channels_last, False: torch.contiguous_format}.items():
        model = NoisyClassifier(10, 3, 100, backbone=SmallCNN, method=TwoViews, channels_last=channels_last)
        model.training_step(Batch(image, torch.zeros(4, dtype=torch.int64), torch.arange(4), torch.zeros(4)), 0)
        assert isinstance(model.method, TwoViews)
        (given,) = model.method.images
        assert given.equal(image)
        assert all(view.is_contiguous(memory_format=expected) for view in given)


def test_a_compiled_network_keeps_the_names_of_its_weights() -> None:
    plain, compiled = _model(backbone=SmallCNN), _model(backbone=SmallCNN, compile=True)
    _assert_same_weights(plain, compiled)
    plain.load_state_dict(compiled.state_dict())


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's compiler warns of its own parts
def test_a_compiled_network_trains_as_a_plain_one(tmp_path: Path) -> None:
    plain, compiled = _model(), _model(compile=True)
    for model in (plain, compiled):
        _fit(tmp_path, model, _data(), max_epochs=1)
    assert compiled.method.backbone._compiled_call_impl is not None  # type: ignore[union-attr]
    assert plain.state_dict().keys() == compiled.state_dict().keys()
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(value, compiled.state_dict()[name], atol=1e-4, rtol=1e-4)


# Attributes, some of which bypass torch's bookkeeping


def test_modules_weights_and_buffers_are_still_registered() -> None:
    model = _model()
    model.head = nn.Linear(2, 3)
    model.scale = nn.Parameter(torch.ones(1))
    model.register_buffer("memory", torch.zeros(4))
    model.memory = torch.ones(4)
    assert {"head.weight", "head.bias", "scale", "memory"} <= model.state_dict().keys()
    assert dict(model.named_modules())["head"] is model.head
    assert "scale" in dict(model.named_parameters())
    assert model.state_dict()["memory"].equal(torch.ones(4))


def test_the_last_step_is_no_part_of_the_state() -> None:
    model = _model()
    names = set(model.state_dict())
    step = Step(torch.zeros(()), torch.zeros(2), torch.zeros(2, 10))
    model.last_step = step
    assert model.last_step is step
    assert set(model.state_dict()) == names


@pytest.mark.parametrize("make", [torch.optim.SGD, torch.optim.AdamW])
def test_the_optimizer_is_fused_unless_its_arguments_say_otherwise(
    make: Callable[..., torch.optim.Optimizer], tmp_path: Path
) -> None:
    trained = {}
    for name, options in {"by itself": {}, "told": {"foreach": False}}.items():
        model = _model(optimizer=partial(make, lr=0.01, weight_decay=1e-3, **options))
        trainer = _trainer(tmp_path / name, gradient_clip_val=1.0)
        trainer.fit(model, _data())
        (group,) = trainer.optimizers[0].param_groups
        assert bool(group["fused"]) == (name == "by itself")
        trained[name] = torch.cat([weight.detach().flatten() for weight in model.parameters()])
    torch.testing.assert_close(trained["by itself"], trained["told"], rtol=1e-4, atol=1e-5)
    assert not trained["told"].equal(torch.cat([weight.flatten() for weight in _model().parameters()]))


@final
class Pretrained(nn.Module):
    """A network whose weights were trained on images of another mean and deviation."""

    inputs = Inputs([0.25], [0.125], 8)

    def __init__(self, num_classes: int, in_channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(64 * in_channels, num_classes))

    def forward(self, image: Tensor) -> Tensor:
        """Return logits (B, K)."""
        logits: Tensor = self.layers(image)
        return logits


def test_pretrained_weights_bring_their_mean_and_deviation_unless_others_were_given(tmp_path: Path) -> None:
    data = Digits()
    model = NoisyClassifier.for_data(data, Pretrained)
    trainer = _trainer(tmp_path, max_epochs=1)
    trainer.fit(model, data)
    (loader,) = data.val_dataloader()
    batch = next(iter(loader))
    torch.testing.assert_close(batch.image, (data.train_images(batch.index) / 255 - 0.25) / 0.125)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    inputs = torch.load(tmp_path / "last.ckpt", weights_only=True)["Digits"]["inputs"]
    assert (inputs["mean"], inputs["std"]) == ([0.25], [0.125])

    own = Digits(mean=[0.5])
    _trainer(tmp_path, max_epochs=1).fit(NoisyClassifier.for_data(own, Pretrained), own)
    assert (list(own.augmentation.mean), list(own.augmentation.std)) == ([0.5], [0.125])


def test_a_checkpoint_brings_the_normalization_that_its_network_was_trained_with(tmp_path: Path) -> None:
    data = Digits()
    trainer = _trainer(tmp_path, max_epochs=1)
    trainer.fit(NoisyClassifier.for_data(data, Pretrained), data)
    again, own = Digits(), Digits(std=[0.5])
    for other in (again, own):
        other.setup("test")
        other.load_state_dict(data.state_dict())
    assert (list(again.augmentation.mean), list(again.augmentation.std)) == ([0.25], [0.125])
    assert (list(own.augmentation.mean), list(own.augmentation.std)) == ([0.25], [0.5])


@final
class WithCompanions(Method):
    """Keeps what is served beside its batches, and the learning rates."""

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.backbone, self.loss = problem.make_backbone(), problem.loss
        self.seen: list[Companion] = []
        self.rates: list[float] = []

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.backbone(image)
        return logits

    def companions(self, trained: Tensor) -> Tensor:
        return trained[::3]

    def step(self, image: Tensor, label: Tensor, index: Tensor) -> Step:
        assert self.companion is not None
        assert self.learning_rate is not None
        self.seen.append(self.companion)
        self.rates.append(self.learning_rate())
        logits = self.backbone(image)
        losses = self.loss(logits, label)
        return Step(losses.mean(), losses, logits)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_method_gets_the_samples_that_it_asks_for_beside_each_batch(workers: int, tmp_path: Path) -> None:
    data = _data(workers=workers)
    wanted = data.train_indices[::3]
    schedule = partial(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.5)
    model = _model(method=WithCompanions, lr_scheduler=schedule)
    _fit(tmp_path, model, data, max_epochs=2)
    assert isinstance(model.method, WithCompanions)
    assert torch.cat([one.index for one in model.method.seen]).unique().equal(wanted)
    steps = len(model.method.rates) // 2
    assert model.method.rates == pytest.approx([0.1] * steps + [0.05] * steps)
    assert all(len(one.image) == len(one.index) for one in model.method.seen)


def test_samples_that_cannot_be_read_are_not_served_beside_a_batch() -> None:
    data = _data()
    data.source = data.source._replace(broken=torch.arange(len(data.labels)) < 5)
    data.serve_companions(torch.arange(8))
    assert data.companions is not None
    assert data.companions.tolist() == [5, 6, 7]
    with pytest.raises(InputError, match="no image of the samples that it wants beside each batch"):
        data.serve_companions(torch.arange(3))

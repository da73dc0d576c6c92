"""Measures speed on this machine: make bench, or parts of it, such as python -m tests.tools.benchmark --only methods.

With --device cuda training is measured on a GPU; data and methods are on the CPU all the same.

Everything that is compared alternates within one process every few seconds, and medians are reported, since machines
are shared and noisy: trust the ratios. Images are random, of CIFAR-10's shape. A training epoch of ours is a whole one
of `noisy-lightning fit`, with recorder, TensorBoard, metrics table, checkpoint and progress bar; the bare loops do
nothing but train. The epochs that draw pictures, a handful in a run, are not among those timed.
"""

import argparse
import functools
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast, final

import lightning as L
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from noisy_lightning import methods
from noisy_lightning.backbones import ResNet18, SmallCNN
from noisy_lightning.cli.main import dispatch
from noisy_lightning.data import CIFAR10, NoisyDataModule
from noisy_lightning.data.sets.sources import Source
from noisy_lightning.losses import CrossEntropy
from noisy_lightning.methods import EpochContext, Method, Problem
from noisy_lightning.methods.parts.inference import evaluating
from noisy_lightning.methods.parts.sample_memory import SampleMemory
from noisy_lightning.types import Companion

BATCH = 128
Step = Callable[..., None]


@final
class RandomImages(NoisyDataModule):
    """As many random images of CIFAR-10's shape as `count` says."""

    count = 50_000
    class_names = CIFAR10.class_names
    image_shape = CIFAR10.image_shape
    default_mean, default_std = CIFAR10.default_mean, CIFAR10.default_std
    default_padding, default_flip = CIFAR10.default_padding, CIFAR10.default_flip

    @property
    def num_samples(self) -> int:  # type: ignore[override]
        return self.count

    def load(self, train: bool) -> Source:
        random = torch.Generator().manual_seed(0)
        images = torch.randint(0, 256, (self.count, 32, 32, 3), dtype=torch.uint8, generator=random)
        return Source(images, torch.randint(0, 10, (self.count,), generator=random))


def usual_pipeline(data: RandomImages, workers: int, pin_memory: bool = False) -> DataLoader[Any]:
    """Return torchvision's CIFAR-10 with its usual transforms, over the same images."""
    usual = object.__new__(datasets.CIFAR10)
    usual.data, usual.targets = torch.as_tensor(data.source.images).numpy(), data.labels.tolist()
    usual.target_transform = None
    usual.transform = transforms.Compose(
        [
            transforms.RandomCrop(32, padding=4),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(data.default_mean, data.default_std),
        ]
    )
    return DataLoader(
        usual, BATCH, shuffle=True, num_workers=workers, persistent_workers=workers > 0, pin_memory=pin_memory
    )


def bare_step(make: Callable[[], nn.Module], fast: bool, device: str) -> Step:
    """Return one training step of a new network; fast: in bf16 and channels last, as our configurations train."""
    network = make().to(device).train()
    if fast:
        network = network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)

    def step(image: Tensor, label: Tensor, *_: Tensor) -> None:
        image, label = image.to(device, non_blocking=True), label.to(device, non_blocking=True)
        with torch.autocast(device, torch.bfloat16, enabled=fast):
            loss = F.cross_entropy(network(image), label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def seconds(
    batches: Iterable[Sequence[Any]], step: Step | None = None, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Return how long a pass takes."""
    start = clock()
    for batch in batches:
        if step is not None:
            step(*batch)
    finish()
    return clock() - start


def finish() -> None:
    """Wait for the GPU, where there is work for one."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


class Alternate(L.Callback):
    """Times `fit` epoch by epoch, stopping its clock every few seconds to give each bare loop as many batches.

    So the loops share whatever else the machine does at the time.
    """

    block_seconds = 4.0
    make: Callable[[], nn.Module]
    device = "cpu"
    workers = 2
    times: list[dict[str, float]]
    """For each timed epoch and loop, the seconds of an epoch."""

    def __init__(self) -> None:
        Alternate.times = []
        fast, slow = (bare_step(Alternate.make, fast, self.device) for fast in (True, False))
        self.steps = {"bare": fast, "usual": fast, "usual fp32": slow}
        self.started, self.batches = 0.0, 0

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._pause(trainer)  # what follows the last batch of an epoch, recorder and checkpoint, counts for the epoch
        if not trainer.current_epoch:
            self._prepare(trainer)
        if trainer.current_epoch < 2:  # the first epoch warms up, imports what the recorder needs, and draws
            Alternate.times.clear()
        Alternate.times.append(dict.fromkeys(("ours", *self.steps), 0.0))
        self.started = time.perf_counter()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.batches += 1
        last = batch_idx + 1 == trainer.num_training_batches
        if last or time.perf_counter() - self.started > self.block_seconds:
            self._pause(trainer)
            for name, step in self.steps.items():
                Alternate.times[-1][name] += seconds(itertools.islice(self.endless[name], self.batches), step)
                time.sleep(0.2)  # the workers fill up their queue
            self.batches = 0
            self.started = time.perf_counter()

    def _pause(self, trainer: L.Trainer) -> None:
        finish()
        if Alternate.times:
            Alternate.times[-1]["ours"] += time.perf_counter() - self.started

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        Alternate.times.pop()  # the last epoch draws too

    def _prepare(self, trainer: L.Trainer) -> None:
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        usual = [usual_pipeline(data, self.workers, pin_memory=self.device == "cuda") for _ in range(2)]
        self.endless = {
            "bare": endless(data.train_dataloader()),
            "usual": endless(usual[0]),
            "usual fp32": endless(usual[1]),
        }
        for name, step in self.steps.items():
            seconds(itertools.islice(self.endless[name], 4), step)


def endless(loader: Any) -> Iterator[Sequence[Any]]:
    """Yield batches, epoch after epoch."""
    for epoch in itertools.count():
        if hasattr(loader, "set_epoch"):
            loader.set_epoch(epoch)
        yield from loader


def measure_data(repetitions: int) -> None:
    """Print images per second of the loaders alone."""
    data = RandomImages(val_fraction=0)
    data.setup("fit")
    loaders: dict[str, Iterable[Any]] = {
        "noisy_lightning": data.train_dataloader(),
        "torchvision and PIL": usual_pipeline(data, 0),
        "torchvision and PIL, 2 workers": usual_pipeline(data, 2),
    }
    times: dict[str, list[float]] = {name: [] for name in loaders}
    for repetition in range(repetitions + 1):
        for name, loader in loaders.items():
            passes = 10 if name == "noisy_lightning" else 1  # a pass of a tenth of a second says little
            total = 0.0
            for number in range(passes):
                if hasattr(loader, "set_epoch"):
                    loader.set_epoch(repetition * passes + number)
                total += seconds(loader)
            times[name].append(total / passes)
    ours = statistics.median(times["noisy_lightning"][1:])
    print(f"\n| data alone, {data.count:,} images, batch {BATCH} | images/s | ours is |\n| --- | ---: | ---: |")
    for name, measured in times.items():
        median = statistics.median(measured[1:])
        print(f"| {name} | {data.count / median:,.0f} | {median / ours:.1f} × |")


def measure_training(name: str, make: Callable[[], nn.Module], backbone: list[str], count: int, epochs: int) -> None:
    """Print images per second of training loops."""
    RandomImages.count = count
    Alternate.make = staticmethod(make)
    with tempfile.TemporaryDirectory() as folder:
        dispatch(
            [
                *("fit", "--data", f"{__name__}.RandomImages", "--data.val_fraction", "0"),
                *("--data.noise", "Symmetric", "--data.noise.rate", "0.4", "--data.batch_size", str(BATCH)),
                *("--model.backbone", *backbone, "--model.loss", "CrossEntropy", "--model.optimizer", "SGD"),
                *("--model.optimizer.lr", "0.01", "--model.optimizer.momentum", "0.9"),
                *("--model.optimizer.weight_decay", "1e-4", "--trainer.precision", "bf16-mixed"),
                *("--trainer.max_epochs", str(epochs + 2), "--trainer.accelerator", Alternate.device),
                *("--run.root", folder),
                *(f"--trainer.callbacks+={__name__}.Alternate", "--recorder.picture_epochs", "[0]"),
            ]
        )
    loops = ("ours", "bare", "usual", "usual fp32")
    speeds = " | ".join(f"{count / statistics.median(epoch[loop] for epoch in Alternate.times):,.0f}" for loop in loops)
    bare, usual, fp32 = (
        statistics.median(epoch[loop] / epoch["ours"] for epoch in Alternate.times) for loop in loops[1:]
    )
    row = f"| {name}, {count:,} images | {speeds} | {bare:.3f} | {usual:.2f} × | {fp32:.2f} × |"
    print(row, f"<!-- n = {len(Alternate.times)} epochs -->", flush=True)


# Each method in the epochs in which it does its work.
METHODS: dict[str, dict[str, Any]] = {
    "Standard": {},
    "DynamicWeights": {"mode": "per_sample"},
    "StochasticLabelNoise": {},
    "ForwardCorrection": {"matrix": (0.6 * torch.eye(10) + 0.04).tolist()},
    "BackwardCorrection": {"matrix": (0.6 * torch.eye(10) + 0.04).tolist()},
    "EarlyLearningRegularization": {},
    "SelfEnsembleLabelCorrection": {"correction_epoch": 0},
    "SelfAdaptiveTraining": {"correction_epoch": 0},
    "SampleSelectionCORES": {"warm_up": 0, "ramp": 1, "sieve_from": 0},
    "DimensionalityDriven": {},
    "MentorNet": {},
    "SOP": {},
    "Decoupling": {},
    "CoTeaching": {"forget_rate": 0.4},
    "CoTeachingPlus": {"forget_rate": 0.4, "start_epoch": 0},
    "JoCoR": {"forget_rate": 0.4},
    "INCVCoTeaching": {"noise_rate": 0.4, "candidates_from": 0},
    "SOPPlus": {},
    "EarlyLearningRegularizationPlus": {},
    "DivideMix": {"warm_up": 0},
    "DISC": {"warm_up": 0},
    "SSR": {},
    "SSRPlus": {},
    "PES": {"warm_up": 0, "stage_epochs": 0, "classifier_epochs": 0},
    "PESSemi": {"warm_up": 0, "classifier_epochs": 0},
    "GlobalLocal": {},
    "MixFix": {},
    "RRL": {"warm_up": 0, "correct_from": 90},
    "UNICON": {"warm_up": 0},
    "ProMix": {"warm_up": 0, "guessing_epochs": 90},
    "VolMinNet": {},
    "TRevision": {"matrix": (0.6 * torch.eye(10) + 0.04).tolist(), "reweighting": 0},
    "CAL": {"sieve_epoch": 5},
    "PeerLoss": {"alpha": "0,1"},
    "FDivergence": {"warm_up": 0},
    # Of so many verified labels there will be a file.
    "L2RW": {"trusted": 1_000},
    "MetaWeightNet": {"trusted": 1_000, "virtual_lr": 0.01},
}
# What methods choose by earlier epochs, of which there are none here: they choose everything.
CHOSEN = ("clean", "weights", "confident")
# The networks that they are measured on, and how many steps each has at a time.
NETWORKS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "SmallCNN": (lambda: SmallCNN(10, 3), 20),
    "ResNet-18, ImageNet stem": (lambda: ResNet18(10, 3, "imagenet"), 3),
}


def measure_methods(blocks: int) -> None:
    """Print how long a step of each method takes, as a multiple of Standard's.

    In processor time, which other work on the machine disturbs least, if torch has one thread (OMP_NUM_THREADS=1).
    """
    data = RandomImages(val_fraction=0)
    data.setup("fit")
    nobody = torch.zeros(data.count, dtype=torch.bool)
    context = EpochContext(20, 100, data.labels, _random_outputs, candidates=nobody, noise_rate=0.4)
    print(
        f"\n| a step on {BATCH} images, bf16, × Standard | {' | '.join(NETWORKS)} |\n| --- |{' ---: |' * len(NETWORKS)}"
    )
    for name, arguments in METHODS.items():
        print(f"| {name}", end="", flush=True)
        for make, steps in NETWORKS.values():
            problem = Problem(functools.partial(_channels_last, make), CrossEntropy(), 10, data.count)
            pair = methods.Standard(problem), _method(name, problem, arguments)
            served = [(_batches(data, method), _method_step(method, context)) for method in pair]
            ratios = []
            for block in range(blocks + 1):
                theirs, ours = (
                    seconds(itertools.islice(batches, steps), step, time.process_time) for batches, step in served
                )
                if block:
                    ratios.append(ours / theirs)
            print(f" | {statistics.median(ratios):.2f}", end="", flush=True)
        print(" |", flush=True)


def _method(name: str, problem: Problem, arguments: Mapping[str, Any]) -> Method:
    with tempfile.TemporaryDirectory() as folder:
        if count := arguments.get("trusted"):
            path = Path(folder, "trusted.csv")
            path.write_text("index,label\n" + "".join(f"{index},{index % 10}\n" for index in range(count)))
            arguments = {**arguments, "trusted": path}
        return cast(Method, getattr(methods, name)(problem, **arguments))


def _batches(data: RandomImages, method: Method) -> Iterator[Sequence[Any]]:
    """Return training batches without end, as a method wants them served."""
    data.serve_views(method.views)
    data.serve_companions(method.companions(data.train_indices))
    return endless(data.train_dataloader())


def _channels_last(make: Callable[[], nn.Module]) -> nn.Module:
    return make().to(memory_format=torch.channels_last)


def _random_outputs(network: nn.Module, augmented: bool = False, index: Tensor | None = None, view: int = 0) -> Tensor:
    """Stand in for a pass over the training part: what a step costs does not hang on it."""
    with evaluating(network):
        width = network(torch.zeros(1, 3, 32, 32)).shape[1]
    return torch.randn(RandomImages.count if index is None else len(index), width)


def _method_step(method: Method, context: EpochContext) -> Callable[..., None]:
    """Return one training step of a method, in the middle of a training run."""
    method.train()
    optimizer = torch.optim.SGD([weight for weight in method.parameters() if weight.requires_grad], lr=0.01)
    method.on_epoch_start(context)
    for name in CHOSEN:
        if isinstance(memory := getattr(method, name, None), SampleMemory):
            memory.values.fill_(1)

    def step(
        image: Tensor, label: Tensor, index: Tensor, true_label: Tensor, companion: Companion | None = None
    ) -> None:
        method.companion = companion
        with torch.autocast("cpu", torch.bfloat16):
            loss = method.step(image, label, index).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        method.on_step_end()

    return step


def main() -> None:
    """Measure and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=5, help="timed epochs of the small network")
    parser.add_argument("--only", choices=("data", "small", "resnet", "methods"), help="measure one part")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="where training is measured")
    parser.add_argument("--workers", type=int, default=2, help="processes of the usual pipeline")
    args = parser.parse_args()
    Alternate.device, Alternate.workers = args.device, args.workers
    where = f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"
    print(f"torch {torch.__version__}, {torch.cuda.get_device_name() if args.device == 'cuda' else where}")
    if args.only in (None, "data"):
        measure_data(args.epochs)
    if args.only in (None, "methods"):
        measure_methods(args.epochs)
    if args.only in ("data", "methods"):
        return
    columns: tuple[str, ...] = ("ours", "bare, same batches", "bare, usual pipeline", "usual, fp32 channels first")
    columns += ("ours / bare", "ours / usual", "ours / usual fp32")
    print(f"\n| training, images/s | {' | '.join(columns)} |\n| --- |{' ---: |' * len(columns)}")
    if args.only in (None, "small"):
        measure_training("SmallCNN", lambda: SmallCNN(10, 3), ["SmallCNN"], 50_000, args.epochs)
    if args.only in (None, "resnet"):
        resnet = ["ResNet18", "--model.backbone.stem", "imagenet"]
        counts = (15_000, 1_280) if args.device == "cpu" else (50_000, 50_000)
        measure_training("ResNet-18, ImageNet stem", lambda: ResNet18(10, 3, "imagenet"), resnet, counts[0], 3)
        measure_training("ResNet-18, CIFAR stem", lambda: ResNet18(10, 3, "cifar"), ["ResNet18"], counts[1], 3)


if __name__ == "__main__":
    main()

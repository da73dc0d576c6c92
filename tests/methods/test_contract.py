"""What every method of the package promises."""

import inspect
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from noisy_lightning import methods
from noisy_lightning.cli.main import main
from noisy_lightning.losses import CrossEntropy
from noisy_lightning.methods import EpochContext, Method, Problem
from noisy_lightning.methods.parts.inference import evaluating
from noisy_lightning.methods.parts.sample_memory import SampleMemory
from noisy_lightning.runs.records import load
from noisy_lightning.types import Companion, Step
from tests.kill import Fall
from tests.methods.examples import EXAMPLES, NAMES, make, options
from tests.networks import Plain
from tests.ranks import on_two_ranks

METHODS = {name for name in methods.__all__ if issubclass(getattr(methods, name), Method)} - {"Method"}
each_example = pytest.mark.parametrize("example", EXAMPLES, ids=NAMES)
N, K, EPOCHS = 60, 3, 4


def _problem() -> Problem:
    return Problem(lambda: Plain(K, 1), CrossEntropy(), num_classes=K, num_samples=N)


def _data() -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    images = torch.randn(N, 1, 8, 8, generator=random)
    labels = torch.randint(0, K, (N,), generator=random)
    return images + labels.view(-1, 1, 1, 1), labels


def _images(method: Method, index: Tensor) -> Tensor:
    """Return images of samples (B,), in as many views as the method takes: each a little brighter than the last.

    Beside them, it gets others if it asks for some.
    """
    others = method.companions(torch.arange(N))
    if others is not None:
        beside = others[(index + 7) % len(others)]
        method.companion = Companion(_data()[0][beside] - 0.1, beside)
    images = _data()[0][index]
    if len(method.views) == 1:
        return images
    return torch.stack([images + 0.1 * view for view in range(len(method.views))])


def _context(epoch: int) -> EpochContext:
    images, labels = _data()

    @torch.no_grad()
    def predict(network: nn.Module, augmented: bool = False, index: Tensor | None = None, view: int = 0) -> Tensor:
        with evaluating(network):
            output: Tensor = network(images)
        return output if index is None else output[index]

    return EpochContext(epoch, EPOCHS, labels, predict, candidates=torch.arange(N) % 4 == 0)


class _Watched(EpochContext):
    """Notes in `asked` what a method learns of the length of the run."""

    asked: ClassVar[list[str]] = []

    def __getattribute__(self, name: str) -> Any:
        if name == "max_epochs":
            _Watched.asked.append(name)
        return super().__getattribute__(name)


@each_example
def test_a_method_says_whether_its_epochs_depend_on_the_length_of_the_run(example: Any) -> None:
    torch.manual_seed(0)
    _Watched.asked.clear()
    method, labels = make(example, _problem()), _data()[1]
    for epoch in range(EPOCHS):
        plain = _context(epoch)

        def predict(network: nn.Module, augmented: bool = False, index: Tensor | None = None, view: int = 0) -> Tensor:
            _Watched.asked.extend(["augmented"] * augmented)  # whose draws are those of epochs beyond the last
            return plain.predict(network, augmented, index)  # noqa: B023  # called within the epoch

        context = _Watched(epoch, EPOCHS, labels, predict, plain.candidates)
        method.on_epoch_start(context)
        for index in torch.arange(N).split(20):
            method.step(_images(method, index), labels[index], index).loss.backward()
            method.on_step_end()
        method.on_epoch_end(context)
    assert bool(_Watched.asked) == method.depends_on_length


def test_every_method_has_an_example() -> None:
    assert {name for name, _ in EXAMPLES} == METHODS


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_method_is_final_and_takes_the_problem_first(name: str) -> None:
    method = getattr(methods, name)
    assert getattr(method, "__final__", False)
    first, *rest = inspect.signature(method).parameters.values()
    assert first.name == "problem"
    for parameter in rest:
        assert parameter.default is not inspect.Parameter.empty
        assert f"\n    {parameter.name}: " in (inspect.getdoc(method) or "")


@pytest.mark.parametrize("name", sorted(METHODS))
def test_what_methods_share_is_abstract_and_not_overridden(name: str) -> None:
    method = getattr(methods, name)
    own = {key for key in vars(method) if not key.startswith("_")}
    for base in method.__mro__[1 : method.__mro__.index(Method)]:
        assert inspect.isabstract(base), base
        assert not own & {key for key in vars(base) if not key.startswith("_")}, base


@each_example
def test_a_step_is_complete(example: Any) -> None:
    torch.manual_seed(0)
    method = make(example, _problem())
    labels = _data()[1]
    method.on_epoch_start(_context(0))
    index = torch.tensor([7, 3, 50, 21])
    images = _images(method, index)
    step = method.step(images, labels[index], index)
    assert step.loss.shape == ()
    assert step.losses.shape == (4,)
    assert step.logits.shape == (4, K)
    if step.sample_weight is not None:
        assert step.sample_weight.shape == (4,)
        assert ((step.sample_weight >= 0) & (step.sample_weight <= 1)).all()
        assert not step.sample_weight.requires_grad
    step.loss.backward()
    gradients = [weight.grad for weight in method.parameters() if weight.requires_grad and weight.grad is not None]
    assert gradients
    assert all(gradient.isfinite().all() for gradient in gradients)
    method.eval()
    with torch.no_grad():
        assert method(images if len(method.views) == 1 else images[0]).shape == (4, K)


@each_example
def test_one_class_and_a_last_batch_of_one_sample_pass(example: Any) -> None:
    torch.manual_seed(0)
    method = make(example, _problem())
    optimizer = torch.optim.SGD([weight for weight in method.parameters() if weight.requires_grad], lr=0.1)
    labels = torch.ones(N, dtype=torch.long)
    for epoch in range(EPOCHS):
        now = replace(_context(epoch), labels=labels)
        method.on_epoch_start(now)
        for index in torch.arange(N).split([20, 20, 19, 1]):
            optimizer.zero_grad()
            step = method.step(_images(method, index), labels[index], index)
            step.loss.backward()
            optimizer.step()
            method.on_step_end()
            assert step.loss.isfinite()
            assert step.losses.isfinite().all()
        method.on_epoch_end(now)
    assert all(value.isfinite().all() for value in method.state_dict().values())
    assert all(value.isfinite() for value in method.scalars().values())


# Class weights and repeated samples


WEIGHTS = torch.tensor([0.4, 1.0, 1.9])


def _weigh(method: Method) -> None:
    """Weigh classes where the method can."""
    if method.weighs_classes:
        method.class_weights = WEIGHTS.clone()


def _step_with(example: Any, weights: Tensor | None) -> tuple[Step, list[Tensor | None]]:
    """Return a step of the second epoch and the gradients of the parameters, in a method that is always the same."""
    torch.manual_seed(0)
    method, labels = make(example, _problem()), _data()[1]
    for epoch in range(2):
        method.on_epoch_start(_context(epoch))
    index = torch.arange(30)
    for _ in range(3):  # what follows the losses, such as the average of MentorNet, begins at 0
        method.step(_images(method, index), labels[index], index)
    method.class_weights = weights
    step = method.step(_images(method, index), labels[index], index)
    step.loss.backward()
    return step, [parameter.grad for parameter in method.parameters()]


@pytest.mark.parametrize(
    "example", [one for one in EXAMPLES if getattr(methods, one[0]).weighs_classes], ids=lambda one: one[0]
)
def test_a_weight_multiplies_what_the_samples_of_a_class_teach_and_nothing_else(example: Any) -> None:
    plain, gradients = _step_with(example, None)
    ones, same = _step_with(example, torch.ones(K))
    none, nothing = _step_with(example, torch.zeros(K))
    parts = [_step_with(example, weight * torch.eye(K)[k]) for k, weight in enumerate(WEIGHTS)]
    whole, weighted = _step_with(example, WEIGHTS)
    assert ones.loss.equal(plain.loss)
    for step in (none, whole, *(part for part, _ in parts)):
        assert step.losses.equal(plain.losses)
        assert step.logits.equal(plain.logits)
        assert (step.sample_weight is None) == (plain.sample_weight is None)
        assert (
            step.sample_weight is None or plain.sample_weight is None or step.sample_weight.equal(plain.sample_weight)
        )
    differs = False
    for number, gradient in enumerate(gradients):
        if gradient is None:
            continue
        zero, heavy = nothing[number], weighted[number]
        assert zero is not None
        assert heavy is not None
        torch.testing.assert_close(same[number], gradient)
        # What does not depend on samples, such as a penalty on weights, is in each of them.
        added = sum(part[number] - zero for _, part in parts)  # type: ignore[misc,operator]
        torch.testing.assert_close(heavy - zero, added, rtol=1e-4, atol=1e-6)
        differs = differs or not torch.allclose(heavy, gradient, rtol=1e-2)
    assert differs


@each_example
def test_a_method_that_remembers_samples_asks_for_each_once(example: Any) -> None:
    """A second time in a batch, what one appearance remembers would overwrite the other."""
    torch.manual_seed(0)
    method, labels = make(example, _problem()), _data()[1]
    for epoch in range(EPOCHS):
        method.on_epoch_start(_context(epoch))
    parts = [part for part in method.modules() if isinstance(part, SampleMemory)]
    before = [part.values.clone() for part in parts]
    index = torch.arange(30)
    method.step(_images(method, index), labels[index], index).loss.backward()
    method.on_step_end()
    if any(not part.values.equal(values) for part, values in zip(parts, before, strict=True)):
        assert set(method.samplings) <= {"natural", "undersample"}


# On several ranks


class Stepping(nn.Module):
    """A method, for DistributedDataParallel to wrap as it wraps the module that Lightning trains."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method
        self._ddp_params_and_buffers_to_ignore = [
            f"{name}.values" for name, part in self.named_modules() if isinstance(part, SampleMemory)
        ]

    def forward(self, image: Tensor, label: Tensor, index: Tensor) -> Tensor:
        return self.method.step(image, label, index).loss


def _train(example: Any, rank: int, world_size: int) -> dict[str, Tensor]:
    """Train without Lightning on this rank's parts of the batches."""
    torch.manual_seed(0)
    method = make(example, _problem())
    _weigh(method)
    stepping: nn.Module = Stepping(method)
    if world_size > 1:
        stepping = DistributedDataParallel(stepping)
    optimizer = torch.optim.SGD(
        [weight for weight in method.parameters() if weight.requires_grad], lr=0.1, momentum=0.9
    )
    labels = _data()[1]
    for epoch in range(EPOCHS):
        method.on_epoch_start(_context(epoch))
        random = torch.Generator().manual_seed(epoch)
        order = torch.randperm(N, generator=random)
        if "oversample" in method.samplings:  # then some come several times, also within a batch
            order = torch.cat([order, order[:10]])[torch.randperm(N + 10, generator=random)]
        for batch in order.split(25):  # of which some do not divide evenly
            index = batch[rank::world_size]
            optimizer.zero_grad()
            stepping(_images(method, index), labels[index], index).backward()
            optimizer.step()
            method.on_step_end()
        method.on_epoch_end(_context(epoch))
    return {name: value.clone() for name, value in method.state_dict().items()}


def _states(rank: int) -> list[dict[str, Any]]:
    """Return what each example ends with."""
    return [{name: value.numpy() for name, value in _train(example, rank, 2).items()} for example in EXAMPLES]


@pytest.fixture(scope="module")
def two_ranks() -> list[Any]:
    """Return, for each rank and example, the state at the end."""
    return on_two_ranks(_states)


@pytest.mark.xdist_group("ranks")  # which share what one fixture takes long to make
@pytest.mark.parametrize("number", range(len(EXAMPLES)), ids=NAMES)
def test_two_ranks_train_as_one_does(number: int, two_ranks: list[Any]) -> None:
    alone = _train(EXAMPLES[number], 0, 1)
    for states in two_ranks:
        assert states[number].keys() == alone.keys()
        for name, value in alone.items():
            assert value.isfinite().all(), name
            np.testing.assert_allclose(states[number][name], value.numpy(), rtol=1e-4, atol=1e-5, err_msg=name)


# Within a run of Lightning's


SMALL = (
    *("fit", "--data", "Digits", "--data.noise", "Symmetric", "--data.noise.rate", "0.4", "--data.batch_size", "300"),
    *("--data.crop_padding", "1", "--model.backbone", "tests.networks.Random", "--model.optimizer", "SGD"),
    *("--model.optimizer.lr", "0.1", "--model.optimizer.momentum", "0.9", "--trainer.accelerator", "cpu"),
    *("--trainer.max_epochs", str(EPOCHS), "--trainer.devices", "1", "--trainer.enable_progress_bar", "false"),
    *("--recorder.pictures", "false"),
)
# What compares with the same uninterrupted run.
each_example_with_its_run = pytest.mark.parametrize(
    "example",
    [
        pytest.param(one, id=name, marks=pytest.mark.xdist_group(f"uninterrupted {name}"))
        for one, name in zip(EXAMPLES, NAMES, strict=True)
    ],
)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Any], Path]:
    """Return a function that trains an example, once for all tests, and returns the folder of the run."""
    runs: dict[str, Path] = {}

    def train(example: Any) -> Path:
        command = (*SMALL, *options(example))
        if str(command) not in runs:
            folder = runs[str(command)] = tmp_path_factory.mktemp("uninterrupted")
            assert main([*command, "--run.root", str(folder)]) == 0
        return runs[str(command)] / "default/0"

    return train


@each_example_with_its_run
@pytest.mark.parametrize(
    "at", [pytest.param((2, 0), marks=pytest.mark.slow), (2, 3)], ids=["at a boundary", "in mid-epoch"]
)
def test_an_interrupted_run_ends_as_if_nothing_had_happened(
    example: Any, at: tuple[int, int], run: Callable[..., int], uninterrupted: Callable[[Any], Path], tmp_path: Path
) -> None:
    whole, fallen = uninterrupted(example), tmp_path / "runs/default/0"
    falls = ("--run.checkpoint_every_n_steps", "2", "--trainer.callbacks+=tests.kill.Fall")
    Fall.at = at
    with pytest.raises(ZeroDivisionError):
        run(*SMALL, *options(example), *falls)
    assert run(*SMALL, *options(example), *falls) == 0
    states = [torch.load(path / "checkpoints/last.ckpt", weights_only=True)["state_dict"] for path in (whole, fallen)]
    for name, value in states[0].items():
        assert value.equal(states[1][name]), name
    assert (whole / "metrics.csv").read_text() == (fallen / "metrics.csv").read_text()
    np.testing.assert_array_equal(load(whole).loss, load(fallen).loss)


@each_example_with_its_run
def test_true_labels_leave_no_trace(
    example: Any, run: Callable[..., int], uninterrupted: Callable[[Any], Path], tmp_path: Path
) -> None:
    assert run(*SMALL, *options(example), "--trainer.callbacks+=tests.truth.OtherTruth") == 0
    true, other = uninterrupted(example), tmp_path / "runs/default/0"
    assert (load(true).true_labels != load(other).true_labels).any()
    states = [torch.load(path / "checkpoints/last.ckpt", weights_only=True)["state_dict"] for path in (true, other)]
    for name, value in states[0].items():
        assert value.equal(states[1][name]), name
    np.testing.assert_array_equal(load(true).loss, load(other).loss)


@each_example_with_its_run
def test_a_second_pass_leaves_no_trace(
    example: Any, run: Callable[..., int], uninterrupted: Callable[[Any], Path], tmp_path: Path
) -> None:
    """Neither in weights, nor in what a method remembers, nor in batch statistics, draws, records or metrics."""
    assert run(*SMALL, *options(example), "--model.gradient", "tests.regularizers.rules.Twice") == 0
    once, twice = uninterrupted(example), tmp_path / "runs/default/0"
    states = [torch.load(path / "checkpoints/last.ckpt", weights_only=True)["state_dict"] for path in (once, twice)]
    for name, value in states[0].items():
        assert value.equal(states[1][name]), name
    assert (once / "metrics.csv").read_text() == (twice / "metrics.csv").read_text()
    np.testing.assert_array_equal(load(once).loss, load(twice).loss)


@each_example
def test_a_run_in_half_precision_with_accumulation_stays_finite(
    example: Any, run: Callable[..., int], tmp_path: Path
) -> None:
    half = ("--trainer.precision", "bf16-mixed", "--trainer.accumulate_grad_batches", "2")
    assert run(*SMALL, *options(example), *half) == 0
    loss = load(tmp_path / "runs/default/0").loss
    assert np.isfinite(loss[~np.isnan(loss)]).all()
    state = torch.load(tmp_path / "runs/default/0/checkpoints/last.ckpt", weights_only=True)["state_dict"]
    assert all(value.isfinite().all() for value in state.values())

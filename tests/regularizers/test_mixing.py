"""MixUp and CutMix: what they draw, what is mixed, minimized and recorded, on any number of ranks."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from noisy_lightning import methods, regularizers
from noisy_lightning.errors import InputError
from noisy_lightning.losses import CrossEntropy
from noisy_lightning.methods import Method, Problem
from noisy_lightning.methods.parts.pairing import Pairing
from noisy_lightning.regularizers import Mixing
from noisy_lightning.types import Step
from tests.methods import toys
from tests.methods.examples import EXAMPLES
from tests.networks import Plain
from tests.ranks import on_two_ranks
from tests.reference import mixing as reference

MIXINGS: tuple[Mixing, ...] = (regularizers.MixUp(), regularizers.MixUp(8.0), regularizers.CutMix(1.0))
MIXABLE = sorted({name for name, _ in EXAMPLES if getattr(methods, name).mixable})
B, K, H, W = 9, 4, 6, 5


def _batch() -> tuple[Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(1)
    images = torch.randn(B, 3, H, W, generator=random, dtype=torch.float64)
    return images, torch.randint(K, (B,), generator=random), torch.randperm(B, generator=random)


def _drawn(mixing: Mixing, pairing: Pairing, count: int) -> tuple[Any, float, list[int]]:
    """Return λ of a pixel, λ of the labels and π that a pairing is going to draw, as the paper draws them."""
    random = np.random.default_rng([int(pairing.seed), int(pairing.epoch), int(pairing.served)])
    if isinstance(mixing, regularizers.MixUp):
        lam = random.beta(mixing.alpha, mixing.alpha)
        return (lambda r, c: lam), lam, random.permutation(count).tolist()
    assert isinstance(mixing, regularizers.CutMix)
    if random.random() >= mixing.probability:
        return (lambda r, c: 1.0), 1.0, list(range(count))
    lam = random.beta(mixing.alpha, mixing.alpha)
    # Rows are the first dimension of the box, whose names the paper's code has the other way round.
    center = int(random.integers(H)), int(random.integers(W))
    box = reference.rand_bbox(H, W, lam, *center)

    def of_pixel(r: int, c: int) -> float:
        return 0.0 if box[0] <= r < box[2] and box[1] <= c < box[3] else 1.0

    return of_pixel, reference.adjusted(H, W, box), random.permutation(count).tolist()


@pytest.mark.parametrize("mixing", [*MIXINGS, regularizers.CutMix(0.5)])
def test_images_are_those_of_the_paper_in_the_order_of_the_larger_part(mixing: Mixing) -> None:
    images, label, index = _batch()
    torch.manual_seed(0)
    pairing = Pairing(mixing)
    shares = []
    for step in range(60):
        of_pixel, lam, pi = _drawn(mixing, pairing, B)
        expected = torch.tensor(reference.mixed_images(images.tolist(), of_pixel, pi), dtype=torch.float64)
        mixed = pairing(images, label, index)
        assert int(pairing.served) == (step + 1) * B
        shares.append(lam)
        if lam == 1:
            assert mixed.other_label is None
            torch.testing.assert_close(mixed.image, images)
            continue
        inverse = [pi.index(i) for i in range(B)]
        rows, others = (list(range(B)), pi) if lam >= 0.5 else (inverse, inverse)
        torch.testing.assert_close(mixed.image, expected[rows])
        assert mixed.share == pytest.approx(max(lam, 1 - lam))
        assert mixed.other_label is not None
        assert mixed.other_index is not None
        assert mixed.other_label.equal(label[others])
        assert mixed.other_index.equal(index[others])
    assert min(shares) < 0.5 < max(shares), "λ is not folded"


def test_the_box_of_cut_mix_has_the_published_size_and_place() -> None:
    golden = {  # (W, H, λ, center): the box, and λ after clipping, by hand
        (32, 32, 0.75, 16, 16): ((8, 8, 24, 24), 0.75),
        (32, 32, 0.75, 0, 31): ((0, 23, 8, 32), 1 - 8 * 9 / 1024),
        (32, 32, 0.5, 16, 16): ((5, 5, 27, 27), 1 - 22 * 22 / 1024),
        (32, 32, 1.0, 3, 3): ((3, 3, 3, 3), 1.0),
        (5, 6, 0.2, 2, 2): ((0, 0, 4, 4), 1 - 16 / 30),
    }
    for (width, height, lam, *center), (box, adjusted) in golden.items():
        assert reference.rand_bbox(width, height, lam, *center) == box
        assert reference.adjusted(width, height, box) == pytest.approx(adjusted)

        class Fixed:
            """Draws what the case says."""

            numbers = iter(center)

            def random(self) -> float:
                return 0.0

            def beta(self, *_: float) -> float:
                return lam  # noqa: B023  # called within the case

            def integers(self, _: int) -> int:
                return next(self.numbers)

        own = regularizers.CutMix().draw(Fixed(), width, height)  # type: ignore[arg-type]
        zeros = np.argwhere(own == 0)
        assert len(zeros) == (box[2] - box[0]) * (box[3] - box[1])
        assert own.mean() == pytest.approx(adjusted)
        if len(zeros):
            assert (*zeros.min(0), *(zeros.max(0) + 1)) == box


def test_half_of_the_batches_are_cut() -> None:
    random = np.random.default_rng(0)
    cut = [regularizers.CutMix().draw(random, 32, 32).shape == (32, 32) for _ in range(400)]
    assert sum(cut) / 400 == pytest.approx(0.5, abs=0.08)


def test_features_can_be_averaged_but_not_cut() -> None:
    image, label, index = torch.randn(4, 7, 1, 1), torch.zeros(4, dtype=torch.long), torch.arange(4)
    assert Pairing(regularizers.MixUp())(image, label, index).image.shape == image.shape
    with pytest.raises(InputError, match=r"model.mixing: CutMix cuts boxes out of images, not out of features"):
        Pairing(regularizers.CutMix())(image, label, index)


@pytest.mark.parametrize(
    ("kind", "arguments", "name"),
    [
        (regularizers.MixUp, {"alpha": 0.0}, "alpha"),
        (regularizers.CutMix, {"alpha": -1.0}, "alpha"),
        (regularizers.CutMix, {"probability": 1.1}, "probability"),
    ],
)
def test_an_argument_out_of_range_is_named(kind: Any, arguments: dict[str, float], name: str) -> None:
    with pytest.raises(ValueError, match=rf"{name} must be in .*, got"):
        kind(**arguments)


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_images_stay_in_memory_as_they_were(memory: torch.memory_format) -> None:
    images, label, index = _batch()
    images = images.float().contiguous(memory_format=memory)
    mixed = Pairing(regularizers.MixUp())(images, label, index)
    assert mixed.image.is_contiguous(memory_format=memory)
    assert mixed.image.dtype == torch.float32


# Methods


def test_the_paper_s_loss_is_minimized_and_the_own_label_recorded() -> None:
    torch.manual_seed(0)
    method = methods.Standard(toys.problem())
    method.pairing = Pairing(mixing := regularizers.MixUp())
    twin = toys.network()
    twin.load_state_dict(method.backbone.state_dict())
    images, labels = toys.points()
    optimizer = torch.optim.SGD(method.backbone.parameters(), lr=0.5)
    below = 0
    for epoch in range(3):
        method.pairing.begin(epoch)
        for index in toys.batches(epoch):
            _, lam, pi = _drawn(mixing, method.pairing, toys.B)
            x = images[index]
            logits = twin(lam * x + (1 - lam) * x[pi])

            def loss_of(i: int, y: int, logits: Tensor = logits) -> Tensor:
                return -(logits[i] - logits[i].exp().sum().log())[y]

            y = labels[index].tolist()
            expected = reference.mixed_loss(loss_of, y, lam, pi)
            gradients = torch.autograd.grad(expected, list(twin.parameters()))
            step = method.step(x, labels[index], index)
            torch.testing.assert_close(step.loss, expected)
            # Sample j is recorded by the image that shows more of it.
            row = range(toys.B) if lam >= 0.5 else [pi.index(j) for j in range(toys.B)]
            recorded = torch.stack([loss_of(i, y[j]) for j, i in enumerate(row)])
            torch.testing.assert_close(step.losses, recorded)
            below += lam < 0.5
            optimizer.zero_grad()
            step.loss.backward()
            optimizer.step()
            with torch.no_grad():
                for weight, gradient in zip(twin.parameters(), gradients, strict=True):
                    weight.sub_(0.5 * gradient)
            toys.assert_same_weights(method.backbone, twin, 1e-10, 1e-12)
    assert 0 < below < 9


def _mixed(name: str, **options: Any) -> Method:
    arguments = next(arguments for one, arguments in EXAMPLES if one == name)
    method: Method = getattr(methods, name)(
        Problem(lambda: Plain(K, 3), CrossEntropy(), K, B), **{**arguments, **options}
    )
    return method


def _step(method: Method, images: Tensor, label: Tensor, index: Tensor) -> Step:
    step = method.step(images, label, index)
    method.on_step_end()
    return step


MATRIX = [[0.7, 0.1, 0.1, 0.1], [0.1, 0.7, 0.1, 0.1], [0.1, 0.1, 0.7, 0.1], [0.2, 0.2, 0.2, 0.4]]
EACH: list[tuple[str, dict[str, Any]]] = [
    ("Standard", {}),
    ("ForwardCorrection", {"matrix": MATRIX}),
    ("BackwardCorrection", {"matrix": MATRIX}),
    ("VolMinNet", {}),
    ("StochasticLabelNoise", {"sigma": 0.5}),
    ("StochasticLabelNoise", {"sigma": 0.5, "correction_epoch": 0}),
]


def test_each_mixable_method_is_tested() -> None:
    assert sorted({name for name, _ in EACH}) == MIXABLE


@pytest.mark.parametrize(("name", "options"), EACH, ids=[name for name, _ in EACH])
def test_a_mixed_loss_is_the_same_mixture_of_those_of_both_labels(name: str, options: dict[str, Any]) -> None:
    """On the same mixed images, with the labels and positions of the samples, and with those of their partners."""
    images, label, index = _batch()
    images = images.float()
    torch.manual_seed(0)
    method = _mixed(name, **options)
    for memory in ("targets", "given_weights"):
        if getattr(method, memory, None) is not None:
            values = getattr(method, memory).values
            values.copy_(torch.rand(values.shape))
    pairing = Pairing(regularizers.MixUp())
    for _ in range(4):
        state = {key: value.clone() for key, value in method.state_dict().items()}
        mixed = pairing(images, label, index)
        assert mixed.other_label is not None
        assert mixed.other_index is not None

        def loss(label: Tensor, index: Tensor, image: Tensor = mixed.image, state: dict[str, Tensor] = state) -> Tensor:
            method.pairing = None
            method.load_state_dict(state)
            loss: Tensor = _step(method, image, label, index).loss
            return loss

        expected = mixed.share * loss(label, index) + (1 - mixed.share) * loss(mixed.other_label, mixed.other_index)
        method.load_state_dict(state)
        method.pairing = pairing
        pairing.served.sub_(B)
        step = _step(method, images, label, index)
        torch.testing.assert_close(step.loss, expected)
        with torch.no_grad():
            torch.testing.assert_close(step.losses, F.cross_entropy(step.logits, label, reduction="none"))


def test_classes_are_weighted_by_the_label_that_each_part_is_of() -> None:
    images, label, index = _batch()
    torch.manual_seed(0)
    method = _mixed("Standard")
    method.class_weights = weights = torch.tensor([0.1, 0.5, 1.4, 2.0])
    method.pairing = Pairing(regularizers.MixUp())
    mixed = method.pairing(images.float(), label, index)
    assert mixed.other_label is not None
    method.pairing.served.zero_()
    logits = method(mixed.image)
    parts = [F.cross_entropy(logits, one, reduction="none") * weights[one] for one in (label, mixed.other_label)]
    expected = (mixed.share * parts[0] + (1 - mixed.share) * parts[1]).mean()
    torch.testing.assert_close(method.step(images.float(), label, index).loss, expected)


# Ranks


class _Stepping(torch.nn.Module):
    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, image: Tensor, label: Tensor, index: Tensor) -> Tensor:
        return self.method.step(image, label, index).loss


def _trained(number: int, mixing: Mixing, rank: int = 0, world_size: int = 1) -> dict[str, Any]:
    name, options = EACH[number]
    images, label, _ = _batch()
    torch.manual_seed(0)
    method = _mixed(name, **options)
    method.pairing = Pairing(mixing)
    stepping: torch.nn.Module = _Stepping(method)
    if world_size > 1:
        stepping = DistributedDataParallel(stepping)
    optimizer = torch.optim.SGD([weight for weight in method.parameters() if weight.requires_grad], lr=0.1)
    for epoch in range(3):
        method.pairing.begin(epoch)
        order = torch.randperm(B, generator=torch.Generator().manual_seed(epoch))
        if "oversample" in method.samplings:  # then a sample may be there twice
            order[1] = order[0]
        index = order[rank::world_size]
        optimizer.zero_grad()
        stepping(images[index].float(), label[index], index).backward()
        optimizer.step()
        method.on_step_end()
    return {key: value.numpy().copy() for key, value in method.state_dict().items()}


def _states(rank: int) -> list[dict[str, Any]]:
    return [_trained(number, mixing, rank, 2) for number in range(len(EACH)) for mixing in MIXINGS]


def test_two_ranks_mix_as_one_does() -> None:
    alone = [_trained(number, mixing) for number in range(len(EACH)) for mixing in MIXINGS]
    for states in on_two_ranks(_states):
        for state, expected in zip(states, alone, strict=True):
            for key, value in expected.items():
                np.testing.assert_allclose(state[key], value, rtol=1e-4, atol=1e-5, err_msg=key)

"""A problem small enough for loops: points in the plane, in double precision."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from noisy_lightning.losses import CrossEntropy, RobustLoss
from noisy_lightning.methods import EpochContext, Method, Problem
from noisy_lightning.types import Companion, Step

B, BATCHES, K = 10, 3, 3
N = B * BATCHES


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, K)).double()


def problem(loss: RobustLoss | None = None) -> Problem:
    return Problem(network, loss or CrossEntropy(), num_classes=K, num_samples=N)


def lookup(*tables: list[list[float]], num_samples: int | None = None) -> Problem:
    """Return a problem whose networks look their logits up in tables, one for each network; images are rows' numbers.

    There are as many samples as rows, unless another number is given.
    """
    first = tables[0]
    rows = iter([torch.tensor(table) for table in tables])
    return Problem(
        lambda: nn.Embedding.from_pretrained(next(rows), freeze=False),
        CrossEntropy(),
        num_classes=len(first[0]),
        num_samples=num_samples or len(first),
    )


def points() -> tuple[Tensor, Tensor]:
    """Return (N, 2) points around three centers and their labels, of which some are wrong."""
    random = torch.Generator().manual_seed(3)
    labels = torch.arange(N) % K
    centers = torch.tensor([[1.0, 0.0], [-0.5, 0.9], [-0.5, -0.9]], dtype=torch.float64)
    images = centers[labels] + 0.3 * torch.randn(N, 2, generator=random, dtype=torch.float64)
    labels[::4] = (labels[::4] + 1) % K
    return images, labels


def context(epoch: int) -> EpochContext:
    def predict(network: nn.Module, augmented: bool = False, index: Tensor | None = None, view: int = 0) -> Tensor:
        raise AssertionError("no pass over the training part is needed")

    return EpochContext(epoch, 10, points()[1], predict)


def batches(epoch: int) -> tuple[Tensor, ...]:
    order: Tensor = torch.randperm(N, generator=torch.Generator().manual_seed(epoch))
    return tuple(order.view(BATCHES, B))


def beside(epoch: int, number: int) -> Tensor:
    """Return which samples (B,) are served beside a batch."""
    return torch.randperm(N, generator=torch.Generator().manual_seed(100 + BATCHES * epoch + number))[:B]


def training(
    method: Method, epochs: int, eta: float = 0.5, context_of: Callable[[int], EpochContext] = context
) -> Iterator[tuple[int, Tensor, Step]]:
    """Train by plain SGD at a constant rate; yield epoch, samples (B,) and step each time the optimizer has stepped."""
    images, labels = points()
    optimizer = torch.optim.SGD([weight for weight in method.parameters() if weight.requires_grad], lr=eta)
    for epoch in range(epochs):
        now = context_of(epoch)
        method.on_epoch_start(now)
        for number, index in enumerate(batches(epoch)):
            if (others := method.companions(torch.arange(N))) is not None:
                served = others[beside(epoch, number) % len(others)]
                method.companion = Companion(images[served], served)
            step = method.step(images[index], labels[index], index)
            optimizer.zero_grad()
            step.loss.backward()
            optimizer.step()
            method.on_step_end()
            yield epoch, index, step
        method.on_epoch_end(now)


def train(
    method: Method, epochs: int, eta: float = 0.5, context_of: Callable[[int], EpochContext] = context
) -> list[Step]:
    """Train by plain SGD at a constant rate; return all steps."""
    return [step for _, _, step in training(method, epochs, eta, context_of)]


def sample_weights(step: Step) -> list[float]:
    """Return how far each sample of a step takes part, which it must say."""
    assert step.sample_weight is not None
    weights: list[float] = step.sample_weight.tolist()
    return weights


def assert_same_weights(ours: nn.Module, theirs: nn.Module, rtol: float, atol: float) -> None:
    for weight, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(weight, other, rtol=rtol, atol=atol)

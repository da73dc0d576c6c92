from typing import Any

import pytest
import torch
from torch import Tensor

from noisy_lightning.methods.parts.ranks import gather, total, weighted_mean, world_size
from noisy_lightning.methods.parts.sample_memory import SampleMemory
from tests.ranks import on_two_ranks


def test_a_memory_keeps_what_was_written_and_nothing_else() -> None:
    memory = SampleMemory(5, 2, fill=0.5)
    same = memory.values
    memory.write(torch.tensor([3, 1]), torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True))
    assert memory.values.tolist() == [[0.5, 0.5], [3.0, 4.0], [0.5, 0.5], [1.0, 2.0], [0.5, 0.5]]
    assert memory.read(torch.tensor([1, 3])).tolist() == [[3.0, 4.0], [1.0, 2.0]]
    assert memory.values is same
    assert not memory.values.requires_grad
    assert list(memory.state_dict()) == ["values"]


def test_a_memory_has_the_type_it_was_made_with() -> None:
    memory = SampleMemory(3, dtype=torch.bool)
    memory.write(torch.tensor([2]), torch.tensor([True]))
    assert memory.values.tolist() == [False, False, True]


def test_alone_a_weighted_mean_is_what_it_says() -> None:
    losses = torch.tensor([1.0, 2.0, 4.0], requires_grad=True)
    mean = weighted_mean(losses, torch.tensor([True, False, True]))
    assert mean.item() == 2.5
    (gradient,) = torch.autograd.grad(mean, losses)
    assert gradient.tolist() == [0.5, 0, 0.5]
    assert weighted_mean(losses, torch.tensor([0.5, 0.5, 1.0])).item() == pytest.approx(5.5 / 2)
    assert weighted_mean(losses, torch.zeros(3)).item() == 0


# Two processes, of which the first has two samples of a batch and the second one

INDEX, VALUES = [torch.tensor([4, 0]), torch.tensor([2])], [torch.tensor([[1.0], [2.0]]), torch.tensor([[3.0]])]
LOSSES, WEIGHTS = [torch.tensor([1.0, 2.0]), torch.tensor([4.0])], [torch.tensor([1.0, 0.0]), torch.tensor([1.0])]


def _seen(rank: int) -> tuple[list[float], list[float], float, list[float], int]:
    memory = SampleMemory(5, 1)
    memory.write(INDEX[rank], VALUES[rank])
    losses = LOSSES[rank].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(weighted_mean(losses, WEIGHTS[rank]), losses)
    return (
        memory.values.flatten().tolist(),
        gather(VALUES[rank]).flatten().tolist(),
        total(WEIGHTS[rank].sum()).item(),
        gradient.tolist(),
        world_size(),
    )


@pytest.fixture(scope="module")
def ranks() -> list[Any]:
    return on_two_ranks(_seen)


def test_all_ranks_remember_all_samples(ranks: list[Any]) -> None:
    for memory, gathered, summed, _, size in ranks:
        assert memory == [2.0, 0.0, 3.0, 0.0, 1.0]
        assert gathered == [1.0, 2.0, 3.0]
        assert summed == 2.0
        assert size == 2


def test_averaged_gradients_are_those_of_the_whole_batch(ranks: list[Any]) -> None:
    losses: Tensor = torch.cat(LOSSES).requires_grad_()
    (expected,) = torch.autograd.grad(weighted_mean(losses, torch.cat(WEIGHTS)), losses)
    averaged = torch.tensor(ranks[0][3] + ranks[1][3]) / 2  # as DistributedDataParallel does
    torch.testing.assert_close(averaged, expected)

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from noisy_lightning.backbones import PreActResNet18, ResNet18, SmallCNN, Timm
from noisy_lightning.losses import CrossEntropy
from noisy_lightning.methods.parts.tail_retraining import TailRetraining, tail
from tests.reference.pes import Adam, mean_loss, tail_step

K = 3


class _Staged(nn.Module):
    """A network of two stages by the name that timm gives them."""

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.Sequential(
            nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Tanh()), nn.Sequential(nn.Linear(4, 5), nn.Tanh())
        )
        self.head = nn.Linear(5, K)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.head(self.stages(image))
        return logits


def _data() -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    return torch.randn(12, 2, generator=random), torch.randint(0, K, (12,), generator=random)


def _made() -> tuple[Any, list[Any], TailRetraining]:
    torch.manual_seed(0)
    network, *fresh = _Staged(), _Staged(), _Staged()
    return network, fresh, TailRetraining(network, [("stage", 2), ("classifier", 1)], iter(fresh).__next__, 0.01)


def test_a_tail_is_the_last_stage_that_a_network_names_and_its_classifier() -> None:
    torchvision, small, preact = ResNet18(K, 3), SmallCNN(K, 3), PreActResNet18(K, 3)
    assert list(tail(torchvision, "stage")) == [torchvision.network.layer4, torchvision.network.fc]
    assert list(tail(torchvision, "classifier")) == [torchvision.network.fc]
    for network in (small, preact):
        assert list(tail(network, "stage")) == list(tail(network, "classifier")) == [network.classifier]
    timm: Any = Timm(K, 3, name="convnext_atto")
    assert list(tail(timm, "stage")) == [timm.network.stages[3], timm.network.get_classifier()]


@pytest.mark.parametrize("batches", [1, 2])
def test_only_the_tail_changes_by_adam_from_new_weights(batches: int) -> None:
    network, fresh, retraining = _made()
    theirs = copy.deepcopy(network)
    images, labels = _data()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.5, momentum=0.9, weight_decay=0.1)
    mean_loss(network, images, labels).backward()
    optimizer.step()  # a momentum, too, wants to move the body
    theirs.load_state_dict(network.state_dict())
    running = network.stages[0][1].running_mean.clone()
    body = [weight.clone() for weight in network.stages[0].parameters()]
    adam: Adam
    for epoch in range(3):
        retraining.on_epoch_start(network, epoch)
        assert retraining.active
        if epoch == 0:
            theirs.stages[1].load_state_dict(fresh[0].stages[1].state_dict())
            theirs.head.load_state_dict(fresh[0].head.state_dict())
            adam = Adam([*theirs.stages[1].parameters(), *theirs.head.parameters()], 0.01)
        if epoch == 2:
            theirs.head.load_state_dict(fresh[1].head.state_dict())
            adam = Adam(theirs.head.parameters(), 0.01)
        for _ in range(3):
            optimizer.zero_grad()
            for _ in range(batches):  # as gradients are accumulated
                step = retraining.step(network, CrossEntropy(), images, labels)
                (step.loss / batches).backward()
            assert all(weight.grad is not None and not weight.grad.any() for weight in network.parameters())
            assert all(weight.requires_grad for weight in network.parameters())
            optimizer.step()
            retraining.on_step_end(network)
            assert step.loss.item() == pytest.approx(tail_step(adam, mean_loss(theirs, images, labels)), rel=1e-4)
    for weight, before in zip(network.stages[0].parameters(), body, strict=True):
        assert weight.equal(before)
    for weight, other in zip(network.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(weight, other, rtol=1e-4, atol=1e-6)
    assert not network.stages[0][1].running_mean.equal(running)


def test_outside_its_epochs_nothing_is_held() -> None:
    network, _, retraining = _made()
    before = copy.deepcopy(network.state_dict())
    for epoch in (-1, 3, 7):
        retraining.on_epoch_start(network, epoch)
        assert not retraining.active
        retraining.on_step_end(network)
    assert all(value.equal(before[name]) for name, value in network.state_dict().items())
    assert retraining.length == 3


def test_a_gradient_that_is_not_finite_is_left_out() -> None:
    network, _, retraining = _made()
    retraining.on_epoch_start(network, 2)
    before = network.head.weight.clone()
    images, labels = _data()
    retraining.step(network, CrossEntropy(), images * float("nan"), labels)
    retraining.on_step_end(network)
    assert network.head.weight.equal(before)
    assert all(value == 0 for name, value in retraining.adams.state_dict().items() if name.endswith("count"))


def test_a_weight_that_was_frozen_before_is_so_again() -> None:
    network, _, retraining = _made()
    retraining.on_epoch_start(network, 0)
    frozen = network.stages[1][0].weight
    frozen.requires_grad_(False)
    retraining.step(network, CrossEntropy(), *_data()).loss.backward()
    assert not frozen.requires_grad
    before = frozen.clone()
    retraining.on_step_end(network)
    assert not frozen.equal(before)

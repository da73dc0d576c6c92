"""The end of a network, trained from new weights while all before it stays: Bai et al., NeurIPS 2021."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, final

import torch
from torch import Tensor, nn

from noisy_lightning.backbones.classifier import classifiers
from noisy_lightning.losses.base import RobustLoss
from noisy_lightning.methods.parts.adam import Adam
from noisy_lightning.methods.parts.ranks import batch_mean, total, world_size
from noisy_lightning.methods.parts.semi_supervised import no_losses
from noisy_lightning.methods.parts.snapshot import Snapshot
from noisy_lightning.types import Step

Tail = Literal["stage", "classifier"]


def tail(network: nn.Module, kind: Tail) -> nn.ModuleList:
    """Return the last layer of a network, or its last layers, and before it the last stage, if that is asked for.

    The last stage is `layer4`, as ResNets of torchvision and timm have it, or the last of `stages`, as many others of
    timm do. A network without either has no stages: of that, the last layer is all.
    """
    named = {name.rpartition(".")[2]: layer for name, layer in network.named_modules()}
    stages = [named["layer4"]] if "layer4" in named else list(named.get("stages", nn.Module()).children())
    return nn.ModuleList([*(stages[-1:] if kind == "stage" else ()), *classifiers(network)])


@final
class TailRetraining(nn.Module):
    """Retrains one tail of a network after the other, each from new weights, while all before it stays.

    Weights change by Adam; batch statistics move everywhere. The optimizer of the run gets gradients of 0, and what it
    changes all the same, by weight decay and momentum, is undone.

    Args:
        network: To be retrained; not a part of this.
        phases: Each tail, and how many epochs >= 0 it is trained.
        make: Returns a network of its kind, from which new weights come: another one for each phase.
        lr: Learning rate > 0 of Adam.
    """

    phase: Tensor
    """(), int64: position of the tail that is trained in this epoch; -1: none is."""

    def __init__(
        self, network: nn.Module, phases: Sequence[tuple[Tail, int]], make: Callable[[], nn.Module], lr: float
    ) -> None:
        super().__init__()
        self.phases = tuple(phases)
        self.new_weights = nn.ModuleList(Snapshot(tail(make(), kind)) for kind, _ in phases)
        longest = max((list(tail(network, kind).parameters()) for kind, _ in phases), key=len)
        self.adams, self.lr = nn.ModuleList(Adam(*weight.shape) for weight in longest), lr
        self.register_buffer("phase", torch.full((), -1))
        self._kept: list[Tensor] = []  # the network's weights before the optimizer of the run has stepped
        self._gradients: list[Tensor] = []  # of the batches since its last step

    @property
    def active(self) -> bool:
        """Whether only a tail is trained in this epoch."""
        return bool(self.phase >= 0)

    @property
    def length(self) -> int:
        """Epochs of all phases."""
        return sum(epochs for _, epochs in self.phases)

    def on_epoch_start(self, network: nn.Module, epoch: int) -> None:
        """Begin an epoch, counted from the first one of the first phase; a tail starts from new weights."""
        self.phase.fill_(-1)
        begin = 0
        for number, ((kind, epochs), new) in enumerate(zip(self.phases, self.new_weights, strict=True)):
            if begin <= epoch < begin + epochs:
                self.phase.fill_(number)
                if epoch == begin:
                    new.restore(tail(network, kind))  # type: ignore[operator]
                    for adam in self.adams:
                        adam.reset()  # type: ignore[operator]
            begin += epochs

    def step(self, network: nn.Module, loss: RobustLoss, image: Tensor, label: Tensor) -> Step:
        """Return a step that only the tail will follow, with the mean loss of given labels (B,)."""
        weights = self._weights(network)
        self._kept = [weight.detach().clone() for weight in network.parameters()]
        with _only(weights, network):
            logits = network(image)
            losses = loss(logits, label)
            mean = batch_mean(losses)
            gradients = torch.autograd.grad(mean, weights)
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        self._gradients.append(total(flat) / world_size())
        return Step(mean.detach() + no_losses(network).sum(), losses.detach(), logits.detach())

    @torch.no_grad()
    def on_step_end(self, network: nn.Module) -> None:
        """Undo what the optimizer has done; let the tail learn from the batches before it, which count as one."""
        if not self._gradients:
            return
        for weight, value in zip(network.parameters(), self._kept, strict=True):
            weight.copy_(value)
        gradient = torch.stack(self._gradients).mean(0)
        self._kept.clear()
        self._gradients.clear()
        if not gradient.isfinite().all():
            return
        weights = self._weights(network)
        parts = torch.split(gradient, [weight.numel() for weight in weights])
        # A shorter tail is the end of a longer one.
        for own, part, adam in zip(weights, parts, self.adams[-len(weights) :], strict=True):
            assert isinstance(adam, Adam)
            adam.descend(own, part.view(own.shape), self.lr)

    def _weights(self, network: nn.Module) -> list[Tensor]:
        return list(tail(network, self.phases[int(self.phase)][0]).parameters())


@contextmanager
def _only(weights: Sequence[Tensor], network: nn.Module) -> Iterator[None]:
    """Let only some of the weights of a network have a gradient."""
    before = [(weight, weight.requires_grad) for weight in network.parameters()]
    network.requires_grad_(False)
    for weight in weights:
        weight.requires_grad_(True)
    try:
        yield
    finally:
        for weight, needed in before:
            weight.requires_grad_(needed)

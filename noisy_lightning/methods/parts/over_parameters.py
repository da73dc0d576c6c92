"""What SOP and SOP+ share: parameters of each sample beside those of the network: Liu, Zhu, Qu and You, ICML 2022."""

import math
from typing import NamedTuple, final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from noisy_lightning.losses.probabilities import at_label, log_probabilities
from noisy_lightning.losses.ranges import check_range
from noisy_lightning.methods.base import EpochContext, Problem
from noisy_lightning.methods.parts.networks import OneNetwork
from noisy_lightning.methods.parts.ranks import total
from noisy_lightning.methods.parts.sample_memory import SampleMemory

_LEAST = 1e-4


class _Change(NamedTuple):
    """What a batch teaches u and v of its samples."""

    samples: Tensor
    u: Tensor
    u_gradient: Tensor
    v: Tensor
    v_gradient: Tensor


@final
class OverParameters(nn.Module):
    """Parameters u (a number) and v (one per class) of each sample, with plain SGD at constant rates of their own.

    Their gradients are computed separately from the network's, so that no gradient scaler of half precision and no
    average over ranks changes them. They are applied after the optimizer's step: several batches before it count as
    one.

    Args:
        num_samples: N.
        num_classes: K.
        lr_u: Learning rate >= 0 of u.
        lr_v: Learning rate >= 0 of v.
        initial_std: Standard deviation > 0 of both at the start.

    Raises:
        ValueError: A value is out of range.
    """

    noise_rate: Tensor
    """The mean of u² over the training samples at the last `take_stock`."""

    def __init__(self, num_samples: int, num_classes: int, lr_u: float, lr_v: float, initial_std: float) -> None:
        super().__init__()
        check_range("lr_u", lr_u, "[0, inf)")
        check_range("lr_v", lr_v, "[0, inf)")
        check_range("initial_std", initial_std, "(0, inf)")
        self.lr_u, self.lr_v, self.initial_std = lr_u, lr_v, initial_std
        self.u, self.v = SampleMemory(num_samples, 1), SampleMemory(num_samples, num_classes)
        for memory in (self.u, self.v):
            nn.init.normal_(memory.values, std=initial_std)
        self.register_buffer("noise_rate", torch.zeros(()))
        self._changes: list[_Change] = []  # of the batches since the optimizer's last step

    def read(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return u (B, 1) and v (B, K) of samples (B,), to take gradients of."""
        return self.u.read(index).requires_grad_(), self.v.read(index).requires_grad_()

    def learn(self, index: Tensor, u: Tensor, v: Tensor, losses: Tensor) -> None:
        """Keep the gradients of losses (B,) by the u and v that were read, until `follow`."""
        u_gradient, v_gradient = torch.autograd.grad(losses.sum(), (u, v), retain_graph=True)
        self._changes.append(_Change(index, u.detach(), u_gradient, v.detach(), v_gradient))

    def follow(self) -> None:
        """Descend the mean loss of the batches since the last call, all ranks' parts together."""
        for change in self._changes:
            number = total(change.samples.new_tensor(len(change.samples))) * len(self._changes)
            self.u.write(change.samples, change.u - self.lr_u * (change.u_gradient / number))
            self.v.write(change.samples, change.v - self.lr_v * (change.v_gradient / number))
        self._changes.clear()

    def epochs_to_one(self, lr: float, batch_size: float) -> float:
        """Return how many epochs a parameter takes from its start to 1, where a label stays contradicted.

        The squared distance alone then multiplies it by 1 + 4·lr / batch_size in each epoch.

        Args:
            lr: Learning rate >= 0; 0 stands for a parameter that shall not learn, which takes no time.
            batch_size: >= 0.
        """
        if lr == 0 or batch_size == 0:
            return 0.0
        return max(0.0, -math.log(self.initial_std)) / math.log1p(4 * lr / batch_size)

    def take_stock(self, labels: Tensor) -> None:
        """Measure the mean of u² over the samples whose label (N,) is not -1."""
        trained = (labels >= 0).nonzero().flatten().to(self.noise_rate.device)
        self.noise_rate.copy_(self.u.read(trained).square().clamp(max=1).mean())


class OverParameterized(OneNetwork):
    """A method with one network and with parameters u and v of each sample; for the arguments see `OverParameters`."""

    def __init__(self, problem: Problem, lr_u: float, lr_v: float, initial_std: float) -> None:
        super().__init__(problem)
        self.samples = OverParameters(problem.num_samples, problem.num_classes, lr_u, lr_v, initial_std)

    def scalars(self) -> dict[str, Tensor]:
        """Return `noise_rate`, the share of labels that are explained away."""
        return {"noise_rate": self.samples.noise_rate}

    def spans(self, context: EpochContext) -> dict[str, float]:
        """Return how long u and v take to explain a label away."""
        batch_size = int((context.labels >= 0).sum()) / context.steps_per_epoch
        rates = {"lr_u": self.samples.lr_u, "lr_v": self.samples.lr_v}
        return {name: self.samples.epochs_to_one(lr, batch_size) for name, lr in rates.items()}

    def on_step_end(self) -> None:
        """Let u and v learn."""
        self.samples.follow()

    def on_epoch_end(self, context: EpochContext) -> None:
        """Measure how much u explains."""
        self.samples.take_stock(context.labels)


def squares(label: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Return u² at the given label (B,), 0 elsewhere, and v² elsewhere, 0 at the label: each (B, K), at most 1."""
    given = F.one_hot(label, v.shape[1]).to(v.dtype)
    return (u.square() * given).clamp(0, 1), (v.square() * (1 - given)).clamp(0, 1)


def shifted_probabilities(logits: Tensor, at_given: Tensor, elsewhere: Tensor) -> Tensor:
    """Return q (B, K), the probabilities p of logits (B, K) plus s = u² − v², divided by their sum.

    The squares (B, K) are those of `squares`; that of v gets no gradient.
    """
    p = log_probabilities(logits).exp()
    q = (p + at_given - elsewhere.detach()).clamp_min(_LEAST)
    return (q / q.sum(1, keepdim=True)).clamp_min(_LEAST)


def cross_entropy(q: Tensor, label: Tensor) -> Tensor:
    """Return −log q_ỹ (B,)."""
    return -at_label(q.log(), label)


def squared_distance(logits: Tensor, label: Tensor, at_given: Tensor, elsewhere: Tensor) -> Tensor:
    """Return ‖onehot(argmax p) + s − onehot(ỹ)‖² (B,), which has a gradient in s = u² − v² (B, K) only."""
    predicted, given = (F.one_hot(labels, logits.shape[1]).to(elsewhere.dtype) for labels in (logits.argmax(1), label))
    return (predicted + at_given - elsewhere - given).square().sum(1)

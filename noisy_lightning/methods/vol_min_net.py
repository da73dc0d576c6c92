"""VolMinNet: Li, Liu, Han, Niu and Sugiyama, ICML 2021."""

from collections.abc import Collection
from typing import ClassVar, final

import torch
from torch import Tensor
from torch.nn import functional as F

from noisy_lightning.losses.probabilities import log_probabilities
from noisy_lightning.losses.ranges import check_range
from noisy_lightning.methods.base import Problem
from noisy_lightning.methods.parts.adam import Adam
from noisy_lightning.methods.parts.networks import OneNetwork
from noisy_lightning.methods.parts.ranks import batch_mean, total, world_size
from noisy_lightning.methods.parts.transition_correction import given_log_probabilities
from noisy_lightning.types import Step


@final
class VolMinNet(OneNetwork):
    """One network, and a transition matrix that is learned with it and kept as small as the labels allow.

    As in `ForwardCorrection`, the loss of a sample is that of q = Tᵀp, where T[i, j] = P(given = j | true = i), but
    without clipping p. T is learned from the same loss, from the first step and without anchor points, plus
    λ·log|det T|: of all matrices that explain the given labels, the one whose rows span the least volume is that of the
    noise, if the network's predictions are spread widely enough over the classes. Off the diagonal, T is sigmoid(w) of
    weights w, on it 1, and each row is divided by its sum, so that no label is likelier than the true one.

    w starts equal, and is learned by SGD with momentum 0.9, or by Adam, at a constant rate of its own, without weight
    decay.
    Logged are `noise_rate`, the share of wrong labels by T if all classes are equally frequent, and `volume`, which is
    log|det T|; T is written to `result.json` and drawn in TensorBoard. Recorded are the uncorrected losses.

    Deviations: the authors lower the rate of w together with that of the network, on CIFAR. They take the epoch of the
    lowest loss on noisy validation labels.

    Args:
        problem: The task; any loss, cross-entropy in the paper.
        volume_weight: λ >= 0; 1e-4 in the paper.
        initial_weight: w at the start; −2 in the paper, at which T of 10 classes has 0.48 on its diagonal, and −4.5 for
            CIFAR-100.
        lr: Learning rate >= 0 of w; 0.01 in the paper.
        adam: Whether w is learned by Adam, as in the authors' code on MNIST and CIFAR-100, and not by SGD.

    Raises:
        ValueError: A value is out of range.
    """

    samplings: ClassVar[Collection[str]] = ("natural",)
    mixable: ClassVar[bool] = True

    weight: Tensor
    """(K, K), of which the diagonal does not count."""
    velocity: Tensor
    """(K, K), the momentum of w, without Adam."""

    def __init__(
        self,
        problem: Problem,
        volume_weight: float = 1e-4,
        initial_weight: float = -2.0,
        lr: float = 0.01,
        adam: bool = False,
    ) -> None:
        check_range("volume_weight", volume_weight, "[0, inf)")
        check_range("lr", lr, "[0, inf)")
        super().__init__(problem)
        self.volume_weight, self.lr = volume_weight, lr
        classes = problem.num_classes
        self.register_buffer("weight", torch.full((classes, classes), initial_weight))
        self.register_buffer("velocity", torch.zeros(classes, classes))
        self.adam = Adam(classes, classes) if adam else None
        self._gradients: list[Tensor] = []  # of the batches since the optimizer's last step

    def transition(self) -> Tensor:
        """Return T (K, K)."""
        return transition_matrix(self.weight)

    def scalars(self) -> dict[str, Tensor]:
        """Return the noise rate and the volume of T."""
        matrix = self.transition()
        return {"noise_rate": 1 - matrix.diagonal().mean(), "volume": torch.linalg.slogdet(matrix).logabsdet}

    def step(self, image: Tensor, label: Tensor, index: Tensor) -> Step:
        """Average the corrected losses; keep the gradient of w until the optimizer has stepped."""
        mixed = self.mixed(image, label, index)
        logits = self.backbone(mixed.image)
        weight = self.weight.detach().requires_grad_()
        matrix = transition_matrix(weight)
        given = given_log_probabilities(log_probabilities(logits).exp(), matrix)

        def of_others(label: Tensor, index: Tensor) -> Tensor:
            return batch_mean(self.loss(given, label))

        loss = mixed.blend(batch_mean(self.loss(given, label)), of_others)
        volume = torch.linalg.slogdet(matrix).logabsdet
        # Taken apart from the network's, so that no gradient scaler of half precision changes it.
        (gradient,) = torch.autograd.grad(loss + self.volume_weight * volume, weight, retain_graph=True)
        self._gradients.append(total(gradient) / world_size())
        return Step(loss, self.loss(logits, label), logits)

    def on_step_end(self) -> None:
        """Let w learn from the batches since the last step, which count as one."""
        gradient = torch.stack(self._gradients).mean(0)
        self._gradients.clear()
        if self.adam is not None:
            self.adam.descend(self.weight, gradient, self.lr)
            return
        self.velocity.mul_(0.9).add_(gradient)
        self.weight.sub_(self.lr * self.velocity)


def transition_matrix(weight: Tensor) -> Tensor:
    """Return T (K, K) of weights w (K, K): sigmoid(w) off the diagonal, 1 on it, each row divided by its sum."""
    ones = torch.eye(len(weight), dtype=weight.dtype, device=weight.device)
    return F.normalize(ones + weight.sigmoid() * (1 - ones), p=1.0, dim=1)

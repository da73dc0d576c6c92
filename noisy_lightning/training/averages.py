"""Moving averages of the weights of a run, to evaluate beside them or in their place."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import final

import torch
from torch import nn

from noisy_lightning.errors import InputError
from noisy_lightning.methods import Method
from noisy_lightning.methods.parts.mean_teacher import MeanTeacher


@final
class WeightAverages(nn.Module):
    """Averaged copies of the networks of a method, which can stand in their place; they never change its weights.

    After each step of the optimizer, average ← m · average + (1 − m) · network, also of the statistics of batch
    normalization. With t steps before that one, m = min(decay, (1 + t) / (10 + t)), as TensorFlow's
    ExponentialMovingAverage has it: else the first weights, such as those of a new classifier, would weigh too much in
    a short run.

    Lightning's `EMAWeightAveraging` does not serve here: a checkpoint of weights alone, as best.ckpt is, would have the
    weights without their average, by which it was chosen; it averages whole numbers and what a method remembers of each
    sample, too; and it does not evaluate the weights beside their average.

    Args:
        method: Which trains the networks.
        networks: Those that it has made.
        decay: In (0, 1); None: nothing is averaged.

    Raises:
        InputError: It is out of range.
    """

    def __init__(self, method: Method, networks: Sequence[nn.Module], decay: float | None) -> None:
        super().__init__()
        if decay is not None and not 0 < decay < 1:
            raise InputError(f"model.ema_decay must be in (0, 1), got {decay}")
        self.decay = decay
        copies = [MeanTeacher(network) for network in networks if decay is not None]
        self.averages = nn.ModuleList(copies)
        # Networks, their averages, and under which names the method has them: one may be a part of several others.
        parts = list(method.named_modules(remove_duplicate=False))
        self._pairs = [
            (network, one, one.network, [name for name, part in parts if part is network])
            for network, one in zip(networks, copies, strict=decay is not None)
        ]
        self._set = method.set_submodule
        self._in_place = False

    def check(self) -> None:
        """Refuse weights in half precision, which a small step of an average does not change.

        Raises:
            InputError: There are some.
        """
        if any(weight.dtype in (torch.float16, torch.bfloat16) for weight in self.averages.parameters()):
            raise InputError("model.ema_decay averages float32 weights: --trainer.precision bf16-mixed keeps them so")

    def update(self, steps: int) -> None:
        """Follow the networks after a step of the optimizer.

        Args:
            steps: Those before it.
        """
        for network, average, _, _ in self._pairs:
            average.update(network, min(self.decay or 0.0, (1 + steps) / (10 + steps)))

    @contextmanager
    def standing(self, in_place: bool) -> Iterator[None]:
        """Have the averages stand in the place of the networks for a while, or the networks themselves.

        Args:
            in_place: Whether the averages do.
        """
        before = self._in_place
        self.put(in_place)
        try:
            yield
        finally:
            self.put(before)

    def put(self, in_place: bool) -> None:
        """Have the averages stand in the place of the networks from now on, or the networks themselves again.

        Args:
            in_place: Whether the averages do.
        """
        if in_place == self._in_place:
            return
        self._in_place = in_place
        for network, average, averaged, names in self._pairs:
            for name in names:
                self._set(name, averaged if in_place else network)
            average.network = network if in_place else averaged

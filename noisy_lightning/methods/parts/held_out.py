"""What predictions of labels that a network has not seen say of it, and of how many labels are wrong."""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from noisy_lightning.methods.base import EpochContext
from noisy_lightning.methods.parts.sample_memory import SampleMemory

# How many count as sure, as a share of a class. More, and the mistakes of a weak network pass for wrong labels; fewer,
# and with noise that depends on the image, only the easiest images count.
SUREST = 0.1
# Where a network is wrong less often than this, it is not weak, even if fewer labels are wrong.
_SOME_MISTAKES = 0.1
# A weak network's own mistakes are in the noise rate that it suggests, too.
_NEARLY_AS_MANY = 0.8
# After how many of the last epochs a network is asked, and its answers averaged: what it knows changes little from one
# to the next, but which classes it favors does.
_ASKED = 3


class HeldOutPredictions(nn.Module):
    """What a network predicts of samples that it has not learned from, on average over the last epochs.

    Args:
        held_out: (N,) bool, the samples.
        num_classes: K.
    """

    held_out: Tensor
    """(N,) bool."""

    def __init__(self, held_out: Tensor, num_classes: int) -> None:
        super().__init__()
        self.register_buffer("held_out", held_out, persistent=False)
        # (n, K): for each sample held out, in their order, the sum of the probabilities after each epoch.
        self.total = SampleMemory(int(held_out.sum()), num_classes)
        self.register_load_state_dict_pre_hook(_without_predictions)  # type: ignore[no-untyped-call]

    def ask(self, context: EpochContext, network: nn.Module, due: int) -> None:
        """Add what the network predicts now, if it is late enough.

        Args:
            context: Of an epoch's start.
            network: From images (B, C, H, W) to logits (B, K).
            due: Epoch >= 1 at whose start the predictions count.
        """
        if max(0, due - _ASKED) < context.epoch <= due:
            index, rows = self._places(context.labels >= 0)
            probability = context.predict(network, index=index).softmax(1)
            total = self.total.values
            total.index_add_(0, rows.to(total.device), probability.to(total.device))  # equal on all ranks

    def average(self, context: EpochContext, among: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the probabilities (m, K) of the samples held out that are trained on, and their given labels (m,).

        Args:
            context: Of the epoch at whose start they count.
            among: (N,) bool, the samples that count; None: all.
        """
        counted = context.labels >= 0 if among is None else (context.labels >= 0) & among.cpu()
        index, rows = self._places(counted)
        total = self.total.values.cpu()[rows]
        return total / total.sum(1, keepdim=True), context.labels[index]

    def _places(self, counted: Tensor) -> tuple[Tensor, Tensor]:
        """Return, of the samples held out that count (N,), the index and the rows in `total`."""
        held_out = self.held_out.cpu()
        return (held_out & counted).nonzero().flatten(), counted[held_out].nonzero().flatten()


def _without_predictions(module: HeldOutPredictions, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Load older checkpoints, which hold no predictions, or have them under another name."""
    older = state.pop(f"{prefix}total", module.total.values)
    state.setdefault(f"{prefix}total.values", older)


class SelfCheck(NamedTuple):
    """Held-out predictions against the given labels, and what together explains how often they agree."""

    accuracy_given: float
    """Share of the held-out given labels that are predicted, in [0, 1]."""
    noise_rate: float
    """Share of wrong labels, in [0, 1], by the predictions that are surest; see `surest_transition`."""
    accuracy_true: float
    """The accuracy on true labels, in [0, 1], that agrees with the given ones as often, at this noise rate."""

    @property
    def too_weak(self) -> bool:
        """Whether the network makes many mistakes, hardly fewer than the labels: of what it doubts, much is right."""
        mistakes = 1 - self.accuracy_true
        return mistakes > _SOME_MISTAKES and mistakes >= _NEARLY_AS_MANY * self.noise_rate


def self_check(probability: Tensor, labels: Tensor) -> SelfCheck:
    """Return the check of class probabilities (n, K) by networks that have not seen the given labels (n,); n >= 1."""
    matrix, shares = surest_transition(probability, labels)
    rate = float(1 - shares @ matrix.diagonal())
    agreement, chance = float((probability.argmax(1) == labels).double().mean()), rate / max(1, len(shares) - 1)
    # Agreeing are right predictions of right labels, and wrong ones that happen to be the wrong label.
    accuracy = (agreement - chance) / (1 - rate - chance) if rate + chance < 1 else 0.0
    return SelfCheck(agreement, rate, min(1.0, max(0.0, accuracy)))


def surest_transition(probability: Tensor, labels: Tensor, share: float = SUREST) -> tuple[Tensor, Tensor]:
    """Return how often each label was given to the samples that networks are surest to be of a class.

    A sample of which a network is sure, without having seen its label, most likely is of that class, however weak the
    network is elsewhere. So its given labels are a row of the transition matrix: anchor points, as Patrini et al. (CVPR
    2017) call them, but counted instead of taken from the probabilities of a single one, which say how sure the network
    is and not how often it is right.

    Args:
        probability: (n, K) of classes, of networks that have not seen the labels.
        labels: (n,) given labels in [0, K).
        share: Of the number of samples with the given label i, as many samples count as the surest of class i; in
            (0, 1].

    Returns:
        T (K, K), T[i, j] = P(given = j | true = i), float64: the identity's row for a class that is never given. And
        the share of samples (K,) that each class is given to.
    """
    num_classes = probability.shape[1]
    matrix = torch.eye(num_classes, dtype=torch.float64)
    counts = torch.bincount(labels, minlength=num_classes)
    for k in counts.nonzero().flatten().tolist():
        number = math.ceil(share * int(counts[k]))
        surest = probability[:, k].argsort(descending=True, stable=True)[:number]
        matrix[k] = torch.bincount(labels[surest], minlength=num_classes).double() / number
    return matrix, counts.double() / counts.sum()

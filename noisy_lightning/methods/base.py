"""What a training method is, and all that it may know."""

import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn

from noisy_lightning.errors import InputError
from noisy_lightning.losses.base import RobustLoss
from noisy_lightning.methods.parts.pairing import Mixed, Pairing
from noisy_lightning.types import Companion, Step, View

_log = logging.getLogger(__name__)

ONCE = ("natural", "undersample")
"""What of `data.sampling` serves a sample at most once per epoch."""
ANY = (*ONCE, "oversample", "sqrt")
"""All of `data.sampling`."""


@dataclass(frozen=True)
class Problem:
    """All that a method may know about its task."""

    make_backbone: Callable[[], nn.Module]
    """A new network from images (B, C, H, W) to logits (B, K); each call draws new initial weights."""
    loss: RobustLoss
    num_classes: int
    num_samples: int
    """Size of the original training set: an index is in [0, num_samples)."""

    def require_soft_targets(self) -> None:
        """Check that the loss takes class probabilities.

        Raises:
            InputError: It takes class indices only.
        """
        classes = self.num_classes
        try:
            self.loss(torch.zeros(1, classes), torch.full((1, classes), 1 / classes))
        except (ValueError, RuntimeError) as error:
            raise InputError(f"model.loss: {type(self.loss).__name__} does not go with this method: {error}") from error


class Predict(Protocol):
    """Passes training samples through a network, in eval mode and without gradient."""

    def __call__(
        self, network: nn.Module, augmented: bool = False, index: Tensor | None = None, view: int = 0
    ) -> Tensor:
        """Return the outputs (N, ...) float32 on the CPU, equal on all ranks; NaN for samples not trained on.

        Args:
            network: From images (B, C, H, W) to outputs (B, ...).
            augmented: Whether images are augmented as in training, weakly, with random draws of their own.
            index: (n,) different samples of the training part, on the CPU; the outputs are then (n, ...), in the same
                order. None: all of them.
            view: Which of any number of independent draws, >= 0, the augmented images are.
        """


@dataclass(frozen=True)
class EpochContext:
    """What a method learns at the start and at the end of an epoch: how far training is, and the training part."""

    epoch: int
    """Current epoch, counted from 0."""
    max_epochs: int
    labels: Tensor
    """(N,) given labels of this epoch, -1 for samples not trained on; on the CPU."""
    predict: Predict
    """A pass over the training part, which costs about a third of an epoch."""
    candidates: Tensor | None = None
    """(N,) bool, on the CPU: the samples of the training part that a selection (`data.selection`) calls candidates,
    with what it rejects where a method uses that; none for a method that uses neither. None: there is no selection."""
    noise_rate: float | None = None
    """Share of wrong labels that the selection estimates, in [0, 1]; None: it gives no estimate."""
    max_steps: int = 0
    """Optimizer steps of the whole run; 0: unknown."""

    @property
    def steps_per_epoch(self) -> float:
        """Optimizer steps of an epoch; infinite where the length of the run is unknown."""
        return self.max_steps / self.max_epochs if self.max_steps > 0 and self.max_epochs > 0 else math.inf


class Method(nn.Module, ABC):
    """How a network is trained on given labels.

    Subclasses are either abstract or final. A final one takes the problem first, then its own hyper-parameters. State
    that changes the weights is a buffer of the method, so that checkpoints carry it. A method never sees true labels.

    Training on several ranks gives the same result as on one, up to rounding. The exceptions, for every method, are
    dropout, which each rank draws for itself, and batch normalization, unless its statistics are synchronized.

    Example:
        >>> from noisy_lightning import losses, methods
        >>> problem = Problem(lambda: nn.Linear(4, 3), losses.CrossEntropy(), num_classes=3, num_samples=8)
        >>> method = methods.CoTeaching(problem, forget_rate=0.5, warm_up=0)
        >>> method.on_epoch_start(EpochContext(0, 1, torch.zeros(8).long(), lambda network: torch.zeros(8, 3)))
        >>> step = method.step(torch.randn(2, 4), label=torch.tensor([0, 1]), index=torch.tensor([5, 6]))
        >>> step.losses.shape, int(step.sample_weight.sum()) > 0
        (torch.Size([2]), True)
    """

    views: ClassVar[Sequence[View]] = ("weak",)
    """In which views `step` gets each image, each augmented by draws of its own, also two of a kind."""
    uses_candidates: ClassVar[bool] = False
    """Whether it also trains on the candidates of a selection, and not only on its selected samples."""
    uses_rejected: ClassVar[bool] = False
    """Whether what a selection rejects is a candidate for it, too."""
    samplings: ClassVar[Collection[str]] = ONCE
    """What of `data.sampling` it goes with: `ANY`, unless it remembers samples or counts on seeing each once."""
    weighs_classes: ClassVar[bool] = False
    """Whether `step` passes the losses that it averages through `weighted`."""
    mixable: ClassVar[bool] = False
    """Whether `step` trains on what `mixed` makes of a batch."""

    companion: Companion | None = None
    """What was served beside the current batch, for methods that ask for `companions`."""
    learning_rate: Callable[[], float] | None = None
    """Returns the optimizer's present learning rate, of its first group of weights; None outside of a run."""
    class_weights: Tensor | None
    """(K,) >= 0, weights of given classes, which average 1 over the samples of an epoch; None: all are 1."""

    pairing: Pairing | None
    """What mixes the images of a batch; None: nothing does."""

    def __init__(self) -> None:
        super().__init__()
        self.pairing = None
        # Made anew of the labels for each fit, so that no checkpoint needs it.
        self.register_buffer("class_weights", None, persistent=False)

    @property
    def oracle(self) -> bool:
        """Whether it was given what only an experiment knows: how many labels are wrong, which ones, or how."""
        return False

    @property
    def depends_on_length(self) -> bool:
        """Whether an epoch depends on how many epochs the run has: by `max_epochs` or by augmented predictions."""
        return False

    @abstractmethod
    def forward(self, image: Tensor) -> Tensor:
        """Return the logits (B, K) to evaluate for images (B, C, H, W)."""

    def networks(self) -> dict[str, nn.Module]:
        """Return the networks to evaluate in addition to `forward`; their names end the names of their metrics."""
        return {}

    def scalars(self) -> dict[str, Tensor]:
        """Return what to log at the end of an epoch, by name: numbers (), equal on all ranks."""
        return {}

    def transition(self) -> Tensor | None:
        """Return the transition matrix (K, K) it works with, rows over true classes; None if it has none (yet)."""
        return None

    def spans(self, context: EpochContext) -> dict[str, float]:
        """Return how many epochs the run must have for an argument to take full effect, by the argument's name."""
        return {}

    def companions(self, trained: Tensor) -> Tensor | None:
        """Return the samples (M,) of which each `step` gets some in `companion`; None: it needs none.

        They are served in batches of the size of the others, in passes of which each has an order of its own.

        Args:
            trained: (n,) positions of the samples of the training part.
        """
        return None

    def weighted(self, losses: Tensor, label: Tensor) -> Tensor:
        """Return losses (B,) times the weight of the given class (B,), for a mean that is then divided by their number.

        Only what is minimized is weighted, never what is ranked, selected by, or recorded. As weights average 1 over an
        epoch, the mean over a batch has the gradient of Σ w·loss / Σ w over the epoch without bias, whichever classes
        the batch happens to have.
        """
        return losses if self.class_weights is None else losses * self.class_weights[label]

    def mixed(self, image: Tensor, label: Tensor, index: Tensor) -> Mixed:
        """Return what to train on for images (B, C, H, W): mixtures, where the run mixes, and the images where not."""
        return Mixed(image) if self.pairing is None else self.pairing(image, label, index)

    @abstractmethod
    def step(self, image: Tensor, label: Tensor, index: Tensor) -> Step:
        """Return what to minimize and what to record.

        Args:
            image: (B, C, H, W) normalized images, or (V, B, C, H, W) in the order of `views`, where there are several.
            label: (B,) given labels in [0, K).
            index: (B,) positions in the original training set, in [0, num_samples).
        """

    def on_epoch_start(self, context: EpochContext) -> None:
        """Prepare for an epoch; runs before its first batch."""

    def on_step_end(self) -> None:
        """Follow up on a batch; runs after the optimizer's step."""

    def on_epoch_end(self, context: EpochContext) -> None:
        """Close an epoch; runs after its last batch."""


def warn_of_short_run(method: Method, context: EpochContext) -> None:
    """Say, at the start of a run, which arguments are made for longer ones, such as the defaults of papers."""
    if context.epoch:
        return
    needed = {name: math.ceil(epochs) for name, epochs in method.spans(context).items() if epochs > context.max_epochs}
    if needed and context.max_epochs > 0:
        _log.warning(
            "%s is set for a longer run than this one of %d epochs: %s epochs to take full effect",
            type(method).__name__,
            context.max_epochs,
            ", ".join(f"model.method.{name} needs {epochs:,}" for name, epochs in needed.items()),
        )

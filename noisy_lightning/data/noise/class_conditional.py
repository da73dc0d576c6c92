"""How true labels become given ones: a final class per kind of label noise.

All class-conditional noise is drawn by one function from a transition matrix T[i, j] = P(given = j | true = i), with
one float64 uniform per sample, so that a seed gives the same labels on every machine.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar, Literal, final, get_args

import torch
from torch import Tensor

from noisy_lightning.data.noise.flip_maps import FlipName, check_flips, flips_among
from noisy_lightning.data.noise.foreign import ForeignImages
from noisy_lightning.data.noise.sampling import check_labels, choose_exactly, sample_labels
from noisy_lightning.data.sets.sources import Source
from noisy_lightning.errors import InputError
from noisy_lightning.transition_matrix import checked_matrix, read_matrix

Exact = Literal["none", "total", "per_class"]

_HOW = f"Give a map from true to given class, such as {{3: 5, 5: 3}}, or one of {', '.join(get_args(FlipName))}"


def check_rate(rate: float) -> None:
    """Check that a noise rate is in [0, 1].

    Raises:
        InputError: It is not.
    """
    # Written so that NaN, which compares false with everything, is refused too.
    if not 0 <= rate <= 1:
        raise InputError(f"rate must be in [0, 1], got {rate}")


def check_another_class(num_classes: int) -> None:
    """Check that there is another class, which a wrong label could have.

    Raises:
        InputError: There is one class only.
    """
    if num_classes < 2:
        raise InputError(f"a wrong label needs at least 2 classes, the data set has {num_classes}")


class LabelNoise(ABC):
    """A rule that turns true labels into given ones.

    Subclasses are final and keep each constructor argument as an attribute of the same name, from which the manifest
    of a run is written. They check their arguments when they are made, and what depends on the data in `corrupt`.
    """

    needs_true_labels: ClassVar[bool] = True
    """Whether `corrupt` must be given every sample's true label; otherwise it takes -1 for an unknown one."""

    @property
    @abstractmethod
    def nominal_rate(self) -> float | None:
        """The noise rate as papers would state it, in [0, 1]; None where it is not known before the draw.

        The share of wrong labels to expect can be another one: it follows from the transition matrix and the class
        balance, see `noisy_lightning.data.labels.expected_rate`.
        """

    @abstractmethod
    def transition_matrix(self, num_classes: int) -> Tensor | None:
        """Return the nominal T[i, j] = P(given = j | true = i), or None where it depends on the image.

        Args:
            num_classes: K, at least 1.

        Returns:
            (K, K) float64, each row with sum 1.

        Raises:
            InputError: This noise does not exist for K classes.
        """

    def on(self, dataset: str, usual_flips: FlipName | None) -> "LabelNoise":
        """Return this noise for a data set, with what it leaves to the data set filled in; most noise leaves nothing.

        Args:
            dataset: Name of its class.
            usual_flips: The flips that papers mean by asymmetric noise on it; None: there are none.

        Raises:
            InputError: The noise leaves flips to a data set that has no usual ones.
        """
        return self

    def of_images(self, names: Sequence[str] | None, class_names: Sequence[str]) -> "LabelNoise":
        """Return this noise for the training images of a data set; most noise does not ask what they are called.

        Args:
            names: N paths below their folder; None where they are not files.
            class_names: K names, by label.
        """
        return self

    def prepare(self, load: Callable[[], Source], num_classes: int) -> None:  # noqa: B027  # most noise needs nothing
        """Prepare what a later draw needs, such as files; runs in one process per machine, before all others.

        Args:
            load: Returns the training set.
            num_classes: K.
        """

    @abstractmethod
    def corrupt(self, labels: Tensor, images: Tensor | None, num_classes: int, generator: torch.Generator) -> Tensor:
        """Draw the given labels.

        Args:
            labels: (N,) int64 true labels in [0, K); left as they are.
            images: (N, C, H, W) uint8, for noise that depends on them; None where they do not fit in memory.
            num_classes: K.
            generator: A CPU generator of its own, so that nothing else moves the noise of a seed.

        Returns:
            (N,) int64 given labels in [0, K).

        Raises:
            InputError: Labels outside [0, K), or a noise that does not exist for K classes.
        """

    def foreign_images(
        self, count: int, shape: tuple[int, int, int], generator: torch.Generator
    ) -> ForeignImages | None:
        """Return images of another data set that replace some of the data set's own; None where all of them stay.

        Args:
            count: N, the size of the training set.
            shape: (H, W, C) of its images.
            generator: A CPU generator of its own.
        """
        return None


@final
class NoNoise(LabelNoise):
    """Keeps every label as it is."""

    @property
    def nominal_rate(self) -> float:
        """Zero."""
        return 0.0

    def transition_matrix(self, num_classes: int) -> Tensor:
        """Return the identity (K, K)."""
        return torch.eye(num_classes, dtype=torch.float64)

    def corrupt(self, labels: Tensor, images: Tensor | None, num_classes: int, generator: torch.Generator) -> Tensor:
        """Return a copy; draws nothing."""
        check_labels(labels, num_classes)
        return labels.clone()


@final
class Symmetric(LabelNoise):
    """Uniform noise: a wrong label is any class with the same probability.

    Papers use one name for two conventions. Most (Patrini, Co-teaching, SCE, APL, SLN) replace a label by one of the
    K-1 others, so that `rate` is the share of wrong labels. DivideMix, ELR and their successors redraw it over all K
    classes (`include_true`), so that a share of rate·(K-1)/K is wrong: their 50 % on CIFAR-10 is 45 %.

    Args:
        rate: Share of the labels that are redrawn, in [0, 1].
        include_true: Redraw over all K classes, the true one included, instead of the K-1 others.
        exact: `none` redraws each label with probability `rate`; `total` redraws exactly rate·N of them, `per_class`
            exactly rate·n of the n samples of each class, both rounded to the nearest whole number. With
            `include_true` some of the redrawn labels stay right, so that only their number is exact.

    Example:
        >>> labels = torch.arange(1000) % 10
        >>> noise = Symmetric(0.4, exact="total")
        >>> given = noise.corrupt(labels, None, num_classes=10, generator=torch.Generator().manual_seed(0))
        >>> int((given != labels).sum())
        400
    """

    def __init__(self, rate: float, include_true: bool = False, exact: Exact = "none") -> None:
        check_rate(rate)
        if not isinstance(include_true, bool):
            raise InputError(f"include_true must be true or false, got {include_true!r}")
        if exact not in get_args(Exact):
            raise InputError(f"exact must be one of {', '.join(get_args(Exact))}, got {exact!r}")
        self.rate = rate
        self.include_true = include_true
        self.exact = exact

    @property
    def nominal_rate(self) -> float:
        """The share of redrawn labels, some of which stay right with `include_true`."""
        return self.rate

    def transition_matrix(self, num_classes: int) -> Tensor:
        """Return 1 - rate on the diagonal and the rest spread over the others, or over all with `include_true`."""
        return self._matrix(self.rate, num_classes)

    def corrupt(self, labels: Tensor, images: Tensor | None, num_classes: int, generator: torch.Generator) -> Tensor:
        """Redraw a share of the labels; ignores the images."""
        if self.exact == "none":
            return sample_labels(labels, self.transition_matrix(num_classes), generator)
        redrawn = sample_labels(labels, self._matrix(1.0, num_classes), generator)
        chosen = choose_exactly(labels, self.rate, self.exact == "per_class", generator)
        return torch.where(chosen, redrawn, labels)

    def _matrix(self, rate: float, num_classes: int) -> Tensor:
        check_another_class(num_classes)
        spread = rate / (num_classes if self.include_true else num_classes - 1)
        stay = 1 - rate + spread if self.include_true else 1 - rate
        return torch.full((num_classes, num_classes), spread, dtype=torch.float64).fill_diagonal_(stay)


@final
class Asymmetric(LabelNoise):
    """Noise between look-alikes: each class of a map is mistaken for one other class with the same probability.

    Classes that the map leaves out keep their labels, so that the share of wrong labels is smaller than `rate`: the
    five flips of CIFAR-10 touch half of the classes, and 40 % means 20 %.

    Args:
        rate: Probability of a flip in the classes of the map, in [0, 1].
        flips: Map from true to given class, such as {3: 5, 5: 3}, or a named one. null: the data set's usual ones,
            `cifar10` for CIFAR10 and `mnist` for MNIST; other data sets have none, so that it must be given. `cifar10`:
            truck to automobile, bird to airplane, deer to horse, cat to dog and back. `cifar10_l_dmi`: the same, but
            dogs stay. `mnist`: 7 to 1, 2 to 7, 3 to 8, 5 to 6 and back. `cifar100_block5`: to the next of five
            consecutive labels, the last to the first; many papers call these blocks superclasses, which they are not.
            `cifar100_superclass`: to the next class in the true superclass. `next_class`: to the next class, the last
            to the first.
        chained: Reproduce a bug of the code of APL, ALFs, ELR, SOP and GJS, for comparison with their numbers only:
            each flip, in the order of the map, takes the labels that the earlier flips left. At rate 0.4 cats become
            dogs and 40 % of these become cats again: cat to dog is 0.24 instead of 0.4, and fewer labels are wrong
            than in papers that flip true labels. Their code takes exact counts per class; here each flip is
            independent.
    """

    def __init__(self, rate: float, flips: FlipName | dict[int, int] | None = None, chained: bool = False) -> None:
        check_rate(rate)
        if flips is not None:
            check_flips(flips)
        self.rate = rate
        self.flips = flips
        self.chained = chained

    @property
    def nominal_rate(self) -> float:
        """The probability of a flip in the classes of the map."""
        return self.rate

    def on(self, dataset: str, usual_flips: FlipName | None) -> LabelNoise:
        """Return this noise with the usual flips of the data set, unless it has flips of its own."""
        if self.flips is not None:
            return self
        if usual_flips is None:
            raise InputError(f"data.noise.flips must be given: asymmetric noise on {dataset} has no usual map. {_HOW}")
        return Asymmetric(self.rate, usual_flips, self.chained)

    def transition_matrix(self, num_classes: int) -> Tensor:
        """Return the identity but for the rows of the map; chained flips are one matrix too, their product."""
        check_another_class(num_classes)
        if self.flips is None:
            raise InputError(f"flips must be given where no data set says what is usual. {_HOW}")
        matrix = torch.eye(num_classes, dtype=torch.float64)
        for source, target in flips_among(self.flips, num_classes).items():
            rows = slice(None) if self.chained else slice(source, source + 1)
            moved = self.rate * matrix[rows, source]
            matrix[rows, source] -= moved
            matrix[rows, target] += moved
        return matrix

    def corrupt(self, labels: Tensor, images: Tensor | None, num_classes: int, generator: torch.Generator) -> Tensor:
        """Flip labels of the map's classes; ignores the images."""
        return sample_labels(labels, self.transition_matrix(num_classes), generator)


@final
class PairFlip(LabelNoise):
    """Each class is mistaken for the next one, the last for the first (Co-teaching; INCV calls it asymmetric).

    Args:
        rate: Probability of a flip, in [0, 1]. From 0.5 on the wrong class is as frequent as the true one.
    """

    def __init__(self, rate: float) -> None:
        check_rate(rate)
        self.rate = rate

    @property
    def nominal_rate(self) -> float:
        """The probability of a flip."""
        return self.rate

    def transition_matrix(self, num_classes: int) -> Tensor:
        """Return 1 - rate on the diagonal and rate beside it."""
        return Asymmetric(self.rate, "next_class").transition_matrix(num_classes)

    def corrupt(self, labels: Tensor, images: Tensor | None, num_classes: int, generator: torch.Generator) -> Tensor:
        """Flip labels to the next class; ignores the images."""
        return sample_labels(labels, self.transition_matrix(num_classes), generator)


@final
class TransitionMatrix(LabelNoise):
    """Noise by your own matrix.

    Args:
        matrix: K rows of K probabilities: row i holds the chances of each given label where class i is true, with sum
            1. A list of lists, or a file: `.csv` (comma-separated, no header), `.json` (a list of lists) or `.npy`.
    """

    def __init__(self, matrix: list[list[float]] | Path) -> None:
        self.matrix = matrix
        self._rows = checked_matrix(read_matrix(Path(matrix)) if isinstance(matrix, str | Path) else matrix)

    @property
    def nominal_rate(self) -> float:
        """The share of wrong labels if all classes were equally frequent."""
        return 1 - self._rows.diagonal().mean().item()

    def transition_matrix(self, num_classes: int) -> Tensor:
        """Return the matrix, each row divided by its sum."""
        if len(self._rows) != num_classes:
            raise InputError(
                f"matrix must be {num_classes}×{num_classes} for this data set, got {len(self._rows)} rows"
            )
        return self._rows.clone()

    def corrupt(self, labels: Tensor, images: Tensor | None, num_classes: int, generator: torch.Generator) -> Tensor:
        """Draw each given label from the row of its true label; ignores the images."""
        return sample_labels(labels, self.transition_matrix(num_classes), generator)

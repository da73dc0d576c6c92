"""Label noise that depends on the image: a hard image is mislabeled more often, and as what it looks like."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Literal, final, get_args

import torch
from torch import Tensor

from noisy_lightning.data.noise.class_conditional import LabelNoise, check_another_class, check_rate
from noisy_lightning.data.noise.sampling import check_labels
from noisy_lightning.data.noise.scores import Scores, read_scores
from noisy_lightning.data.noise.trained_scores import TrainedScores
from noisy_lightning.data.sets.sources import Source
from noisy_lightning.errors import InputError

MarginType = Literal[1, 2, 3]

# Images that are turned into float64 at once.
_CHUNK = 1024
# Predicted probabilities are float32 or rounded text; logits are off by far more.
_SUM_TOLERANCE = 1e-3


@final
class PartDependent(LabelNoise):
    """Random projections of the image decide what it is mistaken for (Xia et al., NeurIPS 2020, Algorithm 2).

    Image i is mislabeled with a probability q_i of its own, from a normal distribution around `rate` that is cut off
    at 0 and 1. If it is, class j ≠ y is given with the probability softmax(x_i W_y)_j, where x_i is the flattened,
    normalized image and W_y (d, K) a matrix of standard normal numbers for each true class y.

    The cut moves the expected share of wrong labels to the mean of the q_i, which is `rate` in its middle range but
    0.08 for rate 0 with the usual `std`. With thousands of pixels the softmax is nearly one-hot.

    Pixels are normalized by the training images' own mean and deviation per channel, where the published code has
    constants: 0.2023 to 0.2010 for CIFAR-10, which has 0.2470 to 0.2616. All numbers are drawn as float64
    uniforms, so that a seed gives other labels than the published code, but the same ones on every machine.

    Args:
        rate: Mean of the normal distribution of the q_i, in [0, 1].
        std: Its standard deviation before the cut, >= 0; 0 mislabels every image with the same probability.
    """

    def __init__(self, rate: float, std: float = 0.1) -> None:
        check_rate(rate)
        if not 0 <= std < math.inf:
            raise InputError(f"std must be at least 0, got {std}")
        self.rate = rate
        self.std = std

    @property
    def nominal_rate(self) -> float:
        """The mean of the distribution before the cut."""
        return self.rate

    def transition_matrix(self, num_classes: int) -> None:
        """Return None: there is a row per image."""
        check_another_class(num_classes)

    def corrupt(self, labels: Tensor, images: Tensor | None, num_classes: int, generator: torch.Generator) -> Tensor:
        """Draw each given label from the row of its image.

        Raises:
            InputError: Labels outside [0, K), fewer than 2 classes, or no images.
        """
        check_another_class(num_classes)
        check_labels(labels, num_classes)
        if images is None:
            raise InputError("PartDependent reads all training images, which do not fit in memory here")
        if not len(labels):
            return labels.clone()
        flip_rate = self._flip_rates(len(labels), generator)
        mean, deviation = _channel_statistics(images)
        height, width = images.shape[2:]
        shift = (mean / deviation).repeat_interleave(height * width)
        scale = deviation.repeat_interleave(height * width).unsqueeze(1)
        rows = torch.empty(len(labels), num_classes, dtype=torch.float64)
        for label in range(num_classes):
            # Drawn for classes without samples too, so that the others' don't depend on them.
            projection = _normal(len(scale) * num_classes, generator).view(-1, num_classes)
            # (x - mean) / deviation, multiplied out to pass over the pixels once.
            weight, offset = projection / scale, shift @ projection
            for index in torch.split((labels == label).nonzero().squeeze(1), _CHUNK):
                logits = images[index].flatten(1).double() @ weight - offset
                logits[:, label] = -math.inf
                rows[index] = flip_rate[index, None] * logits.softmax(1)
                rows[index, label] = 1 - flip_rate[index]
        return _sample_rows(rows, generator)

    def _flip_rates(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw the q_i (N,) from the truncated normal distribution."""
        uniform = torch.rand(count, dtype=torch.float64, generator=generator)
        if not self.std:
            return torch.full_like(uniform, self.rate)
        bounds = torch.tensor([-self.rate, 1 - self.rate], dtype=torch.float64) / self.std
        low, high = torch.special.ndtr(bounds)
        standard: Tensor = torch.special.ndtri(low + uniform * (high - low))
        return (self.rate + self.std * standard).clamp(0, 1)


@final
class InstanceDependent(LabelNoise):
    """The images that a network finds hardest get the label it confuses them with (Chen et al., AAAI 2021, "IDN").

    Image i scores max S_ij over the classes j ≠ y, S being class probabilities of a network that was trained on clean
    labels; the share `rate` of images with the highest scores is given that class j. Nothing is drawn: every seed has
    the same labels, and those that are wrong at one rate are wrong at all higher ones.

    The paper averages the probabilities over all epochs of training, which keeps them away from 0 and 1; those of one
    `noisy-lightning predict` say less about which of the easy images is harder. The number of wrong labels is
    rounded to the nearest, where the published code cuts; ties go to the lower index and class.

    Args:
        rate: Share of wrong labels, in [0, 1]; exact.
        scores: File with a score per training image and class: the `.npz` of `noisy-lightning predict` (`probability`
            (N, K); `index` and `true_label` are used and checked), or a `.npy` or `.csv` (no header) of (N, K). Or what
            to train to get them: the arguments of `TrainedScores`.
    """

    def __init__(self, rate: float, scores: Path | TrainedScores) -> None:
        check_rate(rate)
        self.rate = rate
        self.scores = scores
        self._read = None if isinstance(scores, TrainedScores) else read_scores("scores", Path(scores))

    @property
    def nominal_rate(self) -> float:
        """The share of wrong labels."""
        return self.rate

    def transition_matrix(self, num_classes: int) -> None:
        """Return None: a label depends on the image."""
        check_another_class(num_classes)

    def prepare(self, load: Callable[[], Source], num_classes: int) -> None:
        """Train, so that all processes find the same scores."""
        if isinstance(self.scores, TrainedScores):
            images, labels, *_ = load()
            pixels = images.permute(0, 3, 1, 2) if isinstance(images, Tensor) else None
            check_labels(labels, num_classes)
            self._trained(labels, pixels, num_classes)

    def corrupt(self, labels: Tensor, images: Tensor | None, num_classes: int, generator: torch.Generator) -> Tensor:
        """Mislabel the hardest images; draws nothing.

        Raises:
            InputError: Labels outside [0, K), fewer than 2 classes, scores of other images, or no images to train on.
        """
        check_another_class(num_classes)
        check_labels(labels, num_classes)
        scores = self._read or self._trained(labels, images, num_classes)
        others = scores.of(labels, num_classes).scatter(1, labels.unsqueeze(1), -math.inf)
        # Not torch.max, which leaves open which of several equal classes it takes.
        score = others.amax(1)
        candidate = (others == score.unsqueeze(1)).double().argmax(1)
        hardest = score.argsort(descending=True, stable=True)[: round(self.rate * len(labels))]
        return labels.index_copy(0, hardest, candidate[hardest])

    def _trained(self, labels: Tensor, images: Tensor | None, num_classes: int) -> Scores:
        assert isinstance(self.scores, TrainedScores)
        if images is None:
            raise InputError("scores: training needs all images, which do not fit in memory here; name a file")
        return self.scores.of(images.permute(0, 2, 3, 1), labels, num_classes)


@final
class PolynomialMargin(LabelNoise):
    """Noise that falls with the margin between the two likeliest classes ("PMD", Zhang et al., ICLR 2021).

    Image i is given its likeliest class u with the probability min(1, g(m_i) / factor) and its second, s, otherwise.
    m_i = η_u - η_s is the margin between their probabilities and g a polynomial:

    1. g(m) = (m² + 1) / 2
    2. g(m) = m³
    3. g(m) = (m³ + m² + m) / 3

    This is the published code (its types I to III; g = 1 - τ), except for two things. There the factor is an argument:
    1.2 by default, or a value found by trial and error that gives 35 % or 70 % wrong labels. Here it follows from
    `rate`, so that the expected share is exact. And labels are wrong with respect to the data set's true ones, so that
    an image whose likeliest class is another one is mislabeled where it keeps u: an accurate network is needed for low
    rates.

    Args:
        rate: Expected share of wrong labels, in [0, 1], within what the probabilities allow.
        probabilities: File with the class probabilities η of each training image: the `.npz` of `noisy-lightning
            predict` (`probability` (N, K); `index` and `true_label` are used and checked), or a `.npy` or `.csv` (no
            header) of (N, K).
        margin_type: Which polynomial, 1 to 3.
    """

    def __init__(self, rate: float, probabilities: Path, margin_type: MarginType = 1) -> None:
        check_rate(rate)
        if margin_type not in get_args(MarginType):
            raise InputError(f"margin_type must be 1, 2 or 3, got {margin_type!r}")
        self.rate = rate
        self.probabilities = probabilities
        self.margin_type = margin_type
        self._scores = read_scores("probabilities", Path(probabilities))
        _check_probabilities(Path(probabilities), self._scores.scores)

    @property
    def nominal_rate(self) -> float:
        """The expected share of wrong labels."""
        return self.rate

    def transition_matrix(self, num_classes: int) -> None:
        """Return None: a label depends on the image."""
        check_another_class(num_classes)

    def corrupt(self, labels: Tensor, images: Tensor | None, num_classes: int, generator: torch.Generator) -> Tensor:
        """Draw one of the two likeliest classes for each image; ignores the images themselves.

        Raises:
            InputError: Labels outside [0, K), fewer than 2 classes, probabilities of other images, or a rate that no
                factor reaches.
        """
        check_another_class(num_classes)
        ranked, order = self._scores.of(labels, num_classes).sort(stable=True, dim=1, descending=True)
        first, second = order[:, 0], order[:, 1]
        margin = ranked[:, 0] - ranked[:, 1]
        polynomial = {
            1: (margin**2 + 1) / 2,
            2: margin**3,
            3: (margin**3 + margin**2 + margin) / 3,
        }[self.margin_type]
        uniform = torch.rand(len(labels), dtype=torch.float64, generator=generator)
        keep = self._keep(polynomial, first == labels, second == labels)
        return torch.where(uniform < keep, first, second)

    def _keep(self, polynomial: Tensor, first_is_true: Tensor, second_is_true: Tensor) -> Tensor:
        """Return the probability of each image's likeliest class, (N,), such that `rate` is the expected rate."""

        def kept(log_factor: float) -> Tensor:
            return (polynomial / math.exp(log_factor)).clamp(max=1)

        def share(log_factor: float) -> float:
            keep = kept(log_factor)
            wrong = torch.where(first_is_true, 1 - keep, torch.where(second_is_true, keep, 1.0))
            return wrong.mean().item()

        if not len(polynomial):
            return polynomial
        low, high = -100.0, 100.0
        least, most = share(low), share(high)
        # Rates of the ends themselves are off by what is left of the second class there.
        if not min(least, most) - 1e-9 <= self.rate <= max(least, most) + 1e-9:
            raise InputError(
                f"rate must be in [{min(least, most):.4g}, {max(least, most):.4g}] for these probabilities, whose "
                f"likeliest class is wrong for {1 - first_is_true.double().mean().item():.4g} of the images, "
                f"got {self.rate}"
            )
        for _ in range(100):
            middle = (low + high) / 2
            if (share(middle) < self.rate) == (least <= most):
                low = middle
            else:
                high = middle
        return kept(high)


def _check_probabilities(path: Path, scores: Tensor) -> None:
    wrong = ((scores < 0).any(1) | ((scores.sum(1) - 1).abs() > _SUM_TOLERANCE)).nonzero().squeeze(1)
    if len(wrong):
        first = int(wrong[0])
        raise InputError(
            f"probabilities: {path} must hold probabilities, at least 0 and with sum 1 per row; row {first} has the "
            f"least {scores[first].min().item():.4g} and the sum {scores[first].sum().item():.4g}"
        )


def _normal(count: int, generator: torch.Generator) -> Tensor:
    """Draw standard normal numbers (n,) float64, by the inverse distribution function of uniforms.

    Not torch.randn, whose algorithm depends on the processor and is free to change with its release.
    """
    uniform = torch.rand(count, dtype=torch.float64, generator=generator)
    normal: Tensor = torch.special.ndtri(uniform.clamp(min=2**-54))
    return normal


def _sample_rows(rows: Tensor, generator: torch.Generator) -> Tensor:
    """Draw a label from each row of probabilities (N, K), by its inverse distribution function."""
    uniform = torch.rand(len(rows), 1, dtype=torch.float64, generator=generator)
    cumulative = rows.cumsum(1)
    # Ends each row in exactly 1 from its last possible class on, so that no uniform in [0, 1) falls behind it.
    return (cumulative / cumulative[:, -1:] <= uniform).sum(1)


def _channel_statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and the deviation per channel of (N, C, H, W) uint8, as (C,) float64; 1 where all are equal."""
    # Counts of whole numbers have no rounding and no order.
    counts = torch.stack([channel.flatten().bincount(minlength=256) for channel in images.unbind(1)]).double()
    share = counts / counts.sum(1, keepdim=True)
    values = torch.arange(256, dtype=torch.float64)
    mean = share @ values
    deviation = (share * (values - mean.unsqueeze(1)) ** 2).sum(1).sqrt()
    return mean, torch.where(deviation > 0, deviation, 1.0)

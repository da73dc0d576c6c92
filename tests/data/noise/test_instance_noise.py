"""Noise that depends on the image, against loops in the papers' notation."""

import math
from itertools import pairwise
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from noisy_lightning.data import InstanceDependent, PartDependent, PolynomialMargin
from noisy_lightning.data.labels import expected_rate, realised_matrix, realised_rate
from noisy_lightning.errors import InputError
from tests.reference import noise as reference


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(count: int, size: int = 6) -> Tensor:
    """Return pictures with some structure: a colored gradient of its own each, and a little noise."""
    slope = torch.rand(count, 3, 1, 1, generator=seeded(0)) * torch.linspace(0, 200, size)
    return (slope + 40 * torch.rand(count, 3, size, size, generator=seeded(1))).to(torch.uint8)


def class_probabilities(labels: Tensor, num_classes: int, boost: float = 3.0) -> Tensor:
    logits = torch.randn(len(labels), num_classes, dtype=torch.float64, generator=seeded(2))
    return (logits + boost * (torch.arange(num_classes) == labels.unsqueeze(1))).softmax(1)


def saved(folder: Path, scores: Tensor, **more: Any) -> Path:
    np.savez(folder / "scores.npz", probability=scores.numpy(), **more)
    return folder / "scores.npz"


LABELS = torch.randint(5, (4000,), generator=seeded(3))


# --- PartDependent


@pytest.mark.parametrize("std", [0.1, 0.3])
def test_part_dependent_labels_equal_the_loop_over_images(std: float) -> None:
    images, labels, num_classes = pictures(60), LABELS[:60] % 3, 3
    given = PartDependent(0.45, std).corrupt(labels, images, num_classes, seeded(4))
    generator = seeded(4)

    def uniforms(count: int) -> list[float]:
        drawn: list[float] = torch.rand(count, dtype=torch.float64, generator=generator).tolist()
        return drawn

    q = reference.flip_rates(0.45, std, uniforms(60))
    size = images[0].numel()
    normal = [NormalDist().inv_cdf(uniform) for _ in range(num_classes) for uniform in uniforms(size * 3)]
    projections = np.array(normal).reshape(num_classes, size, num_classes).tolist()
    pixels = images.double().numpy()
    mean, deviation = pixels.mean((0, 2, 3), keepdims=True), pixels.std((0, 2, 3), keepdims=True)
    flat = ((pixels - mean) / deviation).reshape(60, -1).tolist()
    rows = reference.part_dependent_rows(flat, labels.tolist(), projections, q)
    expected = []
    for row, uniform in zip(rows, uniforms(60), strict=True):
        expected.append(next(j for j in range(num_classes) if uniform < sum(row[: j + 1]) or j == num_classes - 1))
    assert given.tolist() == expected
    assert 0 < int((given != labels).sum()) < 60


@pytest.mark.parametrize("rate", [0.0, 0.05, 0.2, 0.4, 0.6, 0.95, 1.0])
@pytest.mark.parametrize("kind", ["random", "pictures", "constant"])
def test_part_dependent_noise_has_its_rate(rate: float, kind: str) -> None:
    images = {
        "random": torch.randint(256, (4000, 3, 4, 4), dtype=torch.uint8, generator=seeded(5)),
        "pictures": pictures(4000),
        "constant": torch.full((4000, 1, 4, 4), 9, dtype=torch.uint8),
    }[kind]
    given = PartDependent(rate).corrupt(LABELS, images, 5, seeded(6))
    expected = reference.mean_flip_rate(rate, 0.1)
    assert realised_rate(LABELS, given) == pytest.approx(expected, abs=5 * (expected * (1 - expected) / 4000) ** 0.5)
    if 0.3 < rate < 0.7:
        assert expected == pytest.approx(rate, abs=1e-3)
    without_spread = PartDependent(rate, std=0).corrupt(LABELS, images, 5, seeded(6))
    sigma = (rate * (1 - rate) / 4000) ** 0.5
    assert realised_rate(LABELS, without_spread) == pytest.approx(rate, abs=5 * sigma)


def test_alike_images_are_taken_for_the_same_class() -> None:
    """Within a true class the image alone decides which wrong class it gets, so equal images share it."""
    images = pictures(4, size=16)[torch.arange(4000) % 4]
    labels = torch.arange(4000) // 4 % 2
    given = PartDependent(0.5).corrupt(labels, images, 10, seeded(7))
    for picture in range(4):
        for label in range(2):
            chosen = given[(torch.arange(4000) % 4 == picture) & (labels == label)]
            wrong = chosen[chosen != label].bincount(minlength=10).double()
            assert wrong.max() / wrong.sum() > 0.5  # by chance it would be a ninth


def test_the_layout_of_images_in_memory_plays_no_part() -> None:
    images = pictures(4000)
    other = images.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    first, second = (PartDependent(0.4).corrupt(LABELS, part, 5, seeded(8)) for part in (images, other))
    assert torch.equal(first, second)


def test_the_images_are_needed_and_left_as_they_are() -> None:
    with pytest.raises(InputError, match="PartDependent reads all training images"):
        PartDependent(0.4).corrupt(LABELS, None, 5, seeded(0))
    images = pictures(4000)
    before = images.clone()
    PartDependent(0.4).corrupt(LABELS, images, 5, seeded(0))
    assert torch.equal(images, before)


# --- InstanceDependent


@pytest.mark.parametrize("rate", [0.0, 0.0001, 0.0002, 0.1, 0.29, 0.4, 1.0])  # 0.4 of an image is none, 0.8 one
def test_the_hardest_images_are_mislabeled_as_in_the_loop(rate: float, tmp_path: Path) -> None:
    # Rounded scores have many ties.
    scores = class_probabilities(LABELS, 5).mul(50).round() / 50
    given = InstanceDependent(rate, saved(tmp_path, scores)).corrupt(LABELS, None, 5, seeded(0))
    count = round(rate * 4000)
    assert given.tolist() == reference.hardest_flipped(LABELS.tolist(), scores.tolist(), count)
    assert int((given != LABELS).sum()) == count


def test_noise_of_lower_rates_is_part_of_that_of_higher_ones(tmp_path: Path) -> None:
    """As in the published files, see test_label_file.py."""
    path = saved(tmp_path, class_probabilities(LABELS, 5))
    drawn = [InstanceDependent(rate, path).corrupt(LABELS, None, 5, seeded(0)) for rate in (0.1, 0.2, 0.4)]
    for fewer, more in pairwise(drawn):
        wrong = fewer != LABELS
        assert torch.equal(fewer[wrong], more[wrong])


def test_scores_of_a_prediction_in_another_order_are_sorted(tmp_path: Path) -> None:
    scores = class_probabilities(LABELS, 5)
    expected = InstanceDependent(0.3, saved(tmp_path, scores)).corrupt(LABELS, None, 5, seeded(0))
    order = torch.randperm(4000, generator=seeded(1))
    path = saved(tmp_path, scores[order], index=order.numpy(), true_label=LABELS[order].numpy())
    assert torch.equal(InstanceDependent(0.3, path).corrupt(LABELS, None, 5, seeded(0)), expected)


@pytest.mark.parametrize("suffix", [".csv", ".npy"])
def test_scores_in_a_plain_table_flip_the_hardest_images(suffix: str, tmp_path: Path) -> None:
    scores = class_probabilities(LABELS, 5)
    path = tmp_path / f"scores{suffix}"
    if suffix == ".npy":
        np.save(path, scores.float().numpy())
    else:
        path.write_text("\n".join(",".join(map(str, row)) for row in scores.float().tolist()) + "\n")
    given = InstanceDependent(0.3, path).corrupt(LABELS, None, 5, seeded(0))
    assert given.tolist() == reference.hardest_flipped(LABELS.tolist(), scores.float().tolist(), 1200)


# --- PolynomialMargin


def factor_of(rate: float, eta: Tensor, kind: int, labels: Tensor) -> float:
    """Find the published code's factor by trial, as its authors did."""
    ranked, order = eta.sort(1, descending=True)
    m = ranked[:, 0] - ranked[:, 1]
    g = (m**2 + 1) / 2 if kind == 1 else m**3 if kind == 2 else (m**3 + m**2 + m) / 3

    def share(factor: float) -> float:
        keep = (g / factor).clamp(max=1)
        return float(1 - keep[order[:, 0] == labels].sum() / 4000 - (1 - keep)[order[:, 1] == labels].sum() / 4000)

    low, high = 1e-6, 1e6
    for _ in range(200):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if share(middle) < rate else (low, middle)
    return high


@pytest.mark.parametrize("kind", [1, 2, 3])
@pytest.mark.parametrize("rate", [0.35, 0.7])
def test_margin_noise_equals_the_loop_over_images(kind: Any, rate: float, tmp_path: Path) -> None:
    eta = class_probabilities(LABELS, 5)
    given = PolynomialMargin(rate, saved(tmp_path, eta), kind).corrupt(LABELS, None, 5, seeded(9))
    uniforms = torch.rand(4000, dtype=torch.float64, generator=seeded(9)).tolist()
    assert given.tolist() == reference.margin_noise(eta.tolist(), kind, factor_of(rate, eta, kind, LABELS), uniforms)


@pytest.mark.parametrize("kind", [1, 2, 3])
@pytest.mark.parametrize("rate", [0.2, 0.35, 0.5, 0.7])
@pytest.mark.parametrize(("num_classes", "boost"), [(2, 3.0), (5, 3.0), (5, 12.0), (100, 6.0)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_margin_noise_has_its_rate(
    kind: Any, rate: float, num_classes: int, boost: float, seed: int, tmp_path: Path
) -> None:
    labels = torch.randint(num_classes, (4000,), generator=seeded(3))
    eta = class_probabilities(labels, num_classes, boost)
    noise = PolynomialMargin(rate, saved(tmp_path, eta), kind)
    given = noise.corrupt(labels, None, num_classes, seeded(seed))
    assert expected_rate(noise, labels, num_classes) == rate
    assert realised_rate(labels, given) == pytest.approx(rate, abs=5 * (rate * (1 - rate) / 4000) ** 0.5)
    assert bool((eta.argsort(1, descending=True)[:, :2] == given.unsqueeze(1)).any(1).all())


def test_a_wide_margin_protects(tmp_path: Path) -> None:
    eta = class_probabilities(LABELS, 5)
    given = PolynomialMargin(0.35, saved(tmp_path, eta), 2).corrupt(LABELS, None, 5, seeded(11))
    ranked = eta.sort(1, descending=True)[0]
    margin = ranked[:, 0] - ranked[:, 1]
    quarters = margin.argsort().chunk(4)
    rates = [float((LABELS[part] != given[part]).double().mean()) for part in quarters]
    assert rates == sorted(rates, reverse=True)


def test_the_reachable_rates_are_named(tmp_path: Path) -> None:
    eta = class_probabilities(LABELS, 5, boost=1.0)
    wrong = (eta.argmax(1) != LABELS).double().mean().item()
    assert wrong > 0.2
    with pytest.raises(InputError, match=rf"^rate must be in \[{wrong:.4g}, 0\.\d+\] for these probab.*got 0\.1$"):
        PolynomialMargin(0.1, saved(tmp_path, eta)).corrupt(LABELS, None, 5, seeded(0))


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_a_perfect_network_reaches_every_rate(rate: float, tmp_path: Path) -> None:
    labels = torch.tensor([0, 1, 2])
    eta = torch.tensor([[0.8, 0.2, 0.0], [0.3, 0.7, 0.0], [0.1, 0.0, 0.9]], dtype=torch.float64)
    given = PolynomialMargin(rate, saved(tmp_path, eta)).corrupt(labels, None, 3, seeded(0))
    assert given.tolist() == ([0, 1, 2] if rate == 0 else [1, 0, 0])


# --- Bad input


@pytest.mark.parametrize(
    "make",
    [
        PartDependent,
        lambda rate: InstanceDependent(rate, Path("x.npy")),
        lambda rate: PolynomialMargin(rate, Path("x.npy")),
    ],
)
@pytest.mark.parametrize("rate", [-0.1, 1.5, float("nan")])
def test_a_rate_is_a_share(make: Any, rate: float) -> None:
    with pytest.raises(InputError, match=rf"^rate must be in \[0, 1\], got {rate}$"):
        make(rate)


@pytest.mark.parametrize("std", [-0.1, float("nan"), float("inf")])
def test_a_deviation_is_not_negative(std: float) -> None:
    with pytest.raises(InputError, match=rf"^std must be at least 0, got {std}$"):
        PartDependent(0.4, std)


def test_there_are_three_margin_types(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^margin_type must be 1, 2 or 3, got 4$"):
        PolynomialMargin(0.4, saved(tmp_path, class_probabilities(LABELS, 5)), 4)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([0.5, 0.4], r"^probabilities: .*row 1 has the least 0.4 and the sum 0.9$"),
        ([1.5, -0.5], r"^probabilities: .*row 1 has the least -0.5 and the sum 1$"),
    ],
)
def test_margins_are_those_of_probabilities(row: list[float], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        PolynomialMargin(0.4, saved(tmp_path, torch.tensor([[0.5, 0.5], row])))


@pytest.mark.parametrize("make", [PartDependent, InstanceDependent, PolynomialMargin])
def test_a_wrong_label_needs_another_class(make: Any, tmp_path: Path) -> None:
    path = saved(tmp_path, torch.ones(3, 1))
    noise = make(0.4) if make is PartDependent else make(0.4, path)
    with pytest.raises(InputError, match="at least 2 classes"):
        noise.corrupt(torch.zeros(3, dtype=torch.int64), pictures(3), 1, seeded(0))


@pytest.mark.parametrize(
    ("labels", "num_classes", "message"),
    [
        (torch.tensor([0, 1]), 2, r"^scores: .*scores\.npz has 3 rows, the training set 2 samples"),
        (torch.tensor([0, 1, 2]), 3, r"^scores: .*scores\.npz has 2 columns, the data set 3 classes$"),
        (torch.tensor([1, 0, 0]), 2, r"^scores: the true labels .* sample 0 is of class 0 there and 1 here, 2 of 3 .*"),
    ],
)
def test_scores_of_other_images_are_refused_in_one_line(
    labels: Tensor, num_classes: int, message: str, tmp_path: Path
) -> None:
    path = saved(tmp_path, torch.full((3, 2), 0.5), true_label=np.array([0, 1, 0]))
    with pytest.raises(InputError, match=message) as caught:
        InstanceDependent(0.4, path).corrupt(labels, None, num_classes, seeded(0))
    assert "\n" not in str(caught.value)


def archive(folder: Path, **arrays: Any) -> Path:
    np.savez(folder / "made.npz", **arrays)
    return folder / "made.npz"


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"probabilities": np.ones((2, 2))}, r"has no array 'probability', only probabilities$"),
        ({"probability": np.ones(2)}, r"must hold numbers \(N, K\), got \(2,\) float64$"),
        ({"probability": np.array([["a", "b"]])}, r"must hold numbers \(N, K\), got \(1, 2\)"),
        ({"probability": np.array([[0.5, np.nan]])}, r"holds nan for sample 0 and class 1$"),
        ({"probability": np.array([[0.5, {}]], dtype=object)}, r"is damaged: "),
        ({"probability": np.ones((2, 2)), "index": np.array([0, 0])}, r"must have every index from 0 to 1 once$"),
        (
            {"probability": np.ones((2, 2)), "index": np.array([0.0, 1.0])},
            r"must hold 'index' of shape \(2,\) in whole",
        ),
        ({"probability": np.ones((2, 2)), "true_label": np.array([0])}, r"must hold 'true_label' of shape \(2,\)"),
    ],
)
def test_archives_that_hold_no_scores_are_refused(arrays: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"^scores: .*made\.npz {message}") as caught:
        InstanceDependent(0.4, archive(tmp_path, **arrays))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.npz", None, r"^scores: cannot read .*absent\.npz: No such file"),
        ("scores.txt", b"1", r"^scores must be a \.csv, \.npy or \.npz file, got .*scores\.txt$"),
        ("named.csv", b"a,b\n0.5,0.5\n", r"^scores: .*named\.csv is damaged: could not convert"),
        ("ragged.csv", b"0.5,0.5\n1\n", r"^scores: .*ragged\.csv is damaged: "),
        ("empty.csv", b"", r"^scores: .*empty\.csv must hold numbers \(N, K\), got \(0,\) float64$"),
        ("torn.npz", b"PK\x03\x04", r"^scores: .*torn\.npz is damaged: "),
        ("torn.npy", b"\x93NUMPY\x01", r"^scores: .*torn\.npy is damaged: "),
    ],
)
def test_files_that_hold_no_scores_are_refused(name: str, content: bytes | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        InstanceDependent(0.4, tmp_path / name)
    assert "\n" not in str(caught.value)


def test_the_realized_matrix_of_part_dependent_noise_leaves_no_class_out() -> None:
    given = PartDependent(0.4).corrupt(LABELS, pictures(4000), 5, seeded(12))
    assert bool(((1 - realised_matrix(LABELS, given, 5).diagonal()) > 0.3).all())

import importlib
import inspect
import json
import pkgutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from jsonargparse import auto_cli
from torch import Tensor

import noisy_lightning.data
from noisy_lightning.data import (
    CIFAR10,
    CIFAR100,
    MNIST,
    Digits,
    InstanceDependent,
    LabelFile,
    NoisyDataModule,
    OpenSet,
    PartDependent,
    PolynomialMargin,
)
from noisy_lightning.data.labels import expected_rate, label_hash, noise_arguments, realised_matrix, realised_rate
from noisy_lightning.data.noise.class_conditional import (
    Asymmetric,
    LabelNoise,
    NoNoise,
    PairFlip,
    Symmetric,
    TransitionMatrix,
)
from noisy_lightning.data.noise.flip_maps import flips_among
from noisy_lightning.data.noise.sampling import sample_labels
from noisy_lightning.data.sets.cifar100_classes import CLASS_NAMES, FINE_TO_COARSE
from noisy_lightning.errors import InputError
from noisy_lightning.transition_matrix import read_matrix
from tests.conftest import SHARED_DATA
from tests.reference import noise as reference

LABEL_FILES = SHARED_DATA / "labels"

THREE_CLASSES = [[0.5, 0.25, 0.25], [0.0, 1.0, 0.0], [0.3, 0.7, 0.0]]


# Makes a noise that reads a file about these labels of K classes, and writes the file to the folder.
Maker = Callable[[Path, Tensor, int], LabelNoise]


def label_file(folder: Path, labels: Tensor, num_classes: int) -> LabelNoise:
    given = torch.randint(num_classes, (len(labels),), generator=seeded(8)).tolist()
    (folder / "given.csv").write_text("label_noisy\n" + "".join(f"{label}\n" for label in given))
    return LabelFile(folder / "given.csv")


def scores_file(folder: Path, labels: Tensor, num_classes: int) -> Path:
    logits = torch.randn(len(labels), num_classes, dtype=torch.float64, generator=seeded(9))
    logits += 6.0 * (torch.arange(num_classes) == labels.unsqueeze(1))
    np.save(folder / "scores.npy", logits.softmax(1).numpy())
    return folder / "scores.npy"


def instance_dependent(folder: Path, labels: Tensor, num_classes: int) -> LabelNoise:
    return InstanceDependent(0.4, scores_file(folder, labels, num_classes))


def polynomial_margin(folder: Path, labels: Tensor, num_classes: int) -> LabelNoise:
    return PolynomialMargin(0.4, scores_file(folder, labels, num_classes))


def open_set(folder: Path, labels: Tensor, num_classes: int) -> LabelNoise:
    return OpenSet(0.4, Digits())


# Every class that the package has, with the class counts that each example is for.
EXAMPLES: list[tuple[LabelNoise | Maker, list[int]]] = [
    (NoNoise(), [1, 2, 10]),
    *((Symmetric(rate), [2, 10, 100]) for rate in (0.0, 0.05, 0.4, 0.8, 1.0)),
    *((Symmetric(rate, include_true=True), [2, 10, 100]) for rate in (0.0, 0.4, 1.0)),
    *((Symmetric(rate, exact="total"), [2, 10]) for rate in (0.0, 0.4, 1.0)),
    *((Symmetric(rate, exact="per_class"), [2, 100]) for rate in (0.0, 0.4, 1.0)),
    (Symmetric(0.4, include_true=True, exact="total"), [10]),
    (Symmetric(0.4, include_true=True, exact="per_class"), [10]),
    *((Asymmetric(rate, "next_class"), [2, 7]) for rate in (0.0, 0.4, 1.0)),
    *((Asymmetric(rate, "next_class", chained=True), [2, 7]) for rate in (0.0, 0.4, 1.0)),
    (Asymmetric(0.4, "cifar10"), [10]),
    (Asymmetric(0.4, "cifar10", chained=True), [10]),
    (Asymmetric(0.3, "mnist"), [10]),
    (Asymmetric(0.3, "cifar10_l_dmi"), [10]),
    (Asymmetric(0.4, "cifar100_block5"), [100]),
    (Asymmetric(0.4, "cifar100_superclass"), [100]),
    (Asymmetric(0.2, {0: 2, 2: 1}), [3, 10]),
    (PairFlip(0.45), [2, 10, 100]),
    (TransitionMatrix(THREE_CLASSES), [3]),
    (PartDependent(0.4), [2, 10]),
    (PartDependent(0.3, std=0.0), [2, 100]),
    (label_file, [1, 2, 10]),
    (instance_dependent, [2, 10, 100]),
    (polynomial_margin, [2, 10, 100]),
    (open_set, [1, 2, 10]),
]


def title(example: LabelNoise | Maker) -> str:
    if isinstance(example, LabelNoise):
        return f"{type(example).__name__}-{'-'.join(map(str, vars(example).values()))[:40]}"
    return str(getattr(example, "__name__", example))


CASES = [pytest.param(example, k, id=f"{title(example)}-{k}") for example, counts in EXAMPLES for k in counts]
MATRIX_CASES = [
    pytest.param(noise, k, id=f"{title(noise)}-{k}")
    for noise, counts in EXAMPLES
    for k in counts
    if isinstance(noise, LabelNoise) and noise.transition_matrix(k) is not None
]

PINNED = {
    Symmetric(0.4): "52050a793b4b888038c2908d37c85f3a272fd17fc448be7b1d2db721041af28b",
    Symmetric(0.4, include_true=True): "a8848762f62c75114f3d3f3692da7618ba8d78751934c06fbc884fad8262ceab",
    Symmetric(0.4, exact="total"): "74cbbead8c8dbd754d3927a60c6c67b112cc87b6010c1baf8641b63a9b7d624e",
    Symmetric(0.4, exact="per_class"): "3e86f275798973fba49b3742ced8138a046cd14bb73915ebf938642b821803ef",
    Asymmetric(0.4, "cifar10"): "8566375e7f420e3da2797241f6fe5a4b8caa28caa0635ca5289c7449f1b5be44",
    Asymmetric(0.4, "cifar10", chained=True): "511d136f1a7c8b74ce8775959647452a1c05eef6f7d1437d7cca62d7e79238e7",
    PairFlip(0.45): "2df788bb1d0f3b46f1eda2bf777dd3a47e5e51e8cefbb072cb95bcced71251eb",
    PartDependent(0.4): "77038e210d419b24a2a8f657b34a44c0d487ff41dfeb7ca434cc1228f30d9463",
}


def noise_classes() -> list[type]:
    for module in pkgutil.walk_packages(noisy_lightning.data.__path__, "noisy_lightning.data."):
        importlib.import_module(module.name)

    found: list[type] = [LabelNoise]
    for cls in found:
        found += type.__subclasses__(cls)
    return [cls for cls in found if cls.__module__.startswith("noisy_lightning.") and not inspect.isabstract(cls)]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(count: int) -> Tensor:
    return torch.randint(256, (count, 4, 4, 3), dtype=torch.uint8, generator=seeded(7)).permute(0, 3, 1, 2)


def draw(noise: LabelNoise, labels: Tensor, num_classes: int, seed: int = 0) -> Tensor:
    return noise.corrupt(labels, pictures(len(labels)), num_classes, seeded(seed))


def made(example: LabelNoise | Maker, folder: Path, labels: Tensor, num_classes: int) -> LabelNoise:
    return example if isinstance(example, LabelNoise) else example(folder, labels, num_classes)


def all_made(folder: Path) -> list[LabelNoise]:
    return [made(example, folder, torch.arange(3), 3) for example, _ in EXAMPLES]


def balanced(num_classes: int, per_class: int) -> Tensor:
    return torch.arange(num_classes).repeat(per_class)


# --- The contract of every class


def test_every_class_has_examples_and_is_final(tmp_path: Path) -> None:
    classes = noise_classes()
    assert {cls.__name__ for cls in classes} == {type(noise).__name__ for noise in all_made(tmp_path)}
    assert all(getattr(cls, "__final__", False) for cls in classes)


def test_every_argument_is_kept_under_its_name(tmp_path: Path) -> None:
    for noise in all_made(tmp_path):
        assert all(hasattr(noise, name) for name in inspect.signature(type(noise)).parameters)


def as_given(noise: LabelNoise) -> LabelNoise:
    return noise


@pytest.mark.parametrize("example", [pytest.param(example, id=title(example)) for example, _ in EXAMPLES])
def test_the_command_line_makes_the_same_noise_of_its_arguments(example: LabelNoise | Maker, tmp_path: Path) -> None:
    noise = made(example, tmp_path, torch.arange(3), 3)
    spec = {"class_path": f"{type(noise).__module__}.{type(noise).__name__}", "init_args": noise_arguments(noise)}
    parsed = auto_cli(as_given, args=["--noise", json.dumps(spec)], as_positional=False)
    assert type(parsed) is type(noise)
    assert noise_arguments(parsed) == noise_arguments(noise)


@pytest.mark.parametrize(("example", "num_classes"), CASES)
def test_labels_are_seeded_and_in_range_and_the_given_tensor_stays(
    example: LabelNoise | Maker, num_classes: int, tmp_path: Path
) -> None:
    labels = torch.randint(num_classes, (500,), generator=seeded(1))
    noise = made(example, tmp_path, labels, num_classes)
    before = labels.clone()
    first, again, other = (draw(noise, labels, num_classes, seed) for seed in (3, 3, 4))
    assert torch.equal(labels, before)
    assert first.data_ptr() not in (labels.data_ptr(), again.data_ptr())
    assert first.shape == labels.shape
    assert first.dtype == torch.int64
    assert int(first.min()) >= 0
    assert int(first.max()) < num_classes
    assert torch.equal(first, again)
    matrix = noise.transition_matrix(num_classes)
    certain = matrix is not None and bool(((matrix == 0) | (matrix == 1)).all())
    assert torch.equal(first, other) == (certain or isinstance(noise, LabelFile | InstanceDependent | OpenSet))


@pytest.mark.parametrize(("example", "num_classes"), CASES)
@pytest.mark.parametrize("size", [0, 1])
def test_of_no_sample_and_of_one_as_many_labels_come_back(
    example: LabelNoise | Maker, num_classes: int, size: int, tmp_path: Path
) -> None:
    labels = torch.zeros(size, dtype=torch.int64)
    given = draw(made(example, tmp_path, labels, num_classes), labels, num_classes)
    assert given.shape == (size,)
    assert given.dtype == torch.int64


@pytest.mark.parametrize(("example", "num_classes"), CASES)
def test_measured_rate_is_what_the_manifest_expects(
    example: LabelNoise | Maker, num_classes: int, tmp_path: Path
) -> None:
    labels = balanced(num_classes, 20_000 // num_classes)
    noise = made(example, tmp_path, labels, num_classes)
    expected = expected_rate(noise, labels, num_classes)
    if expected is None:
        assert isinstance(noise, LabelFile)
        return
    given = draw(noise, labels, num_classes, seed=6)
    if isinstance(noise, OpenSet):
        assert torch.equal(given, labels)  # images are wrong, not labels: see test_open_set.py
        return
    measured = realised_rate(labels, given)
    assert measured == pytest.approx(expected, abs=5 * (expected * (1 - expected) / len(labels)) ** 0.5)


@pytest.mark.parametrize(("noise", "num_classes"), MATRIX_CASES)
def test_nominal_matrix_is_a_transition_matrix(noise: LabelNoise, num_classes: int) -> None:
    matrix = noise.transition_matrix(num_classes)
    assert matrix is not None
    assert matrix.shape == (num_classes, num_classes)
    assert matrix.dtype == torch.float64
    assert float(matrix.min()) >= 0
    torch.testing.assert_close(matrix.sum(1), torch.ones(num_classes, dtype=torch.float64), rtol=0, atol=1e-12)
    assert noise.nominal_rate is not None
    assert 0 <= noise.nominal_rate <= 1


@pytest.mark.parametrize(("noise", "num_classes"), MATRIX_CASES)
def test_measured_matrix_is_the_nominal_one(noise: LabelNoise, num_classes: int) -> None:
    per_class = 20_000 // num_classes
    labels = balanced(num_classes, per_class)
    nominal = noise.transition_matrix(num_classes)
    assert nominal is not None
    measured = realised_matrix(labels, draw(noise, labels, num_classes, seed=5), num_classes)
    # Bernstein's bound where the normal one has 5 sigma: counts of rare cells are far from normal. It is passed by
    # chance with a probability below 2·exp(-12.5) = 7e-6 a cell; exact counts spread less.
    variance = per_class * nominal * (1 - nominal)
    bound = 25 / 6 + ((25 / 6) ** 2 + 25 * variance).sqrt()
    assert bool(((measured - nominal).abs() * per_class <= bound).all())
    assert bool((measured[nominal == 0] == 0).all())
    assert bool((measured[nominal == 1] == 1).all())


# --- How labels are drawn


def test_labels_of_a_seed_never_change() -> None:
    """A change of these digests breaks every published seed: old runs could no longer be repeated."""
    labels = balanced(10, 1000)
    assert [label_hash(draw(noise, labels, 10, seed=42)) for noise in PINNED] == list(PINNED.values())


def test_a_label_depends_on_its_own_draw_alone() -> None:
    labels = torch.randint(10, (1000,), generator=seeded(0))
    whole = draw(Symmetric(0.5), labels, 10)
    assert torch.equal(whole[:300], draw(Symmetric(0.5), labels[:300], 10))


def test_sampling_equals_the_loop_over_samples() -> None:
    labels = torch.randint(3, (2000,), generator=seeded(0))
    matrix = TransitionMatrix(THREE_CLASSES).transition_matrix(3)
    uniforms = torch.rand(2000, dtype=torch.float64, generator=seeded(9)).tolist()
    expected = reference.inverse_cdf(labels.tolist(), matrix.tolist(), uniforms)
    assert sample_labels(labels, matrix, seeded(9)).tolist() == expected


@pytest.mark.parametrize("uniform", [0.0, 0.5, 1 - 2**-53])
def test_rounding_never_picks_an_impossible_class(uniform: float, monkeypatch: pytest.MonkeyPatch) -> None:
    tenth = [0.0] + [0.1] * 10 + [0.0]  # sums to 1 - 1e-16 in floating point
    matrix = torch.tensor([tenth] * 12, dtype=torch.float64)
    monkeypatch.setattr(torch, "rand", lambda size, **_: torch.full((size,), uniform, dtype=torch.float64))
    given = sample_labels(torch.arange(12), matrix, seeded(0))
    assert bool((matrix[0, given] > 0).all())


# --- Symmetric


@pytest.mark.parametrize(("include_true", "expected"), [(False, 0.5), (True, 0.45)])
def test_half_of_the_labels_change_or_45_percent_where_the_true_class_is_drawn_too(
    include_true: bool, expected: float
) -> None:
    noise = Symmetric(0.5, include_true)
    matrix = noise.transition_matrix(10)
    assert noise.nominal_rate == 0.5
    assert 1 - matrix.diagonal().mean().item() == pytest.approx(expected, abs=1e-12)
    labels = balanced(10, 5000)
    rate = realised_rate(labels, draw(noise, labels, 10))
    assert rate == pytest.approx(expected, abs=5 * (expected * (1 - expected) / 50_000) ** 0.5)


@pytest.mark.parametrize("exact", ["total", "per_class"])
@pytest.mark.parametrize("rate", [0.0, 0.0004, 0.29, 0.4, 1.0])
def test_exactly_as_many_labels_are_wrong_as_the_rate_says(exact: Any, rate: float) -> None:
    labels = torch.cat([torch.full((100 * (k + 1),), k) for k in range(5)])
    wrong = draw(Symmetric(rate, exact=exact), labels, 5) != labels
    if exact == "total":
        assert int(wrong.sum()) == round(rate * len(labels))
    else:
        # 0.29 * 100 is 28.999999999999996: truncated it would lose a sample.
        assert [int(wrong[labels == k].sum()) for k in range(5)] == [round(rate * 100 * (k + 1)) for k in range(5)]


def test_exact_choice_is_uniform_over_positions() -> None:
    labels = torch.zeros(20, dtype=torch.int64)
    noise = Symmetric(0.25, exact="total")
    hits = sum((draw(noise, labels, 3, seed) != labels).double() for seed in range(2000))
    assert isinstance(hits, Tensor)
    assert bool(((hits / 2000 - 0.25).abs() < 5 * (0.25 * 0.75 / 2000) ** 0.5).all())


def test_exact_redraw_keeps_some_labels_when_the_true_class_is_included() -> None:
    labels = balanced(10, 5000)
    rate = realised_rate(labels, draw(Symmetric(0.5, include_true=True, exact="total"), labels, 10))
    assert rate == pytest.approx(0.45, abs=5 * (0.5 * 0.1 * 0.9 / 50_000) ** 0.5)


# --- Asymmetric


def test_cifar10_flips_five_classes_which_is_half_of_the_rate() -> None:
    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    flips = {names[source]: names[target] for source, target in flips_among("cifar10", 10).items()}
    assert flips == {
        "truck": "automobile",
        "bird": "airplane",
        "deer": "horse",
        "cat": "dog",
        "dog": "cat",
    }
    labels = balanced(10, 5000)
    measured = realised_matrix(labels, draw(Asymmetric(0.4, "cifar10"), labels, 10), 10)
    for source, name in enumerate(names):
        if name in flips:
            assert measured[source, names.index(flips[name])].item() == pytest.approx(0.4, abs=0.035)
            assert int((measured[source] > 0).sum()) == 2
        else:
            assert measured[source, source].item() == 1
    assert 1 - measured.diagonal().mean().item() == pytest.approx(0.2, abs=0.009)
    assert 1 - Asymmetric(0.4, "cifar10").transition_matrix(10).diagonal().mean().item() == pytest.approx(
        0.2, abs=1e-12
    )


def test_chained_flips_reproduce_the_reference_bug() -> None:
    matrix = Asymmetric(0.4, "cifar10", chained=True).transition_matrix(10)
    cat, dog = 3, 5
    assert matrix[cat, dog].item() == pytest.approx(0.4 * 0.6)
    assert matrix[cat, cat].item() == pytest.approx(0.6 + 0.4 * 0.4)
    assert matrix[dog, cat].item() == pytest.approx(0.4)
    # methods measured by running the published code: 0.1848 and 0.1839 overall instead of 0.2
    assert 1 - matrix.diagonal().mean().item() == pytest.approx(0.184)


def test_chained_flips_equal_the_loop_over_changed_labels() -> None:
    labels = balanced(10, 5000)
    looped = torch.tensor(reference.chained_flips(labels.tolist(), 0.4, flips_among("cifar10", 10), seed=1))
    ours = Asymmetric(0.4, "cifar10", chained=True).transition_matrix(10)
    sigma = (ours * (1 - ours) / 5000).sqrt()
    assert bool(((realised_matrix(labels, looped, 10) - ours).abs() <= 5 * sigma).all())


def test_l_dmi_leaves_dogs_alone() -> None:
    assert flips_among("cifar10_l_dmi", 10) == {9: 1, 2: 0, 3: 5, 4: 7}


@pytest.mark.parametrize(("dataset", "flips"), [(CIFAR10, "cifar10"), (MNIST, "mnist")])
def test_a_data_set_names_its_usual_flips(dataset: type[NoisyDataModule], flips: str) -> None:
    noise = dataset(noise=Asymmetric(0.4, chained=True)).noise
    assert isinstance(noise, Asymmetric)
    assert (noise.rate, noise.flips, noise.chained) == (0.4, flips, True)
    given = Asymmetric(0.4, {1: 2})
    assert dataset(noise=given).noise is given


@pytest.mark.parametrize("dataset", [Digits, CIFAR100])
def test_a_data_set_without_usual_flips_asks_for_them(dataset: type[NoisyDataModule]) -> None:
    with pytest.raises(
        InputError, match=rf"^data.noise.flips must be given: .* on {dataset.__name__} has no usual map"
    ):
        dataset(noise=Asymmetric(0.4))
    assert dataset(noise=Asymmetric(0.4, "next_class")).noise.nominal_rate == 0.4


def test_flips_that_no_data_set_fills_in_are_asked_for() -> None:
    with pytest.raises(InputError, match=r"^flips must be given where no data set says what is usual"):
        Asymmetric(0.4).corrupt(torch.arange(10), None, 10, torch.Generator())


def test_mnist_flips_digits_that_look_alike() -> None:
    assert flips_among("mnist", 10) == {7: 1, 2: 7, 5: 6, 6: 5, 3: 8}


def test_block5_is_not_the_superclass() -> None:
    flips = flips_among("cifar100_block5", 100)
    assert sorted(flips) == sorted(flips.values()) == list(range(100))
    assert all(source // 5 == target // 5 for source, target in flips.items())
    assert (flips[0], flips[4], flips[99]) == (1, 0, 95)
    assert sum(FINE_TO_COARSE[source] == FINE_TO_COARSE[target] for source, target in flips.items()) == 6


def test_superclass_flips_stay_in_the_superclass() -> None:
    flips = flips_among("cifar100_superclass", 100)
    assert sorted(flips) == sorted(flips.values()) == list(range(100))
    assert all(FINE_TO_COARSE[source] == FINE_TO_COARSE[target] for source, target in flips.items())
    named = {CLASS_NAMES[source]: CLASS_NAMES[target] for source, target in flips.items()}
    assert [named[name] for name in ("beaver", "whale", "bicycle", "tractor")] == [
        "dolphin",
        "beaver",
        "bus",
        "lawn_mower",
    ]


def test_superclasses_are_the_official_ones() -> None:
    assert [FINE_TO_COARSE.count(coarse) for coarse in range(20)] == [5] * 20
    path = LABEL_FILES / "CIFAR-100_human.pt"
    if not path.exists():
        pytest.skip(f"the labels of CIFAR-100N are not at {path}")
    allowed: Any = [(np._core.multiarray._reconstruct, "numpy.core.multiarray._reconstruct"), np.ndarray, np.dtype]  # type: ignore[attr-defined]
    with torch.serialization.safe_globals([*allowed, np.dtypes.Int64DType]):
        labels = torch.load(path, weights_only=True)
    pairs = set(zip(map(int, labels["clean_label"]), map(int, labels["clean_coarse_label"]), strict=True))
    assert pairs == set(enumerate(FINE_TO_COARSE))


def test_pair_flip_ends_where_it_began() -> None:
    matrix = PairFlip(0.45).transition_matrix(4)
    assert matrix.tolist() == [[0.55, 0.45, 0, 0], [0, 0.55, 0.45, 0], [0, 0, 0.55, 0.45], [0.45, 0, 0, 0.55]]


# --- TransitionMatrix


@pytest.mark.parametrize(("name", "text"), [("m.csv", "0.5,0.5\n0,1\n"), ("m.json", "[[0.5, 0.5], [0, 1]]")])
def test_a_matrix_is_read_as_spreadsheets_write_it(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8-sig")
    assert read_matrix(tmp_path / name) == [[0.5, 0.5], [0, 1]]


@pytest.mark.parametrize("suffix", [".csv", ".json", ".npy"])
def test_a_matrix_in_a_file_is_the_one_that_is_given(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"matrix{suffix}"
    if suffix == ".npy":
        np.save(path, np.array(THREE_CLASSES, dtype=np.float32))
    elif suffix == ".json":
        path.write_text(json.dumps(THREE_CLASSES))
    else:
        path.write_text("\n".join(",".join(map(str, row)) for row in THREE_CLASSES) + "\n")
    expected = TransitionMatrix(THREE_CLASSES).transition_matrix(3)
    torch.testing.assert_close(TransitionMatrix(path).transition_matrix(3), expected, rtol=0, atol=1e-7)


def test_rounded_rows_are_divided_by_their_sum() -> None:
    matrix = TransitionMatrix([[0.33333, 0.66666], [0.0, 1.0]]).transition_matrix(2)
    assert matrix[0].sum().item() == pytest.approx(1, abs=1e-15)
    assert matrix[0, 1].item() == pytest.approx(2 / 3, abs=1e-5)


def test_nominal_rate_of_a_matrix_is_its_mean_over_classes() -> None:
    assert TransitionMatrix(THREE_CLASSES).nominal_rate == pytest.approx(0.5)


# --- Bad input


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Symmetric(1.5), r"^rate must be in \[0, 1\], got 1.5$"),
        (lambda: Symmetric(-0.1), r"^rate must be in \[0, 1\], got -0.1$"),
        (lambda: Asymmetric(float("nan")), r"^rate must be in \[0, 1\], got nan$"),
        (lambda: PairFlip(float("inf")), r"^rate must be in \[0, 1\], got inf$"),
        (lambda: Symmetric(0.4, exact="class"), r"^exact must be one of none, total, per_class, got 'class'$"),  # type: ignore[arg-type]
        (lambda: Symmetric(0.4, "total"), r"^include_true must be true or false, got 'total'$"),  # type: ignore[arg-type]
        (lambda: Asymmetric(0.4, "cifar11"), r"^flips must be a map or one of cifar10, .*, got 'cifar11'$"),  # type: ignore[arg-type]
        (lambda: Asymmetric(0.4, {}), r"^flips must name at least one flip, got an empty map$"),
        (lambda: Asymmetric(0.4, {-1: 2}), r"^flips must map classes from 0 on, got -1: 2$"),
        (lambda: Asymmetric(0.4, {3: 3}), r"^flips must map a class to another one, got 3: 3$"),
        (lambda: TransitionMatrix([[0.5, 0.5]]), r"^matrix must be K×K, got 1×2$"),
        (lambda: TransitionMatrix([]), r"^matrix must be K×K, got 0$"),
        (lambda: TransitionMatrix([[1.0, 0.0], [1.0]]), r"^matrix must be K rows of K numbers: "),
        (
            lambda: TransitionMatrix([[1.2, -0.2], [0, 1]]),
            r"^matrix must hold probabilities in \[0, 1\], row 0 has 1.2$",
        ),
        (lambda: TransitionMatrix([[1, 0], [float("nan"), 1]]), r"^matrix must hold .*, row 1 has nan$"),
        (lambda: TransitionMatrix([[1, 0], [0.5, 0.4]]), r"^matrix must have rows with sum 1, row 1 sums to 0.9$"),
    ],
)
def test_bad_arguments_are_refused_in_one_line(make: Callable[[], LabelNoise], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("noise", "num_classes", "message"),
    [
        (Asymmetric(0.4, {3: 12}), 10, r"^flips must map classes in \[0, 9\], got 3: 12$"),
        (Asymmetric(0.4, {3: 10}), 10, r"^flips must map classes in \[0, 9\], got 3: 10$"),
        (Asymmetric(0.4, {12: 3}), 10, r"^flips must map classes in \[0, 9\], got 12: 3$"),
        (Asymmetric(0.4, "cifar10"), 100, r"^flips 'cifar10' needs 10 classes, the data set has 100$"),
        (Asymmetric(0.4, "cifar100_block5"), 10, r"^flips 'cifar100_block5' needs 100 classes, the data set has 10$"),
        (TransitionMatrix(THREE_CLASSES), 10, r"^matrix must be 10×10 for this data set, got 3 rows$"),
        (Symmetric(0.4), 1, r"^a wrong label needs at least 2 classes, the data set has 1$"),
        (PairFlip(0.4), 1, r"^a wrong label needs at least 2 classes, the data set has 1$"),
    ],
)
def test_noise_that_does_not_fit_the_data_is_refused(noise: LabelNoise, num_classes: int, message: str) -> None:
    with pytest.raises(InputError, match=message):
        draw(noise, torch.zeros(3, dtype=torch.int64), num_classes)


@pytest.mark.parametrize(("example", "num_classes"), CASES)
def test_labels_that_are_no_classes_are_refused(example: LabelNoise | Maker, num_classes: int, tmp_path: Path) -> None:
    noise = made(example, tmp_path, torch.tensor([0, -1]), num_classes)
    if noise.needs_true_labels:
        with pytest.raises(InputError, match=r"^labels must be in \[0, \d+\], got -1$"):
            draw(noise, torch.tensor([0, -1]), num_classes)
    with pytest.raises(InputError, match=rf"^labels must be in \[0, \d+\], got {num_classes}$"):
        draw(noise, torch.tensor([0, num_classes]), num_classes)
    with pytest.raises(InputError, match=r"^labels must be \(N,\) int64, got \(2,\) torch.int32$"):
        draw(noise, torch.zeros(2, dtype=torch.int32), num_classes)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.csv", None, r"^matrix: cannot read .*absent\.csv: .*No such file"),
        ("matrix.txt", b"1", r"^matrix must be a \.csv, \.json or \.npy file, got .*matrix\.txt$"),
        ("words.csv", b"a,b\nc,d\n", r"^matrix: .*words\.csv is damaged: "),
        ("torn.json", b"[[1, 0], [0", r"^matrix: .*torn\.json is damaged: "),
        ("number.json", b"3", r"^matrix must be K rows of K numbers: "),
        ("torn.npy", b"\x93NUMPY\x01", r"^matrix: "),
        ("empty.csv", b"", r"^matrix must be K×K, got 0$"),
    ],
)
def test_files_without_a_matrix_are_refused(name: str, content: bytes | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        TransitionMatrix(tmp_path / name)


def test_a_pickle_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "matrix.npy"
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match=r"^matrix: .*is damaged"):
        TransitionMatrix(path)


# --- Published label files


@pytest.mark.parametrize(
    ("name", "noise", "rate"), [("sym0.4", Symmetric(0.4), 0.40026), ("asym0.4", Asymmetric(0.4, "cifar10"), 0.2032)]
)
def test_the_published_cifar10_labels_follow_our_matrices(name: str, noise: LabelNoise, rate: float) -> None:
    path = LABEL_FILES / f"CIFAR10_{name}.csv"
    if not path.exists():
        pytest.skip(f"the label files of SLN are not at {path}")
    true, given = torch.from_numpy(np.loadtxt(path, delimiter=",", skiprows=1, dtype=np.int64).T).contiguous()
    nominal = noise.transition_matrix(10)
    assert nominal is not None
    sigma = (nominal * (1 - nominal) / 5000).sqrt()
    theirs, ours = (realised_matrix(true, labels, 10) for labels in (given, draw(noise, true, 10)))
    assert realised_rate(true, given) == pytest.approx(rate, abs=5e-5)
    for measured in (theirs, ours):
        assert bool(((measured - nominal).abs() <= 5 * sigma).all())
        assert bool((measured[nominal == 0] == 0).all())

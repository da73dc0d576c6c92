"""What the figures of the gallery are drawn of: small runs on embedded digits, and what they left."""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from noisy_lightning import losses
from noisy_lightning.cli.main import main
from noisy_lightning.experiments.report import collect
from noisy_lightning.experiments.setting_pictures import curves_of
from noisy_lightning.figures.panels import Curves, Over
from noisy_lightning.jobs import processes
from noisy_lightning.runs.classification import confusion_matrix
from noisy_lightning.runs.folder import RunFolder
from noisy_lightning.runs.measures import Bools, Ints
from noisy_lightning.runs.records import Records, load
from noisy_lightning.selectors.theory import confusion_of, theory_of
from noisy_lightning.training.loaded_run import load_run
from noisy_lightning.training.loss_surface import loss_surface

DEMO = Path(__file__).parents[2] / "configs/demo.yaml"
_EPOCHS = 12
_RATES = (0.2, 0.4)
_GRID = f"""
config: {DEMO}
axes:
  method:
    CE: {{}}
    Co-teaching: {{model.method: CoTeaching, model.method.warm_up: 1, model.method.forget_rate: 0.3}}
    VolMinNet: {{model.method: VolMinNet, model.method.lr: 0.1}}
  data.noise.rate: {list(_RATES)}
seeds: [0, 1]
"""
_ALL = ("--trainer.accelerator", "cpu", "--recorder.pictures", "false")
_STEPS = np.linspace(-1, 1, 11).tolist()
_SHORT = ("--trainer.max_epochs", str(_EPOCHS), *_ALL)
_COLUMNS = ("val/loss", "val/acc", "train/acc", "test/acc", "train/label_precision", "train/label_recall")


@dataclass
class Situation:
    """What figures can be asked to draw; K classes, N samples."""

    title: str
    class_names: Sequence[str]
    runs: Mapping[str, Records]
    """By method, the run of the first seed."""
    curves: Mapping[str, Mapping[str, Curves]]
    """By column of the metrics and method, (runs, epochs)."""
    over_rates: Mapping[str, Mapping[str, Mapping[str, Over]]]
    """Of `training` and `test`, accuracies by kind of noise and method."""
    estimated: NDArray[np.float64]
    realized: NDArray[np.float64]
    nominal: NDArray[np.float64]
    """(K, K) transition matrices."""
    confusion: Ints
    """(K, K) counts."""
    points: NDArray[np.float32]
    """(N, 2) an embedding of the samples."""
    suspects: Bools
    """(N,)."""
    images: NDArray[np.uint8]
    """(n, C, H, W)."""
    iterations: Sequence[tuple[float, float]]
    """Label precision and recall."""
    theory: Mapping[str, tuple[Sequence[float], Sequence[float]]]
    measured: Mapping[float, Mapping[str, float]]
    probability: NDArray[np.float32]
    shapes: Mapping[str, NDArray[np.float32]]
    steps: Sequence[float]
    surfaces: Mapping[str, NDArray[np.float64]]
    """By method, mean losses around a network, by steps along two directions."""
    report: Sequence[tuple[str, Figure]] = ()
    """By name, what a report shows of all this."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """By figure, what does not come from runs."""

    @property
    def first(self) -> Records:
        """The run of the first method."""
        return next(iter(self.runs.values()))


def from_runs(folder: Path) -> Situation:
    """Make the runs that are missing in a folder, and return what they left."""
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.chdir(folder), _forked():
        Path("grid.yaml").write_text(_GRID)
        _do("sweep", "--config", "grid.yaml", *_SHORT, "--test_every_epoch", "true")
        for rate in _RATES:
            _judged(f"cross_validation_{rate}", "NoisyCrossValidation", rate)
        _judged("incv", "INCV", 0.4, "--selector.iterations", "3", "--selector.epochs", "5")
        return _situation()


def _situation() -> Situation:
    report = collect([Path("runs/grid")])
    rows = [row for row in report.rows if row["rate_nominal"] == _RATES[-1]]
    methods = list(dict.fromkeys(row["axis_method"] for row in rows))
    paths = {name: [Path(row["run"]) for row in rows if row["axis_method"] == name] for name in methods}
    metrics = {name: [RunFolder(run).read_metrics() for run in runs] for name, runs in paths.items()}
    runs = {name: load(of_seeds[0]) for name, of_seeds in paths.items()}
    first = next(iter(runs.values()))
    result = RunFolder(paths["VolMinNet"][0]).read_result()
    over = {
        part: {"Symmetric": {name: _over(report.rows, name, column) for name in methods}}
        for part, column in (("training", "acc_train"), ("test", "acc_last"))
    }
    folds = {rate: RunFolder(Path(f"runs/cross_validation_{rate}/0")).read_result() for rate in _RATES}
    incv = RunFolder(Path("runs/incv/0")).read_result()
    digits = load_digits()
    images = (digits.images * 15.9).astype(np.uint8)[:, None]
    settings = [(f"{name}_{setting}", figure) for setting, shown in report.settings() for name, figure in shown.items()]
    probability = np.linspace(0.001, 1, 200, dtype=np.float32)
    count = len(first.labels)
    return Situation(
        title="Digits, symmetric noise of 40 %",
        class_names=result["class_names"],
        runs=runs,
        curves={column: curves_of(metrics, column) for column in _COLUMNS},
        over_rates=over,
        estimated=np.array(result["transition"]["estimated"]),
        realized=confusion_of(first.labels, first.true_labels, 10),
        nominal=_symmetric(_RATES[-1], 10),
        confusion=confusion_matrix(first.true_labels, np.maximum(first.prediction[-1], 0), 10),
        points=PCA(2, random_state=0).fit_transform(digits.data)[:count].astype(np.float32),
        suspects=first.loss[-1] > np.nanquantile(first.loss[-1], 0.9),
        images=images[:12],
        iterations=[(one["label_precision"], one["label_recall"]) for one in incv["iterations"]],
        theory=theory_over_rates(10),
        measured={one["cross_validated_noise_rate"]: one["cross_validation"]["measured"] for one in folds.values()},
        probability=probability,
        shapes=_shapes(probability, 10),
        steps=_STEPS,
        surfaces={name: _surface(of_seeds[0]) for name, of_seeds in paths.items()},
        report=[*report.overall_figures(), *settings],
        notes={
            "loss_shapes": "from the losses themselves",
            "loss_landscape": "true labels of 300 digits",
            "embedding_map": "pixels by PCA; suspects are the tenth of highest loss",
            "sample_grid": "pictures of the data set, in another order than the labels",
        },
    )


def _over(rows: Sequence[Mapping[str, Any]], method: str, column: str) -> Over:
    values = [[r[column] for r in rows if (r["axis_method"], r["rate_nominal"]) == (method, rate)] for rate in _RATES]
    return Over(list(_RATES), values)


def _symmetric(rate: float, classes: int) -> NDArray[np.float64]:
    others = (1 - np.eye(classes)) * rate / max(1, classes - 1)
    return np.eye(classes) * (1 - rate) + others


def theory_over_rates(classes: int) -> dict[str, tuple[list[float], list[float]]]:
    """Return what the theory of cross-validation says of symmetric noise, by measure: rates and values."""
    rates = np.linspace(0, 0.9, 46).tolist()
    found = [theory_of(_symmetric(rate, classes), np.full(classes, 1 / classes))._asdict() for rate in rates]
    return {name: (rates, [one[name] for one in found]) for name in found[0]}


def _shapes(probability: NDArray[np.float32], classes: int) -> dict[str, NDArray[np.float32]]:
    """Return losses (P,) where the given label has a probability and the others share the rest."""
    others = np.repeat((1 - probability)[:, None] / (classes - 1), classes - 1, axis=1)
    logits = torch.from_numpy(np.log(np.column_stack([probability, others]).clip(1e-7)))
    labels = torch.zeros(len(probability), dtype=torch.long)
    named = {
        "CE": losses.CrossEntropy(),
        "MAE": losses.MeanAbsoluteError(),
        "GCE (q = 0.7)": losses.GeneralizedCrossEntropy(),
        "NCE": losses.NormalizedCrossEntropy(),
    }
    return {name: loss(logits, labels).numpy() for name, loss in named.items()}


def _surface(path: Path) -> NDArray[np.float64]:
    """Return how the loss on the true labels of 300 digits changes around the network of a run."""
    run = load_run(path, "last")
    digits = load_digits()
    images = torch.stack([run.transform(image) for image in digits.images[:300] / 16])
    return loss_surface(run.model, images, torch.from_numpy(digits.target[:300]).long(), _STEPS)


def _judged(name: str, selector: str, rate: float, *options: str) -> None:
    """Judge labels, unless that has been done."""
    if not (Path("runs", name, "0/result.json")).exists():
        noise = ("--data.noise.rate", str(rate), "--data.val_fraction", "0", "--run.experiment", name)
        _do("clean", "--config", str(DEMO), "--selector", selector, *options, *noise, *_SHORT, "--audit", "false")


def _do(*args: str) -> None:
    code = main(list(args))
    if code:
        raise SystemExit(code)


@contextlib.contextmanager
def _forked() -> Iterator[None]:
    """Start runs from what has been imported, and say so in no environment that others read."""
    before, processes.START = processes.START, "fork"
    seed = os.environ.pop("PL_GLOBAL_SEED", None)
    try:
        yield
    finally:
        processes.START = before
        if seed is not None:
            os.environ["PL_GLOBAL_SEED"] = seed

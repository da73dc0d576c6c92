"""noisy-lightning noise: the labels that a configuration would train on, drawn, shown and kept without training."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from noisy_lightning.cli.keys import built_data, data_parser, experiment_of
from noisy_lightning.data import NoisyDataModule
from noisy_lightning.data.labels import NoiseSummary, format_matrix
from noisy_lightning.data.manifest import SUMMARY_FILE, TABLE_FILE, read_manifest, write_manifest
from noisy_lightning.errors import InputError, cannot_write
from noisy_lightning.figures.experiments import label_distribution
from noisy_lightning.figures.samples import transition_matrices
from noisy_lightning.figures.style import as_array, as_png
from noisy_lightning.runs.files import write_bytes
from noisy_lightning.runs.measures import wrong_share

PICTURE_FILE = "noise.png"
_DPI = 150


def run_noise(args: Sequence[str]) -> None:
    """Draw the noise of a configuration, print what it came to and write the noise files and a picture.

    Args:
        args: Options.

    Raises:
        InputError: The input cannot work, or the folder holds other labels.
    """
    parser = data_parser("noise")
    config = parser.parse_args(args)
    data = built_data(parser, config).with_images()
    data.prepare_data()
    data.setup("fit")
    folder = config.out or Path("noise") / experiment_of(config)
    _write(folder, data)
    print(description(data.noise_summary(), data.class_names))
    print(f"files  {folder}: {TABLE_FILE}, {SUMMARY_FILE}, {PICTURE_FILE}")


def description(noise: NoiseSummary, class_names: Sequence[str]) -> str:
    """Return what a noise came to: its rates, the hash of the labels and the measured matrix.

    Args:
        noise: What was drawn.
        class_names: K names.
    """
    arguments = ", ".join(f"{name}={value}" for name, value in noise.arguments.items())
    rates = {"nominal": noise.nominal_rate, "expected": noise.expected_rate, "realized": noise.realised_rate}
    shares = ", ".join(f"{name} {'unknown' if rate is None else f'{100 * rate:.2f} %'}" for name, rate in rates.items())
    matrix = torch.tensor(noise.realised_matrix, dtype=torch.float64)
    lines = [
        f"data   {noise.dataset}, {noise.num_samples:,} training images in {noise.num_classes} classes",
        f"noise  {noise.kind}({arguments}), seed {noise.seed}",
        f"rate   {shares}",
        *([f"images {noise.num_foreign:,} of another data set, which count as wrong"] if noise.num_foreign else []),
        *(["redraw the labels of epoch 0; each later one has its own"] if noise.redraw == "per_epoch" else []),
        f"hash   {noise.label_hash}",
        "",
        "realized matrix, in % of the true class:",
        format_matrix(matrix, class_names),
        "",
    ]
    return "\n".join(lines)


def _write(folder: Path, data: NoisyDataModule) -> None:
    """Write the noise files and the picture."""
    noise = data.noise_summary()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _check_labels(folder, noise.label_hash)
        write_manifest(folder, noise, data.label_table())
        figure = _picture(data, noise)
        write_bytes(folder / PICTURE_FILE, as_png(as_array(figure, _DPI), _DPI))
    except OSError as error:
        raise cannot_write("out", folder, error) from error


def _picture(data: NoisyDataModule, noise: NoiseSummary) -> Figure:
    """Draw the transition matrices that are known, or else how many samples have which label."""
    matrices = {"nominal": noise.nominal_matrix, "realized": noise.realised_matrix}
    known = {name: np.array(matrix) for name, matrix in matrices.items() if matrix is not None and np.any(matrix)}
    if known:
        return transition_matrices(known, data.class_names, _title(noise))
    return label_distribution(data.true_labels.numpy(), data.labels.numpy(), data.class_names, _title(noise))


def _check_labels(folder: Path, label_hash: str) -> None:
    """Refuse a folder with other labels, or with those of a run, whose split is its own."""
    if (folder / "config.yaml").exists():
        raise InputError(f"out: {folder} is the folder of a run, which has noise files of its own; choose another")
    if not any((folder / name).exists() for name in (TABLE_FILE, SUMMARY_FILE)):
        return
    try:
        there, _ = read_manifest(folder)
    except InputError as error:
        raise InputError(f"out: {folder} holds noise files that cannot be read, choose another ({error})") from error
    if there.label_hash != label_hash:
        raise InputError(
            f"out: {folder} holds labels {there.label_hash[:16]}…, this configuration draws {label_hash[:16]}…; "
            "choose another folder by --out"
        )


def _title(noise: NoiseSummary) -> str:
    share = wrong_share(noise.realised_rate, noise.num_known)
    return f"{noise.dataset}, {noise.kind}, seed {noise.seed}: {share}"

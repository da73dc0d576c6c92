"""Histograms of the training samples, read back from event files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]

from noisy_lightning.runs.measures import EpochRecord
from noisy_lightning.training.callbacks.sample_histograms import log_histograms

N = 1000


def _record(**columns: Any) -> EpochRecord:
    rng = np.random.default_rng(0)
    loss = rng.exponential(size=N).astype(np.float32)
    given = {"loss": loss, "confidence": np.exp(-loss), "margin": rng.normal(size=N).astype(np.float32)} | columns
    return EpochRecord(prediction=np.zeros(N, np.int16), **given)


def _histograms(folder: Path) -> dict[str, Any]:
    board = EventAccumulator(str(folder)).Reload()
    return {
        tag: [(event.step, event.histogram_value) for event in board.Histograms(tag)]
        for tag in board.Tags()["histograms"]
    }


def _log(tmp_path: Path, record: EpochRecord, clean: Any, noisy: Any, epoch: int = 0) -> None:
    logger = TensorBoardLogger(tmp_path, name="", version="")
    log_histograms(logger, epoch, record, clean, noisy)
    logger.experiment.close()


def test_clean_and_noisy_samples_have_histograms_of_their_own(tmp_path: Path) -> None:
    record, noisy = _record(), np.arange(N) < 300
    _log(tmp_path, record, np.arange(N) >= 400, noisy, epoch=4)  # of a hundred nobody knows the truth
    clean, wrong = _histograms(tmp_path / "clean"), _histograms(tmp_path / "noisy")
    assert clean.keys() == wrong.keys() == {"train_samples/loss", "train_samples/confidence", "train_samples/margin"}
    ((step, shown),) = wrong["train_samples/confidence"]
    assert step == 5
    assert shown.num == sum(shown.bucket) == 300
    low, high = np.percentile(record.confidence, [0.5, 99.5])
    clipped = record.confidence[noisy].clip(low, high)
    assert shown.bucket == np.histogram(clipped, 40, (low, high))[0].tolist()
    assert shown.bucket_limit == pytest.approx(np.linspace(low, high, 41)[1:])
    assert shown.sum == pytest.approx(clipped.sum(), rel=1e-5)
    ((_, of_clean),) = clean["train_samples/confidence"]
    assert of_clean.num == 600
    assert of_clean.bucket_limit == shown.bucket_limit, "they can be compared"
    assert not list(tmp_path.glob("events*")) or not _histograms(tmp_path)


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_does_not_count(tmp_path: Path, broken: float) -> None:
    loss = np.where(np.arange(N) < 10, np.float32(broken), np.float32(0.25))
    nobody = np.zeros(N, bool)
    _log(tmp_path, _record(loss=loss, margin=None, confidence=np.full(N, np.nan, np.float32)), nobody, nobody)
    (histograms,) = _histograms(tmp_path).items()
    tag, ((_, shown),) = histograms
    assert (tag, shown.num, sum(shown.bucket)) == ("train_samples/loss", N - 10, N - 10)


def test_a_histogram_is_small_however_many_samples_there_are(tmp_path: Path) -> None:
    record, noisy = _record(), np.arange(N) % 3 == 0
    _log(tmp_path, record, ~noisy, noisy)
    assert sum(file.stat().st_size for file in tmp_path.rglob("events*")) < 6_000

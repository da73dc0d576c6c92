"""How losses, confidences and margins of the training samples are distributed, for TensorBoard."""

import numpy as np
from lightning.pytorch.loggers import TensorBoardLogger

from noisy_lightning import compat
from noisy_lightning.runs.measures import Bools, EpochRecord, Floats

# TensorBoard shows 30; the more there are, the larger the file.
_BINS = 40
_OUTSIDE = 0.5  # percent of the samples that the outermost bins also count, at each end


def log_histograms(
    logger: TensorBoardLogger, epoch: int, record: EpochRecord, is_clean: Bools, is_noisy: Bools
) -> None:
    """Give TensorBoard the histograms of an epoch, of clean and of noisy samples as runs of their own.

    At 50,000 samples that takes 20 ms and 5 kB. A tag has either a curve or histograms: that of curves is `train/loss`.

    Args:
        logger: Of the run.
        epoch: Counted from 0; the logger counts from 1.
        record: Of this epoch.
        is_clean: (N,) known to be clean.
        is_noisy: (N,) known to be noisy; with neither anywhere, there is one histogram of all.
    """
    from torch.utils.tensorboard.summary import histogram_raw  # noqa: PLC0415  # slow to import

    groups = {"clean": is_clean, "noisy": is_noisy}
    if not (is_clean.any() or is_noisy.any()):
        groups = {"": np.ones_like(is_clean)}
    board = logger.experiment
    for name, values in {"loss": record.loss, "confidence": record.confidence, "margin": record.margin}.items():
        if values is None or not (finite := np.isfinite(values)).any():
            continue
        low, high = _range(values[finite])
        for part, members in groups.items():
            # In double precision, in which the outermost values are in the outermost bins.
            shown = values[finite & members].clip(low, high).astype(np.float64)
            if not shown.size:
                continue
            counts, edges = np.histogram(shown, _BINS, (low, high))
            writer = compat.run_within(board, part) if part else board.file_writer
            moments = shown.size, float(shown.sum()), float(np.square(shown).sum())
            drawn = f"train_samples/{name}", low, high, *moments, edges[1:], counts
            writer.add_summary(histogram_raw(*drawn), epoch + 1)  # type: ignore[no-untyped-call]


def _range(values: Floats) -> tuple[float, float]:
    """Return between which values bins are drawn: all but the outermost of at least one value."""
    low, high = (float(end) for end in np.percentile(values, [_OUTSIDE, 100 - _OUTSIDE]))
    return low, max(high, low + 1e-6)

"""Pictures for loggers that take them."""

from typing import Any

from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from numpy.typing import NDArray


def takes_pictures(logger: Logger) -> bool:
    """Return whether `log_picture` has a way to give a logger pictures."""
    return isinstance(logger, TensorBoardLogger | WandbLogger | MLFlowLogger)


def log_picture(logger: Logger, name: str, pixels: NDArray[Any], epoch: int) -> None:
    """Give a logger a picture, each in its own way.

    Args:
        logger: One that takes them.
        name: Of the picture.
        pixels: (H, W, 3), uint8.
        epoch: Counted from 0; the loggers count from 1.
    """
    if isinstance(logger, TensorBoardLogger):
        # add_figure would load pyplot, and with it a window system where there is one.
        logger.experiment.add_image(name, pixels, epoch + 1, dataformats="HWC")
    elif isinstance(logger, WandbLogger):
        logger.log_image(name, [pixels], epoch + 1)
    elif isinstance(logger, MLFlowLogger):
        logger.experiment.log_image(logger.run_id, pixels, key=name, step=epoch + 1)

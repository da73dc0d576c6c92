"""A small network of our own, for demonstrations, MNIST and benchmarks."""

from typing import final

from torch import Tensor, nn


def _block(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        # Equal to pooling after the activation, value and gradient, and a quarter of the activation's work.
        nn.MaxPool2d(2),
        nn.ReLU(inplace=True),
    )


@final
class SmallCNN(nn.Module):
    """Three blocks of 3×3 convolution, batch norm, max pooling and ReLU, then global average and a linear layer.

    Args:
        num_classes: number of classes K.
        in_channels: number of image channels C; images are 8×8 or larger.
        width: channels of the first block, at least 1; the next two have twice and four times as many. 32 makes
            95 thousand parameters for 3 channels and 10 classes.
    """

    def __init__(self, num_classes: int, in_channels: int, width: int = 32) -> None:
        super().__init__()
        if width < 1:
            raise ValueError(f"width must be in [1, inf), got {width}")
        self.features = nn.Sequential(
            _block(in_channels, width), _block(width, 2 * width), _block(2 * width, 4 * width)
        )
        self.classifier = nn.Linear(4 * width, num_classes)

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits (B, K) of images (B, C, H, W)."""
        logits: Tensor = self.classifier(self.features(image).mean((2, 3)))
        return logits

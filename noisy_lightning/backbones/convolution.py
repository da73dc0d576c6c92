"""The block that plain convolutional networks repeat, and what those for images of one size share."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from noisy_lightning.errors import InputError


def conv_block(
    in_channels: int,
    out_channels: int,
    *,
    pool: bool = False,
    bias: bool = True,
    padding: int = 1,
    negative_slope: float = 0.0,
) -> nn.Sequential:
    """Return 3×3 convolution, batch norm, (leaky) ReLU, and 2×2 max pooling where asked for.

    The pooling stands before the activation: that is equal, value and gradient, since the activation never
    decreases, and leaves it a quarter of the work.
    """
    layers: list[nn.Module] = [
        nn.Conv2d(in_channels, out_channels, 3, padding=padding, bias=bias),
        nn.BatchNorm2d(out_channels),
    ]
    if pool:
        layers.append(nn.MaxPool2d(2))
    layers.append(nn.LeakyReLU(negative_slope, inplace=True) if negative_slope else nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


class FixedSizeNetwork(nn.Module, ABC):
    """A network whose linear layers are made for images of one height and width; subclasses set `network`.

    Args:
        image_size: height and width of the images in pixels.
        least: the smallest that the layers leave something of.

    Raises:
        ValueError: if image_size is below it.
    """

    network: nn.Sequential
    """From images (B, C, H, W) to logits (B, K)."""

    @abstractmethod
    def __init__(self, image_size: int, least: int) -> None:
        super().__init__()
        if image_size < least:
            raise ValueError(f"image_size must be in [{least}, inf), got {image_size}")
        self.image_size = image_size

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits (B, K) of images (B, C, H, W).

        Raises:
            InputError: The images have another size.
        """
        self.check_size(image)
        logits: Tensor = self.network(image)
        return logits

    def check_size(self, image: Tensor) -> None:
        """Check that images (B, C, H, W) have the height and width that the linear layers were made for.

        Raises:
            InputError: They have others.
        """
        height, width = image.shape[2:]
        if (height, width) != (self.image_size, self.image_size):
            raise InputError(
                f"model.backbone.image_size is {self.image_size}, but the images have {height}×{width} pixels"
            )

"""The block that plain convolutional networks repeat, and what those with linear layers ask of their images."""

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


def check_image_size(image: Tensor, image_size: int) -> None:
    """Check that images (B, C, H, W) have the height and width that a network's linear layers were made for.

    Raises:
        InputError: They have others.
    """
    height, width = image.shape[2:]
    if (height, width) != (image_size, image_size):
        raise InputError(f"model.backbone.image_size is {image_size}, but the images have {height}×{width} pixels")

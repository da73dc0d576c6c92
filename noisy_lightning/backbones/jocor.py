"""Two-layer perceptron and seven-layer network: Wei, Feng, Chen and An, "JoCoR", CVPR 2020."""

from typing import final

from torch import nn

from noisy_lightning.backbones.convolution import FixedSizeNetwork, conv_block


@final
class TwoLayerMLP(FixedSizeNetwork):
    """JoCoR's network for MNIST, also Co-teaching+'s: 256 hidden units with ReLU; 204 thousand parameters.

    Weights start with PyTorch's defaults, as in the authors' code. For features there is `MLP`.

    Args:
        num_classes: number of classes K.
        in_channels: number of image channels C.
        image_size: height and width of the images in pixels, at least 1.

    Raises:
        ValueError: if image_size is out of range.
    """

    def __init__(self, num_classes: int, in_channels: int, image_size: int = 28) -> None:
        super().__init__(image_size, least=1)
        self.network = nn.Sequential(
            nn.Flatten(),
            nn.Linear(in_channels * image_size**2, 256),
            nn.ReLU(inplace=True),
            nn.Linear(256, num_classes),
        )


@final
class SevenLayerCNN(FixedSizeNetwork):
    """JoCoR's network for CIFAR: six convolutions of 64 to 196 channels, the last of 16; 518 thousand parameters.

    One linear layer follows. Weights start with PyTorch's defaults, as in the authors' code, whose argument
    for dropout is without effect: there is none.

    Args:
        num_classes: number of classes K.
        in_channels: number of image channels C.
        image_size: height and width of the images in pixels, at least 8.

    Raises:
        ValueError: if image_size is out of range.
    """

    def __init__(self, num_classes: int, in_channels: int, image_size: int = 32) -> None:
        super().__init__(image_size, least=8)
        self.network = nn.Sequential(
            conv_block(in_channels, 64),
            conv_block(64, 64, pool=True),
            conv_block(64, 128),
            conv_block(128, 128, pool=True),
            conv_block(128, 196),
            conv_block(196, 16, pool=True),
            nn.Flatten(),
            nn.Linear(16 * (image_size // 8) ** 2, num_classes),
        )

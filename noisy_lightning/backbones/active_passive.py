"""Plain convolutional networks: Ma et al., "Normalized Loss Functions for Deep Learning with Noisy Labels", ICML 2020.

"Active Negative Loss" and "Asymmetric Loss Functions" use them too.
"""

from typing import final

from torch import nn

from noisy_lightning.backbones.convolution import FixedSizeNetwork, conv_block


def _linear_block(in_features: int, out_features: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(in_features, out_features), nn.BatchNorm1d(out_features), nn.ReLU(inplace=True))


def _initialize(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_uniform_(module.weight, nonlinearity="relu")
    elif isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)


@final
class EightLayerCNN(FixedSizeNetwork):
    """The paper's network for CIFAR-10: six convolutions of 64 to 196 channels, two linear layers; 1.6 million.

    Args:
        num_classes: number of classes K.
        in_channels: number of image channels C.
        image_size: height and width of the images in pixels, at least 8.
    """

    def __init__(self, num_classes: int, in_channels: int, image_size: int = 32) -> None:
        super().__init__(image_size, least=8)
        self.network = nn.Sequential(
            conv_block(in_channels, 64),
            conv_block(64, 64, pool=True),
            conv_block(64, 128),
            conv_block(128, 128, pool=True),
            conv_block(128, 196),
            conv_block(196, 196, pool=True),
            nn.Flatten(),
            _linear_block(196 * (image_size // 8) ** 2, 256),
            nn.Linear(256, num_classes),
        ).apply(_initialize)


@final
class FourLayerCNN(FixedSizeNetwork):
    """The paper's network for MNIST: convolutions of 32 and 64 channels, two linear layers; 422 thousand parameters.

    Args:
        num_classes: number of classes K.
        in_channels: number of image channels C.
        image_size: height and width of the images in pixels, at least 4.
    """

    def __init__(self, num_classes: int, in_channels: int, image_size: int = 28) -> None:
        super().__init__(image_size, least=4)
        self.network = nn.Sequential(
            conv_block(in_channels, 32, pool=True),
            conv_block(32, 64, pool=True),
            nn.Flatten(),
            _linear_block(64 * (image_size // 4) ** 2, 128),
            nn.Linear(128, num_classes),
        ).apply(_initialize)

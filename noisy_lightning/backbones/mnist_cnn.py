"""A network for MNIST: Chen, Ye, Chen, Zhao and Heng, "Beyond Class-Conditional Assumption", AAAI 2021."""

from typing import final

from torch import nn

from noisy_lightning.backbones.convolution import FixedSizeNetwork


@final
class MNISTCNN(FixedSizeNetwork):
    """The network that generates, and trains on, the instance-dependent noise of MNIST: 431 thousand parameters.

    Two 5×5 convolutions of 20 and 50 channels without padding, each with ReLU and 2×2 max pooling, then 500 hidden
    units: Caffe's variant of LeNet. Weights start with PyTorch's defaults, as in the authors' code. That returns
    log-probabilities, this logits: every loss here takes either, and gives the same.

    Args:
        num_classes: number of classes K.
        in_channels: number of image channels C.
        image_size: height and width of the images in pixels, at least 16.

    Raises:
        ValueError: if image_size is out of range.
    """

    def __init__(self, num_classes: int, in_channels: int, image_size: int = 28) -> None:
        super().__init__(image_size, least=16)
        self.network = nn.Sequential(
            nn.Conv2d(in_channels, 20, 5),
            nn.MaxPool2d(2),  # before the activation, which is equal and cheaper
            nn.ReLU(inplace=True),
            nn.Conv2d(20, 50, 5),
            nn.MaxPool2d(2),
            nn.ReLU(inplace=True),
            nn.Flatten(),
            nn.Linear(50 * (((image_size - 4) // 2 - 4) // 2) ** 2, 500),
            nn.ReLU(inplace=True),
            nn.Linear(500, num_classes),
        )

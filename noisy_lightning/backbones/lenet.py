"""LeNet-5: LeCun, Bottou, Bengio and Haffner, "Gradient-based learning", Proceedings of the IEEE 1998."""

from typing import final

from torch import nn

from noisy_lightning.backbones.convolution import FixedSizeNetwork


@final
class LeNet(FixedSizeNetwork):
    """LeNet-5 as T-Revision, VolMinNet and CDR trained it on MNIST: 62 thousand parameters.

    Two 5×5 convolutions of 6 and 16 channels, the first padded by 2, each with ReLU and 2×2 max pooling, then linear
    layers of 120, 84 and K units. The paper of 1998 has tanh and trained subsampling instead. Weights start with
    PyTorch's defaults, as in the code of all three; T-Revision's also holds its correction of T, which is not in here.

    Args:
        num_classes: number of classes K.
        in_channels: number of image channels C.
        image_size: height and width of the images in pixels, at least 12.

    Raises:
        ValueError: if image_size is out of range.
    """

    def __init__(self, num_classes: int, in_channels: int, image_size: int = 28) -> None:
        super().__init__(image_size, least=12)
        self.network = nn.Sequential(
            nn.Conv2d(in_channels, 6, 5, padding=2),
            nn.MaxPool2d(2),  # before the activation, which is equal and cheaper
            nn.ReLU(inplace=True),
            nn.Conv2d(6, 16, 5),
            nn.MaxPool2d(2),
            nn.ReLU(inplace=True),
            nn.Flatten(),
            nn.Linear(16 * ((image_size // 2 - 4) // 2) ** 2, 120),
            nn.ReLU(inplace=True),
            nn.Linear(120, 84),
            nn.ReLU(inplace=True),
            nn.Linear(84, num_classes),
        )

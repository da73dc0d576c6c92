"""The network of Kim and Kang (2023)."""

from typing import final

from torch import Tensor, nn

from noisy_lightning.backbones.convolution import FixedSizeNetwork


def _xavier(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)


@final
class PlainCNN(FixedSizeNetwork):
    """The network of Kim and Kang (2023): five convolutions of 8 to 128 channels, not normalized, two linear layers.

    4.3 million parameters, nearly all in the first linear layer. The linear weights start with Xavier's uniform
    distribution, everything else with PyTorch's defaults; the last convolution has no activation, as in the study.

    Args:
        num_classes: number of classes K.
        in_channels: number of image channels C.
        image_size: height and width of the images in pixels, at least 4.
    """

    def __init__(self, num_classes: int, in_channels: int, image_size: int = 32) -> None:
        super().__init__(image_size, least=4)
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, 8, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(8, 16, 3, padding=1),
            nn.MaxPool2d(2),  # before the activation, which is equal and cheaper
            nn.ReLU(inplace=True),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(64, 128, 3, padding=1),
            nn.MaxPool2d(2),
            nn.Flatten(),
        )
        self.classifier = nn.Sequential(
            nn.Linear(128 * (image_size // 4) ** 2, 512), nn.ReLU(inplace=True), nn.Linear(512, num_classes)
        ).apply(_xavier)

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits (B, K) of images (B, C, H, W).

        Raises:
            InputError: The images have another size.
        """
        self.check_size(image)
        logits: Tensor = self.classifier(self.features(image))
        return logits

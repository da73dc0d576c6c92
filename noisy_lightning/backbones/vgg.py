"""VGG-19 with batch normalization: Simonyan and Zisserman, ICLR 2015."""

from typing import Literal, final

from torch import Tensor, nn

from noisy_lightning.backbones.convolution import conv_block

_STAGES = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
"""Channels and number of the convolutions before each max pooling."""


def _initialize(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.01)
    if isinstance(module, nn.Conv2d | nn.Linear):
        assert module.bias is not None
        nn.init.zeros_(module.bias)


@final
class VGG19BN(nn.Module):
    """VGG-19 with batch normalization, for small images: 20.0 million parameters, 139.6 million with "imagenet".

    SELFIE, DISC and SSR+ trained it from scratch on the 64×64 images of ANIMAL-10N; the code of the latter two has
    torchvision's network with the head for ImageNet. Weights start with torchvision's distributions, as in DISC; in
    SSR+ those of the linear layers start with a standard deviation of 0.005, here of 0.01, and its dropout is 0.2.

    Args:
        num_classes: number of classes K.
        in_channels: number of image channels C; images are 32×32 or larger.
        head: "cifar" averages over the image and has one linear layer, as is usual for 32×32 images; "imagenet" has two
            hidden layers of 4096 units over 7×7 places, to which smaller images are stretched: six times the weights.
        dropout: probability of dropping a hidden unit of "imagenet", in [0, 1).

    Raises:
        ValueError: if an argument is out of range.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        head: Literal["cifar", "imagenet"] = "cifar",
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if head not in ("cifar", "imagenet"):
            raise ValueError(f"head must be 'cifar' or 'imagenet', got {head!r}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {dropout}")
        layers: list[nn.Module] = []
        channels = in_channels
        for width, number in _STAGES:
            for position in range(number):
                layers.append(conv_block(channels, width, pool=position == number - 1))
                channels = width
        self.features = nn.Sequential(*layers).apply(_initialize)
        if head == "cifar":
            self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, num_classes))
        else:
            self.head = nn.Sequential(
                nn.AdaptiveAvgPool2d(7),
                nn.Flatten(),
                *(nn.Linear(channels * 7**2, 4096), nn.ReLU(inplace=True), nn.Dropout(dropout)),
                *(nn.Linear(4096, 4096), nn.ReLU(inplace=True), nn.Dropout(dropout)),
                nn.Linear(4096, num_classes),
            )
        self.head.apply(_initialize)

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits (B, K) of images (B, C, H, W)."""
        logits: Tensor = self.head(self.features(image))
        return logits

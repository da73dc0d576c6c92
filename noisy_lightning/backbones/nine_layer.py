"""A network of nine convolutions: Han et al., "Co-teaching", NeurIPS 2018."""

from typing import final

from torch import Tensor, nn

from noisy_lightning.backbones.convolution import conv_block


@final
class NineLayerCNN(nn.Module):
    """Co-teaching's nine convolutions of 128 to 512 channels, then a linear layer: 4.4 million parameters.

    Args:
        num_classes: number of classes K.
        in_channels: number of image channels C; images are 28×28 or larger.
        dropout: probability of dropping a channel after each pooling, in [0, 1). The paper's table has 0.25, but
            its code, under the PyTorch of its time, left dropout switched off: its results are those of 0.
    """

    def __init__(self, num_classes: int, in_channels: int, dropout: float = 0.25) -> None:
        super().__init__()
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {dropout}")
        slope = 0.01
        self.features = nn.Sequential(
            conv_block(in_channels, 128, negative_slope=slope),
            conv_block(128, 128, negative_slope=slope),
            conv_block(128, 128, negative_slope=slope, pool=True),
            nn.Dropout2d(dropout),
            conv_block(128, 256, negative_slope=slope),
            conv_block(256, 256, negative_slope=slope),
            conv_block(256, 256, negative_slope=slope, pool=True),
            nn.Dropout2d(dropout),
            conv_block(256, 512, negative_slope=slope, padding=0),
            conv_block(512, 256, negative_slope=slope, padding=0),
            conv_block(256, 128, negative_slope=slope, padding=0),
        )
        self.classifier = nn.Linear(128, num_classes)

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits (B, K) of images (B, C, H, W)."""
        logits: Tensor = self.classifier(self.features(image).mean((2, 3)))
        return logits

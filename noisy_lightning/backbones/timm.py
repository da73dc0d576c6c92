"""Any network of timm, untrained or with pretrained weights for transfer learning."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

import torch.nn.functional as F
from torch import Tensor, nn

from noisy_lightning.backbones.checkpoint import load_weights
from noisy_lightning.errors import InputError


@final
class Timm(nn.Module):
    """Any image classifier of timm, by name.

    Args:
        num_classes: number of classes K.
        in_channels: number of image channels C.
        name: timm's name of the architecture, with or without the tag of its weights.
        pretrained: start from timm's pretrained weights, downloaded from the Hugging Face hub unless its cache
            already holds them. The classifier starts afresh.
        checkpoint_path: start from this local file instead: safetensors, or a torch file that loads with
            weights_only=True, such as a checkpoint of a run with this backbone. A classifier for another number
            of classes starts afresh.
        drop_rate: probability of dropout before the classifier, in [0, 1).
        image_size: height and width in pixels to which images are resized on the device (bilinear), at least 1;
            by default they stay as they are. Pretrained networks usually want 224 or more; Ouellette and Mahmoud
            (2023) fed 32 to EfficientNet-B3.

    Raises:
        InputError: if timm knows no such name, or the weights cannot be had or do not fit.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        name: str = "resnet18",
        *,
        pretrained: bool = False,
        checkpoint_path: str | None = None,
        drop_rate: float = 0.0,
        image_size: int | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= drop_rate < 1:
            raise ValueError(f"drop_rate must be in [0, 1), got {drop_rate}")
        if image_size is not None and image_size < 1:
            raise ValueError(f"image_size must be in [1, inf), got {image_size}")
        self.image_size = image_size
        from_hub = pretrained and checkpoint_path is None
        self.network = _create(name, from_hub, num_classes=num_classes, in_chans=in_channels, drop_rate=drop_rate)
        if checkpoint_path is not None:
            load_weights(self.network, Path(checkpoint_path), _classifiers(self.network))

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits (B, K) of images (B, C, H, W)."""
        size = self.image_size
        if size is not None and image.shape[2:] != (size, size):
            image = F.interpolate(image, size=(size, size), mode="bilinear")
        logits: Tensor = self.network(image)
        return logits

    def get_classifier(self) -> nn.Module | Sequence[nn.Module]:
        """Return the last layer, or the last layers, of the network."""
        network: Any = self.network
        layers: nn.Module | Sequence[nn.Module] = network.get_classifier()
        return layers


def _create(name: str, pretrained: bool, **arguments: Any) -> nn.Module:
    import timm  # noqa: PLC0415  # takes more than a second, which no other backbone should cost

    if not timm.is_model(name):
        similar = difflib.get_close_matches(name, timm.list_models(), n=3, cutoff=0.4)
        raise InputError(f"timm has no model {name!r}" + (f"; similar: {', '.join(similar)}" if similar else ""))
    try:
        network: nn.Module = timm.create_model(name, pretrained=pretrained, **arguments)
    except (OSError, RuntimeError) as error:
        if not pretrained:
            raise
        hub_id = getattr(timm.models.get_pretrained_cfg(name), "hf_hub_id", None)
        if not hub_id:
            raise InputError(f"timm has no pretrained weights for {name!r}: set pretrained to false") from error
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"the pretrained weights of {name!r} cannot be loaded from the hub ({reason}). On a machine with "
            f"network, download https://huggingface.co/{hub_id}/resolve/main/model.safetensors, put the file "
            "anywhere on this machine and set the backbone's checkpoint_path to it"
        ) from error
    return network


def _classifiers(network: nn.Module) -> Sequence[str]:
    configuration: Any = network.pretrained_cfg
    names: str | Sequence[str] = configuration["classifier"]
    return [names] if isinstance(names, str) else names

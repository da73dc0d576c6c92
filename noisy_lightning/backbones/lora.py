"""Low-rank adaptation of pretrained networks: Hu et al., "LoRA", ICLR 2022."""

import math
from collections.abc import Sequence
from typing import Any, Literal, final

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from noisy_lightning.backbones.timm import Timm


@final
class LoRA(nn.Module):
    """Any network of timm, of which an update of low rank is trained, W + (α/r)·B·A, and the classifier; no more.

    A (r, in) begins with the random weights of a linear layer, B (out, r) with zeros: the network begins as it was. All
    other weights stay as they are, biases and normalizations included. What `model.freeze_body_epochs`,
    `model.body_lr_factor` and `model.layer_decay` say of the body is then said of A and B.

    The update is added to the weights, by torch's own parametrizations, and not to the outputs of layers: that is the
    same function. What is exported has the sums alone; a checkpoint holds all weights, those of the network, too.
    Unlike in the authors' code, there is no dropout before A.

    Args:
        num_classes: number of classes K.
        in_channels: number of image channels C.
        name: timm's name of the network, as for `Timm`.
        weights: where training starts, as for `Timm`: hub, a package or a file. None: nothing is pretrained.
        rank: r, at least 1.
        alpha: α > 0; the update is multiplied by α/r.
        targets: the linear layers that adapt, by the ends of their names: attention's in timm's vision transformers are
            attn.qkv and attn.proj, those after it mlp.fc1 and mlp.fc2.
        image_size: as for `Timm`, but None is the size that the network is made for.
        arguments: further ones of timm's constructor, such as {img_size: 96} for a vision transformer.

    Raises:
        InputError: if timm knows no such name, or the weights cannot be had or do not fit.
        ValueError: if a value is out of range, or no linear layer is called so.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        name: str = "vit_tiny_patch16_224",
        *,
        weights: str | None = None,
        rank: int = 8,
        alpha: float = 16.0,
        targets: Sequence[str] = ("attn.qkv", "attn.proj"),
        image_size: int | Literal["unchanged"] | None = None,
        arguments: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if rank < 1:
            raise ValueError(f"rank must be in [1, inf), got {rank}")
        if not 0 < alpha < math.inf:
            raise ValueError(f"alpha must be in (0, inf), got {alpha}")
        self.network = Timm(num_classes, in_channels, name, weights=weights, image_size=image_size, arguments=arguments)
        if image_size is None and self.network.image_size is None:
            self.network.image_size = _made_for(self.network.network)
        self.inputs = self.network.inputs
        self.requires_grad_(False)
        layers = {name: layer for name, layer in self.network.named_modules() if isinstance(layer, nn.Linear)}
        adapted = [layer for name, layer in layers.items() if f".{name}".endswith(tuple(f".{end}" for end in targets))]
        if not adapted:
            ends = sorted({".".join(name.split(".")[-2:]) for name in layers})
            raise ValueError(f"targets: no linear layer of {name} ends in {' or '.join(targets)}; there are {ends}")
        for layer in adapted:
            parametrize.register_parametrization(layer, "weight", _LowRank(layer, rank, alpha))
        for last in _as_list(self.get_classifier()):
            last.requires_grad_(True)

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits (B, K) of images (B, C, H, W)."""
        logits: Tensor = self.network(image)
        return logits

    def get_classifier(self) -> nn.Module | Sequence[nn.Module]:
        """Return the last layer, or the last layers, of the network."""
        return self.network.get_classifier()


class _LowRank(nn.Module):
    """Adds (α/r)·B·A to a weight (out, in)."""

    def __init__(self, layer: nn.Linear, rank: int, alpha: float) -> None:
        super().__init__()
        self.scale = alpha / rank
        self.down = nn.Parameter(torch.empty(rank, layer.in_features))
        self.up = nn.Parameter(torch.zeros(layer.out_features, rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, weight: Tensor) -> Tensor:
        """Return the weight with its update."""
        return weight + self.scale * (self.up @ self.down)


def merge(network: nn.Module) -> None:
    """Put layers with the sum of both in place of those with an update, as if all of the network had been trained.

    Not by torch's `remove_parametrizations`, after which the network that this one is a copy of would not work.
    """
    for name, layer in list(network.named_modules()):
        if isinstance(layer, nn.Linear) and _adapts(layer):
            plain = nn.Linear(layer.in_features, layer.out_features, layer.bias is not None)
            plain.weight, plain.bias = nn.Parameter(layer.weight.detach()), layer.bias
            network.set_submodule(name, plain.train(layer.training))


def _adapts(layer: nn.Module) -> bool:
    if not parametrize.is_parametrized(layer, "weight"):
        return False
    return any(isinstance(part, _LowRank) for part in layer.get_submodule("parametrizations.weight").children())


def _made_for(network: Any) -> int | None:
    """Return the size of the images that a network of timm is made for, in pixels."""
    size = getattr(getattr(network, "patch_embed", None), "img_size", None) or network.pretrained_cfg["input_size"][1:]
    return int(size[0])


def _as_list(layers: nn.Module | Sequence[nn.Module]) -> list[nn.Module]:
    return [layers] if isinstance(layers, nn.Module) else list(layers)

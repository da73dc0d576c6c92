"""A classifier as it leaves a run: pixels in, probabilities out, and everything between the two inside."""

import copy
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple, Self, final

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from noisy_lightning.backbones.lora import merge
from noisy_lightning.data.sets.embedding import FeaturesOf
from noisy_lightning.methods import Method
from noisy_lightning.methods.parts.mean_teacher import MeanTeacher
from noisy_lightning.training.loaded_run import LoadedRun

ONLY, SUM, MEAN, OTHER = "those of the network", "sum over the networks", "mean over the networks", "another function"


@final
class Predicting(nn.Module):
    """The part of a method that predicts: its networks, without what it remembers of samples.

    Args:
        networks: By the names that the method has for them.
        logits: What becomes of their logits: `ONLY`, `SUM` or `MEAN`; of `OTHER` the network is the method itself.
    """

    def __init__(self, networks: Mapping[str, nn.Module], logits: str) -> None:
        super().__init__()
        self.networks, self.logits = nn.ModuleDict(networks), logits

    def forward(self, image: Tensor) -> Tensor:
        """Return the logits (B, K) of images (B, C, H, W)."""
        first, *others = self.networks.values()
        logits: Tensor = first(image)
        for network in others:
            logits = logits + network(image)
        return logits / len(self.networks) if self.logits == MEAN else logits


@final
class Deployed(nn.Module):
    """What a run predicts of images as they are: normalization, frozen network, classifier and softmax in one.

    That it takes uint8 makes a wrong range or a wrong normalization an error instead of a wrong prediction.

    Args:
        predicting: What predicts.
        inputs: All arguments of `to_input` but the image.
        features: What looks at images where the classifier is one of features.

    Attributes:
        image_shape: (C, H, W) that it takes: as large as a data set decodes images; what is more than the network
            takes is cut off inside.
    """

    scale: Tensor
    shift: Tensor
    feature_mean: Tensor
    feature_std: Tensor

    def __init__(
        self, predicting: Predicting, inputs: Mapping[str, Any], features: FeaturesOf | None, test_flips: bool = False
    ) -> None:
        super().__init__()
        self.predicting, self.test_flips = predicting, test_flips
        height, width, channels = inputs["image_shape"]
        self.margin = int(inputs.get("crop_margin", 0))
        self.image_shape = (channels, height + 2 * self.margin, width + 2 * self.margin)
        mean, std = (torch.tensor([float(value) for value in inputs[name]]).view(-1, 1, 1) for name in ("mean", "std"))
        self.register_buffer("scale", 1 / (255 * std))
        self.register_buffer("shift", -mean / std)
        self.embedding = None if features is None else features.embedding
        self.frozen = None if features is None else features.embedding.network
        if features is not None:
            self.register_buffer("feature_mean", torch.tensor(features.mean))
            self.register_buffer("feature_std", torch.tensor(features.std))

    def forward(self, image: Tensor) -> Tensor:
        """Return the probabilities (B, K) float32 of images (B, C, H, W) uint8."""
        inner = slice(self.margin, -self.margin)
        pixels = image[:, :, inner, inner] if self.margin else image
        seen = torch.addcmul(self.shift, pixels.float(), self.scale)
        if self.embedding is not None:
            seen = (self.embedding.look(seen).float() - self.feature_mean) / self.feature_std
            seen = seen.view(-1, len(self.feature_mean), 1, 1)
        logits: Tensor = self.predicting(seen)
        if self.test_flips:
            logits = (logits + self.predicting(seen.flip(3))) / 2
        return logits.float().softmax(1)

    def example(self, count: int = 2) -> Tensor:
        """Return random images (count, C, H, W) uint8, always the same."""
        generator = torch.Generator().manual_seed(0)
        return torch.randint(256, (count, *self.image_shape), dtype=torch.uint8, generator=generator)

    def in_float32(self) -> Self:
        """Return the same with a frozen network that computes in float32, on the weights rounded to bfloat16.

        These come closer to what the classifier was trained on than the weights themselves.
        """
        made = copy.deepcopy(self)
        if made.frozen is not None:
            made.frozen.float()  # the network of the embedding, too: it is the same one
        return made


class Inputs(NamedTuple):
    """What a loaded run makes inputs of images by."""

    picture: Mapping[str, Any]
    """All arguments of `to_input` but the image."""
    features: FeaturesOf | None
    """None: the network sees the image itself."""


def inputs_of(run: LoadedRun) -> Inputs:
    """Return by what a run makes inputs of images."""
    features = run.transform if isinstance(run.transform, FeaturesOf) else None
    picture = run.transform if features is None else features.picture
    assert isinstance(picture, partial)
    return Inputs(picture.keywords, features)


def deployed(run: LoadedRun) -> Deployed:
    """Return the classifier of a run, which shares no weights with it."""
    inputs = inputs_of(run)
    height, width, channels = inputs.picture["image_shape"]
    shape = (channels, height, width) if inputs.features is None else (len(inputs.features.mean), 1, 1)
    example = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    made = copy.deepcopy(Deployed(predicting(run.model.method, example), *inputs, run.model.test_flips))
    merge(made)
    # Where channels lie last, torch's archive warns of every weight.
    return made.to(memory_format=torch.contiguous_format).requires_grad_(False).eval()


@torch.no_grad()
def predicting(method: Method, image: Tensor) -> Predicting:
    """Return the part of a method that predicts.

    Args:
        method: In evaluation mode.
        image: (B, C, H, W), to try it on.
    """
    calls, logits = _calls(method, image)
    outputs = [call.output for call in calls]
    whole = all(call.image is image and call.output.shape == logits.shape for call in calls)
    if whole and len({call.network for call in calls}) == len(calls) > 0:
        names = {network: name.replace(".", "_") for name, network in method.named_modules()}
        networks = {names[call.network]: _unwrapped(call.network) for call in calls}
        total = torch.stack(outputs).sum(0)
        for kind, made in ((ONLY if len(calls) == 1 else SUM, total), (MEAN, total / len(calls))):
            if torch.allclose(made, logits, rtol=1e-5, atol=1e-6):
                return Predicting(networks, kind)
    return Predicting({"method": method}, OTHER)


class _Call(NamedTuple):
    """What a method has had a module do."""

    network: nn.Module
    image: Any
    output: Any


def _calls(method: nn.Module, image: Tensor) -> tuple[list[_Call], Tensor]:
    """Return what a method has its modules do to make logits, and these logits (B, K)."""
    depth, calls = 0, []

    def enter(*_: Any) -> None:
        nonlocal depth
        depth += 1

    def leave(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        nonlocal depth
        depth -= 1
        if depth == 1:
            calls.append(_Call(module, inputs[0] if len(inputs) == 1 else None, output))

    hooks = [register_module_forward_pre_hook(enter), register_module_forward_hook(leave)]
    try:
        logits: Tensor = method(image)
    finally:
        for hook in hooks:
            hook.remove()
    return calls, logits


def _unwrapped(network: nn.Module) -> nn.Module:
    return network.network if isinstance(network, MeanTeacher) else network

"""What an exported file says of itself: what it takes, what it gives, and how an image is made ready for it."""

from typing import Any

import torch

from noisy_lightning import __version__
from noisy_lightning.training.deployed import Deployed, inputs_of
from noisy_lightning.training.export_formats import INPUT, OPSET, OUTPUT
from noisy_lightning.training.loaded_run import LoadedRun

_MODES = {1: "L", 3: "RGB"}  # as Pillow calls them
_STEPS = (
    "of a JPEG that is larger, decode a half, a quarter or an eighth of both sides, if they stay twice as large as the "
    "longer side below (Pillow's draft)",
    "turn it upright by its EXIF orientation; of several frames take the first; divide pixels of 16 bits by 257",
    "put it in front of white where it is transparent",
    "make it {mode} (Pillow's convert)",
    "scale it, bilinear and antialiased, by the side that needs the larger factor, and cut it from the center to "
    "{height}×{width} pixels (Pillow's ImageOps.fit)",
)
_NORMALIZED = "divide by 255, subtract mean and divide by std, for each channel"


def description(run: LoadedRun, model: Deployed, format_name: str) -> dict[str, Any]:
    """Return plain data that tell a program without this package how to use an exported file.

    Args:
        run: The run.
        model: Its classifier.
        format_name: `onnx`, `torch` or `safetensors`; the last holds weights alone, for normalized images.
    """
    inputs, features = inputs_of(run)
    channels, height, width = model.image_shape
    steps = [step.format(mode=_MODES[channels], height=height, width=width) for step in _STEPS]
    about: dict[str, Any] = {
        "class_names": list(run.class_names),
        "height": height,
        "width": width,
        "mode": _MODES[channels],
        "preprocessing": steps,
        "mean": list(inputs["mean"]),
        "std": list(inputs["std"]),
    }
    if format_name == "safetensors":
        about |= _of_weights(run, model)
        if features is not None:
            about |= {"features": _of_features(run)}
    else:
        shape = f"(batch, {channels}, {height}, {width})"
        about |= {
            "input": f"{INPUT}: uint8 {shape}, {_MODES[channels]}, 0 to 255; it is normalized inside",
            "output": f"{OUTPUT}: float32 (batch, {len(run.class_names)}), in the order of class_names",
        }
    if format_name == "onnx":
        about["opset"] = OPSET
    made = f"noisy_lightning {__version__}, torch {torch.__version__}"
    return about | {"run": "/".join(run.path.resolve().parts[-2:]), "checkpoint": run.checkpoint.name, "made_by": made}


def _of_weights(run: LoadedRun, model: Deployed) -> dict[str, Any]:
    """Return what it takes to make the networks of weights again."""
    steps = [_NORMALIZED]
    if model.margin:
        steps.insert(0, f"cut {model.margin} pixels off each side")
    predicting = model.predicting
    return {
        "backbone": run.model.specification["backbone"],
        "networks": list(predicting.networks) if len(predicting.networks) > 1 else [],
        "logits": predicting.logits,
        "input": f"of the features below: float32 (batch, {len(model.feature_mean)}, 1, 1)"
        if model.embedding is not None
        else "the image after preprocessing and these steps, float32 (batch, channels, height, width): "
        + "; ".join(steps),
        "output": f"logits, float32 (batch, {len(run.class_names)}), in the order of class_names",
    }


def _of_features(run: LoadedRun) -> dict[str, Any]:
    """Return what it takes to make features of images again."""
    _, features = inputs_of(run)
    assert features is not None
    return {
        "network": run.config["data"]["init_args"]["network"],
        "stages": features.embedding.stages,
        "mean": list(features.mean),
        "std": list(features.std),
    }

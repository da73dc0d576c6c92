"""Whether an exported file predicts what its run predicts, on images of the run's data set."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from jsonargparse import ArgumentError, ArgumentParser
from torch import Tensor

from noisy_lightning.data import NoisyDataModule
from noisy_lightning.errors import InputError, in_one_line
from noisy_lightning.runs.older_keys import with_present_keys
from noisy_lightning.training.deployed import Deployed
from noisy_lightning.training.export_formats import Predict
from noisy_lightning.training.kinds import check_class_paths
from noisy_lightning.training.loaded_run import LoadedRun

TOLERANCE = 1e-3
"""How far a probability may be from what is expected."""
_AT_ONCE = 10
# What images do not depend on, and what may need files of its own.
_NOT_OF_IMAGES = ("noise", "selection", "test_sets", "cache")


class Images(NamedTuple):
    """What predictions are compared on."""

    pixels: Tensor
    """(n, C, H, W) uint8."""
    named: str
    """What they are."""


class Comparison(NamedTuple):
    """What came out of it."""

    images: str
    """On what."""
    difference: float
    """The largest between a probability by the file and that by the run."""
    agreeing: int
    """Images for which both predict the same class."""
    compared: int
    """All images."""


def images_for(run: LoadedRun, image_shape: tuple[int, int, int], count: int) -> Images:
    """Return test images of a run, or training images where there are no others, or random ones where no file is left.

    Args:
        run: The run.
        image_shape: (C, H, W).
        count: How many.
    """
    try:
        return _of_data(run.config["data"], image_shape, count)
    except (InputError, ArgumentError, OSError, RuntimeError, TypeError, ValueError) as error:
        pixels = torch.randint(
            256, (count, *image_shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
        )
        return Images(
            pixels, f"{count} random images, since those of the data set are not there: {in_one_line(str(error))}"
        )


@torch.no_grad()
def compared(run: LoadedRun, model: Deployed, exported: Deployed, predict: Predict, images: Images) -> Comparison:
    """Compare what a file predicts with what its run predicts.

    Args:
        run: The run.
        model: Its classifier.
        exported: The same as the file holds it, which may compute in another precision.
        predict: What the file predicts.
        images: What to predict.

    Raises:
        InputError: A probability is further from what it should be than `TOLERANCE`.
    """
    parts = torch.split(images.pixels, _AT_ONCE)
    own = torch.cat([_own(run, part) for part in parts])
    found = torch.cat([predict(part) for part in parts])
    expected = [(torch.cat([model(part) for part in parts]), own)]
    expected += [(found, expected[0][0] if exported is model else torch.cat([exported(part) for part in parts]))]
    worst = max(float((one - other).abs().max()) for one, other in expected)
    if not worst <= TOLERANCE:  # so that NaN is refused, too
        raise InputError(
            f"the exported file does not predict what the run does: probabilities differ by up to {worst:.2g}, "
            f"more than {TOLERANCE:g}, on {images.named}; nothing has been written"
        )
    agreeing = int((found.argmax(1) == own.argmax(1)).sum())
    return Comparison(images.named, float((found - own).abs().max()), agreeing, len(own))


def _own(run: LoadedRun, pixels: Tensor) -> Tensor:
    """Return what a run predicts of images, by the way that `load_run` offers."""
    inputs = torch.stack([run.transform(image.permute(1, 2, 0).numpy()) for image in pixels])
    probability: Tensor = run.model(inputs).float().softmax(1)
    return probability


def _of_data(config: Mapping[str, Any], image_shape: tuple[int, int, int], count: int) -> Images:
    data = _built(config)
    kind = "test" if data.has_test_set else "training"
    found = data.load_lazily(train=not data.has_test_set).images
    pixels = []
    for position in torch.linspace(0, len(found) - 1, min(count, len(found))).long():
        try:
            pixels.append(found[position.view(1)].permute(0, 3, 1, 2))
        except InputError:  # a file that cannot be read
            continue
    if not pixels or tuple(pixels[0].shape[1:]) != image_shape:
        raise InputError("there are none of this size that can be read")
    return Images(torch.cat(pixels), f"{len(pixels)} {kind} images")


def _built(config: Mapping[str, Any]) -> NoisyDataModule:
    """Return the data set that a configuration names, or the one within it that has images; nothing is downloaded."""
    arguments = dict(config.get("init_args") or {})
    if config["class_path"].endswith(".Embedded"):
        return _built(arguments["data"])
    kept = {name: value for name, value in arguments.items() if name not in _NOT_OF_IMAGES}
    specification = with_present_keys({**config, "init_args": kept})
    check_class_paths({"data": specification})
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(NoisyDataModule, "data")
    data: NoisyDataModule = parser.instantiate(parser.parse_object({"data": specification})).data
    data.download = False
    return data

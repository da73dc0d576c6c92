"""A run opened from Python: its model, what it calls its classes, what came out of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from noisy_lightning import checkpoint_file
from noisy_lightning.data.loading.network_input import to_input
from noisy_lightning.data.sets.embedding import Embedding, FeaturesOf, frozen_network
from noisy_lightning.errors import InputError
from noisy_lightning.runs import records
from noisy_lightning.runs.folder import RunFolder, existing_run
from noisy_lightning.runs.records import Records
from noisy_lightning.training.module import NoisyClassifier
from noisy_lightning.training.specification import made_of


@final
@dataclass(frozen=True)
class LoadedRun:
    """What a run left."""

    path: Path
    """Its folder."""
    checkpoint: Path
    """The file that the weights are from."""
    model: NoisyClassifier
    """In evaluation mode; maps images (B, C, H, W) to logits (B, K)."""
    class_names: Sequence[str]
    """K names, by label."""
    transform: Callable[[Any], Tensor]
    """Turns an image into what the model takes, (C, H, W) float32 on the CPU: a picture of Pillow, a file, or numbers
    (H, W), (H, W, C) or (C, H, W), uint8 or floating-point in [0, 1]; see `to_input`."""
    config: dict[str, Any]
    """Every key, as it was resolved."""
    result: dict[str, Any]
    """`result.json`; empty for a run that has not finished."""

    @cached_property
    def records(self) -> Records:
        """What every training sample went through.

        Raises:
            InputError: The run has not finished its first epoch.
        """
        return records.load(self.path)


def load_run(
    path: str | Path, checkpoint: str | None = None, device: torch.device | str = "cpu", **given: Any
) -> LoadedRun:
    """Open the folder of a run.

    Args:
        path: The folder, such as `runs/demo/0`.
        checkpoint: `best`, `last` or a file; by default the best where there is one, else the last.
        device: Where the model goes.
        **given: Arguments of `NoisyClassifier` that were given as objects, by name.

    Raises:
        InputError: There is no such run or checkpoint, or the model cannot be made again.

    Example:
        >>> from PIL import Image
        >>> run = load_run("runs/demo/0")
        >>> image = run.transform(Image.new("L", (8, 8)))  # Image.open("four.png") for a picture in a file
        >>> run.model(image.unsqueeze(0)).shape, run.class_names[:3]
        (torch.Size([1, 10]), ['0', '1', '2'])
    """
    run = existing_run(Path(path))
    file = run.checkpoint(checkpoint or ("best" if (run.checkpoints / "best.ckpt").is_file() else "last"))
    inputs = _inputs(run, checkpoint_file.read(file))
    class_names, config = inputs.pop("class_names"), run.read_config()
    return LoadedRun(
        path=run.path,
        checkpoint=file,
        model=NoisyClassifier.load_from_checkpoint(file, **given).to(device).eval(),
        class_names=class_names,
        transform=_transform(inputs, config, len(class_names)),
        config=config,
        result=run.read_result(),
    )


def _transform(inputs: dict[str, Any], config: dict[str, Any], num_classes: int) -> Callable[[Any], Tensor]:
    """Return what turns an image into an input, by the frozen network of the data set where its inputs are features."""
    features = inputs.pop("features", None)
    picture = partial(to_input, **inputs)
    if features is None:
        return picture
    make = made_of(config["data"]["init_args"]["network"])
    network = frozen_network(make, num_classes, inputs["image_shape"][2])
    embedding = Embedding(network, inputs["mean"], inputs["std"], features["stages"], views=1).rounded()
    return FeaturesOf(picture, embedding, features["mean"], features["std"])


def _inputs(run: RunFolder, checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Return class names and what `to_input` needs, from the checkpoint or, of an older run, from its folder."""
    for state in checkpoint.values():
        if isinstance(state, dict) and "inputs" in state:
            return dict(state["inputs"])
    result, config = run.read_result(), run.read_config()
    if "class_names" not in result:
        raise InputError(
            f"{run.path} is of an older version and has not finished: the same command of fit ends it first"
        )
    return {
        **{name: result[name] for name in ("class_names", "mean", "std")},
        **older_shape(config["data"], len(result["mean"])),
    }


def older_shape(data: dict[str, Any], channels: int) -> dict[str, Any]:
    """Return the shape of images that a configuration of an older run asks for."""
    from noisy_lightning import data as sets  # noqa: PLC0415  # needed for old runs only

    arguments = data.get("init_args") or {}
    size = arguments.get("image_size")
    if size is None:
        shape = getattr(sets, data["class_path"].rpartition(".")[2]).image_shape
        return {"image_shape": list(shape)}
    height, width = (size, size) if isinstance(size, int) else size
    return {"image_shape": [height, width, channels], "crop_margin": arguments.get("crop_margin", 0)}

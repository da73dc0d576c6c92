"""The files that a classifier leaves a run in: ONNX, an exported program of torch, weights alone."""

import copy
import io
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from noisy_lightning.errors import InputError, reason
from noisy_lightning.training.deployed import OTHER, Deployed

OPSET = 18  # of ONNX: the first whose Resize is antialiased, as that of large images is
INPUT, OUTPUT = "image", "probability"
EVALUATOR = "onnx's own evaluator, which is slow (onnxruntime is not installed)"
_ONE_FILE = 2**31 - 2**24  # bytes of weights that a file of ONNX can hold, with room for the graph
_PROGRAM_ABOUT = "model.json"  # in the archive of an exported program

Predict = Callable[[Tensor], Tensor]
"""Maps images (B, C, H, W) uint8 to probabilities (B, K)."""


class Format(NamedTuple):
    """A kind of file."""

    suffix: str
    write: Callable[[Deployed, Mapping[str, Any], Path], None]
    """Called with the classifier, what there is to say of it, and the path."""
    read: Callable[[Path, Deployed], tuple[Predict, str]]
    """Called with the path and the classifier; returns what the file predicts, and who has read it."""
    packages: tuple[str, ...] = ()
    """Which the extra `export` brings."""

    def check(self, name: str) -> None:
        """Check that the packages are there.

        Raises:
            InputError: They are not.
        """
        missing = [package for package in self.packages if find_spec(package) is None]
        if missing:
            raise InputError(
                f"export --format {name} needs {' and '.join(missing)}: pip install 'noisy_lightning[export]'"
            )


def _write_onnx(model: Deployed, about: Mapping[str, Any], path: Path) -> None:
    if (size := sum(value.nbytes for value in model.state_dict().values())) > _ONE_FILE:
        raise InputError(f"a file of ONNX holds 2 GB, and these weights take {size / 1e9:.1f} GB: --format torch")
    arguments: dict[str, Any] = {"input_names": [INPUT], "output_names": [OUTPUT], "opset_version": OPSET}
    arguments |= {"dynamic_shapes": _dynamic(), "dynamo": True, "verbose": False}
    with torch.no_grad():
        program: Any = torch.onnx.export(model, (model.example(),), **arguments)
        program.model.metadata_props.update(as_texts(about))
        program.save(path, external_data=False)


def _read_onnx(path: Path, _: Deployed) -> tuple[Predict, str]:
    if find_spec("onnxruntime") is None:
        from onnx.reference import ReferenceEvaluator  # noqa: PLC0415  # an extra

        session: Any = ReferenceEvaluator(str(path))
        reader = EVALUATOR
    else:
        import onnxruntime  # noqa: PLC0415  # an extra

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = torch.get_num_threads(), 3
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        reader = f"onnxruntime {onnxruntime.__version__}"
    return lambda image: torch.tensor(session.run(None, {INPUT: image.numpy()})[0]), reader


def _write_program(model: Deployed, about: Mapping[str, Any], path: Path) -> None:
    # As an open file: torch wants the name of one to end in .pt2.
    with torch.no_grad(), path.open("wb") as file:
        program = torch.export.export(model, (model.example(),), dynamic_shapes=_dynamic())
        torch.export.save(program, file, extra_files={_PROGRAM_ABOUT: json.dumps(about)})


def _read_program(path: Path, _: Deployed) -> tuple[Predict, str]:
    with path.open("rb") as file:
        return torch.export.load(file).module(), f"torch {torch.__version__}"


def _write_weights(model: Deployed, about: Mapping[str, Any], path: Path) -> None:
    if model.predicting.logits == OTHER:
        raise InputError(
            "export --format safetensors holds the weights of networks, and this method predicts by more than the sum "
            "or the mean of theirs: --format onnx or torch"
        )
    content = save(_weights(model), metadata=as_texts(about))
    path.write_bytes(content)


def _read_weights(path: Path, model: Deployed) -> tuple[Predict, str]:
    read, found = copy.deepcopy(model), load_file(path)
    for name, network in read.predicting.networks.items():
        prefix = _prefix(read, name)
        network.load_state_dict({key.removeprefix(prefix): found[key] for key in found if key.startswith(prefix)})
    return read, "torch, put into the network"


def _weights(model: Deployed) -> dict[str, Tensor]:
    """Return what a file holds of the networks: by their own names where there is one network."""
    return {
        f"{_prefix(model, name)}{key}": value.contiguous().clone()
        for name, network in model.predicting.networks.items()
        for key, value in network.state_dict().items()
    }


def _prefix(model: Deployed, name: str) -> str:
    return f"{name}." if len(model.predicting.networks) > 1 else ""


FORMATS = {
    "onnx": Format(".onnx", _write_onnx, _read_onnx, ("onnx", "onnxscript")),
    "torch": Format(".pt2", _write_program, _read_program),
    "safetensors": Format(".safetensors", _write_weights, _read_weights),
}


def as_texts(about: Mapping[str, Any]) -> dict[str, str]:
    """Return what there is to say of a classifier, each value as JSON, as files of ONNX and safetensors hold it."""
    return {key: json.dumps(value) for key, value in about.items()}


def written(name: str, model: Deployed, about: Mapping[str, Any], path: Path) -> tuple[Predict, str]:
    """Write a file and return what it predicts, and who has read it.

    Args:
        name: Of the format.
        model: The classifier.
        about: What there is to say of it: plain data.
        path: The file.

    Raises:
        InputError: The format has no such network.
    """
    steps: list[tuple[str, Callable[[], Any]]] = [
        ("written", lambda: FORMATS[name].write(model, about, path)),
        ("read again", lambda: FORMATS[name].read(path, model)),
    ]
    found: Any = None
    for step, act in steps:
        try:
            with _quietly():
                found = act()
        except (InputError, OSError):
            raise
        except Exception as error:  # exporters and readers raise whatever they meet in a network
            kinds = sorted({type(network).__name__ for network in model.predicting.networks.values()})
            others = " or ".join(other for other in FORMATS if other != name)
            raise InputError(
                f"{', '.join(kinds)} cannot be {step} as {name}: {reason(error)}; try --format {others}"
            ) from error
    result: tuple[Predict, str] = found
    return result


@contextmanager
def _quietly() -> Iterator[None]:
    """Log and print nothing: what exporters show of a network that they cannot follow is said in one line."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(before)


def _dynamic() -> tuple[dict[int, Any]]:
    return ({0: torch.export.Dim("batch")},)

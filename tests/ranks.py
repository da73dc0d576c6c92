"""Two processes that train together over gloo, without Lightning."""

import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import distributed as dist
from torch.multiprocessing.spawn import start_processes

from noisy_lightning import compat
from tests.processes import imported

Result = TypeVar("Result")


def on_two_ranks(function: Callable[..., Result], *arguments: Any) -> list[Result]:
    """Return what a function gives on rank 0 and on rank 1, each a process of one thread.

    Args:
        function: Of a test module, called with the rank and the arguments.
        arguments: To be pickled.
    """
    imported()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with compat.hidden_main():
            start_processes(_work, (folder, function, arguments), nprocs=2, start_method="forkserver")
        return [pickle.loads((folder / str(rank)).read_bytes()) for rank in range(2)]


def _work(rank: int, folder: Path, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder / 'store'}", rank=rank, world_size=2)
    result = function(rank, *arguments)
    dist.destroy_process_group()
    (folder / str(rank)).write_bytes(pickle.dumps(result))

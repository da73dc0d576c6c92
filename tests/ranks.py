"""Two processes that train together over gloo, without Lightning."""

import multiprocessing
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import distributed as dist
from torch.multiprocessing.spawn import spawn

Result = TypeVar("Result")


def on_two_ranks(function: Callable[..., Result], *arguments: Any) -> list[Result]:
    """Return what a function gives on rank 0 and on rank 1, each a process of one thread.

    Args:
        function: Of a test module, called with the rank and the arguments. It must not return tensors: their memory
            is gone with the process.
        arguments: To be pickled.
    """
    with tempfile.TemporaryDirectory() as folder, multiprocessing.Manager() as manager:
        results = manager.dict()
        spawn(_work, (Path(folder) / "store", results, function, arguments), nprocs=2)
        return [results[0], results[1]]


def _work(rank: int, store: Path, results: Any, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    results[rank] = function(rank, *arguments)
    dist.destroy_process_group()

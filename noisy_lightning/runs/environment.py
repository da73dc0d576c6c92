"""What a result was made with: hardware, versions of libraries, the commit of this code."""

import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import torch

_LIBRARIES = ("noisy_lightning", "torch", "torchvision", "lightning", "timm", "torchmetrics")
_MIB = 2**20


def versions() -> dict[str, str]:
    """Return the versions of what training rests on, by name."""
    return {name: version(name) for name in _LIBRARIES} | {"python": platform.python_version()}


def git_commit() -> str | None:
    """Return the commit that this package's files are at, with "+" where they differ from it; None outside git."""
    package = Path(__file__).parents[1]
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None  # installed: a repository around the environment says nothing about the package
    commit, changes = _git(package, "rev-parse", "HEAD"), _git(package, "status", "--porcelain", ".")
    return f"{commit}{'+' if changes else ''}"


def device_name(device: torch.device) -> str:
    """Return what a device is called."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        lines = []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())


def peak_memory(device: torch.device) -> int | None:
    """Return the most memory that this process has used so far, in MiB: of the GPU, or else of the machine.

    None where the system does not say, such as Windows.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) // _MIB
    try:
        import resource  # noqa: PLC0415
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // _MIB if sys.platform == "darwin" else peak // 1024  # bytes there, KiB on Linux


def _git(folder: Path, *args: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(folder), *args], capture_output=True, text=True, check=False)
    except OSError:  # there is no git
        return None
    return done.stdout.strip() if done.returncode == 0 else None

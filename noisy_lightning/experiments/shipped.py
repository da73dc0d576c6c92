"""The configurations that come with the package: of training runs, of selections, and of sweeps."""

import difflib
from pathlib import Path

import noisy_lightning
from noisy_lightning.errors import InputError

SWEEPS = "sweeps"
_PACKAGE = Path(noisy_lightning.__file__).parent
# Installed, they lie in the package; in a checkout, beside it.
_INSTALLED = _PACKAGE / "configs"
FOLDER = _INSTALLED if _INSTALLED.is_dir() else _PACKAGE.parent / "configs"


def names() -> list[str]:
    """Return the names of all configurations, those of sweeps as `sweeps/<name>` after the others."""
    own = [path.stem for path in sorted(FOLDER.glob("*.yaml"))]
    return [*own, *(f"{SWEEPS}/{path.stem}" for path in sorted((FOLDER / SWEEPS).glob("*.yaml")))]


def summary(name: str) -> str:
    """Return the first sentence of the comment that a configuration begins with.

    Args:
        name: One of `names`.
    """
    comment = []
    for line in (FOLDER / f"{name}.yaml").read_text(encoding="utf-8").splitlines():
        if not line.startswith("# "):
            break
        comment.append(line[2:].strip())
    text = " ".join(comment)
    end = text.find(". ", text.find("et al.") + 7 if "et al." in text else 0)
    return text if end < 0 else text[: end + 1]


def find_config(name: str | Path, sweep: bool = False) -> Path:
    """Return the file that a command line names: one that is there, or one of ours by its name.

    Args:
        name: Path of a file, or a name such as `sce_resnet18`, `sweeps/digits` or, of a sweep, `digits`.
        sweep: Whether that of a sweep is wanted.

    Raises:
        InputError: There is neither.
    """
    path = Path(name)
    if path.is_file():
        return path
    wanted = str(name).removesuffix(".yaml")
    for place in (f"{SWEEPS}/{wanted}" if sweep else wanted, wanted):
        if place in names():
            return FOLDER / f"{place}.yaml"
    known = [one.removeprefix(f"{SWEEPS}/") for one in names() if one.startswith(f"{SWEEPS}/") == sweep]
    close = difflib.get_close_matches(path.stem, known, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    raise InputError(
        f"config: there is no file {name}, and none of ours has this name{hint} (noisy-lightning configs lists them)"
    )

"""The package's imports point one way, and true labels stay out of training: read from the source, not executed."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import noisy_lightning
from noisy_lightning.types import Companion

PACKAGE = Path(noisy_lightning.__file__).parent
NAME = PACKAGE.name

# A layer may import what stands in an earlier one. Parts of the same layer do not know each other.
LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"__init__", "compat", "errors", "types"}),
    frozenset({"checkpoint_file"}),
    frozenset({"backbones", "jobs", "losses", "transition_matrix", "runs"}),
    frozenset({"regularizers"}),
    frozenset({"data", "methods"}),
    frozenset({"figures", "selectors"}),
    frozenset({"training"}),
    frozenset({"experiments"}),
    frozenset({"cli"}),
    frozenset({"__main__"}),
)
LEVEL = {part: level for level, parts in enumerate(LAYERS) for part in parts}
FILES = sorted(PACKAGE.rglob("*.py"))
# What a loop of one's own can use.
PLAIN = ("losses", "backbones", "regularizers", "methods", "transition_matrix", "checkpoint_file", "types", "errors")


def _part(path: Path) -> str:
    """Return the top-level module or package that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _of(*parts: str) -> list[Path]:
    return [path for path in FILES if _part(path) in parts]


def _id(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def _imported(path: Path) -> Iterator[str]:
    """Yield the dotted name of everything a file imports, wherever in it the import stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _own_parts(path: Path) -> Iterator[str]:
    """Yield the parts of this package that a file imports."""
    for name in _imported(path):
        package, _, rest = name.partition(".")
        if package == NAME:
            part = rest.split(".")[0]
            yield part if part in LEVEL else "__init__"  # such as noisy_lightning.__version__


def _mentions(tree: ast.AST, name: str) -> bool:
    """Return whether code reads, writes or takes something of this name, or gets it by a string."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == name:
            return True
        if isinstance(node, ast.Name) and node.id == name:
            return True
        if isinstance(node, ast.arg | ast.keyword) and node.arg == name:
            return True
        if isinstance(node, ast.Constant) and node.value == name:
            return True
    return False


def test_every_part_has_a_place_in_the_order() -> None:
    parts = {_part(path) for path in FILES}
    assert parts <= set(LEVEL), f"give {parts - set(LEVEL)} a place in LAYERS"
    assert parts > {"losses", "backbones", "data", "methods", "training", "cli"}
    assert sum(map(len, LAYERS)) == len(LEVEL)


@pytest.mark.parametrize("path", FILES, ids=_id)
def test_imports_point_one_way(path: Path) -> None:
    own = _part(path)
    wrong = {part for part in _own_parts(path) if part != own and LEVEL[part] >= LEVEL[own]}
    if own == "__init__":  # the package's face names everything, and imports it when it is asked for
        wrong = {str(node.module) for node in ast.parse(path.read_text()).body if isinstance(node, ast.ImportFrom)}
        wrong -= {"importlib", "typing"}
    assert not wrong, f"{own} may not import {', '.join(sorted(wrong))}"


def test_hooks_into_other_packages_serve_few() -> None:
    users = {_part(path) for path in FILES if "compat" in _own_parts(path)}
    assert users <= {"training", "jobs", "cli", "data"}


def test_methods_know_nothing_of_data() -> None:
    for path in _of("methods"):
        assert set(_own_parts(path)) <= set(PLAIN) - {"checkpoint_file"}, path


@pytest.mark.parametrize("path", _of(*PLAIN), ids=_id)
def test_lightning_stays_above_what_is_plain_torch(path: Path) -> None:
    assert set(_own_parts(path)) <= set(PLAIN)
    packages = {name.split(".")[0] for name in _imported(path)}
    assert not packages & {"lightning", "pytorch_lightning", "lightning_fabric", "jsonargparse", "torchmetrics"}


@pytest.mark.parametrize("path", _of("methods", "losses"), ids=_id)
def test_methods_and_losses_cannot_see_true_labels(path: Path) -> None:
    tree = ast.parse(path.read_text())
    for name in ("true_label", "true_labels", "is_clean"):
        assert not _mentions(tree, name), f"{path} uses {name}"
    assert f"{NAME}.types.Batch" not in set(_imported(path))


def _functions(path: Path) -> dict[str, ast.FunctionDef]:
    tree = ast.parse(path.read_text())
    return {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_the_module_reads_true_labels_only_to_measure() -> None:
    for file, wanted in {"module": set(), "classifier": {"validation_step", "test_step", "predict_step"}}.items():
        functions = _functions(PACKAGE / f"training/{file}.py")
        assert {name for name, function in functions.items() if _mentions(function, "true_label")} == wanted


def test_training_takes_a_batch_apart_by_name() -> None:
    """Handing on the whole batch, or unpacking it, would hand on the true labels."""
    step = _functions(PACKAGE / "training/module.py")["training_step"]
    uses = [node for node in ast.walk(step) if isinstance(node, ast.Name) and node.id == "batch"]
    by_name = [
        node.attr
        for node in ast.walk(step)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "batch"
    ]
    assert len(uses) == len(by_name)
    assert set(by_name) == {"image", "label", "index", "companion"}
    assert set(Companion._fields) == {"image", "index"}


def test_help_does_not_wait_for_torch() -> None:
    code = (
        "import sys, noisy_lightning.cli.main as cli; assert cli.main([]) == 0; "
        "print(sorted({name.split('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "noisy-lightning fit" in done.stdout
    loaded = set(ast.literal_eval(done.stderr))
    assert NAME in loaded
    assert not loaded & {"torch", "lightning", "numpy", "jsonargparse", "matplotlib", "sklearn"}

"""What git, pip and a new colleague see of this repository."""

import ast
import re
import subprocess
from collections.abc import Iterator

import pytest

from tests.processes import ROOT


def test_git_ignores_no_file_of_the_package() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout: nothing says what git would ignore")
    folders = ("noisy_lightning", "configs", "tests", "notebooks")
    paths = [
        str(path.relative_to(ROOT))
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and not {"__pycache__", ".ipynb_checkpoints"} & set(path.parts)
    ]
    # What is tracked counts, too: git would ignore the next file beside it.
    command = ["git", "check-ignore", "--no-index", "--stdin"]
    ignored = subprocess.run(command, cwd=ROOT, input="\n".join(paths), capture_output=True, text=True, check=False)
    assert ignored.stdout.splitlines() == []
    room = subprocess.run([*command[:3], "noisy_lightning/runs/folder.py"], cwd=ROOT, capture_output=True, check=False)
    assert room.returncode == 1


# What writes a file in its place, and why a reader never sees half of it.
_IN_PLACE = {
    "checkpoint_file.py": {"path.open('wb')"},  # of the path that `replacing` yields to its caller
    "training/export_formats.py": {"path.open('wb')", "path.write_bytes(content)"},  # likewise
    "jobs/processes.py": {"log.open('a', buffering=1)"},  # a log grows
    "figures/saving.py": {"figure.savefig(buffer, format=kind, metadata={without_date: None})"},  # no file, but memory
    "runs/locks.py": {"self.path.open('x')"},  # that it is there is the lock; who reads half of it says so
}
_WRITES = ("write_text", "write_bytes", "touch", "savefig")


def test_every_file_is_written_whole_or_not_at_all() -> None:
    found: dict[str, set[str]] = {}
    for path in (ROOT / "noisy_lightning").rglob("*.py"):
        for call in _calls_outside_replacing(ast.parse(path.read_text(encoding="utf-8"))):
            if _writes(call):
                found.setdefault(path.relative_to(ROOT / "noisy_lightning").as_posix(), set()).add(ast.unparse(call))
    assert found == _IN_PLACE


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("path.write_text('a')", True),
        ("path.write_bytes(b'a')", True),
        ("path.open('w', newline='')", True),
        ("path.open(mode='ab')", True),
        ("open(path, 'r+')", True),
        ("archive.open('a.npy', 'w')", True),
        ("path.open(newline='')", False),
        ("path.open('rb')", False),
        ("write_text(path, 'a')", False),
        ("with replacing(path) as staged: staged.write_text('a')", False),
        ("with replacing(path) as staged, staged.open('w') as file: pass", False),
        ("with replacing(path) as staged: other.write_text('a')", True),
        ("with other(path) as staged: staged.write_text('a')", True),
    ],
)
def test_what_writes_a_file_in_its_place_is_found(line: str, named: bool) -> None:
    assert any(_writes(call) for call in _calls_outside_replacing(ast.parse(line))) == named


def _calls_outside_replacing(node: ast.AST, staged: frozenset[str] = frozenset()) -> Iterator[ast.Call]:
    """Yield the calls that have nothing to do with what `replacing` yields, or with what is opened on it."""
    if isinstance(node, ast.With):
        for item in node.items:
            opened = item.context_expr
            if item.optional_vars and (ast.unparse(opened).startswith("replacing(") or _names(opened) & staged):
                staged |= {ast.unparse(item.optional_vars)}
    if isinstance(node, ast.Call) and not _names(node) & staged:
        yield node
    for child in ast.iter_child_nodes(node):
        yield from _calls_outside_replacing(child, staged)


def _names(node: ast.AST) -> set[str]:
    return {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}


def _writes(call: ast.Call) -> bool:
    """Return whether a call writes to a file, as far as its name and its mode show it."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ast.unparse(call.func)
    if name == "open":
        given = [*call.args, *(keyword.value for keyword in call.keywords if keyword.arg == "mode")]
        modes = [one.value for one in given if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        return any(re.fullmatch(r"[rwaxbt+]*[wax+][bt+]*", mode) for mode in modes)
    return isinstance(call.func, ast.Attribute) and name in _WRITES


# What several modules do together, or every class of a family promises: folder, and names after `test_`.
_TOPICS = {
    "": "configs cuda damaged_files imports installation notebooks platforms public_names readme real_data repository",
    "backbones": "contract",
    "cli": "clean_on_features script",
    "data": "import",
    "data/loading": "uniforms views",
    "data/loading/recipes": "recipes",
    "data/noise": "contract names",
    "data/sets": "training_on_files",
    "losses": "algebra contract formulas published_values",
    "methods": "checkpoint_keys contract",
    "regularizers": "gradients mixing runs",
    "tools": "gallery kills mutations",
    "training": "distributed resume test_flips",
}


def test_each_file_of_tests_lies_where_its_module_lies_and_has_its_name() -> None:
    topics = {
        ROOT / "tests" / folder / f"test_{name}.py" for folder, names in _TOPICS.items() for name in names.split()
    }
    files = set((ROOT / "tests").rglob("test_*.py"))
    assert topics <= files
    for file in files - topics:
        place = (ROOT / "noisy_lightning" / file.relative_to(ROOT / "tests")).parent / file.stem.removeprefix("test_")
        assert place.with_suffix(".py").is_file() or place.is_dir(), file

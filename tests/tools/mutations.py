"""Measures how many small mistakes in the code the tests notice: applies each of `mutations.txt` to a copy of the package.

A mutation is one piece of code put in place of another, and is caught where one of the tests named beside it fails. This
process imports what all tests need and is then forked for each mutation, so that most take as long as their tests.

    python -m tests.tools.mutations              all of them
    python -m tests.tools.mutations records.py   those that have a text in their line or file
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import NamedTuple, final

import pytest

_ROOT = Path(__file__).parents[2]
_PACKAGE = "noisy_lightning"
_LIST = Path(__file__).with_name("mutations.txt")
_SHARED = (
    *("torch", "torchvision", "torchmetrics", "lightning", "timm", "jsonargparse", "sklearn.mixture", "scipy.special"),
    *("matplotlib.figure", "matplotlib.backends.backend_agg", "torch.utils.tensorboard", "numpy.testing", "submitit", "PIL.Image"),
)
# Of the plugins that are installed only the one whose settings pyproject.toml has: the others take seconds to load.
_OPTIONS = ("-q", "--import-mode=append", "-p", "pytest_timeout", "-p", "no:cacheprovider")
_LONGEST = 600  # seconds for the tests of one mutation; what takes longer is not caught
_TICK = 0.05


class Mutation(NamedTuple):
    """A line of the list."""

    file: str
    """Below the package."""
    old: str
    """Stands once in the file."""
    new: str
    tests: tuple[str, ...]
    """Arguments of pytest, relative to `tests/`."""
    line: int
    """In the list."""

    @property
    def text(self) -> str:
        """What a pattern is sought in, and what is shown."""
        return f"{self.file}: {self.old} => {self.new}".replace("\n", "\\n")


def read_mutations(text: str) -> list[Mutation]:
    """Read a list: a line `FILE: TESTS...`, below it indented ones `OLD => NEW`; `#` begins a comment, `\\n` ends a line.

    `OLD => NEW @@ TESTS...` names tests of its own.

    Raises:
        ValueError: A line is none of these.
    """
    found: list[Mutation] = []
    file, tests = "", ()
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if not line.startswith(" "):
            file, _, names = line.partition(":")
            tests = tuple(names.split())
            continue
        change, _, own = line.strip().partition(" @@ ")
        old, arrow, new = change.partition(" =>")
        if not (arrow and file and old and (own or tests)):
            raise ValueError(f"line {number} is no mutation: {line}")
        old, new = (part.replace("\\n", "\n") for part in (old, new.removeprefix(" ")))
        found.append(Mutation(file, old, new, tuple(own.split()) or tests, number))
    return found


def mutated(source: str, mutation: Mutation) -> str:
    """Return the source with the mutation.

    Raises:
        ValueError: Its old text does not stand there exactly once, or what comes of it is no Python.
    """
    count = source.count(mutation.old)
    if count != 1:
        raise ValueError(f"stands there {count} times")
    changed = source.replace(mutation.old, mutation.new)
    compile(changed, mutation.file, "exec")
    return changed


@final
class _FirstFailure:
    """Notes what failed first: a test, or the collection of tests."""

    def __init__(self) -> None:
        self.test, self.collected = "", True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self.test:
            self.test = report.nodeid

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self.collected = self.collected and not report.failed


def _run_tests(folder: Path, tests: Sequence[str]) -> str:
    """Run tests on the package in a folder, and return what came of it; the rest of this process is theirs."""
    sys.path[:] = [str(folder), str(_ROOT), *(path for path in sys.path if path not in ("", str(_ROOT)))]
    os.environ |= {"PYTHONPATH": os.pathsep.join(sys.path[:2]), "PYTHONSAFEPATH": "1"}  # for processes that tests start
    os.chdir(_ROOT)
    output = folder / "output"
    with output.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    first = _FirstFailure()
    options = [*_OPTIONS, "-x", "--basetemp", str(folder / "basetemp")]
    code = pytest.main([*options, *(f"tests/{test}" for test in tests)], plugins=[first])
    sys.stdout.flush()
    package = sys.modules.get(_PACKAGE)
    if package is None or not str(package.__file__).startswith(str(folder)):
        return "not judged: the tests import another package"
    if first.test:
        return f"caught by {first.test.removeprefix('tests/')}"
    if code == 0:
        return "survived"
    return f"not judged: {' '.join(output.read_text().split())[-300:]}"


def _forked(work: Callable[[], str]) -> str:
    """Return what a function returns in a process of its own."""
    with tempfile.TemporaryFile("w+") as answer:
        child = os.fork()
        if not child:
            os.setsid()
            try:
                answer.write(work())
            except BaseException as error:
                answer.write(f"not judged: {error!r}")
            answer.flush()
            os._exit(0)
        end = time.monotonic() + _LONGEST
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            if time.monotonic() > end:
                os.killpg(child, 9)
                os.waitpid(child, 0)
                return f"took more than {_LONGEST} s"
            time.sleep(_TICK)
        answer.seek(0)
        return answer.read() or "not judged: its process has died"


def _judge(mutation: Mutation | None, tests: Sequence[str]) -> str:
    """Return what the tests say of a copy of the package with a mutation, or with none."""
    with tempfile.TemporaryDirectory(prefix="mutation_") as name:
        folder = Path(name)
        shutil.copytree(_ROOT / _PACKAGE, folder / _PACKAGE)
        (folder / "configs").symlink_to(_ROOT / "configs")
        if mutation is not None:
            path = folder / _PACKAGE / mutation.file
            try:
                path.write_text(mutated(path.read_text(encoding="utf-8"), mutation), encoding="utf-8")
            except (OSError, SyntaxError, ValueError) as error:
                return f"not found: {error}"
        return _forked(lambda: _run_tests(folder, tests))


def _verdicts(mutations: Sequence[Mutation]) -> Iterator[tuple[Mutation, str]]:
    """Judge mutations; a test that fails without one, too, catches nothing."""
    unchanged: dict[str, str] = {}
    for mutation in mutations:
        verdict = _judge(mutation, mutation.tests)
        caught, _, test = verdict.partition(" by ")
        if caught == "caught":
            if test not in unchanged:
                unchanged[test] = _judge(None, [test])
            if unchanged[test] != "survived":
                verdict = f"not judged: without it, {unchanged[test]}"
        yield mutation, verdict


def main() -> int:
    """Judge the mutations that a command line chooses; the exit code is 1 where less than 95 % are caught."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("texts", nargs="*", help="Judge those that have one of these texts; all by default.")
    texts = parser.parse_args().texts
    every = read_mutations(_LIST.read_text(encoding="utf-8"))
    wanted = [one for one in every if not texts or any(text in one.text for text in texts)]
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    for name in _SHARED:
        import_module(name)
    pytest.main([*_OPTIONS, "--version"])
    counts: Counter[str] = Counter()
    for mutation, verdict in _verdicts(wanted):
        kind = verdict.partition(" by ")[0].partition(":")[0]
        counts[kind] += 1
        print(f"{mutation.line}: {verdict}: {mutation.text}", flush=True)
    share = counts["caught"] / max(1, len(wanted))
    print(f"{counts['caught']} of {len(wanted)} mutations caught, {100 * share:.1f} %: {dict(counts)}")
    return int(share < 0.95)


if __name__ == "__main__":
    sys.exit(main())

"""Measures how many small mistakes in the code tests notice: tries those in `mutations.txt` on a copy of the package.

A mutation is one piece of code put in place of another, and is caught where a test named beside it fails, which passes
without it. This process imports what all tests need and is forked for each mutation, so that one takes little longer
than its tests. Verdicts can be kept (`--log`), and only what has none in there is judged by the next call.

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
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import NamedTuple, final

import pytest

_ROOT = Path(__file__).parents[2]
_PACKAGE = "noisy_lightning"
_LIST = Path(__file__).with_name("mutations.txt")
_SHARED = (
    *("torch", "torchvision", "torchmetrics", "lightning", "timm", "jsonargparse", "sklearn.mixture", "scipy.special"),
    *(
        "matplotlib.figure",
        "matplotlib.backends.backend_agg",
        "torch.utils.tensorboard",
        "numpy.testing",
        "submitit",
        "PIL.Image",
    ),
)
# Of the plugins that are installed only the one whose settings pyproject.toml has: the others take seconds to load.
_OPTIONS = ("-q", "--import-mode=append", "-p", "pytest_timeout", "-p", "xdist.plugin", "-p", "no:cacheprovider")
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
    """Read a list: lines `FILE: TESTS...`, below each indented ones `OLD => NEW`, or `OLD => NEW @@ TESTS...`.

    `#` begins a comment; `\\n` stands for the end of a line.

    Raises:
        ValueError: A line is none of these.
    """
    found: list[Mutation] = []
    file = ""
    tests: tuple[str, ...] = ()
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
class _Failures:
    """Notes which tests fail, and whether all could be collected."""

    def __init__(self) -> None:
        self.tests: list[str] = []
        self.collected = True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.tests.append(report.nodeid.removeprefix("tests/"))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self.collected = self.collected and not report.failed


def _run_tests(folder: Path, tests: Sequence[str], options: Sequence[str]) -> str:
    """Run tests on the package in a folder, and return what came of it; the rest of this process is theirs."""
    sys.path[:] = [str(folder), str(_ROOT), *(path for path in sys.path if path not in ("", str(_ROOT)))]
    os.environ |= {"PYTHONPATH": os.pathsep.join(sys.path[:2]), "PYTHONSAFEPATH": "1"}  # for processes that tests start
    os.chdir(_ROOT)
    output = folder / "output"
    with output.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    failures = _Failures()
    options = [*_OPTIONS, *options, "--basetemp", str(folder / "basetemp")]
    code = pytest.main([*options, *(f"tests/{test}" for test in tests)], plugins=[failures])
    sys.stdout.flush()
    package = sys.modules.get(_PACKAGE)
    if package is None or not str(package.__file__).startswith(str(folder)):
        return "not judged: the tests import another package"
    if failures.tests and failures.collected:
        return "caught by " + "\n".join(failures.tests)
    return "survived" if code == 0 else f"not judged: {' '.join(output.read_text().split())[-300:]}"


@final
class _Trial:
    """A process that runs tests on a copy of the package, with a mutation or with none."""

    def __init__(self, mutation: Mutation | None, tests: Sequence[str], *options: str) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="mutation_"))
        self._end = time.monotonic() + _LONGEST
        self._child, self.verdict = 0, ""
        shutil.copytree(_ROOT / _PACKAGE, self._folder / _PACKAGE)
        (self._folder / "configs").symlink_to(_ROOT / "configs")
        try:
            if mutation is not None:
                path = self._folder / _PACKAGE / mutation.file
                path.write_text(mutated(path.read_text(encoding="utf-8"), mutation), encoding="utf-8")
        except (OSError, SyntaxError, ValueError) as error:
            self.verdict = f"not found: {error}"
            return
        self._child = os.fork()
        if not self._child:
            os.setsid()
            try:
                verdict = _run_tests(self._folder, tests, options)
            except BaseException as error:
                verdict = f"not judged: {error!r}"
            (self._folder / "verdict").write_text(verdict)
            os._exit(0)

    def ended(self) -> bool:
        """Whether there is a verdict; the copy is removed then."""
        if not self.verdict:
            late = time.monotonic() > self._end
            if late:
                os.killpg(self._child, 9)
            if os.waitpid(self._child, 0 if late else os.WNOHANG) == (0, 0):
                return False
            answer = self._folder / "verdict"
            died = f"took more than {_LONGEST} s" if late else "not judged: the process has died"
            self.verdict = answer.read_text() if answer.exists() else died
        shutil.rmtree(self._folder, ignore_errors=True)
        return True


def _verdicts(mutations: Sequence[Mutation], jobs: int) -> Iterator[tuple[Mutation, str]]:
    """Judge mutations, as many at a time as there are jobs."""
    waiting = list(mutations)
    running: list[tuple[Mutation, _Trial]] = []
    while waiting or running:
        while waiting and len(running) < jobs:
            running.append((waiting[0], _Trial(waiting[0], waiting[0].tests, "-x")))
            del waiting[0]
        time.sleep(_TICK)
        for one in [one for one in running if one[1].ended()]:
            running.remove(one)
            yield one[0], one[1].verdict


def _failing(tests: Sequence[str]) -> set[str]:
    """Return the tests that fail without any mutation."""
    trial = _Trial(None, tests)
    while not trial.ended():
        time.sleep(_TICK)
    verdict = trial.verdict
    if verdict.startswith("caught by "):
        return set(verdict.removeprefix("caught by ").splitlines())
    return set() if verdict == "survived" else set(tests)


def main() -> int:
    """Judge the mutations that a command line chooses; the exit code is 1 where less than 95 % are caught."""
    parser = argparse.ArgumentParser(prog="python -m tests.tools.mutations")
    parser.add_argument("texts", nargs="*", help="Judge the mutations with one of these texts; all by default.")
    parser.add_argument("--jobs", type=int, default=1, help="Mutations at a time.")
    parser.add_argument("--log", type=Path, help="File to add verdicts to; those in there are not judged anew.")
    options = parser.parse_args()
    every = read_mutations(_LIST.read_text(encoding="utf-8"))
    wanted = [one for one in every if not options.texts or any(text in one.text for text in options.texts)]
    lines = options.log.read_text().splitlines() if options.log and options.log.exists() else []
    before = dict(line.split("\t", 1) for line in lines if "\t" in line)
    verdicts = {one.text: before[one.text] for one in wanted if one.text in before}
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    for name in _SHARED:
        import_module(name)
    pytest.main([*_OPTIONS, "--version"])
    for mutation, verdict in _verdicts([one for one in wanted if one.text not in verdicts], options.jobs):
        verdicts[mutation.text] = verdict
        print(f"{mutation.line}: {verdict}: {mutation.text}", flush=True)
        if options.log:
            with options.log.open("a") as log:
                log.write(f"{mutation.text}\t{verdict}\n")
    caught = {text: verdict.removeprefix("caught by ") for text, verdict in verdicts.items() if "caught" in verdict}
    for test in _failing(sorted(set(caught.values()))) if caught else ():
        print(f"fails without any mutation and catches nothing: {test}")
        caught = {text: one for text, one in caught.items() if one != test}
    others = {text: verdict for text, verdict in verdicts.items() if text not in caught}
    for text, verdict in others.items():
        print(f"{verdict}: {text}")
    kinds = Counter(verdict.partition(":")[0].partition(" by ")[0] for verdict in others.values())
    share = len(caught) / max(1, len(wanted))
    print(f"{len(caught)} of {len(wanted)} mutations caught, {100 * share:.1f} %; others: {dict(kinds)}")
    return int(share < 0.95)


if __name__ == "__main__":
    sys.exit(main())

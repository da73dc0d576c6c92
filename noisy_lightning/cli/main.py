"""The command line: noisy-lightning COMMAND."""

import atexit
import difflib
import gc
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module

from noisy_lightning import __version__, compat
from noisy_lightning.cli.screen import print_no_more, survive_encodings
from noisy_lightning.errors import InputError, StorageError, storing

_HELP = ("-h", "--help")
_EXAMPLES = """
RUN is a run's folder, such as runs/sce_resnet18/0. FILE is a configuration of yours or the name of one of ours. Any key
can be given on the command line:
  noisy-lightning fit --config sce_resnet18 --data.noise.rate 0.6 --model.loss GCE --trainer.max_epochs 30

  noisy-lightning fit --help                 the keys
  noisy-lightning fit --model.method.help    what a key can name, and with a name what that takes
  noisy-lightning COMMAND --help             what a command takes
"""


def main(args: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        args: Command line without the program's name; None: the process's.

    Returns:
        The exit code: 0; 1 where `doctor` found a problem, a run of `sweep` failed, or a file could not be written; 2
        where the input cannot work; 130 after an interruption. Of the latter three standard error says in one line why.
        141 where whoever read standard output, such as `head`, was gone before the command had done its work.
    """
    try:
        with storing(), compat.one_report_of_boards():
            if args is not None:
                return run_here(list(args))
            survive_encodings()
            return dispatch(sys.argv[1:], alone=True)
    except (InputError, StorageError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, InputError) else 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        print_no_more()
        return 141


def dispatch(args: Sequence[str], alone: bool = False) -> int:
    """Run a command and return its exit code.

    Args:
        args: Command line without the program's name.
        alone: Whether the process has nothing else to do.

    Raises:
        InputError: The input cannot work.
    """
    if args[:1] == ["--version"]:
        print(f"noisy_lightning {__version__}")
        return 0
    if not args or args[0] in _HELP:
        print(_usage(), end="")
        return 0
    # Late, as are the modules of the commands: what is only asked for help need not wait for imports.
    from noisy_lightning.cli.commands import BY_NAME  # noqa: PLC0415
    from noisy_lightning.cli.help import answered  # noqa: PLC0415

    name, *options = args
    if name not in BY_NAME:
        close = difflib.get_close_matches(name, BY_NAME, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(BY_NAME)}"
        raise InputError(f"{name} is no command; {hint}")
    command = BY_NAME[name]
    if answered(command, options):
        return 0
    with _no_garbage_sought(among_imported=not alone):
        module = import_module(f"noisy_lightning.cli.{command.module}")
    problems: int | None = getattr(module, f"run_{name}")(options)
    return 1 if problems else 0


def run_here(args: Sequence[str]) -> int:
    """Run a command line of ours in this process, as if the process had been started with it."""
    from noisy_lightning import compat  # noqa: PLC0415

    with compat.ranks_started_by("noisy_lightning.__main__", ["noisy-lightning", *args]):
        return dispatch(args)


@contextmanager
def _no_garbage_sought(among_imported: bool) -> Iterator[None]:
    """Import without looking for garbage: torch and Lightning leave none, and the looks are a fifth of their time.

    Args:
        among_imported: Whether later looks may go through what is there then.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
        if not among_imported:
            gc.freeze()
            atexit.register(gc.unfreeze)  # else what is still there at the end passes as leaked
    finally:
        if was_enabled:
            gc.enable()


def _usage() -> str:
    from noisy_lightning.cli.commands import COMMANDS  # noqa: PLC0415

    lines = [(f"noisy-lightning {command.name} {command.usage}", command.summary) for command in COMMANDS]
    width = max(len(usage) for usage, _ in lines)
    table = "\n".join(f"  {usage:<{width}}  {summary}" for usage, summary in lines)
    return f"noisy-lightning: train image classifiers on data whose labels are partly wrong.\n\n{table}\n{_EXAMPLES}"

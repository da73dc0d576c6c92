"""The command line: noisy-lightning {fit,validate,test,predict,noise,clean,sweep,report,doctor}."""

import sys
from collections.abc import Sequence

from noisy_lightning.errors import InputError

USAGE = """\
noisy-lightning: train image classifiers on data whose labels are partly wrong.

  noisy-lightning fit --config configs/sce_resnet18.yaml          train; the same command continues a killed run
  noisy-lightning test RUN [best|last|FILE]                       accuracy on the clean test set; both by default
  noisy-lightning validate RUN [best|last|FILE]                   accuracy on the noisy validation part
  noisy-lightning predict RUN [best|last|FILE]                    class probabilities of all training images
  noisy-lightning noise --config configs/sce_resnet18.yaml        draw the labels, show their noise; no training
  noisy-lightning clean --config configs/incv_sym50.yaml          find out which labels to trust; a file and a page
  noisy-lightning sweep --config configs/sweeps/study4.yaml       train and test a grid of runs; a ledger of results
  noisy-lightning report RUNS...                                  tables and pictures of what has been run
  noisy-lightning doctor --config configs/sce_resnet18.yaml       check files, labels, memory, disk and devices

RUN is a run's folder, such as runs/sce_resnet18/0. Any key of the configuration can be given on the command line:
  --data.noise.rate 0.6 --model.loss GeneralizedCrossEntropy --trainer.max_epochs 30

  noisy-lightning fit --help                 all keys
  noisy-lightning fit --data.help CIFAR10    the keys of a class
  noisy-lightning fit --config FILE --print_config
"""


def main(args: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        args: Command line without the program's name; None: the process's.

    Returns:
        The exit code: 0, 1 where `doctor` found a problem, or 2 where the input cannot work and standard error says
        why in one line.
    """
    is_of_process = args is None
    args = list(sys.argv[1:] if args is None else args)
    if not args or args[0] in ("-h", "--help"):
        print(USAGE, end="")
        return 0
    # Late, because these imports take seconds, which help need not wait for.
    try:
        if args[0] == "noise":
            from noisy_lightning.cli.noise import run_noise  # noqa: PLC0415

            run_noise(args[1:])
        elif args[0] == "clean":
            from noisy_lightning.cli.clean import run_clean  # noqa: PLC0415

            run_clean(args[1:])
        elif args[0] == "sweep":
            from noisy_lightning.cli.sweep import run_sweep  # noqa: PLC0415

            return 1 if run_sweep(args[1:]) else 0
        elif args[0] == "report":
            from noisy_lightning.cli.report import run_report  # noqa: PLC0415

            run_report(args[1:])
        elif args[0] == "doctor":
            from noisy_lightning.cli.doctor import run_doctor  # noqa: PLC0415

            return 1 if run_doctor(args[1:]) else 0
        else:
            from noisy_lightning.cli.lightning import run_command, run_here  # noqa: PLC0415

            (run_command if is_of_process else run_here)(args)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0

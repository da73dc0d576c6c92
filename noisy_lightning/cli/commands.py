"""Which commands there are and what each takes of its own: all that help needs, with next to no import."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from noisy_lightning.cli.parser import Parser


class Command(NamedTuple):
    """One command of `noisy-lightning`."""

    name: str
    usage: str
    """What follows its name."""
    summary: str
    module: str
    """In `noisy_lightning.cli`; the function in it is `run_<name>`."""
    description: str
    add_own: Callable[[Parser], None] = lambda _: None
    """Adds the options that are not keys of fit."""
    takes_keys: bool = True
    """Whether it takes the keys of fit, too."""
    also: str = ""
    """What else its help says."""


def _of_sweep(parser: Parser) -> None:
    parser.add_argument("-c", "--config", type=Path, required=True, help="Sweep: a file, or the name of ours.")
    parser.add_argument("--root", type=Path, default=Path("runs"), help="Folder of all runs.")
    parser.add_argument(
        "--name", type=str | None, help="Folder of this sweep's runs there; the file's name by default."
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="List the runs, with what each may cost, and do nothing."
    )
    parser.add_argument("--only", nargs="+", default=[], metavar="AXIS=PATTERN", help="The runs that match.")
    parser.add_argument(
        "--shard", type=str | None, metavar="I/N", help="Every N-th of these runs, from the I-th: for a job array."
    )
    parser.add_argument("--jobs", type=int, default=1, help="Runs at a time.")
    parser.add_argument(
        "--devices",
        type=str,
        default="",
        metavar="0,1,...",
        help="GPUs that jobs take turns on; by default each sees all.",
    )
    parser.add_argument(
        "--executor",
        choices=["processes", "local", "slurm"],
        default="processes",
        help="local and slurm submit jobs by submitit: pip install 'noisy_lightning[cluster]'.",
    )
    parser.add_argument(
        "--submitit",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="Its parameters, such as slurm_partition=gpu gpus_per_node=1 timeout_min=120 (a day by default).",
    )


def _of_report(parser: Parser) -> None:
    parser.add_argument(
        "runs", type=Path, nargs="+", help="Folder of a sweep, of a run or of several, or a CSV ledger."
    )
    parser.add_argument("--out", type=Path | None, help="Folder to write to; report/ in the first of RUNS by default.")
    parser.add_argument(
        "--across",
        type=str | None,
        metavar="AXIS",
        help="Axis whose values are columns: of the grid, or epoch, at which accuracy is taken. By default the last "
        "of several, or else epoch.",
    )
    parser.add_argument("--no-figures", action="store_true", help="Write tables only.")
    parser.add_argument("--parquet", action="store_true", help="Write the ledger as Parquet, too (needs pyarrow).")
    parser.add_argument("--only-print", action="store_true", help="Print the tables as Markdown, and write nothing.")


def _of_clean(parser: Parser) -> None:
    parser.add_argument("--jobs", type=int, default=1, help="Runs at a time; more than one write to log files.")
    parser.add_argument(
        "--drop",
        type=float | None,
        metavar="N",
        help="Leave out just the N most suspicious labels, or this share of all, whatever the selector selects.",
    )
    parser.add_argument(
        "--audit",
        type=bool,
        default=True,
        help="Whether to look for duplicates, outliers and odd pictures, too (audit.csv, and tabs of the page).",
    )
    parser.add_argument(
        "--projection",
        type=Literal["PCA", "UMAP"],
        default="PCA",
        help="How features are laid out on the map of suspects (embedding_map.png); UMAP needs umap-learn.",
    )


def _of_noise(parser: Parser) -> None:
    parser.add_argument(
        "--out",
        type=Path | None,
        help="Folder to write to; noise/<name of the experiment> by default. Labels that it holds are kept: other ones "
        "are refused.",
    )


def _of_export(parser: Parser) -> None:
    parser.add_argument("run", type=Path, help="Folder of a run.")
    parser.add_argument(
        "checkpoint", nargs="?", type=str | None, help="best, last or a file; the best by default, if there is one."
    )
    parser.add_argument(
        "--format",
        choices=["onnx", "torch", "safetensors"],
        default="onnx",
        help="onnx for any program (pip install 'noisy_lightning[export]'); torch for torch alone (.pt2); safetensors "
        "for weights alone.",
    )
    parser.add_argument("--out", type=Path | None, help="File to write; model_<checkpoint> in the folder of the run.")


def _of_predict(parser: Parser) -> None:
    parser.add_argument(
        "--images",
        type=Path,
        nargs="+",
        metavar="PATH",
        help="Image files, and folders of them at any depth: predict these, not the training images.",
    )
    parser.add_argument(
        "--out",
        type=Path | None,
        metavar="FILE",
        help="CSV file of their predictions, a row per image, sorted by path; predictions.csv here by default.",
    )
    parser.add_argument("--top", type=int, default=3, metavar="K", help="How many classes a row names.")
    parser.add_argument(
        "--labels",
        type=str | None,
        metavar="FILE",
        help="Table with columns path (from its own folder on) and label, to measure by; none: there are no labels. "
        "By default, images in FOLDER/CLASS/ are of that class where all folders in FOLDER are classes of the run.",
    )


def _of_list(parser: Parser) -> None:
    parser.add_argument(
        "kind", nargs="?", type=str | None, help="losses, methods, backbones, noise, data or selectors."
    )


def _of_configs(parser: Parser) -> None:
    parser.add_argument("name", nargs="?", type=str | None, help="Which to print; all are listed by default.")


def _of_completion(parser: Parser) -> None:
    parser.add_argument("shell", choices=["bash", "zsh", "tcsh"], help="Whose completion script to print.")


_RUN = "RUN [best|last|FILE] [KEYS]"

COMMANDS: Sequence[Command] = (
    Command("fit", "--config FILE [KEYS]", "train; the same command continues a killed run", "training", ""),
    Command(
        "test",
        _RUN,
        "accuracy on the clean test set; best and last by default",
        "evaluation",
        "Measure the accuracy of a run on clean test sets, print it and add it to result.json and to TensorBoard. "
        "RUN/test/<checkpoint>/ gets tables and pictures of each class, of which are confused, of calibration and of "
        "the hardest images (--recorder.pictures false: tables only).",
    ),
    Command(
        "validate",
        _RUN,
        "accuracy on the noisy validation part",
        "evaluation",
        "Measure the accuracy of a run on its validation part, print it and add it to result.json.",
    ),
    Command(
        "predict",
        "RUN [best|last|FILE] [--images PATH... | KEYS]",
        "what it says of any images, or of all training images",
        "evaluation",
        "With --images: write class, probability and the next classes of any images to a CSV file, a row each, by the "
        "best checkpoint where there is one and none is named. Where they have labels, accuracy by class is shown, and "
        "tables and pictures of confused classes and of calibration are written to FILE_measured/. Images that cannot "
        "be read have their reason in the column error. "
        "Without: save the class probabilities of all training images in the run's folder, as "
        "predictions_<checkpoint>.npz, and the predicted class beside the given label as predictions_<checkpoint>.csv.",
        _of_predict,
        also="\nwith --images, of the keys of fit only --trainer.accelerator (auto, cpu, gpu, ...); without:\n",
    ),
    Command(
        "export",
        "RUN [best|last|FILE] [OPTIONS]",
        "one file that classifies images without this package",
        "export",
        "Write the classifier of a run into one file, and check it against the run on 100 images.",
        _of_export,
        takes_keys=False,
        also="\nA file of onnx or torch maps images, uint8 (batch, channels, height, width), to class probabilities:\n"
        "normalization and, of features, the frozen network are inside. A file of safetensors holds the weights of\n"
        "the network: for --model.backbone.weights FILE of Timm, or load_state_dict. Class names, size and how an\n"
        "image is made ready stand in the file, and beside it in FILE.json.\n",
    ),
    Command(
        "noise",
        "--config FILE [KEYS]",
        "draw the labels and show their noise; no training",
        "noise",
        "Draw the noise of a configuration without training: print the measured transition matrix, write noise.csv, "
        "noise.json and a picture of the matrix.",
        _of_noise,
    ),
    Command(
        "clean",
        "--config FILE --selector NAME [KEYS]",
        "find out which labels to trust; a file and a page",
        "clean",
        "Find out which labels to trust by runs that cross-check each other: writes selection.csv, on which fit can "
        "train (--data.selection), and suspects.html, to review the most suspicious labels.",
        _of_clean,
        also="  --selector NAME  What judges: noisy-lightning list selectors; --selector.help NAME says more.\n"
        "\nor write a copy of a folder or table of images with corrected labels; the original stays as it is:\n"
        "  noisy-lightning clean --apply verdicts.csv --out PATH --config FILE [KEYS]\n"
        "  --apply FILE     Verdicts, as suspects.html exports them: what is excluded is left out, and unsure kept.\n"
        "  --out PATH       Folder (hard links to the images), or .csv file for a table; must not be there yet.\n"
        "  --data.selection FILE\n"
        "                   Leaves out what it does not select and what has no verdict, too.\n",
    ),
    Command(
        "sweep",
        "--config FILE [OPTIONS] [KEYS]",
        "train and test a grid of runs; a ledger of results",
        "sweep",
        "Do the runs of a grid that are not done yet: each is trained and tested as by fit and test, in a folder of "
        "its own. The same command continues what was interrupted.",
        _of_sweep,
    ),
    Command(
        "report",
        "RUNS... [OPTIONS]",
        "tables and pictures of what has been run",
        "report",
        "Tables of test accuracy, mean and standard deviation over seeds, with published numbers beside them, and "
        "pictures: as one page, on which all runs can be sorted, filtered and compared, and as Markdown, LaTeX, CSV, "
        "PNG, PDF and SVG.",
        _of_report,
        takes_keys=False,
    ),
    Command(
        "doctor",
        "--config FILE [KEYS]",
        "check files, labels, memory, disk and devices",
        "doctor",
        "Check files against checksums, label order, class counts, image decoding, free disk and memory, and devices; "
        "the exit code is 1 where there is a problem.",
    ),
    Command(
        "list",
        "[KIND]",
        "losses, methods, backbones, noise, data, selectors",
        "listing",
        "List what a configuration can name: one line each, with its source.",
        _of_list,
        takes_keys=False,
    ),
    Command(
        "configs",
        "[NAME]",
        "the configurations that come with the package",
        "listing",
        "List the configurations that come with the package, or print one: noisy-lightning configs NAME > my.yaml.",
        _of_configs,
        takes_keys=False,
    ),
    Command(
        "completion",
        "SHELL",
        "a script that completes commands and options",
        "completion",
        'Print a completion script for a shell: eval "$(noisy-lightning completion bash)".',
        _of_completion,
        takes_keys=False,
    ),
)
BY_NAME = {command.name: command for command in COMMANDS}

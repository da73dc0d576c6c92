"""noisy-lightning doctor: whether a configuration can be trained here, before hours are spent on finding out."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
import numpy as np
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException

from noisy_lightning.cli.keys import built_data, data_parser
from noisy_lightning.cli.trainer_keys import check_trainer
from noisy_lightning.data import NoisyDataModule
from noisy_lightning.data.annotators import Consensus, annotator_agreement
from noisy_lightning.data.audit.audit import audit
from noisy_lightning.data.audit.findings import Findings
from noisy_lightning.data.labels import rare_classes
from noisy_lightning.data.sets.file_data import FileDataModule
from noisy_lightning.data.sets.unread import BrokenList
from noisy_lightning.errors import InputError
from noisy_lightning.runs.measures import wrong_share

_TRAINER_KEYS = ("accelerator", "devices", "precision", "strategy")
_WARNING = "WARNING"
_SHOWN = 5  # examples of a kind, and images of an example
_GIB = 2**30
_DISK_NEEDED = _GIB  # checkpoints, records and events of a run; more with large networks or thousands of epochs


class Finding(NamedTuple):
    """What one check came to."""

    topic: str
    text: str
    """What was found; for a problem with what to do about it."""
    is_problem: bool = False
    mark: str = "ok"
    """How it is marked where it is no problem."""
    examples: Sequence[str] = ()


def run_doctor(args: Sequence[str]) -> int:
    """Check files, labels, images, memory, disk and devices of a configuration, and print what was found.

    Args:
        args: Options.

    Returns:
        How many problems there are.

    Raises:
        InputError: The configuration itself cannot be read.
    """
    parser = data_parser("doctor")
    config = parser.parse_args(args)
    problems = warnings = 0
    for finding in examine(config, lambda: built_data(parser, config).with_images()):
        print(f"{'PROBLEM' if finding.is_problem else finding.mark:8}{finding.topic:9}{finding.text}", flush=True)
        for example in finding.examples:
            print(f"{'':17}{example}", flush=True)
        problems += finding.is_problem
        warnings += finding.mark == _WARNING
    warned = f", {warnings} warning{'s' * (warnings > 1)}" * (warnings > 0)
    print(("no problem found" if not problems else f"{problems} problem{'s' * (problems > 1)} found") + warned)
    return problems


def examine(config: Any, build: Callable[[], NoisyDataModule]) -> Iterator[Finding]:
    """Yield the findings, the cheap ones first; nothing is downloaded.

    Args:
        config: As parsed, with `trainer` and `run`.
        build: Returns its data module, which may look for its files at once.
    """
    try:
        check_trainer(config.trainer)
    except InputError as error:
        yield Finding("trainer", str(error), is_problem=True)
    yield _checked("devices", lambda: _devices(config.trainer))
    yield _checked("disk", lambda: _disk(config.run.root))
    try:
        data = build()
    except InputError as error:
        yield Finding("files", str(error), is_problem=True)
        return
    for module in (data, *data.test_sets.values()):
        module.download = False
    data.list_broken(BrokenList(Path()))
    yield from _unread(data)
    # Memory first: with too little of it, the system would end this process amid the others.
    for topic, check in {"memory": _memory, "files": _files, "labels": _labels}.items():
        finding = _checked(topic, partial(check, data))
        yield finding
        if finding.is_problem:
            return
    yield _classes(data)
    if data.source.consensus is not None:
        yield _crowd(data.source.consensus)
    if rare := rare_classes(data.labels[data.source.usable()], data.class_names):
        yield Finding("classes", rare, mark=_WARNING)
    yield Finding("split", f"{len(data.train_indices):,} images to train on, {len(data.val_indices):,} to validate on")
    tests = _checked("tests", lambda: _tests(data))
    yield tests
    yield from _audit(data, whole=not tests.is_problem)


def _checked(topic: str, check: Callable[[], Finding]) -> Finding:
    """Return what a check finds, or as a problem the error that it ends in."""
    try:
        return check()
    except (InputError, MisconfigurationException, OSError, ValueError, RuntimeError) as error:
        return Finding(topic, " ".join(str(error).split()), is_problem=True)


def _devices(trainer: Any) -> Finding:
    chosen = {key: trainer[key] for key in _TRAINER_KEYS}
    built = L.Trainer(**chosen, logger=False, enable_checkpointing=False, enable_progress_bar=False)
    device = built.strategy.root_device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    half = device.type == "cuda" and "bf16" in str(built.precision) and not torch.cuda.is_bf16_supported()
    text = f"{built.num_devices} × {device.type} ({name}), precision {built.precision}"
    if half:
        return Finding("devices", f"{text}: this GPU has no bfloat16, set --trainer.precision 16-mixed", True)
    return Finding("devices", text)


def _disk(root: Path) -> Finding:
    folder = next(path for path in (root.absolute(), *root.absolute().parents) if path.exists())
    free = shutil.disk_usage(folder).free
    text = f"{free / _GIB:.1f} GiB free for {root}"
    if free < _DISK_NEEDED:
        return Finding("disk", f"{text}: a run may need {_DISK_NEEDED / _GIB:.0f}, choose another --run.root", True)
    return Finding("disk", text)


def _files(data: NoisyDataModule) -> Finding:
    data.prepare_data()
    return Finding("files", "complete and, where checksums are published, equal to them")


def _unread(data: NoisyDataModule) -> Iterator[Finding]:
    """Say which files in the folders are no images of the data set, or are such of another kind."""
    for module in (data, *data.test_sets.values()):
        if isinstance(module, FileDataModule) and str(module.unread):
            yield Finding("files", str(module.unread), mark=_WARNING if module.unread.heic else "note")


def _labels(data: NoisyDataModule) -> Finding:
    data.setup("fit")
    noise = data.noise_summary()
    shape = "×".join(map(str, data.image_shape))
    return Finding(
        "labels",
        f"{noise.dataset}: {noise.num_samples:,} training images of {shape} in {noise.num_classes} classes, "
        f"{wrong_share(noise.realised_rate, noise.num_known)} ({noise.kind})",
    )


def _classes(data: NoisyDataModule) -> Finding:
    given = data.labels[data.train_indices]
    counts = torch.bincount(given[given >= 0], minlength=data.num_classes)
    missing = [data.class_names[label] for label in (counts == 0).nonzero().flatten().tolist()]
    if missing:
        shown = ", ".join(missing[:5]) + ", …" * (len(missing) > 5)
        return Finding(
            "classes",
            f"no image to train on is labeled {shown}: remove the class, or lower --data.val_fraction",
            is_problem=True,
        )
    return Finding("classes", f"{counts.min().item():,} to {counts.max().item():,} given labels each to train on")


def _crowd(found: Consensus) -> Finding:
    """Say how far several annotators agree, and which of them agree least with what they amount to."""
    counts, agreed = annotator_agreement(found)
    agreement = found.agreement.numpy()
    rule = {"majority": "majority", "dawid_skene": "Dawid and Skene's model"}[found.rule]
    text = (
        f"{len(counts):,} annotators gave {int(counts.sum()):,} labels to {len(agreement):,} images: consensus by "
        f"{rule}, with which {100 * float(agreement.mean()):.1f} % of an image's labels agree; all do on "
        f"{int((agreement == 1).sum()):,} images, {found.ties:,} are without a majority"
    )
    least = np.argsort(agreed, kind="stable")[:_SHOWN].tolist()
    examples = [
        f"{found.annotations.annotators[one]}: {100 * agreed[one]:.1f} % of {counts[one]:,} labels agree, "
        f"{100 * found.annotator_accuracy[one].item():.1f} % estimated accuracy"
        for one in least
    ]
    return Finding("crowd", text, examples=[*examples, *["…"] * (len(counts) > _SHOWN)])


def _tests(data: NoisyDataModule) -> Finding:
    if not data.has_test_set:
        return Finding("tests", "no test set: fit can run, test cannot")
    data.setup("test")
    names = ("", *(f" of {name}" for name in data.test_sets))
    counts = [len(loader.batches.schedule.index) for loader in data.test_dataloader()]
    found = (f"{count:,} test images{name}" for count, name in zip(counts, names, strict=True))
    return Finding("tests", ", ".join(found))


def _audit(data: NoisyDataModule, whole: bool) -> Iterator[Finding]:
    """Look at all images, each of them once; where one cannot be read, or the data set is not whole, only read them."""
    found, failed = [], None
    try:
        found = audit(data) if whole else []
    except InputError as error:
        failed = error
    read = _checked("images", lambda: _images(data, bool(found)))
    yield read
    if failed is not None and not read.is_problem:
        yield Finding("audit", str(failed), is_problem=True)
    for findings in found:
        if findings.members or findings.remark:
            yield _found(findings, data)
    if none := [findings.kind for findings in found if not findings.members and not findings.remark]:
        yield Finding("audit", f"no {', '.join(none)}")


def _found(findings: Findings, data: NoisyDataModule) -> Finding:
    """Return what was found of one kind, with the first examples: a note, or a warning where test images leak."""
    text = f"{findings.kind}: {findings.remark or f'{len(findings.members):,}'}"
    if findings.leaks:
        text += f", {findings.leaks:,} of them of training and test images, which can make the test accuracy too high"
    shown = [" = ".join(_named(member, data) for member in group[:_SHOWN]) for group in findings.members[:_SHOWN]]
    counts = [f" and {len(group) - _SHOWN:,} more" * (len(group) > _SHOWN) for group in findings.members[:_SHOWN]]
    examples = [f"{example}{rest}" for example, rest in zip(shown, counts, strict=True)]
    examples += ["…"] * (len(findings.members) > _SHOWN)
    return Finding("audit", f"{text} ({findings.rule})", mark=_WARNING if findings.leaks else "note", examples=examples)


def _named(member: int, data: NoisyDataModule) -> str:
    """Return the path or the number of an image, with its label."""
    is_test, position = member < 0, member if member >= 0 else -1 - member
    names = data.test_names if is_test else data.train_names
    label = int((data.test_source.labels if is_test else data.labels)[position])
    name = ("test image " if is_test else "image ") + str(position) if names is None else names[position]
    return f"{name} ({data.class_names[label] if label >= 0 else '?'})"


def _images(data: NoisyDataModule, are_read: bool) -> Finding:
    """Decode what has not been decoded yet.

    Args:
        data: Set up.
        are_read: Whether its own images have been.
    """
    for module in (*([] if are_read else [data]), *data.test_sets.values()):
        module.check_images()
    count, usable = data.num_samples, len(data.source.usable())
    rest = f", {count - usable:,} are left out" * (usable < count)
    return Finding("images", f"{usable:,} training images can be read{rest}")


def _memory(data: NoisyDataModule) -> Finding:
    """Compare what the training images will take with what is free; none of them has been read yet."""
    if not data.in_memory:
        return Finding("memory", "images are not kept: each batch is decoded when it is needed")
    augmentation, values = data.augmentation, data.num_samples * data.in_channels
    images = values * augmentation.rows * augmentation.columns  # what is decoded with a margin to crop from is larger
    ready = 0 if data.workers else values * augmentation.area
    text = f"{(images + ready) / _GIB:.2f} GiB needed for training images" + ", as they are and ready to read" * (
        ready > 0
    )
    free = _available_memory()
    if free is None:
        return Finding("memory", f"{text}; free memory is unknown here")
    text += f", {free / _GIB:.1f} GiB available"
    if images > free:
        return Finding("memory", f"{text}: choose smaller images, or decode files late by --data.cache_gib 0", True)
    if images + ready > free:
        return Finding("memory", f"{text}: set --data.workers 2, which makes batches from the images as they are", True)
    return Finding("memory", text)


def _available_memory() -> int | None:
    """Return the bytes of memory that programs can have, as Linux reports it; None elsewhere."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    values = dict(line.split(":", 1) for line in lines)
    return int(values["MemAvailable"].split()[0]) * 1024

"""Whatever is done to a file that the package reads, it is read, or refused by one line: an InputError."""

import csv
import io
import json
import shutil
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import numpy as np
import pytest
import torch
import yaml
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

from noisy_lightning import checkpoint_file
from noisy_lightning.backbones.checkpoint import load_weights, read_weights
from noisy_lightning.cli.folds import FoldRuns
from noisy_lightning.cli.keys import data_parser
from noisy_lightning.data.loading.decoding import decode
from noisy_lightning.data.manifest import read_manifest
from noisy_lightning.data.noise import LabelFile
from noisy_lightning.data.noise.scores import read_scores
from noisy_lightning.data.selection import read_selection
from noisy_lightning.data.sets.clothing1m import Clothing1M
from noisy_lightning.data.sets.image_files import ImageFiles, decode_cached
from noisy_lightning.data.sets.table import ImageTable
from noisy_lightning.errors import InputError, reading
from noisy_lightning.experiments.grid import read_sweep
from noisy_lightning.experiments.ledger import row_of, write_ledger
from noisy_lightning.experiments.page import tables_as_markdown
from noisy_lightning.experiments.report import collect
from noisy_lightning.experiments.sweep_folder import MANIFEST_FILE, SweepFolder
from noisy_lightning.methods.parts.trusted_labels import read_trusted_labels
from noisy_lightning.runs import records
from noisy_lightning.runs.claims import claim_run
from noisy_lightning.runs.folder import RunFolder
from noisy_lightning.runs.locks import Lock
from noisy_lightning.runs.summary import evaluation_table
from noisy_lightning.selectors import Fold
from noisy_lightning.training.callbacks.metrics_table import MetricsTable
from noisy_lightning.training.module import NoisyClassifier
from noisy_lightning.training.specification import read_specification, rebuilt
from noisy_lightning.transition_matrix import checked_matrix, read_matrix
from tests.conftest import SMALL
from tests.kill import Fall
from tests.networks import Plain

OLDER = Path(__file__).parent / "older_runs/finished/0"
COUNT = 4  # samples of small files


class Reader(NamedTuple):
    """Something that reads a file."""

    file: str
    """Its name, in a folder where all else is as it should be."""
    read: Callable[[Path], object]
    """Called with the file."""
    make: Callable[[Path], object] | None = None
    """Writes a sound one, with what it needs beside it; None: it is a file of a run."""


def _arrays(**arrays: Any) -> Callable[[Path], object]:
    return lambda path: np.savez_compressed(path, **arrays)


def _texts(text: str) -> Callable[[Path], object]:
    return lambda path: path.write_text(text)


def _in_run(path: Path) -> Path:
    return path.parent if path.parent.name not in ("records", "checkpoints") else path.parent.parent


def _read_run(path: Path) -> None:
    """Claim, evaluate and report a run."""
    folder = _in_run(path)
    run = RunFolder(folder)
    with reading(run.result):  # as `test` does
        evaluation_table("test", {"last": {"test/acc": 0.5, "epoch": 1}}, run.read_result(), folder)
    claim_run(folder.parent, folder.name if path.name == "config.yaml" else None, True, run.read_config()).unlock()


def _list_of_labels(path: Path) -> None:
    noise = LabelFile(path).of_images(["a b.png", "c.png"], ["cat", "dog"])
    noise.corrupt(torch.tensor([-1, -1]), None, 2, torch.Generator())


def _unfinished(path: Path) -> None:
    shutil.copytree(OLDER, path.parent, dirs_exist_ok=True)
    (path.parent / "result.json").unlink()


def _report(path: Path) -> None:
    report = collect([path])
    tables_as_markdown(report)
    report.notes()
    list(report.overall_figures())


def _table(path: Path) -> None:
    ImageTable(csv=path, broken="skip", image_size=2, cache_gib=0.0, workers=1).setup("fit")


def _resume(path: Path) -> None:
    trainer = cast(Any, SimpleNamespace(is_global_zero=True, current_epoch=2))
    MetricsTable(path).on_train_start(trainer, cast(Any, None))


def _cache(path: Path) -> None:
    if not path.exists():
        Image.new("RGB", (2, 2)).save(path.parent / "0.png")
    files = ImageFiles(path.parent, ["0.png", "1.png"], (2, 2, 3))
    folder = path.parent / "cache"
    if not path.exists():
        decode_cached(files, folder)
        shutil.copy(next(folder.iterdir()), path)
        return
    (own,) = folder.iterdir()
    shutil.copy(path, own)
    decode_cached(files, folder)


def _sweep(path: Path) -> None:
    (path.parent / "base.yaml").touch()
    read_sweep(path).runs()


def _manifest(path: Path) -> None:
    folder = SweepFolder(path.parent)
    folder.rows()
    folder.missing()


def _predictions(path: Path) -> None:
    runs = FoldRuns(path.parents[2], path, np.zeros(COUNT, np.int64), 2)
    runs._read(Fold("one", np.ones(COUNT, bool), np.ones(COUNT, bool)))


def _model(path: Path) -> None:
    checkpoint, specification = read_specification(path)
    NoisyClassifier(**rebuilt(NoisyClassifier, specification, {})).load_state_dict(checkpoint["state_dict"])


def _weights(path: Path) -> None:
    torch.save(Plain(2, 1).state_dict(), path)


def _picture(path: Path) -> None:
    Image.new("RGB", (9, 7), "red").save(path)


def _checkpoint(path: Path) -> None:
    checkpoint_file.write({"state_dict": {"a": torch.ones(3)}, "epoch": 1}, path)


def _lock(path: Path) -> None:
    path.write_text("{}")


def _ledger(path: Path) -> None:
    write_ledger(path, [{**row_of(OLDER), "axis_loss": loss, "published_source": "study 0"} for loss in ("CE", "=a")])


def _sweep_json(path: Path) -> None:
    entry = {"name": "one", "labels": {"loss": "CE"}, "published": {"loss": "ce"}}
    path.write_text(json.dumps({"published": ["study 0"], "runs": [entry, entry | {"name": "two"}]}))
    shutil.copytree(OLDER, path.parent / "one")


def _table_csv(path: Path) -> None:
    for name in ("a", "b", "c", "d"):
        Image.new("RGB", (2, 2)).save(path.parent / f"{name}.png")
    path.write_text(
        "path,label,true_label,split\na.png,cat,cat,\nb.png,dog,,train\nc.png,cat,dog,val\nd.png,dog,,test\n"
    )


def _clothing(path: Path) -> None:
    lines = "".join(f"images/{number}.jpg {number % 14}\n" for number in range(28))
    names = "".join(f"images/{number}.jpg\n" for number in range(28))
    for kind in ("noisy", "clean"):
        (path.parent / f"{kind}_label_kv.txt").write_text(lines)
    for part in ("noisy_train", "clean_val", "clean_test"):
        (path.parent / f"{part}_key_list.txt").write_text(names)


_SCORES = np.full((COUNT, 2), 0.5)
_LABELS = np.array([0, 1, 0, 1])
_SELECTION = """index,y_noisy,select,candidate,validate,eval_ratio,oracle
0,0,1,0,0,0.1,0
1,1,0,1,0,0.1,0
2,0,0,0,1,,0
3,1,1,0,0,,1
"""
_GRID = """config: base.yaml
axes:
  m: {A: {}, B: {a.b: 1, published: x}}
  c.d: [1, 2]
seeds: [0, 1]
published: [x]
"""
READERS = {
    "configuration": Reader("config.yaml", lambda path: data_parser("noise").parse_args(["--config", str(path)])),
    "run: configuration": Reader("0/config.yaml", _read_run, _unfinished),
    "run: result": Reader("result.json", _read_run),
    "run: result in a report": Reader("result.json", lambda path: _report(path.parent)),
    "run: metrics in a report": Reader("metrics.csv", lambda path: _report(path.parent)),
    "run: metrics on resume": Reader("metrics.csv", _resume),
    "run: labels": Reader("noise.csv", lambda path: (records.load(path.parent).measures(), read_manifest(path.parent))),
    "run: noise": Reader("noise.json", lambda path: read_manifest(path.parent)),
    "run: record": Reader("records/epoch_0001.npz", lambda path: records.load(_in_run(path)).measures()),
    "run: checkpoint": Reader("checkpoints/best.ckpt", _model),
    "checkpoint": Reader("last.ckpt", checkpoint_file.read, _checkpoint),
    "weights": Reader(
        "weights.pt", lambda path: load_weights(Plain(2, 1), read_weights(path), ["layers.4"], "w"), _weights
    ),
    "selection": Reader("s.csv", lambda path: read_selection(path, torch.from_numpy(_LABELS)), _texts(_SELECTION)),
    "labels: csv": Reader("l.csv", LabelFile, _texts("index,label,label_noisy\n0,1,1\n1,0,1\n")),
    "labels: npy": Reader("l.npy", LabelFile, lambda path: np.save(path, _LABELS)),
    "labels: npz": Reader("l.npz", LabelFile, _arrays(label=_LABELS, label_noisy=_LABELS)),
    "labels: json": Reader("l.json", LabelFile, _texts("[0, 1, 1, 0]")),
    "labels: txt": Reader("l.txt", _list_of_labels, _texts("a b.png 0\nc.png 1\n")),
    "labels: pt": Reader("l.pt", LabelFile, lambda path: torch.save({"worse_label": _LABELS}, path)),
    "scores: csv": Reader("p.csv", lambda path: read_scores("scores", path), _texts("0.5,0.5\n1,0\n")),
    "scores: npy": Reader("p.npy", lambda path: read_scores("scores", path), lambda path: np.save(path, _SCORES)),
    "scores: npz": Reader(
        "p.npz",
        lambda path: read_scores("scores", path),
        _arrays(probability=_SCORES, index=np.arange(COUNT), true_label=_LABELS),
    ),
    "matrix: csv": Reader("m.csv", lambda path: checked_matrix(read_matrix(path)), _texts("0.5,0.5\n1,0\n")),
    "matrix: json": Reader("m.json", lambda path: checked_matrix(read_matrix(path)), _texts("[[0.5, 0.5], [1, 0]]")),
    "matrix: npy": Reader(
        "m.npy", lambda path: checked_matrix(read_matrix(path)), lambda path: np.save(path, np.eye(2))
    ),
    "table of images": Reader("t.csv", _table, _table_csv),
    "Clothing1M": Reader("noisy_label_kv.txt", lambda path: Clothing1M(path.parent), _clothing),
    "trusted labels": Reader("t.csv", lambda path: read_trusted_labels(path, 9, 2), _texts("index,label\n0,1\n5,0\n")),
    "sweep": Reader("s.yaml", _sweep, _texts(_GRID)),
    "sweep: manifest": Reader(MANIFEST_FILE, _manifest, _sweep_json),
    "ledger": Reader("ledger.csv", _report, _ledger),
    "image: png": Reader("i.png", lambda path: decode(path, (4, 4, 3)), _picture),
    "image: jpg": Reader("i.jpg", lambda path: decode(path, (4, 4, 1)), _picture),
    "cache": Reader("c.safetensors", _cache, _cache),
    "predictions": Reader(
        "folds/one/predictions_last.npz", _predictions, _arrays(index=np.arange(COUNT), probability=_SCORES)
    ),
    "owner of a lock": Reader("lock.owner", lambda path: Lock(path.with_suffix(""))._owner_file.claim(), _lock),
}


ODD: list[Any] = [
    *(
        None,
        True,
        -1,
        0,
        2**31,
        2**70,
        1e308,
        float("nan"),
        float("inf"),
        "",
        "x",
        "é",
        "=1+1",
        [],
        {},
        [[1]],
        {"a": 1},
    ),
    *(
        "\ud800",
        "-1",
        "nan",
        "1e999",
        "9" * 5000,
        "\0",
        "../../x",
        "os.system",
        "y" * 140_000,
        [None],
        {"class_path": "x"},
    ),
]
ODD_BYTES = [
    b"",
    b"\0",
    b"\xff\xfe",
    b"\n",
    b",",
    b'"',
    b"[" * 3000,
    b"{a: " * 3000,
    b"&a [*a]",
    b"!!float x",
    b"9" * 400,
]
ODD_BYTES += [b"\x1b[2J", b"PK\5\6", b"a: &a [*a,*a]\n", b"!!python/object/apply:os.system [ls]"]
ODD_ARRAYS = [
    *(
        np.zeros((2, 3)),
        np.zeros(0),
        np.array(3),
        np.array(["a"] * COUNT),
        np.zeros(COUNT, complex),
        np.zeros(COUNT, bool),
    ),
    *(np.full(COUNT, np.nan), np.full(COUNT, 2**63, np.uint64), np.zeros(COUNT, "m8[s]"), np.arange(COUNT) - 7),
    *(np.zeros((COUNT, 0)), np.full((COUNT, 2), np.inf), np.zeros(1437), np.zeros((1437, 2)), np.zeros(COUNT, "V4")),
]
PLACE = st.floats(0, 1, exclude_max=True)
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["flip", "cut", "insert", "double", "end", "value"]), PLACE, PLACE, st.integers(0, 10**6)
    ),
    min_size=1,
    max_size=4,
)


def changed(content: bytes, changes: list[tuple[str, float, float, int]], kind: str) -> bytes:
    """Return a file's content after some of what can happen to it."""
    for what, first, second, number in changes:
        begin, end = sorted((int(first * len(content)), int(second * len(content))))
        if what == "flip" and content:
            content = content[:begin] + bytes([content[begin] ^ (1 << number % 8)]) + content[begin + 1 :]
        elif what == "cut":
            content = content[:begin] + content[begin + min(end - begin, 1 + number % 40) :]
        elif what == "insert":
            content = content[:begin] + ODD_BYTES[number % len(ODD_BYTES)] + content[begin:]
        elif what == "double":
            content = content[:end] + content[begin:end] + content[end:]
        elif what == "end":
            content = content[:end]
        else:
            content = _with_odd_value(content, kind, first, number)
    return content


def _with_odd_value(content: bytes, kind: str, place: float, number: int) -> bytes:
    """Return content in which one value is another one; as it is where it cannot be read."""
    change = {".csv": _in_table, ".npz": _in_archive, ".npy": _in_archive, ".pt": _in_torch, ".ckpt": _in_torch}
    try:
        return change.get(kind, _in_text)(content, place, number)
    except Exception:  # it had been damaged before
        return content


def _in_table(content: bytes, place: float, number: int) -> bytes:
    rows = list(csv.reader(io.StringIO(content.decode())))
    row = rows[int(place * len(rows))]
    row[number % len(row)] = str(ODD[number % len(ODD)])
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue().encode()


def _in_text(content: bytes, place: float, number: int) -> bytes:
    data = yaml.safe_load(content)
    _put(data, place, number)
    as_json = content.lstrip()[:1] in (b"{", b"[")
    return (json.dumps(data) if as_json else yaml.safe_dump(data)).encode()


def _in_archive(content: bytes, place: float, number: int) -> bytes:
    odd, buffer, found = ODD_ARRAYS[number % len(ODD_ARRAYS)], io.BytesIO(), np.load(io.BytesIO(content))
    if isinstance(found, np.ndarray):
        np.save(buffer, odd)
    else:
        arrays = dict(found)
        np.savez(buffer, **{**arrays, list(arrays)[int(place * len(arrays))]: odd})
    return buffer.getvalue()


def _in_torch(content: bytes, place: float, number: int) -> bytes:
    data, buffer = torch.load(io.BytesIO(content), weights_only=False), io.BytesIO()
    _put(data, place, number)
    torch.save(data, buffer)
    return buffer.getvalue()


def _put(data: Any, place: float, number: int) -> None:
    places = list(_places(data))
    owner, key = places[int(place * len(places))]
    owner[key] = ODD[number % len(ODD)]


def _places(data: Any) -> Any:
    """Yield where in nested lists and mappings values stand."""
    items = data.items() if isinstance(data, Mapping) else enumerate(data) if isinstance(data, list) else ()
    for key, value in items:
        yield data, key
        yield from _places(value)


def _sound(reader: Reader, folder: Path) -> Path:
    """Make a folder in which all is as it should be; return the file that is read."""
    folder.mkdir()
    if reader.make is None:
        shutil.copytree(OLDER, folder / "0")
        return folder / "0" / reader.file
    path = folder / reader.file
    path.parent.mkdir(parents=True, exist_ok=True)
    reader.make(path)
    return path


def _try(name: str, folder: Path, examples: int) -> None:
    reader = READERS[name]
    path = _sound(reader, folder / "sound")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reader.read(path)
        content = path.read_bytes()

        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(CHANGES)
        def damage(changes: list[tuple[str, float, float, int]]) -> None:
            path.write_bytes(changed(content, changes, path.suffix))
            message = ""
            try:
                reader.read(path)
            except InputError as error:
                message = str(error)
            assert len(message) <= 2000
            assert message.isprintable()

        damage()


# Reading these takes from 20 ms on.
SLOW = {"configuration", "run: checkpoint", "ledger", "run: result in a report", "table of images", "sweep: manifest"}
OF_SLOW = 60
EACH = -(-(20_000 - OF_SLOW * len(SLOW)) // (len(READERS) - len(SLOW)))


@pytest.mark.parametrize("name", READERS)
def test_a_damaged_file_is_read_or_refused_by_one_line(name: str, tmp_path: Path) -> None:
    _try(name, tmp_path, 3 if name in SLOW else 15)


def _archive(**options: Any) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", **options) as archive:
        for name, array in (("probability", _SCORES), ("loss", _LABELS), ("label", _LABELS), ("label_noisy", _LABELS)):
            member = io.BytesIO()
            np.save(member, np.tile(array, (50, 1) if array.ndim == 2 else 50))
            archive.writestr(f"{name}.npy", member.getvalue())
    return buffer.getvalue()


def _with_damaged_lzma() -> bytes:
    content = bytearray(_archive(compression=zipfile.ZIP_LZMA))
    for name in (b"probability.npy", b"label.npy"):
        begin = content.index(name) + len(name) + 9  # after the properties of the compression
        content[begin : begin + 20] = bytes(20 * [255])
    return bytes(content)


def _encrypted() -> bytes:
    content = bytearray(_archive())
    for header, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        place = content.find(header)
        while place >= 0:
            content[place + flags] |= 1
            place = content.find(header, place + 1)
    return bytes(content)


def _array_of(header: bytes, claimed: int | None = None) -> bytes:
    length = len(header) if claimed is None else claimed
    return b"\x93NUMPY\2\0" + length.to_bytes(4, "little") + header


_HUGE = b"{'descr': '<f8', 'fortran_order': False, 'shape': (%d, 2), }\n" % 10**15
EXAMPLES = {
    "LZMA, labels": ("labels: npz", _with_damaged_lzma(), "Corrupt input data"),
    "LZMA, scores": ("scores: npz", _with_damaged_lzma(), "Corrupt input data"),
    "encrypted, labels": ("labels: npz", _encrypted(), "is encrypted"),
    "encrypted, scores": ("scores: npz", _encrypted(), "is encrypted"),
    "encrypted, record": ("run: record", _encrypted(), "is encrypted"),
    "huge header": ("scores: npy", _array_of(b" " * 20_000), "is damaged: "),
    "header that ends too soon": ("scores: npy", _array_of(_HUGE, 2**32 - 1), "is damaged: "),
    "huge array, scores": ("scores: npy", _array_of(_HUGE), "is damaged: "),
    "huge array, labels": ("labels: npy", _array_of(_HUGE), "is no whole numpy file: "),
    "huge array, matrix": ("matrix: npy", _array_of(_HUGE), "is damaged: "),
    "archive for an array, matrix": ("matrix: npy", _archive(), "is damaged: "),
    "archive for an array, scores": ("scores: npy", _archive(), "is damaged: "),
    "archive for an array, labels": ("labels: npy", _archive(), "is no whole numpy file: "),
    "sources that are a number": ("sweep: manifest", b'{"published": 3, "runs": []}', "is damaged: "),
    "empty manifest": ("sweep: manifest", b"{}", "is damaged: "),
}


@pytest.mark.parametrize("example", EXAMPLES)
def test_what_chance_hardly_ever_damages_is_refused_by_one_line(example: str, tmp_path: Path) -> None:
    name, content, message = EXAMPLES[example]
    path = _sound(READERS[name], tmp_path / "sound")
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as refusal:
        READERS[name].read(path)
    assert path.name in str(refusal.value)


def test_archives_that_are_as_they_should_be_are_read(tmp_path: Path) -> None:
    for number, compression in enumerate((zipfile.ZIP_STORED, zipfile.ZIP_LZMA)):
        path = tmp_path / f"{number}.npz"
        path.write_bytes(_archive(compression=compression))
        LabelFile(path, "label_noisy")
        read_scores("scores", path)


@pytest.mark.parametrize("position", ["-1", "2", "x"])
def test_a_cache_that_names_an_image_that_is_not_there_is_refused(position: str, tmp_path: Path) -> None:
    path = _sound(READERS["cache"], tmp_path / "sound")
    with safe_open(path, "pt") as file:
        images = file.get_tensor("images")
    save_file({"images": images}, path, metadata={"broken": json.dumps({position: "why"})})
    with pytest.raises(InputError, match=r"data\.cache: .* is damaged: .*; delete it"):
        _cache(path)


def test_a_run_whose_table_has_been_emptied_goes_on_and_says_so(
    run: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Fall, "at", (1, 1))
    command = ("fit", *SMALL, "--trainer.callbacks+=tests.kill.Fall")
    with pytest.raises(ZeroDivisionError):
        run(*command)
    table = Path("runs/default/0/metrics.csv")
    table.write_bytes(b"")
    with pytest.warns(UserWarning, match=r"metrics\.csv lacks earlier epochs, and goes on without: 1$"):
        assert run(*command) == 0
    with table.open(newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1"]


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", READERS)
def test_20_000_damaged_files_are_read_or_refused_by_one_line(name: str, tmp_path: Path) -> None:
    _try(name, tmp_path, OF_SLOW if name in SLOW else EACH)

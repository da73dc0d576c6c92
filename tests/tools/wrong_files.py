"""Files for `wrong_inputs.py`: those that are right, and beside them those in which one thing is wrong."""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from noisy_lightning.cli.main import main
from noisy_lightning.data import Digits
from tests.conftest import SMALL

_GOOD = """\
trainer: {max_epochs: 1, accelerator: cpu, devices: 1}
data:
  class_path: Digits
  init_args:
    batch_size: 256
    noise: {class_path: Symmetric, init_args: {rate: 0.4}}
model:
  backbone: tests.networks.Plain
"""


def lay_out(folder: Path) -> None:
    """Write all files."""
    folder.mkdir()
    _texts(folder)
    _images(folder)
    _arrays(folder)
    _runs(folder)


def _texts(folder: Path) -> None:
    true = Digits()
    true.setup("fit")
    labels = true.labels.tolist()
    selected = [f"{index},1,0" for index in range(len(labels))]
    texts = {
        "labels.csv": "\n".join(["label_noisy", *map(str, labels), ""]),
        "labels.txt": "0\n1\n",
        "labels/short.csv": "label_noisy\n1\n2\n",
        "labels/class12.csv": "\n".join(["label_noisy", "12", *map(str, labels[1:]), ""]),
        "labels/text.csv": "\n".join(["label_noisy", *["cat"] * len(labels), ""]),
        "labels/columns.csv": "\n".join(["first,second", *["1,2"] * len(labels), ""]),
        "labels/order.csv": "\n".join(["label,label_noisy", *[f"{one},{one}" for one in sorted(labels)], ""]),
        "matrices/small.csv": "1,0\n0,1\n",
        "matrices/sum.csv": "\n".join(
            ",".join("0.5" if row == column else "0.1" if row == 3 else "0.0555555556" for column in range(10))
            for row in range(10)
        ),
        "matrices/text.csv": "cat,dog\ndog,cat\n",
        "matrices/mapping.json": '{"rows": [[1, 0], [0, 1]]}',
        "selection.csv": "\n".join(["index,select,candidate", *selected, ""]),
        "selections/columns.csv": "sample,select,candidate\n0,1,0\n",
        "selections/index.csv": "index,select,candidate\n5000,1,0\n",
        "selections/twice.csv": "index,select,candidate\n0,1,0\n0,1,0\n",
        "selections/flag.csv": "index,select,candidate\n0,sure,0\n",
        "selections/nothing.csv": "\n".join(["index,select,candidate", "0,0,0", ""]),
        "selections/others.csv": "\n".join(
            ["index,select,candidate,y_noisy", *[f"{number},1,0,3" for number in range(len(labels))], ""]
        ),
        "selections/torn.csv": "index,select,candidate\n0,1,0\n1,1",
        "configurations/tab.yaml": "trainer:\n\tmax_epochs: 1\n",
        "configurations/list.yaml": "- trainer\n- data\n",
        "configurations/text.yaml": "demo\n",
        "configurations/empty.yaml": "",
        "configurations/twice.yaml": _GOOD.replace(
            "    batch_size: 256\n", "    batch_size: 256\n    batch_size: 64\n"
        ),
        "configurations/unknown.yaml": _GOOD.replace("max_epochs", "max_epoch"),
        "configurations/flat.yaml": _GOOD + "lr: 0.1\n",
        "configurations/value.yaml": _GOOD.replace("256", "many"),
        "configurations/class.yaml": _GOOD + "  loss: SCEE\n",
        "sweeps/base.yaml": _GOOD,
        "sweeps/good.yaml": "config: base.yaml\naxes:\n  model.loss: [CrossEntropy, SymmetricCrossEntropy]\n",
        "sweeps/no_config.yaml": "config: nowhere.yaml\naxes:\n  model.loss: [CrossEntropy]\n",
        "sweeps/key.yaml": "config: base.yaml\naxis:\n  model.loss: [CrossEntropy]\n",
        "sweeps/axis.yaml": "config: base.yaml\naxes:\n  model.los: [CrossEntropy]\n",
        "sweeps/value.yaml": "config: base.yaml\naxes:\n  data.noise.rate: [low, high]\n",
        "sweeps/empty_axis.yaml": "config: base.yaml\naxes:\n  model.loss: []\n",
        "sweeps/same.yaml": "config: base.yaml\naxes:\n  model.loss: [CE, CE]\n",
        "sweeps/seeds.yaml": "config: base.yaml\naxes: {}\nseeds: three\n",
        "sweeps/twice.yaml": "config: base.yaml\naxes:\n  model.loss: [CE]\naxes:\n  model.loss: [MAE]\n",
        "sweeps/published.yaml": "config: base.yaml\naxes:\n  model.loss: [CE]\npublished: 3\n",
        "ledgers/no_ledger.csv": "a,b\n1,2\n",
        "ledgers/torn.csv": "run,acc_last\nruns/x",
    }
    for name, text in texts.items():
        _file(folder / name).write_text(text)
    _file(folder / "configurations/latin.yaml").write_bytes("# größer\n".encode("latin-1") + _GOOD.encode())
    _file(folder / "cifar/cifar-10-batches-py/data_batch_1").write_bytes(b"torn")


def _images(folder: Path) -> None:
    def write(root: str, classes: dict[str, int]) -> None:
        for name, count in classes.items():
            (folder / root / name).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                Image.new("L", (8, 8), 20 * number).save(folder / root / name / f"{name[0]}{number}.png")

    for part in ("train", "test"):
        write(f"images/{part}", {"cat": 10, "dog": 10})
    (folder / "folders/no_classes").mkdir(parents=True)
    write("folders/one_class", {"cat": 10})
    write("folders/empty_class", {"bird": 0, "cat": 10, "dog": 10})
    write("folders/broken", {"bird": 1, "cat": 10})
    (folder / "folders/broken/bird/b0.png").write_bytes(b"no picture")
    write("folders/test_class/train", {"cat": 10, "dog": 10})
    write("folders/test_class/test", {"bird": 10})
    write("folders/case", {"Cat": 10, "cat": 10, "dog": 10})
    names = [f"train/{name}/{name[0]}{number}.png" for name in ("cat", "dog") for number in range(10)]
    lines = [f"{name},{name.split('/')[1]}" for name in names]
    header = "path,label"
    tables = {
        "good": [header, *lines],
        "no_label": ["path,class", *lines],
        "missing": [header, lines[0], "train/cat/none.png,cat", *lines[1:]],
        "twice": [header, lines[0], *lines],
        "outside": [header, "../labels.csv,cat", *lines],
        "cells": [header, lines[0], "train/cat/c0.png", *lines[1:]],
        "split": [f"{header},split", f"{lines[0]},dev", *[f"{line},train" for line in lines[1:]]],
        "trusted": [f"{header},trusted", f"{lines[0]},maybe", *[f"{line},1" for line in lines[1:]]],
        "case": [header, f"{names[0]},Cat", *lines[1:]],
        "true_label": [f"{header},true_label", f"{lines[0]},dgo", *[f"{line}," for line in lines[1:]]],
    }
    for name, table in tables.items():
        _file(folder / f"tables/{name}.csv").write_text("\n".join([*table, ""]))
    (folder / "tables/latin.csv").write_bytes("\n".join([header, f"{names[0]},größe"]).encode("latin-1"))


def _arrays(folder: Path) -> None:
    np.savez(folder / "labels/whole.npz", labels=np.zeros(1437, dtype=np.int64))
    whole = (folder / "labels/whole.npz").read_bytes()
    (folder / "labels/torn.npz").write_bytes(whole[: len(whole) // 2])
    np.save(folder / "labels/floats.npy", np.zeros(1437))
    np.save(folder / "labels/objects.npy", np.array([{}] * 1437, dtype=object))
    (folder / "labels/objects.pt").write_bytes(pickle.dumps({"labels": Path("x")}))
    with (folder / "matrices/archive.npy").open("wb") as file:
        np.savez(file, matrix=np.eye(10))


def _runs(folder: Path) -> None:
    assert main(["fit", *SMALL, "--trainer.max_epochs", "1", "--run.root", str(folder / "runs")]) == 0
    run = folder / "runs/default/0"

    def damaged(name: str, damage: Callable[[Path], object]) -> None:
        copy = folder / "damaged" / name
        shutil.copytree(run, copy)
        damage(copy)

    def truncate(path: Path, left: float) -> None:
        content = path.read_bytes()
        path.write_bytes(content[: int(left * len(content))])

    damaged("config_torn", lambda copy: (copy / "config.yaml").write_text("trainer: {max_epochs: 1\n"))
    damaged("no_config", lambda copy: (copy / "config.yaml").unlink())
    damaged("no_checkpoints", lambda copy: shutil.rmtree(copy / "checkpoints"))
    damaged("truncated", lambda copy: truncate(copy / "checkpoints/last.ckpt", 0.5))
    damaged("empty", lambda copy: truncate(copy / "checkpoints/last.ckpt", 0))
    damaged("backbone", lambda copy: _other_backbone(copy / "checkpoints"))
    damaged("result_torn", lambda copy: truncate(copy / "result.json", 0.5))
    damaged("result_list", lambda copy: (copy / "result.json").write_text("[]"))
    damaged("noise_edited", lambda copy: truncate(copy / "noise.csv", 0.5))
    damaged("record_torn", lambda copy: truncate(copy / "records/epoch_0000.npz", 0.5))
    damaged("metrics_torn", lambda copy: (copy / "metrics.csv").write_text("epoch,test/acc\nfirst,high\n"))
    damaged("unfinished", lambda copy: (copy / "result.json").unlink())
    damaged("manifest", lambda copy: (copy.parent / "manifest/sweep.json").write_text("{}"))
    (folder / "damaged/manifest/config.yaml").unlink()
    (folder / "damaged/manifest/note.json").write_text(json.dumps({}))


def _other_backbone(checkpoints: Path) -> None:
    for path in checkpoints.glob("*.ckpt"):
        checkpoint = torch.load(path, weights_only=True)
        weights = checkpoint["state_dict"]
        checkpoint["state_dict"] = {name: torch.zeros(3, 3) for name in weights}
        torch.save(checkpoint, path)


def _file(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path

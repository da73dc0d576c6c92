import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from noisy_lightning.experiments.selection_pictures import _siblings


def test_points_beside_the_own_one_are_of_the_same_noise_on_the_same_data(tmp_path: Path) -> None:
    def write(name: str, rate: float, dataset: str = "Digits", kind: str = "Symmetric") -> None:
        noise = {"dataset": dataset, "noise": {"kind": kind}}
        measured = {"cross_validated_noise_rate": rate, "cross_validation": {"measured": {"accuracy": 1 - rate}}}
        (tmp_path / name).mkdir()
        (tmp_path / name / "result.json").write_text(json.dumps({**noise, **measured}))

    write("own", 0.1)
    write("another rate", 0.2)
    write("other noise", 0.3, kind="PairFlip")
    write("other data", 0.4, dataset="MNIST")
    for name, text in {"torn": "{", "a training run": "{}"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "result.json").write_text(text)
    noise: Any = SimpleNamespace(dataset="Digits", kind="Symmetric")
    assert _siblings(tmp_path / "own", noise) == {0.2: {"accuracy": 0.8}}

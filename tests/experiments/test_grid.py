from pathlib import Path

import pytest

from noisy_lightning.errors import InputError
from noisy_lightning.experiments.grid import chosen, read_sweep

SWEEP = """
config: base.yaml
published: study 4
axes:
  method:
    CE: {}
    ours, better: {config: other.yaml, published: NCE+RCE}
  noise:
    symmetric 0.3: {data.noise.rate: 0.3}
    none: {data.noise: {class_path: NoNoise}, data.val_fraction: 0}
  trainer.max_epochs: [1, 2]
seeds: [3, 4]
"""


def _write(folder: Path, text: str = SWEEP) -> Path:
    for name in ("base", "other"):
        (folder / f"{name}.yaml").touch()
    path = folder / "sweep.yaml"
    path.write_text(text)
    return path


def test_runs_are_the_product_of_the_axes_the_last_varying_fastest(tmp_path: Path) -> None:
    sweep = read_sweep(_write(tmp_path))
    runs = sweep.runs(["--data.root", "elsewhere"])
    assert len(runs) == 2 * 2 * 2 * 2
    assert sweep.published == ["study 4"]
    assert runs[0].options == [
        *("--config", str(tmp_path / "base.yaml"), "--test_every_epoch", "true", "--data.noise.rate", "0.3"),
        *("--trainer.max_epochs", "1", "--seed_everything", "3", "--data.seed", "3", "--data.root", "elsewhere"),
    ]
    assert list(runs[1].labels.values()) == ["CE", "symmetric 0.3", "1", "4"]
    last = runs[-1]
    assert last.options[:2] == ["--config", str(tmp_path / "other.yaml")]
    assert last.options[4:8] == ["--data.noise", '{"class_path": "NoNoise"}', "--data.val_fraction", "0"]
    assert last.published == {"method": "NCE+RCE"}
    assert last.title == "ours, better, none, 2, seed 4"
    assert last.slug == "ours-better_none_2_seed4"


def test_without_axes_there_is_one_run(tmp_path: Path) -> None:
    (run,) = read_sweep(_write(tmp_path, "config: base.yaml\n")).runs()
    assert run.slug == "run"


def test_patterns_and_shards_choose(tmp_path: Path) -> None:
    runs = read_sweep(_write(tmp_path)).runs()
    of_ce = chosen(runs, ["method=C*"])
    assert of_ce == list(range(8))
    assert chosen(runs, ["method=CE", "noise=none", "noise=sym*", "seed=4"]) == [1, 3, 5, 7]
    shards = [chosen(runs, shard=f"{number}/3") for number in (1, 2, 3)]
    assert sorted(number for shard in shards for number in shard) == list(range(16))
    assert chosen(runs, ["method=CE"], "2/3") == of_ce[1::3]


@pytest.mark.parametrize(
    ("only", "shard", "message"),
    [
        (["CE"], None, "'CE' is no axis=pattern; there are the axes method, noise, trainer.max_epochs, seed"),
        (["loss=CE"], None, "'loss=CE' is no axis=pattern"),
        (["method=MAE"], None, "no run matches method=MAE"),
        ([], "0/3", "shard must be i/n with 1 <= i <= n, got '0/3'"),
        ([], "4/3", "shard must be"),
        ([], "half", "shard must be"),
    ],
)
def test_a_choice_that_makes_no_sense_is_refused(
    only: list[str], shard: str | None, message: str, tmp_path: Path
) -> None:
    runs = read_sweep(_write(tmp_path)).runs()
    with pytest.raises(InputError, match=message.replace("(", r"\(")):
        chosen(runs, only, shard)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("config: base.yaml\nax: {}\n", "unknown key 'ax'; there are config, axes, seeds, published"),
        ("axes: {}\n", "is no sweep"),
        ("- 1\n", "is no sweep"),
        ("config: [\n", "line 2: did not find expected node content"),
        ("config: missing.yaml\n", r"there is no file .*missing\.yaml"),
        ("config: base.yaml\naxes: {seed: [1]}\n", "seed is the axis that the key seeds makes"),
        ("config: base.yaml\naxes: {a.b: []}\n", "a.b needs a list of values, or a mapping"),
        ("config: base.yaml\naxes: {a: {b: 3}}\n", "a, b needs a mapping of keys to values, got 3"),
        ("config: base.yaml\naxes: {a.b: [1, 1]}\n", "a.b has the value 1 twice"),
        ("config: base.yaml\nseeds: [0, -1]\n", "seeds must be a list of whole numbers >= 0"),
        ("config: base.yaml\nseeds: 3\n", "seeds must be a list"),
    ],
)
def test_a_file_that_is_no_sweep_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        read_sweep(_write(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot read .*none\.yaml"):
        read_sweep(tmp_path / "none.yaml")


def test_two_axes_cannot_both_bring_a_configuration(tmp_path: Path) -> None:
    both = "config: base.yaml\naxes: {a: {x: {config: other.yaml}}, b: {y: {config: other.yaml}}}\n"
    with pytest.raises(InputError, match="only one of a, b may have a configuration file"):
        read_sweep(_write(tmp_path, both)).runs()


def test_a_selection_of_labels_has_the_data_and_seeds_of_the_run_on_it(tmp_path: Path) -> None:
    (tmp_path / "clean.yaml").touch()
    axes = "axes: {method: {a: {clean: clean.yaml, model.loss: CE}, b: {}}, noise: {x: {data.noise.rate: 0.3}}}\n"
    ours, others = read_sweep(_write(tmp_path, f"config: base.yaml\n{axes}seeds: [3]\n")).runs(
        ["--data.root=elsewhere", "--trainer.max_epochs", "2", "--data.workers", "2"]
    )
    assert ours.clean == [
        *("--config", str(tmp_path / "clean.yaml"), "--data.noise.rate", "0.3", "--seed_everything", "3"),
        *("--data.seed", "3", "--data.root=elsewhere", "--data.workers", "2"),
    ]
    assert others.clean == []

"""Records survive a crash and a round trip."""

from pathlib import Path

import numpy as np
import pytest

from noisy_lightning.errors import InputError
from noisy_lightning.runs.measures import EpochRecord
from noisy_lightning.runs.records import load, write_epoch
from tests.runs.test_measures import CONFIDENCE, KEPT, LABELS, LOSS, PREDICTION, RECORD, SPLIT, TRUE_LABELS


@pytest.fixture
def run(tmp_path: Path) -> Path:
    lines = ["index,true_label,given_label,split"]
    for i, (true, given, split) in enumerate(zip(TRUE_LABELS, LABELS, SPLIT, strict=True)):
        lines.append(f"{i},{'' if true < 0 else true},{given},{split}")
    (tmp_path / "noise.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_round_trip_with_a_gap_and_late_selection(run):
    write_epoch(run / "records", 0, RECORD._replace(kept=None))
    margin = np.array([1.5, -0.25, 1e30, -1e30, 0, 2, np.nan], np.float32)
    write_epoch(run / "records", 11, RECORD._replace(margin=margin))
    records = load(run)
    assert records.epochs.tolist() == [0, 11]
    np.testing.assert_array_equal(records.loss[1], LOSS)
    np.testing.assert_allclose(records.confidence[1], CONFIDENCE, rtol=2**-11)
    np.testing.assert_array_equal(records.prediction, [PREDICTION, PREDICTION])
    assert records.kept is not None
    np.testing.assert_array_equal(records.kept, [[1, 1, 1, 1, 1, 1, np.nan], KEPT])
    assert records.margin is not None
    assert np.isnan(records.margin[0]).all()
    np.testing.assert_array_equal(records.margin[1], [1.5, -0.25, 65504, -65504, 0, 2, np.nan])
    assert records.epoch(1).margin is not None
    np.testing.assert_array_equal(records.labels, LABELS)
    np.testing.assert_array_equal(records.true_labels, TRUE_LABELS)
    assert records.split.tolist() == SPLIT
    assert np.flatnonzero(records.is_clean).tolist() == [0, 1, 6]
    assert np.flatnonzero(records.is_noisy).tolist() == [2, 3, 4]
    assert records.measures()["label_precision"][1] == pytest.approx(1 / 2.5)


def test_all_that_is_seen_took_part_where_an_epoch_after_a_selection_says_nothing(run):
    write_epoch(run / "records", 0, RECORD)
    write_epoch(run / "records", 1, RECORD._replace(kept=None))
    np.testing.assert_array_equal(load(run).kept, [KEPT, [1, 1, 1, 1, 1, 1, np.nan]])


def test_each_epoch_is_clean_by_its_own_labels(run):
    drawn = np.roll(LABELS, 1)
    write_epoch(run / "records", 0, RECORD)
    write_epoch(run / "records", 1, RECORD._replace(labels=drawn))
    records = load(run)
    np.testing.assert_array_equal(records.epoch_labels, [LABELS, drawn])
    np.testing.assert_array_equal(records.is_clean, np.equal([LABELS, drawn], TRUE_LABELS))
    assert not np.array_equal(*records.is_clean)


def test_a_crash_between_write_and_rename_leaves_the_old_record(run, monkeypatch):
    path = write_epoch(run / "records", 3, RECORD)
    before = path.read_bytes()

    def crash(*_: object) -> None:
        raise OSError("power cut")

    monkeypatch.setattr(Path, "replace", crash)
    with pytest.raises(OSError, match="power cut"):
        write_epoch(run / "records", 3, RECORD._replace(loss=LOSS + 1))
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == ["epoch_0003.npz"]


def test_a_half_written_file_of_a_killed_run_is_no_record(run):
    write_epoch(run / "records", 0, RECORD)
    (run / "records/.epoch_0001.npz.4711").write_bytes(b"half")
    assert load(run).epochs.tolist() == [0]


def test_equal_records_are_equal_files(tmp_path):
    paths = [write_epoch(tmp_path / name, 0, RECORD) for name in ("a", "b")]
    assert paths[0].read_bytes() == paths[1].read_bytes()


@pytest.mark.parametrize("cut", [0, 10, 300, -1])
def test_a_torn_record_is_named(run, cut):
    path = write_epoch(run / "records", 0, RECORD)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InputError, match=r"epoch_0000.npz is damaged"):
        load(run)


def test_a_record_of_another_length_is_refused(run):
    write_epoch(run / "records", 0, EpochRecord(LOSS[:5], CONFIDENCE[:5], PREDICTION[:5]))
    with pytest.raises(InputError, match=r"records 5 samples, but noise.csv beside it lists 7"):
        load(run)


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(InputError, match="is no run folder"):
        load(tmp_path)


def test_a_run_without_records_is_refused(run):
    with pytest.raises(InputError, match="has not finished its first epoch"):
        load(run)


@pytest.mark.parametrize(
    "text", ["", "index,label\n0,1\n", "index,true_label,given_label,split\n1,0,0,train\n", "a,b\n\x00"]
)
def test_a_damaged_noise_file_is_named(run, text):
    (run / "noise.csv").write_text(text)
    with pytest.raises(InputError, match=r"noise.csv is damaged"):
        load(run)

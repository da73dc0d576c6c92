"""Records survive a crash and a round trip; the measures equal counts by hand and degrade without truth."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import auc, roc_curve

from noisy_lightning.errors import InputError
from noisy_lightning.runs.measures import EpochRecord, class_accuracy, measure, noise_auroc
from noisy_lightning.runs.records import load, write_epoch

# given, true, prediction: two clean samples, three noisy ones, one of unknown truth, one never seen
LABELS = np.array([0, 1, 1, 2, 0, 1, 2])
TRUE_LABELS = np.array([0, 1, 0, 1, 2, -1, 2])
SPLIT = ["train"] * 6 + ["val"]
PREDICTION = np.array([0, 2, 1, 1, 1, 1, -1])
LOSS = np.array([0.5, 1.5, 3.0, 1.0, 2.0, 4.0, np.nan], np.float32)
CONFIDENCE = np.array([0.6, 0.2, 0.5, 0.25, 0.125, 0.75, np.nan], np.float32)
KEPT = np.array([1, 0, 0.5, 1, 0, 1, np.nan], np.float32)
RECORD = EpochRecord(LOSS, CONFIDENCE, PREDICTION, KEPT)


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


def test_measures_equal_counts_by_hand():
    assert measure(RECORD, LABELS, TRUE_LABELS) == pytest.approx(
        {
            "loss": 12 / 6,
            "loss_clean": 2 / 2,
            "loss_noisy": 6 / 3,
            "auroc": 5 / 6,
            "memorised": 1 / 3,
            "corrected": 1 / 3,
            "neither": 1 / 3,
            "acc": 3 / 6,
            "acc_true": 2 / 5,
            "kept": 3.5 / 6,
            "label_recall": 1 / 2,
            "label_precision": 1 / 2.5,
        }
    )


def test_an_image_of_no_class_has_a_wrong_label_and_no_right_one():
    """So that it counts among the noisy, and not for the accuracy on true labels."""
    true = TRUE_LABELS.copy()
    seen = np.flatnonzero((PREDICTION >= 0) & (true >= 0))
    true[seen[0]] = -2
    measures = measure(RECORD, LABELS, true)
    known = seen[1:]
    assert measures["acc_true"] == pytest.approx((PREDICTION[known] == true[known]).mean())
    noisy = np.append(known[true[known] != LABELS[known]], seen[0])
    assert measures["loss_noisy"] == pytest.approx(LOSS[noisy].mean())


def test_without_truth_only_what_can_be_known():
    assert measure(RECORD, LABELS, np.full(7, -1)).keys() == {"loss", "acc", "kept"}
    assert measure(RECORD._replace(kept=None), LABELS, np.full(7, -1)).keys() == {"loss", "acc"}


def test_without_noisy_or_clean_samples_their_measures_are_absent():
    clean = measure(RECORD, LABELS, LABELS).keys()
    assert clean == {"loss", "loss_clean", "acc", "acc_true", "kept", "label_recall", "label_precision"}
    noisy = measure(RECORD, LABELS, (LABELS + 1) % 3).keys()
    assert {"loss_clean", "auroc", "label_recall"}.isdisjoint(noisy)
    assert {"loss_noisy", "memorised"} <= noisy


def test_before_any_sample_was_seen_nothing_is_known():
    unseen = EpochRecord(np.full(7, np.nan, np.float32), np.full(7, np.nan, np.float32), np.full(7, -1))
    assert measure(unseen, LABELS, TRUE_LABELS) == {}


def test_a_selection_of_nothing_has_no_precision():
    measures = measure(RECORD._replace(kept=np.zeros(7, np.float32)), LABELS, TRUE_LABELS)
    assert measures["kept"] == 0
    assert "label_precision" not in measures


@pytest.mark.parametrize("bad", [np.inf, np.nan, -np.inf])
def test_a_non_finite_loss_breaks_nothing(bad):
    loss = LOSS.copy()
    loss[[0, 2]] = bad
    measures = measure(RECORD._replace(loss=loss), LABELS, TRUE_LABELS)
    assert np.isfinite(list(measures.values())).all()
    assert measures["loss"] == pytest.approx((1.5 + 1 + 2 + 4) / 4)
    assert measures["loss_noisy"] == pytest.approx(3 / 2)


@pytest.mark.parametrize("seed", range(5))
def test_auroc_equals_counting_pairs(seed):
    rng = np.random.default_rng(seed)
    loss = rng.integers(0, 8, 60).astype(np.float32)  # with ties
    loss[:3], loss[3:5] = np.inf, -np.inf
    is_noisy = rng.random(60) < 0.4
    pairs = [(a > b) + 0.5 * (a == b) for a in loss[is_noisy] for b in loss[~is_noisy]]
    assert noise_auroc(loss, is_noisy) == pytest.approx(np.mean(pairs))
    false_positive, true_positive, _ = roc_curve(
        is_noisy, np.nan_to_num(loss).astype(np.float64), drop_intermediate=False
    )
    assert noise_auroc(loss, is_noisy) == auc(false_positive, true_positive)  # to the last bit


def test_accuracy_of_a_class_is_a_share_of_its_samples_or_nan_without_any():
    np.testing.assert_allclose(class_accuracy(PREDICTION, LABELS, 4), [1 / 2, 2 / 3, 0, np.nan])


def test_what_was_not_seen_counts_for_no_class():
    prediction, reference = np.array([0, -1, 1, 1]), np.array([0, 0, 1, -1])
    np.testing.assert_array_equal(class_accuracy(prediction, reference, 2), [1, 1])

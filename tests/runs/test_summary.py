from pathlib import Path

from noisy_lightning.runs.summary import evaluation_table, of_the_end

RESULT = {
    "epochs": 2,
    "dataset": "Digits",
    "noise": {"kind": "Symmetric", "realised_rate": 0.40292},
    "last_epoch": {"train/auroc": 0.97314, "train/memorised": 0.125, "val/acc": 0.5},
}


def test_a_tested_run_is_summed_up_in_a_few_lines() -> None:
    measured = {"best": {"test/acc": 0.9, "test/loss": 0.5}, "last": {"test/acc": 0.80556}}
    assert evaluation_table("test", measured, RESULT, Path("runs/demo/0")).splitlines() == [
        "run              runs/demo/0",
        "data             Digits, Symmetric, 40.29 % of labels wrong",
        "test accuracy    90.00 % on clean labels (chosen on noisy validation: best)",
        "test accuracy    80.56 % on clean labels (last epoch: last)",
        "noise detection  AUROC of the loss 0.9731 in the last epoch",
        "wrong labels     12.50 % memorized in the last epoch",
        "pictures         tensorboard --logdir runs/demo/0",
    ]


def test_further_test_sets_are_named() -> None:
    measured = {"last": {"test/acc": 0.5, "test/acc_class/0": 0.5, "test_my_photos/acc": 0.25}}
    assert evaluation_table("test", measured, {}, None).splitlines() == [
        "test accuracy            50.00 % on clean labels (last epoch: last)",
        "test my_photos accuracy  25.00 % on clean labels (last epoch: last)",
    ]


def test_calibration_stands_beside_accuracy() -> None:
    measured = {"last": {"test/acc": 0.5, "test/ece": 0.125}}
    assert evaluation_table("test", measured, {}, None).splitlines() == [
        "test accuracy  50.00 % on clean labels, calibration error 12.50 % (last epoch: last)"
    ]


def test_validation_names_the_labels_it_was_measured_on() -> None:
    measured = {"last": {"val/acc": 0.5, "val/acc_true": 0.75, "val/loss": 1.0}}
    assert evaluation_table("validate", measured, {}, None).splitlines() == [
        "validate accuracy  50.00 % on given labels, 75.00 % on true labels (last epoch: last)"
    ]


def test_what_is_unknown_is_not_made_up() -> None:
    """Own data: no true label is known, and the checkpoint comes from anywhere."""
    noise = {"kind": "NoNoise", "realised_rate": None}
    result = {"epochs": 4, "dataset": "Mine", "noise": noise, "last_epoch": {"train/loss": 1.0}}
    assert evaluation_table("validate", {"epoch=3": {"val/acc": 0.5}}, result, Path("r")).splitlines() == [
        "run                r",
        "data               Mine, NoNoise, an unknown share of labels wrong",
        "validate accuracy  50.00 % on given labels (this checkpoint: epoch=3)",
        "pictures           tensorboard --logdir r",
    ]


def test_of_a_run_that_has_not_finished_it_is_said_how_far_it_is() -> None:
    measured = {"best": {"test/acc": 0.5, "epoch": 1}, "last": {"test/acc": 1.0, "epoch": 2}}
    assert evaluation_table("test", measured, {}, Path("r"), max_epochs=60).splitlines() == [
        "run            r, unfinished: its command continues it",
        "test accuracy  50.00 % on clean labels (epoch 2 of 60, chosen on noisy validation so far: best)",
        "test accuracy  100.00 % on clean labels (epoch 3 of 60: last)",
        "pictures       tensorboard --logdir r",
    ]


def test_what_was_measured_of_an_earlier_epoch_is_not_of_the_end() -> None:
    result = {"epochs": 4, "best_epoch": {"epoch": 1, "val/acc": 0.5}}
    measured: dict[str, dict[str, float]] = {"last": {"epoch": 2}, "best": {"epoch": 1}, "epoch=0.ckpt": {"epoch": 0}}
    assert set(of_the_end(result, measured)) == {"best", "epoch=0.ckpt"}
    assert set(of_the_end(result, {"last": {"test/acc": 0.5}})) == {"last"}  # of an older version


def test_the_epoch_is_chosen_by_what_the_run_says() -> None:
    measured = {"best": {"test/acc": 1.0}}

    def choice(**result: object) -> str:
        return evaluation_table("test", measured, result, None).partition("(")[2]

    assert choice(validation="given") == "chosen on noisy validation: best)"
    assert choice(validation="trusted") == "chosen on trusted validation: best)"
    assert (
        choice(validation="trusted", best_epoch={"epoch": 1, "val/acc": 0.5}) == "chosen on trusted validation: best)"
    )
    assert choice(best_epoch={"epoch": 1, "val/loss": 0.5}) == "chosen by val/loss: best)"

from pathlib import Path

from noisy_lightning.runs.summary import evaluation_table

RESULT = {
    "dataset": "Digits",
    "noise": {"kind": "Symmetric", "realised_rate": 0.40292},
    "last_epoch": {"train/auroc": 0.97314, "train/memorised": 0.125, "val/acc": 0.5},
}


def test_a_tested_run_is_told_in_a_few_lines() -> None:
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


def test_further_test_sets_are_told_by_their_names() -> None:
    measured = {"last": {"test/acc": 0.5, "test/acc_class/0": 0.5, "test_my_photos/acc": 0.25}}
    assert evaluation_table("test", measured, {}, None).splitlines() == [
        "test accuracy            50.00 % on clean labels (last epoch: last)",
        "test my_photos accuracy  25.00 % on clean labels (last epoch: last)",
    ]


def test_validation_names_the_labels_it_was_measured_on() -> None:
    measured = {"last": {"val/acc": 0.5, "val/acc_true": 0.75, "val/loss": 1.0}}
    assert evaluation_table("validate", measured, {}, None).splitlines() == [
        "validate accuracy  50.00 % on given labels, 75.00 % on true labels (last epoch: last)"
    ]


def test_what_is_unknown_is_not_made_up() -> None:
    """Own data: no true label is known, and the checkpoint comes from anywhere."""
    result = {"dataset": "Mine", "noise": {"kind": "NoNoise", "realised_rate": None}, "last_epoch": {"train/loss": 1.0}}
    assert evaluation_table("validate", {"epoch=3": {"val/acc": 0.5}}, result, Path("r")).splitlines() == [
        "run                r",
        "data               Mine, NoNoise, an unknown share of labels wrong",
        "validate accuracy  50.00 % on given labels (this checkpoint: epoch=3)",
        "pictures           tensorboard --logdir r",
    ]


def test_a_run_that_has_not_finished_can_be_tested() -> None:
    assert evaluation_table("test", {"last": {"test/acc": 1.0}}, {}, Path("r")).splitlines() == [
        "run            r",
        "test accuracy  100.00 % on clean labels (last epoch: last)",
        "pictures       tensorboard --logdir r",
    ]


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

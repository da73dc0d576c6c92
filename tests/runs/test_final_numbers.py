from noisy_lightning.runs.final_numbers import final_numbers, tables_of_tests


def test_what_was_measured_last_and_at_the_chosen_epoch_is_what_runs_are_sorted_by() -> None:
    result = {
        "last_epoch": {"val/acc": 0.5, "train/loss": 1.0, "train/auroc": 0.9, "train/memorised": 0.25, "lr": 0.1},
        "best_epoch": {"epoch": 1, "val/acc": 0.75},
        "test": {
            "best": {"epoch": 1, "test/acc": 0.9, "test/ece": 0.1, "test/loss": 1.0, "test/acc_class/0": 1.0},
            "last": {"epoch": 3, "test/acc": 0.8, "test/ece": float("nan"), "test_photos/acc": 0.3},
            "epoch=1.ckpt": {"epoch": 1, "test/acc": 0.1},
        },
    }
    assert final_numbers(result) == {
        "final/test_acc_last": 0.8,
        "final/test_acc_best": 0.9,
        "final/test_ece_best": 0.1,
        "final/test_photos_acc_last": 0.3,
        "final/val_acc_last": 0.5,
        "final/val_acc_best": 0.75,
        "final/train_loss": 1.0,
        "final/auroc": 0.9,
        "final/memorized": 0.25,
    }


def test_a_run_of_which_nothing_is_known_has_no_numbers() -> None:
    assert final_numbers({}) == {}
    assert final_numbers({"best_epoch": None, "last_epoch": {"train/auroc": None}}) == {}
    assert tables_of_tests({}, []) == {}


def test_tables_name_classes_and_count_epochs_from_one() -> None:
    tested: dict[str, dict[str, float | None]] = {
        "best": {"epoch": 0, "test/acc": 0.5, "test/acc_class/0": 1.0, "test/acc_class/1": None},
        "last": {"epoch": 9, "test/acc": 0.25, "test/loss": 2.0, "test/acc_class/0": 0.5, "test_b/acc": 1.0},
    }
    tables = tables_of_tests(tested, ["T-shirt/top | <b>", "猫"])
    assert tables["test"].splitlines() == [
        "| | best (epoch 1) | last (epoch 10) |",
        "| --- | ---: | ---: |",
        "| accuracy | 50.00 % | 25.00 % |",
        "| accuracy of T-shirt/top \\| \\<b\\> | 100.00 % | 50.00 % |",
        "| loss | – | 2.0000 |",
    ]
    assert "accuracy | – | 100.00 %" in tables["test_b"]


def test_a_thousand_classes_are_not_in_the_table() -> None:
    values: dict[str, float] = {"epoch": 0, "test/acc": 0.5} | {f"test/acc_class/{k}": 0.5 for k in range(1000)}
    assert len(tables_of_tests({"last": values}, [str(k) for k in range(1000)])["test"].splitlines()) == 3

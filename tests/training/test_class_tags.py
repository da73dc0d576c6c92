"""Names of classes as parts of names of curves."""

import re

from noisy_lightning.training.class_tags import by_class_name, class_tags


def test_letters_of_all_scripts_stay_and_no_name_opens_a_group_of_its_own() -> None:
    names = ["cat", "T-shirt/top", "maine coon", "Bär", "猫", "v1.5"]
    assert class_tags(names) == ["cat", "T-shirt_top", "maine_coon", "Bär", "猫", "v1.5"]


def test_names_that_would_become_the_same_stay_apart() -> None:
    assert class_tags(["a/b", "a b", "c"]) == ["a_b_0", "a_b_1", "c"]
    assert class_tags(["?!", "", "x"]) == ["__0", "_1", "x"]


def test_accuracies_of_classes_are_called_by_name_and_all_else_as_it_was() -> None:
    values = {"test/acc": 1.0, "test/acc_class/0": 2.0, "test_again_raw/acc_class/1": 3.0, "method/acc_class": 4.0}
    assert by_class_name(values, ["cat", "wild dog"]) == {
        "test/acc": 1.0,
        "test/acc_class/cat": 2.0,
        "test_again_raw/acc_class/wild_dog": 3.0,
        "method/acc_class": 4.0,
    }


def test_a_thousand_classes_have_no_curve_each() -> None:
    names = [f"class {k}" for k in range(1000)]
    values = {"test/acc": 1.0} | {f"test/acc_class/{k}": 0.0 for k in range(1000)}
    assert by_class_name(values, names) == {"test/acc": 1.0}
    assert all(re.fullmatch(r"class_\d+", tag) for tag in class_tags(names))

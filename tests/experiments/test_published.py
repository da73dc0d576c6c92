import pytest

from noisy_lightning.experiments.published import MEASURES, find, published
from noisy_lightning.experiments.tables import NAMES


def test_every_row_keeps_to_the_vocabulary() -> None:
    rows = published()
    assert len(rows) > 1000
    for row in rows:
        assert 0 <= row.value <= 100
        assert row.epoch_rule in MEASURES
        assert row.status in ("read", "secondary", "memory")
        assert row.dataset in ("CIFAR10", "CIFAR100", "MNIST", "Clothing1M")
        assert row.method
        assert row.setting
        assert not row.n or int(row.n) > 0
    assert set(MEASURES.values()) == set(NAMES)


def test_no_number_stands_twice() -> None:
    keys = [(r.source, r.table, r.dataset, r.method, r.setting, r.epoch_rule, r.protocol) for r in published()]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize(
    ("source", "dataset", "method", "setting", "value"),
    [
        ("study 0", "CIFAR10", "CE", "symmetric 0.5", 66.80),
        ("study 2", "CIFAR10", "SLN-MO-LC", "asymmetric 0.4", 87.85),
        ("study 3", "CIFAR10", "INCV", "pair 0.4", 86.04),
        ("study 4", "CIFAR10", "NFL+RCE", "symmetric 0.9", 19.12),
        ("Wang et al. 2024", "CIFAR10", "NCE+RCE", "symmetric 0.8", 55.28),
    ],
)
def test_the_studies_numbers_are_found(source: str, dataset: str, method: str, setting: str, value: float) -> None:
    (one,) = find([source], dataset, ["something else", setting, method])
    assert one.value == value
    assert one.comparable
    assert not find(["another source"], dataset, [setting, method])
    assert not find([source], "Digits", [setting, method])


def test_what_is_known_from_memory_only_is_not_comparable() -> None:
    (one,) = find(["Ma et al. 2020"], "CIFAR10", ["GCE", "symmetric 0.4"])
    assert not one.comparable


def test_of_a_number_that_stands_twice_both_are_found() -> None:
    found = find(["study 4"], "CIFAR10", ["dynamic weights", "asymmetric 0.3"])
    assert [(one.table, one.value) for one in found] == [("notebook", 56.95), ("Table 4", 59.95)]

import pytest

from noisy_lightning.experiments.headings import heading, named


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("data.noise.init_args.rate", "noise rate"),
        ("data.noise.rate", "noise rate"),
        ("model.optimizer.init_args.lr", "learning rate"),
        ("trainer.gradient_clip_val", "gradient clip val"),
        ("model.method.init_args.warm_up", "method warm up"),
        ("rate_realised", "noise rate, realized"),
        ("method", "method"),
        ("my own axis", "my own axis"),
    ],
)
def test_a_key_has_a_name_that_is_read(key: str, name: str) -> None:
    assert heading(key) == name


@pytest.mark.parametrize(
    ("value", "text"),
    [("0.4", "noise rate 0.4"), ("1e-3", "noise rate 1e-3"), ("null", "noise rate null"), ("CE", "CE")],
)
def test_a_number_says_what_it_is_of_and_a_name_does_not(value: str, text: str) -> None:
    assert named("data.noise.rate", value) == text

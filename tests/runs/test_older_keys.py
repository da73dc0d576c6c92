import pytest

from noisy_lightning.runs.identity import identity
from noisy_lightning.runs.older_keys import with_present_keys


def _timm(**arguments: object) -> dict[str, object]:
    return {"model": {"backbone": {"class_path": "noisy_lightning.backbones.Timm", "init_args": arguments}}}


def test_weights_of_a_kept_configuration_go_by_their_present_key() -> None:
    older = _timm(name="resnet10t", pretrained=False, checkpoint_path="a.pt", image_size=32)
    assert with_present_keys(older) == _timm(name="resnet10t", image_size=32, weights="a.pt")
    older = _timm(name="resnet10t", pretrained=False, checkpoint_path=None, image_size=None)
    assert with_present_keys(older) == _timm(name="resnet10t", image_size=None, weights=None)
    assert identity(older) == identity(_timm(name="resnet10t", image_size=None, weights=None))


def test_weights_of_the_hub_left_images_as_they_were() -> None:
    older = _timm(name="resnet10t", pretrained=True, checkpoint_path=None, image_size=None)
    assert with_present_keys(older) == _timm(name="resnet10t", weights="hub", image_size="unchanged")


@pytest.mark.parametrize(("balanced", "sampling"), [(True, "undersample"), (False, "natural")])
def test_balanced_classes_of_a_kept_configuration_go_by_their_present_key(balanced: bool, sampling: str) -> None:
    others = {"eval_batch_size": 256, "validation": "given", "test_sets": None}

    def of(arguments: dict[str, object]) -> dict[str, object]:
        return {"data": {"class_path": "noisy_lightning.data.Digits", "init_args": arguments}}

    older, present = of({**others, "balanced": balanced}), of({**others, "sampling": sampling})
    assert with_present_keys(older) == present
    assert identity(older) == identity(present)
    features = {"class_path": "noisy_lightning.data.Embedded"}
    inner = with_present_keys({"data": {**features, "init_args": {**others, "balanced": balanced, **older}}})
    assert inner == {"data": {**features, "init_args": {**others, "sampling": sampling, **present}}}
    by_hand = of({"balanced": balanced, "eval_batch_size": 256})
    assert with_present_keys(by_hand) == by_hand


def test_rates_of_the_body_of_a_kept_model_go_by_their_present_keys() -> None:
    others = {"l1_decay": 0.0, "channels_last": True, "compile": False}
    older = {"model": {**others, "frozen_epochs": 2, "body_lr": 0.1}}
    present = {"model": {**others, "freeze_body_epochs": 2, "body_lr_factor": 0.1, "layer_decay": 1.0}}
    assert with_present_keys(older) == present
    assert identity(older) == identity(present)
    by_hand = {"model": {"frozen_epochs": 2, "body_lr": 0.1}}
    assert with_present_keys(by_hand) == by_hand


def test_a_model_without_class_weights_and_averages_is_that_of_before_there_were_any() -> None:
    for added in ("class_weights", "ema_decay"):
        assert identity({"model": {"loss": "CE"}}) == identity({"model": {"loss": "CE", added: None}})
    assert identity({"model": {"loss": "CE"}}) != identity({"model": {"loss": "CE", "class_weights": "balanced"}})
    assert identity({"model": {"lr_scheduler": None}}) != identity({"model": {}})


def test_what_is_written_by_hand_stays_to_be_refused() -> None:
    by_hand = _timm(name="resnet10t", pretrained=True)
    assert with_present_keys(by_hand) == by_hand
    assert with_present_keys([{"class_path": "x.Other", "init_args": {"pretrained": 1, "checkpoint_path": 2}}]) == [
        {"class_path": "x.Other", "init_args": {"pretrained": 1, "checkpoint_path": 2}}
    ]

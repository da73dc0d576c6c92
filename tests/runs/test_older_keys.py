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


def test_what_is_written_by_hand_stays_to_be_refused() -> None:
    by_hand = _timm(name="resnet10t", pretrained=True)
    assert with_present_keys(by_hand) == by_hand
    assert with_present_keys([{"class_path": "x.Other", "init_args": {"pretrained": 1, "checkpoint_path": 2}}]) == [
        {"class_path": "x.Other", "init_args": {"pretrained": 1, "checkpoint_path": 2}}
    ]

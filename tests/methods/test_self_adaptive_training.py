import copy
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from noisy_lightning.errors import InputError
from noisy_lightning.losses import CrossEntropy, GeneralizedCrossEntropy, TruncatedGeneralizedCrossEntropy
from noisy_lightning.methods import Problem, SelfAdaptiveTraining
from tests.methods.toys import K, N, batches, context, points, problem
from tests.reference.losses import one_hot
from tests.reference.soft_targets import sat_step

ETA = 0.5


@pytest.mark.parametrize(("correction_epoch", "momentum"), [(2, 0.9), (1, 0.5), (0, 0.8)])
def test_walks_the_path_of_the_paper(correction_epoch: int, momentum: float) -> None:
    torch.manual_seed(0)
    method = SelfAdaptiveTraining(problem(), correction_epoch, momentum)
    net = copy.deepcopy(method.backbone)
    optimizer = torch.optim.SGD(method.parameters(), lr=ETA)
    images, labels = points()
    t = [one_hot(int(y), K) for y in labels]
    lowest = 1.0
    for epoch in range(5):
        method.on_epoch_start(context(epoch))
        for index in batches(epoch):
            step = method.step(images[index], labels[index], index)
            optimizer.zero_grad()
            step.loss.backward()
            optimizer.step()
            loss, w = sat_step(net, images[index], index.tolist(), t, momentum, epoch >= correction_epoch, ETA)
            assert step.loss.item() == pytest.approx(loss, rel=1e-5)
            assert step.sample_weight is not None
            assert step.sample_weight.tolist() == pytest.approx(w, rel=1e-5)
            assert (min(w) < 1) == (epoch >= correction_epoch)
            lowest = min(lowest, *w)
        method.on_epoch_end(context(epoch))
    assert lowest < 0.9
    torch.testing.assert_close(method.targets.values, torch.tensor(t), rtol=1e-5, atol=1e-6)
    for weight, other in zip(method.backbone.parameters(), net.parameters(), strict=True):
        torch.testing.assert_close(weight, other, rtol=1e-5, atol=1e-6)
    overruled = sum(t_i.index(max(t_i)) != y for t_i, y in zip(t, labels.tolist(), strict=True))
    assert method.scalars()["relabelled"].item() == pytest.approx(overruled / N)


def test_recorded_are_the_losses_on_the_given_labels_of_any_loss() -> None:
    torch.manual_seed(0)
    loss = GeneralizedCrossEntropy()
    method = SelfAdaptiveTraining(problem(loss), correction_epoch=0, momentum=0.5)
    method.on_epoch_start(context(0))
    images, labels = points()
    step = method.step(images[:4], labels[:4], torch.arange(4))
    torch.testing.assert_close(step.losses, loss(step.logits, labels[:4]))
    targets = 0.5 * torch.eye(K)[labels[:4]] + 0.5 * step.logits.detach().softmax(1)
    weights = targets.amax(1)
    torch.testing.assert_close(step.loss, (loss(step.logits, targets) * weights).sum() / weights.sum())


@pytest.mark.parametrize("size", [1, 2])
def test_a_last_batch_of_one_or_two_teaches(size: int) -> None:
    method = SelfAdaptiveTraining(problem(), correction_epoch=0)
    method.on_epoch_start(context(0))
    images, labels = points()
    assert 0 < method.step(images[:size], labels[:size], torch.arange(size)).loss < math.inf


def test_a_nan_shows_and_is_not_remembered() -> None:
    table = torch.tensor([[math.nan] * 3, [1.0, 0, 0]])
    lookup = Problem(lambda: nn.Embedding.from_pretrained(table, freeze=False), CrossEntropy(), 3, 2)
    method = SelfAdaptiveTraining(lookup, correction_epoch=0)
    method.on_epoch_start(replace(context(0), labels=torch.tensor([2, 0])))
    index = torch.arange(2)
    assert method.step(index, torch.tensor([2, 0]), index).loss.isnan()
    assert method.targets.values[0].tolist() == [0, 0, 1]


def test_a_loss_of_hard_labels_is_refused() -> None:
    with pytest.raises(InputError, match="TruncatedGeneralizedCrossEntropy does not go with this method"):
        SelfAdaptiveTraining(problem(TruncatedGeneralizedCrossEntropy()))


@pytest.mark.parametrize("arguments", [{"correction_epoch": -1}, {"momentum": 1.1}])
def test_a_value_out_of_range_is_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        SelfAdaptiveTraining(problem(), **arguments)  # type: ignore[arg-type]

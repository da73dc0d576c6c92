import copy

import pytest
import torch

from noisy_lightning.losses import GeneralizedCrossEntropy
from noisy_lightning.methods import SelfAdaptiveTraining
from tests.methods.toys import (
    K,
    N,
    assert_same_weights,
    context,
    points,
    problem,
    sample_weights,
    training,
)
from tests.reference.losses import one_hot
from tests.reference.soft_targets import sat_step

ETA = 0.5


@pytest.mark.parametrize(("correction_epoch", "momentum"), [(2, 0.9), (1, 0.5), (0, 0.8)])
def test_walks_the_path_of_the_paper(correction_epoch: int, momentum: float) -> None:
    torch.manual_seed(0)
    method = SelfAdaptiveTraining(problem(), correction_epoch, momentum)
    net = copy.deepcopy(method.backbone)
    images, labels = points()
    t = [one_hot(int(y), K) for y in labels]
    lowest = 1.0
    for epoch, index, step in training(method, 5, ETA):
        loss, w = sat_step(net, images[index], index.tolist(), t, momentum, epoch >= correction_epoch, ETA)
        assert step.loss.item() == pytest.approx(loss, rel=1e-5)
        assert sample_weights(step) == pytest.approx(w, rel=1e-5)
        assert (min(w) < 1) == (epoch >= correction_epoch)
        lowest = min(lowest, *w)
    assert lowest < 0.9
    torch.testing.assert_close(method.targets.values, torch.tensor(t), rtol=1e-5, atol=1e-6)
    assert_same_weights(method.backbone, net, rtol=1e-5, atol=1e-6)
    overruled = sum(t_i.index(max(t_i)) != y for t_i, y in zip(t, labels.tolist(), strict=True))
    assert method.scalars()["relabelled"].item() == pytest.approx(overruled / N)


def test_samples_count_by_how_sure_their_target_is_with_any_loss() -> None:
    torch.manual_seed(0)
    loss = GeneralizedCrossEntropy()
    method = SelfAdaptiveTraining(problem(loss), correction_epoch=0, momentum=0.5)
    method.on_epoch_start(context(0))
    images, labels = points()
    step = method.step(images[:4], labels[:4], torch.arange(4))
    targets = 0.5 * torch.eye(K)[labels[:4]] + 0.5 * step.logits.detach().softmax(1)
    weights = targets.amax(1)
    torch.testing.assert_close(step.loss, (loss(step.logits, targets) * weights).sum() / weights.sum())

import copy

import pytest
import torch

from noisy_lightning.losses import GeneralizedCrossEntropy
from noisy_lightning.methods import SelfEnsembleLabelCorrection
from tests.methods.toys import (
    K,
    N,
    assert_same_weights,
    context,
    points,
    problem,
    training,
)
from tests.reference.losses import one_hot
from tests.reference.soft_targets import selc_step

ETA = 0.5


@pytest.mark.parametrize(("correction_epoch", "momentum"), [(2, 0.9), (1, 0.5), (0, 0.8)])
def test_walks_the_path_of_the_paper(correction_epoch: int, momentum: float) -> None:
    torch.manual_seed(0)
    method = SelfEnsembleLabelCorrection(problem(), correction_epoch, momentum)
    net = copy.deepcopy(method.backbone)
    images, labels = points()
    t = [one_hot(int(y), K) for y in labels]
    for epoch, index, step in training(method, 5, ETA):
        loss = selc_step(net, images[index], index.tolist(), t, momentum, epoch >= correction_epoch, ETA)
        assert step.loss.item() == pytest.approx(loss, rel=1e-5)
    torch.testing.assert_close(method.targets.values, torch.tensor(t), rtol=1e-5, atol=1e-6)
    assert_same_weights(method.backbone, net, rtol=1e-5, atol=1e-6)
    overruled = sum(t_i.index(max(t_i)) != y for t_i, y in zip(t, labels.tolist(), strict=True))
    assert method.scalars()["relabelled"].item() == pytest.approx(overruled / N)


def test_wrong_labels_are_overruled_in_time() -> None:
    torch.manual_seed(0)
    method = SelfEnsembleLabelCorrection(problem(), correction_epoch=20, momentum=0.7)
    for epoch, _, _ in training(method, 40, ETA):
        if epoch <= 20:  # of the epoch before
            assert method.scalars()["relabelled"] == 0
    labels, right = points()[1], torch.arange(N) % K
    corrected = method.targets.values.argmax(1)
    assert (labels == right).float().mean() < 0.8 < (corrected == right).float().mean()


def test_all_samples_count_alike_with_any_loss() -> None:
    torch.manual_seed(0)
    loss = GeneralizedCrossEntropy()
    method = SelfEnsembleLabelCorrection(problem(loss), correction_epoch=0, momentum=0.5)
    method.on_epoch_start(context(0))
    images, labels = points()
    step = method.step(images[:4], labels[:4], torch.arange(4))
    targets = 0.5 * torch.eye(K)[labels[:4]] + 0.5 * step.logits.detach().softmax(1)
    torch.testing.assert_close(step.loss, loss(step.logits, targets).mean())
    assert step.sample_weight is None

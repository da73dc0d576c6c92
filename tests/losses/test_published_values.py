"""Values that the authors' own code gives, or that their tests hold."""

import pytest
import torch

from noisy_lightning import losses

LOGITS = [2.0, 1.0, 0.1, -1.0]


@pytest.mark.parametrize(
    ("loss", "label", "value"),
    [
        (losses.GeneralizedLabelSmoothing(0.4), 0, 1.039313),
        (losses.GeneralizedLabelSmoothing(-0.4), 0, -0.140687),
        (losses.GeneralizedLabelSmoothing(-2), 0, -2.500687),
        (losses.GeneralizedLabelSmoothing(0.4), 1, 1.639313),
        (losses.GeneralizedLabelSmoothing(-0.4), 1, 1.259313),
        (losses.GeneralizedLabelSmoothing(-2), 1, 0.499313),
        (losses.EpsilonSoftmax(1, 0, 1e2), 0, 0.003590),
        (losses.EpsilonSoftmax(1, 0, 1e4), 0, 3.619e-5),
        (losses.EpsilonSoftmax(1, 0, 1e2), 1, 6.064434),
        (losses.EpsilonSoftmax(1, 0, 1e4), 1, 10.659753),
        (losses.AsymmetricMSE(30), 0, 215.547091),
        (losses.AsymmetricMSE(30), 1, 221.597114),
        (losses.NormalizedCrossEntropy(), 0, 0.058373),
        (losses.NormalizedCrossEntropy(), 1, 0.188290),
        (losses.JointAsymmetricLoss(), 0, 215.605464),
        (losses.JointAsymmetricLoss(), 1, 221.785403),
        (losses.BiTemperedLogistic(0.8, 1.2), 0, 0.389771),
        (losses.BiTemperedLogistic(0.8, 1.2), 1, 1.062064),
        (losses.BiTemperedLogistic(0.8, 1.4), 0, 0.489198),
        (losses.BiTemperedLogistic(0.8, 1.4), 1, 1.023048),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, torch.nn.Module) else None,
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_of_one_sample(loss, label, value, dtype):
    found = loss(torch.tensor([LOGITS], dtype=dtype), torch.tensor([label]))
    torch.testing.assert_close(found, torch.tensor([value], dtype=dtype), rtol=2e-6, atol=6e-7)


ACTIVATIONS = [[-0.5, 0.1, 2.0], [0.1, 1.5, -5.0], [4.0, -3.0, -6.0]]
SOFT = [[0.2, 0.3, 0.5], [0.6, 0.3, 0.1], [0.2, 0.8, 0.0]]


@pytest.mark.parametrize(
    ("t1", "t2", "values"),
    [
        (0.5, 1.5, [0.02301914, 0.18972909, 0.93874922]),
        (0.5, 0.8, [0.21646356, 0.41836615, 1.33997854]),
    ],
)
def test_of_the_bi_tempered_loss_for_soft_labels(t1, t2, values):
    found = losses.BiTemperedLogistic(t1, t2)(torch.tensor(ACTIVATIONS), torch.tensor(SOFT))
    # Theirs come from twenty halvings of an interval.
    torch.testing.assert_close(found, torch.tensor(values), rtol=0, atol=2e-6)


def test_of_the_bi_tempered_loss_for_smoothed_labels():
    loss = losses.BiTemperedLogistic(0.5, 1.5, label_smoothing=0.1)
    expected = torch.tensor([0.76652711, 0.08627685, 1.35443510])
    for target in (torch.arange(3), torch.eye(3)):
        torch.testing.assert_close(loss(torch.tensor(ACTIVATIONS), target), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("t1", "t2", "value"),
    [(1.0, 1.0, 0.628705), (0.9, 1.1, 0.45677936), (0.8, 1.2, 0.34298314), (0.7, 1.3, 0.26295574)],
)
def test_of_the_bi_tempered_loss_at_several_temperatures(t1, t2, value):
    found = losses.BiTemperedLogistic(t1, t2)(torch.tensor([[-0.5, 0.1, 2.0]]), torch.tensor([[0.2, 0.5, 0.3]]))
    torch.testing.assert_close(found, torch.tensor([value]), rtol=0, atol=1e-6)

import pytest
import torch
from torch import Tensor, nn

from noisy_lightning.losses import CrossEntropy
from noisy_lightning.methods import EpochContext, ForwardCorrection, Problem
from noisy_lightning.methods.parts import transition_estimate
from noisy_lightning.methods.parts.consensus import consensus_transition, fit_consensus
from tests.reference.consensus import fit, nearest_two

T = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.0, 0.3, 0.7]])


def _clouds(number: int, spread: float = 0.3) -> tuple[Tensor, Tensor]:
    """Return features (number, 4) around a corner for each of three classes, and labels given by T."""
    random = torch.Generator().manual_seed(0)
    true = torch.arange(number) % 3
    features = 4 * torch.eye(4)[true] + spread * torch.randn(number, 4, generator=random)
    return features, torch.multinomial(T[true], 1, generator=random).squeeze(1)


def test_the_fit_is_that_of_loops() -> None:
    triples = torch.tensor([[0, 0, 0]] * 5 + [[1, 1, 1]] * 6 + [[0, 1, 0], [0, 0, 1], [1, 0, 0], [1, 0, 1]])
    start = [0.55, 0.6]
    expected = fit(triples.tolist(), 2, start)
    for found, value in zip(fit_consensus(triples, 2, torch.tensor(start)), expected, strict=True):
        torch.testing.assert_close(found, value.double(), atol=1e-5, rtol=0)


def test_each_sample_counts_with_its_two_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels = _clouds(40)
    counted: list[list[int]] = []

    def noted(triples: Tensor, num_classes: int, start: Tensor) -> tuple[Tensor, Tensor]:
        assert ((start >= 1 / 3) & (start <= 1 / 3 + 0.1)).all()
        counted.extend(triples.tolist())
        return torch.eye(num_classes), start

    monkeypatch.setattr("noisy_lightning.methods.parts.consensus.fit_consensus", noted)
    consensus_transition(features, labels, 3, torch.Generator().manual_seed(0))
    expected = [[labels[i].item(), *labels[pair].tolist()] for i, pair in enumerate(nearest_two(features.tolist()))]
    assert sorted(counted) == sorted(expected)


def test_clouds_give_the_matrix_of_their_labels() -> None:
    features, labels = _clouds(6000)
    matrix = consensus_transition(features, labels, 3, torch.Generator().manual_seed(0))
    torch.testing.assert_close(matrix, T.double(), atol=0.06, rtol=0)


def _matrix(features: Tensor, labels: Tensor, classes: int = 3) -> Tensor | None:
    """Return what a linear network on these features estimates after an epoch."""

    def predict(network: nn.Module, augmented: bool = False, index: Tensor | None = None, view: int = 0) -> Tensor:
        output: Tensor = network(features)
        return output.detach()

    problem = Problem(
        lambda: nn.Sequential(nn.Linear(4, classes)), CrossEntropy(), num_classes=classes, num_samples=len(labels)
    )
    method = ForwardCorrection(problem, "hoc", warm_up=1)
    for epoch in range(2):
        method.on_epoch_start(EpochContext(epoch, 2, labels, predict))
    return method.transition()


def test_a_correction_takes_it_from_what_the_classifier_takes(caplog: pytest.LogCaptureFixture) -> None:
    features, labels = _clouds(300)
    labels[250:] = -1
    found = _matrix(features, labels)
    expected = consensus_transition(features[:250], labels[:250], 3, torch.Generator().manual_seed(0))
    torch.testing.assert_close(found, expected.float())
    assert "rests on 250 samples" in caplog.text


def test_a_class_that_is_never_given_keeps_its_row_of_the_identity(caplog: pytest.LogCaptureFixture) -> None:
    found = _matrix(*_clouds(60), classes=4)
    assert found is not None
    assert found[3].tolist() == [0, 0, 0, 1]
    assert "given label 3" in caplog.text


@pytest.mark.parametrize("number", [2, 30])
def test_what_has_no_neighbors_corrects_nothing(number: int, caplog: pytest.LogCaptureFixture) -> None:
    features, labels = _clouds(number)
    features[0] = torch.nan
    found = _matrix(features, labels)
    assert found is not None
    assert found.equal(torch.eye(3))
    assert "no finite features" in caplog.text


def test_too_many_classes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transition_estimate, "MOST_CLASSES", 2)
    with pytest.raises(ValueError, match="matrix hoc needs at most 2 classes, got 3"):
        _matrix(*_clouds(9))

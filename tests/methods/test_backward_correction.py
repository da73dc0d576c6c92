import pytest
import torch
from torch import Tensor, nn

from noisy_lightning.losses import CrossEntropy, GeneralizedCrossEntropy
from noisy_lightning.methods import BackwardCorrection, EpochContext
from noisy_lightning.methods.backward_correction import inverse_of
from noisy_lightning.methods.parts.all_labels import losses_of_all_labels
from tests.methods.toys import (
    K,
    assert_same_weights,
    batches,
    points,
    problem,
    train,
)
from tests.reference.loss_correction import backward_loss, descend, estimate, inverse, probabilities
from tests.reference.losses import cross_entropy, generalized_cross_entropy, one_hot

ETA, EPOCHS = 0.2, 6
MATRIX = [[0.75, 0.25, 0.0], [0.125, 0.75, 0.125], [0.25, 0.25, 0.5]]


def context(epoch: int, labels: Tensor | None = None) -> EpochContext:
    images, given = points()

    @torch.no_grad()
    def predict(network: nn.Module, augmented: bool = False, index: Tensor | None = None, view: int = 0) -> Tensor:
        output: Tensor = network(images)
        return output

    return EpochContext(epoch, EPOCHS, given if labels is None else labels, predict)


@pytest.mark.parametrize(("warm_up", "percentile", "restart"), [(None, 97.0, True), (2, 80.0, False)])
def test_walks_the_path_of_the_paper(warm_up: int | None, percentile: float, restart: bool) -> None:
    torch.manual_seed(0)
    method = BackwardCorrection(problem(), "anchor_points", warm_up, percentile, restart).double()
    f = problem().make_backbone()
    f.load_state_dict(method.backbone.state_dict())
    initial = {name: value.clone() for name, value in f.state_dict().items()}
    images, labels = points()
    train(method, EPOCHS, ETA, context)
    T_inverse = None  # noqa: N806
    for epoch in range(EPOCHS):
        if epoch == (3 if warm_up is None else warm_up):
            eta = [[p_k.item() for p_k in p] for p in probabilities(f, images)]
            T_inverse = inverse(estimate(eta, percentile, in_place=False))  # noqa: N806
            if restart:
                f.load_state_dict(initial)
        for index in batches(epoch):
            pairs = zip(probabilities(f, images[index]), labels[index].tolist(), strict=True)
            losses = [
                backward_loss(p, y, T_inverse) if T_inverse else cross_entropy(p, one_hot(y, K)) for p, y in pairs
            ]
            descend(f, losses, ETA)
    assert_same_weights(method.backbone, f, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("generalized", [False, True])
def test_a_given_matrix_corrects_any_loss_and_the_uncorrected_one_is_recorded(generalized: bool) -> None:
    torch.manual_seed(0)
    loss = GeneralizedCrossEntropy() if generalized else CrossEntropy()
    method = BackwardCorrection(problem(loss), MATRIX).double()
    assert method.oracle
    assert not BackwardCorrection(problem()).oracle
    images, labels = points()
    step = method.step(images[:5], labels[:5], torch.arange(5))
    T_inverse, expected = inverse(MATRIX), []  # noqa: N806
    for p, y in zip(probabilities(method.backbone, images[:5]), labels[:5].tolist(), strict=True):
        of_label = [
            generalized_cross_entropy(p, one_hot(k, K), 0.7) if generalized else cross_entropy(p, one_hot(k, K))
            for k in range(K)
        ]
        expected.append(sum(T_inverse[y][k] * of_label[k] for k in range(K)))
    torch.testing.assert_close(step.loss, sum(expected) / 5, rtol=1e-6, atol=0)
    torch.testing.assert_close(step.losses, loss(step.logits, labels[:5]))
    assert step.logits.equal(method.backbone(images[:5]))
    assert step.sample_weight is None
    assert method(images).equal(method.backbone(images))


def test_noise_leaves_the_loss_of_the_true_label_on_average() -> None:
    T = torch.tensor(MATRIX, dtype=torch.float64)  # noqa: N806
    logits = torch.tensor([[1.0, -2.0, 0.5]], dtype=torch.float64)
    of_label = losses_of_all_labels(CrossEntropy(), logits)[0]
    torch.testing.assert_close(T @ (inverse_of(T) @ of_label), of_label)


def test_the_loss_can_be_negative() -> None:
    method = BackwardCorrection(problem(), MATRIX).double()
    with torch.no_grad():
        list(method.backbone.parameters())[-1].copy_(torch.tensor([9.0, 0, 0]))
    images, _ = points()
    assert method.step(images[:1], torch.tensor([0]), torch.tensor([0])).loss.item() < -1


def test_clipped_probabilities_bound_the_loss_and_end_its_gradient() -> None:
    method = BackwardCorrection(problem(), MATRIX).double()
    images, _ = points()
    bias = list(method.backbone.parameters())[-1]
    T_inverse, losses = inverse(MATRIX), []  # noqa: N806
    for height in (40.0, 400.0):
        with torch.no_grad():
            bias.copy_(torch.tensor([height, 0, 0]))
        method.zero_grad()
        step = method.step(images[:1], torch.tensor([0]), torch.tensor([0]))
        p = torch.tensor([1 - 1e-7, 1e-7, 1e-7], dtype=torch.float64)
        torch.testing.assert_close(step.loss, backward_loss(p, 0, T_inverse), rtol=1e-6, atol=0)
        step.loss.backward()
        assert bias.grad is not None
        assert not bias.grad.any()
        losses.append(step.loss.item())
    assert losses[0] == losses[1] < -1


def test_an_inverse_is_exact_where_there_is_one(caplog: pytest.LogCaptureFixture) -> None:
    torch.testing.assert_close(inverse_of(torch.tensor(MATRIX)), torch.tensor(inverse(MATRIX)))
    assert not caplog.text


@pytest.mark.parametrize("off", [0.0, 1e-5])
def test_a_singular_matrix_is_corrected_by_a_pseudo_inverse(off: float, caplog: pytest.LogCaptureFixture) -> None:
    matrix = torch.tensor([[0.5 + off, 0.5 - off, 0.0], [0.5, 0.5, 0.0], [0.0, 0.25, 0.75]])
    found = inverse_of(matrix)
    assert "singular" in caplog.text
    assert found.abs().max().item() < 10
    torch.testing.assert_close(matrix @ found @ matrix, matrix, rtol=0, atol=1e-4)


def test_a_singular_estimate_does_not_end_training(caplog: pytest.LogCaptureFixture) -> None:
    torch.manual_seed(0)
    method = BackwardCorrection(problem(), "anchor_points", warm_up=1).double()
    images, labels = points()
    with torch.no_grad():
        for weight in method.backbone.parameters():
            weight.zero_()  # the same for all samples: all rows are equal
    method.on_epoch_start(context(1))
    assert "singular" in caplog.text
    step = method.step(images[:4], labels[:4], torch.arange(4))
    step.loss.backward()
    assert step.loss.isfinite()


@pytest.mark.parametrize("label", [0, 2])
@pytest.mark.parametrize("size", [1, 2])
def test_a_small_batch_of_one_class_is_enough(size: int, label: int) -> None:
    method = BackwardCorrection(problem(), MATRIX)
    images, _ = points()
    step = method.step(images[:size], torch.full((size,), label), torch.arange(size))
    step.loss.backward()
    assert step.loss.isfinite()


def test_before_the_matrix_is_known_the_loss_is_the_uncorrected_one() -> None:
    method = BackwardCorrection(problem(), "anchor_points")
    assert method.transition() is None
    assert method.scalars() == {}
    images, labels = points()
    step = method.step(images[:5], labels[:5], torch.arange(5))
    assert step.loss.equal(step.losses.mean())


def test_a_value_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="warm_up"):
        BackwardCorrection(problem(), warm_up=0)

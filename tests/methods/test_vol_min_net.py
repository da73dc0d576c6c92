import pytest
import torch
from torch import Tensor, nn

from noisy_lightning.losses import CrossEntropy, GeneralizedCrossEntropy
from noisy_lightning.methods import Problem, VolMinNet
from noisy_lightning.methods.vol_min_net import transition_matrix
from tests.methods.toys import B, K, assert_same_weights, batches, lookup, points, problem, train
from tests.reference.loss_correction import probabilities
from tests.reference.losses import softmax
from tests.reference.vol_min_net import batch_loss, matrix_of

ETA = 0.5


@pytest.mark.parametrize("adam", [False, True])
@pytest.mark.parametrize(("volume_weight", "initial", "lr"), [(1e-4, -2.0, 0.01), (0.3, -1.0, 0.5), (0.0, -4.5, 0.1)])
def test_walks_the_path_of_the_paper(volume_weight: float, initial: float, lr: float, adam: bool) -> None:
    torch.manual_seed(0)
    method = VolMinNet(problem(), volume_weight, initial, lr, adam).double()
    f = problem().make_backbone()
    f.load_state_dict(method.backbone.state_dict())
    train(method, 4, ETA)

    images, labels = points()
    w = [[torch.tensor(initial, dtype=torch.float64, requires_grad=True) for _ in range(K)] for _ in range(K)]
    flat = [w[i][j] for i in range(K) for j in range(K)]
    of_w = torch.optim.Adam(flat, lr) if adam else torch.optim.SGD(flat, lr, momentum=0.9)
    optimizers = [torch.optim.SGD(f.parameters(), ETA), of_w]
    for epoch in range(4):
        for index in batches(epoch):
            loss = batch_loss(list(probabilities(f, images[index])), labels[index].tolist(), w, volume_weight)
            for optimizer in optimizers:
                optimizer.zero_grad()
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()
    expected = torch.stack([torch.stack(row) for row in matrix_of(w)]).detach()
    torch.testing.assert_close(method.transition(), expected, rtol=1e-7, atol=1e-9)
    assert_same_weights(method.backbone, f, rtol=1e-7, atol=1e-9)


def test_sure_predictions_are_not_clipped() -> None:
    logits = [[40.0, 0.0, -40.0], [0.0, 30.0, 25.0], [-20.0, -20.0, 0.0]]
    labels = torch.tensor([1, 0, 2])
    method = VolMinNet(lookup(logits), 0.1, -4.5).double()
    step = method.step(torch.arange(3), labels, torch.arange(3))
    table = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
    w = [[torch.tensor(-4.5, dtype=torch.float64) for _ in range(K)] for _ in range(K)]
    loss = batch_loss([softmax(row) for row in table], labels.tolist(), w, 0.0)
    torch.testing.assert_close(step.loss, loss, rtol=1e-12, atol=0)
    found = torch.autograd.grad(step.loss, list(method.backbone.parameters()))
    torch.testing.assert_close(found, torch.autograd.grad(loss, [table]), rtol=1e-9, atol=1e-15)


def test_the_matrix_starts_as_the_paper_says() -> None:
    matrix = VolMinNet(Problem(lambda: nn.Linear(2, 10), CrossEntropy(), num_classes=10, num_samples=4)).transition()
    torch.testing.assert_close(matrix.sum(1), torch.ones(10))
    assert matrix.diagonal().tolist() == pytest.approx([0.4824] * 10, abs=1e-4)


def test_exact_posteriors_have_the_noise_as_their_smallest_matrix() -> None:
    """Where p is the truth and spread over all classes, the corrected loss has its minimum at the real matrix."""
    real = torch.tensor([[0.8, 0.15, 0.05], [0.1, 0.7, 0.2], [0.25, 0.05, 0.7]], dtype=torch.float64)
    posterior = torch.cat([torch.eye(3), torch.full((1, 3), 1 / 3)]).double().clamp(min=1e-7)
    weight = torch.full((3, 3), -2.0, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([weight], 0.05)
    for _ in range(800):
        optimizer.zero_grad()
        loss = -((posterior @ real) * (posterior @ transition_matrix(weight)).log()).sum()
        loss.backward()
        optimizer.step()
    torch.testing.assert_close(transition_matrix(weight.detach()), real, atol=1e-3, rtol=0)


def test_the_volume_shrinks_the_matrix_where_the_labels_say_nothing() -> None:
    volumes = []
    for volume_weight in (0.0, 1.0):
        torch.manual_seed(0)
        method = VolMinNet(problem(), volume_weight, lr=0.1).double()
        train(method, 5, ETA)
        volumes.append(method.scalars()["volume"].item())
    assert volumes[1] < volumes[0]


def test_records_the_uncorrected_losses_of_any_loss() -> None:
    torch.manual_seed(0)
    loss = GeneralizedCrossEntropy()
    method = VolMinNet(problem(loss))
    images, labels = points()
    step = method.step(images[:5], labels[:5], torch.arange(5))
    assert step.losses.equal(loss(step.logits, labels[:5]))
    assert step.sample_weight is None
    assert method(images).equal(method.backbone(images))


def test_several_batches_before_a_step_count_as_one() -> None:
    images, labels = points()
    index = torch.arange(2 * B)

    def learned(parts: list[Tensor]) -> Tensor:
        torch.manual_seed(0)
        method = VolMinNet(problem(), lr=0.5).double()
        for part in parts:
            method.step(images[part], labels[part], part)
        method.on_step_end()
        return method.weight

    torch.testing.assert_close(learned([index]), learned(list(index.split(B))))


@pytest.mark.parametrize("value", [{"volume_weight": -1.0}, {"lr": -0.1}])
def test_a_value_out_of_range_is_refused(value: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(value))):
        VolMinNet(problem(), **value)  # type: ignore[arg-type]

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from noisy_lightning.losses import CrossEntropy, GeneralizedCrossEntropy
from noisy_lightning.methods import BackwardCorrection, EpochContext, ForwardCorrection, Problem
from noisy_lightning.methods.parts.transition_correction import forward_corrected
from tests.conftest import SMALL
from tests.methods.toys import (
    K,
    assert_same_weights,
    batches,
    points,
    problem,
    train,
)
from tests.reference.loss_correction import descend, estimate, forward_loss, probabilities
from tests.reference.losses import cross_entropy, generalized_cross_entropy, one_hot, softmax

ETA, EPOCHS = 0.5, 6
MATRIX = [[0.75, 0.25, 0.0], [0.125, 0.75, 0.125], [0.25, 0.25, 0.5]]


def part(epoch: int) -> EpochContext:
    images, labels = points()

    @torch.no_grad()
    def predict(network: nn.Module, augmented: bool = False, index: Tensor | None = None, view: int = 0) -> Tensor:
        assert not augmented
        output: Tensor = network(images)
        return output

    return EpochContext(epoch, EPOCHS, labels, predict)


@pytest.mark.parametrize(
    ("warm_up", "percentile", "restart", "erase"),
    [(None, 97.0, True, False), (2, 80.0, False, False), (4, 100.0, True, False), (3, 60.0, True, True)],
)
def test_walks_the_path_of_the_paper(warm_up: int | None, percentile: float, restart: bool, erase: bool) -> None:
    torch.manual_seed(0)
    method = ForwardCorrection(problem(), "anchor_points", warm_up, percentile, restart, erase).double()
    f = problem().make_backbone()
    f.load_state_dict(method.backbone.state_dict())
    initial = {name: value.clone() for name, value in f.state_dict().items()}
    train(method, EPOCHS, ETA, part)

    images, labels = points()
    T = None  # noqa: N806
    for epoch in range(EPOCHS):
        if epoch == (3 if warm_up is None else warm_up):
            T = estimate([[p_k.item() for p_k in p] for p in probabilities(f, images)], percentile, erase)  # noqa: N806
            if restart:
                f.load_state_dict(initial)
        for index in batches(epoch):
            pairs = zip(probabilities(f, images[index]), labels[index].tolist(), strict=True)
            losses = [forward_loss(p, y, T) if T else cross_entropy(p, one_hot(y, K)) for p, y in pairs]
            descend(f, losses, ETA)
    transition = method.transition()
    assert transition is not None
    torch.testing.assert_close(transition, torch.tensor(T, dtype=torch.float64), rtol=1e-7, atol=1e-9)
    assert_same_weights(method.backbone, f, rtol=1e-7, atol=1e-9)


def test_a_given_matrix_corrects_from_the_first_step_and_counts_as_an_oracle() -> None:
    torch.manual_seed(0)
    method = ForwardCorrection(problem(), MATRIX)
    assert method.oracle
    assert not ForwardCorrection(problem()).oracle
    images, labels = points()
    step = method.step(images[:5], labels[:5], torch.arange(5))
    p = probabilities(method.backbone, images[:5])
    expected = [forward_loss(p_i, y, MATRIX) for p_i, y in zip(p, labels[:5].tolist(), strict=True)]
    torch.testing.assert_close(step.loss, sum(expected) / 5)
    assert method.transition() is not None


def test_records_the_uncorrected_losses() -> None:
    torch.manual_seed(0)
    method = ForwardCorrection(problem(), MATRIX)
    images, labels = points()
    step = method.step(images[:5], labels[:5], torch.arange(5))
    assert step.losses.equal(CrossEntropy()(step.logits, labels[:5]))
    assert step.logits.equal(method.backbone(images[:5]))
    assert step.sample_weight is None
    assert method(images).equal(method.backbone(images))


def test_any_loss_can_be_corrected() -> None:
    torch.manual_seed(0)
    method = ForwardCorrection(problem(GeneralizedCrossEntropy()), MATRIX)
    images, labels = points()
    step = method.step(images[:5], labels[:5], torch.arange(5))
    expected = []
    for p, y in zip(probabilities(method.backbone, images[:5]), labels[:5].tolist(), strict=True):
        q = [sum(p[i] * MATRIX[i][j] for i in range(K)) for j in range(K)]
        expected.append(generalized_cross_entropy(q, one_hot(y, K), 0.7))
    torch.testing.assert_close(step.loss, sum(expected) / 5)


def test_a_perfect_matrix_takes_wrong_labels_back() -> None:
    """The least corrected loss over noisy labels is at the true posterior."""
    T = torch.tensor(MATRIX, dtype=torch.float64)  # noqa: N806
    truth = torch.tensor([[0.7, 0.2, 0.1]], dtype=torch.float64)
    logits = truth.log().requires_grad_()
    losses = CrossEntropy()(forward_corrected(logits, T).expand(K, K), torch.arange(K))
    (gradient,) = torch.autograd.grad((losses * (truth @ T)[0]).sum(), logits)
    assert gradient.abs().max().item() < 1e-6
    plain = CrossEntropy()(logits.expand(K, K), torch.arange(K))
    (gradient,) = torch.autograd.grad((plain * (truth @ T)[0]).sum(), logits)
    assert gradient.abs().max().item() > 0.05


def test_probabilities_are_clamped_as_in_the_authors_code() -> None:
    logits = torch.tensor([[40.0, 0.0, 0.0], [0.0, 5.0, 3.0]], requires_grad=True)
    matrix = torch.tensor([[1.0, 0, 0], [0, 1.0, 0], [0, 0.5, 0.5]])
    losses = CrossEntropy()(forward_corrected(logits, matrix), torch.tensor([1, 2]))
    assert losses[0].item() == pytest.approx(-math.log(1.5e-7), rel=1e-3)
    (gradient,) = torch.autograd.grad(losses.sum(), logits)
    assert gradient[0].abs().max().item() == 0
    p = softmax(logits[1])
    assert losses[1].item() == pytest.approx(-math.log(0.5 * p[2].item()), rel=1e-5)
    assert gradient[1].abs().min().item() > 0


def test_a_label_that_the_matrix_rules_out_costs_much_but_not_infinitely_much() -> None:
    logits = torch.zeros(1, 3, requires_grad=True)
    matrix = torch.tensor([[1.0, 0, 0], [0, 1.0, 0], [0.5, 0.5, 0]])
    loss = CrossEntropy()(forward_corrected(logits, matrix), torch.tensor([2]))
    assert loss.item() == pytest.approx(-math.log(1e-7), rel=1e-4)
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    assert gradient.isfinite().all()


def test_half_precision_does_not_reach_the_correction() -> None:
    logits = torch.randn(8, 3, generator=torch.Generator().manual_seed(0)).bfloat16()
    matrix = torch.tensor(MATRIX)
    with torch.autocast("cpu", torch.bfloat16):
        half = forward_corrected(logits, matrix)
    assert half.equal(forward_corrected(logits.float(), matrix))


@pytest.mark.parametrize("size", [1, 2])
def test_a_small_batch_is_enough(size: int) -> None:
    method = ForwardCorrection(problem(), MATRIX)
    images, labels = points()
    step = method.step(images[:size], labels[:size], torch.arange(size))
    step.loss.backward()
    assert step.loss.isfinite()


def test_before_the_matrix_is_known_the_loss_is_the_uncorrected_one() -> None:
    method = ForwardCorrection(Problem(nn.Identity, CrossEntropy(), 3, 10), "anchor_points")
    assert method.transition() is None
    assert method.scalars() == {}
    logits = torch.tensor([[40.0, 0.0, 0.0]], requires_grad=True)
    loss = method.step(logits, torch.tensor([1]), torch.tensor([0])).loss
    assert loss.item() == pytest.approx(40.0)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient.tolist() == [pytest.approx([1, -1, 0])]


@pytest.mark.parametrize("kind", [ForwardCorrection, BackwardCorrection])
def test_in_the_warm_up_it_learns_nothing_from_what_is_held_out(
    kind: type[ForwardCorrection | BackwardCorrection],
) -> None:
    images, labels = points()
    for known in (False, True):
        torch.manual_seed(0)
        method = kind(problem()).double()
        method.noise.known.fill_(known)
        held_out = method.noise.unseen.held_out
        assert 0 < held_out.sum() < len(labels) / 2
        changed = torch.where(held_out, (labels + 1) % K, labels)
        one, other = (method.step(images, given, torch.arange(len(labels))).loss for given in (labels, changed))
        assert one.equal(other) != known
        nothing = held_out.nonzero().flatten()
        step = method.step(images[nothing], labels[nothing], nothing)
        step.loss.backward()
        assert step.loss.isfinite()
        assert (step.loss.item() == 0) != known
    paper = kind(problem(), "anchor_points").double()
    step = paper.step(images, labels, torch.arange(len(labels)))
    assert step.loss.equal(step.losses.mean())


@pytest.mark.parametrize("suffix", ["", ".csv"])
def test_a_matrix_is_given_on_the_command_line(suffix: str, run: Callable[..., int], tmp_path: Path) -> None:
    rows = (0.6 * torch.eye(10) + 0.04).tolist()
    path = tmp_path / f"matrix{suffix}"
    path.write_text("\n".join(",".join(map(str, row)) for row in rows))
    given = str(path) if suffix else json.dumps(rows)
    assert run("fit", *SMALL, "--model.method", "ForwardCorrection", "--model.method.matrix", given) == 0
    result = json.loads((tmp_path / "runs/default/0/result.json").read_text())
    assert torch.tensor(result["transition"]["estimated"]).allclose(torch.tensor(rows), atol=1e-6)


def test_a_matrix_of_other_classes_is_refused_by_its_key(
    run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("--model.method", "ForwardCorrection", "--model.method.matrix", "[[1, 0], [0, 1]]")
    assert run("fit", *SMALL, *given) == 2
    assert "model.method.matrix must be 10×10 for this data set, got 2 rows" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "value"), [("warm_up", 0), ("percentile", 0.0)])
def test_a_value_out_of_range_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        ForwardCorrection(problem(), **{name: value})  # type: ignore[arg-type]

import pytest
import torch
from torch import Tensor

from noisy_lightning.losses import GeneralizedCrossEntropy
from noisy_lightning.methods import Decoupling
from tests.methods.toys import (
    B,
    assert_same_weights,
    lookup,
    points,
    problem,
    sample_weights,
    training,
)
from tests.reference.decoupling import decoupling_step

ETA = 0.5
AGREED = [[4.0, 0, 0], [0, 4.0, 0], [0, 4.0, 0], [0, 0, 4.0]]
ONE_APART = [[4.0, 0, 0], [0, 4.0, 0], [0, 0, 4.0], [0, 0, 4.0]]
LABELS = torch.tensor([1, 1, 1, 0])


def _fixed(first: list[list[float]], second: list[list[float]], min_share: float = 0.1) -> Decoupling:
    """Return the method with networks that look up their logits."""
    return Decoupling(lookup(first, second), min_share=min_share)


@pytest.mark.parametrize(("warm_up_steps", "min_share"), [(0, 0.1), (7, 0.1), (0, 0.7), (4, 1.0)])
def test_walks_the_path_of_the_paper(warm_up_steps: int, min_share: float) -> None:
    torch.manual_seed(0)
    method = Decoupling(problem(), warm_up_steps, min_share)
    h1, h2 = problem().make_backbone(), problem().make_backbone()
    h1.load_state_dict(method.first.state_dict())
    h2.load_state_dict(method.second.state_dict())
    images, labels = points()
    sizes = set()
    for t, (_, index, step) in enumerate(training(method, 5, ETA)):
        disagreement = decoupling_step(h1, h2, images[index], labels[index], t, warm_up_steps, min_share, ETA)
        assert sample_weights(step) == [i in disagreement for i in range(B)]
        sizes.add(len(disagreement))
    assert len(sizes) > 2  # neither all nor none throughout
    for ours, theirs in ((method.first, h1), (method.second, h2)):
        assert_same_weights(ours, theirs, rtol=1e-6, atol=1e-8)


def test_only_samples_that_the_networks_disagree_on_count() -> None:
    method = _fixed(AGREED, ONE_APART)
    step = method.step(torch.arange(4), LABELS, torch.arange(4))
    assert sample_weights(step) == [False, False, True, False]
    cross_entropy: Tensor = problem().loss(torch.tensor([AGREED[2], ONE_APART[2]]), LABELS[[2, 2]])
    assert step.loss.item() == pytest.approx(cross_entropy.sum().item())
    assert step.losses[2].item() == pytest.approx(cross_entropy.mean().item())
    assert step.logits.tolist() == AGREED


def test_few_disagreements_do_not_make_a_full_step() -> None:
    whole, half = (
        _fixed(AGREED, ONE_APART, share).step(torch.arange(4), LABELS, torch.arange(4)).loss.item()
        for share in (0.25, 0.5)
    )
    assert half == pytest.approx(whole / 2)


def test_nobody_learns_where_all_agree() -> None:
    method = _fixed(AGREED, AGREED)
    step = method.step(torch.arange(4), LABELS, torch.arange(4))
    step.loss.backward()
    assert step.loss.item() == 0
    gradients = [weight.grad for weight in method.parameters()]
    assert all(gradient is not None and not gradient.any() for gradient in gradients)


def test_the_warm_up_ends_after_its_steps_of_the_optimizer() -> None:
    method = Decoupling(problem(), warm_up_steps=2)
    method.second.load_state_dict(method.first.state_dict())  # so that they agree
    images, labels = points()
    kept = []
    for _ in range(4):
        step = method.step(images[:B], labels[:B], torch.arange(B))
        method.step(images[:B], labels[:B], torch.arange(B))  # of a batch that is accumulated
        method.on_step_end()
        kept.append(sum(sample_weights(step)))
    assert kept == [B, B, 0, 0]


def test_any_loss_teaches() -> None:
    torch.manual_seed(0)
    loss = GeneralizedCrossEntropy()
    method = Decoupling(problem(loss), warm_up_steps=1)
    images, labels = points()
    step = method.step(images, labels, torch.arange(len(labels)))
    expected = loss(method.first(images), labels).mean() + loss(method.second(images), labels).mean()
    torch.testing.assert_close(step.loss, expected)


@pytest.mark.parametrize("size", [1, 2])
def test_a_last_batch_of_one_or_two_is_stepped_on(size: int) -> None:
    method = _fixed(ONE_APART[2:], AGREED[2:])
    step = method.step(torch.arange(size), LABELS[:size], torch.arange(size))
    assert step.loss.isfinite()
    assert step.loss > 0
    assert sample_weights(step) == [True, False][:size]


def test_a_nan_shows_in_the_loss() -> None:
    nan = [float("nan")] * 3
    for tables in ([nan], [nan]), ([nan], [[0, 1.0, 0]]), ([[0, 1.0, 0]], [nan]):
        assert _fixed(*tables).step(torch.tensor([0]), LABELS[:1], torch.arange(1)).loss.isnan()


@pytest.mark.parametrize("arguments", [{"warm_up_steps": -1}, {"min_share": 0.0}, {"min_share": 1.1}])
def test_a_value_out_of_range_is_refused(arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        Decoupling(problem(), **arguments)  # type: ignore[arg-type]

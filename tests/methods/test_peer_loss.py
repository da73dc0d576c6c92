import pytest
import torch

from noisy_lightning.methods import PeerLoss
from noisy_lightning.methods.parts.random_labels import RandomLabels
from noisy_lightning.methods.peer_loss import parse_curve, value_at
from noisy_lightning.types import Companion
from tests.methods.toys import B, N, assert_same_weights, batches, beside, context, points, problem, training
from tests.reference.loss_correction import probabilities
from tests.reference.peer import peer_loss, published_alpha

ETA, CURVE = 0.3, "1,0,3,0.8"


@pytest.mark.parametrize("divide", [True, False])
def test_walks_the_path_of_the_paper(divide: bool) -> None:
    torch.manual_seed(0)
    method = PeerLoss(problem(), CURVE, divide).double()
    f = problem().make_backbone()
    f.load_state_dict(method.backbone.state_dict())
    images, labels = points()
    optimizer = torch.optim.SGD(f.parameters(), ETA)
    alphas = [0.0, 0.0, 0.4, 0.8, 0.8]
    for number, (epoch, index, step) in enumerate(training(method, 5, ETA)):
        assert index.equal(batches(epoch)[number % 3])
        others = beside(epoch, number % 3)
        loss = peer_loss(
            probabilities(f, images[index]),
            labels[index].tolist(),
            probabilities(f, images[others]),
            method.peers.values[others].tolist(),
            alphas[epoch],
        )
        loss = loss / (1 + alphas[epoch]) if divide else loss
        # The package's probabilities sum to one again, which changes the value and not the gradient.
        torch.testing.assert_close(step.loss, loss, atol=1e-4, rtol=0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert_same_weights(method.backbone, f, rtol=1e-6, atol=1e-8)


def test_the_curve_is_that_of_the_authors_code() -> None:
    curve = PeerLoss(problem()).curve
    assert [value_at(curve, epoch) for epoch in range(340)] == pytest.approx([published_alpha(e) for e in range(340)])
    assert value_at(curve, 1000) == 5
    hundred = parse_curve("99,0,100,0.95")
    assert [value_at(hundred, epoch) for epoch in (0, 99, 100, 300)] == [0, 0, 0.95, 0.95]


def test_random_labels_are_those_of_the_training_part_in_an_order_of_each_epoch() -> None:
    torch.manual_seed(0)
    peers, now = RandomLabels(N), context(0)
    labels = now.labels.clone()
    labels[20:] = -1
    drawn = []
    for epoch in (0, 1, 0):
        peers.draw(context(epoch).__class__(epoch, 9, labels, now.predict))
        drawn.append(peers.read(torch.arange(20)))
        assert drawn[-1].sort().values.equal(labels[:20].sort().values)
    assert drawn[0].equal(drawn[2])
    assert not drawn[0].equal(drawn[1])
    assert not drawn[0].equal(labels[:20])
    uniform = RandomLabels(6000, 3)
    uniform.draw(context(0).__class__(0, 9, torch.zeros(6000, dtype=torch.long), now.predict))
    assert uniform.values.bincount(minlength=3).tolist() == pytest.approx([2000] * 3, rel=0.1)


def test_peers_keep_a_network_from_agreeing_with_any_label() -> None:
    """With α = 1 the loss of a network that says the same of all images is 0, whatever it says."""
    torch.manual_seed(0)
    method = PeerLoss(problem(), "0,1", divide=False)
    images = torch.zeros(N, 2, dtype=torch.float64)
    _, labels = points()
    method.on_epoch_start(context(0))
    method.companion = Companion(images, torch.arange(N))
    assert method.step(images, labels, torch.arange(N)).loss.item() == pytest.approx(0, abs=1e-7)


def test_records_the_plain_losses_and_looks_at_peers_only_where_they_count() -> None:
    method = PeerLoss(problem(), "1,0,2,1")
    images, labels = points()
    method.on_epoch_start(context(0))
    step = method.step(images[:B], labels[:B], torch.arange(B))
    assert step.losses.equal(method.loss(step.logits, labels[:B]))
    assert method.scalars()["alpha"] == 0
    assert method.companions(torch.arange(5)).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("alpha", ["", "1", "0,1,2", "2,0,1,1", "0,-1", "-1,0", "0,nan", "0,inf", "a,b"])
def test_what_is_no_curve_is_refused(alpha: str) -> None:
    with pytest.raises(ValueError, match="alpha must be pairs"):
        PeerLoss(problem(), alpha)

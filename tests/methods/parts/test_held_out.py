import pytest
import torch
from torch import Tensor, nn

from noisy_lightning.methods import EpochContext
from noisy_lightning.methods.parts.held_out import HeldOutPredictions, SelfCheck, self_check, surest_transition
from noisy_lightning.methods.parts.sample_memory import SampleMemory


def test_the_rows_are_counted_among_the_samples_surest_of_each_class() -> None:
    """Of ten given labels 0 and five 1, the two samples surest of class 0 and the one surest of class 1 count."""
    labels = torch.tensor([0] * 10 + [1] * 5)
    probability = torch.full((15, 3), 0.1)
    probability[[3, 12], 0] = torch.tensor([0.9, 0.8])  # given 0 and 1
    probability[[5, 11], 1] = torch.tensor([0.9, 0.8])  # given 0
    matrix, shares = surest_transition(probability, labels, share=0.2)
    assert matrix.tolist() == [[0.5, 0.5, 0], [1, 0, 0], [0, 0, 1]]
    assert shares.tolist() == pytest.approx([10 / 15, 5 / 15, 0])
    everything, _ = surest_transition(probability[:10], labels[:10], share=1.0)
    assert everything.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


def test_agreement_is_explained_by_noise_and_by_what_the_network_does_not_know() -> None:
    """600 of 1000 images are easy, the others guesses of the next class; a fifth of the labels is the class after."""
    true = torch.arange(1000) % 5
    easy = torch.arange(1000) < 600
    given = torch.where(torch.arange(1000) // 5 % 5 == 0, (true + 2) % 5, true)
    classes = torch.where(easy, true, (true + 1) % 5)
    probability = torch.full((1000, 5), 0.05)
    probability[torch.arange(1000), classes] = torch.where(easy, 0.8, 0.4)
    check = self_check(probability, given)
    assert check.accuracy_given == pytest.approx(0.48)
    assert check.noise_rate == pytest.approx(0.2)
    assert check.accuracy_true == pytest.approx((0.48 - 0.05) / (0.8 - 0.05))
    assert check.too_weak


def test_mistakes_that_are_few_or_fewer_than_wrong_labels_are_no_weakness() -> None:
    assert not SelfCheck(0.9, 0.01, 0.91).too_weak
    assert not SelfCheck(0.45, 0.4, 0.75).too_weak
    assert SelfCheck(0.3, 0.4, 0.5).too_weak
    # 2,500 images of CIFAR-10, of which 30 have wrong labels: the network is the reason for all the others.
    assert SelfCheck(0.386, 0.394, 0.608).too_weak
    assert SelfCheck(0.44, 0.05, 0.46).too_weak


def test_what_was_predicted_once_counts_as_it_is() -> None:
    outputs = torch.tensor([[0.0, 2.0], [1.0, 0.0]])
    unseen = HeldOutPredictions(torch.tensor([True, True]), 2)
    context = EpochContext(1, 2, torch.tensor([0, 1]), lambda network, augmented=False, index=None, view=0: outputs)
    unseen.ask(context, nn.Identity(), due=1)
    probability, labels = unseen.average(context)
    torch.testing.assert_close(probability, outputs.softmax(1))
    assert labels.tolist() == [0, 1]


def test_what_is_predicted_is_averaged_over_the_last_three_epochs_of_samples_that_count() -> None:
    held_out, labels = torch.tensor([True, False, True, True]), torch.tensor([0, 1, 1, -1])
    unseen = HeldOutPredictions(held_out, 2)
    assert isinstance(unseen.total, SampleMemory)  # which ranks do not send one another in every step
    outputs = torch.tensor([[0.0, 9.0], [0.0, 3.0], [0.0, 1.0], [0.0, -1.0]])
    asked: list[int] = []

    def predict(network: nn.Module, augmented: bool = False, index: Tensor | None = None, view: int = 0) -> Tensor:
        assert index is not None
        assert index.tolist() == [0, 2]  # the fourth is not trained on
        asked.append(epoch)
        return outputs[epoch].expand(2, 2)

    for epoch in range(5):
        context = EpochContext(epoch, 10, labels, predict)
        unseen.ask(context, nn.Identity(), due=3)
    assert asked == [1, 2, 3]
    probability, given = unseen.average(context)
    torch.testing.assert_close(probability, outputs[1:].softmax(1).mean(0).expand(2, 2))
    assert given.tolist() == [0, 1]
    probability, given = unseen.average(context, among=labels == 1)
    assert (len(probability), given.tolist()) == (1, [1])
    older = HeldOutPredictions(held_out, 2)
    older.load_state_dict({})  # of a version that kept none
    assert not older.total.values.any()
    older.load_state_dict({"total": unseen.total.values})  # of one that kept them as a buffer of its own
    assert older.total.values.equal(unseen.total.values)

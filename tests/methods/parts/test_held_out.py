import pytest
import torch

from noisy_lightning.methods.parts.held_out import SelfCheck, self_check, surest_transition


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
    assert SelfCheck(0.44, 0.05, 0.46).too_weak

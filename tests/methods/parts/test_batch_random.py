import torch

from noisy_lightning.methods.parts.batch_random import BatchRandom


def test_each_batch_has_draws_of_its_own_that_a_checkpoint_goes_on_with() -> None:
    torch.manual_seed(0)
    one, other = BatchRandom(), BatchRandom()
    draws = [one.next().random() for _ in range(3)]
    assert len({*draws, other.next().random()}) == 4
    state = {name: value.clone() for name, value in one.state_dict().items()}
    following = one.next().random()
    other.load_state_dict(state)
    assert other.next().random() == following

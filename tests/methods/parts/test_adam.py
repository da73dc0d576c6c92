import torch
from torch import nn

from noisy_lightning.methods.parts.adam import Adam


def test_steps_are_those_of_torch_also_after_a_reset() -> None:
    random = torch.Generator().manual_seed(0)
    ours = [torch.randn(3, 2, generator=random), torch.randn(4, generator=random)]
    adam = Adam(12, 0.1)
    for length in (1, 2):  # then only a part of the state is used
        theirs = [nn.Parameter(weight.clone()) for weight in ours[:length]]
        optimizer = torch.optim.Adam(theirs, lr=0.1)
        adam.reset()
        for _ in range(4):
            for weight in theirs:
                weight.grad = torch.randn(weight.shape, generator=random) * 0.01
            gradient = torch.cat([weight.grad.flatten() for weight in theirs if weight.grad is not None])
            adam.step(ours[:length], gradient)
            optimizer.step()
            for mine, other in zip(ours, theirs, strict=False):
                torch.testing.assert_close(mine, other.detach())

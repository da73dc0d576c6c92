import torch
from torch import nn

from noisy_lightning.methods.parts.adam import Adam


def test_steps_are_those_of_torch_also_after_a_reset() -> None:
    random = torch.Generator().manual_seed(0)
    ours, adam = torch.randn(3, 2, generator=random), Adam(3, 2)
    for weight_decay in (0.0, 0.1):
        theirs = nn.Parameter(ours.clone())
        optimizer = torch.optim.Adam([theirs], lr=0.1, weight_decay=weight_decay)
        adam.reset()
        for _ in range(4):
            theirs.grad = torch.randn(3, 2, generator=random) * 0.01
            adam.descend(ours, theirs.grad, 0.1, weight_decay)
            optimizer.step()
            torch.testing.assert_close(ours, theirs.detach(), rtol=2e-7, atol=3e-7)

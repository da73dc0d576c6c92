"""The small network that weights samples in a data-driven MentorNet: Jiang, Zhou, Leung, Li and Fei-Fei, ICML 2018."""

import copy
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_STEPS, _BATCH, _LEARNING_RATE, _LARGEST_GRADIENT = 300, 32, 0.1, 5.0
_DECAYS = 30  # how often the learning rate is multiplied by 0.9


@final
class MentorNetwork(nn.Module):
    """From the loss of a sample, and the percentage of training, to the log-odds that its given label is right.

    A bidirectional LSTM with one unit in each direction reads (loss, loss − moving average), in the authors' code as a
    sequence of one step. This reduces it to the cell σ(i)·tanh(g): forget gate and recurrence have nothing to act on.
    Both cells and a fixed random embedding of the percentage go through 20 tanh units.

    The authors also embed a label that is always 0, which has the effect of a bias.
    """

    embedding: Tensor
    """(100, 5), by percentage of training."""

    def __init__(self) -> None:
        super().__init__()
        self.gates = nn.Linear(2, 4)  # i of both ways, then g of both
        self.hidden = nn.Linear(7, 20)
        self.output = nn.Linear(20, 1)
        self.register_buffer("embedding", nn.init.xavier_uniform_(torch.empty(100, 5)))
        nn.init.xavier_uniform_(self.gates.weight)
        nn.init.zeros_(self.gates.bias)
        for layer in (self.hidden, self.output):
            nn.init.normal_(layer.weight)
            nn.init.normal_(layer.bias)

    def forward(self, features: Tensor, percentage: Tensor) -> Tensor:
        """Return the log-odds (B,).

        Args:
            features: (B, 2) loss, and loss minus its moving average.
            percentage: (B,) int64 in [0, 100), or () for all samples.
        """
        with torch.autocast(features.device.type, enabled=False):
            gate, candidate = self.gates(features.float()).chunk(2, dim=1)
            cell = gate.sigmoid() * candidate.tanh()
            when = self.embedding[percentage].expand(len(features), -1)
            logits: Tensor = self.output(self.hidden(torch.cat([when, cell], 1)).tanh())
        return logits.squeeze(1)


def teach(network: MentorNetwork, features: Tensor, percentage: Tensor, right: Tensor, seed: int) -> float:
    """Train a network further, in place, on samples whose labels were verified.

    With binary cross-entropy and Adam as in the authors' code, in a hundredth of its steps, over which the learning
    rate falls as far. It runs on the CPU, so that the result is the same on all devices; the network's own weights
    never need a gradient.

    Args:
        network: The network.
        features: (n, 2) as in its `forward`.
        percentage: (n,) as in its `forward`.
        right: (n,) bool, whether the given label is right.
        seed: Of the draws that make up the batches.

    Returns:
        The share of samples in [0, 1] that the network then classifies correctly.
    """
    features, percentage, right = features.float().cpu(), percentage.cpu(), right.cpu()
    random = torch.Generator().manual_seed(seed)
    pupil = copy.deepcopy(network).cpu().requires_grad_(True)
    optimizer = torch.optim.Adam(pupil.parameters(), _LEARNING_RATE)
    with torch.enable_grad():
        for step in range(_STEPS):
            optimizer.param_groups[0]["lr"] = _LEARNING_RATE * 0.9 ** (_DECAYS * step // _STEPS)
            chosen = torch.randint(len(right), (_BATCH,), generator=random)
            logits = pupil(features[chosen], percentage[chosen])
            optimizer.zero_grad()
            F.binary_cross_entropy_with_logits(logits, right[chosen].float()).backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(pupil.parameters(), _LARGEST_GRADIENT)
            optimizer.step()
    network.load_state_dict(pupil.state_dict())
    with torch.no_grad():
        found: Tensor = (pupil(features, percentage) > 0) == right
    return int(found.sum()) / len(found)

"""What a method learns when an epoch begins or ends, true labels not among it."""

import math
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from noisy_lightning.methods import EpochContext
from noisy_lightning.methods.parts.inference import evaluating
from noisy_lightning.methods.parts.ranks import gather
from noisy_lightning.types import Batch

if TYPE_CHECKING:
    from noisy_lightning.training.module import NoisyClassifier


def epoch_context(module: "NoisyClassifier") -> EpochContext:
    """Return where the training stands, and the training part as a whole."""
    data, epoch = module.data, module.current_epoch
    labels = torch.full_like(data.labels, -1)
    labels[data.train_indices] = data.epoch_labels(epoch)[data.train_indices]
    candidates: Tensor | None = None
    if data.candidate_indices is not None:
        candidates = torch.zeros_like(data.is_clean)
        candidates[data.candidate_indices] = module.method.uses_candidates
    epochs, predict = module.trainer.max_epochs or 0, partial(predicted, module)
    steps = module.trainer.estimated_stepping_batches
    max_steps = int(steps) if math.isfinite(steps) else 0
    return EpochContext(epoch, epochs, labels, predict, candidates, data.estimated_noise_rate, max_steps)


@torch.no_grad()
def predicted(
    module: "NoisyClassifier", network: nn.Module, augmented: bool = False, index: Tensor | None = None, view: int = 0
) -> Tensor:
    """Pass the training part, or some of it, through a network; see `Predict`."""
    trainer = module.trainer
    served_index, output = [], []
    # Epochs beyond the last: the draws are not those of any epoch of the run.
    epoch = module.current_epoch + (1 + view) * (trainer.max_epochs or 0)
    with evaluating(network):
        for served in module.data.training_part(epoch, augmented, index):
            batch: Batch = trainer.strategy.batch_to_device(served)
            with trainer.precision_plugin.forward_context():
                output.append(module.logits(network, batch.image).float())
            served_index.append(batch.index)
    positions, outputs = gather(torch.cat(served_index)).cpu(), gather(torch.cat(output)).cpu()
    if index is not None:
        return outputs[positions.argsort()][index.argsort().argsort()]
    everything = outputs.new_full((module.num_samples, *outputs.shape[1:]), math.nan)
    everything[positions] = outputs
    return everything

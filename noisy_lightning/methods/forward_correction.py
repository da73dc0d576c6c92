"""Forward correction: Patrini, Rozza, Menon, Nock and Qu, CVPR 2017."""

from typing import final

from torch import Tensor

from noisy_lightning.methods.base import EpochContext
from noisy_lightning.methods.parts.transition_correction import TransitionCorrection, forward_corrected
from noisy_lightning.types import Step


@final
class ForwardCorrection(TransitionCorrection):
    """One network whose probabilities pass through the noise before they are compared with the given labels.

    The loss of a sample is that of q = Tᵀp, where T[i, j] = P(given = j | true = i): for cross-entropy
    −log Σ_i p_i T[i, ỹ]. A network whose q fits the noisy labels has a p that fits the true ones. Probabilities p are
    clipped to [1e-7, 1 − 1e-7], as in the authors' code, and q from below to 1e-7; q is then divided by its sum.

    T is estimated from a network that was trained on the uncorrected loss for `warm_up` epochs, in one of four ways:

    - `estimate` holds a quarter of the samples out until then, and counts: row i is how often each label was given to
      the samples that the network is surest to be of class i, by its mean prediction after the last three epochs, a
      tenth of a class. With 100 classes these are few. `ForgetRate` says how near that comes.
    - `anchor_points`, as in the paper: row i is what the network predicts for the one sample that it is surest to be of
      class i, see `percentile`. A network that is seldom sure, as on CIFAR-10 after ten epochs, has rows that are far
      too flat: clean labels then seem to be wrong in 17 %.
    - `dual_t`: the product of two matrices: that of `anchor_points`, from true class to prediction, and how often each
      label was given to what is predicted as a class (`dual_transition`; Yao et al., NeurIPS 2020, who leave p as
      it is and add 1e-12 to q).
    - `hoc`: without any probabilities, by how often the labels of a sample and of its two nearest neighbors agree
      (`consensus_transition`; Zhu et al., ICML 2021). Neighbors are those in what the network's classifier takes: of a
      linear classifier on frozen features these themselves, else what the network has learned so far. At most 128
      classes; of fewer than 15,000 samples, it warns.

    T is of labels as they were given, so that classes are neither sampled (`data.sampling`) nor weighted.

    The row of a class that no training sample has as its given label stays that of the identity, and if the network's
    outputs are NaN, all of T does: both with a warning. T is written to `result.json`, and is shown as a picture in
    TensorBoard.

    Recorded are the uncorrected losses, for comparison with other methods.

    Deviations: the authors train twice, for 120 epochs each, and from each run take the epoch with the lowest
    loss on noisy validation labels. Here one fit of `max_epochs` holds both, and the first ends with its
    last epoch. A learning rate that falls over the whole fit is low by then: with the scheduler
    CosineAnnealingWarmRestarts and a T_0 of `warm_up` both begin at the same rate. The second one has
    the same initial weights as the first, and starts with the momentum that the optimizer has at that point.

    Args:
        problem: The task; any loss, cross-entropy in the paper. T can be estimated only with a loss that is lowest at
            the true probabilities, as cross-entropy is.
        matrix: T as K rows of K probabilities, or a file of them: `.csv` (comma-separated, no header), `.json` or
            `.npy`. Trains on the corrected loss from the start, and counts as an oracle. Or `estimate`,
            `anchor_points`, `dual_t` or `hoc`, see above.
        warm_up: Epochs >= 1 before T is estimated; null: half of all, as in the paper. Not used with a given T.
        percentile: Of `anchor_points` and `dual_t`, in (0, 100]: row i comes from the sample with the highest p_i below
            this percentile of all p_i. The paper uses 97, but 100, the highest of all, for CIFAR-100: with many
            classes, 3 % of the samples are more than a whole class.
        restart: Whether the network starts again from its initial weights once T is known, as in the paper. This keeps
            a copy of them, also in checkpoints. Otherwise it goes on with what it has learned.
        erase: Of the same two: whether p_i of samples above its percentile counts as 0 in later rows. The authors'
            code does this, probably by mistake. It matters where one sample has a high p for two classes.

    Raises:
        InputError: The matrix is not one of K classes.
        ValueError: A value is out of range.
    """

    def on_epoch_start(self, context: EpochContext) -> None:
        """Estimate the matrix when the warm-up is over."""
        self.noise.update(context, self.backbone)

    def step(self, image: Tensor, label: Tensor, index: Tensor) -> Step:
        """Average the corrected losses, in the warm-up the uncorrected ones."""
        mixed = self.mixed(image, label, index)
        logits = self.backbone(mixed.image)
        losses, given = self.loss(logits, label), forward_corrected(logits, self.noise.matrix)

        def of_others(label: Tensor, index: Tensor) -> Tensor:
            return self.mean(self.loss(given, label), self.loss(logits, label), index)

        return Step(mixed.blend(self.mean(self.loss(given, label), losses, index), of_others), losses, logits)

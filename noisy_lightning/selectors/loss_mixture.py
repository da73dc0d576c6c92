"""Trust the labels in the lower of two groups of losses: Arazo et al., ICML 2019, and Li et al., ICLR 2020."""

from typing import final

from noisy_lightning.losses.ranges import check_range
from noisy_lightning.selectors.base import Judgment, Selector, Task, TrainingRuns
from noisy_lightning.selectors.one_run import judge, mean_over_epochs, train_on_all
from noisy_lightning.selectors.self_check import checked_on_half


@final
class LossMixture(Selector):
    """Selects the samples whose mean loss over one run belongs to the lower of two Gaussians fitted to all.

    Networks learn right labels first, so that for some time the losses of wrong ones are higher: the mean over the
    epochs remembers it when the network, late in a training run, has learned them by heart. The losses are those that
    the samples met in training, under augmentation and the configured loss and method.

    The score is the mean loss; the noise rate the share that is not selected; the suggested class the one predicted in
    most epochs. Where the losses do not fall into two groups all labels are selected, with a warning. A second training
    run, on one half of the samples, checks how well the network predicts labels that it has not seen.

    Args:
        epochs: Of the training run; None: as the configuration says.
        last: How many of its last epochs count, >= 1; None: all. DivideMix takes one, and five at high noise.
        threshold: In (0, 1): probability of the higher group up to which a label is selected.

    Raises:
        ValueError: A value is out of range.
    """

    score_meaning = "the mean loss of the given label over the epochs"

    def __init__(self, epochs: int | None = None, last: int | None = None, threshold: float = 0.5) -> None:
        check_range("epochs", 1 if epochs is None else epochs, "[1, inf)")
        check_range("last", 1 if last is None else last, "[1, inf)")
        check_range("threshold", threshold, "(0, 1)")
        self.epochs, self.last, self.threshold = epochs, last, threshold

    def select(self, task: Task, runs: TrainingRuns) -> Judgment:
        """Train once and split the losses."""
        records, notes = train_on_all(task, runs, self.epochs)
        loss = mean_over_epochs(records.loss, self.last)
        judgment = judge(task, records, loss, self.threshold, "losses", notes)
        return checked_on_half(judgment, task, runs, self.epochs)

"""Distrust the labels that a run never comes to prefer: Pleiss, Zhang, Elenberg and Weinberger, NeurIPS 2020."""

from typing import final

from noisy_lightning.losses.ranges import check_range
from noisy_lightning.selectors.base import Judgment, Selector, Task, TrainingRuns
from noisy_lightning.selectors.one_run import judge, mean_over_epochs, require_margin, train_on_all
from noisy_lightning.selectors.self_check import checked_on_half


@final
class AreaUnderMargin(Selector):
    """Selects by the margin, the given label's logit minus the largest other one, averaged over the epochs of a run.

    The score is the negative area under the margin, which is high where other samples of the class seen contradict the
    given label. The authors train up to the first drop of the learning rate, since networks learn the wrong labels by
    heart after it: choose `epochs` alike.

    Deviation: they find the threshold by samples of a class that does not exist, in two training runs; here the areas
    are split by two Gaussians, in one. The noise rate is the share that is not selected, the suggested class the one
    predicted in most epochs. Where the areas do not fall into two groups all labels are selected, with a warning. A
    second training run, on one half of the samples, checks how well the network predicts labels that it has not seen.

    Args:
        epochs: Of the training run; None: as the configuration says.
        threshold: In (0, 1): probability of the lower group up to which a label is selected.

    Raises:
        ValueError: A value is out of range.
    """

    score_meaning = "minus the margin of the given label over the largest other one, averaged over the epochs"

    def __init__(self, epochs: int | None = None, threshold: float = 0.5) -> None:
        check_range("epochs", 1 if epochs is None else epochs, "[1, inf)")
        check_range("threshold", threshold, "(0, 1)")
        self.epochs, self.threshold = epochs, threshold

    def select(self, task: Task, runs: TrainingRuns) -> Judgment:
        """Train once and split the areas."""
        records, notes = train_on_all(task, runs, self.epochs)
        area = mean_over_epochs(require_margin(records), last=None)
        judgment = judge(task, records, -area, self.threshold, "areas under the margin", notes)
        return checked_on_half(judgment, task, runs, self.epochs)

"""Batches that come with further samples beside them, for methods that compare a batch with others."""

import math
from dataclasses import replace
from typing import final

from noisy_lightning.data.loading.loader import BatchesOfEpochs
from noisy_lightning.types import Batch, Companion


@final
class AccompaniedBatches(BatchesOfEpochs):
    """Makes a batch, and beside it one of other samples, from passes over these that are shuffled anew each time.

    Where there are fewer of them than of batches in an epoch, a pass begins when the last has ended; what is left of
    one when the epoch ends is not served.

    Args:
        batches: The batches.
        companions: Those of the other samples; order and augmentation are drawn apart from those of the batches, even
            where the samples are the same.
    """

    def __init__(self, batches: BatchesOfEpochs, companions: BatchesOfEpochs) -> None:
        self.batches, self.schedule, self._companions = batches, batches.schedule, companions
        # A negative seed is that of no run.
        companions.schedule = replace(companions.schedule, seed=-1 - companions.schedule.seed)
        self._passes = math.ceil(len(self.schedule) / len(companions.schedule))

    def __getitem__(self, key: tuple[int, int]) -> Batch:
        epoch, number = key
        ended, place = divmod(number, len(self._companions.schedule))
        beside = self._companions[epoch * self._passes + ended, place]
        return self.batches[key]._replace(companion=Companion(beside.image, beside.index))

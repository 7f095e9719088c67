"""Broken loaders for `babysit.lab.faults.data`: training batches in an order, or each scaled by itself."""

from collections.abc import Iterator

import numpy as np

from babysit.lab.preprocessing import normalization
from babysit.lab.trainer import LabTrainer
from babysit.trainer import Batch


class InOrder(LabTrainer):
    """Hands out the training examples as they stand, class after class."""

    def batches(self, split: str = "train") -> Iterator[Batch]:
        """One epoch, always in the same order."""
        inputs, targets = self.splits.get(split, (np.empty((0, 0)), np.empty(0)))
        for start in range(0, len(inputs), self.batch_size):
            yield inputs[start : start + self.batch_size], targets[start : start + self.batch_size]


class ScaledByBatch(LabTrainer):
    """Normalizes every batch by its own mean and spread."""

    def batches(self, split: str = "train") -> Iterator[Batch]:
        """One epoch, each batch with mean 0 and spread 1."""
        for inputs, targets in super().batches(split):
            yield normalization(inputs)(inputs), targets

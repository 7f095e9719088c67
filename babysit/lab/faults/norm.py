"""The demo broken on purpose: faults of batch normalization."""

from dataclasses import replace

import numpy as np

from babysit.lab.broken_norm import BatchNormOfEveryBatch, SoftmaxOverBatch
from babysit.lab.demo import DESIGN, assemble
from babysit.lab.faults.fault import breaks
from babysit.lab.layers import BatchNorm
from babysit.lab.trainer import LabTrainer

NORMALIZED = replace(DESIGN, batch_norm=True)


@breaks("frozen-statistics")
def statistics_frozen(seed: int = 0) -> LabTrainer:
    """Running statistics keep 0.9999 of themselves at each step, so that evaluation uses those from before training."""
    trainer = assemble(NORMALIZED, seed=seed)
    trainer.network.layers["norm1"] = BatchNorm(100, momentum=0.9999)
    return trainer


@breaks("tiny-norm-batch")
def batches_of_two_normalized(seed: int = 0) -> LabTrainer:
    """Batches of two are normalized, so that every unit says -1 and 1, whatever the examples are."""
    trainer = assemble(NORMALIZED, seed=seed)
    trainer.batch_size = 2
    return trainer


@breaks("batch-leak")
def statistics_of_every_batch(seed: int = 0) -> LabTrainer:
    """Batch norm uses the batch's own statistics in evaluation too, so that a prediction depends on its neighbours."""
    trainer = assemble(NORMALIZED, seed=seed)
    trainer.network.layers["norm1"] = BatchNormOfEveryBatch(100)
    return trainer


@breaks("batch-leak")
def softmax_over_batch(seed: int = 0) -> LabTrainer:
    """A softmax runs over axis 0, the examples, where it should weigh the units of each example."""
    trainer = assemble(seed=seed)
    layers = trainer.network.layers
    head = layers.popitem()
    layers |= {"softmax1": SoftmaxOverBatch(), head[0]: head[1]}
    return trainer


@breaks("zero-gamma")
def zero_gamma(seed: int = 0) -> LabTrainer:
    """Batch norm starts with a scale of zero on the only path, and behind it ReLUs at zero pass no gradient back."""
    trainer = assemble(NORMALIZED, seed=seed)
    trainer.network.params["norm1.gamma"] = np.zeros(100)
    return trainer

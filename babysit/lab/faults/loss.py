"""The demo broken on purpose: faults of the loss and of what it is given."""

from dataclasses import replace

import numpy as np

from babysit.lab.broken import Softmax, log_of_scores, summed
from babysit.lab.demo import DESIGN, LEARNING_RATE, assemble, spirals
from babysit.lab.faults.fault import breaks
from babysit.lab.layers import SIGMOID
from babysit.lab.network import Network
from babysit.lab.trainer import LabTrainer
from babysit.tasks.task import Regression


@breaks("normalized-scores")
def softmax_twice(seed: int = 0) -> LabTrainer:
    """The network gives probabilities, and the loss takes their softmax again."""
    trainer = assemble(seed=seed)
    trainer.network.layers["softmax1"] = Softmax()
    return trainer


@breaks("summed-loss")
def summed_loss(seed: int = 0) -> LabTrainer:
    """The loss is summed over the batch, not averaged, and grows with the batch size."""
    trainer = assemble(seed=seed)
    trainer.network.loss = summed(trainer.network.loss)
    return trainer


@breaks("non-finite-loss")
def log_of_raw_scores(seed: int = 0) -> LabTrainer:
    """The loss takes the logarithm of scores that were never squashed, of negative ones too."""
    trainer = assemble(seed=seed)
    trainer.network.loss = log_of_scores
    return trainer


@breaks("task-mismatch")
def too_many_scores(seed: int = 0) -> LabTrainer:
    """The network gives ten scores, as in the program it was copied from, for three classes."""
    return assemble(replace(DESIGN, sizes=(2, 100, 10)), seed=seed)


@breaks("output-range")
def sigmoid_regression(seed: int = 0) -> LabTrainer:
    """A sigmoid at the end keeps predictions between 0 and 1, where targets go up to 100."""
    (inputs, _), _ = spirals(seed)
    radii = np.linalg.norm(inputs, axis=1, keepdims=True)
    train = inputs, 100 * radii / radii.max()
    network = Network(replace(DESIGN, sizes=(2, 100, 1), loss="squared"), seed)
    network.layers["sigmoid2"] = SIGMOID
    return LabTrainer(
        network, train, task=Regression(), learning_rate=LEARNING_RATE, optimizer="adam", batch_size=50, seed=seed
    )

"""The demo broken on purpose: faults of what only a longer run shows."""

from dataclasses import replace

import numpy as np

from babysit.lab.broken_monitoring import RateFinderLeftIn
from babysit.lab.data import gaussian
from babysit.lab.demo import DESIGN, assemble
from babysit.lab.faults.fault import breaks
from babysit.lab.network import Network
from babysit.lab.trainer import LabTrainer
from babysit.tasks.task import Classification


@breaks("overfitting-gap")
def labels_shuffled(seed: int = 0) -> LabTrainer:
    """The training inputs were shuffled and their labels were not, so that they no longer belong together."""
    rng = np.random.default_rng(seed)
    inputs = gaussian(rng, 600, 50)
    labels = (inputs @ rng.standard_normal((50, 3))).argmax(axis=1)
    train, val = (rng.permutation(inputs[:300]), labels[:300]), (inputs[300:], labels[300:])
    network = Network(replace(DESIGN, sizes=(50, 100, 3)), seed)
    return LabTrainer(
        network, train, val, task=Classification(3), learning_rate=0.01, optimizer="adam", batch_size=50, seed=seed
    )


@breaks("noisy-loss")
def batches_of_one(seed: int = 0) -> LabTrainer:
    """Each update follows a single example, so that nobody can tell from the loss whether it falls."""
    trainer = assemble(seed=seed, learning_rate=0.005)
    trainer.batch_size = 1
    return trainer


@breaks("loss-diverges")
def rate_finder_left_in(seed: int = 0) -> LabTrainer:
    """A search for the largest good learning rate was left in, and raises it by a twentieth with every update."""
    return assemble(seed=seed, trainer=RateFinderLeftIn, learning_rate=0.01)

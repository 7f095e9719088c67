"""The healthy demo: the course's "minimal case study", three arms of a spiral and one hidden layer of 100 units."""

import dataclasses

import numpy as np

from babysit.lab.data import Data, spiral
from babysit.lab.network import Design, Network
from babysit.lab.preprocessing import normalization
from babysit.lab.trainer import LabTrainer
from babysit.tasks.task import Classification

DESIGN = Design(sizes=(2, 100, 3), l2=1e-4)
INITIALIZATION = {
    "sigmoid": "xavier-sigmoid",
    "tanh": "xavier",
    "relu": "he",
    "leaky-relu": "he",
    "prelu": "he",
    "elu": "he",
    "maxout": "xavier",  # the larger of two keeps the mean square, where ReLU halves it
}
LEARNING_RATE = 0.02  # memorizes 20 examples in at most 130 steps with every activation but the sigmoid
SIGMOID_LEARNING_RATE = 0.05  # the sigmoid's outputs are all positive, and it learns the slowest


def spirals(seed: int = 0) -> tuple[Data, Data]:
    """A training and a validation draw of 100 points an arm, normalized by the training draw's statistics.

    The arms begin at a fifth of the radius: at the center, where they meet, no two classes can be told apart.
    """
    rng = np.random.default_rng(seed)
    (train, train_labels), (val, val_labels) = spiral(rng, inner=0.2), spiral(rng, inner=0.2)
    normalize = normalization(train)
    return (normalize(train), train_labels), (normalize(val), val_labels)


def assemble(
    design: Design = DESIGN,
    *,
    network: type[Network] = Network,
    trainer: type[LabTrainer] = LabTrainer,
    learning_rate: float = LEARNING_RATE,
    optimizer: str = "adam",
    seed: int = 0,
) -> LabTrainer:
    """A trainer of such a network on the spirals."""
    train, val = spirals(seed)
    return trainer(
        network(design, seed),
        train,
        val,
        task=Classification(3),
        learning_rate=learning_rate,
        optimizer=optimizer,
        batch_size=50,
        seed=seed,
    )


def trainer(activation: str = "relu", initialization: str | None = None, seed: int = 0) -> LabTrainer:
    """The demo.

    Args:
        activation: A name in `babysit.lab.layers.ACTIVATIONS`.
        initialization: A name in `babysit.lab.initializers.INITIALIZERS`; by default the one that suits the activation.
        seed: Of the data, the weights and the order of examples.
    """
    chosen = initialization or INITIALIZATION[activation]
    design = dataclasses.replace(DESIGN, activation=activation, initialization=chosen)
    rate = SIGMOID_LEARNING_RATE if activation == "sigmoid" else LEARNING_RATE
    return assemble(design, learning_rate=rate, seed=seed)

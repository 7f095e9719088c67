"""The demo broken on purpose: faults of the nonlinearities."""

from dataclasses import replace

import numpy as np

from babysit.lab.demo import DESIGN, assemble
from babysit.lab.faults.fault import breaks
from babysit.lab.trainer import LabTrainer


@breaks("dead-relu")
def dead_relu_by_bias(seed: int = 0) -> LabTrainer:
    """Every ReLU starts with a bias of -4, so low that no example reaches most of them."""
    trainer = assemble(seed=seed)
    trainer.network.params["affine1.b"] -= 4
    return trainer


@breaks("killed-by-learning-rate")
def dead_relu_by_learning_rate(seed: int = 0) -> LabTrainer:
    """A learning rate ten times too high throws most ReLUs, alive at the start, off the data within a few steps."""
    return assemble(seed=seed, learning_rate=1.0, optimizer="momentum")


@breaks("saturated-activation")
def saturated_by_bias(seed: int = 0) -> LabTrainer:
    """Biases of 4 or -4 hold every tanh at 1 or -1, where no gradient passes."""
    trainer = assemble(replace(DESIGN, activation="tanh", initialization="xavier"), seed=seed)
    trainer.network.params["affine1.b"] += np.where(np.arange(100) % 2, 4.0, -4.0)
    return trainer


@breaks("idle-maxout-piece")
def idle_maxout_piece(seed: int = 0) -> LabTrainer:
    """In every other maxout unit, the second piece starts with a bias of -100 and never wins."""
    trainer = assemble(replace(DESIGN, activation="maxout", initialization="xavier"), seed=seed)
    trainer.network.params["affine1.b"][1::4] = -100  # a unit has two biases, side by side
    return trainer


@breaks("collapsed-slope")
def collapsed_slope(seed: int = 0) -> LabTrainer:
    """The learned slope of a PReLU starts at 1, which makes it the identity and the network linear."""
    trainer = assemble(replace(DESIGN, activation="prelu"), seed=seed)
    trainer.network.params["prelu1.slope"] = np.ones(1)
    return trainer


@breaks("same-sign-gradient")
def same_sign_gradient(seed: int = 0) -> LabTrainer:
    """Biases of 3 keep every sigmoid near 1: all weights of a unit above rise or fall together."""
    trainer = assemble(replace(DESIGN, activation="sigmoid", initialization="xavier"), seed=seed)
    trainer.network.params["affine1.b"] += 3
    return trainer

"""The demo broken on purpose: faults of the backward pass."""

from dataclasses import replace

from babysit.lab.broken_gradient import Detached, MaskedByGradient, NeverCleared, not_averaged
from babysit.lab.demo import DESIGN, assemble
from babysit.lab.faults.fault import breaks
from babysit.lab.layers import Layer
from babysit.lab.trainer import LabTrainer


@breaks("wrong-gradient")
def relu_masked_by_gradient(seed: int = 0) -> LabTrainer:
    """The ReLU's backward pass lets through what is positive in the gradient, not where the unit was active."""
    trainer = assemble(seed=seed)
    trainer.network.layers["relu1"] = MaskedByGradient()
    return trainer


@breaks("wrong-gradient")
def gradient_not_averaged(seed: int = 0) -> LabTrainer:
    """The loss is a mean over the batch, its gradient a sum, and so as many times too large as there are examples."""
    trainer = assemble(seed=seed)
    trainer.network.loss = not_averaged(trainer.network.loss)
    return trainer


@breaks("missing-gradient")
def layer_detached(seed: int = 0) -> LabTrainer:
    """The output of the first of two hidden layers is detached, so that no gradient reaches its weights."""
    trainer = assemble(replace(DESIGN, sizes=(2, 20, 100, 3), l2=0.0), seed=seed)
    layers: dict[str, Layer] = {}
    for name, layer in trainer.network.layers.items():
        layers |= {name: layer, "detached1": Detached()} if name == "affine1" else {name: layer}
    trainer.network.layers = layers
    return trainer


@breaks("accumulated-gradient")
def gradients_accumulate(seed: int = 0) -> LabTrainer:
    """The gradients are never set back to zero, so that each step takes those of all steps before once more."""
    return assemble(seed=seed, trainer=NeverCleared, learning_rate=0.01, optimizer="sgd")

"""The demo broken on purpose: faults of the initial weights."""

from dataclasses import replace

from babysit.lab.demo import DESIGN, assemble
from babysit.lab.faults.fault import breaks
from babysit.lab.trainer import LabTrainer


@breaks("symmetric-weights")
def zero_weights(seed: int = 0) -> LabTrainer:
    """All weights start at zero, so that nothing but the output's bias ever learns."""
    return assemble(
        replace(DESIGN, activation="tanh", initialization="zeros", output_initialization="zeros"), seed=seed
    )


@breaks("mis-scaled-weights")
def small_weights_deep(seed: int = 0) -> LabTrainer:
    """Ten tanh layers with weights of 0.01 shrink every signal to nothing before it reaches the scores."""
    design = replace(DESIGN, sizes=(2, *[100] * 10, 3), activation="tanh", initialization="small-normal")
    return assemble(design, seed=seed, learning_rate=0.1, optimizer="momentum")  # Adam would recover


@breaks("confident-at-init")
def large_weights(seed: int = 0) -> LabTrainer:
    """Weights of standard deviation 1 in the last layer make predictions sure before anything is learned."""
    return assemble(replace(DESIGN, output_initialization="large-normal"), seed=seed)


@breaks("mis-scaled-weights")
def saturated_tanh(seed: int = 0) -> LabTrainer:
    """Weights of standard deviation 1 push three tanh layers to -1 and 1, where no gradient passes."""
    sizes = (2, 100, 100, 100, 3)
    return assemble(replace(DESIGN, sizes=sizes, activation="tanh", initialization="large-normal", l2=1e-6), seed=seed)


@breaks("exploding-activations")
def weights_twice_too_wide(seed: int = 0) -> LabTrainer:
    """Twelve layers are each a little more than twice as wide as He's initialization, and the factor is multiplied."""
    trainer = assemble(replace(DESIGN, sizes=(2, *[100] * 12, 3), l2=0.0), seed=seed, learning_rate=1e-3)
    for name, weights in trainer.network.weights().items():
        trainer.network.params[name] = 2.2 * weights
    return trainer


@breaks("shrinking-activations")
def ten_sigmoids(seed: int = 0) -> LabTrainer:
    """Ten layers of sigmoids: each divides signal and gradient by four at least, until nothing is left of either."""
    design = replace(DESIGN, sizes=(2, *[100] * 10, 3), activation="sigmoid", initialization="xavier", l2=0.0)
    return assemble(design, seed=seed, learning_rate=0.1, optimizer="momentum")

"""The demo broken on purpose: faults of the initial weights."""

from dataclasses import replace

from babysit.lab.demo import DESIGN, assemble
from babysit.lab.faults.fault import breaks
from babysit.lab.trainer import LabTrainer


@breaks("constant-activation")
def zero_weights(seed: int = 0) -> LabTrainer:
    """All weights start at zero, so that nothing but the output's bias ever learns."""
    return assemble(
        replace(DESIGN, activation="tanh", initialization="zeros", output_initialization="zeros"), seed=seed
    )


@breaks("inputs-ignored")
def small_weights_deep(seed: int = 0) -> LabTrainer:
    """Ten tanh layers with weights of 0.01 shrink every signal to nothing before it reaches the scores."""
    design = replace(DESIGN, sizes=(2, *[100] * 10, 3), activation="tanh", initialization="small-normal")
    return assemble(design, seed=seed, learning_rate=0.1, optimizer="momentum")  # Adam would recover


@breaks("confident-at-init")
def large_weights(seed: int = 0) -> LabTrainer:
    """Weights of standard deviation 1 in the last layer make predictions sure before anything is learned."""
    return assemble(replace(DESIGN, output_initialization="large-normal"), seed=seed)

"""The demo broken on purpose, one named fault for each rule that the lecture explains.

Each function below makes a broken trainer. Its name, in kebab case, is the fault's; its docstring is the explanation
that `babysit demo --list-faults` prints.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from babysit.lab.broken import (
    EvaluationMovesStatistics,
    FrozenHead,
    MeanOverBatch,
    MomentumNotSaved,
    PenaltyMinusSign,
    PenaltyWithoutGradient,
    RegularizationIgnored,
    Softmax,
    StepDoesNothing,
    summed,
)
from babysit.lab.demo import DESIGN, LEARNING_RATE, assemble, spirals
from babysit.lab.layers import SIGMOID
from babysit.lab.network import Network
from babysit.lab.trainer import LabTrainer
from babysit.task import Regression

Maker = Callable[[int], LabTrainer]


@dataclass(frozen=True)
class Fault:
    """One way to break the demo.

    Args:
        name: What is broken, in kebab case.
        rule: The id of the rule that should be found first.
        explanation: The mistake in one sentence.
        make: Builds the broken trainer from a seed.
    """

    name: str
    rule: str
    explanation: str
    make: Maker


_faults: dict[str, Fault] = {}
FAULTS: Mapping[str, Fault] = _faults


def _breaks(rule: str) -> Callable[[Maker], Maker]:
    def add(make: Maker) -> Maker:
        name = make.__name__.replace("_", "-")
        _faults[name] = Fault(name, rule, inspect.cleandoc(make.__doc__ or ""), make)
        return make

    return add


@_breaks("dead-relu")
def dead_relu_by_bias(seed: int = 0) -> LabTrainer:
    """Every ReLU starts with a bias of -4, so low that no example reaches most of them."""
    trainer = assemble(seed=seed)
    trainer.network.params["affine1.b"] -= 4
    return trainer


@_breaks("killed-by-learning-rate")
def dead_relu_by_learning_rate(seed: int = 0) -> LabTrainer:
    """A learning rate ten times too high throws most ReLUs, alive at the start, off the data within a few steps."""
    return assemble(seed=seed, learning_rate=1.0, optimizer="momentum")


@_breaks("saturated-activation")
def saturated_tanh(seed: int = 0) -> LabTrainer:
    """Weights of standard deviation 1 push three tanh layers to -1 and 1, where no gradient passes."""
    sizes = (2, 100, 100, 100, 3)
    return assemble(replace(DESIGN, sizes=sizes, activation="tanh", initialization="large-normal", l2=1e-6), seed=seed)


@_breaks("constant-activation")
def zero_weights(seed: int = 0) -> LabTrainer:
    """All weights start at zero, so that nothing but the output's bias ever learns."""
    return assemble(
        replace(DESIGN, activation="tanh", initialization="zeros", output_initialization="zeros"), seed=seed
    )


@_breaks("inputs-ignored")
def small_weights_deep(seed: int = 0) -> LabTrainer:
    """Ten tanh layers with weights of 0.01 shrink every signal to nothing before it reaches the scores."""
    design = replace(DESIGN, sizes=(2, *[100] * 10, 3), activation="tanh", initialization="small-normal")
    return assemble(design, seed=seed, learning_rate=0.1, optimizer="momentum")  # Adam would recover


@_breaks("constant-predictions")
def constant_predictions(seed: int = 0) -> LabTrainer:
    """The hidden units are averaged over the batch instead of within each example: one prediction for all."""
    trainer = assemble(seed=seed)
    layers = trainer.network.layers
    head = layers.popitem()
    layers |= {"mean1": MeanOverBatch(), head[0]: head[1]}
    return trainer


@_breaks("confident-at-init")
def large_weights(seed: int = 0) -> LabTrainer:
    """Weights of standard deviation 1 in the last layer make predictions sure before anything is learned."""
    return assemble(replace(DESIGN, output_initialization="large-normal"), seed=seed)


@_breaks("normalized-scores")
def softmax_twice(seed: int = 0) -> LabTrainer:
    """The network gives probabilities, and the loss takes their softmax again."""
    trainer = assemble(seed=seed)
    trainer.network.layers["softmax1"] = Softmax()
    return trainer


@_breaks("summed-loss")
def summed_loss(seed: int = 0) -> LabTrainer:
    """The loss is summed over the batch, not averaged, and grows with the batch size."""
    trainer = assemble(seed=seed)
    trainer.network.loss = summed(trainer.network.loss)
    return trainer


@_breaks("non-finite-loss")
def nan_input(seed: int = 0) -> LabTrainer:
    """One cell of the training inputs is NaN."""
    trainer = assemble(seed=seed)
    inputs, _ = trainer.splits["train"]
    inputs[17, 0] = np.nan
    return trainer


@_breaks("task-mismatch")
def too_many_scores(seed: int = 0) -> LabTrainer:
    """The network gives ten scores, as in the program it was copied from, for three classes."""
    return assemble(replace(DESIGN, sizes=(2, 100, 10)), seed=seed)


@_breaks("regularization-without-effect")
def regularization_ignored(seed: int = 0) -> LabTrainer:
    """A strength is stated, but neither the loss nor the gradient uses it."""
    return assemble(seed=seed, network=RegularizationIgnored)


@_breaks("regularization-lowers-loss")
def penalty_minus_sign(seed: int = 0) -> LabTrainer:
    """The penalty is subtracted, so that larger weights look better."""
    return assemble(seed=seed, network=PenaltyMinusSign)


@_breaks("regularization-dominates")
def penalty_too_strong(seed: int = 0) -> LabTrainer:
    """A strength of 1 makes the penalty's gradient outweigh that of the data by far."""
    return assemble(replace(DESIGN, l2=1.0), seed=seed, learning_rate=0.1, optimizer="momentum")


@_breaks("decay-not-applied")
def penalty_without_gradient(seed: int = 0) -> LabTrainer:
    """The penalty is in the loss but missing from the gradient: it is reported and never acts."""
    return assemble(seed=seed, network=PenaltyWithoutGradient)


@_breaks("learning-rate-too-low")
def learning_rate_too_low(seed: int = 0) -> LabTrainer:
    """At 1e-6, the lecture's own example, the loss hardly moves."""
    return assemble(seed=seed, learning_rate=1e-6)


@_breaks("learning-rate-too-high")
def learning_rate_too_high(seed: int = 0) -> LabTrainer:
    """At 100 with momentum the loss blows up within a few steps."""
    return assemble(replace(DESIGN, activation="leaky-relu"), seed=seed, learning_rate=100.0, optimizer="momentum")


@_breaks("frozen-parameters")
def frozen_layer(seed: int = 0) -> LabTrainer:
    """The last layer, a new head on an old network, was never given to the optimizer."""
    return assemble(seed=seed, trainer=FrozenHead, learning_rate=0.3, optimizer="momentum")


@_breaks("output-range")
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


@_breaks("idle-maxout-piece")
def idle_maxout_piece(seed: int = 0) -> LabTrainer:
    """In every other maxout unit, the second piece starts with a bias of -100 and never wins."""
    trainer = assemble(replace(DESIGN, activation="maxout", initialization="xavier"), seed=seed)
    trainer.network.params["affine1.b"][1::4] = -100  # a unit has two biases, side by side
    return trainer


@_breaks("collapsed-slope")
def collapsed_slope(seed: int = 0) -> LabTrainer:
    """The learned slope of a PReLU starts at 1, which makes it the identity and the network linear."""
    trainer = assemble(replace(DESIGN, activation="prelu"), seed=seed)
    trainer.network.params["prelu1.slope"] = np.ones(1)
    return trainer


@_breaks("same-sign-gradient")
def same_sign_gradient(seed: int = 0) -> LabTrainer:
    """Raw positive inputs into a sigmoid layer: all weights of a unit rise or fall together."""
    trainer = assemble(replace(DESIGN, activation="sigmoid", initialization="xavier"), seed=seed)
    lowest = trainer.splits["train"][0].min()
    trainer.splits = {name: (inputs - lowest, labels) for name, (inputs, labels) in trainer.splits.items()}
    return trainer


@_breaks("evaluate-changes-state")
def evaluation_moves_statistics(seed: int = 0) -> LabTrainer:
    """Evaluation runs in training mode, so that batch norm takes validation data into its running statistics."""
    return assemble(replace(DESIGN, batch_norm=True), seed=seed, trainer=EvaluationMovesStatistics)


@_breaks("state-not-restored")
def momentum_not_saved(seed: int = 0) -> LabTrainer:
    """The checkpoint holds the network without the optimizer's momentum."""
    return assemble(seed=seed, trainer=MomentumNotSaved, learning_rate=0.1, optimizer="momentum")


@_breaks("step-changes-nothing")
def step_does_nothing(seed: int = 0) -> LabTrainer:
    """Gradients are computed, and the update is forgotten."""
    return assemble(seed=seed, trainer=StepDoesNothing)

"""What can be set of `check-activations`, and what it measures."""

from dataclasses import dataclass

from babysit.check import setting
from babysit.measuring.unit_statistics import LayerSummary


@dataclass(frozen=True)
class Settings:
    """Settings of `check-activations`."""

    examples: int = setting(
        512, "training examples traced, at each of the two times", least=2, option=True, measures=True
    )
    steps: int = setting(
        50, "updates at the user's learning rate between the two times", least=1, option=True, measures=True
    )
    some_dead: float = setting(
        0.2,
        "share of dead units that is nothing to worry about: 10 to 20 % are common in networks that learn (CS231n, "
        "lecture 6); a warning takes more than that share explains, by the binomial tail of `unlikely`",
        above=0.0, most=1.0,
    )  # fmt: skip
    unlikely: float = setting(
        0.05, "binomial tail under which so many dead units are more than the usual share explains", above=0.0, most=1.0
    )
    many_dead: float = setting(
        0.4, "share of a layer's units, dead, that is an error (CS231n notes 1: 'as much as 40 % of your network')",
        above=0.0, most=1.0,
    )  # fmt: skip
    some_saturated: float = setting(
        0.25,
        "share of a layer's outputs, saturated, that earns a warning at initialization: what tanh has on Gaussian "
        "input of spread 2, 2 x (1 - Phi(2.18 / 2)) = 28 %; it has 3 % at spread 1",
        above=0.0,
        most=1.0,
    )
    many_saturated: float = setting(
        0.5, "share of a layer's outputs, saturated, that is an error: most examples pass no gradient",
        above=0.0, most=1.0,
    )  # fmt: skip
    constant: float = setting(0.9, "share of a layer's units, constant or of one piece, that is an error",
        above=0.0, most=1.0,
    )  # fmt: skip
    common: float = setting(
        0.9, "share of a layer's power common to all examples, from where gradients on the next weights have one sign",
        above=0.0, most=1.0,
    )  # fmt: skip
    idle: float = setting(0.5, "share of a maxout layer's units with a piece that never wins, from where it is named",
        above=0.0, most=1.0,
    )  # fmt: skip
    slope: float = setting(0.05, "distance from 1 under which a PReLU's slope makes it linear", above=0.0, most=1.0)


@dataclass(frozen=True)
class Measurement:
    """Every nonlinearity at two times.

    Args:
        examples: Examples traced.
        steps: Updates between the two times.
        learning_rate: The user's learning rate.
        at_start: Nonlinearities at initialization, in the order of the forward pass.
        after: The same after the steps.
        killed: For each layer, units dead after the steps that were alive at the start.
        fed: What linear layers are fed at initialization, by the layer's name.
        output: Name of the nonlinearity whose output the scores are; empty if there is none.
    """

    examples: int
    steps: int
    learning_rate: float
    at_start: tuple[LayerSummary, ...]
    after: tuple[LayerSummary, ...]
    killed: tuple[int, ...]
    fed: tuple[LayerSummary, ...]
    output: str

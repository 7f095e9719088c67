"""What can be set of `check-init`, and what it measures."""

import math
from dataclasses import dataclass

from babysit.check import setting
from babysit.measuring.unit_statistics import LayerSummary
from babysit.measuring.weights import Weight


@dataclass(frozen=True)
class Settings:
    """Settings of `check-init`."""

    examples: int = setting(512, "training examples traced", least=2, option=True, measures=True)
    steps: int = setting(
        50, "updates at the user's learning rate, behind which the layers are looked at again", least=1, measures=True
    )
    shrunk: float = setting(
        1e-3, "what the last linear layer is fed over what the first nonlinearity gives (1 at most), both by how much "
        "they vary from example to example, under which the signal shrinks: the weights in between get gradients a "
        "thousandth of what they should be, since these are products of the two", above=0.0, most=1.0,
    )  # fmt: skip
    grown: float = setting(
        100.0, "what the last linear layer is fed over the inputs (1 at least), by how much they vary, from where the "
        "signal explodes, for a warning: scores come out as many times too sure", above=1.0,
    )  # fmt: skip
    exploded: float = setting(1000.0, "the same, for an error", above=1.0)
    off_scale: float = setting(
        3.0, "weights' spread over that of He or Xavier (or its inverse), from where a layer is named; usual schemes "
        "(LeCun, Glorot for ReLU, PyTorch's default) lie within 2.5", above=1.0,
    )  # fmt: skip
    too_wide: float = setting(
        9.0, "product of these ratios over all hidden layers that are too wide, from where they are an error if the "
        "signal shows it: two layers at the limit", above=1.0,
    )  # fmt: skip
    amplified: float = setting(
        10.0,
        "growth of the signal, as in `grown`, that shows it: a softmax of scores ten times too large is 0 or 1",
        above=1.0,
    )
    saturated: float = setting(
        0.5, "share of a bounded layer's outputs, saturated, that shows it, too: most examples pass no gradient",
        above=0.0, most=1.0,
    )  # fmt: skip
    vanishing: float = setting(
        1e-4, "what the loss feels of the first layers' weights over what it feels of the last ones', under which the "
        "gradient vanishes; in a network of rectifiers without biases it is 1 at every depth, by Euler's theorem on "
        "homogeneous functions", above=0.0, most=1.0,
    )  # fmt: skip
    exploding: float = setting(
        1e4, "the same, from where the gradient explodes on its way down", above=1.0,
    )  # fmt: skip


@dataclass(frozen=True)
class Signals:
    """By how much what flows varies from example to example: the root of the units' mean variance.

    Args:
        inputs: What the first linear layer is fed; NaN where that wasn't seen.
        outputs: Those of each nonlinearity, in the order of the forward pass.
        last: What the last linear layer is fed.
        end: Name of that layer, or of the last nonlinearity where no linear layer's inputs were seen.
    """

    inputs: float
    outputs: tuple[float, ...]
    last: float
    end: str

    @property
    def left(self) -> float:
        """What is left of the signal at the end, of the first nonlinearity's or 1; NaN where there was none."""
        first = self.outputs[0] if self.outputs else math.nan
        return self.last / min(first, 1.0) if first > 0 else math.nan


@dataclass(frozen=True)
class Measurement:
    """The layers at initialization, and what became of them in the first steps.

    Args:
        examples: Examples traced.
        steps: Updates made.
        inputs: What the first linear layer is fed: root mean square; NaN where that wasn't seen.
        opening: Kinds of the layers up to the first nonlinearity.
        normalized: Whether any normalization layer was seen.
        at_start: Nonlinearities at initialization, in the order of the forward pass.
        gradients: Spread of the gradient at each nonlinearity's output; NaN where it isn't shown.
        signals: How the signal fares at initialization.
        signals_after: The same after the steps.
        edges: Edges of the histograms' bins.
        histograms: Counts of some of each nonlinearity's outputs, a rectifier's zeros left out.
        weights: Weights of the linear layers at initialization; none where the trainer can't name them.
        weights_after: The same after the steps.
    """

    examples: int
    steps: int
    inputs: float
    opening: tuple[str, ...]
    normalized: bool
    at_start: tuple[LayerSummary, ...]
    gradients: tuple[float, ...]
    signals: Signals
    signals_after: Signals
    edges: tuple[float, ...]
    histograms: tuple[tuple[int, ...], ...]
    weights: tuple[Weight, ...]
    weights_after: tuple[Weight, ...]

"""The network: affine, batch norm, nonlinearity, dropout, as often as wanted; then a last affine layer and a loss."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from babysit.lab.initializers import INITIALIZERS
from babysit.lab.layers import ACTIVATIONS, Affine, BatchNorm, Cache, Dropout, Layer, Pieces
from babysit.lab.losses import LOSSES

Array: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Design:
    """What a network is made of.

    Args:
        sizes: Features, units of each hidden layer, and scores.
        activation: A name in `ACTIVATIONS`.
        initialization: A name in `INITIALIZERS`, for the hidden layers.
        output_initialization: The same for the last layer; small weights there make the first loss the chance loss.
        batch_norm: Whether each hidden layer is normalized ahead of its nonlinearity.
        dropout: Share of the hidden units that is dropped in training, in [0, 1).
        loss: "softmax", "hinge" or "squared".
        l2: Strength of the penalty, strength times the sum of the squared weights; biases go free.
        pieces: Linear pieces of each maxout unit.
    """

    sizes: tuple[int, ...]
    activation: str = "relu"
    initialization: str = "he"
    output_initialization: str = "small-normal"
    batch_norm: bool = False
    dropout: float = 0.0
    loss: str = "softmax"
    l2: float = 0.0
    pieces: int = 2


class Call(NamedTuple):
    """One layer's part in a forward pass."""

    name: str
    layer: Layer
    inputs: Array
    output: Array
    cache: Cache


def build(design: Design, noise: np.random.Generator) -> Iterator[tuple[str, Layer]]:
    """The layers in order, each with its name: affine1, norm1, relu1, dropout1, affine2, ..."""
    *hidden, last = zip(design.sizes, design.sizes[1:], strict=False)
    pieces = design.pieces if design.activation == "maxout" else 1
    for number, (fan_in, units) in enumerate(hidden, start=1):
        yield f"affine{number}", Affine(fan_in, units * pieces, INITIALIZERS[design.initialization])
        if design.batch_norm:
            yield f"norm{number}", BatchNorm(units * pieces)
        if pieces > 1:
            yield f"pieces{number}", Pieces(pieces)
        yield f"{design.activation}{number}", ACTIVATIONS[design.activation]()
        if design.dropout:
            yield f"dropout{number}", Dropout(design.dropout, noise)
    yield f"affine{len(hidden) + 1}", Affine(*last, INITIALIZERS[design.output_initialization])


class Network:
    """A multilayer network: its layers, its arrays, and the passes through them.

    Args:
        design: What it is made of.
        seed: Of the initial weights and of the dropout masks.

    Attributes:
        layers: By name, in order.
        params: The learned arrays, by names such as "affine1.W", "norm1.gamma" and "prelu1.slope".
        statistics: Batch norm's running statistics, "norm1.mean" and "norm1.variance".
        noise: The generator of the dropout masks.
        loss: (scores, targets) -> (loss, gradient of the scores).
    """

    def __init__(self, design: Design, seed: int = 0) -> None:
        weights, self.noise = np.random.default_rng(seed).spawn(2)
        self.design = design
        self.loss = LOSSES[design.loss]
        self.layers: dict[str, Layer] = dict(build(design, self.noise))
        self.params: dict[str, Array] = {}
        self.statistics: dict[str, Array] = {}
        for name, layer in self.layers.items():
            self.params |= _named(name, layer.initial(weights))
            if isinstance(layer, BatchNorm):
                self.statistics |= _named(name, layer.initial_statistics())

    def own(self, layer: str) -> dict[str, Array]:
        """The arrays of one layer by their short names."""
        prefix = f"{layer}."
        both = (*self.params.items(), *self.statistics.items())
        return {name.removeprefix(prefix): array for name, array in both if name.startswith(prefix)}

    def forward(self, x: Array, *, training: bool = False, dropout: bool = True) -> list[Call]:
        """From inputs (N, features) to scores (N, C), the last call's output; training moves running statistics."""
        calls: list[Call] = []
        for name, layer in self.layers.items():
            if isinstance(layer, Dropout) and not dropout:
                continue
            own = self.own(name)
            output, cache = layer.forward(x, own, training)
            if training and isinstance(layer, BatchNorm):
                self.statistics |= _named(name, layer.moved_statistics(x, own))
            calls.append(Call(name, layer, x, output, cache))
            x = output
        return calls

    def backward(self, calls: Sequence[Call], dscores: Array) -> tuple[dict[str, Array], dict[str, Array]]:
        """Gradients of the data loss: by parameter, and with respect to each layer's output by layer."""
        gradients: dict[str, Array] = {}
        flows: dict[str, Array] = {}
        flow = dscores
        for name, layer, _inputs, _output, cache in reversed(calls):
            flows[name] = flow
            flow, own = layer.backward(flow, cache)
            gradients |= _named(name, own)
        return gradients, flows

    def penalty(self, scale: float = 1.0) -> float:
        """The L2 term of the loss, its strength times `scale`."""
        return scale * self.design.l2 * sum(float(np.sum(w * w)) for w in self.weights().values())

    def penalty_gradients(self, scale: float = 1.0) -> dict[str, Array]:
        """The penalty's gradient for each weight."""
        return {name: 2 * scale * self.design.l2 * w for name, w in self.weights().items()}

    def weights(self) -> dict[str, Array]:
        """The parameters that are penalized."""
        return {name: w for name, w in self.params.items() if name.endswith(".W")}


def _named(layer: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {f"{layer}.{name}": array for name, array in arrays.items()}

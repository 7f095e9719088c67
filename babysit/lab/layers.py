"""Layers as pairs of a forward and a backward pass: CS231n, lecture 6, activation functions and batch normalization.

A layer holds its sizes and constants, never its arrays: those come in as `own`, by their short names. `forward` gives
the output and a cache; `backward` takes the gradient of the output and that cache, and gives the gradient of the input
and those of the layer's parameters. No array is ever written in place.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from babysit.lab.initializers import Initializer

Array: TypeAlias = npt.NDArray[np.float64]
Arrays: TypeAlias = Mapping[str, Array]
Cache: TypeAlias = Any  # whatever a layer's backward pass needs of its forward pass


class Layer(Protocol):
    """What the network needs of a layer.

    Attributes:
        kind: "linear", "norm", the nonlinearity's name, or "" for what only passes numbers on.
    """

    @property
    def kind(self) -> str: ...  # noqa: D102

    def initial(self, rng: np.random.Generator, /) -> dict[str, Array]:
        """The learned parameters before any learning."""
        ...

    def forward(self, x: Array, own: Arrays, training: bool, /) -> tuple[Array, Cache]:
        """The output for the inputs x (N, ...)."""
        ...

    def backward(self, dout: Array, cache: Cache, /) -> tuple[Array, dict[str, Array]]:
        """The gradient of the input, and those of the parameters."""
        ...


@dataclass(frozen=True)
class Affine:
    """x W + b, for x (N, fan_in), W (fan_in, units), b (units,)."""

    fan_in: int
    units: int
    initialize: Initializer
    kind: str = "linear"

    def initial(self, rng: np.random.Generator) -> dict[str, Array]:
        """Weights as the initializer has them, no bias."""
        return {"W": self.initialize(rng, self.fan_in, self.units), "b": np.zeros(self.units)}

    def forward(self, x: Array, own: Arrays, _training: bool) -> tuple[Array, Cache]:
        """(N, fan_in) -> (N, units)."""
        return x @ own["W"] + own["b"], (x, own["W"])

    def backward(self, dout: Array, cache: Cache) -> tuple[Array, dict[str, Array]]:
        """Gradients of x, W and b."""
        x, W = cache
        return dout @ W.T, {"W": x.T @ dout, "b": dout.sum(axis=0)}


@dataclass(frozen=True)
class Elementwise:
    """A nonlinearity that acts on each number alone.

    Args:
        kind: Its name.
        function: x -> y.
        derivative: (x, y) -> dy/dx; most are simplest in terms of the output.
    """

    kind: str
    function: Callable[[Array], Array]
    derivative: Callable[[Array, Array], npt.NDArray[Any]]

    def initial(self, _rng: np.random.Generator) -> dict[str, Array]:
        """Nothing to learn."""
        return {}

    def forward(self, x: Array, _own: Arrays, _training: bool) -> tuple[Array, Cache]:
        """Any shape -> the same shape."""
        y = self.function(x)
        return y, (x, y)

    def backward(self, dout: Array, cache: Cache) -> tuple[Array, dict[str, Array]]:
        """The chain rule, number by number."""
        return dout * self.derivative(*cache), {}


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x)), without overflow at either end."""
    return 0.5 * (1 + np.tanh(0.5 * x))


def leaky_relu(slope: float = 0.01) -> Elementwise:
    """max(slope x, x), for a slope in [0, 1); 0.01 is the lecture's."""
    return Elementwise("leaky-relu", lambda x: np.maximum(slope * x, x), lambda x, _y: np.where(x > 0, 1.0, slope))


def elu(alpha: float = 1.0) -> Elementwise:
    """The input above zero, alpha (exp(x) - 1) below (Clevert et al. 2015)."""
    return Elementwise(
        "elu",
        lambda x: np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0))),
        lambda x, y: np.where(x > 0, 1.0, y + alpha),
    )


SIGMOID = Elementwise("sigmoid", sigmoid, lambda _x, y: y * (1 - y))
TANH = Elementwise("tanh", np.tanh, lambda _x, y: 1 - y * y)
RELU = Elementwise("relu", lambda x: np.maximum(0, x), lambda x, _y: x > 0)


@dataclass(frozen=True)
class PReLU:
    """max(x, 0) + slope min(x, 0), one learned slope for the layer; starts at 0.25 (He et al. 2015)."""

    start: float = 0.25
    kind: str = "prelu"

    def initial(self, _rng: np.random.Generator) -> dict[str, Array]:
        """The slope, as an array of one."""
        return {"slope": np.full(1, self.start)}

    def forward(self, x: Array, own: Arrays, _training: bool) -> tuple[Array, Cache]:
        """Any shape -> the same shape."""
        return np.where(x > 0, x, own["slope"] * x), (x, own["slope"])

    def backward(self, dout: Array, cache: Cache) -> tuple[Array, dict[str, Array]]:
        """Gradients of x and of the slope."""
        x, slope = cache
        return dout * np.where(x > 0, 1.0, slope), {"slope": np.sum(dout * np.minimum(x, 0), keepdims=True).reshape(1)}


@dataclass(frozen=True)
class Pieces:
    """Cuts the outputs of an affine layer into the k linear pieces of each maxout unit."""

    pieces: int
    kind: str = ""

    def initial(self, _rng: np.random.Generator) -> dict[str, Array]:
        """Nothing to learn."""
        return {}

    def forward(self, x: Array, _own: Arrays, _training: bool) -> tuple[Array, Cache]:
        """(N, units k) -> (N, units, k)."""
        return x.reshape(len(x), -1, self.pieces), x.shape

    def backward(self, dout: Array, cache: Cache) -> tuple[Array, dict[str, Array]]:
        """(N, units, k) -> (N, units k)."""
        return dout.reshape(cache), {}


@dataclass(frozen=True)
class Maxout:
    """The largest of a unit's linear pieces (Goodfellow et al. 2013)."""

    kind: str = "maxout"

    def initial(self, _rng: np.random.Generator) -> dict[str, Array]:
        """Nothing to learn: the pieces' weights belong to the affine layer."""
        return {}

    def forward(self, x: Array, _own: Arrays, _training: bool) -> tuple[Array, Cache]:
        """(N, units, k) -> (N, units)."""
        winner = np.argmax(x, axis=2)[:, :, None]
        return np.take_along_axis(x, winner, axis=2)[:, :, 0], (x.shape, winner)

    def backward(self, dout: Array, cache: Cache) -> tuple[Array, dict[str, Array]]:
        """The winner gets the gradient, the others nothing."""
        shape, winner = cache
        dx = np.zeros(shape)
        np.put_along_axis(dx, winner, dout[:, :, None], axis=2)
        return dx, {}


@dataclass(frozen=True)
class BatchNorm:
    """Each unit brought to mean 0 and variance 1 over the batch, then scaled and shifted (Ioffe and Szegedy 2015).

    Args:
        units: Number of units.
        momentum: Share of the running statistics that a batch leaves in place; 0.9 as in the course's assignments.
        epsilon: Added to variances.
    """

    units: int
    momentum: float = 0.9
    epsilon: float = 1e-5
    kind: str = "norm"

    def initial(self, _rng: np.random.Generator) -> dict[str, Array]:
        """Scale 1, shift 0."""
        return {"gamma": np.ones(self.units), "beta": np.zeros(self.units)}

    def initial_statistics(self) -> dict[str, Array]:
        """Running mean 0, running variance 1."""
        return {"mean": np.zeros(self.units), "variance": np.ones(self.units)}

    def moved_statistics(self, x: Array, own: Arrays) -> dict[str, Array]:
        """The running statistics after a batch x, with the paper's unbiased variance, N / (N - 1) times the batch's."""
        seen = {"mean": x.mean(axis=0), "variance": x.var(axis=0) * len(x) / max(1, len(x) - 1)}
        return {name: self.momentum * own[name] + (1 - self.momentum) * value for name, value in seen.items()}

    def forward(self, x: Array, own: Arrays, training: bool) -> tuple[Array, Cache]:
        """(N, units) -> (N, units), by the batch's statistics in training and by the running ones otherwise."""
        mean, variance = (x.mean(axis=0), x.var(axis=0)) if training else (own["mean"], own["variance"])
        scale = 1 / np.sqrt(variance + self.epsilon)
        normal = (x - mean) * scale
        return own["gamma"] * normal + own["beta"], (normal, scale, own["gamma"], training)

    def backward(self, dout: Array, cache: Cache) -> tuple[Array, dict[str, Array]]:
        """In training, mean and variance depend on x as well."""
        normal, scale, gamma, training = cache
        gradients = {"gamma": np.sum(dout * normal, axis=0), "beta": dout.sum(axis=0)}
        dnormal = dout * gamma
        if training:
            dnormal = dnormal - dnormal.mean(axis=0) - normal * np.mean(dnormal * normal, axis=0)
        return dnormal * scale, gradients


@dataclass(frozen=True)
class Dropout:
    """Inverted dropout: in training a share of the numbers becomes zero, and the others grow to keep the mean.

    Args:
        share: Share of the numbers that is dropped, in [0, 1).
        rng: The generator of the masks; drawing them moves it.
    """

    share: float
    rng: np.random.Generator
    kind: str = ""

    def initial(self, _rng: np.random.Generator) -> dict[str, Array]:
        """Nothing to learn."""
        return {}

    def forward(self, x: Array, _own: Arrays, training: bool) -> tuple[Array, Cache]:
        """Any shape -> the same shape; nothing happens outside of training."""
        mask = (self.rng.random(x.shape) >= self.share) / (1 - self.share) if training else np.ones(x.shape)
        return x * mask, mask

    def backward(self, dout: Array, cache: Cache) -> tuple[Array, dict[str, Array]]:
        """Through the same mask."""
        return dout * cache, {}


ACTIVATIONS: Mapping[str, Callable[[], Layer]] = {
    "sigmoid": lambda: SIGMOID,
    "tanh": lambda: TANH,
    "relu": lambda: RELU,
    "leaky-relu": leaky_relu,
    "prelu": PReLU,
    "elu": elu,
    "maxout": Maxout,
}

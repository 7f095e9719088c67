"""The weights of linear layers: their scale against the nonlinearity that follows, and how much the loss feels each."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from babysit.driving.bench import Bench
    from babysit.measuring.layers import Call, Layers
    from babysit.trainer import Array

# By how much a layer of weights must widen a signal so that the nonlinearity behind it hands on the same spread: He et
# al. (2015) for rectifiers, who lose half of the mean square; Glorot & Bengio (2010) for the rest, near their middle.
GAINS: Mapping[str, float] = {
    "relu": math.sqrt(2),
    "leaky-relu": math.sqrt(2),
    "prelu": math.sqrt(2),
    "elu": math.sqrt(2),
    "gelu": math.sqrt(2),
    "silu": math.sqrt(2),
}
STEEPEST = 4.0  # gain that makes good a sigmoid's slope at 0, a quarter (Glorot & Bengio)
ALIKE = 1e-3  # of their size: what a usual update moves weights by (CS231n notes 3); nearer ones are not told apart


@dataclass(frozen=True)
class Weight:
    """The weights of one linear layer, in the order of the calls.

    Args:
        name: The parameter.
        layer: The linear layer.
        followed_by: Kind of the nonlinearity right behind it; "norm" where one comes first, empty where nothing does,
            or what gives the scores.
        ahead_of: Name of what follows; empty where nothing does.
        fed: Root mean square of what the layer is fed.
        units: Units of the layer.
        fan_in: Inputs of each unit.
        spread: Root mean square of the weights.
        alike: Whether the weights of all units are the same.
        sensitivity: |w| |dL/dw|, by how much the loss changes as the weights change by a share; NaN without a gradient.
    """

    name: str
    layer: str
    followed_by: str
    ahead_of: str
    fed: float
    units: int
    fan_in: int
    spread: float
    alike: bool
    sensitivity: float

    @property
    def wanted(self) -> float:
        """The spread that hands the signal on: the nonlinearity's gain over the root of the inputs."""
        gain = GAINS.get(self.followed_by, 1.0)
        if self.followed_by == "sigmoid":  # the nearest that is in use: PyTorch's is 1, Glorot & Bengio's 4
            gain = min(max(self.spread * math.sqrt(self.fan_in), 1.0), STEEPEST)
        return gain / math.sqrt(self.fan_in)

    @property
    def scheme(self) -> str:
        """Whose initialization has the spread wanted."""
        return "He" if self.followed_by in GAINS else "Xavier"

    @property
    def scale(self) -> float:
        """The spread over the one wanted."""
        return self.spread / self.wanted


def looked_at(bench: "Bench", found: "Layers", steps: int) -> tuple[Weight, ...]:
    """The weights of the layers that a trace has found at the start, as they stand after so many updates.

    Raises:
        Skip: The trainer can't name its parameters.
    """
    from babysit import arrays

    followers = _followers(bench, found)
    batch = bench.pool()[0]
    with bench.trained(steps) as (trainer, _):
        _, gradients = trainer.gradients(batch)
        held = trainer.parameters()
        owned = _owned(found, held)
        pulls = {name: arrays.norm(gradients[name]) if name in gradients else math.nan for name in owned}
        return tuple(
            _weight(name, held[name], pulls[name], call, found, followers[call.name]) for name, call in owned.items()
        )


def _weight(
    name: str, weights: "Array", pull: float, call: "Call", found: "Layers", follower: tuple[str, str]
) -> Weight:
    from babysit import arrays

    size, count = arrays.norm(weights), math.prod(weights.shape)
    return Weight(
        name=name,
        layer=call.name,
        followed_by=follower[0],
        ahead_of=follower[1],
        fed=found.fed[call.name].summary().size,
        units=call.units,
        fan_in=max(1, count // call.units),
        spread=size / math.sqrt(count),
        alike=_joins(weights, call, found) and _alike(weights, call.units),
        sensitivity=size * pull,
    )


def _owned(found: "Layers", held: Mapping[str, "Array"]) -> dict[str, "Call"]:
    """The linear layer that each weight belongs to: the first one behind which it shows up.

    A table that rows are looked up in shows up as well; it is a layer's own where nothing else is, as tied weights are.
    """
    linear = [call for call in found.calls.values() if call.kind == "linear"]
    tables = {name for call in linear if not call.fed for name in call.parameters}
    owned: dict[str, Call] = {}
    for call in linear:
        new = [name for name in call.parameters if name in held and held[name].ndim >= 2 and name not in owned]
        fitting = [name for name in new if call.fed and call.units in held[name].shape]
        if fitting:
            ranks = {n: (_joins(held[n], call, found), n not in tables, math.prod(held[n].shape)) for n in fitting}
            owned[max(fitting, key=ranks.__getitem__)] = call
    return owned


def biases(found: "Layers", held: Mapping[str, "Array"]) -> list[str]:
    """The vectors that linear layers add to their outputs: what first shows up behind one, with an entry a unit."""
    known: set[str] = set()
    names = []
    for call in found.calls.values():
        new = [name for name in call.parameters if name in held and name not in known]
        known.update(new)
        if call.kind == "linear":
            names += [name for name in new if tuple(held[name].shape) in ((call.units,), (1, call.units))]
    return names


def _joins(weights: "Array", call: "Call", found: "Layers") -> bool:
    """Whether they join all of the layer's inputs to all of its units, as tables, gains and grouped filters don't."""
    others = list(weights.shape)
    if call.units in others:
        others.remove(call.units)
    return found.fed[call.name].seen["max"].shape[0] in others


def _followers(bench: "Bench", found: "Layers") -> dict[str, tuple[str, str]]:
    """Kind and name of what is called right behind each linear layer and uses its parameters, but for the scores."""
    from babysit.measuring import scores

    end = scores.end_of(bench)[1:]
    calls = list(found.calls.values())
    followers = {}
    for call, behind in zip(calls, [*calls[1:], None], strict=True):
        follows = behind is not None and behind.kind != "linear" and set(call.parameters) <= set(behind.parameters)
        hidden = follows and behind is not None and behind.name not in end
        followers[call.name] = (behind.kind, behind.name) if hidden and behind is not None else ("", "")
    return followers


def _alike(weights: "Array", units: int) -> bool:
    """Whether each unit has the same weights, whichever axis counts units."""
    from array_api_compat import array_namespace

    from babysit import arrays

    xp = array_namespace(weights)
    size = arrays.norm(weights) / math.sqrt(math.prod(weights.shape))
    axes = [axis for axis in (0, weights.ndim - 1) if weights.shape[axis] == units]
    apart = [float(xp.max(xp.max(weights, axis=axis) - xp.min(weights, axis=axis)).item()) for axis in axes]
    return units > 1 and bool(axes) and all(gap <= ALIKE * size for gap in apart)

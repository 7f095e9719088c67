"""Streaming statistics of a layer's units over many examples, on any array backend.

Arrays stay on the device that holds them; only `summary` brings numbers to the host, once.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from array_api_compat import array_namespace, is_torch_array

from babysit import arrays
from babysit.measuring.reductions.plain import RECTIFIED, Reduced, reduced
from babysit.trainer import Array, Record

# A unit is constant where its output varies by less than a thousandth of its size: an update of the usual size (1e-3
# of the weights, CS231n notes 3) then moves it as much as all the data does.
CONSTANT = 1e-3

PIECEWISE = ("maxout",)
SLOPED = ("prelu",)

ADDED = ("sum", "squares", "saturated", "through")  # what adds up over batches
KEPT = {"max": "maximum", "min": "minimum"}  # what is kept of them, and by which function


@dataclass(frozen=True)
class LayerSummary:
    """One nonlinearity over many examples; shares lie between 0 and 1 and count units unless said otherwise.

    Args:
        name: The layer's name.
        kind: The nonlinearity.
        units: Number of units (channels, for convolutions).
        examples: Values seen of each unit: examples times positions.
        mean: Of all outputs.
        spread: Standard deviation of all outputs.
        dead: Units that were zero for every example; a rectifier's only.
        saturated: Share of outputs (not units) with next to no local gradient; a bounded activation's only.
        gradient_through: Mean local gradient over the largest one possible; a bounded activation's or rectifier's only.
        constant: Units whose output does not vary over the examples, dead rectifiers left out.
        idle_pieces: Maxout units of which some piece never won.
        slope: Measured slope below zero, of a PReLU; NaN if not measured.
        common: Share of the outputs' power that is the same for every example: |E h|^2 / E|h|^2.
        one_sign: Whether the mean output has the same sign in (nearly) all units that are not always 0.
    """

    name: str
    kind: str
    units: int
    examples: int
    mean: float
    spread: float
    dead: int
    saturated: float
    gradient_through: float
    constant: int
    idle_pieces: int
    slope: float
    common: float
    one_sign: bool

    @property
    def signal(self) -> float:
        """How much the outputs vary from example to example: the root of the units' mean variance."""
        return self.size * math.sqrt(max(0.0, 1 - self.common))

    @property
    def size(self) -> float:
        """The root mean square of all outputs."""
        return math.hypot(self.spread, self.mean)


def _reduction(array: Array) -> Callable[[Array, int, str], Reduced]:
    if is_torch_array(array):
        from babysit.measuring.reductions.torch import reduced as fast

        return fast
    return reduced


class UnitStatistics:
    """Accumulates one layer's records, batch by batch.

    Args:
        name: The layer's name.
        kind: Its nonlinearity.
    """

    def __init__(self, name: str, kind: str) -> None:
        self.name, self.kind = name, kind
        self.examples = 0
        self._sums: dict[str, Any] = {}

    def update(self, record: Record) -> None:
        """Add one forward record of the nonlinearity."""
        self.update_values(record.values, record.unit_axis)
        if record.inputs is None:
            return
        if self.kind in PIECEWISE:
            self._add_wins(record)
        elif self.kind in SLOPED:
            self._add_slope(record)

    def update_values(self, array: Array, unit_axis: int) -> None:
        """Add values whose units lie along `unit_axis`."""
        found = _reduction(array)(array, unit_axis, self.kind)
        self.examples += found.examples
        for name in ADDED:
            if getattr(found, name) is not None:
                self._add(name, getattr(found, name))
        for name in KEPT:
            self._keep(name, getattr(found, name))

    @property
    def seen(self) -> dict[str, Any]:
        """All that was accumulated, to be added to another's."""
        return {"examples": self.examples, **self._sums}

    def add(self, seen: Mapping[str, Any]) -> None:
        """Add what another accumulated of the same layer."""
        self.examples += seen["examples"]
        for name, value in seen.items():
            if name in KEPT:
                self._keep(name, value)
            elif name != "examples":
                self._add(name, value)

    def _add(self, name: str, value: Array) -> None:
        self._sums[name] = self._sums[name] + value if name in self._sums else value

    def _keep(self, name: str, value: Array) -> None:
        if name in self._sums:
            choose = getattr(array_namespace(value), KEPT[name])
            value = choose(self._sums[name], value)
        self._sums[name] = value

    def _add_wins(self, record: Record) -> None:
        pieces: Array = record.inputs  # (N, units, pieces)
        xp = array_namespace(pieces)
        winners = xp.argmax(pieces, axis=-1)
        wins = [xp.sum(xp.astype(winners == k, xp.float64), axis=0) for k in range(pieces.shape[-1])]
        self._add("wins", xp.stack(wins, axis=-1))  # (units, pieces)

    def _add_slope(self, record: Record) -> None:
        xp = array_namespace(record.values)
        inputs, values = (xp.astype(a, xp.float64) for a in (record.inputs, record.values))
        negative = xp.where(inputs < 0, inputs, xp.zeros_like(inputs))
        self._add("negative", xp.sum(negative**2))
        self._add("products", xp.sum(negative * values))

    def dead(self) -> Array:
        """Which units were zero for every example so far; boolean (units,)."""
        return (self._sums["max"] <= 0) & (self._sums["min"] >= 0)

    def summary(self) -> LayerSummary:
        """The numbers so far; this is where they come to the host."""
        sums, n = {name: arrays.on_host(value) for name, value in self._sums.items()}, self.examples
        xp = array_namespace(sums["sum"])
        units = int(sums["sum"].shape[0])
        largest, least = sums["max"], sums["min"]
        dead = (largest <= 0) & (least >= 0)
        size = xp.maximum(xp.abs(largest), xp.abs(least))
        still = (largest - least <= CONSTANT * size) & xp.isfinite(size)
        if self.kind in RECTIFIED:
            still = still & ~dead
        power = float(sums["squares"]) / n
        means = sums["sum"] / n
        mean = float(xp.mean(means))
        total = n * units
        negative = float(sums.get("negative", 0.0))
        return LayerSummary(
            name=self.name,
            kind=self.kind,
            units=units,
            examples=n,
            mean=mean,
            spread=_root(power / units - mean * mean),
            dead=arrays.total(dead) if self.kind in RECTIFIED else 0,
            saturated=float(sums.get("saturated", 0.0)) / total,
            gradient_through=_not_below_zero(float(sums["through"]) / total) if "through" in sums else 1.0,
            constant=arrays.total(still) if n > 1 else 0,
            idle_pieces=arrays.total(xp.any(sums["wins"] == 0, axis=-1)) if "wins" in sums else 0,
            slope=float(sums["products"]) / negative if negative > 0 else float("nan"),
            common=float(xp.sum(means**2)) / power if power != 0 else 0.0,
            one_sign=_one_sign(means),
        )


def _one_sign(means: Array) -> bool:
    """Whether 99 % of the units that aren't always zero have a mean of the same sign."""
    positive, negative = arrays.total(means > 0), arrays.total(means < 0)
    return max(positive, negative) >= 0.99 * max(1, positive + negative)


def _not_below_zero(share: float) -> float:
    """0 for what rounding took below it."""
    return 0.0 if -1e-6 < share < 0 else share


def _root(variance: float) -> float:
    """The square root; 0 for what rounding took below it, NaN for NaN."""
    return 0.0 if variance < 0 else variance**0.5

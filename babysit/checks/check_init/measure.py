"""How `check-init` measures."""

import math
from typing import TYPE_CHECKING

from babysit.checks.check_init.schema import Measurement, Settings, Signals
from babysit.driving.budget import EVALUATION, Needs, evaluations
from babysit.errors import Skip
from babysit.measuring.layers import histograms, layers, nonlinearities
from babysit.measuring.unit_statistics import LayerSummary, UnitStatistics
from babysit.measuring.weights import Weight, looked_at

if TYPE_CHECKING:
    from babysit.driving.bench import Bench
    from babysit.measuring.layers import Layers

ROUNDING = 1e-5  # share of the power, from where single precision tells a variance from nothing, to a tenth
RANGE = 6.0  # spreads between the largest and the smallest of some hundred normal numbers
LARGE = 1e6  # size that outputs reach by growing alone; what isn't finite behind such a layer has overflowed


def needs(settings: Settings, batch: int) -> Needs:
    """Two traces of the examples with gradients, a step each, and the updates between them."""
    return Needs(*(settings.steps + 2 * evaluations(settings.examples, batch) / EVALUATION + 2,) * 2)


def measure(bench: "Bench", settings: Settings) -> Measurement:
    """Trace at initialization and after some steps; both looks are shared with other checks."""
    from babysit import arrays

    start = layers(bench, settings.examples)
    later = layers(bench, settings.examples, settings.steps)
    at_start = tuple(layer.summary() for layer in nonlinearities(start).values())
    _require_finite(at_start)
    fed = next(iter(start.fed.values()), None)
    kinds = [call.kind for call in start.calls.values()]
    first = next((i for i, kind in enumerate(kinds) if kind not in ("linear", "norm")), len(kinds))
    gradients = (start.gradients.get(layer.name) for layer in at_start)
    edges, counts = histograms(start)
    weights, weights_after = _weights(bench, start, settings.steps)
    return Measurement(
        examples=sum(arrays.count(batch) for batch in bench.first_batches(settings.examples)),
        steps=later.steps,
        inputs=fed.summary().size if fed is not None else math.nan,
        opening=tuple(kinds[: first + 1]),
        normalized="norm" in kinds,
        at_start=at_start,
        gradients=tuple(math.nan if layer is None else layer.summary().size for layer in gradients),
        signals=_signals(start),
        signals_after=_signals(later),
        edges=edges,
        histograms=counts,
        weights=weights,
        weights_after=weights_after,
    )


def _require_finite(at_start: tuple[LayerSummary, ...]) -> None:
    """Know that what isn't finite has overflowed on its way.

    Raises:
        Skip: Something else made it so.
    """
    broken = next((i for i, layer in enumerate(at_start) if not math.isfinite(layer.size)), len(at_start))
    if broken < len(at_start) and not any(layer.size >= LARGE for layer in at_start[:broken]):
        raise Skip(f"the outputs of {at_start[broken].name} are not finite, so their statistics say nothing")


def _signals(found: "Layers") -> Signals:
    fed, outputs = list(found.fed.values()), list(found.outputs.values())
    end = (fed or outputs)[-1:]
    return Signals(
        inputs=_signal(fed[0]) if fed else math.nan,
        outputs=tuple(_signal(layer) for layer in outputs),
        last=_signal(end[0]) if end else math.nan,
        end=end[0].name if end else "",
    )


def _signal(layer: UnitStatistics) -> float:
    """By how much the units vary; read off their ranges where sums in single precision can't tell."""
    from babysit import arrays

    found, seen = layer.summary(), layer.seen
    if 1 - found.common > ROUNDING:
        return found.signal
    return arrays.norm(seen["max"] - seen["min"]) / math.sqrt(found.units) / RANGE


def _weights(bench: "Bench", start: "Layers", steps: int) -> tuple[tuple[Weight, ...], tuple[Weight, ...]]:
    """The weights at both times; none where the trainer can't name them."""
    try:
        return looked_at(bench, start, 0), looked_at(bench, start, steps)
    except Skip:
        return (), ()

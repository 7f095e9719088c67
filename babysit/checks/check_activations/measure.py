"""How `check-activations` measures."""

import math
from typing import TYPE_CHECKING

from babysit.checks.check_activations.schema import Measurement, Settings
from babysit.errors import Skip
from babysit.measuring.layers import layers, nonlinearities

if TYPE_CHECKING:
    from babysit.driving.bench import Bench


def measure(bench: "Bench", settings: Settings) -> Measurement:
    """Trace, step, and trace the same examples again."""
    from babysit import arrays
    from babysit.measuring import scores

    batches = bench.first_batches(settings.examples)
    output = scores.end_of(bench)
    start, later = layers(bench, settings.examples), layers(bench, settings.examples, settings.steps)
    before, after = nonlinearities(start), nonlinearities(later)
    names = [name for name in before if name in after]  # an expert of many may be called at one time alone
    at_start = tuple(before[name].summary() for name in names)
    if broken := next((layer.name for layer in at_start if not math.isfinite(layer.mean)), ""):
        raise Skip(f"the outputs of {broken} are not finite, so their statistics say nothing")
    return Measurement(
        examples=sum(arrays.count(batch) for batch in batches),
        steps=later.steps,
        learning_rate=bench.trainer.learning_rate,
        at_start=at_start,
        after=tuple(after[name].summary() for name in names),
        killed=tuple(arrays.total(after[name].dead() & ~before[name].dead()) for name in names),
        fed=tuple(layer.summary() for layer in start.fed.values()),
        output=output[1] if output else "",
    )

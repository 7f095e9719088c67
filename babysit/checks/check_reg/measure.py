"""How `check-reg` measures."""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from babysit.checks.check_reg.schema import Measurement, Settings, has_effect
from babysit.driving.budget import EVALUATION, Needs
from babysit.driving.updates import updates_of
from babysit.errors import Skip

if TYPE_CHECKING:
    from babysit.driving.bench import Bench
    from babysit.driving.guard import Driven
    from babysit.trainer import Array, Batch

GAINED_ON = 4  # batches on which gains are compared


def needs(settings: Settings, batch: int) -> Needs:
    """The updates with and without regularization, and the examples evaluated at three strengths."""
    return Needs(*(settings.learning + 4 * (settings.steps + 1) + 20 * EVALUATION,) * 2)


def measure(bench: "Bench", settings: Settings) -> Measurement:
    """Climb the ladder of strengths, then step at three of them from the same state."""
    from babysit import arrays

    strengths = bench.trainer.strengths()
    if strengths is not None and not any(strengths.values()):
        raise Skip("the program has nothing to scale: it states no penalty, no weight decay, no dropout")
    if not _weighs(bench):
        raise Skip("all parameters are zero at the start, so no penalty or decay can show")
    batch = bench.subset(min(settings.examples, bench.usual_size))
    scales = (0.0, *(10.0**k for k in range(round(math.log10(settings.top)))), settings.top)
    outputs = []
    for scale in scales:
        with bench.borrowed(scale=scale) as trainer:
            outputs.append(trainer.evaluate(batch))
    if not all(math.isfinite(o.penalty) for o in outputs):
        raise Skip("the penalty is not a finite number, as `babysit check-target` tells")
    noisy = []
    for scale in (0.0, 1.0):
        with bench.borrowed(scale=scale) as trainer:
            noisy.append(trainer.evaluate(batch, training=True).loss)
    steps = _in_a_step(bench, settings)
    gain, free_gain = _gains(bench, steps, settings)
    measured = Measurement(
        examples=arrays.count(batch),
        strengths=dict(strengths or {}),
        scales=scales,
        data_losses=tuple(o.loss for o in outputs),
        penalties=tuple(o.penalty for o in outputs),
        training_loss=noisy[1],
        dropout_change=abs(noisy[1] - noisy[0]) / max(abs(noisy[0]), 1e-30),
        pull=steps.pull,
        step_change=steps.step_change,
        own_change=steps.own_change,
        direction=steps.direction,
        gain=gain,
        free_gain=free_gain,
    )
    if strengths is None and not has_effect(measured, settings):
        raise Skip("no penalty, weight decay or dropout shows at any scale, so there is nothing to check")
    return measured


def _gains(bench: "Bench", steps: "_Steps", settings: Settings) -> tuple[float, float]:
    """By how much the same updates lower the loss with regularization and without; NaN where they are much the same.

    Updates of which regularization changes little can't lose most of what they would gain without it.
    """
    if steps.own_change < settings.barely:
        return math.nan, math.nan
    batches = _spread_over(bench.pool())

    def loss(trainer: "Driven") -> float:
        return float(sum(trainer.evaluate(batch).loss for batch in batches) / len(batches))

    with bench.borrowed() as trainer:
        first = loss(trainer)
    with bench.trained(settings.learning) as (trainer, _):
        own = loss(trainer)
    with bench.borrowed(scale=0.0) as trainer:
        for done, _ in enumerate(updates_of(trainer.step, bench.stream(), settings.learning)):
            bench.advance(done, settings.learning)
        free = loss(trainer)
    return first - own, first - free


def _spread_over(pool: "list[Batch]") -> "list[Batch]":
    """A few of the batches, evenly spaced."""
    count = min(GAINED_ON, len(pool))
    return [pool[k * len(pool) // count] for k in range(count)]


def _weighs(bench: "Bench") -> bool:
    """Whether any parameter differs from zero; true where they can't be named."""
    from babysit import arrays
    from babysit.trainer import SupportsParameters

    if not bench.trainer.supports(SupportsParameters):
        return True
    return any(arrays.norm(w) != 0 for w in bench.trainer.parameters().values())


@dataclass(frozen=True)
class _Steps:
    """Fields as in `Measurement`."""

    pull: float = math.nan
    step_change: float = math.nan
    own_change: float = math.nan
    direction: float = math.nan


def _in_a_step(bench: "Bench", settings: Settings) -> _Steps:
    """Steps at four scales from the same place, a few steps in: an optimizer's first step may know signs alone.

    The place is made anew for each, from the original state, since one more saved state would fill the memory.
    """
    from babysit import arrays
    from babysit.trainer import SupportsParameters

    if not bench.trainer.supports(SupportsParameters):
        return _Steps()
    before, off = _update(bench, 0.0, settings)
    own, more, top = (_update(bench, scale, settings)[1] for scale in (1.0, 10.0, settings.top))
    towards_zero = -sum(arrays.dot(own[name] - off[name], before[name]) for name in before)
    length = _length(off) * _length(before)
    change = _length({name: top[name] - own[name] for name in before})
    noise = _length({name: own[name] - off[name] for name in before})
    # at ten times the strength an adaptive optimizer still answers in proportion; far above, it rescales the whole step
    added = {name: more[name] - own[name] for name in before}
    shrinking = -sum(arrays.dot(x, before[name]) for name, x in added.items())
    seen = _length(added) > settings.resolution * _length(own)
    return _Steps(
        pull=_ratio(towards_zero, length),
        step_change=_ratio(change, _length(own)),
        own_change=_ratio(noise, _length(off)),
        direction=_ratio(shrinking, _length(added) * _length(before)) if seen else math.nan,
    )


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else math.nan


def _update(bench: "Bench", scale: float, settings: Settings) -> tuple[dict[str, "Array"], dict[str, "Array"]]:
    """Parameters after some steps without regularization, and what one more at this scale adds to them, as samples."""
    from babysit.measuring.sampling import Sample

    pool = bench.pool()
    last = pool[(settings.steps * bench.accumulated - 1) % len(pool)]
    with bench.borrowed(scale=0.0) as trainer:
        list(updates_of(trainer.step, bench.stream(), settings.steps))
        sample = Sample(trainer.parameters())
        before = sample.of(trainer.parameters())
        trainer.regularization_scale = scale
        list(updates_of(trainer.step, itertools.repeat(last), 1))
        after = sample.of(trainer.parameters())
    return before, {name: after[name] - w for name, w in before.items()}


def _length(named: Mapping[str, "Array"]) -> float:
    from babysit import arrays

    return math.hypot(*(arrays.norm(x) for x in named.values()))

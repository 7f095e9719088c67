"""Gradients as they are looked at: against the slopes of the loss, at two times, and from update to update."""

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from babysit.checks.check_grad.finite_differences import CLOSE, DRAWS, Surface
from babysit.checks.check_grad.schema import Unreached, Update, UsedGradients
from babysit.checks.check_grad.slopes import RESOLVED, Slope, Slopes
from babysit.driving.updates import CALLS
from babysit.errors import Skip

if TYPE_CHECKING:
    from babysit.checks.check_grad.schema import Settings
    from babysit.driving.bench import Bench
    from babysit.driving.guard import Driven
    from babysit.trainer import Array, Batch

SAME = 1e-4  # share of itself by which a loss may differ from pass to pass: summed in another order, no more than that
REST = 30  # passes in which what a training pass carries along comes to rest; the power method gains a digit in a few
FINEST = 1e-14  # squared share of an update's gradient that is rounding, in single precision


@dataclass(frozen=True)
class Look:
    """What was found at one time.

    Args:
        surface: The loss there, without its gradients.
        slopes: Of the parameters that get a gradient.
        unreached: By name of those that get none, the steepest slope of the data loss along moves at random.
        not_finite: Parameters whose gradient is not finite.
    """

    surface: Surface
    slopes: list[Slopes]
    unreached: dict[str, Slope]
    not_finite: list[str]

    def left_open(self) -> set[str]:
        """Parameters of which no slope tells whether the gradient is right."""
        known = {slopes.total.parameter for slopes in self.slopes if slopes.total.tells()}
        return {slopes.total.parameter for slopes in self.slopes} - known | set(self.unreached)


def look(bench: "Bench", batch: "Batch", steps: int, names: list[str], settings: "Settings") -> Look | None:
    """The slopes where the trainer stands; None where the loss is not finite.

    Raises:
        Skip: The loss is not the same twice.
    """
    trainer = bench.trainer
    if steady(trainer, batch):
        trainer.regularization_scale = 0.0
        if noisy := steady(trainer, batch):
            raise Skip(f"{noisy}, so differences of it are no slopes")
    surface = Surface(trainer, batch, names, steps)
    if not math.isfinite(surface.size):
        return None
    found = _slopes(bench, surface, settings)
    if any(slopes.total.differs(CLOSE, RESOLVED) for slopes in found.slopes):
        surface.forget()
        _come_to_rest(bench, trainer)
        surface = Surface(trainer, batch, names, steps)
        found = _slopes(bench, surface, settings)
    surface.forget()
    return found


def steady(trainer: "Driven", batch: "Batch") -> str:
    """Why differences of the loss would show noise; empty where the same pass gives the same, up to rounding."""
    passes = [trainer.evaluate(batch, training=True) for _ in range(2)] + [trainer.gradients(batch)[0]]
    one, other, differentiated = (output.loss + output.penalty for output in passes)
    if abs(one - other) > SAME * abs(one):
        return f"the loss of the same batch at the same parameters is {one:.8g} at first and {other:.8g} then"
    if abs(one - differentiated) > SAME * abs(one):
        return f"the loss is {one:.8g} in `evaluate` in training mode, and {differentiated:.8g} in `gradients`"
    return ""


def _slopes(bench: "Bench", surface: Surface, settings: "Settings") -> Look:
    broken, cut_off = surface.not_finite(), surface.unreached
    alone = max(0, min(settings.entries, settings.lines // len(surface.trainer.parameters()) - 1))
    entries = {name: 0 if name in cut_off else alone for name in _chosen(surface, broken, settings.lines)}
    found = surface.slopes(entries, bench.advance)
    moves: dict[str, list[Slope]] = {}
    for slopes in found:
        moves.setdefault(slopes.total.parameter, []).append(slopes.data or slopes.total)
    return Look(
        surface,
        [slopes for slopes in found if slopes.total.parameter not in cut_off],
        {name: _steepest(own) for name, own in moves.items() if name in cut_off},
        broken,
    )


def _chosen(surface: Surface, broken: list[str], lines: int) -> list[str]:
    """The parameters to look at: all of them, or as many as there are lines, evenly spaced, of those with a gradient.

    Of those without one, at which several moves each are needed, as many as that allows.
    """
    reached = [name for name in surface.names if name not in surface.unreached and name not in broken]
    cut_off = [name for name in surface.names if name in surface.unreached and name not in broken]
    chosen = {*_evenly(reached, lines), *_evenly(cut_off, max(1, lines // DRAWS))}
    return [name for name in surface.names if name in chosen]


def _evenly(names: list[str], most: int) -> list[str]:
    count = min(most, len(names))
    return [names[k * len(names) // count] for k in range(count)]


def _steepest(slopes: list[Slope]) -> Slope:
    """The steepest, as doubtful as all but one: at a kink, where zero is a legal gradient, some ways look smooth."""
    steepest = max(slopes, key=lambda slope: abs(slope.numeric))
    return replace(steepest, doubt=sorted(slope.doubt for slope in slopes)[-2:][0])


def _come_to_rest(bench: "Bench", trainer: "Driven") -> None:
    """Make passes where the trainer stands, that what they carry along fits its parameters.

    Spectral normalization takes the vectors of its power method for constants, which is right once they have converged.
    """
    from babysit import arrays

    here = arrays.duplicate(dict(trainer.parameters()))
    for batch in itertools.islice(bench.stream(), REST):
        trainer.step(batch)
        trainer.set_parameters(here)


def unreached(looks: list[Look]) -> Iterator[Unreached]:
    """Parameters without a gradient whenever they were looked at."""
    for name in looks[-1].unreached:
        if all(name in found.unreached for found in looks):
            absent = all(name not in found.surface.reached for found in looks)
            yield Unreached(name, absent, tuple(found.unreached[name] for found in looks))


def used_gradients(bench: "Bench", updates: int) -> UsedGradients:
    """The gradients of so many updates from the start, regularization off, as samples of their entries."""
    from babysit import arrays
    from babysit.measuring.sampling import Sample

    left, left_rest = _left(bench)
    found: list[Update] = []
    own: dict[str, Array] = {}
    before: dict[str, Array] = {}
    with bench.borrowed(scale=0.0) as trainer:
        sample = Sample(trainer.parameters())
        here = sample.of(trainer.parameters())
        for batch in itertools.islice(bench.stream(), CALLS * updates):
            gradient = sample.of(trainer.gradients(batch)[1])
            output = trainer.step(batch)
            if not math.isfinite(output.loss):
                break
            own = _sum(own, gradient)
            if not output.updated:
                continue
            there = sample.of(trainer.parameters())
            if not arrays.differing(here, there):
                break  # the gradients that the step used, if any, are not those of these parameters
            used = sample.of(trainer.last_gradients())
            found += [_update(own, before, used)] if before else []
            if len(found) == updates - 1:
                break
            own, before, here = {}, used, there
    return UsedGradients(tuple(found), left, left_rest)


def _sum(one: Mapping[str, "Array"], other: Mapping[str, "Array"]) -> dict[str, "Array"]:
    return {name: one[name] + g if name in one else g for name, g in other.items()} | {
        name: g for name, g in one.items() if name not in other
    }


def _left(bench: "Bench") -> tuple[float, float]:
    """How much of a gradient is added to the next one at the same place: none, unless the program sums them up."""
    from babysit import arrays
    from babysit.measuring.sampling import Sample

    with bench.borrowed(scale=0.0) as trainer:
        batch = next(bench.stream())
        sample, here = Sample(trainer.parameters()), arrays.duplicate(dict(trainer.parameters()))
        gradient = sample.of(trainer.gradients(batch)[1])
        if not math.isfinite(trainer.step(batch).loss):
            return math.nan, math.nan
        trainer.set_parameters(here)
        again = sample.of(trainer.gradients(batch)[1])
    change = {name: again[name] - g for name, g in gradient.items() if name in again}
    length = _dot(gradient, gradient)
    share = _dot(change, gradient) / length if length > 0 else math.nan
    unexplained = _dot(change, change) - share * share * length
    return share, math.sqrt(max(0.0, unexplained) / length) if length > 0 else math.nan


def _dot(one: Mapping[str, "Array"], other: Mapping[str, "Array"]) -> float:
    """The inner product; a parameter that is missing has zeros."""
    from babysit import arrays

    return sum((arrays.dot(x, other[name]) for name, x in one.items() if name in other), start=0.0)


def _update(own: Mapping[str, "Array"], before: Mapping[str, "Array"], used: Mapping[str, "Array"]) -> Update:
    """Least squares of the gradient used on the one that was due and the one used before."""
    due, past, length = _dot(own, own), _dot(before, before), _dot(used, used)
    across, on_due, on_past = _dot(own, before), _dot(used, own), _dot(used, before)
    apart = past - across * across / due if due > 0 else 0.0  # squared length of what the past has and the present not
    if not (apart > 0 and length > 0):
        return Update(math.nan, math.nan, math.nan, math.nan)
    earlier = (on_past - on_due * across / due) / apart
    new = (on_due - earlier * across) / due
    rest = max(length - new * on_due - earlier * on_past, FINEST * length)
    return Update(new, earlier, math.sqrt(rest / apart), math.sqrt(rest / length))

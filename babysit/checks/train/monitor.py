"""A training run that is watched: every step's loss, and at some moments all that the course notes have one look at."""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from itertools import islice, takewhile
from typing import TYPE_CHECKING, Any

from babysit.checks.train.plots import drawn, scores_drawn
from babysit.checks.train.schema import Moment, Moved, Run, Units, Weights
from babysit.checks.train.settled import ENOUGH, WELL, is_calm, settled
from babysit.driving.updates import CALLS, updates_of
from babysit.errors import Skip
from babysit.measuring import curves, run_log
from babysit.measuring.reductions.plain import BOUNDED, RECTIFIED
from babysit.measuring.split_sample import Ignorance, Part, looked_at, part_of
from babysit.measuring.unit_statistics import LayerSummary
from babysit.report import Exhibit, Fact

if TYPE_CHECKING:
    from babysit.checks.train.schema import Settings
    from babysit.driving.bench import Bench
    from babysit.driving.guard import Driven
    from babysit.trainer import Array, Batch

# Shares of the run behind which the whole is looked at, beside the start: ever further apart up to where a run that
# goes well ends, and closer in the rest of one that doesn't, whose late looks have to bear one another out.
LOOKS = (0.04, 0.16, 0.36, ENOUGH, 0.76, 0.88, 1.0)
WEIGHED = 12  # looks at the weights alone, which cost no evaluation
TRACED = 128  # examples over which dead and saturated units are counted, at least
MANY_TRACED = 4  # batches for that, at most
SLOWER = 10.0  # how much lower the learning rate is at which a run that stands still goes on
KINDS = (*BOUNDED, *RECTIFIED)


def passes(trainer: "Driven") -> "Iterator[Batch | None]":
    """The program's own training batches, pass after pass, None behind each; those of several ranks joined.

    A pass ends where the first rank's loader ends, and all of it where a pass has nothing.
    """
    while True:
        own = trainer.batches("train")
        found = False
        while joined := trainer.ranks.joined(list(islice(own, 1))):
            found = True
            yield joined[0]
        if not found:
            return
        yield None


class Monitor:
    """Watches one run.

    Args:
        bench: Its trainer is borrowed already.
        settings: How long to run, and when to give up.
        parts: Of the training and of the validation split, looked at in evaluation mode at every moment.
        write: Where the record goes.
    """

    def __init__(self, bench: "Bench", settings: "Settings", parts: tuple[Part, Part], write: run_log.Write) -> None:
        from babysit.trainer import SupportsParameters, SupportsTrace

        self.bench, self.trainer, self.settings = bench, bench.trainer, settings
        self.parts, self.write = parts, write
        self.traced = bench.first_batches(TRACED)[:MANY_TRACED] if self.trainer.supports(SupportsTrace) else []
        self.named = self.trainer.supports(SupportsParameters)
        self.calls_in_all = settings.epochs * _length(bench) if settings.epochs else 0
        self.began = time.perf_counter()
        self.losses: list[float] = []
        self.moments: list[Moment] = []
        self.weights: list[dict[str, Moved]] = []
        self.weighed: list[int] = []
        self.units: list[dict[str, LayerSummary]] = []
        self.settled = False
        self.since: list[float] = []  # losses behind the latest update
        self.calls = self.batches = self.batch_size = 0

    @property
    def place(self) -> tuple[int, int]:
        """What is done and what there is to do, in updates, or in batches where the budget is in epochs."""
        return (self.calls, self.calls_in_all) if self.calls_in_all else (len(self.losses), self.settings.steps)

    @property
    def ended(self) -> str:
        """Why nothing more is to be learned from going on; empty while something is."""
        if self.losses and not math.isfinite(self.losses[-1]):
            return "the loss is not finite"
        if self.losses and curves.exploded(self.losses, self.limit):
            return "the loss exploded"
        return WELL if self.settled else ""

    @property
    def limit(self) -> float:
        """The loss from where on the run has diverged."""
        starts = (self.losses[0], self.moments[0].loss, self.parts[0].ignorance.loss)
        return curves.limit(starts, self.settings.explosion)

    def run(self) -> None:
        """Make the updates."""
        self.look()
        for batch in passes(self.trainer):
            if batch is None:
                self.batches = self.batches or self.calls
                continue
            self.step(batch)
            done, total = self.place
            if done >= total or self.ended or len(self.since) == CALLS:
                break
        if self.moments[-1].step < len(self.losses):
            self.look()
        self.write("end", step=len(self.losses), reason=self.ended)

    def _is_settled(self) -> bool:
        """Whether the run, most of the way through, has shown all that it would."""
        done, total = self.place
        if self.settings.epochs or done != math.ceil(ENOUGH * total) or self.moments[-1].step != done:
            return False
        known = self.parts[0].ignorance, self.parts[1].ignorance
        well = settled(self.losses, self.moments, known, self.bench.task.metric, self.settings)
        return well and is_calm(self.weights, self.settings)

    def step(self, batch: "Batch") -> None:
        """Step once, and look at what it did where that is due."""
        from babysit import arrays

        done, total = self.place
        taken = len(self.moments) - 1
        due = taken < len(LOOKS) and done + 1 >= math.ceil(LOOKS[taken] * total)
        weigh = self.named and (done + 1) * (WEIGHED - 1) ** 2 >= total * (len(self.weights) + 1) ** 2
        before = _Before(self.trainer.parameters()) if weigh else None
        output = self.trainer.step(batch)
        self.calls += 1
        self.batch_size = max(self.batch_size, arrays.count(batch))
        self.since.append(output.loss if math.isfinite(output.penalty) else output.penalty)
        if output.updated or not math.isfinite(self.since[-1]):
            self.losses.append(sum(self.since) / len(self.since))
            self.since = []
            self.write("step", step=len(self.losses), loss=self.losses[-1], penalty=output.penalty)
            if before:
                self.weigh(before)
            if due:
                self.look()
                self.settled = self._is_settled()
        self.bench.advance(*self.place)
        self.bench.show(self.exhibits)

    def weigh(self, before: "_Before") -> None:
        """Record how the parameters moved away from `before` in the update just made."""
        self.weights.append(_moved(self.trainer, before))
        self.weighed.append(len(self.losses))
        moved = self.weights[-1].items()
        ratios, gradients = {name: w.ratio for name, w in moved}, {name: w.gradient for name, w in moved}
        self.write("weights", step=len(self.losses), ratios=ratios, gradients=gradients)

    def look(self) -> None:
        """Record a moment."""
        from babysit.measuring import layers

        task = self.bench.task
        losses = [number for part in self.parts for number in looked_at(self.trainer, task, part)]
        self.moments.append(Moment(len(self.losses), *losses))
        try:
            found = layers.look(self.trainer, self.traced, steps=1).outputs if self.traced else {}
        except Skip:
            found, self.traced = {}, []
        self.units.append({name: layer.summary() for name, layer in found.items() if layer.kind in KINDS})
        self.write("moment", **self._row())

    def _row(self) -> dict[str, Any]:
        units = self.units[-1]
        return {
            **vars(self.moments[-1]),
            "dead": {name: u.dead / u.units for name, u in units.items() if u.kind in RECTIFIED},
            "saturated": {name: u.saturated for name, u in units.items() if u.kind in BOUNDED},
        }

    def slower(self, updates: int) -> tuple[float, ...]:
        """Losses of so many further updates, at a tenth of the learning rate."""
        self.trainer.learning_rate /= SLOWER
        own = (batch for batch in passes(self.trainer) if batch is not None)
        return tuple(output.loss for output in updates_of(self.trainer.step, own, updates) if output.updated)

    def found(self, slower: tuple[float, ...]) -> Run:
        """What the run has shown."""
        return Run(
            losses=tuple(self.losses),
            moments=tuple(self.moments),
            weights=tuple(_weights(self.weights)),
            weighed=tuple(self.weighed),
            units=tuple(_units(self.units)),
            calls=self.calls,
            batches=self.batches,
            batch_size=self.batch_size,
            slower=slower,
            ended=self.ended,
        )

    def exhibits(self) -> Iterator[Exhibit]:
        """The run so far."""
        yield drawn(self.losses, self.moments)
        ratios = sorted((w.ratio, name) for look in self.weights[-1:] for name, w in look.items() if w.axes > 1)
        if ratios:
            yield Fact(
                "update / weight", f"{ratios[0][0]:.1g} ({ratios[0][1]}) to {ratios[-1][0]:.1g} ({ratios[-1][1]})"
            )
        yield from scores_drawn(self.bench.task.metric, self.moments)
        done, total = self.place
        left = (time.perf_counter() - self.began) * (total - done) / max(1, done)
        yield Fact("time left", f"{left:.0f} s")


def _length(bench: "Bench") -> int:
    """Batches in one pass through the loader."""
    with bench.borrowed() as trainer:
        return sum(1 for _ in takewhile(lambda batch: batch is not None, passes(trainer)))


class _Before:
    """Parameters ahead of an update: their norms, and a sample of their entries.

    Args:
        parameters: By name.
    """

    def __init__(self, parameters: "Mapping[str, Array]") -> None:
        from babysit import arrays
        from babysit.measuring.sampling import Sample

        self.norms = {name: arrays.norm(w) for name, w in parameters.items()}
        self.axes = {name: w.ndim for name, w in parameters.items()}
        self.sample = Sample(parameters)
        self.entries = self.sample.of(parameters)


def _moved(trainer: "Driven", before: _Before) -> dict[str, Moved]:
    from babysit import arrays

    after, gradients = before.sample.of(trainer.parameters()), trainer.last_gradients()
    found = {}
    for name, norm in before.norms.items():
        ratio = arrays.norm(after[name] - before.entries[name]) / norm if norm else math.nan
        gradient = arrays.norm(gradients[name]) if name in gradients else math.nan
        found[name] = Moved(before.axes[name], norm, ratio, gradient)
    return found


def _weights(looks: Sequence[Mapping[str, Moved]]) -> Iterator[Weights]:
    names = dict.fromkeys(name for look in looks for name in look)
    for name in names:
        unknown = Moved(0, math.nan, math.nan, math.nan)
        at = [look.get(name, unknown) for look in looks]
        axes = max(w.axes for w in at)
        yield Weights(name, axes, *(tuple(getattr(w, field) for w in at) for field in ("norm", "ratio", "gradient")))


def _units(looks: Sequence[Mapping[str, "LayerSummary"]]) -> Iterator[Units]:
    for name, first in looks[0].items():
        at = [look[name] for look in looks if name in look]
        yield Units(name, first.kind, tuple(u.dead / u.units for u in at), tuple(u.saturated for u in at))


def monitored(bench: "Bench", settings: "Settings") -> tuple[Run, Ignorance, Ignorance]:
    """Watch the user's trainer at its own settings on what its own loader gives; and what it would know by nothing.

    Raises:
        UsageError: The record can't be written.
    """
    parts = part_of(bench, "train", settings.examples), part_of(bench, "val", settings.examples)
    path = settings.record if bench.trainer.ranks.rank == 0 else ""
    told = {"version": version("babysit"), "metric": bench.task.metric, "learning_rate": bench.trainer.learning_rate}
    told |= {"epochs": settings.epochs} if settings.epochs else {"steps": settings.steps}
    with run_log.writing(path, **told) as write, bench.borrowed():
        monitor = Monitor(bench, settings, parts, write)
        monitor.run()
        course = curves.course(monitor.losses)
        broken = monitor.ended not in ("", WELL)
        stands = (
            course is not None
            and not broken
            and course.stopped(settings.sigmas, settings.flat)
            and not course.end <= settings.high * abs(parts[0].ignorance.loss)
        )
        slower = monitor.slower(max(curves.WINDOW, len(monitor.losses) // 5)) if stands else ()
        return monitor.found(slower), parts[0].ignorance, parts[1].ignorance

"""What `train` shows."""

import math
from collections.abc import Iterator

from babysit.checks.train.plots import drawn, scores_drawn
from babysit.checks.train.readings import ratio
from babysit.checks.train.schema import Measurement, Run, Settings, Weights
from babysit.checks.train.settled import WELL
from babysit.measuring import curves
from babysit.report import Exhibit, Fact, Table

ROWS = 10  # of a table of parameters or layers
RATIO = 1e-3  # the update over the weights that the course notes want to see


def exhibits(measured: Measurement, settings: Settings) -> Iterator[Exhibit]:
    """The curves, what moved by how much, and what it took."""
    yield from _facts(measured)
    run = measured.run
    yield drawn(run.losses, run.moments)
    yield from scores_drawn(measured.metric, run.moments)
    if run.weights:
        yield Table("updates over weights", ("parameter", "norm", "update / weight", "gradient"), _moved(run))
    if run.units:
        yield Table("nonlinearities", ("layer", "kind", "dead", "saturated"), _units(run))


def _facts(measured: Measurement) -> Iterator[Fact]:
    run, val = measured.run, measured.val.examples > 0
    passes = f", {run.calls / run.batches:.1f} passes of {run.batches} batches" if run.batches else ""
    early = len(run.losses) < measured.asked
    asked = f" of {measured.asked}" if early else ""
    ended = "; all went well by then" if early and run.ended == WELL else ""
    yield Fact(
        "updates", f"{len(run.losses)}{asked} in {run.calls} steps{passes}, {run.batch_size} examples each{ended}"
    )
    yield Fact("to know nothing costs", f"{measured.train.loss:.4g}{f' / {measured.val.loss:.4g}' * val}")
    for last in run.moments[-1:]:
        yield Fact("loss at the end", f"{last.loss:.4g}{f' / {last.val_loss:.4g} on the validation split' * val}")
    if run.slower:
        after = curves.mean(run.slower[-curves.WINDOW :])
        yield Fact("at a tenth of the rate", f"{after:.4g} after {len(run.slower)} more updates")
    if measured.explained:
        yield Fact("not treated", f"{measured.explained} explains it")
    for treated in measured.treated:
        yield Fact(f"tried {treated.treatment}", str(treated))


def _course(values: tuple[float, ...], form: str) -> str:
    known = [v for v in values if math.isfinite(v)]
    return f"{known[0]:{form}} -> {known[-1]:{form}}" if known else "-"


def _moved(run: Run) -> tuple[tuple[str, ...], ...]:
    """The parameters whose updates are the furthest from the notes' 1e-3, matrices first, in their own order."""

    def distance(w: Weights) -> tuple[bool, float]:
        found = ratio(w)
        return w.axes > 1, abs(math.log(found / RATIO)) if 0 < found < math.inf else math.inf

    chosen = sorted(run.weights, key=distance, reverse=True)[:ROWS]
    rows = [w for w in run.weights if w in chosen]
    return tuple((w.name, _course(w.norms, ".3g"), f"{ratio(w):.1e}", _course(w.gradients, ".1e")) for w in rows)


def _units(run: Run) -> tuple[tuple[str, ...], ...]:
    """The layers with the largest shares, in their own order."""
    chosen = sorted(run.units, key=lambda u: max((*u.dead, *u.saturated), default=0.0), reverse=True)[:ROWS]
    rows = [u for u in run.units if u in chosen]
    shares = ((u, _course(u.dead, ".0%"), _course(u.saturated, ".0%")) for u in rows)
    return tuple(
        (u.name, u.kind, dead if u.kind == "relu" else "-", "-" if u.kind == "relu" else full)
        for u, dead, full in shares
    )

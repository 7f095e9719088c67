"""What the rules read off a monitored run."""

import math
import statistics
from dataclasses import replace
from typing import TYPE_CHECKING

from babysit.checks.train.gains import gains
from babysit.measuring import curves

if TYPE_CHECKING:
    from babysit.checks.train.gains import Gain
    from babysit.checks.train.schema import Measurement, Settings, Weights
    from babysit.measuring.curves import Course

EARLY = 2  # looks at which weights may still be on their way from where they were drawn


def took(measured: "Measurement") -> str:
    """How long the run was."""
    run = measured.run
    passes = f" ({run.calls / run.batches:.1f} passes)" if run.batches else ""
    return f"{len(run.losses)} updates{passes}"


def beyond(measured: "Measurement", settings: "Settings") -> str:
    """How the run diverged; empty if it didn't."""
    losses, moments = measured.run.losses, measured.run.moments
    broken = next((i for i, loss in enumerate(losses, 1) if not math.isfinite(loss)), 0)
    if broken:
        return f"the loss is {losses[broken - 1]} at update {broken}"
    if moments and not math.isfinite(moments[-1].loss):
        return f"the loss in evaluation mode is {moments[-1].loss} after {moments[-1].step} updates"
    limit = curves.limit((*losses[:1], *(m.loss for m in moments[:1]), measured.train.loss), settings.explosion)
    end = statistics.median(losses[-curves.WINDOW :]) if losses else math.nan
    if not end > limit:
        return ""
    return f"the loss goes from {losses[0]:.4g} to {end:.4g} in {len(losses)} updates, past {limit:.4g}"


def shape(measured: "Measurement", settings: "Settings") -> "Course | None":
    """The curve of a run that has one; None where it diverged or is too short."""
    return None if beyond(measured, settings) else curves.course(measured.run.losses)


def train_gains(measured: "Measurement") -> "list[Gain]":
    """The gain over knowing nothing at each moment, on the training part."""
    return gains(measured.run.moments, measured.train, measured.metric)


def val_gains(measured: "Measurement") -> "list[Gain]":
    """The same on the validation part.

    Where its labels are more alike than the training part's, as the first ones of a split in order are, to know
    nothing is worth no more there than on the training part: nobody had told which labels those are.
    """
    train, val = measured.train, measured.val
    known = replace(val, loss=max(val.loss, train.loss), score=min(val.score, train.score))
    return gains(measured.run.moments, known, measured.metric, val=True)


def learned(measured: "Measurement", settings: "Settings", *, val: bool) -> bool:
    """Whether one of the splits shows at any moment that something was learned; of training data, in the metric."""
    found = val_gains(measured) if val else train_gains(measured)
    later = [gain.since(found[0]) for gain in found]
    return any(g.shows(settings.sigmas) or (val and g.pays(settings.sigmas)) for g in later)


def blind(measured: "Measurement", settings: "Settings") -> bool:
    """Whether the metric can miss what is learned, since most examples are of one class."""
    return measured.metric == "accuracy" and not measured.train.score <= settings.even


def ratio(w: "Weights") -> float:
    """Update over weights, the median of the later moments; NaN where there is none, or the weights stand at zero."""
    later = [r for r in w.ratios[EARLY:] if math.isfinite(r)]
    return statistics.median(later) if later else math.nan

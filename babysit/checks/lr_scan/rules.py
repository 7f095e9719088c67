"""Rules of `lr-scan`: no rate works, the user's is too low or too high, the best lies at an end."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from babysit.check import rule
from babysit.checks.lr_scan.schema import best
from babysit.checks.lr_scan.usable_rates import (
    best_fall,
    decades,
    is_blind,
    own_trial,
    spread,
    suggestion,
    usable_range,
)
from babysit.report import Finding

if TYPE_CHECKING:
    from babysit.checks.lr_scan.schema import Measurement, Settings


@rule
def no_usable_learning_rate(measured: "Measurement", settings: "Settings") -> Iterator[Finding]:
    """At no learning rate does the loss fall.

    What it finds: in short runs from the same state over many decades of learning rates, the loss never falls by more
    than the difference between batches explains; or where it does, the network fits the targets of other inputs as
    well as their own, so that nothing was learned of the inputs but how often each target occurs.

    Why it matters: if no learning rate works, the learning rate is not the problem: the gradient is zero, wrong or
    pointed elsewhere, the parameters aren't the model's, or the inputs say nothing about the targets.

    What to try: read `overfit` and `check-activations` first; compare the gradient with a numeric one.

    When it is wrong: a program that starts trained, at its floor; or one that needs more `steps` to leave a plateau.

    References: CS231n, lecture 6, "loss barely changing"; a scan must be able to answer "none".
    """
    if usable_range(measured, settings):
        return
    low, high = measured.trials[0].learning_rate, measured.trials[-1].learning_rate
    top = best(measured.trials)
    yield no_usable_learning_rate.error(
        f"the loss, {measured.first_loss:.4g}, falls at no learning rate: {measured.obstacle}."
        if measured.obstacle
        else f"from {low:.2g} to {high:.2g} the loss, {measured.first_loss:.4g}, falls nowhere by more than "
        f"{_none(measured, settings)}.",
        suggestion="Leave the learning rate alone; find out why the gradient does not lower the loss.",
        low=low,
        high=high,
        first_loss=measured.first_loss,
        best_loss=top.loss if top else math.nan,
    )


def _none(measured: "Measurement", settings: "Settings") -> str:
    """What the loss falls no further than."""
    top, exchange = best(measured.trials), measured.exchange
    if top is None:
        return "noise: every run explodes"
    if exchange is not None and is_blind(measured, settings):
        return (
            f"can be had without a look at the inputs: after {exchange.updates} updates at "
            f"{exchange.learning_rate:.2g} it is {exchange.loss:.4g}, and {exchange.exchanged:.4g} with targets that "
            "belong to other inputs"
        )
    again = next((t for t in measured.repeats if t.learning_rate == top.learning_rate), None)
    once_more = f", on other batches at {again.loss:.4g}" if again is not None else ""
    error = again.error if again is not None else top.error
    return (
        f"noise: the best run, at {top.learning_rate:.2g}, ends at {top.loss:.4g}{once_more}, give or take {error:.2g}"
    )


@rule
def learning_rate_too_low(measured: "Measurement", settings: "Settings") -> Iterator[Finding]:
    """The learning rate is too low for the loss to move.

    What it finds: at the user's learning rate the loss falls by less than a twentieth (warning) or a hundredth (error)
    of what a higher one reaches in as many steps; and the suggestion is more than the scan's spacing away.

    Why it matters: "loss barely changing: learning rate is probably too low". Training then takes 20 or 100 times as
    long as it need, and is usually given up before. Accuracy may climb all the same: each score moves a little, in the
    right direction, and accuracy counts only which one is largest, while the loss stays where it was.

    What to try: the suggestion, or a rate a factor of 3 to 10 below the one at which the loss explodes.

    When it is wrong: fine-tuning with a deliberately small rate, or a schedule that warms up from it.

    References: CS231n, lecture 6, slides on learning rate 1e-6 and its question "why did the accuracy rise to 20 %?".
    """
    usable, own, top = usable_range(measured, settings), own_trial(measured), best_fall(measured, settings)
    if usable is None or top is None or own.learning_rate >= top.learning_rate or not math.isfinite(own.loss):
        return
    near = decades(own.learning_rate, suggestion(measured, settings)) <= 1 / settings.per_decade
    if near or own.fall >= settings.usable * top.fall:
        return
    find = learning_rate_too_low.error if own.fall < settings.hopeless * top.fall else learning_rate_too_low.warning
    climbed = ""
    if measured.metric == "accuracy" and own.score > measured.first_score + settings.climb:
        climbed = (
            f" Accuracy climbs from {measured.first_score:.2f} to {own.score:.2f} all the same: each score moves a "
            "little in the right direction, and accuracy counts only which is largest."
        )
    yield find(
        f"at {own.learning_rate:.3g} the loss hardly moves, from {measured.first_loss:.4g} to {own.loss:.4g} in "
        f"{own.steps} steps; at {top.learning_rate:.2g} it reaches {top.loss:.4g}.{climbed}",
        suggestion=f"Raise the learning rate to about {suggestion(measured, settings):.2g}.",
        learning_rate=own.learning_rate,
        suggestion_rate=suggestion(measured, settings),
        decades=decades(own.learning_rate, suggestion(measured, settings)),
        spread=spread(measured, settings),
    )


@rule
def learning_rate_too_high(measured: "Measurement", settings: "Settings") -> Iterator[Finding]:
    """The learning rate is too high for the loss to fall.

    What it finds: at the user's learning rate the loss explodes; or it hardly falls while it does at a lower one, and
    does not make up for that in five times as many steps.

    Why it matters: steps that are too long jump over the valley and up its other side; the loss explodes, or units are
    thrown to where no gradient reaches them and the loss stays high for good.

    What to try: the suggestion, or a rate a factor of 3 to 10 below the one at which the loss explodes.

    When it is wrong: programs that warm the learning rate up from much lower.

    References: CS231n, lecture 6, "cost: NaN almost always means high learning rate".
    """
    usable, own, top = usable_range(measured, settings), own_trial(measured), best_fall(measured, settings)
    if usable is None or top is None or own.fall >= settings.usable * top.fall:
        return
    if own.learning_rate <= top.learning_rate and math.isfinite(own.loss):
        return
    if measured.longer is not None:
        own = measured.longer
        if own.fall >= settings.recovered * top.fall:
            return
    seen = f"goes from {measured.first_loss:.4g} to {own.loss:.4g}"
    yield learning_rate_too_high.error(
        f"at {own.learning_rate:.3g} the loss {seen if math.isfinite(own.loss) else 'explodes'} in {own.steps} steps; "
        f"at {top.learning_rate:.2g} it reaches {top.loss:.4g}.",
        suggestion=f"Lower the learning rate to about {suggestion(measured, settings):.2g}.",
        learning_rate=own.learning_rate,
        suggestion_rate=suggestion(measured, settings),
        decades=decades(suggestion(measured, settings), own.learning_rate),
        spread=spread(measured, settings),
    )


@rule
def range_edge(measured: "Measurement", settings: "Settings") -> Iterator[Finding]:
    """The best learning rate lies at the end of the range that was scanned.

    What it finds: after widening the range as often as allowed, the lowest loss is still that of the lowest or the
    highest learning rate tried.

    Why it matters: the lecture's warning for every search: when the best result is at the edge, there may be better
    ones beyond it. It also hints at updates of an odd size: a loss scaled up, a clipping limit that always acts.

    What to try: another range (`low`, `high`), and a look at how long the updates are.

    When it is wrong: where the range was narrowed on purpose.

    References: CS231n, lecture 6, hyperparameter search: "be careful with best values on border".
    """
    usable, top = usable_range(measured, settings), best_fall(measured, settings)
    ends = (measured.trials[0].learning_rate, measured.trials[-1].learning_rate)
    if usable is not None and top is not None and top.learning_rate in ends:
        yield range_edge.warning(
            f"the lowest loss, {top.loss:.4g}, is reached at {top.learning_rate:.2g}, the end of the range "
            f"{ends[0]:.2g} to {ends[1]:.2g}.",
            suggestion="Scan beyond that end, and look at how long the updates are.",
            learning_rate=top.learning_rate,
        )

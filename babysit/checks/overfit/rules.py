"""Rules of `overfit` about outputs that are held in a range: floors of the loss, targets out of reach."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from babysit.check import rule
from babysit.checks.overfit.plateaus import cause
from babysit.checks.overfit.schema import LEARNED, Attempt, Measurement, Outcome, Settings
from babysit.measuring.treatments import PLAIN, REDRAWN, advice, sentence
from babysit.report import Finding

if TYPE_CHECKING:
    from babysit.checks.overfit.schema import Measurement, Settings

NEAR = 100.0  # times the user's rate: one further off that works speaks of updates scaled by something else


def _bounds(measured: "Measurement") -> tuple[float, float]:
    """The range that the scores seem held in: (0, 1) a sigmoid's or softmax's, (-1, 1) a tanh's, (0, inf) a ReLU's."""
    least, largest = measured.least_score, measured.largest_score
    if least >= 0 and largest <= 1:
        return 0.0, 1.0
    if least >= -1 and largest <= 1:
        return -1.0, 1.0
    return (0.0, math.inf) if least == 0 else (-math.inf, math.inf)


@rule
def floor_above_zero(measured: "Measurement", settings: "Settings") -> Iterator[Finding]:
    """The loss can't go below a floor.

    What it finds: the loss stops falling well above zero, with scores that never leave [0, 1] or [-1, 1].

    Why it matters: scores that were squashed before the loss can't express certainty. After a softmax, ten classes
    can't do better than ln(1 + 9/e) = 1.46, however long the training; gradients fade long before.

    What to try: remove the last softmax, sigmoid or tanh, and let the loss take raw scores.

    When it is wrong: label smoothing has a floor too, but its scores are not squashed, and it is not blamed.

    References: PyTorch's CrossEntropyLoss, "the input is expected to contain logits".
    """
    low, high = _bounds(measured)
    stopped = measured.own.outcome in (Outcome.AT_FLOOR, Outcome.STALLED) and not measured.cures
    pressed = measured.largest_score - measured.least_score > settings.pressed * (high - low)
    if stopped and pressed and measured.metric == "accuracy" and math.isfinite(high):
        yield floor_above_zero.error(
            f"the loss of {measured.examples} examples stops at {measured.own.losses[-1]:.4g}, with scores between "
            f"{measured.least_score:.3g} and {measured.largest_score:.3g}: squashed into [{low:g}, {high:g}].",
            suggestion="Give raw scores to the loss: no softmax, sigmoid or tanh on the last layer.",
            floor=measured.own.losses[-1],
        )


@rule
def output_range(measured: "Measurement", settings: "Settings") -> Iterator[Finding]:
    """Targets lie outside what the output can produce.

    What it finds: predictions that never leave [0, 1], [-1, 1] or [0, inf), as after a sigmoid, tanh or ReLU, pressed
    against that limit, and targets beyond it.

    Why it matters: no weights can reach such targets. The output saturates at its limit, and its gradient vanishes.

    What to try: no nonlinearity on the output of a regression; or scale the targets into its range.

    When it is wrong: if the subset's targets beyond the limit are outliers that you mean to clip.

    References: CS231n, course notes "neural networks 1": the output layer most commonly has no activation.
    """
    low, high = _bounds(measured)
    failed = measured.own.outcome in (Outcome.STALLED, Outcome.UNFINISHED)
    margin = settings.beyond * (measured.largest_target - measured.least_target)
    near = 1 - settings.pressed
    pressed_high = measured.largest_target > high + margin and measured.largest_score > high - near
    pressed_low = measured.least_target < low - margin and measured.least_score < low + near
    if failed and (pressed_high or pressed_low):
        yield output_range.error(
            f"targets go from {measured.least_target:.4g} to {measured.largest_target:.4g}, predictions only from "
            f"{measured.least_score:.3g} to {measured.largest_score:.3g}: they seem held in [{low:g}, {high:g}].",
            suggestion="Remove the nonlinearity from the output, or scale the targets into its range.",
            least_target=measured.least_target,
            largest_target=measured.largest_target,
        )


def _cure(measured: Measurement) -> str:
    """What other learning rates and treatments showed, in sentences."""
    if measured.cures:
        cure = measured.cures[0]
        rates = f" From the same start it memorizes at {cure.learning_rate:.3g} in {len(cure.losses)} steps."
    else:
        tried = ", ".join(f"{a.learning_rate:.3g}" for a in measured.attempts[1:])
        rates = f" It does not memorize at {tried} either." if tried else ""
    plain = next((t for t in measured.treated if t.treatment == PLAIN), None)
    exempt = plain is not None and not plain.cured and not measured.cures
    whole = " That speaks of network, loss or data, not of the optimizer." if exempt else ""
    return rates + sentence(measured.treated) + whole


def _remedy(measured: Measurement, otherwise: str) -> str:
    """What to do, by what cured it; by the learning rate where one near the user's did.

    Rprop heeds the signs of gradients alone, so that its success says nothing of a loss that exploded.
    """
    own, treated = measured.own.learning_rate, measured.treated
    if measured.own.outcome is Outcome.DIVERGED:
        treated = tuple(t for t in treated if t.treatment != PLAIN)
    if measured.cures:
        cure = measured.cures[0].learning_rate
        otherwise = f"{'Lower' if cure < own else 'Raise'} the learning rate to {cure:.3g}."
        if 1 / NEAR <= cure / own <= NEAR:
            treated = tuple(t for t in treated if t.treatment != PLAIN)
    return advice(treated, otherwise)


def _went(attempt: Attempt, metric: str) -> str:
    graded = f", {metric} {attempt.score:.2f}" if math.isfinite(attempt.score) else ""
    steps = f"{len(attempt.losses)} step{'s' * (len(attempt.losses) != 1)}"
    return f"{attempt.losses[0]:.4g} to {attempt.losses[-1]:.4g} in {steps}{graded}"


@rule
def overfit_diverges(measured: Measurement, settings: Settings) -> Iterator[Finding]:
    """On a handful of examples the loss explodes.

    What it finds: at the user's learning rate, the loss of a tiny subset becomes NaN or infinite, or stays above three
    times its start.

    Why it matters: full batches of 20 examples are the easiest thing there is to descend. "Loss is NaN or explodes"
    almost always means a learning rate that is too high (the lecture's words), or a gradient that is wrong or summed.

    What to try: the learning rate that babysit found to work; if none did, compare the gradient with a numeric one.

    When it is wrong: an optimizer state tuned to a warm-up schedule that has not begun.

    References: CS231n, lecture 6, "cost: NaN almost always means high learning rate".
    """
    if measured.own.outcome is Outcome.DIVERGED:
        cure = measured.cures[0].learning_rate if measured.cures else None
        yield overfit_diverges.error(
            f"{measured.examples} examples, learning rate {measured.own.learning_rate:.3g}: the loss goes from "
            f"{_went(measured.own, measured.metric)}.{_cure(measured)}",
            suggestion=_remedy(
                measured, "Check the gradient against a numeric one; look at the size of the first update."
            ),
            learning_rate=measured.own.learning_rate,
            works_at=cure if cure is not None else math.nan,
        )


def _is_slow(measured: Measurement, settings: Settings) -> bool:
    """Whether the attempt failed for want of speed: a higher rate memorizes, or the loss was well on its way."""
    own = measured.own
    if own.outcome not in (Outcome.STALLED, Outcome.UNFINISHED):
        return False
    if measured.cures:
        return measured.cures[0].learning_rate > own.learning_rate
    return own.outcome is Outcome.UNFINISHED and own.losses[-1] < settings.halfway * measured.constant_loss


@rule
def overfit_too_slow(measured: Measurement, settings: Settings) -> Iterator[Finding]:
    """A handful of examples is memorized too slowly.

    What it finds: the loss falls, or would fall at a higher learning rate, but the tiny subset isn't memorized in the
    steps allowed. An error where less than half of the way was made, or only a rate a hundred times higher memorizes.

    Why it matters: what 20 examples can't show in some hundred updates, the whole data won't show in a night. The
    learning rate is too low, or something shrinks the updates (clipping to a tiny norm, squashed scores).

    What to try: the higher learning rate that babysit found to work; look for a clipping limit that always acts.

    When it is wrong: fine-tuning with a deliberately tiny learning rate; raise `steps` there.

    References: CS231n, lecture 6, "loss barely changing: learning rate is probably too low".
    """
    if not _is_slow(measured, settings):
        return
    left = measured.own.losses[-1] / measured.constant_loss
    far = measured.cures and measured.cures[0].learning_rate > 0.99 * NEAR * measured.own.learning_rate
    find = overfit_too_slow.error if left > settings.halfway or far else overfit_too_slow.warning
    find = overfit_too_slow.info if left < settings.nearly else find
    rate = measured.cures[0].learning_rate if measured.cures else 10 * measured.own.learning_rate
    yield find(
        f"{measured.examples} examples, learning rate {measured.own.learning_rate:.3g}: the loss goes from "
        f"{_went(measured.own, measured.metric)}, too slow to memorize them."
        f"{_cure(measured) if measured.cures else sentence(measured.treated)}",
        suggestion=_remedy(measured, f"Raise the learning rate to about {rate:.3g}, or find what shrinks the updates."),
        learning_rate=measured.own.learning_rate,
        works_at=measured.cures[0].learning_rate if measured.cures else math.nan,
    )


@rule
def cannot_overfit(measured: Measurement, settings: Settings) -> Iterator[Finding]:
    """A handful of examples can't be memorized.

    What it finds: with all regularization off, the loss of a tiny subset stays up, although the network has more
    parameters than the subset has targets; at the user's learning rate, and at others where none is named as a cure.
    Or the loss goes down and the metric of the same examples stays where guessing has it. What soft targets, or equal
    inputs with different targets, leave in any case is not counted.

    Why it matters: the lecture's third sanity check. A network that can't memorize 20 examples won't learn from
    20,000: something is broken in the network, the loss, the gradient or the update, not in the amount of data.

    What to try: read the other findings first, they often name the part. Then look at parameters that get no gradient,
    at a missing nonlinearity, at targets that don't belong to their inputs' shape.

    When it is wrong: if equal inputs carry different targets, or the network is smaller than the task on purpose.

    References: CS231n, lecture 6, "make sure that you can overfit very small portion of the training data".
    """
    if measured.own.outcome is Outcome.BY_LOSS_ALONE:
        yield cannot_overfit.error(
            f"{measured.examples} examples, learning rate {measured.own.learning_rate:.3g}: the loss goes from "
            f"{_went(measured.own, measured.metric)}: what the loss asks for is not what the targets say.",
            suggestion="Compute the loss of one example by hand; look at how targets reach it, and which are left out.",
            learning_rate=measured.own.learning_rate,
            loss=measured.own.losses[-1],
            score=measured.own.score,
        )
    if measured.own.outcome in (Outcome.STALLED, Outcome.UNFINISHED) and not _is_slow(measured, settings):
        cure = measured.cures[0].learning_rate if measured.cures else None
        yield cannot_overfit.error(
            f"{measured.examples} examples, learning rate {measured.own.learning_rate:.3g}: the loss goes from "
            f"{_went(measured.own, measured.metric)}; the best constant prediction has {measured.constant_loss:.4g}."
            f"{cause(measured)}{_cure(measured)}",
            suggestion=_remedy(
                measured, "Look for parameters without gradient, a missing nonlinearity, or a wrong loss."
            ),
            learning_rate=measured.own.learning_rate,
            loss=measured.own.losses[-1],
            constant_loss=measured.constant_loss,
            works_at=cure if cure is not None else math.nan,
        )


@rule
def frozen_parameters(measured: Measurement, settings: Settings) -> Iterator[Finding]:
    """Some trainable parameters never move.

    What it finds: parameters that are bit for bit the same after all the steps on the tiny subset, while others moved.

    Why it matters: they get no gradient (a cut in the graph, dead units above them) or the optimizer doesn't hold
    them. The network trains around its own random part.

    What to try: look for `detach`, `.data`, a conversion to NumPy and back, a layer that the forward pass skips, or an
    optimizer made from a list that lacks them. If they are frozen on purpose, mark them as not trainable.

    When it is wrong: parameters that this subset doesn't reach (an embedding of a rare word, an unused branch).

    References: CS231n, course notes "neural networks 3", ratio of updates to weights, per parameter.
    """
    if measured.frozen and len(measured.frozen) < measured.parameters:
        memorized = measured.own.outcome in LEARNED
        harmless = memorized and measured.frozen_share < settings.frozen
        find = frozen_parameters.warning if harmless else frozen_parameters.error
        names = ", ".join(measured.frozen[:4]) + (" ..." if len(measured.frozen) > 4 else "")
        yield find(
            f"{len(measured.frozen)} of {measured.parameters} parameters, {measured.frozen_share:.0%} of all values, "
            f"never moved in {len(measured.own.losses)} steps: {names}.",
            where=measured.frozen[0],
            suggestion=advice(
                [t for t in measured.treated if t.treatment == REDRAWN],
                "See whether a gradient reaches them, and whether the optimizer holds them.",
            ),
            names=list(measured.frozen),
        )


@rule
def constant_predictions(measured: Measurement, settings: Settings) -> Iterator[Finding]:
    """The network predicts the same for every example.

    What it finds: after the attempt to memorize, the scores hardly vary over the examples.

    Why it matters: it has learned the mean of the targets, or how often each class occurs, and nothing of the inputs:
    the information is lost somewhere between input and output.

    What to try: `babysit check-activations` shows the layer after which nothing varies; look at the inputs as well.

    When it is wrong: at a learning rate so low that nothing has happened yet; then that is named too.

    References: CS231n, lecture 6, weight initialization: what happens when activations become zero.
    """
    failed = measured.own.outcome in (Outcome.STALLED, Outcome.UNFINISHED) and not _is_slow(measured, settings)
    if failed and measured.variation < settings.constant:
        yield constant_predictions.error(
            f"after {len(measured.own.losses)} steps on {measured.examples} examples the predictions vary by "
            f"{measured.variation:.2g} {'spreads of the targets' if measured.metric == 'R²' else 'in their scores'}.",
            suggestion="Find the layer after which nothing varies from example to example.",
            variation=measured.variation,
        )

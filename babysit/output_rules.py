"""Rules of `overfit` about outputs that are held in a range: floors of the loss, targets out of reach."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from babysit.attempts import Outcome
from babysit.check import rule
from babysit.report import Finding

if TYPE_CHECKING:
    from babysit.checks.overfit import Measurement, Settings


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

"""Levels at which a loss comes to rest, and what each of them says."""

import math
from typing import TYPE_CHECKING

from babysit.measuring.treatments import PLAIN

if TYPE_CHECKING:
    from babysit.checks.overfit.schema import Measurement
    from babysit.tasks.task import Task
    from babysit.trainer import Array

NEAR = 0.02  # of a level, within which a loss rests on it; what may be left of a memorized example's
GUESSED = 0.1  # that the accuracy may be off one half, where each of two labels is guessed
STILL = 1e-6  # of the first loss, that it may have moved by rounding alone
LAST = 25  # losses that a level is read from; half of a window


def squashed_loss(task: "Task", targets: "Array") -> float:
    """The least loss that scores between 0 and 1 leave, as behind a softmax or sigmoid of the program's own.

    For C classes ln(1 + (C - 1) / e): scores of 1 for the right class, 0 for the others. For two classes by a sigmoid
    ln(1 + 1/e) where the label is 1, ln 2 where it is 0. NaN for other tasks.
    """
    from array_api_compat import array_namespace

    if task.name == "binary":
        xp = array_namespace(targets)
        share = float(xp.mean(xp.astype(targets, xp.float64)))
        return share * math.log1p(1 / math.e) + (1 - share) * math.log(2)
    classes = getattr(task, "classes", 0) if task.name in ("classification", "language-model") else 0
    return math.log1p((classes - 1) / math.e) if classes > 1 else math.nan


def cause(measured: "Measurement") -> str:
    """What the level says at which an attempt came to rest, as a sentence with a blank before it; empty if nothing.

    Plain gradients by Rprop, where those were tried, come to rest closer to a floor than most programs' own update.
    Where any rate got below a level, that was none.
    """
    first = measured.own.losses[0]
    last = measured.own.losses[-LAST:]
    if max(abs(loss - first) for loss in last) <= STILL * abs(first):
        return " The loss is exactly the first one: nothing moves."
    plain = [t for t in measured.treated if t.treatment == PLAIN]
    levels = [t.loss for t in plain if not t.cured] + [sum(last) / len(last)]
    others = (*(t.loss for t in plain), *(a.losses[-1] for a in measured.attempts))
    lowest = min((x for x in (*levels, *others) if math.isfinite(x)), default=0.0)
    of_two = math.isfinite(measured.squashed_loss) and abs(measured.own.score - 0.5) <= GUESSED
    named = (
        (measured.squashed_loss, "the least that scores between 0 and 1 leave: softmax or sigmoid twice"),
        (measured.constant_loss, "that of the best constant prediction: the inputs are ignored"),
        (math.log(2), "ln 2, as if every input had two labels: they contradict each other"),
    )
    for level, said in named:
        rests = [loss for loss in levels if abs(loss - level) <= NEAR * level]
        if rests and lowest >= (1 - NEAR) * level and (level != math.log(2) or of_two):
            return f" It comes to rest at {rests[0]:.4g}, {said}."
    return ""

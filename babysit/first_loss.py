"""The loss before any learning: of whole batches, of their halves, and with the tie to the inputs broken."""

import math
from typing import TYPE_CHECKING

from babysit.driving.updates import updates_of
from babysit.measuring.losses import SAME

if TYPE_CHECKING:
    from babysit.checks.check_loss import Measurement, Settings
    from babysit.driving.bench import Bench
    from babysit.driving.guard import Driven
    from babysit.trainer import Batch


def judged_loss(measured: "Measurement") -> float:
    """The training-mode loss; that of evaluation mode where that is the pass from which the scores are."""
    of_evaluation = math.isclose(measured.reference_loss, measured.evaluation_loss, rel_tol=SAME)
    of_training = math.isclose(measured.reference_loss, measured.training_loss, rel_tol=SAME)
    return measured.evaluation_loss if of_evaluation and not of_training else measured.training_loss


def noise(measured: "Measurement", settings: "Settings") -> float:
    """What sampling explains; nothing where its error is unknown, since one example has none."""
    return settings.sigmas * measured.standard_error if math.isfinite(measured.standard_error) else 0.0


def agreement(measured: "Measurement", settings: "Settings", least: float) -> float:
    """How far below the chance loss an untrained network may lie by the accident of its one random function.

    As far as its scores spread, and a share of the chance loss at most; that share at once where the loss is the
    task's standard loss of these scores, since then nothing but luck or learning can have lowered it.
    """
    cap = settings.luck * abs(least)
    standard = math.isclose(judged_loss(measured), measured.reference_loss, rel_tol=SAME)
    return cap if standard or not math.isfinite(measured.spread) else min(measured.spread, cap)


def halves_of(trainer: "Driven", batch: "Batch") -> tuple[float, tuple[float, float]]:
    """Loss of a batch and of its two halves, in evaluation mode; the last of an odd number is left out."""
    from babysit import arrays

    n = arrays.count(batch)
    if n < 2:
        return trainer.evaluate(batch).loss, (math.nan, math.nan)
    even = n - n % 2
    parts = [arrays.take(batch, range(even // 2)), arrays.take(batch, range(even // 2, even))]
    first, second = (trainer.evaluate(part).loss for part in parts)
    return trainer.evaluate(arrays.take(batch, range(even))).loss, (first, second)


def without_pairs(bench: "Bench", settings: "Settings") -> tuple[float, float, float, int]:
    """Losses with pairs, with inputs moved against targets, with inputs zeroed; after steps if there is no change."""
    from babysit import arrays

    batch = bench.subset(min(settings.examples, 256))
    n = arrays.count(batch)
    moved = arrays.take(batch[0], [(i + n // 2) % n for i in range(n)])

    def losses(trainer: "Driven") -> tuple[float, float, float]:
        variants = (batch, (moved, batch[1]), (arrays.zeros_like(batch[0]), batch[1]))
        paired, permuted, zeroed = (trainer.evaluate(variant).loss for variant in variants)
        return paired, permuted, zeroed

    with bench.borrowed(scale=0.0) as trainer:
        start = losses(trainer)
        if not ignored(*start, settings.resolution):
            return *start, 0
        for done, _ in enumerate(updates_of(trainer.step, bench.stream(), settings.steps)):
            bench.advance(done, settings.steps)
        return *losses(trainer), settings.steps


def ignored(paired: float, permuted: float, zeroed: float, resolution: float) -> bool:
    """Whether neither moving the inputs against the targets nor zeroing them changes the loss."""
    if not math.isfinite(paired):
        return False
    limit = resolution * abs(paired)
    return abs(permuted - paired) <= limit and abs(zeroed - paired) <= limit


def ends_in_sigmoid(bench: "Bench") -> bool:
    """Whether the scores are what a sigmoid gave, as far as a trace can tell."""
    from babysit.errors import Skip
    from babysit.measuring import scores

    try:
        return scores.end_of(bench)[:1] == ("sigmoid",)
    except Skip:
        return False

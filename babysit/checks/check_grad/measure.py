"""How `check-grad` measures."""

import math
from typing import TYPE_CHECKING

from babysit.checks.check_grad.schema import Measurement, Settings
from babysit.driving.budget import EVALUATION, Needs
from babysit.errors import Skip

if TYPE_CHECKING:
    from babysit.checks.check_grad.gradients import Look
    from babysit.driving.bench import Bench
    from babysit.trainer import Batch


def needs(settings: Settings, batch: int) -> Needs:
    """Two evaluations of a few examples for each slope, at most, and the steps that are compared.

    The updates before are those of check-init.
    """
    return Needs(*(2 * EVALUATION * settings.lines + 2 * settings.updates + 10,) * 2)


def measure(bench: "Bench", settings: Settings) -> Measurement:
    """Compare slopes after the burn-in, and at the start those that it left open; then look at some updates."""
    from babysit import arrays
    from babysit.checks.check_grad.gradients import unreached, used_gradients

    if bench.trainer.ranks.size > 1:
        raise Skip("the program runs as several processes; its gradients are checked in a single one")
    batch = bench.subset(min(settings.examples, max(2, bench.usual_size)))
    looks = _looks(bench, batch, settings)
    if not looks:
        raise Skip("the loss of the examples is not a finite number, so it has no slope")
    first = looks[0].surface
    measured = Measurement(
        examples=arrays.count(batch),
        steps=first.steps,
        scale=first.scale,
        loss=first.loss["data"],
        epsilon=max(found.surface.epsilon for found in looks),
        slopes=tuple(slopes for found in looks for slopes in found.slopes),
        unreached=tuple(unreached(looks)),
        parameters=len(first.names),
        not_finite=tuple(dict.fromkeys(name for found in looks for name in found.not_finite)),
        used=used_gradients(bench, settings.updates),
    )
    if not _tells(measured):
        raise Skip("no slope of the loss can be told from its rounding, so there is nothing to compare with gradients")
    return measured


def _looks(bench: "Bench", batch: "Batch", settings: Settings) -> list["Look"]:
    """After the burn-in, and at the start; none where the loss is not finite."""
    from babysit import arrays
    from babysit.checks.check_grad.gradients import look

    with bench.trained(settings.burn_in, last=True) as (trainer, made):
        names = [name for name, w in trainer.parameters().items() if arrays.is_floating(w) and math.prod(w.shape)]
        if not names:
            raise Skip("the program has no parameters of real numbers, so it has no gradient")
        later = look(bench, batch, made, names, settings)
    remaining = names if later is None else [name for name in names if name in later.left_open()]
    start = None
    if remaining and (later is None or made):
        with bench.borrowed():
            start = look(bench, batch, 0, remaining, settings)
    return [found for found in (later, start) if found is not None]


def _tells(measured: Measurement) -> bool:
    """Whether anything was seen but rounding."""
    moved = any(slope.moves() for unreached in measured.unreached for slope in unreached.moves)
    return moved or bool(measured.not_finite) or any(slopes.total.tells() for slopes in measured.slopes)

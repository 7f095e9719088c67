"""How `overfit` measures."""

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from babysit.checks.overfit.attempts import affordable, aim_for, own_attempt
from babysit.checks.overfit.plateaus import squashed_loss
from babysit.checks.overfit.remedies import remedies
from babysit.checks.overfit.schema import Measurement, Settings
from babysit.driving.budget import Needs
from babysit.errors import Skip

if TYPE_CHECKING:
    from babysit.driving.bench import Bench

LEAST_STEPS, USUAL_STEPS = 60, 100  # in which a network that is well memorizes 20 examples
TREATED = 4.0  # times its steps: with less, other rates and treatments would be cut short, and with them the verdict


def needs(settings: Settings, batch: int) -> Needs:
    """Updates on the examples; what is tried where they fail comes on top."""
    return Needs(*(min(steps, settings.steps) + 2.0 for steps in (LEAST_STEPS, USUAL_STEPS)))


def shortened(settings: Settings, steps: float, batch: int) -> Settings:
    """Without treatments where there is no room for them; fewer steps would call impossible what was not tried."""
    return settings if steps >= TREATED * settings.steps else replace(settings, treatment=False)


def measure(bench: "Bench", settings: Settings) -> Measurement:
    """Try at the user's learning rate, and at others if that fails."""
    from babysit import arrays
    from babysit.measuring import scores

    if bench.trainer.learning_rate == 0:
        raise Skip("the learning rate is 0 at the start (a warm-up?), so nothing can be memorized")
    scores.require_fit(bench)
    examples = affordable(bench, settings.examples)
    batch = bench.subset(examples, most=examples)
    task = bench.task
    aim = aim_for(task, batch, settings.memorized)
    if math.isnan(aim.constant):
        why = getattr(task, "why", "")
        seen = f" ({why})" if why else ""
        raise Skip(
            f"the chance loss is not known{seen}, so nobody can say when examples are memorized; give task=, or "
            "babysit.ChanceLoss(value) with the loss of predictions that know nothing"
        )
    if not aim.constant > 0:
        raise Skip(f"the chance loss is {aim.constant:g}, so there is no floor to hold the loss against")
    if aim.loss > (1 - settings.memorized) * aim.constant:
        raise Skip("equal inputs have different targets in these examples: there is nothing to memorize")
    own, final_scores, frozen, sizes = own_attempt(bench, batch, aim, settings)
    tried = remedies(bench, batch, own, aim, settings)
    regression = task.metric == "R²"
    least_target, largest_target = arrays.extremes(batch[1]) if regression else (math.nan, math.nan)
    least_score, largest_score = arrays.extremes(final_scores) if final_scores is not None else (math.nan, math.nan)
    return Measurement(
        metric=task.metric,
        examples=arrays.count(batch),
        constant_loss=aim.constant,
        squashed_loss=squashed_loss(task, batch[1]),
        aim=aim.loss,
        attempts=(own, *tried.attempts),
        treated=tried.treated,
        frozen=tuple(frozen),
        frozen_share=sum(sizes[name] for name in frozen) / max(1, sum(sizes.values())),
        parameters=len(sizes),
        variation=scores.variation(task, final_scores, batch[1]),
        least_score=least_score,
        largest_score=largest_score,
        least_target=least_target,
        largest_target=largest_target,
        explained=tried.explained,
    )

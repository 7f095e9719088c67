"""How `check-loss` measures."""

import math
from typing import TYPE_CHECKING

from babysit.checks.check_loss.schema import Measurement, Settings, ignored
from babysit.driving.budget import Needs, evaluations
from babysit.driving.updates import updates_of
from babysit.measuring.losses import mean_loss, standard_error

if TYPE_CHECKING:
    from babysit.checks.check_loss.schema import Measurement, Settings
    from babysit.driving.bench import Bench
    from babysit.driving.guard import Driven
    from babysit.measuring import scores
    from babysit.trainer import Batch


def needs(settings: Settings, batch: int) -> Needs:
    """The examples, evaluated twice, and a few batches more."""
    return Needs(*(2 * evaluations(settings.examples, batch) + 3,) * 2)


def measure(bench: "Bench", settings: Settings) -> Measurement:
    """Evaluate in both modes, cut a batch in halves, and break the tie between inputs and targets."""
    from babysit import arrays

    batches = bench.first_batches(settings.examples)
    sizes = [arrays.count(batch) for batch in batches]
    with bench.borrowed(scale=0.0) as trainer:
        losses, seen, finite_scores = _first_losses(trainer, batches, settings)
        evaluated = [trainer.evaluate(batch).loss for batch in batches]
        whole, halves = halves_of(trainer, batches[0])
    paired, permuted, zeroed, steps = without_pairs(bench, settings)
    return Measurement(
        task=seen.task.name,
        metric=seen.task.metric,
        examples=sum(sizes),
        training_loss=mean_loss(losses, sizes),
        evaluation_loss=mean_loss(evaluated, sizes),
        standard_error=standard_error(losses, sizes, halves),
        not_finite=sum(not math.isfinite(loss) for loss in losses),
        batches=len(losses),
        finite_inputs=all(arrays.tree_finite(inputs) for inputs, _ in batches),
        finite_scores=finite_scores,
        chance=seen.chance,
        spread=seen.spread,
        excess=seen.excess,
        luck=seen.luck,
        score=seen.score,
        best_constant_score=seen.best_constant_score,
        reference_loss=seen.reference_loss,
        probability_loss=seen.probability_loss,
        probabilities=seen.distributions or ends_in_sigmoid(bench),
        whole_loss=whole,
        half_losses=halves,
        permuted_loss=permuted,
        zeroed_loss=zeroed,
        paired_loss=paired,
        steps=steps,
        inputs_vary=arrays.varies(bench.subset(settings.examples)[0]),
        task_problem=seen.problem,
        own_loss=seen.own_loss,
    )


def _first_losses(
    trainer: "Driven", batches: "list[Batch]", settings: Settings
) -> "tuple[list[float], scores.Look, bool]":
    """The loss of each batch in training mode, what all scores say, and whether they are finite; none are kept."""
    from babysit import arrays
    from babysit.measuring import scores

    summary = scores.Summary(trainer.task, [targets for _, targets in batches], settings.score_bytes)
    losses: list[float] = []
    finite = True
    for number, batch in enumerate(batches):
        output = trainer.evaluate(batch, training=True)
        losses.append(output.loss)
        finite = finite and (output.scores is None or arrays.all_finite(output.scores))
        summary.add(output.scores, number, output.loss)
    return losses, summary.found(mean_loss(losses, [arrays.count(batch) for batch in batches])), finite


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


def ends_in_sigmoid(bench: "Bench") -> bool:
    """Whether the scores are what a sigmoid gave, as far as a trace can tell."""
    from babysit.errors import Skip
    from babysit.measuring import scores

    try:
        return scores.end_of(bench)[:1] == ("sigmoid",)
    except Skip:
        return False

"""Can the network memorize 20 examples?

With all regularization off, a network that works drives the loss of a tiny subset to its floor, and its training
accuracy to 1.00 (CS231n, lecture 6, "babysitting the learning process", step 3). It is a test of the machinery:
random labels are memorized too. Where it fails at the user's learning rate, other rates are tried from the same start,
and then treatments, one at a time: standardized inputs, weights drawn anew, plain gradients instead of the program's
own update. What cures it is told.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from babysit.attempts import LEARNED, Attempt, Outcome, affordable, aim_for, own_attempt
from babysit.check import rule, setting
from babysit.driving.budget import Needs
from babysit.errors import Skip
from babysit.measuring.treatments import PLAIN, RATE, REDRAWN, Treated, advice, sentence
from babysit.output_rules import floor_above_zero, output_range
from babysit.plateaus import cause, squashed_loss
from babysit.remedies import remedies
from babysit.report import Curve, Exhibit, Fact, Finding

if TYPE_CHECKING:
    from babysit.driving.bench import Bench

ORDER = 80
BLOCKED_BY = ("state-not-restored", "ranks-diverge", "non-finite-loss", "task-mismatch")
NEAR = 100.0  # times the user's rate: one further off that works speaks of updates scaled by something else


@dataclass(frozen=True)
class Settings:
    """Settings of `overfit`."""

    examples: int = setting(
        20,
        "examples to memorize (the lecture's number); fewer where it has less than two parameters a target, and "
        "where batches are small: four batches of them or 8 examples, or one batch where that holds as many targets",
        least=2,
        option=True,
        measures=True,
    )
    steps: int = setting(500, "updates at one learning rate, at most", least=10, option=True, measures=True)
    memorized: float = setting(
        0.02,
        "share of the best constant prediction's loss that may be left of examples that are memorized; for ten classes "
        "the right one then has a probability of 0.95. The metric must be as near to 1. What soft or contradictory "
        "targets leave in any case is not counted",
        above=0.0,
        most=0.5,
        measures=True,
    )
    window: int = setting(50, "steps over which progress is judged", least=5, measures=True)
    progress: float = setting(
        0.01,
        "relative fall of the loss that counts as progress; less than that over three windows together is a stall, and "
        "over one and a half where the slope of the log loss leaves no hope",
        above=0.0,
        measures=True,
    )
    explosion: float = setting(
        3.0, "multiple of the first loss that counts as diverged (CS231n, lecture 6)", above=1.0, measures=True
    )
    constant: float = setting(
        0.01,
        "variation of the predictions over the examples, in logits or in spreads of the targets, that counts as none: "
        "it moves a probability by at most 0.0025",
        above=0.0,
    )
    frozen: float = setting(
        0.1,
        "share of all parameter values, never moved, that is an error though the examples are memorized; less is a "
        "warning, as unused parts of pretrained networks are (BERT's pooler is 0.5 %)",
        above=0.0,
        most=1.0,
    )
    halfway: float = setting(
        0.5,
        "share of the best constant prediction's loss under which the loss is well on its way: slow is then a warning",
        above=0.0,
        most=1.0,
    )
    nearly: float = setting(
        0.1,
        "the same, under which it is as good as memorized, and only told: a decade of the loss is what 100 steps more "
        "commonly bring. An attempt that won't come so far, falling twice as fast as it does, is ended early",
        above=0.0,
        most=1.0,
        measures=True,
    )
    pressed: float = setting(
        0.9, "share of a squashed output's range that scores fill when they are pressed against it", above=0.0, most=1.0
    )
    beyond: float = setting(
        0.01, "share of the targets' range by which they must lie beyond what the output reaches", above=0.0, most=1.0
    )
    treatment: bool = setting(
        True,
        "where the user's learning rate fails, try others from the same start, and what else may cure it",
        option=True,
        measures=True,
    )


LEAST_STEPS, USUAL_STEPS = 60, 100  # in which a network that is well memorizes 20 examples
TREATED = 4.0  # times its steps: with less, other rates and treatments would be cut short, and with them the verdict


def needs(settings: Settings, batch: int) -> Needs:
    """Updates on the examples; what is tried where they fail comes on top."""
    return Needs(*(min(steps, settings.steps) + 2.0 for steps in (LEAST_STEPS, USUAL_STEPS)))


def shortened(settings: Settings, steps: float, batch: int) -> Settings:
    """Without treatments where there is no room for them; fewer steps would call impossible what was not tried."""
    return settings if steps >= TREATED * settings.steps else replace(settings, treatment=False)


@dataclass(frozen=True)
class Measurement:
    """Attempts to memorize, the user's own learning rate first.

    Args:
        metric: Name of the task's metric.
        examples: Examples to memorize.
        constant_loss: Loss of the best constant prediction for them.
        squashed_loss: Least loss that scores between 0 and 1 leave, as behind a softmax or sigmoid; NaN where unknown.
        aim: Loss from where on they are memorized.
        attempts: The user's learning rate, then the ones tried since that failed.
        treated: What else was tried since that failed, at the user's learning rate.
        explained: The certain finding of an earlier check that explains the failure, so that nothing else was tried.
        frozen: Parameters that did not move in the first attempt.
        frozen_share: Their share of all parameter values.
        parameters: Number of named parameters; 0 where the trainer can't name them.
        variation: Spread of the predictions over the examples at the end of the first attempt, in logits or in
            spreads of the targets; NaN where there are no scores.
        least_score: Smallest score at the end of the first attempt.
        largest_score: Largest.
        least_target: Smallest target, for a regression; else NaN.
        largest_target: Largest.
    """

    metric: str
    examples: int
    constant_loss: float
    squashed_loss: float
    aim: float
    attempts: tuple[Attempt, ...]
    treated: tuple[Treated, ...]
    frozen: tuple[str, ...]
    frozen_share: float
    parameters: int
    variation: float
    least_score: float
    largest_score: float
    least_target: float
    largest_target: float
    explained: str = ""

    @property
    def own(self) -> Attempt:
        """The attempt at the user's learning rate."""
        return self.attempts[0]

    @property
    def cures(self) -> tuple[Attempt, ...]:
        """Other learning rates that memorized."""
        return tuple(a for a in self.attempts[1:] if a.cures(self.constant_loss))


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


def exhibits(measured: Measurement, settings: Settings) -> Iterator[Exhibit]:
    """How the attempts went."""
    own = measured.own
    yield Fact("examples", f"{measured.examples}, all regularization off; random labels would be memorized, too")
    yield Fact(
        "loss", f"{own.losses[0]:.4g} to {own.losses[-1]:.3g} in {len(own.losses)} steps (aim: {measured.aim:.3g})"
    )
    if measured.metric:
        yield Fact(f"training {measured.metric}", f"{own.score:.2f}")
    yield Fact("loss of the best constant prediction", f"{measured.constant_loss:.4g}")
    for tried in measured.attempts[1:]:
        rate = RATE.format(tried.learning_rate)
        yield Fact(f"tried {rate}", f"{tried.outcome}, loss {tried.losses[-1]:.3g}")
    if measured.explained:
        yield Fact("not treated", f"{measured.explained} explains it")
    for treated in measured.treated:
        yield Fact(f"tried {treated.treatment}", str(treated))
    yield Curve(
        "loss on the tiny subset",
        tuple(float(i) for i in range(len(own.losses))),
        {f"learning rate {own.learning_rate:.3g}": own.losses},
        x_label="step",
        y_label="loss",
        log_y=min(own.losses) > 0,
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


RULES = (
    overfit_diverges,
    overfit_too_slow,
    cannot_overfit,
    frozen_parameters,
    constant_predictions,
    floor_above_zero,
    output_range,
)

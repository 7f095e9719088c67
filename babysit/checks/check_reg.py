"""Does regularization raise the loss, and reach the weights?

Turn the regularization up and the loss must go up, by the penalty alone (CS231n, lecture 6, "babysitting the
learning process", step 2). Decay inside an optimizer never shows in a loss, so it is looked for in a real step.
"""

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from babysit.check import certain, rule, setting
from babysit.driving.budget import EVALUATION, Needs
from babysit.driving.updates import updates_of
from babysit.errors import Skip
from babysit.report import Exhibit, Fact, Finding, Table

if TYPE_CHECKING:
    from babysit.driving.bench import Bench
    from babysit.driving.guard import Driven
    from babysit.trainer import Array, Batch

ORDER = 60
BLOCKED_BY = ("state-not-restored", "ranks-diverge", "non-finite-loss")
GAINED_ON = 4  # batches on which gains are compared


@dataclass(frozen=True)
class Settings:
    """Settings of `check-reg`."""

    examples: int = setting(
        256, "training examples evaluated at each strength, a usual batch at most", least=1, measures=True
    )
    steps: int = setting(5, "updates without regularization before the steps that are compared", least=1, measures=True)
    top: float = setting(
        1000.0, "the largest multiple of the program's own strength that is tried", above=10.0, measures=True
    )
    pull: float = setting(
        0.5,
        "how far regularization alone moves the weights towards zero in one step, in lengths of the step that the data "
        "alone makes, from where it dominates; half of that is enough where the penalty is most of the loss as well, "
        "since Adam takes every step equally long: decay that drowns the data reaches 0.8 there, less in small layers",
        above=0.0,
    )
    learning: int = setting(
        50, "updates with regularization, and without, whose gains are compared", least=1, measures=True
    )
    left: float = setting(
        0.1,
        "share of what those without gain that is left with it, under which it dominates: dropout of a half and usual "
        "decay leave more than half",
        above=0.0,
        most=1.0,
    )
    gained: float = setting(
        0.2, "share of the first loss that must be gained without for that, so that noise is none", above=0.0, most=1.0
    )
    away: float = setting(
        0.1,
        "cosine by which regularization may point away from zero; a penalty of the right sign points there, or to the "
        "side of it where an optimizer scales each parameter by itself",
        above=0.0,
        most=1.0,
    )
    barely: float = setting(
        0.1,
        "relative change of a step with regularization, under which it is not tried what updates gain without: dropout "
        "at a rate p changes a step by about (p / (1 - p))^0.5, a third at a tenth",
        above=0.0,
        measures=True,
    )
    share: float = setting(
        0.5, "share of the first loss that is the penalty, from where it is most of the loss", above=0.0, most=1.0
    )
    resolution: float = setting(
        1e-6, "relative change that float32 can't tell from none (its epsilon is 1.2e-7)", above=0.0
    )


def needs(settings: Settings, batch: int) -> Needs:
    """The updates with and without regularization, and the examples evaluated at three strengths."""
    return Needs(*(settings.learning + 4 * (settings.steps + 1) + 20 * EVALUATION,) * 2)


@dataclass(frozen=True)
class Measurement:
    """Losses over a ladder of strengths, and steps with and without regularization.

    Args:
        examples: Examples behind the losses.
        strengths: What the program states, by name; empty if the trainer doesn't tell.
        scales: Multiples of the program's own strength, ascending from 0.
        data_losses: Data loss in evaluation mode at each scale.
        penalties: Penalty at each scale.
        training_loss: Data loss in training mode at scale 1.
        dropout_change: Relative change of the training-mode data loss from scale 0 to 1.
        pull: Move towards zero that regularization adds to one step, over the length of the step without it; NaN
            where parameters can't be named.
        step_change: Relative change of a step from scale 1 to the largest; NaN where parameters can't be named.
        own_change: Relative change of a step from scale 0 to 1; NaN where parameters can't be named.
        gain: By how much updates lower the loss in evaluation mode; NaN where regularization hardly changes them.
        free_gain: The same with all regularization off.
        direction: Cosine between what ten times the strength adds to a step and the way to zero; NaN where unknown.
    """

    examples: int
    strengths: Mapping[str, float]
    scales: tuple[float, ...]
    data_losses: tuple[float, ...]
    penalties: tuple[float, ...]
    training_loss: float
    dropout_change: float
    pull: float
    step_change: float
    own_change: float
    direction: float
    gain: float
    free_gain: float

    @property
    def share(self) -> float:
        """The penalty's share of the first training loss, at the program's own strength."""
        penalty, loss = self.penalties[1], self.training_loss
        return penalty / (abs(loss) + penalty) if penalty > 0 else 0.0

    @property
    def rise(self) -> float:
        """What the total loss gains from off to the largest scale."""
        return self.totals[-1] - self.totals[0]

    @property
    def totals(self) -> tuple[float, ...]:
        """Data loss plus penalty at each scale; a program may have its penalty in either."""
        return tuple(loss + penalty for loss, penalty in zip(self.data_losses, self.penalties, strict=True))


def measure(bench: "Bench", settings: Settings) -> Measurement:
    """Climb the ladder of strengths, then step at three of them from the same state."""
    from babysit import arrays

    strengths = bench.trainer.strengths()
    if strengths is not None and not any(strengths.values()):
        raise Skip("the program has nothing to scale: it states no penalty, no weight decay, no dropout")
    if not _weighs(bench):
        raise Skip("all parameters are zero at the start, so no penalty or decay can show")
    batch = bench.subset(min(settings.examples, bench.usual_size))
    scales = (0.0, *(10.0**k for k in range(round(math.log10(settings.top)))), settings.top)
    outputs = []
    for scale in scales:
        with bench.borrowed(scale=scale) as trainer:
            outputs.append(trainer.evaluate(batch))
    if not all(math.isfinite(o.penalty) for o in outputs):
        raise Skip("the penalty is not a finite number, as `babysit check-target` tells")
    noisy = []
    for scale in (0.0, 1.0):
        with bench.borrowed(scale=scale) as trainer:
            noisy.append(trainer.evaluate(batch, training=True).loss)
    steps = _in_a_step(bench, settings)
    gain, free_gain = _gains(bench, steps, settings)
    measured = Measurement(
        examples=arrays.count(batch),
        strengths=dict(strengths or {}),
        scales=scales,
        data_losses=tuple(o.loss for o in outputs),
        penalties=tuple(o.penalty for o in outputs),
        training_loss=noisy[1],
        dropout_change=abs(noisy[1] - noisy[0]) / max(abs(noisy[0]), 1e-30),
        pull=steps.pull,
        step_change=steps.step_change,
        own_change=steps.own_change,
        direction=steps.direction,
        gain=gain,
        free_gain=free_gain,
    )
    if strengths is None and not _has_effect(measured, settings):
        raise Skip("no penalty, weight decay or dropout shows at any scale, so there is nothing to check")
    return measured


def _gains(bench: "Bench", steps: "_Steps", settings: Settings) -> tuple[float, float]:
    """By how much the same updates lower the loss with regularization and without; NaN where they are much the same.

    Updates of which regularization changes little can't lose most of what they would gain without it.
    """
    if steps.own_change < settings.barely:
        return math.nan, math.nan
    batches = _spread_over(bench.pool())

    def loss(trainer: "Driven") -> float:
        return float(sum(trainer.evaluate(batch).loss for batch in batches) / len(batches))

    with bench.borrowed() as trainer:
        first = loss(trainer)
    with bench.trained(settings.learning) as (trainer, _):
        own = loss(trainer)
    with bench.borrowed(scale=0.0) as trainer:
        for done, _ in enumerate(updates_of(trainer.step, bench.stream(), settings.learning)):
            bench.advance(done, settings.learning)
        free = loss(trainer)
    return first - own, first - free


def _spread_over(pool: "list[Batch]") -> "list[Batch]":
    """A few of the batches, evenly spaced."""
    count = min(GAINED_ON, len(pool))
    return [pool[k * len(pool) // count] for k in range(count)]


def _weighs(bench: "Bench") -> bool:
    """Whether any parameter differs from zero; true where they can't be named."""
    from babysit import arrays
    from babysit.trainer import SupportsParameters

    if not bench.trainer.supports(SupportsParameters):
        return True
    return any(arrays.norm(w) != 0 for w in bench.trainer.parameters().values())


@dataclass(frozen=True)
class _Steps:
    """Fields as in `Measurement`."""

    pull: float = math.nan
    step_change: float = math.nan
    own_change: float = math.nan
    direction: float = math.nan


def _in_a_step(bench: "Bench", settings: Settings) -> _Steps:
    """Steps at four scales from the same place, a few steps in: an optimizer's first step may know signs alone.

    The place is made anew for each, from the original state, since one more saved state would fill the memory.
    """
    from babysit import arrays
    from babysit.trainer import SupportsParameters

    if not bench.trainer.supports(SupportsParameters):
        return _Steps()
    before, off = _update(bench, 0.0, settings)
    own, more, top = (_update(bench, scale, settings)[1] for scale in (1.0, 10.0, settings.top))
    towards_zero = -sum(arrays.dot(own[name] - off[name], before[name]) for name in before)
    length = _length(off) * _length(before)
    change = _length({name: top[name] - own[name] for name in before})
    noise = _length({name: own[name] - off[name] for name in before})
    # at ten times the strength an adaptive optimizer still answers in proportion; far above, it rescales the whole step
    added = {name: more[name] - own[name] for name in before}
    shrinking = -sum(arrays.dot(x, before[name]) for name, x in added.items())
    seen = _length(added) > settings.resolution * _length(own)
    return _Steps(
        pull=_ratio(towards_zero, length),
        step_change=_ratio(change, _length(own)),
        own_change=_ratio(noise, _length(off)),
        direction=_ratio(shrinking, _length(added) * _length(before)) if seen else math.nan,
    )


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else math.nan


def _update(bench: "Bench", scale: float, settings: Settings) -> tuple[dict[str, "Array"], dict[str, "Array"]]:
    """Parameters after some steps without regularization, and what one more at this scale adds to them, as samples."""
    from babysit.measuring.sampling import Sample

    pool = bench.pool()
    last = pool[(settings.steps * bench.accumulated - 1) % len(pool)]
    with bench.borrowed(scale=0.0) as trainer:
        list(updates_of(trainer.step, bench.stream(), settings.steps))
        sample = Sample(trainer.parameters())
        before = sample.of(trainer.parameters())
        trainer.regularization_scale = scale
        list(updates_of(trainer.step, itertools.repeat(last), 1))
        after = sample.of(trainer.parameters())
    return before, {name: after[name] - w for name, w in before.items()}


def _length(named: Mapping[str, "Array"]) -> float:
    from babysit import arrays

    return math.hypot(*(arrays.norm(x) for x in named.values()))


def _has_effect(measured: Measurement, settings: Settings) -> bool:
    """Whether scaling changes the penalty, the step or the noise of training; what is not finite did change."""
    small = settings.resolution
    return not (
        abs(measured.rise) <= small * max(abs(measured.data_losses[0]), small)
        and not measured.step_change > small
        and not measured.own_change > small
        and measured.dropout_change <= small
    )


def exhibits(measured: Measurement, settings: Settings) -> Iterator[Exhibit]:
    """The ladder."""
    for name, value in measured.strengths.items():
        yield Fact(f"stated strength: {name}", f"{value:g}")
    yield Fact("penalty's share of the first loss", f"{measured.share:.2%}")
    if math.isfinite(measured.pull):
        yield Fact("pull towards zero in a step", f"{measured.pull:.3g} of the data's step")
    rows = zip(measured.scales, measured.data_losses, measured.penalties, strict=True)
    yield Table(
        "regularization scaled",
        ("scale", "data loss", "penalty", "total loss"),
        tuple((f"{s:g}", f"{loss:.5g}", f"{p:.5g}", f"{loss + p:.5g}") for s, loss, p in rows),
    )


@certain
@rule
def regularization_without_effect(measured: Measurement, settings: Settings) -> Iterator[Finding]:
    """The program states a regularization strength that does nothing.

    What it finds: with the stated strength off, as it is, or many times larger (`top`), the loss, the noise of
    training and a real step all stay the same.

    Why it matters: the lecture's second sanity check: turn regularization up, and the loss goes up. Where it doesn't,
    the term was never added, or the strength never arrives where it is used, and you tune a number with no effect.

    What to try: follow the strength from where you set it to the loss and to the gradient; look for a default
    argument that wins over it.

    When it is wrong: if the strength acts only later (a schedule that starts at zero).

    References: CS231n, lecture 6, "crank up regularization, loss went up, good".
    """
    if any(measured.strengths.values()) and not _has_effect(measured, settings):
        stated = ", ".join(f"{name} = {value:g}" for name, value in measured.strengths.items())
        yield regularization_without_effect.error(
            f"the program states {stated}, but neither the loss nor a step changes between 0 and "
            f"{measured.scales[-1]:g} times that.",
            suggestion="Follow the strength from where it is set to the loss and to the gradient.",
            strengths=[f"{name}={value:g}" for name, value in measured.strengths.items()],
        )


@rule
def regularization_lowers_loss(measured: Measurement, settings: Settings) -> Iterator[Finding]:
    """More regularization lowers the loss.

    What it finds: the loss, penalty included, falls as the strength of the regularization is scaled up.

    Why it matters: a penalty must cost. One that pays rewards large weights, which then grow without end: the total
    loss goes down and down while the data loss explodes.

    What to try: look at the sign of the penalty, in the loss and in the gradient.

    When it is wrong: terms that are legally negative (an entropy bonus) are no regularization of the weights; leave
    them in the data loss.

    References: CS231n, lecture 6, "regularization should raise the loss".
    """
    if measured.rise < -settings.resolution * abs(measured.data_losses[0]):
        yield regularization_lowers_loss.error(
            f"scaled from 0 to {measured.scales[-1]:g}, regularization takes the loss from {measured.totals[0]:.4g} to "
            f"{measured.totals[-1]:.4g}: it pays to have large weights.",
            suggestion="Turn the sign of the penalty, in the loss and in its gradient.",
            scales=list(measured.scales),
            total_losses=list(measured.totals),
        )


@rule
def regularization_dominates(measured: Measurement, settings: Settings) -> Iterator[Finding]:
    """Regularization pulls harder than the data.

    What it finds: in one real step, regularization alone moves the weights towards zero at least half as far as the
    data moves them anywhere; or a quarter as far, and the penalty is more than half of the first loss. Or next to
    nothing is left of what the first updates gain without it, as where dropout hides all but a few units.

    Why it matters: the weights shrink faster than the data can hold them up, or each update sees another network than
    the one before, and the network ends by predicting the same for every input, at the chance loss.

    What to try: a strength ten to a thousand times smaller; the usual ones for weight decay lie between 1e-5 and 1e-2,
    and dropout hides a tenth to a half of the units.

    When it is wrong: where the data's gradient is almost zero at the start, and grows soon after.

    References: CS231n, lecture 6, searching for the regularization strength in log space.
    """
    pull = measured.pull
    outweighs = measured.share > settings.share and not pull < settings.pull / 2
    if pull >= settings.pull or outweighs:
        seen = (
            f"in one step regularization alone moves the weights {pull:.2g} times as far as the data does, towards zero"
            if math.isfinite(pull)
            else "regularization outweighs the data"
        )
        yield regularization_dominates.error(
            f"{seen}; the penalty is {measured.share:.0%} of the first loss.",
            suggestion="Divide the regularization strength by 100 and look again.",
            pull=measured.pull,
            share=measured.share,
        )
    elif measured.free_gain > settings.gained * abs(measured.data_losses[1]) and (
        abs(measured.gain) < settings.left * measured.free_gain  # a loss that blows up is another matter
    ):
        stated = ", ".join(f"{name} {value:.3g}" for name, value in measured.strengths.items() if value)
        yield regularization_dominates.error(
            f"{settings.learning} updates lower the loss by {measured.gain:.3g}, and by {measured.free_gain:.3g} with "
            f"regularization off{f' ({stated})' if stated else ''}.",
            suggestion="Regularize far less: keep more of the units, or divide the strength by 100.",
            gain=measured.gain,
            free_gain=measured.free_gain,
        )


@rule
def decay_not_applied(measured: Measurement, settings: Settings) -> Iterator[Finding]:
    """The penalty is in the loss, but the update does not lower it.

    What it finds: the penalty rises with its strength, yet a step under a strength many times larger moves the
    parameters exactly as before, or away from zero.

    Why it matters: the loss that is printed is not the loss that is minimized: the weights are never regularized,
    and the penalty only adds a number to the log.

    What to try: in a hand-written gradient, add the penalty's own, 2 * strength * W for strength * sum(W^2); with
    autograd, add the penalty to the loss before `backward`.

    When it is wrong: if the penalty acts on parameters that `parameters()` leaves out.

    References: CS231n, assignment 1, linear classifiers: the gradient has a term of the regularization.
    """
    if not measured.rise > settings.resolution * abs(measured.data_losses[0]):
        return
    rises = f"the loss rises by {measured.rise:.4g} with regularization at {measured.scales[-1]:g}, but a step"
    if measured.step_change == 0:
        yield decay_not_applied.error(
            f"{rises} moves the parameters exactly as before.",
            suggestion="Add the penalty's gradient to the update: 2 * strength * W for strength * sum(W^2).",
            rise=measured.rise,
            step_change=measured.step_change,
        )
    elif measured.direction < -settings.away:
        yield decay_not_applied.error(
            f"{rises} then pushes the weights away from zero (cosine {measured.direction:.2f} to the way there).",
            suggestion="Turn the sign of the penalty's gradient: it is added to the gradient of the loss.",
            rise=measured.rise,
            direction=measured.direction,
        )

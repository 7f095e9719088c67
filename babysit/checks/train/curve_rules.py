"""Rules of `train` about the loss curve and the updates."""

import math
import statistics
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from babysit.check import rule
from babysit.checks.train.readings import beyond, blind, learned, ratio, shape, took
from babysit.measuring import curves
from babysit.measuring.treatments import advice, sentence
from babysit.report import Finding

if TYPE_CHECKING:
    from babysit.checks.train.schema import Measurement, Run, Settings, Weights
    from babysit.measuring.curves import Course

SHOWN = 60  # losses in a finding's evidence, at most


def _first(measured: "Measurement") -> float:
    """The loss at the start, in evaluation mode; in training mode where there is none."""
    loss = measured.run.moments[0].loss if measured.run.moments else math.nan
    return loss if math.isfinite(loss) else next(iter(measured.run.losses), math.nan)


def _starts_trained(measured: "Measurement", settings: "Settings") -> bool:
    known = measured.train.loss
    return known - _first(measured) > settings.trained * abs(known)


def _falls(course: "Course", settings: "Settings") -> bool:
    """Whether the loss falls by a good share, beyond noise."""
    return course.falls(settings.sigmas) and course.lost > settings.drop * abs(course.start)


def _shown(losses: Sequence[float]) -> list[float]:
    """The smoothed curve, thinned out."""
    smooth = curves.smoothed(losses)
    return smooth[:: -(-len(smooth) // SHOWN) or 1]


@rule
def loss_diverges(measured: "Measurement", settings: "Settings") -> Iterator[Finding]:
    """The loss explodes while the program trains.

    What it finds: a loss that stops being a number, or whose median over 20 updates passes three times what it began
    with and is not on its way down. A bump in the first steps, as Adam and batch normalization have it, is none.

    Why it matters: updates that are too long throw the weights up the other side of the valley, a little higher each
    time. "NaN almost always means high learning rate". Nothing that is trained from there on is of any use.

    What to try: a learning rate lower by a factor of 3 to 10 (`babysit lr-scan` names one); clipped gradients; a look
    at the data and the loss if it breaks at every rate: a logarithm of 0, a division by a spread of 0.

    When it is wrong: losses that legally rise in training, as those of two networks that play against each other.

    References: CS231n, lecture 6, babysitting the learning process; course notes "neural networks 3", loss function.
    """
    told = beyond(measured, settings)
    if told:
        yield loss_diverges.error(
            f"{told}.{sentence(measured.treated)}",
            where=f"update {len(measured.run.losses)}",
            suggestion=advice(
                measured.treated, "Lower the learning rate by a factor of 3 to 10; `babysit lr-scan` names one."
            ),
            losses=list(measured.run.losses[-SHOWN:]),
            learning_rate=measured.learning_rate,
        )


@rule
def loss_not_falling(measured: "Measurement", settings: "Settings") -> Iterator[Finding]:
    """Training does not lower the loss.

    What it finds: a loss that after the whole run is no lower than where it began, or no lower than what it costs to
    know nothing: predictions that are the same for all inputs. A fall that only undoes an unlucky start doesn't count;
    one of a few hundredths counts if the metric or the validation split shows it too. A warning where the loss does
    fall, in a straight line that covers little of the way.

    Why it matters: the loss's curve is the first thing to look at. Flat means that nothing is learned: the gradient
    is zero or wrong, the updates are too short, or the inputs say nothing about these targets. A straight line is what
    a low learning rate gives: "with low learning rates the improvements will be linear".

    What to try: `babysit overfit` and `babysit lr-scan`, which tell a broken network from a bad rate. Where a few
    examples can be memorized and the whole can't be learned, look whether inputs and targets still belong together.

    When it is wrong: data of which there is nothing to learn; programs that need thousands of updates to leave the
    start (raise `steps`). Programs that start trained are left alone.

    References: CS231n, lecture 6, "loss barely changing"; course notes "neural networks 3", loss function.
    """
    course, known = shape(measured, settings), measured.train.loss
    if course is None or _starts_trained(measured, settings):
        return
    if _stands(measured, course, settings):
        yield loss_not_falling.error(
            f"the loss goes from {_first(measured):.4g} to {course.end:.4g} in {took(measured)}; to know nothing costs "
            f"{known:.4g}.{sentence(measured.treated)}",
            suggestion=advice(
                measured.treated,
                "See whether a few examples can be memorized (`babysit overfit`); if so, whether inputs and targets "
                "belong together.",
            ),
            first=_first(measured),
            last=course.end,
            ignorance=known,
            losses=_shown(measured.run.losses),
        )
    elif _is_straight(course, settings):
        yield loss_not_falling.warning(
            f"the loss falls in a straight line, from {course.start:.4g} to {course.end:.4g} in {took(measured)}: at "
            "this pace it has a long way to go.",
            suggestion="Raise the learning rate; `babysit lr-scan` names one.",
            first=course.start,
            last=course.end,
            learning_rate=measured.learning_rate,
        )


def _stands(measured: "Measurement", course: "Course", settings: "Settings") -> bool:
    """Whether nothing is learned: neither where the run ends nor in what the metric and validation show."""
    known, first = measured.train.loss, _first(measured)
    on_its_way = course.late > settings.little * abs(course.end) and _falls(course, settings)
    if on_its_way or abs(course.end) < settings.nothing * abs(first):
        return False
    level = min((x for x in (known, first) if math.isfinite(x)), default=course.start)
    noise = settings.sigmas * course.error
    reached = min(course.end + noise, *(m.loss for m in measured.run.moments[-1:]), math.inf)
    share = (level - reached) / (abs(known) if math.isfinite(known) and known else abs(first))
    if share < settings.nothing and not level - course.end > noise:
        return True
    could_show = measured.val.examples > 0 or (measured.metric != "" and not blind(measured, settings))
    shown = learned(measured, settings, val=False) or learned(measured, settings, val=True)
    return could_show and share < settings.little and not shown


def _is_straight(course: "Course", settings: "Settings") -> bool:
    """Whether the loss falls evenly all the way, and not far."""
    even = course.tenth < settings.slow and course.half >= settings.straight
    near = course.lost < settings.covered * abs(course.start)
    return even and near and course.falls(settings.sigmas) and course.late > settings.sigmas * course.late_error


@rule
def slow_start(measured: "Measurement", settings: "Settings") -> Iterator[Finding]:
    """The loss stands still at first, and then drops.

    What it finds: a loss whose first tenth of the fall takes a fifth of the run or longer, and a clear fall behind it.

    Why it matters: a flat start and a sudden drop is what bad initialization looks like: the first updates are spent
    on getting the weights to where the gradient reaches all layers. Deeper, the same network never gets going.

    What to try: weights drawn for the nonlinearity (Xavier, He), inputs of zero mean and unit variance, batch
    normalization. `babysit check-init` shows the layers.

    When it is wrong: tasks that have a plateau of their own, such as adding up over long sequences. A learning rate
    that warms up is recognized by updates that grow while their gradients don't.

    References: CS231n, lecture 6, the loss curve that is flat and then drops: "bad initialization a prime suspect".
    """
    course = shape(measured, settings)
    if course is None or course.tenth < settings.slow or not _falls(course, settings):
        return
    if not course.fall > settings.drop * abs(course.start) or _warms_up(measured.run, course.tenth, settings):
        return
    yield slow_start.warning(
        f"the loss hardly moves from {course.start:.4g} for the first {course.tenth:.0%} of the run, then falls to "
        f"{course.end:.4g}.",
        suggestion="Draw the weights for the nonlinearity (Xavier, He), and scale the inputs.",
        flat=course.tenth,
        losses=_shown(measured.run.losses),
    )


def _warms_up(run: "Run", until: float, settings: "Settings") -> bool:
    """Whether updates grew until the loss dropped, and outgrew their gradients; momentum has gathered by then."""
    at = [i for i, update in enumerate(run.weighed) if curves.WINDOW <= update <= until * len(run.losses)]
    if len(at) < 2:
        return False
    first, last = at[0], at[-1]
    linear = run.weighed[last] / run.weighed[first]
    growths = []
    for w in run.weights:
        lengths = [w.ratios[i] * w.norms[i] for i in (first, last)]
        if w.axes > 1 and all(x > 0 for x in (*lengths, w.gradients[first], w.gradients[last])):
            growths.append(min(1.0, w.gradients[first] / w.gradients[last]) * lengths[1] / lengths[0])
    return bool(growths) and statistics.median(growths) > linear**settings.warmed


@rule
def loss_plateau(measured: "Measurement", settings: "Settings") -> Iterator[Finding]:
    """The loss falls, then stands still high up, because the updates are too long.

    What it finds: a loss that is flat over the second half of the run, well above zero, and that drops by half or more
    when the run goes on for a fifth of its length at a tenth of the learning rate.

    Why it matters: "high learning rates will decay the loss faster, but they get stuck at worse values of loss": there
    is too much energy in the updates, the weights bounce about and can't settle where the loss is low.

    What to try: a lower learning rate, or one that is lowered as training goes on.

    When it is wrong: where a schedule lowers the rate later on, since it is held in this run. A loss that stays where
    it is at a lower rate as well is at its floor, and is no fault.

    References: CS231n, course notes "neural networks 3", loss function, and "annealing the learning rate".
    """
    course, run = shape(measured, settings), measured.run
    if course is None or not run.slower or not course.stopped(settings.sigmas, settings.flat):
        return
    slower = curves.mean(run.slower[-curves.WINDOW :])
    drop, noise = course.end - slower, settings.sigmas * math.sqrt(2) * course.error
    high = course.end > settings.high * abs(measured.train.loss)
    if high and drop > max(settings.cured * abs(course.end), noise):
        yield loss_plateau.warning(
            f"the loss stands at {course.end:.4g} through the second half of {took(measured)}; {len(run.slower)} more "
            f"at a tenth of the learning rate, {measured.learning_rate / 10:.3g}, take it to {slower:.4g}.",
            suggestion="Lower the learning rate, or let it decay.",
            plateau=course.end,
            slower=slower,
            learning_rate=measured.learning_rate,
        )


@rule
def noisy_loss(measured: "Measurement", settings: "Settings") -> Iterator[Finding]:
    """Small batches make the loss so noisy that its fall drowns in it.

    What it finds: batches of few examples whose losses scatter about their smoothed curve by as much as the loss
    falls in the whole run.

    Why it matters: "the amount of wiggle in the loss is related to the batch size". The gradient has the same noise:
    most of each update goes in a random direction, and only a low learning rate averages it out.

    What to try: larger batches, gradients accumulated over several, or a lower learning rate.

    When it is wrong: where memory allows no more and the rate is low; look at means over many steps then.

    References: CS231n, course notes "neural networks 3", loss function.
    """
    course, batch = shape(measured, settings), measured.run.batch_size
    if course is None or batch > settings.small_batch or _starts_trained(measured, settings):
        return
    first, last = _first(measured), measured.run.moments[-1].loss if measured.run.moments else course.end
    if last < first <= last + course.spread / settings.drowned and not _stands(measured, course, settings):
        yield noisy_loss.warning(
            f"with batches of {batch}, single losses scatter by {course.spread:.3g}, and all that the loss falls is "
            f"{first - last:.3g}, from {first:.4g} to {last:.4g}.",
            suggestion="Take larger batches, or accumulate the gradients of several.",
            scatter=course.spread,
            fall=first - last,
            batch_size=batch,
        )


@rule
def update_ratio_out_of_range(measured: "Measurement", settings: "Settings") -> Iterator[Finding]:
    """Updates are far too long, or far too short, for the weights they change.

    What it finds: a weight matrix whose updates have, in the middle of the run, more than a tenth of its own norm, or
    have made a thousandfold of it by the end; or a network none of whose matrices is changed by a millionth while its
    loss does not fall.

    Why it matters: "a rough heuristic is that this ratio should be somewhere around 1e-3. If it is lower than this
    then the learning rate might be too low. If it is higher then the learning rate is likely too high". What moved
    counts, weights after less before: neither momentum nor Adam takes steps of rate times gradient.

    What to try: another learning rate; at short updates also a look at what clips or scales the gradients, at long
    ones at a penalty that shrinks the weights to nothing.

    When it is wrong: weights that start at zero, whose first updates are longer than they are, and fine-tuning, whose
    updates are short on purpose; both are left alone where the loss falls.

    References: CS231n, course notes "neural networks 3", ratio of weights:updates.
    """
    course = shape(measured, settings)
    well = course is not None and _falls(course, settings)
    matrices = [(r, w) for w in measured.run.weights if w.axes > 1 and math.isfinite(r := ratio(w))]
    if not matrices:
        return
    yield from _outgrown([w for _, w in matrices], measured.learning_rate, settings)
    largest, where = max(matrices, key=lambda pair: pair[0])
    long = [(r, w) for r, w in matrices if r > settings.large_ratio and not (well and _grew(w))]
    if long:
        worst, where = max(long, key=lambda pair: pair[0])
        find = update_ratio_out_of_range.warning
        if worst > settings.absurd_ratio and not well:
            find = update_ratio_out_of_range.error
        others = [w.name for _, w in long if w is not where]
        yield find(
            f"an update has {worst:.2g} times the norm of {where.name}, the median over the run; about 0.001 is usual."
            f"{_so_in(others)}",
            where=where.name,
            suggestion="Lower the learning rate; see whether a penalty shrinks these weights to nothing.",
            ratio=worst,
            learning_rate=measured.learning_rate,
        )
    elif largest < settings.small_ratio and not well and not _starts_trained(measured, settings):
        find = update_ratio_out_of_range.warning
        if largest < settings.tiny_ratio and course is not None and not course.falls(settings.sigmas):
            find = update_ratio_out_of_range.error
        yield find(
            f"an update has at most {largest:.2g} times the norm of any weight matrix ({where.name}); about 0.001 is "
            "usual.",
            where=where.name,
            suggestion="Raise the learning rate, or find what clips or scales the gradients.",
            ratio=largest,
            learning_rate=measured.learning_rate,
        )


def _outgrown(matrices: "list[Weights]", rate: float, settings: "Settings") -> Iterator[Finding]:
    """Matrices that have grown out of all proportion; those that began at or near zero are left alone."""
    known = [(norms[0], norms[-1], w) for w in matrices if (norms := [n for n in w.norms if math.isfinite(n)])]
    usual = statistics.median(first for first, _, _ in known) if known else 0.0
    grown = [(last / first, w) for first, last, w in known if first > 0 and first >= usual / 10]
    times, where = max(grown, key=lambda pair: pair[0], default=(0.0, None))
    if where is not None and times > settings.grown:
        yield update_ratio_out_of_range.error(
            f"{where.name} has grown to {times:.3g} times its norm in the run.",
            where=where.name,
            suggestion="Lower the learning rate; see whether the optimizer's settings are what you mean.",
            times=times,
            learning_rate=rate,
        )


def _grew(w: "Weights") -> bool:
    """Whether the weights stood at or near zero: at a tenth of what they came to."""
    known = [norm for norm in w.norms if math.isfinite(norm)]
    return bool(known) and known[0] < known[-1] / 10


def _so_in(names: list[str]) -> str:
    return f" So in {', '.join(names[:4])}{' ...' if len(names) > 4 else ''}." if names else ""

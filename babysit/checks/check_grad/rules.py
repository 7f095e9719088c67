"""What `check-grad` finds."""

import math
from collections.abc import Iterator

from babysit.check import certain, rule
from babysit.checks.check_grad.schema import Measurement, Settings, Update, limit
from babysit.checks.check_grad.slopes import ALL, Slope
from babysit.report import Finding

JUDGED = 3  # updates behind the first: one or two may be what is left of an accumulation that nobody told
SAME_FACTOR = 0.02  # by how much ratios may differ and be one factor: slopes are known to a hundredth or better


def _disagreements(measured: Measurement, settings: Settings) -> list[tuple[str, Slope]]:
    """The slopes that disagree, each with the part of the loss whose gradient is to blame; empty where both are."""
    found = []
    for slopes in measured.slopes:
        if slopes.total.differs(limit(measured, settings), settings.margin):
            parts = {"data loss": slopes.data, "penalty": slopes.penalty}
            wrong = {part: s for part, s in parts.items() if s and s.differs(settings.wrong, settings.margin)}
            found.append(next(iter(wrong.items())) if len(wrong) == 1 else ("", slopes.total))
    return found


def _factor(slopes: list[Slope], settings: Settings) -> float:
    """The gradient over the difference, where it is the same along two lines or more, as nearly as they are known."""
    ratios = sorted(slope.analytic / slope.numeric for slope in slopes if slope.moves(settings.margin))
    if len(ratios) < max(2, len(slopes)) or ratios[-1] - ratios[0] > SAME_FACTOR * abs(ratios[0]):
        return math.nan
    return ratios[len(ratios) // 2]


def _is(factor: float, value: float) -> bool:
    return abs(factor - value) <= SAME_FACTOR * abs(value)


def _by_factor(factor: float, examples: int) -> tuple[str, str]:
    """What to say of a factor, and what to do about it; nothing where there is none."""
    if not math.isfinite(factor) or _is(factor, 1):
        return "", ""
    if factor == 0:
        return " It is missing throughout.", ""
    if _is(factor, -1):
        return " Its sign is wrong throughout.", "Turn the sign of the gradient."
    if examples > 1 and _is(factor, examples):
        advice = "Divide the gradient by the number of examples, as the loss is."
        return f" It is too large by a factor of {examples}, the number of examples, throughout.", advice
    if examples > 1 and _is(factor, 1 / examples):
        advice = "The loss is a sum over the examples; don't divide its gradient by their number."
        return f" It is too small by a factor of {examples}, the number of examples, throughout.", advice
    if _is(factor, 2) or _is(factor, 0.5):
        advice = "Look for a square: the derivative of x^2 is 2 x, and that of x^2 / 2 is x."
        return f" It is too {'large' if factor > 1 else 'small'} by a factor of 2 throughout.", advice
    if factor < 0:
        return f" It is {factor:.3g} times what it should be throughout.", ""
    large, times = ("large", factor) if factor > 1 else ("small", 1 / factor)
    return f" It is too {large} by a factor of {times:.3g} throughout.", ""


def _listed(names: list[str]) -> str:
    return f"{', '.join(names[:4])} and {len(names) - 4} more" if len(names) > 4 else ", ".join(names)


def _advice(part: str, parameters: list[str]) -> str:
    if part == "penalty":
        return "Add the penalty's own gradient, once: 2 * strength * W for strength * sum(W^2)."
    return (
        f"Write out the backward pass from the loss down to {parameters[-1]} again, line by line: errors are passed on "
        "to the layers below."
    )


def _disagreement(found: list[tuple[str, Slope]], measured: Measurement, settings: Settings) -> Finding:
    """The worst of the slopes that disagree, and what is common to them."""
    errors = [(part, slope) for part, slope in found if slope.error > settings.wrong]
    parts, slopes = {part for part, _ in errors or found}, [slope for _, slope in errors or found]
    part = parts.pop() if len(parts) == 1 else ""
    worst = max(slopes, key=lambda slope: (slope.error, abs(slope.analytic - slope.numeric)))
    names = list(dict.fromkeys(slope.parameter for slope in slopes))
    pattern, advice = _by_factor(_factor(slopes, settings), measured.examples)
    others = _listed([name for name in names if name != worst.parameter])
    place = "along all entries together" if worst.place == ALL else f"at {worst.place}"
    find = wrong_gradient.error if errors else wrong_gradient.warning
    return find(
        f"the gradient of the {part or 'loss'} by {worst.parameter} is {worst.analytic:.4g} {place}, where differences "
        f"of it give {worst.numeric:.4g}: a relative error of {worst.error:.2g}.{pattern}"
        f"{f' So in {others}.' if others else ''}",
        where=worst.parameter,
        suggestion=advice if advice and part != "penalty" else _advice(part, names),
        analytic=worst.analytic,
        numeric=worst.numeric,
        relative_error=worst.error,
        parameters=names,
    )


@rule
def wrong_gradient(measured: Measurement, settings: Settings) -> Iterator[Finding]:
    """A gradient is not the slope of the loss.

    What it finds: parameters whose gradient disagrees with centered differences of the loss by far more than those may
    be off. The loss is taken at two steps on both sides; where these disagree with one another, at a kink or under
    rounding, nothing is blamed. It says whether the data loss or the penalty is to blame, and by what factor, where
    there is one. A gradient that is not finite where the loss is belongs here too.

    Why it matters: training follows the gradient, not the loss. A wrong one may still lower the loss for a while, in
    layers above the mistake, and no setting makes it work well. The course notes: a relative error above 1e-2 "usually
    means the gradient is probably wrong", one above 1e-4 "should make you feel uncomfortable", away from kinks.

    What to try: compare layer by layer from the loss downwards; the last parameter that is wrong is nearest to the
    mistake. Masks belong to the forward pass (a ReLU passes gradient where it was active, dropout where it kept), sums
    over a broadcast axis become sums of gradients, and what divides the loss divides its gradient.

    When it is wrong: where the gradient is meant to differ: straight-through estimators, quantization, reversed
    gradients, targets or weights that are detached from the loss on purpose.

    References: CS231n, course notes "neural networks 3", gradient checks.
    """
    if measured.not_finite:
        yield wrong_gradient.error(
            f"the gradient by {_listed(list(measured.not_finite))} is not finite, though the loss is "
            f"{measured.loss:.4g}.",
            where=measured.not_finite[0],
            suggestion="Look for sqrt, norm, log or division at 0, also behind a `where` that does not choose them.",
            parameters=list(measured.not_finite),
        )
    if found := _disagreements(measured, settings):
        yield _disagreement(found, measured, settings)


@rule
def missing_gradient(measured: Measurement, settings: Settings) -> Iterator[Finding]:
    """A parameter that the loss depends on gets no gradient.

    What it finds: parameters that get no gradient of the data loss, none at all or zeros throughout, at the start and
    after the burn-in, though the loss changes when they are moved. Parameters that get none and that the loss does not
    depend on are named as unused.

    Why it matters: such a parameter stays where it was drawn (or decays), and the rest of the network learns around it.
    The loss still falls, to a worse end, and nothing says why.

    What to try: look for what cuts the way back: `detach()`, `.data`, `no_grad()`, `item()`, a round trip through
    NumPy, a tensor made anew from numbers, an `argmax`; by hand, a key that `grads` lacks.

    When it is wrong: for parts that are frozen on purpose; say so (`requires_grad_(False)`) and it is silent.

    References: CS231n, lecture 4, backpropagation; course notes "neural networks 3", gradient checks.
    """
    moving = {u.parameter: [s for s in u.moves if s.moves(settings.margin)] for u in measured.unreached}
    names = [name for name, slopes in moving.items() if slopes]
    if names:
        slope = moving[names[0]][0]
        yield missing_gradient.error(
            f"no gradient reaches {_listed(names)}, but moving {names[0]} at random changes the loss, with a slope of "
            f"{slope.numeric:.3g} ± {slope.doubt:.1g} after {slope.steps} updates.",
            where=names[0],
            suggestion="Look for what cuts the way back: detach(), .data, no_grad(), a tensor made anew, a key missing "
            "in the gradients. Where it is frozen on purpose, set requires_grad_(False).",
            parameters=names,
            slope=slope.numeric,
        )
    still = [u.parameter for u in measured.unreached if u.absent and not moving[u.parameter]]
    if still:
        yield missing_gradient.info(
            f"no gradient reaches {_listed(still)}, and the loss of {measured.examples} examples does not change when "
            "they are moved: they are unused.",
            where=still[0],
            suggestion="Leave them out, or see why the forward pass does.",
            parameters=still,
        )


@certain
@rule
def accumulated_gradient(measured: Measurement, settings: Settings) -> Iterator[Finding]:
    """Updates use the gradients of earlier steps once more.

    What it finds: updates whose gradient is that of their own batches plus, in the same measure, the one that the
    update before used, and so all before; or a gradient that grows each time it is taken at the same place. What is
    summed up on purpose, over several batches for one update, is taken together; clipping and scaling change nothing.

    Why it matters: the steps grow and grow and point where the loss fell long ago. It looks like a learning rate that
    is too high, and a lower one only delays it.

    What to try: `optimizer.zero_grad()` ahead of every `backward()` that begins an update; by hand, a new dict of
    gradients in each call.

    When it is wrong: for an update rule that sums all its past gradients with equal weights, as dual averaging does.

    References: PyTorch documentation, "zeroing out gradients"; CS231n, lecture 6, the training loop.
    """
    used = measured.used
    judged = [update for update in used.updates if _is_sum(update, settings)]
    if len(judged) == len(used.updates) >= JUDGED:
        last = judged[-1]
        yield accumulated_gradient.error(
            f"the last of {len(judged) + 1} updates used {last.own:.3g} times the gradient of its own batch and "
            f"{last.earlier:.3g} times the one that the update before used: gradients are never cleared.",
            suggestion="Call optimizer.zero_grad() ahead of the backward pass that begins an update.",
            own=last.own,
            earlier=last.earlier,
        )
    elif abs(used.left - 1) <= settings.alike and used.left_rest <= settings.unexplained:
        yield accumulated_gradient.error(
            f"taken at the same place, the gradient of a batch is larger after a step by {used.left:.2f} times "
            "itself: the program adds to the gradients it kept.",
            suggestion="Begin every backward pass with new gradients, of zeros.",
            left=used.left,
        )


def _is_sum(update: Update, settings: Settings) -> bool:
    """Whether the gradient used before went into the update, whole or in the same measure as its own."""
    room = settings.alike * abs(update.own) if math.isfinite(update.own) else 0.0
    whole = abs(update.earlier - 1) <= settings.alike or abs(update.earlier - update.own) <= room
    return whole and update.rest <= settings.unexplained and update.doubt <= room

"""What `check-reg` finds."""

import math
from collections.abc import Iterator

from babysit.check import certain, rule
from babysit.checks.check_reg.schema import Measurement, Settings, has_effect
from babysit.report import Finding


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
    if any(measured.strengths.values()) and not has_effect(measured, settings):
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

"""Rules of `train` about loss and metric, on both splits: whether what is learned carries over."""

import math
import statistics
from collections.abc import Iterator
from typing import TYPE_CHECKING

from babysit.check import rule
from babysit.checks.train.curve_rules import loss_not_falling, loss_plateau
from babysit.checks.train.gains import Gain
from babysit.checks.train.readings import beyond, blind, learned, shape, took, train_gains, val_gains
from babysit.measuring import curves
from babysit.report import Finding

if TYPE_CHECKING:
    from babysit.checks.train.schema import Measurement, Settings


@rule
def overfitting_gap(measured: "Measurement", settings: "Settings") -> Iterator[Finding]:
    """What is learned on the training data does not carry over to the validation data.

    What it finds: a training split on which the network, in evaluation mode, has become clearly better than knowing
    nothing, in loss and in metric, while on the validation split not even a tenth of that shows. A warning where some
    does, but the metrics lie wide apart and the validation loss rises again.

    Why it matters: "the gap between the training and validation accuracy indicates the amount of overfitting". Where
    nothing at all carries over, what was learned are the examples, not what they have in common: labels that don't
    belong to their inputs, another preprocessing of the validation data, a clue to the label that only training has.

    What to try: read pairs of inputs and labels after the loader; preprocess validation data with the training data's
    statistics; then stronger regularization, or more data.

    When it is wrong: a validation split from another source on purpose. Splits on which such a gain could be missed are
    not judged: small ones, and those that begin with examples of hardly more than one class. Training in dropout that
    looks worse than validation is no gap.

    References: CS231n, course notes "neural networks 3", train/val accuracy.
    """
    moments, metric = measured.run.moments, measured.metric
    if not (metric and measured.val.examples and moments) or beyond(measured, settings):
        return
    if measured.val.loss < settings.mixed * abs(measured.train.loss):
        return
    train, val, last = train_gains(measured), val_gains(measured), moments[-1]
    if _carries_nothing(train[-1], val, settings):
        yield overfitting_gap.error(
            f"after {took(measured)} the training loss is {last.loss:.4g} ({metric} {last.score:.3g}), where to know "
            f"nothing costs {measured.train.loss:.4g} ({measured.train.score:.3g}); the validation loss is "
            f"{last.val_loss:.4g} ({last.val_score:.3g}), where that costs {measured.val.loss:.4g} "
            f"({measured.val.score:.3g}).",
            where="val",
            suggestion="Look at inputs and labels as the loader pairs them, and at how validation data is prepared.",
            gain=train[-1].loss,
            val_gain=val[-1].loss,
            val_losses=[m.val_loss for m in moments],
        )
        return
    best = min((m.val_loss for m in moments if math.isfinite(m.val_loss)), default=math.nan)
    noise = settings.sigmas * math.hypot(train[-1].score_error, val[-1].score_error)
    rises = last.val_loss - best > settings.sigmas * last.val_error
    if rises and last.score - last.val_score > max(settings.gap, noise):
        yield overfitting_gap.warning(
            f"the training {metric} is {last.score:.3g}, the validation {metric} {last.val_score:.3g}, and the "
            f"validation loss has risen from {best:.4g} to {last.val_loss:.4g}.",
            where="val",
            suggestion="Regularize more, stop earlier, or get more data.",
            gap=last.score - last.val_score,
            val_losses=[m.val_loss for m in moments],
        )


def _carries_nothing(train: Gain, val: list[Gain], settings: "Settings") -> bool:
    """Whether a clear gain on the training split is nowhere to be seen on a validation split that could show it."""
    if not (train.pays(settings.sigmas) and train.shows(settings.agree)):
        return False
    enough, late = settings.power, val[len(val) // 2 :]
    least = Gain(settings.carried * train.loss, 0.0, settings.carried * train.score, 0.0)
    error = statistics.median(g.loss_error for g in late)
    if not (train.loss > enough * error or train.score > enough * val[-1].score_error):
        return False
    if any((g.pays(enough) and g.loss > least.loss) or (g.shows(enough) and g.score > least.score) for g in val):
        return False
    return not (curves.mean([g.loss for g in late]) > least.loss or curves.mean([g.score for g in late]) > least.score)


@rule
def underfitting(measured: "Measurement", settings: "Settings") -> Iterator[Finding]:
    """Training and validation stand at the same, and not at a good one.

    What it finds: a flat loss, a training metric far from perfect, and a validation metric that is as good.

    Why it matters: "when the validation accuracy tracks the training accuracy fairly well, your model capacity is not
    high enough". Nothing is overfitted, so there is room for a larger network, or for less regularization; or half of
    what is to be predicted is noise, and this is the best there is.

    What to try: more units or layers, less regularization, more training; features that say more.

    When it is wrong: where the noise is known, and the metric is as good as it gets.

    References: CS231n, course notes "neural networks 3", train/val accuracy.
    """
    course = shape(measured, settings)
    if course is None or not course.is_flat(settings.sigmas, settings.flat):
        return
    last = measured.run.moments[-1] if measured.run.moments else None
    if last is None or not (last.score < settings.far and abs(last.score - last.val_score) < settings.gap / 2):
        return
    others = (loss_not_falling, loss_plateau, overfitting_gap)
    if learned(measured, settings, val=True) and not any(list(other(measured, settings)) for other in others):
        yield underfitting.info(
            f"the loss is flat at {course.end:.4g}; the training {measured.metric} is {last.score:.3g}, and the "
            f"validation {measured.metric} {last.val_score:.3g}: nothing is overfitted.",
            suggestion="Try a larger network or less regularization, unless the rest is noise.",
            score=last.score,
            val_score=last.val_score,
        )


@rule
def loss_metric_disagree(measured: "Measurement", settings: "Settings") -> Iterator[Finding]:
    """The loss falls far below knowing nothing, and the metric does not show it.

    What it finds: a training loss a fifth below what it costs to know nothing, while the metric of the same examples
    is no better than that of one prediction for all, through the second half of the run, nor has come a fifth of the
    way to perfect. An error where the loss has fallen by half of that or more. Accuracy is not asked where most
    examples are of one class: there it is blind.

    Why it matters: the loss is what is minimized, the metric what is wanted. Where they part, one of them is not
    computed from what you think: scores in another order than the labels, a loss that leaves most examples out.

    What to try: compute both by hand for one batch; look at which axis holds the classes, and at masks and weights.

    When it is wrong: a metric ruled by a few outliers, as R² is where an absolute error is trained.

    References: CS231n, course notes "neural networks 3", train/val accuracy.
    """
    moments, known = measured.run.moments, measured.train
    gained = train_gains(measured)
    if not gained or blind(measured, settings) or beyond(measured, settings):
        return
    last, late = gained[-1], gained[len(gained) // 2 :]
    way = settings.disagree * (1 - known.score)
    gain = last.since(gained[0]).loss
    lower = gain > settings.disagree * abs(known.loss) and last.pays(settings.sigmas)
    no_better = all(not g.shows(settings.agree) and g.score + settings.sigmas * g.score_error < way for g in late)
    if lower and no_better:
        far = gain > settings.far_apart * abs(known.loss)
        find = loss_metric_disagree.error if far else loss_metric_disagree.warning
        yield find(
            f"the training loss falls to {moments[-1].loss:.4g}, where to know nothing costs {known.loss:.4g}; but the "
            f"{measured.metric} of the same examples is {moments[-1].score:.3g}, and one prediction for all has "
            f"{known.score:.3g}.",
            suggestion="Compute loss and metric of one batch by hand; look at the order of the classes.",
            loss=moments[-1].loss,
            score=moments[-1].score,
        )


@rule
def loss_flat_accuracy_rising(measured: "Measurement", settings: "Settings") -> Iterator[Finding]:
    """The accuracy rises while the loss hardly changes.

    What it finds: a training accuracy that has risen by a tenth and beyond chance, with a loss that is within a few
    hundredths of where it began.

    Why it matters: it looks like a contradiction, and is none. The scores are still diffuse, and all probabilities
    about equal, so the loss is what it was. But each update moves them a little in the right direction, and as soon as
    the right class is ahead by a hair, accuracy counts it: it asks only which score is the largest.

    What to try: a higher learning rate: the weights go the right way, too slowly.

    When it is wrong: scores that can't get apart, squashed by a second softmax or held by a penalty, look the same.

    References: CS231n, lecture 6, "loss barely changing: learning rate is probably too low. Notice train/val accuracy
    goes to 20 % though, what's up with that?"
    """
    moments, known = measured.run.moments, measured.train
    gained = train_gains(measured)
    if measured.metric != "accuracy" or not gained or beyond(measured, settings):
        return
    first, last = moments[0], moments[-1]
    climbed = last.score - max(first.score, known.score)
    still = abs(last.loss - first.loss) < settings.little * abs(first.loss)
    if still and climbed > max(settings.climb, settings.sigmas * gained[-1].score_error):
        yield loss_flat_accuracy_rising.info(
            f"the training loss goes from {first.loss:.4g} to {last.loss:.4g}, the accuracy from {first.score:.2f} to "
            f"{last.score:.2f}: the right score is mostly ahead by now, but by little.",
            suggestion="Raise the learning rate: the scores move in the right direction, too slowly.",
            loss=last.loss,
            score=last.score,
        )

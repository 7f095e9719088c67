"""What `check-loss` finds."""

import math
from collections.abc import Iterator, Mapping

from babysit.check import certain, rule
from babysit.checks.check_loss import schema
from babysit.checks.check_loss.schema import Measurement, Settings, ignored, judged_loss
from babysit.report import Finding


@rule
def non_finite_loss(measured: Measurement, settings: Settings) -> Iterator[Finding]:
    """The first loss is not a finite number.

    What it finds: NaN or infinity in the loss of at least one batch before any learning.

    Why it matters: from the first such batch on, every weight it touches becomes NaN, and nothing that training
    prints afterwards means anything.

    What to try: look at the inputs first (a missing value read as NaN), then at the scores, then at the loss: a
    logarithm of 0 or of a negative number (cross-entropy written for probabilities but given raw scores), a
    division by a zero spread, an exponential without the maximum subtracted.

    When it is wrong: never; a NaN is not small.

    References: CS231n, course notes "linear classification", practical issues: numeric stability of the softmax.
    """
    if measured.not_finite or not math.isfinite(measured.training_loss + measured.evaluation_loss):
        if not measured.finite_inputs:
            place, first = (
                "The inputs are not finite",
                "Look for missing values in the inputs (NaN), and fill or drop them.",
            )
        elif not measured.finite_scores:
            place = "The inputs are finite, the scores are not"
            first = "Follow the forward pass to the first layer that gives NaN or infinity."
        else:
            place = "Inputs and scores are finite, so the loss itself makes it"
            first = "Look for a logarithm of 0 or of raw scores, and for an exponential without the maximum subtracted."
        yield non_finite_loss.error(
            f"the loss is not finite on {measured.not_finite} of {measured.batches} batches in training mode "
            f"({measured.evaluation_loss:g} in evaluation mode). {place}.",
            suggestion=first,
            batches_not_finite=measured.not_finite,
            batches=measured.batches,
        )


@rule
def task_mismatch(measured: Measurement, settings: Settings) -> Iterator[Finding]:
    """Scores or targets don't fit the stated task.

    What it finds: labels outside the classes, another number of scores than classes, targets that are no labels,
    or not one prediction for each target.

    Why it matters: an index out of range may read another row's memory or be clipped; a class without a score can
    never be predicted. The loss still looks like a loss.

    What to try: compare the size of the last layer with the number of classes, and labels with 0 to C - 1.

    When it is wrong: if the task given to babysit is not the program's own: name the right one. A regression whose
    loss is of its own, with several scores for each target (quantiles, mean and variance), is warned of, since babysit
    can't grade it: state `ChanceLoss(value)`.

    References: CS231n, course notes "linear classification", softmax classifier.
    """
    if measured.task_problem:
        find = task_mismatch.warning if measured.own_loss else task_mismatch.error
        yield find(
            f"{measured.task_problem[0].upper()}{measured.task_problem[1:]}.",
            suggestion="Compare the last layer's size and the labels' range with the task's classes.",
            task=measured.task,
        )


@certain
@rule
def normalized_scores(measured: Measurement, settings: Settings) -> Iterator[Finding]:
    """The loss takes logits, but the scores are probabilities already.

    What it finds: every row of scores is a probability distribution (or the output of a sigmoid), and the program's
    loss is the one that applies softmax (or sigmoid) once more.

    Why it matters: the first loss looks right, but the scores can no longer differ by more than 1, so the loss has
    a floor (1.46 for ten classes, ln(1 + 9/e)) and the gradients are small: training crawls and stops early.

    What to try: hand the raw scores to the loss, and apply softmax only where you need probabilities.

    When it is wrong: it compares the loss with both readings of the scores, so a loss that takes probabilities
    (-ln p) is not blamed. A custom loss that is neither may be.

    References: StackOverflow 50485506; PyTorch's CrossEntropyLoss, "the input is expected to contain logits".
    """
    to_logits = abs(measured.training_loss - measured.reference_loss)
    to_probabilities = abs(measured.training_loss - measured.probability_loss)
    if measured.probabilities and to_logits < to_probabilities / 2:
        yield normalized_scores.error(
            f"the scores are probabilities already, and the loss ({measured.training_loss:.4g}) treats them as logits: "
            f"read as probabilities they would give {measured.probability_loss:.4g}.",
            suggestion="Remove the softmax (or sigmoid) from the network's end; the loss applies it itself.",
            loss=measured.training_loss,
            loss_as_logits=measured.reference_loss,
            loss_as_probabilities=measured.probability_loss,
        )


@rule
def summed_loss(measured: Measurement, settings: Settings) -> Iterator[Finding]:
    """The loss is a sum over the examples, not a mean.

    What it finds: the losses of the two halves of a batch add up to the loss of the whole.

    Why it matters: gradients then grow with the batch size, so the learning rate that works depends on it, the last,
    smaller batch counts less, and the regularization is weaker than it says.

    What to try: divide loss and gradient by the number of examples.

    When it is wrong: some programs sum on purpose, with a learning rate to match; where the other checks find such
    a program able to learn, or nobody knows the loss's chance value, this is a warning only.

    References: CS231n, course notes "linear classification": the full loss is an average over the examples.
    """
    total, whole = sum(measured.half_losses), measured.whole_loss
    if math.isfinite(total) and whole != 0 and abs(total - whole) < settings.summed * abs(whole):
        find = summed_loss.error if measured.chance or measured.task_problem else summed_loss.warning
        yield find(
            f"half a batch has the losses {measured.half_losses[0]:.4g} and {measured.half_losses[1]:.4g}, the whole "
            f"batch {whole:.4g}: their sum, not their mean.",
            suggestion="Divide the loss and its gradient by the number of examples.",
            halves=list(measured.half_losses),
            whole=whole,
        )


@rule
def inputs_ignored(measured: Measurement, settings: Settings) -> Iterator[Finding]:
    """The loss does not depend on the inputs.

    What it finds: moving the inputs against the targets, or setting them to zero, leaves the loss as it is, at the
    start and after some training steps.

    Why it matters: whatever the network learns, it isn't about the data: at best it learns how often each class
    occurs. The usual causes: inputs that are all the same (an integer division), weights of zero, a signal that
    dies on its way through the layers, dead units throughout a layer, a last layer that normalizes it away.

    What to try: `babysit check-activations` shows where the signal ends; look at a batch of inputs, too.

    When it is wrong: a change under one part in a million counts as none; a network with a head that starts at zero
    and a tiny learning rate may need more `steps`.

    References: A. Karpathy, "A Recipe for Training Neural Networks": input-independent baseline.
    """
    three = (measured.paired_loss, measured.permuted_loss, measured.zeroed_loss)
    alike = measured.examples > 1 and not measured.inputs_vary and math.isfinite(measured.paired_loss)
    if alike or ignored(*three, settings.resolution):
        cause = "" if measured.inputs_vary else " The inputs are the same for every example."
        zeroed = ", moved against the targets, or all zero" if ignored(*three, settings.resolution) else ""
        yield inputs_ignored.error(
            f"after {measured.steps} steps the loss is {measured.paired_loss:.6g} with the inputs as they are"
            f"{zeroed or ' or moved against the targets'}.{cause}",
            suggestion="Look at a batch of inputs." if cause else "Find the layer after which nothing varies any more.",
            loss=measured.paired_loss,
            steps=measured.steps,
        )


@rule
def confident_at_init(measured: Measurement, settings: Settings) -> Iterator[Finding]:
    """The network is sure of itself before it has learned anything.

    What it finds: scores so far apart at the start that the loss lies well above the chance loss for that reason.

    Why it matters: scores should be about equal at first ("diffuse"). Large ones come from weights that are too
    large, or inputs that were never scaled; the first updates are then spent on undoing them, with huge gradients.

    What to try: scale the inputs to zero mean and unit variance; initialize with He (ReLU) or Xavier (tanh); make
    the last layer's weights smaller.

    When it is wrong: a pretrained network may be confident, and right: then its loss is low and this rule is silent.

    References: CS231n, lecture 6, weight initialization; random logits of spread s add s^2/2 (1 - 1/C) at most.
    """
    chance = max(measured.chance.values(), default=math.nan)
    excess = measured.training_loss - chance
    noise = schema.noise(measured, settings)
    if not math.isfinite(measured.spread) or not excess > noise or measured.spread <= settings.large_spread:
        return
    find = confident_at_init.error if measured.spread > settings.huge_spread else confident_at_init.warning
    yield find(
        f"the first loss is {measured.training_loss:.4g}, chance is {chance:.4g}: the scores already have a spread of "
        f"{measured.spread:.3g} (He's initialization on standardized inputs gives 1.4).",
        suggestion="Standardize the inputs, and use smaller initial weights (He for ReLU, Xavier for tanh).",
        loss=measured.training_loss,
        chance=chance,
        spread=measured.spread,
    )


@rule
def unexpected_initial_loss(measured: Measurement, settings: Settings) -> Iterator[Finding]:
    """The first loss is not what knowing nothing gives.

    What it finds: a loss above the chance loss by more than the spread of the scores and sampling explain, or below
    every legal first loss although nothing was learned.

    Why it matters: the lecture's first sanity check. For ten classes, ln 10 = 2.303 is what equal scores give. Another
    number means another loss than you think, targets that don't match the scores, or a wrong reduction.

    What to try: compute the loss of one example by hand from its scores; compare reductions; print targets.

    When it is wrong: losses that are no standard ones (focal, weighted, scaled) have another chance loss: state it
    with `task=ChanceLoss(value)`. A trained or pretrained network rightly starts below chance.

    References: CS231n, course notes "neural networks 3", sanity checks; lecture 6, slide "double check that the
    loss is reasonable".
    """
    loss, noise = judged_loss(measured), schema.noise(measured, settings)
    if not math.isfinite(loss) or not measured.chance:
        return
    least, most = min(measured.chance.values()), max(measured.chance.values())
    excess = measured.excess if math.isfinite(measured.excess) else settings.stated * abs(most)
    excess += measured.luck if math.isfinite(measured.luck) else 0.0
    chances = " or ".join(f"{value:.4g} ({reason})" for reason, value in measured.chance.items())
    evidence = {"loss": loss, "chance": most, "tolerance": excess + noise, "examples": measured.examples}
    if loss > most + excess + noise + settings.resolution * abs(most):
        find = unexpected_initial_loss.info if measured.own_loss else unexpected_initial_loss.error
        own = " The loss is none of the usual errors of these scores, so it may have another." * measured.own_loss
        yield find(
            f"the first loss is {loss:.4g}; knowing nothing gives {chances}. The spread of the scores explains "
            f"{excess:.2g} and sampling {noise:.2g} of the difference.{own}",
            suggestion="Compute the loss of one example by hand from its scores and its target.",
            **evidence,
        )
    agreement = schema.agreement(measured, settings, least)
    below = least - agreement - noise - settings.resolution * abs(least)
    if loss < below:
        trained = measured.reference_loss < below and measured.score > measured.best_constant_score
        yield _below_chance(measured, chances, evidence, trained)


def _below_chance(measured: Measurement, chances: str, evidence: Mapping[str, float], trained: bool) -> Finding:
    message = f"the first loss is {measured.training_loss:.4g}, below what knowing nothing gives: {chances}."
    if trained:
        return unexpected_initial_loss.info(
            f"{message} The {measured.metric} is {measured.score:.3g}: the network is trained, or sees the answer.",
            suggestion="If it is not pretrained, look for the targets among the inputs.",
            **evidence,
        )
    return unexpected_initial_loss.warning(
        f"{message} Yet the {measured.metric or 'score'} is no better than that of a constant: the loss is another "
        "than the task's, or divided once too often.",
        suggestion="Compare the loss of one example, computed by hand, with the program's.",
        **evidence,
    )

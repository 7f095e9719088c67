"""Rules of `check-norm`: each example by itself, and the same network in evaluation as in training."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from babysit.check import certain, rule
from babysit.checks.check_norm.schema import NEGLIGIBLE, SHRINKS
from babysit.report import Finding

if TYPE_CHECKING:
    from babysit.checks.check_norm.schema import Layer, Measurement, Settings

NEVER = 1e-6  # momentum that single precision can't tell from none


def _off(measured: "Measurement", settings: "Settings") -> list["Layer"]:
    """The layers over the batch whose output in evaluation mode stands off that in training mode."""
    return [layer for layer in measured.over_batch if layer.share >= settings.apart]


@rule
def batch_leak(measured: "Measurement", settings: "Settings") -> Iterator[Finding]:
    """An example's prediction depends on its neighbours in the batch.

    What it finds: in evaluation mode, the scores of examples change when the other examples of their batch are
    replaced by copies of them. Looked at before any training and after some steps, since scores that start at zero
    can't show it.

    Why it matters: examples are independent, and a prediction that changes with its neighbours can't be trusted or
    repeated. As a rule an axis is wrong: a softmax or a mean over axis 0, a `view` where a `transpose` was meant, an
    LSTM that reads the batch as time. Or batch norm keeps no running statistics.

    What to try: feed one example alone and inside a batch, and print layer by layer where the two part.

    When it is wrong: where the examples of a batch are meant to see one another: in-batch attention, graphs, experts
    with limited capacity. Scores that compare the examples of a batch with one another are left out.

    References: CS231n, lecture 6, batch normalization at test time: "a single fixed empirical mean of activations
    during training is used".
    """
    times = ("before any training", measured.at_start), (f"after {measured.steps} steps", measured.after)
    leaking = [(when, seen) for when, seen in times if seen.beyond(settings.leak)]
    if not leaking:
        return
    when, worst = max(leaking, key=lambda pair: pair[1].change)
    told = f"by up to {worst.change:.2g} times their spread" if math.isfinite(worst.change) else "without bound"
    began = f" It begins in {measured.mixed_in}." if measured.mixed_in else ""
    yield batch_leak.error(
        f"in evaluation mode, {when}, the scores of an example change {told} with the other examples in its batch."
        f"{began}",
        where=measured.mixed_in,
        suggestion="Look for an operation over axis 0: a softmax, a mean, a view, an LSTM without batch_first, batch "
        "norm without running statistics.",
        change=worst.change,
        noise=worst.noise,
    )


@certain
@rule
def tiny_norm_batch(measured: "Measurement", settings: "Settings") -> Iterator[Finding]:
    """Batch normalization over too few values.

    What it finds: a layer that normalizes over the batch where a usual batch has so few values of each unit (examples
    times positions) that their mean and spread say nothing, or so few examples that they say little.

    Why it matters: batch statistics stand for those of the data. Of two values the normalized ones are -1 and 1
    whatever they were; of three, one number is left. Training then sees noise, and evaluation another network.

    What to try: larger batches (accumulated gradients don't help: each pass is normalized alone); group or layer
    normalization, which don't look across the batch; statistics synchronized over the processes.

    When it is wrong: networks that normalize one image at a time on purpose, and do so in evaluation too.

    References: CS231n, lecture 6, batch normalization; Wu and He 2018, "Group Normalization", table 2.
    """
    least = min(measured.over_batch, key=lambda layer: layer.values, default=None)
    if least is None:
        return
    if least.values <= settings.few_values:
        find, told = tiny_norm_batch.error, "their mean and spread leave next to nothing of them"
    elif least.examples <= settings.few_examples:
        find, told = tiny_norm_batch.warning, "their mean and spread are those of these few examples, not of the data"
    else:
        return
    yield find(
        f"{least.words} normalizes over batches of {least.examples} {_examples(least.examples)}, {least.values} values "
        f"of each unit: {told}.",
        where=least.name,
        suggestion="Make the batches larger, or use group or layer normalization.",
        examples=least.examples,
        values=least.values,
    )


def _examples(count: int) -> str:
    return "example" if count == 1 else "examples"


@certain
@rule
def frozen_statistics(measured: "Measurement", settings: "Settings") -> Iterator[Finding]:
    """Running statistics don't follow the data.

    What it finds: a batch normalization whose output in evaluation mode stands off that in training mode, and stays
    there while the program takes steps at a learning rate of 0, in which only running statistics move. How fast the
    difference shrinks gives the momentum.

    Why it matters: evaluation normalizes by statistics from before the training: what was trained is not what is
    tested. Frameworks mean opposite things by momentum: 0.9 in Keras and in the course's assignments is 0.1 in PyTorch,
    and 0.9999 taken over as 0.0001 needs ten thousand steps to follow.

    What to try: PyTorch's `momentum=0.1`; in a hand-written layer, see that what `forward` computes is stored.

    When it is wrong: for slow statistics in a training of very many steps; they are right in the end.

    References: Ioffe and Szegedy 2015, section 3.1; CS231n, lecture 6, batch normalization at test time.
    """
    costs = _counts(measured, settings)  # which chance in a few units doesn't do
    layer = next((x for x in _off(measured, settings) if x.told_by >= settings.fewest or costs), None)
    if layer is None or not layer.momentum < settings.slow:
        return
    find = frozen_statistics.error if layer.momentum < settings.frozen else frozen_statistics.warning
    pace = (
        f"take in {layer.momentum:.2g} of a batch at each step and need {1 / layer.momentum:,.0f} steps to follow"
        if layer.momentum > NEVER
        else "don't move"
    )
    yield find(
        f"the running statistics of {layer.words} {pace}: in evaluation mode {layer.share:.0%} of its units stand off, "
        f"their means by {layer.shift:.2f} spreads and their spreads by a factor of {layer.stretch:.2f}.",
        where=layer.name,
        suggestion="Set the momentum to take in a tenth of each batch (momentum=0.1 in PyTorch, 0.9 in Keras), and see "
        "that the statistics are stored.",
        momentum=layer.momentum,
        share=layer.share,
        shift=layer.shift,
        stretch=layer.stretch,
    )


@rule
def train_eval_gap(measured: "Measurement", settings: "Settings") -> Iterator[Finding]:
    """Much of what training gains is lost in evaluation mode.

    What it finds: after some steps, on the very batches that were trained on and with dropout off, the loss in
    evaluation mode is higher than in training mode, by half of what training has gained or more, although running
    statistics had time to settle. A tenth is enough where a layer's statistics stay off for most of its units, though
    by its momentum they must have settled: they are not the layer's own.

    Why it matters: it is the mode that differs, not the data: this is no overfitting, and more data or regularization
    won't help. Batches that are too small, ordered by class, or normalized by other statistics are behind it, one
    normalization in two places, or a branch that computes something else in evaluation.

    What to try: compare both modes layer by layer on one batch; the table shows where they part. Shuffle, and look at
    batch size and momentum.

    When it is wrong: where training mode is easier on purpose, as with teacher forcing; without normalization over the
    batch it is a warning at most.

    References: CS231n, lecture 6, batch normalization, training against test time.
    """
    if not measured.gaps or not math.isfinite(measured.training_loss):
        return
    gap, gain, last = measured.gaps[-1], measured.gain, measured.evaluation_losses[-1]
    off = next(iter(_off(measured, settings)), None)
    stuck = _never_settles(measured, off, settings)
    if math.isfinite(gap) and not stuck and (not _counts(measured, settings) or _settling(off, settings.slow)):
        return
    late = _settling(off, settings.frozen)
    all_lost = stuck or (gap >= settings.all_lost * gain and measured.mixes_in_training and not late)
    find = train_eval_gap.error if all_lost or not math.isfinite(gap) else train_eval_gap.warning
    began = f" The modes part in {off.words}: {off.share:.0%} of its units stand off in evaluation." if off else ""
    yield find(
        f"after {measured.steps} steps the loss is {measured.training_loss:.4g} in training mode and {last:.4g} in "
        f"evaluation mode on the same batches, dropout off (it began at {measured.initial_loss:.4g}).{began}",
        where=off.name if off else "",
        suggestion="Compare both modes layer by layer on one batch; look at batch size, order and momentum.",
        initial_loss=measured.initial_loss,
        training_loss=measured.training_loss,
        evaluation_loss=last,
        lost=gap / gain if gain > 0 else math.nan,
    )


def _never_settles(measured: "Measurement", off: "Layer | None", settings: "Settings") -> bool:
    """Whether most units of a layer stay off, and cost something, though its momentum says that they have settled."""
    if off is None or off.share < settings.mostly or not off.momentum >= settings.slow or len(measured.gaps) < 2:
        return False
    before, gap = measured.gaps[-2:]
    left = (1 - off.momentum) ** (measured.settled[-1] - measured.settled[-2])
    costs = gap > NEGLIGIBLE * measured.gain and gap > settings.sigmas * measured.gap_error
    gained = measured.gain > settings.gained * abs(measured.initial_loss)
    closed_too_little = left < settings.mostly and gap > before * (1 + left) / 2  # less than half of what it should
    return costs and gained and closed_too_little


def _counts(measured: "Measurement", settings: "Settings") -> bool:
    """Whether the gap is large beside the gain, neither of them is chance, and it doesn't just close unseen."""
    if not measured.gaps:
        return False
    gap, gain = measured.gaps[-1], measured.gain
    gained = gain > settings.gained * abs(measured.initial_loss) and gain > settings.sigmas * measured.gain_error
    lost = gap >= settings.some_lost * gain and gap > settings.sigmas * measured.gap_error
    closing = not measured.over_batch and len(measured.gaps) > 1 and gap < SHRINKS * measured.gaps[-2]
    return gained and lost and not closing


def _settling(layer: "Layer | None", pace: float) -> bool:
    """Whether its running statistics are on their way, at this pace at least."""
    return layer is not None and layer.momentum >= pace


@certain
@rule
def zero_gamma(measured: "Measurement", settings: "Settings") -> Iterator[Finding]:
    """A normalization lets nothing through.

    What it finds: a normalization layer whose output is the same for all examples, though its input is not, in a
    network whose scores are the same for all examples too; at the start and still after some steps.

    Why it matters: a scale (gamma) of zero is a published start for the last normalization of a residual branch, which
    the input goes around. On the only path it cuts the network in two: no signal passes, and behind a ReLU, which has
    no gradient at zero, no gradient comes back to move it.

    What to try: start gamma at 1, and at 0 on residual branches alone.

    When it is wrong: where the examples looked at differ in nothing that matters; raise `steps` if the scale is about
    to grow.

    References: Goyal et al. 2017, section 5.1; CS231n, lecture 6, batch normalization: "gamma and beta".
    """
    if measured.constant and not (measured.at_start.vary or measured.after.vary):
        yield zero_gamma.error(
            f"the output of {measured.constant[0]} is the same for all examples, at the start and after "
            f"{measured.steps} steps, and so are the scores: nothing goes around it.",
            where=measured.constant[0],
            suggestion="Start its scale (gamma) at 1.",
            layers=list(measured.constant),
        )


@rule
def redundant_bias(measured: "Measurement", settings: "Settings") -> Iterator[Finding]:
    """A bias right before batch normalization does nothing.

    What it finds: a bias of a linear layer that feeds a normalization over the batch, and whose gradient is zero.

    Why it matters: the batch's mean is taken off, and the bias with it; the shift behind it (beta) takes its place. It
    costs a little memory, and nothing else.

    What to try: leave the bias out (`bias=False` in PyTorch).

    When it is wrong: where the bias is used by something else as well, which a gradient near zero did not show.

    References: Ioffe and Szegedy 2015, section 3.2.
    """
    idle = [layer for layer in measured.over_batch if layer.bias and layer.bias_gradient < settings.no_gradient]
    if idle:
        names = ", ".join(layer.bias for layer in idle)
        yield redundant_bias.info(
            f"{names}: no effect, since {idle[0].words} takes the batch's mean off right behind "
            f"{'it' if len(idle) == 1 else 'the first, and so on'}.",
            where=idle[0].bias,
            suggestion="Leave such biases out (bias=False in PyTorch); the normalization has a shift of its own.",
            biases=[layer.bias for layer in idle],
        )

"""Rules of `check-data` about the targets: in range, all classes there, of a size to reach, in no order."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from babysit.check import certain, rule
from babysit.checks.check_data.summaries import some
from babysit.report import Finding

if TYPE_CHECKING:
    from babysit.checks.check_data.schema import Measurement, Settings


@certain
@rule
def labels_out_of_range(measured: "Measurement", settings: "Settings") -> Iterator[Finding]:
    """Some labels are no class, or some tokens no word.

    What it finds: class labels below 0, beyond the last class, or with decimals; answers other than 0 and 1 where the
    loss asks for yes or no; tokens below 0 or beyond the vocabulary.

    Why it matters: an index below 0 counts from the end, in NumPy and in Python, and trains another class without a
    word. A binary cross-entropy with labels 1 and 2, or -1 and 1, has no floor, and the loss falls for ever.

    What to try: count classes from 0; map yes and no to 1 and 0; let the tokenizer's vocabulary and the model's be one.

    When it is wrong: where a number of its own marks what the loss leaves out. -100 is known; another one, such as -1
    or 255 beside classes that are all there, is a warning.

    References: CS231n, course notes "linear classification", the softmax classifier.
    """
    for labels in measured.labels:
        if labels.outside:
            range_ = (
                "are 0 and 1" if labels.classes == 2 and not labels.counts else f"go from 0 to {labels.classes - 1}"
            )
            find = labels_out_of_range.warning if labels.marked else labels_out_of_range.error
            which = f"{labels.example:g}, all of them" if labels.marked else f"{labels.example:g}, for one"
            yield find(
                f"{labels.outside} of {labels.examples} labels of the {labels.split} split are no class: {which}; "
                f"classes {range_}.",
                where=f"{labels.split} targets",
                suggestion="See that the loss leaves them out." if labels.marked else "Count classes from 0.",
                outside=labels.outside,
                label=labels.example,
            )
    words = next((labels.classes for labels in measured.labels), 0) if measured.is_text else 0
    for leaf in measured.inputs:
        if leaf.ids and words and (leaf.least < 0 or leaf.most >= words):
            find = labels_out_of_range.error if leaf.least < 0 else labels_out_of_range.warning
            yield find(
                f"tokens of the {leaf.split} split go from {leaf.least:g} to {leaf.most:g}; the scores know {words} "
                "words, from 0.",
                where=f"{leaf.split} {leaf.name}",
                suggestion="Use one vocabulary for the tokenizer and the model.",
                least=leaf.least,
                most=leaf.most,
            )


@certain
@rule
def missing_classes(measured: "Measurement", settings: "Settings") -> Iterator[Finding]:
    """Some classes hardly ever come in training.

    What it finds: classes that the scores know and of which the training split has no example, or less than a hundredth
    of an equal share; or one class alone.

    Why it matters: a class without examples is never predicted, and its score only ever falls. Where one class is all
    there is the loss falls to 0 and the accuracy is perfect, and nothing was learned: labels were divided, cut to
    integers, or overwritten.

    What to try: count the labels at the very end of the preprocessing; shuffle ahead of splitting.

    When it is wrong: where the scores have spare places on purpose, or the examples looked at are too few; raise
    `examples`.

    References: CS231n, lecture 6, "look at your data".
    """
    train, val = measured.labelled("train"), measured.labelled("val")
    if train is None or not measured.telling(train):
        return
    counts = {k: count for k, count in enumerate(train.counts) if k != train.ignored}
    total, fair = sum(counts.values()), sum(counts.values()) / len(counts)
    if fair < 1:
        return  # a handful of examples to try the program with
    absent = [k for k, count in counts.items() if count == 0]
    wanted = [k for k in absent if val is not None and val.counts[k]]
    if len(absent) == len(counts) - 1:
        label = train.least if train.least == train.most else next(k for k, n in enumerate(train.counts) if n)
        yield missing_classes.error(
            f"each of {total} training labels is {label:g}.",
            where="train targets",
            suggestion="Count the labels at the very end of the preprocessing.",
            classes=train.classes,
        )
    elif absent:
        find = missing_classes.error if wanted else missing_classes.warning
        also = f"; the validation split has {some(wanted)}" if wanted else ""
        yield find(
            f"{total} training labels hold no example of {len(absent)} of {len(counts)} classes: {some(absent)}{also}.",
            where="train targets",
            suggestion="Shuffle ahead of splitting, and give the network as many scores as there are classes.",
            missing=[str(k) for k in absent[:20]],
        )
    elif fair >= 1 / settings.hardly and min(counts.values()) < settings.hardly * fair:
        rare = [k for k, count in counts.items() if count < settings.hardly * fair]
        rarest = min(counts, key=counts.__getitem__)
        yield missing_classes.warning(
            f"of {total} training labels, {counts[rarest]} are of class {rarest}; an equal share would be {fair:.0f}.",
            where="train targets",
            suggestion="Collect more of them, draw them more often, or weigh them in the loss.",
            rare=[str(k) for k in rare[:20]],
        )


@rule
def class_imbalance(measured: "Measurement", settings: "Settings") -> Iterator[Finding]:
    """A few classes hold nearly all of the examples.

    What it finds: training labels whose entropy is less than half of what equal shares would have: 9 to 1, for two
    classes.

    Why it matters: predicting the commonest class is right most of the time, so the accuracy starts high and says
    little; the first loss of equal scores is still ln C, and the first thing learned is how often each class comes.
    A loss near the entropy of the labels means that nothing else was learned.

    What to try: start the last bias at the log of the frequencies; watch precision and recall, class by class; weigh
    the loss or draw rare classes more often.

    When it is wrong: where such data is what there is, and the program knows it: a first loss at the entropy of the
    labels lowers this finding.

    References: CS231n, course notes "neural networks 3", sanity checks; Lin et al., "Focal loss" (2017), 3.3, for the
    prior in the bias.
    """
    train = measured.labelled("train")
    if train is None or not measured.telling(train):
        return
    present = sum(count > 0 for count in train.counts)
    if present > 1 and train.entropy < settings.imbalance * math.log(present):
        share = max(train.counts) / sum(train.counts)
        yield class_imbalance.warning(
            f"{share:.1%} of the training labels are {train.counts.index(max(train.counts))}: always answering that is "
            f"right so often, and knowing nothing but the frequencies costs {train.entropy:.3g} (ln {present} is "
            f"{math.log(present):.3g}).",
            where="train targets",
            suggestion="Start the last bias at the log of the frequencies, and watch each class by itself.",
            share=share,
            entropy=train.entropy,
        )


@rule
def targets_badly_scaled(measured: "Measurement", settings: "Settings") -> Iterator[Finding]:
    """The targets of a regression are far from size 1.

    What it finds: numbers to be predicted whose root mean square is many times 1, or a small fraction of it; several
    outputs of one error whose ranges differ by a factor of 10, or 100 for an error.

    Why it matters: a fresh network answers about 0, give or take 1. Targets of 100 must be reached by the last bias
    and weights alone, at a thousandth a step under Adam; squared errors of 10,000 throw plain gradient descent off.
    Targets of a thousandth make a loss of a millionth, which looks learned from the start. Of outputs that differ by a
    factor of 100, the smaller one has a ten-thousandth of the squared error, and is as good as left out.

    What to try: standardize the targets by the training split's mean and spread, and undo it in the predictions; or
    start the last bias at their mean.

    When it is wrong: where the learning rate was chosen for them: a network that memorizes 20 examples at it lowers
    the warning. Where the loss weighs its outputs.

    References: CS231n, course notes "neural networks 2", regression; LeCun et al., "Efficient BackProp" (1998), 4.5.
    """
    for leaf in measured.targets if measured.is_regression else ():
        off = max(leaf.size, 1 / leaf.nonzero_size if leaf.nonzero_size > 0 else 0.0)
        if leaf.split == "train" and math.isfinite(off) and off >= settings.large:
            yield targets_badly_scaled.warning(
                f"the {leaf.name} are {leaf.mean:.3g} ± {leaf.spread:.3g}; a fresh network answers about 0 ± 1.",
                where=leaf.name,
                suggestion="Standardize the targets by the training split's mean and spread.",
                size=leaf.size,
            )
        apart = leaf.widest_range / leaf.narrowest_range if leaf.narrowest_range > 0 else math.nan
        if leaf.split == "train" and len(leaf.shape) == 1 and apart >= settings.scales:
            find = targets_badly_scaled.error if apart >= settings.far_scales else targets_badly_scaled.warning
            yield find(
                f"output {leaf.widest} of the {leaf.name} has a range of {leaf.widest_range:.3g}, output "
                f"{leaf.narrowest} one of {leaf.narrowest_range:.3g}: of a squared error they have shares like "
                f"{apart**2:.2g} to 1.",
                where=f"{leaf.name}[{leaf.narrowest}]",
                suggestion="Standardize each output by the training split's mean and spread, or weigh the errors.",
                apart=apart,
            )


@certain
@rule
def unshuffled_batches(measured: "Measurement", settings: "Settings") -> Iterator[Finding]:
    """Training examples come in the order of their targets.

    What it finds: batches whose targets resemble one another far more than those of other batches: sorted by class, or
    by the number to be predicted.

    Why it matters: a gradient is an estimate for the whole data only if its batch is a sample of it. In sorted data the
    network learns each class while it forgets the one before; the loss falls within a class and jumps at the next.

    What to try: `shuffle=True`, or a permutation drawn anew for each epoch.

    When it is wrong: where a group is what the loss needs (a query's documents, one video). An order that is fixed, but
    was random once, is fine and isn't found.

    References: CS231n, course notes "optimization", mini-batch gradient descent; LeCun et al., "Efficient BackProp"
    (1998), 4.2.
    """
    order = measured.order
    if order is None:
        return
    train, val = measured.labelled("train"), measured.labelled("val")
    if order.alike and train is not None and "train" not in measured.whole:
        others = val is not None and sum(count > 0 for count in val.counts) > 1
        find = unshuffled_batches.error if others else unshuffled_batches.warning
        yield find(
            f"the first {sum(train.counts)} training labels are all the same.",
            where="train targets",
            suggestion="Shuffle the training examples.",
        )
    elif order.share >= settings.partly_ordered and order.sigmas >= settings.sigmas:
        find = unshuffled_batches.error if order.share >= settings.ordered else unshuffled_batches.warning
        yield find(
            f"{order.share:.0%} of the targets' variance lies between the {order.batches} batches, beyond what chance "
            "puts there: they come in an order.",
            where="train targets",
            suggestion="Shuffle the training examples: `shuffle=True`.",
            share=order.share,
            sigmas=order.sigmas,
        )

"""Rules of `check-data` about the inputs: finite, varying, of one scale, centered, not scaled batch by batch."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from babysit.check import certain, rule
from babysit.checks.check_data.summaries import Leaf
from babysit.measuring.significance import chi2_lower_tail
from babysit.report import Finding

if TYPE_CHECKING:
    from babysit.checks.check_data.schema import Measurement, Settings


def _feature(leaf: Leaf, index: int) -> str:
    return f"{'channel' if leaf.are_channels else 'column'} {index}"


@certain
@rule
def inputs_not_finite(measured: "Measurement", settings: "Settings") -> Iterator[Finding]:
    """Some inputs or targets are NaN or infinite.

    What it finds: examples, in either split, with a value that is no finite number.

    Why it matters: one NaN makes the loss NaN, and one step later every weight. Nothing brings them back.

    What to try: find the examples, then drop them, or fill the gaps with the column's mean over the training split (and
    add a column that says where). Infinities come from logarithms of 0 and divisions by a spread of 0.

    When it is wrong: where the program masks such values itself before the network sees them.

    References: CS231n, lecture 6, data preprocessing; scikit-learn, "Imputation of missing values".
    """
    for leaf in (*measured.inputs, *measured.targets):
        if leaf.not_finite:
            yield inputs_not_finite.error(
                f"{leaf.not_finite} of {leaf.examples} examples of the {leaf.split} split have a NaN or an infinity in "
                f"the {leaf.name}.",
                where=f"{leaf.split} {leaf.name}",
                suggestion="Drop these examples, or fill the gaps with the column's mean over the training split.",
                examples=leaf.not_finite,
            )


@certain
@rule
def constant_features(measured: "Measurement", settings: "Settings") -> Iterator[Finding]:
    """Much of the input never varies.

    What it finds: elements of the inputs (columns, pixels) that are the same in every training example; all of them, or
    a large share.

    Why it matters: what does not vary says nothing. Where nothing varies the network can only learn how often each
    target comes: an integer division that makes every pixel 0, a column read where another was meant.

    What to try: print two inputs side by side, at the very end of the preprocessing.

    When it is wrong: black borders of images, and words of a vocabulary that the examples looked at don't use, do no
    harm; raise `examples`.

    References: CS231n, lecture 6, data preprocessing.
    """
    for leaf in measured.training():
        if leaf.constant >= settings.constant and leaf.examples > 1:
            find = constant_features.error if leaf.constant == 1 else constant_features.warning
            share = "all" if leaf.constant == 1 else f"{leaf.constant:.0%}"
            yield find(
                f"{share} of the elements of the {leaf.name} are the same in each of {leaf.examples} examples.",
                where=leaf.name,
                suggestion="Print two inputs side by side, at the very end of the preprocessing.",
                share=leaf.constant,
            )


@rule
def feature_scales_differ(measured: "Measurement", settings: "Settings") -> Iterator[Finding]:
    """The features have very different scales.

    What it finds: a column whose spread and range are many times those of the middle one (of a channel, its spread); or
    a column whose values move in a range many times smaller than the middle one's.

    Why it matters: the large column decides every score, and the learning rate that suits it is many times too low for
    the others: gradient descent crawls along a narrow valley, however long it runs.

    What to try: `x = (x - mean) / std`, column by column, by the statistics of the training split. Pixels are alike
    and need it per channel at most.

    When it is wrong: where the scale says how much a column matters; where the network begins with batch norm.

    References: CS231n, lecture 6 and course notes "neural networks 2", normalization; LeCun et al., "Efficient
    BackProp" (1998), 4.3.
    """
    for leaf in measured.training():
        wide, narrow = _ratios(leaf)
        if wide >= settings.scales:
            find = feature_scales_differ.error if wide >= settings.far_scales else feature_scales_differ.warning
            message = (
                f"{_feature(leaf, leaf.widest)} of the {leaf.name} has a spread of {leaf.widest_spread:.3g}, the "
                f"middle one {leaf.usual_spread:.3g}: {wide:.3g} times as much."
            )
        elif narrow >= settings.far_scales:
            find = feature_scales_differ.warning
            message = (
                f"{_feature(leaf, leaf.narrowest)} of the {leaf.name} moves in a range of {leaf.narrowest_range:.3g}, "
                f"the middle one in {leaf.usual_range:.3g}: {narrow:.3g} times as much."
            )
        else:
            continue
        yield find(
            message,
            where=leaf.name,
            suggestion="Standardize each column by the training split's mean and spread.",
            ratio=max(wide, narrow),
        )


def _ratios(leaf: Leaf) -> tuple[float, float]:
    """How many times the widest feature's scale is the middle one's, and the middle one's the narrowest's; or 1, 1.

    A wide column must be so by its spread and by its range: that of a common word, or of a yes as frequent as a no, is
    many times the spread of a rare one's, and both go from 0 to 1.
    """
    ratios = leaf.widest_spread, leaf.usual_spread, leaf.widest_range, leaf.usual_range, leaf.narrowest_range
    if leaf.are_channels and leaf.features > 1 and leaf.usual_spread > 0:
        return leaf.widest_spread / leaf.usual_spread, 1.0
    if leaf.are_channels or leaf.features < 2 or not all(0 < ratio < math.inf for ratio in ratios):
        return 1.0, 1.0
    wide = min(leaf.widest_spread / leaf.usual_spread, leaf.widest_range / leaf.usual_range)
    return wide, leaf.usual_range / leaf.narrowest_range


@rule
def inputs_badly_scaled(measured: "Measurement", settings: "Settings") -> Iterator[Finding]:
    """The inputs are far too large, or far too small.

    What it finds: inputs whose root mean square is far from 1: raw pixels up to 255, metres, or pixels divided by 255
    twice. Of small inputs, zeros are left out: words and black pixels are mostly that.

    Why it matters: initial weights and usual learning rates are made for inputs of size 1. A hundred times larger ones
    make first scores a hundred times too sure, and steps ten thousand times too long for the curvature.

    What to try: divide pixels by 255 once; standardize tables by the statistics of the training split.

    When it is wrong: where the network scales them itself (a first layer of batch norm, a division in `forward`): the
    finding is then lowered.

    References: CS231n, lecture 6, data preprocessing; LeCun et al., "Efficient BackProp" (1998), 4.3.
    """
    for leaf in measured.training():
        inverse = 1 / leaf.nonzero_size if leaf.nonzero_size > 0 else 0.0
        off = max(leaf.size, inverse)
        if not off >= settings.large:
            continue
        find = inputs_badly_scaled.error if off >= settings.huge else inputs_badly_scaled.warning
        small = inverse > leaf.size
        size = f"{leaf.nonzero_size:.3g} where they aren't 0" if small else f"{leaf.size:.3g}"
        yield find(
            f"the {leaf.name} have a root mean square of {size} (from {leaf.least:.4g} to {leaf.most:.4g}); initial "
            "weights and usual learning rates are made for 1.",
            where=leaf.name,
            suggestion="Divide pixels by 255 once; standardize tables by the training split's mean and spread.",
            size=leaf.nonzero_size if small else leaf.size,
        )


@rule
def inputs_not_centered(measured: "Measurement", settings: "Settings") -> Iterator[Finding]:
    """The inputs are not centered.

    What it finds: features whose means are large against their spreads. The scale doesn't matter here: pixels from 0
    to 1 and from 0 to 255 are off center alike.

    Why it matters: what happens when the input of a neuron is always positive? The gradients on its weights are all of
    one sign, and the weights can only zigzag to where they should be (the lecture). Along the common mean the loss is
    many times as curved as along anything that tells examples apart.

    What to try: subtract the training split's mean, per column, per channel or per pixel, from both splits.

    When it is wrong: images from 0 to 1 are learned well all the same, as a rule; where the network begins with batch
    norm.

    References: CS231n, lecture 6, "zero-centered data"; LeCun et al., "Efficient BackProp" (1998), 4.3.
    """
    for leaf in measured.training():
        ratio = leaf.offset / leaf.spread if leaf.spread > 0 else math.nan
        if not settings.off_center <= ratio < math.inf:
            continue
        find = inputs_not_centered.info
        if ratio >= settings.far_off_center:
            far = ratio >= settings.out_of_center
            find = inputs_not_centered.error if far else inputs_not_centered.warning
        yield find(
            f"the features of the {leaf.name} have means of {leaf.offset:.3g} and spreads of {leaf.spread:.3g} (root "
            f"mean squares): {ratio**2 / (1 + ratio**2):.1%} of their power is the same in all examples.",
            where=leaf.name,
            suggestion="Subtract the training split's mean from both splits.",
            ratio=ratio,
        )


@certain
@rule
def per_batch_preprocessing(measured: "Measurement", settings: "Settings") -> Iterator[Finding]:
    """Inputs are scaled by the statistics of their own batch.

    What it finds: batches whose means, of each feature or of all features together, vary far less than those of random
    batches must. Batches that are stretched by their own extremes are not found.

    Why it matters: an example then looks different in every batch, by what happens to stand beside it; at test time,
    alone or in another batch, it is another input. Statistics are taken once, over the training split ("we
    don't do this per batch", the lecture).

    What to try: compute mean and spread once, ahead of training, and use them for every batch and both splits.

    When it is wrong: where batches are drawn so that each holds the same mixture to the last digit.

    References: CS231n, lecture 6 and course notes "neural networks 2", data preprocessing.
    """
    for leaf in measured.training():
        k, r = leaf.batches - 1, leaf.batch_variation
        if not (k >= 1 and r <= settings.batch_variation):
            continue
        if chi2_lower_tail(k * r, k) <= settings.unlikely:
            yield per_batch_preprocessing.error(
                f"the means of {leaf.batches} batches of the {leaf.name} vary by {max(r, 0.0):.2g} of what random "
                "batches do: each batch is centered by itself.",
                where=leaf.name,
                suggestion="Take mean and spread once, over the training split, for every batch and both splits.",
                variation=r,
            )

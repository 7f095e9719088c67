"""What `check-init` finds."""

import math
from collections.abc import Iterator

from babysit.check import rule
from babysit.checks.check_init.schema import Measurement, Settings
from babysit.measuring.weights import Weight
from babysit.report import Finding


def _overflowed(measured: Measurement) -> str:
    """Name of the first layer whose outputs are not finite; empty if there is none."""
    return next((layer.name for layer in measured.at_start if not math.isfinite(layer.size)), "")


def _growth(measured: Measurement) -> float:
    """What the last linear layer is fed over the inputs, or over the first outputs in a network with norms.

    Infinite where it has overflowed.
    """
    if _overflowed(measured):
        return math.inf
    signals = measured.signals
    base = signals.outputs[0] if measured.normalized and signals.outputs else signals.inputs
    return signals.last / max(1.0, base)


def _at_the_end(measured: Measurement) -> str:
    """How far the signal has grown, in words."""
    if overflowed := _overflowed(measured):
        return f"The outputs of {overflowed} are not finite."
    signals = measured.signals
    seen = f", the inputs by {signals.inputs:.3g}" if math.isfinite(signals.inputs) else ""
    return f"What {signals.end} is fed varies by {signals.last:.3g} over the examples{seen}."


def _felt(weights: tuple[Weight, ...]) -> float:
    """What the loss feels of the first layers over what it feels of the last; NaN where unknown.

    A quarter of them, or three, and the most that is felt of any: the loss may well feel little of one alone, such as
    the queries of a small attention, or a head of little weight.
    """
    felt = [weight.sensitivity for weight in weights if math.isfinite(weight.sensitivity) and weight.spread > 0]
    n = len(felt)
    if n < 3:
        return math.nan
    early = max(felt[: max(n // 4, min(3, (n + 1) // 2))])
    late = max(felt[-max(n // 4, min(3, n // 2)) :])
    if early == late == 0:
        return math.nan
    return early / late if late > 0 else math.inf


def _off(measured: Measurement, settings: Settings) -> list[Weight]:
    """Hidden layers whose weights are far from what their nonlinearity asks for, where no norm makes that good."""
    hidden = (weight for weight in measured.weights if weight.followed_by not in ("", "norm"))
    return [w for w in hidden if w.spread > 0 and abs(math.log(w.scale)) >= math.log(settings.off_scale)]


def _what_it_should_be(weights: list[Weight]) -> str:
    first = weights[0]
    others = f" {len(weights) - 1} more are off as well." if len(weights) > 1 else ""
    inputs = "1 input" if first.fan_in == 1 else f"{first.fan_in} inputs"
    return (
        f"{first.name} has a spread of {first.spread:.3g}; {first.scheme} gives {first.wanted:.3g} for {inputs} ahead "
        f"of {first.followed_by}.{others}"
    )


def _mis_scaled(weights: list[Weight], what: str) -> Finding:
    first = weights[0]
    return mis_scaled_weights.error(
        f"{_what_it_should_be(weights)} {what}",
        where=first.name,
        suggestion=f"Use a spread of {first.wanted:.3g} there.",
        spread=first.spread,
        wanted=first.wanted,
    )


@rule
def symmetric_weights(measured: Measurement, settings: Settings) -> Iterator[Finding]:
    """All units of a layer have the same weights.

    What it finds: hidden layers whose units all have the same weights at initialization, and still after some steps:
    all zeros, or one constant.

    Why it matters: units with the same weights give the same output and get the same gradient: they will all update in
    the same way, for ever. A layer of a thousand is then one unit, a thousand times; and where the weights are 0 no
    gradient passes at all.

    What to try: small random numbers (He for ReLU, Xavier for tanh). Zero biases are fine.

    When it is wrong: last layers and residual branches may start at zero: the first step tells their units apart, and
    nothing is found.

    References: CS231n, lecture 6, "what happens when W = 0 init is used?"; course notes "neural networks 2".
    """
    later = {weight.name: weight for weight in measured.weights_after}
    found = [
        weight
        for weight in measured.weights
        if weight.alike and weight.followed_by and later.get(weight.name, weight).alike
    ]
    if found:
        first = found[0]
        others = f" So in {', '.join(weight.name for weight in found[1:5])}." if found[1:] else ""
        yield symmetric_weights.error(
            f"all {first.units} units behind {first.name} have the same weights, at initialization and after "
            f"{measured.steps} steps.{others}",
            where=first.name,
            suggestion="Start from small random weights: He's initialization for ReLU, Xavier's for tanh.",
            units=first.units,
            spread=first.spread,
        )


@rule
def mis_scaled_weights(measured: Measurement, settings: Settings) -> Iterator[Finding]:
    """The initial weights are far too small or too large for their nonlinearity.

    What it finds: hidden layers whose weights are several times narrower or wider than He's or Xavier's initialization,
    in a network whose activations show it: they die out, explode or saturate.

    Why it matters: each layer multiplies its signal by the root of its inputs times the spread of its weights. A
    factor that is a little off, to the power of the depth, is all or nothing.

    What to try: a spread of sqrt(2 / inputs) ahead of ReLU and its kin, sqrt(1 / inputs) ahead of tanh; or batch norm,
    which makes it matter less.

    When it is wrong: residual branches and normalized layers may have any scale; they are not named.

    References: CS231n, lecture 6, weight initialization; Glorot & Bengio (2010); He et al. (2015).
    """
    off = _off(measured, settings)
    narrow, wide = [w for w in off if w.scale < 1], [w for w in off if w.scale > 1]
    if narrow and measured.signals.left < settings.shrunk and measured.signals_after.left < settings.shrunk:
        yield _mis_scaled(narrow, "The signal dies out on its way.")
    shares = {layer.name: layer.saturated for layer in measured.at_start}
    shut = [w for w in wide if shares.get(w.ahead_of, 0.0) >= settings.saturated and w.scale >= w.fed]
    growth = _growth(measured)
    if shut:
        yield _mis_scaled(shut, f"{shares[shut[0].ahead_of]:.0%} of the outputs of {shut[0].ahead_of} are saturated.")
    elif math.prod(w.scale for w in wide) >= settings.too_wide and growth >= settings.amplified:
        yield _mis_scaled(wide, _at_the_end(measured))


@rule
def shrinking_activations(measured: Measurement, settings: Settings) -> Iterator[Finding]:
    """The signal dies out on its way through the layers.

    What it finds: what the last linear layer is fed varies a thousand times less from example to example than the
    outputs of the first nonlinearity, at initialization and still after some steps.

    Why it matters: all activations become zero (or one constant), and with them the gradients on the weights: these are
    products of what comes from below and what comes from above. The network can only learn a constant.

    What to try: Xavier's initialization for tanh, He's for ReLU; fewer sigmoids; residual connections or batch norm.

    When it is wrong: deep networks that the first steps wake up are warned of only; they learn, with a delay. Layers
    that start at exactly zero and wake up were meant to, and are not found.

    References: CS231n, lecture 6, "all activations become zero"; Glorot & Bengio (2010).
    """
    start, after = measured.signals, measured.signals_after
    stays = after.left < settings.shrunk
    if not start.left < settings.shrunk or (start.last == 0 and after.left >= settings.shrunk):
        return
    find = shrinking_activations.error if stays else shrinking_activations.warning
    then = f"{after.left:.1g} after {measured.steps} steps" if math.isfinite(after.left) else "unknown later"
    yield find(
        f"over the examples, the outputs of {measured.at_start[0].name} vary by {start.outputs[0]:.2g} and what "
        f"{start.end} is fed by {start.last:.2g}: {start.left:.1g} of the signal is left, and {then}.",
        where=start.end,
        suggestion="Initialize for the nonlinearity: Xavier for tanh, He for ReLU.",
        signals=list(start.outputs),
    )


@rule
def exploding_activations(measured: Measurement, settings: Settings) -> Iterator[Finding]:
    """The activations grow from layer to layer.

    What it finds: what the last linear layer is fed varies a hundred or a thousand times as much from example to
    example as the inputs do, or overflows.

    Why it matters: the scores are as many times too large, so the first loss is, too, and the gradient; the first
    updates throw the weights somewhere else, or to infinity.

    What to try: He's initialization for ReLU, Xavier's for tanh; residual branches that start small; batch norm.

    When it is wrong: where a small last layer brings the scores back to size.

    References: CS231n, lecture 6, weight initialization; He et al. (2015).
    """
    growth, signals = _growth(measured), measured.signals
    if not settings.grown <= growth:
        return
    find = exploding_activations.error if growth >= settings.exploded else exploding_activations.warning
    yield find(
        _at_the_end(measured),
        where=_overflowed(measured) or signals.end,
        suggestion="Initialize for the nonlinearity: He for ReLU, Xavier for tanh.",
        signals=list(signals.outputs),
    )


@rule
def vanishing_gradient(measured: Measurement, settings: Settings) -> Iterator[Finding]:
    """The gradient does not reach the first layers.

    What it finds: first layers whose weights matter ten thousand times less to the loss than those of the last ones, at
    initialization and after some steps. Sizes are taken out: a layer counts by |w| times |dL/dw|.

    Why it matters: every sigmoid divides the gradient by 4 at least, every saturated or dead unit by infinity. What
    arrives at the first layers does not move them: the last layers learn on random features.

    What to try: ReLU or tanh in place of sigmoids, initialization made for it, fewer layers, residual connections.

    When it is wrong: zero-initialized branches pass no gradient at first; they do after some steps, and are not found.

    References: CS231n, lecture 6, sigmoid; Glorot & Bengio (2010); Hochreiter (1991).
    """
    start, after = _felt(measured.weights), _felt(measured.weights_after)
    if start < settings.vanishing and after < settings.vanishing and measured.inputs != 0:
        yield vanishing_gradient.error(
            f"the loss feels a change of the first layers' weights {start:.1g} times as much as one of the last "
            f"layers', and {after:.1g} times after {measured.steps} steps.",
            where=measured.weights[0].name,
            suggestion="Replace sigmoids by ReLU, initialize for it, or add residual connections.",
            sensitivities=[weight.sensitivity for weight in measured.weights],
        )


@rule
def exploding_gradient(measured: Measurement, settings: Settings) -> Iterator[Finding]:
    """The gradient grows on its way down to the first layers.

    What it finds: first layers whose weights matter ten thousand times more to the loss than those of the last ones, at
    initialization and after some steps.

    Why it matters: any learning rate that moves the last layers throws the first ones away; the smallest change of an
    input changes every score.

    What to try: smaller initial weights, orthogonal ones in recurrent networks, gradient clipping, normalization.

    When it is wrong: where the last layers are frozen, or meant to learn much more slowly.

    References: CS231n, lecture 10, vanilla RNN gradient flow; Pascanu et al. (2013).
    """
    start, after = _felt(measured.weights), _felt(measured.weights_after)
    if start >= settings.exploding and after >= settings.exploding and math.isfinite(start):
        yield exploding_gradient.error(
            f"the loss feels a change of the first layers' weights {start:.1g} times as much as one of the last "
            f"layers', and {after:.1g} times after {measured.steps} steps.",
            where=measured.weights[0].name,
            suggestion="Use smaller initial weights, and clip the gradient.",
            sensitivities=[weight.sensitivity for weight in measured.weights],
        )

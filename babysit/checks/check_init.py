"""Do the initial weights hand signal and gradient on, through all layers?

The lecture's table: mean and spread of every layer's activations at initialization, with the gradient's spread beside
it, and one histogram a layer (CS231n, lecture 6, "weight initialization"). What the first steps put right by themselves
is told apart from what stays.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from babysit.check import rule, setting
from babysit.driving.budget import EVALUATION, Needs, evaluations
from babysit.errors import Skip
from babysit.measuring.layers import histograms, layers, nonlinearities
from babysit.measuring.reductions.plain import BOUNDED, RECTIFIED
from babysit.measuring.unit_statistics import LayerSummary, UnitStatistics
from babysit.measuring.weights import Weight, looked_at
from babysit.report import Exhibit, Fact, Finding, Histograms, Table

if TYPE_CHECKING:
    from babysit.driving.bench import Bench
    from babysit.measuring.layers import Layers

ORDER = 20
BLOCKED_BY = ("state-not-restored", "ranks-diverge", "inputs-not-finite")
ROUNDING = 1e-5  # share of the power, from where single precision tells a variance from nothing, to a tenth
RANGE = 6.0  # spreads between the largest and the smallest of some hundred normal numbers
LARGE = 1e6  # size that outputs reach by growing alone; what isn't finite behind such a layer has overflowed


@dataclass(frozen=True)
class Settings:
    """Settings of `check-init`."""

    examples: int = setting(512, "training examples traced", least=2, option=True, measures=True)
    steps: int = setting(
        50, "updates at the user's learning rate, behind which the layers are looked at again", least=1, measures=True
    )
    shrunk: float = setting(
        1e-3, "what the last linear layer is fed over what the first nonlinearity gives (1 at most), both by how much "
        "they vary from example to example, under which the signal shrinks: the weights in between get gradients a "
        "thousandth of what they should be, since these are products of the two", above=0.0, most=1.0,
    )  # fmt: skip
    grown: float = setting(
        100.0, "what the last linear layer is fed over the inputs (1 at least), by how much they vary, from where the "
        "signal explodes, for a warning: scores come out as many times too sure", above=1.0,
    )  # fmt: skip
    exploded: float = setting(1000.0, "the same, for an error", above=1.0)
    off_scale: float = setting(
        3.0, "weights' spread over that of He or Xavier (or its inverse), from where a layer is named; usual schemes "
        "(LeCun, Glorot for ReLU, PyTorch's default) lie within 2.5", above=1.0,
    )  # fmt: skip
    too_wide: float = setting(
        9.0, "product of these ratios over all hidden layers that are too wide, from where they are an error if the "
        "signal shows it: two layers at the limit", above=1.0,
    )  # fmt: skip
    amplified: float = setting(
        10.0,
        "growth of the signal, as in `grown`, that shows it: a softmax of scores ten times too large is 0 or 1",
        above=1.0,
    )
    saturated: float = setting(
        0.5, "share of a bounded layer's outputs, saturated, that shows it, too: most examples pass no gradient",
        above=0.0, most=1.0,
    )  # fmt: skip
    vanishing: float = setting(
        1e-4, "what the loss feels of the first layers' weights over what it feels of the last ones', under which the "
        "gradient vanishes; in a network of rectifiers without biases it is 1 at every depth, by Euler's theorem on "
        "homogeneous functions", above=0.0, most=1.0,
    )  # fmt: skip
    exploding: float = setting(
        1e4, "the same, from where the gradient explodes on its way down", above=1.0,
    )  # fmt: skip


def needs(settings: Settings, batch: int) -> Needs:
    """Two traces of the examples with gradients, a step each, and the updates between them."""
    return Needs(*(settings.steps + 2 * evaluations(settings.examples, batch) / EVALUATION + 2,) * 2)


@dataclass(frozen=True)
class Signals:
    """By how much what flows varies from example to example: the root of the units' mean variance.

    Args:
        inputs: What the first linear layer is fed; NaN where that wasn't seen.
        outputs: Those of each nonlinearity, in the order of the forward pass.
        last: What the last linear layer is fed.
        end: Name of that layer, or of the last nonlinearity where no linear layer's inputs were seen.
    """

    inputs: float
    outputs: tuple[float, ...]
    last: float
    end: str

    @property
    def left(self) -> float:
        """What is left of the signal at the end, of the first nonlinearity's or 1; NaN where there was none."""
        first = self.outputs[0] if self.outputs else math.nan
        return self.last / min(first, 1.0) if first > 0 else math.nan


@dataclass(frozen=True)
class Measurement:
    """The layers at initialization, and what became of them in the first steps.

    Args:
        examples: Examples traced.
        steps: Updates made.
        inputs: What the first linear layer is fed: root mean square; NaN where that wasn't seen.
        opening: Kinds of the layers up to the first nonlinearity.
        normalized: Whether any normalization layer was seen.
        at_start: Nonlinearities at initialization, in the order of the forward pass.
        gradients: Spread of the gradient at each nonlinearity's output; NaN where it isn't shown.
        signals: How the signal fares at initialization.
        signals_after: The same after the steps.
        edges: Edges of the histograms' bins.
        histograms: Counts of some of each nonlinearity's outputs, a rectifier's zeros left out.
        weights: Weights of the linear layers at initialization; none where the trainer can't name them.
        weights_after: The same after the steps.
    """

    examples: int
    steps: int
    inputs: float
    opening: tuple[str, ...]
    normalized: bool
    at_start: tuple[LayerSummary, ...]
    gradients: tuple[float, ...]
    signals: Signals
    signals_after: Signals
    edges: tuple[float, ...]
    histograms: tuple[tuple[int, ...], ...]
    weights: tuple[Weight, ...]
    weights_after: tuple[Weight, ...]


def measure(bench: "Bench", settings: Settings) -> Measurement:
    """Trace at initialization and after some steps; both looks are shared with other checks."""
    from babysit import arrays

    start = layers(bench, settings.examples)
    later = layers(bench, settings.examples, settings.steps)
    at_start = tuple(layer.summary() for layer in nonlinearities(start).values())
    _require_finite(at_start)
    fed = next(iter(start.fed.values()), None)
    kinds = [call.kind for call in start.calls.values()]
    first = next((i for i, kind in enumerate(kinds) if kind not in ("linear", "norm")), len(kinds))
    gradients = (start.gradients.get(layer.name) for layer in at_start)
    edges, counts = histograms(start)
    weights, weights_after = _weights(bench, start, settings.steps)
    return Measurement(
        examples=sum(arrays.count(batch) for batch in bench.first_batches(settings.examples)),
        steps=later.steps,
        inputs=fed.summary().size if fed is not None else math.nan,
        opening=tuple(kinds[: first + 1]),
        normalized="norm" in kinds,
        at_start=at_start,
        gradients=tuple(math.nan if layer is None else layer.summary().size for layer in gradients),
        signals=_signals(start),
        signals_after=_signals(later),
        edges=edges,
        histograms=counts,
        weights=weights,
        weights_after=weights_after,
    )


def _require_finite(at_start: tuple[LayerSummary, ...]) -> None:
    """Know that what isn't finite has overflowed on its way.

    Raises:
        Skip: Something else made it so.
    """
    broken = next((i for i, layer in enumerate(at_start) if not math.isfinite(layer.size)), len(at_start))
    if broken < len(at_start) and not any(layer.size >= LARGE for layer in at_start[:broken]):
        raise Skip(f"the outputs of {at_start[broken].name} are not finite, so their statistics say nothing")


def _signals(found: "Layers") -> Signals:
    fed, outputs = list(found.fed.values()), list(found.outputs.values())
    end = (fed or outputs)[-1:]
    return Signals(
        inputs=_signal(fed[0]) if fed else math.nan,
        outputs=tuple(_signal(layer) for layer in outputs),
        last=_signal(end[0]) if end else math.nan,
        end=end[0].name if end else "",
    )


def _signal(layer: UnitStatistics) -> float:
    """By how much the units vary; read off their ranges where sums in single precision can't tell."""
    from babysit import arrays

    found, seen = layer.summary(), layer.seen
    if 1 - found.common > ROUNDING:
        return found.signal
    return arrays.norm(seen["max"] - seen["min"]) / math.sqrt(found.units) / RANGE


def _weights(bench: "Bench", start: "Layers", steps: int) -> tuple[tuple[Weight, ...], tuple[Weight, ...]]:
    """The weights at both times; none where the trainer can't name them."""
    try:
        return looked_at(bench, start, 0), looked_at(bench, start, steps)
    except Skip:
        return (), ()


def exhibits(measured: Measurement, settings: Settings) -> Iterator[Exhibit]:
    """The lecture's table, and its picture."""
    yield Fact("examples traced", str(measured.examples))
    rows = []
    for layer, gradient in zip(measured.at_start, measured.gradients, strict=True):
        lost = f"{layer.dead / layer.units:.0%} dead" if layer.kind in RECTIFIED else "-"
        lost = f"{layer.saturated:.0%} saturated" if layer.kind in BOUNDED else lost
        shown = f"{gradient:.3g}" if math.isfinite(gradient) else "-"
        rows.append((layer.name, layer.kind, f"{layer.mean:.3g}", f"{layer.spread:.3g}", lost, shown))
    yield Table("activations", ("layer", "kind", "mean", "spread", "lost", "gradient"), tuple(rows))
    if measured.histograms:
        names = (layer.name for layer in measured.at_start)
        counts = {name: tuple(map(float, found)) for name, found in zip(names, measured.histograms, strict=True)}
        rectified = any(layer.kind in RECTIFIED for layer in measured.at_start)
        yield Histograms(f"outputs by layer{', zeros left out' if rectified else ''}", measured.edges, counts)


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

"""What `check-activations` finds."""

from collections.abc import Callable, Iterable, Iterator

from babysit.check import rule
from babysit.checks.check_activations.schema import Measurement, Settings
from babysit.measuring.significance import binomial_tail
from babysit.measuring.unit_statistics import LayerSummary
from babysit.report import Finding


def _worst(layers: Iterable[tuple[LayerSummary, float]]) -> tuple[LayerSummary, float] | None:
    """The layer with the largest share; None if there is no layer."""
    return max(layers, key=lambda pair: pair[1], default=None)


def _others(shares: Iterable[tuple[LayerSummary, float]], limit: float, worst: LayerSummary) -> str:
    names = [layer.name for layer, share in shares if share >= limit and layer is not worst]
    return f" So in {', '.join(names)}." if names else ""


def _more_dead(pair: tuple[LayerSummary, float], settings: Settings) -> bool:
    """Whether so many dead units are unlikely if each had the usual share's chance to be dead."""
    n, dead = pair[0].units, round(pair[1] * pair[0].units)
    return binomial_tail(n, dead, settings.some_dead) < settings.unlikely


def _still(measured: Measurement, count: Callable[[LayerSummary], int]) -> list[tuple[LayerSummary, float]]:
    """Layers with the share of their units that are so at the start and are no fewer after the steps."""
    pairs = zip(measured.at_start, measured.after, strict=True)
    return [(start, min(count(start), count(after)) / start.units) for start, after in pairs]


def _constant_share(layer: LayerSummary) -> float:
    """Share of the units that are not dead."""
    return layer.constant / max(1, layer.units - layer.dead)


@rule
def dead_relu(measured: Measurement, settings: Settings) -> Iterator[Finding]:
    """Rectified units are dead from the start.

    What it finds: units of a ReLU layer that are zero for every example at initialization, and still after some steps.
    It counts units over many examples, not zeros: half of a healthy layer's outputs are zero.

    Why it matters: a unit that is off for all of the data has no gradient and never changes: it "will never activate,
    never update" (the lecture's dead ReLU). A layer of them cuts off everything below.

    What to try: biases of zero or slightly positive (0.01), He's initialization, and inputs with zero mean.

    When it is wrong: where the examples traced leave out the data that a unit is for; raise `examples`.

    References: CS231n, lecture 6, ReLU; course notes "neural networks 1".
    """
    layers = zip(measured.at_start, measured.after, measured.killed, strict=True)
    shares = [(start, max(0, min(start.dead, after.dead - killed)) / start.units) for start, after, killed in layers]
    worst = _worst(pair for pair in shares if _more_dead(pair, settings))
    if worst is None:
        return
    layer, share = worst
    find = dead_relu.error if share >= settings.many_dead else dead_relu.warning
    yield find(
        f"{layer.dead} of {layer.units} units of {layer.name} are zero for each of {layer.examples} examples at "
        f"initialization, and {share:.0%} still are after {measured.steps} steps."
        f"{_others((pair for pair in shares if _more_dead(pair, settings)), 0.0, layer)}",
        where=layer.name,
        suggestion="Start from zero biases, He's initialization and inputs of zero mean.",
        dead=layer.dead,
        units=layer.units,
        share=share,
    )


@rule
def killed_by_learning_rate(measured: Measurement, settings: Settings) -> Iterator[Finding]:
    """Rectified units die in the first steps.

    What it finds: units of a ReLU layer that were alive at initialization and are zero for every example after some
    steps at the user's learning rate.

    Why it matters: one update that is too long throws a unit's weights to where no example activates it, and there no
    gradient brings it back. With the learning rate too high, "as much as 40 % of your network can be dead".

    What to try: a lower learning rate (`babysit lr-scan` names one), scaled inputs, or a leaky ReLU.

    When it is wrong: where the examples traced leave out the data that a unit is for; raise `examples`. Where the
    network memorizes 20 examples at this learning rate all the same, it can spare them, and this is a warning.

    References: CS231n, lecture 6 and course notes "neural networks 1", ReLU.
    """
    shares = [(layer, killed / layer.units) for layer, killed in zip(measured.at_start, measured.killed, strict=True)]
    relus = [(layer, share) for layer, share in shares if layer.kind == "relu"]
    worst = _worst(pair for pair in relus if _more_dead(pair, settings))
    if worst is None:
        return
    layer, share = worst
    find = killed_by_learning_rate.error if share >= settings.many_dead else killed_by_learning_rate.warning
    yield find(
        f"{round(share * layer.units)} of {layer.units} units of {layer.name}, alive at initialization, are dead "
        f"after {measured.steps} steps at learning rate {measured.learning_rate:.3g}."
        f"{_others((pair for pair in relus if _more_dead(pair, settings)), 0.0, layer)}",
        where=layer.name,
        suggestion="Lower the learning rate; `babysit lr-scan` names one.",
        killed=round(share * layer.units),
        units=layer.units,
        learning_rate=measured.learning_rate,
    )


@rule
def saturated_activation(measured: Measurement, settings: Settings) -> Iterator[Finding]:
    """Bounded activations stand at their limits.

    What it finds: a tanh or sigmoid layer whose outputs lie so near their limits, for a large share of units and
    examples, that less than a twentieth of the gradient gets through. A sigmoid that gives the network's scores is left
    out: it may be sure.

    Why it matters: "saturated neurons kill the gradients": what arrives from above is multiplied by almost zero, and
    everything below stops learning.

    What to try: smaller initial weights (Xavier), inputs of unit variance, a lower learning rate if it happens on
    the way, or another activation.

    When it is wrong: gates that are meant to be open or shut.

    References: CS231n, lecture 6, sigmoid and tanh; its ten-layer tanh network with weights of 1.0.
    """
    start = [(layer, layer.saturated) for layer in measured.at_start if layer.name != measured.output]
    after = [(layer, layer.saturated) for layer in measured.after if layer.name != measured.output]
    worst, later = _worst(start), _worst(after)
    if worst is None or later is None:
        return
    layer, share = worst
    if share >= settings.some_saturated:
        find = saturated_activation.error if share >= settings.many_saturated else saturated_activation.warning
        yield find(
            f"{share:.0%} of the outputs of {layer.name} ({layer.kind}) are saturated at initialization; "
            f"{layer.gradient_through:.0%} of the gradient gets through."
            f"{_others(start, settings.some_saturated, layer)}",
            where=layer.name,
            suggestion="Use smaller initial weights (Xavier) and inputs of zero mean and unit variance.",
            share=share,
            gradient_through=layer.gradient_through,
        )
    elif later[1] >= settings.many_saturated:
        layer, share = later
        yield saturated_activation.warning(
            f"{share:.0%} of the outputs of {layer.name} ({layer.kind}) are saturated after {measured.steps} steps at "
            f"learning rate {measured.learning_rate:.3g}, few were at the start; {layer.gradient_through:.0%} of the "
            "gradient gets through.",
            where=layer.name,
            suggestion="Lower the learning rate; `babysit lr-scan` names one.",
            share=share,
            gradient_through=layer.gradient_through,
        )


@rule
def constant_activation(measured: Measurement, settings: Settings) -> Iterator[Finding]:
    """A layer says the same for every example.

    What it finds: a layer of which nearly all living units vary by less than a thousandth of their size from example
    to example, at the start and after some steps.

    Why it matters: what does not vary carries no information: the layers above can only learn a constant. It comes
    from inputs that are all alike, from a signal that died on its way through the layers, or from weights of zero.

    What to try: look at the inputs; initialize for the nonlinearity (Xavier for tanh, He for ReLU); fewer sigmoids.

    When it is wrong: units that wait for rare inputs which the examples traced don't hold; raise `examples`.

    References: CS231n, lecture 6, "all activations become zero".
    """
    pairs = zip(measured.at_start, measured.after, strict=True)
    shares = [(start, min(_constant_share(start), _constant_share(after))) for start, after in pairs]
    first = next(((layer, share) for layer, share in shares if share >= settings.constant), None)
    if first is not None:
        layer, share = first
        yield constant_activation.error(
            f"{share:.0%} of the {layer.units - layer.dead} living units of {layer.name} give the same "
            f"output for each of {layer.examples} examples.{_others(shares, settings.constant, layer)}",
            where=layer.name,
            suggestion="Look at the inputs first, then initialize the layers for their nonlinearity.",
            share=share,
            units=layer.units,
        )


@rule
def same_sign_gradient(measured: Measurement, settings: Settings) -> Iterator[Finding]:
    """The gradients on a layer's weights all have the same sign.

    What it finds: a linear layer that is fed values whose mean outweighs what varies from example to example, with
    the same sign in all units: raw positive data, or the outputs of sigmoids.

    Why it matters: the gradient on a unit's weights is the unit's error times its inputs. If these are all positive
    and nearly the same for every example, all weights of a unit rise or fall together, and must zig-zag towards
    where some should rise and others fall: "this is also why you want zero-mean data".

    What to try: subtract the mean from the data; tanh, ReLU or a normalization instead of sigmoids.

    When it is wrong: a network with normalization inside may be fed such values and correct it itself.

    References: CS231n, lecture 6, sigmoid: "sigmoid outputs are not zero-centered".
    """
    shares = [(layer, layer.common) for layer in measured.fed if layer.one_sign and layer.units > 1]
    worst = _worst(shares)
    if worst is not None and worst[1] >= settings.common:
        layer, share = worst
        yield same_sign_gradient.warning(
            f"{share:.0%} of the power of what {layer.name} is fed is the same for every example, with one sign in all "
            f"{layer.units} values: the gradients on a unit's weights share their sign."
            f"{_others(shares, settings.common, layer)}",
            where=layer.name,
            suggestion="Subtract the mean from the data; prefer tanh or ReLU to sigmoids between layers.",
            share=share,
        )


@rule
def idle_maxout_piece(measured: Measurement, settings: Settings) -> Iterator[Finding]:
    """Pieces of maxout units never win.

    What it finds: a maxout layer in which at least half of the units have a piece that is not the largest for any
    example, at the start and after some steps.

    Why it matters: a piece that never wins gets no gradient: its weights are paid for and never used, and a unit
    with one piece left is linear.

    What to try: the same initialization for all pieces, with biases of zero; a lower learning rate.

    When it is wrong: many pieces and few examples; raise `examples`.

    References: CS231n, lecture 6, maxout; Goodfellow et al., "Maxout Networks" (2013).
    """
    worst = _worst(_still(measured, lambda layer: layer.idle_pieces))
    if worst is not None and worst[1] >= settings.idle:
        layer, share = worst
        find = idle_maxout_piece.error if share >= settings.constant else idle_maxout_piece.warning
        yield find(
            f"{share:.0%} of the {layer.units} units of {layer.name} have a piece that never wins on "
            f"{layer.examples} examples.",
            where=layer.name,
            suggestion="Initialize all pieces alike, with biases of zero.",
            share=share,
        )


@rule
def collapsed_slope(measured: Measurement, settings: Settings) -> Iterator[Finding]:
    """A PReLU has become linear.

    What it finds: a learned slope below zero that is 1, within a twentieth, at the start or after some steps.

    Why it matters: with a slope of 1 a parametric ReLU is the identity, and the layers around it are one linear layer.

    What to try: start the slope at 0.25, as its authors do, and leave it out of weight decay.

    When it is wrong: never harmful in a single unit; it is measured over a layer.

    References: He et al., "Delving Deep into Rectifiers" (2015); CS231n, lecture 6, PReLU.
    """
    for layer in (*measured.after, *measured.at_start):
        if layer.kind == "prelu" and abs(layer.slope - 1) < settings.slope:
            yield collapsed_slope.error(
                f"the slope of {layer.name} below zero is {layer.slope:.3f}: it is linear.",
                where=layer.name,
                suggestion="Start the slope at 0.25.",
                slope=layer.slope,
            )
            return

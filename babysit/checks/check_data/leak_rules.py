"""The rule of `check-data` about inputs that hold the answer."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from babysit.check import certain, rule
from babysit.report import Finding

if TYPE_CHECKING:
    from babysit.checks.check_data.schema import Measurement, Settings


@certain
@rule
def target_leak(measured: "Measurement", settings: "Settings") -> Iterator[Finding]:
    """The inputs hold the targets, and the network can see them there.

    What it finds: a column of a table that is the target itself, or tells every class; scores along a sequence that
    change with the very token they are to predict, because nothing hides it; targets of a causal network that repeat
    the inputs in place of running one step ahead.

    Why it matters: the network learns to copy. The loss falls faster and lower than any honest one, on the validation
    data too, so nothing in the curves looks wrong; only what it was trained for never happens.

    What to try: take the target's column out of the inputs; give attention a causal mask, or read in one direction
    alone; take targets one step ahead of the inputs, `x[:, 1:]` for `x[:, :-1]`.

    When it is wrong: where one feature truly answers the question. Autoencoders, whose targets are the inputs, and
    masked language models are left alone, since they look both ways on purpose.

    References: Vaswani et al. (2017), "Attention is all you need", section 3.2.3, on masking; Kaufman et al. (2012),
    "Leakage in data mining".
    """
    if measured.holding:
        names = ", ".join(measured.holding[:4]) + (" ..." if len(measured.holding) > 4 else "")
        several = len(measured.holding) > 1
        yield target_leak.error(
            f"{names} {'hold' if several else 'holds'} the targets: they can be read off without an error.",
            where=measured.holding[0],
            suggestion="Take the target out of the inputs.",
            columns=list(measured.holding),
        )
    sight = measured.sight
    if sight is None:
        return
    least = settings.leak + 3 * sight.noise
    if sight.offset > 0 and sight.target > least:
        yield target_leak.error(
            f"targets stand {sight.offset} further on in the inputs, and a score changes by {sight.target:.2g} spreads "
            "with the place that holds its own target: it sees what it is to predict.",
            where="scores",
            suggestion="Mask later places (a causal mask), or read in one direction alone.",
            offset=sight.offset,
            change=sight.target,
        )
    elif sight.offset == 0 and sight.target > least and not sight.later > least:
        yield target_leak.error(
            "targets repeat the inputs, place by place, and a score sees its own place and none behind: it only has to "
            "copy.",
            where="targets",
            suggestion="Take targets one step ahead: inputs x[:, :-1], targets x[:, 1:].",
            offset=0,
            change=sight.target,
        )

"""A budget of a run, and who gets how much of it."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

LOOKED = 16  # batches that a check looks at, at most: an evaluation takes a third of a step, so these take five steps
EVALUATION = 1 / 3  # of a training step's time: the forward pass, where a backward pass takes twice as long

FORM = "a time as 60s, 5m or 2h, or training steps as 200steps"
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_WRITTEN = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|steps?)")

# Who comes first where not all can have what they need. The first loss, one step, 20 examples and the learning rate
# say whether a program can learn at all, so they go ahead of all that says how well it does.
WORTH = (
    "check-target",  # what cannot be driven and put back spoils all other checks
    "check-loss",  # the first loss: the cheapest of all, and it finds the commonest fault of the last layer
    "overfit",  # 20 examples: a network that can't memorize them learns nothing in any time
    "lr-scan",  # the learning rate: the one setting that the lecture would have you tune if you tuned but one
    "check-data",  # takes no steps
    "check-init",  # where signals or gradients die, the long run shows nothing but that
    "check-activations",  # lives on check-init's traces
    "check-reg",  # a penalty that does nothing, or too much, is not seen in the curves of a short run
    "check-norm",  # what evaluation would show wrongly
    "check-grad",  # framework's gradients are seldom wrong; dear where there are many parameters
    "train",  # the long run: most of the time, and most of what it shows has been said before it
    "check-parallel",  # for programs of several processes alone
)


@dataclass(frozen=True)
class Needs:
    """What a check takes, in training steps' time; an evaluation is `EVALUATION` of one.

    Args:
        least: What its verdict needs.
        usual: What it takes on a program that is well.
    """

    least: float = 0.0
    usual: float = 0.0


def evaluations(examples: int, batch: int) -> float:
    """The training steps' time of evaluating so many examples, in whole batches, and no more than are looked at."""
    return EVALUATION * min(LOOKED, math.ceil(examples / max(1, batch)))


@dataclass(frozen=True)
class Budget:
    """What a run may take.

    Args:
        amount: Seconds, or training steps' time; above 0.
        in_steps: Whether it is in steps.
    """

    amount: float
    in_steps: bool

    def __str__(self) -> str:
        return f"{self.amount:g}{'steps' if self.in_steps else 's'}"


def read_budget(text: str) -> Budget:
    """The budget as it is written: 60s, 5m, 2h, 200steps.

    Raises:
        ValueError: It is written in another way, or is 0.
    """
    found = _WRITTEN.fullmatch(text.strip())
    amount = float(found[1]) if found else 0.0
    if not found or not amount:
        raise ValueError(f"budget must be {FORM}, above 0; not {text!r}")
    in_steps = found[2] not in _SECONDS
    return Budget(amount * _SECONDS.get(found[2], 1.0), in_steps)


@dataclass(frozen=True)
class Share:
    """What a check may take, in training steps' time.

    Args:
        steps: How much; of one that gets nothing, what was left for it.
        granted: Whether that is at least what its verdict needs.
        limit: Where it is stopped, which may be later: what takes longer than it usually does may use what others
            would get beyond their least.
    """

    steps: float
    granted: bool
    limit: float = 0.0


def shares(needs: Mapping[str, Needs], left: float) -> tuple[Mapping[str, Share], float]:
    """Everybody's share of what is left, by check, and what nobody asks for.

    In the order of worth each check first gets the least that its verdict needs, if that is still there; then what is
    left goes round in the same order, up to what each usually takes.

    Args:
        needs: What each check needs that is still to run.
        left: Training steps' time.
    """
    order = sorted(needs, key=_worth)
    found: dict[str, Share] = {}
    for name in order:
        granted = needs[name].least <= left
        found[name] = Share(needs[name].least if granted else left, granted)
        left -= needs[name].least if granted else 0.0
    for name in order:
        if found[name].granted:
            more = min(left, needs[name].usual - needs[name].least)
            found[name] = Share(found[name].steps + more, granted=True)
            left -= more
    return found, left


def _worth(name: str) -> int:
    return WORTH.index(name) if name in WORTH else len(WORTH)


def estimate(steps: float, seconds: float) -> str:
    """What a run takes, in words: "about 650 steps of 0.8 s: 9 minutes".

    Args:
        steps: How many.
        seconds: What one takes.
    """
    count = _rounded(steps)
    return f"about {count} step{'' if count == 1 else 's'} of {_short(seconds)}: {_long(steps * seconds)}"


def _rounded(steps: float) -> int:
    return round(steps / 10) * 10 if steps >= 100 else max(1, round(steps))


def _short(seconds: float) -> str:
    return f"{seconds:.2g} s" if seconds >= 0.1 else f"{seconds * 1000:.2g} ms"


def _long(seconds: float) -> str:
    for name, size in (("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.{0 if seconds >= 10 * size or name == 'minutes' else 1}f} {name}"
    return f"{max(1, round(seconds))} second{'s' if round(seconds) > 1 else ''}"

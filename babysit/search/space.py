"""The space that `babysit search` draws from: each hyperparameter with its range and its scale.

Learning rates and strengths of regularization act by factors, so that they are drawn evenly in log space (CS231n,
lecture 6, "hyperparameter optimization"; course notes "neural networks 3").
"""

import itertools
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from babysit.errors import UsageError
from babysit.measuring.significance import binomial_tail

if TYPE_CHECKING:
    from optuna import Trial
    from optuna.distributions import BaseDistribution

Value: TypeAlias = bool | int | float | str | None
Configuration: TypeAlias = Mapping[str, Value]

OF_ANY_TRAINER = ("learning_rate", "regularization_scale")  # what can be set on a trainer that is built already
KINDS = {
    "log": "log:1e-6:1e-1",
    "uniform": "uniform:0:0.8",
    "int": "int:32:512",
    "log-int": "log-int:8:1024",
    "choice": "choice:relu,tanh",
}
EDGE = 0.1  # share of a range, at either end, that counts as its edge: the lecture's 9.5e-4 of a decade up to 1e-3
NEAR = 1 / 3  # share of a range that is near its edge
LEADERS = 5  # best trials, whose places say whether scores rise towards an edge
ALARM = 0.05  # chance that they lie as they do where the parameter has no effect, at which that is believed
MARGIN = 0.1  # of the range, on either side of what the best trials span: between them and the next ones, with ten
BEYOND = 0.5  # of a range, further than its edge, in which to look next: enough to see the score fall again
LEAST_WIDTH = 0.1  # of the range, that a finer one keeps: no less than the margin that is drawn about it
ROUNDING = 1e-9  # by which a whole number may be missed where logarithms are taken and undone
DIGITS = 3  # significant ones of a value; more of one in a narrow range
TYPED = 15  # of one that was written down: as many as any float keeps
_NAME = re.compile(r"[^\W\d]\w*")


@dataclass(frozen=True)
class Parameter:
    """One hyperparameter.

    Args:
        name: A keyword of the factory, or one of `OF_ANY_TRAINER`.
        kind: One of `KINDS`.
        low: The least value; NaN for a choice.
        high: The largest.
        choices: What a choice chooses from.
    """

    name: str
    kind: str
    low: float = math.nan
    high: float = math.nan
    choices: tuple[bool | int | float | str | None, ...] = ()

    @property
    def size(self) -> float:
        """How many values it has."""
        return len(self.choices) or (self.high - self.low + 1 if self.is_whole else math.inf)

    @property
    def is_log(self) -> bool:
        """Whether it acts by factors."""
        return self.kind in ("log", "log-int")

    @property
    def is_whole(self) -> bool:
        """Whether its values are whole numbers."""
        return self.kind in ("int", "log-int")

    @property
    def spec(self) -> str:
        """As `--param` takes it, without the name."""
        if self.choices:
            plain = ",".join(map(_shown, self.choices))
            told = plain[:1] != "[" and tuple(_words(plain).values()) == self.choices
            return f"choice:{plain if told else json.dumps(self.choices)}"
        return f"{self.kind}:{self._end(self.low)}:{self._end(self.high)}"

    def _end(self, value: float) -> str:
        return f"{value:.15g}" if float(value).is_integer() else f"{value:.{self._digits}g}"

    @property
    def _digits(self) -> int:
        """Significant digits that tell values of the range apart; more where it is narrow and far from 0."""
        if self.choices:
            return TYPED
        if not self.low < self.high:
            return DIGITS
        return DIGITS + int(math.log10(max(abs(self.low), abs(self.high)) / (self.high - self.low) + 1))

    def shown(self, value: Value) -> str:
        """A value of it, for messages."""
        if self.is_whole and isinstance(value, int | float):
            return f"{value:.0f}"
        return f"{value:.{self._digits}g}" if isinstance(value, float) else _shown(value)

    @property
    def ends(self) -> str:
        """The range, for messages."""
        return f"{self.shown(self.low)} to {self.shown(self.high)}"

    @property
    def limits(self) -> tuple[float, float]:
        """What no value of it can pass: a count or a share that begins at 0 or above has a natural end."""
        least = 1.0 if self.is_whole and self.low >= 1 else 0.0 if self.low >= 0 else -math.inf
        most = 1.0 if not self.is_whole and not self.is_log and self.low >= 0 and self.high <= 1 else math.inf
        return least, most

    def place(self, value: Value) -> float:
        """Where in the range a value lies, from 0 to 1 on the parameter's scale; NaN for a choice."""
        if self.choices or not isinstance(value, int | float):
            return math.nan
        low, high, at = (math.log(v) if self.is_log else v for v in (self.low, self.high, value))
        return (at - low) / (high - low) if high > low else 0.5

    def at(self, place: float) -> float:
        """The value there; the inverse of `place`."""
        if place in (0.0, 1.0):
            return self.high if place else self.low  # exactly, since what is drawn must lie within
        if self.is_log:
            return math.exp(math.log(self.low) + place * (math.log(self.high) - math.log(self.low)))
        return self.low + place * (self.high - self.low)

    def between(self, first: float, last: float) -> "Parameter":
        """The part of the range between two places, which may lie beyond its ends, but not beyond natural ones."""
        least, most = self.limits
        low, high = max(least, self.at(first)), min(most, self.at(last))
        if self.is_whole:
            low, high = math.floor(low + ROUNDING), math.ceil(high - ROUNDING)
        return Parameter(self.name, self.kind, low, high)

    def levels(self, count: int) -> list[Value]:
        """So many values, evenly over the range, its ends among them; all of a choice."""
        if self.choices:
            return list(self.choices)
        places = [k / (count - 1) for k in range(count)] if count > 1 else [0.5]
        values = [self.at(place) for place in places]
        return list(dict.fromkeys(round(v) for v in values)) if self.is_whole else list(values)

    def suggested(self, trial: "Trial") -> Value:
        """What a trial of Optuna's proposes."""
        if self.choices:
            return trial.suggest_categorical(self.name, self.choices)
        if self.is_whole:
            return trial.suggest_int(self.name, int(self.low), int(self.high), log=self.is_log)
        return trial.suggest_float(self.name, self.low, self.high, log=self.is_log)

    def distribution(self) -> "BaseDistribution":
        """As Optuna has it."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if self.choices:
            return CategoricalDistribution(self.choices)
        if self.is_whole:
            return IntDistribution(int(self.low), int(self.high), log=self.is_log)
        return FloatDistribution(self.low, self.high, log=self.is_log)


def read_space(texts: Sequence[str], what: str = "--param") -> tuple[Parameter, ...]:
    """The parameters that `NAME=SPEC` name.

    Args:
        texts: Such as `learning_rate=log:1e-6:1e-1`; without a kind, those of any trainer are on a log scale, two
            whole numbers are int, and others uniform.
        what: Where they come from, to begin messages with.

    Raises:
        UsageError: A text is none such, a range is empty, or a name is given twice.
    """
    found: dict[str, Parameter] = {}
    for text in texts:
        name, equals, spec = (part.strip() for part in text.partition("="))
        if not equals or not _NAME.fullmatch(name):
            raise UsageError(f"{what} takes NAME=SPEC, such as learning_rate={KINDS['log']}, not {text!r}")
        if name in found:
            raise UsageError(f"{what} {name} is given twice: {found[name].spec} and {spec}")
        found[name] = _parameter(name, spec, f"{what} {name}")
    return tuple(found.values())


def _parameter(name: str, spec: str, what: str) -> Parameter:
    kind, colon, rest = spec.partition(":")
    if kind == "choice":
        return Parameter(name, kind, choices=_choices(rest.strip(), spec, what))
    if kind not in KINDS:
        kind, rest = _kind_of(name, spec), spec
        colon = ":"
    low, high = _ends(rest if colon else "", spec, what, KINDS[kind])
    if kind in ("log", "log-int") and low <= 0:
        raise UsageError(f"{what}: a log scale begins above 0, not at {low:g}")
    if kind in ("int", "log-int") and not (low.is_integer() and high.is_integer()):
        raise UsageError(f"{what}: {kind} takes whole numbers, such as {KINDS[kind]}, not {spec!r}")
    if not low < high:
        raise UsageError(f"{what}: the range must go up, and {low:g} is not less than {high:g}")
    return Parameter(name, kind, low, high)


def _choices(rest: str, spec: str, what: str) -> tuple[Value, ...]:
    values = _listed(rest, what) if rest.startswith("[") else _words(rest)
    if len(values) < 2:
        raise UsageError(f"{what}: a choice needs two values at least, as {KINDS['choice']} has, not {spec!r}")
    for word, value in values.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise UsageError(f"{what}: {word} is no finite number")
    for one, other in itertools.combinations(values, 2):
        if values[one] == values[other]:
            raise UsageError(f"{what}: {one} and {other} are the same value to Python; leave one out")
    return tuple(values.values())


def _words(text: str) -> dict[str, Value]:
    """The values between commas by how they are written, as numbers where they read as such."""
    words = (part.strip() for part in text.split(","))
    return {word: value_of(word) for word in words if word}


def _listed(text: str, what: str) -> dict[str, Value]:
    """The values of a JSON list by how they are written: text may hold commas there, and look like numbers."""
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise UsageError(f"{what}: {text!r} is no JSON list: {error.msg}") from None
    if any(isinstance(value, list | dict) for value in values):
        raise UsageError(f"{what}: a choice is between numbers, words, true, false and null, not {text}")
    return {json.dumps(value): value for value in values}


def _kind_of(name: str, spec: str) -> str:
    """Of a range without one."""
    if name in OF_ANY_TRAINER:
        return "log"
    return "int" if re.fullmatch(r"[+-]?\d+:[+-]?\d+", spec) else "uniform"


def _ends(rest: str, spec: str, what: str, example: str) -> tuple[float, float]:
    try:
        low, high = (float(part) for part in rest.split(":"))
    except ValueError:
        kinds = ", ".join(KINDS)
        raise UsageError(f"{what}: {spec!r} is no range, such as {example} (kinds are {kinds})") from None
    if not (math.isfinite(low) and math.isfinite(high)):
        raise UsageError(f"{what}: both ends must be finite, not {spec!r}")
    return low, high


def value_of(text: str) -> Value:
    """What a word means: true, false, null and numbers are what they look like, all else is text."""
    words: dict[str, Value] = {"true": True, "false": False, "null": None}
    if text.lower() in words:
        return words[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _shown(value: Value) -> str:
    """A value of a choice, as `--param` reads it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def finer(
    space: Sequence[Parameter],
    best: Sequence[Configuration],
    finished: Sequence[Configuration],
    tried: Sequence[Configuration] = (),
) -> tuple[Parameter, ...]:
    """The space about the best configurations: what they span, and a margin; more where they lean to an edge.

    An unimportant parameter keeps most of its range, since the best lie anywhere in it; of a choice, those values stay
    that are among the best.

    Args:
        space: What the configurations were drawn from.
        best: The best of them, the very best first; not empty.
        finished: All that finished, the best first.
        tried: Those, and what exploded.
    """

    def one(parameter: Parameter) -> Parameter:
        return _finer(parameter, *([c[parameter.name] for c in some] for some in (best, finished, tried)))

    return tuple(map(one, space))


def _finer(parameter: Parameter, best: Sequence[Value], finished: Sequence[Value], tried: Sequence[Value]) -> Parameter:
    if parameter.choices:
        kept = tuple(choice for choice in parameter.choices if choice in best)
        return Parameter(parameter.name, parameter.kind, choices=kept)
    places, done, every = (list(map(parameter.place, values)) for values in (best, finished, tried))
    missing = max(0.0, LEAST_WIDTH - (max(places) - min(places)))
    first = max(0.0, min(places) - missing / 2 - MARGIN)
    last = min(1.0, max(places) + missing / 2 + MARGIN)
    side = leaning(places[:LEADERS], done, every)
    further = BEYOND * (last - first)
    return parameter.between(first - further * (side < 0), last + further * (side > 0))


def edge(place: float) -> int:
    """-1 at the lower edge of a range or below it, 1 at the upper, 0 elsewhere."""
    return -1 if place < EDGE else 1 if place > 1 - EDGE else 0


def leaning(best: Sequence[float], finished: Sequence[float], tried: Sequence[float] = ()) -> int:
    """-1 or 1 for the edge that the best trials lie at, so many of them that chance explains it badly; else 0.

    Where a parameter has no effect, the very best lies at an edge as often as any trial does, and each of the other
    leaders near it as often as any; the chance of what is seen, at either edge, is that of a binomial variable. What
    exploded can't be among the best, and says nothing of those that did not; but where the better half of what finished
    all lies near one edge, that is where the space works, and then it counts.

    Args:
        best: Places of the `LEADERS` best trials, the very best first; with fewer, nothing is said.
        finished: Places of all that were drawn alike and finished, the best first.
        tried: Those, and what exploded.
    """
    side = edge(best[0]) if len(best) == LEADERS else 0
    if not side:
        return 0
    near = sum(_is_near(place, side) for place in best[1:])
    better = finished[: max(LEADERS, len(finished) // 2)]
    alike = tried if tried and all(_is_near(place, side) for place in better) else finished
    return side if sum(_chance(alike, s, near) for s in (-1, 1)) <= ALARM else 0


def _is_near(place: float, side: int) -> bool:
    return place < NEAR if side < 0 else place > 1 - NEAR


def _chance(tried: Sequence[float], side: int, near: int) -> float:
    """That the best trial lies at this edge, and so many of the other leaders near it, or more."""
    at = sum(edge(place) == side for place in tried) / len(tried)
    share = sum(_is_near(place, side) for place in tried) / len(tried)
    return at * binomial_tail(LEADERS - 1, near, share)

"""Finite differences: the slope of the loss along a line through the parameters, and how well it is known.

The loss is looked at on both sides of where the trainer stands, a wide step and a narrow one away, and what the
gradient predicts for that very move, rounded as the parameters are, is taken off. The slope of what is left is the
gradient's error and the difference's own. The latter shows in three ways, which are added up to a doubt:

    truncation  the wide step and the narrow one disagree
    a kink      the slopes ahead and behind disagree, and no less so for the narrow step
    rounding    third differences, zero for a smooth loss at such steps, scatter; over the step, that is a slope

A loss L is rounded by about eps |L|, so that a difference over a step h is off by eps |L| / h; and where the loss bends
over a move that changes it by its own size, truncation takes a share of about (h |slope| / L)^2. Both are the same
share of the slope where h |slope| = eps^(1/3) |L|: a step that changes the loss by 6e-6 of itself in double precision,
by 5e-3 in single precision. Where the gradient is next to zero the step is that share of the parameter's own size.
"""

import functools
import math
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from array_api_compat import array_namespace, device

from babysit import arrays
from babysit.checks.check_grad.slopes import LOUD, Level, Line, Slopes

if TYPE_CHECKING:
    from babysit.driving.guard import Driven
    from babysit.trainer import Array, Batch, Output

CLOSE = 1e-4  # relative error that is fine where there are kinks (CS231n notes 3)
SINGLE = 2.0**-23  # the epsilon of single precision
HALF = 2.0**-7  # and of the coarser kind of half precision, bfloat16
MANY = 8  # lines whose median tells the rounding, most of them being smooth
DRAWS = 5  # moves at random where there is no gradient: some happen to change little, and at a kink some look smooth
WIDEST = 0.1  # share of itself by which a step may change the loss, however much it is rounded
MEDIAN = 0.6745  # of the sizes of normal numbers that scatter by 1
NARROWEST = 1e-4  # of a parameter's own share, where the gradient asks for less: it may be the gradient that is wrong
PARTS = ("total", "data", "penalty")
SPARSE = 0.125  # share of entries with a gradient, up to which those are gathered: an embedding's few rows


class Surface:
    """The loss of a batch in training mode, around where the trainer stands.

    Args:
        trainer: Stands there again after each move.
        batch: The batch.
        names: The parameters to look at.
        steps: Updates made before.

    Attributes:
        scale: Of the regularization.
        loss: Its value, by part.
        parts: Of the loss: the total, and the others where they can be told apart.
        reached: Parameters that have a gradient at all.
        epsilon: The relative rounding of the loss.
        lines: What was looked at.
        unreached: Parameters that get no gradient of the data loss: none at all, or zeros up to rounding.
    """

    def __init__(self, trainer: "Driven", batch: "Batch", names: Sequence[str], steps: int) -> None:
        self.trainer, self.batch, self.names, self.steps = trainer, batch, names, steps
        self.scale = trainer.regularization_scale
        output = trainer.evaluate(batch, training=True)
        self.loss = _losses(output)
        self._total, self._penalty = _gradients(trainer, batch)
        self.parts = PARTS if self._penalty else PARTS[:1]
        self.reached = frozenset(self._total)
        parameters = trainer.parameters()
        self.epsilon = _epsilon([parameters[name] for name in names], output)
        self.lines: list[Line] = []
        self.unreached = frozenset(self._unreached())

    @property
    def size(self) -> float:
        """Of the loss."""
        return abs(self.loss["data"]) + abs(self.loss["penalty"])

    def forget(self) -> None:
        """Let go of the gradients, as large as the network; what was seen by them stays."""
        self._total, self._penalty = {}, {}

    def not_finite(self) -> list[str]:
        """Parameters whose gradient is not finite."""
        return [name for name in self.names if name in self._total and not arrays.all_finite(self._total[name])]

    def _unreached(self) -> Iterator[str]:
        room = 8 if self._penalty else 0  # epsilons
        for name in self.names:
            g = self._total.get(name)
            if g is None or _largest(self._gradient("data", name)) <= room * _precision(g) * _largest(g):
                yield name

    def slopes(self, entries: Mapping[str, int], advance: Callable[[int, int], None]) -> list[Slopes]:
        """The slopes of each parameter's entries moved all together, and of so many moved alone.

        Args:
            entries: How many to move alone, by parameter.
            advance: Called as it proceeds.
        """
        self._look(entries, advance)
        while (
            sum(line.still(self._floor("total")) for line in self.lines) > len(self.lines) / 2 and self.epsilon < HALF
        ):
            self.epsilon *= LOUD  # a loss that most moves leave as it is was rounded somewhere
            self._look(entries, advance)
        if self.size and self.noise("total") > LOUD * self._floor("total"):
            self.epsilon = self.noise("total") / self.size
            self._look(entries, advance)
        noise = {part: self.noise(part) for part in self.parts}
        return [Slopes(*(line.slope(part, noise[part], self.steps) for part in self.parts)) for line in self.lines]

    def noise(self, part: str) -> float:
        """The rounding of a part of the loss, as most lines show it."""
        scatter = median([line.scatter(part) for line in self.lines]) / MEDIAN if self.lines else 0.0
        return max(self._floor(part), scatter)

    @property
    def _audible(self) -> float:
        """The noise; the least that it may be where there are too few lines to tell it from a kink."""
        return self.noise("total") if len(self.lines) >= MANY else self._floor("total")

    def _floor(self, part: str) -> float:
        return self.epsilon * (self.size if part == "total" else abs(self.loss[part]))

    def _look(self, entries: Mapping[str, int], advance: Callable[[int, int], None]) -> None:
        """Every line at a wide step; where that does not agree, at narrower ones, as far as the noise allows."""
        self.lines, close = [], max(CLOSE, self._share)
        for done, (name, count) in enumerate(entries.items(), start=1):
            self._begin(name, count, close)
            advance(done, len(entries) + 1)
        for line in self.lines:
            if not line.settled(self.noise("total"), self._audible, close):
                self._settle(line, close)

    def _begin(self, name: str, count: int, close: float) -> None:
        """The lines of one parameter: a wide step each, and a narrower one where that does not agree."""
        start, gradients = self._start(name), self._gradients(name)
        held = _held(gradients)
        for draw, place in enumerate(self._places(name, count, gradients["total"])):
            way = self._way(name, place, draw, gradients["total"])
            self.lines.append(line := self._line(name, place, draw, start, way, gradients))
            self._move(line, start, way, gradients, held)
            if not line.is_right(close, line.levels["total"][0].central):
                self._move(line, start, way, gradients, held)

    def _settle(self, line: Line, close: float) -> None:
        """Look at narrower steps, until more of them would not help."""
        start, gradients = self._start(line.parameter), self._gradients(line.parameter)
        way, held = self._way(line.parameter, line.place, line.draw, gradients["total"]), _held(gradients)
        while not line.settled(self.noise("total"), self._audible, close):
            self._move(line, start, way, gradients, held)

    def _places(self, name: str, count: int, total: "Array") -> list[tuple[int, ...]]:
        """All entries together first; then some alone, where the gradient is largest, or half of them anywhere.

        Without a gradient, all entries together, several times, since a move at random may happen to change little.
        """
        import numpy as np

        if name in self.unreached:
            return [()] * DRAWS
        shape = tuple(total.shape)
        size = math.prod(shape)
        count = min(count, size) if size > 1 else 0
        if not count:
            return [()]
        largest = _largest_places(total, count if self.epsilon >= SINGLE else -(-count // 2))
        drawn = np.random.default_rng(0).choice(size, count, replace=False)
        chosen = list(dict.fromkeys([*largest, *map(int, drawn)]))[:count]
        return [(), *(tuple(map(int, np.unravel_index(k, shape))) for k in chosen)]

    @property
    def _share(self) -> float:
        """Of itself, by which a step may change the loss."""
        return min(math.cbrt(self.epsilon), WIDEST)

    def _start(self, name: str) -> "Array":
        return arrays.duplicate(self.trainer.parameters()[name])

    def _gradients(self, name: str) -> "dict[str, Array]":
        """Of one parameter, by part."""
        return {part: self._gradient(part, name) for part in self.parts}

    def _gradient(self, part: str, name: str) -> "Array":
        """Zeros where there is none. That of the data is what the penalty leaves of the total."""
        total = self._total.get(name)
        if total is None:
            return arrays.zeros_like(self.trainer.parameters()[name])
        if part == "total" or not self._penalty:
            return total
        return self._penalty[name] if part == "penalty" else total - self._penalty[name]

    def _line(
        self,
        name: str,
        place: tuple[int, ...],
        draw: int,
        start: "Array",
        way: "Array | None",
        gradients: "Mapping[str, Array]",
    ) -> Line:
        if way is None:
            slopes = {part: float(g[place]) for part, g in gradients.items()}
            own = max(1.0, abs(float(start[place])))
        else:
            slopes = {part: arrays.dot(g, way) for part, g in gradients.items()}
            own = max(arrays.norm(start), 1.0) / math.sqrt(math.prod(start.shape))
        widest, slope = self._share * own, abs(slopes["total"])
        step = min(widest, self._share * self.size / slope) if slope > 0 else widest
        return Line(name, place, draw, slopes, max(step, NARROWEST * widest))

    def _way(self, name: str, place: tuple[int, ...], draw: int, total: "Array") -> "Array | None":
        """All entries: uphill by the gradient, where the slope is steepest, and by chance where there is none.

        None for one entry alone. Signs are held as bytes, a quarter of the parameter's own size or less.
        """
        import numpy as np

        if place:
            return None
        drawn = np.random.default_rng([self.steps, draw])
        xp = array_namespace(total)
        if name in self.unreached:
            way = arrays.zeros_like(total)
        else:
            way = xp.zeros(tuple(total.shape), dtype=xp.int8, device=device(total))
        for along, slope in arrays.pieces(way, total):
            if name in self.unreached:
                moved = drawn.standard_normal(tuple(along.shape))
            else:
                moved = np.asarray(np.sign(arrays.on_host(slope)))  # of a single number, too
                level = moved == 0
                moved[level] = drawn.choice((-1, 1), int(np.count_nonzero(level)))
            along[...] = xp.asarray(moved, dtype=along.dtype, device=device(along))
        return way

    def _move(
        self,
        line: Line,
        start: "Array",
        way: "Array | None",
        gradients: "Mapping[str, Array]",
        held: "Array | None",
    ) -> None:
        """Look a step ahead and a step behind."""
        step = line.next_step
        sides: dict[str, list[float]] = {part: [] for part in self.parts}
        for signed in (step, -step):
            there = _at(start, signed, way, line.place)
            self.trainer.set_parameters({line.parameter: there})
            predicted = {part: _change(g, start, there, line.place, held) for part, g in gradients.items()}
            del there
            losses = _losses(self.trainer.evaluate(self.batch, training=True))
            line.unmoved &= losses["total"] == self.loss["total"]
            for part, slopes in sides.items():
                slopes.append((losses[part] - self.loss[part] - predicted[part]) / signed)
        self.trainer.set_parameters({line.parameter: start})
        for part, (ahead, behind) in sides.items():
            line.levels.setdefault(part, []).append(Level(step, ahead, behind))


def _at(start: "Array", step: float, way: "Array | None", place: tuple[int, ...]) -> "Array":
    """A step away, along the way or in one place."""
    if way is not None:
        return arrays.plus(start, step, way)
    there = arrays.duplicate(start)
    there[place] += step
    return there


def _change(gradient: "Array", start: "Array", there: "Array", place: tuple[int, ...], held: "Array | None") -> float:
    """What the gradient predicts for the very move, rounded as the parameters are."""
    if place:
        return float(gradient[place]) * float(there[place] - start[place])
    if held is not None:
        xp = array_namespace(gradient)
        g, a, b = (xp.reshape(x, (-1,))[held] for x in (gradient, start, there))
        return arrays.dot(g, b - a)
    return sum(arrays.dot(g, b - a) for g, a, b in arrays.pieces(gradient, start, there))


def _held(gradients: "Mapping[str, Array]") -> "Array | None":
    """Where a large parameter has any gradient, counted in C order, if that is in few places; else None."""
    xp, shape = array_namespace(*gradients.values()), gradients["total"].shape
    size = math.prod(shape)
    if size <= arrays.PIECE:
        return None
    some = functools.reduce(operator.or_, (g != 0 for g in gradients.values()))
    return xp.nonzero(xp.reshape(some, (-1,)))[0] if int(xp.count_nonzero(some)) <= SPARSE * size else None


def _losses(output: "Output") -> dict[str, float]:
    """By part, in the order of `PARTS`."""
    return dict(zip(PARTS, (output.loss + output.penalty, output.loss, output.penalty), strict=True))


def _epsilon(parameters: Sequence["Array"], output: "Output") -> float:
    """The coarsest of the parameters', the scores' and the loss's; what a precision holds exactly was made in it."""
    import numpy as np

    known = [_precision(w) for w in parameters]
    with np.errstate(over="ignore"):
        known += [SINGLE] if float(np.float32(output.loss)) == output.loss else []
        if output.scores is not None and arrays.is_floating(output.scores):
            scores = arrays.on_host(output.scores).astype(np.float32)
            brief = np.all(scores.view(np.uint32) % 2**16 == 0)  # the lower half of the bits is what bfloat16 lacks
            short = np.array_equal(scores.astype(np.float16), scores)
            known += [HALF] if bool(brief or short) and bool(scores.any()) else []
    return max(known)


def _precision(x: "Array") -> float:
    return float(array_namespace(x).finfo(x.dtype).eps)


def _largest(x: "Array") -> float:
    return max(map(abs, arrays.extremes(x))) if math.prod(x.shape) else 0.0


def _largest_places(x: "Array", count: int) -> list[int]:
    """Where the largest entries are, counted in C order."""
    import numpy as np

    found: list[tuple[float, int]] = []
    passed, least = 0, -1.0  # of the largest so far
    for (piece,) in arrays.pieces(x):
        sizes: Any = np.abs(arrays.on_host(piece)).reshape(-1)
        above = np.flatnonzero(sizes > least)
        some = min(count, above.size)
        top: Any = above[np.argpartition(sizes[above], -some)[-some:]] if some else above
        found += [(float(sizes[k]), passed + int(k)) for k in top]
        found = found if len(found) <= count else sorted(found)[-count:]
        least = min(found)[0] if len(found) == count else least
        passed += sizes.size
    return [place for _, place in found]


def _gradients(trainer: "Driven", batch: "Batch") -> "tuple[dict[str, Array], dict[str, Array]]":
    """The gradient, and where the penalty's strength can be doubled, its part of it: what that adds; else nothing.

    No more than two copies of a gradient are held at once.
    """
    output, total = trainer.gradients(batch)
    total = {name: arrays.duplicate(total.pop(name)) for name in list(total)}
    scale = trainer.regularization_scale
    if not scale or not output.penalty:
        return total, {}
    trainer.regularization_scale = 2 * scale
    doubled, more = trainer.gradients(batch)
    penalty = {name: more.pop(name) - g for name, g in total.items() if name in more}
    trainer.regularization_scale = scale
    if not math.isclose(doubled.penalty, 2 * output.penalty, rel_tol=1e-3) or len(penalty) < len(total):
        return total, {}
    return total, penalty

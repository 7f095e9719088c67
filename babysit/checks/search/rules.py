"""What a search can find: the best at an edge, nothing that works, too few trials, a winner by its seed."""

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from babysit.check import rule
from babysit.checks.search.results import (
    Candidate,
    best,
    candidates,
    failures,
    in_common,
    knows_nothing,
    searched,
    seed_freedom,
    seed_noise,
    word,
)
from babysit.measuring.significance import widening
from babysit.report import Finding
from babysit.search.space import BEYOND, LEADERS, NEAR, Parameter, edge, leaning
from babysit.search.stages import COARSE, SEEDS, leaders, ranking
from babysit.search.trials import Outcome

if TYPE_CHECKING:
    from babysit.search.schema import Measurement, Settings

SEVERAL = 1e3  # three decades, so that two steps lead across the lecture's range of 1e-6 to 1e-1
FAILED = (Outcome.EXPLODED, Outcome.CRASHED, Outcome.LOST)  # of their own


@rule
def all_trials_failed(measured: "Measurement", settings: "Settings") -> Iterator[Finding]:
    """No trial of the search has come to anything.

    What it finds: every trial exploded or crashed, or those that finished predict no better than one constant answer
    for all examples. What the failures have in common is said: a side of a range, or a choice.

    Why it matters: a search over a space in which nothing works says nothing about which of its values is better. The
    lecture's first look at a space is a coarse one for this reason: a cost that is NaN means that the learning rate is
    too high, one that hardly changes that it is too low.

    What to try: where all explode, lower the learning rates by several decades. Where all crash, read the message: a
    value that the program doesn't take belongs out of the space. Where nothing is learned, raise the learning rates or
    train for longer, and run `babysit overfit` and `babysit lr-scan` on the program as it is.

    When it is wrong: a program that needs many epochs before it is better than a constant needs a longer coarse stage.

    References: CS231n, lecture 6, "hyperparameter optimization".
    """
    if best(measured) is not None and not knows_nothing(measured):
        return
    if not measured.trials:
        return
    count = {kind: sum(t.outcome is kind for t in measured.trials) for kind in Outcome}
    told = [_told(measured, kind) for kind in FAILED if count[kind]]
    if knows_nothing(measured):
        compared = "more" if measured.metric else "less"
        known = f"a constant answer's {measured.constant_score:.3g}"
        told.append(f"{count[Outcome.FINISHED]} finished, none with {compared} than {known}")
    told += [f"{count[Outcome.PRUNED]} were pruned"] if count[Outcome.PRUNED] else []
    yield all_trials_failed.error(
        f"none of {len(measured.trials)} trials has come to anything: {'; '.join(told)}.",
        suggestion=_remedy(measured, count),
        trials=len(measured.trials),
        **{str(kind): count[kind] for kind in FAILED if count[kind]},
    )


def _told(measured: "Measurement", kind: Outcome) -> str:
    """How many trials ended so, what they have in common, and why the first did."""
    found = [t for t in failures(measured) if t.outcome is kind]
    common = in_common(measured, kind)
    where = f" ({', '.join(common)})" if common else ""
    return f"{len(found)} {kind}{where}, the first since {found[0].reason.rstrip('.')}"


def _remedy(measured: "Measurement", count: Mapping[Outcome, int]) -> str:
    """What would help most of the trials."""
    rate = next((p for p in measured.space if p.name == "learning_rate"), None)
    worst = max((*FAILED, Outcome.FINISHED), key=lambda kind: count[kind])
    if worst in (Outcome.CRASHED, Outcome.LOST):
        return "Leave out of the ranges what the program doesn't take; its own message is above."
    if worst is Outcome.EXPLODED:
        return f"Search lower learning rates{_decades(rate, -1)}."
    longer = "Train for longer (--coarse-epochs)"
    if not count[Outcome.EXPLODED]:
        longer += f", or search higher learning rates{_decades(rate, 1)}"
    return f"{longer}; look at `babysit overfit` and `babysit lr-scan`."


def _decades(rate: Parameter | None, side: int) -> str:
    """The range to look at where nothing worked in a whole one: several decades on one side of it."""
    values = (rate.choices or (rate.low, rate.high)) if rate else ()
    numbers = [float(v) for v in values if isinstance(v, int | float) and v > 0]
    if not (rate and numbers):
        return ""
    ends = (min(numbers) / SEVERAL, min(numbers)) if side < 0 else (max(numbers), max(numbers) * SEVERAL)
    return f", such as --param {rate.name}={Parameter(rate.name, 'log', *ends).spec}"


@rule
def best_at_edge(measured: "Measurement", settings: "Settings") -> Iterator[Finding]:
    """The best configuration lies at an edge of the space, and better ones may lie beyond it.

    What it finds: a range at whose edge (the outer tenth, on its own scale) the best trial lies, with so many of the
    best five in the outer third on that side that chance explains it badly: in 1 of 20 searches at most, for each
    hyperparameter without an effect. Or the coarse trials lay like that, so that the finer range went on beyond the
    edge, and the best still lies at the edge of what was asked for, or outside.

    Why it matters: a search can't find what it does not look at. The lecture shows a table whose best learning rate is
    9.5e-4 in a range that ends at 1e-3, and asks what is worrying about it.

    What to try: search again in the range that is suggested, which has the edge inside.

    When it is wrong: some edges are set by other things, such as the memory that there is. Natural ones, a share of 0
    or of 1 and a single unit, are left alone. Where most of a range explodes and the rest does not care, the edge of
    the rest may be named more often.

    References: CS231n, lecture 6, "be careful with best values on border"; course notes, "neural networks 3".
    """
    found = best(measured)
    if found is None or knows_nothing(measured):
        return
    drawn = [t for t in measured.trials if t.stage != SEEDS]
    first = leaders(drawn, higher=bool(measured.metric))[:LEADERS]
    coarse = [t for t in drawn if t.stage == COARSE and t.outcome in (Outcome.FINISHED, Outcome.EXPLODED)]
    finished = leaders(coarse, higher=bool(measured.metric))
    for asked in measured.space:
        if asked.choices or not finished:
            continue
        value, whole = found.trial.configuration[asked.name], searched(measured, asked)
        places = ([whole.place(t.configuration[asked.name]) for t in some] for some in (first, finished, coarse))
        place, inside = whole.place(value), asked.place(value)
        side = leaning(*places) if edge(place) else 0
        side = side if edge(place) == side and not _is_natural(whole, side) else 0
        led = edge(inside) if edge(inside) == _beyond_asked(asked, whole) else 0  # to where the coarse trials leaned
        if not (side or led):
            continue
        where = f"lies {'at' if 0 <= inside <= 1 else 'beyond'} the {_name(led or side)}"
        spec = _beyond(whole, side) if side else _part(whole, place - NEAR, place + NEAR)
        yield best_at_edge.warning(
            f"the best {asked.name}, {asked.shown(value)}, {where} of the range {(asked if led else whole).ends}.",
            where=asked.name,
            suggestion=f"Look there next: --param {spec}.",
            value=float(value or 0),
            low=whole.low,
            high=whole.high,
        )


def _is_natural(parameter: Parameter, side: int) -> bool:
    """Whether there is nothing beyond this end: no dropout below 0, and no fewer than one unit."""
    least, most = parameter.limits
    return parameter.low <= least if side < 0 else parameter.high >= most


def _beyond_asked(asked: Parameter, whole: Parameter) -> int:
    """The side on which the range that was searched goes on beyond the one asked for; 0 for none."""
    return -1 if whole.low < asked.low else 1 if whole.high > asked.high else 0


def _name(side: int) -> str:
    return "lower end" if side < 0 else "upper end"


def _beyond(parameter: Parameter, side: int) -> str:
    """The range to look at next: half as far again beyond the edge, and a third of what is inside it."""
    return _part(parameter, *((-BEYOND, NEAR) if side < 0 else (1 - NEAR, 1 + BEYOND)))


def _part(parameter: Parameter, first: float, last: float) -> str:
    """As `--param` takes it: the part of a range between two places, which may lie outside."""
    least, most = parameter.limits
    low, high = max(least, parameter.at(first)), min(most, parameter.at(last))
    if parameter.is_whole:
        low, high = math.floor(low), math.ceil(high)
    return f"{parameter.name}={Parameter(parameter.name, parameter.kind, float(low), float(high)).spec}"


@rule
def one_seed_winner(measured: "Measurement", settings: "Settings") -> Iterator[Finding]:
    """The best configuration of one seed can't be told from the next once other seeds are tried.

    What it finds: the best trials are run again with other seeds; the means over seeds differ by less than twice the
    error that the scatter over seeds gives them (more where that is known from few), or another configuration's mean is
    the best by more than that; or the best of one seed fails with another.

    Why it matters: initialization, order of the examples and dropout are drawn anew with each seed. The best of many
    trials on one seed is, to some part, the luckiest.

    What to try: take whichever of those named is cheapest, or run them with more seeds (`--seeds 10`) where the
    difference matters.

    When it is wrong: scores of a large validation set and a long training differ by less over seeds; the coarse and
    the fine trials are short.

    References: Bouthillier et al. 2021, "Accounting for variance in machine learning benchmarks".
    """
    again = [c for c in candidates(measured) if len(c.scores) > 1 or c.failures]
    if len(again) < 2 or knows_nothing(measured):
        return
    first = ranking([c.trial for c in again], higher=bool(measured.metric))[0]
    winner = again[0]
    if fallen := next((c for c in again if c.trial is first and c.failures), None):
        other = f"; {_described(measured, winner)} does not." if not winner.failures else ", and so do the next."
        yield one_seed_winner.warning(
            f"the best of one seed, {_described(measured, fallen)}, fails with {_number_of(fallen.failures)} of "
            f"{settings.seeds}{other}",
            suggestion="Take what is best over seeds, as the report does.",
            failures=fallen.failures,
        )
        return
    again = [c for c in again if not c.failures]
    if len(again) < 2:
        return
    few = widening(2, seed_freedom(measured))  # they know their scatter badly
    noise = settings.noise * few * seed_noise(measured) * math.sqrt(2 / min(len(c.scores) for c in again))
    if winner.trial is not first:
        former = next(c for c in again if c.trial is first)
        if abs(winner.mean - former.mean) > noise:
            yield one_seed_winner.warning(
                f"the best of one seed, {_described(measured, former)}, is no more than {former.mean:.4g} over "
                f"{len(former.scores)} {'other ' * former.fresh}seeds; {_described(measured, winner)} is better.",
                suggestion="Take what is best over seeds, as the report does.",
                noise=noise,
                means=[c.mean for c in again],
            )
            return
    others = [c for c in again[1:] if c.trial.configuration != winner.trial.configuration]  # not for fewer epochs
    tied = [c for c in others if abs(winner.mean - c.mean) <= noise]
    if tied:
        seeds = f"with {len(winner.scores)} {'other ' * winner.fresh}seeds, differences below {noise:.2g} are noise"
        yield one_seed_winner.info(
            f"{_described(measured, winner)} can't be told from {_described(measured, tied[0])}"
            + (f": {seeds}." if noise else ", whatever the seed."),
            suggestion=(
                "Take whichever you like better; where the difference matters, run them with more seeds (--seeds; with "
                "--storage, what was tried is kept)."
            ),
            noise=noise,
            means=[c.mean for c in again],
        )


def _number_of(seeds: int) -> str:
    return f"{seeds} other seed{'s' * (seeds != 1)}"


def _described(measured: "Measurement", candidate: Candidate) -> str:
    said = ", ".join(f"{p.name} {p.shown(candidate.trial.configuration[p.name])}" for p in measured.space)
    return f"{said} ({word(measured)} {candidate.mean:.4g})"


@rule
def search_too_small(measured: "Measurement", settings: "Settings") -> Iterator[Finding]:
    """The coarse search has too few trials to have met the best part of the space.

    What it finds: so few coarse trials that the chance of one of them in the best tenth of the space is below 90 %: 21
    or fewer random ones. Of a grid, the values of the hyperparameter that has most of them count, since where one alone
    matters, the others only repeat it. Trials that crash count for nothing.

    Why it matters: a narrower range is drawn about the best of the coarse trials. Where none of them has met the good
    part, the fine search looks in the wrong place, however long it takes.

    What to try: more coarse trials (`--coarse 30`), shorter ones if need be (`--coarse-epochs 0.3`); random ones rather
    than a grid.

    When it is wrong: with a space of a few choices, all of which were tried, there is no more to meet.

    References: Bergstra and Bengio 2012, "Random search for hyper-parameter optimization"; CS231n, lecture 6, "random
    search vs. grid search".
    """
    made = [t for t in measured.trials if t.stage == COARSE and t.outcome not in (Outcome.CRASHED, Outcome.LOST)]
    values = [{t.configuration[p.name] for t in made} for p in measured.space]
    entries = measured.planned - settings.fine - settings.top * settings.seeds  # fewer than drawn, if some were alike
    drawn = round(len(made) * max(1.0, settings.coarse / max(1, entries)))
    count = max(map(len, values), default=0) if measured.sampler == "grid" else drawn
    tried = sum(t.stage == COARSE for t in measured.trials)
    if not made or measured.interrupted or tried >= math.prod(p.size for p in measured.space):
        return
    chance = 1 - (1 - settings.region) ** count
    if chance >= settings.chance:
        return
    enough = math.ceil(math.log(1 - settings.chance) / math.log(1 - settings.region)) if settings.region < 1 else 1
    what = (
        f"a grid of {len(made)} trials has {count} values of a hyperparameter"
        if measured.sampler == "grid"
        else (f"{count} coarse trial{'s' * (count != 1)}")
    )
    yield search_too_small.warning(
        f"{what}: one lies in the best {settings.region:.0%} of the space with a chance of {chance:.0%}.".replace(
            "%", " %"
        ),
        suggestion=f"Make {enough} random coarse trials or more (--coarse {enough}), shorter ones if need be.",
        trials=count,
        chance=chance,
    )

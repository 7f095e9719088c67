"""The stages of a search: what each of them tries. A function of the seed, and of what the stage before has found.

Random search rather than a grid: where few hyperparameters matter, a grid tries few values of those that do (Bergstra
and Bengio 2012, "Random search for hyper-parameter optimization"). From coarse to fine: the course notes have a wide
range tried for an epoch or less, then a narrower one about the best for longer.
"""

import itertools
import math
import random
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from babysit.errors import UsageError
from babysit.search.space import LEADERS, Parameter, finer
from babysit.search.trials import Outcome, Trial

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from babysit.search.schema import Settings

Drawn: TypeAlias = dict[str, bool | int | float | str | None] | None

STAGES = COARSE, FINE, SEEDS = "coarse", "fine", "seeds"
BEST_SHARE = 0.2  # of the coarse trials, about which the fine range is drawn: six of 30, so that luck moves it little


@dataclass(frozen=True)
class Entry:
    """One trial to make.

    Args:
        number: Its number in the stage.
        configuration: What to try; None for what the sampler makes of the trials before it.
        seed: Of the trainer.
        epochs: To train for.
    """

    number: int
    configuration: Drawn
    seed: int
    epochs: float


@dataclass(frozen=True)
class Stage:
    """Trials that don't depend on one another.

    Args:
        name: One of `COARSE`, `FINE`, `SEEDS`.
        space: What their configurations are drawn from.
        entries: The trials.
    """

    name: str
    space: tuple[Parameter, ...]
    entries: tuple[Entry, ...]


def coarse(space: tuple[Parameter, ...], settings: "Settings", seed: int) -> Stage:
    """Many trials of the whole space, each of them short."""
    drawn = configurations(space, settings.coarse, settings.sampler, seed)
    return Stage(COARSE, space, _entries(drawn, seed, settings.coarse_epochs))


def fine(
    space: tuple[Parameter, ...], tried: Sequence[Trial], settings: "Settings", seed: int, *, higher: bool
) -> Stage:
    """Fewer and longer trials, in a space drawn about the best coarse ones; none where none of those finished.

    Args:
        space: Of the coarse stage.
        tried: Its trials.
        settings: Of the search.
        seed: Of the run.
        higher: Whether higher scores are better.
    """
    ranked = leaders(tried, higher=higher)
    if not ranked or not settings.fine:
        return Stage(FINE, space, ())
    best = ranked[: max(LEADERS, math.ceil(BEST_SHARE * len(tried)))]
    seen = (best, ranked, [t for t in tried if t.outcome in (Outcome.FINISHED, Outcome.EXPLODED)])
    narrowed = finer(space, *([t.configuration for t in some] for some in seen))
    drawn = configurations(narrowed, settings.fine, settings.sampler, (seed + 1) % 2**32)
    return Stage(FINE, narrowed, _entries(drawn, seed, settings.fine_epochs))


def again(tried: Sequence[Trial], settings: "Settings", seed: int, *, higher: bool) -> Stage:
    """The best trials once more with each of some other seeds; none where one seed is all that was asked for."""
    best = distinct(ranking(tried, higher=higher))[: settings.top] if settings.seeds else []
    entries = [
        Entry(k * settings.top + place, dict(trial.configuration), (seed + 1 + k) % 2**32, trial.epochs)
        for k in range(settings.seeds)  # numbered so that more seeds come behind those that were tried before
        for place, trial in enumerate(best)
    ]
    return Stage(SEEDS, (), tuple(entries))


def ranking(tried: Sequence[Trial], *, higher: bool) -> list[Trial]:
    """The trials that finished, the best score first; of equal ones, the earlier."""
    finished = [trial for trial in tried if trial.outcome is Outcome.FINISHED]
    return sorted(finished, key=lambda trial: -trial.score if higher else trial.score)


def leaders(tried: Sequence[Trial], *, higher: bool) -> list[Trial]:
    """The ranking, equal scores in an order that has nothing to do with how configurations were listed.

    A grid lists them by their values: of equal ones, the first would all lie at one edge.
    """
    drawn = random.Random(0).sample(tried, len(tried))
    return ranking(drawn, higher=higher)


def distinct(tried: Sequence[Trial]) -> list[Trial]:
    """The trials without those that repeat an earlier one: choices and whole numbers are drawn again and again."""
    found: list[Trial] = []
    for trial in tried:
        if not any((t.configuration, t.epochs) == (trial.configuration, trial.epochs) for t in found):
            found.append(trial)
    return found


def _entries(drawn: Sequence[Drawn], seed: int, epochs: float) -> tuple[Entry, ...]:
    """One for each configuration; those that were drawn before, as choices are, would only come out the same."""
    new = [c for n, c in enumerate(drawn) if c is None or c not in drawn[:n]]
    return tuple(Entry(number, configuration, seed, epochs) for number, configuration in enumerate(new))


def configurations(space: Sequence[Parameter], count: int, sampler: str, seed: int) -> Sequence[Drawn]:
    """What a sampler draws that doesn't look at results, all at once; None for each where it does.

    All at once, so that neither the number of workers nor their luck has a say in it.
    """
    if sampler == "tpe":
        return [None] * count
    if sampler == "grid":
        return grid(space, count)
    import optuna

    if sampler == "random":
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            quasi = optuna.samplers.QMCSampler(scramble=True, seed=seed, warn_independent_sampling=False)
        study = optuna.create_study(sampler=quasi)
        study.add_trial(_seen(space))
    distributions = {parameter.name: parameter.distribution() for parameter in space}
    return [dict(study.ask(distributions).params) for _ in range(count)]


def _seen(space: Sequence[Parameter]) -> "FrozenTrial":
    """A trial that shows a quasi-random sampler the space; without one it draws the first point by chance."""
    import optuna

    values = {p.name: p.levels(1)[0] for p in space}
    return optuna.create_trial(params=values, distributions={p.name: p.distribution() for p in space}, value=0.0)


def grid(space: Sequence[Parameter], most: int, option: str = "--coarse") -> list[Drawn]:
    """Every combination of evenly spaced values, as many of each parameter as fit into so many trials.

    Args:
        space: The parameters.
        most: How many trials.
        option: That says how many, for the message.

    Raises:
        UsageError: The choices alone have more combinations.
    """
    counts = {p.name: len(p.choices) or 1 for p in space}
    if (least := math.prod(counts.values())) > most:
        raise UsageError(f"{option} {most} is too few for a grid: the choices alone have {least} combinations")
    open_to = [p for p in space if not p.choices]
    while open_to:
        parameter = min(open_to, key=lambda p: counts[p.name])
        wider = counts | {parameter.name: counts[parameter.name] + 1}
        if math.prod(wider.values()) > most or len(parameter.levels(wider[parameter.name])) < wider[parameter.name]:
            open_to.remove(parameter)
        else:
            counts = wider
    levels = [parameter.levels(counts[parameter.name]) for parameter in space]
    names = [parameter.name for parameter in space]
    return [dict(zip(names, values, strict=True)) for values in itertools.product(*levels)]

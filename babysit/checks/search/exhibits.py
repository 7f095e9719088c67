"""What a search shows: the best, what mattered, what failures have in common, the trials, and scores by parameter."""

import math
import statistics
from collections.abc import Iterator, Sequence

from babysit.checks.search.results import Candidate, best, candidates, in_common, knows_nothing, seed_noise, word
from babysit.report import Curve, Exhibit, Fact, Snippet, Table
from babysit.search.schema import Measurement, Settings
from babysit.search.space import Configuration, Parameter
from babysit.search.stages import COARSE, FINE, SEEDS, ranking
from babysit.search.trials import Outcome, Trial

ROWS = 12  # of the table of trials; JSON has them all
KEYS = 2  # columns that name a trial: its place and its score
LATEST = 8  # rows of it while the search runs, so that a terminal of 24 holds it


def shown(measured: "Measurement") -> Iterator[Exhibit]:
    """All of it, for the report."""
    yield from _facts(measured)
    found = best(measured)
    if found is not None and not knows_nothing(measured):
        yield Snippet("the best, as YAML", best_yaml(measured))
    yield _trials(measured)
    yield from (_choices(measured, parameter) for parameter in measured.space if parameter.choices)
    yield from (_scatter(measured, parameter) for parameter in measured.space if not parameter.choices)


def live(measured: "Measurement") -> Iterator[Exhibit]:
    """What there is while it runs."""
    if found := best(measured):
        yield Fact("the best", _said(measured, found))
    rows = [(str(trial.number), *_row(measured, trial)) for trial in measured.trials[-LATEST:]]
    title = f"{len(measured.trials)} of {measured.planned} trials, the latest"
    yield Table(title, ("", *_columns(measured)), tuple(rows), KEYS)


def _facts(measured: "Measurement") -> Iterator[Fact]:
    yield Fact("space", ", ".join(f"{p.name} {p.spec}" for p in measured.space))
    if measured.finer not in ((), measured.space):
        yield Fact("finer", ", ".join(f"{p.name} {p.spec}" for p in measured.finer))
    yield Fact("trials", _ends(measured))
    if measured.earlier:
        yield Fact("made earlier", f"{measured.earlier} of them, kept in {measured.storage}")
    if found := best(measured):
        yield Fact("the best", _said(measured, found))
    if math.isfinite(measured.constant_score):
        yield Fact("one answer for all", f"{word(measured)} {measured.constant_score:.4g}")
    if len([c for c in candidates(measured) if len(c.scores) > 1]) > 1:
        yield Fact("scatter over seeds", f"{seed_noise(measured):.2g}")
    if measured.importances:
        parts = (f"{name} {share:.0%}".replace("%", " %") for name, share in measured.importances.items())
        yield Fact("what mattered", ", ".join(parts))
    for outcome in (Outcome.CRASHED, Outcome.LOST):
        if first := next((t for t in measured.trials if t.outcome is outcome), None):
            yield Fact(f"the first that {'was lost' if outcome is Outcome.LOST else outcome}", first.reason)
    for outcome in (Outcome.EXPLODED, Outcome.CRASHED, Outcome.LOST):
        if common := in_common(measured, outcome):
            yield Fact(f"all that {_verb(outcome)}", ", ".join(common))


def _verb(outcome: Outcome) -> str:
    return "were lost" if outcome is Outcome.LOST else str(outcome)


def _ends(measured: "Measurement") -> str:
    """How many trials of each stage, and how many of all ended in which way."""
    stages = [(name, sum(t.stage == name for t in measured.trials)) for name in (COARSE, FINE, SEEDS)]
    named = {COARSE: "coarse", FINE: "fine", SEEDS: "with other seeds"}
    ends = [(kind, sum(t.outcome is kind for t in measured.trials)) for kind in Outcome]
    made = ", ".join(f"{n} {named[name]}" for name, n in stages if n)
    return f"{made or 'none'}; {', '.join(f'{n} {kind}' for kind, n in ends if n) or 'nothing made'}"


def _said(measured: "Measurement", found: Candidate) -> str:
    """A candidate in a line."""
    epochs = f" after {found.trial.epochs:g} epoch{'s' * (found.trial.epochs != 1)}"
    seeds = f", mean of {len(found.scores)} {'other ' * found.fresh}seeds" if len(found.scores) > 1 else ""
    values = ", ".join(f"{p.name} {p.shown(found.trial.configuration[p.name])}" for p in measured.space)
    return f"{word(measured)} {found.mean:.4g}{epochs}{seeds}: {values}"


def best_yaml(measured: "Measurement") -> str:
    """The best configuration as keys and values; empty where no trial finished."""
    found = best(measured)
    return "" if found is None else as_yaml(found.trial.configuration)


def as_yaml(configuration: Configuration) -> str:
    """Keys and values that any reader of YAML takes for what they are: `1e-05` is text to some, `1.0e-05` to none."""
    return "".join(f"{_scalar(name)}: {_scalar(value)}\n" for name, value in configuration.items())


def _scalar(value: bool | int | float | str | None) -> str:
    import yaml

    return yaml.safe_dump(value, default_flow_style=True, width=math.inf).removesuffix("\n").removesuffix("\n...")


def _columns(measured: "Measurement") -> tuple[str, ...]:
    return (word(measured), *(parameter.name for parameter in measured.space), "epochs", "stage")


def _row(measured: "Measurement", trial: Trial) -> tuple[str, ...]:
    """A trial; how it ended where it has no score, and the seed of those that are there for it."""
    score = f"{trial.score:.4g}" if trial.outcome is Outcome.FINISHED else str(trial.outcome)
    values = (p.shown(trial.configuration[p.name]) for p in measured.space)
    return (score, *values, f"{trial.epochs:g}", f"seed {trial.seed}" if trial.stage == SEEDS else trial.stage)


def _trials(measured: "Measurement") -> Table:
    """The best trials; where some failed, the first of those, too."""
    ranked = ranking(measured.trials, higher=bool(measured.metric))
    rest = [trial for trial in measured.trials if trial.outcome is not Outcome.FINISHED]
    few = min(len(rest), max(ROWS // 3, ROWS - len(ranked)))
    rows = [(str(place), *_row(measured, trial)) for place, trial in enumerate(ranked[: ROWS - few], 1)]
    rows += [("", *_row(measured, trial)) for trial in rest[:few]]
    parts = ["the best"] * bool(ranked) + ["some that did not finish"] * bool(few)
    title = f"trials, {len(rows)} of {len(measured.trials)}"
    title += f": {', and '.join(parts)}" if parts else ""
    return Table(title, ("", *_columns(measured)), tuple(rows), KEYS)


def _choices(measured: "Measurement", parameter: Parameter) -> Table:
    """The scores by value of a choice."""
    rows = []
    for choice in parameter.choices:
        tried = [t for t in measured.trials if t.configuration[parameter.name] == choice and t.stage != SEEDS]
        ranked = ranking(tried, higher=bool(measured.metric))
        middle = f"{statistics.median(t.score for t in ranked):.4g}" if ranked else "-"
        top = f"{ranked[0].score:.4g}" if ranked else "-"
        rows.append((parameter.shown(choice), str(len(tried)), top, middle, str(len(tried) - len(ranked))))
    columns = (parameter.name, "trials", f"best {word(measured)}", "median", "not finished")
    return Table(f"{word(measured)} by {parameter.name}", columns, tuple(rows))


def _scatter(measured: "Measurement", parameter: Parameter) -> Curve:
    """The score of each trial against its value; of those that exploded, none."""
    plotted = (Outcome.FINISHED, Outcome.EXPLODED)
    made: Sequence[Trial] = [t for t in measured.trials if t.stage != SEEDS and t.outcome in plotted]
    found = best(measured)
    value = found.trial.configuration[parameter.name] if found else None
    return Curve(
        f"{word(measured)} by {parameter.name}",
        tuple(float(v) for t in made if isinstance(v := t.configuration[parameter.name], int | float)),
        {word(measured): tuple(t.score for t in made)},
        x_label=parameter.name,
        y_label=word(measured),
        log_x=parameter.is_log,
        marks={"the best": float(value)} if isinstance(value, int | float) else {},
        scattered=True,
    )


def exhibits(measured: Measurement, settings: Settings) -> Iterator[Exhibit]:
    """The best, what mattered, what failed, every trial, and the score against each hyperparameter."""
    yield from shown(measured)

"""Rules and exhibits of `search`, on plain numbers."""

import math
from dataclasses import replace

import numpy as np
import pytest
import yaml
from faults import spoiled
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from scipy.stats import t as student
from search_trials import (
    ACTIVATION,
    COARSE_TRIALS,
    FINER,
    HEALTHY,
    HIDDEN,
    ONCE,
    RATE,
    SPACE,
    at_places,
    failed,
    repeated,
    searched,
    spread,
    trial,
    value,
)

from babysit.checks import find_checks
from babysit.checks.search import Settings
from babysit.checks.search.exhibits import as_yaml, best_yaml, live
from babysit.config.file import load, override
from babysit.errors import UsageError
from babysit.report import Curve, Fact, Snippet, Table
from babysit.search.space import Parameter, read_space
from babysit.search.stages import COARSE, FINE, SEEDS, fine, grid
from babysit.search.trials import Outcome

CHECK = find_checks()["search"]
FAILED = {("all-trials-failed", "error")}
EDGE = {("best-at-edge", "warning")}
LUCKY = {("one-seed-winner", "warning")}
TIED = {("one-seed-winner", "info")}
SMALL = {("search-too-small", "warning")}

SHARE = Parameter("share", "uniform", 0.0, 1.0)
DROPOUT = Parameter("dropout", "uniform", 0.0, 0.8)
OFFSET = Parameter("offset", "uniform", -10.0, 0.0)  # with no natural end
WIDTH = Parameter("width", "log-int", 8, 1024)
DEPTH = Parameter("depth", "int", 1, 10)
NEGATIVE = Parameter("shift", "int", -10, -1)
SPREAD = spread(SPACE, 30)
INSIDE = (0.5, 0.4, 0.6, 0.45, 0.55)
DOWNWARD, UPWARD = (0.02, 0.1, 0.2, 0.3, 0.15), (0.98, 0.9, 0.8, 0.7, 0.85)


def found(measured, **settings):
    return CHECK.judge(measured, Settings(**settings))


def judged(measured, **settings):
    return {(f.rule, str(f.severity)) for f in found(measured, **settings)}


def only(measured, rule, **settings):
    """The finding of this rule, of which there is one."""
    (finding,) = (f for f in found(measured, **settings) if f.rule == rule)
    return finding


def edges(measured):
    return [f for f in found(measured) if f.rule == "best-at-edge"]


def shown(kind, measured=HEALTHY):
    return [e for e in CHECK.exhibits(measured, Settings()) if isinstance(e, kind)]


def facts(measured=HEALTHY):
    return {fact.label: fact.value for fact in shown(Fact, measured)}


def suggested(finding):
    """The range that a suggestion names."""
    spec = finding.suggestion.partition("--param ")[2].partition(",")[0].removesuffix(".")
    (parameter,) = read_space([spec])
    return parameter


def every(outcome, reason="the cost is nan in step 3", space=SPACE):
    """A search of which every trial ended so."""
    return searched(*(failed(c, outcome, reason, number=n) for n, c in enumerate(spread(space, 30))), space=space)


def with_outcomes(*outcomes, **changes):
    """As the healthy one, the first coarse trials having ended so."""
    bad = [failed(t.configuration, o, number=t.number) for t, o in zip(COARSE_TRIALS, outcomes, strict=False)]
    return replace(HEALTHY, trials=(*bad, *HEALTHY.trials[len(bad) :]), **changes)


def of_size(count, **changes):
    """A search of so many coarse trials."""
    return searched(*COARSE_TRIALS[:count], **changes)


def beyond(place, asked=RATE, width=1.0):
    """A search whose finer range goes on below the one that was asked for, and has found a better trial here."""
    further = replace(asked, low=max(1.0, round(asked.at(-width))) if asked.is_whole else asked.at(-width))
    fine = trial({asked.name: value(asked, place)}, 0.9, stage=FINE, epochs=5.0)
    made = at_places(asked, 0.02, 0.5, 0.7, 0.4, 0.6)
    return replace(made, trials=(*made.trials, fine), finer=(further,))


# Settings


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sampler": "bayes"}, "sampler must be one of random, grid, quasi-random, tpe, not 'bayes'"),
        ({"pruner": "asha"}, "pruner must be one of none, median, halving, not 'asha'"),
        ({"sampler": ""}, "sampler must be one of random, grid, quasi-random, tpe, not ''"),
        ({"folds": 1}, "folds must be 0, for none, or 2 and more"),
    ],
)
def test_settings_that_are_none(changes, message):
    with pytest.raises(ValueError, match=r"must be") as raised:
        Settings(**changes)
    assert str(raised.value) == message


@pytest.mark.parametrize("changes", [{}, {"folds": 2}, {"sampler": "tpe", "pruner": "halving"}])
def test_settings_that_are_some(changes):
    assert all(getattr(Settings(**changes), name) == value for name, value in changes.items())


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("chance=1", "search.chance must be a number greater than 0 and at most 0.999, not '1'"),
        ("chance=0.9991", "search.chance must be a number greater than 0 and at most 0.999, not '0.9991'"),
        ("chance=0", "search.chance must be a number greater than 0 and at most 0.999, not '0'"),
        ("region=0", "search.region must be a number of at least 0.001 and at most 1, not '0'"),
        ("region=0.0009", "search.region must be a number of at least 0.001 and at most 1, not '0.0009'"),
        ("region=1.1", "search.region must be a number of at least 0.001 and at most 1, not '1.1'"),
    ],
)
def test_settings_beyond_their_limits(assignment, message):
    with pytest.raises(UsageError) as raised:
        override(load(None, {"search": CHECK}, ()), [assignment], {"search": CHECK}, "search")
    assert str(raised.value).endswith(message)


# Healthy searches


def test_healthy_numbers():
    assert found(HEALTHY) == []


def test_before_any_trial_nothing_is_found():
    assert found(searched()) == []


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_any_number_can_be_judged(wrong):
    """But for values of hyperparameters, which are drawn from a range."""
    drawn = (".space", ".finer", ".configuration")
    for where, measured in spoiled(HEALTHY, wrong):
        if not any(name in where for name in drawn):
            list(CHECK.exhibits(measured, Settings()))
            assert judged(measured) <= FAILED | EDGE | LUCKY | TIED


def test_failures_among_trials_that_finish_are_no_fault():
    assert judged(with_outcomes(*[Outcome.EXPLODED] * 15, Outcome.PRUNED)) == set()
    assert judged(with_outcomes(*[Outcome.CRASHED] * 8)) == set()


# All trials failed


@pytest.mark.parametrize("outcome", [Outcome.EXPLODED, Outcome.CRASHED, Outcome.LOST])
def test_all_trials_failed(outcome):
    assert FAILED <= judged(every(outcome)) <= FAILED | SMALL


@pytest.mark.parametrize(("constant", "expected"), [(0.87, set()), (0.8727, set()), (0.8729, FAILED), (0.95, FAILED)])
def test_trials_that_beat_no_constant_answer_have_failed(constant, expected):
    assert judged(replace(HEALTHY, constant_score=constant)) == expected


@pytest.mark.parametrize(("constant", "expected"), [(2.3, set()), (0.11, set()), (0.1, FAILED), (0.05, FAILED)])
def test_losses_below_no_constant_answer_s_have_failed(constant, expected):
    lower = tuple(replace(t, score=1 - t.score) for t in HEALTHY.trials)
    lower = tuple(replace(t, score=t.score - 0.0272) for t in lower)  # the best mean is 0.1
    assert judged(replace(HEALTHY, metric="", trials=lower, constant_score=constant)) == expected


def test_one_that_finished_is_enough():
    made = every(Outcome.EXPLODED)
    assert judged(replace(made, trials=(*made.trials, trial(SPREAD[0], 0.5)))) == set()


REST = "learning_rate from 1.16e-06 to 0.0613, hidden from 38 to 498"


@pytest.mark.parametrize(
    ("measured", "message", "suggestion"),
    [
        (
            every(Outcome.EXPLODED),
            f"none of 30 trials has come to anything: 30 exploded ({REST}), the first since the cost is nan in step 3.",
            "Search lower learning rates, such as --param learning_rate=log:1e-09:1e-06.",
        ),
        (
            every(Outcome.EXPLODED, space=(ACTIVATION,)),
            "none of 30 trials has come to anything: 30 exploded, the first since the cost is nan in step 3.",
            "Search lower learning rates.",
        ),
        (
            every(Outcome.CRASHED, "trainer() failed: ValueError: no such layer."),
            f"none of 30 trials has come to anything: 30 crashed ({REST}), the first since trainer() failed: "
            "ValueError: no such layer.",
            "Leave out of the ranges what the program doesn't take; its own message is above.",
        ),
        (
            every(Outcome.LOST, "its worker died three times"),
            f"none of 30 trials has come to anything: 30 lost ({REST}), the first since its worker died three times.",
            "Leave out of the ranges what the program doesn't take; its own message is above.",
        ),
        (
            replace(HEALTHY, constant_score=0.95),
            "none of 51 trials has come to anything: 51 finished, none with more than a constant answer's 0.95.",
            "Train for longer (--coarse-epochs), or search higher learning rates, such as --param "
            "learning_rate=log:0.1:100; look at `babysit overfit` and `babysit lr-scan`.",
        ),
        (
            replace(HEALTHY, metric="", constant_score=0.1),
            "none of 51 trials has come to anything: 51 finished, none with less than a constant answer's 0.1.",
            "Train for longer (--coarse-epochs), or search higher learning rates, such as --param "
            "learning_rate=log:0.1:100; look at `babysit overfit` and `babysit lr-scan`.",
        ),
        (
            searched(*(trial(c, 0.1) for c in spread((ACTIVATION,), 30)), space=(ACTIVATION,)),
            "none of 30 trials has come to anything: 30 finished, none with more than a constant answer's 0.1.",
            "Train for longer (--coarse-epochs), or search higher learning rates; look at `babysit overfit` and "
            "`babysit lr-scan`.",
        ),
    ],
)
def test_messages_where_all_failed(measured, message, suggestion):
    finding = only(measured, "all-trials-failed")
    assert (finding.message, finding.suggestion) == (message, suggestion)


@pytest.mark.parametrize(
    ("outcomes", "begins"),
    [
        (
            [Outcome.EXPLODED] * 14,
            "Train for longer (--coarse-epochs); look at `babysit overfit` and `babysit lr-scan`.",
        ),
        ([Outcome.EXPLODED] * 16, "Search lower learning rates, such as --param "),
        (
            [Outcome.CRASHED] * 14,
            "Train for longer (--coarse-epochs), or search higher learning rates, such as --param ",
        ),
        ([Outcome.CRASHED] * 16, "Leave out of the ranges what the program doesn't take"),
        ([Outcome.EXPLODED] * 9 + [Outcome.LOST] * 11, "Leave out of the ranges what the program doesn't take"),
    ],
)
def test_what_would_help_most_trials_is_advised(outcomes, begins):
    """Of 30; the rest finished, and learned nothing."""
    ends = zip(ONCE[:30], [*outcomes, *[Outcome.FINISHED] * 30], strict=False)
    made = [replace(t, outcome=o, reason="no", score=0.1 if o is Outcome.FINISHED else math.nan) for t, o in ends]
    assert only(searched(*made), "all-trials-failed").suggestion.startswith(begins)


@pytest.mark.parametrize(
    ("spec", "lower"),
    [
        ("log:10:1e4", "log:0.01:10"),
        ("uniform:0.5:1", "log:0.0005:0.5"),
        ("uniform:0:1", "log:0.001:1"),
        ("choice:1,2", "log:0.001:1"),
    ],
)
def test_where_nothing_works_rates_are_several_decades_lower(spec, lower):
    (rate,) = read_space([f"learning_rate={spec}"])
    made = [failed({"learning_rate": n}) for n in range(30)]
    suggestion = only(searched(*made, space=(rate,)), "all-trials-failed").suggestion
    assert suggestion == f"Search lower learning rates, such as --param learning_rate={lower}."


@pytest.mark.parametrize(
    ("spec", "named"),
    [("choice:a,b", ""), ("uniform:0:0.9", ", such as --param learning_rate=log:0.9:900")],
)
def test_where_nothing_is_learned_rates_are_several_decades_higher(spec, named):
    (rate,) = read_space([f"learning_rate={spec}"])
    made = [trial({"learning_rate": n}, 0.1) for n in range(30)]
    suggestion = only(searched(*made, space=(rate,)), "all-trials-failed").suggestion
    assert suggestion.startswith(f"Train for longer (--coarse-epochs), or search higher learning rates{named}; look")


def test_each_way_to_fail_is_told_with_what_it_has_in_common():
    rates = [10 ** (-6 + 0.2 * n) for n in range(25)]
    low, high = ({"learning_rate": r} for r in rates[:1]), ({"learning_rate": r} for r in rates[10:])
    made = [trial(c, 0.1) for c in low]
    made += [failed({"learning_rate": r}, Outcome.PRUNED, "") for r in rates[1:4]]
    made += [failed({"learning_rate": r}, Outcome.CRASHED, "it broke") for r in rates[4:10]]
    made += [failed(c) for c in high]
    finding = only(searched(*made, space=(RATE,)), "all-trials-failed")
    assert finding.message == (
        "none of 25 trials has come to anything: 15 exploded (learning_rate above 6.31e-05), the first since the cost "
        "is nan in step 3; 6 crashed, the first since it broke; 1 finished, none with more than a constant answer's "
        "0.1; 3 were pruned."
    )
    assert finding.suggestion == "Search lower learning rates, such as --param learning_rate=log:1e-09:1e-06."
    assert finding.evidence == {"trials": 25, "exploded": 15, "crashed": 6}


# The best at an edge


@pytest.mark.parametrize("parameter", [RATE, OFFSET])
@pytest.mark.parametrize(
    ("places", "expected"),
    [
        ((0.05, 0.1, 0.2, 0.3, 0.15), EDGE),
        ((0.95, 0.9, 0.8, 0.7, 0.85), EDGE),
        ((0.099, 0.1, 0.2, 0.3, 0.15), EDGE),
        ((0.101, 0.1, 0.2, 0.3, 0.15), set()),
        ((0.901, 0.9, 0.8, 0.7, 0.85), EDGE),
        ((0.899, 0.9, 0.8, 0.7, 0.85), set()),
        ((0.05, 0.1, 0.2, 0.3, 0.9), EDGE),  # four of five
        ((0.05, 0.1, 0.2, 0.5, 0.9), set()),  # three
        ((0.05, 0.332, 0.332, 0.332, 0.5), EDGE),
        ((0.05, 0.332, 0.332, 0.335, 0.5), set()),
        ((0.95, 0.668, 0.668, 0.668, 0.5), EDGE),
        ((0.95, 0.668, 0.668, 0.665, 0.5), set()),
        ((0.05, 0.95, 0.95, 0.95, 0.95), set()),  # of the other side
        ((0.2, 0.05, 0.05, 0.05, 0.05), set()),  # the best is not at the edge
    ],
)
def test_the_best_at_an_edge(parameter, places, expected):
    assert judged(at_places(parameter, *places)) == expected


@pytest.mark.parametrize(("places", "expected"), [((0.0,) * 5, EDGE), ((1.0,) * 5, EDGE), (INSIDE, set())])
@pytest.mark.parametrize("parameter", [HIDDEN, WIDTH, NEGATIVE])
def test_whole_numbers_have_edges_too(parameter, places, expected):
    assert judged(at_places(parameter, *places)) == expected


def test_a_uniform_range_s_edge_ends_at_a_tenth():
    assert judged(at_places(OFFSET, 0.1, 0.1, 0.2, 0.3, 0.15)) == set()
    assert judged(at_places(OFFSET, 0.9, 0.9, 0.8, 0.7, 0.85)) == set()
    assert judged(at_places(OFFSET, 0.0999, 0.1, 0.2, 0.3, 0.15)) == EDGE
    assert judged(at_places(OFFSET, 0.9001, 0.9, 0.8, 0.7, 0.85)) == EDGE


@pytest.mark.parametrize(
    ("parameter", "below", "above"),
    [
        (SHARE, set(), set()),
        (DROPOUT, set(), EDGE),
        (Parameter("share", "uniform", 0.2, 1.0), EDGE, set()),
        (Parameter("share", "uniform", 0.2, 0.7), EDGE, EDGE),
        (Parameter("a", "uniform", 0.0, 1.5), set(), EDGE),
        (Parameter("a", "uniform", -1.0, 1.0), EDGE, EDGE),
        (DEPTH, set(), EDGE),
        (Parameter("layers", "int", 0, 10), set(), EDGE),
        (Parameter("layers", "int", 2, 10), EDGE, EDGE),
        (NEGATIVE, EDGE, EDGE),
        (Parameter("width", "log-int", 1, 1024), set(), EDGE),
        (WIDTH, EDGE, EDGE),
        (Parameter("a", "log", 1e-3, 1.0), EDGE, EDGE),
    ],
)
def test_beyond_a_natural_end_there_is_nothing_to_look_for(parameter, below, above):
    assert judged(at_places(parameter, *(0.0,) * 5)) == below
    assert judged(at_places(parameter, *(1.0,) * 5)) == above


@pytest.mark.parametrize(("count", "expected"), [(1, 0), (3, 0), (4, 0), (5, 0), (6, 0)])  # of five, all are leaders
def test_a_few_trials_say_of_no_edge_that_scores_rise_towards_it(count, expected):
    made = at_places(RATE, 0.01, 0.05, 0.1, 0.2, 0.3, 0.25).trials
    rest = [failed(t.configuration, Outcome.CRASHED, number=t.number) for t in made[count:]]
    assert len(edges(searched(*made[:count], *rest, space=(RATE,)))) == expected


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ([], EDGE),
        ([0.5] * 30, EDGE),
        ([0.05] * 10, set()),  # so many were tried there that some of them must be the best
        ([0.2] * 30, EDGE),  # so few were, that the very best is hardly one of them by chance
        ([0.2] * 30 + [0.05] * 3, set()),
    ],
)
def test_where_all_trials_lie_says_what_chance_explains(more, expected):
    made = at_places(OFFSET, 0.05, 0.2, 0.25, 0.3, 0.9)
    others = [trial({"offset": OFFSET.at(place)}, 0.2, number=n) for n, place in enumerate(more, 30)]
    assert judged(searched(*made.trials, *others, space=(OFFSET,))) == expected


def test_trials_of_the_fine_stage_don_t_say_what_chance_explains():
    made = at_places(OFFSET, *DOWNWARD)
    long = [trial({"offset": OFFSET.at(0.01 * n)}, 0.2, stage=FINE, number=n, epochs=5.0) for n in range(30)]
    assert judged(replace(made, trials=(*made.trials, *long))) == EDGE
    assert edges(searched(*long, space=(OFFSET,))) == []  # no coarse ones


def test_a_choice_has_no_edge():
    assert judged(searched(*(trial(c, 0.5) for c in spread((ACTIVATION,), 30)), space=(ACTIVATION,))) == set()


def test_the_lowest_losses_are_the_best_where_there_is_no_metric():
    made = at_places(RATE, *DOWNWARD)
    lower = tuple(replace(t, score=1 - t.score) for t in made.trials)
    assert judged(replace(made, metric="", trials=lower, constant_score=2.3)) == EDGE
    assert judged(replace(made, metric="", constant_score=math.nan)) == set()


def test_what_knows_nothing_has_no_edge():
    assert judged(replace(at_places(RATE, *DOWNWARD), constant_score=0.9)) == FAILED


def test_other_seeds_say_nothing_of_an_edge():
    made = at_places(RATE, 0.05, 0.5, 0.6, 0.4, 0.7)
    again = tuple(replace(made.trials[0], stage=SEEDS, seed=seed, score=0.8) for seed in range(1, 7))
    assert edges(replace(made, trials=made.trials + again)) == []


@pytest.mark.parametrize(
    ("measured", "message", "suggestion"),
    [
        (
            at_places(RATE, 0.98, 0.9, 0.8, 0.7, 0.85),
            "the best learning_rate, 0.0794, lies at the upper end of the range 1e-06 to 0.1.",
            "Look there next: --param learning_rate=log:0.00215:31.6.",
        ),
        (
            at_places(RATE, 0.04, 0.1, 0.2, 0.3, 0.15),
            "the best learning_rate, 1.58e-06, lies at the lower end of the range 1e-06 to 0.1.",
            "Look there next: --param learning_rate=log:3.16e-09:4.64e-05.",
        ),
        (
            at_places(OFFSET, 0.04, 0.1, 0.2, 0.3, 0.15),
            "the best offset, -9.6, lies at the lower end of the range -10 to 0.",
            "Look there next: --param offset=uniform:-15:-6.67.",
        ),
        (
            at_places(DROPOUT, *UPWARD),
            "the best dropout, 0.784, lies at the upper end of the range 0 to 0.8.",
            "Look there next: --param dropout=uniform:0.533:1.",  # and no share above 1
        ),
        (
            at_places(Parameter("share", "uniform", 0.1, 1.0), *DOWNWARD),
            "the best share, 0.118, lies at the lower end of the range 0.1 to 1.",
            "Look there next: --param share=uniform:0:0.4.",
        ),
        (
            at_places(HIDDEN, 1.0, 0.9, 0.8, 0.7, 0.85),
            "the best hidden, 512, lies at the upper end of the range 32 to 512.",
            "Look there next: --param hidden=int:352:752.",
        ),
        (
            at_places(HIDDEN, 0.0, 0.1, 0.2, 0.3, 0.15),
            "the best hidden, 32, lies at the lower end of the range 32 to 512.",
            "Look there next: --param hidden=int:1:192.",  # and no fewer than one
        ),
        (
            at_places(DEPTH, 1.0, 0.9, 0.8, 0.7, 0.85),
            "the best depth, 10, lies at the upper end of the range 1 to 10.",
            "Look there next: --param depth=int:7:15.",
        ),
        (
            at_places(NEGATIVE, 0.0, 0.1, 0.2, 0.3, 0.15),
            "the best shift, -10, lies at the lower end of the range -10 to -1.",
            "Look there next: --param shift=int:-15:-7.",
        ),
        (
            at_places(NEGATIVE, 1.0, 0.9, 0.8, 0.7, 0.85),
            "the best shift, -1, lies at the upper end of the range -10 to -1.",
            "Look there next: --param shift=int:-4:4.",
        ),
        (
            at_places(replace(WIDTH, high=512), 0.0, 0.1, 0.2, 0.3, 0.15),
            "the best width, 8, lies at the lower end of the range 8 to 512.",
            "Look there next: --param width=log-int:1:32.",
        ),
        (
            at_places(replace(WIDTH, high=1023), 1.0, 0.9, 0.8, 0.7, 0.85),
            "the best width, 1023, lies at the upper end of the range 8 to 1023.",
            "Look there next: --param width=log-int:203:11569.",
        ),
        (
            beyond(-0.3),
            "the best learning_rate, 3.16e-08, lies beyond the lower end of the range 1e-06 to 0.1.",
            "Look there next: --param learning_rate=log:1.47e-11:6.81e-05.",
        ),
        (
            beyond(0.02),
            "the best learning_rate, 1.26e-06, lies at the lower end of the range 1e-06 to 0.1.",
            "Look there next: --param learning_rate=log:5.84e-10:0.00271.",
        ),
        (
            beyond(-0.05, HIDDEN, width=0.1),
            "the best hidden, 8, lies beyond the lower end of the range 32 to 512.",
            "Look there next: --param hidden=int:1:179.",
        ),
        (
            beyond(-0.2, WIDTH, width=3 / 7),  # as far as there are any
            "the best width, 3, lies beyond the lower end of the range 8 to 1024.",
            "Look there next: --param width=log-int:1:31.",
        ),
    ],
)
def test_messages_at_an_edge(measured, message, suggestion):
    finding = only(measured, "best-at-edge")
    assert (finding.message, finding.suggestion) == (message, suggestion)


def test_an_edge_s_evidence():
    finding = only(at_places(RATE, 0.0, 0.1, 0.2, 0.3, 0.15), "best-at-edge")
    assert finding.where == "learning_rate"
    assert finding.evidence == {"value": 1e-6, "low": 1e-6, "high": 1e-1}


def test_each_parameter_has_edges():
    space = (RATE, OFFSET)
    places = [(0.02, 0.98), (0.1, 0.9), (0.2, 0.8), (0.3, 0.7), (0.15, 0.85), *((0.5, 0.5),) * 25]
    rows = [{p.name: value(p, place) for p, place in zip(space, row, strict=True)} for row in places]
    made = searched(*(trial(c, 0.9 - 0.01 * n) for n, c in enumerate(rows)), space=space)
    assert [f.where for f in edges(made)] == ["learning_rate", "offset"]


@pytest.mark.parametrize(("place", "expected"), [(0.05, EDGE), (0.099, EDGE), (0.101, set()), (0.15, set())])
def test_a_finer_range_beyond_the_edge_may_have_the_best_inside(place, expected):
    made = at_places(RATE, *DOWNWARD)
    inside = trial({"learning_rate": RATE.at(place)}, 0.9, stage=FINE, epochs=5.0)
    assert judged(replace(made, trials=(*made.trials, inside), finer=(replace(RATE, low=1e-9),))) == expected


@pytest.mark.parametrize(
    ("place", "expected"),
    [(-0.01, EDGE), (-0.3, EDGE), (0.01, EDGE), (0.099, EDGE), (0.101, set()), (0.5, set()), (0.99, set())],
)
@pytest.mark.parametrize("parameter", [RATE, OFFSET])
def test_the_best_at_or_beyond_an_edge_that_the_finer_range_went_beyond(parameter, place, expected):
    assert judged(beyond(place, parameter)) == expected


@pytest.mark.parametrize(("place", "expected"), [(0.01, set()), (0.99, set()), (1.2, EDGE), (0.5, set())])
def test_the_best_at_or_beyond_the_upper_edge(place, expected):
    made = at_places(RATE, 0.5, 0.98, 0.3, 0.7, 0.4)
    best = trial({"learning_rate": RATE.at(place)}, 0.9, stage=FINE, epochs=5.0)
    finer = replace(RATE, low=RATE.at(0.6), high=RATE.at(1.3 if place > 1 else 1.0))
    assert judged(replace(made, trials=(*made.trials, best), finer=(finer,))) == expected


@pytest.mark.parametrize(
    ("outcome", "expected"), [(Outcome.EXPLODED, EDGE), (Outcome.CRASHED, set()), (Outcome.FINISHED, EDGE)]
)
def test_where_only_the_range_near_an_edge_does_not_explode_that_edge_is_named(outcome, expected):
    hidden = Parameter("hidden", "int", 6, 200)
    values = [round(hidden.at((n + 0.5) / 40)) for n in range(40)]
    made = [trial({"hidden": v}, 0.9 - 0.01 * n, number=n) for n, v in enumerate(values)]
    made[13:] = [replace(t, outcome=outcome, score=t.score - 0.1, reason="no") for t in made[13:]]
    assert {f for f in judged(searched(*made, space=(hidden,))) if f[0] == "best-at-edge"} == expected


@pytest.mark.parametrize(
    ("parameter", "places", "side"),
    [
        *((p, DOWNWARD, -1) for p in (RATE, OFFSET, HIDDEN, WIDTH, NEGATIVE)),
        *((p, UPWARD, 1) for p in (RATE, OFFSET, HIDDEN, WIDTH, NEGATIVE, DROPOUT, DEPTH)),
    ],
)
def test_what_is_suggested_has_the_edge_inside(parameter, places, side):
    measured = at_places(parameter, *places)
    best = max(measured.trials, key=lambda t: t.score).configuration[parameter.name]
    range_ = suggested(only(measured, "best-at-edge"))
    assert range_.kind == parameter.kind
    assert 0 <= range_.place(best) <= 1
    assert range_.place(parameter.low if side < 0 else parameter.high) == pytest.approx(0.5, abs=0.4)


@pytest.mark.parametrize("place", [-0.1, -0.45, -0.6, -0.8, -0.95])
def test_what_is_suggested_beyond_an_edge_holds_the_best(place):
    range_ = suggested(only(beyond(place), "best-at-edge"))
    assert 0.1 <= range_.place(RATE.at(place)) <= 0.9


def test_what_is_suggested_at_a_finer_range_s_edge_holds_the_best():
    asked = at_places(RATE, *DOWNWARD)
    fine = [trial({"learning_rate": RATE.at(-0.98 + 0.02 * n)}, 0.95 - 0.01 * n, stage=FINE) for n in range(5)]
    measured = replace(asked, trials=(*asked.trials, *fine), finer=(replace(RATE, low=RATE.at(-1.0)),))
    finding = only(measured, "best-at-edge")
    assert finding.message == "the best learning_rate, 1.26e-11, lies beyond the lower end of the range 1e-06 to 0.1."
    assert 0.1 <= suggested(finding).place(RATE.at(-0.98)) <= 0.9


# How often a parameter is named that doesn't matter


def scored(configurations, worst, draw, **changes):
    """Trials of these, whose scores are chance."""
    noise = draw.random(len(configurations)).tolist()
    numbered = enumerate(zip(configurations, noise, strict=True))
    return [trial(c, worst + 0.1 * x, number=n, **changes) for n, (c, x) in numbered]


def without_effect(parameter, draw):
    """A random search for a parameter without effect, of one stage."""
    if parameter.kind == "int":
        drawn = draw.integers(parameter.low, parameter.high, size=30, endpoint=True).tolist()
    else:
        drawn = [value(parameter, place) for place in draw.random(30).tolist()]
    return searched(*scored([{parameter.name: v} for v in drawn], 0.3, draw), space=(parameter,))


def longer(measured, draw):
    """The same with a fine stage, all of whose trials are better, since they are longer."""
    settings = Settings(sampler=measured.sampler)
    stage = fine(measured.space, measured.trials, settings, int(draw.integers(2**32)), higher=True)
    made = scored([e.configuration for e in stage.entries], 0.7, draw, stage=FINE, epochs=5.0)
    return replace(measured, trials=(*measured.trials, *made), finer=stage.space)


def share_named(name, made):
    """In how many of the searches this parameter is named."""
    found = [name in {f.where for f in edges(measured)} for measured in made]
    return sum(found) / len(found)


def test_of_those_at_an_edge_1_in_9_is_named_where_a_parameter_does_not_matter():
    draw = np.random.default_rng(0)
    made = [without_effect(OFFSET, draw) for _ in range(1000)]
    named = [bool(edges(measured)) for measured in made]
    best = [OFFSET.place(max(m.trials, key=lambda t: t.score).configuration["offset"]) for m in made]
    at_edge = [not 0.1 <= place <= 0.9 for place in best]
    assert not any(n and not e for n, e in zip(named, at_edge, strict=True))
    assert sum(at_edge) / 1000 == pytest.approx(0.2, abs=0.03)
    assert sum(named) / sum(at_edge) == pytest.approx(1 / 9, abs=0.04)
    assert sum(named) / 1000 == pytest.approx(1 / 45, abs=0.01)


def few(levels):
    """A parameter of so many whole numbers, with no natural end."""
    return Parameter("shift", "int", -1, levels - 2)


@pytest.mark.parametrize("parameter", [RATE, WIDTH, NEGATIVE, *map(few, (30, 6, 5, 4, 3, 2))])
def test_a_few_values_of_a_parameter_are_named_no_more_often(parameter):
    draw = np.random.default_rng(0)
    share = share_named(parameter.name, [without_effect(parameter, draw) for _ in range(500)])
    assert share <= 0.05
    assert (share > 0) is (parameter.high - parameter.low != 1)  # two values have no inside


@pytest.mark.parametrize("parameter", [RATE, OFFSET, WIDTH, few(10), few(5), few(3), few(2)])
def test_a_longer_fine_stage_names_it_no_more_often(parameter):
    """The finer range goes on beyond an edge where it must, and all that was trained for longer is better."""
    draw = np.random.default_rng(0)
    assert share_named(parameter.name, [longer(without_effect(parameter, draw), draw) for _ in range(300)]) <= 0.05


@pytest.mark.parametrize("parameter", [OFFSET, WIDTH, few(10), few(5), few(3), few(2)])
def test_a_grid_names_it_no_more_often(parameter):
    space = (RATE, parameter)
    draw = np.random.default_rng(0)
    made = [searched(*scored(grid(space, 30), 0.3, draw), space=space, sampler="grid") for _ in range(250)]
    assert share_named(parameter.name, made) <= 0.05
    assert share_named(parameter.name, [longer(measured, draw) for measured in made]) <= 0.05


@pytest.mark.parametrize("space", [(RATE, OFFSET), (OFFSET, RATE)])
def test_a_grid_whose_trials_are_all_as_good_has_its_best_at_no_edge(space):
    made = [trial(c, 1.0, number=n) for n, c in enumerate(grid(space, 30))]
    measured = searched(*made, space=space, sampler="grid")
    assert edges(measured) == []


def test_where_half_a_range_explodes_the_other_half_is_named_no_more_often():
    draw = np.random.default_rng(0)
    made = []
    for _ in range(500):
        measured = without_effect(RATE, draw)
        ends = [
            failed(t.configuration) if t.configuration["learning_rate"] > RATE.at(0.5) else t for t in measured.trials
        ]
        made.append(replace(measured, trials=tuple(ends)))
    share = share_named("learning_rate", made)
    assert share <= 0.05


# Winners by their seed


def over_seeds(*rows):
    """As `repeated`; each row has the scores with other seeds, the first of which is that of the first seed, too."""
    return repeated(*((row[0], *row) if len(row) > 1 else row for row in rows))


TOLD = ((0.90, 0.88, 0.92), (0.85, 0.83, 0.87))  # means differ by 0.05; 2.87 * 0.02 * sqrt(2 / 3) = 0.0468 is noise
PLAIN = ((0.75, 0.73, 0.77), (0.72, 0.70, 0.74))  # far behind
ONE, TWO = "learning_rate 1.51e-05, hidden 231, activation tanh", "learning_rate 0.000229, hidden 430, activation relu"


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (TOLD, set()),
        ([TOLD[0], (0.854, 0.834, 0.874)], TIED),  # by 0.046
        ([TOLD[0], (0.853, 0.833, 0.873)], set()),  # by 0.047
        ([TOLD[0], (0.867, 0.847, 0.887), *PLAIN], TIED),  # by 0.033, of four that scatter as much: 8 of freedom
        ([TOLD[0], (0.861, 0.841, 0.881), *PLAIN], set()),  # by 0.039
        ([TOLD[0], TOLD[0]], TIED),
        ([TOLD[0], TOLD[1], (0.88, 0.86, 0.90)], TIED),
        ([TOLD[0]], set()),  # nothing to tell it from
        ([(0.90,), (0.90,)], set()),
        ([(0.90, 0.82, 0.80), (0.87, 0.91, 0.89)], TIED),  # sd 0.041, so that 0.05 is noise
        ([(0.90, 0.78, 0.78), (0.87, 0.87, 0.87)], TIED),
        ([(0.90, 0.80, 0.82), (0.88, 0.88, 0.88), (0.85, 0.85, 0.85), (0.84, 0.84, 0.84)], TIED),
        ([(0.90, 0.80, 0.80), (0.89, 0.895, 0.89), (0.7, 0.7, 0.7), (0.6, 0.6, 0.6)], LUCKY),
        ([(0.90, 0.90, 0.90), (0.90, 0.90, 0.90)], TIED),
        ([(0.91, 0.91, 0.91), (0.90, 0.90, 0.90)], set()),  # no scatter at all
    ],
)
def test_winners_by_their_seed(rows, expected):
    assert {f for f in judged(over_seeds(*rows)) if f[0] == "one-seed-winner"} == expected


@pytest.mark.parametrize(("noise", "expected"), [(2.0, set()), (2.1, set()), (2.2, TIED)])
def test_how_many_errors_tell_is_a_setting(noise, expected):
    assert judged(over_seeds(*TOLD), noise=noise) == expected


def test_more_seeds_tell_more():
    few, many = ([(0.90, *(0.90, 0.88, 0.92) * k), (0.88, *(0.88, 0.86, 0.90) * k)] for k in (1, 3))
    assert judged(over_seeds(*few)) == TIED
    assert judged(over_seeds(*many)) == set()


def test_the_lowest_mean_wins_where_there_is_no_metric():
    rows = [(0.50, 0.60, 0.60), (0.51, 0.505, 0.51), (0.7, 0.7, 0.7), (0.8, 0.8, 0.8)]
    made = over_seeds(*rows)
    assert only(replace(made, metric="", constant_score=2.3), "one-seed-winner").message.startswith(
        f"the best of one seed, {ONE} (loss 0.5667), is no more than 0.5667 over 3 other seeds;"
    )


def test_what_knows_nothing_has_no_winner():
    assert judged(over_seeds(TOLD[0], TOLD[0], (0.1,))) == TIED
    assert judged(replace(over_seeds(TOLD[0], TOLD[0]), constant_score=0.95)) == FAILED


def test_messages_of_winners_by_their_seed():
    tied = only(over_seeds(TOLD[0], (0.87, 0.85, 0.89)), "one-seed-winner")
    assert tied.message == (
        f"{ONE} (accuracy 0.9) can't be told from {TWO} (accuracy 0.87): with 3 other seeds, differences below "
        "0.047 are noise."
    )
    assert tied.suggestion == (
        "Take whichever you like better; where the difference matters, run them with more seeds (--seeds; with "
        "--storage, what was tried is kept)."
    )
    assert tied.evidence["noise"] == pytest.approx(student.isf(norm.sf(2), 4) * 0.02 * math.sqrt(2 / 3), rel=1e-3)
    assert tied.evidence["means"] == pytest.approx([0.9, 0.87])
    alike = only(over_seeds((0.9, 0.9), (0.9, 0.9)), "one-seed-winner")
    assert alike.message == f"{ONE} (accuracy 0.9) can't be told from {TWO} (accuracy 0.9), whatever the seed."
    rows = [(0.90, 0.80, 0.80), (0.89, 0.895, 0.89), (0.7, 0.7, 0.7), (0.6, 0.6, 0.6)]
    lucky = only(over_seeds(*rows), "one-seed-winner")
    assert lucky.message == (
        f"the best of one seed, {ONE} (accuracy 0.8333), is no more than 0.8333 over 3 other seeds; {TWO} (accuracy "
        "0.8917) is better."
    )
    assert lucky.suggestion == "Take what is best over seeds, as the report does."


def fallen(*rows, outcome=Outcome.EXPLODED):
    """As `repeated`; where a score is None, that seed failed."""
    made = repeated(*([math.nan if s is None else s for s in row] for row in rows))
    ended = [replace(t, outcome=outcome, reason="no") if math.isnan(t.score) else t for t in made.trials]
    return replace(made, trials=tuple(ended))


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([(0.90, None, 0.9), (0.80, 0.80, 0.80)], LUCKY),
        ([(0.90, None, None), (0.80, 0.80, 0.80)], LUCKY),
        ([(0.90, None, 0.9), (0.80, 0.82, 0.78), (0.80, 0.82, 0.78)], LUCKY),  # said alone
        ([(0.90, 0.90, 0.90), (0.80, None, 0.80)], set()),  # it was not the best
        ([(0.90, 0.88, 0.92), (0.89, None, 0.89), (0.90, 0.88, 0.92)], TIED),
        ([(0.90, 0.88, 0.92), (0.95, None, 0.95), (0.90, 0.88, 0.92)], LUCKY),
        ([(0.90, None, 0.90)], set()),  # there is no other
    ],
)
@pytest.mark.parametrize("outcome", [Outcome.EXPLODED, Outcome.CRASHED, Outcome.LOST])
def test_a_winner_that_fails_with_another_seed(rows, expected, outcome):
    assert {f for f in judged(fallen(*rows, outcome=outcome)) if f[0] == "one-seed-winner"} == expected


@pytest.mark.parametrize(
    ("row", "mean", "what", "failures"),
    [((0.90, None, 0.92), "0.91", "1 other seed", 1), ((0.90, None, None), "0.9", "2 other seeds", 2)],
)
def test_messages_of_winners_that_fail_with_another_seed(row, mean, what, failures):
    finding = only(fallen(row, (0.80, 0.82, 0.78)), "one-seed-winner")
    assert finding.message == (
        f"the best of one seed, {ONE} (accuracy {mean}), fails with {what} of 2; {TWO} (accuracy 0.8) does not."
    )
    assert finding.suggestion == "Take what is best over seeds, as the report does."
    assert finding.evidence == {"failures": failures}


def test_a_configuration_that_was_drawn_twice_is_not_told_from_itself():
    made = [trial({"activation": a}, s, number=n) for n, (a, s) in enumerate([("relu", 0.9), ("tanh", 0.8)] * 15)]
    again = [trial({"activation": "relu"}, 0.9 + 0.01 * k, stage=SEEDS, seed=k) for k in (1, 2)] * 3
    assert judged(searched(*made, *again, space=(ACTIVATION,))) == set()


@pytest.mark.parametrize("seeds", [2, 3, 20])
def test_equal_configurations_are_called_different_once_in_20_searches_however_few_the_seeds(seeds):
    draw = np.random.default_rng(0)
    rows = draw.normal(0.8, 0.01, size=(200, 2, seeds))
    told = sum(not judged(over_seeds(*row.tolist())) & TIED for row in rows)
    assert told / 200 == pytest.approx(0.045, abs=0.03)


# Searches that are too small


@pytest.mark.parametrize(("count", "expected"), [(1, SMALL), (10, SMALL), (21, SMALL), (22, set()), (30, set())])
@pytest.mark.parametrize("sampler", ["random", "quasi-random", "tpe"])
def test_22_random_trials_are_enough(count, expected, sampler):
    assert judged(of_size(count, sampler=sampler)) == expected


def test_a_space_that_was_tried_as_a_whole_has_no_more_to_meet():
    made = [trial({"activation": "relu"}, 0.5), failed({"activation": "tanh"}, Outcome.CRASHED, number=1)]
    assert judged(searched(*made, space=(ACTIVATION,))) == set()
    assert judged(searched(made[0], space=(ACTIVATION,))) == SMALL


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [(Outcome.CRASHED, SMALL), (Outcome.LOST, SMALL), (Outcome.EXPLODED, set()), (Outcome.PRUNED, set())],
)
def test_trials_that_crash_count_for_nothing(outcome, expected):
    assert judged(with_outcomes(*[outcome] * 9)) == expected
    assert judged(with_outcomes(*[outcome] * 8)) == set()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [({"region": 0.2}, set()), ({"region": 0.05}, SMALL), ({"chance": 0.68}, set()), ({"chance": 0.69}, SMALL)],
)
def test_region_and_chance_are_settings(changes, expected):
    assert judged(of_size(11), **changes) == expected  # 1 - 0.9 ** 11 = 0.686


def test_a_whole_space_is_met_by_one():
    assert judged(of_size(1), region=1.0) == set()


@pytest.mark.parametrize(
    ("settings", "enough"),
    [({"chance": 0.999}, 66), ({"region": 1e-3}, 2302), ({"chance": 0.999, "region": 1e-3}, 6905)],
)
def test_the_strictest_settings_have_an_answer(settings, enough):
    finding = only(of_size(30), "search-too-small", **settings)
    assert finding.suggestion.startswith(f"Make {enough} random coarse trials or more (--coarse {enough})")


def test_fine_trials_don_t_count():
    assert judged(replace(HEALTHY, trials=(*COARSE_TRIALS[:21], *ONCE[30:]))) == SMALL
    assert judged(searched(*ONCE[30:])) == set()  # none yet


def test_a_search_that_was_interrupted_is_not_called_small():
    assert judged(of_size(5)) == SMALL
    assert judged(of_size(5, interrupted=True)) == set()
    assert judged(replace(at_places(RATE, *DOWNWARD), interrupted=True)) == EDGE
    assert HEALTHY.interrupted is False


@pytest.mark.parametrize(
    ("space", "count", "expected"),
    [
        ((ACTIVATION,), 2, set()),
        ((ACTIVATION,), 1, SMALL),
        ((DEPTH,), 10, set()),
        ((DEPTH,), 9, SMALL),
        ((DEPTH, ACTIVATION), 20, set()),
        ((DEPTH, ACTIVATION), 19, SMALL),
        ((ACTIVATION, RATE), 20, SMALL),  # of a range there is always more
    ],
)
@pytest.mark.parametrize("sampler", ["random", "grid"])
def test_a_space_all_of_which_was_tried_is_not_small(space, count, expected, sampler):
    made = [trial(c, 0.5, number=n) for n, c in enumerate(grid(space, math.prod(min(p.size, 10) for p in space)))]
    measured = searched(*made[:count], space=space, sampler=sampler)
    assert {f for f in judged(measured) if f[0] == "search-too-small"} == expected


@pytest.mark.parametrize(
    ("space", "count", "expected"),
    [
        ((RATE,), 22, set()),
        ((RATE,), 21, SMALL),
        ((RATE, SHARE), 100, SMALL),  # ten values of each
        ((RATE, SHARE), 484, set()),  # 22 of each
        ((RATE, ACTIVATION), 44, set()),
        ((RATE, ACTIVATION), 42, SMALL),
    ],
)
def test_of_a_grid_the_values_of_one_parameter_count(space, count, expected):
    made = [trial(c, 0.5, number=n) for n, c in enumerate(grid(space, count))]
    assert {f for f in judged(searched(*made, space=space, sampler="grid")) if f[0] == "search-too-small"} == expected


@pytest.mark.parametrize(
    ("measured", "settings", "message", "suggestion"),
    [
        (
            of_size(21),
            {},
            "21 coarse trials: one lies in the best 10 % of the space with a chance of 89 %.",
            "Make 22 random coarse trials or more (--coarse 22), shorter ones if need be.",
        ),
        (
            of_size(1),
            {"region": 0.05},
            "1 coarse trial: one lies in the best 5 % of the space with a chance of 5 %.",
            "Make 45 random coarse trials or more (--coarse 45), shorter ones if need be.",
        ),
        (
            searched(*(trial(c, 0.5) for c in grid((RATE, SHARE), 25)), space=(RATE, SHARE), sampler="grid"),
            {},
            "a grid of 25 trials has 5 values of a hyperparameter: one lies in the best 10 % of the space with a "
            "chance of 41 %.",
            "Make 22 random coarse trials or more (--coarse 22), shorter ones if need be.",
        ),
    ],
)
def test_messages_of_small_searches(measured, settings, message, suggestion):
    finding = only(measured, "search-too-small", **settings)
    assert (finding.message, finding.suggestion) == (message, suggestion)


@pytest.mark.parametrize(("region", "chance"), [(0.1, 0.9), (0.05, 0.95), (0.3, 0.5), (0.9, 0.99)])
def test_as_many_trials_as_are_suggested_are_enough(region, chance):
    settings = {"region": region, "chance": chance}
    small = only(of_size(1), "search-too-small", **settings) if region < chance else None
    enough = int(small.suggestion.partition("--coarse ")[2].partition(")")[0])
    trials = [trial(c, 0.5) for c in spread((SHARE,), enough)]
    assert "search-too-small" not in {f.rule for f in found(searched(*trials, space=(SHARE,)), **settings)}
    assert only(searched(*trials[1:], space=(SHARE,)), "search-too-small", **settings)


# Facts


def test_facts():
    assert facts() == {
        "space": "learning_rate log:1e-06:0.1, hidden int:32:512, activation choice:relu,tanh",
        "finer": "learning_rate log:0.0001:0.01, hidden int:128:320, activation choice:relu,tanh",
        "trials": "30 coarse, 15 fine, 6 with other seeds; 51 finished",
        "the best": (
            "accuracy 0.8728 after 5 epochs, mean of 2 other seeds: learning_rate 0.00068, hidden 221, activation relu"
        ),
        "one answer for all": "accuracy 0.1",
        "scatter over seeds": "0.00014",
        "what mattered": "learning_rate 75 %, hidden 20 %, activation 5 %",
    }


@pytest.mark.parametrize(
    ("measured", "label", "value"),
    [
        (searched(), "trials", "none; nothing made"),
        (of_size(3), "trials", "3 coarse; 3 finished"),
        (
            with_outcomes(*[Outcome.EXPLODED] * 2, Outcome.PRUNED, Outcome.CRASHED, Outcome.LOST),
            "trials",
            "30 coarse, 15 fine, 6 with other seeds; 46 finished, 2 exploded, 1 pruned, 1 crashed, 1 lost",
        ),
        (replace(HEALTHY, earlier=9), "made earlier", "9 of them, kept in search.journal"),
        (of_size(3), "the best", "accuracy 0.7199 after 1 epoch: learning_rate 0.00348, hidden 148, activation relu"),
        (
            of_size(3, metric=""),
            "the best",
            "loss 0.5825 after 1 epoch: learning_rate 1.51e-05, hidden 231, activation tanh",
        ),
        (of_size(3, metric="", constant_score=2.30259), "one answer for all", "loss 2.303"),
        (
            searched(trial({"activation": "relu"}, 0.5, epochs=0.3), space=(ACTIVATION,)),
            "the best",
            "accuracy 0.5 after 0.3 epochs: activation relu",
        ),
        (
            searched(trial({"activation": None}, 0.5), space=(replace(ACTIVATION, choices=("relu", None)),)),
            "the best",
            "accuracy 0.5 after 1 epoch: activation null",
        ),
        (every(Outcome.EXPLODED), "all that exploded", REST),
        (every(Outcome.CRASHED), "all that crashed", REST),
        (every(Outcome.LOST), "all that were lost", REST),
        (with_outcomes(Outcome.CRASHED), "the first that crashed", "the cost is nan in step 3"),
        (
            every(Outcome.CRASHED, "trainer() failed: ValueError"),
            "the first that crashed",
            "trainer() failed: ValueError",
        ),
        (every(Outcome.LOST, "its worker died three times"), "the first that was lost", "its worker died three times"),
        (
            searched(
                *(failed(c, Outcome.CRASHED, f"reason {n}", number=n) for n, c in enumerate(SPREAD[:3])),
                trial(SPREAD[3], 0.5),
            ),
            "the first that crashed",
            "reason 0",
        ),
    ],
)
def test_a_fact(measured, label, value):
    assert facts(measured)[label] == value


@pytest.mark.parametrize(
    ("measured", "missing"),
    [
        (HEALTHY, {"made earlier", "all that exploded", "all that crashed", "all that were lost"}),
        (HEALTHY, {"the first that crashed", "the first that was lost"}),
        (every(Outcome.EXPLODED), {"the first that crashed", "the first that was lost", "the first that exploded"}),
        (every(Outcome.CRASHED), {"the first that was lost"}),
        (replace(HEALTHY, constant_score=math.nan), {"one answer for all"}),
        (searched(*ONCE), {"finer", "what mattered", "scatter over seeds"}),
        (repeated(TOLD[0]), {"scatter over seeds"}),
        (every(Outcome.EXPLODED), {"the best", "all that crashed"}),
    ],
)
def test_what_is_not_known_is_no_fact(measured, missing):
    assert not missing & set(facts(measured))


# The best, as YAML


def test_the_best_can_be_copied_as_yaml():
    (snippet,) = shown(Snippet)
    best = max(ONCE, key=lambda t: t.score).configuration
    assert (snippet.title, snippet.text) == ("the best, as YAML", best_yaml(HEALTHY))
    assert snippet.text == f"learning_rate: {best['learning_rate']}\nhidden: 221\nactivation: relu\n"
    assert yaml.safe_load(snippet.text) == best


def test_without_a_best_there_is_no_yaml():
    assert shown(Snippet, every(Outcome.CRASHED)) == []
    assert best_yaml(every(Outcome.CRASHED)) == ""


@given(
    st.dictionaries(
        st.from_regex(r"[a-z]_[a-z0-9_]*", fullmatch=True),
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=200),
        min_size=1,
    )
)
def test_yaml_reads_back_the_very_configuration(configuration):
    read = yaml.safe_load(as_yaml(configuration))
    assert read == configuration
    assert [type(v) for v in read.values()] == [type(v) for v in configuration.values()]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-05, "1.0e-05"),
        (1e20, "1.0e+20"),
        (0.1, "0.1"),
        (1.0, "1.0"),
        (3, "3"),
        (True, "true"),
        (None, "null"),
        ("relu", "relu"),
        ("yes", "'yes'"),
        ("null", "'null'"),
        ("1e-5", "1e-5"),
        ("1.0", "'1.0'"),
        ("a: b", "'a: b'"),
        ("#", "'#'"),
    ],
)
def test_yaml_of_one_value(value, text):
    assert as_yaml({"key": value}) == f"key: {text}\n"
    assert yaml.safe_load(as_yaml({"key": value})) == {"key": value}


@pytest.mark.parametrize("name", ["n", "y", "learning_rate", "ß", "on", "off", "null", "yes", "NO", "true", "None"])
def test_yaml_reads_back_any_name(name):
    assert yaml.safe_load(as_yaml({name: 1})) == {name: 1}


def test_yaml_quotes_names_only_where_it_must():
    assert as_yaml({"on": "on", "rate": 1, "null": None}) == "'on': 'on'\nrate: 1\n'null': null\n"


# Tables and curves


def test_the_table_has_the_best_trials():
    table = shown(Table)[0]
    assert table.title == "trials, 12 of 51: the best"
    assert table.columns == ("", "accuracy", "learning_rate", "hidden", "activation", "epochs", "stage")
    assert table.rows[0] == ("1", "0.8729", "0.00068", "221", "relu", "5", "seed 1")
    assert table.rows[1] == ("2", "0.8728", "0.00068", "221", "relu", "5", "fine")
    assert [row[0] for row in table.rows] == [str(n) for n in range(1, 13)]


@pytest.mark.parametrize(
    ("measured", "title", "ranks"),
    [
        (of_size(5), "trials, 5 of 5: the best", ["1", "2", "3", "4", "5"]),
        (
            with_outcomes(Outcome.EXPLODED, Outcome.PRUNED),
            "trials, 12 of 51: the best, and some that did not finish",
            [*(str(n) for n in range(1, 11)), "", ""],
        ),
        (
            with_outcomes(*[Outcome.EXPLODED] * 9),
            "trials, 12 of 51: the best, and some that did not finish",
            [*(str(n) for n in range(1, 9)), *[""] * 4],
        ),
        (every(Outcome.LOST), "trials, 12 of 30: some that did not finish", [""] * 12),
        (searched(), "trials, 0 of 0", []),
    ],
)
def test_the_table_has_room_for_failures(measured, title, ranks):
    table = shown(Table, measured)[0]
    assert (table.title, [row[0] for row in table.rows]) == (title, ranks)


def test_rows_of_failures_say_how_they_ended():
    row = shown(Table, every(Outcome.EXPLODED))[0].rows[0]
    assert row == ("", "exploded", "1.51e-05", "231", "tanh", "1", COARSE)


def test_a_choice_has_a_table_of_its_own():
    bad = failed({"activation": "tanh"})
    made = [trial({"activation": "relu"}, s) for s in (0.5, 0.9, 0.7)] + [trial({"activation": "tanh"}, 0.6), bad]
    made += [trial({"activation": None}, s) for s in (0.2, 0.9, 0.4, 0.3)]
    seeds = [trial({"activation": "relu"}, 0.99, stage=SEEDS)]
    space = (replace(ACTIVATION, choices=("relu", "tanh", None, "elu")),)
    table = shown(Table, searched(*made, *seeds, space=space))[1]
    assert table.title == "accuracy by activation"
    assert table.columns == ("activation", "trials", "best accuracy", "median", "not finished")
    rows = (("relu", "3", "0.9", "0.7", "0"), ("tanh", "2", "0.6", "0.6", "1"), ("null", "4", "0.9", "0.35", "0"))
    assert table.rows == (*rows, ("elu", "0", "-", "-", "0"))


def test_scores_are_scattered_over_each_range():
    rate, hidden = shown(Curve)
    assert (rate.title, hidden.title) == ("accuracy by learning_rate", "accuracy by hidden")
    assert (rate.x_label, rate.y_label, rate.log_x, rate.log_y) == ("learning_rate", "accuracy", True, False)
    assert (hidden.x_label, hidden.log_x) == ("hidden", False)
    assert rate.x == tuple(t.configuration["learning_rate"] for t in ONCE)
    assert rate.series == {"accuracy": tuple(t.score for t in ONCE)}
    assert rate.scattered
    assert hidden.scattered
    best = max(ONCE, key=lambda t: t.score).configuration
    assert rate.marks == {"the best": best["learning_rate"]}
    assert hidden.marks == {"the best": 221.0}


def test_what_exploded_has_no_score_and_what_was_pruned_no_point():
    curve = shown(Curve, with_outcomes(Outcome.EXPLODED, Outcome.PRUNED))[0]
    assert len(curve.x) == len(curve.series["accuracy"]) == 44
    assert math.isnan(curve.series["accuracy"][0])
    assert not any(map(math.isnan, curve.series["accuracy"][1:]))


def test_where_nothing_is_known_there_is_nothing_to_copy():
    assert len(shown(Snippet)) == 1
    assert shown(Snippet, replace(HEALTHY, constant_score=0.95)) == []
    assert shown(Snippet, every(Outcome.EXPLODED)) == []


def test_a_finer_range_is_told_where_there_was_one():
    assert "finer" in facts()
    assert "finer" not in facts(replace(every(Outcome.EXPLODED), finer=SPACE))


def test_without_a_best_none_is_marked():
    assert [curve.marks for curve in shown(Curve, every(Outcome.EXPLODED))] == [{}, {}]


def test_only_ranges_have_a_curve_and_only_choices_a_table():
    assert len(shown(Curve)) == 2
    assert [table.title for table in shown(Table)] == ["trials, 12 of 51: the best", "accuracy by activation"]


# While it runs


def test_the_latest_trials_are_shown_while_it_runs():
    fact, table = live(replace(HEALTHY, trials=ONCE[:20]))
    assert table.title == "20 of 51 trials, the latest"
    assert [row[1] for row in table.rows] == [f"{t.score:.4g}" for t in ONCE[12:20]]
    best = max(ONCE[:20], key=lambda t: t.score)
    assert fact.label == "the best"
    assert fact.value.startswith(f"accuracy {best.score:.4g} after 1 epoch: learning_rate ")


def test_before_the_first_trial_there_is_an_empty_table():
    (table,) = live(searched())
    assert (table.title, table.rows) == ("0 of 51 trials, the latest", ())


def test_a_finer_range_is_written_as_it_is_asked_for():
    specs = facts()["finer"].split(", ", 2)
    read = read_space([spec.replace(" ", "=", 1) for spec in specs])
    assert read == FINER

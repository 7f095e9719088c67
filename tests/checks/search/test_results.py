"""What the trials of a search amount to, on plain numbers."""

import math
from dataclasses import replace

import numpy as np
import pytest
from search_trials import (
    ACTIVATION,
    COARSE_TRIALS,
    FINER,
    HEALTHY,
    HIDDEN,
    ONCE,
    RATE,
    SPACE,
    again,
    failed,
    repeated,
    searched,
    spread,
    trial,
)

from babysit.checks.search.results import best, candidates, failures, in_common, knows_nothing, seed_noise, word
from babysit.checks.search.results import searched as whole_range
from babysit.search.space import Parameter
from babysit.search.stages import FINE, SEEDS, ranking
from babysit.search.trials import Outcome

BAD = (Outcome.EXPLODED, Outcome.CRASHED, Outcome.LOST)
RELU, TANH = {"activation": "relu"}, {"activation": "tanh"}


def configuration(rate=1e-3, hidden=200, activation="relu"):
    return {"learning_rate": rate, "hidden": hidden, "activation": activation}


def scores(measured):
    return [c.scores for c in candidates(measured)]


def common(bad, good, outcome=Outcome.EXPLODED, space=SPACE):
    """What these configurations have in common, that ended so, and those not, that finished."""
    trials = [failed(c, outcome) for c in bad] + [trial(c, 0.5) for c in good]
    return in_common(searched(*trials, space=space), outcome)


def of_choice(bad, good, choices=("relu", "tanh", "elu")):
    space = (Parameter("activation", "choice", choices=choices),)
    return common(*([{"activation": a} for a in values] for values in (bad, good)), space=space)


def rates(*powers):
    return [configuration(rate=10.0**power) for power in powers]


# The best


@pytest.mark.parametrize(("metric", "expected"), [("accuracy", "accuracy"), ("", "loss")])
def test_trials_are_judged_by_the_metric_or_by_the_loss(metric, expected):
    assert word(replace(HEALTHY, metric=metric)) == expected


def test_candidates_are_the_trials_of_one_seed_the_best_first():
    once = replace(HEALTHY, trials=ONCE)
    assert [c.trial for c in candidates(once)] == ranking(ONCE, higher=True)
    assert all(c.scores == (c.trial.score,) for c in candidates(once))
    assert best(once).mean == max(t.score for t in ONCE)


def test_where_there_is_no_metric_the_lowest_loss_is_the_best():
    once = replace(HEALTHY, trials=ONCE, metric="")
    assert [c.trial for c in candidates(once)] == ranking(ONCE, higher=False)
    assert best(once).mean == min(t.score for t in ONCE)


def test_what_was_made_again_has_a_score_of_each_seed():
    found = candidates(HEALTHY)
    assert [len(c.scores) for c in found] == [2, 2, 2] + [1] * 42
    assert [c.trial for c in found] == ranking(ONCE, higher=True)
    assert found[0].scores == (found[0].trial.score + 1e-4, found[0].trial.score - 1e-4)
    assert [c.fresh for c in found] == [True] * 3 + [False] * 42
    assert found[0].mean == pytest.approx(found[0].trial.score)


def test_the_mean_over_seeds_decides_and_not_the_first_of_them():
    assert scores(repeated((0.9, 0.5, 0.6), (0.8, 0.8, 0.8)))[:2] == [(0.8, 0.8), (0.5, 0.6)]
    lower = replace(repeated((0.5, 0.9, 0.9), (0.6, 0.6, 0.6)), metric="")
    assert scores(lower)[:2] == [(0.6, 0.6), (0.9, 0.9)]


def test_what_was_made_again_comes_ahead_of_all_others():
    found = repeated((0.9, 0.1, 0.1), (0.8, 0.2, 0.2), (0.7,))
    assert scores(found)[:3] == [(0.2, 0.2), (0.1, 0.1), (0.7,)]
    assert best(found).trial.score == 0.8


def test_the_same_configuration_for_another_time_is_another_candidate():
    short, long = (trial(configuration(), s, epochs=e) for s, e in ((0.5, 1.0), (0.6, 5.0)))
    other = replace(long, stage=SEEDS, seed=1, score=0.7)
    assert scores(searched(short, long, other)) == [(0.6, 0.7), (0.5,)]


def test_other_seeds_that_failed_are_left_out():
    first = trial(configuration(), 0.6)
    seeds = [replace(first, stage=SEEDS, seed=1, score=0.7), failed(configuration(), stage=SEEDS, seed=2)]
    assert scores(searched(first, *seeds)) == [(0.6, 0.7)]


def test_what_failed_with_another_seed_comes_last():
    sure, lucky, once = (trial(configuration(hidden=h), s) for h, s in ((64, 0.6), (128, 0.9), (256, 0.8)))
    seeds = [replace(sure, stage=SEEDS, seed=k, score=0.6) for k in (1, 2)]
    seeds += [replace(lucky, stage=SEEDS, seed=1, score=0.95), failed(lucky.configuration, stage=SEEDS, seed=2)]
    found = searched(sure, lucky, once, *seeds)
    assert [c.trial for c in candidates(found)] == [sure, once, lucky]
    assert [(c.scores, c.failures) for c in candidates(found)] == [((0.6,) * 2, 0), ((0.8,), 0), ((0.9, 0.95), 1)]
    assert best(found).trial is sure


@pytest.mark.parametrize("outcome", BAD)
def test_a_configuration_that_fails_with_every_other_seed_is_no_candidate_run_once(outcome):
    lucky, other = trial(configuration(), 0.9), trial(configuration(hidden=64), 0.3)
    seeds = [failed(configuration(), outcome, stage=SEEDS, seed=k) for k in (1, 2)]
    found = candidates(searched(lucky, other, *seeds))
    assert [(c.trial, c.scores, c.failures) for c in found] == [(other, (0.3,), 0), (lucky, (0.9,), 2)]


@pytest.mark.parametrize("metric", ["accuracy", ""])
def test_where_all_failed_with_another_seed_their_first_scores_decide(metric):
    made = [trial(configuration(hidden=h), s) for h, s in ((64, 0.6), (128, 0.9))]
    seeds = [failed(t.configuration, stage=SEEDS, seed=1) for t in made]
    found = searched(*made, *seeds, metric=metric)
    assert [c.trial for c in candidates(found)] == ranking(made, higher=bool(metric))


@pytest.mark.parametrize("trials", [(), tuple(failed(t.configuration, o) for t in ONCE[:3] for o in BAD)])
def test_nothing_finished_and_nothing_is_the_best(trials):
    found = searched(*trials)
    assert (best(found), candidates(found), knows_nothing(found)) == (None, [], False)
    assert math.isnan(seed_noise(found))


def test_a_configuration_that_was_drawn_twice_is_one_candidate():
    twice = [trial(RELU, 0.8, number=0), trial(RELU, 0.8, number=1), trial(TANH, 0.7, number=2)]
    seeds = [replace(t, stage=SEEDS, seed=1, score=t.score + 0.01) for t in (twice[0], twice[2])]
    found = searched(*twice, *seeds, space=(ACTIVATION,))
    assert [c.trial.configuration for c in candidates(found)] == [RELU, TANH]
    assert [c.scores for c in candidates(found)] == [(0.8, 0.81), (0.7, 0.71)]


# Noise


@pytest.mark.parametrize(
    "rows",
    [
        [(0.9, 0.88, 0.91), (0.85, 0.86, 0.84)],
        [(0.9, 0.88), (0.85, 0.86, 0.84), (0.7, 0.75, 0.72, 0.71)],
        [(0.9, 0.8)],
        [(0.9, 0.9, 0.9), (0.8, 0.8, 0.8)],
    ],
)
def test_noise_is_the_pooled_scatter_over_seeds(rows):
    """The score that a configuration was chosen by is left out where there are two others."""
    seeds = [row[1:] if len(row) > 2 else row for row in rows]
    pooled = np.average([np.var(row, ddof=1) for row in seeds], weights=[len(row) - 1 for row in seeds])
    assert seed_noise(repeated(*rows)) == pytest.approx(math.sqrt(pooled))


def test_without_other_seeds_no_noise_is_known():
    assert math.isnan(seed_noise(replace(HEALTHY, trials=ONCE)))


def test_the_noise_of_the_seeds_is_found_again():
    draw = np.random.default_rng(0)
    rows = [tuple((0.9 - 0.01 * k + 0.02 * draw.standard_normal(5)).tolist()) for k in range(40)]
    assert seed_noise(repeated(*rows)) == pytest.approx(0.02, rel=0.1)


# What is no better than a constant answer


@pytest.mark.parametrize(
    ("constant", "expected"), [(0.1, False), (0.79, False), (0.8, True), (0.81, True), (math.nan, False)]
)
def test_a_search_knows_nothing_that_beats_no_constant_answer(constant, expected):
    found = searched(trial(configuration(), 0.7), trial(configuration(hidden=64), 0.8), constant_score=constant)
    assert knows_nothing(found) is expected


@pytest.mark.parametrize(
    ("constant", "expected"), [(2.3, False), (0.71, False), (0.7, True), (0.69, True), (math.nan, False)]
)
def test_a_loss_knows_nothing_that_is_no_lower_than_a_constant_answer_s(constant, expected):
    made = [trial(configuration(), 0.7), trial(configuration(hidden=64), 0.8)]
    assert knows_nothing(searched(*made, metric="", constant_score=constant)) is expected


# Failures


def test_failures_are_all_that_did_not_finish_but_for_the_pruned():
    made = [failed(configuration(), outcome) for outcome in Outcome if outcome is not Outcome.FINISHED]
    assert [t.outcome for t in failures(searched(*made, *ONCE))] == [Outcome.EXPLODED, Outcome.CRASHED, Outcome.LOST]


@pytest.mark.parametrize("outcome", BAD)
@pytest.mark.parametrize(
    ("bad", "good", "expected"),
    [
        (rates(-1, -2, -3), rates(-4, -5), ["learning_rate above 0.0001"]),
        (rates(-4, -5, -6), rates(-3, -2), ["learning_rate below 0.001"]),
        (rates(-1, -2, -4), rates(-4, -5), []),  # the good one is just as high
        (rates(-1, -2, -3), rates(-1.5), []),
        (rates(-3, -3.5, -4), rates(-1, -6), []),  # on neither side
        (rates(-1, -2), rates(-4, -5), []),  # two of them say nothing
        ([], rates(-4, -5), []),
    ],
)
def test_what_failures_have_in_common_is_a_side_of_a_range(outcome, bad, good, expected):
    assert common(bad, good, outcome) == expected


def test_where_all_failed_the_whole_range_is_said():
    assert common(rates(-1, -2, -3), []) == ["learning_rate from 0.001 to 0.1", "hidden from 200 to 200"]


@pytest.mark.parametrize(
    ("bad", "good", "expected"),
    [
        (["tanh"] * 3, ["relu", "elu"], ["activation tanh"]),
        (["tanh", "elu", "tanh"], ["relu"], ["activation tanh or elu"]),
        (["tanh"] * 3, ["relu", "tanh"], []),
        (["tanh", "relu", "elu"], ["relu"], []),
        (["tanh"] * 3, [], []),  # nothing to hold it against
        (["tanh"] * 2, ["relu"], []),
    ],
)
def test_what_failures_have_in_common_is_a_choice(bad, good, expected):
    assert of_choice(bad, good) == expected


def test_choices_need_not_be_words():
    assert of_choice([None, None, True], [3], choices=(None, True, 3)) == ["activation null or true"]
    assert of_choice([False] * 3, ["relu"], choices=(False, "relu", 0.5)) == ["activation false"]
    assert of_choice([0.5, 64, 0.5], ["relu"], choices=(64, "relu", 0.5)) == ["activation 0.5 or 64"]


def test_failures_may_have_several_things_in_common():
    bad = [configuration(0.1, 400, "tanh"), configuration(0.05, 500, "tanh"), configuration(0.02, 450, "tanh")]
    good = [configuration(0.01, 300, "relu"), configuration(0.001, 64, "relu")]
    assert common(bad, good) == ["learning_rate above 0.01", "hidden above 300", "activation tanh"]


def test_trials_that_failed_otherwise_are_among_the_others():
    crashed = [failed(configuration(rate=0.05), Outcome.CRASHED)]
    made = [failed(c) for c in rates(-1, -2, -3)] + crashed + [trial(c, 0.5) for c in rates(-4, -5)]
    assert in_common(searched(*made), Outcome.EXPLODED) == []


def test_other_seeds_don_t_count():
    bad = [failed(c) for c in rates(-1, -2, -3)]
    good = [trial(c, 0.5) for c in rates(-4, -5)]
    seeds = [failed(configuration(rate=1e-5), stage=SEEDS), trial(configuration(rate=0.1), 0.5, stage=SEEDS)]
    assert in_common(searched(*bad, *good, *seeds), Outcome.EXPLODED) == ["learning_rate above 0.0001"]


def test_whole_numbers_are_said_as_they_are():
    many, few = ([configuration(hidden=h) for h in values] for values in ((2000, 3000, 4000), (1024, 512)))
    assert common(many, few) == ["hidden above 1024"]
    assert common(few, many) == []  # two of them say nothing
    assert common([configuration(hidden=h) for h in (1023, 512, 1023)], many[:1]) == ["hidden below 2000"]
    assert common(many, []) == ["learning_rate from 0.001 to 0.001", "hidden from 2000 to 4000"]


# The whole range


@pytest.mark.parametrize(
    ("finer", "low", "high"),
    [
        ((), 1e-6, 1e-1),
        (FINER, 1e-6, 1e-1),
        ((replace(RATE, low=1e-8, high=1e-4),), 1e-8, 1e-1),
        ((replace(RATE, low=1e-3, high=10.0),), 1e-6, 10.0),
        ((replace(HIDDEN, low=1, high=9999),), 1e-6, 1e-1),
    ],
)
def test_the_whole_range_is_what_was_asked_for_and_what_is_beyond_it(finer, low, high):
    found = whole_range(replace(HEALTHY, finer=finer), RATE)
    assert found == Parameter("learning_rate", "log", low, high)


# The builders


def test_the_healthy_search_has_its_best_inside_every_range():
    found = best(HEALTHY).trial
    assert found.stage == FINE
    assert all(0.2 < p.place(found.configuration[p.name]) < 0.8 for p in (RATE, HIDDEN))
    assert len(HEALTHY.trials) == HEALTHY.planned == 51
    assert [t for t in HEALTHY.trials if t.stage == SEEDS] == again(ONCE, 1e-4, -1e-4)
    assert [t.configuration for t in COARSE_TRIALS] == spread(SPACE, 30)

"""What the stages of a search try: configurations by sampler, the finer stage, other seeds, and the ranking."""

import itertools
import math
from dataclasses import replace

import pytest
from search_trials import COARSE_TRIALS, ONCE, SPACE, failed, spread, trial, worth

from babysit.checks.search import Settings
from babysit.errors import UsageError
from babysit.search.space import Parameter, finer
from babysit.search.stages import (
    COARSE,
    FINE,
    SEEDS,
    Entry,
    again,
    coarse,
    configurations,
    distinct,
    fine,
    grid,
    ranking,
)
from babysit.search.trials import Outcome

RATE, HIDDEN, ACTIVATION = SPACE
DROPOUT = Parameter("dropout", "uniform", 0.0, 0.8)
WIDTH = Parameter("width", "log-int", 8, 1024)
EVERY_KIND = (*SPACE, DROPOUT, WIDTH)
FAILURES = (Outcome.EXPLODED, Outcome.CRASHED, Outcome.PRUNED, Outcome.LOST)


def lies_in(parameter, value):
    if parameter.choices:
        return value in parameter.choices
    return isinstance(value, int if parameter.is_whole else float) and parameter.low <= value <= parameter.high


def scored(*scores):
    """A trial of each score, numbered in this order."""
    return [
        replace(trial(c, s), number=n) for n, (c, s) in enumerate(zip(spread(SPACE, len(scores)), scores, strict=True))
    ]


def narrowed(space, best, tried):
    """The finer space about the best of these trials."""
    return finer(space, *([t.configuration for t in trials] for trials in (best, tried)))


def numbers(trials):
    return [t.number for t in trials]


def bins(places, count):
    """How many places fall into each of so many equal bins."""
    found = [min(count - 1, int(place * count)) for place in places]
    return [found.count(k) for k in range(count)]


# Configurations


@pytest.mark.parametrize("sampler", ["random", "quasi-random"])
def test_configurations_are_a_function_of_the_seed(sampler):
    first, again, other = (configurations(EVERY_KIND, 8, sampler, seed) for seed in (3, 3, 4))
    assert first == again
    assert not any(one == another for one, another in zip(first, other, strict=True))


@pytest.mark.parametrize("seed", [0, 2**32 - 1])
@pytest.mark.parametrize("sampler", ["random", "quasi-random"])
def test_every_seed_of_a_run_can_be_drawn_from(sampler, seed):
    assert len(configurations(SPACE, 2, sampler, seed)) == 2


@pytest.mark.parametrize("sampler", ["random", "quasi-random"])
def test_a_longer_list_begins_with_the_shorter_one(sampler):
    assert configurations(EVERY_KIND, 12, sampler, 0)[:5] == configurations(EVERY_KIND, 5, sampler, 0)


@pytest.mark.parametrize("sampler", ["random", "quasi-random", "grid"])
def test_every_value_lies_in_its_range_and_has_its_type(sampler):
    drawn = configurations(EVERY_KIND, 64, sampler, 0)
    for configuration in drawn:
        assert list(configuration) == [p.name for p in EVERY_KIND]
        assert all(lies_in(p, configuration[p.name]) for p in EVERY_KIND)
    assert {c["activation"] for c in drawn} == {"relu", "tanh"}


@pytest.mark.parametrize("sampler", ["random", "quasi-random"])
def test_rates_are_drawn_evenly_in_log_space(sampler):
    places = [RATE.place(c["learning_rate"]) for c in configurations((RATE,), 200, sampler, 0)]
    assert sum(places) / 200 == pytest.approx(0.5, abs=0.06)
    assert all(count == pytest.approx(40, abs=18) for count in bins(places, 5))


@pytest.mark.parametrize("count", [0, 1, 30])
@pytest.mark.parametrize("sampler", ["random", "quasi-random", "tpe"])
def test_as_many_as_are_asked_for(sampler, count):
    assert len(configurations(SPACE, count, sampler, 0)) == count


def test_a_sampler_that_looks_at_results_draws_nothing_ahead():
    assert configurations(SPACE, 3, "tpe", 0) == [None, None, None]


@pytest.mark.parametrize("name", ["learning_rate", "dropout", "width"])
def test_quasi_random_points_fill_each_dimension_evenly(name):
    (parameter,) = (p for p in EVERY_KIND if p.name == name)
    for seed in range(3):
        drawn = configurations((RATE, DROPOUT, WIDTH), 32, "quasi-random", seed)
        counts = bins([parameter.place(c[name]) for c in drawn], 16)
        assert max(counts) <= 4
        assert sum(count == 0 for count in counts) <= 2


def test_chance_leaves_more_bins_empty_than_quasi_random_points():
    def empty(sampler):
        drawn = [configurations((RATE, DROPOUT), 16, sampler, seed) for seed in range(5)]
        return sum(bins([RATE.place(c["learning_rate"]) for c in made], 16).count(0) for made in drawn)

    assert empty("quasi-random") <= 10  # of 80; a Sobol sequence's first point comes last but one
    assert empty("random") >= 20  # 1/e of them is what to expect


def test_two_quasi_random_dimensions_differ():
    drawn = configurations((RATE, DROPOUT), 16, "quasi-random", 0)
    pairs = [(RATE.place(c["learning_rate"]), DROPOUT.place(c["dropout"])) for c in drawn]
    assert all(abs(one - other) > 1e-6 for one, other in pairs)
    assert len({(int(4 * one), int(4 * other)) for one, other in pairs}) >= 12


# Grids


@pytest.mark.parametrize(
    ("space", "most", "counts"),
    [
        ((RATE,), 6, (6,)),
        ((RATE, DROPOUT), 30, (6, 5)),  # 36 would be too many
        ((RATE, DROPOUT), 4, (2, 2)),
        ((RATE, DROPOUT), 3, (3, 1)),
        ((RATE, HIDDEN, ACTIVATION), 30, (5, 3, 2)),
        ((RATE, ACTIVATION), 2, (1, 2)),
        ((ACTIVATION,), 30, (2,)),
        ((Parameter("depth", "int", 1, 3), RATE), 30, (3, 10)),
        ((RATE, DROPOUT, HIDDEN, WIDTH), 1, (1, 1, 1, 1)),
    ],
)
def test_a_grid_has_as_many_values_of_each_as_fit(space, most, counts):
    made = grid(space, most)
    assert tuple(len({c[p.name] for c in made}) for p in space) == counts
    assert len(made) == math.prod(counts) <= most


def test_a_grid_is_every_combination_of_even_levels():
    made = grid((RATE, ACTIVATION), 12)
    rates = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1]
    assert [(c["learning_rate"], c["activation"]) for c in made] == [
        (pytest.approx(rate), activation) for rate, activation in itertools.product(rates, ("relu", "tanh"))
    ]
    assert (made[0]["learning_rate"], made[-1]["learning_rate"]) == (1e-6, 1e-1)


def test_one_level_is_the_middle():
    assert grid((DROPOUT,), 1) == [{"dropout": 0.4}]


@pytest.mark.parametrize("most", range(1, 60))
def test_a_grid_makes_no_more_trials_than_asked_for(most):
    space = (RATE, Parameter("depth", "int", 1, 4), DROPOUT)
    made = grid(space, most)
    assert most / 3 < len(made) <= most
    assert len({tuple(c.values()) for c in made}) == len(made)


def test_a_grid_that_choices_alone_overflow_is_refused():
    layers = Parameter("layers", "choice", choices=(1, 2, 3))
    assert len(grid((ACTIVATION, layers), 6)) == 6
    with pytest.raises(UsageError) as raised:
        grid((ACTIVATION, layers, RATE), 5)
    assert str(raised.value) == "--coarse 5 is too few for a grid: the choices alone have 6 combinations"


def test_a_grid_does_not_depend_on_the_seed():
    assert configurations(SPACE, 30, "grid", 0) == configurations(SPACE, 30, "grid", 1) == grid(SPACE, 30)


# Stages


def test_the_coarse_stage_is_short_trials_of_the_whole_space():
    stage = coarse(SPACE, Settings(coarse=4, coarse_epochs=0.5), 7)
    assert (stage.name, stage.space) == (COARSE, SPACE)
    drawn = configurations(SPACE, 4, "random", 7)
    assert stage.entries == tuple(Entry(n, c, 7, 0.5) for n, c in enumerate(drawn))


@pytest.mark.parametrize("sampler", ["random", "quasi-random", "grid", "tpe"])
def test_the_fine_stage_is_longer_trials_about_the_best_fifth(sampler):
    settings = Settings(sampler=sampler, fine=12, fine_epochs=3.0)
    stage = fine(SPACE, COARSE_TRIALS, settings, 7, higher=True)
    best = sorted(COARSE_TRIALS, key=lambda t: -worth(t.configuration))[:6]
    assert (stage.name, stage.space) == (FINE, narrowed(SPACE, best, COARSE_TRIALS))
    assert [e.configuration for e in stage.entries] == list(configurations(stage.space, 12, sampler, 8))
    assert [(e.number, e.seed, e.epochs) for e in stage.entries] == [(n, 7, 3.0) for n in range(12)]


def test_fine_configurations_are_not_those_of_the_coarse_stage_at_other_places():
    first, second = (configurations(SPACE, 6, "random", seed) for seed in (7, 8))
    stage = fine(SPACE, COARSE_TRIALS, Settings(), 7, higher=True)
    places = [stage.space[0].place(e.configuration["learning_rate"]) for e in stage.entries[:6]]
    assert places == pytest.approx([RATE.place(c["learning_rate"]) for c in second])
    assert places != pytest.approx([RATE.place(c["learning_rate"]) for c in first])


@pytest.mark.parametrize(
    ("count", "finished", "kept"),
    [
        (30, 30, 6),
        (31, 31, 7),
        (26, 26, 6),
        (25, 25, 5),
        (10, 10, 5),
        (5, 5, 5),
        (60, 8, 8),  # a fifth of all, those among them that failed
        (30, 4, 4),
        (2, 2, 2),
        (20, 1, 1),
    ],
)
def test_the_finer_range_is_drawn_about_a_fifth_of_the_trials_and_five_at_least(count, finished, kept):
    rates = [10 ** (-5 + 0.05 * n) for n in range(count)]
    made = [trial({"learning_rate": rate}, 0.9 - 0.01 * n) for n, rate in enumerate(rates)]
    made[finished:] = [failed(t.configuration) for t in made[finished:]]
    stage = fine((RATE,), made, Settings(), 0, higher=True)
    assert stage.space == narrowed((RATE,), made[:kept], made)
    assert kept == finished or stage.space != narrowed((RATE,), made[: kept + 1], made)
    assert kept == 1 or stage.space != narrowed((RATE,), made[: kept - 1], made)


def test_the_finer_range_goes_on_beyond_an_edge_that_the_best_lean_to():
    rates = [RATE.at((n + 0.5) / 30) for n in range(30)]
    made = [trial({"learning_rate": rate}, 0.1 + 0.01 * n) for n, rate in enumerate(rates)]
    up, down = (fine((RATE,), made, Settings(), 0, higher=higher) for higher in (True, False))
    assert RATE.low < up.space[0].low < RATE.high < up.space[0].high
    assert down.space[0].low < RATE.low < down.space[0].high < RATE.high
    assert max(e.configuration["learning_rate"] for e in up.entries) > RATE.high
    assert min(e.configuration["learning_rate"] for e in down.entries) < RATE.low


def test_trials_that_were_all_drawn_at_an_edge_lead_nowhere_beyond_it():
    rates = [RATE.at(0.99 - 0.001 * n) for n in range(30)]
    made = [trial({"learning_rate": rate}, 0.9 - 0.01 * n) for n, rate in enumerate(rates)]
    assert fine((RATE,), made, Settings(), 0, higher=True).space[0].high == RATE.high


@pytest.mark.parametrize(("outcome", "beyond"), [(Outcome.EXPLODED, True), (Outcome.CRASHED, False)])
def test_it_goes_on_beyond_the_edge_where_nothing_else_finishes_since_it_explodes(outcome, beyond):
    hidden = Parameter("hidden", "int", 6, 200)
    values = [round(hidden.at((n + 0.5) / 30)) for n in range(30)]
    made = [trial({"hidden": v}, 0.9 - 0.01 * n) for n, v in enumerate(values)]
    made[10:] = [failed(t.configuration, outcome) for t in made[10:]]
    (found,) = fine((hidden,), made, Settings(), 0, higher=True).space
    assert found.low == (1 if beyond else 6)


def test_lower_losses_draw_the_finer_range_where_there_is_no_metric():
    made = [trial({"learning_rate": 10.0**-k}, float(k)) for k in (1, 2, 3, 4, 5, 6) for _ in range(5)]
    high, low = (fine((RATE,), made, Settings(), 0, higher=higher).space[0] for higher in (True, False))
    assert high.high < 1e-3 < low.low


@pytest.mark.parametrize(
    ("tried", "settings"),
    [
        ([], Settings()),
        ([failed({"learning_rate": 1.0}, outcome) for outcome in FAILURES], Settings()),
        (COARSE_TRIALS, Settings(fine=0)),
    ],
)
def test_there_may_be_no_fine_stage(tried, settings):
    stage = fine(SPACE, tried, settings, 0, higher=True)
    assert (stage.name, stage.space, stage.entries) == (FINE, SPACE, ())


@pytest.mark.parametrize("sampler", ["random", "quasi-random"])
def test_what_was_drawn_before_is_left_out(sampler):
    depth = Parameter("depth", "int", 1, 4)
    stage = coarse((ACTIVATION, depth), Settings(coarse=20, sampler=sampler), 7)
    drawn = configurations((ACTIVATION, depth), 20, sampler, 7)
    made = [e.configuration for e in stage.entries]
    assert made == [c for n, c in enumerate(drawn) if c not in drawn[:n]]
    assert len(made) < 20
    assert [(e.number, e.seed) for e in stage.entries] == [(n, 7) for n in range(len(made))]


def test_a_fine_stage_of_choices_has_each_of_them_once():
    made = [trial({"activation": a}, 0.5 + 0.01 * n, number=n) for n, a in enumerate(("relu", "tanh") * 3)]
    entries = fine((ACTIVATION,), made, Settings(fine=15), 0, higher=True).entries
    assert sorted(e.configuration["activation"] for e in entries) == ["relu", "tanh"]


def test_what_a_sampler_draws_later_is_left_to_it():
    assert len(coarse((ACTIVATION,), Settings(coarse=9, sampler="tpe"), 0).entries) == 9


def test_the_last_seed_is_followed_by_the_first():
    last = 2**32 - 1
    stage = fine(SPACE, COARSE_TRIALS, Settings(fine=2), last, higher=True)
    assert [e.configuration for e in stage.entries] == configurations(stage.space, 2, "random", 0)
    assert [e.seed for e in again(ONCE, Settings(top=2), last, higher=True).entries] == [0, 0, 1, 1]


def test_the_best_are_made_again_with_other_seeds_and_as_long():
    best = ranking(ONCE, higher=True)[:2]
    stage = again(ONCE, Settings(top=2, seeds=3), 7, higher=True)
    assert (stage.name, stage.space) == (SEEDS, ())
    expected = [(t.configuration, seed, t.epochs) for seed in (8, 9, 10) for t in best]
    assert [(e.configuration, e.seed, e.epochs) for e in stage.entries] == expected
    assert [e.number for e in stage.entries] == list(range(6))
    assert stage.entries[0].configuration is not best[0].configuration


def test_with_one_seed_nothing_is_made_again():
    assert again(ONCE, Settings(seeds=0), 0, higher=True).entries == ()
    assert again([failed(t.configuration) for t in ONCE], Settings(), 0, higher=True).entries == ()


def test_no_more_are_made_again_than_finished():
    assert len(again(ONCE[:1], Settings(), 0, higher=True).entries) == 2


def test_each_of_those_made_again_is_another_configuration():
    same = [trial({"activation": a}, s, number=n) for n, (a, s) in enumerate([("relu", 0.9), ("tanh", 0.8)] * 10)]
    made = again(same, Settings(top=2, seeds=1), 0, higher=True).entries
    assert [e.configuration["activation"] for e in made] == ["relu", "tanh"]
    assert len(again(same, Settings(top=3, seeds=2), 0, higher=True).entries) == 4  # there are no more


def test_the_same_configuration_for_longer_may_be_made_again_too():
    same = [trial({"activation": "relu"}, 0.5 + 0.1 * e, epochs=e) for e in (1.0, 2.0, 1.0, 2.0, 3.0)]
    made = again(same, Settings(top=9, seeds=1), 0, higher=True).entries
    assert [e.epochs for e in made] == [3.0, 2.0, 1.0]


# What is drawn twice


@pytest.mark.parametrize(
    ("rows", "kept"),
    [
        ([], []),
        ([("relu", 1.0)], [0]),
        ([("relu", 1.0), ("tanh", 1.0)], [0, 1]),
        ([("relu", 1.0), ("relu", 1.0)], [0]),
        ([("tanh", 1.0), ("relu", 1.0), ("tanh", 1.0), ("relu", 1.0), ("elu", 1.0)], [0, 1, 4]),
        ([("relu", 1.0), ("relu", 5.0), ("relu", 1.0), ("relu", 5.0)], [0, 1]),
    ],
)
def test_the_first_of_each_configuration_and_length_is_kept(rows, kept):
    made = [trial({"activation": a}, 0.1 * n, number=n, epochs=epochs) for n, (a, epochs) in enumerate(rows)]
    assert numbers(distinct(made)) == kept


def test_every_value_tells_configurations_apart():
    made = [trial(c, 0.5, number=n) for n, c in enumerate(grid((RATE, HIDDEN, ACTIVATION), 30))]
    assert distinct(made) == made
    assert distinct(made + made) == made


# Ranking


@pytest.mark.parametrize(("higher", "expected"), [(True, [1, 3, 0, 2]), (False, [2, 0, 1, 3])])
def test_ranking_goes_either_way_and_keeps_the_order_of_equals(higher, expected):
    assert numbers(ranking(scored(0.5, 0.9, 0.1, 0.9), higher=higher)) == expected


@pytest.mark.parametrize("higher", [True, False])
@pytest.mark.parametrize("outcome", FAILURES)
def test_trials_that_did_not_finish_are_not_ranked(outcome, higher):
    made = scored(0.5, 0.9, 0.1)
    made[1] = replace(made[1], outcome=outcome)
    assert set(numbers(ranking(made, higher=higher))) == {0, 2}


def test_nothing_is_ranked_where_nothing_was_tried():
    assert ranking([], higher=True) == []

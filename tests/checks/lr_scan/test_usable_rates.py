"""What a scan answers, on plain numbers: falls of 1 at best, each with an error of 0.01."""

import math
from dataclasses import replace

import pytest
from rate_trials import BLIND, EXPLODED, HEALTHY, exploded, repeated, trial

from babysit.checks.lr_scan import Settings
from babysit.checks.lr_scan.usable_rates import (
    averaged,
    best_fall,
    confirmed,
    decades,
    diverges_from,
    is_blind,
    own_trial,
    spread,
    suggestion,
    usable_range,
)

AS_LONG = Settings(horizon=20)  # as the runs are
FLAT = replace(HEALTHY, **repeated(trial(0.1, 0.0), trial(1.0, 0.0)))


def scanned(*trials, again=()):
    """A measurement with these trials and repeats; the best is repeated with the same outcome where none is given."""
    found = repeated(*trials)
    return replace(HEALTHY, **found | ({"repeats": tuple(again)} if again else {}))


def falls_of(*falls, again=None):
    """At 0.01, 0.1 and 1, the one in the middle repeated with this fall."""
    trials = [trial(rate, fall) for rate, fall in zip((0.01, 0.1, 1.0), falls, strict=True)]
    return scanned(*trials, again=[trial(0.1, falls[1] if again is None else again)])


# Repeats


def test_a_repeated_trial_falls_by_the_mean():
    first, second = averaged((trial(0.1, 1.0), trial(1.0, 0.8)), (trial(0.1, 0.5),))
    assert (first.fall, first.loss) == (0.75, 1.25)
    assert second == trial(1.0, 0.8)


@pytest.mark.parametrize(
    ("again", "expected"),
    [
        ([trial(0.1, 1.0)], 1.0),
        ([trial(0.1, 0.9)], 0.95),
        ([trial(0.1, 0.031), trial(0.01, 0.1)], 0.5155),
        ([trial(0.1, 0.029)], None),
        ([trial(0.1, -1.0)], None),
        ([exploded(0.1)], None),
        ([trial(1.0, 1.0)], None),  # of another rate
        ([], None),
    ],
)
def test_a_fall_is_confirmed_by_another(again, expected):
    found = confirmed((trial(0.01, 0.2), trial(0.1, 1.0), trial(1.0, 0.0)), again, Settings())
    assert (found and found.fall) == (expected and pytest.approx(expected))


def test_the_repeat_may_make_another_rate_the_best():
    trials = trial(0.01, 0.8), trial(0.1, 1.0), trial(1.0, 0.0)
    assert confirmed(trials, (trial(0.1, 0.5),), Settings()) is None  # 0.01 is better, and was run once
    found = confirmed(trials, (trial(0.1, 0.5), trial(0.01, 0.9)), Settings())
    assert (found.learning_rate, found.fall) == (0.01, pytest.approx(0.85))


def test_a_lower_rate_is_confirmed_where_the_repeat_of_the_best_is_noise():
    trials = trial(0.01, 0.2), trial(0.1, 1.0), trial(1.0, 0.0)
    found = confirmed(trials, (trial(0.1, 0.0), trial(0.01, 0.2)), Settings())
    assert (found.learning_rate, found.fall) == (0.01, pytest.approx(0.2))


@pytest.mark.parametrize(("fall", "rate"), [(0.051, 0.01), (0.049, None)])
def test_but_none_at_which_the_loss_falls_by_too_little_to_be_of_use(fall, rate):
    trials = trial(0.01, fall), trial(0.1, 1.0), trial(1.0, 0.0)
    found = confirmed(trials, (trial(0.1, 0.0), trial(0.01, fall)), Settings())
    assert (found and found.learning_rate) == rate


def test_a_repeat_that_falls_does_not_help_a_run_that_did_not():
    assert confirmed((trial(0.1, 0.02),), (trial(0.1, 1.0),), Settings()) is None


def test_nothing_confirms_nothing():
    assert confirmed((), (), Settings()) is None
    assert confirmed((EXPLODED,), (EXPLODED,), Settings()) is None


def test_an_exchange_that_tells_nothing_leaves_no_rate():
    blind, seeing = (replace(HEALTHY, exchange=replace(BLIND, exchanged=e)) for e in (1.039, 1.041))
    assert is_blind(blind, Settings())
    assert (best_fall(blind, Settings()), usable_range(blind, Settings())) == (None, None)
    assert not is_blind(seeing, Settings())
    assert usable_range(seeing, Settings()) == usable_range(HEALTHY, Settings())


# The usable range


def test_the_usable_range_is_what_hangs_together_with_the_best():
    trials = trial(1e-4, 0.5), trial(1e-3, 0.0), trial(1e-2, 0.2), trial(0.1, 1.0), trial(1.0, 0.04), EXPLODED
    assert usable_range(scanned(*trials), Settings()) == (pytest.approx(0.01 * 0.05 / 0.2), 0.1)


@pytest.mark.parametrize(
    ("fall", "low"),
    [
        (0.051, 0.01 * 0.05 / 0.051),
        (0.2, 0.01 * 0.05 / 0.2),
        (0.5, 0.01 * 0.05 / 0.5),  # as low as the rate that was tried and is too low
        (0.9, 0.001),
    ],
)
def test_its_low_end_is_where_the_fall_in_proportion_is_a_twentieth(fall, low):
    trials = trial(0.001, 0.0), trial(0.01, fall), trial(0.1, 1.0), trial(1.0, 0.0)
    assert usable_range(scanned(*trials), Settings()) == (pytest.approx(low), 0.1)


@pytest.mark.parametrize(
    ("poor", "low"),
    [
        (trial(0.01, 0.001), 0.1 * 0.05 ** (1 / 3)),  # a thousandth in a decade: the third power
        (trial(0.01, 0.01), 0.1 * 0.05 ** (1 / 2)),
        (trial(0.01, 0.049), 0.01 * 10 ** (1 - math.log(0.05) / math.log(0.049))),  # a little above
        (trial(0.001, 1e-4), 0.1 * 0.05 ** (1 / 2)),
        (trial(0.001, 0.01), 0.1 * 0.05),  # in proportion
        (trial(0.001, 0.04), 0.1 * 0.05),  # by less than in proportion
        (trial(0.001, 0.5, error=0.2), 0.1 * 0.05),
        (trial(0.001, 1.3, error=0.5), 0.1 * 0.05),  # more, and in doubt
        (trial(0.01, 0.5, error=0.2), 0.01),  # no lower than the poor rate itself
        (trial(0.01, 0.0), 0.01),  # nothing to tell a power by
        (trial(0.01, -1.0), 0.01),
        (trial(0.001, -1.0), 0.1 * 0.05),
        (exploded(0.001), 0.1 * 0.05),
    ],
)
def test_its_low_end_follows_a_power_law_where_a_poor_rate_was_tried(poor, low):
    found = scanned(poor, trial(0.1, 1.0), trial(1.0, 0.0), again=[trial(0.1, 1.0)])
    assert usable_range(found, Settings()) == (pytest.approx(low), 0.1)


def test_the_power_law_is_that_of_the_two_rates_at_the_low_end():
    trials = trial(1e-4, 0.0), trial(0.001, 0.002), trial(0.01, 0.2), trial(0.1, 1.0), trial(1.0, 0.0)
    assert usable_range(scanned(*trials), Settings())[0] == pytest.approx(0.01 * (0.05 / 0.2) ** (1 / 2))


def test_nothing_below_the_best_was_tried():
    assert usable_range(scanned(trial(0.1, 1.0), trial(1.0, 0.5)), Settings()) == (pytest.approx(0.005), 1.0)


@pytest.mark.parametrize(("fall", "error", "high"), [(0.05, 0.01, 1.0), (0.049, 0.01, 0.1), (0.5, 0.2, 0.1)])
def test_its_high_end_is_the_last_rate_that_falls_by_enough(fall, error, high):
    trials = trial(0.01, 0.5), trial(0.1, 1.0), trial(1.0, fall, error), EXPLODED
    assert usable_range(scanned(*trials), Settings())[1] == high


# The suggestion


@pytest.mark.parametrize(
    ("measured", "away"),
    [
        (falls_of(0.4, 1.0, 0.4), 0.0),
        (falls_of(0.4, 1.0, 0.6), 0.1),  # it rises by 0.6 and drops by 0.4: 0.6 / (0.6 + 0.4) - 1/2
        (falls_of(0.6, 1.0, 0.2), -1 / 6),
        (falls_of(0.4, 1.0, -50.0), -0.125),  # as if it fell by nothing: 0.6 / 1.6 - 1/2
        (falls_of(-50.0, 1.0, 0.0), 0.0),
        (falls_of(0.4, 1.0, math.nan), -0.125),
        (falls_of(0.4, 1.0, 0.6, again=0.8), 0.125),  # 0.5 / (0.5 + 0.3) - 1/2
    ],
)
def test_the_suggestion_is_a_parabola_s_vertex(measured, away):
    assert math.log10(suggestion(measured, AS_LONG)) == pytest.approx(-1 + away)


def test_the_vertex_on_a_lattice_that_is_not_even():
    trials = trial(0.01, 0.5), trial(0.1, 1.0), trial(10.0, 0.5)  # slopes of 0.5 and 0.25 a decade
    expected = -1.5 + 1.5 * 0.5 / 0.75
    assert math.log10(suggestion(scanned(*trials), AS_LONG)) == pytest.approx(expected)


@pytest.mark.parametrize(("low", "high"), [(1.0, 0.0), (0.0, 1.0), (1.0, 1.0)])
def test_at_an_end_the_best_rate_itself_is_suggested(low, high):
    best = 0.1 if low >= high else 1.0
    assert suggestion(scanned(trial(0.1, low), trial(1.0, high)), AS_LONG) == best


@pytest.mark.parametrize(("horizon", "factor"), [(1, 1), (20, 1), (80, 1 / 2), (2000, 1 / 10), (10**12, 0.025)])
def test_it_is_lowered_by_the_root_of_how_much_longer_training_is(horizon, factor):
    measured = falls_of(0.2, 1.0, 0.2)
    assert suggestion(measured, Settings(horizon=horizon)) == pytest.approx(0.1 * factor)  # 0.0025 is usable


@pytest.mark.parametrize(
    ("fall", "due"),
    [
        (1.0, 1.0),  # it stands still
        (0.5, 1.0),  # it has risen again
        (math.nan, 1.0),
        (1.25, 0.7),  # half of the way from 1 to 0.4
        (1.5, 0.4),
        (9.0, 0.4),
    ],
)
def test_less_of_the_root_is_due_where_a_run_of_twice_the_length_falls_on(fall, due):
    measured = replace(falls_of(0.2, 1.0, 0.2), onward=trial(0.1, fall, steps=40))
    found = suggestion(measured, Settings(horizon=2000, lasting=0.5, calm=0.4))
    assert math.log10(found) == pytest.approx(-1 - due)


@pytest.mark.parametrize(("again", "expected"), [(1.0, 0.0), (0.8, 0.4 / 0.6 - 0.6), (1.2, 0.6 - 0.8 / 1.4)])
def test_spread_is_between_the_vertices_of_the_runs_and_their_repeats(again, expected):
    assert spread(falls_of(0.4, 1.0, 0.6, again=again), Settings()) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("answer", [suggestion, spread])
def test_without_a_range_there_is_none(answer):
    assert usable_range(FLAT, Settings()) is None
    assert math.isnan(answer(FLAT, Settings()))
    assert math.isnan(answer(replace(HEALTHY, exchange=BLIND), Settings()))


# Where it diverges, and the user's own


@pytest.mark.parametrize(("fall", "limit"), [(-0.029, 10.0), (-0.031, 1.0), (-math.inf, 1.0)])
def test_it_diverges_where_the_loss_rises_by_more_than_noise(fall, limit):
    trials = *HEALTHY.trials[:3], trial(1.0, fall), EXPLODED
    assert diverges_from(replace(HEALTHY, trials=trials), Settings()) == limit


def test_it_may_diverge_at_all_rates_or_at_none():
    assert math.isnan(diverges_from(FLAT, Settings()))
    assert diverges_from(replace(HEALTHY, trials=(exploded(0.1), EXPLODED), repeats=()), Settings()) == 0.1


def test_rates_below_the_best_do_not_diverge():
    trials = trial(0.001, -0.5), trial(0.1, 1.0), trial(1.0, 0.5)
    assert math.isnan(diverges_from(scanned(*trials), Settings()))


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.01, 1.0, 2.0), (1.0, 0.01, -2.0), (0.0, 1.0, math.nan), (1.0, math.nan, math.nan), (1.0, math.inf, math.nan)],
)
def test_decades(low, high, expected):
    assert decades(low, high) == pytest.approx(expected, nan_ok=True)


def test_own_trial_is_the_one_at_the_user_s_rate():
    assert own_trial(HEALTHY) == trial(0.1, 1.0)
    unknown = own_trial(replace(HEALTHY, own=0.5))
    assert (unknown.learning_rate, unknown.steps) == (0.5, 0)
    assert math.isnan(unknown.loss)

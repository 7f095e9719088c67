"""How noise is kept from looking like a fall."""

import math

import numpy as np
import pytest
from scipy import stats

from babysit.checks.lr_scan import Settings
from babysit.short_runs import COMPARED, Trial, falls
from babysit.significance import ONE_IN_740, fall_error, gap_error, mean_error, standard_error, student_quantile
from babysit.usable_rates import confirmed

BATCHES_MANY_LOST = [1000.0, *[1.0] * 63], [900.0, *[1.1] * 63]  # one falls by a tenth, 63 rise by a tenth


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 5, 7, 12, 31, 200])
@pytest.mark.parametrize("level", [ONE_IN_740, 9e-5, 2e-5])
def test_student_quantile_is_scipys(level, freedom):
    assert student_quantile(level, freedom) == pytest.approx(stats.t.isf(level, freedom), rel=5e-3)


def test_one_in_740_is_what_three_sigmas_mean():
    assert pytest.approx(stats.norm.sf(3)) == ONE_IN_740
    assert pytest.approx(740, abs=1) == 1 / ONE_IN_740


@pytest.mark.parametrize("values", [[2.0, -2.0, 3.0, 2.0], [5.0, 5.0, 5.0], [1.0, 2.0], list(range(30))])
def test_standard_error_is_scipys(values):
    assert standard_error(values) == pytest.approx(stats.sem(values))


def test_one_value_has_no_scatter():
    assert standard_error([4.0]) == 0.0
    assert mean_error([4.0]) == 0.0


@pytest.mark.parametrize("count", [2, 4, 8, 32])
def test_three_errors_of_the_mean_are_students(count):
    values = np.random.default_rng(count).normal(size=count)
    expected = stats.sem(values) * stats.t.isf(ONE_IN_740, count - 1)
    assert 3 * mean_error(list(values)) == pytest.approx(expected, rel=5e-3)


def test_error_of_falls_is_that_of_their_mean_where_a_loss_is_negative():
    before, after = [2.0, -2.0, 3.0, 2.0], [1.0, -2.5, 2.5, 1.5]
    assert fall_error(before, after) == mean_error([1.0, 0.5, 0.5, 0.5])


@pytest.mark.parametrize("shift", [0.0, -2000.0])
def test_batches_that_lose_the_same_share_differ_by_no_noise(shift):
    before, after = [1000.0, 10.0, 100.0, 50.0], [500.0, 5.0, 50.0, 25.0]
    found = fall_error([b + shift for b in before], [a + shift for a in after])
    assert found == pytest.approx(0, abs=1e-9) if shift == 0 else found > 100


def test_error_of_positive_losses_is_that_of_their_shares():
    before, after = [4.0, 2.0, 1.0, 2.0], [2.0, 1.5, 0.5, 1.0]  # shares 1/2, 1/4, 1/2, 1/2; falls 2, 0.5, 0.5, 1
    assert fall_error(before, after) == pytest.approx(mean_error([0.5, 0.25, 0.5, 0.5]) / 0.4375 * 1.0)


def test_a_scaled_loss_has_a_scaled_error():
    before, after = [4.0, 2.0, 1.0, 2.0], [2.0, 1.5, 0.5, 1.0]
    thousandfold = fall_error([1000 * b for b in before], [1000 * a for a in after])
    assert thousandfold == pytest.approx(1000 * fall_error(before, after))


def test_nothing_changed_is_no_fall_and_no_error():
    assert fall_error([2.0, 3.0], [2.0, 3.0]) == 0.0


@pytest.mark.parametrize(
    ("before", "after", "mean"),
    [
        (*BATCHES_MANY_LOST, 1.464),
        (*reversed(BATCHES_MANY_LOST), -1.464),
        ([200.0, 100.0] * 4, [198.0, 101.0] * 4, 0.5),  # shares of mean 0
    ],
)
def test_a_fall_that_shares_do_not_bear_out_is_noise(before, after, mean):
    """As of one large batch, where 63 small ones rise."""
    assert np.mean(before) - np.mean(after) == pytest.approx(mean, abs=1e-3)
    assert fall_error(before, after) == math.inf
    assert not falls(Trial(0.1, float(np.mean(after)), mean, math.inf, math.nan, 16), 3.0)


def test_shares_that_go_the_same_way_bear_it_out():
    before, after = [200.0, 100.0] * 4, [198.0, 100.5] * 4  # shares of 1 % and -0.5 %
    assert fall_error(before, after) == pytest.approx(mean_error([0.01, -0.005] * 4) / 0.0025 * 0.75)


def test_rises_and_falls_of_mean_0_have_the_error_of_their_mean():
    before, after = [200.0, 100.0] * 4, [199.0, 101.0] * 4
    assert fall_error(before, after) == mean_error([1.0, -1.0] * 4)


# Gaps between two losses of each batch, neither of which came first


def test_error_of_a_gap_is_that_of_its_shares_of_both():
    one, other = [4.0, 3.0, 1.0, 2.0], [2.0, 1.0, 3.0, 2.0]  # shares 2/3, 1, -1, 0; gaps 2, 2, -2, 0
    expected = mean_error([2 / 3, 1.0, -1.0, 0.0]) / (1 / 6) * 0.5
    assert gap_error(one, other) == pytest.approx(expected)
    assert gap_error(other, one) == pytest.approx(expected)


def test_one_example_that_is_right_whatever_its_target_hides_no_gap():
    """Its own loss is 1000 times what it is with another's target, though both are next to nothing."""
    own, others = [0.1] * 63 + [0.1], [2.0] * 63 + [1e-4]
    assert gap_error(others, own) < 0.1
    assert fall_error(others, own) == math.inf


def test_error_of_a_gap_is_that_of_the_mean_where_a_loss_is_negative():
    assert gap_error([2.0, -2.0, 3.0], [1.0, -2.5, 2.0]) == mean_error([1.0, 0.5, 1.0])


@pytest.mark.parametrize("count", [8, 32, 300])
def test_a_gap_of_nothing_passes_three_errors_as_rarely_as_noise(count):
    """One-sided, losses of single examples: heavy on one side, and alike whichever comes first."""
    draw = np.random.default_rng(count)
    passed = 0
    for _ in range(2000):
        one, other = draw.exponential(size=(2, count)).tolist()
        passed += sum(one) - sum(other) > 3 * gap_error(one, other) * count
    assert passed <= 2000 * ONE_IN_740 + 6


# Both tests that a rate must pass


def run(draw, rate, before, spread):
    """A run that does nothing: after it the loss of each batch differs by noise."""
    after = [b + spread * n for b, n in zip(before, draw.standard_normal(len(before)), strict=True)]
    loss = sum(after) / len(after)
    return Trial(rate, loss, sum(before) / len(before) - loss, fall_error(before, after), math.nan, 16)


def passes(seed, *, rates, batches):
    """Whether noise passes the test in the best of so many runs, and again in its repeat."""
    draw = np.random.default_rng(seed)
    before = list(2 + 0.2 * draw.standard_normal(batches))
    trials = [run(draw, 10.0**-k, before, 0.2) for k in range(rates)]
    repeats = [run(draw, t.learning_rate, before, 0.2) for t in trials]
    first = min(trials, key=lambda t: t.loss)
    once = first.fall > 3 * first.error and first.fall > 0
    return once, any(confirmed(trials, (again,), Settings()) is not None for again in repeats)


def test_pure_noise_gives_no_suggestion():
    """The best of 15 runs passes one test in 15/740 = 1 of 49 scans at most, both in 15/740^2 = 1 of 36,000.

    Any of the 15 may be repeated here, which a scan doesn't do: 1 of 2,400 at most.
    """
    found = [passes(seed, rates=15, batches=COMPARED) for seed in range(600)]
    once, twice = (sum(column) for column in zip(*found, strict=True))
    assert once <= 600 * 15 * ONE_IN_740 + 10
    assert twice == 0

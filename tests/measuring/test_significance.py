"""How noise is kept from looking like a fall."""

import ast
import math
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import babysit
from babysit.checks.lr_scan import Settings
from babysit.checks.lr_scan.schema import Trial, falls
from babysit.checks.lr_scan.short_runs import COMPARED
from babysit.checks.lr_scan.usable_rates import confirmed
from babysit.measuring.significance import (
    between_groups_deviate,
    binomial_tail,
    chi2_lower_tail,
    fall_error,
    gap_error,
    mean_error,
    normal_tail,
    poisson_upper_bound,
    standard_error,
    student_quantile,
    widening,
)

BATCHES_MANY_LOST = [1000.0, *[1.0] * 63], [900.0, *[1.1] * 63]  # one falls by a tenth, 63 rise by a tenth


PACKAGE = Path(babysit.__file__).parent
ONE_IN_740 = stats.norm.sf(3)
SIZES = [1, 10, 10**3, 10**5, 10**7]
LEAST = 1e-290  # of what is compared by its digits; smaller ones lose some
sizes = st.sampled_from(SIZES)
shares = st.one_of(st.sampled_from([0.0, 1e-12, 1e-3, 0.2, 0.5, 0.999, 1.0]), st.floats(0, 1))
levels = st.floats(-30, math.log10(0.499)).map(lambda exponent: 10**exponent)


def near(value):
    return pytest.approx(value, rel=1e-8, abs=LEAST)


@st.composite
def counts(draw):
    """Trials, and a number of successes at an end, in the middle, or anywhere."""
    n = draw(sizes)
    return n, draw(st.one_of(st.integers(-1, n + 1), st.sampled_from([-1, 0, 1, n // 2, n - 1, n, n + 1])))


# One home

BY_HAND = {"comb", "perm", "factorial", "gamma", "lgamma", "erf", "erfc", "NormalDist"}
ELSEWHERE = {"classification.py": {"erf"}}  # the mean of a hinge, which is no tail


def by_hand(source):
    """Names that make tails, binomials and quantiles, and imports of SciPy."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute):
            yield from {node.attr} & BY_HAND
        elif isinstance(node, ast.ImportFrom):
            yield from {alias.name for alias in node.names} & BY_HAND
            yield from {"scipy"} & {(node.module or "").split(".")[0]}
        elif isinstance(node, ast.Import):
            yield from {"scipy"} & {alias.name.split(".")[0] for alias in node.names}


def test_no_other_module_makes_tails_and_quantiles():
    modules = [path for path in PACKAGE.rglob("*.py") if path.name != "significance.py"]
    found = {path.name: set(by_hand(path.read_text())) - ELSEWHERE.get(path.name, set()) for path in modules}
    assert len(found) > 50
    assert {name: names for name, names in found.items() if names} == {}


@pytest.mark.parametrize(
    "line",
    ["math.comb(5, 2)", "from math import lgamma", "from statistics import NormalDist", "import scipy.stats as s"],
)
def test_what_is_made_by_hand_is_found(line):
    assert list(by_hand(line))
    assert not list(by_hand("math.exp(2); from math import sqrt; import numpy"))


def test_scipy_is_imported_where_it_is_called():
    code = "import sys, babysit.measuring.significance\n"
    code += "sys.exit(bool({'scipy', 'numpy', 'statistics'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# Tails and quantiles


@given(counts(), shares)
def test_binomial_tail_is_scipys(pair, p):
    n, k = pair
    assert binomial_tail(n, k, p) == near(stats.binom.sf(k - 1, n, p))


@given(sizes, st.floats(1e-6, 1 - 1e-6), st.floats(-8, 8))
def test_binomial_tail_near_the_mean_is_scipys(n, p, deviate):
    k = round(n * p + deviate * math.sqrt(n * p * (1 - p)))
    assert binomial_tail(n, k, p) == near(stats.binom.sf(k - 1, n, p))


@given(st.integers(1, 60), st.integers(0, 61), st.integers(0, 32))
def test_binomial_tail_is_the_sum_of_its_terms(n, k, of_32):
    p = Fraction(of_32, 32)
    exact = sum(math.comb(n, j) * p**j * (1 - p) ** (n - j) for j in range(k, n + 1))
    assert binomial_tail(n, k, float(p)) == pytest.approx(float(exact), rel=1e-12)


@given(counts(), shares)
def test_binomial_tails_fall_with_k_rise_with_p_and_add_up_to_1(pair, p):
    n, k = pair
    tail = binomial_tail(n, k, p)
    assert 0 <= binomial_tail(n, k + 1, p) <= tail * (1 + 1e-9) <= 1 + 1e-9
    assert binomial_tail(n, k, min(1.0, p + 1e-3)) >= tail * (1 - 1e-9)
    assert tail + binomial_tail(n, n - k + 1, 1 - p) == pytest.approx(1, abs=1e-7)  # so many failures; 1 - p is rounded


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize(("successes", "p", "tail"), [(0, 0.0, 1.0), (1, 0.0, 0.0), (1, 1.0, 1.0)])
def test_binomial_tail_of_what_is_certain(n, successes, p, tail):
    assert binomial_tail(n, successes, p) == tail
    assert (binomial_tail(n, n, 1.0), binomial_tail(n, n + 1, 1.0), binomial_tail(n, -3, p)) == (1.0, 0.0, 1.0)


@pytest.mark.parametrize("n", SIZES)
def test_one_success_is_anything_but_none(n):
    assert binomial_tail(n, 1, 1e-3) == near(-math.expm1(n * math.log1p(-1e-3)))


@given(st.floats(-40, 37))
def test_normal_tail_is_scipys(z):
    assert normal_tail(z) == near(stats.norm.sf(z))
    assert normal_tail(z) + normal_tail(-z) == pytest.approx(1)


def test_normal_tail_far_out_is_nothing_and_no_error():
    assert (normal_tail(100), normal_tail(-100), normal_tail(math.inf)) == (0.0, 1.0, 0.0)


@given(levels, sizes)
def test_student_quantile_is_scipys(level, freedom):
    found = student_quantile(level, freedom)
    assert stats.t.sf(found, freedom) == near(level)
    assert found == near(stats.t.isf(level, freedom))
    assert found >= stats.norm.isf(level) * (1 - 1e-9)  # its tails are the heavier ones


@pytest.mark.parametrize("level", [ONE_IN_740, 9e-5, 2e-5, 1e-12])
def test_student_quantile_in_closed_form(level):
    assert student_quantile(level, 1) == near(1 / math.tan(math.pi * level))
    assert student_quantile(level, 2) == near((1 - 2 * level) / math.sqrt(2 * level * (1 - level)))
    assert student_quantile(level, 10**7) == pytest.approx(stats.norm.isf(level), rel=1e-5)
    assert student_quantile(0.5, 4) == pytest.approx(0, abs=1e-12)


@given(sizes, st.one_of(st.floats(0, 3), st.sampled_from([0.0, 1e-300, 1e-13, 1e-6])))
def test_chi2_lower_tail_is_scipys(freedom, ratio):
    assert chi2_lower_tail(ratio * freedom, freedom) == near(stats.chi2.cdf(ratio * freedom, freedom))
    assert chi2_lower_tail(ratio * freedom, freedom) <= chi2_lower_tail((ratio + 0.1) * freedom, freedom)


@pytest.mark.parametrize("freedom", SIZES)
def test_chi2_is_never_negative(freedom):
    assert chi2_lower_tail(-1e-9, freedom) == chi2_lower_tail(0.0, freedom) == 0.0
    assert chi2_lower_tail(math.inf, freedom) == 1.0


@given(sizes, sizes, st.floats(1e-6, 1 - 1e-6))
def test_between_groups_deviate_is_that_of_the_law_of_f(between, within, share):
    ratio = share / between / ((1 - share) / within)
    upper, lower = stats.f.sf(ratio, between, within), stats.f.cdf(ratio, between, within)
    found = between_groups_deviate(share, between, within)
    if min(upper, lower) > LEAST:
        expected = stats.norm.isf(upper) if upper < lower else stats.norm.ppf(lower)
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-6)
    else:
        assert abs(found) > 36


@given(sizes, sizes, st.floats(0, 0.99))
def test_between_groups_deviate_rises_with_the_share(between, within, share):
    assert between_groups_deviate(share, between, within) <= between_groups_deviate(share + 0.01, between, within)


@pytest.mark.parametrize("between", SIZES)
@pytest.mark.parametrize("within", SIZES)
def test_between_groups_deviate_at_its_ends(between, within):
    assert between_groups_deviate(1.0, between, within) == between_groups_deviate(1 + 1e-9, between, within) == math.inf
    assert between_groups_deviate(0.0, between, within) == between_groups_deviate(-1e-9, between, within) == -math.inf
    assert math.isnan(between_groups_deviate(math.nan, between, within))


@pytest.mark.parametrize("count", [0, *SIZES])
def test_poisson_upper_bound_is_beyond_the_mean_that_explains_the_count_once_in_twenty_times(count):
    """And no further than three standard deviations of the mean that it gives."""
    bound = poisson_upper_bound(count)
    assert stats.poisson.cdf(count, bound) <= 0.05
    assert bound - count <= 3 * math.sqrt(bound) + 1e-9


def test_one_in_740_is_what_three_sigmas_mean():
    assert normal_tail(3) == near(ONE_IN_740)
    assert pytest.approx(740, abs=1) == 1 / ONE_IN_740


@pytest.mark.parametrize("freedom", SIZES)
@pytest.mark.parametrize("sigmas", [2, 3])
def test_an_error_known_from_few_values_is_widened(sigmas, freedom):
    assert stats.t.sf(sigmas * widening(sigmas, freedom), freedom) == near(stats.norm.sf(sigmas))
    assert widening(sigmas, freedom) >= 1


# Errors of means


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
    assert 3 * mean_error(list(values)) == near(expected)


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

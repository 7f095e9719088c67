"""The training split held against the validation split, on honest splits and on such as were prepared apart."""

import math
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest
from data_programs import standardized, stretched
from scipy.stats import ttest_ind

from babysit.checks.check_data.split_comparison import LEVEL, compared, overlap
from babysit.checks.check_data.statistics.features import Features


def read(x, *, whole=True, distinct=None, size=64):
    found = Features()
    for i in range(0, len(x), size):
        found.add(x[i : i + size])
    return SimpleNamespace(inputs={"inputs": found}, distinct=distinct or len(x), whole=whole)


def comparison(train, val, **options):
    return compared("inputs", read(train), read(val, **options), shift=0.5, ratio=1.5)


# Honest splits

COLUMNS = 8
SOURCES = {
    "normal": lambda r, n: r.normal(size=(n, COLUMNS)),
    "far from zero": lambda r, n: 1e4 + r.normal(size=(n, COLUMNS)),
    "lognormal": lambda r, n: r.lognormal(size=(n, COLUMNS)),
    "very lognormal": lambda r, n: r.lognormal(0, 2, size=(n, COLUMNS)),
    "Student's t, 3": lambda r, n: r.standard_t(3, size=(n, COLUMNS)),
    "Cauchy": lambda r, n: r.standard_cauchy(size=(n, COLUMNS)),
    "one in a hundred": lambda r, n: (r.random((n, COLUMNS)) < 0.01) * 1.0,
    "rare amounts": lambda r, n: (r.random((n, COLUMNS)) < 0.1) * r.exponential(size=(n, COLUMNS)),
    "one of several": lambda r, n: np.eye(COLUMNS)[r.integers(COLUMNS, size=n)],
    "correlated": lambda r, n: r.normal(size=(n, 1)) + 0.05 * r.normal(size=(n, COLUMNS)),
    "grades": lambda r, n: r.integers(6, size=(n, COLUMNS)) * 1.0,
    "images": lambda r, n: 0.5 + 0.2 * r.normal(size=(n, 3, 1, 1)) + 0.2 * r.normal(size=(n, 3, 5, 5)),
}
SIZES = [(300, 12), (300, 40), (60, 30), (250, 150), (30, 300)]


@pytest.mark.parametrize(("train", "val"), SIZES)
@pytest.mark.parametrize("draw", SOURCES.values(), ids=SOURCES)
def test_honest_splits_are_not_told_apart(draw, train, val):
    rng = np.random.default_rng(1)
    for _ in range(8):
        x = draw(rng, train + val)
        found = comparison(x[:train], x[train:])
        assert (found.different, found.own) == (0, "")


def told_apart(draw, train, val, trials):
    """The share of honest splits that the test alone tells apart, whatever the effect."""
    rng = np.random.default_rng(0)
    found = (
        compared("inputs", read(x[:train]), read(x[train:]), shift=1e-9, ratio=1 + 1e-9)
        for x in (draw(rng, train + val) for _ in range(trials))
    )
    return sum(comparison.different > 0 for comparison in found) / trials


@pytest.mark.parametrize("draw", [SOURCES["normal"], SOURCES["rare amounts"]], ids=["normal", "rare amounts"])
def test_the_level(draw):
    """At most 3 of 800, where the level allows for 0.8: more come once in 100 times."""
    assert told_apart(draw, 60, 30, 800) <= 3 / 800
    assert LEVEL == 1e-3


def test_with_equal_scatter_it_is_student_s_test():
    rng = np.random.default_rng(0)
    a = rng.normal(size=(200, 1))
    b = a[:100] + 0.9
    limit = LEVEL / 4
    for shift in np.linspace(0.2, 0.9, 15):
        p = ttest_ind(a[:, 0], b[:, 0] - 0.9 + shift).pvalue / 2
        if not 0.2 < p / limit < 5:  # beside the larger of two nearly equal variances
            found = compared("inputs", read(a), read(b - 0.9 + shift), shift=1e-9, ratio=1e9)
            assert bool(found.different) == (p < limit), shift


def test_a_loader_that_goes_round_and_round_has_seen_no_more():
    """Twelve examples, fifty times over: their own mean is all but certain, that of their source is not."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(20):
        x = rng.normal(size=(300, COLUMNS))
        val = np.tile(rng.normal(size=(12, COLUMNS)), (50, 1))
        found.append(compared("inputs", read(x), read(val, distinct=12), shift=0.5, ratio=1.5).different)
        assert compared("inputs", read(x), read(val), shift=0.5, ratio=1.5).different >= found[-1]
    assert sum(found) == 0


# Splits prepared apart


def drawn(seed, train=600, val=250):
    x = np.random.default_rng(seed).normal(size=(train + val, 5)) * [1, 2, 3, 0.5, 10] + [0, 5, -5, 1, 50]
    return x[:train], x[train:]


@pytest.mark.parametrize(
    ("prepare", "features"),
    [
        (lambda a, b: (standardized(a, a), b), 4),
        (lambda a, b: (standardized(a, a), standardized(b, a) / 255), 5),
        (lambda a, b: (standardized(a, a), b / a.std(axis=0)), 4),
        (lambda a, b: (a - a.mean(axis=0), b), 4),
        (lambda a, b: (standardized(a, a), 2 * standardized(b, a)), 5),
        (lambda a, b: (1e4 + standardized(a, a), 1e4 + 2 * standardized(b, a)), 5),
        (lambda a, b: (standardized(a, a), np.c_[1 + standardized(b, a)[:, :1], standardized(b, a)[:, 1:]]), 1),
    ],
    ids=["raw", "divided", "not centered", "centered alone", "twice", "twice, far from zero", "one column moved"],
)
def test_splits_prepared_apart(prepare, features):
    for seed in range(3):
        found = comparison(*prepare(*drawn(seed)))
        assert (found.different, found.own) == (features, "")


def test_what_is_told_of_the_worst():
    a, b = drawn(0)
    a, b = standardized(a, a), standardized(b, a)
    b[:, 3] = 4 * b[:, 3] + 7
    found = comparison(a, b)
    assert (found.different, found.worst, found.features) == (1, 3, 5)
    assert found.worst_shift == pytest.approx(b[:, 3].mean(), rel=1e-6)
    assert found.worst_ratio == pytest.approx(b[:, 3].std(), rel=1e-6)
    assert found.ratio == pytest.approx(np.median(b.std(axis=0)))


# The validation split by its own statistics


def wide(x):
    """By one mean and one spread for all columns."""
    return lambda y: (y - x.mean()) / x.std()


OWN = {
    "standardized": (lambda a, b: standardized(b, b), "standardized"),
    "with n - 1": (lambda a, b: (b - b.mean(axis=0)) / b.std(axis=0, ddof=1), "standardized"),
    "in single precision": (lambda a, b: standardized(b, b).astype(np.float32), "standardized"),
    "by one number": (lambda a, b: wide(b)(b), "standardized"),
    "stretched": (lambda a, b: stretched(b, b), "stretched to the same range"),
    "stretched from -1 to 1": (lambda a, b: 2 * stretched(b, b) - 1, "stretched to the same range"),
}


@pytest.mark.parametrize(("prepare", "own"), OWN.values(), ids=OWN)
def test_own_statistics(prepare, own):
    for seed in range(3):
        a, b = drawn(seed)
        assert comparison(prepare(b, a), prepare(a, b)).own == own
        assert comparison(prepare(b, a), prepare(a, b), whole=False).own == ""


def test_own_statistics_of_images_by_channel():
    x = np.random.default_rng(0).normal(size=(200, 3, 6, 6)) + np.random.default_rng(1).normal(size=(200, 3, 1, 1))

    def by_channel(y, by):
        return (y - by.mean(axis=(0, 2, 3), keepdims=True)) / by.std(axis=(0, 2, 3), keepdims=True)

    assert comparison(by_channel(x[:120], x[:120]), by_channel(x[120:], x[120:])).own == "standardized"
    assert comparison(by_channel(x[:120], x[:120]), by_channel(x[120:], x[:120])).own == ""


def test_discrete_columns_beside_amounts():
    rng = np.random.default_rng(0)
    x = np.c_[rng.normal(size=(200, 3)), rng.integers(2, size=(200, 2)), rng.integers(5, size=(200, 1))]
    a, b = x[:140], x[140:]
    assert comparison(stretched(a, a), stretched(b, b)).own == "stretched to the same range"
    assert comparison(stretched(a, a), stretched(b, a)).own == ""


LEGAL = {
    **SOURCES,
    "grades in two columns": lambda r, n: r.integers(11, size=(n, 2)) * 1.0,
    "whole numbers": lambda r, n: np.round(r.normal(20, 6, size=(n, 2))),
    "one column": lambda r, n: r.normal(size=(n, 1)),
    "yes or no": lambda r, n: (r.random((n, 3)) < 0.4) * 1.0,
    "pixels": lambda r, n: np.clip(r.normal(0.5, 0.4, size=(n, 40)), 0, 1),
    "amounts and answers": lambda r, n: np.c_[r.normal(size=(n, 3)), r.integers(2, size=(n, 3))],
}


@pytest.mark.parametrize("draw", LEGAL.values(), ids=LEGAL)
def test_statistics_of_the_training_split_are_never_taken_for_its_own(draw):
    rng = np.random.default_rng(2)
    for k in range(12):
        train, val = ((20, 10), (60, 20), (150, 60))[k % 3]
        x = draw(rng, train + val)
        a, b = x[:train], x[train:]
        for fitted in (a, x):
            for prepare in (standardized, stretched):
                assert comparison(prepare(a, fitted), prepare(b, fitted)).own == ""
            spread = fitted.std() or 1.0
            assert comparison((a - fitted.mean()) / spread, (b - fitted.mean()) / spread).own == ""


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize("shape", [(8, 8), (3, 8, 8), (12,)])
def test_images_that_are_each_standardized_are_legal(shape, dtype):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(150, *shape)) * rng.uniform(0.5, 2, size=shape)
    axes = tuple(range(1, x.ndim))
    x = ((x - x.mean(axis=axes, keepdims=True)) / x.std(axis=axes, keepdims=True)).astype(dtype)
    assert comparison(x[:100], x[100:]).own == ""


# Not to be compared


@pytest.mark.parametrize(
    ("train", "val"),
    [
        (np.ones((50, 3)), np.ones((50, 3))),
        (np.random.default_rng(0).normal(size=(50, 3)), np.ones((4, 3))),
        (np.random.default_rng(0).normal(size=(50, 3)), np.ones((50, 4))),
        (np.random.default_rng(0).normal(size=(50, 3)), np.full((50, 3), np.nan)),
        (np.full((50, 3), np.inf), np.ones((50, 3))),
    ],
    ids=["constant", "too few", "another width", "nothing finite", "nothing finite in training"],
)
def test_not_compared(train, val):
    assert comparison(train, val) is None


def test_numbers_that_overflow():
    x = np.random.default_rng(0).normal(size=(100, 3))
    assert comparison(1e200 * x, 1e200 * x) is None
    assert comparison(x, 1e200 * x).own == ""


def test_a_column_that_training_holds_constant_is_left_out():
    x = np.random.default_rng(0).normal(size=(100, 3))
    x[:60, 1] = 0
    found = comparison(x[:60], x[60:])
    assert (found.features, found.different) == (2, 0)


# Overlap


def shared(train, val):
    found = overlap(Counter(map(bytes, np.ascontiguousarray(train))), Counter(map(bytes, np.ascontiguousarray(val))))
    return found.common, found.common > found.expected + 4 * math.sqrt(found.expected + 1)


def rows(seed, n=1000):
    return np.random.default_rng(seed).normal(size=(n, 3))


A, B = rows(0)[:700], rows(0)[700:]
SHARED = {
    "apart": (A, B, 0, False),
    "the same": (A, A, 700, True),
    "inside": (A, A[:300], 300, True),
    "a tenth": (A, np.concatenate([A[:30], B[30:]]), 30, True),
    "three": (A, np.concatenate([A[:3], B[3:]]), 3, False),
    "training drawn twice": (np.tile(A, (2, 1)), B, 0, False),
    "training drawn twice, and inside": (np.tile(A, (2, 1)), A[:300], 300, True),
    "rare ones drawn often": (np.concatenate([A, np.tile(A[:20], (30, 1))]), B, 0, False),
    "validation drawn with replacement": (A, np.tile(B[:20], (10, 1)), 0, False),
    "with noise": (A, A[:300] + 1e-3, 0, False),
    "four points": (np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), 4, False),
}


@pytest.mark.parametrize(("train", "val", "common", "told"), SHARED.values(), ids=SHARED)
def test_overlap(train, val, common, told):
    assert shared(train, val) == (common, told)


NATURAL = {
    "answers": lambda r, n: r.random((n, 5)) < 0.3,
    "grades": lambda r, n: r.integers(11, size=(n, 3)),
    "skewed grades": lambda r, n: r.binomial(4, 0.2, size=(n, 6)),
    "Zipf": lambda r, n: r.zipf(1.5, size=(n, 2)),
    "rounded": lambda r, n: np.round(r.normal(size=(n, 1)), 2),
    "flowers": lambda r, n: np.round(r.normal([5.8, 3.1, 3.8, 1.2], [0.8, 0.4, 1.8, 0.8], size=(n, 4)), 1),
}


@pytest.mark.parametrize("draw", NATURAL.values(), ids=NATURAL)
def test_examples_that_come_again_by_themselves(draw):
    rng = np.random.default_rng(0)
    for _ in range(8):
        x = draw(rng, 600)
        assert not shared(x[:420], x[420:])[1]

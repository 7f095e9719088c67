"""Counts of labels, and how far targets are alike within batches, held against plain NumPy and SciPy."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import f, norm

from babysit import Binary, ChanceLoss, Classification, Hinge, LanguageModel, MultiLabel, Regression
from babysit.checks.check_data.statistics.labels import BatchOrder, LabelCounts

RNG = np.random.default_rng(0)
TEN = Classification(10)


def counted(task, *batches):
    found = LabelCounts(task)
    for batch in batches:
        found.add(np.asarray(batch))
    return found.summary("train")


def ordered(task, *batches):
    found = BatchOrder(task)
    for batch in batches:
        found.add(np.asarray(batch))
    return found.summary()


# Labels


@given(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=20), min_size=1, max_size=5))
def test_labels_are_counted(batches):
    found = counted(TEN, *batches)
    together = np.concatenate([np.asarray(batch) for batch in batches])
    assert found.counts == tuple(np.bincount(together, minlength=10))
    assert (found.examples, found.outside) == (len(together), 0)
    assert (found.least, found.most) == (together.min(), together.max())


def test_shares_count_for_the_likeliest_class():
    shares = np.array([[0.2, 0.5, 0.3], [0.9, 0.1, 0.0]], dtype=np.float16)
    assert counted(Classification(3), shares, [2, 2]).counts == (1, 1, 2)


def test_maps_of_shares_count_every_position():
    maps = np.moveaxis(np.eye(3)[[[0, 1], [2, 2]]], -1, 0)[None]  # (1, classes, 2, 2)
    found = counted(Classification(3), maps)
    assert (found.counts, found.examples) == ((1, 1, 2), 4)


@pytest.mark.parametrize(
    ("task", "labels", "outside", "example"),
    [
        (TEN, [0, 9], 0, math.nan),
        (TEN, [0, -1, -2], 2, -2.0),
        (TEN, [10, 3], 1, 10.0),
        (TEN, [0.5, 3.0], 1, 0.5),
        (TEN, [-100, 3], 0, math.nan),
        (TEN, [np.nan, 3], 0, math.nan),
        (Hinge(10), [-1, 3], 1, -1.0),
        (Binary(), [0, 1, 0.3], 0, math.nan),
        (Binary(), [-100, 1], 1, -100.0),
        (MultiLabel(), [[0, 2], [1, 1]], 1, 2.0),
        (LanguageModel(50), [[-1, 49], [-100, 0]], 0, math.nan),
        (LanguageModel(50), [[50, 49]], 1, 50.0),
    ],
)
def test_labels_that_are_no_class(task, labels, outside, example):
    found = counted(task, labels)
    assert found.outside == outside
    assert found.example == pytest.approx(example, nan_ok=True)


@pytest.mark.parametrize(
    ("labels", "marked"),
    [
        ([0, 1, 2, -1], True),
        ([0, 1, 2, 255, 255], True),
        ([0, 2, 255], True),
        ([0, 1, 2], False),
        ([0, 1, -1], False),  # counted from -1
        ([1, 2, 3], False),  # counted from 1
        ([0, 1, 2, 3], False),  # a class too few
        ([0, 1, 2, -1, -2], False),
        ([0, 1, 2, 0.5], False),
    ],
)
def test_labels_that_may_mark_what_the_loss_leaves_out(labels, marked):
    assert counted(Classification(3), labels).marked == marked


def test_no_mark_is_known_where_nothing_is_left_out():
    assert not counted(Binary(), [0, 1, -1]).marked


@pytest.mark.parametrize(
    ("labels", "counts"),
    [([0, 1, 1], (1, 2)), ([0.05, 0.95], (1, 1)), ([0.1] * 40 + [0.3] * 40, (64, 16)), ([0.3] * 4, (4, 0))],
)
def test_probabilities_of_yes(labels, counts):
    """Rounded, but where all of them are on one side and differ."""
    assert counted(Binary(), labels).counts == counts


@pytest.mark.parametrize(
    ("task", "labels"),
    [(TEN, [-100, -100]), (TEN, [np.nan]), (Regression(), [1.0]), (ChanceLoss(1.0), [1.0]), (LanguageModel(5), [[-1]])],
)
def test_nothing_to_count(task, labels):
    assert counted(task, labels) is None


def test_words_and_several_labels_are_not_counted():
    assert counted(LanguageModel(50), [[1, 2]]).counts == ()
    assert counted(MultiLabel(), [[1, 0]]).counts == ()


# Order


def between(batches):
    """The share of the variance that lies between batches, less what chance puts there, by its definition."""
    rows = np.concatenate(batches)
    n, count, mean = len(rows), len(batches), rows.mean(axis=0)
    share = sum(len(b) * (b.mean(axis=0) - mean) ** 2 for b in batches) / ((rows - mean) ** 2).sum(axis=0)
    return 1 - (1 - share) * (n - 1) / (n - count)


@pytest.mark.parametrize("offset", [0.0, 1e7])
@pytest.mark.parametrize("sizes", [(40, 40, 40), (64, 46, 10)])
def test_share_of_numbers(sizes, offset):
    targets = offset + np.sort(RNG.normal(size=(120, 2)), axis=0)
    batches = np.split(targets, np.cumsum(sizes)[:-1])
    found = ordered(Regression(), *batches)
    assert found.share == pytest.approx(np.mean(between(batches)))
    assert (found.batches, found.alike) == (3, False)


def test_share_of_classes():
    """Over all classes' truth values together: common ones count more."""
    labels = np.sort(RNG.integers(3, size=60))
    batches = np.split(labels, [25, 40])
    truth = [np.eye(3)[batch] for batch in batches]
    weights = np.concatenate(truth).var(axis=0)
    expected = np.sum(between(truth) * weights) / weights.sum()
    assert ordered(Classification(3), *batches).share == pytest.approx(expected)
    assert ordered(Classification(3), *truth).share == pytest.approx(expected)


@pytest.mark.parametrize(("outputs", "batches", "size"), [(1, 2, 50), (1, 15, 40), (1, 50, 4), (1, 8, 8)])
def test_deviations_are_those_of_the_law_of_f(outputs, batches, size):
    drawn = [RNG.normal(size=(size, outputs)) + 0.7 * (k % 2) for k in range(batches)]
    rows, within = np.concatenate(drawn), batches * size - batches
    share = 1 - sum(((b - b.mean()) ** 2).sum() for b in drawn) / ((rows - rows.mean()) ** 2).sum()
    ratio = share / (batches - 1) / ((1 - share) / within)
    rare = norm.isf(f.sf(ratio, batches - 1, within))
    assert ordered(Regression(), *drawn).sigmas == pytest.approx(rare, rel=0.1)


def test_sorted_targets_have_no_limit():
    assert ordered(Classification(2), [0] * 20, [1] * 20).sigmas == math.inf


KINDS = {
    "classes": (TEN, lambda r, n: r.integers(10, size=n)),
    "a hundred classes": (Classification(100), lambda r, n: r.integers(100, size=n)),
    "answers": (Binary(), lambda r, n: (r.random(n) < 0.5) * 1.0),
    "a rare answer": (Binary(), lambda r, n: (r.random(n) < 0.03) * 1.0),
    "numbers": (Regression(), lambda r, n: r.normal(size=(n, 3))),
    "heavy tails": (Regression(), lambda r, n: r.standard_t(2, size=(n, 1))),
    "rare numbers": (Regression(), lambda r, n: (r.random((n, 2)) < 0.02) * 1.0),
}


@pytest.mark.parametrize(("task", "draw"), KINDS.values(), ids=KINDS)
@pytest.mark.parametrize(("examples", "size"), [(24, 12), (60, 3), (200, 4), (300, 100)])
def test_random_order_is_told_from_order(task, draw, examples, size):
    rng = np.random.default_rng(0)
    for _ in range(60):
        targets = draw(rng, examples)
        found = ordered(task, *np.split(targets, range(size, examples, size)))
        assert found is None or found.alike or found.share < 0.2 or found.sigmas < 5


@pytest.mark.parametrize(
    ("task", "zeros", "told"),
    [
        (Classification(2), 9, False),
        (Classification(2), 10, True),
        (TEN, 9, False),
        (TEN, 10, True),
        (Binary(), 9, False),
    ],
)
def test_examples_enough_to_tell(task, zeros, told):
    found = ordered(task, [0] * zeros, [1] * zeros)
    assert (found is not None) == told


@pytest.mark.parametrize(
    ("task", "batches"),
    [
        (TEN, [[1, 2, 3]]),  # one batch
        (TEN, [[1], [2], [3]]),  # batches of one
        (TEN, [[0] * 90, [1] * 2 + [0] * 88]),  # a rare class of two
        (TEN, [[[0, 1], [1, 0]]] * 20),  # two labels each
        (TEN, [[-100, 1]] * 20),
        (TEN, [np.eye(10)[np.zeros((4, 5, 5), dtype=int)]] * 20),
        (Regression(), [RNG.normal(size=(10, 100))] * 4),  # maps
        (Regression(), [np.full((10, 1), np.nan)] * 4),
        (LanguageModel(50), [RNG.integers(50, size=(10, 4))] * 4),
        (ChanceLoss(1.0), [RNG.normal(size=10)] * 4),
    ],
)
def test_no_order_to_tell(task, batches):
    assert ordered(task, *batches) is None


@pytest.mark.parametrize(
    ("task", "targets"),
    [(TEN, [3] * 10), (Regression(), [[0.1]] * 10), (Binary(), [1] * 10), (Regression(), [[1e300]] * 9)],
)
def test_all_alike(task, targets):
    assert ordered(task, targets, targets).alike


def test_a_gap_at_first_spoils_nothing():
    gap, *rest = np.full((10, 1), np.nan), RNG.normal(size=(30, 1)), 5 + RNG.normal(size=(30, 1))
    assert ordered(Regression(), gap, *rest).share == pytest.approx(ordered(Regression(), *rest).share)


def test_numbers_that_overflow_tell_nothing():
    found = ordered(Regression(), [[1e200], [-1e200]] * 20, [[1e200], [2e200]] * 20)
    assert found is None or not found.share >= 0.2

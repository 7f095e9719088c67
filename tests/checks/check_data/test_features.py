"""Streaming statistics of arrays held against NumPy on all of them at once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from babysit.arrays import channel_axis
from babysit.checks.check_data.statistics.extremes import Extremes
from babysit.checks.check_data.statistics.features import Features
from babysit.checks.check_data.statistics.moments import Moments

RNG = np.random.default_rng(0)


def features(*batches):
    found = Features()
    for batch in batches:
        found.add(batch)
    return found


def summary(*batches):
    return features(*batches).summary("inputs", "train")


def cut(x, *places):
    return [part for part in np.split(x, places) if len(part)]


# An independent source


def columns(x, axis=None):
    """(N, positions, features) of what is a feature here."""
    if x.ndim <= 2:
        return x.reshape(len(x), 1, -1)
    return x.reshape(len(x), -1, 1) if axis is None else np.moveaxis(x, axis, -1).reshape(len(x), -1, x.shape[axis])


def expected(x, axis=None):
    wide = np.asarray(x, dtype=float)
    grid = columns(wide, axis)
    means, spreads = grid.mean(axis=(0, 1)), grid.std(axis=(0, 1))
    nonzero = wide[wide != 0]
    return {
        "examples": len(x),
        "features": grid.shape[2],
        "shape": x.shape[1:],
        "size": np.sqrt(np.mean(wide**2)),
        "nonzero_size": np.sqrt(np.mean(nonzero**2)) if len(nonzero) else 0.0,
        "mean": wide.mean(),
        "spread": np.sqrt(np.mean(spreads**2)),
        "offset": np.sqrt(np.mean(means**2)),
        "least": wide.min(),
        "most": wide.max(),
        "widest_spread": spreads.max(),
        "constant": np.mean(wide.min(axis=0) == wide.max(axis=0)) if len(x) > 1 else 0.0,
    }


LEAVES = {
    "table": (RNG.normal(3, 2, size=(60, 4)), None),
    "one number each": (RNG.normal(size=60), None),
    "one column": (RNG.normal(size=(60, 1)), None),
    "gray images": (RNG.normal(size=(60, 5, 5)), None),
    "channels first": (RNG.normal(size=(60, 3, 5, 6)) * np.array([1, 2, 3])[:, None, None], 1),
    "channels last": (RNG.normal(size=(60, 6, 5, 3)) * [1, 2, 3], 3),
    "sequences": (RNG.normal([0, 5, 0, 0], size=(60, 9, 4)), 2),
    "bytes": (RNG.integers(256, size=(60, 3, 4, 4), dtype=np.uint8), 1),
    "whole numbers": (RNG.integers(-5, 6, size=(60, 4)), None),
    "truth values": (RNG.random((60, 4)) < 0.3, None),
    "half precision": (RNG.normal(size=(60, 4)).astype(np.float16), None),
    "mostly zeros": (RNG.normal(size=(60, 30)) * (RNG.random((60, 30)) < 0.1), None),
    "with constants": (np.c_[RNG.normal(size=(60, 2)), np.full((60, 2), 0.1)], None),
    "far from zero": (1e7 + RNG.normal(size=(60, 4)), None),
}


@pytest.mark.parametrize(("x", "axis"), LEAVES.values(), ids=LEAVES)
@pytest.mark.parametrize("places", [(), (7, 7, 30), range(1, 60)], ids=["one batch", "some batches", "batches of one"])
def test_held_against_numpy(x, axis, places):
    found = summary(*cut(x, *places))
    for name, value in expected(x, axis).items():
        assert getattr(found, name) == pytest.approx(value, rel=1e-9, abs=1e-12), name
    assert found.are_channels == (axis is not None)


numbers = st.floats(-1e6, 1e6, width=32)
tables = arrays(np.float64, st.tuples(st.integers(1, 12), st.integers(1, 4)), elements=numbers)


@given(tables, st.lists(st.integers(0, 12), max_size=4).map(sorted))
def test_however_batches_are_cut(x, places):
    whole, parts = features(x), features(*cut(x, *places))
    for name, value in expected(x).items():
        assert getattr(parts.summary("", ""), name) == pytest.approx(value, rel=1e-6, abs=1e-2), name
    assert np.allclose(parts.each.scatter, whole.each.scatter, rtol=1e-6, atol=1e-2)
    assert (parts.extremes.at_ends == whole.extremes.at_ends).all()


@given(tables)
def test_extremes_are_counted(x):
    found = Extremes()
    for row in x:
        found.add(row[None])
    assert (found.least == x.min(axis=0)).all()
    assert (found.most == x.max(axis=0)).all()
    at_either = (x == x.min(axis=0)) | (x == x.max(axis=0))
    assert (found.at_ends == at_either.sum(axis=0)).all()


@pytest.mark.parametrize("positions", [1, 7])
def test_squares_about_any_center(positions):
    x = RNG.normal(5, 2, size=(50, positions, 3))
    found = Moments(x[0, 0])
    distances = x - x[0, 0]
    found.add(distances.mean(axis=1), (distances**2).mean(axis=1))
    center = np.array([4.0, 5.0, 60.0])
    squares = ((x - center) ** 2).mean(axis=1)
    mean, scatter = found.squares(center)
    assert np.allclose(mean, squares.mean(axis=0))
    assert np.allclose(scatter, squares.var(axis=0, ddof=1))
    assert np.allclose(found.scatter, x.mean(axis=1).var(axis=0, ddof=1))


def test_all_features_taken_for_one():
    x = RNG.normal(size=(80, 3, 4, 5)) * np.array([1, 2, 3])[:, None, None] + np.array([0, 5, -3])[:, None, None]
    found = features(*cut(x, 30, 50)).overall
    means = x.mean(axis=(1, 2, 3))
    assert found.means == pytest.approx([x.mean()])
    assert found.spreads == pytest.approx([x.std()])
    assert found.scatter == pytest.approx([means.var(ddof=1)])


def test_a_constant_has_no_spread():
    """0.1 squared less the square of its mean is 1e-18, and that is no spread."""
    assert features(np.full((100, 2), 0.1)).each.spreads.tolist() == [0.0, 0.0]


# The middle one, and what stands out


def test_the_middle_one_of_two_is_the_lower():
    found = summary(RNG.normal(size=(100, 2)) * [1000, 0.001])
    assert found.usual_spread == pytest.approx(0.001, rel=0.2)
    assert (found.widest, found.widest_range > 1000) == (0, True)


def test_the_narrowest_column_is_no_rare_one():
    x = RNG.normal(size=(400, 4)) * [1, 1, 0.01, 1]
    rare = np.zeros((400, 1))
    rare[7] = 1e-6
    found = summary(np.hstack([rare, x]))
    assert found.narrowest == 3
    assert found.narrowest_range == pytest.approx(np.ptp(x[:, 2]))


@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((5,), None),
        ((), None),
        ((8, 8), None),
        ((3, 8, 8), 0),
        ((8, 8, 3), 2),
        ((9, 4), 1),
        ((4, 9), 0),
        ((1, 8, 8), 0),
    ],
)
def test_channel_axis(shape, axis):
    assert channel_axis(shape) == axis


# Batches


def batch_variation(x, sizes):
    """The variance of the batches' means over what sampling gives them, averaged over features, by its definition."""
    batches = np.split(x, np.cumsum(sizes)[:-1])
    weighted = sum(len(b) * (b.mean(axis=0) - x.mean(axis=0)) ** 2 for b in batches) / (len(batches) - 1)
    return np.mean(weighted / x.var(axis=0, ddof=1))


@pytest.mark.parametrize("sizes", [(20, 20, 20), (32, 20, 8), (30, 30)])
def test_batch_variation(sizes):
    x = RNG.normal(size=(60, 4))
    found = features(*np.split(x, np.cumsum(sizes)[:-1]))
    assert found.each.batch_variation() == pytest.approx(batch_variation(x, sizes))
    all_of_them = batch_variation(x.mean(axis=1, keepdims=True), sizes)
    smaller = min(found.each.batch_variation(), all_of_them)
    assert found.summary("", "").batch_variation == pytest.approx(smaller)


def test_random_batches_vary_as_they_must():
    found = [summary(*cut(RNG.normal(size=(400, 20)), *range(20, 400, 20))).batch_variation for _ in range(20)]
    assert 0.3 < np.mean(found) <= 1.1


def test_batches_of_the_same_examples_tell_nothing_of_how_batches_vary():
    x = RNG.normal(size=(50, 3))
    found = Features()
    found.add(x)
    for _ in range(5):
        found.add(x, again=True)
    assert found.summary("", "").batches == 1
    assert np.isnan(found.summary("", "").batch_variation)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_examples_that_are_each_centered_tell_nothing_either(dtype):
    x = RNG.normal(size=(100, 8, 8))
    x = ((x - x.mean(axis=(1, 2), keepdims=True)) / x.std(axis=(1, 2), keepdims=True)).astype(dtype)
    assert not features(x).each.telling.any()
    assert np.isnan(summary(*cut(x, 50)).batch_variation)


# What is not there, does not fit or overflows


def test_examples_that_are_not_finite_are_left_out():
    x = RNG.normal(size=(60, 4))
    spoiled = x.copy()
    spoiled[[3, 40], [0, 2]] = np.nan, np.inf
    found, without = summary(*cut(spoiled, 20)), np.delete(x, [3, 40], axis=0)
    assert (found.examples, found.not_finite) == (60, 2)
    assert found.mean == pytest.approx(without.mean())
    assert found.least == without.min()


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_nothing_finite(wrong):
    found = features(np.full((5, 3), wrong), np.full((5, 3), wrong))
    assert found.finite == 0
    assert (found.summary("", "").not_finite, found.summary("", "").features) == (10, 0)
    assert np.isnan(found.summary("", "").size)


@pytest.mark.parametrize("x", [np.zeros((5, 0)), np.zeros((5, 3, 0))])
def test_no_numbers(x):
    assert summary(x, x).examples == 2 * len(x)


@pytest.mark.parametrize("size", [1e200, 1.7e308, 1e90])
def test_squares_that_overflow(size):
    found = summary(np.array([[size, -size], [-size, size], [size, size]]))
    assert found.size == (pytest.approx(size) if size < 1e150 else np.inf)
    assert (found.least, found.most) == (-size, size)
    assert np.isnan(found.spread) == (size > 1e150)


def test_one_example():
    found = summary(np.array([[1.0, 2.0]]))
    assert (found.examples, found.spread, found.constant) == (1, 0.0, 0.0)


def test_sequences_of_different_lengths():
    """Ten steps at first: their number was taken for that of channels, until another one came."""
    lengths = [10, 10, 15, 20, 40, 15]
    batches = [RNG.normal(size=(8, length, 12)) * np.arange(1, 13) for length in lengths]
    found = summary(*batches)
    assert (found.examples, found.shape, found.features, found.widest) == (48, (), 12, 11)
    steps = np.concatenate([batch.reshape(-1, 12) for batch in batches])
    assert found.size == pytest.approx(np.sqrt(np.mean(steps**2)))
    assert (found.least, found.most) == (steps.min(), steps.max())
    later = np.stack([batch.mean(axis=1) for batch in batches[2:]]).reshape(-1, 12)
    assert features(*batches).each.means == pytest.approx(later.mean(axis=0))


def test_images_of_different_sizes():
    batches = [RNG.normal(size=(4, 3, size, size + 1)) for size in (6, 7, 8)]
    found = features(*batches)
    assert found.finite == 12
    assert found.each.means == pytest.approx(np.stack([b.mean(axis=(2, 3)) for b in batches]).mean(axis=(0, 1)))


def test_rows_of_different_lengths():
    """Only those as long as the first are followed, and all of them measured."""
    batches = [RNG.normal(size=(6, length)) for length in (5, 7, 5)]
    found = features(*batches)
    assert found.finite == 12
    assert found.summary("", "").features == 5
    assert found.summary("", "").most == max(batch.max() for batch in batches)


def held(thing):
    """Numbers that are held, arrays and lists element by element."""
    if isinstance(thing, np.ndarray):
        return thing.size
    if isinstance(thing, list | tuple):
        return sum(map(held, thing))
    return held(list(vars(thing).values())) if hasattr(thing, "__dict__") else 1


def test_memory_does_not_grow_with_the_examples():
    x = RNG.normal(size=(20, 3, 5, 6))
    assert held(features(*[x + k for k in range(30)])) == held(features(x, x + 1))

import copy
import math
import pickle
import random
from dataclasses import asdict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays as drawn_arrays

from babysit import Record
from babysit.measuring.unit_statistics import LayerSummary, UnitStatistics

torch.set_num_threads(1)

KINDS = ("relu", "leaky-relu", "tanh", "sigmoid", "elu", "linear")
SMALL, LARGE = (1 - math.sqrt(0.95)) / 2, (1 + math.sqrt(0.95)) / 2  # a sigmoid's outputs with 4 s (1 - s) = 0.05


def summary(kind, *batches, axis=1):
    statistics = UnitStatistics("layer", kind)
    for values in batches:
        statistics.update(Record("layer", kind, "forward", axis, None, values))
    return statistics.summary()


def slope_of(values, inputs):
    statistics = UnitStatistics("layer", "prelu")
    for v, x in zip(values, inputs, strict=True):
        statistics.update(Record("layer", "prelu", "forward", 1, x, v))
    return statistics.summary().slope


def maxout(*pieces):
    statistics = UnitStatistics("layer", "maxout")
    for p in pieces:
        statistics.update(Record("layer", "maxout", "forward", 1, p, p.max(axis=-1)))
    return statistics.summary()


def oracle(kind, h):
    """The same numbers the long way, unit by unit, from all examples at once: h (M, units)."""
    units = h.T.tolist()
    flat = [v for unit in units for v in unit]
    means = [math.fsum(unit) / len(unit) for unit in units]
    power = math.fsum(v * v for v in flat)
    is_dead = [kind == "relu" and all(v == 0 for v in unit) for unit in units]
    still = [max(unit) - min(unit) <= 1e-3 * max(map(abs, unit)) for unit in units]
    slopes = {"tanh": lambda v: 1 - v * v, "sigmoid": lambda v: 4 * v * (1 - v), "relu": lambda v: float(v > 0)}
    through = [slopes.get(kind, lambda v: 1.0)(v) for v in flat]
    signed = [m for m in means if m != 0]
    return LayerSummary(
        name="layer",
        kind=kind,
        units=len(units),
        examples=len(h),
        mean=math.fsum(flat) / len(flat),
        spread=float(np.std(h)),
        dead=sum(is_dead),
        saturated=sum(t < 0.05 for t in through) / len(flat) if kind in ("tanh", "sigmoid") else 0.0,
        gradient_through=math.fsum(through) / len(flat),
        constant=sum(s and not d for s, d in zip(still, is_dead, strict=True)) if len(h) > 1 else 0,
        idle_pieces=0,
        slope=math.nan,
        common=math.fsum(m * m for m in means) * len(h) / power if power else 0.0,
        one_sign=bool(signed) and max(sum(m > 0 for m in signed), sum(m < 0 for m in signed)) >= 0.99 * len(signed),
    )


def numbers(found):
    return {name: value for name, value in asdict(found).items() if name not in ("name", "kind")}


def like(expected, error=0.0):
    """The same numbers, to rounding in double precision, or to an error of a sum over its terms' size."""
    rel, abs_ = (1e-9, 1e-7) if error == 0 else (error, 10 * error)  # outputs here are smaller than 10
    return pytest.approx(numbers(expected), rel=rel, abs=abs_, nan_ok=True)


def outputs(kind, rng, shape):
    z = rng.normal(size=shape) * 2
    return {"relu": np.maximum(0, z), "tanh": np.tanh(z), "sigmoid": 1 / (1 + np.exp(-z))}.get(kind, z)


sixty_fourths = st.sampled_from([0, 0, 0, 1, -1, 64, -128]) | st.integers(-128, 128)
sixty_fourths = sixty_fourths.map(lambda i: i / 64)  # so that sums are exact in any order
tables = drawn_arrays(np.float64, st.tuples(st.integers(1, 8), st.integers(1, 4)), elements=sixty_fourths)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_the_oracle_agrees(kind, seed):
    rng = np.random.default_rng(seed)
    h = outputs(kind, rng, (rng.integers(2, 60), rng.integers(1, 30)))
    assert numbers(summary(kind, h)) == like(oracle(kind, h))


@settings(deadline=None)
@given(tables, st.sampled_from(KINDS))
def test_the_oracle_agrees_on_anything(h, kind):
    assert numbers(summary(kind, h)) == like(oracle(kind, h))


@settings(deadline=None)
@given(tables, st.sampled_from(KINDS), st.data())
def test_neither_batches_nor_their_order_matter(h, kind, data):
    order = data.draw(st.permutations(range(len(h))))
    cut = data.draw(st.integers(1, len(h)))
    parts = [part for part in (h[order][:cut], h[order][cut:]) if len(part)]
    assert numbers(summary(kind, *parts)) == like(summary(kind, h))


@settings(deadline=None)
@given(st.sampled_from(KINDS), st.integers(0, 2**32 - 1), st.sampled_from([np.float32, np.float64]))
def test_numpy_equals_torch(kind, seed, dtype):
    h = outputs(kind, np.random.default_rng(seed), (9, 4)).astype(dtype)
    error = h.size * 2**-24 if dtype == np.float32 else 0.0  # torch adds up in single precision what is given in it
    assert numbers(summary(kind, torch.from_numpy(h))) == like(summary(kind, h), error)


def recorded(kind, *records):
    statistics = UnitStatistics("layer", kind)
    for values, inputs in records:
        statistics.update(Record("layer", kind, "forward", 1, inputs, values))
    return statistics


def with_inputs(kind, z):
    """What a layer of this kind gives for z, and what its record holds as inputs."""
    if kind == "maxout":
        return z.max(axis=-1), z
    values = {"relu": np.maximum(0, z), "prelu": np.where(z < 0, z / 4, z), "tanh": np.clip(z, -1, 1)}.get(kind, z)
    return values, z


@settings(deadline=None)
@given(
    drawn_arrays(np.float64, (7, 3, 2), elements=sixty_fourths),
    st.sampled_from([*KINDS, "prelu", "maxout"]),
    st.integers(1, 6),
    st.sampled_from([np.float32, np.float64]),
    st.sampled_from([np.asarray, torch.from_numpy]),
)
def test_statistics_of_two_halves_merged_are_those_of_the_whole(z, kind, cut, dtype, convert):
    values, inputs = (a.astype(dtype) for a in with_inputs(kind, z if kind == "maxout" else z[..., 0]))
    first, second = ((convert(values[part]), convert(inputs[part])) for part in (slice(cut), slice(cut, None)))
    whole, merged, other = (recorded(kind, *records) for records in ([first, second], [first], [second]))
    before = {name: copy.deepcopy(value) for name, value in other.seen.items()}
    merged.add(other.seen)
    assert numbers(merged.summary()) == like(whole.summary())
    assert merged.dead().tolist() == whole.dead().tolist()
    assert merged.seen.keys() == whole.seen.keys()
    for name, value in other.seen.items():
        assert bool((value == before[name]).all() if name != "examples" else value == before[name])


@pytest.mark.parametrize("convert", [np.asarray, torch.from_numpy])
def test_what_was_seen_can_be_added_to_nothing_and_goes_through_pickle(convert):
    h = convert(outputs("tanh", np.random.default_rng(2), (6, 3)))
    seen = pickle.loads(pickle.dumps(recorded("tanh", (h, None)).seen))
    merged = UnitStatistics("layer", "tanh")
    merged.add(seen)
    assert numbers(merged.summary()) == like(summary("tanh", h))
    merged.add(seen)
    assert numbers(merged.summary()) == like(summary("tanh", h, h))


def test_units_that_another_saw_alive_are_not_dead():
    here, there = recorded("relu", (np.array([[0.0, 0.0, 1.0]]), None)), np.array([[0.0, 2.0, 0.0]])
    here.add(recorded("relu", (there, None)).seen)
    assert here.dead().tolist() == [True, False, False]
    assert (here.summary().dead, here.summary().examples) == (1, 2)


@pytest.mark.parametrize("convert", [np.asarray, torch.from_numpy])
@pytest.mark.parametrize("kind", KINDS)
def test_positions_are_further_examples(kind, convert):
    h = outputs(kind, np.random.default_rng(4), (5, 3, 4, 2))  # (N, units, height, width)
    flat = h.transpose(0, 2, 3, 1).reshape(-1, 3)
    assert numbers(summary(kind, convert(h))) == like(oracle(kind, flat))
    assert numbers(summary(kind, convert(h.transpose(0, 2, 3, 1).copy()), axis=3)) == like(oracle(kind, flat))
    assert numbers(summary(kind, convert(h.transpose(0, 2, 3, 1).copy()), axis=-1)) == like(oracle(kind, flat))


def test_half_precision_is_summed_in_double():
    h = np.full((5000, 2), 300, np.float16)  # its squares overflow, its sums too
    assert numbers(summary("relu", h)) == like(oracle("relu", h.astype(float)))


def test_what_a_layer_is_fed_needs_no_record():
    statistics = UnitStatistics("layer", "linear")
    statistics.update_values(np.array([[1.0, 3.0], [2.0, -1.0]]), 1)
    assert numbers(statistics.summary()) == like(oracle("linear", np.array([[1.0, 3.0], [2.0, -1.0]])))


def test_closed_forms():
    n = 4001
    z = (np.arange(n) + 0.5) / n  # uniform on (0, 1)
    for h, mean, spread, common in ((z, 1 / 2, 12**-0.5, 3 / 4), (2 * z - 1, 0.0, 3**-0.5, 0.0)):
        got = summary("linear", h[:, None])
        assert (got.mean, got.spread, got.common) == pytest.approx((mean, spread, common), abs=1e-6)
    uniform = summary("sigmoid", z[:, None])
    assert uniform.gradient_through == pytest.approx(2 / 3, abs=1e-6)  # the integral of 4 s (1 - s)
    assert uniform.saturated == pytest.approx(2 * SMALL, abs=1 / n)


@pytest.mark.parametrize(
    ("unit", "dead"),
    [
        ([0.0, 0.0, 0.0], 1),
        ([0.0, -0.0, 0.0], 1),
        ([0.0, 5e-324, 0.0], 0),
        ([0.0, 0.0, -5e-324], 0),
        ([0.0, math.nan, 0.0], 0),
        ([0.0, math.inf, 0.0], 0),
    ],
)
@pytest.mark.parametrize("convert", [np.asarray, torch.from_numpy])
def test_dead(unit, dead, convert):
    h = convert(np.array([unit, [1.0, 2.0, 3.0]]).T.copy())
    assert summary("relu", h).dead == dead
    assert summary("relu", h[:1], h[1:2], h[2:]).dead == dead


def test_which_units_are_dead_is_known_batch_by_batch():
    statistics = UnitStatistics("layer", "relu")
    statistics.update_values(np.array([[0.0, 0.0, 1.0]]), 1)
    assert statistics.dead().tolist() == [True, True, False]
    statistics.update_values(np.array([[0.0, 2.0, 0.0]]), 1)
    assert statistics.dead().tolist() == [True, False, False]


def test_only_rectifiers_die():
    assert [summary(kind, np.zeros((4, 3))).dead for kind in KINDS] == [3, 0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("kind", "value", "saturated"),
    [
        ("tanh", math.sqrt(0.95) + 1e-9, 1.0),
        ("tanh", math.sqrt(0.95) - 1e-9, 0.0),
        ("tanh", -math.sqrt(0.95) - 1e-9, 1.0),
        ("tanh", -math.sqrt(0.95) + 1e-9, 0.0),
        ("sigmoid", LARGE + 1e-9, 1.0),
        ("sigmoid", LARGE - 1e-9, 0.0),
        ("sigmoid", SMALL - 1e-9, 1.0),
        ("sigmoid", SMALL + 1e-9, 0.0),
        ("tanh", 1.0, 1.0),
        ("relu", 1e9, 0.0),
        ("softmax", 1.0, 0.0),
    ],
)
def test_saturated(kind, value, saturated):
    assert summary(kind, np.full((2, 3), value)).saturated == saturated
    assert summary(kind, np.full((2, 3), value), np.full((2, 3), 0.5)).saturated == saturated / 2


@pytest.mark.parametrize(
    ("unit", "constant"),
    [
        ([1000.0, 999.0], 1),  # at a thousandth of its size
        ([1000.0, 999.0 + 1e-9], 1),
        ([1000.0, 999.0 - 1e-9], 0),
        ([-1000.0, -999.0], 1),
        ([5.0, 5.0], 1),
        ([0.0, 0.0], 0),  # that is dead
        ([0.0, 1e-300], 0),
        ([5.0], 0),  # one example says nothing
        ([math.nan, math.nan], 0),
        ([math.inf, 0.0], 0),
    ],
)
def test_constant(unit, constant):
    assert summary("relu", np.array(unit)[:, None]).constant == constant


@pytest.mark.parametrize("kind", ["tanh", "leaky-relu", "sigmoid", "maxout"])
def test_units_that_are_always_zero_are_constant_where_they_can_not_be_dead(kind):
    statistics = UnitStatistics("layer", kind)
    statistics.update_values(np.zeros((4, 3)), 1)
    assert (statistics.summary().dead, statistics.summary().constant) == (0, 3)


def test_idle_pieces():
    never, now_and_then = np.array([[3.0, 1.0], [2.0, 1.0], [9.0, 1.0]]), np.array([[3.0, 1.0], [2.0, 1.0], [0.0, 1.0]])
    pieces = np.stack([never, now_and_then, now_and_then[:, ::-1]], axis=1)  # (N, units, pieces)
    assert maxout(pieces).idle_pieces == 1
    assert maxout(pieces[:2], pieces[2:]).idle_pieces == 1
    assert maxout(pieces[:2]).idle_pieces == 3
    assert maxout(np.concatenate([pieces, pieces - 99], axis=-1)).idle_pieces == 3  # a unit with two is one unit


@pytest.mark.parametrize("slope", [0.25, 1.0, -0.5, 0.0])
@pytest.mark.parametrize("convert", [np.asarray, torch.from_numpy])
def test_the_slope_of_a_prelu_is_measured(slope, convert):
    x = np.random.default_rng(0).normal(size=(12, 3))
    h = np.where(x < 0, slope * x, x)
    assert slope_of([convert(h)], [convert(x)]) == pytest.approx(slope, abs=1e-12)
    assert slope_of([convert(h[:5]), convert(h[5:])], [convert(x[:5]), convert(x[5:])]) == pytest.approx(
        slope, abs=1e-12
    )


def test_no_slope_where_nothing_is_negative():
    assert math.isnan(slope_of([np.ones((3, 2))], [np.ones((3, 2))]))


@pytest.mark.parametrize("kind", ["prelu", "maxout"])
def test_a_record_without_inputs_measures_what_it_can(kind):
    got = summary(kind, np.array([[1.0, 2.0], [3.0, 4.0]]))
    assert (got.mean, got.idle_pieces) == (2.5, 0)
    assert math.isnan(got.slope)


@pytest.mark.parametrize(
    ("positive", "negative", "zero", "expected"),
    [(99, 1, 0, True), (98, 2, 0, False), (1, 99, 0, True), (50, 50, 0, False), (99, 1, 50, True), (0, 0, 3, False)],
)
def test_one_sign(positive, negative, zero, expected):
    means = np.array([1.0] * positive + [-1.0] * negative + [0.0] * zero)
    assert summary("tanh", np.stack([means, means / 2])).one_sign is expected


@pytest.mark.parametrize("mean", [0.0, 0.1, 1.0, 10.0])
def test_common(mean):
    h = np.stack([np.full(4, mean - 0.5), np.full(4, mean + 0.5)])
    assert summary("tanh", h).common == pytest.approx(mean**2 / (mean**2 + 0.25))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("convert", [np.asarray, torch.from_numpy])
def test_what_is_not_finite_is_not_small(bad, convert):
    h = outputs("relu", np.random.default_rng(0), (20, 3))
    h[3, 1] = bad
    with np.errstate(invalid="ignore"):
        got = summary("relu", convert(h))
    assert not math.isfinite(got.mean)
    assert not math.isfinite(got.spread)
    assert not math.isfinite(got.common)
    assert (got.dead, got.constant) == (0, 0)


def test_the_gradient_through_a_nan_is_nan():
    assert math.isnan(summary("tanh", np.array([[0.5], [math.nan]])).gradient_through)


def test_shuffled_units_change_nothing():
    h = outputs("tanh", np.random.default_rng(1), (30, 7))
    order = random.Random(0).sample(range(7), 7)
    assert numbers(summary("tanh", h[:, order])) == like(summary("tanh", h))

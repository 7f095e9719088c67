"""The fast reductions equal the plain ones to rounding, whatever the shape, the memory and the numbers."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from babysit import Record
from babysit.measuring.reductions import torch as fast
from babysit.measuring.reductions.plain import BOUNDED, reduced
from babysit.measuring.reductions.torch import BLOCK, SIGMOID_LIMIT, TANH_LIMIT
from babysit.measuring.unit_statistics import UnitStatistics

torch.set_num_threads(1)

KINDS = ("relu", "tanh", "sigmoid", "leaky-relu", "prelu", "elu", "maxout", "gelu", "softmax", "linear", "norm", "lstm")
DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
SPECIAL = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-6, 100.0, TANH_LIMIT, -TANH_LIMIT, 0.5 + SIGMOID_LIMIT, 0.5 - SIGMOID_LIMIT)
NOT_FINITE = (math.nan, math.inf, -math.inf)


def rounding(array):
    """What a sum of as many terms as one block has may be wrong by, in any order, over the sum of its terms' sizes."""
    terms = min(array.numel(), max(BLOCK, array.numel() // array.shape[0]))
    return 2 * (terms + 4) * (2**-53 if array.dtype == torch.float64 else 2**-24)


def alike(actual, expected, error=0.0):
    """Equal to within the error where both are finite, and neither finite where one isn't."""
    actual, expected = actual.double(), expected.double()
    finite = torch.isfinite(expected)
    assert actual.shape == expected.shape
    assert torch.equal(torch.isfinite(actual), finite)
    assert bool(((actual - expected).abs() <= error)[finite].all()), (actual, expected, error)


def near_the_limit(wide, kind):
    """How many values lie so near the limit of saturation that single precision can't tell their side."""
    distance = wide.abs() - TANH_LIMIT if kind == "tanh" else (wide - 0.5).abs() - SIGMOID_LIMIT
    return torch.count_nonzero(distance.abs() < 2**-23)


def assert_equal_to_the_plain_ones(array, axis, kind, error=None):
    wide = array.detach().double()
    expected, found = reduced(wide, axis, kind), fast.reduced(array, axis, kind)
    error = rounding(array) if error is None else error
    size = reduced(wide.abs(), axis, "linear").sum
    assert found.examples == expected.examples == array.numel() // array.shape[axis]
    assert found.sum.dtype == found.squares.dtype == torch.float64
    alike(found.sum, expected.sum, error * size)
    alike(found.squares, expected.squares, error * expected.squares)
    for name in ("max", "min"):
        torch.testing.assert_close(
            getattr(found, name).double(), getattr(expected, name), rtol=0, atol=0, equal_nan=True
        )
    for name in ("saturated", "through"):
        assert (getattr(found, name) is None) is (getattr(expected, name) is None)
    if kind in BOUNDED:
        alike(found.saturated, expected.saturated, near_the_limit(wide, kind))
        alike(found.through, expected.through, 4 * error * (array.numel() + size.sum() + expected.squares))
    elif kind == "relu":
        assert found.through == expected.through


def laid_out(values, layout):
    """The same values, their memory another."""
    if layout == "transposed":
        return values.movedim(0, -1).contiguous().movedim(-1, 0)
    if layout == "reversed":
        return values.permute(*range(values.ndim)[::-1]).contiguous().permute(*range(values.ndim)[::-1])
    if layout == "strided":
        wide = torch.full((*values.shape[:-1], 2 * values.shape[-1]), math.nan, dtype=values.dtype)
        wide[..., ::2] = values
        return wide[..., ::2]
    if layout == "expanded":
        return values[:1].expand_as(values)
    if layout == "channels_last" and values.ndim in (4, 5):
        return values.contiguous(memory_format=torch.channels_last if values.ndim == 4 else torch.channels_last_3d)
    return values


@st.composite
def arrays_with_an_axis(draw, special=SPECIAL):
    shape = draw(st.lists(st.integers(1, 6), min_size=1, max_size=5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = rng.normal(size=shape) * draw(st.sampled_from([1e-3, 0.5, 3.0]))
    values = np.where(rng.random(shape) < draw(st.sampled_from([0.0, 0.1, 0.9])), rng.choice(special, shape), values)
    layout = draw(st.sampled_from(["plain", "transposed", "reversed", "strided", "expanded", "channels_last"]))
    array = laid_out(torch.from_numpy(values).to(draw(st.sampled_from(DTYPES))), layout)
    return array, draw(st.integers(-array.ndim, array.ndim - 1))


@given(arrays_with_an_axis(), st.sampled_from(KINDS))
def test_any_array(drawn, kind):
    assert_equal_to_the_plain_ones(*drawn, kind)


@given(arrays_with_an_axis(special=(*SPECIAL, *NOT_FINITE)), st.sampled_from(KINDS))
def test_any_array_that_is_not_finite(drawn, kind):
    assert_equal_to_the_plain_ones(*drawn, kind)


@given(arrays_with_an_axis(), st.sampled_from(KINDS), st.integers(1, 20))
def test_any_size_of_a_block(drawn, kind, block):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fast, "BLOCK", block)
        assert_equal_to_the_plain_ones(*drawn, kind)


def outputs(kind, shape, dtype=torch.float32):
    z = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2
    return {"relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid}.get(kind, torch.clone)(z).to(dtype)


LARGE = [
    ((2 * BLOCK + 1, 1), 1),  # many examples of one unit
    ((3, BLOCK + 1), 1),  # one example fills more than a block
    ((BLOCK // 4 + 1, 5), 1),
    ((5, BLOCK // 4 + 1), 0),
    ((3, 2, 150, 151), 1),
    ((3, 150, 151, 2), 3),
    ((BLOCK + 1,), 0),
]


@pytest.mark.parametrize("kind", ["relu", "tanh", "sigmoid", "linear"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "axis"), LARGE)
def test_arrays_of_several_blocks(shape, axis, dtype, kind):
    assert_equal_to_the_plain_ones(outputs(kind, shape, dtype), axis, kind)


@pytest.mark.parametrize("kind", ["relu", "tanh", "sigmoid", "linear"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "axis"), LARGE)
def test_whole_numbers_add_up_exactly(shape, axis, dtype, kind):
    array = outputs("linear", shape).clamp(-3, 3).round().to(dtype)
    assert_equal_to_the_plain_ones(array, axis, kind, error=0.0)


@pytest.mark.parametrize("value", [0.1, 1 / 3, -0.7, 0.9999, 1.0, 100.01])
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_same_value_a_hundred_thousand_times(value, dtype):
    """Where every rounding goes the same way."""
    for kind in ("linear", "tanh", "sigmoid", "relu"):
        assert_equal_to_the_plain_ones(torch.full((100_000, 2), value, dtype=dtype), 1, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_one_example_of_one_unit(kind):
    for value in (0.0, 0.3, *NOT_FINITE):
        assert_equal_to_the_plain_ones(torch.tensor([[value]]), 1, kind)
        assert_equal_to_the_plain_ones(torch.tensor([value]), 0, kind)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("size", [1e-30, 1e-22, 1e-12, 1e12, 1e19, 1e30])
def test_values_of_any_size(size, dtype):
    """A signal that vanishes, or explodes, on its way through the layers has a size still."""
    assert_equal_to_the_plain_ones((size * outputs("linear", (50, 4), torch.float64)).to(dtype), 1, "linear")
    assert fast.reduced(torch.full((50, 4), size, dtype=dtype), 1, "linear").squares > 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", BOUNDED)
def test_saturated_at_the_limit(kind, dtype):
    rounded = 1e-7 if dtype == torch.float32 else 1e-15
    limits = [(TANH_LIMIT, 1), (-TANH_LIMIT, -1)]
    if kind == "sigmoid":
        limits = [(0.5 + SIGMOID_LIMIT, 1), (0.5 - SIGMOID_LIMIT, -1)]
    for limit, outwards in limits:
        for step, saturated in ((outwards * rounded, 1), (-outwards * rounded, 0)):
            assert fast.reduced(torch.tensor([[limit + step]], dtype=dtype), 1, kind).saturated == saturated


@given(st.integers(0, 2**32 - 1), st.sampled_from(BOUNDED), st.sampled_from([1, 10, 100, 1000]))
def test_the_gradient_through_is_a_share(seed, kind, n):
    rng = np.random.default_rng(seed)
    z = torch.from_numpy(rng.normal(size=(n, 3)) * 3 + rng.uniform(-30, 30)).float()
    found = UnitStatistics("layer", kind)
    found.update(Record("layer", kind, "forward", 1, None, torch.tanh(z) if kind == "tanh" else torch.sigmoid(z)))
    assert 0 <= found.summary().gradient_through <= 1 + rounding(z)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_array_is_left_as_it_is(dtype):
    array = outputs("linear", (4, 3, 5), dtype).requires_grad_()
    before = array.detach().clone()
    for kind in KINDS:
        found = fast.reduced(array, 1, kind)
        kept = (found.sum, found.squares, found.max, found.min, found.saturated, found.through)
        assert not any(value.requires_grad for value in kept if value is not None)
    assert torch.equal(array, before)
    assert array.grad is None


def test_what_was_found_does_not_follow_the_array():
    """A rectifier that works in place overwrites what was looked at."""
    array = outputs("linear", (1, 4))
    found, expected = fast.reduced(array, 1, "linear"), reduced(array.clone(), 1, "linear")
    array.fill_(math.nan)
    for name in ("sum", "squares", "max", "min"):
        alike(getattr(found, name), getattr(expected, name), 1e-6)


def test_this_is_what_tensors_are_reduced_by(monkeypatch):
    calls = []
    monkeypatch.setattr(fast, "reduced", lambda *given: calls.append(given) or reduced(*given))
    layer = UnitStatistics("layer", "relu")
    layer.update_values(np.ones((2, 3)), 1)
    assert calls == []
    layer = UnitStatistics("layer", "relu")
    layer.update_values(torch.ones(2, 3), 1)
    ((_, axis, kind),) = calls
    assert (axis, kind) == (1, "relu")

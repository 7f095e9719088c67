import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from babysit import arrays
from babysit.measuring.sampling import ENTRIES, Sample

torch.set_num_threads(1)

LIBRARIES = {"numpy": np.asarray, "torch": lambda values: torch.from_numpy(np.array(values))}


@pytest.fixture(params=LIBRARIES)
def make(request):
    """Makes an array of each library from a NumPy array."""
    return LIBRARIES[request.param]


def drawn(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def test_what_is_within_the_bound_is_taken_whole_and_as_it_is(make):
    held = {"W": make(drawn((30, 20))), "b": make(drawn(20)), "scale": make(drawn(()))}
    sample = Sample(held, most=621)
    found = sample.of(held)
    assert arrays.differing(found, held) == []
    held["W"] *= 0
    assert arrays.norm(found["W"]) > 1  # a copy


def test_one_entry_more_than_the_bound_is_sampled(make):
    held = {"W": make(drawn((30, 20))), "b": make(drawn(20))}
    found = Sample(held, most=619).of(held)
    assert tuple(found["b"].shape) == (20,)
    assert tuple(found["W"].shape) == (200,)  # every third one, 2 having a divisor in common with the 20 of a row
    assert arrays.same(found["W"], make(math.sqrt(3) * drawn((30, 20)).reshape(-1)[::3]))


@given(
    st.lists(st.lists(st.integers(1, 60), min_size=0, max_size=3), min_size=1, max_size=6),
    st.integers(1, 5000),
)
def test_never_more_entries_than_the_bound_but_for_one_of_each_parameter(shapes, most):
    held = {str(k): np.zeros(shape) for k, shape in enumerate(shapes)}
    found = Sample(held, most).of(held)
    assert sum(x.size for x in found.values()) <= most + len(held)
    assert all(x.size for x in found.values())


@given(st.integers(2, 80), st.integers(2, 80), st.integers(1, 400), st.integers(0, 9))
def test_norms_and_products_are_those_of_the_whole_within_the_error_stated(rows, columns, most, seed):
    one, other = drawn((rows, columns), seed), drawn((rows, columns), seed + 100)
    sample = Sample({"W": one}, most)
    a, b = sample.of({"W": one})["W"], sample.of({"W": other})["W"]
    spread = 1 / math.sqrt(2 * a.size)
    assert arrays.norm(a) == pytest.approx(arrays.norm(one), rel=1e-12 if a.size == one.size else 6 * spread)
    off = abs(arrays.dot(a, b) - arrays.dot(one, other)) / (arrays.norm(one) * arrays.norm(other))
    assert off <= (1e-12 if a.size == one.size else 9 * spread)


def test_every_row_and_every_column_is_covered_alike():
    rows, columns = np.indices((1000, 64))
    sample = Sample({"W": rows}, most=6400)
    per_row = np.bincount(np.rint(sample.of({"W": rows})["W"] / math.sqrt(11)).astype(int), minlength=1000)
    per_column = np.bincount(np.rint(sample.of({"W": columns})["W"] / math.sqrt(11)).astype(int), minlength=64)
    assert {*per_row} == {5, 6}
    assert {*per_column} == {90, 91}


def test_a_gradient_of_few_rows_is_seen():
    gradient = np.zeros((5000, 64))
    gradient[[3, 700, 4999]] = drawn((3, 64))
    found = Sample({"E": gradient}, most=5000 * 8).of({"E": gradient})["E"]
    assert np.count_nonzero(found) in range(15, 24)
    assert arrays.norm(found) == pytest.approx(arrays.norm(gradient), rel=0.5)


@pytest.mark.parametrize("make_view", [lambda x: x.T, lambda x: x[:, ::2], lambda x: x[::-1]])
def test_the_places_do_not_depend_on_how_an_array_lies_in_memory(monkeypatch, make_view):
    monkeypatch.setattr(arrays, "PIECE", 40)
    view = make_view(drawn((33, 26)))
    sample = Sample({"W": view}, most=100)
    assert arrays.same(sample.of({"W": view})["W"], sample.of({"W": view.copy(order="C")})["W"])


def test_a_torch_view_too(monkeypatch):
    monkeypatch.setattr(arrays, "PIECE", 40)
    view = torch.from_numpy(drawn((33, 26))).T
    sample = Sample({"W": view}, most=100)
    assert arrays.same(sample.of({"W": view})["W"], sample.of({"W": view.contiguous()})["W"])


@pytest.mark.parametrize("most", [7, 100, 10**6])
@pytest.mark.parametrize("shape", [(40, 6), (40,), (8, 5, 6)])
def test_a_sparse_gradient_is_sampled_as_the_dense_one(shape, most):
    dense = torch.zeros(shape, dtype=torch.float64)
    dense[3], dense[7] = 2.0, torch.from_numpy(drawn(shape[1:]))
    sample = Sample({"E": dense}, most)
    assert arrays.same(sample.of({"E": dense.to_sparse(1)})["E"], sample.of({"E": dense})["E"])


def test_what_is_not_given_is_not_sampled():
    assert Sample({"a": np.ones(3), "b": np.ones(3)}).of({"b": np.ones(3)}).keys() == {"b"}
    assert Sample({}).of({}) == {}


def test_the_bound_is_small_beside_a_network():
    assert ENTRIES * 4 == 16 * 2**20

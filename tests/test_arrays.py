import math
import random
from collections import namedtuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays as drawn_arrays

from babysit import arrays

torch.set_num_threads(1)

Pair = namedtuple("Pair", ["first", "second"])
LIBRARIES = {"numpy": np.asarray, "torch": lambda values: torch.from_numpy(np.array(values))}


@pytest.fixture(params=LIBRARIES)
def make(request):
    """Makes an array of each library from a NumPy array."""
    return LIBRARIES[request.param]


def plain(tree):
    return arrays.tree_map(lambda leaf: leaf if isinstance(leaf, int | str) else leaf.tolist(), tree)


def batch(make, start=0, n=4):
    ids = np.arange(start, start + n)
    return {"ids": make(ids), "pair": (make(ids[:, None] / 2), [make(ids % 2 == 0), 7])}, make(-ids)


def test_leaves_have_dotted_names_in_order():
    tree = {"a": [1, (2, {"b": 3})], 0: 4, "empty": []}
    assert list(arrays.leaves(tree)) == [("a.0", 1), ("a.1.0", 2), ("a.1.1.b", 3), ("0", 4)]
    assert list(arrays.leaves(5)) == [("", 5)]


def test_tree_map_keeps_the_shape_and_takes_fellows():
    tree = {"a": [1, (2, 3)], "b": 4}
    assert arrays.tree_map(lambda x: -x, tree) == {"a": [-1, (-2, -3)], "b": -4}
    assert arrays.tree_map(lambda x, y: x + y, tree, {"b": 40, "a": [10, (20, 30)]}) == {"a": [11, (22, 33)], "b": 44}


def test_trees_that_differ_in_length_are_not_mapped_together():
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        arrays.tree_map(lambda x, y: x, [1, 2], [1])


def test_a_named_tuple_stays_one():
    copied = arrays.duplicate(Pair(np.ones(2), np.zeros(2)))
    assert isinstance(copied, Pair)
    assert copied.second.tolist() == [0.0, 0.0]


def test_count(make):
    assert arrays.count(batch(make, n=5)) == 5
    assert arrays.count((make(np.ones((3, 2))), make(np.float64(1.0)), "text")) == 3  # a 0-d array has no examples


@pytest.mark.parametrize(
    ("shapes", "found"),
    [
        ([(3, 2), (4,)], "3 and 4"),
        ([(4,), (3,), (4,), (0, 9)], "0 and 3 and 4"),
        ([()], "no array with an axis of examples"),
        ([], "no array with an axis of examples"),
    ],
)
def test_count_needs_one_length(make, shapes, found):
    with pytest.raises(ValueError, match=r"^every array of a batch") as caught:
        arrays.count([make(np.ones(shape)) for shape in shapes] + ["text", 3])
    expected = f"every array of a batch needs the same number of examples along axis 0; found {found}"
    assert str(caught.value) == expected


@pytest.mark.parametrize("indices", [[2, 0], [3, 3, 1], range(4)[::-1], []])
def test_take_gives_copies_of_the_examples(make, indices):
    whole = batch(make)
    some = arrays.take(whole, indices)
    rows = list(indices)
    assert plain(some) == (
        {"ids": rows, "pair": ([[i / 2] for i in rows], [[i % 2 == 0 for i in rows], 7])},
        [-i for i in rows],
    )
    assert arrays.differing(batch(make), whole) == []
    if rows:
        some[1][0] = 99
        assert arrays.differing(batch(make), whole) == []


def test_concatenate_is_the_inverse_of_cutting(make):
    parts = [batch(make, 0, 3), batch(make, 3, 1), batch(make, 4, 2)]
    assert arrays.differing(arrays.concatenate(parts), batch(make, 0, 6)) == []
    assert arrays.concatenate([make(np.float64(2.0))] * 2) == 2.0


def test_zeros_like_keeps_shape_dtype_and_what_is_no_array(make):
    zeroed = arrays.zeros_like(batch(make))
    assert plain(zeroed) == ({"ids": [0] * 4, "pair": ([[0.0]] * 4, [[False] * 4, 7])}, [0] * 4)
    assert arrays.zeros_like(make(np.ones(2, np.float32))).dtype == make(np.ones(2, np.float32)).dtype


def test_duplicate_shares_no_memory(make):
    whole = {
        "x": make(np.arange(6.0)),
        "view": make(np.arange(6.0))[::2],
        "scalar": make(np.float32(3)),
        "plain": [[1]],
    }
    copied = arrays.duplicate(whole)
    assert arrays.differing(copied, whole) == []
    for name in ("x", "view"):
        whole[name][0] = -1
        assert copied[name][0] == 0
    whole["plain"][0].append(2)
    assert copied["plain"] == [[1]]


def test_duplicate_copies_mutable_plain_values():
    generator = random.Random(0)
    copied = arrays.duplicate({"generator": generator})["generator"]
    assert copied.random() == random.Random(0).random()
    assert generator.random() == random.Random(0).random()


def test_a_tensor_that_needs_gradients_is_duplicated_and_measured_silently():
    weight = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
    copied = arrays.duplicate(weight)
    with torch.no_grad():
        weight[0] = 0.0
    assert arrays.norm(copied) == 5.0
    assert arrays.dot(copied, weight) == 16.0
    assert arrays.extremes(weight) == (0.0, 4.0)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        pytest.param(np.array([1.0, 2.0]), np.array([1.0, 2.0 + 2**-51]), id="one ulp"),
        pytest.param(np.array([0.0]), np.array([-0.0]), id="the sign of zero"),
        pytest.param(np.array([1.0, math.nan]), np.array([math.nan, 1.0]), id="another place of NaN"),
        pytest.param(np.array([math.inf]), np.array([-math.inf]), id="the sign of infinity"),
        pytest.param(np.ones(2, np.float32), np.ones(2, np.float64), id="dtype"),
        pytest.param(np.ones(2, np.int64), np.ones(2), id="integers"),
        pytest.param(np.ones(2), np.ones((2, 1)), id="one more axis"),
        pytest.param(np.ones(1), np.ones(2), id="length"),
        pytest.param(np.zeros(0), np.zeros(1), id="empty"),
        pytest.param(np.array([True]), np.array([False]), id="booleans"),
    ],
)
def test_arrays_that_differ(make, a, b):
    assert arrays.differing({"w": make(a)}, {"w": make(b)}) == ["w"]
    assert arrays.differing({"w": make(b)}, {"w": make(a)}) == ["w"]
    assert arrays.differing({"w": make(a), "v": make(b)}, {"w": make(a.copy()), "v": make(b.copy())}) == []


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.complex64])
def test_nan_is_equal_to_itself(make, dtype):
    values = np.array([math.nan, -math.inf, 1.0], dtype)
    assert arrays.same(make(values), make(values.copy()))


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (1, 2),
        (0.0, -0.0),
        (math.nan, 1.0),
        ("sgd", "adam"),
        (None, 0),
        (np.ones(2), 1.0),
        (1.0, np.ones(2)),
        (np.ones(2), None),
    ],
)
def test_plain_values_that_differ(a, b):
    assert not arrays.same(a, b)


@pytest.mark.parametrize("value", [1, 0.0, -0.0, math.nan, math.inf, "sgd", None, True, 2**200])
def test_plain_values_that_are_the_same(value):
    assert arrays.same(value, value)


def test_arrays_of_two_libraries_differ():
    assert not arrays.same(np.ones(2), torch.ones(2))
    assert not arrays.same(torch.ones(2), np.ones(2))


def test_missing_leaves_are_named_left_first():
    left, right = {"a": np.ones(1), "b": [1, 2], "c": 3}, {"d": 1, "b": [1], "a": np.ones(1)}
    assert arrays.differing(left, right) == ["b.1", "c", "d"]


@settings(deadline=None)
@given(drawn_arrays(np.float64, (3, 2), elements=st.floats(width=64)))
def test_what_is_saved_and_written_back_is_the_same(values):
    assert (
        arrays.differing((values, torch.from_numpy(values)), arrays.duplicate((values, torch.from_numpy(values)))) == []
    )


def test_size_in_bytes(make):
    tree = {"x": make(np.ones((3, 5), np.float32)), "y": (make(np.ones(3, bool)), "text"), "e": make(np.ones((0, 9)))}
    assert arrays.size_in_bytes(tree) == 3 * 5 * 4 + 3


def test_floating_names_the_floating_arrays(make):
    tree = {"w": make(np.ones(2)), "step": make(np.ones(2, int)), "half": [make(np.ones(1, np.float16)), 0.5], "m": "x"}
    assert list(arrays.floating(tree)) == ["w", "half.0"]
    assert not arrays.is_floating(make(np.ones(2, np.complex64)))


@pytest.mark.parametrize(
    ("values", "finite"),
    [
        ([1.0, 2.0], True),
        ([1.0, math.nan], False),
        ([-math.inf, 1.0], False),
        ([1, 2], True),
        ([True], True),
        ([], True),
    ],
)
def test_finite(make, values, finite):
    assert arrays.all_finite(make(np.array(values))) is finite
    assert arrays.tree_finite([{"x": make(np.ones(2))}, (make(np.array(values)), math.nan)]) is finite


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([[1.0, 2.0], [1.0, 2.0]], False),
        ([[1.0, 2.0], [1.0, 2.5]], True),
        ([[1.0, 2.0]], False),
        ([3, 3, 4], True),
        ([True, False], True),
        (5.0, False),
    ],
)
def test_varies_is_about_examples(make, values, expected):
    assert arrays.varies({"x": make(np.array(values)), "same": make(np.ones((2, 3))), "n": 3}) is expected


def test_total_and_extremes(make):
    assert arrays.total(make(np.arange(300) % 3 == 0)) == 100
    assert arrays.extremes(make(np.array([[3, -2], [0, 1]]))) == (-2.0, 3.0)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int32])
def test_norm_and_dot(make, dtype):
    rng = np.random.default_rng(0)
    x, y = (rng.integers(-50, 50, size=(7, 30)).astype(dtype) for _ in range(2))
    assert arrays.norm(make(x)) == pytest.approx(np.linalg.norm(x.astype(float)), rel=1e-14)
    assert arrays.dot(make(x), make(y)) == pytest.approx(np.vdot(x.astype(float), y.astype(float)), rel=1e-14)


def test_a_norm_in_half_precision_does_not_overflow(make):
    assert arrays.norm(make(np.full(100, 6e4, np.float16))) == pytest.approx(10 * float(np.float16(6e4)))
    assert math.isnan(arrays.norm(make(np.array([1.0, math.nan]))))


# Arrays that are larger than what is worked on at once


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr(arrays, "PIECE", 10)


SHAPES = [(), (0,), (3,), (10,), (11,), (1, 31), (7, 4), (2, 30), (3, 11, 2), (5, 0), (1, 1, 25)]


@pytest.mark.parametrize("shape", SHAPES)
def test_pieces_are_all_of_it_in_order(make, shape, small_pieces):
    x = make(np.arange(math.prod(shape), dtype=np.float64).reshape(shape))
    found = list(arrays.pieces(x))
    assert all(math.prod(piece.shape) <= 10 for (piece,) in found)
    assert [v for (piece,) in found for v in np.asarray(piece).reshape(-1)] == [*range(math.prod(shape))]


@pytest.mark.parametrize("shape", SHAPES)
def test_sums_over_pieces(make, shape, small_pieces):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=shape), rng.normal(size=shape)
    assert arrays.norm(make(x)) == pytest.approx(float(np.sqrt((x**2).sum())), rel=1e-14)
    assert arrays.dot(make(x), make(y)) == pytest.approx(float((x * y).sum()), rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("shape", SHAPES)
def test_plus(make, shape, small_pieces):
    rng = np.random.default_rng(0)
    x, way = rng.normal(size=shape).astype(np.float32), rng.integers(-1, 2, size=shape).astype(np.int8)
    start = make(x)
    there = arrays.plus(start, 0.1, make(way))
    assert arrays.same(there, make(np.asarray(x + np.float32(0.1) * way.astype(np.float32), dtype=np.float32)))
    assert arrays.same(start, make(x))


@pytest.mark.parametrize("place", range(25))
def test_one_bit_anywhere_tells(make, place, small_pieces):
    x = np.arange(25, dtype=np.float32).reshape(5, 5)
    y = x.copy()
    y.view(np.uint32).reshape(-1)[place] ^= 1
    assert not arrays.same(make(x), make(y))
    assert arrays.digest(make(x)) != arrays.digest(make(y))
    assert arrays.all_finite(make(y))
    y.reshape(-1)[place] = np.inf
    assert not arrays.all_finite(make(y))


def test_digests_do_not_depend_on_pieces_or_on_how_an_array_lies(make, monkeypatch):
    x = np.random.default_rng(0).normal(size=(6, 7))
    whole = arrays.digest(make(x))
    monkeypatch.setattr(arrays, "PIECE", 10)
    assert arrays.digest(make(x)) == whole == arrays.digest(make(x.T.copy()).T)


TREE = {"a": [np.array([1.0, np.nan]), "text"], "n": 3, "f": math.nan, "objects": np.array([None, "x"], dtype=object)}


def test_fingerprints_of_the_same_are_the_same():
    assert arrays.differing(arrays.fingerprints(TREE), arrays.fingerprints(arrays.duplicate(TREE))) == []


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("a.0", lambda tree: tree["a"].__setitem__(0, np.array([1.0, 0.0]))),
        ("a.0", lambda tree: tree["a"].__setitem__(0, np.array([1.0, np.nan], dtype=np.float32))),
        ("a.0", lambda tree: tree["a"].__setitem__(0, np.array([[1.0, np.nan]]))),
        ("a.0", lambda tree: tree["a"].__setitem__(0, None)),
        ("a.1", lambda tree: tree["a"].__setitem__(1, "other")),
        ("n", lambda tree: tree.update(n=4)),
        ("n", lambda tree: tree.pop("n")),
        ("objects", lambda tree: tree["objects"].__setitem__(0, 1)),
        ("more", lambda tree: tree.update(more=1)),
    ],
)
def test_fingerprints_tell_what_changed(name, change):
    before, tree = arrays.fingerprints(TREE), arrays.duplicate(TREE)
    change(tree)
    assert arrays.differing(before, arrays.fingerprints(tree)) == [name]
    assert "array" not in repr([before[name] for name in ("a.0", "a.1", "n")])


def test_zeros_of_either_sign_have_other_fingerprints(make):
    assert arrays.fingerprints(make(np.zeros(2))) != arrays.fingerprints(make(-np.zeros(2)))


def test_sparse_tensors():
    dense, other = torch.zeros(40, 3), torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    dense[3], dense[30] = 2.0, other[0]
    sparse = dense.to_sparse(1)
    parts = torch.stack([dense[3] / 2, dense[30], dense[3] / 2])
    twice = torch.sparse_coo_tensor(torch.tensor([[3, 30, 3]]), parts, dense.shape, check_invariants=True)
    assert arrays.norm(sparse) == pytest.approx(arrays.norm(dense))
    assert arrays.norm(twice) == pytest.approx(arrays.norm(dense))  # not coalesced: row 3 is there in two parts
    for pair in ((sparse, other), (other, sparse), (sparse, dense), (sparse, sparse)):
        assert arrays.dot(*pair) == pytest.approx(arrays.dot(*(x.to_dense() for x in pair)))
    assert arrays.digest(sparse) == arrays.digest(sparse.clone()) != arrays.digest(2 * sparse)
    assert arrays.all_finite(sparse)
    assert not arrays.all_finite(sparse * math.inf)

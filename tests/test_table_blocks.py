"""Large arrays a block at a time: the same numbers whatever a block's size, and no whole array in double precision."""

import gc
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from babysit import Binary, Classification, LanguageModel, Regression
from babysit.checks.check_data.leaks import columns, lost_ties
from babysit.checks.check_data.split_reader import Split
from babysit.checks.check_data.statistics.labels import BatchOrder, LabelCounts
from babysit.checks.lr_scan.permutation_test import with_exchanged_targets
from babysit.checks.overfit.irreducible_loss import floor
from babysit.measuring.treatments import standardizer
from babysit.tasks import blocks

RNG = np.random.default_rng(0)
TEN = Classification(10)


def cut(*arrays, size=64):
    return [tuple(array[i : i + size] for array in arrays) for i in range(0, len(arrays[0]), size)]


@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=4),
    width=st.integers(1, 6),
    elements=st.integers(1, 60),
    chosen=st.none() | st.lists(st.integers(0, 5), unique=True),
)
def test_blocks_of_columns_make_up_the_table(sizes, width, elements, chosen):
    parts = [np.arange(n * width, dtype=kind).reshape(n, width) for n, kind in zip(sizes, "fdiB", strict=False)]
    numbers = None if chosen is None else np.array([c for c in chosen if c < width], dtype=int)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "ELEMENTS", elements)
        found = list(blocks.column_blocks(parts, numbers))
    wanted = np.arange(width) if numbers is None else numbers
    assert [c for held, _ in found for c in held] == list(wanted)
    whole = np.concatenate(parts).astype(float)
    for held, block in found:
        assert block.dtype == np.float64
        assert block.shape[1] == 1 or block.size <= elements
        np.testing.assert_array_equal(block, whole[:, held])


@given(st.lists(st.integers(0, 9), min_size=1, max_size=4), st.integers(1, 60))
def test_blocks_of_rows_make_up_the_arrays(sizes, elements):
    parts = [RNG.normal(size=(n, 2, 3)).astype(np.float32) for n in sizes]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "ELEMENTS", elements)
        found = list(blocks.row_blocks(parts))
        pieces = [piece for part in parts for piece in blocks.row_pieces(part)]
    whole = np.concatenate(parts)
    assert all(len(block) == 1 or block.size <= elements for block in found)
    np.testing.assert_array_equal(np.concatenate(found) if found else whole, whole)
    np.testing.assert_array_equal(np.concatenate(pieces) if pieces else whole, whole)
    assert {block.dtype.name for block in found} <= {"float64"}
    assert all(np.shares_memory(piece, part) for part in parts if len(part) for piece in blocks.row_pieces(part))


def labels_of(task, targets):
    found = LabelCounts(task), BatchOrder(task)
    for (batch,) in cut(targets):
        for counts in found:
            counts.add(batch)
    return repr(found[0].summary("train")), round(found[1].summary().share, 12)


def digests(x):
    split = Split("train", TEN)
    for inputs, targets in cut(x, LABELS):
        split._add((inputs, targets))
    return split.digests


X = RNG.normal(size=(300, 12)).astype(np.float32)
LABELS = np.sort(np.arange(300) % 10)
NUMBERS = 3 * X[:, 4:5] + 1
MARKED = np.concatenate([X, np.eye(10, dtype=np.float32)[LABELS], LABELS[:, None]], axis=1)
SHARES = np.eye(10, dtype=np.float16)[LABELS]
TIED = X + LABELS[:, None] * np.linspace(0, 1, 12, dtype=np.float32)
IMAGES = 5 + RNG.normal(size=(300, 3, 4, 5))

SAME = {
    "columns of classes": lambda: columns(cut(MARKED, LABELS), TEN),
    "columns of numbers": lambda: columns(cut(X, NUMBERS), Regression()),
    "ties to classes": lambda: lost_ties(cut(TIED, LABELS), cut(X, LABELS), TEN)[0].sigmas,
    "ties to numbers": lambda: lost_ties(cut(X, NUMBERS), cut(X, NUMBERS[::-1]), Regression())[0].sigmas,
    "standardized table": lambda: standardizer(cut(X + 7, LABELS))((X, LABELS))[0],
    "standardized images": lambda: standardizer(cut(IMAGES, LABELS))((IMAGES, LABELS))[0],
    "counts of labels": lambda: labels_of(TEN, LABELS),
    "counts of shares": lambda: labels_of(TEN, SHARES),
    "counts of answers": lambda: labels_of(Binary(), np.where(LABELS > 4, 0.9, 0.2)),
    "order of numbers": lambda: labels_of(Regression(), np.sort(NUMBERS, axis=0))[1],
    "digests": lambda: digests(X),
}


@pytest.mark.parametrize("made", SAME.values(), ids=SAME)
@pytest.mark.parametrize("elements", [1, 1000])
def test_the_size_of_a_block_changes_nothing(made, elements, monkeypatch):
    expected = made()
    monkeypatch.setattr(blocks, "ELEMENTS", elements)
    found = made()
    if isinstance(expected, np.ndarray):
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected)
    else:
        assert found == expected


# Memory


def peak(function):
    """Bytes that a call holds at most, beside what there was; NumPy's arrays are counted."""
    function()  # what is imported and cached
    gc.collect()
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


ROWS, WIDTH, BLOCK = 20_000, 100, 2**16
TABLE = 3 + 100 * RNG.standard_normal((ROWS, WIDTH), dtype=np.float32)  # 8 MB, 16 in double precision
CLASSES = RNG.integers(1000, size=ROWS)
ONE_HOT = np.eye(100, dtype=np.float32)[CLASSES % 100]
AMOUNTS = TABLE[:, :1] + RNG.standard_normal((ROWS, 1), dtype=np.float32)
MANY = Classification(1000)
MAPS = RNG.integers(20, size=(64, 256, 256)).astype(np.uint8)  # 4 MB, 34 in double precision

LARGE = {
    "columns of classes": lambda: columns(cut(TABLE, CLASSES), MANY),
    "one column for each class": lambda: columns(cut(ONE_HOT, CLASSES % 100, TABLE), Classification(100)),
    "columns of numbers": lambda: columns(cut(TABLE, AMOUNTS), Regression()),
    "ties to classes": lambda: lost_ties(cut(TABLE, CLASSES), cut(TABLE, CLASSES[::-1]), MANY),
    "ties to numbers": lambda: lost_ties(cut(TABLE, AMOUNTS), cut(TABLE, AMOUNTS[::-1]), Regression()),
    "scaling": lambda: standardizer(cut(TABLE, CLASSES)),
    "labels of maps": lambda: LabelCounts(Classification(20)).add(MAPS),
    "order of maps": lambda: BatchOrder(Classification(20)).add(MAPS),
    "leaks to maps": lambda: columns([(TABLE[: len(MAPS)], MAPS)], Classification(20)),
    "shares of classes": lambda: LabelCounts(MANY).add(np.broadcast_to(np.float32(1e-3), (ROWS, 1000))),
}


@pytest.mark.parametrize("made", LARGE.values(), ids=LARGE)
def test_no_whole_array_is_held_in_double_precision(made, monkeypatch):
    monkeypatch.setattr(blocks, "ELEMENTS", BLOCK)
    assert peak(made) < 4 * 8 * BLOCK + 6 * 8 * ROWS  # blocks, and numbers of the targets


def test_texts_of_a_large_vocabulary_are_counted_and_read_in_little():
    tokens = RNG.integers(50_257, size=(64, 513))
    batch = tokens[:, :-1], tokens[:, 1:]
    task = LanguageModel(50_257)
    assert peak(lambda: LabelCounts(task).add(batch[1])) < 2**21
    assert peak(lambda: floor(task, batch)) < 2**23
    assert floor(task, batch) == (pytest.approx(0.0, abs=1e-2), pytest.approx(1.0, abs=1e-2))


def test_a_million_classes_cost_no_more_than_their_counts():
    task = Classification(10**6)

    def counted():
        found = LabelCounts(task), BatchOrder(task)
        for (batch,) in cut(np.arange(2048) * 7 % 10**6, size=2):
            for counts in found:
                counts.add(batch)
        return found

    assert peak(counted) < 3.2 * 8 * 10**6  # labels counted twice, and what lies between batches
    labels, order = counted()
    assert sum(labels.summary("train").counts) == 2048
    assert order.summary().batches == 1024


def test_maps_are_told_apart_without_copies_of_them():
    batches = [(np.zeros((8, 1)), MAPS[i : i + 8]) for i in range(0, 64, 8)]
    assert peak(lambda: with_exchanged_targets(batches, 0)) < MAPS.nbytes * 1.5  # those exchanged, and a batch

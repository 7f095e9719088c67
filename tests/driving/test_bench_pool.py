from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
from trainers import TinyTrainer

from babysit import TargetError, arrays
from babysit.driving.bench import POOL_BYTES, POOL_EXAMPLES, Bench
from babysit.driving.updates import CALLS

torch.set_num_threads(1)


def batch_of(n, start=0, width=2):
    ids = np.arange(start, start + n)
    return np.repeat(ids[:, None], width, axis=1).astype(float), ids % 3


def loading(*batches):
    """A trainer whose training split is these batches."""
    return TinyTrainer(batches=lambda trainer, split: iter(batches if split == "train" else ()))


def test_the_pool_holds_the_split_as_the_loader_gives_it():
    bench = Bench(TinyTrainer())
    for split, sizes in (("train", [40] * 6), ("val", [40, 20]), ("test", [])):
        assert [arrays.count(batch) for batch in bench.pool(split)] == sizes
    assert arrays.differing(bench.pool(), list(TinyTrainer().batches())) == []


def test_the_pool_is_drawn_once():
    drawn = []
    trainer = TinyTrainer(batches=lambda trainer, split: drawn.append(split) or TinyTrainer.batches(trainer, split))
    bench = Bench(trainer)
    assert drawn == []
    assert bench.pool() is bench.pool()
    bench.subset(3)
    bench.first_batches(3)
    assert drawn == ["train"]
    bench.pool("val")
    assert drawn == ["train", "val"]


def test_an_endless_loader_is_cut_off():
    drawn = []

    def endless(trainer, split):
        while True:
            drawn.append(split)
            yield batch_of(100, 100 * len(drawn))

    assert POOL_EXAMPLES == 1024
    assert [arrays.count(batch) for batch in Bench(TinyTrainer(batches=endless)).pool()] == [100] * 11
    assert len(drawn) == 11


@pytest.mark.parametrize(("sizes", "kept"), [([1023, 1, 5], 2), ([1024, 5], 1), ([1000, 23, 5, 5], 3), ([5000, 5], 1)])
def test_the_pool_ends_at_its_size(sizes, kept):
    assert len(Bench(loading(*map(batch_of, sizes))).pool()) == kept


def test_large_examples_end_the_pool_by_their_bytes(monkeypatch):
    assert POOL_BYTES == 268435456
    monkeypatch.setattr("babysit.driving.bench.POOL_BYTES", 10 * (100 * 8 + 8) + 1)
    assert len(Bench(loading(*(batch_of(5, width=100) for _ in range(9)))).pool()) == 3


def test_a_loader_may_hand_out_the_same_memory_again():
    buffer = np.zeros((2, 2)), np.zeros(2, int)

    def reusing(trainer, split):
        for i in range(3):
            buffer[0][:], buffer[1][:] = i, i
            yield buffer

    pool = Bench(TinyTrainer(batches=reusing)).pool()
    assert [(x[0, 0], y[0]) for x, y in pool] == [(0, 0), (1, 1), (2, 2)]


def test_batches_of_tensors_are_pooled_as_they_are():
    ((inputs, targets),) = Bench(loading(({"x": torch.ones(3, 2)}, torch.arange(3)))).pool()
    assert inputs["x"].shape == (3, 2)
    assert targets.tolist() == [0, 1, 2]


@pytest.mark.parametrize("batches", [(), (batch_of(0),), (batch_of(0), batch_of(0))])
def test_no_batch_is_nothing_to_train_on(batches):
    with pytest.raises(TargetError) as caught:
        Bench(loading(*batches)).pool()
    assert str(caught.value) == "batches('train') yielded no batch, so there is nothing to train on"


@pytest.mark.parametrize(
    ("batch", "found"),
    [
        ((np.ones((3, 2)), np.ones(4)), "3 and 4"),
        (({"a": np.ones((2, 5)), "b": np.ones((7, 5))}, np.ones(2)), "2 and 7"),
        ((1.0, 2.0), "no array with an axis of examples"),
    ],
)
def test_batches_without_examples_are_named(batch, found):
    text = f"batches('train'): every array of a batch needs the same number of examples along axis 0; found {found}"
    with pytest.raises(TargetError) as caught:
        Bench(loading(batch)).pool()
    assert str(caught.value) == text


def test_no_validation_split_is_legal():
    assert Bench(loading(batch_of(4))).pool("val") == []


def test_the_stream_goes_round():
    bench = Bench(loading(batch_of(2, 0), batch_of(2, 2), batch_of(1, 4)))
    assert [inputs[0, 0] for inputs, _ in islice(bench.stream(), 8)] == [0, 2, 4, 0, 2, 4, 0, 2]


@pytest.mark.parametrize(
    ("examples", "expected"),
    [(1, [30]), (30, [30]), (31, [30, 20]), (50, [30, 20]), (51, [30, 20, 4]), (999, [30, 20, 4])],
)
def test_first_batches_are_whole(examples, expected):
    bench = Bench(loading(batch_of(30), batch_of(20), batch_of(4)))
    assert [arrays.count(batch) for batch in bench.first_batches(examples)] == expected


@pytest.mark.parametrize(
    ("wanted", "ids"), [(1, [0]), (4, [0, 22, 45, 67]), (90, list(range(90))), (500, list(range(90)))]
)
def test_a_subset_is_spread_over_the_pool(wanted, ids):
    inputs, targets = Bench(loading(batch_of(40), batch_of(40, 40), batch_of(10, 80))).subset(wanted)
    assert inputs[:, 0].tolist() == ids
    assert targets.tolist() == [i % 3 for i in ids]


@pytest.mark.parametrize("wanted", [20, 30, 50])
def test_a_subset_of_sorted_labels_has_every_class_alike(wanted):
    inputs, labels = np.ones((1000, 2)), np.arange(1000) // 100
    batches = [(inputs[i : i + 64], labels[i : i + 64]) for i in range(0, 1000, 64)]
    _, targets = Bench(loading(*batches)).subset(wanted)
    assert np.bincount(targets).tolist() == [wanted // 10] * 10


def test_a_subset_leaves_out_batches_padded_to_another_length():
    bench = Bench(loading(batch_of(4, 0, width=3), batch_of(4, 4, width=5), batch_of(4, 8, width=3)))
    inputs, _ = bench.subset(8)
    assert inputs[:, 0].tolist() == [0, 1, 2, 3, 8, 9, 10, 11]


def test_a_subset_is_a_copy():
    bench = Bench(TinyTrainer())
    bench.subset(5)[0][:] = 99
    assert arrays.differing(bench.pool(), list(TinyTrainer().batches())) == []


# Bounds, where batches are small


@pytest.mark.parametrize(
    ("size", "examples", "batches"), [(64, 512, 8), (32, 512, 16), (1, 512, 16), (1, 3, 3), (40, 1, 1)]
)
def test_a_look_takes_a_bounded_number_of_batches(size, examples, batches):
    bench = Bench(loading(*(batch_of(size, k * size) for k in range(40))))
    assert len(bench.first_batches(examples)) == batches


@pytest.mark.parametrize(
    ("size", "wanted", "most", "found"),
    [(64, 256, None, 256), (8, 256, None, 32), (1, 16, None, 4), (1, 20, 20, 20), (1, 20, 8, 8), (8, 5, None, 5)],
)
def test_a_subset_needs_not_much_more_than_a_batch(size, wanted, most, found):
    bench = Bench(loading(*(batch_of(size, k * size) for k in range(40))))
    assert bench.usual_size == size
    inputs, _ = bench.subset(wanted, most)
    assert len(inputs) == found
    assert len({float(row[0]) for row in inputs}) == found


def accumulating(every, **changes):
    """A trainer that updates at each so many calls of its step."""

    def step(trainer, batch):
        trainer.made = getattr(trainer, "made", 0) + 1
        if trainer.made % every:
            return replace(TinyTrainer.evaluate(trainer, batch), updated=False)
        return TinyTrainer.step(trainer, batch)

    return TinyTrainer(step=step, **changes)


@pytest.mark.parametrize("every", [1, 4, 32])
def test_calls_for_an_update_are_counted(every):
    bench = Bench(accumulating(every))
    assert bench.accumulated == every
    before = bench.trainer.steps
    with bench.trained(5) as (trainer, made):
        assert (made, trainer.steps - before) == (5, 5 * every)


def test_a_program_that_never_updates_is_not_waited_for_long():
    bench = Bench(accumulating(10**9))
    assert bench.accumulated == 1
    with bench.trained(5) as (_, made):
        assert made == 0
    assert bench.trainer.steps == 2 * CALLS

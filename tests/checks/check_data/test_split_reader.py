"""One pass over a split: every kind of array, tree and loader."""

import numpy as np
import pytest
import torch
from data_programs import cut, handed

from babysit import Classification
from babysit.checks.check_data.split_reader import Split
from babysit.driving.bench import Bench
from babysit.errors import TargetError

TASK = Classification(3)


def read(batches, name="train", examples=10_000):
    return Split(name, TASK).read(Bench(handed(batches, batches)), examples)


def inputs(count=60, seed=0):
    return np.random.default_rng(seed).normal(size=(count, 4))


LABELS = np.arange(60) % 3


def test_the_arrays_of_a_tree_by_name():
    tree = {"a": inputs(), "b": (inputs()[:, 0], [inputs(seed=1)]), "flag": inputs()[:, 0] > 0, "scale": 3.0}
    found = read([(tree | {"name": "x", "none": None, "zero": np.asarray(2.0)}, LABELS)])
    assert list(found.inputs) == ["inputs.a", "inputs.b.0", "inputs.b.1.0"]
    assert list(found.targets) == ["targets"]
    assert (found.examples, found.whole) == (60, True)


def test_the_whole_input_is_one_array():
    assert list(read(cut(inputs(), LABELS)).inputs) == ["inputs"]


@pytest.mark.parametrize(
    ("dtype", "whole_numbers"),
    [
        (torch.float16, False),
        (torch.bfloat16, False),
        (torch.float32, False),
        (torch.uint8, False),
        (torch.int8, False),
        (torch.int32, True),
        (torch.int64, True),
    ],
)
def test_tensors(dtype, whole_numbers):
    x = torch.tensor(10 * inputs()).abs().to(dtype)
    found = read([(x, torch.tensor(LABELS))])
    assert found.inputs["inputs"].each.means == pytest.approx(x.double().mean(0).numpy())
    assert found.integers == ({"inputs"} if whole_numbers else set())


def test_tensors_that_want_gradients():
    found = read([(torch.ones(5, 2, requires_grad=True), torch.tensor([0, 1, 2, 0, 1]))])
    assert found.inputs["inputs"].finite == 5


def test_objects_and_complex_numbers_are_no_amounts():
    x = inputs().astype(complex)
    assert read([({"words": np.array(["a", "b"] * 30), "waves": x}, LABELS)]).inputs == {}


def test_several_targets_say_not_which_one_is_the_label():
    found = read([(inputs(), {"class": LABELS, "box": inputs()})])
    assert sorted(found.targets) == ["targets.box", "targets.class"]
    assert (found.labels.summary("train"), found.order.summary()) == (None, None)


def test_empty_batches_are_passed_over():
    found = read([(inputs()[:0], LABELS[:0]), (inputs(), LABELS), (inputs()[:0], LABELS[:0])])
    assert (found.examples, found.inputs["inputs"].each.batches) == (60, 1)


@pytest.mark.parametrize(
    ("examples", "seen", "whole"), [(60, 60, True), (59, 60, True), (40, 40, False), (33, 40, False), (1000, 60, True)]
)
def test_whole_batches_up_to_so_many_examples(examples, seen, whole):
    found = read(cut(inputs(), LABELS, 20), examples=examples)
    assert (found.examples, found.whole) == (seen, whole)


def test_no_more_than_a_gibibyte(monkeypatch):
    monkeypatch.setattr("babysit.checks.check_data.split_reader.MOST_BYTES", 20 * 4 * 8)
    found = read(cut(inputs(), LABELS, 20))
    assert (found.examples, found.whole) == (20, False)


def test_endless_empty_batches():
    def batches():
        while True:
            yield inputs()[:0], LABELS[:0]

    assert not read(batches, examples=50).whole


@pytest.mark.parametrize("name", ["train", "val"])
def test_arrays_of_different_lengths(name):
    with pytest.raises(TargetError, match=rf"batches\('{name}'\): every array of a batch needs the same number"):
        read([(inputs(), LABELS[:50])], name)


def test_what_repeats_itself():
    x = inputs()
    assert read(cut(x, LABELS)).distinct == 60
    round_and_round = read([*cut(x, LABELS, 20), *cut(x[::-1], LABELS, 20), *cut(x, LABELS, 30)])
    assert (round_and_round.examples, round_and_round.distinct) == (180, 60)
    assert round_and_round.inputs["inputs"].each.batches == 5  # the second round has the batches of the first
    assert len(round_and_round.digests) == 60


def test_the_same_numbers_in_another_precision_are_the_same():
    a, b = (read([(inputs().astype(dtype), LABELS)]).digests for dtype in (np.float32, np.float64))
    assert a == b


def test_all_arrays_make_the_example():
    x = np.zeros((60, 2))
    assert len(read([((x, LABELS * 1.0), LABELS)]).digests) == 3

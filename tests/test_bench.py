import random
from itertools import islice

import numpy as np
import pytest
import torch
from trainers import TinyTrainer, TracedTrainer

from babysit import TargetError, arrays
from babysit.bench import POOL_BYTES, POOL_EXAMPLES, Bench
from babysit.driven import Driven
from babysit.errors import RestoreError

torch.set_num_threads(1)


def batch_of(n, start=0, width=2):
    ids = np.arange(start, start + n)
    return np.repeat(ids[:, None], width, axis=1).astype(float), ids % 3


def loading(*batches):
    """A trainer whose training split is these batches."""
    return TinyTrainer(batches=lambda trainer, split: iter(batches if split == "train" else ()))


class InPlace(TinyTrainer):
    """Updates the very arrays that it was given back."""

    def step(self, batch):
        output, gradients = self._forward_backward(batch)
        for name, weight in self.weights.items():
            weight -= self.learning_rate * gradients[name]
        return output

    def load(self, state):
        self.weights = state


@pytest.fixture(autouse=True)
def _generators_put_back():
    python, numpy = random.getstate(), np.random.get_state()
    yield
    random.setstate(python)
    np.random.set_state(numpy)


def draws():
    return random.random(), np.random.rand(), np.random.randn()


def standing(bench):
    """All that a check may have moved, and the global generators' next numbers."""
    trainer = bench.trainer
    python, numpy = random.getstate(), np.random.get_state()
    seen = arrays.duplicate(trainer.save()), trainer.learning_rate, trainer.regularization_scale, draws()
    random.setstate(python)
    np.random.set_state(numpy)
    return seen


def spoil(trainer):
    trainer.learning_rate = 7.0
    trainer.regularization_scale = 9.0
    for batch in trainer.batches():
        trainer.step(batch)
    random.seed(99)
    np.random.seed(99)


def test_borrowed_hands_out_the_guarded_trainer_as_it_stands():
    bench = Bench(TinyTrainer())
    with bench.borrowed() as trainer:
        assert trainer is bench.trainer
        assert isinstance(trainer, Driven)
        assert (trainer.learning_rate, trainer.regularization_scale) == (0.1, 1.0)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"learning_rate": 1e-6}, (1e-6, 1.0)),
        ({"scale": 0.0}, (0.1, 0.0)),
        ({"learning_rate": 0.0, "scale": 10.0}, (0.0, 10.0)),
    ],
)
def test_borrowed_with_other_numbers(wanted, found):
    bench = Bench(TinyTrainer())
    with bench.borrowed(**wanted) as trainer:
        assert (trainer.learning_rate, trainer.regularization_scale) == found
    assert (bench.trainer.learning_rate, bench.trainer.regularization_scale) == (0.1, 1.0)


def test_numbers_that_were_not_the_usual_ones_are_put_back_too():
    bench = Bench(TinyTrainer(learning_rate=3.0, regularization_scale=0.5))
    with bench.borrowed(learning_rate=1.0, scale=0.0):
        pass
    assert (bench.trainer.learning_rate, bench.trainer.regularization_scale) == (3.0, 0.5)


@pytest.mark.parametrize(
    "error", [ValueError("in the check"), TargetError("step 3"), KeyboardInterrupt(), SystemExit(1)]
)
def test_everything_is_put_back_after_an_exception(error):
    bench = Bench(TinyTrainer())
    before = standing(bench)
    with pytest.raises(type(error)) as caught, bench.borrowed() as trainer:
        spoil(trainer)
        assert len(arrays.differing(before, standing(bench))) == 7
        raise error
    assert caught.value is error
    assert arrays.differing(before, standing(bench)) == []


@pytest.mark.parametrize("kind", [TinyTrainer, TracedTrainer, InPlace])
def test_everything_is_put_back_time_after_time(kind):
    bench = Bench(kind())
    before = standing(bench)
    for _ in range(3):
        with bench.borrowed() as trainer:
            assert arrays.differing(before, standing(bench)) == []
            spoil(trainer)
        assert arrays.differing(before, standing(bench)) == []


def test_a_trainer_that_saves_no_copies_is_put_back():
    bench = Bench(InPlace(save=lambda trainer: trainer.weights))
    before = standing(bench)
    with bench.borrowed() as trainer:
        spoil(trainer)
    assert arrays.differing(before, standing(bench)) == []


@pytest.mark.parametrize(
    "draw", [lambda b: b.pool(), lambda b: b.subset(5), lambda b: b.first_batches(5), lambda b: next(b.stream())]
)
def test_drawing_batches_leaves_no_trace(draw):
    def shuffling(trainer, split):
        random.random()
        order = np.random.permutation(90)
        trainer.weights["b"] = order[:3].astype(float)
        yield tuple(a[order] for a in batch_of(90))

    bench = Bench(TinyTrainer(batches=shuffling))
    before = standing(bench)
    draw(bench)
    assert arrays.differing(before, standing(bench)) == []


def test_a_loader_that_raises_leaves_no_trace_either():
    def breaking(trainer, split):
        random.random()
        trainer.weights["b"] = trainer.weights["b"] + 1
        raise OSError("disk gone")
        yield

    bench = Bench(TinyTrainer(batches=breaking))
    before = standing(bench)
    with pytest.raises(TargetError, match=r"^batches\('train'\) raised OSError: disk gone \("):
        bench.pool()
    assert arrays.differing(before, standing(bench)) == []


def failing_load(error):
    def load(trainer, state):
        raise error

    return load


def test_a_trainer_that_can_not_be_put_back_says_so():
    bench = Bench(TinyTrainer(load=failing_load(KeyError("W"))))
    with (
        pytest.raises(RestoreError, match=r"^load\(state\) raised KeyError: 'W' \(.*test_bench\.py:\d+ in load\)$"),
        bench.borrowed(),
    ):
        pass


def test_the_generators_are_put_back_even_then():
    bench = Bench(TinyTrainer(load=failing_load(KeyError("W"))))
    python, numpy = random.getstate(), np.random.get_state()[1].tolist()
    with pytest.raises(RestoreError), bench.borrowed():
        draws()
    assert (random.getstate(), np.random.get_state()[1].tolist()) == (python, numpy)


def test_ctrl_c_is_not_hidden_by_a_failing_load():
    bench = Bench(TinyTrainer(load=failing_load(KeyError("W"))))
    with pytest.raises(KeyboardInterrupt), bench.borrowed():
        raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["learning_rate", "regularization_scale"])
def test_a_number_that_can_not_be_put_back_says_so(name):
    class Stubborn(TinyTrainer):
        armed = False

        def __setattr__(self, key, value):
            if key == name and self.armed:
                raise RuntimeError("frozen")
            super().__setattr__(key, value)

    trainer = Stubborn()
    bench = Bench(trainer)
    trainer.armed = True
    with pytest.raises(RestoreError, match=rf"^{name} = \.\.\. raised RuntimeError: frozen \("):
        bench.restore()


def test_a_trainer_that_can_not_save_makes_no_bench():
    def save(trainer):
        raise NotImplementedError

    with pytest.raises(TargetError, match=r"^save\(\) raised NotImplementedError \("):
        Bench(TinyTrainer(save=save))


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
    monkeypatch.setattr("babysit.bench.POOL_BYTES", 10 * (100 * 8 + 8) + 1)
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


def test_a_subset_may_carry_what_is_no_array():
    def named(n, start):
        inputs, targets = batch_of(n, start)
        return {"x": inputs, "files": [f"{i}.png" for i in range(start, start + n)]}, targets

    inputs, targets = Bench(loading(named(4, 0), named(4, 4), named(2, 8))).subset(5)
    assert inputs["x"][:, 0].tolist() == [0, 2, 4, 6, 8]
    assert targets.tolist() == [0, 2, 1, 0, 2]


def test_a_subset_is_a_copy():
    bench = Bench(TinyTrainer())
    bench.subset(5)[0][:] = 99
    assert arrays.differing(bench.pool(), list(TinyTrainer().batches())) == []


def test_nobody_need_listen_to_progress():
    bench = Bench(TinyTrainer())
    bench.advance(1, 2)
    heard = []
    bench.advance = lambda done, total: heard.append((done, total))
    bench.advance(1, 2)
    assert heard == [(1, 2)]

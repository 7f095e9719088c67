import random

import numpy as np
import pytest
from trainers import TinyTrainer, TracedTrainer

from babysit import TargetError, arrays
from babysit.bench import Bench
from babysit.driven import Driven
from babysit.errors import RestoreError


class InPlace(TinyTrainer):
    """Updates its arrays where they lie."""

    def step(self, batch):
        output, gradients = self._forward_backward(batch)
        for name, weight in self.weights.items():
            weight -= self.learning_rate * gradients[name]
        return output


@pytest.fixture(autouse=True)
def _generators_put_back():
    python, numpy = random.getstate(), np.random.get_state()
    yield
    random.setstate(python)
    np.random.set_state(numpy)


def upcoming():
    """What the global generators would give next."""
    python, numpy = random.getstate(), np.random.get_state()
    drawn = random.random(), np.random.rand(), np.random.randn()
    random.setstate(python)
    np.random.set_state(numpy)
    return drawn


def standing(bench):
    """All that a check may have moved."""
    trainer = bench.trainer
    return arrays.duplicate(trainer.save()), trainer.learning_rate, trainer.regularization_scale, upcoming()


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

    def check():
        with bench.borrowed() as trainer:
            spoil(trainer)
            assert len(arrays.differing(before, standing(bench))) == 7
            raise error

    with pytest.raises(type(error)) as caught:
        check()
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


@pytest.mark.parametrize(
    "draw", [lambda b: b.pool(), lambda b: b.subset(5), lambda b: b.first_batches(5), lambda b: next(b.stream())]
)
def test_drawing_batches_leaves_no_trace(draw):
    def shuffling(trainer, split):
        trainer.weights["b"] = trainer.weights["b"] + random.random()
        for inputs, targets in TinyTrainer.batches(trainer, split):
            order = np.random.permutation(len(targets))
            yield inputs[order], targets[order]

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
    before = upcoming()
    random.seed(99)
    np.random.seed(99)
    with pytest.raises(RestoreError):
        bench.restore()
    assert upcoming() == before


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


def test_nobody_need_listen_to_progress():
    bench = Bench(TinyTrainer())
    bench.advance(1, 2)
    heard = []
    bench.advance = lambda done, total: heard.append((done, total))
    bench.advance(1, 2)
    assert heard == [(1, 2)]

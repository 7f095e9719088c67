import random
import weakref

import numpy as np
import pytest
from trainers import TinyTrainer, TracedTrainer

from babysit import Output, TargetError, arrays
from babysit.checks import find_checks
from babysit.driving.bench import Bench
from babysit.driving.guard import Driven
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


# Trained, and shared


class Noisy(TinyTrainer):
    """Each step draws from both global generators; the steps and loads are counted."""

    def __init__(self, **changes):
        self.steps, self.loads = 0, 0
        super().__init__(**changes)

    def step(self, batch):
        self.steps += 1
        output = super().step(batch)
        self.weights["b"] = self.weights["b"] + 0.01 * (random.random() + np.random.rand())
        return output

    def load(self, state):
        self.loads += 1
        super().load(state)


def trained(bench, steps):
    """The weights, where the generators stand, and how many steps were made."""
    with bench.trained(steps) as (trainer, made):
        assert trainer is bench.trainer
        return arrays.duplicate(trainer.save()), upcoming(), made


def test_trained_is_what_so_many_steps_make():
    made, twin = Noisy(), Noisy()
    bench = Bench(made)
    python, numpy = random.getstate(), np.random.get_state()
    stream = Bench(twin).stream()
    random.setstate(python)
    np.random.set_state(numpy)
    for _ in range(9):
        twin.step(next(stream))
    expected = twin.save(), upcoming()
    random.setstate(python)
    np.random.set_state(numpy)
    state, generators, steps = trained(bench, 9)
    assert arrays.differing((state, generators), expected) == []
    assert steps == 9


def test_trained_once_for_all():
    made = Noisy()
    bench = Bench(made)
    first = trained(bench, 7)
    assert made.steps == 7
    for _ in range(2):
        assert arrays.differing(trained(bench, 7), first) == []
    assert made.steps == 7


def test_trained_leaves_everything_as_it_was():
    bench = Bench(Noisy())
    before = standing(bench)
    for steps in (0, 5, 5, 3):
        with bench.trained(steps) as (trainer, _):
            spoil(trainer)
        assert arrays.differing(before, standing(bench)) == []
    with pytest.raises(ValueError, match="in the check"), bench.trained(3):
        raise ValueError("in the check")
    assert arrays.differing(before, standing(bench)) == []


def test_what_is_done_to_the_trained_one_does_not_stay():
    bench = Bench(InPlace())
    first = trained(bench, 4)
    for _ in range(2):
        with bench.trained(4) as (trainer, _):
            spoil(trainer)
            trainer.load({name: w * 0 for name, w in trainer.save().items()})
    assert arrays.differing(trained(bench, 4), first) == []


def test_no_steps_is_the_trainer_as_it_was():
    made = Noisy()
    bench = Bench(made)
    before = arrays.duplicate(made.save()), upcoming(), 0
    assert arrays.differing(trained(bench, 0), before) == []
    assert made.steps == 0


def test_no_steps_in_between_do_not_cost_the_training():
    made = Noisy()
    bench = Bench(made)
    first = trained(bench, 6)
    trained(bench, 0)
    assert arrays.differing(trained(bench, 6), first) == []
    assert made.steps == 6


def test_another_number_of_steps_is_another_training():
    made = Noisy()
    bench = Bench(made)
    few = trained(bench, 3)
    many = trained(bench, 6)
    assert (few[2], many[2], made.steps) == (3, 6, 9)
    assert "W" in str(arrays.differing(few, many))
    assert arrays.differing(trained(bench, 3), few) == []
    assert made.steps == 12  # the latest alone is kept


def breaking_down(loss, at=4):
    def step(trainer, batch):
        trainer.made = getattr(trainer, "made", 0) + 1
        output = TinyTrainer.step(trainer, batch)
        return Output(loss) if trainer.made == at else output

    return step


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), -float("inf")])
def test_training_ends_with_a_loss_that_is_not_finite(loss):
    made = TinyTrainer(step=breaking_down(loss))
    bench = Bench(made)
    first = trained(bench, 50)
    assert (first[2], made.made) == (4, 4)
    assert arrays.differing(trained(bench, 50), first) == []
    assert made.made == 4


def test_training_that_fails_leaves_no_trace_and_is_not_kept():
    def step(trainer, batch):
        trainer.made = getattr(trainer, "made", 0) + 1
        trainer.weights["b"] = trainer.weights["b"] + random.random()
        if trainer.made == 2:
            raise OSError("disk gone")
        return TinyTrainer.step(trainer, batch)

    made = TinyTrainer(step=step)
    bench = Bench(made)
    before = standing(bench)
    with pytest.raises(TargetError, match=r"^step 2 raised OSError: disk gone"):
        trained(bench, 3)
    assert arrays.differing(before, standing(bench)) == []
    assert trained(bench, 3)[2] == 3
    assert made.made == 2 + 3


def test_training_is_told_as_it_proceeds():
    bench, heard = Bench(TinyTrainer()), []
    bench.advance = lambda done, total: heard.append((done, total))
    trained(bench, 3)
    trained(bench, 3)
    assert heard == [(1, 3), (2, 3), (3, 3)]


def test_training_goes_over_the_pool_again_and_again():
    seen = []

    def step(trainer, batch):
        seen.append(len(batch[1]))
        return TinyTrainer.step(trainer, batch)

    trained(Bench(TinyTrainer(step=step)), 14)
    assert seen == [40] * 14  # six batches an epoch


def test_once_is_once():
    bench, made = Bench(TinyTrainer()), []

    def make():
        made.append(1)
        return [len(made)]

    first = bench.once("key", make)
    assert bench.once("key", make) is first
    assert bench.once(("key", 1), make) == [2]
    assert Bench(TinyTrainer()).once("key", make) == [3]


def test_once_keeps_nothing_and_false_too():
    bench, made = Bench(TinyTrainer()), []
    for value in (None, False, 0, ()):
        for _ in range(2):
            assert bench.once(repr(value), lambda value=value: made.append(1) or value) is value
    assert len(made) == 4


def test_once_asks_again_after_an_exception():
    bench, asked = Bench(TinyTrainer()), []

    def make():
        asked.append(1)
        if len(asked) == 1:
            raise TargetError("not yet")
        return "made"

    with pytest.raises(TargetError, match="not yet"):
        bench.once("key", make)
    assert bench.once("key", make) == "made"


def test_what_is_made_once_may_ask_for_more():
    bench = Bench(TinyTrainer())
    assert bench.once("outer", lambda: bench.once("inner", lambda: 3) + 1) == 4


# Saved states


class State(dict):
    """One that can be watched."""


class Economical(TracedTrainer):
    """Saves into states, and counts those that are alive."""

    placement = ""

    def __init__(self, **changes):
        self.states, self.most = [], 0
        super().__init__(**changes)

    def save(self):
        state = State(super().save())
        self.states = [ref for ref in self.states if ref() is not None] + [weakref.ref(state)]
        self.most = max(self.most, len(self.states))
        return state

    def save_into(self, state):
        for name, w in self.weights.items():
            np.copyto(state[name], w)
        return state


def test_there_are_never_more_than_two_saved_states():
    made = Economical()
    bench = Bench(made)
    for steps in (3, 5, 3, 0, 5):
        with bench.trained(steps):
            pass
        with bench.borrowed() as trainer:
            spoil(trainer)
            bench.snapshot()
    assert made.most == 2


@pytest.mark.parametrize("name", ["check-target", "check-reg", "check-grad", "overfit", "train"])
def test_nor_do_checks_hold_more(name):
    made, check = Economical(), find_checks()[name]
    bench = Bench(made)
    if name != "check-target":  # which comes first
        with bench.trained(50):
            pass
    check.measure(bench, check.settings())
    assert made.most <= 2


@pytest.mark.parametrize("kind", [TinyTrainer, InPlace, Economical])
def test_a_snapshot_is_where_the_trainer_stands_until_the_next(kind):
    bench = Bench(kind())
    before = standing(bench)
    with bench.borrowed() as trainer:
        spoil(trainer)
        assert arrays.differing(bench.snapshot(), trainer.save()) == []
        kept = arrays.fingerprints(bench.snapshot())
        spoil(trainer)
        assert len(arrays.differing(kept, arrays.fingerprints(bench.snapshot()))) == 2
    assert arrays.differing(before, standing(bench)) == []


def test_after_a_snapshot_is_trained_anew():
    bench = Bench(Economical())
    expected = trained(bench, 3)
    made = bench.trainer.steps
    bench.snapshot()
    again = trained(bench, 3)
    assert bench.trainer.steps == 2 * made
    assert arrays.differing(expected, again) == []


@pytest.mark.parametrize("kind", [TinyTrainer, Economical])
def test_what_is_trained_for_the_last_time_is_not_kept(kind):
    bench = Bench(kind())
    with bench.trained(3, last=True):
        assert bench._kept is None
    trained(bench, 3)
    assert bench.trainer.steps == 6
    with bench.trained(3, last=True) as (trainer, made):
        assert (made, trainer.steps) == (3, 6)  # what was kept is used
        assert bench._kept is None
    trained(bench, 3)
    assert bench.trainer.steps == 9


def test_a_trainer_that_keeps_what_it_loads_spoils_no_saved_state():
    def load(trainer, state):
        trainer.weights = state

    bench = Bench(InPlace(load=load))
    before = standing(bench)
    for _ in range(3):
        with bench.trained(3) as (trainer, _):
            spoil(trainer)
    assert arrays.differing(before, standing(bench)) == []

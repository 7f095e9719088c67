import math
import sys
import time

import numpy as np
import pytest
from processes import Parallel, together
from trainers import TinyTrainer, TracedTrainer, blobs

from babysit import Output, Skip, SupportsParameters, SupportsRegularization, SupportsTrace, TargetError, Trainer
from babysit.driving.guard import Driven

BATCH = next(iter(TinyTrainer().batches()))
CALLS = {
    "batches('train')": lambda driven: list(driven.batches()),
    "batches('val')": lambda driven: list(driven.batches("val")),
    "evaluate(batch, training=False)": lambda driven: driven.evaluate(BATCH),
    "evaluate(batch, training=True)": lambda driven: driven.evaluate(BATCH, training=True),
    "step 1": lambda driven: driven.step(BATCH),
    "save()": lambda driven: driven.save(),
    "load(state)": lambda driven: driven.load({}),
    "trace(batch, visit)": lambda driven: driven.trace(BATCH, print),
    "parameters()": lambda driven: driven.parameters(),
    "set_parameters(values)": lambda driven: driven.set_parameters({}),
    "gradients(batch)": lambda driven: driven.gradients(BATCH),
    "last_gradients()": lambda driven: (driven.step(BATCH), driven.last_gradients()),
    "strengths()": lambda driven: driven.strengths(),
}


class Clock:
    """Stands where the trainer's own work moves it."""

    def __init__(self):
        self.now = 100.0

    def passes(self, seconds):
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(time, "perf_counter", lambda: clock.now)
    return clock


def method(call):
    return call.partition("(")[0].partition(" ")[0]


def raising(error):
    def boom(*args, **kwargs):
        raise error

    return boom


def giving(value):
    return lambda *args, **kwargs: value


def message(call, *args):
    with pytest.raises(TargetError) as caught:
        call(*args)
    return str(caught.value)


def test_it_is_a_trainer_itself():
    assert isinstance(Driven(TinyTrainer()), Trainer)


def test_a_healthy_trainer_is_handed_through():
    trainer = TracedTrainer()
    driven = Driven(trainer)
    expected = trainer.evaluate(BATCH)
    assert driven.evaluate(BATCH).loss == driven.step(BATCH).loss == float(expected.loss)
    assert type(driven.evaluate(BATCH).loss) is type(driven.evaluate(BATCH).penalty) is float
    np.testing.assert_array_equal(driven.save()["W"], trainer.weights["W"])
    assert driven.parameters() is trainer.weights
    assert driven.strengths() == {"strength": 1e-3}
    assert driven.task is trainer.task
    assert [len(y) for _, y in driven.batches()] == [40] * 6
    assert [len(y) for _, y in driven.batches("val")] == [40, 20]
    assert list(driven.batches("test")) == []
    seen = []
    driven.trace(BATCH, seen.append)
    assert [record.name for record in seen] == ["scores"]


def test_the_two_numbers_are_set_on_the_trainer():
    trainer = TinyTrainer()
    driven = Driven(trainer)
    driven.learning_rate, driven.regularization_scale = 0.5, 0.0
    assert (trainer.learning_rate, trainer.regularization_scale) == (0.5, 0.0)
    trainer.learning_rate = np.float32(0.25)
    assert (driven.learning_rate, type(driven.learning_rate)) == (0.25, float)


@pytest.mark.parametrize("name", ["learning_rate", "regularization_scale"])
def test_the_two_numbers_are_guarded(name):
    def read(self):
        raise RuntimeError("no optimizer yet")

    broken = type("Broken", (), {name: property(read)})()
    found = message(getattr, Driven(broken), name)
    assert found.startswith(f"{name} raised RuntimeError: no optimizer yet (")
    assert found.endswith(" in read)")
    found = message(setattr, Driven(broken), name, 1.0)
    assert found.startswith(f"{name} = ... raised AttributeError: property '{name}' of 'Broken' object has no setter")
    assert message(getattr, Driven(TinyTrainer(**{name: "auto"})), name) == f"{name} must be a number, not 'auto' (str)"


def test_a_task_that_raises_is_named():
    broken = type("Broken", (), {"task": property(lambda self: 1 / 0)})()
    assert message(getattr, Driven(broken), "task").startswith("task raised ZeroDivisionError: division by zero (")


@pytest.mark.parametrize("call", CALLS)
def test_what_the_target_raises_is_named_with_its_place(call):
    driven = Driven(TracedTrainer(**{method(call): raising(ValueError("boom"))}))
    line = raising.__code__.co_firstlineno + 2
    found = message(CALLS[call], driven)
    assert found.startswith(f"{call} raised ValueError: boom (")
    assert found.endswith(f"test_guard.py:{line} in boom)")


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(("code", "shown"), [(3, "3"), (None, ""), ("bye", "'bye'")])
def test_sys_exit_is_no_way_out(call, code, shown):
    driven = Driven(TracedTrainer(**{method(call): lambda *args, **kwargs: sys.exit(code)}))
    assert message(CALLS[call], driven) == f"{call} called sys.exit({shown})"


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("error", [KeyboardInterrupt(), Skip("not on this device"), TargetError("said by the target")])
def test_what_passes_through(call, error):
    with pytest.raises(type(error)) as caught:
        CALLS[call](Driven(TracedTrainer(**{method(call): raising(error)})))
    assert caught.value is error


@pytest.mark.parametrize(
    ("output", "text"),
    [
        (0.5, "{} must return babysit.Output, not float"),
        (None, "{} must return babysit.Output, not NoneType"),
        ((0.5, 0.0), "{} must return babysit.Output, not tuple"),
        (Output("low"), "the loss of {} must be a number, not 'low' (str)"),
        (Output(np.zeros(40)), "the loss of {} has shape (40,); it must be one number"),
        (Output(0.5, penalty=None), "the penalty of {} must be a number, not None (NoneType)"),
        (Output(0.5, np.zeros((6, 3))), "the penalty of {} has shape (6, 3); it must be one number"),
    ],
)
@pytest.mark.parametrize("call", [call for call in CALLS if call.startswith(("evaluate", "step", "trace"))])
def test_wrong_outputs(call, output, text):
    driven = Driven(TracedTrainer(**{method(call): giving(output)}))
    assert message(CALLS[call], driven) == text.format(call)


def test_a_loss_that_is_not_finite_is_no_crash():
    driven = Driven(TinyTrainer(step=giving(Output(math.nan, math.inf, updated=False))))
    output = driven.step(BATCH)
    assert math.isnan(output.loss)
    assert (output.penalty, output.updated) == (math.inf, False)


@pytest.mark.parametrize(
    ("batch", "kind"),
    [(np.zeros((2, 4)), "ndarray"), ((1,), "tuple"), ([1, 2, 3], "list"), ({}, "dict"), (None, "NoneType")],
)
def test_batches_are_pairs(batch, kind):
    driven = Driven(TinyTrainer(batches=giving([BATCH, batch])))
    assert message(lambda: list(driven.batches())) == f"batches('train') must yield (inputs, targets), not {kind}"


def test_a_pair_may_be_a_list():
    inputs, targets = BATCH
    (batch,) = Driven(TinyTrainer(batches=giving([[inputs, targets]]))).batches()
    assert batch == (inputs, targets)


def test_a_loader_that_is_no_iterable():
    found = message(lambda: list(Driven(TinyTrainer(batches=giving(None))).batches()))
    assert found.startswith("batches('train') raised TypeError: 'NoneType' object is not iterable")


def test_a_loader_that_raises_later_has_given_what_it_had():
    def breaking(trainer, split):
        yield BATCH
        raise OSError("disk gone")

    batches = Driven(TinyTrainer(batches=breaking)).batches()
    assert next(batches)[0] is BATCH[0]
    assert message(next, batches).startswith("batches('train') raised OSError: disk gone (")


def test_batches_are_drawn_one_by_one():
    drawn = []

    def endless(trainer, split):
        while True:
            drawn.append(split)
            yield BATCH

    batches = Driven(TinyTrainer(batches=endless)).batches("val")
    assert drawn == []
    next(batches)
    next(batches)
    assert drawn == ["val", "val"]


def test_steps_are_counted_and_named():
    driven = Driven(
        TinyTrainer(step=lambda trainer, batch: 1 / 0 if driven.steps == 3 else TinyTrainer.step(trainer, batch))
    )
    driven.step(BATCH)
    driven.evaluate(BATCH)
    driven.step(BATCH)
    assert driven.steps == 2
    assert message(driven.step, BATCH).startswith("step 3 raised ZeroDivisionError: division by zero (")
    assert driven.steps == 3


@pytest.mark.parametrize("call", CALLS)
def test_seconds_are_those_of_the_target(clock, call):
    def slow(trainer, *args, **kwargs):
        clock.passes(2.5)
        return getattr(TracedTrainer, method(call))(trainer, *args, **kwargs)

    driven = Driven(TracedTrainer(**{method(call): slow}))
    assert driven.seconds == 0.0
    CALLS[call](driven)
    assert driven.seconds == 2.5


def test_seconds_of_a_loader_are_those_between_its_batches(clock):
    def slow(trainer, split):
        for _ in range(3):
            clock.passes(1.0)
            yield BATCH

    driven = Driven(TinyTrainer(batches=slow))
    for _ in driven.batches():
        clock.passes(50.0)  # what a check does with it
    assert driven.seconds == 3.0


def test_seconds_count_where_the_target_fails(clock):
    def slow(trainer, batch):
        clock.passes(4.0)
        raise ValueError

    driven = Driven(TinyTrainer(step=slow))
    message(driven.step, BATCH)
    assert driven.seconds == 4.0


def test_what_a_visit_takes_is_not_the_targets(clock):
    driven = Driven(TracedTrainer())
    driven.trace(BATCH, lambda record: clock.passes(30.0))
    assert driven.seconds == 0.0


def test_real_seconds_pass():
    driven = Driven(TinyTrainer())
    driven.step(BATCH)
    assert 0 < driven.seconds < 60


@pytest.mark.parametrize(
    ("power", "call", "text"),
    [
        (
            SupportsTrace,
            "trace(batch, visit)",
            "the trainer can't show what flows through its layers: it has no method `trace`",
        ),
        (SupportsParameters, "parameters()", "the trainer can't name its parameters: it has no method `parameters`"),
        (
            SupportsParameters,
            "set_parameters(values)",
            "the trainer can't set its parameters: it has no method `parameters`",
        ),
        (SupportsParameters, "gradients(batch)", "the trainer can't show its gradients: it has no method `parameters`"),
        (
            SupportsParameters,
            "last_gradients()",
            "the trainer can't show the gradients of a step: it has no method `parameters`",
        ),
    ],
)
def test_a_missing_power_skips(power, call, text):
    assert Driven(TracedTrainer()).supports(power)
    assert not Driven(TinyTrainer()).supports(power)
    with pytest.raises(Skip) as caught:
        CALLS[call](Driven(TinyTrainer()))
    assert str(caught.value) == text


def test_strengths_may_be_untold():
    assert not Driven(TinyTrainer()).supports(SupportsRegularization)
    assert Driven(TinyTrainer()).strengths() is None
    assert Driven(TracedTrainer(strengths=giving({}))).strengths() == {}


def test_parameters_are_set_by_name():
    trainer = TracedTrainer()
    before = trainer.weights["b"].copy()
    Driven(trainer).set_parameters({"W": np.ones((6, 3))})
    assert (trainer.weights["W"] == 1).all()
    np.testing.assert_array_equal(trainer.weights["b"], before)


def test_gradients_are_those_of_loss_and_penalty():
    trainer = TracedTrainer(strength=0.5)
    driven, before = Driven(trainer), trainer.save()
    output, gradients = driven.gradients(BATCH)
    expected = trainer.evaluate(BATCH)
    assert (output.loss, output.penalty) == (expected.loss, expected.penalty)
    assert type(output.loss) is type(output.penalty) is float
    step = 1e-6
    for name, index in (("W", (2, 1)), ("b", (0,))):
        sides = []
        for sign in (1, -1):
            moved = before[name].copy()
            moved[index] += sign * step
            driven.set_parameters({name: moved})
            at = driven.evaluate(BATCH)
            sides.append(at.loss + at.penalty)
        driven.set_parameters(before)
        assert gradients[name][index] == pytest.approx((sides[0] - sides[1]) / (2 * step), rel=1e-6)


def test_the_latest_gradients_are_those_of_the_step():
    trainer = TracedTrainer()
    driven = Driven(trainer)
    _, expected = driven.gradients(BATCH)
    before = trainer.save()
    driven.step(BATCH)
    latest = driven.last_gradients()
    assert sorted(latest) == ["W", "b"]
    for name, gradient in latest.items():
        np.testing.assert_array_equal(gradient, expected[name])
        np.testing.assert_allclose(before[name] - 0.1 * gradient, trainer.weights[name])


def test_what_the_loss_does_not_reach_has_no_gradient():
    trainer = TracedTrainer(gradients=lambda trainer, batch: (trainer.evaluate(batch), {"W": np.ones((6, 3))}))
    _, found = Driven(trainer).gradients(BATCH)
    assert sorted(found) == ["W"]
    assert (found["W"] == 1).all()


@pytest.mark.parametrize("answer", [None, 1.0, (Output(0.5, 0.0),)])
def test_gradients_of_another_kind_are_named(answer):
    found = message(Driven(TracedTrainer(gradients=giving(answer))).gradients, BATCH)
    assert found.startswith("gradients(batch) raised ")


def test_a_wrong_output_beside_gradients_is_named():
    driven = Driven(TracedTrainer(gradients=giving((0.5, {}))))
    assert message(driven.gradients, BATCH) == "gradients(batch) must return babysit.Output, not float"


def test_gradients_over_ranks_are_their_mean():
    def program(group, rank):
        made = Parallel(group, rank)
        inputs, targets = blobs(40)
        whole = Driven(made).gradients((inputs, targets))[1]
        share = slice(0, 20) if rank == 0 else slice(20, 40)
        return whole, made.gradients((inputs[share], targets[share]))[1]

    (one, first), (other, second) = together(2, program)
    alone = TracedTrainer().gradients(blobs(40))[1]
    for name, gradient in one.items():
        np.testing.assert_array_equal(gradient, other[name])
        np.testing.assert_allclose(gradient, (first[name] + second[name]) / 2)
        np.testing.assert_allclose(gradient, alone[name])


def out_of_memory(error):
    def call(trainer, batch, **mode):
        raise error

    return call


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (MemoryError("Unable to allocate 3 TiB"), "MemoryError: Unable to allocate 3 TiB"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "RuntimeError: DefaultCPUAllocator: can't"),
    ],
)
def test_memory_that_is_short_is_named_with_its_call_and_what_would_do(error, text):
    driven = Driven(TinyTrainer(step=out_of_memory(error), evaluate=out_of_memory(error)))
    found = message(driven.step, BATCH)
    assert found.startswith(f"step 1 ran out of memory: {text}")
    assert found.endswith("); smaller batches, a smaller model or more memory would do")
    assert message(driven.evaluate, BATCH).startswith("evaluate(batch, training=False) ran out of memory: ")

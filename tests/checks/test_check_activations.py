import math
from dataclasses import replace

import faults
import pytest
from faults import SEEDS, demo, findings, judged_whatever_the_numbers, measured, verdict
from scipy.stats import binom
from trainers import TinyTrainer

from babysit.checks import find_checks
from babysit.checks.check_activations import Measurement, Settings
from babysit.errors import Skip, TargetError
from babysit.lab.layers import ACTIVATIONS
from babysit.lab.trainer import LabTrainer
from babysit.measuring.unit_statistics import LayerSummary

NAME = "check-activations"
LAYER = LayerSummary(
    name="layer1",
    kind="relu",
    units=100,
    examples=512,
    mean=0.4,
    spread=0.6,
    dead=0,
    saturated=0.0,
    gradient_through=0.5,
    constant=0,
    idle_pieces=0,
    slope=math.nan,
    common=0.3,
    one_sign=True,
)
TANH = replace(LAYER, kind="tanh", mean=0.0)
MAXOUT = replace(LAYER, kind="maxout")
PRELU = replace(LAYER, kind="prelu", slope=0.25)
FED = replace(LAYER, name="affine1", kind="linear", common=0.1)
DEAD = ("dead-relu", "error")
SOME_DEAD = ("dead-relu", "warning")
KILLED = ("killed-by-learning-rate", "error")
SOME_KILLED = ("killed-by-learning-rate", "warning")
SATURATED = ("saturated-activation", "error")
SOME_SATURATED = ("saturated-activation", "warning")
CONSTANT = ("constant-activation", "error")
SAME_SIGN = ("same-sign-gradient", "warning")
IDLE = ("idle-maxout-piece", "error")
SOME_IDLE = ("idle-maxout-piece", "warning")
LINEAR = ("collapsed-slope", "error")


def numbers(start=LAYER, after=None, *, killed=0, more=(), **changes):
    """A measurement of one layer at both times, and of more layers that are the same at both."""
    layers = {"at_start": (start, *more), "after": (after or start, *more), "killed": (killed, *(0 for _ in more))}
    given = {"examples": 512, "steps": 50, "learning_rate": 0.1, "fed": (FED,), "output": ""} | layers | changes
    return Measurement(**given)


HEALTHY = numbers()

TRAINERS = [
    (faults.dead_relu, {DEAD}),
    (faults.some_dead_relus, {SOME_DEAD}),
    (faults.killed_by_rate, {KILLED}),
    (faults.saturated_tanh, {SATURATED}),
    (faults.wide_inputs_into_tanh, {SOME_SATURATED}),
    (faults.sigmoids_shut, {SATURATED, CONSTANT, SAME_SIGN}),
    (faults.sigmoids_of_nothing, {CONSTANT, SAME_SIGN}),
    (faults.zero_weights, {CONSTANT}),
    (faults.raw_positive_inputs, {SATURATED, SAME_SIGN}),
    (faults.idle_pieces, {SOME_IDLE}),
    (faults.all_pieces_idle, {IDLE}),
    (faults.linear_prelu, {LINEAR}),
    (faults.healthy, set()),
    (faults.half_of_outputs_zero, set()),
    (faults.ten_dead_relus, set()),
    (faults.sure_sigmoid, set()),
    (faults.shut_sigmoid_at_the_end, set()),
    (faults.zero_head, set()),
    (faults.zero_residual, set()),
    (faults.dropout, set()),
    (faults.batch_norm, set()),
    (faults.one_batch, set()),
    (faults.exclusive_or, set()),
    (faults.hinge, set()),
    (faults.raw_positive_inputs_normalized, set()),
]


def judged(measurement):
    return {(f.rule, str(f.severity)) for f in find_checks()[NAME].judge(measurement, Settings())}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("make", "expected"), TRAINERS, ids=lambda value: getattr(value, "__name__", ""))
def test_verdict(make, expected, seed):
    assert verdict(NAME, make(seed)) == expected


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_is_healthy_in_the_demo(activation, seed):
    assert verdict(NAME, faults.healthy(seed, activation)) == set()


@pytest.mark.parametrize("seed", SEEDS)
def test_units_that_say_the_same_for_every_example(seed):
    assert CONSTANT in verdict(NAME, faults.same_inputs(seed))


def test_nan_activations_do_not_pass():
    try:
        found = verdict(NAME, faults.scores_overflow(0))
    except (Skip, TargetError):
        return
    assert found


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (
            faults.softmax_regression,
            "no nonlinearity was seen in the forward pass: there is nothing that could die or saturate",
        ),
        (
            lambda seed: TinyTrainer(),
            "the trainer can't show what flows through its layers: it has no method `trace`",
        ),
    ],
)
def test_skipped(make, reason):
    with pytest.raises(Skip) as skipped:
        measured(NAME, make(0))
    assert str(skipped.value) == reason


def test_dead_at_birth_and_killed_are_told_apart():
    measurement, _ = measured(NAME, faults.some_dead_relus(0))
    assert measurement.at_start[0].dead == 30
    assert measurement.killed == (measurement.after[0].dead - 30,)
    killed, _ = measured(NAME, faults.killed_by_rate(0))
    assert killed.at_start[0].dead == 0
    assert killed.killed == (killed.after[0].dead,)


def test_the_steps_end_where_the_loss_is_no_longer_finite():
    measurement, _ = measured(NAME, faults.rate_of(1e200, "sgd", activation="leaky-relu")(0))
    assert measurement.steps < 10


def test_healthy_numbers():
    assert judged(HEALTHY) == set()


def dead(share, units=100):
    return replace(LAYER, units=units, dead=round(share * units))


@pytest.mark.parametrize(
    ("start", "after", "expected"),
    [
        (dead(0.27), None, set()),  # P(at least 27 of 100 | 0.2) = 5.6 %
        (dead(0.28), None, {SOME_DEAD}),  # 3.4 %
        (dead(0.39), None, {SOME_DEAD}),
        (dead(0.4), None, {DEAD}),
        (dead(1.0), None, {DEAD}),
        (dead(0.5), dead(0.0), set()),
        (dead(0.5), dead(0.3), {SOME_DEAD}),
        (dead(0.0), dead(0.5), set()),
        (dead(0.5, units=4), None, set()),
        (dead(1.0, units=2), None, {DEAD}),
    ],
)
def test_dead_relu(start, after, expected):
    assert judged(numbers(start, after)) == expected


@pytest.mark.parametrize(
    ("killed", "kind", "expected"),
    [
        (27, "relu", set()),
        (28, "relu", {SOME_KILLED}),
        (39, "relu", {SOME_KILLED}),
        (40, "relu", {KILLED}),
        (100, "tanh", set()),
    ],
)
def test_killed_by_learning_rate(killed, kind, expected):
    layer = replace(LAYER, kind=kind)
    assert judged(numbers(layer, replace(layer, dead=killed), killed=killed)) == expected


def test_a_small_layer_does_not_hide_a_large_one():
    small, large = dead(0.5, units=4), replace(dead(0.38, units=1000), name="layer2")
    assert judged(numbers(small, more=(large,))) == {SOME_DEAD}


WIDE = [  # units, and the fewest that the usual share of 20 % explains in less than one of 20 layers, by scipy
    (2_048, 441),
    (1_000_000, 200_659),
    (10_000_000, 2_002_082),
]


@pytest.mark.parametrize(("units", "fewest"), WIDE)
@pytest.mark.parametrize("killed", [False, True])
def test_wide_layers_at_below_and_above_the_threshold(units, fewest, killed):
    """Binomials of more than about 1,030 units have no place in a double."""
    some, expected = ({SOME_KILLED}, {KILLED}) if killed else ({SOME_DEAD}, {DEAD})

    def found(count):
        layer = replace(LAYER, units=units, dead=0 if killed else count)
        return judged(numbers(layer, replace(layer, dead=count), killed=count if killed else 0))

    assert binom.sf(fewest - 1, units, 0.2) < Settings().unlikely <= binom.sf(fewest - 2, units, 0.2)
    assert (found(0), found(fewest - 1), found(fewest)) == (set(), set(), some)
    many = math.ceil(0.4 * units)
    assert (found(many - 1), found(many), found(units)) == (some, expected, expected)


def test_a_measured_wide_layer_gets_a_verdict():
    made = demo(0, sizes=(2, 2_048, 3))
    assert verdict(NAME, made) == set()
    made.network.params["affine1.b"][:600] -= 50
    assert verdict(NAME, made) == {SOME_DEAD}
    made.network.params["affine1.b"][:900] -= 50
    assert verdict(NAME, made) == {DEAD}


@pytest.mark.parametrize(
    ("start", "after", "output", "expected"),
    [
        (0.249, 0.0, "", set()),
        (0.25, 0.0, "", {SOME_SATURATED}),
        (0.499, 0.0, "", {SOME_SATURATED}),
        (0.5, 0.0, "", {SATURATED}),
        (0.0, 0.499, "", set()),
        (0.0, 0.5, "", {SOME_SATURATED}),
        (1.0, 1.0, "layer1", set()),
        (1.0, 1.0, "another", {SATURATED}),
        (math.nan, 1.0, "another", {SOME_SATURATED}),
    ],
)
def test_saturated_activation(start, after, output, expected):
    layers = replace(TANH, saturated=start), replace(TANH, saturated=after)
    assert judged(numbers(*layers, output=output)) == expected


@pytest.mark.parametrize(
    ("start", "after", "expected"),
    [
        (replace(TANH, constant=89), None, set()),
        (replace(TANH, constant=90), None, {CONSTANT}),
        (replace(TANH, constant=100), replace(TANH, constant=50), set()),
        (replace(TANH, constant=0), replace(TANH, constant=100), set()),
        (replace(LAYER, dead=20, constant=80), None, {CONSTANT}),
        (replace(LAYER, dead=20, constant=60), None, set()),
        (replace(LAYER, dead=100, constant=0), None, {DEAD}),
    ],
)
def test_constant_activation(start, after, expected):
    assert judged(numbers(start, after)) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"common": 0.899}, set()),
        ({"common": 0.9}, {SAME_SIGN}),
        ({"common": 0.99, "one_sign": False}, set()),
        ({"common": 0.99, "units": 1}, set()),
        ({"common": math.nan}, set()),
    ],
)
def test_same_sign_gradient(changes, expected):
    assert judged(numbers(fed=(replace(FED, **changes),))) == expected


@pytest.mark.parametrize(
    ("start", "after", "expected"),
    [
        (49, 100, set()),
        (50, 50, {SOME_IDLE}),
        (89, 89, {SOME_IDLE}),
        (90, 90, {IDLE}),
        (100, 49, set()),
    ],
)
def test_idle_maxout_piece(start, after, expected):
    assert judged(numbers(replace(MAXOUT, idle_pieces=start), replace(MAXOUT, idle_pieces=after))) == expected


@pytest.mark.parametrize(
    ("start", "after", "expected"),
    [
        (0.25, 0.949, set()),
        (0.25, 0.951, {LINEAR}),
        (0.25, 1.049, {LINEAR}),
        (0.25, 1.051, set()),
        (1.0, 0.5, {LINEAR}),
        (0.25, -1.0, set()),
        (math.nan, math.nan, set()),
    ],
)
def test_collapsed_slope(start, after, expected):
    assert judged(numbers(replace(PRELU, slope=start), replace(PRELU, slope=after))) == expected


def test_the_slope_of_others_does_not_matter():
    assert judged(numbers(replace(LAYER, slope=1.0))) == set()


def test_any_number_can_be_judged():
    for layer in (LAYER, TANH, MAXOUT, PRELU):
        assert list(judged_whatever_the_numbers(NAME, numbers(layer), Settings()))


def test_no_layers_can_be_judged():
    empty = Measurement(512, 50, 0.1, (), (), (), (), "")
    assert judged(empty) == set()
    assert list(find_checks()[NAME].exhibits(empty, Settings()))


SECOND = {"name": "layer2"}


@pytest.mark.parametrize(
    ("measurement", "message", "where"),
    [
        (
            numbers(dead(0.5), dead(0.45), more=(replace(dead(0.4), **SECOND),)),
            "50 of 100 units of layer1 are zero for each of 512 examples at initialization, and 45% still are after 50 "
            "steps. So in layer2.",
            "layer1",
        ),
        (
            numbers(killed=40),
            "40 of 100 units of layer1, alive at initialization, are dead after 50 steps at learning rate 0.1.",
            "layer1",
        ),
        (
            numbers(replace(TANH, saturated=0.6, gradient_through=0.1)),
            "60% of the outputs of layer1 (tanh) are saturated at initialization; 10% of the gradient gets through.",
            "layer1",
        ),
        (
            numbers(TANH, replace(TANH, saturated=0.6, gradient_through=0.1)),
            "60% of the outputs of layer1 (tanh) are saturated after 50 steps at learning rate 0.1, few were at the "
            "start; 10% of the gradient gets through.",
            "layer1",
        ),
        (
            numbers(replace(TANH, constant=95), more=(replace(TANH, constant=100, **SECOND),)),
            "95% of the 100 living units of layer1 give the same output for each of 512 examples. So in layer2.",
            "layer1",
        ),
        (
            numbers(fed=(replace(FED, common=0.95),)),
            "95% of the power of what affine1 is fed is the same for every example, with one sign in all 100 values: "
            "the gradients on a unit's weights share their sign.",
            "affine1",
        ),
        (
            numbers(replace(MAXOUT, idle_pieces=60)),
            "60% of the 100 units of layer1 have a piece that never wins on 512 examples.",
            "layer1",
        ),
        (
            numbers(PRELU, replace(PRELU, slope=0.98)),
            "the slope of layer1 below zero is 0.980: it is linear.",
            "layer1",
        ),
    ],
)
def test_messages(measurement, message, where):
    found = find_checks()[NAME].judge(measurement, Settings())
    assert [(f.message, f.where) for f in found] == [(message, where)]


def test_the_message_of_a_trainer():
    (found,) = findings(NAME, faults.dead_relu(0))
    assert found.message == (
        "100 of 100 units of relu1 are zero for each of 300 examples at initialization, and 100% still are after 50 "
        "steps."
    )


class Experts(LabTrainer):
    """Two experts side by side: a look sees the one alone that is asked, and the other one once steps were made."""

    made = 0

    def step(self, batch):
        self.made += 1
        return super().step(batch)

    def save(self):
        return super().save() | {"made": self.made}

    def load(self, state):
        super().load(state)
        self.made = state["made"]

    def missed(self):
        return "relu2" if self.made == 0 else "relu1"

    def trace(self, batch, visit, *, training=True):
        return super().trace(batch, lambda r: visit(r) if r.name != self.missed() else None, training=training)


class AFewExperts(Experts):
    """The second one is asked in the second look alone."""

    def missed(self):
        return "relu2" if self.made == 0 else ""


class Closed(Experts):
    """The first one is asked in the first look alone."""

    def missed(self):
        return "" if self.made == 0 else "relu1"


DEEP = {"sizes": (2, 50, 50, 3)}


@pytest.mark.parametrize(("made", "seen"), [(AFewExperts, ["relu1"]), (Closed, ["relu2"]), (Experts, [])])
def test_an_expert_that_one_look_misses_is_left_out(made, seen):
    measurement, settings = measured(NAME, faults.demo(0, made=made, **DEEP))
    assert [layer.name for layer in measurement.at_start] == [layer.name for layer in measurement.after] == seen
    assert len(measurement.killed) == len(seen)
    assert find_checks()[NAME].judge(measurement, settings) == []
    assert list(find_checks()[NAME].exhibits(measurement, settings))


def test_the_layers_that_both_looks_see_are_those_of_a_network_without_experts():
    with_experts, _ = measured(NAME, faults.demo(0, made=Closed, **DEEP))
    plain, _ = measured(NAME, faults.demo(0, **DEEP))
    assert repr(with_experts.at_start) == repr(plain.at_start[1:])  # NaN is no NaN's equal
    assert repr(with_experts.after) == repr(plain.after[1:])
    assert with_experts.killed == plain.killed[1:]


def test_dead_units_of_an_expert_that_one_look_misses_hide_no_others():
    trainer = faults.demo(0, made=Closed, **DEEP)
    trainer.network.params["affine2.b"] -= 50
    (found,) = findings(NAME, trainer)
    assert (found.rule, found.where) == ("dead-relu", "relu2")

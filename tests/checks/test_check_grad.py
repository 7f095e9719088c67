import functools
import json
import math
from dataclasses import replace

import faults
import gradient_programs as programs
import numpy as np
import pytest
from faults import SEEDS, findings, judged_whatever_the_numbers, measured, verdict
from gradient_programs import BROKEN, HEALTHY, Landscape, by_hand
from pydantic import TypeAdapter
from trainers import TinyTrainer, TracedTrainer

from babysit.arrays import differing
from babysit.checks import find_checks
from babysit.checks.check_grad import Measurement, Settings
from babysit.checks.check_grad.schema import Unreached, Update, UsedGradients
from babysit.checks.check_grad.slopes import Slope, Slopes
from babysit.driving.bench import Bench
from babysit.errors import Skip
from babysit.lab.faults import FAULTS
from babysit.lab.layers import ACTIVATIONS

NAME = "check-grad"
WRONG = {("wrong-gradient", "error")}
UNCOMFORTABLE = {("wrong-gradient", "warning")}
MISSING = {("missing-gradient", "error")}
UNUSED = {("missing-gradient", "info")}
SUMMED = {("accumulated-gradient", "error")}


def lab(name):
    def made(seed):
        return FAULTS[name].make(seed)

    made.__name__ = name.replace("-", "_")
    return made


TRAINERS = [
    (lab("relu-masked-by-gradient"), WRONG),
    (lab("gradient-not-averaged"), WRONG),
    (lab("layer-detached"), MISSING),
    (lab("gradients-accumulate"), SUMMED),
    (faults.wrong_sign, WRONG),
    (faults.penalty_without_gradient, WRONG),
    (programs.forgotten_key, MISSING),
    (programs.nan_gradient, WRONG),
    (programs.summed_and_halved, SUMMED),
    (programs.unused_parameter, UNUSED),
    (faults.healthy, set()),
    (faults.batch_norm_and_dropout, set()),
    (faults.dropout, set()),
    (faults.momentum, set()),
    (faults.hinge, set()),
    (faults.regression, set()),
    (faults.label_smoothing, set()),
    (faults.negative_loss, set()),
    (faults.zero_head, set()),
    (faults.zero_residual, set()),
    (faults.zero_weights, set()),
    (faults.dead_relu, set()),
    (faults.killed_by_rate, set()),
    (faults.relu_regression, set()),
    (faults.pretrained, set()),
    (faults.one_batch, set()),
    (faults.exclusive_or, set()),
    (faults.rounded, set()),
    (faults.penalty_minus_sign, set()),
    (faults.large_share, set()),
    (faults.decay_in_optimizer, set()),
    (faults.frozen_head, set()),
    (faults.step_does_nothing, set()),
    (faults.first_steps_skipped, set()),
    (faults.global_noise, set()),
    (programs.accumulating, set()),
    (programs.clipped, set()),
    (programs.momentum_in_gradients, set()),
    (programs.zeros_on_kinks, set()),
    (programs.other_noise, set()),
]
BY_HAND = [
    ("", set()),
    ("sign", WRONG),
    ("half", WRONG),
    ("threefold", WRONG),
    ("sum", WRONG),
    ("mean twice", WRONG),
    ("mask left out", WRONG),
    ("bias of one", WRONG),
    ("penalty left out", WRONG),
    ("penalty halved", WRONG),
    ("penalty's sign", WRONG),
    ("a little off", UNCOMFORTABLE),
    ("kept", WRONG | SUMMED),
]


def slope(parameter="W", analytic=1.0, numeric=1.0, doubt=1e-9, *, place="all", steps=50):
    return Slope(parameter, place, steps, analytic, numeric, doubt)


def whole(*args, **options):
    return Slopes(slope(*args, **options))


RIGHT = (whole(), whole("b", 0.5, 0.5))
PLAIN = Update(own=1.0, earlier=0.0, doubt=1e-6, rest=1e-6)
AGAIN = Update(own=1.0, earlier=1.0, doubt=1e-6, rest=1e-6)
NUMBERS = Measurement(
    examples=16,
    steps=50,
    scale=1.0,
    loss=1.2,
    epsilon=2.2e-16,
    slopes=RIGHT,
    unreached=(),
    parameters=3,
    not_finite=(),
    used=UsedGradients((PLAIN,) * 4, 0.0, 0.0),
)


def judge(**changes):
    return find_checks()[NAME].judge(replace(NUMBERS, **changes), Settings())


def judged(**changes):
    return {(f.rule, str(f.severity)) for f in judge(**changes)}


# On programs


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("make", "expected"), TRAINERS, ids=lambda value: getattr(value, "__name__", ""))
def test_verdict(make, expected, seed):
    assert verdict(NAME, make(seed)) == expected


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_is_healthy_in_the_demo(activation, seed):
    measurement, settings = measured(NAME, faults.healthy(seed, activation))
    assert find_checks()[NAME].judge(measurement, settings) == []
    assert all(slopes.total.error < 1e-6 for slopes in measurement.slopes if slopes.total.tells())


@functools.cache
def found_by_hand(part, seed):
    return findings(NAME, by_hand(part)(seed))


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(("part", "expected"), BY_HAND, ids=lambda value: value if isinstance(value, str) else "")
def test_networks_by_hand(part, expected, seed):
    assert {(f.rule, str(f.severity)) for f in found_by_hand(part, seed)} == expected


@pytest.mark.parametrize("part", ["", "half", "mask left out", "bias of one", "kept"])
def test_networks_by_hand_in_single_precision(part):
    expected = dict(BY_HAND)[part]
    assert verdict(NAME, by_hand(part, dtype=np.float32)(0)) == expected


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", HEALTHY)
def test_pytorch_is_right(name, seed):
    try:
        assert verdict(NAME, HEALTHY[name](seed)) == set()
    except Skip:
        assert name == "half precision inside"


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", BROKEN)
def test_pytorch_is_wrong(name, seed):
    make, expected = BROKEN[name]
    assert verdict(NAME, make(seed)) == expected


FACTORS = [
    ("sign", "Its sign is wrong throughout."),
    ("half", "It is too small by a factor of 2 throughout."),
    ("threefold", "It is too large by a factor of 3 throughout."),
    ("sum", "It is too large by a factor of 16, the number of examples, throughout."),
    ("mean twice", "It is too small by a factor of 16, the number of examples, throughout."),
    ("penalty left out", "It is missing throughout."),
    ("penalty halved", "It is too small by a factor of 2 throughout."),
    ("penalty's sign", "Its sign is wrong throughout."),
]


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(("part", "pattern"), FACTORS, ids=lambda value: value if " " not in value else "")
def test_the_factor_and_the_part_are_named(part, pattern, seed):
    (found,) = found_by_hand(part, seed)
    assert pattern in found.message
    blamed = "penalty" if "penalty" in part else "data loss"
    assert found.message.startswith(f"the gradient of the {blamed} by ")
    assert set(found.evidence["parameters"]) == ({"W1", "W2"} if "penalty" in part else {"W1", "b1", "W2", "b2"})


@pytest.mark.parametrize("seed", [0, 1])
def test_what_lies_above_a_mistake_is_not_blamed(seed):
    (found,) = found_by_hand("mask left out", seed)
    assert set(found.evidence["parameters"]) == {"W1", "b1"}
    assert "down to b1 again" in found.suggestion


def test_the_numbers_are_those_of_the_gradient():
    made = faults.healthy(0)
    measurement, _ = measured(NAME, made)
    with Bench(made).trained(50) as (trainer, _):
        batch = Bench(made).subset(16)
        gradients = {name: g.copy() for name, g in trainer.gradients(batch)[1].items()}
    for slopes in measurement.slopes:
        found, g = slopes.total, gradients[slopes.total.parameter]
        exact = np.abs(g).sum() if found.place == "all" else g[tuple(json.loads(found.place))]
        assert found.analytic == pytest.approx(exact, rel=1e-9)
        assert found.steps == 50


def test_checks_train_once():
    bench = Bench(faults.healthy(0))
    with bench.trained(50):
        made = bench.trainer.steps
    settings = Settings(updates=2)
    find_checks()[NAME].measure(bench, settings)
    assert bench.trainer.steps == made + 2 + 1  # and one, to see whether it adds to the gradients that it kept


def test_without_a_burn_in():
    measurement, _ = measured(NAME, faults.healthy(0), burn_in=0)
    assert measurement.steps == 0
    assert {slopes.total.steps for slopes in measurement.slopes} == {0}


def test_where_the_loss_is_no_longer_finite_the_start_is_looked_at():
    made = faults.rate_of(1e200, "sgd", activation="leaky-relu")(0)
    measurement, settings = measured(NAME, made)
    assert measurement.steps == 0
    assert find_checks()[NAME].judge(measurement, settings) == []


def test_where_all_is_dead_behind_the_burn_in_the_start_is_looked_at():
    made = programs.by_hand("mask left out", rate=1e3)(0)
    assert ("wrong-gradient", "error") in verdict(NAME, made)


@pytest.mark.parametrize("parameters", [1, 30, 100])
def test_many_parameters_share_the_lines(parameters):
    rng = np.random.default_rng(0)
    made = Landscape(rng.normal(size=8), lambda w: 0.0, None)
    values = {f"w{k}": rng.normal(size=8) for k in range(parameters)}
    made.parameters = lambda: values
    made.set_parameters = values.update
    made.save = lambda: {name: w.copy() for name, w in values.items()}
    made.load = values.update
    made.loss = lambda _: 1 + sum(np.sum(w**2) for w in values.values())
    made.gradients = lambda batch: (made.evaluate(batch), {name: 2 * w for name, w in values.items()})
    made.step = lambda batch: made.evaluate(batch)
    measurement, settings = measured(NAME, made)
    lines = {1: 5, 30: 60, 100: 60}[parameters]
    assert len(measurement.slopes) == lines
    seen = {slopes.total.parameter for slopes in measurement.slopes}
    assert seen <= set(values)
    assert len(seen) == min(parameters, 60)
    exhibits = find_checks()[NAME].exhibits(measurement, settings)
    left_out = [f.value for f in exhibits if getattr(f, "label", "") == "parameters"]
    assert left_out == (["60 of 100 looked at, evenly spaced"] if parameters == 100 else [])
    assert find_checks()[NAME].judge(measurement, settings) == []


def test_dropout_that_can_not_be_held_still_is_switched_off():
    measurement, settings = measured(NAME, programs.other_noise(0))
    assert measurement.scale == 0
    facts = {exhibit.label: exhibit.value for exhibit in list(find_checks()[NAME].exhibits(measurement, settings))[:-1]}
    assert facts["regularization"] == "off"


DIGITS = str.maketrans("", "", "0123456789.")  # in which a reason may differ


def restless(trainer, batch, *, training=False):
    """Another loss at each call."""
    trainer.calls = getattr(trainer, "calls", 0) + 1
    output = TracedTrainer.evaluate(trainer, batch, training=training)
    return replace(output, loss=output.loss * (1 + trainer.calls % 2))


def other_loss(trainer, batch):
    """The gradient of another loss than that of `evaluate`."""
    output, gradients = TracedTrainer.gradients(trainer, batch)
    return replace(output, loss=2 * output.loss), gradients


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: TinyTrainer(), "the trainer can't name its parameters: it has no method `parameters`"),
        (
            lambda: TracedTrainer(evaluate=restless),
            "the loss of the same batch at the same parameters is 0.33 at first and 0.66 then, so differences of it "
            "are no slopes",
        ),
        (
            lambda: TracedTrainer(gradients=other_loss),
            "the loss is 0.33 in `evaluate` in training mode, and 0.66 in `gradients`, so differences of it are no "
            "slopes",
        ),
        (
            lambda: TracedTrainer(parameters=lambda trainer: {}),
            "the program has no parameters of real numbers, so it has no gradient",
        ),
        (
            lambda: Landscape(np.ones(3), lambda w: math.nan, lambda w: w),
            "the loss of the examples is not a finite number, so it has no slope",
        ),
        (
            lambda: Landscape(np.ones(3), lambda w: 1.0, lambda w: 0 * w),
            "no slope of the loss can be told from its rounding, so there is nothing to compare with gradients",
        ),
    ],
)
def test_skipped(make, reason):
    with pytest.raises(Skip) as skipped:
        measured(NAME, make())
    assert str(skipped.value).translate(DIGITS) == reason.translate(DIGITS)


@pytest.mark.parametrize("make", [programs.accumulating, by_hand("kept"), programs.other_noise, HEALTHY["attention"]])
def test_left_as_found(make):
    made = make(0)
    before = faults.left(made)
    measured(NAME, made)
    assert differing(before, faults.left(made)) == []


# The rules on plain numbers


def test_healthy_numbers():
    assert judged() == set()


@pytest.mark.parametrize(
    ("slopes", "epsilon", "expected"),
    [
        ((whole(numeric=0.99999),), 2.2e-16, set()),
        ((whole(numeric=0.99991),), 2.2e-16, set()),
        ((whole(numeric=0.99989),), 2.2e-16, UNCOMFORTABLE),
        ((whole(numeric=0.9901),), 2.2e-16, UNCOMFORTABLE),
        ((whole(numeric=0.9899),), 2.2e-16, WRONG),
        ((whole(numeric=0.9901),), 1.2e-7, set()),
        ((whole(numeric=0.9899),), 1.2e-7, WRONG),
        ((whole(numeric=0.5, doubt=0.051),), 2.2e-16, set()),
        ((whole(numeric=0.5, doubt=0.049),), 2.2e-16, WRONG),
        ((whole(analytic=0.0, numeric=0.0, doubt=0.0),), 2.2e-16, set()),
        ((whole(analytic=0.0, numeric=1e-9, doubt=0.0),), 2.2e-16, WRONG),
        ((whole(numeric=0.999), whole("b", numeric=0.5)), 2.2e-16, WRONG),
        ((whole(numeric=math.nan),), 2.2e-16, set()),
        ((whole(numeric=0.5, doubt=math.nan),), 2.2e-16, set()),
        ((), 2.2e-16, set()),
    ],
)
def test_wrong_gradient(slopes, epsilon, expected):
    assert judged(slopes=slopes, epsilon=epsilon) == expected


@pytest.mark.parametrize(
    ("data", "penalty", "part"),
    [
        (slope(numeric=0.5), slope(analytic=0.1, numeric=0.1), "data loss"),
        (slope(), slope(analytic=0.0, numeric=0.1), "penalty"),
        (slope(numeric=0.5), slope(analytic=0.0, numeric=0.1), "loss"),
        (slope(), slope(analytic=0.1, numeric=0.1), "loss"),
        (None, None, "loss"),
    ],
)
def test_the_part_to_blame(data, penalty, part):
    (found,) = judge(slopes=(Slopes(slope(numeric=0.4), data, penalty),))
    assert found.message.startswith(f"the gradient of the {part} by W is ")


def test_a_part_is_blamed_only_where_the_total_disagrees():
    assert judged(slopes=(Slopes(slope(), slope(), slope(analytic=0.0, numeric=1e-6)),)) == set()


def scaled(*factors):
    return tuple(whole(f"w{k}", factor / (k + 1), 1 / (k + 1)) for k, factor in enumerate(factors))


@pytest.mark.parametrize(
    ("factors", "pattern"),
    [
        ((-1, -1), " Its sign is wrong throughout. So in w1."),
        ((16, 16), " It is too large by a factor of 16, the number of examples, throughout. So in w1."),
        ((16.3, 16), " It is too large by a factor of 16, the number of examples, throughout. So in w1."),
        ((1 / 16, 1 / 16), " It is too small by a factor of 16, the number of examples, throughout. So in w1."),
        ((2, 2), " It is too large by a factor of 2 throughout. So in w1."),
        ((0.5, 0.5), " It is too small by a factor of 2 throughout. So in w1."),
        ((31, 31), " It is too large by a factor of 31 throughout. So in w1."),
        ((0.2, 0.2), " It is too small by a factor of 5 throughout. So in w1."),
        ((-3, -3), " It is -3 times what it should be throughout. So in w1."),
        ((0, 0), " It is missing throughout. So in w1."),
        ((1.003, 1.003), " So in w1."),
        ((2, 2.1), " So in w0."),
        ((2,), ""),
        ((2,) * 7, " It is too large by a factor of 2 throughout. So in w1, w2, w3, w4 and 2 more."),
    ],
)
def test_what_is_common_to_all(factors, pattern):
    (found,) = judge(slopes=scaled(*factors))
    assert found.message.partition("relative error of ")[2].partition(".")[2].lstrip("0123456789.") == pattern


def move(numeric, doubt=0.01, steps=50):
    return slope("V", 0.0, numeric, doubt, steps=steps)


@pytest.mark.parametrize(
    ("absent", "moves", "expected"),
    [
        (True, (move(0.5), move(0.5, steps=0)), MISSING),
        (False, (move(0.5),), MISSING),
        (True, (move(0.0), move(-0.5, steps=0)), MISSING),
        (True, (move(0.099), move(0.0)), UNUSED),
        (True, (move(0.101),), MISSING),
        (False, (move(0.0),), set()),
        (True, (), UNUSED),
        (False, (), set()),
        (False, (move(math.nan),), set()),
        (False, (move(math.inf),), set()),
        (False, (move(0.5, math.nan),), set()),
    ],
)
def test_missing_gradient(absent, moves, expected):
    assert judged(unreached=(Unreached("V", absent, moves),)) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, SUMMED),
        ({"earlier": 0.994}, set()),
        ({"earlier": 0.996}, SUMMED),
        ({"earlier": 1.006}, set()),
        ({"own": 0.3, "earlier": 0.3}, SUMMED),  # clipped
        ({"own": 0.25}, SUMMED),  # divided by four batches
        ({"own": 0.3, "earlier": 0.29}, set()),
        ({"earlier": 0.9}, set()),
        ({"rest": 0.11}, set()),
        ({"rest": 0.09}, SUMMED),
        ({"doubt": 0.006}, set()),
        ({"doubt": 0.004}, SUMMED),
        *(({name: wrong}, set()) for name in ("own", "earlier", "doubt", "rest") for wrong in (math.nan, math.inf)),
    ],
)
def test_accumulated_gradient(changes, expected):
    updates = (AGAIN, AGAIN, replace(AGAIN, **changes))
    assert judged(used=UsedGradients(updates, 0.0, 0.0)) == expected


@pytest.mark.parametrize(
    ("updates", "expected"),
    [((), set()), ((AGAIN,) * 2, set()), ((AGAIN,) * 3, SUMMED), ((*(AGAIN,) * 3, PLAIN), set())],
)
def test_how_many_updates_it_takes(updates, expected):
    assert judged(used=UsedGradients(updates, 0.0, 0.0)) == expected


@pytest.mark.parametrize(
    ("left", "rest", "expected"),
    [
        (1.0, 0.0, SUMMED),
        (1.006, 0.0, set()),
        (0.994, 0.0, set()),
        (1.0, 0.11, set()),
        (0.0, 0.0, set()),
        (math.nan, math.nan, set()),
        (1.0, math.nan, set()),
        (math.inf, 0.0, set()),
    ],
)
def test_what_a_step_leaves_behind(left, rest, expected):
    assert judged(used=UsedGradients((), left, rest)) == expected


MESSAGES = [
    (
        {"slopes": (whole("W1", 0.138, -0.00208, place="[3, 7]"), whole("b1", 0.2, 0.1), *RIGHT)},
        "the gradient of the loss by W1 is 0.138 at [3, 7], where differences of it give -0.00208: a relative error of "
        "1. So in b1.",
        "W1",
    ),
    (
        {"slopes": (Slopes(slope(numeric=1.1), slope(), slope(analytic=0.0, numeric=0.1)),)},
        "the gradient of the penalty by W is 0 along all entries together, where differences of it give 0.1: a "
        "relative error of 1.",
        "W",
    ),
    (
        {"not_finite": ("W", "b")},
        "the gradient by W, b is not finite, though the loss is 1.2.",
        "W",
    ),
    (
        {"unreached": (Unreached("V", True, (move(0.5), move(0.1, steps=0))), Unreached("c", True, (move(0.3),)))},
        "no gradient reaches V, c, but moving V at random changes the loss, with a slope of 0.5 ± 0.01 after 50 "
        "updates.",
        "V",
    ),
    (
        {"unreached": (Unreached("V", True, (move(0.0),)),)},
        "no gradient reaches V, and the loss of 16 examples does not change when they are moved: they are unused.",
        "V",
    ),
    (
        {"used": UsedGradients((AGAIN,) * 3 + (replace(AGAIN, own=0.5),), 0.0, 0.0)},
        "the last of 5 updates used 0.5 times the gradient of its own batch and 1 times the one that the update before "
        "used: gradients are never cleared.",
        "",
    ),
    (
        {"used": UsedGradients((), 1.0, 0.0)},
        "taken at the same place, the gradient of a batch is larger after a step by 1.00 times itself: the program "
        "adds to the gradients it kept.",
        "",
    ),
]


@pytest.mark.parametrize(("changes", "message", "where"), MESSAGES)
def test_messages(changes, message, where):
    assert [(f.message, f.where) for f in judge(**changes)] == [(message, where)]


def test_any_number_can_be_judged():
    ill = replace(
        NUMBERS,
        slopes=(Slopes(slope(numeric=0.5), slope(numeric=0.5), slope(analytic=0.1, numeric=0.1)), *RIGHT),
        unreached=(Unreached("V", True, (move(0.5),)),),
        used=UsedGradients((AGAIN,) * 3, 0.0, 0.0),
    )
    for measurement in (NUMBERS, ill):
        assert list(judged_whatever_the_numbers(NAME, measurement, Settings()))


def test_nothing_can_be_judged():
    nothing = Measurement(0, 0, 1.0, math.nan, math.nan, (), (), 0, (), UsedGradients((), math.nan, math.nan))
    assert find_checks()[NAME].judge(nothing, Settings()) == []
    assert list(find_checks()[NAME].exhibits(nothing, Settings()))


def test_exhibits():
    slopes = (
        whole("W", 1.0, 0.5),
        whole("W", 1.0, 1.0, place="[0]"),
        whole("b", 0.5, 0.49, 0.1),
        whole("c", 0.5, 0.3, 0.1),
        *(whole(f"w{k}", 1.0, 1 + 1e-9 * k) for k in range(12)),
    )
    *facts, table = find_checks()[NAME].exhibits(replace(NUMBERS, slopes=slopes), Settings())
    assert {fact.label: fact.value for fact in facts} == {
        "slopes compared": "16: 13 agree, 1 differ, 2 too near a kink or rounding",
        "largest relative error": "0.5",
        "looked at": "16 examples, after 50 updates",
        "rounding of the loss": "2e-16 of itself",
    }
    assert table.rows[0] == ("W", "1 of 2", "1", "all", "1", "0.5", "0.5")
    assert len(table.rows) == 12
    assert table.rows[1][0] == "w11"


def test_it_says_where_the_start_was_looked_at():
    slopes = (*RIGHT, Slopes(slope("c", steps=0)))
    facts = list(find_checks()[NAME].exhibits(replace(NUMBERS, slopes=slopes), Settings()))
    assert facts[2].value == "16 examples, after 50 updates, and at the start where that told nothing"


def test_the_measurement_survives_json():
    measurement, _ = measured(NAME, by_hand("penalty left out")(0))
    adapter = TypeAdapter(Measurement)
    assert adapter.validate_python(json.loads(adapter.dump_json(measurement))) == measurement


def test_settings_hold_each_other():
    with pytest.raises(ValueError, match=r"uncomfortable \(0\.1\) must be at most wrong \(0\.01\)"):
        Settings(uncomfortable=0.1)

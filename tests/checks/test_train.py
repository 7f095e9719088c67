import math
import random
from dataclasses import replace

import faults
import monitored_programs as programs
import pytest
from faults import SEEDS, findings, judged_whatever_the_numbers, left, measured, verdict
from trainers import TinyTrainer

from babysit import Output, runner
from babysit.arrays import differing
from babysit.checks import find_checks
from babysit.checks.train import Measurement, Settings
from babysit.checks.train.schema import Moment, Run, Units, Weights
from babysit.commands import plan as planning
from babysit.config.file import Config
from babysit.errors import Skip
from babysit.lab.layers import ACTIVATIONS
from babysit.lab.trainer import LabTrainer
from babysit.measuring.split_sample import Ignorance
from babysit.measuring.treatments import ADVICE, PLAIN, REDRAWN, STANDARDIZED, UNREGULARIZED, Treated
from babysit.report import Curve, Fact, Severity, Table
from babysit.reporting.formats import json

NAME = "train"
DIVERGES = ("loss-diverges", "error")
STANDS = ("loss-not-falling", "error")
CREEPS = ("loss-not-falling", "warning")
SLOW = ("slow-start", "warning")
PLATEAU = ("loss-plateau", "warning")
NOISY = ("noisy-loss", "warning")
LONG = ("update-ratio-out-of-range", "warning")
ABSURD = ("update-ratio-out-of-range", "error")
NO_CARRY = ("overfitting-gap", "error")
GAP = ("overfitting-gap", "warning")
UNDER = ("underfitting", "info")
DISAGREE = ("loss-metric-disagree", "warning")
APART = ("loss-metric-disagree", "error")
DIFFUSE = ("loss-flat-accuracy-rising", "info")

TRAINERS = [
    (programs.exploding, {DIVERGES}),
    (programs.clipped, {STANDS, ABSURD}),
    (programs.vanishing_weights, {STANDS, ABSURD}),
    (programs.by_hand_too_slow, {STANDS}),
    (faults.zero_weights, {STANDS}),
    (faults.wrong_sign, {DIVERGES}),
    (programs.at(0.0005, faults.lecture), {CREEPS, DIFFUSE}),
    (programs.small_weights_in_tanh, {SLOW}),
    (programs.batches_of_one, {NOISY}),
    (programs.labels_shuffled, {NO_CARRY}),
    (programs.torch_labels_shuffled, {NO_CARRY}),
    (programs.too_few_examples, {GAP}),
    (programs.linear_on_spirals, {UNDER}),
    (programs.scores_in_another_order, {APART}),
    (programs.carries_over, set()),
    (programs.tiny_validation, set()),
    (programs.validation_in_order, set()),
    (programs.warm_up, set()),
    (programs.first_steps_jump, set()),
    (programs.rarely_positive, set()),
    (programs.half_noise, set()),
    (programs.dropout_with_validation, set()),
    (programs.summed, set()),
    (programs.by_hand, set()),
    (faults.prior_bias, set()),
    (faults.shut_sigmoid_at_the_end, set()),
    (faults.pretrained, set()),
]
HEALTHY_TRAINERS = [
    programs.torch_healthy,
    faults.batch_norm_and_dropout,
    faults.momentum,
    faults.hinge,
    faults.zero_head,
    faults.zero_residual,
    faults.probabilities_and_their_loss,
    faults.negative_loss,
    faults.targets_far_from_zero,
    faults.exclusive_or,
    faults.one_batch,
    faults.first_steps_skipped,
    faults.softmax_regression,
]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("make", "expected"), TRAINERS, ids=lambda value: getattr(value, "__name__", ""))
def test_verdict(make, expected, seed):
    assert verdict(NAME, make(seed)) == expected


@pytest.mark.parametrize("make", HEALTHY_TRAINERS, ids=lambda make: make.__name__)
def test_healthy_trainers(make):
    assert verdict(NAME, make(0)) == set()


@pytest.mark.parametrize("seed", SEEDS)
def test_updates_that_bounce_about(seed):
    assert PLATEAU in verdict(NAME, programs.bouncing(seed))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_is_healthy_in_the_demo(activation):
    assert verdict(NAME, faults.healthy(0, activation)) == set()


def test_scores_that_do_not_fit_the_task_are_for_another_check():
    with pytest.raises(Skip, match=r"^scores or targets don't fit the task"):
        measured(NAME, faults.too_many_scores(0))


def test_a_trainer_that_shows_no_scores_is_judged_by_its_loss():
    def evaluate(trainer, batch, *, training=False):
        return Output(TinyTrainer.evaluate(trainer, batch).loss)

    assert verdict(NAME, TinyTrainer(evaluate=evaluate)) == set()
    assert verdict(NAME, TinyTrainer(evaluate=evaluate, learning_rate=1e-9)) == {STANDS}


# Rules on plain numbers

STEPS = 300
AT = [0, 3, 10, 23, 40, 62, 90, 122, 159, 201, 248, 300]


def noisy(shape, spread=0.02, seed=0):
    """Losses of this shape, a function of the share of the run."""
    draw = random.Random(seed)
    return tuple(shape(i / STEPS) + draw.gauss(0, spread) for i in range(STEPS))


def decay(t):
    return 0.1 + 2.2 * math.exp(-6 * t)


def flat(t):
    return 2.3


def numbers(shape=decay, score=None, val=None, val_score=None, *, losses=None, spread=0.02, slower=(), **changes):
    """A measurement of such a run; losses and metrics of both splits are functions of the share of the run."""
    score = score or (lambda t: 1 - 0.9 * shape(t) / 2.3)
    val, val_score = val or shape, val_score or score
    moments = tuple(
        Moment(step, shape(t), 0.02, score(t), val(t), 0.02, val_score(t)) for step in AT for t in [step / STEPS]
    )
    weights = changes.pop("weights", (weight(),))
    run = Run(
        losses=losses or noisy(shape, spread),
        moments=changes.pop("moments", moments),
        weights=weights,
        weighed=tuple(AT[1:]),
        units=changes.pop("units", (Units("relu1", "relu", (0.0,) * 12, (0.0,) * 12),)),
        calls=STEPS,
        batches=changes.pop("batches", 30),
        batch_size=changes.pop("batch_size", 32),
        slower=tuple(slower),
    )
    given = {"metric": "accuracy", "learning_rate": 0.1, "asked": STEPS, "run": run}
    known = {"train": Ignorance(512, 2.3, 0.1), "val": Ignorance(512, 2.3, 0.1)}
    return Measurement(**{**given, **known, **changes})


def weight(ratio=1e-3, name="W", axes=2, norms=(1.0,) * 11, gradients=(0.1,) * 11):
    ratios = ratio if isinstance(ratio, tuple) else (ratio,) * 11
    return Weights(name, axes, norms, ratios, gradients)


HEALTHY = numbers()


def without_val(*args, **changes):
    made = numbers(*args, **{"val_score": lambda t: math.nan} | changes)
    moments = tuple(replace(m, val_loss=math.nan, val_error=math.nan) for m in made.run.moments)
    return replace(made, val=Ignorance(), run=replace(made.run, moments=moments))


def judged(measurement, **settings):
    check = find_checks()[NAME]
    return {(f.rule, str(f.severity)) for f in check.judge(measurement, Settings(**settings))}


def test_healthy_numbers():
    assert judged(HEALTHY) == set()
    assert judged(without_val()) == set()


def ends_at(level):
    """A healthy start, and the last 20 losses at this level."""
    return noisy(decay)[:-20] + (level,) * 20


@pytest.mark.parametrize(
    ("measurement", "expected"),
    [
        (numbers(losses=ends_at(6.8)), set()),
        (numbers(losses=ends_at(7.1)), {DIVERGES}),
        (numbers(losses=noisy(decay)[:-9] + (1e9,) * 9), set()),
        (numbers(losses=(*noisy(decay)[:40], math.nan)), {DIVERGES}),
        (numbers(losses=(*noisy(decay)[:40], -math.inf)), {DIVERGES}),
        (numbers(losses=(math.nan,)), {DIVERGES}),
        (numbers(moments=(*HEALTHY.run.moments[:-1], replace(HEALTHY.run.moments[-1], loss=math.nan))), {DIVERGES}),
        (numbers(losses=(2.3, 500.0, 90.0, 30.0, 9.0, *noisy(decay)[5:])), set()),
    ],
)
def test_loss_diverges(measurement, expected):
    assert judged(measurement) == expected


def to(end):
    """A loss that falls from 2.3 to this early on, and stays."""
    return lambda t: end + (2.3 - end) * math.exp(-20 * t)


def chance(t):
    return 0.1


def rising(t):
    return 0.1 + 0.2 * min(1, 3 * t)


@pytest.mark.parametrize(
    ("measurement", "expected"),
    [
        (numbers(flat, chance), {STANDS}),
        (without_val(flat, chance), {STANDS}),
        (without_val(flat, chance, metric=""), {STANDS}),
        (numbers(lambda t: 2.3 + 0.9 * math.exp(-20 * t), chance), {STANDS}),  # it only undoes a bad start
        (numbers(to(2.22), chance), set()),  # 3.5 %, and validation shows it
        (without_val(to(2.22), rising), set()),  # the metric shows it
        (numbers(to(2.22), chance, val=flat), {STANDS}),
        (numbers(to(2.10), chance, val_score=rising), set()),  # 9 %
        (without_val(to(2.26), chance, metric=""), set()),  # nothing could show it, and the loss falls beyond noise
        (without_val(lambda t: 0.4, chance), set()),  # starts trained
        (without_val(lambda t: 0.2, lambda t: 0.95, train=Ignorance(512, 0.2, 0.95)), {STANDS}),
        (numbers(lambda t: 9 - 3 * t, chance), {CREEPS}),  # from far above, still on its way
        (without_val(lambda t: 2.3 * math.exp(-9 * t), lambda t: 1.0, train=Ignorance(512, 0.0, 1.0)), set()),
        (numbers(losses=noisy(flat)[:29]), set()),  # too short to tell
    ],
)
def test_loss_not_falling(measurement, expected):
    found = judged(measurement)
    assert {f for f in found if f[0] == "loss-not-falling"} == expected


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (lambda t: 2.3 - t, {CREEPS}),
        (lambda t: 2.3 - 0.05 * t, set()),  # drowned in noise: no line to be seen, and nothing learned
        (lambda t: 2.3 - 2 * t, set()),  # covers most of the way
        (to(1.6), set()),  # not straight
        (lambda t: 2.3 if t < 0.3 else 2.3 - (t - 0.3), set()),  # not straight either
    ],
)
def test_a_straight_line(shape, expected):
    found = judged(numbers(shape, lambda t: 0.1 + 0.5 * t))
    assert found & {CREEPS} == expected


def drops_at(when, end=0.3):
    return lambda t: 2.3 if t < when else end + (2.3 - end) * math.exp(-12 * (t - when))


@pytest.mark.parametrize(
    ("measurement", "expected"),
    [
        (numbers(drops_at(0.3)), {SLOW}),
        (numbers(drops_at(0.19)), {SLOW}),
        (numbers(drops_at(0.1)), set()),
        (numbers(drops_at(0.5, end=2.0)), set()),  # no clear drop
        (numbers(drops_at(0.3), weights=(weight(tuple(1e-5 * step for step in AT[1:])),)), set()),  # warm-up
        (
            numbers(
                drops_at(0.3),
                weights=(weight(tuple(1e-5 * s for s in AT[1:]), gradients=tuple(1e-3 * s for s in AT[1:])),),
            ),
            {SLOW},  # the gradients grow with the updates
        ),
        (numbers(drops_at(0.3), weights=()), {SLOW}),
    ],
)
def test_slow_start(measurement, expected):
    assert judged(measurement) & {SLOW} == expected


STUCK = to(1.0)


@pytest.mark.parametrize(
    ("measurement", "expected"),
    [
        (numbers(STUCK, slower=(0.49,) * 60), {PLATEAU}),
        (numbers(STUCK, slower=(0.51,) * 60), set()),
        (numbers(STUCK, slower=(1.0,) * 40 + (0.3,) * 20), {PLATEAU}),
        (numbers(STUCK, slower=()), set()),
        (numbers(to(0.2), slower=(0.05,) * 60), set()),  # not high
        (numbers(STUCK, spread=0.5, slower=(0.3,) * 60), {PLATEAU}),
        (numbers(STUCK, slower=(math.nan,) * 60), set()),
        (numbers(decay, slower=(0.01,) * 60), set()),  # it still falls
    ],
)
def test_loss_plateau(measurement, expected):
    assert judged(measurement) & {PLATEAU} == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"spread": 2.4, "batch_size": 4}, {NOISY}),
        ({"spread": 2.4, "batch_size": 16}, {NOISY}),
        ({"spread": 2.4, "batch_size": 17}, set()),
        ({"spread": 1.9, "batch_size": 4}, set()),
    ],
)
def test_noisy_loss(changes, expected):
    assert judged(numbers(lambda t: 0.3 + 2 * math.exp(-6 * t), **changes)) & {NOISY} == expected


def test_a_pretrained_network_and_one_that_learns_nothing_are_not_called_noisy():
    assert judged(numbers(lambda t: 0.3 - 0.1 * t, lambda t: 0.9, spread=0.5, batch_size=4)) & {NOISY} == set()
    assert judged(numbers(flat, chance, spread=0.5, batch_size=4)) & {NOISY} == set()


@pytest.mark.parametrize(
    ("shape", "weights", "expected"),
    [
        (decay, (weight(0.099),), set()),
        (decay, (weight(0.101),), {LONG}),
        (decay, (weight(0.9),), {LONG}),  # the loss falls all the same
        (flat, (weight(0.499),), {LONG}),
        (flat, (weight(0.501),), {ABSURD}),
        (decay, (weight(0.3, axes=1),), set()),
        (decay, (weight((0.9, 0.9) + (0.001,) * 9),), set()),  # the first updates
        (decay, (weight(0.3, norms=tuple(0.01 * (k + 1) for k in range(11))),), set()),  # from near zero
        (flat, (weight(0.3, norms=tuple(0.01 * (k + 1) for k in range(11))),), {LONG}),
        (decay, (weight(1e-9),), set()),  # the loss falls all the same
        (flat, (weight(1.01e-6),), set()),
        (flat, (weight(0.99e-6),), {LONG}),
        (flat, (weight(1.01e-7),), {LONG}),
        (flat, (weight(0.99e-7),), {ABSURD}),
        (flat, (weight(0.0),), {ABSURD}),
        (flat, (weight(0.0), weight(1e-3)), set()),
        (lambda t: 0.2, (weight(0.0),), set()),  # starts trained
        (flat, (weight(math.nan),), set()),
        (flat, (), set()),
    ],
)
def test_update_ratio_out_of_range(shape, weights, expected):
    found = judged(numbers(shape, weights=weights))
    assert {f for f in found if f[0] == "update-ratio-out-of-range"} == expected


def growing(times, start=1.0, name="W", **options):
    """Weights whose norm at the end is so many times the one at the start."""
    return weight(name=name, norms=tuple(start * times ** (k / 10) for k in range(11)), **options)


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ((growing(999.0),), set()),
        ((growing(1001.0),), {ABSURD}),
        ((growing(1001.0, start=30.0),), {ABSURD}),
        ((growing(1 / 1001),), set()),
        ((growing(1001.0, axes=1),), set()),  # no matrix
        ((growing(1e4, start=0.099), weight(name="V"), weight(name="U")), set()),  # tiny beside the others
        ((growing(1001.0, start=0.101), weight(name="V"), weight(name="U")), {ABSURD}),
        ((weight(norms=(0.0,) * 3 + (1.0,) * 8), weight(name="V")), set()),  # from zero
        ((weight(norms=(0.0,) * 3 + (1.0,) * 8),), set()),
        ((growing(1001.0, 0.2), weight(norms=(math.nan,) * 11, name="V")), {ABSURD}),
        ((weight(norms=(math.nan,) * 11),), set()),
        ((growing(1001.0, ratio=math.nan),), set()),  # nothing is known of its updates
        ((growing(1001.0, ratio=0.2),), {ABSURD}),  # the loss falls, and the growth excuses long updates
    ],
)
def test_weights_that_outgrow_all_proportion(weights, expected):
    found = judged(numbers(weights=weights))
    assert {f for f in found if f[0] == "update-ratio-out-of-range"} == expected


def test_the_times_that_weights_may_grow_are_a_setting():
    assert judged(numbers(weights=(growing(11.0),)), grown=10.0) == {ABSURD}
    assert judged(numbers(weights=(growing(9.0),)), grown=10.0) == set()


class Weightless(LabTrainer):
    """Under no force at all the weights of one layer grow by a fiftieth with every update."""

    def step(self, batch):
        output = super().step(batch)
        self.network.params["affine1.W"] *= 1.02
        return output


@pytest.mark.parametrize("seed", SEEDS)
def test_a_layer_that_grows_is_found(seed):
    found = findings(NAME, faults.demo(seed, made=Weightless, rate=0.001), grown=100.0)
    (grown,) = (f for f in found if f.rule == "update-ratio-out-of-range")
    assert (str(grown.severity), grown.where) == ("error", "affine1.W")
    assert 100 < grown.evidence["times"] < 1.02**300


def moved(start, end):
    return lambda t: start + (end - start) * t


def in_order(loss, measurement):
    """The same with a validation part whose labels are rather alike: a good guess costs that much."""
    return replace(measurement, val=Ignorance(512, loss, 0.6))


def of_few(measurement, examples=4):
    """The same with a validation split so small that no gain could be told there."""
    moments = tuple(replace(m, val_error=0.6) for m in measurement.run.moments)
    run, val = replace(measurement.run, moments=moments), replace(measurement.val, examples=examples)
    return replace(measurement, run=run, val=val)


@pytest.mark.parametrize(
    ("measurement", "expected"),
    [
        (numbers(val=moved(2.3, 4.0), val_score=chance), {NO_CARRY}),
        (in_order(1.2, numbers(val=moved(2.3, 4.0), val_score=chance)), {NO_CARRY}),
        (in_order(1.2, numbers(val=moved(2.3, 1.9), val_score=chance)), set()),  # better than for who doesn't know that
        (in_order(1.1, numbers(val=moved(2.3, 4.0), val_score=chance)), set()),  # hardly more than one class
        (numbers(val=flat, val_score=chance), {NO_CARRY}),
        (numbers(val=moved(2.3, math.inf), val_score=chance), {NO_CARRY}),
        (numbers(val=lambda t: math.nan, val_score=lambda t: math.nan), {NO_CARRY}),
        (numbers(val=moved(2.3, 1.2), val_score=chance), set()),  # some of the loss
        (numbers(val=moved(2.3, 4.0), val_score=lambda t: 0.3), {GAP}),  # some of the metric
        (numbers(val=lambda t: 2.3 + 2 * t - 1.5 * (0.1 < t < 0.2), val_score=chance), {GAP}),  # for a while
        (of_few(numbers(val=flat, val_score=chance)), set()),
        (numbers(to(2.0), chance, val=flat, val_score=chance), set()),  # only the loss says that it learned
        (without_val(val=flat), set()),
        (numbers(metric="", val=flat, val_score=lambda t: math.nan), set()),
        (numbers(val=moved(2.3, 3.0), val_score=lambda t: 0.1 + 0.5 * t), {GAP}),
        (numbers(val=decay, val_score=lambda t: 0.1 + 0.5 * t), set()),  # its loss does not rise
        (numbers(val=moved(2.3, 0.5), val_score=lambda t: min(1.0, 0.1 + t)), set()),
        (numbers(val=lambda t: decay(t) + t, val_score=lambda t: 0.1 + 0.7 * t), set()),  # a gap of 0.16
        (numbers(lambda t: 0.5 + decay(t), val=decay, val_score=lambda t: 0.99), set()),  # dropout
    ],
)
def test_overfitting_gap(measurement, expected):
    found = judged(measurement)
    assert {f for f in found if f[0] == "overfitting-gap"} == expected


@pytest.mark.parametrize(
    ("measurement", "expected"),
    [
        (numbers(STUCK, lambda t: 0.5), {UNDER}),
        (numbers(STUCK, lambda t: 0.91), set()),
        (numbers(STUCK, lambda t: 0.5, val_score=lambda t: 0.39), set()),  # a gap
        (numbers(STUCK, lambda t: 0.5, val_score=lambda t: 0.41), {UNDER}),
        (numbers(STUCK, lambda t: 0.5, slower=(0.2,) * 60), set()),  # a plateau, and it is called one
        (without_val(STUCK, lambda t: 0.5), set()),
        (numbers(flat, chance), set()),
        (numbers(decay, lambda t: 0.5), set()),
    ],
)
def test_underfitting(measurement, expected):
    assert judged(measurement) & {UNDER} == expected


@pytest.mark.parametrize(
    ("measurement", "expected"),
    [
        (numbers(score=chance), {APART}),
        (numbers(to(1.86), score=chance), set()),  # 19 %
        (numbers(to(1.82), score=chance), {DISAGREE}),
        (numbers(to(1.17), score=chance), {DISAGREE}),  # 49 %
        (numbers(to(1.13), score=chance), {APART}),  # 51 %
        (numbers(lambda t: 3.0 - 1.8 * t, score=chance), {DISAGREE}),  # only what is below knowing nothing counts
        (numbers(lambda t: 3.0 - 1.9 * t, score=chance), {APART}),
        (without_val(lambda t: 1.8 - 0.9 * t, score=chance), {DISAGREE}),  # it began half a unit better than nothing
        (numbers(to(1.13), score=chance, train=Ignorance(512, math.nan, 0.1)), set()),
        (numbers(score=lambda t: 0.12), {APART}),
        (numbers(score=lambda t: 0.14), set()),
        (numbers(score=chance, train=Ignorance(20, 2.3, 0.1)), set()),
        (numbers(score=lambda t: 0.7, train=Ignorance(512, 2.3, 0.7)), set()),  # accuracy is blind
        (numbers(score=lambda t: 0.0, metric="R²", train=Ignorance(512, 2.3, 0.0)), {APART}),
        (numbers(score=lambda t: math.nan), set()),
        (without_val(lambda t: 1.0 - 0.3 * t, score=chance), set()),  # it began there
    ],
)
def test_loss_metric_disagree(measurement, expected):
    assert judged(measurement) & {DISAGREE, APART} == expected


@pytest.mark.parametrize(
    ("measurement", "expected"),
    [
        (numbers(moved(2.3, 2.25), moved(0.1, 0.21)), {DIFFUSE}),
        (numbers(moved(2.3, 2.25), moved(0.1, 0.19)), set()),
        (numbers(moved(2.3, 2.18), moved(0.1, 0.5)), set()),
        (numbers(moved(2.3, 2.20), moved(0.1, 0.5)), {DIFFUSE}),
        (numbers(moved(2.3, 2.25), moved(0.3, 0.35)), set()),
        (numbers(moved(2.3, 2.25), moved(0.1, 0.5), metric="R²"), set()),
    ],
)
def test_loss_flat_accuracy_rising(measurement, expected):
    assert judged(measurement) & {DIFFUSE} == expected


def test_any_number_can_be_judged():
    small = numbers(slower=(1.0,) * 2)
    few = replace(small.run, losses=small.run.losses[:32], moments=small.run.moments[::4])
    found = list(judged_whatever_the_numbers(NAME, replace(small, run=few), Settings()))
    assert all("loss-diverges" in rules for where, _, rules in found if ".losses[" in where)


def test_nothing_can_be_judged_and_shown():
    empty = Measurement("", 0.1, 300, Run((), (), (), (), (), 0, 0, 0, ()), Ignorance(), Ignorance())
    assert judged(empty) == set()
    assert len(list(find_checks()[NAME].exhibits(empty, Settings()))) == 3


# Messages

WHOLE = "300 updates (10.0 passes)"


@pytest.mark.parametrize(
    ("measurement", "message", "where"),
    [
        (
            numbers(losses=(2.3, 2.2, math.nan)),
            "the loss is nan at update 3.",
            "update 3",
        ),
        (
            numbers(losses=(2.3,) * 280 + (7.0,) * 20),
            "the loss goes from 2.3 to 7 in 300 updates, past 6.9.",
            "update 300",
        ),
        (
            numbers(losses=(2.3,) * 300, shape=flat, score=chance),
            f"the loss goes from 2.3 to 2.3 in {WHOLE}; to know nothing costs 2.3.",
            "",
        ),
        (
            numbers(losses=tuple(2.3 - i / 300 for i in range(300)), shape=lambda t: 2.3 - t, score=rising),
            f"the loss falls in a straight line, from 2.293 to 1.335 in {WHOLE}: at this pace it has a long way to go.",
            "",
        ),
        (
            numbers(losses=(2.3,) * 90 + tuple(0.3 + 2 * math.exp(-i / 20) for i in range(210)), shape=drops_at(0.3)),
            "the loss hardly moves from 2.3 for the first 33% of the run, then falls to 0.3001.",
            "",
        ),
        (
            numbers(STUCK, lambda t: 0.95, slower=(0.25,) * 60, losses=(2.3,) * 10 + (1.0,) * 290),
            f"the loss stands at 1 through the second half of {WHOLE}; 60 more at a tenth of the learning rate, 0.01, "
            "take it to 0.25.",
            "",
        ),
        (
            numbers(moved(2.3, 1.3), losses=(2.3, 0.3) * 150, batch_size=2),
            "with batches of 2, single losses scatter by 1, and all that the loss falls is 1, from 2.3 to 1.3.",
            "",
        ),
        (
            numbers(weights=(weight(0.2), weight(0.3, "V"), weight(0.11, "U"))),
            "an update has 0.3 times the norm of V, the median over the run; about 0.001 is usual. So in W, U.",
            "V",
        ),
        (
            numbers(weights=(weight(), growing(4000.0, name="V"), growing(3000.0, name="U"))),
            "V has grown to 4e+03 times its norm in the run.",
            "V",
        ),
        (
            without_val(lambda t: 2.3 if t < 0.5 else 2.0, weights=(weight(1e-8), weight(3e-8, "V"))),
            "an update has at most 3e-08 times the norm of any weight matrix (V); about 0.001 is usual.",
            "V",
        ),
        (
            numbers(moved(2.3, 0.3), moved(0.1, 0.9), val=moved(2.3, 3.0), val_score=chance, losses=noisy(decay)),
            f"after {WHOLE} the training loss is 0.3 (accuracy 0.9), where to know nothing costs 2.3 (0.1); the "
            "validation loss is 3 (0.1), where that costs 2.3 (0.1).",
            "val",
        ),
        (
            numbers(
                moved(2.3, 0.3), moved(0.1, 0.9), val=moved(1.5, 2.0), val_score=lambda t: 0.6, losses=noisy(decay)
            ),
            "the training accuracy is 0.9, the validation accuracy 0.6, and the validation loss has risen from 1.5 to "
            "2.",
            "val",
        ),
        (
            numbers(STUCK, lambda t: 0.5, losses=(2.3,) * 10 + (1.0,) * 290),
            "the loss is flat at 1; the training accuracy is 0.5, and the validation accuracy 0.5: nothing is "
            "overfitted.",
            "",
        ),
        (
            numbers(moved(2.3, 0.3), chance, val_score=lambda t: 0.1),
            "the training loss falls to 0.3, where to know nothing costs 2.3; but the accuracy of the same examples is "
            "0.1, and one prediction for all has 0.1.",
            "",
        ),
        (
            numbers(moved(2.3, 2.25), moved(0.1, 0.4), losses=noisy(decay)),
            "the training loss goes from 2.3 to 2.25, the accuracy from 0.10 to 0.40: the right score is mostly ahead "
            "by now, but by little.",
            "",
        ),
    ],
)
def test_messages(measurement, message, where):
    found = find_checks()[NAME].judge(measurement, Settings())
    assert [(f.message, f.where) for f in found] == [(message, where)]


def test_the_message_of_a_trainer():
    (found,) = findings(NAME, programs.exploding(0))
    assert found.message.startswith("the loss goes from 1.078 to ")
    assert ". With a learning rate of 1 it reaches 0.12 in 100 steps; with plain gradients instead of" in found.message
    assert found.suggestion == "Train with a learning rate of 1."


# Treatments

NO_FALL = f"the loss goes from 2.3 to 2.3 in {WHOLE}; to know nothing costs 2.3."
OTHERWISE = (
    "See whether a few examples can be memorized (`babysit overfit`); if so, whether inputs and targets belong "
    "together."
)
HIGHER = "a learning rate of 1"


def stood(*treated):
    """What is found where the run came to nothing, and so much was tried."""
    measurement = numbers(flat, chance, losses=(2.3,) * 300, treated=treated)
    (found,) = find_checks()[NAME].judge(measurement, Settings())
    return found


@pytest.mark.parametrize(
    ("treated", "sentence", "suggestion"),
    [
        ((), "", OTHERWISE),
        (
            (Treated(HIGHER, True, 0.25, 100),),
            " With a learning rate of 1 it reaches 0.25 in 100 steps.",
            "Train with a learning rate of 1.",
        ),
        (
            (Treated(HIGHER, False, 2.3, 100), Treated(REDRAWN, False, math.nan, 7)),
            " Tried in vain: a learning rate of 1, weights drawn anew for their nonlinearities.",
            OTHERWISE,
        ),
        (
            (Treated(HIGHER, False, 2.3, 100), Treated(STANDARDIZED, True, 0.5, 100)),
            " With standardized inputs it reaches 0.5 in 100 steps.",
            ADVICE[STANDARDIZED],
        ),
        (
            (Treated(PLAIN, True, 0.1, 50), Treated(REDRAWN, True, 0.5, 100)),  # plain gradients tell the least
            " With weights drawn anew for their nonlinearities it reaches 0.5 in 100 steps; with plain gradients "
            "instead of the program's own update it reaches 0.1 in 50 steps.",
            ADVICE[REDRAWN],
        ),
        (
            (Treated(UNREGULARIZED, True, 0.5, 100), Treated(HIGHER, True, 0.6, 90)),  # the fewest steps first
            " With a learning rate of 1 it reaches 0.6 in 90 steps; with all regularization off it reaches 0.5 in 100 "
            "steps.",
            "Train with a learning rate of 1.",
        ),
        (
            (Treated(PLAIN, True, 0.1, 50),),
            " With plain gradients instead of the program's own update it reaches 0.1 in 50 steps.",
            ADVICE[PLAIN],
        ),
    ],
)
def test_what_cured_a_run_is_told_and_advised(treated, sentence, suggestion):
    found = stood(*treated)
    assert (found.message, found.suggestion) == (NO_FALL + sentence, suggestion)


def test_what_cured_a_run_that_diverged_is_told():
    losses = (2.3,) * 280 + (7.0,) * 20
    cured = numbers(losses=losses, treated=(Treated("a learning rate of 0.01", True, 0.3, 100),))
    (found,) = find_checks()[NAME].judge(cured, Settings())
    assert found.message == (
        "the loss goes from 2.3 to 7 in 300 updates, past 6.9. With a learning rate of 0.01 it reaches 0.3 in 100 "
        "steps."
    )
    assert found.suggestion == "Train with a learning rate of 0.01."
    (untried,) = find_checks()[NAME].judge(numbers(losses=losses), Settings())
    assert untried.suggestion == "Lower the learning rate by a factor of 3 to 10; `babysit lr-scan` names one."


def test_treatments_are_shown():
    measurement = numbers(treated=(Treated(HIGHER, False, 2.3, 100), Treated(STANDARDIZED, True, 0.5, 90)))
    facts = {e.label: e.value for e in shown(measurement) if isinstance(e, Fact)}
    assert facts["tried a learning rate of 1"] == "in vain, loss 2.3 after 100 updates"
    assert facts["tried standardized inputs"] == "cured, loss 0.5 after 90 updates"


def treated(make, seed, **settings):
    return {t.treatment: t.cured for t in measured(NAME, make(seed), **settings)[0].treated}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("make", "cures"),
    [
        (programs.exploding, "a learning rate of 1"),
        (programs.clipped, PLAIN),
        (programs.vanishing_weights, UNREGULARIZED),
        (faults.zero_weights, REDRAWN),
        (faults.zero_inputs, None),
        (faults.wrong_sign, None),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_cures_a_trainer(make, cures, seed):
    tried = treated(make, seed)
    assert len(tried) >= 5
    assert tried[cures] if cures else not any(tried.values())


@pytest.mark.parametrize("make", [faults.healthy, programs.labels_shuffled, programs.linear_on_spirals])
def test_a_run_that_learns_is_not_treated(make):
    """Whatever else is found: treatments are for a loss that explodes or stands."""
    assert treated(make, 0) == {}


def test_treatments_take_so_many_updates_and_can_be_left_out():
    short, _ = measured(NAME, programs.clipped(0), treated=20)
    assert {t.steps for t in short.treated} == {20}
    without, settings = measured(NAME, programs.clipped(0), treatment=False)
    assert without == replace(short, treated=())
    found = [f for f in find_checks()[NAME].judge(without, settings) if f.rule == "loss-not-falling"]
    assert found[0].message.endswith("to know nothing costs 1.099.")
    assert found[0].suggestion == OTHERWISE


def test_a_treated_trainer_is_as_it_was():
    made = programs.vanishing_weights(0)
    before = left(made)
    assert measured(NAME, made, treated=20)[0].treated
    assert differing(before, left(made)) == []


def test_no_treatment_is_an_option_of_the_command(babysit, here):
    (here / "slow.py").write_text(
        "from babysit.lab import demo\n\ndef made(): return demo.assemble(learning_rate=1e-9, optimizer='sgd')\n"
    )
    done, without = (babysit("train", "slow.py:made", "--steps=40", *more) for more in ((), ("--no-treatment",)))
    assert (done.code, without.code) == (1, 1)
    assert "tried a learning rate of 1e-08" in done.out
    assert "learning rate of" not in without.out


# What is shown, and kept


def shown(measurement):
    return list(find_checks()[NAME].exhibits(measurement, Settings()))


def test_facts():
    facts = {e.label: e.value for e in shown(numbers(slower=(0.2,) * 60)) if isinstance(e, Fact)}
    assert facts == {
        "updates": "300 in 300 steps, 10.0 passes of 30 batches, 32 examples each",
        "to know nothing costs": "2.3 / 2.3",
        "loss at the end": "0.1055 / 0.1055 on the validation split",
        "at a tenth of the rate": "0.2 after 60 more updates",
    }
    ended = {e.label: e.value for e in shown(without_val(losses=(2.3, math.nan), batches=0)) if isinstance(e, Fact)}
    assert ended["updates"] == "2 of 300 in 300 steps, 32 examples each"
    assert ended["to know nothing costs"] == "2.3"


def test_curves_and_tables():
    exhibits = shown(numbers())
    loss, accuracy = (e for e in exhibits if isinstance(e, Curve))
    assert list(loss.series) == list(accuracy.series) == ["training", "validation"]
    moved, units = (e for e in exhibits if isinstance(e, Table))
    assert moved.rows == (("W", "1 -> 1", "1.0e-03", "1.0e-01 -> 1.0e-01"),)
    assert units.rows == (("relu1", "relu", "0% -> 0%", "-"),)


def test_the_parameters_shown_are_the_matrices_furthest_from_the_usual_ratio():
    usual = [weight(1e-3, f"W{k}") for k in range(12)]
    odd = [weight(1e-2, "long"), weight(1e-9, "short"), weight(0.3, "bias", axes=1)]
    table = next(e for e in shown(numbers(weights=(*usual, *odd))) if isinstance(e, Table))
    assert len(table.rows) == 10
    assert [row[0] for row in table.rows[-2:]] == ["long", "short"]


def test_a_saved_measurement_is_judged_alike():
    checks = find_checks()
    settings = {name: check.settings() for name, check in checks.items()} | {NAME: Settings(steps=40)}
    plan = planning.plan(Config(settings=settings), checks, NAME)
    report = runner.run(programs.labels_shuffled(0), plan, target="t")
    saved = json.read(json.render(report, Severity.ERROR))
    assert repr(saved.results[0].measurement) == repr(report.results[0].measurement)
    assert runner.conclude(saved, saved.results, plan).findings == report.findings

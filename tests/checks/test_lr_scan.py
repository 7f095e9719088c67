import math
import re
from dataclasses import replace

import faults
import numpy as np
import pytest
from faults import SEEDS, findings, lecture, measured, rate_of, verdict
from rate_trials import BLIND
from trainers import TinyTrainer, blobs

from babysit import Output
from babysit.checks import find_checks
from babysit.checks.lr_scan.rate_search import Search
from babysit.checks.lr_scan.usable_rates import suggestion, usable_range
from babysit.errors import Skip, TargetError
from babysit.tasks.task import Binary

NAME = "lr-scan"
NONE = {("no-usable-learning-rate", "error")}
TOO_LOW = {("learning-rate-too-low", "error")}
TOO_HIGH = {("learning-rate-too-high", "error")}
EDGE = {("range-edge", "warning")}


TRAINERS = [
    (faults.zero_weights, NONE),
    (faults.step_does_nothing, NONE),
    (faults.every_step_skipped, NONE),
    (faults.wrong_sign, NONE),
    (faults.nan_input, NONE),
    (rate_of(1e-6), TOO_LOW),
    (rate_of(1e-6, "sgd"), TOO_LOW),
    (rate_of(100.0, "sgd"), TOO_HIGH),
    (rate_of(1e6), TOO_HIGH),
    (rate_of(1e6, "sgd"), TOO_HIGH),
    (faults.tiny_updates, TOO_LOW | EDGE),
    (faults.huge_updates, TOO_HIGH),
    (faults.healthy, set()),
    (faults.momentum, set()),
    (faults.hinge, set()),
    (faults.batch_norm, set()),
    (faults.zero_head, set()),
    (faults.label_smoothing, set()),
    (faults.negative_loss, set()),
    (faults.sure_sigmoid, set()),
    (faults.one_batch, set()),
    (faults.exclusive_or, set()),
    (faults.noise_floor, set()),
    (faults.targets_far_from_zero, set()),
    (faults.softmax_regression, set()),
    (faults.global_noise, set()),
]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("make", "expected"), TRAINERS, ids=lambda value: getattr(value, "__name__", ""))
def test_verdict(make, expected, seed):
    assert verdict(NAME, make(seed)) == expected


def test_a_rate_of_zero_is_skipped():
    with pytest.raises(Skip) as skipped:
        measured(NAME, faults.rate_of_zero(0))
    assert str(skipped.value) == "the learning rate is 0 at the start (a warm-up?), so there is nothing to scan around"


def test_scores_of_the_wrong_shape_are_no_crash_of_babysit():
    try:
        verdict(NAME, faults.scores_transposed(0))
    except (Skip, TargetError):
        return


# The lecture's numbers


def lecture_at(rate, seed=0):
    made = lecture(seed, sizes=(50, 50, 10))
    made.network.params["affine2.W"] *= 0.1
    made.learning_rate = rate
    return made


@pytest.mark.parametrize("seed", SEEDS)
def test_a_millionth_hardly_moves(seed):
    (found,) = findings(NAME, lecture_at(1e-6, seed))
    assert (found.rule, str(found.severity)) == ("learning-rate-too-low", "error")
    assert re.match("at 1e-06 the loss hardly moves, from 2.303 to 2.303 in (16|80) steps; at ", found.message)
    assert found.evidence["decades"] > 4


@pytest.mark.parametrize("seed", SEEDS)
def test_a_million_explodes(seed):
    (found,) = findings(NAME, lecture_at(1e6, seed))
    assert (found.rule, str(found.severity)) == ("learning-rate-too-high", "error")
    assert found.message.startswith("at 1e+06 the loss explodes in ")


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("own", [1e-6, 1e6])
def test_the_useful_range_lies_between(own, seed):
    measurement, settings = measured(NAME, lecture_at(own, seed))
    usable = usable_range(measurement, settings)
    advice = suggestion(measurement, settings)
    assert 1e-6 < usable[0] <= advice <= usable[1] < 1e6
    assert find_checks()[NAME].judge(measured(NAME, lecture_at(advice, seed))[0], settings) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_accuracy_climbs_while_the_loss_hardly_moves(seed):
    made = lecture(seed, examples=1000)
    made.network.params["affine1.W"] *= 1e-5
    made.learning_rate = 1e-6
    (found,) = findings(NAME, made)
    assert (found.rule, str(found.severity)) == ("learning-rate-too-low", "error")
    assert found.message.startswith("at 1e-06 the loss hardly moves, from 2.303 to 2.303 in 16 steps; at ")
    assert found.message.endswith(
        " all the same: each score moves a little in the right direction, and accuracy counts only which is largest."
    )


# What the scan does


def places(measurement):
    """Where on the lattice around the user's rate the trials lie, two places a decade."""
    return [2 * math.log10(t.learning_rate / measurement.own) for t in measurement.trials]


@pytest.mark.parametrize("rate", [0.02, 0.1, 1e-6, 37.0])
def test_all_rates_lie_on_a_lattice_around_the_user_s(rate):
    measurement, _ = measured(NAME, faults.demo(0, rate=rate))
    assert measurement.own == rate
    assert 0 in places(measurement)
    assert places(measurement) == pytest.approx([round(place) for place in places(measurement)], abs=1e-6)
    assert {t.steps for t in measurement.trials if math.isfinite(t.loss)} == {16}


def test_the_best_rate_lies_inside_and_was_repeated_from_both_sides():
    measurement, settings = measured(NAME, faults.healthy(0))
    rates = [t.learning_rate for t in measurement.trials]
    for again in measurement.repeats:
        assert rates[0] < again.learning_rate < rates[-1]
    assert measurement.exchange.tells(settings.known)
    assert (measurement.obstacle, measurement.longer) == ("", None)


def test_where_nothing_falls_each_decade_is_run_and_all_examples_compared():
    measurement, _ = measured(NAME, faults.wrong_sign(0))
    run = {round(place) for place in places(measurement)}
    assert set(range(-10, 0, 2)) <= run  # from 1e-6 to 0.01, and the user's 0.1
    assert measurement.examples == 300
    assert (measurement.exchange, measurement.longer) == (None, None)


def test_longer_runs_come_last_a_step_above_the_best(monkeypatch):
    made, around = [], Search.around
    monkeypatch.setattr(
        Search, "around", lambda self, rate: made.append((self, rate, self.middle)) or around(self, rate)
    )
    measured(NAME, faults.wrong_sign(0))
    (first, _, _), (second, again, best), (third, longer, _) = made
    assert [one.settings.steps for one in (first, second, third)] == [16, 16, 80]
    assert [one.runs.crossed for one in (first, second, third)] == [False, True, True]
    assert again == best
    assert longer == pytest.approx(second.middle * math.sqrt(10))


def test_a_doubtful_exchange_is_looked_at_again_by_crossed_runs(monkeypatch):
    monkeypatch.setattr(Search, "_exchange", lambda *looks: BLIND)
    measurement, settings = measured(NAME, faults.healthy(0))
    known = measurement.exchange
    assert known.tells(settings.known)
    assert (known.updates, known.learning_rate) == (80, measurement.repeats[-1].learning_rate)


@pytest.mark.parametrize("found", [None, replace(BLIND, exchanged=1.041)])
def test_one_that_tells_or_plays_no_part_is_not(monkeypatch, found):
    monkeypatch.setattr(Search, "_exchange", lambda *looks: found)
    assert measured(NAME, faults.healthy(0))[0].exchange is found


def test_a_plateau_takes_longer_runs():
    measurement, settings = measured(NAME, lecture_at(1e-6, 0))
    assert {t.steps for t in measurement.trials} == {80}
    assert usable_range(measurement, settings)


@pytest.mark.parametrize(("rate", "steps"), [(1e6, None), (10.0, 80)])
def test_a_rate_above_the_best_is_given_longer(rate, steps):
    """Unless it explodes."""
    measurement, _ = measured(NAME, rate_of(rate, "adam")(0), explosion=1e9)
    assert (measurement.longer.steps if measurement.longer else None) == steps


def test_the_range_is_widened_twice_at_most():
    measurement, _ = measured(NAME, faults.tiny_updates(0))
    assert measurement.trials[-1].learning_rate == pytest.approx(1e5)
    assert measured(NAME, faults.tiny_updates(0), widen=1)[0].trials[-1].learning_rate == pytest.approx(1e3)


def test_nothing_is_run_far_beyond_an_explosion():
    measurement, _ = measured(NAME, rate_of(0.1, "momentum")(0), high=1e9)
    assert sum(not math.isfinite(t.loss) for t in measurement.trials) <= 3
    assert measurement.trials[-1].learning_rate < 1e6


def test_the_user_s_rate_is_run_beyond_any_explosion():
    measurement, _ = measured(NAME, rate_of(1e6, "sgd")(0))
    assert measurement.trials[-1].learning_rate == 1e6


def test_updates_are_counted():
    assert measured(NAME, faults.every_step_skipped(0))[0].updates == 0
    measurement, _ = measured(NAME, faults.healthy(0))
    assert measurement.updates >= sum(t.steps for t in measurement.trials)


def test_an_explosion_at_every_rate_widens_the_range_downward():
    def step(trainer, batch):
        output = TinyTrainer.step(trainer, batch)
        return output if trainer.learning_rate < 0.02 else Output(math.nan, 0.0, output.scores)

    measurement, settings = measured(NAME, TinyTrainer(learning_rate=10.0, step=step), low=1.0, high=100.0)
    lower, higher = ([t.loss for t in measurement.trials if (t.learning_rate < 0.02) is low] for low in (True, False))
    assert all(map(math.isfinite, lower))
    assert not any(map(math.isfinite, higher))
    assert usable_range(measurement, settings)[1] == pytest.approx(0.01)


def test_a_penalty_is_part_of_the_loss():
    measurement, _ = measured(NAME, TinyTrainer(strength=10.0))
    plain, _ = measured(NAME, TinyTrainer())
    assert measurement.first_loss > plain.first_loss + 0.005


# Near misses


def clicks(seed, share=0.05, signal=0.0, examples=1000, batch_size=50):
    """One example in twenty is positive, and the inputs tell it by so many of their spreads."""
    draw = np.random.default_rng(seed)
    targets = (np.arange(examples) < share * examples).astype(float)[:, None]
    inputs = draw.normal(size=(examples, 5)) + signal * targets
    order = draw.permutation(examples)
    return faults.program(
        faults.Design(sizes=(5, 30, 1)),
        (inputs[order], targets[order]),
        Binary(),
        seed,
        loss=faults.logistic_loss,
        batch_size=batch_size,
    )


@pytest.mark.parametrize("seed", range(5))
def test_a_loss_that_only_falls_to_the_prior_is_none(seed):
    """From 0.7 to 0.2, as the entropy of one in twenty is, whatever the inputs."""
    (found,) = findings(NAME, clicks(seed))
    assert {(found.rule, str(found.severity))} == NONE
    assert re.fullmatch(
        r"from \S+ to \S+ the loss, 0\.\d+, falls nowhere by more than can be had without a look at the inputs: "
        r"after 80 updates at \S+ it is 0\.\d+, and 0\.\d+ with targets that belong to other inputs\.",
        found.message,
    )
    assert found.evidence["best_loss"] < 0.4 < found.evidence["first_loss"]


def test_nor_is_it_any_where_most_batches_have_no_positives():
    made = [clicks(seed, 0.1, batch_size=8) for seed in range(10)]
    assert [verdict(NAME, one) & NONE for one in made] == [NONE] * 10


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("share", "signal"), [(0.05, 1.5), (0.5, 0.5)])
def test_what_learns_weakly_is_not_none(share, signal, seed):
    assert verdict(NAME, clicks(seed, share, signal)) & NONE == set()


def with_wrong_labels(seed, inputs, labels, flipped, batch_size):
    wrong = np.random.default_rng(seed).choice(len(labels), flipped, replace=False)
    labels[wrong] = (labels[wrong] + 1) % 3
    return TinyTrainer(batch_size=batch_size, splits={"train": (inputs, labels)})


def sorted_blobs(seed, batch_size, flipped=0, examples=240):
    """A loader that doesn't shuffle, and all examples of a class in a row."""
    inputs, labels = blobs(examples, seed=seed)
    order = np.argsort(labels, kind="stable")
    return with_wrong_labels(seed, inputs[order], labels[order], flipped, batch_size)


def in_turn(seed, flipped, batch_size=24, examples=480):
    """The classes take turns in batches of whole turns; some labels are wrong."""
    inputs, labels = blobs(examples, seed=seed)
    order = np.stack([np.flatnonzero(labels == c) for c in range(3)], 1).ravel()
    return with_wrong_labels(seed, inputs[order], labels[order], flipped, batch_size)


def test_classes_in_turn():
    assert verdict(NAME, in_turn(0, 0)) == set()


@pytest.mark.parametrize("batch_size", [10, 20, 40])
def test_sorted_examples(batch_size):
    """The loss falls from 1.09 to 0.06."""
    assert verdict(NAME, sorted_blobs(0, batch_size)) == set()


@pytest.mark.xfail(strict=True, reason="none: in a batch of one class, the wrong label goes where it is as wrong")
@pytest.mark.parametrize("batch_size", [20, 40])
def test_sorted_examples_with_some_wrong_labels(batch_size):
    """The loss falls from 1.1 to 0.3."""
    assert verdict(NAME, sorted_blobs(0, batch_size, flipped=24, examples=480)) == set()


@pytest.mark.parametrize("flipped", [2, 5, 20])
def test_classes_in_turn_with_some_wrong_labels(flipped):
    """The loss falls from 1.09 to 0.1."""
    assert verdict(NAME, in_turn(0, flipped)) == set()


@pytest.mark.parametrize("high", [1e-4, 1e-3])
def test_the_user_s_rate_is_the_best_beyond_the_range(high):
    assert verdict(NAME, TinyTrainer(), low=1e-6, high=high, widen=0) == EDGE

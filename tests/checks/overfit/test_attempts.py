"""Attempts to memorize: what counts as memorized, and from when on their outcome is clear."""

import math
from types import SimpleNamespace

import faults
import numpy as np
import pytest
from faults import SEEDS, lecture, measured, rate_of
from trainers import TinyTrainer

from babysit import Output
from babysit.checks.overfit import Settings
from babysit.checks.overfit.attempts import (
    LENIENT,
    OFTEN,
    Aim,
    _outcome,
    affordable,
    aim_for,
    attempt,
    in_pieces,
    is_hopeless,
)
from babysit.checks.overfit.schema import Attempt, Outcome
from babysit.driving.bench import Bench
from babysit.lab.losses import softmax_loss
from babysit.tasks.task import ChanceLoss, Classification, Regression

AIM = Aim(constant=2.0, loss=0.04, score=0.98, half=0.55)
STEPS, WINDOW = 500, 50  # by default
NEARLY = 0.2  # a tenth of the best constant prediction's loss
DECADE = math.log(10)


def tried(course, score=0.3, **settings):
    """An attempt whose step gives these losses: the course of each step, or a list; and how often it was graded."""
    given = course if callable(course) else lambda step: course[step]
    graded, shown = [], []

    def step(batch):
        return Output(float(given(len(shown))), scores=score)

    def grade(scores, targets):
        graded.append(len(shown))
        return scores

    bench = SimpleNamespace(
        trainer=SimpleNamespace(step=step),
        task=SimpleNamespace(score=grade),
        advance=lambda done, total: shown.append((done, total)),
    )
    made, output = attempt(bench, (None, None), 0.1, AIM, Settings(**settings))
    assert shown == [(i + 1, Settings(**settings).steps) for i in range(len(made.losses))]
    assert output.loss == made.losses[-1] or math.isnan(output.loss)
    return made, graded


def came(course, score=0.3, **settings):
    """What it came to, and when."""
    made, _ = tried(course, score, **settings)
    return made.outcome, len(made.losses)


def falling(rate, start=2.0, floor=0.0):
    return lambda step: floor + (start - floor) * math.exp(-rate * step)


def resting(since, rate):
    """Falls until then, and not any more."""
    return lambda step: 2 * math.exp(-rate * min(step, since))


# What counts as memorized


def test_the_aim_without_uncertainty():
    """A share of what the best constant prediction costs: ten classes, each as often."""
    batch = np.arange(40.0).reshape(20, 2), np.arange(20) % 10
    assert aim_for(Classification(10), batch, 0.02) == Aim(
        pytest.approx(math.log(10)), pytest.approx(0.02 * math.log(10)), pytest.approx(0.98), pytest.approx(0.55)
    )


def test_the_aim_of_targets_that_leave_something():
    """Half of the examples are a toss: ln 2 / 2 is left, a quarter is wrong, and another may be."""
    inputs = np.arange(8.0)[:, None]
    targets = np.array([[0.5, 0.5]] * 4 + [[1.0, 0.0]] * 2 + [[0.0, 1.0]] * 2)
    least, constant = math.log(2) / 2, math.log(2)
    assert aim_for(Classification(2), (inputs, targets), 0.02) == Aim(
        pytest.approx(constant),
        pytest.approx(least + 0.02 * (constant - least)),
        pytest.approx(0.625),
        pytest.approx((0.5 + 0.75) / 2),
    )


def test_the_aim_of_a_regression():
    batch = np.arange(4.0)[:, None], np.array([1.0, 3.0, 5.0, 7.0])
    assert aim_for(Regression(), batch, 0.02) == Aim(*map(pytest.approx, (5.0, 0.1, 0.98, 0.5)))


def test_the_aim_of_what_is_stated():
    aim = aim_for(ChanceLoss(4.0), (np.ones((4, 1)), {"a": np.arange(4)}), 0.02)
    assert (aim.constant, aim.loss, aim.score) == (4.0, pytest.approx(0.08), pytest.approx(0.98))
    assert math.isnan(aim.half)


def test_targets_that_are_all_the_same_are_held_against_chance():
    assert aim_for(Classification(4), (np.arange(3.0)[:, None], np.zeros(3, int)), 0.02).constant == math.log(4)


@pytest.mark.parametrize(
    ("losses", "score", "expected"),
    [
        ((2.0, 0.041), 1.0, None),
        ((2.0, 0.04), 1.0, Outcome.MEMORIZED),
        ((2.0, 0.04), 0.98, Outcome.MEMORIZED),
        ((2.0, 0.04), 0.979, None),
        ((2.0, 0.04), math.nan, Outcome.MEMORIZED),
        ((2.0, math.nan), 1.0, Outcome.DIVERGED),
        ((2.0, math.inf), 1.0, Outcome.DIVERGED),
        ((0.04,) * 29, 0.1, None),  # not yet three windows
        ((0.04,) * 30, 0.1, Outcome.BY_LOSS_ALONE),
        ((0.04,) * 30, 0.549, Outcome.BY_LOSS_ALONE),
        ((0.04,) * 30, 0.55, None),  # half of the way to all right
        ((2.0,) * 10 + (0.04,) * 20, 0.1, Outcome.BY_LOSS_ALONE),
        ((2.0,) * 11 + (0.04,) * 19, 0.1, None),
        ((6.1,) * 5, 0.1, None),  # as high as it began
        ((2.0,) + (6.1,) * 5, 0.1, Outcome.DIVERGED),
        ((2.0,) + (6.1,) * 4, 0.1, None),
        ((2.0,) + (6.0,) * 5, 0.1, None),
        ((2.0,) * 40, 0.1, Outcome.STALLED),
        ((2.0,) * 30, 0.1, Outcome.STALLED),
        ((2.0,) * 29, 0.1, None),
        ((2.0,) * 10 + (1.99,) * 30, 0.1, Outcome.STALLED),
        ((2.0,) * 10 + (1.97,) * 30, 0.1, Outcome.STALLED),
        ((2.0,) * 24 + (1.5,) * 16, 0.1, Outcome.STALLED),  # a window and a half, without hope
        ((0.2,) * 15 + (0.15,) * 30, 0.1, None),  # near enough for hope: three windows
        ((0.2,) * 14 + (0.15,) * 31, 0.1, Outcome.STALLED),
        ((0.152,) * 10 + (0.1505,) * 30, 0.1, Outcome.STALLED),
        ((0.152,) * 10 + (0.1504,) * 30, 0.1, None),
        ((2.0,) * 10 + (1.99,) * 30, 1.0, Outcome.AT_FLOOR),
        ((2.0,) * 40, 1.0, Outcome.STALLED),  # as high as the best constant
    ],
)
def test_what_an_attempt_has_come_to(losses, score, expected):
    aim = Aim(constant=2.0, loss=0.04, score=0.98, half=0.55)
    assert _outcome(list(losses), lambda: score, aim, Settings(window=10)) is expected


# Without hope


def curve(made, log_reached, window=WINDOW, steps=STEPS):
    """So many losses whose log falls in a line, to there at the last step by twice the slope, from 0.5 on."""
    half = window // 2
    middle = made - 1 - (half - 1) / 2  # where the last half of a window has its mean
    rate = (math.log(0.5) - log_reached) / (middle - (made - window) + LENIENT * (steps - made))
    return [0.5 * math.exp(-rate * (step - (made - window))) for step in range(made)]


@pytest.mark.parametrize("made", [150, 155, 300, 400])
@pytest.mark.parametrize(("by", "expected"), [(-1e-9, False), (1e-9, True)])
def test_hope_ends_where_twice_the_slope_just_misses(made, by, expected):
    assert is_hopeless(curve(made, math.log(NEARLY) + by), AIM, Settings()) is expected


@pytest.mark.parametrize(("by", "expected"), [(-1e-9, False), (1e-9, True)])
@pytest.mark.parametrize("window", [5, 20, 51])
def test_so_it_is_with_other_windows(window, by, expected):
    losses = curve(4 * window, math.log(NEARLY) + by, window, 8 * window)
    assert is_hopeless(losses, AIM, Settings(window=window, steps=8 * window)) is expected


@pytest.mark.parametrize(("loss", "expected"), [(0.2, False), (0.2 * (1 - 1e-12), False), (0.2 * (1 + 1e-12), True)])
def test_a_flat_loss_at_the_limit(loss, expected):
    """At a window of 5 halves are of two losses, whose mean is exact."""
    assert is_hopeless([loss] * 100, AIM, Settings(window=5)) is expected


@pytest.mark.parametrize(("loss", "expected"), [(0.3, False), (0.31, True)])
def test_the_aim_is_enough_where_it_is_higher_than_nearly(loss, expected):
    assert is_hopeless([loss] * 200, Aim(constant=2.0, loss=0.305, score=0.98, half=0.5), Settings()) is expected


@pytest.mark.parametrize(("nearly", "expected"), [(0.49, True), (0.51, False)])
def test_how_near_it_must_come_is_a_setting(nearly, expected):
    assert is_hopeless([1.0] * 200, AIM, Settings(nearly=nearly)) is expected


@pytest.mark.parametrize(
    ("made", "expected"), [(0, False), (1, False), (149, False), (150, True), (400, True), (401, False), (500, False)]
)
def test_hope_is_asked_for_from_three_windows_on_until_two_are_left(made, expected):
    assert is_hopeless([2.0] * made, AIM, Settings()) is expected


@pytest.mark.parametrize("loss", [0.0, -0.0, -1.0, math.nan])
@pytest.mark.parametrize("place", [-25, -10, -1])
def test_what_has_no_logarithm_is_not_hopeless(loss, place):
    losses = [2.0] * 200
    losses[place] = loss
    assert is_hopeless(losses, AIM, Settings()) is False


def test_what_lies_before_two_windows_does_not_matter():
    assert is_hopeless([-1.0, 0.0, 1e300] * 50 + [2.0] * 100, AIM, Settings())
    assert not is_hopeless([2.0] * 150 + [0.1] * 50, AIM, Settings())


def test_a_rising_loss_counts_as_a_flat_one():
    """Else a spike of the last window would end what is all but memorized."""
    losses = [0.1] * 150 + [0.1 * math.exp(0.01 * step) for step in range(50)]
    assert not is_hopeless(losses, AIM, Settings())
    assert is_hopeless([20 * loss for loss in losses], AIM, Settings())


# Outcomes of whole attempts


def test_memorized_at_once():
    assert tried([0.01], 1.0)[0] == Attempt(0.1, Outcome.MEMORIZED, (0.01,), 1.0)


@pytest.mark.parametrize(
    ("course", "score", "expected"),
    [
        (falling(0.05), 1.0, (Outcome.MEMORIZED, 80)),  # 2 exp(-0.05 · 79) = 0.0385
        (falling(0.009), 1.0, (Outcome.MEMORIZED, 436)),
        (falling(0.0079), 1.0, (Outcome.MEMORIZED, 497)),
        (falling(0.0079), 0.3, (Outcome.UNFINISHED, 500)),  # the loss alone, but not for two windows
        (falling(0.05), 0.3, (Outcome.BY_LOSS_ALONE, 180)),
        (falling(0.2), 0.3, (Outcome.BY_LOSS_ALONE, 150)),
        (falling(0.2), 0.6, (Outcome.UNFINISHED, 500)),  # more right than by guessing
        (falling(0.1, floor=0.55), 1.0, (Outcome.AT_FLOOR, 150)),
        (falling(0.1, floor=0.55), 0.95, (Outcome.STALLED, 150)),
        (falling(0.05, floor=0.55), 1.0, (Outcome.AT_FLOOR, 150)),
        (lambda step: 2.0, 0.3, (Outcome.STALLED, 150)),
        (lambda step: 2.0, 1.0, (Outcome.STALLED, 150)),  # all right by guessing
        (lambda step: 2.1 + 0.1 * math.sin(step), 0.3, (Outcome.STALLED, 150)),
        (falling(0.001), 0.3, (Outcome.UNFINISHED, 150)),
        (falling(0.001), 1.0, (Outcome.UNFINISHED, 500)),  # all right: a floor may come in sight
        (falling(0.005), 0.3, (Outcome.UNFINISHED, 500)),  # slow, but there is hope
        (lambda step: 2.0 if step < 30 else math.nan, 0.3, (Outcome.DIVERGED, 31)),
        (lambda step: 2.0 if step < 30 else -math.inf, 0.3, (Outcome.DIVERGED, 31)),
        (lambda step: 2.0 * 1.1**step, 0.3, (Outcome.DIVERGED, 37)),  # 25 losses above 6
    ],
)
def test_outcomes(course, score, expected):
    assert came(course, score) == expected


@pytest.mark.parametrize("rate", np.geomspace(math.log(50) / 495, 3, 30))
def test_what_memorizes_in_a_line_takes_the_steps_it_needs_and_no_more(rate):
    needed = 1 + math.ceil(math.log(50) / rate)
    assert came(falling(rate), 1.0) == (Outcome.MEMORIZED, needed)


@pytest.mark.parametrize("rate", np.geomspace(1e-6, DECADE / 2 / STEPS * 0.9, 10))
def test_what_would_not_by_twice_its_slope_takes_a_third_at_most(rate):
    outcome, steps = came(falling(rate))
    assert outcome in (Outcome.STALLED, Outcome.UNFINISHED)
    assert steps == 3 * WINDOW <= STEPS / 3


@pytest.mark.parametrize("since", [0, 25, 50, 74])
def test_a_loss_that_rests_soon_has_stalled_in_a_third_of_the_steps(since):
    assert came(resting(since, 0.005)) == (Outcome.STALLED, 150)


@pytest.mark.parametrize("course", [resting(100, 0.009), resting(200, 0.005), falling(0.05, floor=0.55)])
def test_a_loss_that_rests_later_has_stalled_too(course):
    """It is called slow where less than half is left: a warning in place of an error, and no floor is looked for."""
    assert came(course, 0.95)[0] is Outcome.STALLED


def test_from_two_windows_before_the_end_on_no_attempt_is_ended_for_want_of_hope():
    assert came(resting(400, 0.006)) == (Outcome.UNFINISHED, STEPS)


def test_a_loss_that_was_zero_for_a_moment_is_no_crash():
    losses = [2.0] * 135 + [0.0] * 5 + [1.5] * 60
    assert _outcome(losses, lambda: 1.0, AIM, Settings()) in (None, Outcome.AT_FLOOR)


@pytest.mark.parametrize("steps", [10, 100, 149])
def test_a_small_budget_is_spent(steps):
    assert came(lambda step: 2.0, steps=steps) == (Outcome.UNFINISHED, steps)


@pytest.mark.parametrize(("since", "loss"), [(100, 0.19), (60, 0.15)])
def test_a_rest_below_nearly_is_not_called_before_three_windows(since, loss):
    outcome, steps = came(lambda step: 2.0 if step < since else loss)
    assert outcome is Outcome.STALLED
    assert since + 3 * WINDOW <= steps <= since + 3 * WINDOW + OFTEN


@pytest.mark.parametrize(
    ("course", "score", "times"),
    [
        (falling(0.05), 1.0, 2),  # at the aim, and for the record
        (falling(0.005), 0.3, 1),
        (lambda step: 2.0, 0.3, 1),  # as high as the best constant: nothing to grade
        (falling(0.001), 0.3, None),
    ],
)
def test_the_metric_is_asked_for_where_it_matters_alone(course, score, times):
    _, graded = tried(course, score)
    assert len(graded) == times if times else len(graded) <= 2


# Real ones


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "make",
    [faults.healthy, faults.momentum, faults.hinge, faults.zero_head, faults.batch_norm_and_dropout, lecture],
    ids=lambda make: make.__name__,
)
def test_a_healthy_one_takes_the_steps_it_needs(make, seed):
    found, _ = measured("overfit", make(seed))
    assert found.own.outcome is Outcome.MEMORIZED
    assert found.own.losses[-1] <= found.aim < min(found.own.losses[:-1])


def labels_drawn_anew(seed):
    """Each step has other labels for the same examples."""
    rng = np.random.default_rng(seed)
    made = faults.demo(seed)
    made.network.loss = lambda scores, labels: softmax_loss(scores, rng.permutation(labels))
    return made


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "make",
    [
        faults.mean_over_batch,
        faults.zero_weights,
        faults.step_does_nothing,
        faults.wrong_sign,
        faults.sigmoid_regression,
        faults.tanh_regression,
        labels_drawn_anew,
        rate_of(1e-6),
        rate_of(0.003, "sgd"),
    ],
    ids=lambda make: make.__name__,
)
def test_a_hopeless_one_takes_a_third_of_the_steps_at_most(make, seed):
    found, settings = measured("overfit", make(seed), treatment=False)
    assert found.own.outcome in (Outcome.STALLED, Outcome.UNFINISHED, Outcome.DIVERGED)
    assert len(found.own.losses) <= settings.steps / 3


# How many examples, and how they are stepped on


def loading(size, width=1, count=400):
    """A trainer whose batches have so many examples, each with so many targets."""
    rng = np.random.default_rng(0)
    inputs, targets = rng.normal(size=(count, 6)), rng.integers(0, 3, size=(count, width)).squeeze()

    def batches(trainer, split="train"):
        yield from ((inputs[k : k + size], targets[k : k + size]) for k in range(0, count, size))

    return TinyTrainer(batches=batches)


@pytest.mark.parametrize(
    ("size", "width", "expected"),
    [
        (64, 1, 20),
        (20, 1, 20),
        (5, 1, 20),
        (4, 1, 16),
        (2, 1, 8),
        (1, 1, 8),
        (2, 64, 2),
        (1, 64, 2),
        (8, 64, 8),
        (4, 4, 5),
    ],
)
def test_examples_are_few_where_batches_are_small(size, width, expected):
    assert affordable(Bench(loading(size, width)), 20) == expected


def test_an_accumulating_program_steps_on_usual_batches():
    plain, summing = Bench(loading(4)), Bench(loading(4))
    summing.once("calls for an update", lambda: 8)
    batch = plain.subset(16, most=16)
    assert [len(x) for x, _ in in_pieces(plain, batch)] == [16]
    assert [len(x) for x, _ in in_pieces(summing, batch)] == [4, 4, 4, 4]
    assert [len(x) for x, _ in in_pieces(summing, summing.subset(3, most=3))] == [3]

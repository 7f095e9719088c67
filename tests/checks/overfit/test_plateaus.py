"""Levels at which a loss comes to rest: the least that squashed scores leave, and what each level says."""

import itertools
import math
from dataclasses import replace

import faults
import numpy as np
import pytest

from babysit.checks.overfit import Measurement
from babysit.checks.overfit.plateaus import LAST, NEAR, STILL, cause, squashed_loss
from babysit.checks.overfit.schema import Attempt, Outcome
from babysit.lab.losses import softmax_loss
from babysit.measuring.treatments import PLAIN, REDRAWN, STANDARDIZED, Treated
from babysit.tasks.task import Binary, ChanceLoss, Classification, Hinge, LanguageModel, Regression

LN_2 = math.log(2)
SQUASHED, CONSTANT = math.log1p(9 / math.e), 2.0  # of ten classes, and of none of the levels
SAID = {
    SQUASHED: "the least that scores between 0 and 1 leave: softmax or sigmoid twice",
    CONSTANT: "that of the best constant prediction: the inputs are ignored",
    LN_2: "ln 2, as if every input had two labels: they contradict each other",
}
STILL_SAID = " The loss is exactly the first one: nothing moves."


def attempt(*losses, rate=0.1):
    return Attempt(rate, Outcome.STALLED, losses, 0.5)


def resting(level, start=2.5):
    return attempt(start, *[level] * LAST)


def after(own, *others, treated=(), **changes):
    measured = Measurement(
        metric="accuracy",
        examples=20,
        constant_loss=CONSTANT,
        squashed_loss=SQUASHED,
        aim=0.04,
        attempts=(own, *others),
        treated=treated,
        frozen=(),
        frozen_share=0.0,
        parameters=4,
        variation=3.0,
        least_score=0.0,
        largest_score=1.0,
        least_target=math.nan,
        largest_target=math.nan,
    )
    return cause(replace(measured, **changes))


def plain(loss, cured=False):
    return Treated(PLAIN, cured, loss, 150)


def told(level, at=None):
    return f" It comes to rest at {at or level:.4g}, {SAID[level]}."


# The least loss of squashed scores


@pytest.mark.parametrize("classes", range(2, 11))
def test_squashed_scores_of_classes_leave_what_a_search_finds(classes):
    """The loss falls in the right class's score and rises in all others, so that it is least in a corner."""
    corners = np.array(list(itertools.product((0.0, 1.0), repeat=classes)))
    inside = np.random.default_rng(classes).random((2000, classes))
    found = []
    for label in range(classes):
        losses = [softmax_loss(scores[None], np.array([label]))[0] for scores in corners]
        best = corners[int(np.argmin(losses))]
        assert list(best) == [float(c == label) for c in range(classes)]  # which a softmax and a sigmoid both can give
        found.append(min(losses))
        assert min(softmax_loss(scores[None], np.array([label]))[0] for scores in inside) > found[-1]
    targets = np.arange(3 * classes) % classes
    assert squashed_loss(Classification(classes), targets) == pytest.approx(np.mean(found), rel=1e-12)


@pytest.mark.parametrize("positive", [0, 1, 5, 10, 20])
def test_a_squashed_score_of_two_leaves_what_a_search_finds(positive):
    targets = np.array([1.0] * positive + [0.0] * (20 - positive))[:, None]
    searched = np.linspace(0.0, 1.0, 101)
    least = [min(faults.logistic_loss(np.array([[s]]), t[None])[0] for s in searched) for t in targets]
    assert squashed_loss(Binary(), targets) == pytest.approx(np.mean(least), rel=1e-12)


def test_tokens_and_whole_numbers():
    assert squashed_loss(LanguageModel(50), np.zeros((2, 8), int)) == pytest.approx(math.log1p(49 / math.e))
    share = np.array([1, 0, 0, 0])
    assert squashed_loss(Binary(), share) == pytest.approx((math.log1p(1 / math.e) + 3 * LN_2) / 4)


@pytest.mark.parametrize("task", [Hinge(10), Regression(), ChanceLoss(4.0)])
def test_other_losses_have_no_such_level(task):
    assert math.isnan(squashed_loss(task, np.zeros(4, int)))


@pytest.mark.parametrize("seed", faults.SEEDS)
def test_a_sigmoid_before_the_sigmoid_gets_there(seed):
    measured, _ = faults.measured("overfit", faults.sigmoid_twice(seed))
    assert measured.own.losses[-1] == pytest.approx(measured.squashed_loss, rel=NEAR)


# What a level says


@pytest.mark.parametrize("level", SAID)
@pytest.mark.parametrize(
    ("off", "near"),
    [(0.0, True), (NEAR - 1e-6, True), (1e-6 - NEAR, True), (NEAR + 1e-6, False), (-NEAR - 1e-6, False)],
)
def test_a_level_is_named_where_the_loss_rests_near_it(level, off, near):
    rest = level * (1 + off)
    assert after(resting(rest)) == (told(level, rest) if near else "")


@pytest.mark.parametrize("level", [0.04, 1.0, 2.2, math.nan, math.inf])
def test_other_levels_say_nothing(level):
    assert after(resting(level)) == ""


@pytest.mark.parametrize("wave", [0.01, 0.3])
def test_a_level_is_that_of_the_mean_of_the_last_losses(wave):
    waves = [CONSTANT + wave * (-1) ** i for i in range(2 * LAST)]
    mean = sum(waves[-LAST:]) / LAST
    named = told(CONSTANT, mean) if waves[-1] >= (1 - NEAR) * CONSTANT else ""
    assert after(attempt(2.5, *waves)) == named


def test_what_came_before_the_last_losses_does_not_matter():
    assert after(attempt(2.5, math.nan, 1e9, 0.01, *[CONSTANT] * LAST)) == told(CONSTANT)


@pytest.mark.parametrize(
    ("moved", "said"), [(0.0, True), (0.9 * STILL, True), (-0.9 * STILL, True), (1.1 * STILL, False), (-0.5, False)]
)
def test_the_first_loss_throughout(moved, said):
    assert after(attempt(*[2.3] * LAST, 2.3 * (1 + moved))) == (STILL_SAID if said else "")


def test_that_nothing_moves_is_said_rather_than_where():
    assert after(resting(CONSTANT, start=CONSTANT)) == STILL_SAID


def test_a_first_loss_that_is_come_back_to_is_not_still():
    assert after(attempt(2.3, 2.4, *[2.3] * (LAST - 1))) == ""
    assert after(attempt(*[2.3] * LAST, 2.4)) == ""


@pytest.mark.parametrize("level", SAID)
@pytest.mark.parametrize(("off", "named"), [(1e-6, True), (-1e-6, False), (-0.5, False)])
def test_where_another_rate_got_below_a_level_it_is_none(level, off, named):
    below = level * (1 - NEAR) * (1 + off)
    other = attempt(2.5, below, rate=1.0)
    assert after(resting(level), other) == (told(level) if named else "")
    assert after(resting(level), attempt(2.5, 2.4), other) == (told(level) if named else "")


@pytest.mark.parametrize("level", SAID)
@pytest.mark.parametrize("loss", [math.nan, math.inf, 1e9])
def test_another_rate_that_explodes_takes_no_level_away(level, loss):
    assert after(resting(level), attempt(2.5, loss, rate=10.0)) == told(level)


def test_a_level_below_one_that_was_got_below_can_still_be_one():
    assert after(resting(CONSTANT), resting(SQUASHED), treated=(plain(SQUASHED),)) == told(SQUASHED)


def test_a_regression_never_rests_at_ln_2():
    changes = {"metric": "R²", "squashed_loss": math.nan}
    assert after(resting(LN_2), **changes) == ""
    assert after(resting(LN_2), constant_loss=0.7, **changes) == told(CONSTANT, LN_2)


def test_of_a_binary_task_ln_2_is_that_of_the_best_constant():
    assert after(resting(LN_2), constant_loss=LN_2, squashed_loss=0.5) == told(CONSTANT, LN_2)


def test_levels_near_each_other_are_named_in_order():
    assert after(resting(CONSTANT), squashed_loss=CONSTANT) == told(SQUASHED, CONSTANT)


@pytest.mark.parametrize("level", SAID)
def test_plain_gradients_tell_of_a_level_where_they_failed(level):
    own = attempt(2.5, *[1.1 * level] * LAST)
    assert after(own) == ""
    assert after(own, treated=(plain(1.001 * level),)) == told(level, 1.001 * level)
    assert after(own, treated=(plain(1.001 * level, cured=True),)) == ""


@pytest.mark.parametrize("level", SAID)
def test_plain_gradients_that_got_below_a_level_take_it_away(level):
    assert after(resting(level), treated=(plain(0.9 * level),)) == ""
    assert after(resting(level), treated=(plain(math.nan),)) == told(level)


@pytest.mark.parametrize("level", SAID)
def test_plain_gradients_that_memorized_take_a_level_away(level):
    assert after(resting(level), treated=(plain(0.01, cured=True),)) == ""


@pytest.mark.parametrize("name", [STANDARDIZED, REDRAWN])
def test_other_treatments_tell_of_no_level(name):
    own = attempt(2.5, *[1.1 * CONSTANT] * LAST)
    assert after(own, treated=(Treated(name, False, CONSTANT, 150),)) == ""


@pytest.mark.parametrize("changes", [{"squashed_loss": math.nan}, {"constant_loss": math.nan}])
def test_an_unknown_level_is_not_named(changes):
    level = {"squashed_loss": SQUASHED, "constant_loss": CONSTANT}[next(iter(changes))]
    assert after(resting(level), **changes) == ""


def test_losses_that_are_not_finite_say_nothing():
    assert after(attempt(*[math.nan] * 30)) == ""
    assert after(attempt(math.nan, *[2.4] * LAST)) == ""
    assert after(attempt(2.5, *[CONSTANT] * LAST, math.nan)) == ""


def test_of_an_attempt_of_few_steps_all_losses_count():
    assert after(attempt(2.01, 2.0, 1.99)) == told(CONSTANT)
    assert after(attempt(2.3, 2.3)) == STILL_SAID

import math
from dataclasses import replace

import pytest
from faults import judged_whatever_the_numbers

from babysit.checks import find_checks
from babysit.checks.overfit import Measurement, Settings
from babysit.checks.overfit.schema import Attempt, Outcome
from babysit.measuring.treatments import ADVICE, PLAIN, REDRAWN, STANDARDIZED, Treated
from babysit.report import Fact

NAME = "overfit"
OWN = Attempt(0.1, Outcome.MEMORIZED, (2.3, 1.0, 0.01), 1.0)
CURE = Attempt(0.01, Outcome.MEMORIZED, (2.3, 0.5, 0.02, 0.01), 1.0)
HIGHER_CURE = replace(CURE, learning_rate=1.0)
FAILED = Attempt(0.01, Outcome.STALLED, (2.3, 2.2), 0.3)
HEALTHY = Measurement(
    metric="accuracy",
    examples=20,
    constant_loss=2.0,
    squashed_loss=math.log1p(9 / math.e),
    aim=0.04,
    attempts=(OWN,),
    treated=(),
    frozen=(),
    frozen_share=0.0,
    parameters=4,
    variation=3.0,
    least_score=-5.0,
    largest_score=5.0,
    least_target=math.nan,
    largest_target=math.nan,
)
CANNOT = ("cannot-overfit", "error")
DIVERGES = ("overfit-diverges", "error")
TOO_SLOW = ("overfit-too-slow", "error")
RATHER_SLOW = ("overfit-too-slow", "warning")
FROZEN = ("frozen-parameters", "error")
SLOW_BUT_SURE = ("overfit-too-slow", "info")
SOME_FROZEN = ("frozen-parameters", "warning")
CONSTANT = ("constant-predictions", "error")
FLOOR = ("floor-above-zero", "error")
RANGE = ("output-range", "error")


def judged(**changes):
    check = find_checks()[NAME]
    return {(f.rule, str(f.severity)) for f in check.judge(replace(HEALTHY, **changes), Settings())}


def attempt(outcome, losses=(2.3, 2.2), score=0.3):
    return Attempt(0.1, outcome, losses, score)


def test_healthy_numbers():
    assert judged() == set()


STANDARD = Treated(STANDARDIZED, True, 0.0123, 40)
BY_PLAIN = Treated(PLAIN, True, 0.02, 9)
IN_VAIN = Treated(REDRAWN, False, 2.2, 50)
PLAIN_IN_VAIN = Treated(PLAIN, False, 2.2, 50)
STALLED = attempt(Outcome.STALLED)
UNFINISHED = attempt(Outcome.UNFINISHED)
ON_ITS_WAY = attempt(Outcome.UNFINISHED, (2.3, 0.99))


@pytest.mark.parametrize(
    ("attempts", "expected"),
    [
        ((attempt(Outcome.AT_FLOOR, (2.3, 0.5), 1.0),), set()),
        ((attempt(Outcome.DIVERGED),), {DIVERGES}),
        ((attempt(Outcome.DIVERGED, (2.3, math.nan)), CURE), {DIVERGES}),
        ((STALLED,), {CANNOT}),
        ((STALLED, CURE), {CANNOT}),
        ((STALLED, FAILED), {CANNOT}),
        ((STALLED, HIGHER_CURE), {TOO_SLOW}),
        ((attempt(Outcome.STALLED, (2.3, 1.01)), HIGHER_CURE), {TOO_SLOW}),
        ((attempt(Outcome.STALLED, (2.3, 0.99)), HIGHER_CURE), {RATHER_SLOW}),
        ((attempt(Outcome.STALLED, (2.3, 0.99)),), {CANNOT}),
        ((UNFINISHED,), {CANNOT}),
        ((ON_ITS_WAY,), {RATHER_SLOW}),
        ((attempt(Outcome.UNFINISHED, (2.3, 1.01)),), {CANNOT}),
        ((ON_ITS_WAY, CURE), {CANNOT}),
        ((attempt(Outcome.UNFINISHED, (2.3, 1.0)),), {CANNOT}),  # half of the way is not enough
        ((attempt(Outcome.STALLED, (2.3, 1.0)), HIGHER_CURE), {RATHER_SLOW}),
        ((attempt(Outcome.UNFINISHED, (2.3, 0.201)),), {RATHER_SLOW}),
        ((attempt(Outcome.UNFINISHED, (2.3, 0.2)),), {RATHER_SLOW}),
        ((attempt(Outcome.UNFINISHED, (2.3, 0.199)),), {SLOW_BUT_SURE}),
        ((attempt(Outcome.STALLED, (2.3, 0.199)), HIGHER_CURE), {SLOW_BUT_SURE}),
        ((attempt(Outcome.STALLED, (2.3, 0.199)),), {CANNOT}),
        ((attempt(Outcome.UNFINISHED, (2.3, math.nan)),), {CANNOT}),
        ((attempt(Outcome.BY_LOSS_ALONE, (2.3, 0.01)),), {CANNOT}),
        ((attempt(Outcome.BY_LOSS_ALONE, (2.3, 0.01), math.nan),), {CANNOT}),
    ],
)
def test_outcomes(attempts, expected):
    assert judged(attempts=attempts) == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"frozen": ("W",), "frozen_share": 0.099}, {SOME_FROZEN}),
        ({"frozen": ("W",), "frozen_share": 0.1}, {FROZEN}),
        ({"frozen": ("W",), "frozen_share": 0.01, "attempts": (STALLED,)}, {FROZEN, CANNOT}),
        ({"frozen": ("a", "b", "c", "d"), "frozen_share": 1.0}, set()),
        ({"frozen": (), "parameters": 0}, set()),
        ({"variation": 0.0}, set()),
        ({"variation": 0.0099, "attempts": (STALLED,)}, {CANNOT, CONSTANT}),
        ({"variation": 0.0101, "attempts": (STALLED,)}, {CANNOT}),
        ({"variation": math.nan, "attempts": (STALLED,)}, {CANNOT}),
        ({"variation": 0.0, "attempts": (STALLED, HIGHER_CURE)}, {TOO_SLOW}),
    ],
)
def test_frozen_and_constant(changes, expected):
    assert judged(**changes) == expected


@pytest.mark.parametrize(
    ("least", "largest", "outcome", "expected"),
    [
        (0.0, 1.0, Outcome.AT_FLOOR, {FLOOR}),
        (0.0, 1.0, Outcome.STALLED, {CANNOT, FLOOR}),
        (0.0, 1.0, Outcome.MEMORIZED, set()),
        (0.0, 1.0, Outcome.DIVERGED, {DIVERGES}),
        (0.05, 0.951, Outcome.AT_FLOOR, {FLOOR}),
        (0.05, 0.949, Outcome.AT_FLOOR, set()),
        (-1.0, 1.0, Outcome.AT_FLOOR, {FLOOR}),
        (-0.9, 0.89, Outcome.AT_FLOOR, set()),
        (-1.01, 1.0, Outcome.AT_FLOOR, set()),
        (0.0, 1.01, Outcome.AT_FLOOR, set()),
        (0.0, math.inf, Outcome.AT_FLOOR, set()),
        (math.nan, math.nan, Outcome.AT_FLOOR, set()),
    ],
)
def test_floor_above_zero(least, largest, outcome, expected):
    assert judged(least_score=least, largest_score=largest, attempts=(attempt(outcome),)) == expected


def test_scores_between_minus_one_and_one_by_accident_are_no_floor():
    accident = {"least_score": -0.95, "largest_score": 0.93}
    assert judged(attempts=(STALLED, HIGHER_CURE), **accident) == {TOO_SLOW}  # another rate memorizes
    assert judged(attempts=(ON_ITS_WAY,), **accident) == {RATHER_SLOW}  # the loss has not stopped


LIMITS = ("least_score", "largest_score", "least_target", "largest_target")


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ((0.0, 1.0, -10.0, 10.0), {CANNOT, RANGE}),
        ((0.0, 0.95, 0.0, 1.02), {CANNOT, RANGE}),
        ((0.0, 0.95, 0.0, 1.01), {CANNOT}),
        ((0.0, 0.89, 0.0, 10.0), {CANNOT}),
        ((-1.0, 0.5, -3.0, 0.5), {CANNOT, RANGE}),
        ((-1.0, 0.95, -1.0, 3.0), {CANNOT, RANGE}),
        ((0.0, 7.0, -5.0, 5.0), {CANNOT, RANGE}),
        ((0.0, 7.0, 0.0, 50.0), {CANNOT}),
        ((0.01, 7.0, -5.0, 5.0), {CANNOT}),
        ((-3.0, 7.0, -50.0, 50.0), {CANNOT}),
        ((math.nan, math.nan, -50.0, 50.0), {CANNOT}),
    ],
)
def test_output_range(limits, expected):
    assert judged(metric="R²", attempts=(STALLED,), **dict(zip(LIMITS, limits, strict=True))) == expected


def test_targets_out_of_range_do_not_matter_once_memorized():
    assert judged(metric="R²", least_score=0.0, largest_score=1.0, least_target=0.0, largest_target=10.0) == set()


def test_any_number_can_be_judged():
    failed = replace(HEALTHY, attempts=(STALLED, FAILED))
    for where, wrong, found in judged_whatever_the_numbers(NAME, failed, Settings()):
        assert "cannot-overfit" in found, (where, wrong)


SAID = "20 examples, learning rate 0.1: the loss goes from 2.3 to "
STAYS = SAID + "2.2 in 2 steps, accuracy 0.30; the best constant prediction has 2."
SLOW = SAID + "2.2 in 2 steps, accuracy 0.30, too slow to memorize them."
LOWER, HIGHER = (f" From the same start it memorizes at {rate} in 4 steps." for rate in ("0.01", "1"))
NEITHER = " It does not memorize at 0.01 either."
FRESH = " Tried in vain: weights drawn anew for their nonlinearities."
SCALED = " With standardized inputs it reaches 0.012 in 40 steps."
PLAIN_CURES = " With plain gradients instead of the program's own update it reaches 0.02 in 9 steps."
PLAIN_FAILS = " Tried in vain: plain gradients instead of the program's own update."
WHOLE = " That speaks of network, loss or data, not of the optimizer."
NO_SCORE, RESTS = attempt(Outcome.STALLED, score=math.nan), attempt(Outcome.STALLED, (2.3, *[2.0] * 30))
TO_NAN, TO_INF = (attempt(Outcome.DIVERGED, (2.3, 50.0, wrong)) for wrong in (math.nan, math.inf))
IGNORED = " It comes to rest at 2, that of the best constant prediction: the inputs are ignored."
BY_LOSS = attempt(Outcome.BY_LOSS_ALONE, (2.3, 0.01), 0.25)
OF_ATTEMPTS = [
    ((TO_NAN, CURE), (), SAID + "nan in 3 steps, accuracy 0.30." + LOWER),
    ((TO_INF, FAILED), (), SAID + "inf in 3 steps, accuracy 0.30." + NEITHER),
    ((TO_INF, FAILED), (PLAIN_IN_VAIN,), SAID + "inf in 3 steps, accuracy 0.30." + NEITHER + PLAIN_FAILS + WHOLE),
    ((STALLED, HIGHER_CURE), (), SLOW + HIGHER),
    ((NO_SCORE, FAILED), (), SAID + "2.2 in 2 steps; the best constant prediction has 2." + NEITHER),
    ((STALLED, FAILED, replace(FAILED, learning_rate=1.0)), (), STAYS + " It does not memorize at 0.01, 1 either."),
    ((STALLED, CURE), (), STAYS + LOWER),
    ((BY_LOSS,), (), SAID + "0.01 in 2 steps, accuracy 0.25: what the loss asks for is not what the targets say."),
    ((STALLED,), (STANDARD, IN_VAIN), STAYS + SCALED),
    ((STALLED, FAILED), (IN_VAIN,), STAYS + NEITHER + FRESH),
    ((STALLED,), (PLAIN_IN_VAIN,), STAYS + PLAIN_FAILS + WHOLE),
    ((STALLED,), (STANDARD, PLAIN_IN_VAIN), STAYS + SCALED + WHOLE),
    ((STALLED, CURE), (PLAIN_IN_VAIN,), STAYS + LOWER + PLAIN_FAILS),  # a rate cures: it may be the optimizer
    ((STALLED,), (BY_PLAIN,), STAYS + PLAIN_CURES),
    ((RESTS,), (IN_VAIN,), STAYS.replace("2.2 in 2 ", "2 in 31 ") + IGNORED + FRESH),
    ((STALLED, HIGHER_CURE), (BY_PLAIN,), SLOW + HIGHER + PLAIN_CURES),
    ((ON_ITS_WAY, FAILED), (IN_VAIN,), SLOW.replace("2.2", "0.99") + FRESH),
]
TO_FLOOR = {"attempts": (attempt(Outcome.AT_FLOOR, (2.3, 1.46)),), "least_score": 0.001, "largest_score": 0.999}
SOME_STILL = {"frozen": ("a", "b", "c", "d", "e"), "parameters": 8, "frozen_share": 0.25}
MESSAGES = [
    *(({"attempts": attempts, "treated": treated}, message) for attempts, treated, message in OF_ATTEMPTS),
    (SOME_STILL, "5 of 8 parameters, 25% of all values, never moved in 3 steps: a, b, c, d ...."),
    (TO_FLOOR, "the loss of 20 examples stops at 1.46, with scores between 0.001 and 0.999: squashed into [0, 1]."),
]
IN_R2 = {"metric": "R²", "least_score": 0, "largest_score": 0.99, "least_target": 3.0, "largest_target": 100.0}
BESIDE = [
    ({"variation": 0.001}, "after 2 steps on 20 examples the predictions vary by 0.001 in their scores."),
    (
        {"variation": 0.001, "metric": "R²"},
        "after 2 steps on 20 examples the predictions vary by 0.001 spreads of the targets.",
    ),
    (IN_R2, "targets go from 3 to 100, predictions only from 0 to 0.99: they seem held in [0, 1]."),
]


@pytest.mark.parametrize(("changes", "message"), MESSAGES)
def test_messages(changes, message):
    found = find_checks()[NAME].judge(replace(HEALTHY, **changes), Settings())
    assert [f.message for f in found] == [message]


@pytest.mark.parametrize(("changes", "message"), BESIDE)
def test_messages_beside_that_of_failure(changes, message):
    found = find_checks()[NAME].judge(replace(HEALTHY, attempts=(STALLED,), **changes), Settings())
    assert [f.message for f in found[1:]] == [message]


LOOK = "Look for parameters without gradient, a missing nonlinearity, or a wrong loss."


@pytest.mark.parametrize(
    ("others", "treated", "suggestion"),
    [
        ((), (), LOOK),
        ((FAILED,), (IN_VAIN,), LOOK),
        ((), (IN_VAIN, STANDARD, BY_PLAIN), ADVICE[STANDARDIZED]),
        ((), (BY_PLAIN,), ADVICE[PLAIN]),
        ((CURE,), (), "Lower the learning rate to 0.01."),
        ((CURE,), (STANDARD,), ADVICE[STANDARDIZED]),
        ((CURE,), (BY_PLAIN,), "Lower the learning rate to 0.01."),  # a rate near by: the update is as it should be
        ((replace(CURE, learning_rate=0.001),), (BY_PLAIN,), "Lower the learning rate to 0.001."),
        ((replace(CURE, learning_rate=0.00099),), (BY_PLAIN,), ADVICE[PLAIN]),
        ((replace(CURE, learning_rate=0.00099),), (), "Lower the learning rate to 0.00099."),
    ],
)
def test_the_remedy_is_what_cured_it(others, treated, suggestion):
    measurement = replace(HEALTHY, attempts=(STALLED, *others), treated=treated)
    (found,) = find_checks()[NAME].judge(measurement, Settings())
    assert (found.rule, found.suggestion) == ("cannot-overfit", suggestion)


@pytest.mark.parametrize(
    ("rate", "treated", "suggestion"),
    [
        (1.0, (), "Raise the learning rate to 1."),
        (9.9, (BY_PLAIN,), "Raise the learning rate to 9.9."),
        (11.0, (BY_PLAIN,), ADVICE[PLAIN]),  # the updates are scaled by something else
        (11.0, (STANDARD, BY_PLAIN), ADVICE[STANDARDIZED]),
    ],
)
def test_the_remedy_of_a_slow_attempt(rate, treated, suggestion):
    measurement = replace(HEALTHY, attempts=(STALLED, replace(CURE, learning_rate=rate)), treated=treated)
    (found,) = find_checks()[NAME].judge(measurement, Settings())
    assert (found.rule, found.suggestion) == ("overfit-too-slow", suggestion)


def test_the_remedy_of_one_on_its_way():
    (found,) = find_checks()[NAME].judge(replace(HEALTHY, attempts=(ON_ITS_WAY,)), Settings())
    assert found.suggestion == "Raise the learning rate to about 1, or find what shrinks the updates."


def test_what_was_tried_is_shown():
    measurement = replace(HEALTHY, attempts=(STALLED, FAILED), treated=(STANDARD, IN_VAIN))
    shown = {e.label: e.value for e in find_checks()[NAME].exhibits(measurement, Settings()) if isinstance(e, Fact)}
    assert shown["tried a learning rate of 0.01"] == "stalled, loss 2.2"
    assert shown["tried standardized inputs"] == "cured, loss 0.0123 after 40 updates"
    assert shown[f"tried {REDRAWN}"] == "in vain, loss 2.2 after 50 updates"

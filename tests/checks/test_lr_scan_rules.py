"""Rules and exhibits of `lr-scan`, on plain numbers."""

import math
from dataclasses import replace

import pytest
from faults import judged_whatever_the_numbers
from rate_trials import BLIND, EXPLODED, HEALTHY, exploded, repeated, trial, with_own

from babysit.checks import find_checks
from babysit.checks.lr_scan import Settings
from babysit.checks.lr_scan.schema import Sweep
from babysit.report import Curve, Fact

CHECK = find_checks()["lr-scan"]
NONE = {("no-usable-learning-rate", "error")}
TOO_LOW = {("learning-rate-too-low", "error")}
RATHER_LOW = {("learning-rate-too-low", "warning")}
TOO_HIGH = {("learning-rate-too-high", "error")}
EDGE = {("range-edge", "warning")}
NOISE = repeated(*(replace(t, error=9.0) for t in HEALTHY.trials))
FIRST_THREE, BUT_LAST = HEALTHY.trials[:3], HEALTHY.trials[:4]


def judged(**changes):
    return {(f.rule, str(f.severity)) for f in CHECK.judge(replace(HEALTHY, **changes), Settings())}


def shown(kind, settings=None, **changes):
    return [e for e in CHECK.exhibits(replace(HEALTHY, **changes), settings or Settings()) if isinstance(e, kind)]


def facts(settings=None, **changes):
    return {fact.label: fact.value for fact in shown(Fact, settings, **changes)}


def test_healthy_numbers():
    assert judged() == set()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (NOISE, NONE),
        (with_own(trial(0.1, 0.031), trial(1.0, 0.0), trial(0.01, 0.0)), set()),
        (with_own(trial(0.1, 0.029), trial(1.0, 0.0), trial(0.01, 0.0)), NONE),
        (with_own(trial(0.1, 0.0, error=0.0), trial(1.0, 0.0, error=0.0)), NONE),
        (with_own(exploded(0.1), EXPLODED), NONE),
        ({"repeats": ()}, NONE),
        ({"repeats": (trial(0.1, 0.029), trial(0.01, -1.0))}, NONE),
        ({"repeats": (trial(0.1, 0.031),)}, set()),
        ({"repeats": (trial(0.1, -1.0),)}, NONE),
        ({"repeats": (exploded(0.1),)}, NONE),
        ({"exchange": BLIND}, NONE),
        ({"exchange": replace(BLIND, exchanged=1.039)}, NONE),
        ({"exchange": replace(BLIND, exchanged=1.041)}, set()),
        ({"exchange": replace(BLIND, exchanged=1.041, before=0.05)}, NONE),
        ({"exchange": replace(BLIND, exchanged=9.0, error=math.inf)}, NONE),
        (with_own(trial(0.001, 0.051), *HEALTHY.trials[2:]), set()),
        (with_own(trial(0.001, 0.049), *HEALTHY.trials[2:]), RATHER_LOW),
        (with_own(trial(0.001, 0.0101), *HEALTHY.trials[2:]), RATHER_LOW),
        (with_own(trial(0.001, 0.0099), *HEALTHY.trials[2:]), TOO_LOW),
        (with_own(trial(0.001, -0.1), *HEALTHY.trials[2:]), TOO_LOW),
        (with_own(trial(1.0, 0.051), *FIRST_THREE), set()),
        (with_own(trial(1.0, 0.049), *FIRST_THREE), TOO_HIGH),
        (with_own(trial(1.0, 0.049), *FIRST_THREE, longer=trial(1.0, 0.51)), set()),
        (with_own(trial(1.0, 0.049), *FIRST_THREE, longer=trial(1.0, 0.49)), TOO_HIGH),
        (with_own(trial(1.0, -0.5), *FIRST_THREE, longer=exploded(1.0)), TOO_HIGH),
        (with_own(EXPLODED, *BUT_LAST), TOO_HIGH),
        (with_own(replace(EXPLODED, loss=math.inf, fall=-math.inf), *BUT_LAST), TOO_HIGH),
        (with_own(trial(0.1, 1.0), trial(1.0, 1.1)), EDGE),
        (with_own(trial(0.1, 1.0), trial(0.01, 1.1), trial(1.0, 0.0)), EDGE),
        ({"first_loss": math.nan, **repeated(exploded(0.1), exploded(1.0))}, NONE),
    ],
)
def test_rules(changes, expected):
    assert judged(**changes) == expected


def test_a_rate_that_exploded_did_not_hardly_move():
    assert judged(**with_own(exploded(0.01), *HEALTHY.trials[2:])) == TOO_HIGH


def test_the_repeat_may_make_another_rate_the_best():
    """What the user's rate is held against is then that rate's fall, of both its runs."""
    trials = trial(0.001, 0.0), trial(0.01, 0.8), trial(0.1, 1.0), trial(1.0, 0.0)
    repeats = trial(0.1, 0.4), trial(0.01, 0.9)
    (low,) = CHECK.judge(replace(HEALTHY, own=0.001, trials=trials, repeats=repeats), Settings())
    assert low.message == "at 0.001 the loss hardly moves, from 2 to 2 in 20 steps; at 0.01 it reaches 1.15."
    assert facts(trials=trials, repeats=repeats)["usable range"] == "0.001 to 0.1"


def test_any_number_can_be_judged():
    swept = Sweep((0.1, 1.0, 10.0), (0.0, 0.1, math.nan), 0.2)
    broken = with_own(trial(1.0, 0.049), *FIRST_THREE, longer=trial(1.0, 0.1))
    knowing = {"swept": swept, "exchange": replace(BLIND, exchanged=3.0)}
    for changes in ({}, knowing, broken, NOISE, {"exchange": BLIND}, with_own(trial(1e-6, 0.0), *HEALTHY.trials)):
        assert list(judged_whatever_the_numbers("lr-scan", replace(HEALTHY, **changes), Settings()))


# Messages


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            NOISE,
            "from 0.001 to 10 the loss, 2, falls nowhere by more than noise: the best run, at 0.1, ends at 1, on other "
            "batches at 1, give or take 9.",
        ),
        (
            {"repeats": (trial(0.1, -1.0, error=0.5),)},
            "from 0.001 to 10 the loss, 2, falls nowhere by more than noise: the best run, at 0.1, ends at 1, on other "
            "batches at 3, give or take 0.5.",
        ),
        (
            {"repeats": (), "trials": NOISE["trials"]},
            "from 0.001 to 10 the loss, 2, falls nowhere by more than noise: the best run, at 0.1, ends at 1, give or "
            "take 9.",
        ),
        (
            repeated(exploded(0.1), EXPLODED),
            "from 0.1 to 10 the loss, 2, falls nowhere by more than noise: every run explodes.",
        ),
        (
            {"exchange": BLIND},
            "from 0.001 to 10 the loss, 2, falls nowhere by more than can be had without a look at the inputs: after "
            "20 updates at 0.1 it is 1, and 1.02 with targets that belong to other inputs.",
        ),
        (
            {**repeated(trial(0.1, 0.0), trial(1.0, 0.0)), "obstacle": "no step reported an update"},
            "the loss, 2, falls at no learning rate: no step reported an update.",
        ),
        (
            with_own(trial(1e-6, 0.0, score=0.15), *HEALTHY.trials),
            "at 1e-06 the loss hardly moves, from 2 to 2 in 20 steps; at 0.1 it reaches 1.",
        ),
        (
            with_own(trial(1e-6, 0.0, score=0.2), *HEALTHY.trials),
            "at 1e-06 the loss hardly moves, from 2 to 2 in 20 steps; at 0.1 it reaches 1. Accuracy climbs from 0.10 "
            "to 0.20 all the same: each score moves a little in the right direction, and accuracy counts only which is "
            "largest.",
        ),
        (with_own(EXPLODED, *BUT_LAST), "at 10 the loss explodes in 3 steps; at 0.1 it reaches 1."),
        (
            with_own(trial(1.0, -0.5), *FIRST_THREE, longer=trial(1.0, -0.25, steps=100)),
            "at 1 the loss goes from 2 to 2.25 in 100 steps; at 0.1 it reaches 1.",
        ),
        (
            with_own(trial(0.1, 1.0), trial(1.0, 1.1)),
            "the lowest loss, 0.9, is reached at 1, the end of the range 0.1 to 1.",
        ),
    ],
)
def test_messages(changes, message):
    found = CHECK.judge(replace(HEALTHY, **changes), Settings())
    assert [f.message for f in found] == [message]


VERTEX = 10 ** (-1.5 + 0.8 / 1.8)  # of a parabola that rises by 0.8 to 0.1 and drops by 1: what explodes counts as 0
SUGGESTED = VERTEX / math.sqrt(200 / 20)


def test_the_suggestion_is_named():
    (low,) = CHECK.judge(replace(HEALTHY, **with_own(trial(1e-6, 0.0), *HEALTHY.trials)), Settings())
    assert low.suggestion == "Raise the learning rate to about 0.028."
    assert low.evidence["suggestion_rate"] == pytest.approx(SUGGESTED)
    assert low.evidence["decades"] == pytest.approx(math.log10(SUGGESTED / 1e-6))
    assert low.evidence["spread"] == 0.0
    (high,) = CHECK.judge(replace(HEALTHY, **with_own(EXPLODED, *BUT_LAST)), Settings())
    assert high.suggestion == "Lower the learning rate to about 0.028."
    assert high.evidence["decades"] == pytest.approx(math.log10(10 / SUGGESTED))


def test_the_suggestion_is_for_the_horizon():
    mine = replace(HEALTHY, **with_own(EXPLODED, *BUT_LAST))
    (high,) = CHECK.judge(mine, Settings(horizon=20))
    assert high.suggestion == "Lower the learning rate to about 0.088."


# Exhibits


def test_facts():
    assert facts() == {
        "usable range": "0.0025 to 0.1",
        "suggestion": "0.028, for 200 updates",
        "confidence": "0.00 decades between two runs on different batches",
        "the loss rises at and above": "1",
        "your learning rate, 0.1": "2 to 1 in 20 steps, 0.6 decades above the suggestion",
    }


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (with_own(trial(1e-6, 0.0), *HEALTHY.trials), "2 to 2 in 20 steps, 4.4 decades below the suggestion"),
        (with_own(EXPLODED, *BUT_LAST), "the loss explodes in 3 steps, 2.6 decades above the suggestion"),
        (NOISE, "2 to 1 in 20 steps"),
    ],
)
def test_how_far_the_user_s_rate_is_from_the_suggestion(changes, expected):
    own = changes.get("own", HEALTHY.own)
    assert facts(**changes)[f"your learning rate, {own:.3g}"] == expected


def test_none_is_a_fact():
    found = facts(**NOISE)
    assert found["usable range"] == "none"
    assert "suggestion" not in found
    assert "confidence" not in found


def test_a_loss_that_rises_nowhere_is_a_fact():
    assert facts(**repeated(trial(0.1, 1.0), trial(1.0, 0.5)))["the loss rises at and above"] == "no rate tried"


def test_the_curve_says_what_its_rates_are_good_for():
    (curve,) = shown(Curve)
    assert curve.title == "loss after 20 updates"
    assert curve.x == (0.001, 0.01, 0.1, 1.0, 10.0)
    assert curve.series["loss"][:4] == (1.98, 1.8, 1.0, 2.5)
    assert math.isnan(curve.series["loss"][4])
    assert curve.marks == {"yours": 0.1, "suggestion": pytest.approx(SUGGESTED)}
    low = pytest.approx(0.0025)
    assert curve.bands == {"too low": (pytest.approx(0.00025), low), "usable": (low, 0.1), "too high": (1.0, 10.0)}
    assert (curve.log_x, curve.log_y) == (True, False)


def test_without_a_range_the_curve_has_no_bands():
    (curve,) = shown(Curve, **NOISE)
    assert (curve.marks, curve.bands) == ({"yours": 0.1}, {})


@pytest.mark.parametrize(
    ("lowest", "highest", "low", "high"), [(1e-9, 100.0, 1e-9, 100.0), (0.001, 1.0, 0.00025, 10.0)]
)
def test_bands_reach_to_the_last_rates_and_a_decade_beyond_the_limits_at_least(lowest, highest, low, high):
    trials = trial(lowest, 0.0), *HEALTHY.trials[1:3], trial(1.0, -0.5), *([EXPLODED] if highest > 1 else [])
    trials = (*trials, exploded(highest)) if highest > 1 else trials
    (curve,) = shown(Curve, **repeated(*trials))
    assert curve.bands["too low"][0] == pytest.approx(low)
    assert curve.bands["too high"] == (1.0, high)


def test_where_the_loss_rises_nowhere_no_band_is_too_high():
    (curve,) = shown(Curve, **repeated(trial(0.1, 1.0), trial(1.0, 0.5)))
    assert list(curve.bands) == ["too low", "usable"]


def test_without_plot_no_curve_is_shown():
    assert shown(Curve, Settings(plot=False)) == []
    assert facts(Settings(plot=False)) == facts()


@pytest.mark.parametrize(("fall", "log_y"), [(1.79, False), (1.81, True), (2.5, False)])
def test_losses_over_a_decade_are_shown_in_decades(fall, log_y):
    (curve,) = shown(Curve, **repeated(trial(0.01, 0.0), trial(0.1, fall), trial(1.0, -0.05)))
    assert curve.log_y is log_y

"""Every fault of the lab against every check: what each is found as, and that nothing else is."""

import pytest

from babysit import runner, seeds
from babysit.check import find_checks
from babysit.config import Config
from babysit.lab import demo
from babysit.lab.faults import FAULTS
from babysit.report import Severity, Status

CHECKS = find_checks()
PLAN = runner.plan(Config(settings={name: check.settings() for name, check in CHECKS.items()}), CHECKS)

E, W, I = Severity.ERROR, Severity.WARNING, Severity.INFO  # noqa: E741
EXPECTED = {
    "dead-relu-by-bias": {"dead-relu": E, "cannot-overfit": E},
    "dead-relu-by-learning-rate": {"killed-by-learning-rate": W},
    "saturated-tanh": {"saturated-activation": E},
    "zero-weights": {
        "constant-activation": E,
        "inputs-ignored": E,
        "cannot-overfit": E,
        "no-usable-learning-rate": E,
        "frozen-parameters": E,
        "constant-predictions": E,
    },
    "small-weights-deep": {
        "inputs-ignored": E,
        "cannot-overfit": E,
        "no-usable-learning-rate": E,
        "constant-predictions": E,
    },
    "constant-predictions": {
        "constant-predictions": E,
        "cannot-overfit": E,
        "learning-rate-too-low": E,
        "same-sign-gradient": W,
    },
    "large-weights": {"confident-at-init": E},
    "softmax-twice": {"normalized-scores": E, "cannot-overfit": E, "floor-above-zero": E},
    "summed-loss": {"summed-loss": W, "unexpected-initial-loss": W},
    "nan-input": {"non-finite-loss": E},
    "too-many-scores": {"task-mismatch": E},
    "regularization-ignored": {"regularization-without-effect": E},
    "penalty-minus-sign": {"regularization-lowers-loss": E},
    "penalty-too-strong": {"regularization-dominates": E},
    "penalty-without-gradient": {"decay-not-applied": E},
    "learning-rate-too-low": {"learning-rate-too-low": E, "overfit-too-slow": E},
    "learning-rate-too-high": {"learning-rate-too-high": E, "overfit-diverges": E},
    "frozen-layer": {"frozen-parameters": E, "overfit-too-slow": E},
    "sigmoid-regression": {"output-range": E, "cannot-overfit": E, "constant-predictions": E},
    "idle-maxout-piece": {"idle-maxout-piece": W},
    "collapsed-slope": {"collapsed-slope": W},
    "same-sign-gradient": {"same-sign-gradient": I},
    "evaluation-moves-statistics": {"evaluate-changes-state": E},
    "momentum-not-saved": {"state-not-restored": E},
    "step-does-nothing": {"step-changes-nothing": E, "cannot-overfit": E},
}


def report_on(make, seed=0):
    seeds.seed_everything(seed)
    return runner.run(make(), PLAN, target="lab", seed=seed)


def found(report):
    return {finding.rule: finding.severity for finding in report.findings}


def test_every_fault_has_its_row():
    assert set(EXPECTED) == set(FAULTS)


@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_found_first_and_nothing_unexpected_with_it(name):
    report = report_on(lambda: FAULTS[name].make(0))
    assert report.findings[0].rule == FAULTS[name].rule
    assert found(report) == EXPECTED[name]
    assert not [result for result in report.results if result.status is Status.CRASHED]


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_found_first_whatever_the_seed(name, seed):
    report = report_on(lambda: FAULTS[name].make(seed), seed)
    assert report.findings[0].rule == FAULTS[name].rule
    assert report.findings[0].severity == EXPECTED[name][FAULTS[name].rule]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("activation", demo.INITIALIZATION)
def test_healthy_demo_is_silent(activation, seed):
    report = report_on(lambda: demo.trainer(activation, seed=seed), seed)
    assert report.findings == ()
    assert {result.status for result in report.results} == {Status.PASSED}


def test_each_rule_of_the_six_checks_that_the_lecture_explains_has_a_fault():
    assert {fault.rule for fault in FAULTS.values()} >= {
        "dead-relu", "killed-by-learning-rate", "saturated-activation", "same-sign-gradient", "idle-maxout-piece",
        "collapsed-slope", "non-finite-loss", "normalized-scores", "summed-loss", "inputs-ignored", "confident-at-init",
        "regularization-without-effect", "regularization-lowers-loss", "regularization-dominates", "decay-not-applied",
        "frozen-parameters", "constant-predictions", "output-range", "learning-rate-too-low", "learning-rate-too-high",
    }  # fmt: skip

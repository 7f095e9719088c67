"""Every fault of the lab against every check: what each is found as, and that nothing else is."""

import pytest

from babysit import runner, seeds
from babysit.checks import find_checks
from babysit.commands.plan import plan
from babysit.config.file import Config
from babysit.lab import demo
from babysit.lab.faults import FAULTS
from babysit.report import Severity, Status

CHECKS = find_checks()
PLAN = plan(Config(settings={name: check.settings() for name, check in CHECKS.items()}), CHECKS)

E, W, I = Severity.ERROR, Severity.WARNING, Severity.INFO  # noqa: E741
EXPECTED = {
    "evaluation-moves-statistics": {
        "evaluate-changes-state": E,
        "batch-leak": E,
        "overfitting-gap": E,
        "redundant-bias": I,
    },
    "momentum-not-saved": {"state-not-restored": E},
    "step-does-nothing": {"step-changes-nothing": E, "cannot-overfit": E},
    "nan-input": {"inputs-not-finite": E, "non-finite-loss": E},
    "labels-below-zero": {"labels-out-of-range": E, "task-mismatch": E, "missing-classes": W},
    "label-among-inputs": {"target-leak": E},
    "integer-division": {
        "constant-features": E,
        "dead-relu": E,
        "cannot-overfit": E,
        "loss-not-falling": E,
        "update-ratio-out-of-range": E,
        "frozen-parameters": E,
        "constant-predictions": E,
        "inputs-ignored": E,
        "regularization-dominates": E,
        "no-usable-learning-rate": E,
    },
    "column-in-other-units": {
        "feature-scales-differ": E,
        "inputs-badly-scaled": E,
        "confident-at-init": E,
        "cannot-overfit": E,
        "no-usable-learning-rate": I,
    },
    "inputs-never-scaled": {
        "inputs-badly-scaled": E,
        "confident-at-init": E,
        "cannot-overfit": E,
        "learning-rate-too-high": E,
    },
    "inputs-off-center": {
        "inputs-not-centered": E,
        "inputs-badly-scaled": W,
        "dead-relu": W,
        "killed-by-learning-rate": W,
        "same-sign-gradient": W,
        "confident-at-init": E,
        "cannot-overfit": E,
        "learning-rate-too-high": E,
    },
    "labels-divided": {"missing-classes": E, "split-statistics-differ": E, "overfitting-gap": W},
    "validation-scaled-by-itself": {"split-statistics-differ": E},
    "validation-not-scaled": {"split-statistics-differ": E, "overfitting-gap": W},
    "validation-in-training": {"split-overlap": E},
    "never-shuffled": {"unshuffled-batches": E},
    "scaled-by-batch": {"per-batch-preprocessing": E, "split-statistics-differ": E, "overfitting-gap": E},
    "zero-weights": {
        "symmetric-weights": E,
        "constant-activation": E,
        "inputs-ignored": E,
        "cannot-overfit": E,
        "no-usable-learning-rate": E,
        "loss-not-falling": E,
        "frozen-parameters": E,
        "constant-predictions": E,
    },
    "small-weights-deep": {
        "mis-scaled-weights": E,
        "shrinking-activations": E,
        "inputs-ignored": E,
        "cannot-overfit": E,
        "no-usable-learning-rate": E,
        "loss-not-falling": E,
        "constant-predictions": E,
    },
    "large-weights": {"confident-at-init": E},
    "saturated-tanh": {"mis-scaled-weights": E, "saturated-activation": E},
    "weights-twice-too-wide": {"exploding-activations": E, "confident-at-init": E},
    "ten-sigmoids": {
        "shrinking-activations": E,
        "vanishing-gradient": E,
        "cannot-overfit": E,
        "no-usable-learning-rate": E,
        "loss-not-falling": E,
        "update-ratio-out-of-range": W,
        "constant-predictions": E,
        "constant-activation": E,
        "same-sign-gradient": W,
        "inputs-ignored": E,
    },
    "dead-relu-by-bias": {"dead-relu": E, "cannot-overfit": E},
    "dead-relu-by-learning-rate": {"killed-by-learning-rate": W, "underfitting": I},
    "saturated-by-bias": {"saturated-activation": E},
    "idle-maxout-piece": {"idle-maxout-piece": W},
    "collapsed-slope": {"collapsed-slope": W},
    "same-sign-gradient": {"same-sign-gradient": I},
    "statistics-frozen": {"frozen-statistics": E, "redundant-bias": I},
    "batches-of-two-normalized": {
        "tiny-norm-batch": E,
        "noisy-loss": W,
        "redundant-bias": I,
    },
    "statistics-of-every-batch": {"batch-leak": E, "overfitting-gap": E, "redundant-bias": I},
    "softmax-over-batch": {"batch-leak": E, "overfitting-gap": E},
    "zero-gamma": {
        "zero-gamma": E,
        "dead-relu": E,
        "inputs-ignored": E,
        "cannot-overfit": E,
        "loss-not-falling": E,
        "update-ratio-out-of-range": E,
        "frozen-parameters": E,
        "constant-predictions": E,
        "regularization-dominates": E,
        "no-usable-learning-rate": E,
    },
    "softmax-twice": {"normalized-scores": E, "cannot-overfit": E, "floor-above-zero": E},
    "summed-loss": {"summed-loss": W, "unexpected-initial-loss": W},
    "log-of-raw-scores": {"non-finite-loss": E},
    "too-many-scores": {"task-mismatch": E},
    "sigmoid-regression": {
        "output-range": E,
        "targets-badly-scaled": W,
        "cannot-overfit": E,
        "loss-not-falling": E,
        "constant-predictions": E,
        "no-usable-learning-rate": E,
    },
    "regularization-ignored": {"regularization-without-effect": E},
    "penalty-minus-sign": {"regularization-lowers-loss": E},
    "penalty-too-strong": {"regularization-dominates": E, "loss-not-falling": E, "update-ratio-out-of-range": E},
    "penalty-without-gradient": {"decay-not-applied": E, "wrong-gradient": E},
    "relu-masked-by-gradient": {"wrong-gradient": E, "cannot-overfit": E, "underfitting": I},
    "gradient-not-averaged": {"wrong-gradient": E},
    "layer-detached": {"missing-gradient": E, "frozen-parameters": W},
    "gradients-accumulate": {"accumulated-gradient": E},
    "learning-rate-too-low": {"learning-rate-too-low": E, "overfit-too-slow": E, "loss-not-falling": E},
    "learning-rate-too-high": {"learning-rate-too-high": E, "overfit-diverges": E, "loss-diverges": E},
    "frozen-layer": {"frozen-parameters": E, "overfit-too-slow": E, "loss-not-falling": W},
    "labels-shuffled": {"overfitting-gap": E},
    "batches-of-one": {"noisy-loss": W},
    "rate-finder-left-in": {"loss-diverges": E},
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
    assert report.findings[0].severity.rank <= EXPECTED[name][FAULTS[name].rule].rank


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("activation", demo.INITIALIZATION)
def test_healthy_demo_is_silent(activation, seed):
    report = report_on(lambda: demo.trainer(activation, seed=seed), seed)
    assert report.findings == ()
    assert {result.status for result in report.results} == {Status.PASSED}


SYMPTOMS = {  # of many faults, and never the root of one
    *("unexpected-initial-loss", "inputs-ignored", "constant-activation", "constant-predictions", "floor-above-zero"),
    *("cannot-overfit", "overfit-too-slow", "overfit-diverges", "no-usable-learning-rate", "range-edge"),
    *("vanishing-gradient", "exploding-gradient", "train-eval-gap", "loss-not-falling", "slow-start", "loss-plateau"),
    *("update-ratio-out-of-range", "underfitting", "loss-metric-disagree", "loss-flat-accuracy-rising"),
}
MENTIONED = {"class-imbalance", "targets-badly-scaled", "redundant-bias"}  # no error by itself
OF_THE_ADAPTER = {"bad-output", "nondeterministic-evaluation"}  # what the lab's own trainer doesn't do


def test_each_rule_has_a_fault():
    alone = {rule for name, check in CHECKS.items() if check.usual for rule in check.rules}
    assert {fault.rule for fault in FAULTS.values()} == alone - SYMPTOMS - MENTIONED - OF_THE_ADAPTER

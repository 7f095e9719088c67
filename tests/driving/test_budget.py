import ast
import inspect
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from babysit.checks import find_checks, find_rules
from babysit.diagnosis import causes, diagnose, excuses
from babysit.diagnosis.consequences import EXPLAINS, explained_by
from babysit.driving.budget import EVALUATION, WORTH, Budget, Needs, Share, estimate, evaluations, read_budget, shares
from babysit.report import Severity


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("60s", Budget(60.0, in_steps=False)),
        ("0.5s", Budget(0.5, in_steps=False)),
        ("5m", Budget(300.0, in_steps=False)),
        ("2h", Budget(7200.0, in_steps=False)),
        ("1.5h", Budget(5400.0, in_steps=False)),
        ("200steps", Budget(200.0, in_steps=True)),
        ("1step", Budget(1.0, in_steps=True)),
        (" 200 steps ", Budget(200.0, in_steps=True)),
    ],
)
def test_a_budget_as_it_is_written(text, budget):
    assert read_budget(text) == budget


@pytest.mark.parametrize(
    "text", ["0", "0s", "0.0steps", "-5s", "1parsec", "", "60", "s", "nan", "infs", "1e3s", "5 m s"]
)
def test_what_is_no_budget(text):
    with pytest.raises(ValueError, match=r"^budget must be a time as 60s, 5m or 2h, or training steps as 200steps"):
        read_budget(text)


NEEDS = {"train": Needs(60.0, 300.0), "overfit": Needs(50.0, 150.0), "check-loss": Needs(10.0, 10.0)}


@pytest.mark.parametrize(
    ("left", "steps", "spare"),
    [
        (5.0, {"check-loss": None, "overfit": None, "train": None}, 5.0),
        (10.0, {"check-loss": 10.0, "overfit": None, "train": None}, 0.0),
        (59.0, {"check-loss": 10.0, "overfit": None, "train": None}, 49.0),
        (70.0, {"check-loss": 10.0, "overfit": 60.0, "train": None}, 0.0),
        (120.0, {"check-loss": 10.0, "overfit": 50.0, "train": 60.0}, 0.0),
        (200.0, {"check-loss": 10.0, "overfit": 130.0, "train": 60.0}, 0.0),
        (300.0, {"check-loss": 10.0, "overfit": 150.0, "train": 140.0}, 0.0),
        (500.0, {"check-loss": 10.0, "overfit": 150.0, "train": 300.0}, 40.0),
    ],
)
def test_the_least_goes_first_and_then_what_is_usual_in_the_order_of_worth(left, steps, spare):
    found, over = shares(NEEDS, left)
    assert {name: share.steps if share.granted else None for name, share in found.items()} == steps
    assert over == spare


def test_what_was_left_for_one_that_gets_nothing():
    assert shares(NEEDS, 100.0)[0]["train"] == Share(40.0, granted=False)


def test_one_that_gets_nothing_leaves_it_to_the_cheaper():
    found, _ = shares({"overfit": Needs(50.0, 150.0), "check-grad": Needs(20.0, 20.0)}, 30.0)
    assert {name: share.granted for name, share in found.items()} == {"overfit": False, "check-grad": True}


def test_nothing_to_share():
    assert shares({}, 7.0) == ({}, 7.0)
    assert shares({"check-data": Needs()}, 0.0) == ({"check-data": Share(0.0, granted=True)}, 0.0)


AMOUNTS = st.floats(0.0, 1e9)


@given(
    st.dictionaries(st.sampled_from(WORTH), st.tuples(AMOUNTS, AMOUNTS)),
    AMOUNTS,
)
def test_no_more_is_given_than_there_is(needs, left):
    found, spare = shares({name: Needs(min(pair), max(pair)) for name, pair in needs.items()}, left)
    given_out = sum(share.steps for share in found.values() if share.granted)
    assert given_out + spare == pytest.approx(left, rel=1e-9, abs=1e-3)


def test_every_check_of_a_run_has_a_worth():
    assert {name for name, check in find_checks().items() if not check.alone} == set(WORTH)


def test_the_first_loss_one_step_20_examples_and_the_rate_go_before_the_long_run():
    first = ("check-target", "check-loss", "overfit", "lr-scan")
    assert WORTH[:4] == first
    assert WORTH.index("train") > WORTH.index("lr-scan")


@pytest.mark.parametrize("batch", [1, 32, 10_000])
@pytest.mark.parametrize("name", WORTH)
def test_what_checks_need(name, batch):
    check = find_checks()[name]
    needs = check.needs(check.settings(), batch)
    assert 0 <= needs.least <= needs.usual < math.inf
    assert check.shortened(check.settings(), math.inf, batch) == check.settings()


@pytest.mark.parametrize(("steps", "expected"), [(600.0, 300), (275.0, 245), (100.0, 86), (0.0, 1)])
def test_a_shorter_run_of_training_fits(steps, expected):
    train = find_checks()["train"]
    found = train.shortened(train.settings(), steps, 512)
    assert found.steps == expected
    assert not found.treatment
    assert train.needs(found, 512).usual <= max(steps, train.needs(found, 512).least)


def test_a_run_in_epochs_is_not_shortened():
    train = find_checks()["train"]
    assert train.shortened(train.settings(epochs=3), 100.0, 512).epochs == 3
    assert train.shortened(train.settings(epochs=3), 100.0, 512).steps == 300


@pytest.mark.parametrize(("steps", "treatment"), [(1999.0, False), (2000.0, True)])
def test_memorizing_is_not_cut_short_but_not_treated_either(steps, treatment):
    overfit = find_checks()["overfit"]
    assert overfit.shortened(overfit.settings(), steps, 32) == overfit.settings(treatment=treatment)


def test_evaluations_are_a_third_of_a_step_in_whole_batches():
    assert evaluations(512, 64) == 8 * EVALUATION
    assert evaluations(513, 64) == 9 * EVALUATION
    assert evaluations(10, 0) == 10 * EVALUATION


@pytest.mark.parametrize(
    ("steps", "seconds", "text"),
    [
        (653.0, 0.8, "about 650 steps of 0.8 s: 9 minutes"),
        (99.4, 0.0204, "about 99 steps of 20 ms: 2 seconds"),
        (0.2, 1e-6, "about 1 step of 0.001 ms: 1 second"),
        (650.0, 0.19, "about 650 steps of 0.19 s: 2 minutes"),
        (650.0, 0.18, "about 650 steps of 0.18 s: 117 seconds"),
        (650.0, 12.0, "about 650 steps of 12 s: 2.2 hours"),
        (650.0, 120.0, "about 650 steps of 1.2e+02 s: 22 hours"),
    ],
)
def test_an_estimate_in_words(steps, seconds, text):
    assert estimate(steps, seconds) == text


def spoken_of_in_diagnose():
    """Ids of rules that `diagnose` names: those that it lowers, advises on, or makes causes and consequences."""
    nodes = (node for module in (causes, excuses) for node in ast.walk(ast.parse(inspect.getsource(module))))
    return {node.value for node in nodes if isinstance(node, ast.Constant)} & set(find_rules())


def test_certain_are_those_that_nothing_lowers_or_explains():
    consequences = {rule for explained in EXPLAINS.values() for rule in explained}
    certain = {id for id, (_, rule) in find_rules().items() if rule.certain}
    assert len(spoken_of_in_diagnose()) > 10
    assert not certain & (consequences | spoken_of_in_diagnose())
    left = {id for id, (check, _) in find_rules().items() if not check.alone}
    assert left - certain - consequences - spoken_of_in_diagnose() == {"redundant-bias"}  # which is never an error


def test_the_certain_findings_stay_errors_beside_one_another():
    rules = [rule for _, rule in find_rules().values() if rule.certain]
    found = [rule.error("seen", suggestion="") for rule in rules]
    told = {finding.rule: finding.severity for finding in diagnose.diagnose({}, found)}
    assert told == {rule.id: Severity.ERROR for rule in rules}


@pytest.mark.parametrize(
    ("known", "failures", "rule"),
    [
        ({"normalized-scores"}, {"cannot-overfit"}, "normalized-scores"),
        ({"normalized-scores"}, {"overfit-diverges"}, ""),
        ({"target-leak", "normalized-scores"}, {"loss-not-falling", "loss-diverges"}, "normalized-scores"),
        ({"accumulated-gradient", "step-changes-nothing"}, {"cannot-overfit"}, "accumulated-gradient"),
        ({"ranks-diverge"}, {"cannot-overfit"}, ""),
        (set(), {"cannot-overfit"}, ""),
    ],
)
def test_what_explains_a_failure(known, failures, rule):
    assert explained_by(known, failures) == rule

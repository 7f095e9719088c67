"""The pure pass over findings: excuses heard, causes named, the root first."""

import dataclasses
from types import SimpleNamespace

import pytest

from babysit.diagnose import EXPLAINS, diagnose
from babysit.report import Finding, Severity


def finding(rule, severity=Severity.ERROR):
    return Finding(rule, severity, f"{rule} was seen.")


def overfit(outcome, *cures):
    attempts = [SimpleNamespace(learning_rate=rate) for rate in cures]
    return {"overfit": SimpleNamespace(own=SimpleNamespace(outcome=outcome), cures=attempts, examples=20)}


def first_loss(loss=0.7, inputs_vary=True, **chance):
    chance = {name.replace("_", " "): value for name, value in chance.items()}
    return {"check-loss": SimpleNamespace(training_loss=loss, inputs_vary=inputs_vary, chance=chance)}


def init(*opening, inputs=1.0):
    return {"check-init": SimpleNamespace(opening=opening, inputs=inputs)}


def severity(measurements, rule, before=Severity.ERROR):
    (found,) = diagnose(measurements, [finding(rule, before)])
    return found.severity


def rules(found):
    return [f.rule for f in found]


def test_nothing_found_is_nothing():
    assert diagnose({}, []) == ()


def test_root_comes_first_and_names_its_consequences():
    found = diagnose({}, [finding("inputs-ignored"), finding("cannot-overfit"), finding("dead-relu")])
    assert rules(found) == ["dead-relu", "inputs-ignored", "cannot-overfit"]
    assert found[0].explains == ("inputs-ignored", "cannot-overfit")
    assert found[1].explains == ("cannot-overfit",)


def test_unrelated_roots_stand_by_severity_then_by_how_much_they_explain():
    found = diagnose(
        {},
        [
            finding("same-sign-gradient", Severity.WARNING),
            finding("decay-not-applied"),
            finding("cannot-overfit"),
            finding("frozen-parameters"),
        ],
    )
    assert rules(found) == ["frozen-parameters", "cannot-overfit", "decay-not-applied", "same-sign-gradient"]


def test_a_warning_does_not_explain_an_error():
    found = diagnose({}, [finding("saturated-activation", Severity.WARNING), finding("cannot-overfit")])
    assert rules(found) == ["cannot-overfit", "saturated-activation"]
    assert found[1].explains == ()


@pytest.mark.parametrize("outcome", ["memorized", "at the floor"])
@pytest.mark.parametrize(
    ("rule", "severity"),
    [
        ("learning-rate-too-low", Severity.WARNING),
        ("killed-by-learning-rate", Severity.WARNING),
        ("idle-maxout-piece", Severity.WARNING),
        ("collapsed-slope", Severity.WARNING),
        ("summed-loss", Severity.WARNING),
        ("same-sign-gradient", Severity.INFO),
    ],
)
def test_what_memorizing_excuses_is_lowered_and_says_why(rule, severity, outcome):
    (found,) = diagnose(overfit(outcome), [finding(rule)])
    assert found.severity is severity
    assert found.message == f"{rule} was seen. It memorizes 20 examples at this learning rate all the same."


@pytest.mark.parametrize("measurements", [{}, overfit("stalled"), overfit("diverged"), overfit("unfinished")])
def test_nothing_is_excused_where_it_does_not_memorize(measurements):
    (found,) = diagnose(measurements, [finding("summed-loss")])
    assert found.severity is Severity.ERROR


def test_a_first_loss_is_excused_by_its_sum_alone():
    alone = diagnose(overfit("memorized"), [finding("unexpected-initial-loss")])
    assert [f.severity for f in alone] == [Severity.ERROR]
    summed = diagnose(overfit("memorized"), [finding("unexpected-initial-loss"), finding("summed-loss")])
    assert [(f.rule, f.severity) for f in summed] == [
        ("summed-loss", Severity.WARNING),
        ("unexpected-initial-loss", Severity.WARNING),
    ]


def test_an_excuse_never_raises_a_severity():
    info = finding("summed-loss", Severity.INFO)
    assert diagnose(overfit("memorized"), [info]) == (info,)


def test_findings_of_one_rule_in_several_places_all_stay():
    places = [dataclasses.replace(finding("dead-relu"), where=name) for name in ("relu1", "relu2")]
    found = diagnose({}, [finding("cannot-overfit"), *places])
    assert [(f.rule, f.where) for f in found] == [
        ("dead-relu", "relu1"),
        ("cannot-overfit", ""),
        ("dead-relu", "relu2"),
    ]


def test_it_is_pure_and_settles():
    found = diagnose({}, [finding("inputs-ignored"), finding("cannot-overfit"), finding("dead-relu")])
    assert diagnose({}, found) == found


def test_causes_are_not_circular():
    def causes(rule, path=()):
        assert rule not in path, " -> ".join([*path, rule])
        for consequence in EXPLAINS.get(rule, ()):
            causes(consequence, (*path, rule))

    for rule in EXPLAINS:
        causes(rule)


def test_a_rate_is_no_cause_where_no_rate_memorizes():
    both = [finding("learning-rate-too-high"), finding("cannot-overfit")]
    assert rules(diagnose(overfit("stalled", 0.01), both)) == ["learning-rate-too-high", "cannot-overfit"]
    found = diagnose(overfit("stalled"), both)
    assert rules(found) == ["cannot-overfit", "learning-rate-too-high"]
    assert found[0].explains == ("learning-rate-too-high",)


def test_inputs_that_are_all_alike_come_before_the_layers():
    both = [finding("dead-relu"), finding("inputs-ignored")]
    assert rules(diagnose(first_loss(inputs_vary=True), both)) == ["dead-relu", "inputs-ignored"]
    alike = diagnose(first_loss(inputs_vary=False), both)
    assert rules(alike) == ["inputs-ignored", "dead-relu"]


def test_no_learning_rate_is_told_apart_from_a_wrong_gradient():
    (memorized,) = diagnose(overfit("memorized"), [finding("no-usable-learning-rate")])
    assert memorized.severity is Severity.ERROR
    assert memorized.suggestion == (
        "20 examples are memorized, so network and gradient work: see whether inputs and targets belong together "
        "(shuffled apart?), and whether batches come in an order."
    )
    (cured,) = diagnose(overfit("stalled", 0.5), [finding("no-usable-learning-rate")])
    assert cured.severity is Severity.WARNING
    assert cured.message.endswith(" Yet 0.5 memorizes 20 examples, in more steps.")
    (neither,) = diagnose(overfit("stalled"), [finding("no-usable-learning-rate")])
    assert neither == finding("no-usable-learning-rate")


E, W, I = Severity.ERROR, Severity.WARNING, Severity.INFO  # noqa: E741


@pytest.mark.parametrize(
    ("measurements", "scaled", "centered", "alike"),
    [
        ({}, E, E, E),
        (init("linear", "relu", inputs=200.0), E, E, E),
        (init("linear", "relu", inputs=10.1), E, E, E),
        (init("linear", "relu", inputs=10.0), I, E, E),
        (init("linear", "relu", inputs=0.1), I, E, E),
        (init("linear", "relu", inputs=0.09), E, E, E),
        (init("linear", "relu", inputs=float("nan")), E, E, E),
        (init("linear", "norm", "relu", inputs=200.0), I, I, E),
        (init("norm", "linear", "relu", inputs=200.0), I, I, I),
        (init(), I, E, E),
    ],
)
def test_raw_inputs_are_excused_where_the_network_scales_them_itself(measurements, scaled, centered, alike):
    assert severity(measurements, "inputs-badly-scaled") is scaled
    assert severity(measurements, "inputs-not-centered") is centered
    assert severity(measurements, "feature-scales-differ") is alike


def test_an_excuse_is_given():
    (found,) = diagnose(init("norm", "linear", "relu"), [finding("feature-scales-differ")])
    assert found.message.endswith(" The network scales them itself, ahead of its first nonlinearity.")


@pytest.mark.parametrize("rule", ["inputs-badly-scaled", "inputs-not-centered", "targets-badly-scaled"])
def test_memorizing_lowers_a_warning_of_sizes_but_no_error(rule):
    assert severity(overfit("memorized"), rule, W) is I
    assert severity(overfit("memorized"), rule, E) is E
    assert severity(overfit("stalled"), rule, W) is W


@pytest.mark.parametrize(
    ("loss", "expected"), [(0.2, I), (0.32, I), (0.33, W), (0.69, W), (float("nan"), W), (float("inf"), W)]
)
def test_a_rare_class_is_excused_where_the_first_loss_is_the_entropy(loss, expected):
    measured = first_loss(loss, ln_2=0.69, entropy_of_the_labels=0.2)
    assert severity(measured, "class-imbalance", W) is expected
    assert severity(first_loss(loss, ln_2=0.69), "class-imbalance", W) is W


def test_nothing_explains_what_explains_it():
    def behind(rule, path):
        for consequence in EXPLAINS.get(rule, ()):
            assert consequence not in path, [*path, consequence]
            behind(consequence, (*path, consequence))

    for rule in EXPLAINS:
        behind(rule, (rule,))

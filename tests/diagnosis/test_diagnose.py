"""The pure pass over findings: excuses heard, causes named, the root first."""

import dataclasses
from graphlib import TopologicalSorter
from types import SimpleNamespace

import pytest

from babysit.checks.overfit.schema import Outcome
from babysit.diagnosis.consequences import EXPLAINS
from babysit.diagnosis.diagnose import diagnose
from babysit.measuring.treatments import PLAIN, REDRAWN, STANDARDIZED, UNREGULARIZED, Treated
from babysit.report import Finding, Severity


def finding(rule, severity=Severity.ERROR):
    return Finding(rule, severity, f"{rule} was seen.")


def overfit(outcome, *cures, others=True, treated=()):
    """An attempt, and those at other rates: the one that cured, or one in vain, or none at all."""
    own = SimpleNamespace(outcome=Outcome(outcome), learning_rate=0.2)
    cured = [SimpleNamespace(outcome=Outcome.MEMORIZED, learning_rate=rate) for rate in cures]
    vain = SimpleNamespace(outcome=Outcome.STALLED, learning_rate=0.02)
    attempts = [own, *cured] if cured or not others else [own, vain]
    return {"overfit": SimpleNamespace(own=own, attempts=attempts, cures=cured, examples=20, treated=treated)}


def run(*losses, treated=(), chance=1.0):
    watched = SimpleNamespace(losses=losses)
    return {"train": SimpleNamespace(run=watched, treated=treated, train=SimpleNamespace(loss=chance))}


def scan(exchange):
    return {"lr-scan": SimpleNamespace(exchange=exchange)}


def step_down(end, start=1.0, swing=0.0):
    """100 losses at the start, 200 at the end, neighbours a swing apart."""
    return [level + (swing if i % 2 else 0.0) for i, level in enumerate([start] * 100 + [end] * 200)]


def tried(name, *, cured):
    return (Treated(name, cured, 0.01 if cured else 1.1, 100),)


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
    TopologicalSorter(EXPLAINS).prepare()  # raises where one is


def test_a_rate_is_no_cause_where_no_rate_memorizes():
    both = [finding("learning-rate-too-high"), finding("cannot-overfit")]
    assert rules(diagnose(overfit("stalled", 0.01), both)) == ["learning-rate-too-high", "cannot-overfit"]
    found = diagnose(overfit("stalled"), both)
    assert rules(found) == ["cannot-overfit", "learning-rate-too-high"]
    assert found[0].explains == ("learning-rate-too-high",)


@pytest.mark.parametrize(("outcome", "failure"), [("stalled", "cannot-overfit"), ("diverged", "overfit-diverges")])
def test_where_no_other_rate_was_tried_the_rate_may_still_be_the_cause(outcome, failure):
    both = [finding(failure), finding("learning-rate-too-high")]
    assert rules(diagnose(overfit(outcome, others=False), both)) == ["learning-rate-too-high", failure]


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


# What treatments have shown


def explained(measurements, cause, consequence):
    """Whether the one is said to explain the other."""
    found = {f.rule: f.explains for f in diagnose(measurements, [finding(cause), finding(consequence)])}
    return consequence in found[cause]


OF_OVERFIT = ("cannot-overfit", "constant-predictions", "overfit-too-slow", "overfit-diverges")
OF_TRAIN = ("loss-not-falling", "loss-diverges")
TREATED = [
    *((STANDARDIZED, rule) for rule in ("inputs-badly-scaled", "inputs-not-centered", "feature-scales-differ")),
    *((REDRAWN, rule) for rule in ("symmetric-weights", "mis-scaled-weights")),
    *((UNREGULARIZED, rule) for rule in ("regularization-dominates", "regularization-lowers-loss")),
]


@pytest.mark.parametrize(("treatment", "cause"), TREATED)
def test_what_cured_a_failure_explains_it_and_what_was_taken_away_in_vain_does_not(treatment, cause):
    cured, vain = tried(treatment, cured=True), tried(treatment, cured=False)
    for failure in OF_OVERFIT:
        assert explained(overfit("stalled", treated=cured), cause, failure), failure
        assert not explained(overfit("stalled", treated=vain), cause, failure), failure
    for failure in OF_TRAIN:
        assert explained(run(treated=cured), cause, failure), failure
        assert not explained(run(treated=vain), cause, failure), failure


def test_a_cure_explains_what_the_cause_would_not_be_thought_to():
    assert not explained(overfit("diverged"), "symmetric-weights", "overfit-diverges")
    assert explained(overfit("diverged", treated=tried(REDRAWN, cured=True)), "symmetric-weights", "overfit-diverges")


def test_where_nothing_was_tried_what_commonly_explains_a_failure_does():
    assert explained({}, "inputs-badly-scaled", "cannot-overfit")
    assert explained(overfit("stalled"), "inputs-badly-scaled", "cannot-overfit")
    assert explained(overfit("stalled", treated=tried(PLAIN, cured=False)), "inputs-badly-scaled", "cannot-overfit")


def test_a_treatment_speaks_of_the_check_that_it_was_tried_in():
    vain = tried(STANDARDIZED, cured=False)
    assert explained(overfit("stalled", treated=vain), "inputs-badly-scaled", "loss-not-falling")
    assert explained(run(treated=vain), "inputs-badly-scaled", "cannot-overfit")
    both = overfit("stalled", treated=vain) | run(treated=tried(STANDARDIZED, cured=True))
    assert not explained(both, "inputs-badly-scaled", "cannot-overfit")
    assert explained(both, "inputs-badly-scaled", "loss-not-falling")


def test_a_treatment_tells_nothing_of_other_causes():
    vain = tried(STANDARDIZED, cured=False)
    assert explained(overfit("stalled", treated=vain), "mis-scaled-weights", "cannot-overfit")
    assert explained(overfit("stalled", treated=vain), "inputs-badly-scaled", "dead-relu")


def test_the_cure_comes_first_of_two_causes():
    findings = [finding("inputs-badly-scaled"), finding("mis-scaled-weights"), finding("cannot-overfit")]
    treated = (*tried(STANDARDIZED, cured=False), *tried(REDRAWN, cured=True))
    found = diagnose(overfit("stalled", treated=treated), findings)
    assert rules(found) == ["mis-scaled-weights", "cannot-overfit", "inputs-badly-scaled"]
    treated = (*tried(STANDARDIZED, cured=True), *tried(REDRAWN, cured=False))
    found = diagnose(overfit("stalled", treated=treated), findings)
    assert rules(found) == ["inputs-badly-scaled", "cannot-overfit", "mis-scaled-weights"]


def test_a_network_that_a_treatment_cured_can_tell_its_inputs_apart():
    both = [finding("constant-predictions"), finding("cannot-overfit")]
    vain, cured = (overfit("stalled", 0.1, treated=tried(PLAIN, cured=cured)) for cured in (False, True))
    assert rules(diagnose(vain, both)) == ["constant-predictions", "cannot-overfit"]
    assert rules(diagnose(cured, both)) == ["cannot-overfit", "constant-predictions"]


def test_what_treatments_have_shown_stays_within_one_run():
    before = dict(EXPLAINS)
    diagnose(overfit("stalled", treated=tried(STANDARDIZED, cured=True)), [finding("cannot-overfit")])
    assert before == EXPLAINS


# A run at the user's own rate that learns


NO_RATE = "no-usable-learning-rate"


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        (step_down(0.0), I),
        (step_down(0.79), I),
        (step_down(0.8), E),  # 0.2 of the loss is not more than 0.2
        (step_down(0.81), E),
        (step_down(1.5), E),
        (step_down(-1.25, start=-1.0), I),
        (step_down(-1.15, start=-1.0), E),
        (step_down(0.5, swing=0.2), I),
        (step_down(0.5, swing=2.0), E),  # 2 / 0.954 = 2.1 of noise; a mean of 20 is off by 0.47
        (step_down(0.0)[85:114], E),  # 29 losses have no shape
        (step_down(0.0)[85:115], I),
        ([*step_down(0.0), float("nan")], E),
        ([*step_down(0.0), float("inf")], E),
        ([], E),
    ],
)
def test_a_run_that_learns_shows_that_there_is_a_learning_rate(losses, expected):
    assert severity(run(*losses), NO_RATE) is expected


def test_the_run_is_told():
    (found,) = diagnose(run(*step_down(0.25)), [finding(NO_RATE)])
    assert found.message == f"{NO_RATE} was seen. Yet 300 updates at yours take it from 1 to 0.25."


KILLED = "killed-by-learning-rate"
NEVER_LOOKED, LOOKED = scan(None), scan(SimpleNamespace(loss=1.0, exchanged=1.0))


@pytest.mark.parametrize(
    ("chance", "scanned", "rate", "units"),
    [
        (1.0, LOOKED, I, E),  # fell below what is had without the inputs, as `train` sees
        (1.0, NEVER_LOOKED, I, E),
        (float("nan"), LOOKED, E, W),
        (float("nan"), NEVER_LOOKED, I, W),
        (float("nan"), {}, I, W),
    ],
)
def test_a_fall_of_a_loss_whose_chance_value_nobody_knows_may_be_had_without_inputs(chance, scanned, rate, units):
    found = run(*step_down(0.25), chance=chance) | scanned
    assert (severity(found, NO_RATE), severity(found, KILLED)) == (rate, units)
    still = run(*step_down(0.9), chance=chance) | scanned
    assert (severity(still, NO_RATE), severity(still, KILLED)) == (E, E)


@pytest.mark.parametrize("failure", ["loss-not-falling", "loss-diverges", "loss-metric-disagree"])
def test_a_run_that_fails_otherwise_excuses_no_scan(failure):
    def scanned(severity):
        found = diagnose(run(*step_down(0.25)), [finding(NO_RATE), finding(failure, severity)])
        return next(f.severity for f in found if f.rule == NO_RATE)

    assert (scanned(E), scanned(W)) == (E, I)


def test_a_gap_to_validation_speaks_of_a_training_loss_that_fell():
    gap = [finding(NO_RATE), finding("overfitting-gap")]
    assert [f.severity for f in diagnose(run(*step_down(0.95)), gap) if f.rule == NO_RATE] == [I]
    assert [f.severity for f in diagnose(run(), gap) if f.rule == NO_RATE] == [E]


# Memorized by the loss alone


def test_a_loss_that_asks_for_something_else_is_the_root():
    both = [finding("cannot-overfit"), finding("loss-metric-disagree")]
    found = diagnose(overfit("memorized in the loss alone"), both)
    assert rules(found) == ["loss-metric-disagree", "cannot-overfit"]
    assert [f.explains for f in found] == [("cannot-overfit",), ()]
    found = diagnose(overfit("stalled"), both)
    assert rules(found) == ["cannot-overfit", "loss-metric-disagree"]
    assert [f.explains for f in found] == [("loss-metric-disagree",), ()]


def test_memorized_by_the_loss_alone_is_no_excuse():
    assert severity(overfit("memorized in the loss alone"), "summed-loss") is E
    assert severity(overfit("memorized in the loss alone"), "targets-badly-scaled", W) is W


MEASURED = {
    "memorized": overfit("memorized"),
    "cured by a rate": overfit("stalled", 0.1),
    "cured by scaled inputs": overfit("stalled", 0.1, treated=tried(STANDARDIZED, cured=True)),
    "cured by other weights": overfit("diverged", 0.1, treated=tried(REDRAWN, cured=True)),
    "a run cured without penalty": run(treated=tried(UNREGULARIZED, cured=True)),
    "inputs all alike": first_loss(inputs_vary=False),
    "no rate memorizes": overfit("stalled"),
    "by loss alone": overfit("memorized in the loss alone"),
}


@pytest.mark.parametrize(
    "measurements",
    [pytest.param(value, id=name) for name, value in MEASURED.items()],
)
def test_whatever_was_measured_no_findings_explain_each_other(measurements):
    everything = {*EXPLAINS, *(rule for consequences in EXPLAINS.values() for rule in consequences)}
    found = diagnose(measurements, [finding(rule) for rule in sorted(everything)])
    TopologicalSorter({f.rule: f.explains for f in found}).prepare()

"""The programs in `tests/programs/`: the check that owns a fault's rule finds it, and is quiet where nothing is wrong.

Each is looked at by one check alone, at one seed, so that this stays fast; `benchmarks/faults.py` runs all checks, at
several.
"""

import ast
import re
import sys
from pathlib import Path

import pytest

from babysit import runner
from babysit.checks import find_checks, find_rules
from babysit.driving.target import build
from babysit.report import Severity, Status
from babysit.running.plan import Plan

FOLDER = Path(__file__).parent / "programs"
FAULTY = {
    "cases/attention_softmax_over_batch": "batch-leak",
    "cases/augmented_before_the_split": "split-overlap",
    "cases/average_copied_back": "cannot-overfit",
    "cases/betas_swapped": "update-ratio-out-of-range",
    "cases/causal_mask_forgotten": "target-leak",
    "cases/cleared_between_backward_and_step": "cannot-overfit",
    "cases/codes_by_first_appearance": "overfitting-gap",
    "cases/columns_in_another_order": "overfitting-gap",
    "cases/decay_meant_for_epochs": "loss-plateau",
    "cases/directions_joined_by_view": "batch-leak",
    "cases/functional_dropout_in_evaluation": "nondeterministic-evaluation",
    "cases/gammas_zeroed_with_biases": "zero-gamma",
    "cases/hidden_layers_in_a_plain_list": "cannot-overfit",
    "cases/ignored_index_is_a_tag": "unexpected-initial-loss",
    "cases/instance_norm_then_average": "inputs-ignored",
    "cases/last_layer_made_in_forward": "cannot-overfit",
    "cases/last_step_is_padding": "inputs-ignored",
    "cases/loss_divided_by_all_examples": "cannot-overfit",
    "cases/loss_overwritten_in_the_loop": "loss-metric-disagree",
    "cases/mirrored_without_the_label": "overfitting-gap",
    "cases/missing_as_minus_999": "inputs-badly-scaled",
    "cases/one_batchnorm_for_every_layer": "train-eval-gap",
    "cases/one_hot_off_by_one": "loss-metric-disagree",
    "cases/padding_mask_inverted": "inputs-ignored",
    "cases/positions_left_out": "no-usable-learning-rate",
    "cases/privacy_noise_not_divided": "overfit-diverges",
    "cases/relu_on_the_logit": "constant-predictions",
    "cases/relu_on_the_output": "output-range",
    "cases/rescaled_again_inside_the_model": "constant-predictions",
    "cases/residual_stack_without_norm": "confident-at-init",
    "cases/rounded_before_the_loss": "unexpected-initial-loss",
    "cases/sampler_of_class_weights": "missing-classes",
    "cases/skip_that_multiplies": "inputs-ignored",
    "cases/soft_margin_of_zeros_and_ones": "unexpected-initial-loss",
    "cases/softmax_in_hidden_layers": "cannot-overfit",
    "cases/softmax_loss_for_several_labels": "unexpected-initial-loss",
    "cases/softmax_over_the_batch": "unexpected-initial-loss",
    "cases/split_by_class": "split-statistics-differ",
    "cases/standardized_along_the_row": "inputs-not-centered",
    "cases/standardized_in_place_each_epoch": "loss-not-falling",
    "cases/state_kept_between_batches": "batch-leak",
    "cases/state_reset_at_every_step": "no-usable-learning-rate",
    "cases/target_encoding_with_its_own_target": "split-statistics-differ",
    "cases/targets_in_their_own_units": "targets-badly-scaled",
    "cases/targets_not_shifted": "target-leak",
    "cases/uint8_wraps_around": "loss-not-falling",
    "numpy_cases/hinge_gradient_without_the_right_class": "wrong-gradient",
    "numpy_cases/penalty_overwrites_the_gradient": "missing-gradient",
    "numpy_cases/residual_sum_in_place": "wrong-gradient",
    "numpy_cases/sigmoid_slope_of_the_input": "wrong-gradient",
    "numpy_cases/softmax_over_the_batch": "unexpected-initial-loss",
    "numpy_cases/weights_drawn_from_rand": "mis-scaled-weights",
}
NOT_FOUND = {
    "cases/augmented_before_the_split": "near duplicates across splits are not found, equal ones alone",
    "cases/decay_meant_for_epochs": "schedules of the learning rate are held while babysit drives",
}
HEALTHY = {  # the checks whose naive form would alarm; one more where it is the one that knows of an excuse
    "attention_over_padded_bags": ("check-data",),
    "batches_of_two_with_group_norm": ("check-norm",),
    "coordinates_through_sines": ("check-init",),
    "denoising_autoencoder_on_grey_pixels": ("check-data",),
    "fine_tuned_from_a_larger_task": ("check-loss",),
    "focal_loss_for_rare_labels": ("check-loss",),
    "forecast_of_the_next_hours": ("check-data",),
    "gaussian_likelihood_below_zero": ("overfit",),
    "gradients_accumulated_over_four": ("check-grad",),
    "layer_scale_warm_up_cosine": ("check-init",),
    "lstm_language_model_always_clipped": ("overfit",),
    "masked_words_only_are_scored": ("check-data",),
    "maxout_hinge_with_a_column_of_ones": ("check-data",),
    "mixup_in_the_collate_function": ("check-data",),
    "ordinal_levels_from_raw_columns": ("check-data", "check-init"),
    "plateau_of_parity_overcome": ("train",),
    "poisson_counts_with_adadelta": ("check-data",),
    "rare_topics_drawn_more_often": ("check-data",),
    "ratings_by_factors_of_two": ("check-grad",),
    "sixty_rows_in_full_batches": ("train",),
    "sorting_a_sequence": ("check-data",),
    "table_with_two_questions": ("check-loss",),
    "three_quantiles_at_once": ("check-grad",),
    "two_experts_of_sixteen": ("overfit",),
    "two_views_matched_in_a_batch": ("check-norm",),
    "vanilla_rnn_clips_its_gradients": ("check-grad",),
}


def docstring(name):
    return ast.get_docstring(ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8")))


def expected(name):
    """The rules behind `expect:`."""
    (rules,) = re.findall(r"^expect:(.*(?:\n[ \t]+.*)*)", docstring(name), re.MULTILINE)
    return [rule.strip() for rule in rules.split(",")]


@pytest.fixture(autouse=True)
def imports(monkeypatch):
    """The modules that a program brings along are forgotten behind it."""
    monkeypatch.setattr(sys, "path", sys.path.copy())
    known = set(sys.modules)
    yield
    for name in set(sys.modules) - known:
        if str(FOLDER) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def errors(name, factory, *names):
    """Rules of the errors that these checks find; nothing is treated, since the verdict is the same."""
    checks = [check for check in find_checks().values() if check.name in names]
    settings = {
        check.name: check.settings(**{"treatment": False} if check.name in ("overfit", "train") else {})
        for check in checks
    }
    plan = Plan(tuple(checks), settings)
    report = runner.run(build(f"{FOLDER / name}.py:{factory}", 0), plan, target=name)
    assert {r.status for r in report.results} <= {Status.PASSED, Status.FAILED}, report.results
    return {f.rule for f in report.findings if f.severity is Severity.ERROR}


def cases():
    for name, rule in FAULTY.items():
        gap = NOT_FOUND.get(name)
        marks = [pytest.mark.xfail(strict=True, raises=AssertionError, reason=f"a known gap: {gap}")] if gap else []
        yield pytest.param(name, rule, marks=marks, id=name)


@pytest.mark.parametrize(("name", "rule"), list(cases()))
def test_a_faulty_program_is_found_by_its_rule(name, rule):
    assert rule in errors(name, "faulty", find_rules()[rule][0].name)


@pytest.mark.parametrize(("name", "rule"), FAULTY.items(), ids=FAULTY)
def test_its_fixed_twin_is_not(name, rule):
    assert errors(name, "fixed", find_rules()[rule][0].name) == set()


@pytest.mark.parametrize(("name", "checks"), HEALTHY.items(), ids=HEALTHY)
def test_a_healthy_program_does_not_fall_into_its_trap(name, checks):
    assert errors(f"healthy/{name}", "fixed", *checks) == set()


def test_every_program_has_its_rule_or_check():
    found = {str(path.relative_to(FOLDER).with_suffix("")) for path in FOLDER.glob("*/*.py")}
    assert found == {*FAULTY, *(f"healthy/{name}" for name in HEALTHY)}
    assert set(NOT_FOUND) <= set(FAULTY)


@pytest.mark.parametrize("name", FAULTY)
def test_a_docstring_tells_the_fault_its_fix_its_symptom_and_its_right_names(name):
    words = re.findall(r"^(\w+): \S", docstring(name), re.MULTILINE)
    assert words == ["fault", "fix", "symptom", "expect"]
    assert set(expected(name)) <= set(find_rules())
    assert FAULTY[name] in expected(name)


@pytest.mark.parametrize("name", HEALTHY)
def test_a_docstring_tells_the_trap(name):
    assert re.findall(r"^(\w+): \S", docstring(f"healthy/{name}"), re.MULTILINE) == ["trap"]

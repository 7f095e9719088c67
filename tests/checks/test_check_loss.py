import math
from dataclasses import replace

import faults
import numpy as np
import pytest
import torch
from faults import SEEDS, findings, judged_whatever_the_numbers, lecture, logits, measured, scaled, verdict
from pytorch_programs import trainer as pytorch_trainer
from torch import nn
from torch.nn import functional as F

from babysit.checks import find_checks
from babysit.checks.check_loss import Measurement, Settings
from babysit.lab.losses import softmax_loss
from babysit.tasks.task import ChanceLoss, Hinge

NAME = "check-loss"
HEALTHY = Measurement(
    task="classification",
    metric="accuracy",
    examples=512,
    training_loss=2.31,
    evaluation_loss=2.32,
    standard_error=0.01,
    not_finite=0,
    batches=8,
    finite_inputs=True,
    finite_scores=True,
    chance={"ln 10": 2.3, "entropy of the labels": 2.2},
    spread=0.1,
    excess=0.02,
    luck=0.01,
    score=0.1,
    best_constant_score=0.12,
    reference_loss=2.31,
    probability_loss=math.nan,
    probabilities=False,
    whole_loss=2.31,
    half_losses=(2.3, 2.32),
    permuted_loss=2.32,
    zeroed_loss=2.30,
    paired_loss=2.31,
    steps=0,
    inputs_vary=True,
    task_problem="",
    own_loss=False,
)
UNEXPECTED = {("unexpected-initial-loss", "error")}
TOO_LOW = {("unexpected-initial-loss", "warning")}
TRAINED = {("unexpected-initial-loss", "info")}
NOT_FINITE = {("non-finite-loss", "error")}
SURE = {("confident-at-init", "error")}
RATHER_SURE = {("confident-at-init", "warning")}
NORMALIZED = {("normalized-scores", "error")}
SUMMED = {("summed-loss", "error")}
IGNORED = {("inputs-ignored", "error")}
MISMATCH = {("task-mismatch", "error")}

TRAINERS = [
    (faults.in_bits, UNEXPECTED),
    (faults.divided_by_classes, TOO_LOW),
    (faults.pretrained, TRAINED),
    (faults.nan_input, NOT_FINITE),
    (faults.scores_overflow, NOT_FINITE),
    (faults.logarithm_of_nothing, NOT_FINITE),
    (faults.very_sure, SURE),
    (faults.rather_sure, RATHER_SURE),
    (faults.softmax_twice, NORMALIZED),
    (faults.sigmoid_twice, NORMALIZED),
    (faults.summed_loss, SUMMED | UNEXPECTED),
    (faults.zero_weights, IGNORED),
    (faults.zero_inputs, IGNORED),
    (faults.same_inputs, IGNORED),
    (faults.signal_dies, IGNORED),
    (faults.too_many_scores, MISMATCH),
    (faults.label_beyond_classes, MISMATCH),
    (faults.healthy, set()),
    (faults.hinge, set()),
    (faults.batch_norm_and_dropout, set()),
    (faults.zero_head, set()),
    (faults.prior_bias, set()),
    (faults.label_smoothing, set()),
    (faults.negative_loss, set()),
    (faults.probabilities_and_their_loss, set()),
    (faults.sure_sigmoid, set()),
    (faults.one_batch, set()),
    (faults.exclusive_or, set()),
    (faults.noise_floor, set()),
    (faults.targets_far_from_zero, set()),
    (faults.shares_of_one, set()),
    (faults.column_of_targets, set()),
    (faults.softmax_regression, set()),
    (faults.rounded, set()),
]


def judged(**changes):
    check = find_checks()[NAME]
    return {(f.rule, str(f.severity)) for f in check.judge(replace(HEALTHY, **changes), Settings())}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("make", "expected"), TRAINERS, ids=lambda value: getattr(value, "__name__", ""))
def test_verdict(make, expected, seed):
    assert verdict(NAME, make(seed)) == expected


# The lecture's numbers


@pytest.mark.parametrize("seed", range(5))
def test_softmax_over_ten_classes(seed):
    made = lecture(seed, sizes=(50, 50, 10))
    made.network.params["affine2.W"] *= 0.1
    measurement, settings = measured(NAME, made)
    assert 2.302 <= measurement.training_loss <= 2.303
    assert find_checks()[NAME].judge(measurement, settings) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_hinge_over_ten_classes(seed):
    made = lecture(seed, loss="hinge", task=Hinge(10))
    made.network.params["affine1.W"] *= 0.01
    measurement, settings = measured(NAME, made)
    assert measurement.training_loss == pytest.approx(9, abs=0.01)
    assert measurement.chance == {"(10 - 1) x margin": 9}
    assert find_checks()[NAME].judge(measurement, settings) == []


def test_regularization_is_off():
    made = lecture(0, l2=1e3)
    assert 2.29 < measured(NAME, made)[0].training_loss < 2.31


# What random logits may add


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("classes", [2, 10, 100])
@pytest.mark.parametrize("spread", [0.01, 0.5, 1.0, 1.4])
def test_random_logits_are_expected(spread, classes, seed):
    assert verdict(NAME, logits(seed, spread, classes)) == set()


@pytest.mark.parametrize("spread", [0.5, 1.4])
def test_excess_is_that_of_the_spread(spread):
    measurement, _ = measured(NAME, logits(0, spread), examples=500)
    assert measurement.examples == 500
    assert measurement.spread == pytest.approx(spread, rel=0.05)
    assert 0.9 * spread**2 / 2 * 0.9 < measurement.excess < spread**2 / 2 * 0.9 + 0.05


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("spread", [0.01, 0.5, 1.0, 1.4])
def test_more_than_the_spread_explains_is_unexpected(spread, seed):
    assert verdict(NAME, logits(seed, spread, loss=scaled(softmax_loss, 1.3))) == UNEXPECTED


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("examples", [4, 20, 100])
def test_few_examples_are_no_evidence(examples, seed):
    assert verdict(NAME, logits(seed, 1.0, examples=examples)) <= TRAINED


@pytest.mark.parametrize(("seed", "offset"), [(seed, offset) for seed in SEEDS for offset in (-0.3, 0.3)])
def test_a_stated_chance_loss_is_held_to_a_tenth(seed, offset):
    made = lecture(seed)
    made.task = ChanceLoss(math.log(10))
    assert verdict(NAME, made) == set()
    made.network.loss = scaled(softmax_loss, 1.0, offset)
    assert {rule for rule, _ in verdict(NAME, made)} == {"unexpected-initial-loss"}


# Rules on plain numbers


def test_healthy_numbers():
    assert judged() == set()


LIMIT = 2.3 + 0.02 + 0.01 + 3 * 0.01
FLOOR = 2.2 - 0.1 - 3 * 0.01


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"training_loss": LIMIT - 1e-4}, set()),
        ({"training_loss": LIMIT + 1e-4}, UNEXPECTED),
        ({"training_loss": FLOOR + 1e-4}, set()),
        ({"training_loss": FLOOR - 1e-4}, TOO_LOW),
        ({"training_loss": 1.0, "reference_loss": 1.0, "score": 0.5}, TRAINED),
        ({"training_loss": 1.0, "reference_loss": 2.31, "score": 0.13}, TOO_LOW),
        ({"training_loss": 1.0, "score": math.nan}, TOO_LOW),
        ({"training_loss": 9.0, "standard_error": math.nan}, UNEXPECTED),
        ({"training_loss": 2.4, "luck": math.nan}, UNEXPECTED),
        ({"training_loss": 2.5, "excess": math.inf}, set()),
        ({"training_loss": 2.6, "excess": math.inf}, UNEXPECTED),
        ({"training_loss": 9.0, "task_problem": "no", "chance": {}}, MISMATCH),
        ({"training_loss": 9.0, "task_problem": "no", "chance": {}, "own_loss": True}, {("task-mismatch", "warning")}),
        ({"training_loss": LIMIT + 1e-4, "own_loss": True}, TRAINED),
        ({"training_loss": LIMIT - 1e-4, "own_loss": True}, set()),
        ({"training_loss": FLOOR - 1e-4, "own_loss": True}, TOO_LOW),
        ({"training_loss": math.nan}, NOT_FINITE),
        ({"training_loss": math.inf}, NOT_FINITE),
        ({"evaluation_loss": math.nan}, NOT_FINITE),
        ({"not_finite": 1}, NOT_FINITE),
        ({"finite_inputs": False}, set()),
    ],
)
def test_first_loss(changes, expected):
    assert judged(**changes) == expected


@pytest.mark.parametrize(
    ("spread", "loss", "expected"),
    [
        (3.0, 2.5, set()),
        (3.01, 2.5, RATHER_SURE),
        (4.5, 2.5, RATHER_SURE),
        (4.51, 2.5, SURE),
        (4.51, 2.3 + 0.029, set()),
        (4.51, 2.3 + 0.031, SURE),
        (math.inf, 9.0, set()),
        (math.nan, 9.0, set()),
    ],
)
def test_confident_at_init(spread, loss, expected):
    assert judged(spread=spread, training_loss=loss, excess=10.0) == expected


def test_confidence_is_told_without_a_standard_error():
    assert judged(spread=8.0, training_loss=20.0, excess=30.0, standard_error=math.nan) == SURE


@pytest.mark.parametrize(
    ("probabilities", "reference", "probability", "expected"),
    [
        (True, 2.31, 2.5, NORMALIZED),
        (True, 2.5, 2.31, set()),
        (False, 2.31, 2.5, set()),
        (True, 2.4, 2.22, set()),
        (True, 2.41, 2.52, NORMALIZED),  # nearer than half as far
        (True, 2.41, 2.50, set()),
        (True, 40.0, 45.0, set()),  # a loss that is neither
        (True, 2.31, math.nan, set()),
        (True, math.nan, 2.31, set()),
    ],
)
def test_normalized_scores(probabilities, reference, probability, expected):
    changes = {"probabilities": probabilities, "reference_loss": reference, "probability_loss": probability}
    assert judged(**changes) == expected


@pytest.mark.parametrize(
    ("whole", "halves", "expected"),
    [
        (4.0, (2.0, 2.0), SUMMED),
        (4.0, (2.0, 2.19), SUMMED),
        (4.0, (2.0, 2.21), set()),
        (4.0, (2.0, 1.81), SUMMED),
        (4.0, (2.0, 1.79), set()),
        (-4.0, (-2.0, -2.0), SUMMED),
        (-4.0, (-4.0, -4.0), set()),
        (0.0, (0.0, 0.0), set()),
        (0.0, (1.0, -1.0), set()),
        (math.nan, (math.nan, 1.0), set()),
        (4.0, (math.nan, math.nan), set()),
    ],
)
def test_summed_loss(whole, halves, expected):
    assert judged(whole_loss=whole, half_losses=halves) == expected


def test_a_sum_of_which_nobody_knows_the_chance_value_is_a_warning():
    found = judged(task="unknown", chance={}, whole_loss=4.0, half_losses=(2.0, 2.0))
    assert found == {("summed-loss", "warning")}


@pytest.mark.parametrize(
    ("paired", "permuted", "zeroed", "expected"),
    [
        (2.0, 2.0, 2.0, IGNORED),
        (2.0, 2.0 + 1.9e-6, 2.0, IGNORED),
        (2.0, 2.0 + 2.1e-6, 2.0, set()),
        (2.0, 2.0, 2.0 - 2.1e-6, set()),
        (-2.0, -2.0, -2.0, IGNORED),
        (math.nan, math.nan, math.nan, set()),
        (2.0, math.nan, 2.0, set()),
        (2.0, 2.0, math.inf, set()),
    ],
)
def test_inputs_ignored(paired, permuted, zeroed, expected):
    assert judged(paired_loss=paired, permuted_loss=permuted, zeroed_loss=zeroed) == expected


def test_inputs_that_are_all_the_same_are_ignored():
    assert judged(paired_loss=2.0, permuted_loss=2.0, zeroed_loss=1.5, inputs_vary=False) == IGNORED


def test_any_number_can_be_judged():
    for where, wrong, found in judged_whatever_the_numbers(NAME, HEALTHY, Settings()):
        assert where not in (".training_loss", ".evaluation_loss") or "non-finite-loss" in found, (where, wrong)


def test_no_chance_loss_can_be_judged():
    assert judged(chance={}) == set()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"training_loss": math.nan, "not_finite": 2, "finite_inputs": False, "finite_scores": False},
            "the loss is not finite on 2 of 8 batches in training mode (2.32 in evaluation mode). "
            "The inputs are not finite.",
        ),
        (
            {"training_loss": math.nan, "evaluation_loss": math.inf, "not_finite": 8, "finite_scores": False},
            "the loss is not finite on 8 of 8 batches in training mode (inf in evaluation mode). "
            "The inputs are finite, the scores are not.",
        ),
        (
            {"training_loss": math.nan, "evaluation_loss": math.nan, "not_finite": 8},
            "the loss is not finite on 8 of 8 batches in training mode (nan in evaluation mode). "
            "Inputs and scores are finite, so the loss itself makes it.",
        ),
        ({"task_problem": "a label is 3, but 3 classes go from 0 to 2"}, "A label is 3, but 3 classes go from 0 to 2."),
        (
            {"probabilities": True, "probability_loss": 0.5},
            "the scores are probabilities already, and the loss (2.31) treats them as logits: read as probabilities "
            "they would give 0.5.",
        ),
        (
            {"whole_loss": 4.0, "half_losses": (2.5, 1.5)},
            "half a batch has the losses 2.5 and 1.5, the whole batch 4: their sum, not their mean.",
        ),
        (
            {"paired_loss": 2.0, "permuted_loss": 2.0, "zeroed_loss": 2.0, "steps": 20},
            "after 20 steps the loss is 2 with the inputs as they are, moved against the targets, or all zero.",
        ),
        (
            {"paired_loss": 2.0, "permuted_loss": 2.0, "zeroed_loss": 2.0, "steps": 20, "inputs_vary": False},
            "after 20 steps the loss is 2 with the inputs as they are, moved against the targets, or all zero. "
            "The inputs are the same for every example.",
        ),
        (
            {"spread": 4.0, "training_loss": 4.0, "excess": 5.0},
            "the first loss is 4, chance is 2.3: the scores already have a spread of 4 (He's initialization on "
            "standardized inputs gives 1.4).",
        ),
        (
            {"training_loss": 4.0},
            "the first loss is 4; knowing nothing gives 2.3 (ln 10) or 2.2 (entropy of the labels). The spread of the "
            "scores explains 0.03 and sampling 0.03 of the difference.",
        ),
        (
            {"training_loss": 4.0, "own_loss": True},
            "the first loss is 4; knowing nothing gives 2.3 (ln 10) or 2.2 (entropy of the labels). The spread of the "
            "scores explains 0.03 and sampling 0.03 of the difference. The loss is none of the usual errors of these "
            "scores, so it may have another.",
        ),
        (
            {"training_loss": 1.0, "reference_loss": 1.0, "score": 0.5},
            "the first loss is 1, below what knowing nothing gives: 2.3 (ln 10) or 2.2 (entropy of the labels). The "
            "accuracy is 0.5: the network is trained, or sees the answer.",
        ),
        (
            {"training_loss": 1.0},
            "the first loss is 1, below what knowing nothing gives: 2.3 (ln 10) or 2.2 (entropy of the labels). Yet "
            "the accuracy is no better than that of a constant: the loss is another than the task's, or divided once "
            "too often.",
        ),
    ],
)
def test_messages(changes, message):
    found = find_checks()[NAME].judge(replace(HEALTHY, **changes), Settings())
    assert [f.message for f in found] == [message]


def test_a_head_that_starts_at_zero_is_given_steps():
    assert measured(NAME, faults.zero_head(0))[0].steps == 20
    assert measured(NAME, faults.healthy(0))[0].steps == 0


def test_labels_beyond_the_classes_are_named():
    (found,) = findings(NAME, faults.label_beyond_classes(0))
    assert found.message == "A label is 4, but 4 classes go from 0 to 3."


# Losses of a program's own


def numbers(seed, outputs=1):
    """Standardized targets that hyperplanes give, in batches of 50."""
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(400, 4))
    y = x @ draw.normal(size=(4, outputs)) + 0.5 * draw.normal(size=(400, outputs))
    y = (y - y.mean(axis=0)) / y.std(axis=0)
    return [(torch.tensor(x[i : i + 50]).float(), torch.tensor(y[i : i + 50]).float()) for i in range(0, 400, 50)]


def predicting(seed, loss, *, outputs=1, predictions=1):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, predictions))
    return pytorch_trainer(model, loss, train=numbers(seed, outputs), task="regression")


def summed_huber(scores, targets):
    return F.huber_loss(scores, targets, reduction="none").sum(dim=1).mean()


def pinball(scores, targets):
    miss, levels = targets - scores, torch.tensor([0.1, 0.5, 0.9])
    return torch.maximum(levels * miss, (levels - 1) * miss).sum(dim=1).mean()


def broadcast(scores, targets):
    return ((scores - targets) ** 2).mean()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("loss", "outputs", "predictions", "expected"),
    [
        (nn.MSELoss(), 1, 1, set()),
        (summed_huber, 8, 8, TRAINED),
        (pinball, 1, 3, {("task-mismatch", "warning")}),
        (broadcast, 1, 3, MISMATCH),
        (lambda scores, targets: broadcast(scores, targets) * 3 / 2, 1, 3, MISMATCH),
    ],
    ids=["squared", "Huber, summed", "quantiles", "broadcast", "half, summed and broadcast"],
)
def test_losses_of_a_regression(loss, outputs, predictions, expected, seed):
    assert verdict(NAME, predicting(seed, loss, outputs=outputs, predictions=predictions)) == expected


def answering(seed, loss):
    """Yes or no by a sigmoid at the network's end."""
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 1), nn.Sigmoid())
    batches = [(x, (y > 0).float()) for x, y in numbers(seed)]
    return pytorch_trainer(model, loss, train=batches, task="binary")


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("loss", "is_found"),
    [
        (nn.BCELoss(), False),
        (nn.BCEWithLogitsLoss(), True),
        (lambda p, y: F.binary_cross_entropy(p.round(), y), False),  # wrong, and not for that reason
        (lambda p, y: 3 * F.binary_cross_entropy(p, y), False),
    ],
    ids=["probabilities", "logits", "rounded", "threefold"],
)
def test_only_the_loss_of_logits_takes_probabilities_for_such(loss, is_found, seed):
    found = verdict(NAME, answering(seed, loss))
    assert found & NORMALIZED == (NORMALIZED if is_found else set())


def test_targets_may_be_named_where_the_chance_loss_is_stated():
    def loss(scores, targets):
        return F.mse_loss(scores[:, :1], targets["size"]) + F.mse_loss(scores[:, 1:], targets["age"])

    torch.manual_seed(0)
    batches = [(x, {"size": y[:, :1], "age": y[:, 1:]}) for x, y in numbers(0, outputs=2)]
    model = nn.Linear(4, 2)
    nn.init.normal_(model.weight, std=0.01)
    made = pytorch_trainer(model, loss, train=batches, task=ChanceLoss(2.0))
    assert verdict(NAME, made) == set()
    made.task = ChanceLoss(0.5)
    assert verdict(NAME, made) == UNEXPECTED

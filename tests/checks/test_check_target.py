import math
from dataclasses import replace

import faults
import numpy as np
import pytest
import torch
from faults import SEEDS, findings, judged_whatever_the_numbers, measured, verdict
from pytorch_programs import CLASSES, FEATURES, Dropping, batches, trainer
from torch import nn
from torch.nn import functional as F
from trainers import TinyTrainer

from babysit.checks import find_checks
from babysit.checks.check_target import Measurement, Settings
from babysit.lab.losses import squared_loss

NAME = "check-target"
HEALTHY = Measurement(
    examples=50,
    learning_rate=0.1,
    evaluation_changed=(),
    training_evaluation_changed=(),
    reseeded_losses=(1.0, 1.0, 1.0),
    unregularized_losses=(),
    evaluation_losses=(1.0, 1.0, 1.0),
    parameters=4,
    moved=4,
    gradients_zero=False,
    steps_skipped=0,
    not_restored=(),
    aliased="",
    first_losses=(1.0, 0.9, 0.8, 0.7, 0.6),
    replayed_losses=(1.0, 0.9, 0.8, 0.7, 0.6),
    output_problem="",
)
NOT_RESTORED = {("state-not-restored", "error")}
CHANGED = {("evaluate-changes-state", "error")}
NOTHING_MOVED = {("step-changes-nothing", "error")}
RANDOM = {("nondeterministic-evaluation", "error")}
BAD_OUTPUT = {("bad-output", "error")}

TRAINERS = [
    (faults.momentum_not_saved, NOT_RESTORED),
    (faults.state_is_alias, NOT_RESTORED),
    (faults.noise_not_saved, NOT_RESTORED),
    (faults.hidden_schedule, NOT_RESTORED),
    (faults.evaluation_moves_statistics, CHANGED),
    (faults.training_evaluation_moves_statistics, CHANGED),
    (faults.step_does_nothing, NOTHING_MOVED),
    (faults.rate_of_zero, NOTHING_MOVED),
    (faults.every_step_skipped, NOTHING_MOVED),
    (faults.dropout_at_test, RANDOM),
    (faults.broadcast, BAD_OUTPUT),
    (faults.scores_not_finite, BAD_OUTPUT),
    (faults.penalty_not_finite, BAD_OUTPUT),
    (faults.scores_transposed, BAD_OUTPUT),
    (faults.healthy, set()),
    (faults.momentum, set()),
    (faults.batch_norm_and_dropout, set()),
    (faults.global_noise, set()),
    (faults.zero_head, set()),
    (faults.first_steps_skipped, set()),
    (faults.column_of_targets, set()),
    (faults.rounded, set()),
    (faults.rounded_and_slow, set()),
    (faults.one_batch, set()),
    (faults.exclusive_or, set()),
    (faults.negative_loss, set()),
    (faults.frozen_body, set()),
    (faults.nan_input, set()),  # a loss that is NaN is for check-loss to find
]


def judged(**changes):
    check = find_checks()[NAME]
    return {(f.rule, str(f.severity)) for f in check.judge(replace(HEALTHY, **changes), Settings())}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("make", "expected"), TRAINERS, ids=lambda value: getattr(value, "__name__", ""))
def test_verdict(make, expected, seed):
    assert verdict(NAME, make(seed)) == expected


def test_healthy_numbers():
    assert judged() == set()


TOLERANCE = Settings().tolerance


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"not_restored": ("W",)}, NOT_RESTORED),
        ({"evaluation_changed": ("mean",)}, CHANGED),
        ({"training_evaluation_changed": ("mean",)}, CHANGED),
        ({"evaluation_changed": ("mean",), "training_evaluation_changed": ("mean",)}, CHANGED),
        ({"moved": 0}, NOTHING_MOVED),
        ({"moved": 1}, set()),
        ({"moved": 0, "steps_skipped": 4}, NOTHING_MOVED),
        ({"moved": 0, "parameters": 0}, set()),
        ({"moved": 0, "gradients_zero": True}, NOTHING_MOVED),
        ({"output_problem": "the penalty is nan"}, BAD_OUTPUT),
        ({"evaluation_losses": (1.0, 1.0, 1 + 1.01 * TOLERANCE)}, RANDOM),
        ({"evaluation_losses": (1.0, 1.0, 1 + 0.99 * TOLERANCE)}, set()),
        ({"evaluation_losses": (-1.0, -1.0, -1 - 1.01 * TOLERANCE)}, RANDOM),
        ({"evaluation_losses": (0.0, 0.0, 0.0)}, set()),
        ({"evaluation_losses": (1.0, math.nan, 1.0)}, RANDOM),
        ({"evaluation_losses": (math.nan, 1.0, 1.0)}, RANDOM),
        ({"evaluation_losses": (math.inf, math.inf, -math.inf)}, RANDOM),
        ({"evaluation_losses": (math.nan, math.nan, math.nan)}, set()),
        ({"reseeded_losses": (1.0, 1.2, 1.1), "unregularized_losses": (0.9,) * 3}, RANDOM),
        ({"reseeded_losses": (1.0, 1.0, 1 + 1.01 * TOLERANCE), "unregularized_losses": (0.9,) * 3}, RANDOM),
        ({"reseeded_losses": (1.0, 1.0, 1 + 0.99 * TOLERANCE), "unregularized_losses": (0.9,) * 3}, set()),
        ({"reseeded_losses": (1.0, 1.2, 1.1), "unregularized_losses": (0.9, 0.8, 1.0)}, set()),
        ({"reseeded_losses": (1.0, 1.2, 1.1), "unregularized_losses": (1.0, 1.0, 1 + 1.01 * TOLERANCE)}, set()),
        ({"reseeded_losses": (1.0, 1.2, 1.1), "unregularized_losses": (1.0, 1.0, 1 + 0.99 * TOLERANCE)}, RANDOM),
        ({"reseeded_losses": (1.0, 1.2, 1.1), "unregularized_losses": ()}, set()),
        ({"reseeded_losses": (), "unregularized_losses": ()}, set()),
        ({"reseeded_losses": (math.nan,) * 3, "unregularized_losses": (math.nan,) * 3}, set()),
        ({"reseeded_losses": (math.nan, 1.0, 1.0), "unregularized_losses": (1.0,) * 3}, RANDOM),
    ],
)
def test_rules(changes, expected):
    assert judged(**changes) == expected


FLAT = (1.0, 1.0, 1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("first", "replayed", "expected"),
    [
        (HEALTHY.first_losses, (1.0, 0.9, 0.8, 0.7, 0.6 * (1 + 1e-3)), NOT_RESTORED),
        (HEALTHY.first_losses, (1.0, 0.9, 0.8, 0.7, 0.6 * (1 + 1e-7)), set()),
        (FLAT, (1.0, 1.0, 1.0, 1.0, 1 + 1.01 * TOLERANCE), NOT_RESTORED),
        (FLAT, (1.0, 1.0, 1.0, 1.0, 1 + 1e-6), set()),  # single precision, summed in another order
        (HEALTHY.first_losses, (1.0, 0.9, 0.8, 0.7, math.nan), NOT_RESTORED),
        ((1.0, 0.9, 50.0, math.nan, math.nan), (1.0, 0.9, 50.0, math.nan, math.nan), set()),
        ((1.0, 0.9, 50.0, math.nan, math.nan), (1.0, 0.9, 20.0, math.nan, math.nan), NOT_RESTORED),
        ((1.0, 0.9, 50.0, math.nan, math.nan), (1.0, 0.9, 50.0, 80.0, math.nan), NOT_RESTORED),
        ((math.inf,) * 5, (math.inf,) * 5, set()),
    ],
)
def test_replayed_losses(first, replayed, expected):
    assert judged(first_losses=first, replayed_losses=replayed) == expected


def test_replay_is_not_judged_where_evaluation_is_random():
    replay = (1.0, 0.9, 0.8, 0.7, 0.5)
    assert judged(evaluation_losses=(1.0, 1.1, 1.2), replayed_losses=replay) == RANDOM


def test_any_number_can_be_judged():
    seen = {where: found for where, _, found in judged_whatever_the_numbers(NAME, HEALTHY, Settings())}
    for step in range(5):
        assert seen[f".replayed_losses[{step}]"] == {"state-not-restored"}
        assert seen[f".first_losses[{step}]"] == {"state-not-restored"}
    assert seen[".evaluation_losses[1]"] == {"nondeterministic-evaluation"}


@pytest.mark.parametrize(
    ("changes", "message", "where"),
    [
        (
            {"not_restored": ("a", "b", "c", "d", "e")},
            "after load(saved), 5 entries of the state differ from what was saved: a, b, c, d and 1 more.",
            "a",
        ),
        (
            {"replayed_losses": (1.0, 0.9, 0.85, 0.8, 0.6)},
            "the same steps from the same saved state gave another loss: 0.7 at first, 0.8 after load(), "
            "following 3 steps. Something that a step changes is missing from save().",
            "",
        ),
        (
            {"training_evaluation_changed": ("mean", "variance")},
            "evaluate() in training mode changed 2 entries of the state: mean, variance.",
            "mean",
        ),
        ({"moved": 0}, "4 steps at learning rate 0.1 moved none of 4 parameters.", ""),
        (
            {"moved": 0, "gradients_zero": True},
            "4 steps at learning rate 0.1 moved none of 4 parameters. Their gradients are all zero.",
            "",
        ),
        (
            {"moved": 0, "steps_skipped": 3},
            "4 steps at learning rate 0.1 moved none of 4 parameters (3 of them reported no update).",
            "",
        ),
        (
            {"evaluation_losses": (1.0, 1.5, 0.5)},
            "one batch, evaluated 3 times in evaluation mode, had losses from 0.5 to 1.5.",
            "",
        ),
        (
            {"reseeded_losses": (1.0, 1.5, 0.5), "unregularized_losses": (0.75, 0.75, 0.75)},
            "one batch, evaluated under 3 seeds in evaluation mode, had losses from 0.5 to 1.5, and always 0.75 with "
            "regularization off: dropout is at work.",
            "",
        ),
        ({"output_problem": "the penalty is nan"}, "The penalty is nan.", ""),
    ],
)
def test_messages(changes, message, where):
    found = find_checks()[NAME].judge(replace(HEALTHY, **changes), Settings())
    assert [(f.message, f.where) for f in found] == [(message, where)]


@pytest.mark.parametrize("make", [faults.healthy, faults.step_does_nothing, faults.rate_of_zero])
def test_gradients_that_arrive_are_not_called_zero(make):
    measurement, _ = measured(NAME, make(0))
    assert measurement.gradients_zero is False


def test_gradients_that_are_all_zero_are_told():
    model = nn.Sequential(nn.Linear(FEATURES, CLASSES))
    (found,) = findings(NAME, trainer(model, lambda scores, y: F.cross_entropy(torch.round(scores), y)))
    assert found.message == "4 steps at learning rate 0.1 moved none of 2 parameters. Their gradients are all zero."
    assert found.suggestion == (
        "Find what cuts the gradient between loss and weights: rounding, an argmax, a detach, an output that is dead "
        "or saturated for every example."
    )


def one_message(made):
    (found,) = findings(NAME, made)
    return found.message


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            faults.broadcast,
            "Scores (50, 1) and targets (50,) seem to broadcast: the loss is the same when the targets are put in "
            "another order.",
        ),
        (faults.scores_not_finite, "Some scores are not finite, though the loss is."),
        (faults.penalty_not_finite, "The penalty is nan."),
        (faults.scores_transposed, "The scores have shape (3, 50) for 50 examples."),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_wrong_with_the_output(make, message):
    assert one_message(make(0)) == message


def test_steps_is_the_number_of_steps():
    made = TinyTrainer()
    measurement, _ = measured(NAME, made, steps=7)
    assert len(measurement.first_losses) == 8
    assert measurement.parameters == 2


def test_every_entry_that_moves_is_named():
    measurement, _ = measured(NAME, faults.evaluation_moves_statistics(0))
    assert measurement.evaluation_changed == ("statistics.norm1.mean", "statistics.norm1.variance")


# Noise at evaluation that is put back


class Always(Dropping):
    """The flag is forgotten: half of the units are dropped at evaluation too."""

    def forward(self, x):
        return self.last(F.dropout(torch.tanh(self.first(x)), self.rate))


class Sampling(nn.Module):
    """A variational layer: noise of its own at evaluation too, on purpose."""

    def __init__(self):
        super().__init__()
        self.mean, self.last = nn.Linear(FEATURES, 16), nn.Linear(16, CLASSES)
        self.drop = nn.Dropout(0.5)

    def forward(self, x):
        mean = torch.tanh(self.mean(x))
        return self.last(self.drop(mean + torch.randn_like(mean)))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("kind", "expected"), [(Always, RANDOM), (Dropping, set()), (Sampling, set())])
def test_dropout_at_evaluation_is_told_from_sampling(kind, expected, seed):
    torch.manual_seed(seed)
    assert verdict(NAME, trainer(kind())) == expected


def test_evaluations_under_several_seeds():
    torch.manual_seed(0)
    always, _ = measured(NAME, trainer(Always()))
    assert len(set(always.evaluation_losses)) == 1
    assert len(set(always.reseeded_losses)) == 3
    assert len(set(always.unregularized_losses)) == 1
    sampling, _ = measured(NAME, trainer(Sampling()))
    assert len(set(sampling.unregularized_losses)) == 3
    healthy, _ = measured(NAME, trainer(Dropping()))
    assert len(set(healthy.reseeded_losses)) == 1
    assert healthy.unregularized_losses == ()


# Targets that broadcast inside the loss


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("factor", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize(
    ("loss", "column", "expected"), [(faults.broadcast_loss, False, BAD_OUTPUT), (squared_loss, True, set())]
)
def test_broadcasting_shows_in_any_units(loss, column, expected, factor, seed):
    inputs, targets = faults.curve(seed)
    data = inputs, targets if column else targets[:, 0]
    made = faults.regression(seed, data, loss=faults.scaled(loss, factor))
    assert verdict(NAME, made) == expected


@pytest.mark.parametrize("factor", [1e-3, 1.0, 1e3])
def test_a_classifier_s_loss_in_any_units(factor):
    def divided(scores, labels):
        return factor * F.cross_entropy(scores, labels)

    assert verdict(NAME, trainer(Dropping(0.0), divided)) == set()


@pytest.mark.parametrize("factor", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize(("column", "expected"), [(False, BAD_OUTPUT), (True, set())])
@pytest.mark.filterwarnings("ignore:Using a target size")
def test_pytorch_s_squared_error(column, expected, factor):
    torch.manual_seed(0)
    data = [(x, x[:, :1] if column else x[:, 0]) for x, _ in batches()]
    made = trainer(nn.Linear(FEATURES, 1), lambda s, y: factor * F.mse_loss(s, y), train=data, task="regression")
    assert verdict(NAME, made) == expected


def test_equal_targets_have_no_other_order():
    inputs, _ = faults.curve(0)
    made = faults.regression(0, (inputs, np.ones(len(inputs))), loss=faults.broadcast_loss)
    assert verdict(NAME, made) == set()

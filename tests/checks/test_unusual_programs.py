"""Programs that are legal and unusual, or broken in the way they are driven: the checks tell the one from the other."""

import dataclasses

import numpy as np
import pytest
import torch
from trainers import TinyTrainer, TracedTrainer

from babysit import Output, Regression, runner, seeds
from babysit.adapters.numpy import NumpyTrainer
from babysit.adapters.pytorch import PyTorchTrainer
from babysit.checks import find_checks
from babysit.commands.plan import plan
from babysit.config.file import Config

CHECKS = find_checks()
PLAN = plan(Config(settings={name: check.settings() for name, check in CHECKS.items()}), CHECKS)


def report_on(trainer, seed=0):
    seeds.seed_everything(seed)
    return runner.run(trainer, PLAN, target="unusual", seed=seed)


def found(trainer, *severities):
    return {f.rule for f in report_on(trainer).findings if not severities or f.severity in severities}


def only(trainer, check):
    return {f.message: f.rule for f in report_on(trainer).findings if f.rule in CHECKS[check].rules}


def test_batches_of_one_example_are_no_fault():
    assert found(TracedTrainer(batch_size=1, learning_rate=0.02), "error") == set()


class Accumulating(TracedTrainer):
    """Updates once in eight steps, with the mean of their gradients."""

    def __init__(self):
        super().__init__(learning_rate=0.5, batch_size=10)
        self.count, self.sums = 0, {name: np.zeros_like(w) for name, w in self.weights.items()}

    def step(self, batch):
        output, gradients = self._forward_backward(batch)
        self.sums = {name: s + gradients[name] / 8 for name, s in self.sums.items()}
        self.count += 1
        if self.count % 8:
            return dataclasses.replace(output, updated=False)
        self.weights = {name: w - self.learning_rate * self.sums[name] for name, w in self.weights.items()}
        self.sums = {name: np.zeros_like(w) for name, w in self.weights.items()}
        return output

    def save(self):
        return {"weights": super().save(), "sums": {n: s.copy() for n, s in self.sums.items()}, "count": self.count}

    def load(self, state):
        super().load(state["weights"])
        self.sums, self.count = {n: s.copy() for n, s in state["sums"].items()}, state["count"]


def test_accumulated_gradients_are_waited_for():
    assert found(Accumulating(), "error") == set()


class InPlace(TracedTrainer):
    def step(self, batch):
        output, gradients = self._forward_backward(batch)
        for name, w in self.weights.items():
            w -= self.learning_rate * gradients[name]
        return output


class SavesItself(InPlace):
    def save(self):
        return self.weights


class KeepsWhatItLoads(InPlace):
    def load(self, state):
        self.weights = state


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (SavesItself, "saved changes as the trainer steps: save() returns the arrays themselves, not copies."),
        (KeepsWhatItLoads, "loaded changes as the trainer steps: load() keeps the arrays that it is given."),
    ],
)
def test_a_state_that_is_no_copy_is_named(make, message):
    assert only(make(), "check-target") == {f"a state that was {message}": "state-not-restored"}


@pytest.mark.parametrize("make", [SavesItself, KeepsWhatItLoads])
def test_not_even_such_a_trainer_is_changed(make):
    trainer = make()
    before = {name: w.copy() for name, w in trainer.weights.items()}
    report_on(trainer)
    assert all(np.array_equal(trainer.weights[name], w) for name, w in before.items())


class GlobalDropout(TracedTrainer):
    """Dropout on the inputs, its masks drawn from NumPy's global generator; the penalty never reaches the gradient."""

    reaches = True

    def _forward_backward(self, batch, training=True):
        inputs, targets = batch
        if self.regularization_scale and training:
            inputs = inputs * (np.random.random(inputs.shape) > 0.2) / 0.8
        output, gradients = super()._forward_backward((inputs, targets))
        if not self.reaches:
            strength, self.strength = self.strength, 0.0
            gradients = super()._forward_backward((inputs, targets))[1]
            self.strength = strength
        return output, gradients

    def evaluate(self, batch, *, training=False):
        state = np.random.get_state()
        output = self._forward_backward(batch, training)[0]
        np.random.set_state(state)
        return output


class GlobalDropoutAlone(GlobalDropout):
    reaches = False


def test_masks_from_a_global_generator_are_the_same_for_every_strength():
    assert only(GlobalDropout(strength=1e-2), "check-reg") == {}
    (rule,) = only(GlobalDropoutAlone(strength=1e-2), "check-reg").values()
    assert rule == "decay-not-applied"


class PenaltyUphill(TracedTrainer):
    """The penalty's gradient is subtracted."""

    def _forward_backward(self, batch):
        output, gradients = super()._forward_backward(batch)
        gradients["W"] = gradients["W"] - 4 * self.strength * self.regularization_scale * self.weights["W"]
        return output, gradients


def test_a_penalty_that_pushes_away_from_zero_is_named():
    ((message, rule),) = only(PenaltyUphill(strength=1e-3), "check-reg").items()
    assert rule == "decay-not-applied"
    assert message.endswith("a step then pushes the weights away from zero (cosine -1.00 to the way there).")


class PenaltyInTheLoss(TracedTrainer):
    """The whole loss in one number, with a sign."""

    sign = 1.0

    def _forward_backward(self, batch):
        output, gradients = super()._forward_backward(batch)
        gradients["W"] = (
            gradients["W"] + 2 * (self.sign - 1) * self.strength * self.regularization_scale * self.weights["W"]
        )
        return Output(output.loss + self.sign * output.penalty, 0.0, output.scores), gradients


class PenaltyInTheLossMinus(PenaltyInTheLoss):
    sign = -1.0


def test_a_penalty_inside_the_loss_is_judged_as_well():
    assert only(PenaltyInTheLoss(), "check-reg") == {}
    (rule,) = only(PenaltyInTheLossMinus(), "check-reg").values()
    assert rule == "regularization-lowers-loss"


class HalfSquares:
    """Linear regression by hand under half the mean squared error, or the sum of squares over outputs."""

    def __init__(self, factor, outputs):
        self.factor = factor
        self.params = {"W": 0.1 * np.random.randn(6, outputs), "b": np.zeros(outputs)}

    def loss(self, X, y=None):
        scores = X @ self.params["W"] + self.params["b"]
        if y is None:
            return scores
        d = 2 * self.factor * (scores - y) / scores.size
        return self.factor * ((scores - y) ** 2).mean(), {"W": X.T @ d, "b": d.sum(0)}


@pytest.mark.parametrize(("factor", "outputs"), [(0.5, 1), (5.0, 5), (2.5, 5)])
@pytest.mark.parametrize("seed", range(3))
def test_a_squared_error_may_be_halved_or_summed_over_outputs(factor, outputs, seed):
    seeds.seed_everything(seed)
    X = np.random.randn(200, 6)
    y = X @ np.random.randn(6, outputs)
    made = NumpyTrainer(HalfSquares(factor, outputs), (X, y), task=Regression(), learning_rate=0.1 / factor * outputs)
    assert {f.rule for f in report_on(made, seed).findings if f.rule in CHECKS["check-loss"].rules} == set()


class RandomAtTest:
    """Dropout whose mask is drawn at test time too."""

    def __init__(self):
        self.params = {"W1": np.random.randn(6, 30) / 2, "W2": 0.1 * np.random.randn(30, 3)}

    def loss(self, X, y=None):
        h = np.maximum(0, X @ self.params["W1"])
        mask = (np.random.rand(*h.shape) > 0.5) / 0.5
        scores = (h * mask) @ self.params["W2"]
        if y is None:
            return scores
        p = np.exp(scores - scores.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        rows = np.arange(len(y))
        loss = -np.log(p[rows, y]).mean()
        p[rows, y] -= 1
        d = p / len(y)
        dh = d @ self.params["W2"].T * mask * (h > 0)
        return loss, {"W1": X.T @ dh, "W2": (h * mask).T @ d}


def test_a_mask_drawn_at_test_time_is_seen():
    seeds.seed_everything(0)
    made = NumpyTrainer(RandomAtTest(), TinyTrainer().splits["train"], task="classification", learning_rate=0.1)
    assert "nondeterministic-evaluation" in found(made, "error")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (lambda y: y - 1, "A label is -1, but 3 classes go from 0 to 2."),
        (lambda y: y.astype(float) + 0.5, "The targets are no whole numbers, so they can't be class labels."),
    ],
)
def test_labels_that_are_none_are_named(labels, message):
    def evaluate(self, batch, training=False):
        return TinyTrainer._forward_backward(self, fit(batch))[0]

    trainer = TinyTrainer(evaluate=evaluate, step=lambda self, batch: TinyTrainer.step(self, fit(batch)))
    inputs, targets = trainer.splits["train"]
    trainer.splits["train"] = inputs, labels(targets)
    assert only(trainer, "check-loss") == {message: "task-mismatch"}


def fit(batch):
    return batch[0], np.clip(batch[1], 0, 2).astype(int)


def segmented(dice):
    """Squares found in noise, by cross-entropy alone or with a Dice loss beside it."""
    draw = torch.Generator().manual_seed(0)
    masks = torch.zeros(160, 12, 12, dtype=torch.long)
    for mask, (row, column) in zip(masks, torch.randint(0, 7, (160, 2), generator=draw).tolist(), strict=True):
        mask[row : row + 5, column : column + 5] = 1
    images = masks[:, None] + 0.3 * torch.randn(160, 1, 12, 12, generator=draw)
    images = images - images.mean()

    def loss(scores, mask):
        p, t = scores.softmax(1)[:, 1], mask.float()
        overlap = (2 * (p * t).sum() + 1) / (p.sum() + t.sum() + 1)
        return torch.nn.functional.cross_entropy(scores, mask) + (1 - overlap if dice else 0)

    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(8, 2, 3, padding=1)
    )
    batches = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(images, masks), 16, shuffle=True)
    return PyTorchTrainer(network, loss, torch.optim.Adam(network.parameters(), 1e-2), batches)


def test_a_sum_of_two_losses_has_no_chance_value_and_is_judged_by_the_rest():
    report = report_on(segmented(dice=True))
    assert not [f.rule for f in report.findings if f.severity in ("error", "warning")]
    ends = {result.check: (result.status, result.reason) for result in report.results}
    status, reason = ends["overfit"]
    assert status == "skipped"
    assert reason.startswith("the chance loss is not known (the loss is more than what cross_entropy returns), so ")
    passed = {name for name, (status, _) in ends.items() if status == "passed"}
    assert {"check-loss", "check-grad", "lr-scan", "train"} <= passed


def test_one_of_them_alone_has_one():
    ends = {result.check: result.status for result in report_on(segmented(dice=False)).results}
    assert ends["overfit"] == "passed"

"""Broken trainers, healthy ones, and near misses: legal ones that look like a fault to a simpler rule.

Each is a function of a seed, which goes into data, weights and order of examples.
"""

import math
import random
from dataclasses import dataclass, fields, is_dataclass, replace

import numpy as np

from babysit.checks import find_checks
from babysit.driving.bench import Bench
from babysit.lab.broken import (
    EvaluationMovesStatistics,
    FrozenHead,
    MomentumNotSaved,
    PenaltyMinusSign,
    PenaltyWithoutGradient,
    RegularizationIgnored,
    Softmax,
    StepDoesNothing,
    summed,
)
from babysit.lab.demo import DESIGN, assemble, trainer
from babysit.lab.layers import RELU, SIGMOID, TANH, sigmoid
from babysit.lab.losses import softmax_loss, squared_loss
from babysit.lab.network import Design, Network
from babysit.lab.trainer import LabTrainer
from babysit.tasks.task import Binary, ChanceLoss, Classification, Hinge, Regression

SEEDS = (0, 1, 2)


def measured(name, made, **settings):
    """What the check of this name measures, and its settings."""
    check = find_checks()[name]
    chosen = check.settings(**settings)
    with np.errstate(all="ignore"):
        return check.measure(Bench(made), chosen), chosen


def findings(name, made, **settings):
    return find_checks()[name].judge(*measured(name, made, **settings))


def verdict(name, made, **settings):
    """All that is found, as {(rule, severity)}."""
    return {(finding.rule, str(finding.severity)) for finding in findings(name, made, **settings)}


def spoiled(value, wrong):
    """(where, copy) for each float at any depth of frozen dataclasses, tuples and dicts, that float being `wrong`."""
    if isinstance(value, float):
        yield "", wrong
    elif is_dataclass(value):
        for field in fields(value):
            for where, inner in spoiled(getattr(value, field.name), wrong):
                yield f".{field.name}{where}", replace(value, **{field.name: inner})
    elif isinstance(value, tuple):
        for i, item in enumerate(value):
            for where, inner in spoiled(item, wrong):
                yield f"[{i}]{where}", (*value[:i], inner, *value[i + 1 :])
    elif isinstance(value, dict):
        for key, item in value.items():
            for where, inner in spoiled(item, wrong):
                yield f"[{key}]{where}", {**value, key: inner}


def judged_whatever_the_numbers(name, healthy, settings):
    """All that is found, and shown, with NaN and the infinities in each place; a place may raise nothing."""
    check = find_checks()[name]
    for wrong in (math.nan, math.inf, -math.inf):
        for where, measurement in spoiled(healthy, wrong):
            list(check.exhibits(measurement, settings))
            yield where, wrong, {finding.rule for finding in check.judge(measurement, settings)}


def left(trainer):
    """All that a check may not change."""
    return {
        "state": trainer.save(),
        "rate": trainer.learning_rate,
        "scale": trainer.regularization_scale,
        "numpy": np.random.get_state(legacy=False),
        "python": random.getstate(),
    }


# Programs


def program(design, train, task, seed, *, loss=None, head=None, rate=0.02, optimizer="adam", **options):
    """A trainer of any design on any data, with a loss and a last nonlinearity of one's own."""
    network = Network(design, seed)
    if loss is not None:
        network.loss = loss
    if head is not None:
        network.layers["head"] = head
    options = {"batch_size": 50, "seed": seed} | options
    return LabTrainer(network, train, task=task, learning_rate=rate, optimizer=optimizer, **options)


def demo(seed, *, network=Network, made=LabTrainer, rate=0.02, optimizer="adam", **design):
    design = replace(DESIGN, **design)
    return assemble(design, network=network, trainer=made, learning_rate=rate, optimizer=optimizer, seed=seed)


def lecture(seed, *, classes=10, examples=500, features=50, task=None, **design):
    """Standardized inputs of ten classes that a hyperplane tells apart, as the lecture's CIFAR-10 would be."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=examples)
    inputs = rng.normal(size=(examples, features))
    inputs[np.arange(examples), labels] += 3
    inputs = (inputs - inputs.mean(axis=0)) / inputs.std(axis=0)
    design = Design(**{"sizes": (features, classes), "initialization": "small-normal"} | design)
    return program(design, (inputs, labels), task or Classification(classes), seed, rate=1.0, optimizer="sgd")


def curve(seed, scale=1.0, shift=0.0, examples=300):
    """A regression in three features."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(examples, 3))
    targets = np.sin(2 * inputs[:, :1]) + inputs[:, 1:2] * inputs[:, 2:]
    return inputs, shift + scale * targets / targets.std()


def regression(seed, data=None, **options):
    return program(Design(sizes=(3, 100, 1), loss="squared"), data or curve(seed), Regression(), seed, **options)


def rare(seed, share=0.05, examples=1000):
    """One example in twenty is positive."""
    rng = np.random.default_rng(seed)
    targets = (np.arange(examples) < share * examples).astype(float)[:, None]
    inputs = rng.normal(size=(examples, 5)) + 2 * targets
    order = rng.permutation(examples)
    return inputs[order], targets[order]


def binary(seed, share=0.5, **options):
    options = {"loss": logistic_loss} | options
    return program(Design(sizes=(5, 30, 1)), rare(seed, share), Binary(), seed, **options)


# Losses: (scores, targets) -> (loss, gradient of the scores)


def logistic_loss(scores, targets):
    losses = np.maximum(scores, 0) - scores * targets + np.log1p(np.exp(-np.abs(scores)))
    return float(losses.mean()), (sigmoid(scores) - targets) / scores.size


def logistic_loss_of_probabilities(p, targets):
    p = np.clip(p, 1e-12, 1 - 1e-12)
    loss = -(targets * np.log(p) + (1 - targets) * np.log(1 - p)).mean()
    return float(loss), (p - targets) / (p * (1 - p)) / p.size


def loss_of_probabilities(p, labels):
    rows = np.arange(len(labels))
    gradient = np.zeros_like(p)
    gradient[rows, labels] = -1 / p[rows, labels] / len(labels)
    return float(-np.log(p[rows, labels]).mean()), gradient


def smoothed_loss(scores, labels, smoothing=0.1):
    classes = scores.shape[1]
    truth = np.full(scores.shape, smoothing / classes)
    truth[np.arange(len(labels)), labels] += 1 - smoothing
    shifted = scores - scores.max(axis=1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return float(-(truth * logs).sum(axis=1).mean()), (np.exp(logs) - truth) / len(labels)


def scaled(loss, factor, offset=0.0):
    """The loss times a factor, and its gradient with it."""

    def changed(scores, targets):
        value, gradient = loss(scores, targets)
        return factor * value + offset, factor * gradient

    return changed


def broadcast_loss(scores, targets):
    """Scores (N, 1) less targets (N,): (N, N)."""
    errors = scores - targets
    return float(np.mean(errors**2)), 2 * errors.mean(axis=1, keepdims=True) / len(scores)


def aligned_loss(scores, targets):
    return squared_loss(scores, targets[:, None])


def logarithm_of_zero(scores, labels):
    return np.log(0.0 * scores.max()), np.zeros_like(scores)


def deaf_loss(scores, labels):
    """Finite, whatever the scores are."""
    loss, gradient = softmax_loss(np.nan_to_num(scores), labels)
    return loss, gradient


def uphill(loss):
    """The gradient's sign is wrong."""

    def wrong(scores, targets):
        value, gradient = loss(scores, targets)
        return value, -gradient

    return wrong


# Healthy


def healthy(seed, activation="relu"):
    return trainer(activation, seed=seed)


def batch_norm(seed):
    return demo(seed, batch_norm=True)


def dropout(seed):
    return demo(seed, dropout=0.5)


def batch_norm_and_dropout(seed):
    return demo(seed, batch_norm=True, dropout=0.2)


def momentum(seed):
    return demo(seed, rate=0.1, optimizer="momentum")


def hinge(seed):
    made = demo(seed, loss="hinge")
    made.task = Hinge(3)
    return made


# Near misses


def zero_head(seed):
    return demo(seed, output_initialization="zeros")


def dropout_before_zero_head(seed):
    """Dropout alone, which shows in no loss at the start: all scores are 0."""
    return demo(seed, dropout=0.5, l2=0.0, output_initialization="zeros")


def prior_bias(seed):
    made = binary(seed, share=0.05)
    made.network.params["affine2.b"][:] = np.log(0.05 / 0.95)
    return made


def label_smoothing(seed):
    made = demo(seed)
    made.network.loss = smoothed_loss
    return made


def negative_loss(seed):
    """A squared error less ten; what it is worth to know nothing is stated."""
    made = regression(seed, loss=scaled(squared_loss, 1.0, -10.0))
    made.task = ChanceLoss(-9.0)
    return made


def probabilities_and_their_loss(seed):
    made = demo(seed)
    made.network.layers["softmax1"] = Softmax()
    made.network.loss = loss_of_probabilities
    return made


def sure_sigmoid(seed):
    """A sigmoid gives the scores, and is right to stand at its limits soon."""
    return binary(seed, loss=logistic_loss_of_probabilities, head=SIGMOID, rate=0.05)


def shut_sigmoid_at_the_end(seed):
    """It starts at the frequency of a class that is rarer than one in a hundred."""
    made = sure_sigmoid(seed)
    made.splits["train"] = rare(seed, 0.008)
    made.network.params["affine2.b"][:] = np.log(0.008 / 0.992)
    return made


class ZeroResidual(Network):
    """The second hidden layer is a residual branch whose nonlinearity gives 0 until it has learned."""

    def __init__(self, design, seed=0):
        super().__init__(design, seed)
        self.params["affine2.W"] = np.zeros_like(self.params["affine2.W"])


def zero_residual(seed):
    """A tanh layer of zero weights in between, biases and all, that the first steps wake up."""
    made = demo(seed, network=ZeroResidual, sizes=(2, 100, 100, 3), activation="tanh", initialization="xavier")
    made.network.params["affine2.b"] = 0.1 * np.random.default_rng(seed).normal(size=100)
    return made


def one_batch(seed):
    made = demo(seed)
    made.batch_size = 300
    return made


def exclusive_or(seed):
    """Four examples in one batch."""
    inputs, targets = np.array([[-1.0, -1], [-1, 1], [1, -1], [1, 1]]), np.array([0, 1, 1, 0])
    design = Design(sizes=(2, 16, 2), activation="tanh", initialization="xavier")
    return program(design, (inputs, targets), Classification(2), seed, rate=0.05, batch_size=4)


def noise_floor(seed):
    """A linear model of fewer parameters than examples, and half of the variance is noise."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(400, 8))
    targets = inputs @ rng.normal(size=(8, 1)) / np.sqrt(8) + rng.normal(size=(400, 1))
    design = Design(sizes=(8, 1), loss="squared")
    return program(design, (inputs, targets), Regression(), seed, rate=0.05, optimizer="sgd")


def targets_far_from_zero(seed):
    """Such a loss starts at the mean square of the targets; a bias that starts there, at their variance."""
    made = regression(seed, curve(seed, scale=3.0, shift=20.0))
    made.network.params["affine2.b"][:] = 20
    return made


def shares_of_one(seed):
    """A sigmoid for targets that lie within its range."""
    inputs, targets = curve(seed)
    return regression(seed, (inputs, 0.1 + 0.8 * (targets > 0)), head=SIGMOID)


def softmax_regression(seed):
    return lecture(seed)


class DecayInOptimizer(LabTrainer):
    """Decoupled weight decay: it never shows in the loss."""

    decay = 0.01

    def strengths(self):
        return {"weight_decay": self.decay}

    def _update(self, gradients):
        kept = 1 - self.learning_rate * self.decay * self.regularization_scale
        self.network.params |= {name: kept * w for name, w in self.network.weights().items()}
        super()._update(gradients)


class DecayThatDrowns(DecayInOptimizer):
    decay = 10.0


def decay_in_optimizer(seed):
    return demo(seed, made=DecayInOptimizer, l2=0.0)


def large_share(seed):
    """The penalty is most of the first loss, and its pull on so large weights is small all the same."""
    return demo(seed, sizes=(2, 1000, 3), l2=1e-3)


def large_share_by_sgd(seed):
    return demo(seed, sizes=(2, 1000, 3), l2=1e-3, rate=0.1, optimizer="sgd")


class FirstStepsSkipped(LabTrainer):
    """Loss scaling that is still finding its scale."""

    skipped = 2

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.made = 0

    def step(self, batch):
        self.made += 1
        if self.made > self.skipped:
            return super().step(batch)
        return replace(self.evaluate(batch, training=True), updated=False)

    def save(self):
        return super().save() | {"made": self.made}

    def load(self, state):
        super().load(state)
        self.made = state["made"]


def first_steps_skipped(seed):
    return demo(seed, made=FirstStepsSkipped)


class GlobalNoise(LabTrainer):
    """Draws its noise from NumPy's global generator, as programs by hand do."""

    def step(self, batch):
        inputs, targets = batch
        noise = 0.3 * self.regularization_scale * np.random.normal(size=inputs.shape)
        return super().step((inputs + noise, targets))


def global_noise(seed):
    return demo(seed, made=GlobalNoise)


class Rounded(LabTrainer):
    """Sums in another order each time: single precision's last digit is left to chance."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.chance = np.random.default_rng(0)

    def evaluate(self, batch, *, training=False):
        return self._jitter(super().evaluate(batch, training=training))

    def step(self, batch):
        return self._jitter(super().step(batch))

    def _jitter(self, output):
        return replace(output, loss=output.loss * (1 + 1e-7 * self.chance.choice([-1, 0, 1])))


def rounded(seed):
    return demo(seed, made=Rounded)


def rounded_and_slow(seed):
    return demo(seed, made=Rounded, rate=1e-6, optimizer="sgd")


def column_of_targets(seed):
    """Scores (N, 1), targets (N,), and a loss that knows it."""
    inputs, targets = curve(seed)
    return regression(seed, (inputs, targets[:, 0]), loss=aligned_loss)


# Broken: check-target


def momentum_not_saved(seed):
    return demo(seed, made=MomentumNotSaved, rate=0.1, optimizer="momentum")


class StateIsAlias(LabTrainer):
    """Steps write into the very arrays that were saved."""

    def save(self):
        return super().save() | {"parameters": self.network.params}

    def load(self, state):
        parameters = state["parameters"]
        super().load(state)
        self.network.params = parameters


def state_is_alias(seed):
    return demo(seed, made=StateIsAlias)


class NoiseNotSaved(LabTrainer):
    """The dropout masks' generator is left out of the checkpoint."""

    def save(self):
        return {name: part for name, part in super().save().items() if name != "noise"}

    def load(self, state):
        super().load({**state, "noise": self.network.noise.bit_generator.state})


def noise_not_saved(seed):
    return demo(seed, made=NoiseNotSaved, dropout=0.5)


class HiddenSchedule(LabTrainer):
    """Each step divides the rate, by a counter that no checkpoint has."""

    made = 0

    def _update(self, gradients):
        self.made += 1
        super()._update({name: g / self.made for name, g in gradients.items()})


def hidden_schedule(seed):
    return demo(seed, made=HiddenSchedule, rate=0.1, optimizer="sgd")


def evaluation_moves_statistics(seed):
    return demo(seed, made=EvaluationMovesStatistics, batch_norm=True)


class TrainingEvaluationMovesStatistics(LabTrainer):
    """A forward pass in training mode moves batch norm's statistics, gradients or none."""

    def evaluate(self, batch, *, training=False):
        return self._forward(batch, training=True)[0] if training else super().evaluate(batch)


def training_evaluation_moves_statistics(seed):
    return demo(seed, made=TrainingEvaluationMovesStatistics, batch_norm=True)


def step_does_nothing(seed):
    return demo(seed, made=StepDoesNothing)


def rate_of_zero(seed):
    return demo(seed, rate=0.0, optimizer="sgd")


class EveryStepSkipped(FirstStepsSkipped):
    skipped = 10**9


def every_step_skipped(seed):
    return demo(seed, made=EveryStepSkipped)


class DropoutAtTest(LabTrainer):
    """Drops units whatever the mode, from the global generator."""

    def evaluate(self, batch, *, training=False):
        inputs, targets = batch
        return super().evaluate((inputs * (np.random.random(inputs.shape) < 0.5), targets), training=training)


def dropout_at_test(seed):
    return demo(seed, made=DropoutAtTest)


def broadcast(seed):
    inputs, targets = curve(seed)
    return regression(seed, (inputs, targets[:, 0]), loss=broadcast_loss)


def scores_not_finite(seed):
    made = demo(seed)
    made.network.loss = deaf_loss
    made.network.params["affine2.b"][0] = np.nan
    return made


class NaNPenalty(Network):
    def penalty(self, scale=1.0):
        return np.nan


def penalty_not_finite(seed):
    return demo(seed, network=NaNPenalty)


class Transposed(LabTrainer):
    """Scores (C, N)."""

    def _forward(self, batch, *, training):
        output, *rest = super()._forward(batch, training=training)
        return replace(output, scores=output.scores.T), *rest


def scores_transposed(seed):
    return demo(seed, made=Transposed)


# Broken: check-activations


def dead_relu(seed):
    made = demo(seed)
    made.network.params["affine1.b"] -= 50
    return made


def some_dead_relus(seed):
    made = demo(seed)
    made.network.params["affine1.b"][:30] -= 50
    return made


def ten_dead_relus(seed):
    made = demo(seed)
    made.network.params["affine1.b"][:10] -= 50
    return made


def half_of_outputs_zero(seed):
    """Deep in the network too, and no unit is dead."""
    return demo(seed, sizes=(2, 100, 100, 3), rate=0.002)


def killed_by_rate(seed):
    return demo(seed, rate=1.0, optimizer="momentum")


def saturated_tanh(seed):
    return demo(seed, sizes=(2, 100, 100, 100, 3), activation="tanh", initialization="large-normal")


def wide_inputs_into_tanh(seed):
    made = demo(seed, activation="tanh", initialization="xavier")
    inputs, labels = made.splits["train"]
    made.splits["train"] = 3 * inputs, labels
    return made


def zero_weights(seed):
    return demo(seed, activation="tanh", initialization="zeros", output_initialization="zeros")


def same_inputs(seed, value=1.0):
    """An integer division, and every pixel of every image is the same."""
    made = demo(seed)
    inputs, labels = made.splits["train"]
    made.splits["train"] = np.full_like(inputs, value), labels
    return made


def zero_inputs(seed):
    return same_inputs(seed, 0.0)


def signal_dies(seed):
    design = {"sizes": (2, *[100] * 10, 3), "activation": "tanh", "initialization": "small-normal"}
    return demo(seed, rate=0.1, optimizer="momentum", **design)


def sigmoids_shut(seed):
    """Biases of 8: every unit says 1, whatever comes in."""
    design = {"sizes": (2, 100, 100, 3), "activation": "sigmoid", "initialization": "small-normal"}
    made = demo(seed, **design, rate=1e-4)
    made.network.params["affine2.b"] += 8
    return made


def sigmoids_of_nothing(seed):
    """Weights of 0.01: each sigmoid stays at 0.5."""
    design = {"sizes": (2, 100, 100, 100, 3), "activation": "sigmoid", "initialization": "small-normal"}
    return demo(seed, **design, rate=1e-4)


def raw_positive_inputs(seed):
    made = healthy(seed, "sigmoid")
    inputs, labels = made.splits["train"]
    made.splits["train"] = inputs + 4, labels
    return made


def raw_positive_inputs_normalized(seed):
    """The network normalizes them itself, ahead of its nonlinearity."""
    made = demo(seed, batch_norm=True)
    inputs, labels = made.splits["train"]
    made.splits["train"] = inputs + 1, labels
    return made


def idle_pieces(seed, every=4):
    made = healthy(seed, "maxout")
    made.network.params["affine1.b"][1::every] = -100
    return made


def all_pieces_idle(seed):
    return idle_pieces(seed, every=2)


def linear_prelu(seed, slope=1.0):
    made = healthy(seed, "prelu")
    made.network.params["prelu1.slope"] = np.full(1, slope)
    return made


# Broken: check-loss


def logits(seed, spread, classes=10, examples=500, loss=softmax_loss):
    """Random scores of this spread that know nothing: a linear layer hands the inputs through."""
    rng = np.random.default_rng(seed)
    train = rng.normal(size=(examples, classes)), rng.integers(classes, size=examples)
    made = program(Design(sizes=(classes, classes)), train, Classification(classes), seed, loss=loss)
    made.network.params["affine1.W"] = spread * np.eye(classes)
    return made


def very_sure(seed):
    return logits(seed, 6.0)


def rather_sure(seed):
    return logits(seed, 3.7)


def softmax_twice(seed):
    made = demo(seed)
    made.network.layers["softmax1"] = Softmax()
    return made


def sigmoid_twice(seed):
    return binary(seed, head=SIGMOID)


def summed_loss(seed):
    made = demo(seed)
    made.network.loss = summed(made.network.loss)
    return made


def nan_input(seed):
    made = demo(seed)
    made.splits["train"][0][17, 0] = np.nan
    return made


def scores_overflow(seed):
    made = demo(seed)
    made.network.params["affine1.W"] *= np.inf
    return made


def logarithm_of_nothing(seed):
    made = demo(seed)
    made.network.loss = logarithm_of_zero
    return made


def too_many_scores(seed):
    return demo(seed, sizes=(2, 100, 10))


def label_beyond_classes(seed):
    made = demo(seed, sizes=(2, 100, 4))
    made.task = Classification(4)
    inputs, labels = made.splits["train"]
    made.splits["train"] = inputs, labels + 2
    made.network.loss = lambda scores, y: softmax_loss(scores, np.minimum(y, 3))
    return made


def in_bits(seed):
    made = demo(seed)
    made.network.loss = scaled(softmax_loss, 1 / np.log(2))
    return made


def divided_by_classes(seed):
    made = demo(seed)
    made.network.loss = scaled(softmax_loss, 1 / 3)
    return made


def pretrained(seed):
    made = demo(seed)
    for _ in range(30):
        for batch in made.batches():
            made.step(batch)
    return made


# Broken: check-reg


def regularization_ignored(seed):
    return demo(seed, network=RegularizationIgnored)


def penalty_minus_sign(seed):
    return demo(seed, network=PenaltyMinusSign)


def penalty_too_strong(seed):
    return demo(seed, l2=1.0, rate=0.1, optimizer="momentum")


def decay_too_strong(seed):
    return demo(seed, made=DecayThatDrowns, l2=0.0, rate=0.1, optimizer="sgd")


def penalty_without_gradient(seed):
    return demo(seed, network=PenaltyWithoutGradient)


def weak_penalty(seed):
    """So weak that a thousand times as much leaves Adam's first step, which only knows signs, nearly as it was."""
    softmax = lecture(seed, l2=1e-7)
    return program(softmax.network.design, softmax.splits["train"], softmax.task, seed, rate=0.01)


def no_regularization(seed):
    return demo(seed, l2=0.0)


# Broken: overfit, lr-scan


def rate_of(rate, optimizer="adam", **design):
    def made(seed):
        return demo(seed, rate=rate, optimizer=optimizer, **design)

    made.__name__ = f"{optimizer}_at_{rate:g}"
    return made


def frozen_head(seed):
    return demo(seed, made=FrozenHead, rate=0.3, optimizer="momentum")


class FrozenBody(LabTrainer):
    """The first layer never reaches the optimizer; its random features are enough to memorize."""

    def _update(self, gradients):
        super()._update({name: g for name, g in gradients.items() if not name.startswith("affine1.")})


def frozen_body(seed):
    return demo(seed, made=FrozenBody, rate=0.1, optimizer="momentum")


class FrozenBias(LabTrainer):
    """The head's bias never reaches the optimizer, and nobody misses it."""

    def _update(self, gradients):
        super()._update({name: g for name, g in gradients.items() if name != "affine2.b"})


def frozen_bias(seed):
    return demo(seed, made=FrozenBias)


@dataclass(frozen=True)
class MeanOverBatch:
    """A mean over the wrong axis: each example gets the features of the whole batch."""

    kind: str = ""

    def initial(self, _rng):
        """Nothing to learn."""
        return {}

    def forward(self, x, _own, _training):
        """(N, units) -> (N, units), all rows the same."""
        return np.broadcast_to(x.mean(axis=0), x.shape).copy(), None

    def backward(self, dout, _cache):
        """Every example gets the same share."""
        return np.broadcast_to(dout.mean(axis=0), dout.shape).copy(), {}


def mean_over_batch(seed):
    made = demo(seed)
    layers = made.network.layers
    head = layers.popitem()
    layers |= {"mean1": MeanOverBatch(), head[0]: head[1]}
    return made


def wrong_sign(seed):
    made = demo(seed, rate=0.1, optimizer="sgd")
    made.network.loss = uphill(softmax_loss)
    return made


def sigmoid_regression(seed):
    return regression(seed, curve(seed, scale=10.0, shift=50.0), head=SIGMOID)


def relu_regression(seed):
    return regression(seed, head=RELU)


def tanh_regression(seed):
    return regression(seed, curve(seed, scale=3.0), head=TANH)


class TinyUpdates(LabTrainer):
    """A clipping limit that always acts makes the best rate an absurd one."""

    factor = 1e-8

    def _update(self, gradients):
        super()._update({name: self.factor * g for name, g in gradients.items()})


class HugeUpdates(TinyUpdates):
    factor = 1e9


def tiny_updates(seed):
    return demo(seed, made=TinyUpdates, rate=1.0, optimizer="sgd")


def huge_updates(seed):
    return demo(seed, made=HugeUpdates, rate=1e-6, optimizer="sgd")

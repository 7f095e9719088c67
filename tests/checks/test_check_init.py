"""`check-init` on the embedded network, on networks by hand, and on plain numbers; PyTorch has a module of its own."""

import functools
import itertools
import math
from dataclasses import replace

import faults
import numpy as np
import pytest
import torch
from faults import SEEDS, findings, judged_whatever_the_numbers, left, measured, program, verdict
from processes import parallel_demo, together
from pytorch_programs import linear
from pytorch_programs import trainer as torch_trainer
from trainers import TinyTrainer

from babysit import Classification, arrays, runner
from babysit.adapters.numpy import NumpyTrainer
from babysit.checks import find_checks
from babysit.checks.check_init import Measurement, Settings
from babysit.checks.check_init.schema import Signals
from babysit.commands import plan as planning
from babysit.config.file import Config
from babysit.driving.bench import Bench
from babysit.errors import Skip
from babysit.lab.data import gaussian
from babysit.lab.layers import ACTIVATIONS
from babysit.lab.network import Design
from babysit.measuring.unit_statistics import LayerSummary
from babysit.measuring.weights import Weight
from babysit.report import Histograms, Severity, Table
from babysit.reporting.formats import json as as_json

NAME = "check-init"
SYMMETRIC = ("symmetric-weights", "error")
MIS_SCALED = ("mis-scaled-weights", "error")
SHRUNK = ("shrinking-activations", "error")
SHRUNK_AT_FIRST = ("shrinking-activations", "warning")
EXPLODED = ("exploding-activations", "error")
LARGE = ("exploding-activations", "warning")
VANISHING = ("vanishing-gradient", "error")
EXPLODING = ("exploding-gradient", "error")


def judged(measurement):
    return {(f.rule, str(f.severity)) for f in find_checks()[NAME].judge(measurement, Settings())}


def shown(measurement, kind):
    return [one for one in find_checks()[NAME].exhibits(measurement, Settings()) if isinstance(one, kind)]


# The lecture's ten layers

SPREADS = {
    ("tanh", "small-normal"): {1: 0.213081, 2: 0.047551, 3: 0.010630, 4: 0.002378},
    ("tanh", "large-normal"): {1: 0.981879, 5: 0.981736, 10: 0.981520},
    ("tanh", "xavier"): {1: 0.627953, 2: 0.486051, 3: 0.407723, 4: 0.357108, 10: 0.228008},
    ("relu", "xavier"): {1: 0.582273, 4: 0.198685, 10: 0.026076},
    ("relu", "he"): {1: 0.825692},
}
LECTURE = {
    ("tanh", "small-normal"): {MIS_SCALED, SHRUNK},
    ("tanh", "large-normal"): {MIS_SCALED, EXPLODING},
    ("tanh", "xavier"): set(),
    ("relu", "xavier"): set(),
    ("relu", "he"): set(),
}


def ten_layers(activation, initialization, seed=0, width=500, examples=100):
    inputs = gaussian(np.random.default_rng(seed), examples, width)
    design = Design((width,) * 11 + (10,), activation, initialization)
    data = inputs, np.arange(examples) % 10
    return program(design, data, Classification(10), seed, rate=1e-6, optimizer="sgd", batch_size=examples)


@functools.cache
def looked_at(*design):
    return measured(NAME, ten_layers(*design), steps=1)[0]


@pytest.mark.parametrize("design", SPREADS, ids=" ".join)
def test_the_table_is_the_lectures(design):
    measurement = looked_at(*design)
    (table,) = shown(measurement, Table)
    assert table.columns == ("layer", "kind", "mean", "spread", "lost", "gradient")
    assert [row[:2] for row in table.rows] == [(f"{design[0]}{i}", design[0]) for i in range(1, 11)]
    for layer, spread in SPREADS[design].items():
        _, _, mean, shown_spread, *_ = table.rows[layer - 1]
        assert float(shown_spread) == pytest.approx(spread, rel=0.02 if layer < 4 else 0.1 if layer < 10 else 0.5)
        assert abs(float(mean)) < (0.03 * spread if design[0] == "tanh" else spread)
    assert judged(measurement) == LECTURE[design]


def test_the_picture_is_the_lectures():
    """Tanh under Xavier's initialization: spread out over -1 to 1 in the first layer, a bell about 0 in the last."""
    (picture,) = shown(looked_at("tanh", "xavier"), Histograms)
    assert picture.title == "outputs by layer"
    assert picture.edges[0] == pytest.approx(-np.tanh(2.576), abs=0.01)  # 99 % of a normal distribution
    assert picture.edges[-1] == pytest.approx(np.tanh(2.576), abs=0.01)
    first, last = (np.array(picture.counts[name]) for name in ("tanh1", "tanh10"))
    assert len(first) == 40
    assert first.sum() == pytest.approx(0.99 * last.sum(), rel=0.005)
    assert first[0] > 1.5 * first[20] > 0
    assert last[15:25].sum() > 0.6 * last.sum()


def test_rectifiers_zeros_are_left_out_of_the_picture():
    measurement, _ = measured(NAME, ten_layers("relu", "he", width=40), steps=1)
    (picture,) = shown(measurement, Histograms)
    assert picture.title == "outputs by layer, zeros left out"
    assert sum(picture.counts["relu1"]) == pytest.approx(2000, rel=0.1)  # half of 100 x 40


def torch_gradients(made):
    """Root mean square of the loss's gradient at each nonlinearity's output, by autograd."""
    (inputs, labels), params = next(iter(made.batches())), made.network.params
    h, outputs = torch.tensor(inputs), []
    for i in range(1, 11):
        h = torch.tanh(h @ torch.tensor(params[f"affine{i}.W"]) + torch.tensor(params[f"affine{i}.b"]))
        outputs.append(h.requires_grad_())
    scores = h @ torch.tensor(params["affine11.W"]) + torch.tensor(params["affine11.b"])
    loss = torch.nn.functional.cross_entropy(scores, torch.tensor(labels))
    return [float(g.square().mean().sqrt()) for g in torch.autograd.grad(loss, outputs)]


@pytest.mark.parametrize("initialization", ["small-normal", "xavier", "large-normal"])
def test_the_gradients_are_autograds(initialization):
    made = ten_layers("tanh", initialization, width=40, examples=50)
    expected = torch_gradients(ten_layers("tanh", initialization, width=40, examples=50))
    measurement, _ = measured(NAME, made, steps=1)
    assert measurement.gradients == pytest.approx(expected, rel=1e-9)


def test_the_gradient_of_one_layer_in_closed_form():
    """dL/dh = (p - y) W^T / N."""
    made = faults.healthy(0)
    made.batch_size = 300
    network, (inputs, labels) = made.network, next(iter(faults.one_batch(0).batches()))
    scores = network.forward(inputs)[-1].output
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    p[np.arange(300), labels] -= 1
    expected = np.sqrt(np.mean((p @ network.params["affine2.W"].T / 300) ** 2))
    assert measured(NAME, made)[0].gradients == pytest.approx([expected], rel=1e-9)


# The embedded network


def scaled_layer(seed, layer=2, factor=1000.0, activation="relu"):
    initialization = "he" if activation == "relu" else "xavier"
    made = faults.demo(seed, sizes=(2, 50, 50, 50, 3), activation=activation, initialization=initialization, l2=0.0)
    made.network.params[f"affine{layer}.W"] *= factor
    return made


def scaled_tanh(seed):
    return scaled_layer(seed, activation="tanh")


def twice_too_wide(seed):
    """A factor of two in eight layers, and none of them stands out."""
    made = faults.demo(seed, sizes=(2, *[100] * 8, 3), l2=0.0)
    for i in range(1, 9):
        made.network.params[f"affine{i}.W"] *= 2.3
    return made


def raw_inputs_of_sigmoids(seed):
    """The inputs shut the sigmoids, not the weights, which are as wide as sigmoids want them."""
    made = faults.healthy(seed, "sigmoid")
    inputs, labels = made.splits["train"]
    made.splits["train"] = 100 + inputs, labels
    return made


def constant(seed, **design):
    return faults.demo(seed, initialization="constant", output_initialization="constant", **design)


def constant_normed(seed):
    return constant(seed, batch_norm=True, sizes=(2, 30, 30, 3))


def sigmoids_with_biases(seed):
    made = faults.demo(seed, sizes=(2, *[50] * 4, 3), activation="sigmoid", initialization="xavier", l2=0.0)
    for i in range(1, 5):
        made.network.params[f"affine{i}.b"] += 10
    return made


def chaotic(seed):
    """Thirty tanh layers with weights eight times too wide: the smallest change of an input changes every score."""
    made = faults.demo(seed, sizes=(2, *[30] * 30, 3), activation="tanh", initialization="xavier", l2=0.0, rate=1e-6)
    for i in range(1, 31):
        made.network.params[f"affine{i}.W"] *= 8
    return made


def fifteen_layers(seed):
    """He's initialization keeps any depth alive."""
    return faults.demo(seed, sizes=(2, *[60] * 15, 3), l2=0.0, rate=1e-4)


def wide_but_normed(seed):
    return faults.demo(seed, sizes=(2, *[30] * 5, 3), initialization="large-normal", batch_norm=True)


def narrow_but_shallow(seed):
    return faults.demo(seed, initialization="small-normal", activation="tanh")


TRAINERS = [
    (faults.zero_weights, {SYMMETRIC}),
    (constant, {SYMMETRIC}),
    (constant_normed, {SYMMETRIC}),
    (faults.signal_dies, {MIS_SCALED, SHRUNK}),
    (faults.saturated_tanh, {MIS_SCALED}),
    (scaled_layer, {MIS_SCALED, LARGE}),
    (scaled_tanh, {MIS_SCALED}),
    (twice_too_wide, {LARGE}),
    (sigmoids_with_biases, {SHRUNK, VANISHING}),
    (chaotic, {MIS_SCALED, EXPLODING}),
    (faults.healthy, set()),
    (faults.zero_head, set()),
    (faults.zero_residual, set()),
    (faults.shut_sigmoid_at_the_end, set()),
    (faults.batch_norm_and_dropout, set()),
    (faults.dropout_before_zero_head, set()),
    (faults.exclusive_or, set()),
    (faults.pretrained, set()),
    (faults.raw_positive_inputs, set()),
    (faults.raw_positive_inputs_normalized, set()),
    (faults.zero_inputs, set()),
    (raw_inputs_of_sigmoids, set()),
    (fifteen_layers, set()),
    (wide_but_normed, set()),
    (narrow_but_shallow, set()),
]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("make", "expected"), TRAINERS, ids=lambda value: getattr(value, "__name__", ""))
def test_verdict(make, expected, seed):
    assert verdict(NAME, make(seed), steps=20) == expected


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_is_healthy_in_the_demo(activation, seed):
    assert verdict(NAME, faults.healthy(seed, activation)) == set()


# A network by hand


class Stack:
    """Affine and tanh or ReLU, as often as wanted; its loss is softmax's."""

    def __init__(self, sizes, spread, *, rectified=True, seed=0):
        rng = np.random.default_rng(seed)
        self.depth, self.rectified, self.params = len(sizes) - 1, rectified, {}
        for i, (fan_in, units) in enumerate(itertools.pairwise(sizes), start=1):
            self.params[f"W{i}"] = spread(fan_in) * rng.normal(size=(fan_in, units))
            self.params[f"b{i}"] = np.zeros(units)

    def loss(self, X, y=None):
        hidden = [X]
        for i in range(1, self.depth):
            z = hidden[-1].dot(self.params[f"W{i}"]) + self.params[f"b{i}"]
            hidden.append(np.maximum(0, z) if self.rectified else np.tanh(z))
        scores = hidden[-1].dot(self.params[f"W{self.depth}"]) + self.params[f"b{self.depth}"]
        if y is None:
            return scores
        p = np.exp(scores - scores.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        loss = -np.log(p[np.arange(len(y)), y] + 1e-300).mean()
        p[np.arange(len(y)), y] -= 1
        flow, grads = p / len(y), {}
        for i in range(self.depth, 0, -1):
            grads[f"W{i}"], grads[f"b{i}"] = hidden[i - 1].T.dot(flow), flow.sum(axis=0)
            if i > 1:
                slope = hidden[i - 1] > 0 if self.rectified else 1 - hidden[i - 1] ** 2
                flow = flow.dot(self.params[f"W{i}"].T) * slope
        return loss, grads


def by_hand(seed, spread, depth=2, **options):
    rng = np.random.default_rng(seed)
    labels = rng.integers(3, size=200)
    inputs = rng.normal(size=(200, 20))
    inputs[np.arange(200), labels] += 3
    model = Stack((20, *[60] * depth, 3), spread, seed=seed, **options)
    return NumpyTrainer(model, (inputs, labels), task="classification", learning_rate=0.01, batch_size=50)


def he(fan_in):
    return (2 / fan_in) ** 0.5


def xavier(fan_in):
    return fan_in**-0.5


def always(spread):
    return lambda fan_in: spread


BY_HAND = [
    (lambda seed: by_hand(seed, he), set()),
    (lambda seed: by_hand(seed, he, 10), set()),
    (lambda seed: by_hand(seed, xavier, 5), set()),
    (lambda seed: by_hand(seed, xavier, 10, rectified=False), set()),
    (lambda seed: by_hand(seed, always(0.01), 1), set()),
    (lambda seed: by_hand(seed, always(0.0)), {SYMMETRIC}),
    (lambda seed: by_hand(seed, always(0.0), rectified=False), {SYMMETRIC}),
    (lambda seed: by_hand(seed, always(0.01), 6), {MIS_SCALED, SHRUNK}),
    (lambda seed: by_hand(seed, always(0.01), 8, rectified=False), {MIS_SCALED, SHRUNK}),
    (lambda seed: by_hand(seed, always(1.0), 6), {MIS_SCALED, EXPLODED}),
    (lambda seed: by_hand(seed, always(1.0), 3, rectified=False), {MIS_SCALED}),
]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("number", range(len(BY_HAND)))
def test_a_network_by_hand(number, seed):
    make, expected = BY_HAND[number]
    np.random.seed(seed)
    assert verdict(NAME, make(seed), steps=10) == expected


def test_a_network_by_hand_shows_no_gradients_and_all_the_rest():
    np.random.seed(0)
    measurement, _ = measured(NAME, by_hand(0, he), steps=5)
    (table,) = shown(measurement, Table)
    assert [row[-1] for row in table.rows] == ["-", "-"]
    assert [(w.name, w.followed_by, w.fan_in, w.units) for w in measurement.weights] == [
        ("W1", "relu", 20, 60),
        ("W2", "relu", 60, 60),
        ("W3", "", 60, 3),
    ]
    assert [w.scale for w in measurement.weights[:2]] == pytest.approx([1, 1], abs=0.1)


# What can't be measured


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (faults.softmax_regression, "no nonlinearity was seen in the forward pass: there is nothing that could die or"),
        (lambda seed: torch_trainer(linear()), "no nonlinearity was seen in the forward pass: there is nothing that"),
        (lambda seed: TinyTrainer(), "the trainer can't show what flows through its layers: it has no method `trace`"),
        (faults.nan_input, "the outputs of relu1 are not finite, so their statistics say nothing"),
        (faults.scores_overflow, "the outputs of relu1 are not finite, so their statistics say nothing"),
    ],
)
def test_skipped(make, reason):
    with pytest.raises(Skip) as skipped:
        measured(NAME, make(0))
    assert str(skipped.value).startswith(reason)


class Unnamed:
    """The demo without the power to name its parameters."""

    hidden = ("parameters", "set_parameters", "gradients", "last_gradients")

    def __init__(self, made):
        self._made = made
        for name in ("batches", "evaluate", "step", "save", "load", "trace"):
            setattr(self, name, getattr(made, name))
        self.task, self.learning_rate, self.regularization_scale = made.task, made.learning_rate, 1.0


def test_without_names_the_signal_is_judged_alone():
    measurement, _ = measured(NAME, Unnamed(faults.signal_dies(0)), steps=5)
    assert (measurement.weights, measurement.weights_after) == ((), ())
    assert judged(measurement) == {SHRUNK}
    assert judged(measured(NAME, Unnamed(faults.healthy(0)), steps=5)[0]) == set()


def test_the_steps_end_where_the_loss_is_no_longer_finite():
    made = faults.rate_of(1e200, "sgd", activation="leaky-relu")(0)
    assert measured(NAME, made)[0].steps < 10


# The trainer, its calls, and other checks


class Counting:
    """Counts what is called of a trainer."""

    def __init__(self, made):
        self.made, self.calls = made, {}
        for name in ("step", "trace", "gradients", "evaluate", "batches"):
            self._count(name, getattr(made, name))

    def _count(self, name, call):
        def counted(*args, **options):
            self.calls[name] = self.calls.get(name, 0) + 1
            return call(*args, **options)

        setattr(self.made, name, counted)


def run(made, *names):
    """Calls by name, and what each check measures, on one bench."""
    counting = Counting(made)
    bench, checks = Bench(made), find_checks()
    with np.errstate(all="ignore"):
        return {name: checks[name].measure(bench, checks[name].settings()) for name in names}, counting.calls


def test_two_checks_cost_no_more_than_one_and_two_gradients():
    _, alone = run(faults.dropout(0), "check-activations")
    _, both = run(faults.dropout(0), "check-activations", "check-init")
    assert alone["step"] == 50
    assert both == alone | {"gradients": 2}
    assert run(faults.dropout(0), "check-init")[1] == both


@pytest.mark.parametrize(
    "make", [faults.dropout, faults.batch_norm_and_dropout, faults.momentum], ids=lambda make: make.__name__
)
def test_the_order_of_the_checks_does_not_matter(make):
    first, _ = run(make(0), "check-activations", "check-init")
    second, _ = run(make(0), "check-init", "check-activations")
    for name in first:
        alone, _ = run(make(0), name)
        assert repr(first[name]) == repr(second[name]) == repr(alone[name])  # NaN is NaN


@pytest.mark.parametrize("make", [faults.batch_norm_and_dropout, faults.momentum, faults.global_noise])
def test_the_trainer_is_left_as_found(make):
    made = make(0)
    before = left(made)
    measured(NAME, made)
    assert arrays.differing(before, left(made)) == []


def test_several_ranks_come_to_the_same_numbers():
    def measure(group, rank):
        return find_checks()[NAME].measure(Bench(parallel_demo(group, rank)), Settings(steps=5))

    one, other = together(2, measure)
    assert repr(replace(one, edges=(), histograms=())) == repr(replace(other, edges=(), histograms=()))
    assert judged(one) == set()


# Plain numbers

RELU = LayerSummary(
    name="relu1",
    kind="relu",
    units=100,
    examples=512,
    mean=0.4,
    spread=0.6,
    dead=0,
    saturated=0.0,
    gradient_through=0.5,
    constant=0,
    idle_pieces=0,
    slope=math.nan,
    common=0.3,
    one_sign=True,
)
TANH = replace(RELU, kind="tanh", name="tanh1")
SIGNALS = Signals(1.0, (1.0, 1.0, 1.0), 1.0, "affine4")


def weight(number, spread=1.0, sensitivity=1.0, **changes):
    """Spread as a share of the one wanted."""
    given = {"name": f"affine{number}.W", "layer": f"affine{number}", "followed_by": "tanh", "ahead_of": "tanh1"}
    given |= {"fed": 1.0, "units": 100, "fan_in": 100, "alike": False} | changes
    return Weight(spread=spread / 10, sensitivity=sensitivity, **given)


WEIGHTS = (weight(1), weight(2), weight(3), weight(4, followed_by="", ahead_of=""))


def numbers(**changes):
    given = {
        "examples": 512,
        "steps": 50,
        "inputs": 1.0,
        "opening": ("linear", "tanh"),
        "normalized": False,
        "at_start": (TANH, RELU),
        "gradients": (0.1, 0.1),
        "signals": SIGNALS,
        "signals_after": SIGNALS,
        "edges": (0.0, 1.0),
        "histograms": ((5,), (3,)),
        "weights": WEIGHTS,
        "weights_after": WEIGHTS,
    }
    return Measurement(**given | changes)


HEALTHY = numbers()


def weighed(*weights, **changes):
    """The same weights at both times."""
    return numbers(weights=weights, weights_after=weights, **changes)


def felt(*sensitivities, after=None, **changes):
    early, late = (
        [weight(i, sensitivity=s) for i, s in enumerate(row)] for row in (sensitivities, after or sensitivities)
    )
    return numbers(weights=tuple(early), weights_after=tuple(late), **changes)


def flowing(last, after=None, first=1.0, **changes):
    """What the last linear layer is fed, at both times."""
    then = last if after is None else after
    return numbers(
        signals=replace(SIGNALS, outputs=(first, 0.5), last=last),
        signals_after=replace(SIGNALS, outputs=(first, 0.5), last=then),
        **changes,
    )


def test_healthy_numbers():
    assert judged(HEALTHY) == set()


ALIKE = weight(2, alike=True)


@pytest.mark.parametrize(
    ("start", "after", "expected"),
    [
        (ALIKE, ALIKE, {SYMMETRIC}),
        (replace(ALIKE, followed_by="norm"), replace(ALIKE, followed_by="norm"), {SYMMETRIC}),
        (replace(ALIKE, spread=0.0), replace(ALIKE, spread=0.0), {SYMMETRIC}),
        (ALIKE, weight(2), set()),
        (weight(2), ALIKE, set()),
        (replace(ALIKE, followed_by=""), replace(ALIKE, followed_by=""), set()),
        (ALIKE, weight(9), {SYMMETRIC}),  # it isn't seen later
    ],
)
def test_symmetric_weights(start, after, expected):
    assert judged(numbers(weights=(start,), weights_after=(after,))) == expected


@pytest.mark.parametrize(
    ("spread", "last", "after", "expected"),
    [
        (0.34, 0.9e-3, 0.9e-3, {SHRUNK}),
        (0.33, 0.9e-3, 0.9e-3, {MIS_SCALED, SHRUNK}),
        (0.33, 1.1e-3, 0.9e-3, set()),
        (0.33, 0.9e-3, 1.1e-3, {SHRUNK_AT_FIRST}),
        (0.33, 0.9e-3, math.nan, {SHRUNK_AT_FIRST}),
        (0.33, 1.0, 1.0, set()),
        (0.0, 0.9e-3, 0.9e-3, {SHRUNK}),
    ],
)
def test_narrow_weights(spread, last, after, expected):
    measurement = flowing(last, after, weights=(weight(1, spread),), weights_after=(weight(1, spread),))
    assert judged(measurement) == expected


@pytest.mark.parametrize("followed_by", ["", "norm"])
def test_what_a_norm_makes_good_is_not_mis_scaled(followed_by):
    off = replace(weight(1, 0.01), followed_by=followed_by)
    assert judged(flowing(1e-4, weights=(off,), weights_after=(off,))) == {SHRUNK}
    wide = replace(off, spread=100.0)
    assert judged(flowing(50.0, weights=(wide,), weights_after=(wide,))) == set()


@pytest.mark.parametrize(
    ("spreads", "last", "expected"),
    [
        ((9.1,), 10.0, {MIS_SCALED}),
        ((8.9,), 10.0, set()),
        ((9.1,), 9.9, set()),
        ((3.1, 3.1), 10.0, {MIS_SCALED}),
        ((2.9, 2.9, 2.9), 10.0, set()),
        ((3.1, 2.9), 10.0, set()),
        ((0.1, 3.1, 3.1), 10.0, {MIS_SCALED}),
        ((math.inf,), 10.0, {MIS_SCALED}),
        ((math.nan,), 10.0, set()),
        ((9.1,), math.nan, set()),
    ],
)
def test_wide_weights_that_amplify(spreads, last, expected):
    weights = tuple(weight(i, spread) for i, spread in enumerate(spreads))
    assert judged(flowing(last, weights=weights, weights_after=weights)) == expected


@pytest.mark.parametrize(
    ("spread", "saturated", "changes", "expected"),
    [
        (3.1, 0.5, {}, {MIS_SCALED}),
        (2.9, 0.5, {}, set()),
        (3.1, 0.49, {}, set()),
        (3.1, 0.5, {"ahead_of": "relu1"}, set()),  # another layer is saturated
        (3.1, 0.5, {"fed": 3.0}, {MIS_SCALED}),
        (3.1, 0.5, {"fed": 3.2}, set()),  # its inputs do more than its weights
        (3.1, 0.5, {"followed_by": "sigmoid"}, set()),  # which wants weights four times as wide
        (12.1, 0.5, {"followed_by": "sigmoid"}, {MIS_SCALED}),
        (3.1, math.nan, {}, set()),
        (3.1, 0.5, {"fed": math.nan}, set()),
    ],
)
def test_wide_weights_that_saturate(spread, saturated, changes, expected):
    wide = weight(1, spread, **changes)
    assert judged(weighed(wide, at_start=(replace(TANH, saturated=saturated), RELU))) == expected


@pytest.mark.parametrize(
    ("first", "last", "after", "expected"),
    [
        (1.0, 1.01e-3, 0.0, set()),
        (1.0, 0.99e-3, 0.0, {SHRUNK}),
        (1.0, 0.99e-3, 0.99e-3, {SHRUNK}),
        (1.0, 0.99e-3, 1.01e-3, {SHRUNK_AT_FIRST}),
        (1.0, 0.99e-3, math.nan, {SHRUNK_AT_FIRST}),
        (1.0, 0.0, 1.01e-3, set()),  # zero by design, and awake
        (1.0, 0.0, 0.0, {SHRUNK}),
        (0.01, 1.01e-5, 0.0, set()),
        (0.01, 0.99e-5, 0.0, {SHRUNK}),
        (1e4, 1.01e-3, 0.0, set()),  # large inputs are no yardstick
        (1e4, 0.99e-3, 0.0, {SHRUNK}),
        (0.0, 0.0, 0.0, set()),
        (math.nan, 0.0, 0.0, set()),
        (1.0, math.nan, 0.0, set()),
    ],
)
def test_shrinking_activations(first, last, after, expected):
    assert judged(flowing(last, after, first)) == expected


@pytest.mark.parametrize(
    ("inputs", "last", "changes", "expected"),
    [
        (1.0, 99.0, {}, set()),
        (1.0, 100.0, {}, {LARGE}),
        (1.0, 999.0, {}, {LARGE}),
        (1.0, 1000.0, {}, {EXPLODED}),
        (50.0, 4999.0, {}, set()),
        (50.0, 5000.0, {}, {LARGE}),
        (0.01, 99.0, {}, set()),  # small inputs are no yardstick
        (math.nan, 100.0, {}, {LARGE}),
        (1.0, math.nan, {}, set()),
        (1.0, math.inf, {}, {EXPLODED}),
        (0.1, 100.0, {"normalized": True}, {LARGE}),
        (1.0, 1.0, {"at_start": (TANH, replace(RELU, mean=math.inf))}, {EXPLODED}),
        (1.0, 1.0, {"at_start": (TANH, replace(RELU, spread=math.nan))}, {EXPLODED}),
    ],
)
def test_exploding_activations(inputs, last, changes, expected):
    assert judged(numbers(signals=Signals(inputs, (1.0, 1.0), last, "affine4"), **changes)) == expected


def test_growth_in_a_network_with_norms_is_that_since_the_first_outputs():
    signals = Signals(1.0, (50.0, 1.0), 3000.0, "affine4")
    assert judged(numbers(signals=signals, normalized=True)) == set()
    assert judged(numbers(signals=signals)) == {EXPLODED}


@pytest.mark.parametrize(
    ("start", "after", "expected"),
    [
        ((0.9e-4, 0, 1, 1), (0.9e-4, 0, 1, 1), {VANISHING}),
        ((1.1e-4, 0, 1, 1), (0.9e-4, 0, 1, 1), set()),
        ((0.9e-4, 0, 1, 1), (1.1e-4, 0, 1, 1), set()),
        ((0.9e-4, 0, 1, 1), (math.nan, math.nan, 1, 1), set()),
        ((0, 0, 1, 1), (0, 0, 1, 1), {VANISHING}),
        ((0, 0, 0, 0), (0, 0, 0, 0), set()),
        ((0, 1), (0, 1), set()),  # too few to say
        ((0, 1, 1), (0, 1, 1), set()),  # one alone may be felt little
        ((0, 0, 1), (0, 0, 1), {VANISHING}),
        ((0, 0, 0, 1, 1, 1, 1), (0, 0, 0, 1, 1, 1, 1), {VANISHING}),
        ((0, 0, 1, 1, 1, 1, 1), (0, 0, 1, 1, 1, 1, 1), set()),
        ((1.1e4, 0, 1, 1), (1.1e4, 0, 1, 1), {EXPLODING}),
        ((0.9e4, 0, 1, 1), (1.1e4, 0, 1, 1), set()),
        ((1.1e4, 0, 1, 1), (0.9e4, 0, 1, 1), set()),
        ((1.1e4, 1.1e4, 1, 1e-9), (1.1e4, 1.1e4, 1, 1e-9), {EXPLODING}),
        ((1, 1, 1, 1e-9), (1, 1, 1, 1e-9), set()),  # a head of little weight
        ((1, 1, 0, 0), (1, 1, 0, 0), set()),  # what is cut off is not small
        ((math.inf, 0, 1, 1), (math.inf, 0, 1, 1), set()),
    ],
)
def test_gradients(start, after, expected):
    assert judged(felt(*start, after=after)) == expected


def test_inputs_of_nothing_are_not_the_weights_fault():
    assert judged(felt(0, 0, 1, 1, inputs=0.0)) == set()
    assert judged(felt(0, 0, 1, 1, inputs=math.nan)) == {VANISHING}


def test_zero_weights_have_no_say_in_the_gradient():
    weights = (weight(1), weight(2), weight(3), weight(4, 0.0, 0.0), weight(5, 0.0, 0.0))
    assert judged(weighed(*weights)) == set()


def test_any_number_can_be_judged():
    for measurement in (HEALTHY, felt(1e-5, 0, 1, 1), felt(1e5, 0, 1, 1), flowing(1e-5), flowing(1e5)):
        assert list(judged_whatever_the_numbers(NAME, measurement, Settings()))


def test_nothing_can_be_judged():
    nothing = Signals(math.nan, (), math.nan, "")
    empty = Measurement(0, 0, math.nan, (), False, (), (), nothing, nothing, (), (), (), ())
    assert judged(empty) == set()
    assert shown(empty, Histograms) == []
    assert [table.rows for table in shown(empty, Table)] == [()]


SETTINGS = {
    "shrunk": (flowing(0.9e-3), {SHRUNK}, 0.8e-3),
    "grown": (flowing(100.0), {LARGE}, 101.0),
    "exploded": (flowing(1000.0), {EXPLODED}, 1001.0),
    "vanishing": (felt(5e-5, 0, 1, 1), {VANISHING}, 4e-5),
    "exploding": (felt(2e4, 0, 1, 1), {EXPLODING}, 3e4),
    "off_scale": (weighed(weight(1, 3.1), at_start=(replace(TANH, saturated=0.6),)), {MIS_SCALED}, 3.2),
    "saturated": (weighed(weight(1, 3.1), at_start=(replace(TANH, saturated=0.6),)), {MIS_SCALED}, 0.7),
    "too_wide": (flowing(20.0, weights=(weight(1, 10.0),)), {MIS_SCALED}, 11.0),
    "amplified": (flowing(20.0, weights=(weight(1, 10.0),)), {MIS_SCALED}, 21.0),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_every_threshold_can_be_set(name):
    measurement, usual, value = SETTINGS[name]
    changed = find_checks()[NAME].judge(measurement, Settings(**{name: value}))
    assert judged(measurement) == usual
    assert {(f.rule, str(f.severity)) for f in changed} != usual


# Words

SECOND = weight(2, 50.0)


@pytest.mark.parametrize(
    ("measurement", "message", "where"),
    [
        (
            weighed(ALIKE, replace(ALIKE, name="affine3.W")),
            "all 100 units behind affine2.W have the same weights, at initialization and after 50 steps. So in "
            "affine3.W.",
            "affine2.W",
        ),
        (
            flowing(1e-4, 1e-3, weights=(weight(1, 0.1),)),
            "over the examples, the outputs of tanh1 vary by 1 and what affine4 is fed by 0.0001: 0.0001 of the signal "
            "is left, and 0.001 after 50 steps.",
            "affine4",
        ),
        (
            flowing(200.0, weights=(), weights_after=()),
            "What affine4 is fed varies by 200 over the examples, the inputs by 1.",
            "affine4",
        ),
        (
            numbers(signals=Signals(math.nan, (1.0,), 200.0, "affine4")),
            "What affine4 is fed varies by 200 over the examples.",
            "affine4",
        ),
        (
            numbers(at_start=(TANH, replace(RELU, mean=math.inf, name="relu7"))),
            "The outputs of relu7 are not finite.",
            "relu7",
        ),
        (
            weighed(weight(1, 40.0), SECOND, at_start=(replace(TANH, saturated=0.75),)),
            "affine1.W has a spread of 4; Xavier gives 0.1 for 100 inputs ahead of tanh. 1 more are off as well. 75% "
            "of the outputs of tanh1 are saturated.",
            "affine1.W",
        ),
        (
            weighed(weight(1, 40.0, followed_by="relu", ahead_of="relu1"), signals=replace(SIGNALS, last=20.0)),
            "affine1.W has a spread of 4; He gives 0.141 for 100 inputs ahead of relu. What affine4 is fed varies by "
            "20 over the examples, the inputs by 1.",
            "affine1.W",
        ),
        (
            felt(1e-5, 0, 1, 1, after=(2e-5, 0, 1, 1)),
            "the loss feels a change of the first layers' weights 1e-05 times as much as one of the last layers', and "
            "2e-05 times after 50 steps.",
            "affine0.W",
        ),
        (
            felt(1e5, 0, 1, 1, after=(2e5, 0, 1, 1)),
            "the loss feels a change of the first layers' weights 1e+05 times as much as one of the last layers', and "
            "2e+05 times after 50 steps.",
            "affine0.W",
        ),
    ],
)
def test_messages(measurement, message, where):
    found = find_checks()[NAME].judge(measurement, Settings())
    assert [(f.message, f.where) for f in found] == [(message, where)]


def test_the_words_of_a_trainer():
    found = findings(NAME, faults.signal_dies(0))
    assert found[0].message == (
        "affine1.W has a spread of 0.00982; Xavier gives 0.707 for 2 inputs ahead of tanh. 9 more are off as well. The "
        "signal dies out on its way."
    )
    assert found[0].suggestion == "Use a spread of 0.707 there."
    assert found[0].evidence["wanted"] == pytest.approx(2**-0.5)


def test_one_input_is_one():
    one = replace(weight(1, 1.0, followed_by="relu"), fan_in=1, spread=40.0)
    (found,) = find_checks()[NAME].judge(flowing(20.0, weights=(one,)), Settings())
    assert "He gives 1.41 for 1 input ahead of relu." in found.message


def test_a_measurement_outlives_its_file():
    chosen = {name: check.settings() for name, check in find_checks().items()}
    plan = planning.plan(Config(select=(NAME,), settings=chosen), find_checks())
    report = runner.run(faults.zero_weights(0), plan, target="t")
    read = as_json.read(as_json.render(report, Severity.ERROR))
    assert repr(read.results[0].measurement) == repr(report.results[0].measurement)  # NaN is NaN
    assert read.findings == report.findings

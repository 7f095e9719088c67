import functools
import math
from dataclasses import replace

import faults
import norm_programs as programs
import numpy as np
import pytest
import torch
from faults import SEEDS, judged_whatever_the_numbers
from processes import ParallelLab, together
from torch import nn
from trainers import TinyTrainer, TracedTrainer

from babysit.checks import find_checks
from babysit.checks.check_norm import Measurement, Settings, batch_coupling, normalization, train_eval
from babysit.checks.check_norm.schema import Dependence, Layer
from babysit.driving.bench import Bench
from babysit.driving.guard import Driven
from babysit.lab import demo
from babysit.lab.broken_norm import BatchNormOfEveryBatch, SoftmaxOverBatch
from babysit.lab.faults import FAULTS
from babysit.lab.layers import BatchNorm

NAME = "check-norm"
CHECK = find_checks()[NAME]
NONE: set[tuple[str, str]] = set()
LEAK = {("batch-leak", "error")}
TINY, SMALL = {("tiny-norm-batch", "error")}, {("tiny-norm-batch", "warning")}
FROZEN, SLOW = {("frozen-statistics", "error")}, {("frozen-statistics", "warning")}
LOST, SOME_LOST = {("train-eval-gap", "error")}, {("train-eval-gap", "warning")}
CUT = {("zero-gamma", "error")}
IDLE = {("redundant-bias", "info")}


def measured(made, **settings):
    with np.errstate(all="ignore"):
        return CHECK.measure(Bench(made), Settings(**settings))


def judged(measurement, **settings):
    return {(f.rule, str(f.severity)) for f in CHECK.judge(measurement, Settings(**settings))}


@functools.cache
def of_seed(name, seed):
    return measured(PROGRAMS[name][0](seed), steps=10 if name in MIXING else 50)


def seen(name):
    return of_seed(name, 0)


# name: program, verdict
NORMALIZED = {
    "lab": (faults.healthy, NONE),
    "lab, normalized": (faults.batch_norm, IDLE),
    "lab, normalized, dropout": (faults.batch_norm_and_dropout, IDLE),
    "default": (programs.momentum(0.1), IDLE),
    "default, raw": (programs.momentum(0.1, raw=True), IDLE),
    "as in Keras": (programs.momentum(0.01), IDLE),
    "as in Keras, raw": (programs.momentum(0.01, raw=True), IDLE),
    "cumulative": (programs.momentum(None), IDLE),
    "all in one batch": (programs.normalized(batch_size=400), IDLE),
    "batches of 8": (programs.normalized(batch_size=8), IDLE),
    "batches of one class": (programs.batches_of_a_class, IDLE),
    "noise in training": (programs.normalized(first=(programs.Noise,)), IDLE),
    "dropout ahead": (programs.normalized(first=(nn.Dropout,)), IDLE),
    "layer norm": (programs.normalized(nn.LayerNorm), NONE),
    "group norm": (programs.normalized(lambda units: nn.GroupNorm(4, units)), NONE),
    "group norm, pairs": (programs.normalized(lambda units: nn.GroupNorm(4, units), batch_size=2), NONE),
    "instance norm": (programs.images(lambda units: nn.InstanceNorm2d(units, affine=True)), NONE),
    "images": (programs.images(), IDLE),
    "frozen on purpose": (programs.normalized(programs.FrozenNorm), NONE),
    "zero gamma, residual": (programs.residual(programs.zero_gamma), IDLE),
    "zero gamma, tanh": (programs.normalized(programs.zero_gamma, activation=nn.Tanh), IDLE),
    "by hand": (programs.normalized(programs.ByHand), IDLE),
    "bias used twice": (programs.bias_used_twice, NONE),
    "NumPy": (programs.by_hand(), IDLE),
    "NumPy, raw": (programs.by_hand(raw=True), IDLE),
    "never": (programs.momentum(0.0), FROZEN | IDLE),
    "0.0001": (programs.momentum(1e-4), FROZEN | IDLE),
    "0.0001, one batch": (programs.momentum(1e-4, batch_size=400), FROZEN | IDLE),
    "0.002": (programs.momentum(2e-3), SLOW | IDLE),
    "by hand, forgotten": (programs.normalized(lambda u: programs.ByHand(u, keeps=False)), FROZEN | IDLE),
    "NumPy, forgotten": (programs.by_hand(keeps=False), FROZEN | IDLE),
    "NumPy, forgotten, raw": (programs.by_hand(keeps=False, raw=True), FROZEN | LOST | IDLE),
    "NumPy, 0.9999": (programs.by_hand(momentum=0.9999), FROZEN | IDLE),
    "pairs": (programs.normalized(batch_size=2), TINY | IDLE),
    "threes": (programs.normalized(batch_size=3), TINY | IDLE),
    "fours": (programs.normalized(batch_size=4), SMALL | IDLE),
    "pairs of images": (programs.images(batch_size=2), SMALL | IDLE),
    "zero gamma": (programs.normalized(programs.zero_gamma), CUT),
    "teacher forcing": (programs.teacher_forced, SOME_LOST),
    "no statistics": (
        programs.normalized(lambda units: nn.BatchNorm1d(units, track_running_stats=False)),
        LEAK | IDLE,
    ),
    "by hand, not asked": (programs.normalized(lambda u: programs.ByHand(u, uses=False)), LEAK | IDLE),
    "NumPy, not asked": (programs.by_hand(uses=False), LEAK | IDLE),
}
MIXING = {
    "softmax over batch": (programs.mixing(programs.softmax_over_batch), LEAK),
    "softmax over batch, zero head": (programs.mixing(programs.softmax_over_batch, zero_head=True), LEAK),
    "softmax over units": (programs.mixing(programs.softmax_over_units), NONE),
    "view for transpose": (programs.mixing(programs.view_for_transpose), LEAK),
    "next example": (programs.mixing(programs.next_example), LEAK),
    "half a batch away": (programs.mixing(programs.half_a_batch_away), LEAK),
    "reader": (programs.reader(), NONE),
    "reader, flat": (programs.reader(flat=True), NONE),
    "reader, time first": (programs.reader(batch_first=False, turns=True), NONE),
    "reader, time first, flat": (programs.reader(batch_first=False, turns=True, flat=True), NONE),
    "reader, as long as the batch": (programs.reader(batch_first=False, turns=True, steps=8, examples=8), NONE),
    "reader of the batch": (programs.reader(batch_first=False), LEAK),
    "reader of the batch, flat": (programs.reader(batch_first=False, flat=True), LEAK),
    "reader of the batch, last": (programs.reader(batch_first=False, last=True), LEAK),
    "contrastive": (programs.contrastive, NONE),
    "contrastive, as many as classes": (functools.partial(programs.contrastive, examples=4), NONE),
    "graph": (programs.graph, NONE),
}
PROGRAMS = NORMALIZED | MIXING


@pytest.mark.parametrize("seed", SEEDS[:2])
@pytest.mark.parametrize("name", PROGRAMS)
def test_verdict(name, seed):
    assert judged(of_seed(name, seed)) == PROGRAMS[name][1]


NORM_FAULTS = {
    "statistics-frozen": FROZEN | IDLE,
    "batches-of-two-normalized": TINY | IDLE,
    "statistics-of-every-batch": LEAK | IDLE,
    "softmax-over-batch": LEAK,
    "zero-gamma": CUT,
}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", NORM_FAULTS)
def test_faults_of_the_lab(name, seed):
    assert judged(measured(FAULTS[name].make(seed))) == NORM_FAULTS[name]


@pytest.mark.parametrize("layer", [BatchNormOfEveryBatch(4), SoftmaxOverBatch()])
def test_the_broken_layers_gradients_are_right(layer):
    rng = np.random.default_rng(0)
    x, dout = rng.normal(size=(6, 4)), rng.normal(size=(6, 4))
    own = layer.initial(rng)
    dx, _ = layer.backward(dout, layer.forward(x, own, False)[1])
    for place in ((0, 0), (3, 2), (5, 3)):
        moved = np.zeros_like(x)
        moved[place] = 1e-6
        up, down = (layer.forward(x + sign * moved, own, False)[0] for sign in (1, -1))
        assert dx[place] == pytest.approx(np.sum((up - down) * dout) / 2e-6, rel=1e-5)


# Where, and why not


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("never", "1"),
        ("NumPy, forgotten", "relu1"),
        ("by hand, forgotten", "2"),
        ("pairs", "1"),
        ("pairs of images", "4"),
        ("zero gamma", "1"),
        ("no statistics", "1"),
        ("reader of the batch", "gru"),
        ("softmax over batch", "softmax"),
        ("view for transpose", "last"),
        ("NumPy, not asked", "relu1"),
        ("teacher forcing", ""),
    ],
)
def test_the_place_is_named(name, where):
    assert CHECK.judge(seen(name), Settings())[0].where == where


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("contrastive", "the scores compare the examples of a batch with one another"),
        ("graph", "the program takes batches of one size alone, so their examples may belong together"),
        ("default", ""),
        ("reader, as long as the batch", ""),
    ],
)
def test_dependence_that_is_meant_is_left_out(name, reason):
    assert seen(name).at_start.reason == seen(name).after.reason == reason


def without_scores(trainer, batch, *, training=False):
    return replace(TinyTrainer.evaluate(trainer, batch), scores=None)


def a_row_too_many(trainer, batch, *, training=False):
    output = TinyTrainer.evaluate(trainer, batch)
    return replace(output, scores=np.concatenate((output.scores, output.scores[:1])))


def a_score_for_each_positive(trainer, batch, *, training=False):
    output = TinyTrainer.evaluate(trainer, batch)
    return replace(output, scores=output.scores[:, : 1 + int(np.sum(batch[0][:, 0] > 0) % 3)])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"evaluate": without_scores}, "the trainer gives no scores"),
        ({"evaluate": a_row_too_many}, "the scores don't have rows for each example"),
        ({"evaluate": a_score_for_each_positive}, "the shape of the scores depends on the examples"),
        ({"batch_size": 1}, "batches hold one example"),
    ],
)
def test_what_scores_cannot_tell(changes, reason):
    found = measured(TinyTrainer(**changes))
    assert (found.at_start.reason, found.after.reason) == (reason, reason)
    assert judged(found) == NONE


def test_without_a_trace_neighbours_are_changed_all_the_same():
    leaking = measured(TinyTrainer(evaluate=less_the_mean))
    assert leaking.unseen == "the trainer can't show what flows through its layers: it has no method `trace`"
    assert judged(leaking) == LEAK
    assert judged(measured(TinyTrainer())) == NONE


def less_the_mean(trainer, batch, *, training=False):
    output = TinyTrainer.evaluate(trainer, batch)
    return replace(output, scores=output.scores - 0.1 * output.scores.mean(axis=0))


def noisy(trainer, batch, *, training=False):
    output = TinyTrainer.evaluate(trainer, batch)
    return replace(output, scores=output.scores + np.random.normal(size=output.scores.shape))


def test_noise_in_evaluation_is_no_dependence():
    found = measured(TinyTrainer(evaluate=noisy))
    assert found.after.noise > 0.1
    assert judged(found) == NONE


def masked(trainer, batch, *, training=False):
    output = TinyTrainer.evaluate(trainer, batch)
    scores = output.scores.copy()
    scores[:, 1] = -np.inf
    return replace(output, scores=scores)


def test_masked_scores_are_compared_where_they_are_numbers():
    assert measured(TinyTrainer(evaluate=masked)).after == Dependence(0.0, 0.0, True)


def test_a_trainer_without_norms_is_told_so():
    found = measured(TracedTrainer())
    assert (found.unseen, found.layers) == ("", ())
    shown = {fact.label: fact.value for fact in CHECK.exhibits(found, Settings()) if hasattr(fact, "label")}
    assert shown["normalization layers"] == "no normalization layer was seen"


def test_a_loss_that_explodes_leaves_the_rest_untold():
    found = measured(TinyTrainer(learning_rate=1e308))
    assert found.steps < 50
    assert found.after.reason == "the loss ceased to be finite in training"
    assert judged(found) == NONE


def test_evaluation_that_is_not_finite_is_lost_whatever_training_gained():
    def evaluate(trainer, batch, *, training=False):
        output = TinyTrainer.evaluate(trainer, batch)
        return output if training else replace(output, loss=math.nan)

    assert judged(measured(TinyTrainer(evaluate=evaluate))) == LOST


@pytest.mark.parametrize("name", ["lab", "layer norm", "frozen on purpose", "no statistics"])
def test_where_the_modes_agree_nothing_has_to_settle(name):
    assert seen(name).settled == (0,)


def test_the_settling_ends_where_the_gap_stays():
    assert seen("as in Keras, raw").settled == (0, 13, 30)
    assert seen("default").settled == (0, 13)  # by then nothing of it is left


def test_what_cannot_be_seen_settles_until_its_gap_stays():
    """A loss in evaluation mode that comes down to that of training by 3 % a step."""
    batch_norm = TinyTrainer(save=lambda t: {**TinyTrainer.save(t), "behind": np.array(t.behind)}, behind=5.0)
    batch_norm.load = lambda state: (
        setattr(batch_norm, "behind", float(state["behind"])),
        TinyTrainer.load(batch_norm, {name: state[name] for name in ("W", "b")}),
    )
    healthy_step, healthy_evaluate = batch_norm.step, batch_norm.evaluate

    def step(batch):
        batch_norm.behind *= 0.97
        return healthy_step(batch)

    def evaluate(batch, *, training=False):
        output = healthy_evaluate(batch)
        return output if training else replace(output, loss=output.loss + batch_norm.behind)

    batch_norm.step, batch_norm.evaluate = step, evaluate
    found = measured(batch_norm)
    assert found.settled[-1] >= 60
    assert found.gaps[-1] == pytest.approx(5 * 0.97 ** (50 + found.settled[-1]))
    assert judged(found) == NONE


# Numbers


@pytest.mark.parametrize("share", [1e-4, 3e-4, 3e-3, 0.01, 0.03])
@pytest.mark.parametrize("options", [{}, {"raw": True}], ids=str)
def test_the_momentum_is_read_off(share, options):
    layer = measured(programs.momentum(share, **options)(0)).layers[0]
    assert layer.momentum == pytest.approx(share, rel=0.1, abs=1e-6)


@pytest.mark.parametrize("kept", [1.0, 0.9999, 0.999, 0.99])
def test_the_momentum_of_a_layer_by_hand(kept):
    layer = measured(programs.by_hand(momentum=kept)(0)).layers[0]
    assert layer.momentum == pytest.approx(1 - kept, rel=0.15, abs=1e-6)


def test_statistics_that_have_settled_follow_the_latest_batch_all_the_same():
    layer = seen("noise in training").layers[0]
    assert layer.share > 0.9  # noise widens training's spread alone, so that the modes stay apart
    assert layer.momentum > 0.05


def test_differences_are_those_of_the_running_statistics():
    made = programs.momentum(0.0, raw=True)(0)
    batches = list(made.batches())[:6]
    training, evaluation = (train_eval.look(Driven(made), batches, ["1"], training=mode) for mode in (True, False))
    gap = train_eval.gap(training.units["1"], evaluation.units["1"])
    with torch.no_grad():
        inside = [made._model[0](inputs).double() for inputs, _ in batches]
    mean = torch.stack([x.mean(0) for x in inside]).mean(0)
    variance = torch.stack([x.var(0, unbiased=False) for x in inside]).mean(0)
    running = made._model[1]
    expected = torch.stack((mean - running.running_mean, running.running_var - variance))
    expected /= torch.stack((variance.sqrt(), variance))
    np.testing.assert_allclose(gap.differences, expected.numpy(), rtol=1e-3, atol=1e-4)
    assert gap.shift == pytest.approx(float((expected[0] ** 2).mean().sqrt()), rel=1e-3)
    factor = (running.running_var / variance).log().abs().median().div(2).exp()
    assert gap.stretch == pytest.approx(float(factor), rel=0.02)


def test_the_loss_in_both_modes():
    made = programs.momentum(0.1)(0)
    batches = list(made.batches())[:3]
    training, evaluation = (train_eval.look(Driven(made), batches, ["1"], training=mode) for mode in (True, False))
    assert training.losses == pytest.approx([float(made.evaluate(b, training=True).loss) for b in batches])
    assert evaluation.losses == pytest.approx([float(made.evaluate(b).loss) for b in batches])


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (programs.momentum(0.1), {"1": (32, 1, True), "4": (32, 1, True)}),
        (programs.normalized(programs.ByHand), {"2": (32, 1, True), "5": (32, 1, True)}),
        (programs.normalized(nn.LayerNorm), {"1": (32, 1, False), "4": (32, 1, False)}),
        (programs.normalized(lambda units: nn.GroupNorm(4, units)), {"1": (32, 1, False), "4": (32, 1, False)}),
        (programs.images(), {"1": (8, 16, True), "4": (8, 4, True)}),
        (programs.images(lambda u: nn.InstanceNorm2d(u, affine=True)), {"1": (8, 16, False), "4": (8, 4, False)}),
        (programs.by_hand(), {"relu1": (20, 1, True)}),
        (faults.batch_norm, {"norm1": (100, 1, True)}),
        (faults.healthy, {}),
    ],
)
def test_layers_are_told_apart_by_what_they_do(make, expected):
    made = make(0)
    found = normalization.probe(Driven(made), Bench(made).subset(16))
    assert {norm.name: (norm.units, norm.positions, norm.over_batch) for norm in found} == expected


def test_a_layer_norm_behind_a_batch_norm_is_none_over_the_batch():
    class Both(nn.Sequential):
        def __init__(self, units):
            super().__init__(nn.BatchNorm1d(units), nn.LayerNorm(units))

    found = seen_layers(programs.normalized(Both))
    assert [over for _, over in found] == [True, False, True, False]


def test_a_frozen_norm_behind_a_batch_norm_is_none_over_the_batch():
    class Both(nn.Sequential):
        def __init__(self, units):
            super().__init__(nn.BatchNorm1d(units), nn.ReLU(), programs.FrozenNorm(units))

    found = seen_layers(programs.normalized(Both))
    assert [over for _, over in found] == [True, False, True, False]


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_layers_are_told_apart_in_other_precisions(dtype):
    def made(norm):
        inputs, targets = programs.data(0)
        layers = programs.perceptron(norm)
        return programs.program(0, lambda: layers().to(dtype), drawn=(inputs.to(dtype), targets))

    assert {over for _, over in seen_layers(lambda _: made(nn.BatchNorm1d))} == {True}
    assert {over for _, over in seen_layers(lambda _: made(nn.LayerNorm))} == {False}


def seen_layers(make):
    made = make(0)
    return [(norm.name, norm.over_batch) for norm in normalization.probe(Driven(made), Bench(made).subset(16))]


def test_values_count_examples_and_positions_of_a_usual_batch():
    assert [layer.values for layer in seen("images").layers] == [32 * 16, 32 * 4]
    assert seen("pairs").examples == 2


def test_the_biases_that_do_nothing_have_no_gradient():
    layers = seen("default").layers
    assert [layer.bias for layer in layers] == ["0.bias", "3.bias"]
    assert all(layer.bias_gradient < 1e-5 for layer in layers)
    assert seen("bias used twice").layers[0].bias == "first.bias"
    assert seen("bias used twice").layers[0].bias_gradient > 0.1
    assert [layer.bias for layer in seen("NumPy").layers] == ["b1"]


def test_each_half_keeps_what_the_other_replaces():
    for n in (2, 3, 10):
        (kept, places), (others, other_places) = batch_coupling.mixes(n)
        assert sorted(kept + others) == list(range(n))
        for stay, batch in ((kept, places), (others, other_places)):
            assert [batch[i] for i in stay] == list(stay)
            assert set(batch) == set(stay)


# Several processes


class SyncedNorm(BatchNorm):
    """Batch norm over the examples of all ranks; its backward pass takes their statistics for constants."""

    def forward(self, x, own, training):
        if not training:
            return super().forward(x, own, False)
        every = np.concatenate(self.gather(x))
        return super().forward(x, {**own, "mean": every.mean(axis=0), "variance": every.var(axis=0)}, False)


def of_ranks(group, rank, *, synchronized=False, examples=2):
    made = demo.assemble(replace(demo.DESIGN, batch_norm=True), trainer=ParallelLab)
    made._join(group, rank)
    made.splits = {name: (x[rank :: group.size], y[rank :: group.size]) for name, (x, y) in made.splits.items()}
    made.batch_size = examples
    if synchronized:
        layer = SyncedNorm(100)
        object.__setattr__(layer, "gather", lambda x: group.gather(rank, x, "the program's own"))
        made.network.layers["norm1"] = layer
    return made


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"examples": 20}, IDLE),
        ({"examples": 2}, TINY | IDLE),
        ({"examples": 2, "synchronized": True}, SMALL),  # 2 ranks with 2 examples each
        ({"examples": 4, "synchronized": True}, NONE),
    ],
)
def test_ranks_normalize_their_own_share_unless_they_are_synchronized(options, expected):
    one, other = together(2, lambda group, rank: measured(of_ranks(group, rank, **options)))
    assert str(one) == str(other)  # NaN is not equal to itself
    assert judged(one) - IDLE == expected - IDLE


# Rules on plain numbers

NORM = Layer(
    name="norm1",
    named=True,
    units=100,
    examples=32,
    values=32,
    over_batch=True,
    bias="",
    bias_gradient=math.nan,
    share=0.0,
    shift=0.02,
    stretch=1.01,
    momentum=math.nan,
    told_by=0,
)
STILL = Dependence(change=0.0, noise=0.0)
HEALTHY = Measurement(
    examples=32,
    steps=50,
    unseen="",
    at_start=STILL,
    after=STILL,
    layers=(NORM,),
    mixes_in_training=True,
    initial_loss=2.0,
    training_loss=1.0,
    settled=(0, 13, 30),
    evaluation_losses=(1.5, 1.2, 1.1),
    gain_error=0.01,
    gap_error=0.01,
)


def with_layer(**changes):
    return {"layers": (replace(NORM, **changes),)}


OFF = {"share": 0.9, "momentum": 1e-4, "told_by": 90, "shift": 3.0, "stretch": 1.5}


def lost(evaluation_loss, **changes):
    return {"evaluation_losses": (evaluation_loss,) * 3, **changes}


RULES = [
    ({}, NONE),
    # batch-leak
    ({"after": Dependence(0.9e-3, 0.0)}, NONE),
    ({"after": Dependence(1.1e-3, 0.0)}, LEAK),
    ({"at_start": Dependence(1.1e-3, 0.0)}, LEAK),
    ({"after": Dependence(0.3, 0.1)}, NONE),
    ({"after": Dependence(0.302, 0.1)}, LEAK),
    ({"after": Dependence(math.inf, 0.0)}, LEAK),
    ({"after": Dependence(math.nan, math.nan, reason="why not")}, NONE),
    # tiny-norm-batch
    (with_layer(examples=3, values=3), TINY),
    (with_layer(examples=1, values=3), TINY),
    (with_layer(examples=4, values=4), SMALL),
    (with_layer(examples=4, values=4096), SMALL),
    (with_layer(examples=5, values=5), NONE),
    (with_layer(examples=2, values=2, over_batch=False), NONE),
    ({"layers": ()}, NONE),
    # frozen-statistics
    (with_layer(**OFF), FROZEN),
    (with_layer(**OFF | {"momentum": 0.0}), FROZEN),
    (with_layer(**OFF | {"momentum": 4.9e-4}), FROZEN),
    (with_layer(**OFF | {"momentum": 5e-4}), SLOW),
    (with_layer(**OFF | {"momentum": 4.9e-3}), SLOW),
    (with_layer(**OFF | {"momentum": 5e-3}), NONE),
    (with_layer(**OFF | {"momentum": math.nan}), NONE),
    (with_layer(**OFF | {"share": 0.24}), NONE),
    (with_layer(**OFF | {"share": 0.25}), FROZEN),
    (with_layer(**OFF | {"share": math.nan}), NONE),
    (with_layer(**OFF | {"told_by": 3}), NONE),
    (with_layer(**OFF | {"told_by": 4}), FROZEN),
    (with_layer(**OFF | {"told_by": 1}) | lost(2.1), FROZEN | LOST),
    (with_layer(**OFF | {"over_batch": False}), NONE),
    # train-eval-gap
    (lost(1.49), NONE),
    (lost(1.5), SOME_LOST),
    (lost(1.99), SOME_LOST),
    (lost(2.0), LOST),
    (lost(2.0, mixes_in_training=False), SOME_LOST),
    (lost(0.5), NONE),
    (lost(1.5, gap_error=0.16), SOME_LOST),
    (lost(1.5, gap_error=0.17), NONE),
    (lost(2.0, gain_error=0.33), LOST),
    (lost(2.0, gain_error=0.34), NONE),
    (lost(9.0, training_loss=1.51), NONE),
    (lost(9.0, training_loss=1.49), LOST),
    (lost(9.0, training_loss=2.1), NONE),
    (lost(math.nan), LOST),
    (lost(math.inf, mixes_in_training=False), LOST),
    (lost(math.nan, training_loss=math.nan), NONE),
    (lost(3.0, initial_loss=math.nan), NONE),
    ({"evaluation_losses": (9.0, 4.0, 3.0)}, LOST),
    ({"evaluation_losses": (9.0, 4.0, 3.0), "layers": ()}, NONE),  # it closes, and no layer tells how fast
    ({"evaluation_losses": (9.0, 3.0, 2.9), "layers": ()}, LOST),
    ({"evaluation_losses": (), "settled": ()}, NONE),
    (with_layer(**OFF) | lost(3.0), FROZEN | LOST),
    (with_layer(**OFF | {"momentum": 1e-3}) | lost(3.0), SLOW | SOME_LOST),
    (with_layer(**OFF | {"momentum": 0.01}) | lost(3.0), NONE),  # on its way
    (with_layer(**OFF | {"momentum": math.nan}) | lost(3.0), LOST),
    # statistics that must have settled, and did not: (1 - 0.1)^17 is a sixth
    (with_layer(**OFF | {"momentum": 0.1}) | lost(1.12), LOST),
    (with_layer(**OFF | {"momentum": 0.1}) | lost(1.09), NONE),  # less than a tenth of what was gained
    (with_layer(**OFF | {"momentum": 0.1, "share": 0.49}) | lost(1.4), NONE),
    (with_layer(**OFF | {"momentum": 0.1, "share": 0.51}) | lost(1.4), LOST),
    (with_layer(**OFF | {"momentum": 0.1}) | lost(1.12, gap_error=0.05), NONE),
    (with_layer(**OFF | {"momentum": 0.1}) | {"evaluation_losses": (3.0, 1.4, 1.2)}, NONE),  # it closes by half
    (with_layer(**OFF | {"momentum": 0.1}) | {"evaluation_losses": (3.0, 1.4, 1.3)}, LOST),
    (with_layer(**OFF | {"momentum": 0.1}) | {"evaluation_losses": (1.4,), "settled": (0,)}, NONE),
    # zero-gamma
    ({"constant": ("norm1",)}, NONE),
    ({"constant": ("norm1",), "at_start": replace(STILL, vary=False)}, NONE),
    ({"constant": ("norm1",), "at_start": replace(STILL, vary=False), "after": replace(STILL, vary=False)}, CUT),
    ({"at_start": replace(STILL, vary=False), "after": replace(STILL, vary=False)}, NONE),
    # redundant-bias
    (with_layer(bias="b", bias_gradient=0.9e-3), IDLE),
    (with_layer(bias="b", bias_gradient=1.1e-3), NONE),
    (with_layer(bias="b", bias_gradient=math.nan), NONE),
    (with_layer(bias="b", bias_gradient=0.0, over_batch=False), NONE),
]


@pytest.mark.parametrize(("changes", "expected"), RULES)
def test_rules(changes, expected):
    assert judged(replace(HEALTHY, **changes)) == expected


@pytest.mark.parametrize(
    ("setting", "changes", "expected"),
    [
        ({"leak": 0.1}, {"after": Dependence(0.09, 0.0)}, NONE),
        ({"few_values": 8, "few_examples": 16}, with_layer(examples=8, values=8), TINY),
        ({"few_examples": 16}, with_layer(examples=16, values=16), SMALL),
        ({"some_lost": 0.1}, {}, SOME_LOST),
        ({"some_lost": 0.05, "all_lost": 0.09}, {}, LOST),
        ({"gained": 0.6}, lost(3.0), NONE),
        ({"sigmas": 200.0}, lost(3.0), NONE),
        ({"apart": 0.95}, with_layer(**OFF), NONE),
        ({"frozen": 1e-5}, with_layer(**OFF), SLOW),
        ({"slow": 1e-5}, with_layer(**OFF), NONE),
        ({"fewest": 100}, with_layer(**OFF), NONE),
        ({"no_gradient": 1.0}, with_layer(bias="b", bias_gradient=0.5), IDLE),
    ],
)
def test_settings(setting, changes, expected):
    assert judged(replace(HEALTHY, **changes), **setting) == expected


@pytest.mark.parametrize(
    ("changes", "message", "where"),
    [
        (
            {"after": Dependence(1.43, 0.0), "mixed_in": "lstm"},
            "in evaluation mode, after 50 steps, the scores of an example change by up to 1.4 times their spread with "
            "the other examples in its batch. It begins in lstm.",
            "lstm",
        ),
        (
            {"at_start": Dependence(math.inf, 0.0)},
            "in evaluation mode, before any training, the scores of an example change without bound with the other "
            "examples in its batch.",
            "",
        ),
        (
            with_layer(examples=2, values=2),
            "norm1 normalizes over batches of 2 examples, 2 values of each unit: their mean and spread leave next to "
            "nothing of them.",
            "norm1",
        ),
        (
            with_layer(examples=1, values=49, named=False, name="relu1"),
            "the normalization ahead of relu1 normalizes over batches of 1 example, 49 values of each unit: their mean "
            "and spread are those of these few examples, not of the data.",
            "relu1",
        ),
        (
            with_layer(**OFF),
            "the running statistics of norm1 take in 0.0001 of a batch at each step and need 10,000 steps to follow: "
            "in evaluation mode 90% of its units stand off, their means by 3.00 spreads and their spreads by a factor "
            "of 1.50.",
            "norm1",
        ),
        (
            with_layer(**OFF | {"momentum": 0.0}),
            "the running statistics of norm1 don't move: in evaluation mode 90% of its units stand off, their means by "
            "3.00 spreads and their spreads by a factor of 1.50.",
            "norm1",
        ),
        (
            lost(2.5, layers=(replace(NORM, share=0.5),)),
            "after 50 steps the loss is 1 in training mode and 2.5 in evaluation mode on the same batches, dropout off "
            "(it began at 2). The modes part in norm1: 50% of its units stand off in evaluation.",
            "norm1",
        ),
        (
            {"constant": ("norm1",), "at_start": Dependence(vary=False), "after": Dependence(vary=False)},
            "the output of norm1 is the same for all examples, at the start and after 50 steps, and so are the scores: "
            "nothing goes around it.",
            "norm1",
        ),
        (
            with_layer(bias="affine1.b", bias_gradient=0.0),
            "affine1.b: no effect, since norm1 takes the batch's mean off right behind it.",
            "affine1.b",
        ),
    ],
)
def test_messages(changes, message, where):
    found = CHECK.judge(replace(HEALTHY, **changes), Settings())
    assert [(f.message, f.where) for f in found] == [(message, where)]


def test_any_number_can_be_judged():
    worst = replace(HEALTHY, **with_layer(**OFF, bias="b", bias_gradient=0.0))
    for measurement in (HEALTHY, worst):
        assert len(list(judged_whatever_the_numbers(NAME, measurement, Settings()))) == 3 * 16


def test_nothing_measured_is_nothing_found():
    assert judged(Measurement(32, 0, "no trace", Dependence(), Dependence())) == NONE


def test_every_rule_is_broken_by_a_fault_of_the_lab_or_by_a_program():
    broken = {rule for _, expected in PROGRAMS.values() for rule, _ in expected}
    assert broken == set(CHECK.rules)
    assert {FAULTS[name].rule for name in NORM_FAULTS} == broken - {"train-eval-gap", "redundant-bias"}


def test_what_is_shown():
    shown = list(CHECK.exhibits(replace(seen("never"), evaluation_losses=(2.5, 2.5, 2.25)), Settings()))
    table = next(exhibit for exhibit in shown if hasattr(exhibit, "rows"))
    assert [row[0] for row in table.rows] == ["1", "4"]
    assert (table.rows[0][5], table.rows[0][6]) == ("100%", "0")
    facts = {exhibit.label: exhibit.value for exhibit in shown if hasattr(exhibit, "value")}
    assert facts["neighbours change scores"] == "0 of their spread"
    assert facts["normalization layers"] == "2, 2 of them over the batch"
    assert facts["loss in evaluation mode"] == "2.5, 2.5, 2.25"
    assert facts["after steps at rate 0"] == "0, 13, 30"


def test_a_hidden_normalization_is_shown_by_what_it_feeds():
    rows = [row for exhibit in CHECK.exhibits(seen("NumPy"), Settings()) for row in getattr(exhibit, "rows", ())]
    assert [row[:3] for row in rows] == [("ahead of relu1", "20", "50")]

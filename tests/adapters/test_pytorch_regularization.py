"""Scaling what regularizes a PyTorch program, held against the same program without it, and against autograd."""

import copy
import inspect
from functools import partial

import numpy as np
import pytest
import torch
from pytorch_programs import CLASSES, FEATURES, Calling, Dropping, batches, bits, first, linear, trainer
from torch import nn, optim
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence
from torch.optim import SGD, Adam, AdamW, NAdam, RAdam

X, Y = (torch.cat(parts) for parts in zip(*batches(4), strict=True))  # so many that not all are kept by chance
SCALES = pytest.mark.parametrize("scale", [0.0, 0.1, 1.0, 10.0])


def squares(parameters):
    return sum(p.double().square().sum() for p in parameters)


# Weight decay


def coupled(make, model):
    """Whether decay is coupled, seen in two steps: one with decay, one with its gradient added by hand."""
    ends = []
    for decay in (0.5, 0.0):
        twin = copy.deepcopy(model)
        optimizer = make(twin.parameters(), weight_decay=decay)
        for _ in range(2):
            optimizer.zero_grad()
            (F.cross_entropy(twin(X), Y) + (0.25 - decay / 2) * squares(twin.parameters())).backward()
            optimizer.step()
        ends.append(torch.cat([p.detach().flatten() for p in twin.parameters()]))
    return torch.allclose(*ends, rtol=1e-5)


DECAYING = {
    name: kind
    for name, kind in vars(optim).items()
    if isinstance(kind, type) and "weight_decay" in inspect.signature(kind).parameters
}
OPTIONS = {
    "NAdam, decoupled": partial(NAdam, decoupled_weight_decay=True),
    "RAdam, decoupled": partial(RAdam, decoupled_weight_decay=True),
    "Adam, decoupled": partial(Adam, decoupled_weight_decay=True),
    "AdamW, fused": partial(AdamW, fused=True),
    "SGD, foreach": partial(SGD, foreach=True),
}


@pytest.mark.parametrize("make", {**DECAYING, **OPTIONS}.values(), ids={**DECAYING, **OPTIONS})
def test_decay_is_in_the_penalty_where_the_optimizer_adds_it_to_the_gradient(make):
    model = nn.Sequential(nn.Linear(FEATURES, 5, bias=False), nn.Linear(5, CLASSES, bias=False))  # Muon takes matrices
    made = trainer(model, optimizer=lambda m: make(m.parameters(), lr=0.1, weight_decay=0.5))
    expected = 0.25 * squares(model.parameters()).item() if coupled(partial(make, lr=0.1), model) else 0.0
    assert float(made.evaluate((X, Y)).penalty) == pytest.approx(expected)
    assert made.strengths() == {"weight_decay": 0.5}


@SCALES
@pytest.mark.parametrize("training", [True, False])
def test_the_penalty_of_decay_is_the_closed_form(scale, training):
    model = Dropping()
    groups = [
        {"params": [model.first.weight], "weight_decay": 0.3},
        {"params": [model.first.bias], "weight_decay": 0.0},
        {"params": model.last.parameters(), "weight_decay": 0.02},
    ]
    optimizer = SGD(groups, lr=0.1)
    made = trainer(model, optimizer=optimizer)
    made.regularization_scale = scale
    expected = scale * (0.15 * squares([model.first.weight]) + 0.01 * squares(model.last.parameters())).item()
    assert made.regularization_scale == scale
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.3 * scale, 0.0, 0.02 * scale]
    assert float(made.evaluate((X, Y), training=training).penalty) == pytest.approx(expected)
    assert float(made.gradients((X, Y))[0].penalty) == pytest.approx(expected)
    assert float(made.trace((X, Y), lambda record: None).penalty) == pytest.approx(expected)
    assert float(made.step((X, Y)).penalty) == pytest.approx(expected)
    made.regularization_scale = 1.0
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.3, 0.0, 0.02]
    assert made.strengths() == {"weight_decay": 0.02, "weight_decay (2)": 0.3, "dropout": 0.5}


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float16, 1e-3), (torch.bfloat16, 8e-3), (torch.float32, 1e-6), (torch.float64, 1e-14)],
)
def test_the_penalty_is_as_precise_as_the_parameters(dtype, tolerance):
    model = Dropping().to(dtype)
    made = trainer(model, optimizer=lambda m: SGD(m.parameters(), lr=0.1, weight_decay=0.5), train=batches(dtype=dtype))
    expected = 0.25 * squares(model.parameters()).item()
    assert float(made.evaluate(first(made)).penalty) == pytest.approx(expected, rel=tolerance)


def test_a_group_without_parameters():
    model = linear()
    optimizer = SGD([{"params": []}, {"params": model.parameters()}], lr=0.1, weight_decay=0.5)
    made = trainer(model, optimizer=optimizer)
    assert float(made.evaluate((X, Y)).penalty) == pytest.approx(0.25 * squares(model.parameters()).item())


@SCALES
def test_decoupled_decay_is_seen_in_a_step(scale):
    model = linear()
    twin = copy.deepcopy(model)
    made = trainer(model, optimizer=lambda m: AdamW(m.parameters(), lr=0.1, weight_decay=0.2))
    plain = trainer(twin, optimizer=lambda m: AdamW(m.parameters(), lr=0.1, weight_decay=0.0))
    before = model.weight.detach().clone()
    made.regularization_scale = scale
    assert float(made.step((X, Y)).penalty) == float(plain.step((X, Y)).penalty) == 0.0
    torch.testing.assert_close(model.weight - twin.weight, -0.1 * 0.2 * scale * before)


def test_the_scale_and_the_decay_say_the_same_once_a_state_is_put_back():
    made = trainer(linear(), optimizer=(hold := Held()))
    state = made.save()
    made.regularization_scale = 0.0
    made.load(state)
    assert hold.optimizer.param_groups[0]["weight_decay"] == 0.5 * made.regularization_scale
    made.regularization_scale = 10.0
    state = made.save()
    made.regularization_scale = 1.0
    made.load(state)
    assert hold.optimizer.param_groups[0]["weight_decay"] == 0.5 * made.regularization_scale


class Held:
    """Makes an optimizer and keeps it."""

    def __call__(self, model):
        self.optimizer = SGD(model.parameters(), lr=0.1, weight_decay=0.5)
        return self.optimizer


# The user's penalty


def lasso(model):
    return lambda: 0.2 * sum(p.abs().sum() for p in model.parameters())


@SCALES
def test_the_users_penalty_is_scaled_and_trained(scale):
    model = linear()
    twin = copy.deepcopy(model)
    made = trainer(model, penalty=lasso(model))
    made.regularization_scale = scale
    expected = scale * lasso(twin)()
    assert made.strengths() == {"penalty()": pytest.approx(lasso(twin)().item())}
    for output in (made.evaluate((X, Y)), made.gradients((X, Y))[0], made.trace((X, Y), lambda record: None)):
        assert float(output.penalty) == pytest.approx(expected.item(), rel=1e-5)
        assert float(output.loss) == pytest.approx(F.cross_entropy(twin(X), Y).item())
    output = made.step((X, Y))
    assert float(output.penalty) == pytest.approx(expected.item())
    assert float(output.loss) == pytest.approx(F.cross_entropy(twin(X), Y).item())
    (F.cross_entropy(twin(X), Y) + expected).backward()
    torch.testing.assert_close(model.weight.detach(), (twin.weight - 0.1 * twin.weight.grad).detach())


def test_a_penalty_of_what_the_forward_pass_left_behind():
    """Activity regularization: the term is known once the model has run."""
    model = nn.Sequential(linear(), Calling(lambda x: x))
    model[0].register_forward_hook(lambda module, inputs, out: setattr(model, "seen", out))
    made = trainer(model, penalty=lambda: model.seen.square().mean())
    expected = model[0](X).square().mean().item()
    assert float(made.evaluate((X, Y)).penalty) == pytest.approx(expected)
    assert float(made.step((X, Y)).penalty) == pytest.approx(expected)


@pytest.mark.parametrize("value", [0.5, torch.tensor(0.5), torch.tensor([0.5]), torch.tensor(0.5, dtype=torch.float64)])
def test_a_penalty_may_be_a_number_or_a_tensor_that_nothing_trains(value):
    made = trainer(linear(), penalty=lambda: value)
    made.regularization_scale = 2.0
    outputs = [made.evaluate((X, Y)), made.gradients((X, Y))[0], made.step((X, Y))]
    assert [float(output.penalty) for output in outputs] == [1.0, 1.0, 1.0]


def test_a_penalty_is_not_called_where_it_is_off():
    calls = []
    made = trainer(linear(), penalty=lambda: calls.append(1) or 1.0)
    made.regularization_scale = 0.0
    calls.clear()
    assert float(made.evaluate((X, Y)).penalty) == float(made.step((X, Y)).penalty) == 0.0
    assert calls == []


# Gradients of the whole


def decayed(model, *, penalty=True, **options):
    """Coupled decay of 0.5 and, where wanted, a penalty beside it."""
    return trainer(
        model,
        optimizer=lambda m: SGD(m.parameters(), lr=0.1, weight_decay=0.5),
        penalty=lasso(model) if penalty else None,
        **options,
    )


class Summed(nn.Module):
    """Parameters that get one and the same gradient."""

    def __init__(self):
        super().__init__()
        self.map, self.one, self.other = (
            linear(),
            nn.Parameter(torch.randn(CLASSES)),
            nn.Parameter(torch.randn(CLASSES)),
        )

    def forward(self, x):
        return self.map(x) + (self.one + self.other)


class Constant(nn.Module):
    """A parameter whose gradient is one number, repeated."""

    def __init__(self):
        super().__init__()
        self.scores = nn.Parameter(torch.randn(CLASSES))

    def forward(self, x):
        return self.scores.expand(len(x), -1)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.one = nn.Linear(FEATURES, FEATURES)
        self.other = nn.Linear(FEATURES, FEATURES)
        self.other.weight = self.one.weight

    def forward(self, x):
        return self.other(torch.tanh(self.one(x)))[:, :CLASSES]


@pytest.mark.parametrize("make", [linear, Summed, Constant, Tied, partial(Dropping, 0.0)])
@pytest.mark.parametrize("penalty", [True, False])
@pytest.mark.parametrize("scale", [0.0, 1.0, 3.0])
def test_gradients_are_autograds_of_loss_and_penalty(make, penalty, scale):
    model = make()
    made = decayed(model, penalty=penalty)
    made.regularization_scale = scale
    term = 0.25 * squares(model.parameters()) + (lasso(model)() if penalty else 0.0)
    expected = torch.autograd.grad(F.cross_entropy(model(X), Y) + scale * term, list(model.parameters()))
    gradients = made.gradients((X, Y))[1]
    assert list(gradients) == [name for name, _ in model.named_parameters()]
    for gradient, wanted in zip(gradients.values(), expected, strict=True):
        torch.testing.assert_close(gradient, wanted)


@pytest.mark.parametrize("scale", [0.0, 1.0, 3.0])
def test_gradients_are_finite_differences_of_what_evaluate_gives(scale):
    """With batch norm and dropout, each evaluation drawing the same mask; in double precision."""
    model = nn.Sequential(Dropping(), nn.BatchNorm1d(CLASSES)).double()
    made = decayed(model, train=batches(dtype=torch.float64))
    made.regularization_scale = scale
    batch, step = first(made), 1e-5

    def total(name, values):
        made.set_parameters({name: values})
        output = made.evaluate(batch, training=True)
        return float(output.loss) + float(output.penalty)

    for name, gradient in made.gradients(batch)[1].items():
        before = made.parameters()[name].clone()
        for place in np.ndindex(*before.shape):
            off = torch.zeros_like(before)
            off[place] = step
            slope = (total(name, before + off) - total(name, before - off)) / (2 * step)
            assert gradient[place].item() == pytest.approx(slope, rel=1e-5, abs=1e-8), (name, place)
        made.set_parameters({name: before})


@pytest.mark.parametrize("scale", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("penalty", [True, False])
def test_a_step_of_plain_descent_goes_along_the_gradients(scale, penalty):
    model = Summed()
    made = decayed(model, penalty=penalty)
    made.regularization_scale = scale
    before = {name: p.clone() for name, p in made.parameters().items()}
    gradients = made.gradients((X, Y))[1]
    made.step((X, Y))
    for name, p in made.parameters().items():
        torch.testing.assert_close(p, before[name] - 0.1 * gradients[name])


# Dropout


class Around(nn.Module):
    """Two layers around something that drops out; `shape` is what it is given, per example."""

    def __init__(self, dropping, shape=(8,)):
        super().__init__()
        self.first, self.dropping, self.shape = nn.Linear(FEATURES, 8), dropping, shape
        self.last = nn.Linear(8, CLASSES)

    def forward(self, x):
        hidden = torch.tanh(self.first(x)).reshape(len(x), *self.shape)
        return self.last(self.dropping(hidden).reshape(len(x), -1))


class Called(nn.Module):
    """A function of (x, rate, training)."""

    def __init__(self, function, rate):
        super().__init__()
        self.function, self.rate = function, rate

    def forward(self, x):
        return self.function(x, self.rate, self.training)


class DropPath(nn.Module):
    """Stochastic depth as timm has it."""

    def __init__(self, drop_prob):
        super().__init__()
        self.drop_prob = drop_prob

    def forward(self, x):
        if not self.training or self.drop_prob == 0.0:
            return x
        kept = x.new_empty(len(x), *[1] * (x.ndim - 1)).bernoulli_(1 - self.drop_prob)
        return x * kept / (1 - self.drop_prob)


class StochasticDepth(DropPath):
    """The same under torchvision's name."""


class LockedDropout(nn.Module):
    """One mask for all positions, drawn by hand."""

    def __init__(self, p):
        super().__init__()
        self.p = p

    def forward(self, x):
        if not self.training:
            return x
        return x * (torch.rand(x.shape[-1]) >= self.p).float() / (1 - self.p)


class Attention(nn.Module):
    def __init__(self, rate):
        super().__init__()
        self.core = nn.MultiheadAttention(4, 2, dropout=rate, batch_first=True)

    def forward(self, x):
        return self.core(x, x, x, need_weights=False)[0]


class AttentionWithWeights(Attention):
    def forward(self, x):
        return self.core(x, x, x)[0]


class Stacked(nn.Module):
    def __init__(self, kind, rate):
        super().__init__()
        self.core = kind(4, 4, num_layers=2, dropout=rate, batch_first=True)

    def forward(self, x):
        return self.core(x)[0]


class StackedOnPacked(Stacked):
    def forward(self, x):
        packed = pack_padded_sequence(x, [2] * len(x), batch_first=True)
        return torch.nn.utils.rnn.pad_packed_sequence(self.core(packed)[0], batch_first=True)[0]


class StackedFromState(Stacked):
    def forward(self, x):
        state = x.new_ones(2, len(x), 4)
        return self.core(x, (state, state) if isinstance(self.core, nn.LSTM) else state)[0]


def scaled_dot_product(x, rate, training):
    return F.scaled_dot_product_attention(x, x, x, dropout_p=rate if training else 0.0)


def scaled_dot_product_by_position(x, rate, training):
    return F.scaled_dot_product_attention(x, x, x, None, rate if training else 0.0)


def called(function):
    return lambda rate: Around(Called(function, rate))


IMAGES, SEQUENCE = (2, 2, 2), (2, 4)
KINDS = {
    "Dropout": lambda rate: Around(nn.Dropout(rate)),
    "Dropout, in place": lambda rate: Around(nn.Dropout(rate, inplace=True)),
    "Dropout1d": lambda rate: Around(nn.Dropout1d(rate), (4, 2)),
    "Dropout2d": lambda rate: Around(nn.Dropout2d(rate), IMAGES),
    "Dropout3d": lambda rate: Around(nn.Dropout3d(rate), (2, 2, 2, 1)),
    "AlphaDropout": lambda rate: Around(nn.AlphaDropout(rate)),
    "FeatureAlphaDropout": lambda rate: Around(nn.FeatureAlphaDropout(rate), IMAGES),
    "F.dropout": called(lambda x, rate, training: F.dropout(x, p=rate, training=training)),
    "F.dropout by position": called(F.dropout),
    "F.dropout in place": called(lambda x, rate, training: F.dropout(x * 1, rate, training, True)),
    "F.dropout1d": lambda rate: Around(Called(F.dropout1d, rate), (4, 2)),
    "F.dropout2d": lambda rate: Around(Called(F.dropout2d, rate), IMAGES),
    "F.alpha_dropout": called(F.alpha_dropout),
    "torch.dropout": called(torch.dropout),
    "torch.dropout by name": called(lambda x, rate, training: torch.dropout(x, p=rate, train=training)),
    "torch.dropout_": called(lambda x, rate, training: torch.dropout_(x * 1, rate, training)),
    "torch.native_dropout": called(lambda x, rate, training: torch.native_dropout(x, rate, training)[0]),
    "DropPath": lambda rate: Around(DropPath(rate)),
    "StochasticDepth": lambda rate: Around(StochasticDepth(rate)),
    "LockedDropout": lambda rate: Around(LockedDropout(rate)),
    "MultiheadAttention": lambda rate: Around(Attention(rate), SEQUENCE),
    "MultiheadAttention with its weights": lambda rate: Around(AttentionWithWeights(rate), SEQUENCE),
    "scaled_dot_product_attention": lambda rate: Around(Called(scaled_dot_product, rate), SEQUENCE),
    "scaled_dot_product_attention by position": lambda rate: Around(
        Called(scaled_dot_product_by_position, rate), SEQUENCE
    ),
    "TransformerEncoderLayer": lambda rate: Around(
        nn.TransformerEncoderLayer(4, 2, 8, dropout=rate, batch_first=True), SEQUENCE
    ),
}
for kind in (nn.LSTM, nn.GRU, nn.RNN):
    for stacked in (Stacked, StackedFromState, StackedOnPacked):
        KINDS[f"{kind.__name__}, {stacked.__name__}"] = lambda rate, kind=kind, stacked=stacked: Around(
            stacked(kind, rate), SEQUENCE
        )
EVERY_KIND = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


def with_and_without(kind):
    """The program, and the same one without dropout."""
    model, plain = kind(0.5), kind(0.0)
    plain.load_state_dict(model.state_dict())
    return trainer(model), trainer(plain)


def close(loss):
    return pytest.approx(torch.as_tensor(loss).item(), rel=1e-5)


@EVERY_KIND
@pytest.mark.parametrize("evaluated_before", [True, False])
def test_dropout_is_off_at_scale_0(kind, evaluated_before):
    made, plain = with_and_without(kind)
    expected = plain.evaluate((X, Y), training=True).loss
    made.regularization_scale = 0.0
    if evaluated_before:
        assert float(made.evaluate((X, Y)).loss) == close(plain.evaluate((X, Y)).loss)
    assert float(made.evaluate((X, Y), training=True).loss) == close(expected)
    output, gradients = made.gradients((X, Y))
    assert float(output.loss) == close(expected)
    for name, gradient in plain.gradients((X, Y))[1].items():
        torch.testing.assert_close(gradients[name], gradient)
    assert float(made.trace((X, Y), lambda record: None).loss) == close(expected)
    assert float(made.step((X, Y)).loss) == close(plain.step((X, Y)).loss)
    for name, p in plain.parameters().items():
        torch.testing.assert_close(made.parameters()[name], p)


@EVERY_KIND
def test_dropout_is_on_at_any_other_scale_and_on_again_after_0(kind):
    made, plain = with_and_without(kind)
    expected, loss = (float(t.evaluate((X, Y), training=True).loss) for t in (plain, made))
    assert loss != expected
    assert float(made.evaluate((X, Y)).loss) == close(plain.evaluate((X, Y)).loss)
    for scale in (0.0, 0.1, 0.0, 1.0, 10.0):
        made.regularization_scale = scale
        again = float(made.evaluate((X, Y), training=True).loss)
        assert again == (loss if scale else close(expected))


@EVERY_KIND
def test_the_rate_of_dropout_is_stated(kind):
    made, plain = with_and_without(kind)
    assert made.strengths() == {"dropout": 0.5}
    assert plain.strengths() == {}


@EVERY_KIND
def test_no_mode_or_rate_of_a_module_is_left_changed(kind):
    model = kind(0.5)
    made = trainer(model)
    before = bits([(m.training, vars(m).get("p"), vars(m).get("dropout")) for m in model.modules()])
    made.regularization_scale = 0.0
    for use in (made.evaluate, partial(made.evaluate, training=True), made.gradients, made.step):
        use((X, Y))
        assert bits([(m.training, vars(m).get("p"), vars(m).get("dropout")) for m in model.modules()]) == before


def test_dropout_that_is_never_switched_off_is_off_at_scale_0_alone():
    """As in Monte Carlo dropout."""
    model = Around(Calling(lambda x: F.dropout(x, 0.5, training=True)))
    made = trainer(model)
    assert float(made.evaluate((X, Y)).loss) == float(made.evaluate((X, Y)).loss)
    made.regularization_scale = 0.0
    plain = F.cross_entropy(model.last(torch.tanh(model.first(X))), Y)
    assert float(made.evaluate((X, Y)).loss) == close(plain)
    assert float(made.evaluate((X, Y), training=True).loss) == close(plain)


def test_dropout_that_begins_later_is_off_at_scale_0_too():
    """Called for some inputs alone, here for those of the second batch: what one pass shows does not hold for all."""
    model = Around(Calling(lambda x: F.dropout(x, 0.5) if model.awake else x))
    model.awake = False
    made = trainer(model)
    made.regularization_scale = 0.0
    plain = float(made.evaluate((X, Y), training=True).loss)
    model.awake = True
    assert float(made.evaluate((X, Y), training=True).loss) == plain


def test_dropout_that_the_program_does_not_use_is_not_stated():
    model = Around(Called(F.dropout, 0.0))
    model.dropping.unused = nn.Identity()
    assert trainer(model).strengths() == {}
    off = Around(Calling(lambda x: torch.dropout(x, p=0.5, train=False)))
    assert trainer(off).strengths() == {}
    off = Around(Calling(lambda x: F.dropout(x, 0.5, training=False)))
    assert trainer(off).strengths() == {}


class Block(nn.Module):
    """A layer whose name says that it drops, but that has weights of its own: it must not be switched off whole."""

    def __init__(self):
        super().__init__()
        self.map, self.norm = nn.Linear(8, 8), nn.BatchNorm1d(8)

    def forward(self, x):
        return F.dropout(self.norm(self.map(x)), 0.5, self.training)


class DropBlock(Block):
    pass


@pytest.mark.parametrize("kind", [Block, DropBlock])
def test_batch_norm_goes_on_in_training_mode_at_scale_0(kind):
    model = Around(kind())
    made = trainer(model)
    made.regularization_scale = 0.0
    block = model.dropping
    hidden = block.map(torch.tanh(model.first(X)))
    normed = (hidden - hidden.mean(0)) / (hidden.var(0, unbiased=False) + 1e-5).sqrt()
    assert float(made.evaluate((X, Y), training=True).loss) == close(F.cross_entropy(model.last(normed), Y))
    made.step((X, Y))
    assert int(block.norm.num_batches_tracked) == 1


def test_dropout_in_evaluation_mode_on_purpose_stays_so():
    model = Around(nn.Dropout(0.5))
    model.dropping.eval()
    made = trainer(model)
    plain = float(made.evaluate((X, Y)).loss)
    for scale in (1.0, 0.0, 1.0):
        made.regularization_scale = scale
        assert float(made.evaluate((X, Y), training=True).loss) == plain
    assert made.strengths() == {}
    assert not model.dropping.training


def test_an_error_at_scale_0_leaves_dropout_in_training_mode():
    model = Around(nn.Sequential(nn.Dropout(0.5), Calling(lambda x: 1 / 0 if model.broken else x)))
    model.broken = False
    made = trainer(model)
    model.broken, made.regularization_scale = True, 0.0
    for use in (made.evaluate, partial(made.evaluate, training=True), made.gradients, made.step, made.strengths):
        with pytest.raises(ZeroDivisionError):
            use((X, Y)) if use != made.strengths else use()
        assert all(m.training for m in model.modules())


def test_a_program_with_nothing_to_scale():
    made = trainer(linear())
    assert made.strengths() == {}
    before = made.evaluate((X, Y))
    made.regularization_scale = 1000.0
    assert float(made.evaluate((X, Y)).loss) == float(before.loss)
    assert float(made.evaluate((X, Y)).penalty) == 0.0


def test_stating_strengths_moves_nothing():
    model = nn.Sequential(Dropping(), nn.BatchNorm1d(CLASSES))
    made = trainer(model)
    generator, before = torch.get_rng_state(), bits(dict(model.named_buffers()))
    assert made.strengths() == {"dropout": 0.5}
    assert torch.equal(torch.get_rng_state(), generator)
    assert bits(dict(model.named_buffers())) == before

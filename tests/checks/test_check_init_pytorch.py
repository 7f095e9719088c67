"""`check-init` on PyTorch programs: every legal initialization is passed over, and every bad one is named."""

import initialized_programs as programs
import pytest
import torch
from faults import findings, verdict
from initialized_programs import LEGAL, ByHand, conv, deep, ended, images, initialized, program, sequences
from torch import nn

NAME = "check-init"
STEPS = 12  # fewer than usual, for speed
SGD = torch.optim.SGD
SYMMETRIC = {("symmetric-weights", "error")}
MIS_SCALED = {("mis-scaled-weights", "error")}
SHRUNK = {("shrinking-activations", "error")}
SHRUNK_AT_FIRST = {("shrinking-activations", "warning")}
EXPLODED = {("exploding-activations", "error")}
VANISHING = {("vanishing-gradient", "error")}
EXPLODING = {("exploding-gradient", "error")}


@pytest.mark.parametrize("number", range(len(LEGAL)), ids=[make.__name__ for make in LEGAL])
def test_legal(number):
    torch.manual_seed(number % 5)
    assert findings(NAME, LEGAL[number](number % 5), steps=STEPS) == []


@pytest.mark.parametrize("rate", [1e-3, 1e-7])
@pytest.mark.parametrize(
    "make",
    [
        *(programs.zero_head, programs.zero_head_and_sigmoid, programs.fixup, programs.conditioned, programs.low_rank),
        *(programs.rezero, programs.zero_branches_that_end_in_tanh, programs.residual_cnn(True), programs.tied),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_legal_however_slowly_it_learns(monkeypatch, make, rate):
    def slowly(model, seed, *data, **options):
        return program(model, seed, *data, **options | {"rate": rate, "optimizer": SGD})

    monkeypatch.setattr(programs, "program", slowly)
    torch.manual_seed(0)
    assert findings(NAME, make(0), steps=STEPS) == []


# Bad ones


def everywhere(start, hidden, act=nn.ReLU, **options):
    """The same initialization in every layer."""
    made = {name: options.pop(name) for name in ("rate", "optimizer") if name in options}
    return lambda seed: program(deep(hidden, act=act, start=start, **options), seed, **made)


def convolutions(start, act=nn.ReLU, *, norm=False, **options):
    def make(seed):
        layers = (conv(8, 8, norm=norm, act=act) for _ in range(3))
        return images(initialized(ended(conv(3, 8, norm=norm, act=act), *layers, width=8), start, **options), seed)

    return make


def scaled(layer, factor, act=nn.ReLU):
    """The weights of one layer of four."""

    def make(seed):
        model = deep(4, act=act)
        model[2 * layer].weight.data *= factor
        return program(model, seed)

    return make


def bias_of(value, act):
    def make(seed):
        model = deep(3, act=act)
        for module in list(model)[:-1]:
            if isinstance(module, nn.Linear):
                nn.init.constant_(module.bias, value)
        return program(model, seed)

    return make


class Multiplying(ByHand):
    """Recurrent weights several times too large."""

    def __init__(self, gain, act):
        super().__init__()
        nn.init.orthogonal_(self.stay.weight, gain)
        self.act = act

    def forward(self, x):
        h = x.new_zeros(len(x), self.stay.in_features)
        for i in range(x.shape[1]):
            h = self.act(self.enter(x[:, i]) + self.stay(h))
        return self.head(h)


def multiplying(gain, act, length):
    return lambda seed: sequences(Multiplying(gain, act), seed, length)


ZEROS, CONSTANT, NORMAL, XAVIER = nn.init.zeros_, nn.init.constant_, nn.init.normal_, nn.init.xavier_uniform_
BAD = [
    *((everywhere(ZEROS, 2, act), SYMMETRIC) for act in (nn.ReLU, nn.Tanh, nn.Sigmoid)),
    (everywhere(ZEROS, 1), SYMMETRIC),
    *((everywhere(CONSTANT, 2, act, val=0.1), SYMMETRIC) for act in (nn.ReLU, nn.Tanh, nn.Sigmoid)),
    (everywhere(CONSTANT, 2, val=0.1, rate=0.1, optimizer=SGD), SYMMETRIC),
    (convolutions(ZEROS), SYMMETRIC),
    (convolutions(ZEROS, norm=True), SYMMETRIC),
    (convolutions(CONSTANT, val=0.05), SYMMETRIC),
    (convolutions(CONSTANT, nn.Tanh, val=0.05), SYMMETRIC),
    (convolutions(CONSTANT, norm=True, val=0.05), SYMMETRIC),
    (everywhere(NORMAL, 3, std=1.0), MIS_SCALED),
    (everywhere(NORMAL, 6, std=1.0), MIS_SCALED | EXPLODED),
    (everywhere(NORMAL, 30, std=4.0), MIS_SCALED | EXPLODED),  # it overflows
    (everywhere(NORMAL, 2, nn.Tanh, std=1.0), MIS_SCALED),
    (everywhere(NORMAL, 2, nn.Sigmoid, std=1.0, width=256), MIS_SCALED),
    (everywhere(NORMAL, 6, std=0.01), MIS_SCALED | SHRUNK),
    (everywhere(NORMAL, 6, std=0.01, rate=0.1, optimizer=SGD), MIS_SCALED | SHRUNK),
    (everywhere(NORMAL, 10, nn.Tanh, std=0.01, rate=0.1, optimizer=SGD), MIS_SCALED | SHRUNK),
    (convolutions(NORMAL, std=3.0), MIS_SCALED | EXPLODED),
    (convolutions(NORMAL, std=0.001), MIS_SCALED | SHRUNK),
    (everywhere(XAVIER, 10, nn.Sigmoid), SHRUNK | VANISHING),
    (everywhere(XAVIER, 10, nn.Sigmoid, rate=0.1, optimizer=SGD), SHRUNK | VANISHING),
    (everywhere(XAVIER, 30, rate=1e-3, optimizer=SGD), SHRUNK),
    *((scaled(layer, 1000), MIS_SCALED) for layer in (0, 1, 2)),
    *((scaled(layer, 1000, nn.Tanh), MIS_SCALED) for layer in (0, 2)),
    (scaled(2, 1e-3), SHRUNK_AT_FIRST),
    (bias_of(10, nn.Tanh), SHRUNK | VANISHING),
    (bias_of(10, nn.Sigmoid), SHRUNK | VANISHING),
    (multiplying(4.0, torch.relu, 12), EXPLODED),
    (everywhere(XAVIER, 40, nn.Tanh, gain=5.0), MIS_SCALED | EXPLODING),
]


@pytest.mark.parametrize("number", range(len(BAD)))
def test_bad(number):
    make, expected = BAD[number]
    torch.manual_seed(number % 5)
    assert verdict(NAME, make(number % 5), steps=STEPS) == expected

"""Weights as `check-init` sees them: whose they are, how wide they should be, and what the loss feels of them."""

import math
from dataclasses import replace

import faults
import numpy as np
import pytest
import torch
from initialized_programs import FEATURES, Adapted, Words, deep, examples, images, mlp, program, texts
from processes import Group, joined_demo, parallel_demo, together
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations
from trainers import TinyTrainer

from babysit.driving.bench import Bench
from babysit.errors import Skip
from babysit.measuring.layers import layers
from babysit.measuring.weights import GAINS, Weight, looked_at

PLAIN = Weight("W", "affine1", "tanh", "tanh1", 1.0, 50, 100, 0.1, False, 1.0)


def weights(made, steps=0, examples=64):
    bench = Bench(made)
    return looked_at(bench, layers(bench, examples), steps)


def told(found):
    return {w.name: (w.followed_by, w.units, w.fan_in) for w in found}


@pytest.mark.parametrize(
    ("followed_by", "spread", "wanted", "scheme"),
    [
        ("tanh", 0.3, 0.1, "Xavier"),
        ("relu", 0.3, 0.1 * 2**0.5, "He"),
        ("silu", 0.3, 0.1 * 2**0.5, "He"),
        ("maxout", 0.3, 0.1, "Xavier"),
        ("", 0.3, 0.1, "Xavier"),
        ("sigmoid", 0.05, 0.1, "Xavier"),
        ("sigmoid", 0.1, 0.1, "Xavier"),
        ("sigmoid", 0.25, 0.25, "Xavier"),
        ("sigmoid", 0.4, 0.4, "Xavier"),
        ("sigmoid", 4.0, 0.4, "Xavier"),
    ],
)
def test_how_wide_they_should_be(followed_by, spread, wanted, scheme):
    weight = replace(PLAIN, followed_by=followed_by, spread=spread)
    assert (weight.wanted, weight.scheme) == (pytest.approx(wanted), scheme)
    assert weight.scale == pytest.approx(spread / wanted)


@pytest.mark.parametrize("kind", GAINS)
def test_gains_keep_the_mean_square_of_a_wide_layer(kind):
    """To a factor of 1.5 in spread, by what torch's own function makes of standard normal numbers."""
    functions = {"relu": F.relu, "leaky-relu": F.leaky_relu, "elu": F.elu, "gelu": F.gelu, "silu": F.silu}
    function = functions.get(kind, lambda x: F.prelu(x, torch.tensor([0.25])))
    z = torch.randn(100_000, generator=torch.Generator().manual_seed(0))
    kept = math.sqrt(float(function(GAINS[kind] * z).square().mean()))
    assert 1 / 1.5 < kept < 1.5


# Whose they are


def test_the_embedded_network():
    made = faults.demo(0, sizes=(2, 30, 20, 3), batch_norm=True)
    assert told(weights(made)) == {
        "affine1.W": ("norm", 30, 2),
        "affine2.W": ("norm", 20, 30),
        "affine3.W": ("", 3, 20),
    }
    maxout = faults.healthy(0, "maxout")
    assert told(weights(maxout))["affine1.W"] == ("maxout", 200, 2)


def test_their_numbers():
    made = faults.demo(0, sizes=(2, 30, 20, 3), l2=0.1)
    bench = Bench(made)
    found = looked_at(bench, layers(bench, 300), 0)
    gradients = made.gradients(bench.pool()[0])[1]
    outputs = {call.name: call for call in made.network.forward(np.concatenate([x for x, _ in bench.pool()]))}
    for weight in found:
        w = made.network.params[weight.name]
        assert weight.layer == weight.name.removesuffix(".W")
        assert weight.spread == pytest.approx(np.sqrt(np.mean(w**2)))
        assert weight.sensitivity == pytest.approx(np.linalg.norm(w) * np.linalg.norm(gradients[weight.name]))
        assert weight.fed == pytest.approx(np.sqrt(np.mean(outputs[weight.layer].inputs ** 2)))
    assert [w.ahead_of for w in found] == ["relu1", "relu2", ""]


def test_later_ones_are_those_of_the_trained_network():
    made, twin = faults.healthy(0), faults.healthy(0)
    bench = Bench(made)
    found = looked_at(bench, layers(bench, 300), 7)
    stream = Bench(twin).stream()
    for _ in range(7):
        twin.step(next(stream))
    expected = [np.sqrt(np.mean(twin.network.params[w.name] ** 2)) for w in found]
    assert [w.spread for w in found] == pytest.approx(expected)
    assert made.network.params["affine1.W"].std() != pytest.approx(twin.network.params["affine1.W"].std())


def test_what_gives_the_scores_is_not_hidden():
    made = faults.sure_sigmoid(0)
    assert told(weights(made))["affine2.W"][0] == ""
    inputs, labels = examples(0)
    targets = F.one_hot(labels, 4).float()
    squashed = program(nn.Sequential(deep(1), nn.Sigmoid()), 0, (inputs, targets), F.binary_cross_entropy)
    assert told(weights(squashed)) == {"0.0.weight": ("relu", 48, FEATURES), "0.2.weight": ("", 4, 48)}


def test_convolutions():
    layers = [
        *(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=8), nn.Tanh()),
        *(nn.ConvTranspose2d(8, 6, 2, 2), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(384, 4)),
    ]
    assert told(weights(images(nn.Sequential(*layers), 0))) == {
        "0.weight": ("relu", 8, 27),
        "2.weight": ("tanh", 8, 9),
        "4.weight": ("norm", 6, 32),
        "8.weight": ("", 4, 384),
    }


def test_a_linear_layer_behind_a_linear_layer_is_followed_by_nothing():
    model = nn.Sequential(nn.Linear(FEATURES, 8), nn.Linear(8, 8), nn.Dropout(0.1), nn.ReLU(), nn.Linear(8, 4))
    found = told(weights(program(model, 0)))
    assert found == {"0.weight": ("", 8, FEATURES), "1.weight": ("relu", 8, 8), "4.weight": ("", 4, 8)}


class Placed(nn.Module):
    """A table of places as wide as the layer behind it."""

    def __init__(self):
        super().__init__()
        self.places = nn.Parameter(torch.ones(FEATURES))
        self.table = nn.Parameter(torch.ones(2, FEATURES))
        self.layer, self.head = nn.Linear(FEATURES, FEATURES), nn.Linear(FEATURES, 4)

    def forward(self, x):
        return self.head(torch.relu(self.layer(x + self.places + self.table.sum(0))))


def test_tables_belong_to_no_layer():
    assert list(told(weights(program(Placed(), 0)))) == ["layer.weight", "head.weight"]
    body = nn.Sequential(nn.Linear(32, 24), nn.Tanh(), nn.Linear(24, 32))
    assert told(weights(texts(Words(body), 0))) == {
        "body.0.weight": ("tanh", 24, 32),
        "body.2.weight": ("", 32, 24),
        "head.weight": ("", 24, 32),
    }


def test_tied_weights_are_those_of_the_layer():
    body = nn.Sequential(nn.Linear(32, 24), nn.Tanh(), nn.Linear(24, 32))
    found = told(weights(texts(Words(body, tied=True), 0)))
    assert found["table.weight"] == ("", 24, 32)


def test_a_layer_called_twice_is_one():
    shared = nn.Linear(8, 8)
    model = nn.Sequential(nn.Linear(FEATURES, 8), nn.ReLU(), shared, nn.ReLU(), shared, nn.ReLU(), nn.Linear(8, 4))
    assert [w.name for w in weights(program(model, 0))] == ["0.weight", "2.weight", "6.weight"]


def test_frozen_ones_are_left_out():
    model = mlp(FEATURES, 8, 8, 4)
    model[0].requires_grad_(False)
    assert [w.name for w in weights(program(model, 0))] == ["2.weight", "4.weight"]
    adapted = nn.Sequential(Adapted(nn.Linear(FEATURES, 8)), nn.ReLU(), nn.Linear(8, 4))
    assert [w.name for w in weights(program(adapted, 0))] == ["0.down.weight", "0.up.weight", "2.weight"]


def test_of_weight_norm_the_direction_is_taken():
    model = mlp(FEATURES, 8, 4)
    parametrizations.weight_norm(model[0])
    found = weights(program(model, 0))
    assert [w.name for w in found] == ["0.parametrizations.weight.original1", "2.weight"]
    assert found[0].fan_in == FEATURES


def test_what_gets_no_gradient_has_no_sensitivity():
    class Detached(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.head = nn.Linear(FEATURES, 8), nn.Linear(8, 4)

        def forward(self, x):
            return self.head(torch.relu(self.body(x)).detach())

    first, second = weights(program(Detached(), 0))
    assert math.isnan(first.sensitivity)
    assert second.sensitivity > 0


def test_without_names_there_is_nothing():
    made = faults.healthy(0)
    bench = Bench(made)
    found = layers(bench, 100)
    with pytest.raises(Skip, match="has no method `trace`"):
        looked_at(Bench(TinyTrainer()), found, 0)


# Alike


def alike(change, width=8):
    model = mlp(FEATURES, width, width, 4)
    with torch.no_grad():
        change(model[2].weight)
    return weights(program(model, 0))[1].alike


@pytest.mark.parametrize("width", [8, 12])
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda w: w.zero_(), True),
        (lambda w: w.fill_(0.3), True),
        (lambda w: w.fill_(-1e-9), True),
        (lambda w: w.copy_(0.3 * (1 + 4e-4 * torch.rand_like(w))), True),
        (lambda w: w.copy_(0.3 * (1 + 4e-3 * torch.rand_like(w))), False),
        (lambda w: w[1:].zero_(), False),
        (lambda w: w.copy_(torch.eye(len(w))), False),
        (lambda w: None, False),
        (lambda w: w.fill_(math.nan), False),
    ],
)
def test_alike(change, expected, width):
    torch.manual_seed(0)
    assert alike(change, width) is expected


def test_units_with_the_same_random_weights_are_alike():
    model = mlp(FEATURES, 8, 4)
    with torch.no_grad():
        model[0].weight.copy_(model[0].weight[:1].expand(8, -1))
    assert [w.alike for w in weights(program(model, 0))] == [True, False]


def test_one_unit_is_like_no_other():
    assert [w.alike for w in weights(program(mlp(FEATURES, 1, 4), 0))] == [False, False]


def test_filters_of_channels_of_their_own_are_not_alike():
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3, groups=8), nn.ReLU(), nn.Flatten(), nn.Linear(128, 4)
    )
    for layer in (model[0], model[2]):
        nn.init.constant_(layer.weight, 0.1)
    assert [w.alike for w in weights(images(model, 0))] == [True, False, False]


# Several processes


def test_over_ranks_gradients_are_those_of_the_whole_batch():
    size = 2
    found = together(size, lambda group, rank: weights(parallel_demo(group, rank), examples=200))
    alone = weights(joined_demo(size), examples=200)
    for ranks in zip(*found, alone, strict=True):
        assert [w.name for w in ranks] == [ranks[0].name] * 3
        assert [w.sensitivity for w in ranks] == pytest.approx([ranks[-1].sensitivity] * 3, rel=1e-9)
        assert [w.fed for w in ranks] == pytest.approx([ranks[-1].fed] * 3, rel=1e-9)


def test_one_rank_alone_is_one_process():
    assert weights(parallel_demo(Group(1), 0)) == weights(joined_demo(1))

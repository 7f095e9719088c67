"""PyTorch networks of every kind under every usual initialization: functions of a seed that give a trainer.

LEGAL      all of them, however they look to a simple rule
"""

import itertools
import math

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from babysit.adapters.pytorch import PyTorchTrainer

torch.set_num_threads(1)

CLASSES, FEATURES, BATCH, COUNT = 4, 16, 32, 64


def examples(seed, shape=(FEATURES,), count=COUNT):
    """Standardized inputs whose first numbers tell the class."""
    numbers = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % CLASSES
    labels = labels[torch.randperm(count, generator=numbers)]
    inputs = torch.randn(count, *shape, generator=numbers)
    inputs.flatten(1)[torch.arange(count), labels] += 3
    return (inputs - inputs.mean(0)) / inputs.std(0), labels


def program(model, seed, train=None, loss=F.cross_entropy, *, rate=1e-3, optimizer=torch.optim.Adam, **options):
    """A trainer of the model on batches of these inputs and targets."""
    inputs, targets = train or examples(seed)
    pairs = [(inputs[i : i + BATCH], targets[i : i + BATCH]) for i in range(0, len(inputs), BATCH)]
    trained = [p for p in model.parameters() if p.requires_grad]
    return PyTorchTrainer(model, loss, optimizer(trained, lr=rate), pairs, **options)


def images(model, seed, channels=3, size=8, **options):
    return program(model, seed, examples(seed, (channels, size, size)), **options)


def sequences(model, seed, length=8, **options):
    return program(model, seed, examples(seed, (length, 8)), **options)


def tokens(seed, length=8, vocabulary=24, count=COUNT):
    """Texts in which each token says what the next one is, most of the time."""
    numbers = torch.Generator().manual_seed(seed)
    text = torch.randint(vocabulary, (count, length + 1), generator=numbers)
    for i in range(1, length + 1):
        told = torch.rand(count, generator=numbers) < 0.9
        text[:, i] = torch.where(told, (5 * text[:, i - 1] + 1) % vocabulary, text[:, i])
    return text[:, :-1], text[:, 1:]


def texts(model, seed, **options):
    def loss(scores, targets):
        return F.cross_entropy(scores.flatten(0, 1), targets.flatten())

    return program(model, seed, tokens(seed), loss, **options)


def mlp(*sizes, act=nn.ReLU, norm=None, start=None, **options):
    """Linear layers with a nonlinearity between them, behind a norm if there is one."""
    layers = []
    for fan_in, units in itertools.pairwise(sizes[:-1]):
        layers += [nn.Linear(fan_in, units), *([norm(units)] if norm else []), act()]
    model = nn.Sequential(*layers, nn.Linear(*sizes[-2:]))
    return initialized(model, start, **options) if start else model


def initialized(model, start, **options):
    """The model with each matrix set by `start`, and biases at zero."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            start(module.weight, **options)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return model


def lecun(weight):
    nn.init.normal_(weight, std=weight[0].numel() ** -0.5)


def he(weight):
    nn.init.kaiming_normal_(weight, nonlinearity="relu")


def deep(hidden, width=48, **options):
    return mlp(FEATURES, *[width] * hidden, CLASSES, **options)


class Called(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


# Linear layers and nonlinearities


def default(hidden, act=nn.ReLU):
    def make(seed):
        return program(deep(hidden, act=act), seed)

    make.__name__ = f"default_{act.__name__.lower()}_{hidden}"
    return make


def glorot_ahead_of_relu(hidden):
    def make(seed):
        return program(deep(hidden, start=nn.init.xavier_uniform_), seed)

    make.__name__ = f"glorot_relu_{hidden}"
    return make


def deep_he(seed):
    return program(deep(20, start=he), seed, rate=1e-4)


def deep_xavier_tanh(seed):
    return program(deep(20, act=nn.Tanh, start=nn.init.xavier_normal_), seed)


def xavier_sigmoids(seed):
    return program(deep(2, act=nn.Sigmoid, start=nn.init.xavier_uniform_), seed, rate=1e-2)


def wide_sigmoids(seed):
    """Four times Xavier's spread, as Glorot and Bengio advise for sigmoids."""
    return program(deep(2, act=nn.Sigmoid, start=nn.init.xavier_uniform_, gain=4), seed, rate=1e-2)


def selu(seed):
    return program(deep(8, act=nn.SELU, start=lecun), seed)


def orthogonal(seed):
    return program(deep(6, act=nn.Tanh, start=nn.init.orthogonal_), seed)


def orthogonal_relu(seed):
    return program(deep(6, start=nn.init.orthogonal_, gain=math.sqrt(2)), seed)


def truncated_normal(seed):
    return program(deep(3, act=nn.GELU, start=nn.init.trunc_normal_, std=0.1), seed)


def small_fixed_spread(seed):
    """TensorFlow's old examples: a spread of 0.1 wherever."""
    return program(deep(2, width=128, start=nn.init.normal_, std=0.1), seed)


def hundredth_in_one_layer(seed):
    """The lecture's small random numbers, which are fine in shallow networks."""
    return program(deep(1, start=nn.init.normal_, std=0.01), seed)


def hundredth_in_two_layers(seed):
    return program(deep(2, start=nn.init.normal_, std=0.01), seed)


def hundredth_in_two_tanh_layers(seed):
    return program(deep(2, act=nn.Tanh, start=nn.init.normal_, std=0.01), seed)


class Parametrized(nn.Module):
    """Weights of spread 1, divided by the root of their inputs as they are used."""

    def __init__(self, fan_in, units):
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(units, fan_in)), nn.Parameter(torch.zeros(units))

    def forward(self, x):
        return F.linear(x, self.weight / math.sqrt(x.shape[-1]), self.bias)


class ParametrizedBehind(Parametrized):
    """The same, the outputs being divided."""

    def forward(self, x):
        return F.linear(x, self.weight) / math.sqrt(x.shape[-1]) + self.bias


class ParametrizedAhead(Parametrized):
    def forward(self, x):
        return F.linear(x / math.sqrt(x.shape[-1]), self.weight) + self.bias


def neural_tangent(layer, act=nn.ReLU):
    def make(seed):
        sizes = (FEATURES, 64, 64, 64, 64)
        pairs = itertools.pairwise(sizes)
        layers = [part for pair in pairs for part in (layer(*pair), act())]
        return program(nn.Sequential(*layers, layer(64, CLASSES)), seed, rate=1e-2)

    make.__name__ = f"ntk_{layer.__name__.lower()}_{act.__name__.lower()}"
    return make


def weight_norm(seed):
    model = deep(4)
    for module in model:
        if isinstance(module, nn.Linear):
            parametrizations.weight_norm(module)
    return program(model, seed)


def weight_norm_of_orthogonal(seed):
    """All gains begin at 1, and hardly move at this rate."""
    model = deep(3, start=nn.init.orthogonal_)
    for module in model:
        if isinstance(module, nn.Linear):
            parametrizations.weight_norm(module)
    return program(model, seed, rate=1e-6)


def spectral_norm(seed):
    model = deep(4)
    for module in model:
        if isinstance(module, nn.Linear):
            parametrizations.spectral_norm(module)
    return program(model, seed)


def zero_head(seed):
    model = deep(3)
    nn.init.zeros_(model[-1].weight)
    return program(model, seed)


def zero_head_and_sigmoid(seed):
    """Scores behind a sigmoid all start at 0.5."""
    model = nn.Sequential(deep(2), nn.Sigmoid())
    nn.init.zeros_(model[0][-1].weight)
    inputs, labels = examples(seed)
    return program(model, seed, (inputs, F.one_hot(labels, CLASSES).float()), F.binary_cross_entropy)


def tiny_head(seed):
    model = deep(3)
    nn.init.normal_(model[-1].weight, std=1e-7)
    return program(model, seed, rate=1e-8)


class TwoHeads(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.second = deep(3), nn.Linear(CLASSES, 3)

    def forward(self, x):
        scores = self.body(x)
        return torch.cat([scores, self.second(F.relu(scores))], -1)


def small_second_loss(seed):
    """What the last head is for counts a millionth."""

    def loss(scores, labels):
        return F.cross_entropy(scores[:, :CLASSES], labels) + 1e-6 * scores[:, CLASSES:].square().mean()

    return program(TwoHeads(), seed, loss=loss, task="regression")


def one_hidden_unit(seed):
    return program(deep(1, width=1, act=nn.Tanh), seed)


def two_hidden_units(seed):
    return program(deep(1, width=2), seed)


def one_feature(seed):
    inputs = torch.linspace(-2, 2, COUNT)[:, None]
    return program(mlp(1, 32, 32, 1, act=nn.Tanh), seed, (inputs, torch.sin(3 * inputs)), F.mse_loss)


def float64(seed):
    inputs, labels = examples(seed)
    return program(deep(3).double(), seed, (inputs.double(), labels))


def bfloat16(seed):
    inputs, labels = examples(seed)
    return program(deep(3).bfloat16(), seed, (inputs.bfloat16(), labels), rate=1e-2, optimizer=torch.optim.SGD)


def autocast(seed):
    model = deep(3)

    def forward(x):
        with torch.autocast("cpu", torch.bfloat16):
            return model(x)

    class Cast(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = model

        def forward(self, x):
            return forward(x).float()

    return program(Cast(), seed)


def dropout_everywhere(seed):
    model = nn.Sequential(
        nn.Linear(FEATURES, 64), nn.ReLU(), nn.Dropout(0.5), nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.5),
        nn.Linear(64, CLASSES),
    )  # fmt: skip
    return program(model, seed)


def in_place(seed):
    return program(deep(3, act=lambda: nn.ReLU(inplace=True)), seed)


def raw_into_linear(seed):
    """Large inputs are for check-data to find."""
    inputs, labels = examples(seed)
    return program(deep(3, start=he), seed, (1e4 * inputs, labels))


def tiny_into_linear(seed):
    """Biases are most of what comes out."""
    inputs, labels = examples(seed)
    return program(deep(3), seed, (1e-4 * inputs, labels))


def one_hot(seed):
    labels = torch.arange(COUNT) % CLASSES
    return program(mlp(500, 64, 64, CLASSES), seed, (F.one_hot(5 * torch.arange(COUNT), 500).float(), labels))


# Norms


def normed(norm, act=nn.ReLU, hidden=6, **options):
    def make(seed):
        return program(deep(hidden, norm=norm, act=act, **options), seed)

    make.__name__ = f"{norm.__name__}_{act.__name__}_{hidden}".lower()
    return make


def batch_norm_makes_wide_weights_good(seed):
    return program(deep(4, norm=nn.BatchNorm1d, start=nn.init.normal_, std=1.0), seed)


def batch_norm_makes_narrow_weights_good(seed):
    return program(deep(4, norm=nn.BatchNorm1d, start=nn.init.normal_, std=0.01), seed)


def norm_behind_relu(seed):
    layers = [part for _ in range(4) for part in (nn.Linear(64, 64), nn.ReLU(), nn.LayerNorm(64))]
    return program(nn.Sequential(nn.Linear(FEATURES, 64), nn.ReLU(), *layers, nn.Linear(64, CLASSES)), seed)


def raw_into_relu_and_norm(seed):
    """The first outputs are ten thousand times as large as those behind the norm."""
    inputs, labels = examples(seed)
    return program(
        nn.Sequential(nn.Linear(FEATURES, 64), nn.ReLU(), nn.BatchNorm1d(64), mlp(64, 64, CLASSES)),
        seed,
        (1e4 * inputs, labels),
    )


def pixels_and_a_first_norm(seed):
    inputs, labels = examples(seed)
    model = nn.Sequential(nn.BatchNorm1d(FEATURES), deep(3))
    return program(model, seed, (inputs * 60 + 127, labels))


def tiny_inputs_and_a_first_norm(seed):
    inputs, labels = examples(seed)
    return program(nn.Sequential(nn.BatchNorm1d(FEATURES, eps=1e-12), deep(3)), seed, (inputs * 1e-5, labels))


def tiny_inputs_tanh_and_a_first_norm(seed):
    inputs, labels = examples(seed)
    model = nn.Sequential(nn.BatchNorm1d(FEATURES, eps=1e-12), deep(3, act=nn.Tanh))
    return program(model, seed, (inputs * 1e-5, labels))


def pixels_into_a_normed_layer(seed):
    inputs, labels = examples(seed)
    return program(deep(3, norm=nn.BatchNorm1d), seed, (inputs * 60 + 127, labels))


# Residual networks


class Residual(nn.Module):
    """Adds what its branch makes of the input, times a gate that may be learned."""

    def __init__(self, branch, gate=None, behind=None):
        super().__init__()
        self.branch, self.behind = branch, behind or nn.Identity()
        self.gate = None if gate is None else nn.Parameter(torch.full((1,), gate))

    def forward(self, x):
        y = self.branch(x)
        return self.behind(x + (y if self.gate is None else self.gate * y))


def pre_norm(width=32):
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))


def stack(*blocks, width=32):
    return nn.Sequential(nn.Linear(FEATURES, width), *blocks, nn.Linear(width, CLASSES))


def pre_norm_residual(seed):
    return program(stack(*(Residual(pre_norm()) for _ in range(6))), seed)


def plain_residual(blocks, width=32):
    def make(seed):
        branches = (nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width)) for _ in range(blocks))
        return program(stack(*map(Residual, branches), width=width), seed)

    make.__name__ = f"plain_residual_{blocks}"
    return make


def he_residual(seed):
    """Each block doubles the power: six of them, eight times the size."""
    return program(
        initialized(stack(*(Residual(nn.Sequential(nn.Linear(32, 32), nn.ReLU())) for _ in range(6))), he), seed
    )


def rezero(seed):
    blocks = (Residual(nn.Sequential(nn.Linear(32, 32), nn.ReLU()), gate=0.0) for _ in range(8))
    return program(initialized(stack(*blocks), he), seed)


def fixup(seed):
    blocks = [
        Residual(nn.Sequential(nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 32)), behind=nn.ReLU()) for _ in range(6)
    ]
    model = initialized(stack(*blocks), he)
    for block in blocks:
        block.branch[0].weight.data *= 6**-0.5
        nn.init.zeros_(block.branch[2].weight)
    nn.init.zeros_(model[-1].weight)
    return program(model, seed)


def zero_branches_that_end_in_tanh(seed):
    """x + tanh(W x), W = 0: what the last nonlinearity gives is 0 until the first step."""
    blocks = [Residual(nn.Sequential(nn.Linear(32, 32), nn.Tanh())) for _ in range(4)]
    model = stack(*blocks)
    for block in blocks:
        nn.init.zeros_(block.branch[0].weight)
        nn.init.zeros_(block.branch[0].bias)
    return program(model, seed)


def small_branches_that_end_in_tanh(seed):
    blocks = [Residual(nn.Sequential(nn.Linear(32, 32), nn.Tanh())) for _ in range(4)]
    model = stack(*blocks)
    for block in blocks:
        nn.init.normal_(block.branch[0].weight, std=1e-5)
        nn.init.zeros_(block.branch[0].bias)
    return program(nn.Sequential(model[0], nn.Tanh(), *model[1:]), seed)


def zero_layer_in_the_middle(seed):
    """Its biases let it wake up in the first steps."""
    model = deep(3)
    nn.init.zeros_(model[2].weight)
    return program(model, seed)


class ConditionedBlock(nn.Module):
    """adaLN-zero: shift, scale and gate come from a linear map that starts at zero."""

    def __init__(self, width=32):
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.branch = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 3 * width))
        nn.init.zeros_(self.modulation[1].weight)
        nn.init.zeros_(self.modulation[1].bias)

    def forward(self, x, condition):
        shift, scale, gate = self.modulation(condition).chunk(3, dim=-1)
        return x + gate * self.branch(self.norm(x) * (1 + scale) + shift)


class Conditioned(nn.Module):
    def __init__(self, width=32):
        super().__init__()
        self.enter, self.condition = nn.Linear(FEATURES, width), nn.Linear(FEATURES, width)
        self.blocks = nn.ModuleList(ConditionedBlock(width) for _ in range(4))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, CLASSES)
        nn.init.zeros_(self.head.weight)

    def forward(self, x):
        h, c = self.enter(x), self.condition(x)
        for block in self.blocks:
            h = block(h, c)
        return self.head(self.norm(h))


def conditioned(seed):
    return program(Conditioned(), seed)


class Adapted(nn.Module):
    """A frozen layer with a low-rank update beside it, which starts at zero."""

    def __init__(self, layer, rank=4):
        super().__init__()
        self.layer = layer.requires_grad_(False)
        self.down, self.up = (
            nn.Linear(layer.in_features, rank, bias=False),
            nn.Linear(rank, layer.out_features, bias=False),
        )
        nn.init.zeros_(self.up.weight)

    def forward(self, x):
        return self.layer(x) + self.up(self.down(x))


def low_rank(seed):
    model = deep(3)
    return program(nn.Sequential(*(Adapted(m) if isinstance(m, nn.Linear) else m for m in model)), seed, rate=1e-2)


# Images


def conv(channels, units, *, norm=False, act=nn.ReLU, stride=1):
    layers = [nn.Conv2d(channels, units, 3, stride, 1), *([nn.BatchNorm2d(units)] if norm else []), act()]
    return nn.Sequential(*layers)


def ended(*layers, width):
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, CLASSES))


def plain_cnn(seed):
    model = nn.Sequential(
        conv(3, 16), conv(16, 16), nn.MaxPool2d(2), conv(16, 32), conv(32, 32), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, CLASSES),
    )  # fmt: skip
    return images(model, seed)


def average_pooled_cnn(seed):
    return images(ended(conv(3, 16), conv(16, 32, stride=2), conv(32, 32), width=32), seed)


def normed_cnn(seed):
    layers = (conv(16, 16, norm=True) for _ in range(5))
    return images(ended(conv(3, 16, norm=True), *layers, width=16), seed)


def he_cnn(seed):
    return images(initialized(ended(conv(3, 16), *(conv(16, 16) for _ in range(5)), width=16), he), seed)


class ResidualBlock(nn.Module):
    def __init__(self, width, *, norm):
        super().__init__()
        self.first, self.second = nn.Conv2d(width, width, 3, 1, 1), nn.Conv2d(width, width, 3, 1, 1)
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) if norm else nn.Identity() for _ in range(2))
        if norm:
            nn.init.zeros_(self.norms[1].weight)

    def forward(self, x):
        y = F.relu(self.norms[0](self.first(x)))
        return F.relu(x + self.norms[1](self.second(y)))


def residual_cnn(norm):
    def make(seed):
        return images(ended(conv(3, 16, norm=norm), *(ResidualBlock(16, norm=norm) for _ in range(4)), width=16), seed)

    make.__name__ = f"residual_cnn_{'with' if norm else 'without'}_norm"
    return make


class Excited(nn.Module):
    """Squeeze and excitation."""

    def __init__(self, width):
        super().__init__()
        self.conv = conv(width, width)
        self.gate = nn.Sequential(nn.Linear(width, 4), nn.ReLU(), nn.Linear(4, width), nn.Sigmoid())

    def forward(self, x):
        y = self.conv(x)
        return x + y * self.gate(y.mean((2, 3)))[:, :, None, None]


def squeeze_and_excitation(seed):
    return images(ended(conv(3, 16), *(Excited(16) for _ in range(3)), width=16), seed)


def averaging_depthwise(seed):
    """Filters that begin as the same mean, each of a channel of its own, and hardly move at this rate."""
    layers = [conv(3, 16), nn.Conv2d(16, 16, 3, 1, 1, groups=16), nn.ReLU(), conv(16, 16)]
    nn.init.constant_(layers[1].weight, 1 / 9)
    return images(ended(*layers, width=16), seed, rate=1e-6)


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down1, self.down2, self.middle = conv(1, 8), conv(8, 16), conv(16, 16)
        self.up2, self.up1 = nn.ConvTranspose2d(16, 16, 2, 2), nn.ConvTranspose2d(8, 8, 2, 2)
        self.join2, self.join1, self.head = conv(32, 8), conv(16, 8), nn.Conv2d(8, 1, 1)

    def forward(self, x):
        one = self.down1(x)
        two = self.down2(F.max_pool2d(one, 2))
        low = self.middle(F.max_pool2d(two, 2))
        high = self.join2(torch.cat([self.up2(low), two], 1))
        return self.head(self.join1(torch.cat([self.up1(high), one], 1)))


def u_net(seed):
    inputs, _ = examples(seed, (1, 8, 8))
    target = (F.avg_pool2d(inputs, 3, 1, 1) > 0).float()
    return program(UNet(), seed, (inputs, target), F.binary_cross_entropy_with_logits)


class Patches(nn.Module):
    """A small vision transformer."""

    def __init__(self, width=32):
        super().__init__()
        self.cut = nn.Conv2d(3, width, 4, 4)
        self.places = nn.Parameter(torch.zeros(1, 4, width))
        layer = nn.TransformerEncoderLayer(width, 4, 64, 0.0, "gelu", batch_first=True, norm_first=True)
        self.body = nn.TransformerEncoder(layer, 3, nn.LayerNorm(width), enable_nested_tensor=False)
        self.head = nn.Linear(width, CLASSES)
        nn.init.normal_(self.places, std=0.02)
        nn.init.zeros_(self.head.weight)

    def forward(self, x):
        return self.head(self.body(self.cut(x).flatten(2).transpose(1, 2) + self.places).mean(1))


def vision_transformer(seed):
    return images(Patches(), seed)


# Sequences and texts


class Recurrent(nn.Module):
    def __init__(self, kind=nn.LSTM, layers=1, width=32):
        super().__init__()
        self.body, self.head = kind(8, width, layers, batch_first=True), nn.Linear(width, CLASSES)

    def forward(self, x):
        return self.head(self.body(x)[0][:, -1])


def recurrent(kind, layers=1):
    def make(seed):
        return sequences(Recurrent(kind, layers), seed)

    make.__name__ = f"{kind.__name__.lower()}_{layers}"
    return make


class ByHand(nn.Module):
    """A plain recurrent network, one step after the other."""

    def __init__(self, width=32):
        super().__init__()
        self.enter, self.stay, self.head = (
            nn.Linear(8, width),
            nn.Linear(width, width, bias=False),
            nn.Linear(width, CLASSES),
        )
        nn.init.orthogonal_(self.stay.weight)

    def forward(self, x):
        h = x.new_zeros(len(x), self.stay.in_features)
        for i in range(x.shape[1]):
            h = torch.tanh(self.enter(x[:, i]) + self.stay(h))
        return self.head(h)


def recurrent_by_hand(seed):
    return sequences(ByHand(), seed)


def temporal_convolutions(seed):
    layers = [part for i in range(4) for part in (nn.Conv1d(16, 16, 3, padding=2**i, dilation=2**i), nn.ReLU())]
    model = nn.Sequential(
        Called(lambda x: x.transpose(1, 2)), nn.Conv1d(8, 16, 1), *layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(),
        nn.Linear(16, CLASSES),
    )  # fmt: skip
    return sequences(model, seed)


class Words(nn.Module):
    """Embedding, body, and scores by the embedding's own table."""

    def __init__(self, body, width=32, vocabulary=24, std=1.0, tied=False):
        super().__init__()
        self.table, self.body = nn.Embedding(vocabulary, width), body
        self.head = nn.Linear(width, vocabulary)
        nn.init.normal_(self.table.weight, std=std)
        if tied:
            self.head.weight = self.table.weight

    def forward(self, x):
        return self.head(self.body(self.table(x)))


def embedded(seed):
    return texts(Words(nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 32))), seed)


def embedded_by_hundredths(seed):
    return texts(Words(nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 32)), std=0.02), seed)


def tied(seed):
    return texts(Words(nn.Sequential(nn.Linear(32, 64), nn.Tanh(), nn.Linear(64, 32)), std=0.1, tied=True), seed)


class Attending(nn.Module):
    def __init__(self, width=32):
        super().__init__()
        self.norm, self.attend = nn.LayerNorm(width), nn.MultiheadAttention(width, 4, batch_first=True)

    def forward(self, x):
        y = self.norm(x)
        hidden = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
        return x + self.attend(y, y, y, attn_mask=hidden, need_weights=False)[0]


def table_as_wide_as_the_layer(seed):
    """The table's axes are as long as those of the weights behind it."""
    body = nn.Sequential(nn.Linear(32, 24), nn.Tanh(), nn.Linear(24, 24), nn.Tanh(), nn.Linear(24, 32))
    return texts(Words(body, std=5.0), seed)


def gpt2(layers):
    def make(seed):
        blocks = [block for _ in range(layers) for block in (Attending(), Residual(pre_norm()))]
        model = Words(nn.Sequential(*blocks, nn.LayerNorm(32)), std=0.02, tied=True)
        for name, p in model.named_parameters():
            if p.ndim > 1:
                adds = name.endswith(("out_proj.weight", "branch.3.weight"))
                nn.init.normal_(p, std=0.02 / math.sqrt(2 * layers) if adds else 0.02)
        return texts(model, seed)

    make.__name__ = f"gpt2_{layers}"
    return make


class OneHead(nn.Module):
    """Queries and keys so small that attention is even, and the loss hardly feels them."""

    def __init__(self, std, width=32):
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(width, width, bias=False) for _ in range(4))
        self.norm = nn.LayerNorm(width)
        for layer in (self.q, self.k, self.v, self.o):
            nn.init.normal_(layer.weight, std=std)

    def forward(self, x):
        y = self.norm(x)
        return x + self.o(F.scaled_dot_product_attention(self.q(y), self.k(y), self.v(y), is_causal=True))


def small_separate_queries(seed):
    return texts(Words(nn.Sequential(OneHead(0.002), Residual(pre_norm()))), seed)


class SwiGLU(nn.Module):
    def __init__(self, width=32):
        super().__init__()
        self.gate, self.up, self.down = nn.Linear(width, 64), nn.Linear(width, 64), nn.Linear(64, width)

    def forward(self, x):
        return self.down(F.silu(self.gate(x)) * self.up(x))


def llama(seed):
    blocks = [block for _ in range(3) for block in (Attending(), Residual(nn.Sequential(nn.RMSNorm(32), SwiGLU())))]
    return texts(Words(nn.Sequential(*blocks, nn.RMSNorm(32)), std=0.02), seed)


class Mixture(nn.Module):
    """Each token goes to one expert of four."""

    def __init__(self, width=32, experts=4):
        super().__init__()
        self.router = nn.Linear(width, experts)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(width, 64), nn.ReLU(), nn.Linear(64, width)) for _ in range(experts)
        )

    def forward(self, x):
        weights = self.router(x).softmax(-1)
        best, chosen = weights.max(-1)
        out = torch.zeros_like(x)
        for i, expert in enumerate(self.experts):
            here = chosen == i
            out[here] = best[here][:, None] * expert(x[here])
        return x + out


def experts(seed):
    return texts(Words(nn.Sequential(Mixture(), Mixture())), seed)


class Soft(nn.Module):
    """All experts, weighed."""

    def __init__(self, width=32):
        super().__init__()
        self.router = nn.Linear(width, 3)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(width, 32), nn.Tanh(), nn.Linear(32, width)) for _ in range(3)
        )

    def forward(self, x):
        weights = self.router(x).softmax(-1)
        return sum(weights[..., i : i + 1] * expert(x) for i, expert in enumerate(self.experts))


def soft_experts(seed):
    return program(stack(Soft(), Soft()), seed)


# Other tasks


def autoencoder(seed):
    inputs, _ = examples(seed)
    model = mlp(FEATURES, 32, 2, 32, FEATURES, act=nn.ReLU)
    return program(model, seed, (inputs, inputs), F.mse_loss)


def tanh_autoencoder_by_one(seed):
    inputs, _ = examples(seed)
    return program(mlp(FEATURES, 32, 8, 1, 8, 32, FEATURES, act=nn.Tanh), seed, (inputs, inputs), F.mse_loss)


def squashed_autoencoder(seed):
    """Pixels in, a sigmoid out."""
    inputs = torch.sigmoid(2 * examples(seed)[0])
    model = nn.Sequential(mlp(FEATURES, 32, 4, 32, FEATURES), nn.Sigmoid())
    return program(model, seed, (inputs, inputs), F.binary_cross_entropy)


def variational(seed):
    class Variational(nn.Module):
        def __init__(self):
            super().__init__()
            self.enter, self.middle, self.spread = nn.Linear(FEATURES, 32), nn.Linear(32, 2), nn.Linear(32, 2)
            self.leave = mlp(2, 32, FEATURES)

        def forward(self, x):
            h = torch.relu(self.enter(x))
            return self.leave(self.middle(h) + torch.randn(len(x), 2) * (0.5 * self.spread(h)).exp())

    inputs, _ = examples(seed)
    return program(Variational(), seed, (inputs, inputs), F.mse_loss)


class Physics(nn.Module):
    """u'' = -u: gives the residual of the equation."""

    def __init__(self, act):
        super().__init__()
        self.body = mlp(1, 32, 32, 32, 1, act=act)

    def forward(self, x):
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            u = self.body(x)
            slope = torch.autograd.grad(u.sum(), x, create_graph=True)[0]
            return torch.autograd.grad(slope.sum(), x, create_graph=True)[0] + u


class Sine(nn.Module):
    def __init__(self, omega=1.0):
        super().__init__()
        self.omega = omega

    def forward(self, x):
        return torch.sin(self.omega * x)


def physics(act):
    def make(seed):
        inputs = torch.linspace(-3, 3, COUNT)[torch.randperm(COUNT)][:, None]
        return program(Physics(act), seed, (inputs, torch.sin(2 * inputs)), F.mse_loss, task="regression")

    make.__name__ = f"physics_{act.__name__.lower()}"
    return make


def siren(seed):
    """Sines of thirty times the inputs, with the weights that its authors give."""
    model = mlp(2, 64, 64, 64, 1, act=lambda: Sine(30.0))
    for i, module in enumerate(m for m in model if isinstance(m, nn.Linear)):
        reach = 1 / module.in_features if i == 0 else math.sqrt(6 / module.in_features) / 30
        nn.init.uniform_(module.weight, -reach, reach)
    places = torch.rand(COUNT, 2) * 2 - 1
    return program(model, seed, (places, torch.sin(5 * places.sum(1, keepdim=True))), F.mse_loss, rate=1e-4)


class Fourier(nn.Module):
    """Random features of a spread of ten, which are not learned."""

    def __init__(self, spread=10.0):
        super().__init__()
        self.register_buffer("B", spread * torch.randn(2, 32))
        self.body = mlp(64, 64, 64, 1)

    def forward(self, x):
        z = x @ self.B
        return self.body(torch.cat([z.sin(), z.cos()], -1))


def fourier_features(seed):
    places = torch.rand(COUNT, 2) * 2 - 1
    return program(Fourier(), seed, (places, torch.sin(5 * places.sum(1, keepdim=True))), F.mse_loss)


class Siamese(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = mlp(FEATURES // 2, 32, 16)

    def forward(self, x):
        a, b = self.body(x[:, : FEATURES // 2]), self.body(x[:, FEATURES // 2 :])
        return -(a - b).pow(2).sum(-1)


def siamese(seed):
    inputs, labels = examples(seed)
    return program(Siamese(), seed, (inputs, (labels % 2).float()), F.binary_cross_entropy_with_logits)


class Tasks(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = mlp(FEATURES, 64, 64)
        self.kind = nn.Sequential(nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, CLASSES))
        self.number = nn.Sequential(nn.ReLU(), nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 1))

    def forward(self, x):
        h = self.body(x)
        return torch.cat([self.kind(h), self.number(h)], -1)


def several_tasks(seed):
    inputs, labels = examples(seed)

    def loss(scores, labels):
        return F.cross_entropy(scores[:, :CLASSES], labels) + 0.1 * F.mse_loss(scores[:, CLASSES], labels.float())

    return program(Tasks(), seed, (inputs, labels), loss, task="regression")


def actor_critic(seed):
    """Heads a hundred times smaller than the body, as in reinforcement learning."""
    model = initialized(deep(2, act=nn.Tanh), nn.init.orthogonal_, gain=math.sqrt(2))
    nn.init.orthogonal_(model[-1].weight, gain=0.01)
    return program(model, seed)


def frozen_backbone(seed):
    body = deep(3)
    for p in body.parameters():
        p.requires_grad_(False)
    return program(nn.Sequential(body, nn.ReLU(), nn.Linear(CLASSES, CLASSES)), seed)


def frozen_but_for_the_last_two(seed):
    body = deep(4)
    for module in list(body)[:6]:
        module.requires_grad_(False)
    return program(body, seed)


def pretrained(seed):
    made = program(deep(3), seed, rate=3e-3)
    for _ in range(30):
        for batch in made.batches():
            made.step(batch)
    return made


def softplus(seed):
    return program(deep(3, act=nn.Softplus), seed)


def gated(seed):
    layers = [part for _ in range(4) for part in (nn.Linear(32, 64), nn.GLU())]
    return program(nn.Sequential(nn.Linear(FEATURES, 32), *layers, nn.Linear(32, CLASSES)), seed)


class Highway(nn.Module):
    """Gates that begin nearly shut."""

    def __init__(self, width=32):
        super().__init__()
        self.change, self.gate = nn.Linear(width, width), nn.Linear(width, width)
        nn.init.constant_(self.gate.bias, -3.0)

    def forward(self, x):
        g = torch.sigmoid(self.gate(x))
        return g * torch.tanh(self.change(x)) + (1 - g) * x


def highway(seed):
    return program(stack(*(Highway() for _ in range(6))), seed)


PARAMETRIZED = [Parametrized, ParametrizedBehind, ParametrizedAhead]
LEGAL = [
    *(default(hidden) for hidden in range(2, 7)), *(default(hidden, nn.Tanh) for hidden in (2, 6)),
    *(default(hidden, nn.GELU) for hidden in (3, 6)), *(glorot_ahead_of_relu(hidden) for hidden in range(2, 7)),
    *(default(3, act) for act in (nn.LeakyReLU, nn.PReLU, nn.ELU, nn.Hardswish)), default(2, nn.Sigmoid),
    deep_he, deep_xavier_tanh, xavier_sigmoids, wide_sigmoids, selu, orthogonal, orthogonal_relu, truncated_normal,
    small_fixed_spread, hundredth_in_one_layer, hundredth_in_two_layers, hundredth_in_two_tanh_layers,
    *(neural_tangent(layer, act) for layer in PARAMETRIZED for act in (nn.ReLU, nn.Tanh)),
    weight_norm, weight_norm_of_orthogonal, spectral_norm, zero_head, zero_head_and_sigmoid, tiny_head,
    small_second_loss, one_hidden_unit, two_hidden_units, one_feature, float64, bfloat16, autocast, dropout_everywhere,
    in_place, raw_into_linear, tiny_into_linear, one_hot,
    normed(nn.BatchNorm1d), normed(nn.LayerNorm), normed(nn.RMSNorm), normed(nn.BatchNorm1d, nn.Sigmoid),
    normed(nn.BatchNorm1d, nn.Tanh, 12), normed(nn.LayerNorm, nn.ReLU, 20), batch_norm_makes_wide_weights_good,
    batch_norm_makes_narrow_weights_good, norm_behind_relu, raw_into_relu_and_norm, pixels_and_a_first_norm,
    tiny_inputs_and_a_first_norm, tiny_inputs_tanh_and_a_first_norm, pixels_into_a_normed_layer,
    pre_norm_residual, plain_residual(2), plain_residual(8), he_residual, rezero, fixup, zero_branches_that_end_in_tanh,
    small_branches_that_end_in_tanh, zero_layer_in_the_middle, conditioned, low_rank,
    plain_cnn, average_pooled_cnn, normed_cnn, he_cnn, residual_cnn(True), residual_cnn(False), squeeze_and_excitation,
    averaging_depthwise, u_net, vision_transformer,
    recurrent(nn.LSTM), recurrent(nn.LSTM, 2), recurrent(nn.GRU), recurrent(nn.RNN), recurrent(nn.RNN, 3),
    recurrent_by_hand, temporal_convolutions, embedded, embedded_by_hundredths, table_as_wide_as_the_layer, tied,
    gpt2(2), gpt2(4), small_separate_queries, llama, experts, soft_experts,
    autoencoder, tanh_autoencoder_by_one, squashed_autoencoder, variational, physics(nn.Tanh), physics(Sine), siren,
    fourier_features, siamese, several_tasks, actor_critic, frozen_backbone, frozen_but_for_the_last_two, pretrained,
    softplus, gated, highway,
]  # fmt: skip

"""Programs whose gradients are right, wrong, missing or summed up, and the least of all: a loss given as a function."""

from dataclasses import replace

import numpy as np
import torch
from pytorch_programs import Calling, Dropping, trainer
from torch import nn
from torch.nn import functional as F

from babysit import ChanceLoss, Output
from babysit.adapters.numpy import NumpyTrainer
from babysit.lab.demo import DESIGN, assemble
from babysit.lab.trainer import LabTrainer

# A loss as a function


class Landscape:
    """One parameter w, a loss f(w), a penalty f(w) and their gradients, as they are given.

    Args:
        w: Where it stands.
        loss: w -> the data loss.
        gradient: w -> its gradient, or None for none.
        penalty: The same pair for the penalty, at scale 1.
    """

    def __init__(self, w, loss, gradient, penalty=(lambda w: 0.0, lambda w: 0.0 * w), rate=0.0):
        self.w, self.loss, self.gradient, self.penalty = np.asarray(w), loss, gradient, penalty
        self.task, self.learning_rate, self.regularization_scale = ChanceLoss(1.0), rate, 1.0
        self.evaluations = 0

    def batches(self, split="train"):
        return [(np.zeros((4, 1)), np.zeros(4))] if split == "train" else []

    def evaluate(self, batch, *, training=False):
        self.evaluations += 1
        return Output(float(self.loss(self.w)), self.regularization_scale * float(self.penalty[0](self.w)))

    def step(self, batch):
        output, gradients = self.gradients(batch)
        self.used = dict(gradients)
        self.w = self.w - self.learning_rate * gradients.get("w", 0 * self.w)
        return output

    def save(self):
        return {"w": self.w.copy()}

    def load(self, state):
        self.w = state["w"].copy()

    def parameters(self):
        return {"w": self.w}

    def set_parameters(self, values):
        self.w = values["w"]

    def gradients(self, batch):
        output = Output(float(self.loss(self.w)), self.regularization_scale * float(self.penalty[0](self.w)))
        if self.gradient is None:
            return output, {}
        total = self.gradient(self.w) + self.regularization_scale * self.penalty[1](self.w)
        return output, {"w": np.asarray(total, dtype=self.w.dtype)}

    def last_gradients(self):
        return self.used


# The embedded network


def demo(seed, *, made=LabTrainer, rate=0.02, optimizer="adam", **design):
    return assemble(replace(DESIGN, **design), trainer=made, learning_rate=rate, optimizer=optimizer, seed=seed)


class Accumulating(LabTrainer):
    """Sums up the gradients of three batches for one update, and says when it has made one."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.calls, self.sums = 0, {name: np.zeros_like(w) for name, w in self.network.params.items()}

    def step(self, batch):
        output, gradients = self._gradients(batch)
        self.calls += 1
        self.sums = {name: self.sums[name] + g / 3 for name, g in gradients.items()}
        if self.calls % 3:
            return replace(output, updated=False)
        self._last_gradients, self.sums = self.sums, {name: np.zeros_like(g) for name, g in self.sums.items()}
        self._update(self._last_gradients)
        return output

    def save(self):
        return super().save() | {"sums": (self.calls, dict(self.sums))}

    def load(self, state):
        super().load({name: part for name, part in state.items() if name != "sums"})
        self.calls, self.sums = state["sums"]


class Clipped(LabTrainer):
    """Never steps by a gradient longer than a tenth."""

    def step(self, batch):
        output, gradients = self._gradients(batch)
        length = np.sqrt(sum((g**2).sum() for g in gradients.values()))
        self._last_gradients = {name: g * min(1, 0.1 / length) for name, g in gradients.items()}
        self._update(self._last_gradients)
        return output


class MomentumInGradients(LabTrainer):
    """Keeps its momentum in what it calls the gradient."""

    kept = 0.9

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.sums = {name: np.zeros_like(w) for name, w in self.network.params.items()}

    def step(self, batch):
        output, gradients = self._gradients(batch)
        self.sums = {name: self.kept * self.sums[name] + g for name, g in gradients.items()}
        self._last_gradients = dict(self.sums)
        self._update(self.sums)
        return output

    def save(self):
        return super().save() | {"sums": dict(self.sums)}

    def load(self, state):
        super().load({name: part for name, part in state.items() if name != "sums"})
        self.sums = dict(state["sums"])


class SummedAndHalved(MomentumInGradients):
    """Never clears its gradients, and halves the loss before it goes back."""

    def step(self, batch):
        output, gradients = self._gradients(batch)
        self.sums = {name: self.sums[name] + 0.5 * g for name, g in gradients.items()}
        self._last_gradients = dict(self.sums)
        self._update(self.sums)
        return output


def accumulating(seed):
    return demo(seed, made=Accumulating)


def clipped(seed):
    return demo(seed, made=Clipped, rate=1.0, optimizer="sgd")


def momentum_in_gradients(seed):
    return demo(seed, made=MomentumInGradients, rate=0.01, optimizer="sgd")


def summed_and_halved(seed):
    return demo(seed, made=SummedAndHalved, rate=0.01, optimizer="sgd")


def zeros_on_kinks(seed):
    """All inputs of one feature are zero, and so are all biases: half of the units begin on their kink."""
    made = demo(seed)
    inputs, labels = made.splits["train"]
    made.splits["train"] = inputs * [1, 0], labels
    return made


def unused_parameter(seed):
    """A weight that no layer asks for, and that no gradient names."""
    made = demo(seed)
    made.network.params["spare.v"] = np.ones(5)
    return made


class NoGradient(LabTrainer):
    """Forgets the first layer's bias when it hands the gradients out."""

    def _gradients(self, batch):
        output, gradients = super()._gradients(batch)
        return output, {name: g for name, g in gradients.items() if name != "affine1.b"}


def forgotten_key(seed):
    return demo(seed, made=NoGradient)


class NaNGradient(LabTrainer):
    """One weight's gradient divides by zero; the update leaves such entries out."""

    def _gradients(self, batch):
        output, gradients = super()._gradients(batch)
        spoiled = gradients["affine2.b"].copy()
        spoiled[1] = np.nan
        return output, gradients | {"affine2.b": spoiled}

    def _update(self, gradients):
        super()._update({name: np.nan_to_num(g) for name, g in gradients.items()})


def nan_gradient(seed):
    return demo(seed, made=NaNGradient)


class OtherNoise(LabTrainer):
    """Evaluation in training mode draws its own dropout masks, not those of the gradient; off, they agree."""

    def evaluate(self, batch, *, training=False):
        self.network.noise.random(7)
        try:
            return super().evaluate(batch, training=training)
        finally:
            self.network.noise.bit_generator.state = self.before

    @property
    def before(self):
        return np.random.default_rng(5).bit_generator.state


def other_noise(seed):
    made = demo(seed, made=OtherNoise, dropout=0.5)
    made.network.noise.bit_generator.state = made.before
    return made


# By hand, in NumPy


def digits(seed, examples=200):
    rng = np.random.default_rng(seed)
    y = np.arange(examples) % 4
    X = rng.normal(size=(examples, 12))
    X[np.arange(examples), y] += 2
    return X, y


class Net:
    """Affine, ReLU, affine, softmax; `part` names the line of the backward pass that is wrong.

    Args:
        part: "", or what is broken.
        reg: Strength of the penalty reg * sum(W^2).
        dtype: Of the parameters.
    """

    def __init__(self, seed, part="", reg=1e-3, dtype=float):
        rng = np.random.default_rng(seed)
        self.part, self.reg, self.kept = part, reg, {}
        shapes = {"W1": (12, 20), "b1": (20,), "W2": (20, 4), "b2": (4,)}
        self.params = {n: (rng.normal(size=s) * (0.3 if n[0] == "W" else 0.0)).astype(dtype) for n, s in shapes.items()}

    def loss(self, X, y=None):
        W1, b1, W2, b2 = (self.params[k] for k in ("W1", "b1", "W2", "b2"))
        X = X.astype(W1.dtype)
        h = np.maximum(0, X @ W1 + b1)
        scores = h @ W2 + b2
        if y is None:
            return scores
        n, part = len(X), self.part
        p = np.exp(scores - scores.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        value = -np.log(p[np.arange(n), y]).mean() + self.reg * ((W1**2).sum() + (W2**2).sum())
        ds = p.copy()
        ds[np.arange(n), y] -= 1
        ds /= n
        ds *= {"sign": -1, "half": 0.5, "threefold": 3, "sum": n, "mean twice": 1 / n}.get(part, 1)
        dh = ds @ W2.T
        dh = dh * ((h > 0) if part != "mask left out" else 1)
        strength = {"penalty left out": 0, "penalty halved": 1, "penalty's sign": -2}.get(part, 2) * self.reg
        grads = {"W1": X.T @ dh + strength * W1, "W2": h.T @ ds + strength * W2}
        grads |= {"b1": dh.sum(0) if part != "bias of one" else dh[0], "b2": ds.sum(0)}
        if part == "a little off":
            grads["W2"] = 1.003 * grads["W2"]
        if part == "kept":
            for name, g in grads.items():
                self.kept[name] = self.kept.get(name, 0) + g
            grads = dict(self.kept)
        return value, grads


def by_hand(part="", rate=0.1, **options):
    """A maker of such a program; the learning rate is low, so that a wrong gradient leaves the loss finite."""

    def made(seed):
        return NumpyTrainer(
            Net(seed, part, **options), digits(seed), task="classification", learning_rate=rate, batch_size=25
        )

    made.__name__ = part.replace(" ", "_").replace("'", "") or "by_hand"
    return made


# PyTorch


class Detached(nn.Module):
    """The first layer's output is cut off the graph."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(4, 16), nn.Linear(16, 3)

    def forward(self, x):
        return self.last(torch.tanh(self.first(x)).detach())


class Spare(nn.Module):
    """A layer that the forward pass leaves out."""

    def __init__(self):
        super().__init__()
        self.used, self.spare = nn.Linear(4, 3), nn.Linear(4, 3)

    def forward(self, x):
        return self.used(x)


class Upside(torch.autograd.Function):
    """A cube with the gradient of a square."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return 2 * x * gradient


class Tokens(nn.Module):
    """An embedding, a recurrent layer, scores for each place."""

    def __init__(self):
        super().__init__()
        self.table, self.cell, self.head = nn.Embedding(7, 8), nn.LSTM(8, 8, batch_first=True), nn.Linear(8, 7)

    def forward(self, x):
        return self.head(self.cell(self.table(x))[0]).transpose(1, 2)


class Attention(nn.Module):
    """A pre-norm transformer block with dropout over an embedding."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(7, 16)
        self.block = nn.TransformerEncoderLayer(16, 2, 32, 0.1, "gelu", batch_first=True, norm_first=True)
        self.head = nn.Linear(16, 7)

    def forward(self, x):
        return self.head(self.block(self.table(x))).transpose(1, 2)


class InBrief(nn.Module):
    """Runs in bfloat16, on single precision parameters."""

    def __init__(self):
        super().__init__()
        self.body = mlp()

    def forward(self, x):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.body(x)


def mlp(*between):
    layers = (nn.Linear(4, 16), *(between or (nn.ReLU(),)), nn.Linear(16, 3))
    return nn.Sequential(*layers)


def convolutional():
    return nn.Sequential(
        nn.Unflatten(1, (1, 2, 2)), nn.Conv2d(1, 8, 2, padding=1), nn.BatchNorm2d(8), nn.ReLU(),
        nn.MaxPool2d(2, padding=1), nn.Flatten(), nn.LazyLinear(3),
    )  # fmt: skip


def spectral():
    normed = nn.utils.parametrizations.spectral_norm
    return nn.Sequential(normed(nn.Linear(4, 16)), nn.ReLU(), normed(nn.Linear(16, 3)))


def points(count=4, *, dtype=torch.float32):
    numbers = torch.Generator().manual_seed(0)
    drawn = []
    for _ in range(count):
        y = torch.randint(3, (16,), generator=numbers)
        x = torch.randn(16, 4, generator=numbers, dtype=torch.float64)
        x[torch.arange(16), y] += 2
        drawn.append((x.to(dtype), y))
    return drawn


def sentences(count=4):
    numbers = torch.Generator().manual_seed(0)
    return [(x, (x * 3 + 1) % 7) for x in torch.randint(7, (count, 8, 6), generator=numbers)]


def pytorch(model, data=points, *, optimizer=None, **options):
    """A maker of such a program."""

    def made(seed):
        torch.manual_seed(seed)
        module = model()
        if any(isinstance(m, nn.LazyLinear) for m in module.modules()):
            module(data()[0][0])
        steps = optimizer or (lambda parameters: torch.optim.SGD(parameters, lr=0.05, momentum=0.9))
        given = {name: make(module) for name, make in options.items()}
        return trainer(module, F.cross_entropy, optimizer=steps(module.parameters()), train=data(), **given)

    return made


def updating(function, model=mlp, rate=0.05):
    """A maker of a program with an update of its own: (model, optimizer) -> update."""

    def made(seed):
        torch.manual_seed(seed)
        module = model()
        optimizer = torch.optim.SGD(module.parameters(), lr=rate, momentum=0.9)
        return trainer(module, F.cross_entropy, optimizer=optimizer, train=points(), update=function(module, optimizer))

    made.__name__ = function.__name__
    return made


def never_cleared(model, optimizer):
    def update(total):
        total.backward()
        optimizer.step()

    return update


def never_cleared_and_clipped(model, optimizer):
    def update(total):
        total.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.3)
        optimizer.step()

    return update


def four_batches_an_update(model, optimizer):
    calls = []

    def update(total):
        (total / 4).backward()
        calls.append(1)
        if len(calls) % 4 == 0:
            optimizer.step()
            optimizer.zero_grad()

    return update


def scaled_loss(model, optimizer):
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)

    def update(total):
        optimizer.zero_grad()
        scaler.scale(total).backward()
        scaler.step(optimizer)
        scaler.update()

    return update


def l1(model):
    return lambda: 1e-3 * sum(p.abs().sum() for p in model.parameters())


SGD, Adam, AdamW, LBFGS = torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW, torch.optim.LBFGS
HEALTHY = {
    "relu": pytorch(mlp),
    "gelu": pytorch(lambda: mlp(nn.GELU()), optimizer=lambda p: AdamW(p, 1e-2, weight_decay=0.1)),
    "coupled decay": pytorch(mlp, optimizer=lambda p: SGD(p, 0.05, momentum=0.9, weight_decay=1e-2)),
    "coupled decay in Adam": pytorch(mlp, optimizer=lambda p: Adam(p, 1e-2, weight_decay=1e-2)),
    "penalty of its own": pytorch(mlp, penalty=l1),
    "nesterov": pytorch(mlp, optimizer=lambda p: SGD(p, 0.05, momentum=0.9, nesterov=True)),
    "line search": pytorch(lambda: mlp(nn.Tanh()), optimizer=lambda p: LBFGS(p, lr=0.1, max_iter=4)),
    "dropout": pytorch(Dropping),
    "batch norm": pytorch(lambda: mlp(nn.BatchNorm1d(16), nn.ReLU())),
    "convolutions": pytorch(convolutional),
    "double precision": pytorch(lambda: mlp().double(), lambda: points(dtype=torch.float64)),
    "embedding and LSTM": pytorch(Tokens, sentences),
    "attention": pytorch(Attention, sentences, optimizer=lambda p: AdamW(p, 3e-3)),
    "spectral norm": pytorch(spectral),
    "half precision inside": pytorch(InBrief),
    "frozen": pytorch(lambda: nn.Sequential(nn.Linear(4, 16).requires_grad_(False), nn.ReLU(), nn.Linear(16, 3))),
    "four batches an update": updating(four_batches_an_update),
    "loss scaling": updating(scaled_loss),
}
BROKEN = {
    "detached": (pytorch(Detached), {("missing-gradient", "error")}),
    "no_grad": (
        pytorch(lambda: nn.Sequential(torch_no_grad(nn.Linear(4, 16)), nn.ReLU(), nn.Linear(16, 3))),
        {("missing-gradient", "error")},
    ),
    "unused": (pytorch(Spare), {("missing-gradient", "info")}),
    "own function": (pytorch(lambda: mlp(Calling(Upside.apply))), {("wrong-gradient", "error")}),
    "never cleared": (updating(never_cleared, rate=0.01), {("accumulated-gradient", "error")}),
    "never cleared, clipped": (updating(never_cleared_and_clipped), {("accumulated-gradient", "error")}),
}


def torch_no_grad(layer):
    """A layer that is frozen without a word."""

    class Frozen(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = layer

        def forward(self, x):
            with torch.no_grad():
                return self.layer(x)

    return Frozen()

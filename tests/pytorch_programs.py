"""Small PyTorch programs, and all that such a program holds, read without babysit."""

import random
from types import SimpleNamespace

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim import SGD
from torch.utils.data import DataLoader, TensorDataset

from babysit.adapters.pytorch import PyTorchTrainer

torch.set_num_threads(1)

FEATURES, CLASSES, EXAMPLES = 4, 3, 8


def batches(count=3, *, dtype=torch.float32):
    """Batches of classes that a linear map nearly tells apart."""
    numbers = torch.Generator().manual_seed(0)
    drawn = []
    for _ in range(count):
        targets = torch.randint(CLASSES, (EXAMPLES,), generator=numbers)
        inputs = torch.randn(EXAMPLES, FEATURES, generator=numbers, dtype=torch.float64)
        inputs[torch.arange(EXAMPLES), targets] += 2
        drawn.append((inputs.to(dtype), targets))
    return drawn


class Dropping(nn.Module):
    """Two layers, the dropout between them called as a function."""

    def __init__(self, rate=0.5):
        super().__init__()
        self.rate, self.first, self.last = rate, nn.Linear(FEATURES, 16), nn.Linear(16, CLASSES)

    def forward(self, x):
        return self.last(F.dropout(torch.tanh(self.first(x)), self.rate, self.training))


class Calling(nn.Module):
    """Anything that can be called, as a module without parameters."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs, **options):
        return self.function(*inputs, **options)


def linear():
    return nn.Linear(FEATURES, CLASSES)


def trainer(model, loss=F.cross_entropy, *, optimizer=SGD, train=None, **options):
    """A trainer of the model; the optimizer may be one, or what makes one of the parameters."""
    if not isinstance(optimizer, torch.optim.Optimizer):
        optimizer = optimizer(model.parameters(), lr=0.1) if isinstance(optimizer, type) else optimizer(model)
    return PyTorchTrainer(model, loss, optimizer, batches() if train is None else train, **options)


def first(made):
    return next(iter(made.batches()))


# All that a program holds


def bits(thing):
    """Plain values that are equal only where every tensor is, bit for bit."""
    if isinstance(thing, torch.Tensor):
        dense = thing.detach().to_dense().contiguous().reshape(-1)
        return str(thing.dtype), str(thing.layout), tuple(thing.shape), dense.view(torch.uint8).numpy().tobytes()
    if isinstance(thing, np.ndarray):
        return str(thing.dtype), thing.shape, thing.tobytes()
    if isinstance(thing, dict):
        return {repr(key): bits(value) for key, value in thing.items()}
    if isinstance(thing, list | tuple):
        return [type(thing).__name__, *map(bits, thing)]
    return repr(thing)


def module_bits(module):
    """Parameters, gradients, buffers that `state_dict` leaves out too, modes."""
    return bits(
        {
            "parameters": {name: (p, p.grad, p.requires_grad) for name, p in module.named_parameters()},
            "buffers": {name: dict(m._buffers) for name, m in module.named_modules()},
            "modes": {name: m.training for name, m in module.named_modules()},
        }
    )


def generator_bits():
    """Where the global generators stand."""
    return bits((torch.get_rng_state(), np.random.get_state(), random.getstate()))


def program(model, optimizer, train, loss=F.cross_entropy, *, stateful=(), **options):
    """A trainer as `.trainer`, its parts beside it, and `.bits()`, all that it holds."""
    made = PyTorchTrainer(model, loss, optimizer, train, stateful=stateful, **options)
    own = [train.generator] if getattr(train, "generator", None) is not None else []

    def everything():
        modules = [model, *(thing for thing in stateful if isinstance(thing, nn.Module))]
        modules += [loss] if isinstance(loss, nn.Module) else []
        return {
            "modules": [module_bits(m) for m in modules],
            "optimizer": bits(optimizer.state_dict()),
            "stateful": [bits(thing.state_dict()) for thing in stateful],
            "generators": [generator_bits(), *(bits(generator.get_state()) for generator in own)],
            "rate and scale": (made.learning_rate, made.regularization_scale),
        }

    return SimpleNamespace(
        trainer=made, model=model, optimizer=optimizer, train=train, stateful=stateful, bits=everything
    )


def loader(*, owned=True, shape=(1, 4, 4)):
    """A shuffling loader, with or without a generator of its own."""
    numbers = torch.Generator().manual_seed(3)
    targets = torch.arange(120) % CLASSES
    inputs = torch.randn(120, *shape, generator=numbers)
    inputs.flatten(1)[torch.arange(120), targets] += 4
    generator = torch.Generator().manual_seed(4) if owned else None
    return DataLoader(TensorDataset(inputs, targets), 20, shuffle=True, generator=generator)

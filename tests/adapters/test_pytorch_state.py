"""All of a PyTorch program comes back bit for bit, compared by hand rather than by what the adapter saves."""

import random
from collections import deque
from functools import partial

import numpy as np
import pytest
import torch
from faults import measured
from pytorch_programs import (
    CLASSES,
    FEATURES,
    Calling,
    batches,
    bits,
    generator_bits,
    linear,
    loader,
    module_bits,
    program,
    trainer,
)
from torch import nn
from torch.nn import functional as F
from torch.optim import LBFGS, SGD, Adam, AdamW, Optimizer, SparseAdam
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR, ReduceLROnPlateau
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import (
    DataLoader,
    IterableDataset,
    RandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

from babysit import ChanceLoss, Classification
from babysit.adapters.pytorch import PyTorchTrainer
from babysit.checks import find_checks
from babysit.driving.bench import Bench
from babysit.errors import Skip, TargetError

CHECKS = [name for name, check in find_checks().items() if not check.alone]
QUICK = {
    "lr-scan": {"steps": 5, "low": 1e-4, "high": 1.0},
    "overfit": {"steps": 60},
    "check-activations": {"steps": 10},
}
X, Y = batches()[0]


# Programs


class Network(nn.Module):
    """Batch norm, dropout as module and function, buffers of every kind, a frozen part; noise from NumPy and Python."""

    def __init__(self, *, noisy=False):
        super().__init__()
        self.noisy = noisy
        self.body = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.Dropout(0.1))
        self.frozen = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3))
        self.head = nn.Linear(48, CLASSES)
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self.register_buffer("mean", torch.zeros(3), persistent=False)
        self.register_buffer("mask", None)
        self.register_buffer("mask_too", None, persistent=False)
        self.register_buffer("zero", torch.tensor([-0.0, float("nan"), float("inf")]))
        self.frozen.requires_grad_(False).eval()

    def forward(self, x):
        hidden = self.frozen(self.body(x))
        if self.training:
            self.calls += 1
            self.mean = 0.9 * self.mean + 0.1 * hidden.detach().mean((0, 2, 3))
            hidden = F.dropout(hidden, 0.1)
            if self.noisy:
                hidden = hidden * (1 + 0.01 * np.random.randn() + 0.01 * random.random())
        return self.head(hidden.flatten(1))


def adam(parameters):
    return Adam(parameters, lr=0.01, weight_decay=0.01)


def plain(optimizer=adam, *, owned=True, begin=True, noisy=False):
    model, train = Network(noisy=noisy), loader(owned=owned)
    if not begin:
        model.eval()
    return program(model, optimizer([p for p in model.parameters() if p.requires_grad]), train)


def under_way():
    """Two steps in: an optimizer with a state, gradients left where they are."""
    made = plain(partial(SGD, lr=0.05, momentum=0.9, weight_decay=0.01))
    for batch in list(made.train)[:2]:
        made.trainer.step(batch)
    made.model.head.weight.grad = None
    return made


def with_everything():
    """A scaler, a scheduler, an average, a further optimizer and clipping."""
    model, train = Network(), loader()
    optimizer = AdamW([{"params": model.body.parameters()}, {"params": [model.head.weight], "lr": 0.05}], lr=0.01)
    other = SGD([model.head.bias], lr=0.1, momentum=0.9)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**8, growth_interval=2)
    scheduler = OneCycleLR(optimizer, max_lr=0.05, total_steps=100_000)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)

    def update(loss):
        optimizer.zero_grad()
        other.zero_grad()
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.step(other)
        scaler.update()
        scheduler.step()
        average.update_parameters(model)

    return program(model, optimizer, train, update=update, stateful=(scaler, scheduler, average, other))


MAKERS = {
    "Adam": plain,
    "momentum, under way": under_way,
    "LBFGS": partial(plain, partial(LBFGS, lr=0.1, max_iter=2)),
    "no generator of its own": partial(plain, owned=False),
    "begun in evaluation mode": partial(plain, begin=False),
    "everything": with_everything,
    "noise from NumPy and Python": partial(plain, noisy=True),
}
EVERY_MAKER = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
EVERY_CHECK = pytest.mark.parametrize("check", CHECKS)
EITHER_ERROR = pytest.mark.parametrize("error", [ValueError("boom"), KeyboardInterrupt()], ids=["error", "Ctrl-C"])


def settings_of(check):
    return QUICK.get(check, {})


# After every check


@EVERY_MAKER
@EVERY_CHECK
def test_a_check_leaves_everything_as_it_was(check, make):
    made = make()
    before = made.bits()
    try:
        measured(check, made.trainer, **settings_of(check))
    except Skip:
        assert check == "check-parallel"
    assert made.bits() == before


def failing(made, where, fatal, error):
    """Raise at the n-th forward pass, or amid the n-th update; `calls` counts them."""
    calls = []

    def fail(*_):
        calls.append(where)
        if len(calls) == fatal:
            torch.rand(1)
            if made.model.noisy:
                random.random()
                np.random.random()
            raise error

    if where == "forward":
        made.model.head.register_forward_hook(fail)
    elif where == "backward":
        made.model.head.weight.register_hook(fail)
    else:
        for optimizer in (made.optimizer, *(o for o in made.stateful if isinstance(o, Optimizer))):
            optimizer.register_step_post_hook(fail)  # parameters have moved, the rest of the update has not come
    return calls


@pytest.mark.parametrize(
    ("where", "fatal", "error"),
    [
        ("forward", 1, ValueError("boom")),
        ("forward", 7, KeyboardInterrupt()),
        ("backward", 2, KeyboardInterrupt()),
        ("update", 1, ValueError("boom")),
        ("update", 1, KeyboardInterrupt()),
        ("update", 8, ValueError("boom")),
    ],
)
@pytest.mark.parametrize("make", [MAKERS["noise from NumPy and Python"], with_everything], ids=["noisy", "everything"])
@EVERY_CHECK
def test_a_check_that_fails_leaves_everything_as_it_was(check, make, where, fatal, error):
    made = make()
    before = made.bits()
    calls = failing(made, where, fatal, error)
    try:
        measured(check, made.trainer, **settings_of(check))
    except (TargetError, KeyboardInterrupt):
        assert len(calls) == fatal
    except Skip:
        assert check == "check-parallel"
    else:
        assert len(calls) < fatal
    assert made.bits() == before


@EITHER_ERROR
def test_a_loader_that_fails_midway(error):
    class Failing(IterableDataset):
        broken = False

        def __iter__(self):
            for k, batch in enumerate(batches(4)):
                random.random()
                np.random.random()
                torch.rand(1)
                if self.broken and k == 2:
                    raise error
                yield batch

    data, model = Failing(), linear()
    made = program(model, SGD(model.parameters()), DataLoader(data, batch_size=None))
    before = made.bits()
    bench = Bench(made.trainer)
    data.broken = True
    with pytest.raises((TargetError, KeyboardInterrupt)):
        bench.pool()
    assert made.bits() == before


def test_a_failed_update_spoils_no_later_one():
    """The scaler knows which optimizers it has unscaled since its last update; that comes back too."""
    made = with_everything()
    state = made.trainer.save()
    calls = failing(made, "update", 1, ValueError("boom"))
    batch = next(iter(made.trainer.batches()))
    made.trainer.load(state)
    with pytest.raises(ValueError, match="boom"):
        made.trainer.step(batch)
    made.trainer.load(state)
    assert len(calls) == 1
    assert made.trainer.step(batch).updated


# Saving and loading


@EVERY_MAKER
def test_load_puts_back_what_save_saw(make):
    made = make()
    drawn = list(made.trainer.batches())
    before, state = made.bits(), made.trainer.save()
    for batch in drawn[:3]:
        made.trainer.step(batch)
    made.model.head.bias.requires_grad_(False)
    made.model.body.eval()
    made.model.frozen.train()
    made.model.mask = torch.ones(3)
    made.model.register_buffer("late", torch.ones(1))
    made.model.zero.fill_(1.0)
    next(iter(made.trainer.batches()))
    assert made.bits() != before
    made.trainer.load(state)
    after = made.bits()
    ours, *others = after["generators"]
    assert [ours[1], *others] == [before["generators"][0][1], *before["generators"][1:]]  # the bench has the rest
    assert after | {"generators": ()} == before | {"generators": ()}


@EVERY_MAKER
def test_a_state_is_a_copy_and_loads_any_number_of_times(make):
    made = make()
    drawn = list(made.trainer.batches())
    made.trainer.step(drawn[0])
    state = made.trainer.save()
    kept = bits(state)
    ends = []
    for _ in range(3):
        np.random.seed(0)
        random.seed(0)
        made.trainer.load(state)
        for batch in drawn[1:3]:
            made.trainer.step(batch)
        ends.append(made.bits())
        assert bits(state) == kept
    assert ends[0] == ends[1] == ends[2]


def test_a_saved_state_shares_no_memory_with_the_program():
    made = with_everything()
    made.trainer.step(next(iter(made.trainer.batches())))
    alive = {p.data_ptr() for m in (made.model, made.stateful[2]) for p in (*m.parameters(), *m.buffers())}
    alive |= {x.data_ptr() for s in made.optimizer.state.values() for x in s.values() if isinstance(x, torch.Tensor)}
    alive |= {p.grad.data_ptr() for p in made.model.parameters() if p.grad is not None}

    def addresses(tree):
        if isinstance(tree, torch.Tensor):
            return {tree.data_ptr()} if tree.numel() else set()
        children = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list | tuple) else ()
        return set().union(*map(addresses, children))

    assert not addresses(made.trainer.save()) & (alive - {0})


def test_parameters_buffers_and_momentum_stay_the_same_tensors():
    """A program may hold on to them: views, an EMA, a captured graph."""
    made = under_way()
    state = made.trainer.save()
    held = [*made.model.parameters(), *made.model.body[1].buffers()]
    held += [values["momentum_buffer"] for values in made.optimizer.state.values()]
    made.trainer.step(next(iter(made.trainer.batches())))
    made.trainer.load(state)
    now = [*made.model.parameters(), *made.model.body[1].buffers()]
    now += [values["momentum_buffer"] for values in made.optimizer.state.values()]
    assert all(a is b for a, b in zip(held, now, strict=True))


OPTIMIZERS = {
    "SGD": partial(SGD, lr=0.1),
    "momentum": partial(SGD, lr=0.1, momentum=0.9),
    "Adam": Adam,
    "amsgrad, capturable": partial(Adam, amsgrad=True, lr=torch.tensor(0.01)),
    "fused": partial(AdamW, fused=True),
    "LBFGS": partial(LBFGS, lr=0.1, max_iter=3),
    "LBFGS, line search": partial(LBFGS, max_iter=3, line_search_fn="strong_wolfe"),
    "Adagrad": torch.optim.Adagrad,
    "Rprop": torch.optim.Rprop,
    "ASGD": torch.optim.ASGD,
    "Adafactor": torch.optim.Adafactor,
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
@pytest.mark.parametrize("steps", [0, 1, 3])
def test_every_optimizer_goes_on_as_if_nothing_had_been(optimizer, steps):
    model = linear()
    made = program(model, optimizer(model.parameters()), batches(6))
    for batch in batches(steps):
        made.trainer.step(batch)
    before, state = made.bits(), made.trainer.save()
    ends = []
    for _ in range(2):
        for batch in batches(6)[3:]:
            made.trainer.step(batch)
        ends.append(made.bits())
        made.trainer.load(state)
        assert made.bits() == before
    assert ends[0] == ends[1] != before


class Counting(SGD):
    """Keeps state of its own that belongs to no parameter."""

    def step(self, closure=None):
        self.state["steps"] = self.state.get("steps", 0) + 1
        return super().step(closure)


def test_optimizer_state_that_belongs_to_no_parameter():
    model = linear()
    made = program(model, Counting(model.parameters()), batches())
    for begin in range(2):
        before, state = made.bits(), made.trainer.save()
        made.trainer.step((X, Y))
        made.trainer.load(state)
        assert made.bits() == before, begin
        made.trainer.step((X, Y))


def test_parameters_that_are_no_part_of_the_model():
    """Only the optimizer knows them."""
    model, scale = linear(), nn.Parameter(torch.ones(()))
    made = trainer(
        model, lambda s, y: F.cross_entropy(s * scale, y), optimizer=lambda m: Adam([*m.parameters(), scale])
    )
    state = made.save()
    made.step((X, Y))
    assert scale.item() != 1.0
    made.load(state)
    assert scale.item() == 1.0
    assert scale.grad is None


def test_a_group_added_in_a_step_goes_again():
    model = nn.Sequential(linear(), nn.Linear(CLASSES, CLASSES))
    optimizer = Adam(model[0].parameters(), lr=0.1)

    def update(loss):
        if len(optimizer.param_groups) == 1:
            optimizer.add_param_group({"params": list(model[1].parameters())})
        loss.backward()
        optimizer.step()

    made = program(model, optimizer, batches(), update=update)
    before, state = made.bits(), made.trainer.save()
    made.trainer.step((X, Y))
    made.trainer.load(state)
    assert made.bits() == before


def sparse():
    return nn.Sequential(nn.Embedding(10, 4, sparse=True), nn.Flatten(), nn.Linear(8, CLASSES))


def test_sparse_gradients():
    torch.manual_seed(0)
    model, drawn = sparse(), [(torch.randint(10, (8, 2)), Y) for _ in range(3)]
    optimizers = [SparseAdam(model[0].parameters()), SGD(model[2].parameters(), lr=0.1)]

    def update(loss):
        for optimizer in optimizers:
            optimizer.zero_grad()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()

    made = program(model, optimizers[0], drawn, update=update, stateful=optimizers[1:])
    for _ in range(2):
        before, state = made.bits(), made.trainer.save()
        for batch in drawn:
            made.trainer.step(batch)
        made.trainer.load(state)
        assert made.bits() == before
        made.trainer.step(drawn[0])
    assert model[0].weight.grad.layout == torch.sparse_coo


@pytest.mark.parametrize(
    "schedule",
    [
        lambda o: LambdaLR(o, lambda step: 1 / (1 + step)),
        lambda o: OneCycleLR(o, 1.0, total_steps=50),
        lambda o: ReduceLROnPlateau(o, patience=0),
        lambda o: torch.optim.lr_scheduler.SequentialLR(
            o, [torch.optim.lr_scheduler.LinearLR(o), torch.optim.lr_scheduler.CosineAnnealingLR(o, 10)], [3]
        ),
    ],
)
def test_schedulers_come_back_and_their_rates_with_them(schedule):
    model = linear()
    optimizer = SGD(model.parameters(), lr=0.1, momentum=0.9)
    scheduler = schedule(optimizer)

    def update(loss):
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step(*([1.0] if isinstance(scheduler, ReduceLROnPlateau) else []))

    made = program(model, optimizer, batches(), update=update, stateful=[scheduler])
    before, state = made.bits(), made.trainer.save()
    for batch in batches(3):
        made.trainer.step(batch)
    assert made.bits()["stateful"] != before["stateful"]
    made.trainer.load(state)
    assert made.bits() == before


class Average:
    """Hands out its own tensors as its state, as many hand-written averages do."""

    def __init__(self, model):
        self.model, self.shadow = model, {name: p.detach().clone() for name, p in model.named_parameters()}
        self.seen = deque(maxlen=2)

    def update(self):
        for name, p in self.model.named_parameters():
            self.shadow[name].mul_(0.9).add_(p.detach(), alpha=0.1)
        self.seen.append(len(self.seen))

    def state_dict(self):
        return {"shadow": self.shadow, "seen": self.seen}

    def load_state_dict(self, state):
        self.shadow, self.seen = state["shadow"], state["seen"]


def test_a_stateful_object_may_hand_out_its_own_tensors():
    model = linear()
    optimizer, average = SGD(model.parameters(), lr=0.1), Average(model)

    def update(loss):
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        average.update()

    made = program(model, optimizer, batches(), update=update, stateful=[average])
    before, state = made.bits(), made.trainer.save()
    for _ in range(2):
        made.trainer.step((X, Y))
        assert made.bits() != before
        made.trainer.load(state)
        assert made.bits() == before


# Modules that change shape


class Growing(nn.Module):
    """Makes a buffer when it is first called, replaces another and drops a third."""

    def __init__(self):
        super().__init__()
        self.map = linear()
        self.register_buffer("length", torch.zeros(1))
        self.register_buffer("spare", torch.zeros(2), persistent=False)

    def forward(self, x):
        if self.training:
            if "cache" not in self._buffers:
                self.register_buffer("cache", torch.ones(len(x)), persistent=False)
            self.length = torch.cat([self.length, torch.ones(1)])
            self._buffers.pop("spare", None)
        return self.map(x)


def test_buffers_that_come_grow_and_go():
    model = Growing()
    made = program(model, SGD(model.parameters(), lr=0.1), batches())
    before, state = made.bits(), made.trainer.save()
    made.trainer.step((X, Y))
    made.trainer.step((X, Y))
    made.trainer.load(state)
    assert made.bits() == before
    made.trainer.evaluate((X, Y), training=True)
    assert made.bits() == before


def test_a_module_that_is_made_when_first_called():
    class Making(nn.Module):
        def __init__(self):
            super().__init__()
            self.map = linear()

        def forward(self, x):
            if self.training and not hasattr(self, "extra"):
                self.extra = nn.Identity()
            return self.map(x)

    model = Making()
    made = trainer(model)
    state, weight = made.save(), bits(model.map.weight)
    made.step((X, Y))
    made.load(state)
    assert bits(model.map.weight) == weight


class Keeping(nn.Module):
    """Keeps what it saw in a buffer: its input, or what it gave."""

    def __init__(self, what):
        super().__init__()
        self.map, self.what = linear(), what
        self.register_buffer("seen", torch.zeros(8, FEATURES if what == "input" else CLASSES))

    def forward(self, x):
        out = self.map(x)
        if self.training:
            self.seen = x if self.what == "input" else out.detach()
        return out


@pytest.mark.parametrize("what", ["input", "output"])
def test_a_buffer_that_is_another_tensor_now_is_not_overwritten_in_place(what):
    """What it is now may be the batch itself, or the scores just given."""
    model = Keeping(what)
    made = trainer(model)
    batch = X.clone(), Y
    state = made.save()
    scores = made.evaluate(batch, training=True).scores
    assert torch.equal(batch[0], X)
    assert torch.equal(scores, model.map(X))
    assert not model.seen.any()
    made.step(batch)
    made.load(state)
    assert torch.equal(batch[0], X)
    assert not model.seen.any()


# Evaluating changes nothing


class Counted(nn.Module):
    """A loss with statistics of its own."""

    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, scores, targets):
        if self.training:
            self.calls += 1
        return F.cross_entropy(scores, targets)


USES = {
    "evaluate": lambda made, batch: made.evaluate(batch),
    "evaluate in training mode": lambda made, batch: made.evaluate(batch, training=True),
    "gradients": lambda made, batch: made.gradients(batch),
    "trace": lambda made, batch: made.trace(batch, lambda record: None),
    "trace in evaluation mode": lambda made, batch: made.trace(batch, lambda record: None, training=False),
    "strengths": lambda made, batch: made.strengths(),
    "parameters": lambda made, batch: (made.parameters(), made.last_gradients(), made.save()),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
@pytest.mark.parametrize("scale", [1.0, 0.0])
@EVERY_MAKER
def test_what_does_not_step_changes_nothing(make, scale, use):
    made = make()
    batch = next(iter(made.train))
    made.trainer.regularization_scale = scale
    before = made.bits()
    use(made.trainer, batch)
    assert made.bits() == before


# what a program's own evaluation moves stays to be seen: check-target finds it
IN_TRAINING = {name: use for name, use in USES.items() if name not in ("evaluate", "trace in evaluation mode")}


@pytest.mark.parametrize("use", IN_TRAINING.values(), ids=IN_TRAINING)
def test_what_does_not_step_changes_no_loss_module(use):
    model, loss = linear(), Counted()
    made = program(model, SGD(model.parameters(), lr=0.1), batches(), loss)
    before = made.bits()
    use(made.trainer, (X, Y))
    assert made.bits() == before


@pytest.mark.parametrize("use", IN_TRAINING.values(), ids=IN_TRAINING)
def test_what_does_not_step_changes_no_buffer_that_any_pass_moves(use):
    """A count that does not ask for the mode, as in a codebook's usage."""
    model = nn.Sequential(linear(), Calling(lambda x: model.calls.add_(1) * 0 + x))
    model.register_buffer("calls", torch.zeros(()))
    made = program(model, SGD(model.parameters(), lr=0.1), batches())
    before = made.bits()
    use(made.trainer, (X, Y))
    assert made.bits() == before


@pytest.mark.parametrize("use", USES.values(), ids=USES)
@pytest.mark.parametrize("mode", [True, False])
def test_a_penalty_that_runs_the_model_on_noise_changes_nothing(mode, use):
    """As a gradient penalty or a consistency term does."""
    model = nn.Sequential(linear(), nn.BatchNorm1d(CLASSES)).train(mode)
    made = program(
        model,
        SGD(model.parameters(), lr=0.1),
        batches(),
        penalty=lambda: model(torch.randn(5, FEATURES)).square().mean(),
    )
    before = made.bits()
    use(made.trainer, (X, Y))
    assert made.bits() == before


def test_a_noisy_penalty_is_that_of_the_step_to_come():
    model = linear()
    made = trainer(model, penalty=lambda: torch.rand(()) * model.weight.square().sum())
    before = made.evaluate((X, Y), training=True).penalty
    assert float(made.gradients((X, Y))[0].penalty) == float(before)
    assert float(made.step((X, Y)).penalty) == float(before)


@EITHER_ERROR
@pytest.mark.parametrize("use", list(USES)[:5])
def test_what_fails_midway_changes_nothing(use, error):
    made = plain()
    batch = next(iter(made.train))
    before = made.bits()
    failing(made, "forward", 1, error)
    with pytest.raises(type(error)):
        USES[use](made.trainer, batch)
    assert made.bits() == before


def test_evaluations_in_training_mode_are_alike_and_as_in_the_step_to_come():
    made = plain()
    batch = next(iter(made.train))
    losses = [made.trainer.evaluate(batch, training=True).loss.item() for _ in range(3)]
    losses.append(made.trainer.gradients(batch)[0].loss.item())
    losses.append(float(made.trainer.step(batch).loss))
    assert losses == [losses[0]] * 5


def test_an_evaluation_keeps_no_graph():
    made = trainer(linear())
    output = made.evaluate((X, Y), training=True)
    assert not output.loss.requires_grad
    assert not output.scores.requires_grad
    output, gradients = made.gradients((X, Y))
    assert not output.loss.requires_grad
    assert not output.scores.requires_grad
    assert not any(g.requires_grad for g in gradients.values())


# Building, and drawing batches


@pytest.mark.parametrize("task", [None, "classification", Classification(CLASSES)], ids=["read", "named", "given"])
@pytest.mark.parametrize("begin", [True, False])
@pytest.mark.parametrize("owned", [True, False])
def test_building_a_trainer_leaves_everything_as_it_was(task, begin, owned):
    model, train = Network().train(begin), loader(owned=owned)
    model.body[0].eval()
    optimizer = Adam((p for p in model.parameters() if p.requires_grad), lr=0.1)

    def everything():
        own = train.generator.get_state() if owned else None
        return module_bits(model), bits(optimizer.state_dict()), generator_bits(), bits(own)

    before = everything()
    made = PyTorchTrainer(model, F.cross_entropy, optimizer, train, task=task)
    assert everything() == before
    made.strengths()
    assert everything() == before


def test_building_a_trainer_that_fails_leaves_everything_as_it_was():
    model = Network()
    failing_loss = Calling(lambda s, y: 1 / 0)
    before = module_bits(model), generator_bits()
    with pytest.raises(ZeroDivisionError):
        PyTorchTrainer(model, failing_loss, SGD(model.parameters()), loader(owned=False))
    assert (module_bits(model), generator_bits()) == before


def drawing(kind):
    data = TensorDataset(torch.randn(64, FEATURES), torch.arange(64) % CLASSES)
    generator = torch.Generator().manual_seed(5)
    made = {
        "shuffling": lambda: DataLoader(data, 8, shuffle=True),
        "with a generator": lambda: DataLoader(data, 8, shuffle=True, generator=generator),
        "a sampler with one": lambda: DataLoader(data, 8, sampler=RandomSampler(data, generator=generator)),
        "a weighted sampler": lambda: DataLoader(
            data, 8, sampler=WeightedRandomSampler(torch.ones(64), 64, generator=generator)
        ),
        "a batch sampler": lambda: DataLoader(
            data,
            batch_sampler=torch.utils.data.BatchSampler(RandomSampler(data, generator=generator), 8, drop_last=False),
        ),
        "in order": lambda: DataLoader(data, 8),
        "noisy": lambda: DataLoader(data, 8, collate_fn=noisy),
    }[kind]()
    return made, generator


def noisy(examples):
    inputs, targets = torch.utils.data.default_collate(examples)
    return inputs + torch.rand(1) + np.random.random() + random.random(), targets


DRAWINGS = (
    "shuffling",
    "with a generator",
    "a sampler with one",
    "a weighted sampler",
    "a batch sampler",
    "in order",
    "noisy",
)


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("kind", DRAWINGS)
def test_drawing_the_pool_consumes_no_generator_for_good(kind, split):
    train, generator = drawing(kind)
    model = linear()
    before = generator_bits(), bits(generator.get_state())
    splits = [train] if split == "train" else [batches(), train]
    bench = Bench(PyTorchTrainer(model, F.cross_entropy, SGD(model.parameters()), *splits))
    assert (generator_bits(), bits(generator.get_state())) == before
    pool = bench.pool(split)
    assert (generator_bits(), bits(generator.get_state())) == before
    assert bits(bench.pool(split)) == bits(pool)


@pytest.mark.parametrize("kind", DRAWINGS)
def test_a_new_order_at_each_call_and_the_same_from_the_same_state(kind):
    train, _ = drawing(kind)
    made = PyTorchTrainer(model := linear(), F.cross_entropy, SGD(model.parameters()), train)
    state, (numpy_state, python_state) = made.save(), (np.random.get_state(), random.getstate())
    first = bits(list(made.batches()))
    assert (bits(list(made.batches())) == first) is (kind == "in order")
    made.load(state)
    np.random.set_state(numpy_state)
    random.setstate(python_state)
    assert bits(list(made.batches())) == first


def test_a_loader_in_other_processes():
    data = TensorDataset(torch.randn(16, FEATURES), torch.arange(16) % CLASSES)
    train = DataLoader(data, 8, shuffle=True, num_workers=1, persistent_workers=True)
    made = program(model := linear(), SGD(model.parameters()), train)
    before = made.bits()
    assert len(Bench(made.trainer).pool()) == 2
    assert made.bits() == before


def test_a_program_of_parameters_alone():
    """No buffers, no batch norm, no optimizer state: nothing to trip over."""
    weight = nn.Parameter(torch.zeros(FEATURES, CLASSES))
    model = Calling(lambda x: x @ weight)
    model.weight = weight
    made = trainer(model, lambda s, y: s.square().mean(), task=ChanceLoss(0.0))
    before, state = module_bits(model), made.save()
    made.step((X, Y))
    made.load(state)
    assert module_bits(model) == before

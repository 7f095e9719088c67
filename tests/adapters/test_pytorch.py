"""PyTorch programs as they are, held against loops over torch itself."""

import copy
import json
import math
import subprocess
import sys
from collections import OrderedDict, UserDict, namedtuple
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pytorch_programs import (
    CLASSES,
    EXAMPLES,
    FEATURES,
    Calling,
    Dropping,
    batches,
    bits,
    first,
    linear,
    module_bits,
    trainer,
)
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence
from torch.optim import LBFGS, SGD, Adam, AdamW, RMSprop
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, TensorDataset

from babysit import Classification, Regression
from babysit.adapters import wrap
from babysit.adapters.pytorch import PyTorchTrainer
from babysit.driving.bench import Bench
from babysit.errors import TargetError
from babysit.trainer import SupportsParameters, SupportsRanks, SupportsRegularization, SupportsTrace, Trainer

Pair = namedtuple("Pair", "first second")
X, Y = batches()[0]


def message_of(make):
    with pytest.raises(TargetError) as caught:
        make()
    return str(caught.value)


# The protocol


def test_satisfies_the_protocols():
    made = trainer(linear())
    for protocol in (Trainer, SupportsTrace, SupportsParameters, SupportsRegularization, SupportsRanks):
        assert isinstance(made, protocol)
    assert wrap(made) is made
    assert (made.rank, made.size, made.gather("x"), made.failure()) == (0, 1, ["x"], "")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: trainer(X, optimizer=lambda m: SGD([m], lr=0.1)), "model= must be a torch.nn.Module, not a Tensor"),
        (lambda: trainer(linear(), optimizer=lambda m: m), "optimizer= must be a torch.optim.Optimizer, not a Linear"),
        (
            lambda: trainer(linear(), stateful=(torch.Size(),)),
            "stateful= names a Size, which has no state_dict and load_state_dict",
        ),
        (
            lambda: wrap(linear()),
            "the factory returned a Linear without loss, optimizer and data; write "
            "`return PyTorchTrainer(model, loss, optimizer, train)` with "
            "`from babysit.adapters.pytorch import PyTorchTrainer`",
        ),
    ],
)
def test_what_cannot_be_used_is_named(make, message):
    assert message_of(make) == message


# Batches


class Adding(nn.Module):
    """Takes its inputs in whatever form they come."""

    def __init__(self):
        super().__init__()
        self.map = linear()

    def forward(self, first, second=None):
        if isinstance(first, Pair):
            first, second = first
        return self.map(first if second is None else first + second)


named = {"first": X, "second": X}
FORMS = {
    "tuple": ((X, Y), X),
    "list": ([X, Y], X),
    "namedtuple": (Pair(X, Y), X),
    "three": ((X, X, Y), (X, X)),
    "a tuple inside": (((X, X), Y), (X, X)),
    "a list inside": (([X, X], Y), [X, X]),
    "a namedtuple inside": ((Pair(X, X), Y), Pair(X, X)),
    "a dict inside": ((named, Y), named),
    "a UserDict inside": ((UserDict(named), Y), named),
    "dict with labels": ({**named, "labels": Y}, named),
    "dict with label": ({"label": Y, **named}, named),
    "dict with label_ids": ({**named, "label_ids": Y}, named),
    "ordered dict": (OrderedDict(first=X, labels=Y), {"first": X}),
    "UserDict with labels": (UserDict({**named, "labels": Y}), named),
    "None among the inputs": ({"first": X, "second": None, "labels": Y}, {"first": X, "second": None}),
}


@pytest.mark.parametrize(("yielded", "inputs"), FORMS.values(), ids=FORMS)
def test_a_batch_in_every_form(yielded, inputs):
    model = Adding()
    made = trainer(model, train=[yielded])
    batch = first(made)
    assert type(batch[0]) is type(inputs)
    assert bits(batch) == bits((inputs, Y))
    twice = not isinstance(inputs, torch.Tensor) and (not isinstance(inputs, dict) or inputs.get("second") is not None)
    expected = F.cross_entropy(model.map(2 * X if twice else X), Y)
    assert made.task == Classification(CLASSES)
    assert torch.equal(made.evaluate(batch).loss, expected)
    assert float(made.step(batch).loss) == expected.item()


@pytest.mark.parametrize(("yielded", "inputs"), FORMS.values(), ids=FORMS)
def test_the_bench_cuts_and_joins_every_form(yielded, inputs):
    made = trainer(Adding(), train=[yielded, yielded])
    bench = Bench(made)
    assert [len(targets) for _, targets in bench.pool()] == [EXAMPLES, EXAMPLES]
    part = bench.subset(5)
    assert type(part[0]) is type(inputs)
    assert math.isfinite(bench.trainer.evaluate(part).loss)


def test_a_batch_of_transformers():
    transformers = pytest.importorskip("transformers")
    made = trainer(Adding(), train=[transformers.BatchEncoding({**named, "labels": Y})])
    assert bits(first(made)) == bits((named, Y))


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.core, self.head = nn.GRU(FEATURES, 5), nn.Linear(5, CLASSES)

    def forward(self, packed):
        return self.head(self.core(packed)[1][-1])


def packed_batch():
    lengths = [6, 4, 1]
    return pack_padded_sequence(torch.randn(6, 3, FEATURES), lengths), torch.tensor([0, 1, 2])


def test_a_packed_sequence():
    model, batch = Recurrent(), packed_batch()
    made = trainer(model, train=[batch])
    assert bits(first(made)) == bits(batch)
    assert torch.equal(made.evaluate(first(made)).loss, F.cross_entropy(model(batch[0]), batch[1]))


@pytest.mark.parametrize(
    "inputs",
    [
        pytest.param(X, id="tensor"),
        pytest.param((X, X), id="tuple"),
        pytest.param(Pair(X, X), id="namedtuple"),
        pytest.param(UserDict(named), id="UserDict"),
        pytest.param((X, UserDict(named)), id="a UserDict in a tuple"),
        pytest.param({"nested": {"first": [X]}}, id="nested"),
        pytest.param(packed_batch()[0], id="packed"),
        pytest.param((packed_batch()[0], X[:3]), id="packed in a tuple"),
    ],
)
def test_data_goes_to_the_models_device(inputs):
    model = linear().to("meta")
    made = PyTorchTrainer(model, F.cross_entropy, SGD(model.parameters()), [(inputs, {"y": Y})], task=Classification(3))
    moved, targets = first(made)

    def devices(tree):
        if isinstance(tree, torch.nn.utils.rnn.PackedSequence):
            return {tree.data.device.type}  # its batch sizes belong on the CPU
        if isinstance(tree, torch.Tensor):
            return {tree.device.type}
        return set().union(*map(devices, tree.values() if isinstance(tree, dict | UserDict) else tree))

    assert devices(moved) == devices(targets) == {"meta"}


@pytest.mark.parametrize(
    ("yielded", "what"),
    [
        (X, "a batch must be (inputs, targets), or a dict with `labels`; this one is a Tensor"),
        ((X,), "a batch must be (inputs, targets), or a dict with `labels`; this one is a tuple of 1"),
        ([], "a batch must be (inputs, targets), or a dict with `labels`; this one is a list of 0"),
        (None, "a batch must be (inputs, targets), or a dict with `labels`; this one is a NoneType"),
        ("text", "a batch must be (inputs, targets), or a dict with `labels`; this one is a str"),
        ({"x": X, "y": Y}, "a batch is a dict without `labels`: it has 'x', 'y'"),
        ({}, "a batch is a dict without `labels`: it has nothing"),
    ],
)
def test_a_batch_in_no_known_form_is_refused(yielded, what):
    assert message_of(lambda: trainer(linear(), train=[yielded])) == what


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        (lambda: (batch for batch in batches()), "generator"),
        (lambda: iter(batches()), "list_iterator"),
        (lambda: zip([X], [Y], strict=True), "zip"),
        (lambda: iter(DataLoader(TensorDataset(X, Y))), "_SingleProcessDataLoaderIter"),
    ],
)
def test_what_can_be_gone_through_once_only_is_refused(source, kind):
    refusal = (
        f"the batches come from a {kind}, which can be gone through only once; give a DataLoader, a list, or an object "
        "whose `__iter__` begins anew"
    )
    assert message_of(lambda: trainer(linear(), train=source())) == refusal
    made = trainer(linear(), val=source())
    assert message_of(lambda: list(made.batches("val"))) == refusal


def test_a_training_split_that_cannot_be_gone_through_is_refused():
    message_of(lambda: trainer(linear(), train=lambda: batches()))


def test_no_batch_to_train_on():
    assert message_of(lambda: trainer(linear(), train=[])) == (
        "`train` yielded no batch, so there is nothing to train on"
    )


def test_splits_begin_anew_at_each_call():
    made = trainer(linear(), train=batches(3), val=batches(2))
    assert [len(list(made.batches(*split))) for split in ((), ("train",), ("val",), ("val",))] == [3, 3, 2, 2]
    assert list(made.batches("test")) == list(trainer(linear()).batches("val")) == []
    assert bits(list(made.batches())) == bits(batches(3))


# The model and its loss


class Temperature(nn.Module):
    def __init__(self):
        super().__init__()
        self.log = nn.Parameter(torch.tensor(0.5))

    def forward(self, scores, targets):
        return F.cross_entropy(scores * self.log.exp(), targets)


class Method:
    def loss(self, scores, targets):
        return F.cross_entropy(scores, targets)


LOSSES = {
    "module": nn.CrossEntropyLoss(label_smoothing=0.1),
    "function": F.cross_entropy,
    "lambda": lambda scores, targets: 2 * F.cross_entropy(scores, targets),
    "partial": partial(F.cross_entropy, weight=torch.tensor([1.0, 2.0, 3.0])),
    "method": Method().loss,
    "module with parameters": Temperature(),
    "one number with an axis": lambda scores, targets: F.cross_entropy(scores, targets)[None],
}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_any_callable_is_a_loss(loss):
    model = linear()
    made = trainer(model, loss)
    expected = loss(model(X), Y)
    gradients = torch.autograd.grad(expected, list(model.parameters()))
    before = [p.detach().clone() for p in model.parameters()]
    assert made.task == Classification(CLASSES)
    assert float(made.evaluate((X, Y)).loss) == float(made.step((X, Y)).loss) == expected.item()
    for p, was, gradient in zip(model.parameters(), before, gradients, strict=True):
        torch.testing.assert_close(p.detach(), was - 0.1 * gradient)


def test_a_loss_with_parameters_learns_and_is_put_back():
    loss, model = Temperature(), linear()
    made = trainer(model, loss, optimizer=lambda m: Adam([*m.parameters(), *loss.parameters()]))
    before, state = module_bits(loss), made.save()
    made.step((X, Y))
    assert module_bits(loss) != before
    made.load(state)
    assert module_bits(loss) == before


def with_loss(form):
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.map = linear()

        def forward(self, first, labels=None):
            scores = self.map(first)
            return form(F.cross_entropy(scores, labels), scores)

    return Own()


def model_output(loss, scores):
    return pytest.importorskip("transformers").modeling_outputs.SequenceClassifierOutput(loss=loss, logits=scores)


OWN = {
    "object": lambda loss, scores: SimpleNamespace(loss=loss, logits=scores),
    "dict": lambda loss, scores: {"loss": loss, "logits": scores},
    "scores, loss": lambda loss, scores: (scores, loss),
    "loss, scores": lambda loss, scores: (loss, scores),
    "namedtuple": lambda loss, scores: Pair(scores, loss),
    "Transformers": model_output,
    "a loss from each device": lambda loss, scores: {"loss": torch.stack([loss, loss]), "logits": scores},
}


@pytest.mark.parametrize("form", OWN.values(), ids=OWN)
@pytest.mark.parametrize("yielded", [(X, Y), {"first": X, "labels": Y}], ids=["tuple", "dict"])
def test_a_model_with_a_loss_of_its_own(form, yielded):
    model = with_loss(form)
    made = trainer(model, None, train=[yielded])
    expected, output = F.cross_entropy(model.map(X), Y), made.evaluate(first(made))
    assert made.task == Classification(CLASSES)
    assert torch.equal(output.loss, expected)
    assert torch.equal(output.scores, model.map(X))
    assert float(made.step(first(made)).loss) == expected.item()


def test_a_model_that_gives_its_loss_alone():
    model = with_loss(lambda loss, scores: loss)
    made = trainer(model, None)
    output = made.evaluate((X, Y))
    assert torch.equal(output.loss, F.cross_entropy(model.map(X), Y))
    assert output.scores is None


@pytest.mark.parametrize("wrapped", [nn.DataParallel, lambda m: nn.DataParallel(nn.DataParallel(m))])
@pytest.mark.parametrize("yielded", [(X, Y), {"first": X, "labels": Y}], ids=["tuple", "dict"])
def test_a_parallel_model_with_a_loss_of_its_own(yielded, wrapped):
    model = with_loss(OWN["dict"])
    made = trainer(wrapped(model), None, optimizer=SGD(model.parameters(), lr=0.1), train=[yielded])
    assert list(made.parameters()) == ["map.weight", "map.bias"]
    expected = F.cross_entropy(model.map(X), Y)
    assert float(made.evaluate(first(made)).loss) == float(made.step(first(made)).loss) == expected.item()


class Output:
    def __init__(self, logits):
        self.logits = logits


def test_a_loss_gets_the_logits_of_an_output_object():
    model = nn.Sequential(linear(), Calling(Output))
    made = trainer(model, F.cross_entropy)
    output = made.evaluate((X, Y))
    assert torch.equal(output.loss, F.cross_entropy(model[0](X), Y))
    assert torch.equal(output.scores, model[0](X))


def test_a_loss_gets_a_dict_or_tuple_of_outputs_whole():
    model = nn.Sequential(linear(), Calling(lambda scores: {"logits": scores, "extra": scores.mean()}))
    made = trainer(model, lambda output, targets: F.cross_entropy(output["logits"], targets) + 0 * output["extra"])
    assert torch.equal(made.evaluate((X, Y)).scores, model[0](X))
    model = nn.Sequential(linear(), Calling(lambda scores: (scores, scores.mean())))
    made = trainer(model, lambda output, targets: F.cross_entropy(output[0], targets))
    assert torch.equal(made.evaluate((X, Y)).scores, model[0](X))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: trainer(linear(), partial(F.cross_entropy, reduction="none")),
            "the loss must be a tensor of one number, not a Tensor of shape (8,)",
        ),
        (lambda: trainer(linear(), lambda s, y: 1.0), "the loss must be a tensor of one number, not a float"),
        (lambda: trainer(linear(), lambda s, y: None), "the loss must be a tensor of one number, not a NoneType"),
        (
            lambda: trainer(with_loss(lambda loss, scores: scores), None),
            "loss=None, but the model's output (a Tensor) has no loss: give loss=",
        ),
        (
            lambda: trainer(with_loss(lambda loss, scores: {"logits": scores}), None),
            "loss=None, but the model's output (a dict) has no loss: give loss=",
        ),
        (
            lambda: trainer(nn.Sequential(linear()), None, train=[{"input": X, "labels": Y}]),
            "loss=None, but the model's forward takes no `labels`: give loss=",
        ),
    ],
)
def test_a_loss_that_is_none(make, message):
    assert message_of(make) == message


def test_a_model_that_takes_no_targets_and_has_no_loss():
    """The commonest slip, `loss` left out: the message must say so, not that forward got an argument too many."""
    assert "give loss=" in message_of(lambda: trainer(linear(), None))


def test_a_model_that_differentiates_inside():
    """A network that knows physics, as its loss is made of derivatives by the inputs."""

    def slope(x):
        x = x.detach().requires_grad_()
        return torch.autograd.grad(model.map(x).tanh().sum(), x, create_graph=True)[0]

    model = Calling(slope)
    model.map = linear()
    made = trainer(model, F.mse_loss, train=[(X, X)])
    assert made.task == Regression()
    assert float(made.evaluate((X, X)).loss) == F.mse_loss(slope(X), X).item()


# Learning rates


def two_groups(model, low=0.01, high=0.1, optimizer=SGD, **options):
    return optimizer(
        [{"params": [model.bias], "lr": low}, {"params": [model.weight], "lr": high}], **{"lr": 1.0, **options}
    )


def rates(*optimizers):
    return [float(group["lr"]) for optimizer in optimizers for group in optimizer.param_groups]


def test_groups_keep_their_ratio():
    model = linear()
    optimizer = two_groups(model)
    made = trainer(model, optimizer=optimizer)
    assert made.learning_rate == 0.01
    made.learning_rate = 0.5
    assert made.learning_rate == 0.5
    assert rates(optimizer) == pytest.approx([0.5, 5.0])


@pytest.mark.parametrize(("low", "high"), [(0.1, 0.7), (1 / 3, 1 / 7), (3e-4, 5e-5)])
def test_the_programs_own_rates_come_back_bit_for_bit(low, high):
    for share in np.linspace(0.01, 1, 50):
        model = linear()
        optimizer = two_groups(model, low * share, high)
        bench = Bench(trainer(model, optimizer=optimizer))
        with bench.borrowed(learning_rate=1e-5):
            pass
        assert rates(optimizer) == [float(low * share), high]


def test_optimizers_named_as_stateful_are_scaled_along():
    model = linear()
    one, other = SGD([model.weight], lr=0.2, weight_decay=0.1), AdamW([model.bias], lr=0.02, weight_decay=0.3)
    made = trainer(model, optimizer=one, stateful=[other])
    made.learning_rate, made.regularization_scale = 0.1, 10.0
    assert rates(one, other) == pytest.approx([0.1, 0.01])
    assert [o.param_groups[0]["weight_decay"] for o in (one, other)] == pytest.approx([1.0, 3.0])


def test_a_rate_that_is_a_tensor_stays_the_same_tensor():
    rate, model = torch.tensor(0.1), linear()
    optimizer = Adam(model.parameters(), lr=rate)
    made = trainer(model, optimizer=optimizer)
    state = made.save()
    made.learning_rate = 0.5
    assert optimizer.param_groups[0]["lr"] is rate
    assert (made.learning_rate, rate.item()) == (0.5, 0.5)
    made.load(state)
    assert optimizer.param_groups[0]["lr"] is rate
    assert torch.equal(rate, torch.tensor(0.1))


def warm_up(optimizer, *factors):
    LambdaLR(optimizer, [lambda step, factor=factor: factor for factor in factors])
    return optimizer


def test_a_warm_up_from_0_gives_way_to_what_it_goes_back_to():
    model = linear()
    optimizer = warm_up(two_groups(model), 0.0, 0.0)
    made = trainer(model, optimizer=optimizer)
    assert rates(optimizer) == [0.01, 0.1]
    made.learning_rate = 0.1
    assert rates(optimizer) == pytest.approx([0.1, 1.0])


def test_a_group_that_stands_still_on_purpose_goes_on_doing_so():
    model = linear()
    optimizer = warm_up(two_groups(model), 0.0, 1.0)
    made = trainer(model, optimizer=optimizer)
    assert made.learning_rate == 0.1
    made.learning_rate = 0.4
    assert rates(optimizer) == [0.0, 0.4]


def test_rates_of_0_alone_are_left_at_it():
    made = trainer(linear(), optimizer=lambda m: SGD(m.parameters(), lr=0.0))
    assert made.learning_rate == 0.0
    made.learning_rate = 0.5
    assert made.learning_rate == 0.5


class Both:
    """Several optimizers under one name, as frameworks wrap them."""

    def __init__(self, *optimizers):
        self.optimizers = optimizers

    def state_dict(self):
        return [optimizer.state_dict() for optimizer in self.optimizers]

    def load_state_dict(self, state):
        for optimizer, saved in zip(self.optimizers, state, strict=True):
            optimizer.load_state_dict(saved)


def test_groups_are_found_again_once_the_optimizer_has_loaded_its_state():
    """`load_state_dict` replaces an optimizer's groups by new ones."""
    model = linear()
    optimizer = two_groups(model, weight_decay=0.1)
    made = trainer(model, optimizer=optimizer, stateful=[Both(optimizer)])
    made.load(made.save())
    made.learning_rate, made.regularization_scale = 1.0, 2.0
    assert rates(optimizer) == pytest.approx([1.0, 10.0])
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.2, 0.2]
    assert made.learning_rate == 1.0


def test_an_optimizer_that_sets_its_rate_itself_is_refused():
    """With `lr=None`, as Transformers' Adafactor has it: there is no rate to scan."""

    class Relative(SGD):
        def __init__(self, parameters):
            super().__init__(parameters, lr=0.1)
            self.param_groups[0]["lr"] = None

    assert "lr" in message_of(lambda: trainer(linear(), optimizer=lambda m: Relative(m.parameters())))


# Steps


class Normed(nn.Module):
    """Batch norm and dropout, so that a forward pass too many would show."""

    def __init__(self):
        super().__init__()
        self.body = Dropping()
        self.norm = nn.BatchNorm1d(CLASSES)

    def forward(self, x):
        return self.norm(self.body(x))


def bare_steps(model, optimizer, drawn, penalty=lambda: 0.0):
    """The program's own loop."""
    for inputs, targets in drawn:

        def closure(inputs=inputs, targets=targets):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(inputs), targets) + penalty()
            loss.backward()
            return loss

        if isinstance(optimizer, LBFGS):
            optimizer.step(closure)
        else:
            closure()
            optimizer.step()


OPTIMIZERS = {
    "SGD": partial(SGD, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    "Adam": partial(Adam, lr=0.01, weight_decay=0.01, amsgrad=True),
    "AdamW": partial(AdamW, lr=0.01, weight_decay=0.1),
    "RMSprop": partial(RMSprop, lr=0.01, momentum=0.5),
    "LBFGS": partial(LBFGS, lr=0.1, max_iter=3),
    "LBFGS, with a line search": partial(LBFGS, max_iter=2, line_search_fn="strong_wolfe"),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_steps_are_those_of_the_bare_loop_bit_for_bit(optimizer):
    model = Normed()
    twin = copy.deepcopy(model)
    theirs, ours = optimizer(model.parameters()), optimizer(twin.parameters())
    made = trainer(twin, optimizer=ours)
    generator = torch.get_rng_state()
    bare_steps(model, theirs, batches())
    torch.set_rng_state(generator)
    for batch in made.batches():
        assert made.step(batch).updated
    assert module_bits(twin) == module_bits(model)
    assert bits(ours.state_dict()) == bits(theirs.state_dict())


def test_the_loss_of_a_step_is_from_before_it_and_with_this_steps_dropout():
    model = Normed()
    made = trainer(model, optimizer=lambda m: SGD(m.parameters(), lr=1.0, weight_decay=0.3))
    generator = torch.get_rng_state()
    before = made.evaluate((X, Y), training=True)
    assert torch.equal(torch.get_rng_state(), generator)
    step = made.step((X, Y))
    assert (float(step.loss), float(step.penalty)) == (float(before.loss), float(before.penalty))
    assert float(made.evaluate((X, Y), training=True).loss) != float(step.loss)


def clipped(model, optimizer, limit=1e-3):
    def update(loss):
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), limit)
        optimizer.step()
        optimizer.zero_grad()

    return update


def length(named_gradients):
    return torch.stack([g.norm() for g in named_gradients.values()]).norm().item()


def test_clipping_in_update():
    model = linear()
    optimizer = SGD(model.parameters(), lr=0.1)
    made = trainer(model, optimizer=optimizer, update=clipped(model, optimizer))
    before = made.parameters()["weight"].clone()
    gradients = made.gradients((X, Y))[1]
    assert made.step((X, Y)).updated
    share = 1e-3 / length(gradients)
    used = made.last_gradients()
    assert length(used) == pytest.approx(1e-3, rel=1e-3)
    for name, gradient in gradients.items():
        torch.testing.assert_close(used[name], share * gradient, rtol=1e-2, atol=1e-9)
    torch.testing.assert_close(made.parameters()["weight"], before - 0.1 * used["weight"])
    assert model.weight.grad is None


@pytest.mark.parametrize("clears", [True, False])
def test_accumulation_in_update(clears):
    model, calls = linear(), []
    optimizer = SGD(model.parameters(), lr=0.1)

    def update(loss):
        calls.append(loss)
        (loss / 3).backward()
        if len(calls) % 3 == 0:
            optimizer.step()
            if clears:
                optimizer.zero_grad()

    made = trainer(model, optimizer=optimizer, update=update)
    expected = [made.gradients(batch)[1] for batch in batches()]
    assert [made.step(batch).updated for batch in batches()] == [False, False, True]
    for name, gradient in made.last_gradients().items():
        torch.testing.assert_close(gradient, sum(g[name] for g in expected) / 3)


def scaled(model, make, scale=2.0**10, clip=math.inf):
    """A program that scales its loss, as those in half precision do."""
    optimizer = make(model.parameters())
    scaler = torch.amp.GradScaler("cpu", init_scale=scale)

    def update(loss):
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        if math.isfinite(clip):
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        scaler.step(optimizer)
        scaler.update()

    return trainer(model, optimizer=optimizer, update=update, stateful=[scaler]), scaler


FUSED = pytest.mark.parametrize(
    "make", [partial(Adam, lr=0.1), partial(Adam, lr=0.1, fused=True), partial(SGD, lr=0.1)], ids=["", "fused", "SGD"]
)


@FUSED
@pytest.mark.parametrize("clip", [math.inf, 1e6])
def test_loss_scaling_in_update(make, clip):
    made, _ = scaled(linear(), make, clip=clip)
    gradients = made.gradients((X, Y))[1]
    assert made.step((X, Y)).updated
    for name, gradient in made.last_gradients().items():
        torch.testing.assert_close(gradient, gradients[name])


@FUSED
def test_a_step_that_loss_scaling_skips(make):
    model = linear()
    nn.init.zeros_(model.weight)  # so that no class is sure, and no gradient 0
    made, scaler = scaled(model, make, scale=2.0**127)
    state, before = made.save(), bits(dict(model.named_parameters()))
    assert not made.step((X * 1e4, Y)).updated
    assert bits(dict(model.named_parameters())) == before
    assert scaler.get_scale() == 2.0**126
    made.load(state)
    assert scaler.get_scale() == 2.0**127


def test_several_optimizers_in_turn():
    model = nn.Sequential(linear(), nn.Linear(CLASSES, CLASSES))
    pair = [SGD(model[0].parameters(), lr=0.1), Adam(model[1].parameters(), lr=0.01)]

    def update(loss):
        for optimizer in pair:
            optimizer.zero_grad()
        loss.backward()
        for optimizer in pair:
            optimizer.step()

    made = trainer(model, optimizer=pair[0], update=update, stateful=pair[1:])
    twin = copy.deepcopy(model)
    F.cross_entropy(twin(X), Y).backward()
    for optimizer in (SGD(twin[0].parameters(), lr=0.1), Adam(twin[1].parameters(), lr=0.01)):
        optimizer.step()
    gradients = made.gradients((X, Y))[1]
    assert made.step((X, Y)).updated
    assert bits(model.state_dict()) == bits(twin.state_dict())
    assert bits(made.last_gradients()) == bits(gradients)


@pytest.mark.parametrize("foreach", [True, False])
def test_the_last_gradients_are_not_what_an_optimizer_makes_of_them(foreach):
    """With foreach, Nesterov's momentum is added to the gradients in place; on a GPU that is the default."""
    made = trainer(
        linear(), optimizer=lambda m: SGD(m.parameters(), lr=0.1, momentum=0.9, nesterov=True, foreach=foreach)
    )
    for batch in batches():
        gradients = made.gradients(batch)[1]
        made.step(batch)
        assert bits(made.last_gradients()) == bits(gradients)


def test_an_update_that_fails_leaves_no_hook_behind():
    model = linear()
    optimizer = SGD(model.parameters(), lr=0.1)

    def update(loss):
        raise KeyboardInterrupt

    made = trainer(model, optimizer=optimizer, update=update)
    with pytest.raises(KeyboardInterrupt):
        made.step((X, Y))
    assert not optimizer._optimizer_step_pre_hooks
    assert not optimizer._optimizer_step_post_hooks


# Parameters and gradients


def test_parameters_are_the_trainable_ones_and_can_be_set():
    model = nn.Sequential(linear(), nn.Linear(CLASSES, CLASSES))
    model[0].weight.requires_grad_(False)
    held, frozen = model[1].bias, bits(model[0].weight)
    made = trainer(model)
    assert list(made.parameters()) == ["0.bias", "1.weight", "1.bias"]
    assert not any(p.requires_grad for p in made.parameters().values())
    made.set_parameters({"1.bias": np.array([1.0, 2.0, 3.0])})
    assert model[1].bias is held
    assert held.tolist() == [1.0, 2.0, 3.0]
    assert held.requires_grad
    assert bits(model[0].weight) == frozen


def test_a_model_with_nothing_to_train():
    model = linear().requires_grad_(False)
    made = trainer(model)
    assert made.parameters() == made.last_gradients() == {}
    assert made.gradients((X, Y))[1] == {}
    assert float(made.evaluate((X, Y), training=True).loss) == F.cross_entropy(model(X), Y).item()
    made.trace((X, Y), lambda record: None)


def test_gradients_are_autograds_and_none_for_what_the_loss_does_not_reach():
    model = nn.Sequential(linear(), Calling(lambda x: x))
    model.unused = nn.Parameter(torch.ones(2))
    model[0].weight.grad = kept = torch.ones_like(model[0].weight)
    made = trainer(model)
    expected = torch.autograd.grad(F.cross_entropy(model(X), Y), [model[0].weight, model[0].bias])
    output, gradients = made.gradients((X, Y))
    assert bits(gradients) == bits(dict(zip(["0.weight", "0.bias"], expected, strict=True)))
    assert torch.equal(output.scores, model(X))
    assert model[0].weight.grad is kept
    assert torch.equal(kept, torch.ones_like(kept))
    assert model[0].bias.grad is None


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")  # torch's, of an evaluation
@pytest.mark.parametrize("reentrant", [True, False])
def test_gradients_through_checkpoints(reentrant):
    model = Calling(lambda x: checkpoint(model.body, model.map(x), use_reentrant=reentrant))
    model.map, model.body = linear(), nn.Linear(CLASSES, CLASSES)
    made = trainer(model)
    expected = torch.autograd.grad(F.cross_entropy(model.body(model.map(X)), Y), list(model.parameters()))
    gradients = made.gradients((X, Y))[1]
    assert bits(gradients) == bits({n: g for (n, _), g in zip(model.named_parameters(), expected, strict=True)})
    made.trace((X, Y), lambda record: None)
    assert all(p.grad is None for p in model.parameters())


# Modes


def modes_seen(model):
    """The modes of all modules at each forward pass of the first one to come."""
    seen = []
    model.register_forward_pre_hook(lambda module, inputs: seen.append([m.training for m in module.modules()]))
    return seen


@pytest.mark.parametrize("training", [True, False])
def test_parts_frozen_in_evaluation_mode_stay_so(training):
    model = nn.Sequential(linear(), nn.BatchNorm1d(CLASSES), nn.BatchNorm1d(CLASSES))
    model[1].eval()
    made, seen = trainer(model), modes_seen(model)
    made.evaluate((X, Y), training=training)
    assert seen == [[True, True, False, True]] if training else seen == [[False] * 4]
    made.step((X, Y))
    made.gradients((X, Y))
    assert seen[1:] == [[True, True, False, True]] * 2
    assert [m.training for m in model.modules()] == [True, True, False, True]
    assert [int(model[k].num_batches_tracked) for k in (1, 2)] == [0, 1]


@pytest.mark.parametrize("begin", [True, False])
def test_a_model_that_freezes_parts_of_itself(begin):
    class Freezing(nn.Sequential):
        def train(self, mode=True):
            super().train(mode)
            self[1].eval()
            return self

    model = Freezing(linear(), nn.BatchNorm1d(CLASSES)).train(begin)
    made, seen = trainer(model), modes_seen(model)
    assert [m.training for m in model.modules()] == [begin, begin, False]
    made.evaluate((X, Y), training=True)
    made.step((X, Y))
    assert seen == [[True, True, False]] * 2


class Merging(nn.Linear):
    """Low-rank adaptation as loralib has it: `train()` takes the update out of the weights, `eval()` puts it in."""

    def __init__(self):
        super().__init__(FEATURES, CLASSES)
        self.weight.requires_grad_(False)
        self.down, self.up = nn.Parameter(torch.randn(2, FEATURES)), nn.Parameter(torch.randn(CLASSES, 2))
        self.merged = False

    def train(self, mode=True):
        super().train(mode)
        if mode is self.merged:
            self.weight.data += (-1 if mode else 1) * (self.up @ self.down).detach()
            self.merged = not mode
        return self

    def forward(self, x):
        return F.linear(x, self.weight if self.merged else self.weight + self.up @ self.down, self.bias)


def test_a_model_whose_modes_move_its_weights():
    model = Merging()
    made = trainer(model)
    before = model.weight.clone()
    made.evaluate((X, Y))
    made.evaluate((X, Y), training=True)
    torch.testing.assert_close(model.weight, before)
    assert not model.merged
    assert set(made.gradients((X, Y))[1]) == {"down", "up", "bias"}


# Precision and compilation


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_models_of_every_precision(dtype):
    model = Dropping(0.0).to(dtype)
    made = trainer(model, optimizer=lambda m: SGD(m.parameters(), lr=0.1, weight_decay=0.1), train=batches(dtype=dtype))
    batch = first(made)
    output = made.evaluate(batch)
    wide = copy.deepcopy(model).double()
    tolerance = {torch.float16: 1e-2, torch.bfloat16: 5e-2, torch.float32: 1e-6, torch.float64: 1e-14}[dtype]
    assert made.task == Classification(CLASSES)
    assert output.scores.dtype == dtype
    expected = F.cross_entropy(wide(batch[0].double()), batch[1]).item()
    assert float(output.loss) == pytest.approx(expected, rel=tolerance)
    assert float(made.step(batch).loss) == pytest.approx(expected, rel=tolerance)
    assert made.gradients(batch)[1]["first.weight"].dtype == dtype


def test_autocast_in_the_model():
    model = linear()
    forward = torch.autocast("cpu", dtype=torch.bfloat16)(model.forward)
    model.forward = forward
    made, _ = scaled(model, partial(SGD, lr=0.1), clip=1.0)
    output = made.evaluate((X, Y))
    assert output.scores.dtype == torch.bfloat16
    assert torch.equal(output.loss, F.cross_entropy(forward(X), Y))
    assert made.step((X, Y)).updated
    assert {g.dtype for g in made.last_gradients().values()} == {torch.float32}


def test_a_compiled_model_is_measured_through_the_original():
    model = Normed()
    made = trainer(torch.compile(model, backend="eager"), optimizer=SGD(model.parameters(), lr=0.1))
    plain = trainer(copy.deepcopy(model))
    assert list(made.parameters()) == [name for name, _ in model.named_parameters()]
    generator = torch.get_rng_state()
    losses = [float(made.evaluate((X, Y), training=mode).loss) for mode in (True, False)]
    losses += [float(made.step(batch).loss) for batch in batches()]
    torch.set_rng_state(generator)
    expected = [float(plain.evaluate((X, Y), training=mode).loss) for mode in (True, False)]
    expected += [float(plain.step(batch).loss) for batch in batches()]
    assert losses == pytest.approx(expected)
    records = []
    made.trace((X, Y), records.append)
    assert any(record.name == "body.first" for record in records)


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # of torch's own, where a graph is broken
@pytest.mark.parametrize("how", ["a submodule", "in place"])
def test_a_model_compiled_in_part_or_in_place(how):
    body = Dropping()
    model = nn.Sequential(torch.compile(body, backend="eager") if how == "a submodule" else body)
    if how == "in place":
        model.compile(backend="eager")
    made = trainer(model)
    expected = pytest.approx(F.cross_entropy(copy.deepcopy(body).eval()(X), Y).item())
    assert float(made.evaluate((X, Y)).loss) == expected
    assert float(made.evaluate((X, Y), training=True).loss) != expected
    assert made.strengths() == {"dropout": 0.5}
    made.regularization_scale = 0.0
    assert float(made.evaluate((X, Y), training=True).loss) == expected
    assert set(made.gradients((X, Y))[1]) == set(made.parameters())
    assert float(made.step((X, Y)).loss) == expected


# The command


PROGRAM = """\
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from babysit.adapters.pytorch import PyTorchTrainer

torch.set_num_threads(1)

def healthy(width=32):
    targets = torch.arange(240) % 3
    inputs = torch.randn(240, 6)
    inputs[torch.arange(240), targets] += 4
    inputs = (inputs - inputs.mean(0)) / inputs.std(0)
    model = nn.Sequential(nn.Linear(6, width), nn.ReLU(), nn.Dropout(0.1), nn.Linear(width, 3))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=1e-4)
    data = TensorDataset(inputs, targets)
    return PyTorchTrainer(model, nn.CrossEntropyLoss(), optimizer, DataLoader(data, 40, shuffle=True))

def model_alone():
    return nn.Linear(6, 3)
"""


def python(*arguments, folder):
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, cwd=folder)


def test_the_command_on_a_program_in_torch(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    done = python("-m", "babysit", "run", "program.py:healthy", "--format", "json", folder=tmp_path)
    assert done.returncode == 0
    assert done.stderr.startswith("about ")
    report = json.loads(done.stdout)
    assert report["findings"] == []
    states = {result["check"]: result["status"] for result in report["results"]}
    assert set(states.values()) == {"passed"}


def test_the_command_on_a_model_alone(babysit, here):
    (here / "program.py").write_text(PROGRAM)
    done = babysit("run", "program.py:model_alone")
    assert done.code == 3
    assert "without loss, optimizer and data" in done.said


NUMPY_PROGRAM = "from babysit.lab.demo import trainer\n"


@pytest.mark.parametrize("arguments", [("run", "program.py:trainer", "--select", "check-loss,check-reg"), ("rules",)])
def test_nothing_imports_torch_unless_the_target_does(arguments, tmp_path):
    (tmp_path / "program.py").write_text(NUMPY_PROGRAM)
    code = (
        "import sys\n"
        "from babysit.__main__ import main\n"
        f"sys.argv = ['babysit', *{arguments!r}]\n"
        "try:\n    main()\n"
        "except SystemExit as out:\n    code = out.code\n"
        "print(code or 0, [name for name in sys.modules if name.split('.')[0] == 'torch'], file=sys.stderr)\n"
    )
    done = python("-c", code, folder=tmp_path)
    assert done.stderr.splitlines()[-1] == "0 []"

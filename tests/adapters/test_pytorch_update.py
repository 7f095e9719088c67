"""The gradients of an update, kept past it without a copy in every step."""

import pytest
import torch
from pytorch_programs import batches, bits, linear, trainer
from torch.optim import SGD

torch.set_num_threads(1)


def program(clear, **options):
    """Steps, and then clears its gradients in some way."""
    model = linear()
    optimizer = SGD(model.parameters(), lr=0.1, **options)

    def update(loss):
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        clear(model, optimizer)

    return model, trainer(model, optimizer=optimizer, update=update)


def nothing(model, optimizer):
    pass


def to_none(model, optimizer):
    optimizer.zero_grad()


def to_zero(model, optimizer):
    optimizer.zero_grad(set_to_none=False)


def past_autograd(model, optimizer):
    for p in model.parameters():
        p.grad.data.zero_()


CLEARS = [nothing, to_none, to_zero, past_autograd]


@pytest.mark.parametrize("options", [{}, {"momentum": 0.9, "nesterov": True, "foreach": True}])
@pytest.mark.parametrize("clear", CLEARS)
def test_they_are_what_every_step_used(clear, options):
    _, made = program(clear, **options)
    for batch in batches():
        gradients = made.gradients(batch)[1]
        assert made.step(batch).updated
        assert bits(made.last_gradients()) == bits(gradients)


@pytest.mark.parametrize(("clear", "copies"), [(nothing, 0), (to_none, 0), (to_zero, 2), (past_autograd, 2)])
def test_they_are_copied_at_the_first_step_and_where_nothing_else_keeps_them(monkeypatch, clear, copies):
    _, made = program(clear)
    cloned, clone = [], torch.Tensor.clone
    made.step(batches()[0])
    monkeypatch.setattr(torch.Tensor, "clone", lambda x, **options: cloned.append(x.shape) or clone(x, **options))
    made.step(batches()[1])
    assert cloned.count((3, 4)) + cloned.count((3,)) == copies


def test_what_is_overwritten_unexpectedly_is_lost_once():
    ways = iter([nothing, to_zero, to_zero])
    _, made = program(lambda model, optimizer: next(ways)(model, optimizer))
    made.step(batches()[0])
    made.step(batches()[1])
    assert made.last_gradients() == {}
    gradients = made.gradients(batches()[2])[1]
    made.step(batches()[2])
    assert bits(made.last_gradients()) == bits(gradients)


def test_they_are_let_go_of_ahead_of_the_next_forward_pass():
    model, made = program(to_none)
    for batch in batches()[:2]:
        made.step(batch)
    assert made._updates._used.found() is not None
    model.register_forward_pre_hook(lambda *args: seen.append(made._updates._used.found()))
    seen = []
    made.step(batches()[2])
    assert seen == [None]

"""Saved states in memory that is used again, and on the host where a device is short of room."""

import pytest
import torch
from pytorch_programs import CLASSES, FEATURES, batches, bits, trainer
from torch import nn
from torch.optim import SGD, AdamW

from babysit import arrays
from babysit.adapters.pytorch import copies
from babysit.checks import find_checks
from babysit.driving.bench import Bench
from babysit.report import Fact

torch.set_num_threads(1)


def made(optimizer=AdamW):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(FEATURES, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, CLASSES))
    return trainer(model, optimizer=optimizer)


def addresses(state):
    return {path: x.data_ptr() for path, x in arrays.leaves(state) if isinstance(x, torch.Tensor)}


def stepped(program, steps=2):
    for batch in batches()[:steps]:
        program.step(batch)
    return program


def test_saving_into_a_state_uses_its_memory():
    program = stepped(made())
    state = program.save()
    before = addresses(state)
    stepped(program)
    again = program.save_into(state)
    assert bits(again) == bits(program.save())
    after = addresses(again)
    moving = ("parameters", "gradients", "buffers", "optimizer")
    assert all(after[path] == address for path, address in before.items() if path.startswith(moving))


def test_saving_into_a_state_of_another_make_is_saving():
    early = made().save()  # without gradients or averages
    program = stepped(made())
    assert bits(program.save_into(early)) == bits(program.save())
    late = program.save()
    assert bits(made().save_into(late)) == bits(made().save())
    assert bits(stepped(made(SGD)).save_into(program.save())) == bits(stepped(made(SGD)).save())


def test_a_state_that_was_saved_into_is_loaded_bit_for_bit():
    program = stepped(made())
    state = program.save_into(program.save())
    kept = arrays.fingerprints(state)
    stepped(program, 3)
    program.load(state)
    assert arrays.differing(kept, arrays.fingerprints(program.save())) == []
    stepped(program, 3)
    assert arrays.differing(kept, arrays.fingerprints(state)) == []  # load has kept nothing of it


# A device that is short of room; there may be none, so that every tensor of the program pretends


@pytest.fixture
def on_a_device(monkeypatch):
    """Has tensors with an axis stand on a device with so many bytes free, in name."""

    def device_with(free):
        monkeypatch.setattr(copies, "place", lambda x: "cuda:0" if x.ndim else "cpu")
        monkeypatch.setattr(copies, "free", lambda name: free)

    return device_with


@pytest.mark.parametrize(("free", "told"), [(None, False), (0, True), (10**9, False)])
def test_the_host_holds_states_where_the_device_is_short(on_a_device, free, told):
    on_a_device(free)
    program = made()
    state = program.save()
    assert set(state["homes"].values()) == {"cuda:0"}
    assert bool(program.placement) is told
    if told:
        assert program.placement == "on the host: 0 MB, cuda:0 had 0 MB free"


def test_room_for_four_of_it_is_enough(on_a_device):
    program = made()
    held = (*program._module.parameters(), *program._module.buffers())
    size = sum(x.numel() * x.element_size() for x in held if x.ndim)
    on_a_device(copies.ROOM * size)
    program.save()
    assert program.placement == ""
    on_a_device(copies.ROOM * size - 1)
    program.save()
    assert program.placement.startswith("on the host: ")


def test_the_check_says_so(on_a_device):
    on_a_device(300)
    check = find_checks()["check-target"]
    measured = check.measure(Bench(made()), check.settings())
    assert measured.placement == "on the host: 0 MB, cuda:0 had 0 MB free"
    assert Fact("saved states", measured.placement) in list(check.exhibits(measured, check.settings()))
    assert (measured.not_restored, measured.aliased, measured.moved) == ((), "", 6)
    assert measured.first_losses == measured.replayed_losses


def test_free_room_is_the_device_s_and_what_pytorch_holds_unused(monkeypatch):
    class Module:
        memory_reserved = staticmethod(lambda device: 70)
        memory_allocated = staticmethod(lambda device: 50)

    monkeypatch.setattr(torch, "get_device_module", lambda device: Module)
    assert copies.free("cuda:0") is None
    Module.mem_get_info = staticmethod(lambda device: (100, 1000))
    assert copies.free("cuda:0") == 120


def test_without_a_device_nothing_is_told():
    program = stepped(made())
    assert program.save()["homes"] == {}
    assert program.placement == ""

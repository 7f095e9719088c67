import random
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from babysit.seeds import capture, restore, seed_everything


@pytest.fixture(autouse=True)
def _generators_put_back():
    python, numpy = random.getstate(), np.random.get_state()
    yield
    random.setstate(python)
    np.random.set_state(numpy)


def draw():
    return random.random(), np.random.rand(), np.random.randn()


def test_the_same_seed_gives_the_same_numbers(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    seed_everything(7)
    first = draw()
    seed_everything(7)
    assert draw() == first
    seed_everything(8)
    assert draw() != first
    assert "torch" not in sys.modules


def test_they_are_the_generators_that_programs_know():
    seed_everything(0)
    assert random.random() == 0.8444218515250481  # Python's documented Mersenne Twister at seed 0
    assert np.random.rand() == 0.5488135039273248


def test_pytorch_is_seeded_where_it_is_imported(monkeypatch):
    seeds = []
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "torch", SimpleNamespace(manual_seed=seeds.append))
        seed_everything(2**32 - 1)
    assert seeds == [2**32 - 1]


def test_capture_and_restore():
    np.random.randn()  # a second normal number is now cached, and part of the state
    states = capture()
    first = draw(), draw()
    assert (draw(), draw()) != first
    restore(states)
    assert (draw(), draw()) == first
    restore(states)
    assert (draw(), draw()) == first

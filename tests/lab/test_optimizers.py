import numpy as np
import pytest
import torch

from babysit.lab.optimizers import OPTIMIZERS

torch.set_num_threads(1)

CURVATURE = np.array([1.0, 10.0, 0.1])
START = np.array([3.0, -2.0, 1.0])
PEERS = {
    "sgd": torch.optim.SGD,
    "momentum": lambda params, lr: torch.optim.SGD(params, lr, momentum=0.9),
    "nesterov": lambda params, lr: torch.optim.SGD(params, lr, momentum=0.9, nesterov=True),
    "rmsprop": torch.optim.RMSprop,
    "adam": torch.optim.Adam,
}


def descend(name, steps=50, learning_rate=0.01):
    optimizer = OPTIMIZERS[name]
    w, memory = START, optimizer.start({"w": START})["w"]
    path = []
    for _ in range(steps):
        w, memory = optimizer.update(w, CURVATURE * w, memory, learning_rate)
        path.append(w)
    return np.array(path), memory


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_same_path_as_torch_at_a_fixed_learning_rate(name):
    # torch's velocity is ours divided by minus the learning rate, which makes no difference while that stays the same
    w = torch.tensor(START, requires_grad=True)
    peer = PEERS[name]([w], lr=0.01)
    path = []
    for _ in range(50):
        peer.zero_grad()
        (torch.tensor(CURVATURE) * w * w / 2).sum().backward()
        peer.step()
        path.append(w.detach().numpy().copy())
    np.testing.assert_allclose(descend(name)[0], path, rtol=1e-10)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_remembers_what_it_names_in_arrays_of_the_parameters_shape(name):
    _, memory = descend(name, steps=3)
    assert tuple(memory) == OPTIMIZERS[name].remembers
    assert all(array.shape == START.shape for array in memory.values())


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_writes_nothing_in_place(name):
    w, dw = START.copy(), CURVATURE.copy()
    memory = OPTIMIZERS[name].start({"w": w})["w"]
    OPTIMIZERS[name].update(w, dw, memory, 0.1)
    np.testing.assert_array_equal(w, START)
    np.testing.assert_array_equal(dw, CURVATURE)
    assert all(not array.any() for array in memory.values())

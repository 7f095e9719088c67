import itertools

import numpy as np
import pytest
import torch

from babysit.lab.data import gaussian
from babysit.lab.layers import ACTIVATIONS
from babysit.lab.losses import LOSSES
from babysit.lab.network import Design, Network

torch.set_num_threads(1)


def total_loss(network, noise, x, targets):
    network.noise.bit_generator.state = noise  # the same dropout masks each time
    scores = network.forward(x, training=True)[-1].output
    return network.loss(scores, targets)[0] + network.penalty()


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize(
    ("activation", "loss"), [*itertools.product(ACTIVATIONS, ["softmax"]), ("tanh", "hinge"), ("tanh", "squared")]
)
def test_whole_gradient_agrees_with_finite_differences(activation, loss, batch_norm, rng, numerical_gradient):
    design = Design((3, 5, 4, 3), activation, "xavier", "xavier", batch_norm, dropout=0.3, loss=loss, l2=0.1)
    network = Network(design, seed=1)
    for name, w in network.params.items():
        network.params[name] = w + 0.1 * rng.standard_normal(w.shape)  # biases of 0 would sit on the kink of a ReLU
    x = rng.standard_normal((8, 3))
    targets = rng.standard_normal((8, 3)) if loss == "squared" else rng.integers(0, 3, 8)
    noise = network.noise.bit_generator.state
    calls = network.forward(x, training=True)
    gradients, _ = network.backward(calls, network.loss(calls[-1].output, targets)[1])
    for name, decay in network.penalty_gradients().items():
        gradients[name] = gradients[name] + decay

    assert gradients.keys() == network.params.keys()
    for name, gradient in gradients.items():
        expected = numerical_gradient(lambda: total_loss(network, noise, x, targets), network.params[name])
        # a bias ahead of batch norm has no effect: its gradient is 0 but for rounding, hence the absolute tolerance
        np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-9, err_msg=name)


def test_agrees_with_torch_autograd(rng):
    network = Network(Design((4, 6, 5, 3), "tanh", "xavier", "xavier", batch_norm=True, l2=0.1))
    x, labels = rng.standard_normal((10, 4)), rng.integers(0, 3, 10)
    calls = network.forward(x, training=True)
    loss, dscores = network.loss(calls[-1].output, labels)
    gradients, _ = network.backward(calls, dscores)
    there = {name: torch.tensor(w, requires_grad=True) for name, w in network.params.items()}
    h = torch.tensor(x)
    for i in (1, 2):
        h = h @ there[f"affine{i}.W"] + there[f"affine{i}.b"]
        h = torch.nn.functional.batch_norm(h, None, None, there[f"norm{i}.gamma"], there[f"norm{i}.beta"], True)
        h = torch.tanh(h)
    loss_there = torch.nn.functional.cross_entropy(h @ there["affine3.W"] + there["affine3.b"], torch.tensor(labels))
    loss_there.backward()
    assert loss == pytest.approx(loss_there.item(), rel=1e-12)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(gradient, there[name].grad.numpy(), rtol=1e-8, atol=1e-12, err_msg=name)


def test_names_of_layers_and_parameters():
    network = Network(Design((2, 4, 4, 3), "prelu", batch_norm=True, dropout=0.5))
    assert list(network.layers) == [
        *("affine1", "norm1", "prelu1", "dropout1", "affine2", "norm2", "prelu2", "dropout2", "affine3"),
    ]
    assert list(network.params) == [
        *("affine1.W", "affine1.b", "norm1.gamma", "norm1.beta", "prelu1.slope"),
        *("affine2.W", "affine2.b", "norm2.gamma", "norm2.beta", "prelu2.slope", "affine3.W", "affine3.b"),
    ]
    assert list(network.statistics) == ["norm1.mean", "norm1.variance", "norm2.mean", "norm2.variance"]


def test_penalty_is_strength_times_the_sum_of_squares_of_weights_alone():
    network = Network(Design((2, 2, 2), l2=0.5))
    network.params = {"affine1.W": np.array([[1.0, 2.0]]), "affine1.b": np.array([9.0]), "affine2.W": np.array([[3.0]])}
    assert network.penalty() == 7.0
    assert network.penalty(10) == 70.0
    decay = network.penalty_gradients()
    assert list(decay) == ["affine1.W", "affine2.W"]
    np.testing.assert_array_equal(decay["affine1.W"], [[1, 2]])


def test_training_moves_running_statistics_and_evaluation_does_not(rng):
    network = Network(Design((2, 4, 3), batch_norm=True))
    before = dict(network.statistics)
    network.forward(rng.standard_normal((8, 2)))
    assert network.statistics == before
    network.forward(rng.standard_normal((8, 2)), training=True)
    assert all((network.statistics[name] != before[name]).all() for name in before)


def test_same_seed_same_weights():
    one, same, other = (Network(Design((2, 4, 3)), seed).params["affine1.W"] for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, same)
    assert (one != other).all()


# The lecture's own numbers (CS231n, lecture 6).


def two_layers(loss, l2=0.0):
    """3072 pixels, 50 units, 10 classes, weights of 0.0001, as the lecture's `init_two_layer_model`."""
    network = Network(Design((3072, 50, 10), initialization="small-normal", loss=loss, l2=l2))
    network.params = {name: 0.01 * w for name, w in network.params.items()}
    rng = np.random.default_rng(0)
    scores = network.forward(gaussian(rng, 200, 3072))[-1].output
    return network, network.loss(scores, rng.integers(0, 10, 200))[0]


def test_softmax_over_10_classes_starts_at_2_3026():
    assert two_layers("softmax")[1] == pytest.approx(2.302585, abs=1e-5)


def test_softmax_with_the_named_small_weights_starts_between_2_302_and_2_303():
    rng = np.random.default_rng(0)
    network = Network(Design((100, 50, 10), initialization="small-normal"))
    scores = network.forward(gaussian(rng, 1000, 100))[-1].output
    assert 2.302 < network.loss(scores, rng.integers(0, 10, 1000))[0] < 2.303


def test_strength_of_1000_raises_the_loss_by_the_sum_of_squares():
    network, loss = two_layers("softmax", l2=1e3)
    squares = sum(float((network.params[name] ** 2).sum()) for name in ("affine1.W", "affine2.W"))
    assert network.penalty() == pytest.approx(1e3 * squares, rel=1e-12)
    # 154,100 weights of deviation 0.0001; the slide's 3.0686 is half of that, by a 0.5 in the lecture's code
    assert loss + network.penalty() == pytest.approx(2.3026 + 1.541, abs=0.02)
    assert loss + network.penalty() / 2 == pytest.approx(3.0686, abs=0.01)


def test_hinge_over_10_classes_starts_at_9():
    assert two_layers("hinge")[1] == pytest.approx(9, abs=1e-3)


SEEDS = range(4)
# (activation, initialization) -> {layer: (the lecture's standard deviation, relative tolerance)}
TABLES = {
    ("tanh", "small-normal"): {1: (0.213, 0.01), 2: (0.0476, 0.01), 3: (0.0106, 0.02)},
    ("tanh", "large-normal"): dict.fromkeys(range(1, 11), (0.9817, 0.001)),
    ("tanh", "xavier"): {1: (0.628, 0.003), 2: (0.486, 0.006), 3: (0.408, 0.009), 10: (0.228, 0.027)},
    ("relu", "xavier"): {1: (0.582, 0.007), 2: (0.404, 0.036), 3: (0.277, 0.08), 10: (0.026, 0.4)},
    ("relu", "he"): {1: (0.825, 0.007)},
}


def deviations(activation, initialization):
    """Standard deviation of the ten layers' outputs, shape (seeds, 10)."""
    rows = []
    for seed in SEEDS:
        network = Network(Design((500,) * 11 + (1,), activation, initialization), seed)
        calls = network.forward(gaussian(np.random.default_rng(100 + seed)))
        rows.append([call.output.std() for call in calls if call.layer.kind == activation])
    return np.array(rows)


@pytest.mark.parametrize(("activation", "initialization"), TABLES)
def test_ten_layers_have_the_lectures_deviations(activation, initialization):
    found = deviations(activation, initialization).mean(axis=0)
    for layer, (expected, tolerance) in TABLES[activation, initialization].items():
        assert found[layer - 1] == pytest.approx(expected, rel=tolerance), f"layer {layer}"
    if initialization == "small-normal":
        assert found[9] < 1e-6
    if initialization == "he":
        assert 0.7 < found[9] < 1.0


def test_every_loss_has_a_design():
    assert all(Network(Design((2, 2), loss=name)).loss is LOSSES[name] for name in LOSSES)

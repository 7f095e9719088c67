import numpy as np
import pytest
import torch

from babysit.lab.initializers import INITIALIZERS
from babysit.lab.layers import ACTIVATIONS, Affine, BatchNorm, Dropout, Maxout, Pieces, PReLU, elu, leaky_relu, sigmoid

torch.set_num_threads(1)


def relative_error(a, b):
    return np.linalg.norm(a - b) / max(np.linalg.norm(a) + np.linalg.norm(b), 1e-300)


def arrays_of(layer, rng):
    """The layer's parameters moved off their starting values, and running statistics where it has them."""
    own = {name: w + 0.1 * rng.standard_normal(w.shape) for name, w in layer.initial(rng).items()}
    if isinstance(layer, BatchNorm):
        own |= {"mean": rng.standard_normal(layer.units), "variance": rng.uniform(0.5, 2, layer.units)}
    return own


LAYERS = {
    "affine": (Affine(4, 3, INITIALIZERS["xavier"]), (6, 4)),
    "batch-norm": (BatchNorm(4), (6, 4)),
    "pieces": (Pieces(2), (6, 4)),
    **{name: (make(), (6, 4, 3) if name == "maxout" else (6, 4)) for name, make in ACTIVATIONS.items()},
}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", LAYERS)
def test_gradients_agree_with_finite_differences(name, training, rng, numerical_gradient):
    layer, shape = LAYERS[name]
    x, own = rng.standard_normal(shape), arrays_of(layer, rng)
    out, cache = layer.forward(x, own, training)
    dout = rng.standard_normal(out.shape)
    dx, gradients = layer.backward(dout, cache)

    def projected():
        return float(np.sum(layer.forward(x, own, training)[0] * dout))

    assert gradients.keys() == layer.initial(rng).keys()
    assert relative_error(dx, numerical_gradient(projected, x)) < 1e-8
    for parameter, gradient in gradients.items():
        assert relative_error(gradient, numerical_gradient(projected, own[parameter])) < 1e-8


@pytest.mark.parametrize(
    ("name", "peer"),
    [
        ("sigmoid", torch.sigmoid),
        ("tanh", torch.tanh),
        ("relu", torch.relu),
        ("leaky-relu", torch.nn.functional.leaky_relu),
        ("prelu", lambda x: torch.nn.functional.prelu(x, torch.full((1,), 0.25, dtype=torch.float64))),
        ("elu", torch.nn.functional.elu),
        ("maxout", lambda x: x.amax(dim=2)),
    ],
)
def test_activations_agree_with_torch(name, peer, rng):
    layer, shape = LAYERS[name]
    x = 3 * rng.standard_normal(shape)
    out, cache = layer.forward(x, layer.initial(rng), True)
    dout = rng.standard_normal(out.shape)
    x_there = torch.tensor(x, requires_grad=True)
    there = peer(x_there)
    there.backward(torch.tensor(dout))
    np.testing.assert_allclose(out, there.detach().numpy(), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(layer.backward(dout, cache)[0], x_there.grad.numpy(), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_agrees_with_torch(training, rng):
    layer = BatchNorm(5)
    x, own = 3 + 2 * rng.standard_normal((7, 5)), arrays_of(layer, rng)
    out, cache = layer.forward(x, own, training)
    dout = rng.standard_normal(out.shape)
    dx, gradients = layer.backward(dout, cache)
    there = {name: torch.tensor(array) for name, array in own.items()}
    gamma, beta = there["gamma"].requires_grad_(), there["beta"].requires_grad_()
    x_there = torch.tensor(x, requires_grad=True)
    # the course's momentum is the share kept, torch's the share taken in
    normed = torch.nn.functional.batch_norm(
        x_there, there["mean"], there["variance"], gamma, beta, training, momentum=0.1, eps=1e-5
    )
    normed.backward(torch.tensor(dout))
    np.testing.assert_allclose(out, normed.detach().numpy(), rtol=1e-10)
    np.testing.assert_allclose(dx, x_there.grad.numpy(), rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(gradients["gamma"], gamma.grad.numpy(), rtol=1e-10)
    np.testing.assert_allclose(gradients["beta"], beta.grad.numpy(), rtol=1e-10)
    if training:
        moved = layer.moved_statistics(x, own)
        np.testing.assert_allclose(moved["mean"], there["mean"].numpy(), rtol=1e-12)
        np.testing.assert_allclose(moved["variance"], there["variance"].numpy(), rtol=1e-12)


def test_batch_norm_gives_mean_0_and_variance_1_at_the_start(rng):
    layer = BatchNorm(4)
    out, _ = layer.forward(5 + 10 * rng.standard_normal((1000, 4)), layer.initial(rng), True)
    np.testing.assert_allclose(out.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(out.var(axis=0), 1, atol=1e-6)


def test_dropout_keeps_the_mean_and_drops_its_share():
    layer = Dropout(0.3, np.random.default_rng(0))
    out, mask = layer.forward(np.ones((1000, 100)), {}, True)
    assert set(np.unique(out)) == {0.0, 1 / 0.7}
    assert np.mean(out == 0) == pytest.approx(0.3, abs=3 * (0.3 * 0.7 / 1e5) ** 0.5)  # three sigma
    np.testing.assert_array_equal(layer.backward(np.full(out.shape, 2.0), mask)[0], 2 * mask)


def test_dropout_does_nothing_outside_of_training():
    noise = np.random.default_rng(0)
    before = noise.bit_generator.state
    x = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(Dropout(0.5, noise).forward(x, {}, False)[0], x)
    assert noise.bit_generator.state == before


def test_maxout_gives_the_gradient_to_the_winner_alone():
    x = np.array([[[1.0, 3.0], [5.0, 4.0]]])  # one example, two units, two pieces
    out, cache = Maxout().forward(x, {}, True)
    np.testing.assert_array_equal(out, [[3, 5]])
    np.testing.assert_array_equal(Maxout().backward(np.array([[7.0, 8.0]]), cache)[0], [[[0, 7], [8, 0]]])


def test_pieces_of_a_unit_lie_side_by_side():
    out, _ = Pieces(2).forward(np.array([[1.0, 2.0, 3.0, 4.0]]), {}, True)
    np.testing.assert_array_equal(out, [[[1, 2], [3, 4]]])


def test_slopes_below_zero():
    x = np.array([[-2.0, 3.0]])
    np.testing.assert_allclose(leaky_relu().forward(x, {}, True)[0], [[-0.02, 3]])
    np.testing.assert_allclose(PReLU().forward(x, {"slope": np.array([0.5])}, True)[0], [[-1, 3]])
    np.testing.assert_allclose(elu(2.0).forward(x, {}, True)[0], [[2 * (np.exp(-2) - 1), 3]])


def test_extreme_inputs_neither_overflow_nor_warn():
    np.testing.assert_allclose(sigmoid(np.array([-1e4, 0, 1e4])), [0, 0.5, 1])
    np.testing.assert_allclose(elu().forward(np.array([-1e4, 1e4]), {}, True)[0], [-1, 1e4])


def test_batch_norm_with_the_batchs_own_spread_and_mean_gives_back_its_input(rng):
    """The lecture's identity: with gamma the spread and beta the mean, batch norm has learned to do nothing."""
    layer = BatchNorm(4)
    x = 5 + 10 * rng.standard_normal((50, 4))
    own = {"gamma": np.sqrt(x.var(axis=0) + layer.epsilon), "beta": x.mean(axis=0)}
    np.testing.assert_allclose(layer.forward(x, own, True)[0], x, rtol=1e-12)
    running = {**own, "mean": x.mean(axis=0), "variance": x.var(axis=0)}
    np.testing.assert_allclose(layer.forward(x, running, False)[0], x, rtol=1e-12)

import numpy as np
import pytest

from babysit.lab.initializers import INITIALIZERS


@pytest.mark.parametrize(
    ("name", "deviation"),
    [
        ("small-normal", 0.01),
        ("large-normal", 1.0),
        ("xavier", (1 / 400) ** 0.5),
        ("xavier-sigmoid", 4 * (1 / 400) ** 0.5),
        ("he", (2 / 400) ** 0.5),
    ],
)
def test_normal_weights_have_their_deviation(name, deviation, rng):
    weights = INITIALIZERS[name](rng, 400, 1000)
    assert weights.shape == (400, 1000)
    assert weights.std() == pytest.approx(deviation, rel=3 / (2 * weights.size) ** 0.5)  # three sigma
    assert weights.mean() == pytest.approx(0, abs=3 * deviation / weights.size**0.5)


@pytest.mark.parametrize(("name", "value"), [("zeros", 0.0), ("constant", 0.01)])
def test_equal_weights(name, value, rng):
    np.testing.assert_array_equal(INITIALIZERS[name](rng, 2, 3), np.full((2, 3), value))

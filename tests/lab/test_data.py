import numpy as np

from babysit.lab.data import blobs, gaussian, spiral


def test_spiral_is_the_courses(rng):
    inputs, labels = spiral(rng)
    assert inputs.shape == (300, 2)
    np.testing.assert_array_equal(labels, np.repeat([0, 1, 2], 100))
    radii = np.linalg.norm(inputs, axis=1)
    np.testing.assert_allclose(radii, np.tile(np.linspace(0, 1, 100), 3), atol=1e-12)
    noise = np.random.default_rng(0).standard_normal(300)
    k = 2 * 100 + 50  # a point of the third arm
    turn = np.linspace(8, 12, 100)[50] + 0.2 * noise[k]
    np.testing.assert_allclose(inputs[k], [radii[k] * np.sin(turn), radii[k] * np.cos(turn)], rtol=1e-12)


def test_spiral_can_begin_off_the_center(rng):
    inputs, labels = spiral(rng, points=7, classes=4, inner=0.5)
    assert inputs.shape == (28, 2)
    assert np.linalg.norm(inputs, axis=1).min() > 0.5 - 1e-12
    assert np.bincount(labels).tolist() == [7, 7, 7, 7]


def test_gaussian_is_the_lectures_input(rng):
    x = gaussian(rng)
    assert x.shape == (1000, 500)
    assert abs(x.std() - 1) < 3 / (2 * x.size) ** 0.5  # three sigma


def test_blobs_lie_around_centers_at_their_distance(rng):
    inputs, labels = blobs(rng, points=400, classes=3, features=4, distance=5.0)
    assert inputs.shape == (1200, 4)
    for label in range(3):
        cloud = inputs[labels == label]
        assert abs(np.linalg.norm(cloud.mean(axis=0)) - 5) < 3 / 400**0.5 * 2  # four features: twice one feature's
        np.testing.assert_allclose(cloud.std(axis=0), 1, atol=0.15)

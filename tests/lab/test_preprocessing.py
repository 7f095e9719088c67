import numpy as np
import pytest

from babysit.lab.preprocessing import channel_mean, mean_image, normalization, pca, whitening, zero_centering


@pytest.fixture
def correlated(rng):
    mixing = np.array([[2.0, 1.0, 0.0], [0.0, 1.0, 0.5], [0.0, 0.0, 0.1]])
    return [5.0, -3.0, 1.0] + rng.standard_normal((500, 3)) @ mixing


@pytest.fixture
def images(rng):
    return rng.uniform(0, 255, (20, 4, 5, 3))


def covariance(x):
    return np.cov(x, rowvar=False, bias=True)


def test_zero_centering(correlated):
    out = zero_centering(correlated)(correlated)
    np.testing.assert_allclose(out.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(out.std(axis=0), correlated.std(axis=0))


def test_normalization(correlated):
    out = normalization(correlated)(correlated)
    np.testing.assert_allclose(out.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(out.std(axis=0), 1)


def test_normalization_makes_a_constant_feature_zero():
    x = np.array([[7.0, 1.0], [7.0, 3.0]])
    np.testing.assert_array_equal(normalization(x)(x), [[0, -1], [0, 1]])


def test_pca_decorrelates_with_the_largest_variance_first(correlated):
    out = covariance(pca(correlated, 3)(correlated))
    variances = np.diag(out)
    np.testing.assert_allclose(out, np.diag(variances), atol=1e-12)
    np.testing.assert_allclose(variances, sorted(np.linalg.eigvalsh(covariance(correlated)), reverse=True))


def test_pca_keeps_the_first_components(correlated):
    np.testing.assert_array_equal(pca(correlated, 2)(correlated), pca(correlated, 3)(correlated)[:, :2])


def test_whitened_covariance_is_the_identity(correlated):
    np.testing.assert_allclose(covariance(whitening(correlated, epsilon=0)(correlated)), np.eye(3), atol=1e-10)


def test_whitening_damps_axes_that_hold_less_than_epsilon():
    x = np.array([[1.0, 0.0], [-1.0, 0.0]])  # no variance along the second axis
    np.testing.assert_allclose(np.abs(whitening(x)(x)), [[1, 0], [1, 0]], rtol=1e-5)


def test_mean_image_and_channel_mean(images):
    assert mean_image(images).mean.shape == (4, 5, 3)
    np.testing.assert_allclose(mean_image(images)(images).mean(axis=0), 0, atol=1e-12)
    assert channel_mean(images).mean.shape == (3,)
    np.testing.assert_allclose(channel_mean(images)(images).mean(axis=(0, 1, 2)), 0, atol=1e-12)


@pytest.mark.parametrize("fit", [zero_centering, normalization, whitening, lambda train: pca(train, 2)])
def test_fitted_on_train_alone(fit, correlated):
    transform = fit(correlated)
    other_split = correlated[:50] + 100
    out = transform(other_split)
    assert abs(out.mean(axis=0)).max() > 1  # not centered by its own mean
    np.testing.assert_allclose(out[:1], transform(other_split[:1]))  # nor does one example depend on the others

"""The guide itself, and blurred."""

import numpy as np

from sdedit_jax.baselines.filters import gaussian_blur, keep


def test_the_guide_is_kept():
    x_guide = np.random.default_rng(0).uniform(-1, 1, (2, 8, 8, 3)).astype(np.float32)
    np.testing.assert_array_equal(keep(x_guide), x_guide)


def test_blur_spreads_a_point_by_its_radius():
    point = np.full((2, 41, 41, 3), -1.0, np.float32)
    point[0, 20, 20] = 1.0
    x = gaussian_blur(point, 2.0)
    assert x.dtype == np.float32 and x.shape == point.shape
    np.testing.assert_array_equal(x[1], point[1])
    weights = (x[0, ..., 0] + 1) / 2
    variance = (weights.sum(1) * (np.arange(41) - 20) ** 2).sum() / weights.sum()
    np.testing.assert_allclose(np.sqrt(variance), 2.0, rtol=0.15)  # a peak of 10 bytes, rounded to bytes


def test_flat_areas_stay_and_the_mean_too():
    x_guide = np.where(np.arange(64)[None, None, :, None] < 32, -0.2, 0.6) * np.ones((1, 64, 1, 3))
    x = gaussian_blur(x_guide.astype(np.float32), 1.5)
    byte = 1 / 127.5
    np.testing.assert_allclose(x[:, :, :24], -0.2, atol=byte / 2 + 1e-6)
    np.testing.assert_allclose(x.mean(), 0.2, atol=byte)

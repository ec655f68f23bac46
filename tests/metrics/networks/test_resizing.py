import numpy as np
import pytest

from sdedit_jax.metrics import MetricError
from sdedit_jax.metrics.networks.resizing import RESIZES, resize


def images(size=8, width=None):
    return np.random.default_rng(0).integers(0, 256, (2, size, width or size, 3), dtype=np.uint8)


@pytest.mark.parametrize("mode", RESIZES)
def test_a_picture_of_the_right_size_is_left_alone(mode):
    np.testing.assert_array_equal(resize(images(), 8, mode), images())


@pytest.mark.parametrize("mode", RESIZES)
@pytest.mark.parametrize("size", [5, 16])
def test_flat_pictures_stay_flat_and_pictures_do_not_mix(mode, size):
    flat = np.full((1, 8, 12, 3), (3, 128, 250), np.uint8)
    resized = resize(flat, size, mode)
    assert resized.shape == (1, size, size, 3) and resized.dtype == np.float32
    np.testing.assert_allclose(resized, np.broadcast_to(flat[:, :1, :1], resized.shape), atol=1e-4)  # float32 of 250
    both = resize(images(), size, mode)
    np.testing.assert_array_equal(both[1:], resize(images()[1:], size, mode))
    assert both.min() >= 0 and both.max() <= 255


def test_the_legacy_grid_begins_at_the_corner():
    ramp = np.arange(4, dtype=np.uint8).reshape(1, 1, 4, 1).repeat(4, axis=1).repeat(3, axis=3)
    found = resize(ramp, 8, "legacy_tensorflow")
    # Output pixel i lies at i / 2; beyond the last pixel there is only the last pixel.
    np.testing.assert_array_equal(found[0, 5, :, 1], [0, 0.5, 1, 1.5, 2, 2.5, 3, 3])
    # Downwards it takes every other pixel, whatever lies between them: no antialiasing.
    np.testing.assert_array_equal(resize(images(), 4, "legacy_tensorflow"), images()[:, ::2, ::2])


def test_the_clean_grid_is_centred_and_antialiased():
    ramp = (10 * np.arange(16, dtype=np.uint8)).reshape(1, 1, 16, 1).repeat(16, axis=1).repeat(3, axis=3)
    middle = resize(ramp, 8, "clean")[0, 4, 2:-2, 0]
    np.testing.assert_allclose(middle, 5 + 20 * np.arange(2, 6), atol=0.01)  # PIL's weights have 1e-4 of 100
    stripes = np.zeros((1, 16, 16, 3), np.uint8)
    stripes[:, :, ::2] = 200
    assert np.ptp(resize(stripes, 4, "clean")[0, :, 1:-1]) < 10 < np.ptp(resize(stripes, 5, "legacy_tensorflow"))


def test_another_mode_is_explained():
    with pytest.raises(MetricError, match="clean, legacy_tensorflow, got 'nearest'"):
        resize(images(), 4, "nearest")

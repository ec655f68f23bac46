"""What a picture shows is kept when it becomes square: its centre by a crop, all of it by a resize."""

import numpy as np
import pytest

from sdedit_jax import images
from sdedit_jax.data.sources.fitting import Fit

SIZE = 8


def thirds(height, width):
    """(height, width, 3) in [-1, 1]: -1, 0 and 1 from left to right."""
    return np.broadcast_to((np.arange(width) * 3 // width - 1.0)[:, None], (height, width, 3)).astype(np.float32)


def test_a_crop_shows_the_centre_and_a_resize_everything():
    x = thirds(24, 72)
    np.testing.assert_array_equal(Fit(SIZE, "crop")(x), np.zeros((SIZE, SIZE, 3)))
    resized = Fit(SIZE, "resize")(x)
    assert resized.shape == (SIZE, SIZE, 3)
    # The border columns lie three pixels of the source and more inside their third, beyond the filter's overshoot.
    np.testing.assert_allclose(resized[:, [0, -1], 0], np.broadcast_to([-1.0, 1.0], (SIZE, 2)), atol=0.1)
    np.testing.assert_array_equal(Fit(SIZE, "crop")(x.transpose(1, 0, 2)), np.zeros((SIZE, SIZE, 3)))


def test_scaling_is_that_of_guides():
    x = np.random.default_rng(0).uniform(-1, 1, (40, 24, 3)).astype(np.float32)
    np.testing.assert_array_equal(Fit(SIZE)(x), images.fit_to_model(x[8:32], SIZE, multiple=1))


def test_scaling_does_not_alias():
    x = np.random.default_rng(0).uniform(-1, 1, (256, 256, 3)).astype(np.float32)
    # Lanczos averages 32 x 32 values or more: the deviation of noise, 1 / sqrt(3), falls by about 1 / 32.
    assert Fit(SIZE)(x).std() < 1.5 / np.sqrt(3) / 32


@pytest.mark.parametrize("method", ["crop", "resize"])
def test_a_picture_of_the_size_is_returned_as_it_is(method):
    x = np.random.default_rng(0).uniform(-1, 1, (SIZE, SIZE, 3)).astype(np.float32)
    np.testing.assert_array_equal(Fit(SIZE, method)(x), x)
    assert Fit(None, method)(x[:5]).shape == (5, SIZE, 3)


def test_impossible_ones_are_refused():
    with pytest.raises(ValueError, match="fit must be crop or resize, got 'stretch'"):
        Fit(SIZE, "stretch")
    with pytest.raises(ValueError, match="image_size must be 1 pixel or more, got 0"):
        Fit(0)

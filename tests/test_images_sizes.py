import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdedit_jax.images import ImageError, fit_mask_to_model, fit_to_model, restore_size
from sdedit_jax.pixels import from_uint8

sides = st.integers(1, 200)


def random_picture(*shape):
    return from_uint8(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))


@settings(max_examples=100, deadline=None)
@given(height=sides, width=sides, image_size=st.sampled_from([16, 32, 64]), multiple=st.sampled_from([1, 4, 8, 16]))
def test_fitted_sizes_follow_the_rule(height, width, image_size, multiple):
    image = np.zeros((height, width, 3), np.float32)
    short, long = sorted((height, width))
    if long > 4 * short:
        with pytest.raises(ImageError, match=f"at most 4 times its short side, got {width} x {height} pixels"):
            fit_to_model(image, image_size, multiple)
        return
    fitted = fit_to_model(image, image_size, multiple)
    assert min(fitted.shape[:2]) == image_size
    assert fitted.shape[0] % multiple == fitted.shape[1] % multiple == 0
    assert abs(max(fitted.shape[:2]) - image_size * long / short) <= multiple / 2  # the nearest multiple
    assert (fitted.shape[0] >= fitted.shape[1]) == (height >= width) or fitted.shape[0] == fitted.shape[1]
    assert fit_mask_to_model(image[..., :1], image_size, multiple).shape == (*fitted.shape[:2], 1)


def test_a_picture_that_fits_keeps_its_bits():
    x = random_picture(16, 24, 3)
    np.testing.assert_array_equal(fit_to_model(x, 16, 8), x)


def test_fitting_stays_in_range_and_is_antialiased():
    board = np.indices((64, 64)).sum(axis=0) % 2 * 2.0 - 1.0  # every pixel of one colour has neighbours of the other
    edge = np.where(np.arange(64) < 32, -1.0, 1.0) * np.ones((64, 1))
    fitted = fit_to_model(np.stack([board, edge], axis=-1), 16, 8)
    assert fitted.dtype == np.float32 and np.abs(fitted).max() <= 1.0  # Lanczos alone would overshoot at the edge
    # Averaging cancels the board; picking pixels would leave it at +-1. At the border fewer neighbours cancel.
    assert np.abs(fitted[4:-4, 4:-4, 0]).max() < 0.05


def test_fitting_does_not_round_to_bytes():
    ramp = np.linspace(-1, 1, 4096, dtype=np.float32).reshape(1, -1, 1) * np.ones((1024, 1, 3), np.float32)
    assert len(np.unique(fit_to_model(ramp, 256, 1))) > 256


def test_a_fitted_mask_is_the_area_that_may_change():
    mask = np.zeros((8, 8, 1), np.float32)
    mask[:4, :2] = 1.0
    mask[4, 4] = 1.0
    np.testing.assert_array_equal(fit_mask_to_model(mask, 2, 1)[..., 0], [[0.5, 0.0], [0.0, 1 / 16]])


@settings(max_examples=50, deadline=None)
@given(height=sides, width=sides, seed=st.integers(0, 2**32 - 1))
def test_restored_pictures_keep_the_kept_pixels_bit_for_bit(height, width, seed):
    rng = np.random.default_rng(seed)
    x_guide = rng.uniform(-1, 1, (height, width, 3)).astype(np.float32)
    mask = rng.choice(np.array([0.0, 0.3, 1.0], np.float32), (height, width, 1))
    x = restore_size(rng.uniform(-3, 3, (8, 8, 3)).astype(np.float32), x_guide, mask)
    assert x.dtype == np.float32 and np.abs(x).max() <= 1.0
    np.testing.assert_array_equal(np.where(mask == 0, x, 0), np.where(mask == 0, x_guide, 0))
    assert (x != x_guide)[mask[..., 0] > 0].all()


def test_an_edit_of_the_guides_size_is_taken_as_it_is():
    x_edit, x_guide = random_picture(8, 8, 3), np.zeros((8, 8, 3), np.float32)
    np.testing.assert_array_equal(restore_size(x_edit, x_guide, np.ones((8, 8, 1), np.float32)), x_edit)


def test_down_and_up_again_is_close_for_a_smooth_picture():
    y, x = np.mgrid[:96, :128] / 128
    smooth = np.stack([np.sin(3 * x), np.cos(2 * y), x * y], axis=-1).astype(np.float32)
    restored = restore_size(fit_to_model(smooth, 48, 8), smooth, np.ones((96, 128, 1), np.float32))
    # Interpolation errs by about curvature * pixel^2, 9 * (1 / 64)^2; one-sided at the border: a whole slope * pixel.
    assert np.abs(restored - smooth)[4:-4, 4:-4].max() < 9 / 64**2
    assert np.abs(restored - smooth).max() < 3 / 64


def test_restore_size_refuses_a_mask_of_another_size():
    with pytest.raises(ValueError, match="mask is 5 x 4 pixels .* but the guide is 7 x 6 pixels"):
        restore_size(np.zeros((8, 8, 3)), np.zeros((6, 7, 3)), np.ones((4, 5, 1)))

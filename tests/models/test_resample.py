"""Resampling: the published numbers, and laws of linear filters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sdedit_jax.models.layers import Downsample, Upsample
from sdedit_jax.models.resample import (
    depth_to_space,
    fir_downsample,
    fir_filter,
    fir_upsample,
    mean_downsample,
    nearest_upsample,
    space_to_depth,
)

RAMP = jnp.arange(16.0).reshape(1, 4, 4, 1)


def test_fir_upsample_published_numbers():
    rows = [
        [0, 0.1875, 0.5625, 0.9375, 1.3125, 1.6875, 2.0625, 1.6875],
        [0.75, 1.25, 1.75, 2.25, 2.75, 3.25, 3.75, 3.0],
    ]
    np.testing.assert_array_equal(jax.jit(fir_upsample)(RAMP)[0, :2, :, 0], rows)  # all are sums of a few powers of two


def test_fir_downsample_published_numbers():
    np.testing.assert_array_equal(jax.jit(fir_downsample)(RAMP)[0, :, :, 0], [[2.734375, 3.9375], [7.546875, 8.75]])


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (Downsample(1, fir=True), [[15.7203121, 17.3515625], [21.2703133, 21.0640621]]),
        (Upsample(1, fir=True), [[1.78125, 3.125, 4.60625, 6.14375, 7.68125, 9.21875, 9.33125, 6.81875]]),
    ],
    ids=["down", "up"],
)
def test_fir_with_convolution_published_numbers(layer, expected):
    kernel = jnp.arange(9.0).reshape(3, 3, 1, 1) / 10.0
    y = jax.jit(layer.apply)({"params": {"conv": {"kernel": kernel, "bias": jnp.zeros(1)}}}, RAMP)
    np.testing.assert_allclose(y[0, : len(expected), :, 0], expected, rtol=1e-6)  # float32


@pytest.mark.parametrize("padding", [1, 2])
@pytest.mark.parametrize("stride", [1, 2])
def test_fir_filter_is_a_two_dimensional_correlation(new_key, padding, stride):
    x = jax.random.normal(new_key(), (2, 6, 10, 3))
    taps = np.array([1.0, 3.0, 3.0, 1.0])
    padded = np.pad(np.asarray(x, np.float64), ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (4, 4), axis=(1, 2))[:, ::stride, ::stride]
    expected = np.einsum("bhwcij,i,j->bhwc", windows, taps, taps) / 64.0
    y = jax.jit(fir_filter, static_argnames=("padding", "stride"))(x, padding=padding, stride=stride)
    np.testing.assert_allclose(y, expected, atol=1e-6)  # float32


def test_fir_up_and_down_are_adjoint(new_key):
    """<up(x), y> = 4 <x, down(y)>: they are one filter, with gain 4 on the way up."""
    x, y = jax.random.normal(new_key(), (1, 4, 6, 2)), jax.random.normal(new_key(), (1, 8, 12, 2))
    up, down = jax.jit(fir_upsample)(x), jax.jit(fir_downsample)(y)
    np.testing.assert_allclose(np.vdot(up, y), 4.0 * np.vdot(x, down), rtol=1e-5)  # float32 sums of 200 terms


def test_borders_fade_and_the_inside_keeps_constants():
    ones = jnp.ones((1, 8, 8, 1))
    for resample, edge in ((fir_upsample, 3 / 4), (fir_downsample, 7 / 8)):
        row = np.asarray(jax.jit(resample)(ones)[0, 2, :, 0])
        np.testing.assert_array_equal(row[1:-1], 1.0)
        np.testing.assert_array_equal(row[[0, -1]], edge)


def test_nearest_and_mean(new_key):
    x = jax.random.normal(new_key(), (2, 3, 5, 4))
    np.testing.assert_array_equal(nearest_upsample(x)[:, 1::2, ::2], x)
    np.testing.assert_allclose(mean_downsample(nearest_upsample(x)), x, rtol=1e-6)  # a sum of four float32


@pytest.mark.parametrize("patch_size", [1, 2, 4])
def test_depth_to_space_undoes_space_to_depth(new_key, patch_size):
    x = jax.random.normal(new_key(), (2, 8, 12, 3))
    patches = space_to_depth(x, patch_size)
    assert patches.shape == (2, 8 // patch_size, 12 // patch_size, 3 * patch_size**2)
    np.testing.assert_array_equal(depth_to_space(patches, patch_size), x)
    np.testing.assert_array_equal(patches[0, 0, 0], x[0, :patch_size, :patch_size].ravel())

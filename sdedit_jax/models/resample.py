"""Changes of resolution without parameters: nearest, mean, the FIR filter [1, 3, 3, 1], and patches as channels.

The filter is that of StyleGAN2 (Karras et al. 2020, arXiv:1912.04958), as used by NCSN++. It is separable and the image
is zero outside, so borders fade. Each output sample is a sum of a few slices of the input (the polyphase form): the
zeros that up-sampling inserts are never stored, and no sample that down-sampling drops is ever computed.

All functions take and return (B, H, W, C).
"""

import jax
import jax.numpy as jnp
from jax import lax

SPATIAL_AXES = (1, 2)


def nearest_upsample(x: jax.Array) -> jax.Array:
    """(B, 2H, 2W, C): every pixel repeated 2 x 2."""
    for axis in SPATIAL_AXES:
        x = _interleave(x, x, axis)
    return x


def mean_downsample(x: jax.Array) -> jax.Array:
    """(B, H/2, W/2, C): the mean of every 2 x 2 pixels."""
    B, H, W, C = x.shape
    return x.reshape(B, H // 2, 2, W // 2, 2, C).mean(axis=(2, 4))


def fir_upsample(x: jax.Array) -> jax.Array:
    """(B, 2H, 2W, C); per axis y[2i] = (x[i-1] + 3 x[i]) / 4 and y[2i+1] = (3 x[i] + x[i+1]) / 4."""
    for axis in SPATIAL_AXES:
        length = x.shape[axis]
        padded = _pad(x, 1, axis)
        before = lax.slice_in_dim(padded, 0, length, axis=axis)
        after = lax.slice_in_dim(padded, 2, length + 2, axis=axis)
        x = _interleave(0.25 * before + 0.75 * x, 0.75 * x + 0.25 * after, axis)
    return x


def fir_downsample(x: jax.Array) -> jax.Array:
    """(B, H/2, W/2, C); per axis y[i] = (x[2i-1] + 3 x[2i] + 3 x[2i+1] + x[2i+2]) / 8."""
    return fir_filter(x, padding=1, stride=2)


def fir_filter(x: jax.Array, *, padding: int, stride: int = 1, gain: float = 1.0) -> jax.Array:
    """`x` correlated along both axes with `gain` * [1, 3, 3, 1] / 8, after `padding` zeros on every side."""
    for axis in SPATIAL_AXES:
        padded = _pad(x, padding, axis)
        span = padded.shape[axis] - 3
        a, b, c, d = (lax.slice_in_dim(padded, k, k + span, stride, axis) for k in range(4))
        x = (gain / 8) * (a + d) + (3 * gain / 8) * (b + c)
    return x


def space_to_depth(x: jax.Array, patch_size: int) -> jax.Array:
    """(B, H/p, W/p, p * p * C): every p x p patch as the channels of one pixel, row by row."""
    B, H, W, C = x.shape
    p = patch_size
    x = x.reshape(B, H // p, p, W // p, p, C)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(B, H // p, W // p, p * p * C)


def depth_to_space(x: jax.Array, patch_size: int) -> jax.Array:
    """(B, p * H, p * W, C / p^2): the inverse of `space_to_depth`."""
    B, H, W, C = x.shape
    p = patch_size
    x = x.reshape(B, H, W, p, p, C // p**2)
    return x.transpose(0, 1, 3, 2, 4, 5).reshape(B, H * p, W * p, C // p**2)


def _pad(x: jax.Array, padding: int, axis: int) -> jax.Array:
    return jnp.pad(x, [(padding, padding) if i == axis else (0, 0) for i in range(x.ndim)])


def _interleave(even: jax.Array, odd: jax.Array, axis: int) -> jax.Array:
    shape = list(even.shape)
    shape[axis] *= 2
    return jnp.stack([even, odd], axis=axis + 1).reshape(shape)

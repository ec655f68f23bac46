"""3 x 3 convolution whose weight gradient is quick on a CPU.

XLA's own weight gradient costs 2.5 to 5 forward convolutions on a CPU, because it is one convolution with a kernel as
large as the image. Here it is a matrix product: what each of the nine taps saw, times what came of it. Other platforms
keep XLA's.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import lax
from jax.typing import DTypeLike

from sdedit_jax.models.initializers import fan_avg_uniform

Padding = tuple[int, int]


def convolve(x: jax.Array, kernel: jax.Array, stride: int, padding: Padding) -> jax.Array:
    """`x` (B, H, W, C) correlated with `kernel` (h, w, C, D), after (before, after) zeros along both axes.

    Differentiable in reverse mode only: `jax.jvp` and `jax.jacfwd` raise a TypeError. The gradient runs on meshes with
    `AxisType.Auto` axes, and under `jax.shard_map(..., check_vma=False)`.
    """
    return _convolve_by_taps(x, kernel, stride, padding)


def _convolve(x: jax.Array, kernel: jax.Array, stride: int, padding: Padding) -> jax.Array:
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), (padding, padding), dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _forward(x: jax.Array, kernel: jax.Array, stride: int, padding: Padding):
    return _convolve(x, kernel, stride, padding), (x, kernel)


def _backward(stride: int, padding: Padding, residuals: tuple[jax.Array, jax.Array], dy: jax.Array):
    x, kernel = residuals
    (dx,) = jax.linear_transpose(lambda x: _convolve(x, kernel, stride, padding), x)(dy)

    def by_convolution(x: jax.Array, dy: jax.Array) -> jax.Array:
        return jax.linear_transpose(lambda kernel: _convolve(x, kernel, stride, padding), kernel)(dy)[0]

    by_taps = functools.partial(_kernel_gradient, size=kernel.shape[:2], stride=stride, padding=padding)
    return dx, lax.platform_dependent(x, dy, cpu=by_taps, default=by_convolution)


_convolve_by_taps = jax.custom_vjp(_convolve, nondiff_argnums=(2, 3))
_convolve_by_taps.defvjp(_forward, _backward)


def _kernel_gradient(x: jax.Array, dy: jax.Array, *, size: tuple[int, ...], stride: int, padding: Padding) -> jax.Array:
    """(h, w, C, D): for every tap, the product of what it saw with what came of it, summed over batch and pixels."""
    (B, H, W, D), C = dy.shape, x.shape[-1]
    x = jnp.pad(x, ((0, 0), padding, padding, (0, 0)))
    # About a thousand pixels at a time: what the taps saw of them then stays in the cache.
    slab = math.gcd(B, max(1, 1024 // (H * W)))

    def seen(x: jax.Array, i: int, j: int) -> jax.Array:
        end = (slab, i + stride * (H - 1) + 1, j + stride * (W - 1) + 1, C)
        return lax.slice(x, (0, i, j, 0), end, (1, stride, stride, 1))

    def add_slab(kernel_gradient: jax.Array, slabs: tuple[jax.Array, jax.Array]):
        x, dy = slabs
        x = jnp.stack([seen(x, i, j) for i, j in np.ndindex(*size)], axis=-2)
        return kernel_gradient + jnp.einsum("bhwtc,bhwd->tcd", x, dy, preferred_element_type=jnp.float32), None

    slabs = (x.reshape(B // slab, slab, *x.shape[1:]), dy.reshape(B // slab, slab, H, W, D))
    kernel_gradient, _ = lax.scan(add_slab, jnp.zeros((math.prod(size), C, D)), slabs)
    return kernel_gradient.reshape(*size, C, D).astype(x.dtype)


class Conv(nn.Module):
    """3 x 3 convolution with bias, (B, H, W, C) -> (B, H, W, features); the default padding keeps the size."""

    features: int
    stride: int = 1
    padding: Padding = (1, 1)
    init_scale: float = 1.0
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """The convolution of `x`, computed in `dtype`."""
        shape = (3, 3, x.shape[-1], self.features)
        kernel = self.param("kernel", fan_avg_uniform(self.init_scale), shape)
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        x, kernel, bias = (array.astype(self.dtype) for array in (x, kernel, bias))
        return convolve(x, kernel, self.stride, self.padding) + bias[None, None, None, :]

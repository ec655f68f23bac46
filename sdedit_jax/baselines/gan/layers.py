"""Layers of a style-based generator: every weight starts at unit variance and is scaled when it is used.

Equalised learning rates are those of Karras et al. 2018 (arXiv:1710.10196); modulated convolutions those of Karras et
al. 2020 (arXiv:1912.04958), section 2.2.
"""

import math

import jax
import jax.numpy as jnp
from flax import linen as nn

from sdedit_jax.models import convolution

UNIT_NORMAL = nn.initializers.normal(1.0)


def activate(x: jax.Array) -> jax.Array:
    """Leaky ReLU of slope 0.2 times sqrt(2), which keeps the variance of what comes in near that of what goes out."""
    return math.sqrt(2.0) * nn.leaky_relu(x, 0.2)


@jax.custom_vjp
def convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """`x` (B, H, W, C) correlated with `kernel` (3, 3, C, D), zero outside: (B, H, W, D).

    The gradient in x is a convolution with the kernel turned around, written as one: within a `lax.scan` XLA computes
    its own six times slower on a CPU. Differentiable in reverse mode, twice too.
    """
    return convolution.convolve(x, kernel, 1, (1, 1))


def _forward(x: jax.Array, kernel: jax.Array):
    return convolve(x, kernel), (x, kernel)


def _backward(residuals: tuple[jax.Array, jax.Array], dy: jax.Array):
    x, kernel = residuals
    dx = convolution.convolve(dy, jnp.flip(kernel, (0, 1)).swapaxes(2, 3), 1, (1, 1))
    _, pull = jax.vjp(lambda kernel: convolution.convolve(x, kernel, 1, (1, 1)), kernel)
    return dx, *pull(dy)


convolve.defvjp(_forward, _backward)


class Dense(nn.Module):
    """Linear map with bias of the last axis, learning `learning_rate_factor` times as fast as the others."""

    features: int
    learning_rate_factor: float = 1.0
    bias: float = 0.0

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(..., features) from (..., C)."""
        factor = self.learning_rate_factor
        kernel = self.param("kernel", nn.initializers.normal(1.0 / factor), (x.shape[-1], self.features))
        bias = self.param("bias", nn.initializers.constant(self.bias / factor), (self.features,))
        bias = jnp.expand_dims(factor * bias, tuple(range(x.ndim - 1)))
        return x @ (factor * x.shape[-1] ** -0.5 * kernel) + bias


class Conv(nn.Module):
    """3 x 3 convolution with bias, (B, H, W, C) -> (B, H, W, features)."""

    features: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """The convolution of `x`."""
        kernel = self.param("kernel", UNIT_NORMAL, (3, 3, x.shape[-1], self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        return convolve(x, (9 * x.shape[-1]) ** -0.5 * kernel) + bias[None, None, None, :]


class ModulatedConv(nn.Module):
    """3 x 3 convolution whose input channels are scaled by a style that each picture reads from its own w.

    Demodulated, its output has unit variance again wherever its input had: what is scaled is the kernel, which here,
    to stay one kernel for the whole batch, becomes a scale of the input and one of the output.
    """

    features: int
    demodulate: bool = True

    @nn.compact
    def __call__(self, x: jax.Array, w: jax.Array) -> jax.Array:
        """(B, H, W, features) from `x` (B, H, W, C) and `w` (B, w_dim)."""
        C = x.shape[-1]
        kernel = (9 * C) ** -0.5 * self.param("kernel", UNIT_NORMAL, (3, 3, C, self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        style = Dense(C, bias=1.0, name="style")(w)
        x = convolve(x * style[:, None, None, :], kernel)
        if self.demodulate:
            variance = jnp.square(style) @ jnp.square(kernel).sum((0, 1))
            x = x * jax.lax.rsqrt(variance + 1e-8)[:, None, None, :]
        return x + bias[None, None, None, :]

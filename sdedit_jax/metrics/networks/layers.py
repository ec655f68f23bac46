"""What the networks of this room share: convolutions with the statistics of a training that is over."""

import jax
import jax.numpy as jnp
from flax import linen as nn

Padding = str | tuple[tuple[int, int], tuple[int, int]]


class NormalizedConv(nn.Module):
    """Convolution without bias, then batch normalisation by stored statistics (epsilon 0.001, as in TensorFlow)."""

    features: int
    kernel_size: tuple[int, int] = (1, 1)
    stride: int = 1
    padding: Padding = "VALID"
    depthwise: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H', W', features) of (B, H, W, C)."""
        groups = x.shape[-1] if self.depthwise else 1
        strides = (self.stride, self.stride)
        h = nn.Conv(
            self.features,
            self.kernel_size,
            strides,
            self.padding,
            feature_group_count=groups,
            use_bias=False,
            name="conv",
        )(x)
        return FrozenBatchNorm(name="norm")(h)


class FrozenBatchNorm(nn.Module):
    """(x - mean) / sqrt(var + 0.001) * scale + bias, all of them parameters."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """The same shape as `x`, normalised along its last axis."""
        shape = x.shape[-1:]
        mean, bias = (self.param(name, nn.initializers.zeros, shape) for name in ("mean", "bias"))
        var, scale = (self.param(name, nn.initializers.ones, shape) for name in ("var", "scale"))
        factor = scale / jnp.sqrt(var + 1e-3)
        return x * factor.reshape(1, 1, 1, -1) + (bias - mean * factor).reshape(1, 1, 1, -1)


def spatial_mean(x: jax.Array) -> jax.Array:
    """(B, C): the mean over the pixels of (B, H, W, C)."""
    return x.mean(axis=(1, 2))

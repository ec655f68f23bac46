"""The parts shared by the U-Nets: embeddings of the noise label, normalisation, residual and attention blocks.

Parameters are float32. `dtype` is that of the computation; group statistics, softmax and embeddings are always float32.
"""

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.typing import DTypeLike

from sdedit_jax.models.convolution import Conv
from sdedit_jax.models.initializers import fan_avg_uniform
from sdedit_jax.models.resample import fir_filter, nearest_upsample

Embedding = Literal["positional", "fourier"]


def sinusoidal_embedding(noise_label: jax.Array, width: int) -> jax.Array:
    """(B, width): sin then cos of the label times 10000^(-k / (half - 1)), k = 0 ... half - 1, half = width // 2.

    Ho et al. 2020, appendix B (arXiv:2006.11239). An odd `width` ends in a column of zeros. `noise_label`: (B,).
    """
    half = width // 2
    frequencies = np.exp(-np.log(10000.0) * np.arange(half) / (half - 1)).astype(np.float32)
    phase = noise_label.astype(jnp.float32)[:, None] * frequencies[None, :]
    embedding = jnp.concatenate([jnp.sin(phase), jnp.cos(phase)], axis=-1)
    return jnp.pad(embedding, ((0, 0), (0, width % 2)))


def fourier_embedding(noise_label: jax.Array, frequencies: jax.Array) -> jax.Array:
    """(B, 2F): sin then cos of 2 pi log(label) f, for `frequencies` (F,) and positive `noise_label` (B,).

    Tancik et al. 2020 (arXiv:2006.10739), as in NCSN++. The phase reaches thousands, where one rounding of float32 is
    1e-4: the order of the products is the published one.
    """
    phase = jnp.log(noise_label.astype(jnp.float32))[:, None] * frequencies[None, :] * 2.0 * np.float32(np.pi)
    return jnp.concatenate([jnp.sin(phase), jnp.cos(phase)], axis=-1)


class TimeEmbedding(nn.Module):
    """(B,) noise label -> (B, 4 channels) features for the residual blocks, through two dense layers.

    The frequencies of the Fourier embedding are drawn once, N(0, fourier_scale^2), and never trained.
    """

    channels: int
    embedding: Embedding = "positional"
    fourier_scale: float = 16.0

    @nn.compact
    def __call__(self, noise_label: jax.Array) -> jax.Array:
        """The features of `noise_label`, after their activation."""
        if self.embedding == "fourier":
            frequencies = self.param("frequencies", nn.initializers.normal(self.fourier_scale), (self.channels,))
            h = fourier_embedding(noise_label, jax.lax.stop_gradient(frequencies))
        else:
            h = sinusoidal_embedding(noise_label, self.channels)
        h = nn.silu(dense(4 * self.channels, name="dense_0")(h))
        return nn.silu(dense(4 * self.channels, name="dense_1")(h))


def dense(features: int, *, name: str, init_scale: float = 1.0, dtype: DTypeLike = jnp.float32) -> nn.Dense:
    """A linear layer over the last axis: a dense layer, or a 1 x 1 convolution; its kernel is (in, out)."""
    return nn.Dense(features, dtype=dtype, kernel_init=fan_avg_uniform(init_scale), name=name)


class GroupNorm(nn.Module):
    """Group normalisation (Wu & He 2018, arXiv:1803.08494) of (B, H, W, C), epsilon 1e-6, contiguous groups.

    The number of groups is the largest divisor of C that is at most min(32, C // min_group_size).
    """

    min_group_size: int = 1
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Normalised `x` in `dtype`."""
        C = x.shape[-1]
        scale = self.param("scale", nn.initializers.ones, (C,))
        bias = self.param("bias", nn.initializers.zeros, (C,))
        x = x.astype(jnp.float32)
        # Two passes: E[x^2] - E[x]^2 cancels where the mean is large against the deviation.
        centred = x - self._group_mean(x)
        inverse_std = jax.lax.rsqrt(self._group_mean(jnp.square(centred)) + 1e-6)
        y = centred * (inverse_std * scale[None, None, None, :]) + bias[None, None, None, :]
        return y.astype(self.dtype)

    def _group_mean(self, x: jax.Array) -> jax.Array:
        """(B, 1, 1, C): the mean over the pixels and channels of each group, given to each of its channels."""
        B, _, _, C = x.shape
        groups = num_groups(C, self.min_group_size)
        means = x.mean(axis=(1, 2)).reshape(B, groups, C // groups).mean(axis=-1)
        return jnp.repeat(means, C // groups, axis=-1)[:, None, None, :]


def num_groups(channels: int, min_group_size: int) -> int:
    """The largest divisor of `channels` that is at most min(32, channels // min_group_size), and at least 1."""
    most = max(1, min(32, channels // min_group_size))
    return next(groups for groups in range(most, 0, -1) if channels % groups == 0)


class ResBlock(nn.Module):
    """Residual block (B, H, W, C) -> (B, H', W', features): two convolutions, conditioned on the time features.

    `resample` changes the resolution of both branches, as in BigGAN (Brock et al. 2019, arXiv:1809.11096). `rescale`
    divides the sum by sqrt(2), which keeps the variance. Dropout, when its rate is not 0, needs the rng 'dropout'.
    """

    features: int
    resample: Callable[[jax.Array], jax.Array] | None = None
    dropout: float = 0.0
    rescale: bool = False
    min_group_size: int = 1
    init_scale: float = 0.0
    shortcut_init_scale: float = 1.0
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, temb: jax.Array | None) -> jax.Array:
        """The block applied to `x`; `temb` is (B, T), or None for a network that is not told the noise level."""
        h = nn.silu(GroupNorm(self.min_group_size, self.dtype, name="norm1")(x))
        if self.resample is not None:
            h, x = self.resample(h), self.resample(x)
        h = Conv(self.features, dtype=self.dtype, name="conv1")(h)
        if temb is not None:
            h = h + dense(self.features, dtype=self.dtype, name="temb_proj")(temb)[:, None, None, :]
        h = nn.silu(GroupNorm(self.min_group_size, self.dtype, name="norm2")(h))
        h = nn.Dropout(self.dropout, deterministic=False)(h)
        h = Conv(self.features, init_scale=self.init_scale, dtype=self.dtype, name="conv2")(h)
        if x.shape[-1] != self.features or self.resample is not None:
            x = dense(self.features, init_scale=self.shortcut_init_scale, dtype=self.dtype, name="shortcut")(x)
        return residual_sum(x, h, self.rescale)


class AttentionBlock(nn.Module):
    """Self-attention with one head over all pixels (Vaswani et al. 2017), added to its input."""

    rescale: bool = False
    min_group_size: int = 1
    init_scale: float = 0.0
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """The block applied to `x` (B, H, W, C), of any H and W."""
        B, H, W, C = x.shape
        h_BNC = GroupNorm(self.min_group_size, self.dtype, name="norm")(x).reshape(B, H * W, C)
        q_BNC, k_BNC, v_BNC = (dense(C, init_scale=0.1, dtype=self.dtype, name=name)(h_BNC) for name in "qkv")
        logits_BNM = jnp.einsum("bnc,bmc->bnm", q_BNC, k_BNC, preferred_element_type=jnp.float32) * C**-0.5
        weights_BNM = nn.softmax(logits_BNM).astype(self.dtype)
        h_BNC = jnp.einsum("bnm,bmc->bnc", weights_BNM, v_BNC)
        h_BNC = dense(C, init_scale=self.init_scale, dtype=self.dtype, name="proj_out")(h_BNC)
        return residual_sum(x, h_BNC.reshape(B, H, W, C), self.rescale)


def residual_sum(x: jax.Array, h: jax.Array, rescale: bool) -> jax.Array:
    """The sum of `x` and `h`, divided by sqrt(2) if `rescale`."""
    return (x + h) * 2.0**-0.5 if rescale else x + h


class Downsample(nn.Module):
    """A convolution to half the resolution, behind the FIR filter if `fir`: (B, H, W, C) -> (B, H/2, W/2, features)."""

    features: int
    fir: bool = False
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Half of `x`; without the filter the single column and row of zeros lie right and below, as published."""
        if self.fir:
            x = fir_filter(x, padding=2)
        padding = (0, 0) if self.fir else (0, 1)
        return Conv(self.features, stride=2, padding=padding, dtype=self.dtype, name="conv")(x)


class Upsample(nn.Module):
    """A convolution at twice the resolution: (B, H, W, C) -> (B, 2H, 2W, features).

    Without `fir` the pixels are repeated first; with it, zeros are put between them and the filter follows.
    """

    features: int
    fir: bool = False
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """`x` at twice the resolution."""
        if not self.fir:
            return Conv(self.features, dtype=self.dtype, name="conv")(nearest_upsample(x))
        zeros_between = ((0, 0, 0), (0, 0, 1), (0, 0, 1), (0, 0, 0))
        x = jax.lax.pad(x, jnp.zeros((), x.dtype), zeros_between)
        return fir_filter(Conv(self.features, padding=(2, 2), dtype=self.dtype, name="conv")(x), padding=1, gain=2.0)


class Head(nn.Module):
    """Normalisation, activation and the convolution to `features` channels."""

    features: int
    min_group_size: int = 1
    init_scale: float = 0.0
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """(B, H, W, features) from `x`, in `dtype`."""
        h = nn.silu(GroupNorm(self.min_group_size, self.dtype, name="norm")(x))
        return Conv(self.features, init_scale=self.init_scale, dtype=self.dtype, name="conv")(h)

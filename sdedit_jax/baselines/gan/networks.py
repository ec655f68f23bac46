"""A small StyleGAN2 (Karras et al. 2020, arXiv:1912.04958): generator, discriminator, and an encoder back into W.

Pictures are judged as patches: the finest level of discriminator and encoder works on positions of `patch_size` squared
pixels, which on a CPU costs a fraction of convolutions of single pixels with few channels. They are not made so: each
level's grid of patches would show. There is no noise input: a picture is a function of its w alone, so inversion has
one thing to find.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from sdedit_jax.baselines.gan.layers import UNIT_NORMAL, Conv, Dense, ModulatedConv, activate
from sdedit_jax.models.resample import fir_downsample, fir_upsample, space_to_depth

MAPPING_LAYERS = 4
MAPPING_LEARNING_RATE = 0.01  # relative to that of all else
STDDEV_GROUP = 4  # pictures


class Mapping(nn.Module):
    """z (B, z_dim), standard normal -> w (B, features)."""

    features: int

    @nn.compact
    def __call__(self, z: jax.Array) -> jax.Array:
        """The latent w of each z, of which only the direction counts."""
        w = z * jax.lax.rsqrt(jnp.square(z).mean(-1, keepdims=True) + 1e-8)
        for _ in range(MAPPING_LAYERS):
            w = activate(Dense(self.features, MAPPING_LEARNING_RATE)(w))
        return w


class Synthesis(nn.Module):
    """w, one for each level -> picture; levels double the size, and each adds its colours to those before it."""

    channels: tuple[int, ...]
    first_size: int

    @nn.compact
    def __call__(self, w: jax.Array) -> jax.Array:
        """(B, S, S, 3) from `w` (B, levels, w_dim); S is first_size * 2^(levels - 1)."""
        start = self.param("start", UNIT_NORMAL, (self.first_size, self.first_size, self.channels[0]))
        x = jnp.broadcast_to(start[None], (w.shape[0], *start.shape))
        picture = jnp.zeros((1, 1, 1, 3))
        for level, features in enumerate(self.channels):
            w_level = w[:, level]
            if level > 0:
                x = fir_upsample(activate(ModulatedConv(features, name=f"level_{level}_up")(x, w_level)))
                picture = fir_upsample(picture)
            x = activate(ModulatedConv(features, name=f"level_{level}_conv")(x, w_level))
            picture = picture + ModulatedConv(3, demodulate=False, name=f"level_{level}_colors")(x, w_level)
        return picture


class Generator(nn.Module):
    """z or w -> pictures (B, image_size, image_size, 3), about [-1, 1] but not clipped to it.

    `channels` are those of the levels, the coarsest first.
    """

    image_size: int = 64
    channels: tuple[int, ...] = (256, 128, 64, 48, 16)
    w_dim: int = 128

    def setup(self) -> None:
        """Places the levels so that the last one makes pictures of `image_size`."""
        self.mapping = Mapping(self.w_dim)
        self.synthesis = Synthesis(self.channels, self.image_size // 2 ** (self.num_levels - 1))

    @property
    def num_levels(self) -> int:
        """The number of levels, each with its own w."""
        return len(self.channels)

    def __call__(self, z: jax.Array) -> jax.Array:
        """Pictures from `z` (B, w_dim), standard normal."""
        return self.synthesize(self.map(z))

    def map(self, z: jax.Array) -> jax.Array:
        """w (B, levels, w_dim), the same for all levels, from `z` (B, w_dim)."""
        w = self.mapping(z)[:, None, :]
        return jnp.broadcast_to(w, (w.shape[0], self.num_levels, self.w_dim))

    def synthesize(self, w: jax.Array) -> jax.Array:
        """Pictures from `w` (B, levels, w_dim)."""
        return self.synthesis(w)


class Trunk(nn.Module):
    """Pictures (B, S, S, 3) -> features (B, s, s, channels[0]); residual levels, each half the size of the one before.

    `channels` are those of the levels, the coarsest first, as in `Generator`; the finest sees patches.
    """

    channels: tuple[int, ...]
    patch_size: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """The features of the coarsest level."""
        x = activate(Conv(self.channels[-1], name="patches")(space_to_depth(x, self.patch_size)))
        for level in range(len(self.channels) - 1, 0, -1):
            h = activate(Conv(self.channels[level], name=f"level_{level}_conv")(x))
            h = activate(Conv(self.channels[level - 1], name=f"level_{level}_down")(fir_downsample(h)))
            shortcut = Dense(self.channels[level - 1], name=f"level_{level}_shortcut")(fir_downsample(x))
            x = math.sqrt(0.5) * (h + shortcut)
        return x


class Discriminator(nn.Module):
    """Pictures (B, S, S, 3) -> logits (B,), positive for those that look real; B is a multiple of 4 or below it."""

    channels: tuple[int, ...] = (256, 128, 64, 48)
    patch_size: int = 2

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """The logit of each picture; the variety within its group of four counts too."""
        x = Trunk(self.channels, self.patch_size, name="trunk")(x)
        x = jnp.concatenate([x, minibatch_stddev(x)], axis=-1)
        x = activate(Conv(self.channels[0], name="conv")(x))
        x = activate(Dense(self.channels[1], name="dense")(x.reshape(x.shape[0], -1)))
        return Dense(1, name="logit")(x)[:, 0]


class Encoder(nn.Module):
    """Pictures (B, S, S, 3) -> w (B, num_levels, w_dim)."""

    num_levels: int = 5
    w_dim: int = 128
    channels: tuple[int, ...] = (64, 128, 64, 48)
    patch_size: int = 2

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """The latents whose pictures are nearest to `x`, as far as one look tells."""
        x = Trunk(self.channels, self.patch_size, name="trunk")(x)
        w = Dense(self.num_levels * self.w_dim, name="w")(x.reshape(x.shape[0], -1))
        return w.reshape(-1, self.num_levels, self.w_dim)


def apply(network: nn.Module, params: Any, x: jax.Array, method: str = "__call__") -> jax.Array:
    """What `network` with these `params` makes of `x`."""
    made: Any = network.apply({"params": params}, x, method=method)
    return made


def minibatch_stddev(x: jax.Array) -> jax.Array:
    """(B, H, W, 1): the standard deviation within groups of pictures, averaged over features and positions.

    Karras et al. 2018 (arXiv:1710.10196), section 3: a generator that repeats itself gives itself away.
    """
    B, H, W, C = x.shape
    group = min(B, STDDEV_GROUP)
    # Group i has every (B / group)-th picture, so those of a group are drawn independently in any batch.
    stddev = jnp.sqrt(x.reshape(group, B // group, H, W, C).var(axis=0) + 1e-8).mean(axis=(1, 2, 3))
    return jnp.broadcast_to(jnp.tile(stddev, group)[:, None, None, None], (B, H, W, 1))

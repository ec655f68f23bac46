"""A GAN of 16 x 16 pictures that compiles in a moment."""

import jax
import jax.numpy as jnp
import numpy as np

from sdedit_jax.baselines.gan.files import init_params
from sdedit_jax.baselines.gan.inversion import GAN
from sdedit_jax.baselines.gan.networks import Discriminator, Encoder, Generator

CHANNELS = (8, 6)
SIZE = 16
SMALL = GAN(
    Generator(image_size=SIZE, channels=CHANNELS, w_dim=5),
    Encoder(num_levels=2, w_dim=5, channels=CHANNELS),
)
DISCRIMINATOR = Discriminator(channels=CHANNELS)


@jax.jit
def params(key):
    """Params of `SMALL` with biases that are not zero, so that no path is silent."""
    key_init, key_bias = jax.random.split(key)
    leaves, tree = jax.tree.flatten(init_params(key_init, SMALL))
    keys = jax.random.split(key_bias, len(leaves))
    pairs = zip(keys, leaves, strict=True)
    return tree.unflatten([leaf + 0.1 * jax.random.normal(k, leaf.shape) for k, leaf in pairs])


def pictures(key, count):
    """Smooth pictures (count, SIZE, SIZE, 3) in [-1, 1]."""
    coarse = jax.random.uniform(key, (count, 4, 4, 3), minval=-1.0)
    return np.asarray(jax.image.resize(coarse, (count, SIZE, SIZE, 3), "linear"))


def latents(key, count):
    """w (count, 2, 5) of the size that the mapping gives."""
    return jnp.asarray(jax.random.normal(key, (count, 2, 5)))

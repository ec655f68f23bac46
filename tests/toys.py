"""Networks small enough to know, or to compile, at once."""

import flax.linen as nn
import jax
import jax.numpy as jnp


class GaussianNoise(nn.Module):
    """The exact noise prediction for pixels N(mean, std^2) under a VE SDE, whose label is sigma / 2."""

    mean: float = 0.3
    std: float = 0.5
    downsampling_factor: int = 1

    def __call__(self, x: jax.Array, noise_label: jax.Array, *, train: bool = False) -> jax.Array:
        sigma = 2.0 * noise_label[:, None, None, None]
        return sigma * (x - self.mean) / (self.std**2 + sigma**2)


class Blur(nn.Module):
    """A network that mixes neighbouring pixels and the label, with one parameter, `gain`."""

    downsampling_factor: int = 1

    @nn.compact
    def __call__(self, x: jax.Array, noise_label: jax.Array, *, train: bool = False) -> jax.Array:
        gain = self.param("gain", nn.initializers.ones, ())
        around = jnp.roll(x, 1, axis=1) + jnp.roll(x, 1, axis=2) + x
        return gain * jnp.tanh(0.3 * around + 0.01 * noise_label[:, None, None, None])


def blur_params(gain: float = 0.7) -> dict[str, jax.Array]:
    """Parameters of `Blur`."""
    return {"gain": jnp.asarray(gain)}

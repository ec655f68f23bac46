"""Networks that compile in a moment, for runs and steps."""

import flax.linen as nn
import jax
import jax.numpy as jnp


class Small(nn.Module):
    """A network with convolutions, the noise label and dropout."""

    @nn.compact
    def __call__(self, x: jax.Array, noise_label: jax.Array, *, train: bool = False) -> jax.Array:
        h = nn.Conv(8, (3, 3))(x) + nn.Dense(8)(jnp.log(noise_label)[:, None])[:, None, None, :]
        h = nn.Dropout(0.1, deterministic=not train)(nn.silu(h))
        return nn.Conv(3, (3, 3))(h)


class NoGradient(nn.Module):
    """A finite output whose gradient is NaN."""

    @nn.compact
    def __call__(self, x: jax.Array, noise_label: jax.Array, *, train: bool = False) -> jax.Array:
        gain = self.param("gain", nn.initializers.ones, ())
        return x + jnp.sqrt(gain - gain)

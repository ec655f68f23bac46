"""Preconditioning of VE networks (Karras et al. 2022, arXiv:2206.00364, section 5), stable for all sigma.

With data of standard deviation s, the denoiser D = c_skip x + c_out F(c_in x) has c_skip = s^2 / (sigma^2 + s^2),
c_out = sigma s / sqrt(sigma^2 + s^2) and c_in = 1 / sqrt(sigma^2 + s^2), which give the inner network F inputs and
targets of variance 1. The noise prediction is (x - D) / sigma; written out, the division cancels:

    eps = x sigma / (sigma^2 + s^2) - F(c_in x) s / sqrt(sigma^2 + s^2)
"""

import jax
import jax.numpy as jnp
from flax import linen as nn


class EDMPreconditioned(nn.Module):
    """A VE noise prediction network around `network`, whose raw output is Karras et al.'s F.

    Fields:
        network: a `DDPM` or `NCSNpp` with output "noise"; it sees the noise label unchanged.
        sigma_data: standard deviation of the images' pixels, in [-1, 1] units.
    """

    network: nn.Module
    sigma_data: float = 0.5

    @property
    def downsampling_factor(self) -> int:
        """What H and W must be multiples of."""
        return self.network.downsampling_factor

    @nn.compact
    def __call__(self, x: jax.Array, noise_label: jax.Array, *, train: bool = False) -> jax.Array:
        """Noise prediction (B, H, W, C), float32.

        `x`: (B, H, W, C), noisy images in [-1, 1] units. `noise_label`: (B,), half of sigma (`VESDE.noise_label`).
        """
        sigma = 2.0 * noise_label.astype(jnp.float32)[:, None, None, None]
        variance = sigma**2 + self.sigma_data**2
        f = self.network(x / jnp.sqrt(variance), noise_label, train=train)
        return x * (sigma / variance) - f * (self.sigma_data / jnp.sqrt(variance))

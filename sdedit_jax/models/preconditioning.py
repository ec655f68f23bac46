"""Networks whose raw output F is not the noise but something better conditioned, from which the noise follows.

With x = alpha x0 + sigma z, F may stand for

- the target of Karras et al. 2022 (arXiv:2206.00364, section 5), for VE, alpha = 1. With data of standard deviation s,
  the denoiser D = c_skip x + c_out F(c_in x) has c_skip = s^2 / (sigma^2 + s^2), c_out = sigma s / sqrt(sigma^2 + s^2)
  and c_in = 1 / sqrt(sigma^2 + s^2), which give F inputs and targets of variance 1. The noise prediction is
  (x - D) / sigma; written out, the division cancels:

      eps = x sigma / (sigma^2 + s^2) - F(c_in x) s / sqrt(sigma^2 + s^2)

- v = alpha z - sigma x0 (Salimans and Ho 2022, arXiv:2202.00512, section 4), for VP, where alpha^2 + sigma^2 = 1:

      eps = sigma x + alpha F(x)

  Up to the sign of F these are the equations above for s = 1.

- the picture x0 itself, for VP:

      eps = (x - alpha F(x)) / sigma
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from flax import linen as nn

Scales = Callable[[jax.Array], tuple[jax.Array, jax.Array]]
"""noise_label (B,) -> alpha and sigma, (B,) each; hashable, as a module's fields are."""


class Preconditioned(nn.Module):
    """Abstract: a noise prediction network around `network`, whose raw output is something else.

    Fields:
        network: a `DDPM` or `NCSNpp` with output "noise"; it sees the noise label unchanged.
    """

    network: nn.Module

    @property
    def downsampling_factor(self) -> int:
        """What H and W must be multiples of."""
        return self.network.downsampling_factor


class EDMPreconditioned(Preconditioned):
    """A VE noise prediction network around `network`, whose raw output is Karras et al.'s F. Stable for all sigma.

    Fields:
        network: as in `Preconditioned`.
        sigma_data: standard deviation of the images' pixels, in [-1, 1] units.
    """

    sigma_data: float = 0.5

    @nn.compact
    def __call__(self, x: jax.Array, noise_label: jax.Array, *, train: bool = False) -> jax.Array:
        """Noise prediction (B, H, W, C), float32.

        `x`: (B, H, W, C), noisy images in [-1, 1] units. `noise_label`: (B,), half of sigma (`VESDE.noise_label`).
        """
        sigma = 2.0 * noise_label.astype(jnp.float32)[:, None, None, None]
        variance = sigma**2 + self.sigma_data**2
        f = self.network(x / jnp.sqrt(variance), noise_label, train=train)
        return x * (sigma / variance) - f * (self.sigma_data / jnp.sqrt(variance))


class VPPreconditioned(Preconditioned):
    """Abstract: the same under VP, where a network is told the time and its noise scales follow.

    Fields:
        network: as in `Preconditioned`.
        scales: alpha and sigma of a noise label, alpha^2 + sigma^2 = 1.
    """

    scales: Scales

    @nn.compact
    def __call__(self, x: jax.Array, noise_label: jax.Array, *, train: bool = False) -> jax.Array:
        """Noise prediction (B, H, W, C), float32.

        `x`: (B, H, W, C), noisy images in [-1, 1] units of the SDE. `noise_label`: (B,), `sde.noise_label(t)`.
        """
        alpha, sigma = _per_image(self.scales, noise_label)
        return self.noise(x, self.network(x, noise_label, train=train), alpha, sigma)

    def noise(self, x: jax.Array, f: jax.Array, alpha: jax.Array, sigma: jax.Array) -> jax.Array:
        """The noise in `x` of which the network's raw output is `f`; `alpha`, `sigma`: (B, 1, 1, 1)."""
        raise NotImplementedError


class NoiseFromV(VPPreconditioned):
    """A VP noise prediction network around `network`, whose raw output is v = alpha z - sigma x0. Stable for all t."""

    def noise(self, x: jax.Array, f: jax.Array, alpha: jax.Array, sigma: jax.Array) -> jax.Array:
        """sigma x + alpha v."""
        return sigma * x + alpha * f


class NoiseFromX0(VPPreconditioned):
    """A VP noise prediction network around `network`, whose raw output is the clean picture x0.

    The error of x0 divided by sigma is that of eps, so the loss needs a weighting that falls with sigma^2 at t = 0, and
    no noise is taken for smaller than float32's resolution of pixels, which keeps eps finite there.
    """

    def noise(self, x: jax.Array, f: jax.Array, alpha: jax.Array, sigma: jax.Array) -> jax.Array:
        """(x - alpha x0) / sigma."""
        return (x - alpha * f) / jnp.maximum(sigma, jnp.finfo(jnp.float32).eps)


def _per_image(scales: Scales, noise_label: jax.Array) -> tuple[jax.Array, jax.Array]:
    """alpha and sigma, (B, 1, 1, 1) each."""
    alpha, sigma = scales(noise_label.astype(jnp.float32))
    return alpha[:, None, None, None], sigma[:, None, None, None]

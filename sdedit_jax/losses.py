"""Denoising score matching: the network learns to predict the noise that was added to a picture.

Vincent 2011; Song et al. 2021, eq. 7 (arXiv:2011.13456). In terms of the noise prediction eps every weighting of the
loss is a factor of |eps - z|^2 that depends on t alone.
"""

import dataclasses
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from sdedit_jax.score import noise_prediction
from sdedit_jax.sdes import SDE, expand


@dataclasses.dataclass(frozen=True)
class UniformTimes:
    """Training times uniform in [t_min, 1], as score_sde and DDPM draw them."""

    t_min: float = 1e-5

    def __call__(self, key: jax.Array, sde: SDE, batch_size: int) -> jax.Array:
        """(B,) times; on a discrete SDE its levels, all equally likely."""
        return sde.quantize(jax.random.uniform(key, (batch_size,), minval=self.t_min, maxval=1.0))


@dataclasses.dataclass(frozen=True)
class LogNormalNoise:
    """Training times whose log(sigma / alpha) is normal: most work where it shapes the picture.

    Karras et al. 2022, table 1 (arXiv:2206.00364), P_mean and P_std, for data in [-1, 1].
    """

    mean: float = -1.2
    std: float = 1.2

    def __call__(self, key: jax.Array, sde: SDE, batch_size: int) -> jax.Array:
        """(B,) times, clipped to those that the SDE reaches."""
        log_ratio = self.mean + self.std * jax.random.normal(key, (batch_size,))
        return sde.quantize(sde.time_of(jnp.exp(log_ratio)))


@dataclasses.dataclass(frozen=True)
class Weighting:
    """lambda(t), the factor of |eps - z|^2.

    `kind`: "noise", 1, is DDPM's simple loss and Song et al.'s default; "likelihood", g^2 / sigma^2, bounds the
    likelihood (Song et al. 2021b, arXiv:2101.09258); "edm", 1 + (sigma / (alpha sigma_data))^2, makes the loss of an
    untrained preconditioned network equal at all noise levels (Karras et al. 2022, table 1); "v",
    1 + (sigma / alpha)^2, is the squared error of v under VP (Salimans and Ho 2022, section 4, arXiv:2202.00512);
    "min_snr", min(1, snr_gamma (sigma / alpha)^2), is the squared error of the picture times its signal-to-noise
    ratio alpha^2 / sigma^2, but at most times snr_gamma (Hang et al. 2023, section 3.4, arXiv:2303.09556).
    """

    kind: Literal["noise", "likelihood", "edm", "v", "min_snr"] = "noise"
    sigma_data: float = 0.5
    snr_gamma: float = 5.0

    def __call__(self, sde: SDE, t: jax.Array) -> jax.Array:
        """(B,) factors."""
        if self.kind == "noise":
            return jnp.ones_like(t)
        if self.kind == "likelihood":
            return (sde.diffusion(t) / sde.sigma(t)) ** 2
        if self.kind == "min_snr":
            return jnp.minimum(1.0, self.snr_gamma * (sde.sigma(t) / sde.alpha(t)) ** 2)
        sigma_data = self.sigma_data if self.kind == "edm" else 1.0
        return 1.0 + (sde.sigma(t) / (sde.alpha(t) * sigma_data)) ** 2


@dataclasses.dataclass(frozen=True)
class DenoisingScoreMatching:
    """The training loss of one model under one SDE.

    `reduction` over an image's values: "mean", or "half_sum", half the sum, as score_sde trains its VE models.
    """

    model: nn.Module
    sde: SDE
    times: UniformTimes | LogNormalNoise = UniformTimes()
    weighting: Weighting = Weighting()
    reduction: Literal["mean", "half_sum"] = "mean"

    def __call__(self, params: Any, key: jax.Array, x0: jax.Array) -> jax.Array:
        """The loss (), of pictures x0 (B, H, W, C) in [-1, 1], with the network in training mode."""
        t, z, key_dropout = self.draw(key, x0)
        return self.per_image(params, x0, t, z, key_dropout=key_dropout).mean()

    def draw(self, key: jax.Array, x0: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """All that is random about the loss of pictures x0: their times (B,), their noise z, and a key for dropout."""
        key_times, key_noise, key_dropout = jax.random.split(key, 3)
        t = self.times(key_times, self.sde, x0.shape[0])
        return t, jax.random.normal(key_noise, x0.shape, x0.dtype), key_dropout

    def per_image(
        self, params: Any, x0: jax.Array, t: jax.Array, z: jax.Array, *, key_dropout: jax.Array | None = None
    ) -> jax.Array:
        """(B,) losses at the given times (B,) and noise z, like x0; without `key_dropout` as in inference."""
        mean, std = self.sde.marginal_prob(x0, t)
        eps = noise_prediction(self.model, params, self.sde, mean + expand(std, x0) * z, t, key_dropout=key_dropout)
        squared_error = jnp.square(eps - z).reshape(x0.shape[0], -1)
        reduced = squared_error.mean(axis=1) if self.reduction == "mean" else 0.5 * squared_error.sum(axis=1)
        return self.weighting(self.sde, t) * reduced

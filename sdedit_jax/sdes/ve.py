"""The SDE that adds noise and leaves the signal as it is: variance exploding."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from sdedit_jax.sdes.base import SDE, require, require_levels


@dataclasses.dataclass(frozen=True)
class VESDE(SDE):
    """Variance exploding: sigma(t) = sigma_min (sigma_max / sigma_min)^t. Song et al. 2021, eq. 9 (arXiv:2011.13456).

    In [-1, 1] units the sigmas are twice the published ones, which are for [0, 1]. `num_levels` is the number of noise
    levels of a network trained on a discrete set of them (NCSN++ without `continuous`), None for all others.
    """

    sigma_min: float = 0.02
    sigma_max: float = 100.0
    num_levels: int | None = None

    def __post_init__(self) -> None:
        """ValueError unless 0 < sigma_min < sigma_max <= 1e9, with at least two levels if there are levels."""
        require("sigma_max", self.sigma_max, 0.0 < self.sigma_max <= 1e9, "in (0, 1e9]")
        below = f"in (0, sigma_max = {self.sigma_max})"
        require("sigma_min", self.sigma_min, 0.0 < self.sigma_min < self.sigma_max, below)
        if self.num_levels is not None:
            require_levels(self.num_levels)

    @property
    def t_min(self) -> float:
        """1e-5, Song et al.'s choice."""
        return 1e-5

    @property
    def prior_std(self) -> float:
        """sigma_max: the data are lost under that much noise."""
        return self.sigma_max

    @property
    def _log_ratio(self) -> float:
        return float(np.log(self.sigma_max / self.sigma_min))

    def log_alpha(self, t: jax.Array) -> jax.Array:
        """0: the signal keeps its scale."""
        return jnp.zeros_like(t, dtype=jnp.result_type(float))

    def sigma(self, t: jax.Array) -> jax.Array:
        """Geometric from sigma_min to sigma_max; exactly 0 at t = 0, as the SDEdit paper has it."""
        return jnp.where(t > 0.0, self.sigma_min * jnp.exp(self._log_ratio * t), 0.0)

    def drift(self, x: jax.Array, t: jax.Array) -> jax.Array:
        """0."""
        return jnp.zeros_like(x)

    def diffusion(self, t: jax.Array) -> jax.Array:
        """sigma(t) sqrt(2 log(sigma_max / sigma_min))."""
        return self.sigma_min * jnp.exp(self._log_ratio * t) * np.sqrt(2.0 * self._log_ratio).item()

    def noise_label(self, t: jax.Array) -> jax.Array:
        """The noise scale in [0, 1] units; on discrete levels the index, counted from the largest noise."""
        if self.num_levels is None:
            return 0.5 * self.sigma(t)
        return (1.0 - t) * (self.num_levels - 1)

    def time_of_label(self, noise_label: jax.Array) -> jax.Array:
        """The time of twice that noise scale; on discrete levels that of the index."""
        if self.num_levels is None:
            return self.time_of(2.0 * noise_label)
        return 1.0 - noise_label / (self.num_levels - 1)

    def quantize(self, t: jax.Array) -> jax.Array:
        """t itself, or one of `num_levels` times evenly spaced over [0, 1] (0 stands for sigma_min there)."""
        if self.num_levels is None:
            return t
        level = jnp.clip(jnp.ceil(t * self.num_levels) - 1.0, 0.0, self.num_levels - 1.0)
        # sigma(0) is 0; the lowest level is trained at sigma_min, which any positive t this small has.
        return jnp.maximum(level / (self.num_levels - 1), 1e-7)

    def time_of(self, noise_to_signal: jax.Array) -> jax.Array:
        """log(sigma / sigma_min) / log(sigma_max / sigma_min)."""
        return jnp.clip(jnp.log(noise_to_signal / self.sigma_min) / self._log_ratio, self.t_min, 1.0)

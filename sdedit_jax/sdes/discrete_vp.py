"""DDPM's chain of steps as an SDE."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from sdedit_jax.sdes.base import SDE, expand, require, require_levels


@dataclasses.dataclass(frozen=True)
class DiscreteVPSDE(SDE):
    """DDPM's chain of `num_levels` steps (Ho et al. 2020, section 2, arXiv:2006.11239) as a continuous-time SDE.

    At t = (i + 1) / num_levels, alpha^2 is exactly DDPM's alpha_bar of index i, the product of 1 - beta_0 to
    1 - beta_i; between those times log alpha is linear. The betas rise linearly from `beta_start` to `beta_end`, by
    default the published schedule of DDPM and SDEdit.
    """

    beta_start: float = 1e-4
    beta_end: float = 0.02
    num_levels: int = 1000

    def __post_init__(self) -> None:
        """ValueError unless 0 < beta_start <= beta_end < 1, in at least two steps."""
        require("beta_end", self.beta_end, 0.0 < self.beta_end < 1.0, "in (0, 1)")
        up_to = f"in (0, beta_end = {self.beta_end}]"
        require("beta_start", self.beta_start, 0.0 < self.beta_start <= self.beta_end, up_to)
        require_levels(self.num_levels)

    @property
    def t_min(self) -> float:
        """The time of index 0."""
        return 1.0 / self.num_levels

    @property
    def prior_std(self) -> float:
        """1."""
        return 1.0

    def _level(self, t: jax.Array) -> jax.Array:
        """t in units of DDPM steps; whole where float32 meant a whole number."""
        level = jnp.asarray(t) * self.num_levels
        nearest = jnp.round(level)
        return jnp.where(jnp.abs(level - nearest) < 1e-3, nearest, level)

    def log_alpha(self, t: jax.Array) -> jax.Array:
        """Half the sum of log(1 - beta) over the steps up to t."""
        table = jnp.asarray(_ddpm_log_alpha(self), jnp.result_type(float))
        return jnp.interp(self._level(t), jnp.arange(self.num_levels + 1, dtype=table.dtype), table)

    def sigma(self, t: jax.Array) -> jax.Array:
        """sqrt(1 - alpha^2)."""
        return jnp.sqrt(-jnp.expm1(2.0 * self.log_alpha(t)))

    def beta(self, t: jax.Array) -> jax.Array:
        """Rate of noising, constant within a step: -2 d log alpha / dt."""
        rates = jnp.asarray(-2.0 * self.num_levels * np.diff(_ddpm_log_alpha(self)), jnp.result_type(float))
        index = jnp.clip(jnp.ceil(self._level(t)).astype(jnp.int32) - 1, 0, self.num_levels - 1)
        return rates[index]

    def drift(self, x: jax.Array, t: jax.Array) -> jax.Array:
        """-1/2 beta(t) x."""
        return -0.5 * expand(self.beta(t), x) * x

    def diffusion(self, t: jax.Array) -> jax.Array:
        """sqrt(beta(t))."""
        return jnp.sqrt(self.beta(t))

    def noise_label(self, t: jax.Array) -> jax.Array:
        """DDPM's step index."""
        return self._level(t) - 1.0

    def time_of_label(self, noise_label: jax.Array) -> jax.Array:
        """The end of the step of that index."""
        return (noise_label + 1.0) / self.num_levels

    def quantize(self, t: jax.Array) -> jax.Array:
        """The end of the step that t lies in."""
        return jnp.clip(jnp.ceil(t * self.num_levels), 1.0, self.num_levels) / self.num_levels

    def time_of(self, noise_to_signal: jax.Array) -> jax.Array:
        """The t at which alpha^2 = 1 / (1 + noise_to_signal^2)."""
        table = jnp.asarray(-_ddpm_log_alpha(self), jnp.result_type(float))
        times = jnp.linspace(0.0, 1.0, self.num_levels + 1, dtype=table.dtype)
        return jnp.interp(0.5 * jnp.log1p(noise_to_signal**2), table, times)


@functools.cache
def _ddpm_log_alpha(sde: DiscreteVPSDE) -> np.ndarray:
    """(num_levels + 1,) float64, 0 first."""
    betas = np.linspace(sde.beta_start, sde.beta_end, sde.num_levels)
    return np.concatenate([[0.0], 0.5 * np.cumsum(np.log1p(-betas))])

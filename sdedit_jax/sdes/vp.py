"""The SDEs of a linear beta: variance preserving, and sub-VP with less noise."""

import dataclasses

import jax
import jax.numpy as jnp

from sdedit_jax.sdes.base import SDE, expand, require


@dataclasses.dataclass(frozen=True)
class LinearBetaSDE(SDE):
    """What VP and sub-VP share: a drift -1/2 beta(t) x with beta(t) = beta_min + t (beta_max - beta_min)."""

    beta_min: float = 0.1
    beta_max: float = 20.0

    def __post_init__(self) -> None:
        """ValueError unless 0 <= beta_min <= beta_max <= 1000, where `beta_max` is not 0."""
        require("beta_max", self.beta_max, 0.0 < self.beta_max <= 1000.0, "in (0, 1000]")
        require("beta_min", self.beta_min, 0.0 <= self.beta_min <= self.beta_max, f"in [0, beta_max = {self.beta_max}]")

    @property
    def t_min(self) -> float:
        """1e-3, Song et al.'s choice."""
        return 1e-3

    @property
    def prior_std(self) -> float:
        """1."""
        return 1.0

    def beta(self, t: jax.Array) -> jax.Array:
        """Rate at which the signal fades."""
        return self.beta_min + t * (self.beta_max - self.beta_min)

    def log_alpha(self, t: jax.Array) -> jax.Array:
        """-1/2 of the integral of beta."""
        return -0.25 * t**2 * (self.beta_max - self.beta_min) - 0.5 * t * self.beta_min

    def time_of_log_alpha(self, log_alpha: jax.Array) -> jax.Array:
        """The t in [0, 1] with that `log_alpha`, in the form of the root that does not cancel for small t."""
        slope = self.beta_max - self.beta_min
        t = -4.0 * log_alpha / (self.beta_min + jnp.sqrt(self.beta_min**2 - 4.0 * slope * log_alpha))
        return jnp.clip(t, 0.0, 1.0)

    def drift(self, x: jax.Array, t: jax.Array) -> jax.Array:
        """-1/2 beta(t) x."""
        return -0.5 * expand(self.beta(t), x) * x

    def noise_label(self, t: jax.Array) -> jax.Array:
        """999 t: DDPM's step index 0 to 999, made continuous."""
        return 999.0 * t

    def time_of_label(self, noise_label: jax.Array) -> jax.Array:
        """noise_label / 999."""
        return noise_label / 999.0

    def quantize(self, t: jax.Array) -> jax.Array:
        """t: every time is trained."""
        return t


@dataclasses.dataclass(frozen=True)
class VPSDE(LinearBetaSDE):
    """Variance preserving, alpha^2 + sigma^2 = 1: DDPM in continuous time. Song et al. 2021, eq. 11."""

    def sigma(self, t: jax.Array) -> jax.Array:
        """sqrt(1 - alpha^2)."""
        # 1 - exp() would be off by 0.6 % at t = 1e-5 in float32.
        return jnp.sqrt(-jnp.expm1(2.0 * self.log_alpha(t)))

    def diffusion(self, t: jax.Array) -> jax.Array:
        """sqrt(beta(t))."""
        return jnp.sqrt(self.beta(t))

    def time_of(self, noise_to_signal: jax.Array) -> jax.Array:
        """The t at which alpha^2 = 1 / (1 + noise_to_signal^2)."""
        return self.time_of_log_alpha(-0.5 * jnp.log1p(noise_to_signal**2))


@dataclasses.dataclass(frozen=True)
class SubVPSDE(LinearBetaSDE):
    """Sub-VP: the VP drift with less noise, sigma = 1 - alpha^2. Song et al. 2021, eq. 12."""

    def sigma(self, t: jax.Array) -> jax.Array:
        """1 - alpha^2, without the square root of VP."""
        return -jnp.expm1(2.0 * self.log_alpha(t))

    def diffusion(self, t: jax.Array) -> jax.Array:
        """sqrt(beta(t) (1 - alpha^4))."""
        return jnp.sqrt(-self.beta(t) * jnp.expm1(4.0 * self.log_alpha(t)))

    def time_of(self, noise_to_signal: jax.Array) -> jax.Array:
        """The t at which (1 - alpha^2) / alpha = noise_to_signal, a quadratic equation for alpha."""
        # alpha = (sqrt(r^2 + 4) - r) / 2 = exp(-asinh(r / 2)), which does not cancel for large r.
        return self.time_of_log_alpha(-jnp.arcsinh(0.5 * noise_to_signal))

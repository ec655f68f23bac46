"""What an SDE is, and what follows from its signal and noise scales alone."""

import abc
import dataclasses

import jax
import jax.numpy as jnp

from sdedit_jax import keys


def expand(t: jax.Array, x: jax.Array) -> jax.Array:
    """`t` of shape () or (B,), with trailing axes of size 1 so that it broadcasts against `x` (B, ...)."""
    t = jnp.asarray(t)
    return t.reshape(t.shape + (1,) * (x.ndim - t.ndim))


@dataclasses.dataclass(frozen=True)
class SDE(abc.ABC):
    """A forward SDE on [0, 1]. Times are () or (B,); a (B,) time gives every image its own."""

    @property
    @abc.abstractmethod
    def t_min(self) -> float:
        """The last time at which the score is evaluated when sampling; from there one exact step leads to 0."""

    @property
    @abc.abstractmethod
    def prior_std(self) -> float:
        """Standard deviation of the law that x_1 is taken to have."""

    @abc.abstractmethod
    def log_alpha(self, t: jax.Array) -> jax.Array:
        """Log of the signal scale."""

    @abc.abstractmethod
    def sigma(self, t: jax.Array) -> jax.Array:
        """Noise scale: the standard deviation of x_t given x_0; 0 at t = 0."""

    @abc.abstractmethod
    def drift(self, x: jax.Array, t: jax.Array) -> jax.Array:
        """f(x, t)."""

    @abc.abstractmethod
    def diffusion(self, t: jax.Array) -> jax.Array:
        """g(t), a scalar function of time."""

    @abc.abstractmethod
    def noise_label(self, t: jax.Array) -> jax.Array:
        """What the networks trained for this SDE are told about t."""

    @abc.abstractmethod
    def time_of_label(self, noise_label: jax.Array) -> jax.Array:
        """The t with that `noise_label`."""

    @abc.abstractmethod
    def quantize(self, t: jax.Array) -> jax.Array:
        """The training time for a uniform draw t in (0, 1]: t itself, or on a discrete SDE the level of its cell."""

    @abc.abstractmethod
    def time_of(self, noise_to_signal: jax.Array) -> jax.Array:
        """The t in [0, 1] with sigma(t) / alpha(t) equal to `noise_to_signal` > 0, clipped to what the SDE reaches."""

    def alpha(self, t: jax.Array) -> jax.Array:
        """Signal scale: the mean of x_t given x_0 is alpha x_0. (alpha^2 is DDPM's alpha_bar.)"""
        return jnp.exp(self.log_alpha(t))

    def marginal_prob(self, x: jax.Array, t: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Mean, like `x`, and standard deviation, like `t`, of p(x_t | x_0 = x)."""
        return expand(self.alpha(t), x) * x, self.sigma(t)

    def transition(self, s: jax.Array, t: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Scale and variance of p(x_t | x_s) = N(scale x_s, var I), for s <= t.

        Kingma et al. 2021, section 3.1 (arXiv:2107.00630). `s`, `t`: () or (B,) in [0, 1].
        """
        scale = jnp.exp(self.log_alpha(t) - self.log_alpha(s))
        var = self.sigma(t) ** 2 - (scale * self.sigma(s)) ** 2
        return scale, jnp.maximum(var, 0.0)

    def perturb(self, key: jax.Array, x: jax.Array, t: jax.Array) -> jax.Array:
        """One draw of p(x_t | x_0 = x); image i of it depends on key i alone if there is one key per image."""
        mean, std = self.marginal_prob(x, t)
        return mean + expand(std, x) * keys.normal(key, x.shape, x.dtype)

    def prior(self, key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        """One draw (B, H, W, C) of the law of x_1, where sampling from nothing starts."""
        return self.prior_std * keys.normal(key, shape)

    def denoise(self, x: jax.Array, score: jax.Array, t: jax.Array) -> jax.Array:
        """E[x_0 | x_t = x] from the score at (x, t): Tweedie's formula (Efron 2011, eq. 1.4)."""
        return (x + expand(self.sigma(t), x) ** 2 * score) / expand(self.alpha(t), x)


def require(field: str, value: float | int, fulfilled: bool, wanted: str) -> None:
    """ValueError that `field` has to be `wanted`, unless that is `fulfilled`."""
    if not fulfilled:
        raise ValueError(f"{field} must be {wanted}, got {value!r}.")


def require_levels(num_levels: int) -> None:
    """ValueError unless there are from 2 to 1000000."""
    whole = isinstance(num_levels, int) and 2 <= num_levels <= 1_000_000
    require("num_levels", num_levels, whole, "a whole number from 2 to 1000000")

"""Forward SDEs: how a picture turns into noise, and everything that follows from that.

An SDE  dx = f(x, t) dt + g(t) dw  with t in [0, 1] and a drift linear in x carries data x_0 to

    p(x_t | x_0) = N(alpha(t) x_0, sigma(t)^2 I),        alpha(0) = 1, sigma(0) = 0.

Two numbers per time, `alpha` and `sigma`, therefore describe it completely: the law of x_t given an earlier x_s
(`transition`), the noised guide (`perturb`), and every solver step. Song et al. 2021 (arXiv:2011.13456), table of
section 3; pixels are float32 in [-1, 1] for every SDE.
"""

import abc
import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

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


@dataclasses.dataclass(frozen=True)
class LinearBetaSDE(SDE):
    """What VP and sub-VP share: a drift -1/2 beta(t) x with beta(t) = beta_min + t (beta_max - beta_min)."""

    beta_min: float = 0.1
    beta_max: float = 20.0

    def __post_init__(self) -> None:
        """ValueError unless 0 <= beta_min <= beta_max <= 1000, where `beta_max` is not 0."""
        _require("beta_max", self.beta_max, 0.0 < self.beta_max <= 1000.0, "in (0, 1000]")
        _require(
            "beta_min", self.beta_min, 0.0 <= self.beta_min <= self.beta_max, f"in [0, beta_max = {self.beta_max}]"
        )

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
        _require("sigma_max", self.sigma_max, 0.0 < self.sigma_max <= 1e9, "in (0, 1e9]")
        below = f"in (0, sigma_max = {self.sigma_max})"
        _require("sigma_min", self.sigma_min, 0.0 < self.sigma_min < self.sigma_max, below)
        if self.num_levels is not None:
            _require_levels(self.num_levels)

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
        _require("beta_end", self.beta_end, 0.0 < self.beta_end < 1.0, "in (0, 1)")
        up_to = f"in (0, beta_end = {self.beta_end}]"
        _require("beta_start", self.beta_start, 0.0 < self.beta_start <= self.beta_end, up_to)
        _require_levels(self.num_levels)

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


def _require(field: str, value: float | int, fulfilled: bool, wanted: str) -> None:
    if not fulfilled:
        raise ValueError(f"{field} must be {wanted}, got {value!r}.")


def _require_levels(num_levels: int) -> None:
    whole = isinstance(num_levels, int) and 2 <= num_levels <= 1_000_000
    _require("num_levels", num_levels, whole, "a whole number from 2 to 1000000")

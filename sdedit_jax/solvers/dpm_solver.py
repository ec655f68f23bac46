"""Ancestral sampling to second order: one evaluation a step, and the step before remembered."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from sdedit_jax.sdes import SDE, expand
from sdedit_jax.solvers.base import Solver
from sdedit_jax.solvers.first_order import Ancestral


class PastEstimate(NamedTuple):
    """What `DPMSolverSDE` remembers of the step before."""

    x0: jax.Array
    """(B, H, W, C) E[x_0 | x_t] there."""
    half_log_snr: jax.Array
    """(B,) log(alpha / sigma) there; -inf before the first step, so that it counts for nothing."""


@dataclasses.dataclass(frozen=True)
class DPMSolverSDE(Solver):
    """SDE-DPM-Solver++(2M) of Lu et al. 2022 (arXiv:2211.01095, section 5): ancestral sampling to second order.

    Between t and t_next the reverse SDE is linear but for E[x_0 | x_t]. `Ancestral("small")` takes that to be constant;
    this solver takes it to be a line in the half log-SNR log(alpha / sigma), through the estimates at t and at the step
    before. So it still has one network evaluation a step, and the noise of the SDE. Its first step is ancestral.

    The published rule extends that line as far as the step is long. Evenly spaced times make the last steps of a VP SDE
    several times as long as those before, and the result too noisy; so here it goes no farther than the step before.
    """

    def step(self, sde, score_fn, key, x, t, t_next):
        """A first step, which is ancestral."""
        return Ancestral("small").step(sde, score_fn, key, x, t, t_next)

    def initial_memory(self, x):
        """Of a step infinitely long ago."""
        return PastEstimate(jnp.zeros_like(x), jnp.full(x.shape[0], -jnp.inf, x.dtype))

    def step_with_memory(self, sde, score_fn, key, x, memory, t, t_next):
        """An ancestral step, plus alpha' (1 - e^(-2 h)) (x0 - x0_last) min(1, h / h_last) / 2; h is in half log-SNR."""
        score = score_fn(x, t)
        x0 = sde.denoise(x, score, t)
        half_log_snr = jnp.broadcast_to(_half_log_snr(sde, t), memory.half_log_snr.shape)
        h = _half_log_snr(sde, jnp.maximum(t_next, sde.t_min)) - half_log_snr
        h_last = half_log_snr - memory.half_log_snr
        # No line goes through a step of no length, and the step to 0 has the estimate at t for its result.
        extends = (t_next > 0.0) & (h_last > 0.0)
        extension = jnp.where(extends, jnp.minimum(1.0, h / jnp.where(extends, h_last, 1.0)), 0.0)
        _, var = sde.transition(t_next, t)
        gain = sde.alpha(t_next) * var / sde.sigma(t) ** 2
        x_next = Ancestral("small").step(sde, lambda x, t: score, key, x, t, t_next)
        x_next = x_next + 0.5 * expand(gain * extension, x) * (x0 - memory.x0)
        return x_next, PastEstimate(x0, half_log_snr)


def _half_log_snr(sde: SDE, t: jax.Array) -> jax.Array:
    """log(alpha / sigma), lambda of Lu et al. 2022."""
    return sde.log_alpha(t) - jnp.log(sde.sigma(t))

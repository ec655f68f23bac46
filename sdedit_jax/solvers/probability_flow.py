"""The deterministic counterpart of the reverse SDE."""

import dataclasses
from typing import Literal

import jax.numpy as jnp

from sdedit_jax.sdes import expand
from sdedit_jax.solvers.base import Solver


@dataclasses.dataclass(frozen=True)
class ProbabilityFlow(Solver):
    """The probability-flow ODE (Song et al. 2021, eq. 13), whose solutions have the SDE's marginals but no noise.

    In the coordinates x / alpha against sigma / alpha it reads  d(x / alpha) = eps d(sigma / alpha)  for every SDE
    here. `order` 1 is Euler's rule there, which is DDIM (Song et al. 2020, eq. 13, arXiv:2010.02502); 2 is Heun's
    (Karras et al. 2022, algorithm 1, arXiv:2206.00364), with two evaluations a step.
    """

    order: Literal[1, 2] = 1

    @property
    def nfe_per_step(self) -> int:
        """One for each order."""
        return self.order

    def step(self, sde, score_fn, key, x, t, t_next):
        """One step along d(x / alpha) = eps d(sigma / alpha); `key` is not used."""
        del key
        alpha, sigma = expand(sde.alpha(t), x), expand(sde.sigma(t), x)
        alpha_next, sigma_next = expand(sde.alpha(t_next), x), expand(sde.sigma(t_next), x)
        step_length = sigma_next / alpha_next - sigma / alpha
        eps = -sigma * score_fn(x, t)
        x_next = alpha_next * (x / alpha + eps * step_length)
        if self.order == 1:
            return x_next
        # No score exists at 0: there the slope stays Euler's, and t_min stands in so that nothing is NaN.
        t_end = jnp.maximum(t_next, sde.t_min)
        eps_next = -expand(sde.sigma(t_end), x) * score_fn(x_next, t_end)
        slope = jnp.where(expand(t_next, x) > 0.0, 0.5 * (eps + eps_next), eps)
        return alpha_next * (x / alpha + slope * step_length)

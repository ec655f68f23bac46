"""One evaluation a step, and nothing remembered: Euler-Maruyama, ancestral sampling, reverse diffusion."""

import dataclasses
from typing import Literal

import jax.numpy as jnp

from sdedit_jax import keys
from sdedit_jax.sdes import expand
from sdedit_jax.solvers.base import Solver


@dataclasses.dataclass(frozen=True)
class EulerMaruyama(Solver):
    """The Euler-Maruyama scheme of the reverse-time SDE: strong order 1/2, weak order 1."""

    def step(self, sde, score_fn, key, x, t, t_next):
        """x - [f - g^2 score] dt + g sqrt(dt) z."""
        dt, g = expand(t - t_next, x), expand(sde.diffusion(t), x)
        score = score_fn(x, t)
        x_next = x - (sde.drift(x, t) - g**2 * score) * dt + g * jnp.sqrt(dt) * keys.normal(key, x.shape, x.dtype)
        return jnp.where(expand(t_next, x) > 0.0, x_next, sde.denoise(x, score, t))


@dataclasses.dataclass(frozen=True)
class Ancestral(Solver):
    """Ancestral sampling: the reverse of the forward kernel t_next -> t.

    `variance`: "large", that of the forward kernel, is the update of the SDEdit paper for VE and VP (Meng et al. 2022,
    algorithms 1 and 4); "small", that of the posterior given x_0, is DDPM's (Ho et al. 2020, eq. 7) and what SDEdit's
    authors ran.
    """

    variance: Literal["small", "large"] = "small"

    def step(self, sde, score_fn, key, x, t, t_next):
        """(x + var score) / scale, plus noise of the chosen variance."""
        scale, var = sde.transition(t_next, t)
        mean = (x + expand(var, x) * score_fn(x, t)) / expand(scale, x)
        if self.variance == "small":
            shrink = sde.sigma(t_next) / sde.sigma(t)
        else:
            # The paper adds noise in its last step as well, and so leaves it in the picture.
            shrink = (t_next > 0.0).astype(x.dtype)
        return mean + expand(shrink * jnp.sqrt(var), x) * keys.normal(key, x.shape, x.dtype)


@dataclasses.dataclass(frozen=True)
class ReverseDiffusion(Solver):
    """The forward kernel reversed as Song et al. discretise it (2021, appendix E): first order in 1 - scale."""

    def step(self, sde, score_fn, key, x, t, t_next):
        """(2 - scale) x + var score, plus noise of variance var."""
        scale, var = sde.transition(t_next, t)
        score = score_fn(x, t)
        x_next = (2.0 - expand(scale, x)) * x + expand(var, x) * score
        x_next = x_next + expand(jnp.sqrt(var), x) * keys.normal(key, x.shape, x.dtype)
        return jnp.where(expand(t_next, x) > 0.0, x_next, sde.denoise(x, score, t))

"""A step to less noise, and MCMC steps at a level of noise, in turns."""

import dataclasses

import jax
import jax.numpy as jnp
from jax import lax

from sdedit_jax import keys
from sdedit_jax.sdes import SDE, expand
from sdedit_jax.solvers.base import ScoreFn, Solver
from sdedit_jax.solvers.first_order import ReverseDiffusion


@dataclasses.dataclass(frozen=True)
class Langevin:
    """The Langevin corrector of Song et al. 2021, algorithm 4: MCMC steps that leave the level of noise as it is.

    `target_snr` is r there. Norms are per image, not averaged over the batch as in the reference, so that no image
    depends on the others. The step carries the factor scale^2 of the kernel t_next -> t: 1 for VE, DDPM's 1 - beta
    for VP.
    """

    target_snr: float = 0.16
    num_steps: int = 1

    def correct(
        self, sde: SDE, score_fn: ScoreFn, key: jax.Array, x: jax.Array, t: jax.Array, t_next: jax.Array
    ) -> jax.Array:
        """The state at t after `num_steps` Langevin steps."""
        scale, _ = sde.transition(t_next, t)

        def body(x, key):
            score = score_fn(x, t)
            z = keys.normal(key, x.shape, x.dtype)
            step_size = 2.0 * expand(scale, x) ** 2 * (self.target_snr * _norm(z) / _norm(score)) ** 2
            return x + step_size * score + jnp.sqrt(2.0 * step_size) * z, None

        return lax.scan(body, x, keys.split(key, self.num_steps))[0]


@dataclasses.dataclass(frozen=True)
class PredictorCorrector(Solver):
    """The predictor-corrector sampler of Song et al. 2021, in the order of its code, score_sde: first the corrector.

    Algorithm 1 there predicts first and corrects at t_next, so that it ends with a correction.
    """

    predictor: Solver = ReverseDiffusion()
    corrector: Langevin = Langevin()

    @property
    def nfe_per_step(self) -> int:
        """The predictor's and the corrector's."""
        return self.predictor.nfe_per_step + self.corrector.num_steps

    def step(self, sde, score_fn, key, x, t, t_next):
        """Correct at t, then step to t_next."""
        return self.step_with_memory(sde, score_fn, key, x, self.initial_memory(x), t, t_next)[0]

    def initial_memory(self, x):
        """The predictor's."""
        return self.predictor.initial_memory(x)

    def step_with_memory(self, sde, score_fn, key, x, memory, t, t_next):
        """Correct at t, then step to t_next as the predictor does."""
        key_corrector, key_predictor = keys.split(key)
        x = self.corrector.correct(sde, score_fn, key_corrector, x, t, t_next)
        return self.predictor.step_with_memory(sde, score_fn, key_predictor, x, memory, t, t_next)


def _norm(x: jax.Array) -> jax.Array:
    """(B, 1, ...) Euclidean norm of each image."""
    return jnp.sqrt(jnp.sum(x**2, axis=tuple(range(1, x.ndim)), keepdims=True))

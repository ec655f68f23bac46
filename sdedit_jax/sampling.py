"""Unconditional sampling: the reverse SDE from pure noise."""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from sdedit_jax import keys
from sdedit_jax.score import score
from sdedit_jax.sdes import SDE
from sdedit_jax.solvers import Solver, solve, time_grid


@functools.partial(jax.jit, static_argnames=("image_shape", "model", "sde", "solver", "num_steps"))
def sample(
    params: Any,
    key: jax.Array,
    *,
    image_shape: tuple[int, int, int],
    model: nn.Module,
    sde: SDE,
    solver: Solver,
    num_steps: int = 1000,
) -> jax.Array:
    """Pictures (B, H, W, C) drawn from the model, one for each key.

    Args:
        params: the network's parameters.
        key: (B,) typed keys, `jax.random.split(key, B)`; picture i depends on key i alone.
        image_shape: (H, W, C), each side a multiple of the network's down-sampling factor.
        model: the Flax module, (x, noise_label) -> noise prediction.
        sde: the forward SDE that `params` were trained for.
        solver: the step of the reverse SDE.
        num_steps: steps from t = 1 to 0.
    """
    if key.ndim != 1:
        raise ValueError(f"sample takes one key for each picture, jax.random.split(key, B), got shape {key.shape}.")
    key_prior, key_solve = keys.split(key)
    x = sde.prior(key_prior, (key.shape[0], *image_shape))
    score_fn = functools.partial(score, model, params, sde)
    times = time_grid(jnp.ones(()), num_steps, sde.t_min)
    return solve(sde, score_fn, solver, keys.split(key_solve, num_steps), x, times)[0]

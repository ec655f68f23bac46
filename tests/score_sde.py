"""score_sde's arithmetic where ours differs from it on purpose, with a wave in place of its noise."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from sdedit_jax.solvers import ReverseDiffusion

SNR = 0.16


def wave(shape, dtype=jnp.float32):
    """What stands for every draw of noise, as the generators of two frameworks differ."""
    return jnp.cos(1.7 * jnp.arange(float(np.prod(shape))) + 0.2).reshape(shape).astype(dtype)


def mean_norm(x):
    """The Euclidean norm of an image, averaged over the batch."""
    return jnp.linalg.norm(x.reshape(x.shape[0], -1), axis=1).mean()


def langevin(x, score, alpha, ratio):
    """Its corrector; `ratio` is the noise's norm over the score's, or the marginal std if annealed."""
    step_size = 2.0 * alpha * (SNR * ratio) ** 2
    return x + step_size * score + jnp.sqrt(2.0 * step_size) * wave(x.shape, x.dtype)


def predictor_corrector(sde, score_fn, x, mix=lambda x, t: x):
    """Its predictor-corrector loop of five steps for VE, the last without noise; `mix` imposes known pixels."""
    # A table's first level has sigma_min, as any positive time this small has here.
    levels = [1.0, 0.75, 0.5, 0.25, 1e-9, 0.0]
    for t, level, next_level in zip(np.linspace(1.0, 1e-5, 5), levels, levels[1:], strict=False):
        score = score_fn(x, t)
        x = mix(langevin(x, score, 1.0, mean_norm(wave(x.shape, x.dtype)) / mean_norm(score)), t)
        step_score = functools.partial(lambda t, x, _: score_fn(x, t), t)
        x = ReverseDiffusion().step(sde, step_score, jax.random.key(0), x, jnp.array(level), jnp.array(next_level))
        x = x if next_level == 0.0 else mix(x, t)
    return x

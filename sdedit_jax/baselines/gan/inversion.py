"""Guides -> latents whose pictures resemble them: by the encoder at once, then better by optimisation.

The two are In-domain GAN-1 and -2 of SDEdit's tables (Zhu et al. 2020, arXiv:2004.00049) in kind: the encoder's w
starts a search for pixels like the guide's, held to latents that the encoder would find again, so to pictures that the
generator makes. Guides are inverted whole, composites too.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax

from sdedit_jax.baselines.gan.networks import Encoder, Generator, apply

LEARNING_RATE = 0.03
DOMAIN_WEIGHT = 0.02  # of squared differences of w, relative to those of pixels


@dataclasses.dataclass(frozen=True)
class GAN:
    """A generator and the encoder back into its W; params are ``{"generator": …, "encoder": …}``."""

    generator: Generator
    encoder: Encoder


@functools.partial(jax.jit, static_argnames="gan")
def synthesize(params: Any, w: jax.Array, *, gan: GAN) -> jax.Array:
    """Pictures (B, S, S, 3), clipped to [-1, 1], of latents `w` (B, levels, w_dim)."""
    return jnp.clip(_picture(params, w, gan), -1.0, 1.0)


@functools.partial(jax.jit, static_argnames="gan")
def invert(params: Any, x_guide: jax.Array, *, gan: GAN) -> jax.Array:
    """w (B, levels, w_dim) of guides (B, S, S, 3) in [-1, 1], by the encoder alone."""
    return apply(gan.encoder, params["encoder"], x_guide)


@functools.partial(jax.jit, static_argnames=("gan", "num_steps"))
def refine(params: Any, x_guide: jax.Array, w: jax.Array, *, gan: GAN, num_steps: int = 100) -> jax.Array:
    """w (B, levels, w_dim) nearer to guides (B, S, S, 3) in [-1, 1] than the `w` of `invert` that it starts from.

    Adam on each picture's mean squared error plus `DOMAIN_WEIGHT` times that between w and what the encoder finds in
    its picture (equation 4 of Zhu et al., without VGG); the steps shorten to nothing along a cosine. Pictures do not
    influence each other.
    """
    tx = optax.adam(optax.cosine_decay_schedule(LEARNING_RATE, num_steps))

    def loss_fn(w: jax.Array) -> jax.Array:
        x = _picture(params, w, gan)
        pixels = jnp.square(x - x_guide).mean(axis=(1, 2, 3))
        domain = jnp.square(w - invert(params, x, gan=gan)).mean(axis=(1, 2))
        return (pixels + DOMAIN_WEIGHT * domain).sum()

    def body(carry: Any, _: None):
        w, opt_state = carry
        updates, opt_state = tx.update(jax.grad(loss_fn)(w), opt_state)
        stepped: Any = optax.apply_updates(w, updates)
        return (stepped, opt_state), None

    (w, _), _ = jax.lax.scan(body, (w, tx.init(w)), length=num_steps)
    return w


def _picture(params: Any, w: jax.Array, gan: GAN) -> jax.Array:
    return apply(gan.generator, params["generator"], w, "synthesize")

"""Teaching the encoder: one step of it against a generator that stays as it is, on arrays alone.

It learns from generated pictures, whose w is known, and from real ones, whose w is not: those count by how their
reconstruction looks, in pixels and in what the discriminator sees of it. So what it finds lies where the generator
makes pictures, the idea of in-domain inversion (Zhu et al. 2020, arXiv:2004.00049), there with VGG and an adversarial
loss.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from sdedit_jax.baselines.gan.networks import Discriminator, Encoder, Generator, Trunk, apply

LEARNING_RATE = 2e-3
EMA_DECAY = 0.999
W_WEIGHT = 0.1  # relative to that of squared differences of pixels
FEATURE_WEIGHT = 0.1


class EncoderState(struct.PyTreeNode):
    """What changes, and the generator that the encoder was last taught with; what a checkpoint holds."""

    step: jax.Array
    encoder: Any
    ema_encoder: Any
    opt_state: optax.OptState
    generator: Any


def optimizer() -> optax.GradientTransformation:
    """Adam."""
    return optax.adam(LEARNING_RATE, b2=0.99)


def init_state(key: jax.Array, generator_params: Any, generator: Generator, encoder: Encoder) -> EncoderState:
    """The state before the first step."""
    size = generator.image_size
    params = encoder.init(key, jnp.zeros((1, size, size, 3)))["params"]
    return EncoderState(jnp.zeros((), jnp.int32), params, params, optimizer().init(params), generator_params)


def encoder_step(
    state: EncoderState,
    key: jax.Array,
    x: jax.Array,
    generator_params: Any,
    discriminator_params: Any,
    *,
    generator: Generator,
    discriminator: Discriminator,
    encoder: Encoder,
) -> tuple[EncoderState, dict[str, jax.Array]]:
    """The state after one step on real pictures `x` (B, S, S, 3) and as many generated ones, and its metrics.

    `key` is the run's; the step folds its own number in.
    """
    z = jax.random.normal(jax.random.fold_in(key, state.step), (x.shape[0], generator.w_dim))
    w = apply(generator, generator_params, z, "map")
    trunk = Trunk(discriminator.channels, discriminator.patch_size)

    def synthesize(w: jax.Array) -> jax.Array:
        return apply(generator, generator_params, w, "synthesize")

    def features(x: jax.Array) -> jax.Array:
        return apply(trunk, discriminator_params["trunk"], x)

    x_all = jnp.concatenate([x, synthesize(w)])

    def loss_fn(params: Any) -> tuple[jax.Array, dict[str, jax.Array]]:
        w_found = apply(encoder, params, x_all)
        x_found = synthesize(w_found)
        errors = jnp.square(x_found - x_all).mean(axis=(1, 2, 3))
        metrics = {
            "w": jnp.square(w_found[x.shape[0] :] - w).mean(),
            "pixels_real": errors[: x.shape[0]].mean(),
            "pixels_generated": errors[x.shape[0] :].mean(),
            "features": jnp.square(features(x_found) - features(x_all)).mean(),
        }
        return errors.mean() + W_WEIGHT * metrics["w"] + FEATURE_WEIGHT * metrics["features"], metrics

    (loss, metrics), grads = jax.value_and_grad(loss_fn, has_aux=True)(state.encoder)
    updates, opt_state = optimizer().update(grads, state.opt_state)
    params = optax.apply_updates(state.encoder, updates)
    decay = jnp.minimum(EMA_DECAY, (1.0 + state.step) / (10.0 + state.step))
    ema_params = optax.incremental_update(params, state.ema_encoder, 1.0 - decay)
    new_state = EncoderState(state.step + 1, params, ema_params, opt_state, generator_params)
    return new_state, {"loss": loss, **metrics}

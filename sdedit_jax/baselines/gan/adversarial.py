"""The game of generator and discriminator: one step of both, on arrays alone."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from flax import struct

from sdedit_jax.baselines.gan.networks import Discriminator, Generator, apply

LEARNING_RATE = 2.5e-3
EMA_DECAY = 0.999
R1_WEIGHT = 0.5  # gamma of Mescheder et al. 2018
R1_EVERY = 16  # steps


class GameState(struct.PyTreeNode):
    """All that changes during training; what a checkpoint holds."""

    step: jax.Array
    generator: Any
    discriminator: Any
    ema_generator: Any
    generator_opt: optax.OptState
    discriminator_opt: optax.OptState


def optimizer() -> optax.GradientTransformation:
    """Adam without momentum, that of both players."""
    return optax.adam(LEARNING_RATE, b1=0.0, b2=0.99)


def init_state(key: jax.Array, generator: Generator, discriminator: Discriminator) -> GameState:
    """The state before the first step."""
    key_generator, key_discriminator = jax.random.split(key)
    size = generator.image_size
    generator_params = generator.init(key_generator, jnp.zeros((1, generator.w_dim)))["params"]
    discriminator_params = discriminator.init(key_discriminator, jnp.zeros((1, size, size, 3)))["params"]
    tx = optimizer()
    return GameState(
        step=jnp.zeros((), jnp.int32),
        generator=generator_params,
        discriminator=discriminator_params,
        ema_generator=generator_params,
        generator_opt=tx.init(generator_params),
        discriminator_opt=tx.init(discriminator_params),
    )


def r1_penalty(discriminator: nn.Module, params: Any, x: jax.Array) -> jax.Array:
    """Mean over pictures `x` (B, H, W, C) of the squared norm of the logit's gradient in the picture, ().

    Mescheder et al. 2018 (arXiv:1801.04406), equation 9, without gamma / 2.
    """
    grads = jax.grad(lambda x: apply(discriminator, params, x).sum())(x)
    return jnp.square(grads).sum(axis=(1, 2, 3)).mean()


def game_step(
    state: GameState,
    key: jax.Array,
    x: jax.Array,
    *,
    generator: Generator,
    discriminator: Discriminator,
    regularize: bool,
) -> tuple[GameState, dict[str, jax.Array]]:
    """The state after both players have answered each other once, on real pictures `x` (B, S, S, 3), and metrics.

    Both losses are non-saturating logistic ones (Goodfellow et al. 2014), of the same generated pictures. R1 is added
    in those steps only that `regularize`, one of `R1_EVERY`, at so many times its weight (Karras et al. 2020).
    `key` is the run's; the step folds its own number in.
    """
    z = jax.random.normal(jax.random.fold_in(key, state.step), (x.shape[0], generator.w_dim))

    def generator_loss(params: Any) -> jax.Array:
        fake = apply(generator, params, z)
        return jax.nn.softplus(-apply(discriminator, state.discriminator, fake)).mean()

    def discriminator_loss(params: Any) -> tuple[jax.Array, dict[str, jax.Array]]:
        fake = apply(generator, state.generator, z)
        logits_real, logits_fake = apply(discriminator, params, x), apply(discriminator, params, fake)
        loss = jax.nn.softplus(-logits_real).mean() + jax.nn.softplus(logits_fake).mean()
        metrics = {"logit_real": logits_real.mean(), "logit_fake": logits_fake.mean()}
        if regularize:
            metrics["r1"] = r1_penalty(discriminator, params, x)
            loss = loss + 0.5 * R1_WEIGHT * R1_EVERY * metrics["r1"]
        return loss, metrics

    loss_g, grads_g = jax.value_and_grad(generator_loss)(state.generator)
    (loss_d, metrics), grads_d = jax.value_and_grad(discriminator_loss, has_aux=True)(state.discriminator)
    tx = optimizer()
    updates_g, generator_opt = tx.update(grads_g, state.generator_opt)
    updates_d, discriminator_opt = tx.update(grads_d, state.discriminator_opt)
    params = optax.apply_updates(state.generator, updates_g)
    # The average starts as a short one, or the random initial parameters would stay in it for long.
    decay = jnp.minimum(EMA_DECAY, (1.0 + state.step) / (10.0 + state.step))
    new_state = GameState(
        step=state.step + 1,
        generator=params,
        discriminator=optax.apply_updates(state.discriminator, updates_d),
        ema_generator=optax.incremental_update(params, state.ema_generator, 1.0 - decay),
        generator_opt=generator_opt,
        discriminator_opt=discriminator_opt,
    )
    return new_state, {"generator_loss": loss_g, "discriminator_loss": loss_d, **metrics}

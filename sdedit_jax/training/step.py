"""What training does to a state, on arrays alone: one optimizer step, and the average of the parameters (EMA)."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from sdedit_jax.build import init_params
from sdedit_jax.losses import DenoisingScoreMatching


class TrainState(struct.PyTreeNode):
    """All that changes during training; what a checkpoint holds."""

    step: jax.Array
    params: Any
    ema_params: Any
    opt_state: optax.OptState


def init_state(
    key: jax.Array, loss_fn: DenoisingScoreMatching, tx: optax.GradientTransformation, image_size: int
) -> TrainState:
    """The state before the first step."""
    params = init_params(loss_fn.model, key, image_size)
    return TrainState(jnp.zeros((), jnp.int32), params, params, tx.init(params))


def train_step(
    state: TrainState,
    key: jax.Array,
    x0: jax.Array,
    *,
    loss_fn: DenoisingScoreMatching,
    tx: optax.GradientTransformation,
    ema_decay: float,
) -> tuple[TrainState, dict[str, jax.Array]]:
    """The state after one optimizer step on pictures x0 (B, H, W, C), and its `loss` and `grad_norm`.

    `key` is the run's; the step folds its own number in, so a resumed run draws what an uninterrupted one would have.
    """
    loss, grads = jax.value_and_grad(loss_fn)(state.params, jax.random.fold_in(key, state.step), x0)
    updates, opt_state = tx.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    # The average starts as a short one, or the random initial parameters would stay in it for long.
    decay = jnp.minimum(ema_decay, (1.0 + state.step) / (10.0 + state.step))
    ema_params = optax.incremental_update(params, state.ema_params, 1.0 - decay)
    return TrainState(state.step + 1, params, ema_params, opt_state), {
        "loss": loss,
        "grad_norm": optax.tree.norm(grads),
    }

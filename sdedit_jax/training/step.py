"""What training does to a state, on arrays alone: one optimizer step, and the average of the parameters (EMA)."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from sdedit_jax.losses import DenoisingScoreMatching


class TrainState(struct.PyTreeNode):
    """All that changes during training; what a checkpoint holds."""

    step: jax.Array
    params: Any
    ema_params: Any
    opt_state: optax.OptState


def init_state(params: Any, tx: optax.GradientTransformation) -> TrainState:
    """The state before the first step, which starts from `params`."""
    return TrainState(jnp.zeros((), jnp.int32), params, params, tx.init(params))


def train_step(
    state: TrainState,
    key: jax.Array,
    x0: jax.Array,
    *,
    loss_fn: DenoisingScoreMatching,
    tx: optax.GradientTransformation,
    ema_decay: float,
    num_microbatches: int = 1,
) -> tuple[TrainState, dict[str, jax.Array]]:
    """The state after one optimizer step on pictures x0 (B, H, W, C), and its `loss`, `grad_norm` and `skipped`.

    `key` is the run's; the step folds its own number in, so a resumed run draws what an uninterrupted one would have.
    A step whose loss or gradient is not finite is skipped, 1.0 instead of 0.0: it counts, and changes nothing else.
    """
    key = jax.random.fold_in(key, state.step)
    loss, grads = _loss_and_grads(loss_fn, state.params, key, x0, num_microbatches)
    updates, opt_state = tx.update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    # The average starts as a short one, or the random initial parameters would stay in it for long.
    decay = jnp.minimum(ema_decay, (1.0 + state.step) / (10.0 + state.step))
    ema_params = optax.incremental_update(params, state.ema_params, 1.0 - decay)
    grad_norm = optax.tree.norm(grads)
    finite = jnp.isfinite(loss) & jnp.isfinite(grad_norm)
    stepped, unchanged = (params, ema_params, opt_state), (state.params, state.ema_params, state.opt_state)
    kept = jax.tree.map(lambda new, old: jnp.where(finite, new, old), stepped, unchanged)
    metrics = {"loss": loss, "grad_norm": grad_norm, "skipped": 1.0 - finite}
    return TrainState(state.step + 1, *kept), metrics


@jax.jit
def is_finite(state: TrainState) -> jax.Array:
    """Whether all parameters and their averages are finite, ()."""
    leaves = jax.tree.leaves((state.params, state.ema_params))
    return jnp.all(jnp.stack([jnp.isfinite(leaf).all() for leaf in leaves]))


def _loss_and_grads(
    loss_fn: DenoisingScoreMatching, params: Any, key: jax.Array, x0: jax.Array, num_microbatches: int
) -> tuple[jax.Array, Any]:
    """The loss of the batch and its gradient, from `num_microbatches` equal parts of it, one after the other."""
    if x0.shape[0] % num_microbatches:
        raise ValueError(
            f"The batch of {x0.shape[0]} pictures must be a multiple of num_microbatches, got {num_microbatches}."
        )
    t, z, key_dropout = loss_fn.draw(key, x0)

    @jax.value_and_grad
    def loss_and_grads(params, x0, t, z, key_dropout):
        return loss_fn.per_image(params, x0, t, z, key_dropout=key_dropout).mean()

    if num_microbatches == 1:
        return loss_and_grads(params, x0, t, z, key_dropout)

    def parts(values: jax.Array) -> jax.Array:
        # Part i has rows i, i + K, ...: a device that holds some rows of the batch has those of its share of each part.
        return values.reshape(-1, num_microbatches, *values.shape[1:]).swapaxes(0, 1)

    def add_part(sums, part):
        return jax.tree.map(jnp.add, sums, loss_and_grads(params, *part)), None

    zeros = (jnp.zeros(()), jax.tree.map(jnp.zeros_like, params))
    keys = jax.random.split(key_dropout, num_microbatches)
    sums, _ = jax.lax.scan(add_part, zeros, (parts(x0), parts(t), parts(z), keys))
    return jax.tree.map(lambda total: total / num_microbatches, sums)

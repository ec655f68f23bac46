"""What training does to a state, on arrays alone: one optimizer step, and the average of the parameters (EMA)."""

import dataclasses
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


@dataclasses.dataclass(frozen=True)
class TrainStep:
    """One optimizer step, a pure function; its fields are what all steps of a run have in common."""

    loss_fn: DenoisingScoreMatching
    """Model, SDE and loss."""
    tx: optax.GradientTransformation
    ema_decay: float
    """Of the averaged parameters, in [0, 1)."""
    num_microbatches: int = 1
    """Equal parts of a batch that are computed one after the other, which takes less memory."""

    def __post_init__(self):
        if not 0.0 <= self.ema_decay < 1.0:
            raise ValueError(f"ema_decay must be in [0, 1), got {self.ema_decay}.")

    def __call__(self, state: TrainState, key: jax.Array, x0: jax.Array) -> tuple[TrainState, dict[str, jax.Array]]:
        """The state after a step on pictures x0 (B, H, W, C), and its `loss`, `grad_norm` and `skipped`.

        `key` is the run's; the step folds its own number in, so a resumed run draws what an uninterrupted one would
        have. A step whose loss or gradient is not finite is skipped, 1.0 instead of 0.0: it counts, and changes
        nothing else.
        """
        key = jax.random.fold_in(key, state.step)
        loss, grads = self.loss_and_grads(state.params, key, x0)
        updates, opt_state = self.tx.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        # The average starts as a short one, or the random initial parameters would stay in it for long.
        decay = jnp.minimum(self.ema_decay, (1.0 + state.step) / (10.0 + state.step))
        ema_params = optax.incremental_update(params, state.ema_params, 1.0 - decay)
        grad_norm = optax.tree.norm(grads)
        finite = jnp.isfinite(loss) & jnp.isfinite(grad_norm)
        stepped, unchanged = (params, ema_params, opt_state), (state.params, state.ema_params, state.opt_state)
        kept = jax.tree.map(lambda new, old: jnp.where(finite, new, old), stepped, unchanged)
        metrics = {"loss": loss, "grad_norm": grad_norm, "skipped": 1.0 - finite}
        return TrainState(state.step + 1, *kept), metrics

    def loss_and_grads(self, params: Any, key: jax.Array, x0: jax.Array) -> tuple[jax.Array, Any]:
        """The loss () of the batch and its gradient; both do not depend on `num_microbatches`, but for dropout."""
        number = self.num_microbatches
        if x0.shape[0] % number:
            raise ValueError(
                f"The batch of {x0.shape[0]} pictures must be a multiple of num_microbatches, got {number}."
            )
        t, z, key_dropout = self.loss_fn.draw(key, x0)

        @jax.value_and_grad
        def of_part(params, x0, t, z, key_dropout):
            return self.loss_fn.per_image(params, x0, t, z, key_dropout=key_dropout).mean()

        if number == 1:
            return of_part(params, x0, t, z, key_dropout)

        def parts(values: jax.Array) -> jax.Array:
            # Part i has rows i, i + K, ...: a device that holds some rows of the batch has those of its share of each.
            return values.reshape(-1, number, *values.shape[1:]).swapaxes(0, 1)

        def add_part(sums, part):
            return jax.tree.map(jnp.add, sums, of_part(params, *part)), None

        zeros = (jnp.zeros(()), jax.tree.map(jnp.zeros_like, params))
        sums, _ = jax.lax.scan(add_part, zeros, (parts(x0), parts(t), parts(z), jax.random.split(key_dropout, number)))
        return jax.tree.map(lambda total: total / number, sums)


@jax.jit
def is_finite(state: TrainState) -> jax.Array:
    """Whether all parameters and their averages are finite, ()."""
    leaves = jax.tree.leaves((state.params, state.ema_params))
    return jnp.all(jnp.stack([jnp.isfinite(leaf).all() for leaf in leaves]))

"""What a run would need, before it runs."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import optax

from sdedit_jax import build
from sdedit_jax.losses import DenoisingScoreMatching
from sdedit_jax.training.placement import Placement
from sdedit_jax.training.step import init_state, train_step


@dataclasses.dataclass(frozen=True)
class Estimate:
    """Number of parameters, and bytes on each device: of the state, and of what a step needs besides."""

    num_params: int
    state_bytes: int
    step_bytes: int


def estimate(
    loss_fn: DenoisingScoreMatching,
    tx: optax.GradientTransformation,
    ema_decay: float,
    num_microbatches: int,
    *,
    batch_size: int,
    image_size: int,
    shard_state: bool = False,
) -> Estimate:
    """The needs of training with a batch of `batch_size` pictures over all devices, which may share the state.

    The step is compiled, which tells its memory, and not run.
    """
    placement = Placement(shard_state=shard_state)
    params = build.param_shapes(loss_fn.model, image_size)
    shapes = jax.eval_shape(lambda params: init_state(params, tx), params)
    places = placement.of_state(shapes)
    state = placement.on_devices(shapes, places)
    x0 = jax.ShapeDtypeStruct((batch_size, image_size, image_size, 3), jnp.float32, sharding=placement.batched)
    step = functools.partial(train_step, loss_fn=loss_fn, tx=tx, ema_decay=ema_decay, num_microbatches=num_microbatches)
    step = jax.jit(step, donate_argnums=0, out_shardings=(places, placement.replicated))
    compiled = step.lower(state, jax.random.key(0), x0).compile()
    memory: Any = compiled.memory_analysis()
    num_params = sum(leaf.size for leaf in jax.tree.leaves(params))
    return Estimate(num_params, memory.argument_size_in_bytes, memory.temp_size_in_bytes)

"""What a run would need, before it runs."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from sdedit_jax import build
from sdedit_jax.training.placement import Placement
from sdedit_jax.training.step import TrainStep, init_state


@dataclasses.dataclass(frozen=True)
class Estimate:
    """Number of parameters, and bytes on each device: of the state, and of what a step needs besides."""

    num_params: int
    state_bytes: int
    step_bytes: int


def estimate(train_step: TrainStep, *, batch_size: int, image_size: int, placement: Placement) -> Estimate:
    """The needs of training with a batch of `batch_size` pictures over all devices, placed there by `placement`.

    The step is compiled, which tells its memory, and not run.
    """
    params = build.param_shapes(train_step.loss_fn.model, image_size)
    shapes = jax.eval_shape(lambda params: init_state(params, train_step.tx), params)
    places = placement.of_state(shapes)
    state = placement.on_devices(shapes)
    x0 = jax.ShapeDtypeStruct((batch_size, image_size, image_size, 3), jnp.float32, sharding=placement.batched)
    step = jax.jit(train_step, donate_argnums=0, out_shardings=(places, placement.replicated))
    compiled = step.lower(state, jax.random.key(0), x0).compile()
    memory: Any = compiled.memory_analysis()
    num_params = sum(leaf.size for leaf in jax.tree.leaves(params))
    return Estimate(num_params, memory.argument_size_in_bytes, memory.temp_size_in_bytes)

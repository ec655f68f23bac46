"""Training a score model: a pure step and a dull loop.

The step knows no files and the loop no mathematics. The average of the parameters (EMA) lives in the state, and
`sdedit` is called on it at intervals as on any other model.
"""

import dataclasses
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from tqdm import tqdm

from sdedit_jax import interrupts
from sdedit_jax.build import init_params
from sdedit_jax.checkpoints import Checkpointer
from sdedit_jax.images import save_image
from sdedit_jax.losses import DenoisingScoreMatching
from sdedit_jax.metrics_log import MetricsLog
from sdedit_jax.sheets import contact_sheet


class TrainState(struct.PyTreeNode):
    """All that changes during training; what a checkpoint holds."""

    step: jax.Array
    params: Any
    ema_params: Any
    opt_state: optax.OptState


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How long, and how often what, in optimizer steps. What happens at intervals happens after the last step too."""

    num_steps: int
    log_every: int
    checkpoint_every: int
    sample_every: int

    def __post_init__(self):
        for field in dataclasses.fields(self):
            if getattr(self, field.name) < 1:
                raise ValueError(f"{field.name} must be 1 or more steps, got {getattr(self, field.name)}.")

    def due(self, step: int, every: int) -> bool:
        """Whether what happens `every` so many steps happens after `step` of them."""
        return step % every == 0 or step == self.num_steps


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """What a run is watched by: held-out pictures and guides (B, H, W, C) in [-1, 1], and how the guides are edited.

    `edit` is (params, key, x_guide) -> x_edit: `sdedit` with its settings bound.
    """

    x0: np.ndarray
    x_guide: np.ndarray
    edit: Callable[[Any, jax.Array, np.ndarray], jax.Array]


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


def validation_loss(loss_fn: DenoisingScoreMatching, params: Any, x0: jax.Array, num_levels: int = 8) -> jax.Array:
    """(num_levels,) mean losses of held-out pictures x0 (B, H, W, C) at evenly spaced times, the least noise first.

    Noise and times are the same at every call, so that two calls differ by the parameters alone.
    """

    def at_time(time_and_key):
        t, key = time_and_key
        z = jax.random.normal(key, x0.shape, x0.dtype)
        return loss_fn.per_image(params, x0, jnp.full(x0.shape[:1], t), z).mean()

    times = (jnp.arange(num_levels) + 0.5) / num_levels
    return jax.lax.map(at_time, (times, jax.random.split(jax.random.key(0), num_levels)))


def train(
    workdir: Path,
    *,
    loss_fn: DenoisingScoreMatching,
    tx: optax.GradientTransformation,
    ema_decay: float,
    schedule: Schedule,
    seed: int,
    batches_from: Callable[[int], Iterator[np.ndarray]],
    held_out: HeldOut,
) -> TrainState:
    """The state after `schedule.num_steps` steps, going on from the newest whole checkpoint in `workdir`, if any.

    Writes `metrics.jsonl`, `checkpoints/` and `edits/step_*.png` there. Asked to stop by Ctrl-C or SIGTERM it finishes
    the step, saves, prints the command to go on with and returns that state; a second Ctrl-C quits at once.

    Args:
        workdir: the run's folder.
        loss_fn: model, SDE and loss.
        tx: the optimizer.
        ema_decay: of the averaged parameters.
        schedule: number of steps and intervals.
        seed: of the initial parameters and of the noise.
        batches_from: step -> the batches (B, H, W, C) from that step on; the same ones whenever it is asked.
        held_out: what validation loss and edits are made of.

    Raises:
        TrainingError: when loss or gradient is not finite; such a state is never saved.
        CheckpointError: when no checkpoint in `workdir` is whole, or they are of another model.
    """
    key_init, key_train = jax.random.split(jax.random.key(seed))
    mesh = Mesh(np.array(jax.devices()), ("data",), axis_types=(AxisType.Auto,))
    replicated, batched = NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec("data"))

    def initial(key):
        return init_state(key, loss_fn, tx, held_out.x0.shape[1])

    @jax.jit(donate_argnums=0)
    def step_fn(state, x0):
        return train_step(state, key_train, x0, loss_fn=loss_fn, tx=tx, ema_decay=ema_decay)

    with interrupts.noted() as interrupted, Checkpointer(workdir) as checkpointer:
        state = _first_state(checkpointer, initial, key_init, replicated)
        first_step = int(state.step)
        log = MetricsLog(workdir / "metrics.jsonl", first_step)
        look = _Look(workdir / "edits", loss_fn, held_out, seed)
        batches = batches_from(first_step)
        steps = range(first_step + 1, schedule.num_steps + 1)
        for step in (bar := tqdm(steps, initial=first_step, total=schedule.num_steps, unit="step")):
            x0 = jax.make_array_from_process_local_data(batched, next(batches))
            state, metrics = step_fn(state, x0)
            log.add(metrics, x0.shape[0])
            stopping = interrupted()
            if stopping or schedule.due(step, schedule.log_every):
                bar.set_postfix(log.write_means(step))
            if stopping or schedule.due(step, schedule.checkpoint_every):
                log.check_finite(step)
                checkpointer.save(step, state)
            if schedule.due(step, schedule.sample_every):
                log.check_finite(step)
                with log.clock_stopped():
                    log.write({"step": step, **look(step, state.ema_params)})
            if stopping:
                bar.close()
                break
    if (step := int(state.step)) < schedule.num_steps:
        print(f"Stopped and saved after step {step} of {schedule.num_steps}. To go on:\n  {shlex.join(sys.orig_argv)}")
    return state


def _first_state(
    checkpointer: Checkpointer, initial: Callable[[jax.Array], TrainState], key: jax.Array, sharding: NamedSharding
) -> TrainState:
    """The newest checkpoint that is whole, or without any the initial state."""
    if checkpointer.latest_step() is None:
        return jax.jit(initial, out_shardings=sharding)(key)
    state = checkpointer.restore(_on(sharding, jax.eval_shape(initial, key)))
    checkpointer.set_aside_after(int(state.step))
    return state


class _Look:
    """Validation loss and edits of the averaged parameters, at intervals."""

    def __init__(self, folder: Path, loss_fn: DenoisingScoreMatching, held_out: HeldOut, seed: int):
        self._folder, self._held_out, self._seed = folder, held_out, seed
        self._validate = jax.jit(lambda params, x0: validation_loss(loss_fn, params, x0))

    def __call__(self, step: int, params: Any) -> dict[str, Any]:
        by_level = np.asarray(self._validate(params, self._held_out.x0))
        x_guide = self._held_out.x_guide
        x_edit = self._held_out.edit(params, jax.random.key(self._seed), x_guide)
        rows = [list(x_guide), list(np.asarray(x_edit))]
        captions = [["guide"] * len(x_guide), ["edit"] * len(x_guide)]
        save_image(self._folder / f"step_{step:07d}.png", contact_sheet(rows, captions))
        return {"validation_loss": float(by_level.mean()), "validation_loss_by_level": by_level.tolist()}


def _on(sharding: NamedSharding, shapes: Any) -> Any:
    """`shapes`, a tree of `jax.ShapeDtypeStruct`, with a place for each array."""
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), shapes)

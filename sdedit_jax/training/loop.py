"""The loop of training: batches in, checkpoints and metrics out, cut anywhere and gone on with."""

import dataclasses
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import jax
import numpy as np
import optax
from tqdm import tqdm

from sdedit_jax import interrupts
from sdedit_jax.checkpoints import Checkpointer
from sdedit_jax.losses import DenoisingScoreMatching
from sdedit_jax.training.metrics_log import MetricsLog
from sdedit_jax.training.placement import Placement
from sdedit_jax.training.step import TrainState, init_state, train_step
from sdedit_jax.training.watching import HeldOut, Watch


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
    placement = Placement()

    def initial(key):
        return init_state(key, loss_fn, tx, held_out.x0.shape[1])

    @jax.jit(donate_argnums=0)
    def step_fn(state, x0):
        return train_step(state, key_train, x0, loss_fn=loss_fn, tx=tx, ema_decay=ema_decay)

    with interrupts.noted() as interrupted, Checkpointer(workdir) as checkpointer:
        state = _first_state(checkpointer, initial, key_init, placement)
        first_step = int(state.step)
        log = MetricsLog(workdir / "metrics.jsonl", first_step)
        watch = Watch(workdir / "edits", loss_fn, held_out, seed)
        batches = batches_from(first_step)
        steps = range(first_step + 1, schedule.num_steps + 1)
        for step in (bar := tqdm(steps, initial=first_step, total=schedule.num_steps, unit="step")):
            x0 = placement.batch(next(batches))
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
                    log.write({"step": step, **watch(step, state.ema_params)})
            if stopping:
                bar.close()
                break
    if (step := int(state.step)) < schedule.num_steps:
        print(f"Stopped and saved after step {step} of {schedule.num_steps}. To go on:\n  {shlex.join(sys.orig_argv)}")
    return state


def _first_state(
    checkpointer: Checkpointer, initial: Callable[[jax.Array], TrainState], key: jax.Array, placement: Placement
) -> TrainState:
    """The newest checkpoint that is whole, or without any the initial state."""
    if checkpointer.latest_step() is None:
        return jax.jit(initial, out_shardings=placement.replicated)(key)
    state = checkpointer.restore(placement.on_devices(jax.eval_shape(initial, key)))
    checkpointer.set_aside_after(int(state.step))
    return state

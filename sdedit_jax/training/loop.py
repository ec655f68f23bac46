"""The loop of training: batches in, checkpoints and metrics out, cut anywhere and gone on with."""

import contextlib
import dataclasses
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from sdedit_jax import distributed, interrupts
from sdedit_jax.build import init_params
from sdedit_jax.checkpoints import Checkpointer, pinned
from sdedit_jax.training.errors import TrainingError
from sdedit_jax.training.metrics_log import MetricsLog
from sdedit_jax.training.placement import Placement, Vote
from sdedit_jax.training.step import TrainState, TrainStep, init_state, is_finite
from sdedit_jax.training.tensorboard import TensorBoard
from sdedit_jax.training.watching import Watch, Watched


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How long, and how often what, in optimizer steps. What happens at intervals happens after the last step too."""

    num_steps: int
    log_every: int
    checkpoint_every: int
    sample_every: int
    max_skipped_steps: int
    """So many steps in a row without a finite loss and gradient end the run."""

    def __post_init__(self):
        for field in dataclasses.fields(self):
            if getattr(self, field.name) < 1:
                raise ValueError(f"{field.name} must be 1 or more, got {getattr(self, field.name)}.")

    def due(self, step: int, every: int) -> bool:
        """Whether what happens `every` so many steps happens after `step` of them."""
        return step % every == 0 or step == self.num_steps


def train(
    workdir: Path,
    train_step: TrainStep,
    *,
    schedule: Schedule,
    seed: int,
    batches_from: Callable[[int], Iterator[np.ndarray]],
    watched: Watched,
    params: Any = None,
    placement: Placement | None = None,
    tensorboard: bool = False,
) -> TrainState:
    """The state after `schedule.num_steps` steps, going on from the newest whole checkpoint in `workdir`, if any.

    Writes `metrics.jsonl`, `curves.png`, `checkpoints/` and the grids `edits/` and `samples/step_*.png` there. Asked to
    stop by Ctrl-C or SIGTERM it finishes the step, saves, prints the command to go on with and returns that state; a
    second Ctrl-C quits at once. A state is saved before grids are drawn of it, which takes long and may fail.

    Args:
        workdir: the run's folder.
        train_step: what a step does.
        schedule: number of steps and intervals.
        seed: of the initial parameters and of the noise.
        batches_from: step -> this process's share (B, H, W, C) of the batches from that step on; the same ones whenever
            it is asked.
        watched: what validation loss and grids are made of, at intervals.
        params: those that training starts from; None: fresh ones.
        placement: of the state on the devices; None: whole on each of them.
        tensorboard: whether metrics and grids are written for TensorBoard too.

    Raises:
        TrainingError: when too many steps in a row are skipped; parameters that are not finite are never saved.
        CheckpointError: when no checkpoint in `workdir` is whole, or they are of another model.
    """
    key_init, key_train = jax.random.split(jax.random.key(seed))
    placement = placement or Placement()

    def initial(key, params):
        if params is None:
            params = init_params(train_step.loss_fn.model, key, watched.x0.shape[1])
        return init_state(params, train_step.tx)

    shapes = jax.eval_shape(initial, key_init, params)
    places = placement.of_state(shapes)

    @jax.jit(donate_argnums=0, out_shardings=(places, placement.replicated))
    def step_fn(state, x0):
        return train_step(state, key_train, x0)

    workdir.mkdir(parents=True, exist_ok=True)
    with (
        interrupts.noted() as interrupted,
        Checkpointer(workdir) as checkpointer,
        distributed.written_once(workdir) as folder,
        pinned(folder) as require_same_folder,
        contextlib.ExitStack() as stack,
    ):
        asked_to_stop = Vote(placement)
        state = _first_state(checkpointer, placement, shapes, initial, key_init, params)
        first_step = int(state.step)
        board = None
        if tensorboard:
            board = stack.enter_context(contextlib.closing(TensorBoard(folder / "tensorboard", first_step)))
        log = MetricsLog(folder / "metrics.jsonl", first_step, schedule.max_skipped_steps, board)
        watch = Watch(folder, train_step.loss_fn, watched, seed=seed, log=log, board=board)
        batches = batches_from(first_step)
        steps = range(first_step + 1, schedule.num_steps + 1)
        silent = not distributed.is_first()
        for step in (bar := tqdm(steps, initial=first_step, total=schedule.num_steps, unit="step", disable=silent)):
            x0 = placement.batch(next(batches))
            state, metrics = step_fn(state, x0)
            log.add(metrics, x0.shape[0])
            stopping = asked_to_stop(interrupted())
            require_same_folder()
            if stopping or schedule.due(step, schedule.log_every):
                bar.set_postfix(log.write_means(step))
            looks = schedule.due(step, schedule.sample_every)
            if looks or stopping or schedule.due(step, schedule.checkpoint_every):
                _require_finite(state, step)
                validation_loss = watch.measure(step, placement.local(state.ema_params)) if looks else None
                checkpointer.save(step, state, validation_loss)
            if looks and not stopping:
                watch.draw(step, placement.local(state.ema_params), stopping=interrupted)
            if stopping:
                bar.close()
                break
    if (step := int(state.step)) < schedule.num_steps:
        print(f"Stopped and saved after step {step} of {schedule.num_steps}. To go on:\n  {shlex.join(sys.orig_argv)}")
    elif step == first_step:
        print(f"Nothing to do: all {schedule.num_steps} steps are done. For more, raise --config.training.num_steps.")
    return state


def _require_finite(state: TrainState, step: int) -> None:
    if not is_finite(state):
        raise TrainingError(
            f"The parameters after step {step} are not finite, and were not saved. Go on from the checkpoint before "
            "with a lower --config.training.learning_rate; of a run that has none, what it started from is damaged."
        )


def _first_state(
    checkpointer: Checkpointer,
    placement: Placement,
    shapes: TrainState,
    initial: Callable[..., TrainState],
    *arguments: Any,
) -> TrainState:
    """The newest checkpoint that is whole, or without any the state `initial` of `arguments`."""
    if checkpointer.latest_step() is None:
        return jax.jit(initial, out_shardings=placement.of_state(shapes))(*arguments)
    # All of it in every process, so that all find the same damage and pass over the same steps; and on the host, as a
    # device may hold no more than its share.
    state = checkpointer.restore(placement.on_host(shapes))
    distributed.require_same(int(state.step), "The step that training goes on from")
    if distributed.is_first():
        checkpointer.set_aside_after(int(state.step))
    return placement.spread(state)

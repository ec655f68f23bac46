"""The loop that trains the networks of this folder: batches in, checkpoints and grids of pictures out, resumable."""

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import jax
import numpy as np
from tqdm import tqdm

from sdedit_jax import disk, interrupts
from sdedit_jax.checkpoints import Checkpointer, locked
from sdedit_jax.images import save_image

State = TypeVar("State")

LOG_EVERY = 50  # steps
SAVE_EVERY = 500
GRID_COLUMNS = 8


class TrainingError(ValueError):
    """A run that cannot go on."""


def train(
    workdir: Path,
    *,
    initial: Callable[[], State],
    step_fn: Callable[[int, State, np.ndarray], tuple[State, dict[str, jax.Array]]],
    batches_from: Callable[[int], Iterator[np.ndarray]],
    watch: Callable[[State], jax.Array],
    num_steps: int,
) -> State:
    """The state after `num_steps` steps, going on from the newest whole checkpoint in `workdir`, if any.

    Writes ``metrics.jsonl``, ``checkpoints/`` and, at every save, a grid of what `watch` shows: ``pictures/*.png``.
    Asked to stop (Ctrl-C, SIGTERM), it finishes the step, saves and returns.

    Args:
        workdir: the run's folder.
        initial: () -> the state before the first step, a pytree of arrays.
        step_fn: (number of the step, from 0; state; pictures) -> the next state and scalars to be logged.
        batches_from: step -> the batches (B, H, W, 3) in [-1, 1] from that one on.
        watch: state -> pictures (B, H, W, 3), a multiple of 8.
        num_steps: counted from the first start on.

    Raises:
        TrainingError: when a logged scalar is not finite; such a state is never saved.
        CheckpointError: when another process trains there, or no checkpoint can be used.
    """
    with interrupts.noted() as interrupted, locked(workdir), Checkpointer(workdir) as checkpointer:
        first_step = checkpointer.latest_step() or 0
        state = checkpointer.restore(jax.eval_shape(initial)) if first_step else initial()
        _forget_after(workdir / "metrics.jsonl", first_step)
        rows: list[dict[str, float]] = []
        batches = batches_from(first_step)
        for step in (bar := tqdm(range(first_step + 1, num_steps + 1), initial=first_step, total=num_steps)):
            state, metrics = step_fn(step - 1, state, next(batches))
            rows.append({name: float(value) for name, value in metrics.items()})
            last = step == num_steps or interrupted()
            if last or step % LOG_EVERY == 0:
                bar.set_postfix(_log(workdir / "metrics.jsonl", step, rows))
                rows = []
            if last or step % SAVE_EVERY == 0:
                checkpointer.save(step, state)
                save_image(workdir / "pictures" / f"step_{step:06d}.png", grid(np.asarray(watch(state))))
            if last:
                break
    return state


def grid(pictures: np.ndarray) -> np.ndarray:
    """(rows * H, 8 * W, 3) from `pictures` (B, H, W, 3), B a multiple of 8; row by row."""
    B, H, W, C = pictures.shape
    tiled = pictures.reshape(B // GRID_COLUMNS, GRID_COLUMNS, H, W, C).swapaxes(1, 2)
    return np.clip(tiled.reshape(-1, GRID_COLUMNS * W, C), -1.0, 1.0)


def _log(path: Path, step: int, rows: list[dict[str, float]]) -> dict[str, float]:
    """Appends the means of `rows`, each over the steps that have it, and returns them."""
    names = sorted({name for row in rows for name in row})
    means = {name: float(np.mean([row[name] for row in rows if name in row])) for name in names}
    if bad := [name for name, mean in means.items() if not math.isfinite(mean)]:
        raise TrainingError(
            f"Training has diverged: {', '.join(bad)} is not finite in the {len(rows)} steps before {step}. Start the "
            "same command again to go on from the last checkpoint, or in an empty --workdir with another --seed."
        )
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"step": step, **means}) + "\n")
    return means


def _forget_after(path: Path, step: int) -> None:
    """Drops the lines of later steps, which will be done and logged again."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
    with disk.replacing(path) as temporary:
        temporary.write_text("".join(kept), encoding="utf-8")

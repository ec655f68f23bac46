"""What a run is watched by: validation loss and edits of held-out pictures, and samples."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sdedit_jax import keys
from sdedit_jax.images import save_image
from sdedit_jax.losses import DenoisingScoreMatching
from sdedit_jax.sheets import contact_sheet
from sdedit_jax.training.curves import save_curves
from sdedit_jax.training.metrics_log import MetricsLog
from sdedit_jax.training.tensorboard import TensorBoard

NUM_LEVELS = 8


@dataclasses.dataclass(frozen=True)
class Watched:
    """Held-out pictures `x0` and guides `x_guide` (B, H, W, C) in [-1, 1], and what is made to be looked at.

    `edit`: (params, keys, x_guide) -> x_edit, `sdedit` with its settings bound; `sample`: (params, keys) -> x, `sample`
    with its own; a key for each picture. All of it is done on at most `batch_size` pictures a device at a time: as
    many as it holds in training, which takes more memory.
    """

    x0: np.ndarray
    x_guide: np.ndarray
    edit: Callable[[Any, jax.Array, np.ndarray], jax.Array]
    sample: Callable[[Any, jax.Array], jax.Array]
    batch_size: int


def validation_loss(loss_fn: DenoisingScoreMatching, params: Any, x0: jax.Array, batch_size: int) -> jax.Array:
    """(NUM_LEVELS,) mean losses of held-out pictures x0 (B, H, W, C) at evenly spaced times, the least noise first.

    Noise and times are the same at every call, so that two calls differ by the parameters alone. The network sees
    `batch_size` pictures at a time, which have to fit the device as those of training do.
    """

    def at_time(time_and_key):
        t, key = time_and_key

        def loss(x0_and_z):
            x0, z = (x[None] for x in x0_and_z)
            return loss_fn.per_image(params, x0, t[None], z)

        z = jax.random.normal(key, x0.shape, x0.dtype)
        return jax.lax.map(loss, (x0, z), batch_size=batch_size).mean()

    times = (jnp.arange(NUM_LEVELS) + 0.5) / NUM_LEVELS
    return jax.lax.map(at_time, (times, jax.random.split(jax.random.key(0), NUM_LEVELS)))


class Watch:
    """The averaged parameters at intervals: their validation loss, and grids ``edits/`` and ``samples/step_*.png``.

    The loss goes to `log`; the grids, and ``curves.png`` of all that is in `log`, go to `folder`, and the grids to
    `board` too. The same `seed` lets two grids differ by the training alone.
    """

    def __init__(
        self,
        folder: Path,
        loss_fn: DenoisingScoreMatching,
        watched: Watched,
        *,
        seed: int,
        log: MetricsLog,
        board: TensorBoard | None,
    ):
        self._folder, self._watched, self._seed, self._log, self._board = folder, watched, seed, log, board
        self._validate = jax.jit(lambda params, x0: validation_loss(loss_fn, params, x0, watched.batch_size))

    def measure(self, step: int, params: Any) -> float:
        """The validation loss after `step`, logged with those by noise level."""
        with self._log.clock_stopped():
            by_level = np.asarray(self._validate(params, self._watched.x0))
        mean = float(by_level.mean())
        self._log.write({"step": step, "validation_loss": mean, "validation_loss_by_level": by_level.tolist()})
        return mean

    def draw(self, step: int, params: Any, stopping: Callable[[], bool]) -> None:
        """Draws the curves, and the grids of `step` but for those before which `stopping` begins to say yes."""
        with self._log.clock_stopped():
            save_curves(self._folder / "curves.png", self._log.rows())
            key_edit, key_sample = jax.random.split(jax.random.key(self._seed))
            x_guide = self._watched.x_guide
            x_edit = self._in_pieces(functools.partial(self._watched.edit, params), stopping, key_edit, x_guide)
            if x_edit is not None:
                self._write(step, "edits", {"guide": x_guide, "edit": x_edit})
            x = self._in_pieces(functools.partial(self._watched.sample, params), stopping, key_sample)
            if x is not None:
                self._write(step, "samples", {"sample": x})

    def _in_pieces(
        self, make: Callable[..., jax.Array], stopping: Callable[[], bool], key: jax.Array, *arrays: np.ndarray
    ) -> np.ndarray | None:
        """What `make` makes of a key for each guide and of `arrays`, by as many pictures as fit; None if stopped."""
        number = len(self._watched.x_guide)
        image_keys = keys.per_image(key, number)
        most = self._watched.batch_size * jax.local_device_count()
        length = -(-number // -(-number // most))  # nearly even, so that there is little to compile
        pieces = []
        for start in range(0, number, length):
            if stopping():
                return None
            rows = slice(start, start + length)
            pieces.append(np.asarray(make(image_keys[rows], *(array[rows] for array in arrays))))
        return np.concatenate(pieces)

    def _write(self, step: int, name: str, rows: Mapping[str, np.ndarray]) -> None:
        """One grid: `rows` of pictures (B, H, W, C) by caption."""
        sheet = contact_sheet([list(row) for row in rows.values()], [[caption] * len(x) for caption, x in rows.items()])
        save_image(self._folder / name / f"step_{step:07d}.png", sheet)
        if self._board is not None:
            self._board.write_image(name, sheet, step)

"""What a run is watched by: the validation loss and edits of held-out pictures."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sdedit_jax.images import save_image
from sdedit_jax.losses import DenoisingScoreMatching
from sdedit_jax.sheets import contact_sheet


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """What a run is watched by: held-out pictures and guides (B, H, W, C) in [-1, 1], and how the guides are edited.

    `edit` is (params, key, x_guide) -> x_edit: `sdedit` with its settings bound.
    """

    x0: np.ndarray
    x_guide: np.ndarray
    edit: Callable[[Any, jax.Array, np.ndarray], jax.Array]


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


class Watch:
    """Validation loss and edits of the averaged parameters, at intervals."""

    def __init__(self, folder: Path, loss_fn: DenoisingScoreMatching, held_out: HeldOut, seed: int):
        self._folder, self._held_out, self._seed = folder, held_out, seed
        self._validate = jax.jit(lambda params, x0: validation_loss(loss_fn, params, x0))

    def __call__(self, step: int, params: Any) -> dict[str, Any]:
        """Writes the grid of `step`; what is logged of it."""
        by_level = np.asarray(self._validate(params, self._held_out.x0))
        x_guide = self._held_out.x_guide
        x_edit = self._held_out.edit(params, jax.random.key(self._seed), x_guide)
        rows = [list(x_guide), list(np.asarray(x_edit))]
        captions = [["guide"] * len(x_guide), ["edit"] * len(x_guide)]
        save_image(self._folder / f"step_{step:07d}.png", contact_sheet(rows, captions))
        return {"validation_loss": float(by_level.mean()), "validation_loss_by_level": by_level.tolist()}

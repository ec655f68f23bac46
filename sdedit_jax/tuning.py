"""Which t0: the edits at many of them from one noise, and the largest that keeps an edit as near as is wanted.

t0 trades faithfulness for realism (Meng et al. 2022, arXiv:2108.01073, section 3 and figure 3). As it may differ from
image to image, a whole sweep is one call of `sdedit`. `edit_fn` is that call, with its keyword arguments bound, on one
device or, by `pmap_batch`, on all:

    edit_fn = pmap_batch(functools.partial(sdedit, model=model, sde=sde, solver=solver, num_steps=50))
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from sdedit_jax import keys

EditFn = Callable[..., jax.Array]
"""(params, key, x_guide, mask, t0) -> x_edit, as of `sdedit`."""


class Chosen(NamedTuple):
    """An edit that is as far from its guide as it may be."""

    t0: float
    x_edit: jax.Array
    """(1, H, W, C) in [-1, 1]."""
    l2: float
    """Its distance from the guide, at most the target."""


def sweep(
    params: Any,
    key: jax.Array,
    x_guide: jax.Array,
    mask: jax.Array | None,
    t0s: Sequence[float] | jax.Array,
    *,
    edit_fn: EditFn,
) -> jax.Array:
    """(T, B, H, W, C): the edits of B guides at each of T times, in one batch, with t0 as their only difference.

    `key`: one key or (B,) keys. The noise of a guide is that of its key at every t0, so ``sweep(...)[i]`` is
    ``edit_fn(params, key, x_guide, mask, t0s[i])``. `x_guide` (B, H, W, C) and `mask` (1 or B, H, W, 1) or None are
    those of `sdedit`.
    """
    num_times, batch_size = len(t0s), x_guide.shape[0]
    image_keys = jnp.tile(keys.per_image(key, batch_size), num_times)
    rows = jnp.tile(jnp.arange(batch_size), num_times)
    masks = mask if mask is None or mask.shape[0] == 1 else jnp.asarray(mask)[rows]
    t0 = jnp.repeat(jnp.asarray(t0s, jnp.float32), batch_size)
    x_edit = edit_fn(params, image_keys, jnp.asarray(x_guide)[rows], masks, t0)
    return x_edit.reshape(num_times, *x_guide.shape)


def choose_t0(
    params: Any,
    key: jax.Array,
    x_guide: jax.Array,
    mask: jax.Array | None,
    target_l2: float,
    *,
    edit_fn: EditFn,
    num_candidates: int = 8,
    num_rounds: int = 2,
) -> Chosen:
    """The largest t0 whose edit of one guide is within `target_l2` of it, with that edit.

    L2 is the root of the sum over all values, in [0, 1], of their squared differences, as the paper reports it. It
    rises with t0, by and large, when the noise is the same; so each round edits at `num_candidates` times between the
    last that is near enough and the next, which is not, in one batch. Of n candidates and r rounds the t0 is exact to
    1 / (n (n + 1)^(r - 1)), 0.014 by default.

    Args:
        params: the network's parameters.
        key: one key; the edit is that of ``edit_fn(params, key, x_guide, mask, t0)``.
        x_guide: (1, H, W, C) in [-1, 1].
        mask: (1, H, W, 1), 1 = may change, or None.
        target_l2: more than 0. The paper's edits of strokes of 256 x 256 pixels are at 32.6; the same difference in
            every pixel is a quarter of that at 64 x 64.
        edit_fn: the edit with its settings.
        num_candidates: edits a round, which are one batch.
        num_rounds: rounds, each between two candidates of the one before.

    Raises:
        ValueError: if x_guide is not one picture, or if the edit is too far even at the smallest t0 that was tried.
    """
    if x_guide.ndim != 4 or x_guide.shape[0] != 1:
        raise ValueError(f"x_guide must be one picture, (1, H, W, C), got shape {x_guide.shape}.")
    if not (target_l2 > 0.0 and math.isfinite(target_l2)):
        raise ValueError(f"target_l2 must be more than 0, got {target_l2}: an edit always changes something.")
    if num_candidates < 2 or num_rounds < 1:
        raise ValueError(f"num_candidates must be 2 or more, num_rounds 1 or more: got {num_candidates}, {num_rounds}.")
    chosen, low, per_unit = None, 0.0, num_candidates
    for _ in range(num_rounds):
        t0s = [low + i / per_unit for i in range(1, num_candidates + 1)]
        x_edits = sweep(params, jax.random.clone(key), x_guide, mask, t0s, edit_fn=edit_fn)
        distances = [float(l2(x_edit, x_guide)[0]) for x_edit in x_edits]
        near = [i for i, distance in enumerate(distances) if distance <= target_l2]
        if near:
            low = t0s[near[-1]]
            chosen = Chosen(low, x_edits[near[-1]], distances[near[-1]])
        elif chosen is None:
            too_far = f"No t0 keeps the edit within an L2 of {target_l2:g}: at {t0s[0]:.2g} it is {distances[0]:.2f}."
        if low == 1.0:
            break
        per_unit *= num_candidates + 1
    if chosen is None:
        raise ValueError(f"{too_far} Ask for more than that.")
    return chosen


def l2(x_1: jax.Array, x_2: jax.Array) -> jax.Array:
    """(B,) distances of pictures (B, H, W, C) in [-1, 1], as SDEdit counts them: see `metrics.l2`."""
    halves = 0.5 * (jnp.clip(x_1, -1.0, 1.0) - jnp.clip(x_2, -1.0, 1.0))
    return jnp.sqrt(jnp.sum(jnp.square(halves), axis=(1, 2, 3)))

"""SDEdit: noise the guide to t0, then run the reverse SDE back to 0. Meng et al. 2022 (arXiv:2108.01073)."""

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from sdedit_jax import keys
from sdedit_jax.score import denoise, score
from sdedit_jax.sdes import SDE, expand
from sdedit_jax.solvers import Constraint, Solver, solve, time_grid

_STATIC = ("model", "sde", "solver", "num_steps", "num_repeats")


@functools.partial(jax.jit, static_argnames=_STATIC)
def sdedit(
    params: Any,
    key: jax.Array,
    x_guide: jax.Array,
    mask: jax.Array | None,
    t0: jax.Array | float,
    *,
    model: nn.Module,
    sde: SDE,
    solver: Solver,
    num_steps: int = 500,
    num_repeats: int = 1,
) -> jax.Array:
    """The edited pictures x_edit (B, H, W, C), realistic where the mask allows it and faithful to the guide.

    A pure function of arrays: call it under your own `jit`, `vmap`, `grad` or `pmap`. The kept pixels are re-noised to
    the level of the state with fresh noise after every step, and exact in the result.

    Args:
        params: the network's parameters.
        key: one typed key, or (B,) keys. One key is folded per image, so a picture does not depend on its batch mates.
        x_guide: (B, H, W, C) float32 in [-1, 1], the painted pictures.
        mask: (1 or B, H, W, 1); True or 1 = may change. A float m in (0, 1) lets its pixel join at t <= m t0, a
            strength per pixel. None: everything may change (stroke painting to image).
        t0: () or (B,) in (0, 1], where the reverse SDE starts: small = faithful to the guide, large = realistic.
            Traced: every t0 shares one compilation.
        model: the Flax module, (x, noise_label) -> noise prediction.
        sde: the forward SDE that `params` were trained for.
        solver: the step of the reverse SDE.
        num_steps: N, steps a repeat.
        num_repeats: K; each repeat starts from the result of the one before.

    Raises:
        ValueError: if the guide, the mask, t0 or the keys have shapes that do not fit together.
    """
    mask, t0 = _prepare(x_guide, mask, t0, num_steps, num_repeats)
    times = time_grid(t0, num_steps, sde.t_min)
    score_fn = functools.partial(score, model, params, sde)

    def repeat(x_start, key):
        key_perturb, key_solve = keys.split(key)
        x = sde.perturb(key_perturb, x_start, t0)  # hijack: noise the guide
        keep_unmasked = _keep_unmasked(sde, x_start, mask, t0)
        x, _ = solve(sde, score_fn, solver, keys.split(key_solve, num_steps), x, times, keep_unmasked)  # denoise it
        return jnp.where(mask > 0.0, x, x_start), None  # unedited pixels are exact

    image_keys = keys.per_image(key, x_guide.shape[0])
    return jax.lax.scan(repeat, x_guide, keys.split(image_keys, num_repeats))[0]


class EditProgress(NamedTuple):
    """Where a streamed edit stands."""

    steps_done: int
    """Solver steps finished, over all repeats."""
    steps_total: int
    estimate: Callable[[], jax.Array]
    """() -> (B, H, W, C), the picture as it would be now: one network evaluation, and the result itself at the end."""


def sdedit_stream(
    params: Any,
    key: jax.Array,
    x_guide: jax.Array,
    mask: jax.Array | None,
    t0: jax.Array | float,
    *,
    model: nn.Module,
    sde: SDE,
    solver: Solver,
    num_steps: int = 500,
    num_repeats: int = 1,
) -> Iterator[EditProgress]:
    """The same edit as `sdedit`, bit for bit, in pieces: yields about ten times a repeat, the last time the result.

    The arguments are those of `sdedit`. The pieces of the scan have one length where it divides `num_steps`, else two,
    and each length is compiled once.
    """
    mask, t0 = _prepare(x_guide, mask, t0, num_steps, num_repeats)
    x_start = jnp.asarray(x_guide)
    ends = _piece_ends(num_steps)
    for index, key_repeat in enumerate(keys.split(keys.per_image(key, x_guide.shape[0]), num_repeats)):
        x, step_keys, times = _start(key_repeat, x_start, t0, sde=sde, num_steps=num_steps)
        memory = solver.initial_memory(x)
        for first, last in zip([0, *ends], ends, strict=False):
            inputs = (step_keys[first:last], times[first : last + 1], x_start, mask, t0)
            x, memory = _advance(params, x, memory, *inputs, model=model, sde=sde, solver=solver)
            if last < num_steps:
                estimate = functools.partial(_estimate, params, x, times[last], x_start, mask, model=model, sde=sde)
            else:
                x_start = jnp.where(mask > 0.0, x, x_start)
                estimate = functools.partial(jnp.asarray, x_start)
            yield EditProgress(index * num_steps + last, num_repeats * num_steps, estimate)


def _piece_ends(num_steps: int) -> list[int]:
    """Where each piece of the scan ends.

    No piece is a single step unless it is the only one: XLA inlines a loop of one step, and fused with its surroundings
    the step would round differently.
    """
    most = max(1, min(20, num_steps // 2))
    even = [n for n in range(most, most // 2 - 1, -1) if n and num_steps % n == 0]
    num_pieces = min(even, key=lambda n: abs(n - 10), default=min(10, most))
    return [num_steps * (i + 1) // num_pieces for i in range(num_pieces)]


@functools.partial(jax.jit, static_argnames=("sde", "num_steps"))
def _start(key, x_start, t0, *, sde, num_steps):
    """The noised guide, a key for each step and the times of one repeat, as in `sdedit`."""
    key_perturb, key_solve = keys.split(key)
    times = time_grid(t0, num_steps, sde.t_min)
    return sde.perturb(key_perturb, x_start, t0), keys.split(key_solve, num_steps), times


@functools.partial(jax.jit, static_argnames=("model", "sde", "solver"))
def _advance(params, x, memory, step_keys, times, x_start, mask, t0, *, model, sde, solver):
    """The state after the steps of one chunk, and the solver's memory of them."""
    score_fn = functools.partial(score, model, params, sde)
    return solve(sde, score_fn, solver, step_keys, x, times, _keep_unmasked(sde, x_start, mask, t0), memory)


@functools.partial(jax.jit, static_argnames=("model", "sde"))
def _estimate(params, x, t, x_start, mask, *, model, sde):
    """E[x_0 | x_t = x] with the kept pixels exact."""
    return jnp.where(mask > 0.0, denoise(model, params, sde, x, t), x_start)


def _keep_unmasked(sde: SDE, x_start: jax.Array, mask: jax.Array, t0: jax.Array) -> Constraint:
    """The constraint that holds a pixel at the noised `x_start` for as long as t > mask t0."""

    def keep_unmasked(key, x, t):
        may_change = expand(t, x) <= mask * expand(t0, x)
        return jnp.where(may_change, x, sde.perturb(key, x_start, t))

    return keep_unmasked


def _prepare(x_guide, mask, t0, num_steps: int, num_repeats: int) -> tuple[jax.Array, jax.Array]:
    """Mask as floats and t0 as an array, after checking that all shapes fit together."""
    if x_guide.ndim != 4:
        raise ValueError(f"x_guide must be (B, H, W, C), got shape {x_guide.shape}.")
    if not jnp.issubdtype(x_guide.dtype, jnp.floating):
        raise ValueError(f"x_guide must be float in [-1, 1], got {x_guide.dtype}; load_image() converts files.")
    batch_size, height, width, _ = x_guide.shape
    mask = jnp.ones((1, height, width, 1)) if mask is None else jnp.asarray(mask)
    if mask.ndim != 4 or mask.shape[0] not in (1, batch_size) or mask.shape[1:] != (height, width, 1):
        raise ValueError(f"mask must be (1 or {batch_size}, {height}, {width}, 1) for this guide, got {mask.shape}.")
    t0 = jnp.asarray(t0, x_guide.dtype)
    if t0.shape not in ((), (batch_size,)):
        raise ValueError(f"t0 must be a scalar or have one value per image ({batch_size},), got shape {t0.shape}.")
    if num_steps < 1 or num_repeats < 1:
        raise ValueError(f"num_steps and num_repeats must be at least 1, got {num_steps} and {num_repeats}.")
    return mask.astype(x_guide.dtype), t0

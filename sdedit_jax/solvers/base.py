"""What a solver is, and the loop that runs it: one `lax.scan` over a grid of times."""

import abc
import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from sdedit_jax import keys
from sdedit_jax.sdes import SDE

ScoreFn = Callable[[jax.Array, jax.Array], jax.Array]
Constraint = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]


@dataclasses.dataclass(frozen=True)
class Solver(abc.ABC):
    """One step of a reverse-time SDE or ODE."""

    @property
    def nfe_per_step(self) -> int:
        """Network evaluations a step; one, unless a solver says otherwise."""
        return 1

    @abc.abstractmethod
    def step(
        self, sde: SDE, score_fn: ScoreFn, key: jax.Array, x: jax.Array, t: jax.Array, t_next: jax.Array
    ) -> jax.Array:
        """The state at t_next from `x` at t. `key`: (), or (B,) one per image. `t`, `t_next`: () or (B,)."""

    def initial_memory(self, x: jax.Array) -> Any:
        """What the solver remembers before its first step, of the `x` (B, ...) there; nothing, unless multistep."""
        del x
        return ()

    def step_with_memory(
        self, sde: SDE, score_fn: ScoreFn, key: jax.Array, x: jax.Array, memory: Any, t: jax.Array, t_next: jax.Array
    ) -> tuple[jax.Array, Any]:
        """`step`, and what is remembered of it; a multistep solver uses what it remembers of the step before."""
        return self.step(sde, score_fn, key, x, t, t_next), memory


def time_grid(t0: jax.Array, num_steps: int, t_min: float) -> jax.Array:
    """(num_steps + 1,) or (num_steps + 1, B) decreasing times: t0, evenly down to t_min, and then 0.

    `t0` () or (B,) may be traced. A t0 at or below `t_min` gives a grid that stays at t0 until its last step.
    """
    t0 = jnp.asarray(t0, jnp.result_type(float))
    fraction = jnp.linspace(0.0, 1.0, num_steps).reshape((num_steps,) + (1,) * t0.ndim)
    times = t0[None] + fraction * (jnp.minimum(t0, t_min) - t0)[None]
    return jnp.concatenate([times, jnp.zeros((1, *t0.shape), times.dtype)])


def solve(
    sde: SDE,
    score_fn: ScoreFn,
    solver: Solver,
    step_keys: jax.Array,
    x: jax.Array,
    times: jax.Array,
    constrain: Constraint | None = None,
    memory: Any = None,
) -> tuple[jax.Array, Any]:
    """The state at times[-1] from `x` (B, ...) at times[0], and the solver's memory there: one `lax.scan` over steps.

    Args:
        sde: the forward SDE.
        score_fn: (x, t) -> the score of x_t, like x.
        solver: the step.
        step_keys: (N,) or (N, B) keys, one for each step; the randomness of step n is step_keys[n]'s alone, so a grid
            cut into chunks, each with the memory of the one before, gives the same result.
        x: the state at times[0].
        times: (N + 1,) or (N + 1, B), decreasing.
        constrain: (key, x, t) -> x, applied to the state after every step (to re-impose kept pixels); None: nothing.
        memory: what the solver remembers of the steps before times[0]; None: nothing.
    """

    def body(state, step_inputs):
        (x, memory), (key, t, t_next) = state, step_inputs
        if constrain is None:
            return solver.step_with_memory(sde, score_fn, key, x, memory, t, t_next), None
        key_step, key_constrain = keys.split(key)
        x, memory = solver.step_with_memory(sde, score_fn, key_step, x, memory, t, t_next)
        return (constrain(key_constrain, x, t_next), memory), None

    state = (x, solver.initial_memory(x) if memory is None else memory)
    return lax.scan(body, state, (step_keys, times[:-1], times[1:]))[0]

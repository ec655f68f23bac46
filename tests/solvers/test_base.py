"""The laws of the loop: its grid of times, chunks, constraint, independence of images, and use of memory."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sdedit_jax import keys
from sdedit_jax.sdes import VESDE, expand
from sdedit_jax.solvers import (
    DPMSolverSDE,
    EulerMaruyama,
    PredictorCorrector,
    ProbabilityFlow,
    ReverseDiffusion,
    solve,
    time_grid,
)
from tests.analytic import gaussian_score

SDE = VESDE()
SCORE_FN = functools.partial(gaussian_score, SDE, 0.3, 0.5)
NUM_STEPS, BATCH_SIZE = 6, 3
X = jnp.sin(jnp.arange(12.0) + 0.5).reshape(BATCH_SIZE, 2, 2, 1)
TIMES = time_grid(jnp.array([0.5, 0.3, 0.7]), NUM_STEPS, SDE.t_min)


def raise_the_top_row(key, x, t):
    """A constraint that shows when it was called, and with what."""
    top_row = 0.01 * keys.normal(key, (x.shape[0], *x.shape[2:]))
    return x.at[:, 0].set(expand(t, top_row) + top_row)


@functools.partial(jax.jit, static_argnames=("solver", "constrain"))
def run(step_keys, x, times, *, solver=None, constrain=raise_the_top_row):
    return solve(SDE, SCORE_FN, solver or PredictorCorrector(), step_keys, x, times, constrain)[0]


@pytest.fixture
def step_keys(new_key):
    """(N, B) keys, one for each step and image."""
    return keys.split(jax.random.split(new_key(), BATCH_SIZE), NUM_STEPS)


def test_time_grid_goes_evenly_from_t0_to_t_min_and_then_to_zero():
    times = time_grid(jnp.array(0.7), 4, 0.1)
    np.testing.assert_allclose(times, [0.7, 0.5, 0.3, 0.1, 0.0], rtol=1e-6, atol=0.0)  # float32; the end is exact


def test_time_grid_of_one_step_is_one_denoising():
    np.testing.assert_array_equal(time_grid(jnp.array(0.7), 1, 0.1), np.array([0.7, 0.0], np.float32))


def test_time_grid_gives_every_image_its_own_times():
    t0 = jnp.array([0.7, 0.2, 0.05])
    times = time_grid(t0, 4, 0.1)
    assert times.shape == (5, 3)
    for i in range(3):
        np.testing.assert_array_equal(times[:, i], time_grid(t0[i], 4, 0.1))


def test_time_grid_stays_at_a_t0_below_t_min():
    np.testing.assert_array_equal(time_grid(jnp.array(0.05), 4, 0.1), np.array([0.05] * 4 + [0.0], np.float32))


def test_time_grid_never_goes_back_and_keeps_above_zero():
    t0 = jnp.array([1.0, 0.5, 2e-3, 1e-5, 1e-7])
    times = np.asarray(time_grid(t0, 2000, 1e-5))
    assert (np.diff(times, axis=0) <= 0.0).all()
    assert (times[:-1] > 0.0).all()
    np.testing.assert_array_equal(times[-1], 0.0)


def test_time_grid_of_a_traced_t0_is_one_program():
    programs = []

    @jax.jit
    def grid(t0):
        programs.append(t0)
        return time_grid(t0, 4, 0.1)

    for t0 in (0.7, 0.3):
        np.testing.assert_allclose(grid(jnp.array(t0)), time_grid(jnp.array(t0), 4, 0.1), rtol=1e-6, atol=1e-7)
    assert len(programs) == 1


def test_solve_is_the_loop_of_steps_and_constraints(step_keys):
    @jax.jit
    def step(key, x, t, t_next):
        key_step, key_constrain = keys.split(key)
        x = PredictorCorrector().step(SDE, SCORE_FN, key_step, x, t, t_next)
        return raise_the_top_row(key_constrain, x, t_next)

    x = X
    for key, t, t_next in zip(jax.random.clone(step_keys), TIMES[:-1], TIMES[1:], strict=True):
        x = step(key, x, t, t_next)
    np.testing.assert_allclose(run(step_keys, X, TIMES), x, rtol=1e-5, atol=1e-6)  # another program: float32 rounding
    assert np.abs(x - X).max() > 0.1


def test_jit_changes_nothing(step_keys):
    solver = ProbabilityFlow(2)
    plain, _ = solve(SDE, SCORE_FN, solver, step_keys, X, TIMES)
    # Fused operations round differently.
    np.testing.assert_allclose(run(step_keys, X, TIMES, solver=solver, constrain=None), plain, rtol=1e-5, atol=1e-6)


def test_constrain_follows_every_step_with_the_step_s_end_time(step_keys):
    """Under a zero score the probability flow stands still, so the constraints' times add up."""
    add_time = lambda key, x, t: x + expand(t, x)  # noqa: E731
    x, _ = solve(SDE, lambda x, t: 0.0 * x, ProbabilityFlow(), step_keys, X, TIMES, add_time)
    np.testing.assert_allclose(x, X + expand(TIMES[1:].sum(axis=0), X), rtol=1e-6)


def test_the_constrained_pixels_are_exact_at_the_end(step_keys):
    kept = jnp.cos(X)
    x = run(step_keys, X, TIMES, solver=ReverseDiffusion(), constrain=lambda key, x, t: jnp.where(X > 0.0, x, kept))
    np.testing.assert_array_equal(x[X <= 0.0], kept[X <= 0.0])
    assert (x != kept)[X > 0.0].all()


@pytest.mark.parametrize("solver", [PredictorCorrector(), DPMSolverSDE()], ids=str)
def test_chunks_give_the_bits_of_one_piece(solver, step_keys):
    run = jax.jit(lambda step_keys, x, times, memory: solve(SDE, SCORE_FN, solver, step_keys, x, times, memory=memory))
    memory = solver.initial_memory(X)
    whole, _ = run(jax.random.clone(step_keys), X, TIMES, memory)
    x, memory = run(jax.random.clone(step_keys[:3]), X, TIMES[:4], memory)
    assert np.abs(x - whole).max() > 1e-3
    np.testing.assert_array_equal(run(step_keys[3:], x, TIMES[3:], memory)[0], whole)


def test_an_image_does_not_depend_on_its_batch_mates(step_keys):
    """Neither through its times, nor its noise, nor the norms of the corrector."""
    together = run(jax.random.clone(step_keys), X, TIMES)
    reversed_order = run(jax.random.clone(step_keys)[:, ::-1], X[::-1], TIMES[:, ::-1])
    np.testing.assert_array_equal(reversed_order, together[::-1])
    other_mates = run(jax.random.clone(step_keys), X.at[1:].multiply(-7.0), TIMES)
    np.testing.assert_array_equal(other_mates[0], together[0])
    assert (other_mates != together)[1:, 1].any()
    # Another batch size is another program, which may round differently.
    alone = run(step_keys[:, :1], X[:1], TIMES[:, :1])
    np.testing.assert_allclose(alone, together[:1], rtol=1e-4, atol=1e-5)


def test_the_same_keys_give_the_same_picture_and_others_another(step_keys, new_key):
    first = run(jax.random.clone(step_keys), X, TIMES)
    np.testing.assert_array_equal(run(step_keys, X, TIMES), first)
    other_keys = keys.split(jax.random.split(new_key(), BATCH_SIZE), NUM_STEPS)
    assert np.abs(run(other_keys, X, TIMES) - first)[:, 0].min() > 0.0


def test_no_trajectory_is_kept():
    """The memory of a solve does not grow by a picture a step."""
    picture = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)

    def memory(num_steps):
        step_keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), num_steps))
        times = jax.ShapeDtypeStruct((num_steps + 1,), jnp.float32)
        compiled = run.lower(step_keys, picture, times, solver=EulerMaruyama(), constrain=None).compile()
        analysis = compiled.memory_analysis()
        assert analysis is not None
        return analysis.temp_size_in_bytes + analysis.output_size_in_bytes

    few, many = memory(10), memory(210)
    assert many - few < 64 * 64 * 3 * 4  # 200 more steps, less than one more picture

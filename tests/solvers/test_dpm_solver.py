"""The laws of `DPMSolverSDE`, which remembers the step before, on data N(m, s^2).

The estimate of x_0 is affine in x there, so a step takes (x, x0_last) and its noise z to an affine function of the
three: mean and covariance of the pair go through a whole grid exactly, without sampling.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sdedit_jax import keys
from sdedit_jax.sdes import VESDE, VPSDE, DiscreteVPSDE, SubVPSDE
from sdedit_jax.solvers import (
    Ancestral,
    DPMSolverSDE,
    Langevin,
    PastEstimate,
    PredictorCorrector,
    Solver,
    solve,
    time_grid,
)
from tests.analytic import gaussian_score
from tests.score_sde import wave

MEAN, STD = 0.3, 0.5
VE, SOLVER = VESDE(), DPMSolverSDE()
X = jnp.sin(jnp.arange(12.0) + 0.5).reshape(3, 2, 2, 1)
SDES = [VPSDE(), SubVPSDE(), VE, DiscreteVPSDE()]
by_sde = pytest.mark.parametrize("sde", SDES, ids=lambda sde: type(sde).__name__)


def exact_score(sde):
    return functools.partial(gaussian_score, sde, MEAN, STD)


def half_log_snr(sde, t):
    return np.log(float(sde.alpha(t)) / float(sde.sigma(t)))


def transported(monkeypatch, sde, solver: Solver, num_steps, t0=1.0):
    """Mean and std at t_min, of the exact marginal at `t0` sent through the grid."""
    columns = jnp.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]).T
    with jax.enable_x64(True):
        x, x0_last, z = (column.astype(jnp.float64).reshape(-1, 1, 1, 1) for column in columns)
        monkeypatch.setattr(keys, "normal", lambda key, shape, dtype: z.astype(dtype))

        @jax.jit
        def maps(times):
            """(n, 2, 4) of each step: what x_next and x0 owe to x, x0_last, z and 1."""

            def step(snr_last, ts):
                t, t_next = ts
                memory = PastEstimate(x0_last, snr_last)
                memory = memory if solver == SOLVER else ()
                x_next, past = solver.step_with_memory(sde, exact_score(sde), jax.random.key(0), x, memory, t, t_next)
                x0, snr_last = past or (sde.denoise(x, exact_score(sde)(x, t), t), snr_last)
                at = jnp.stack([x_next, x0]).reshape(2, 4)
                return snr_last, jnp.concatenate([at[:, :3] - at[:, 3:], at[:, 3:]], axis=1)

            return jax.lax.scan(step, jnp.full(4, -jnp.inf), (times[:-1], times[1:]))[1]

        times = time_grid(jnp.array(t0, jnp.float64), num_steps, sde.t_min)[:-1]
        alpha, sigma = float(sde.alpha(times[0])), float(sde.sigma(times[0]))
        mean, cov = np.array([alpha * MEAN, 0.0]), np.diag([(alpha * STD) ** 2 + sigma**2, 0.0])
        for step_map in np.asarray(maps(times)):
            mean = step_map[:, :2] @ mean + step_map[:, 3]
            cov = step_map[:, :2] @ cov @ step_map[:, :2].T + np.outer(step_map[:, 2], step_map[:, 2])
        return mean[0], np.sqrt(cov[0, 0])


def errors(monkeypatch, sde, solver, num_steps, t0=1.0):
    """Absolute errors of mean and std at t_min."""
    mean, std = transported(monkeypatch, sde, solver, num_steps, t0)
    with jax.enable_x64(True):
        alpha, sigma = (float(scale(jnp.array(sde.t_min))) for scale in (sde.alpha, sde.sigma))
    return abs(mean - alpha * MEAN), abs(std - np.hypot(alpha * STD, sigma))


@by_sde
def test_second_order(sde, monkeypatch):
    """Measured from 200 to 400 steps: 2.01 under VE, 2.06 under sub-VP; 1.88 under VP, from 1.59 for 100 to 200."""
    mean_errors, std_errors = np.transpose([errors(monkeypatch, sde, SOLVER, num_steps) for num_steps in (200, 400)])
    assert 1.85 < np.log2(std_errors[0] / std_errors[1]) < 2.1
    assert std_errors[1] < 2.5e-4  # 3.7e-5 under VE to 2.3e-4 under VP
    np.testing.assert_allclose(mean_errors, 0.0, atol=1e-13)  # exact, as the ancestral step's: float64 rounding


@by_sde
def test_fifty_steps_beat_five_hundred_ancestral_ones(sde, monkeypatch):
    """From t0 = 0.5. Measured: 2.5e-3 against 3.8e-3 (VP), 2.3e-3 and 3.1e-3 (sub-VP), 5.7e-4 and 2.1e-3 (VE)."""
    assert errors(monkeypatch, sde, SOLVER, 50, t0=0.5)[1] < errors(monkeypatch, sde, Ancestral(), 500, t0=0.5)[1]


@by_sde
def test_two_steps_are_the_published_ones(sde, wave_for_noise):
    """The update as Lu et al. write it, in numpy; the two steps have one length in half log-SNR."""
    lambdas = half_log_snr(sde, 0.6) + np.array([0.0, 0.4, 0.8])
    t0, t1, t2 = (sde.time_of(jnp.exp(-jnp.float32(each))) for each in lambdas)
    score_fn = exact_score(sde)

    @jax.jit
    def two_steps(x):
        x_1, memory = SOLVER.step_with_memory(sde, score_fn, jax.random.key(0), x, SOLVER.initial_memory(x), t0, t1)
        x_2, _ = SOLVER.step_with_memory(sde, score_fn, jax.random.key(0), x_1, memory, t1, t2)
        x0s = [sde.denoise(x, score_fn(x, t), t) for x, t in ((x, t0), (x_1, t1))]
        return x_1, x_2, *x0s

    x_1, x_2, x0_0, x0_1 = (np.asarray(each, np.float64) for each in two_steps(X))
    (alpha_1, sigma_1), (alpha_2, sigma_2) = ((float(sde.alpha(t)), float(sde.sigma(t))) for t in (t1, t2))
    z = np.asarray(wave(X.shape, X.dtype), np.float64)
    h_0, h = half_log_snr(sde, t1) - half_log_snr(sde, t0), half_log_snr(sde, t2) - half_log_snr(sde, t1)
    r = h_0 / h
    d = (1.0 + 1.0 / (2.0 * r)) * x0_1 - 1.0 / (2.0 * r) * x0_0
    expected = sigma_2 / sigma_1 * np.exp(-h) * x_1 - alpha_2 * np.expm1(-2.0 * h) * d
    expected += sigma_2 * np.sqrt(-np.expm1(-2.0 * h)) * z
    np.testing.assert_allclose(x_2, expected, rtol=2e-4, atol=2e-4 * np.abs(x_2).max())  # times in float32


def test_the_first_step_is_ancestral(wave_for_noise):
    @jax.jit
    def steps(t, t_next):
        arguments = (VE, exact_score(VE), jax.random.key(0), X)
        with_memory, _ = SOLVER.step_with_memory(*arguments, SOLVER.initial_memory(X), t, t_next)
        return Ancestral().step(*arguments, t, t_next), with_memory, SOLVER.step(*arguments, t, t_next)

    for t, t_next in ((jnp.array(0.5), jnp.array(0.3)), (jnp.array([0.5, 0.3, 0.2]), jnp.array([0.3, 0.3, 0.0]))):
        ancestral, *first_steps = steps(t, t_next)
        for first_step in first_steps:
            np.testing.assert_allclose(first_step, ancestral, rtol=1e-6)  # float32


@by_sde
def test_later_steps_to_zero_and_of_no_length(sde, wave_for_noise):
    """The first and last image arrive at the posterior mean, the middle one stays as it is, whatever is remembered."""
    t_last, t, t_next = jnp.array([0.4, 0.5, 0.9]), jnp.array([0.02, 0.5, 0.1]), jnp.array([0.0, 0.5, 0.0])
    score_fn = exact_score(sde)
    past = PastEstimate(jnp.cos(X), jnp.log(sde.alpha(t_last) / sde.sigma(t_last)))
    x, _ = jax.jit(functools.partial(SOLVER.step_with_memory, sde, score_fn))(jax.random.key(0), X, past, t, t_next)
    np.testing.assert_allclose(x[::2], sde.denoise(X, score_fn(X, t), t)[::2], rtol=1e-5)
    np.testing.assert_allclose(x[1], X[1], rtol=1e-6)


def test_a_start_below_t_min_is_one_denoising(new_key):
    """Its grid stands still until the last step, and no line goes through estimates at one time."""
    t0 = jnp.array(0.5 * VE.t_min)
    step_keys = jax.random.split(new_key(), 4)
    x, _ = solve(VE, exact_score(VE), SOLVER, step_keys, X, time_grid(t0, 4, VE.t_min))
    np.testing.assert_allclose(x, VE.denoise(X, exact_score(VE)(X, t0), t0), rtol=1e-5)


def test_a_corrector_keeps_the_predictor_s_memory(new_key):
    solver, score_fn = PredictorCorrector(SOLVER, Langevin(0.1)), exact_score(VE)
    past = PastEstimate(jnp.cos(X), jnp.full(3, -4.0))
    t, t_next = jnp.array(0.5), jnp.array(0.4)

    @jax.jit
    def at_once_and_apart(key):
        at_once = solver.step_with_memory(VE, score_fn, jax.random.clone(key), X, past, t, t_next)
        key_corrector, key_predictor = keys.split(key)
        corrected = solver.corrector.correct(VE, score_fn, key_corrector, X, t, t_next)
        return at_once, SOLVER.step_with_memory(VE, score_fn, key_predictor, corrected, past, t, t_next)

    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5), *at_once_and_apart(new_key()))


def test_gradients_are_finite(new_key):
    """Through the first step, whose memory is infinitely old, and the last, to 0."""
    times, step_keys = time_grid(jnp.array(0.5), 3, VE.t_min), jax.random.split(new_key(), 3)
    gradient = jax.grad(lambda x: solve(VE, exact_score(VE), SOLVER, step_keys, x, times)[0].sum())(X)
    assert np.isfinite(gradient).all()
    assert np.abs(gradient).min() > 0.0

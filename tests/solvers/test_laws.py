"""The laws of the solvers, on data N(m, s^2), for which every SDE's score and every marginal is known.

That score is affine in x, so a step takes x and its noise z to slope x + spread z + offset: three evaluations of
`solver.step` give the three numbers, and mean and std go through a whole grid exactly, without sampling.
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
    EulerMaruyama,
    Langevin,
    PredictorCorrector,
    ProbabilityFlow,
    ReverseDiffusion,
    time_grid,
)
from tests.analytic import gaussian_score

MEAN, STD = 0.3, 0.5
SDES = [VPSDE(), SubVPSDE(), VESDE(), DiscreteVPSDE()]
SOLVERS = [
    EulerMaruyama(),
    Ancestral("small"),
    Ancestral("large"),
    ReverseDiffusion(),
    ProbabilityFlow(1),
    ProbabilityFlow(2),
]
VE = VESDE()
X = jnp.sin(jnp.arange(12.0) + 0.5).reshape(3, 2, 2, 1)

by_sde = pytest.mark.parametrize("sde", SDES, ids=lambda sde: type(sde).__name__)
by_solver = pytest.mark.parametrize("solver", SOLVERS, ids=str)


def exact_score(sde, std=STD):
    return functools.partial(gaussian_score, sde, MEAN, std)


def moments(sde, t, std=STD):
    """Mean and std of the marginal at t."""
    alpha, sigma = float(sde.alpha(t)), float(sde.sigma(t))
    return alpha * MEAN, ((alpha * std) ** 2 + sigma**2) ** 0.5


@functools.partial(jax.jit, static_argnames="all_num_steps")
def time_grids(t_min, all_num_steps):
    """Grids from 1 to `t_min`, without the last step to 0."""
    return [time_grid(jnp.array(1.0), num_steps, t_min)[:-1] for num_steps in all_num_steps]


def affine_maps(monkeypatch, sde, solver, t, t_next, std=STD):
    """(n, 3) slope, spread and offset of the steps t (n,) -> t_next (n,)."""
    x, z = (jnp.repeat(jnp.array(column), len(t)).reshape(-1, 1, 1, 1) for column in ([1.0, 0.0, 0.0], [0.0, 1.0, 0.0]))
    monkeypatch.setattr(keys, "normal", lambda key, shape, dtype: z.astype(dtype))
    step = jax.jit(functools.partial(solver.step, sde, exact_score(sde, std)))
    at_x, at_z, at_0 = np.asarray(step(jax.random.key(0), x, jnp.tile(t, 3), jnp.tile(t_next, 3))).reshape(3, -1)
    return np.stack([at_x - at_0, at_z - at_0, at_0], axis=1)


def transported_errors(monkeypatch, sde, solver, all_num_steps, std=STD):
    """(len(all_num_steps), 2) errors in mean and std at t_min, from the exact marginal at t = 1."""
    with jax.enable_x64(True):
        grids = time_grids(sde.t_min, all_num_steps)
        t, t_next = jnp.concatenate([grid[:-1] for grid in grids]), jnp.concatenate([grid[1:] for grid in grids])
        maps = affine_maps(monkeypatch, sde, solver, t, t_next, std)
        start, end = np.array(moments(sde, jnp.array(1.0), std)), np.array(moments(sde, grids[0][-1], std))
    errors = []
    for grid_maps in np.split(maps, np.cumsum([num_steps - 1 for num_steps in all_num_steps[:-1]])):
        mean, spread_out = start
        for slope, spread, offset in grid_maps:
            mean, spread_out = slope * mean + offset, np.hypot(slope * spread_out, spread)
        errors.append(np.array([mean, spread_out]) - end)
    return np.abs(errors)


@by_sde
@by_solver
def test_order_of_convergence(sde, solver, monkeypatch):
    """Measured over the last of the halvings 50, 100, 200, 400; 0.92 ("small") to 1.12 for first-order solvers."""
    order = 2 if solver == ProbabilityFlow(2) else 1
    mean_error, std_error = transported_errors(monkeypatch, sde, solver, (50, 100, 200, 400)).T
    slope = np.log2(std_error[-2] / std_error[-1])
    assert std_error[-1] < {1: 0.01, 2: 3e-5}[order]  # 400 steps: 0.0091 ("small" under VP), 2.9e-5 (Heun under VE)
    assert slope > order - 0.1  # "small" comes from below: 0.83, 0.88, 0.92
    if isinstance(solver, EulerMaruyama):
        assert sde == VE or slope < 1.2  # VE: the first-order term nearly cancels. DDPM: beta has 1000 jumps.
    else:
        assert slope < order + 0.1
    if isinstance(solver, Ancestral | ProbabilityFlow) or isinstance(sde, VESDE):
        np.testing.assert_allclose(mean_error, 0.0, atol=1e-13)  # their means are exact: float64 rounding
    else:
        np.testing.assert_allclose(np.log2(mean_error[-2] / mean_error[-1]), 1.0, atol=0.1)


@pytest.mark.parametrize(
    ("sde", "solver", "std"),
    [
        (VPSDE(), Ancestral("small"), 0.0),
        (VE, Ancestral("small"), 0.0),
        (SubVPSDE(), ProbabilityFlow(1), 0.0),
        (VE, ProbabilityFlow(2), 0.0),
        (VPSDE(), Ancestral("large"), 1.0),
        (DiscreteVPSDE(), Ancestral("large"), 1.0),
    ],
    ids=str,
)
def test_laws_that_hold_for_steps_of_any_length(sde, solver, std, monkeypatch):
    """The posterior's variance is exact for data of one point, the forward kernel's for unit normal data under VP.

    (Ho et al. 2020, section 3.2.) The probability flow of one point is a straight line in sigma / alpha.
    """
    errors = transported_errors(monkeypatch, sde, solver, (2, 4), std)
    np.testing.assert_allclose(errors, 0.0, atol=1e-13 * sde.prior_std)  # float64 rounding


@by_sde
def test_steps_to_zero_and_of_no_length(sde, wave_for_noise):
    """The first and last image arrive at the posterior mean, without noise; the middle one stays as it is."""
    t, t_next = jnp.array([0.02, 0.5, 0.9]), jnp.array([0.0, 0.5, 0.0])
    score_fn = exact_score(sde)

    @jax.jit
    def steps(x):
        states = [solver.step(sde, score_fn, jax.random.key(0), x, t, t_next) for solver in SOLVERS]
        return states, sde.denoise(x, score_fn(x, t), t), (sde.sigma(t) / sde.alpha(t)) ** 2

    states, expected, noise_to_signal = steps(X)
    for x in states:
        np.testing.assert_allclose(x[1], X[1], rtol=1e-6)  # divided by alpha and multiplied again
        for i in (0, 2):
            # x + sigma^2 score cancels in float32 before it is divided by alpha.
            np.testing.assert_allclose(x[i], expected[i], rtol=1e-5, atol=1e-6 * max(1.0, float(noise_to_signal[i])))


def test_one_time_or_one_per_image(wave_for_noise):
    @jax.jit
    def steps(t, t_next):
        solvers = [*SOLVERS, PredictorCorrector()]
        return [solver.step(VE, exact_score(VE), jax.random.key(0), X, t, t_next) for solver in solvers]

    t, t_next = jnp.array(0.5), jnp.array(0.3)
    for one_time, time_per_image in zip(steps(t, t_next), steps(jnp.full(3, t), jnp.full(3, t_next)), strict=True):
        np.testing.assert_allclose(one_time, time_per_image, rtol=1e-5, atol=1e-6)  # two programs may round differently


def test_predictor_corrector_corrects_and_then_predicts(new_key):
    solver, score_fn = PredictorCorrector(Ancestral("large"), Langevin(0.1, num_steps=2)), exact_score(VE)
    t, t_next = jnp.array(0.5), jnp.array(0.4)

    @jax.jit
    def one_and_two(key, x):
        at_once = solver.step(VE, score_fn, jax.random.clone(key), x, t, t_next)
        key_corrector, key_predictor = keys.split(key)
        corrected = solver.corrector.correct(VE, score_fn, key_corrector, x, t, t_next)
        return at_once, corrected, solver.predictor.step(VE, score_fn, key_predictor, corrected, t, t_next)

    at_once, corrected, predicted = one_and_two(new_key(), X)
    assert np.abs(corrected - X).max() > 1e-2
    np.testing.assert_allclose(at_once, predicted, rtol=1e-6)  # float32 algebra


@pytest.mark.parametrize("target_snr", [0.1, 0.2, 0.4])
def test_langevin_keeps_the_marginal_to_fourth_order(target_snr, monkeypatch, new_key):
    """With |x - m|^2 / n = v, |z|^2 = n and x - m orthogonal to z, the new variance is v (1 + 4 r^4)."""
    t = jnp.array(0.4)
    mean, std = moments(VE, t)
    u, z = jnp.array([1.0, 1.0, -1.0, -1.0]).reshape(1, 2, 2, 1), jnp.array([1.0, -1.0, 1.0, -1.0]).reshape(1, 2, 2, 1)
    monkeypatch.setattr(keys, "normal", lambda key, shape, dtype: z)
    x = Langevin(target_snr).correct(VE, exact_score(VE), new_key(), mean + std * u, t, t)
    np.testing.assert_allclose(x.mean(), mean, rtol=1e-5)  # float32 algebra
    np.testing.assert_allclose(x.var() / std**2, 1.0 + 4.0 * target_snr**4, rtol=1e-5)


@pytest.mark.parametrize(
    "solver",
    [
        *SOLVERS,
        DPMSolverSDE(),
        PredictorCorrector(ProbabilityFlow(2), Langevin(num_steps=3)),
        PredictorCorrector(DPMSolverSDE(), Langevin(num_steps=2)),
    ],
    ids=str,
)
def test_nfe_per_step_counts_the_score_s_calls(solver, wave_for_noise):
    calls = []

    def score_fn(x, t):
        calls.append(t)
        return -x

    with jax.disable_jit():  # a scan then is a loop that calls
        memory = solver.initial_memory(X)
        solver.step_with_memory(VE, score_fn, jax.random.key(0), X, memory, jnp.array(0.5), jnp.array(0.4))
    assert len(calls) == solver.nfe_per_step

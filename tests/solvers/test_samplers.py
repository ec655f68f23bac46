"""Whole samplers against numbers of score_sde's PyTorch code, where the same wave stood for every noise draw."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sdedit_jax import keys
from sdedit_jax.sdes import VESDE, VPSDE, SubVPSDE
from sdedit_jax.solvers import (
    EulerMaruyama,
    Langevin,
    PredictorCorrector,
    ProbabilityFlow,
    ReverseDiffusion,
    solve,
    time_grid,
)
from tests.score_sde import SNR, predictor_corrector, wave

VE, VP, SUBVP = VESDE(0.01, 50.0), VPSDE(), SubVPSDE()
# The VE samplers begin with states of 50, whose float32 roundings stay in the reference's results.
VE_ATOL = 5 * 50.0 * float(np.finfo(np.float32).eps)


@pytest.fixture(autouse=True)
def same_arithmetic(wave_for_noise):
    """The wave for every draw, and float64, so that the roundings are the reference's alone."""
    with jax.enable_x64(True):
        yield


def prior(sde, shape):
    return sde.prior_std * np.sin(0.3 * np.arange(np.prod(shape)) + 1.0).reshape(shape)


def ve_score(x, t, center=0.0):
    return -(x - center) / (1.0 + VE.sigma(t) ** 2)


def test_ve_predictor_corrector_equals_the_reference(new_key):
    expected = [6.1086898, -1.9916168, -5.5560398, 3.4642560, 4.7020659, -4.6428390, -3.4811642, 5.5536051]
    x = prior(VE, (2, 1, 2, 2))
    sampler = jax.jit(functools.partial(predictor_corrector, VE, ve_score))
    np.testing.assert_allclose(sampler(x).ravel(), expected, atol=VE_ATOL)
    solver = PredictorCorrector(ReverseDiffusion(), Langevin(SNR))
    times = time_grid(jnp.array(1.0), 5, VE.t_min)
    ours = functools.partial(solve, VE, ve_score, solver, keys.split(new_key(), 5), times=times)
    # The reference steps between its levels but asks for the score at times up to t_min later.
    sigma_shift = 1e-5 * np.log(5000.0)
    np.testing.assert_allclose(jax.jit(ours)(x=x[1:])[0], sampler(x[1:]), rtol=10 * sigma_shift)


def test_ve_inpainting_equals_the_reference(new_key):
    """Song et al.'s inpainting, from `perturb` and a step; its result keeps the last noise in the unknown pixels."""
    expected = """0.5 -1.5011615 -5.0815868 0.6709520 5.2226143 -4.1641130 0.1908942 6.0783134 2.5608943 0.8879559
        -0.0055141 6.7195206 0.1076255 -5.4675193 3.1322906 0.8215138 -3.5147591 -3.7378283 0.3110312 3.4281175
        -5.3377728 0.5201691 6.7317071 0.3304287"""
    index = np.arange(24.0).reshape(2, 3, 2, 2)
    data, known, key = jnp.asarray(0.5 + 0.4 * np.sin(0.9 * index)), index % 3 == 0, new_key()

    def mix(x, t):
        return jnp.where(known, VE.perturb(key, data, jnp.asarray(t)), x)

    score_fn = functools.partial(ve_score, center=0.5)
    start = np.where(known, data, prior(VE, data.shape))
    x = jax.jit(functools.partial(predictor_corrector, VE, score_fn, mix=mix))(start)
    x = jnp.where(known, data, x + VE.sigma_min * wave(x.shape, x.dtype))
    np.testing.assert_allclose(x.ravel(), np.array(expected.split(), float), atol=VE_ATOL)


def test_vp_euler_maruyama_sampler_equals_the_reference(new_key):
    """A thousand steps of 1 / 1000; only the last differs, where ours returns the posterior mean."""
    expected = [82.7173843, -34.9046707, -86.7013855, 44.4610519, 62.1732368, -74.2919617, -57.9640541, 72.8815918]

    def score_fn(x, t):
        return -(0.3 * x + 0.001 * VP.noise_label(t)) / VP.sigma(t)

    @jax.jit
    def sampler(key, x):
        times = time_grid(jnp.array(1.0), 1000, VP.t_min)
        x = solve(VP, score_fn, EulerMaruyama(), keys.split(key, 999), x, times[:-1])[0]
        t = times[-2]
        return x - (VP.drift(x, t) - VP.diffusion(t) ** 2 * score_fn(x, t)) * 1e-3

    x = sampler(new_key(), prior(VP, (2, 1, 2, 2)))
    np.testing.assert_allclose((x.ravel() + 1.0) / 2.0, expected, rtol=1e-4)  # it diverges, and so do roundings


@pytest.mark.parametrize(
    ("sde", "expected"),
    [
        (VE, [1.3313521, 1.4534220, 1.4894323, 1.4361664, 1.2983823, 1.0883881]),
        (VP, [-4.1825714, -2.5064559, -2.0120063, -2.7433896, -4.6352725, -7.5186605]),
        (SUBVP, [-4.4870071, -2.7163994, -2.1940751, -2.9666898]),
    ],
    ids=["VE", "VP", "sub-VP"],
)
def test_probability_flow_follows_the_reference_s_ode_solver(sde, expected, new_key):
    """The reference integrates the ODE in x and t by an adaptive Runge-Kutta rule."""

    def score_fn(x, t):
        if sde is VE:
            return ve_score(x, t, center=0.5)
        return -(0.3 * x + 0.001 * sde.noise_label(t)) / sde.sigma(t)

    @jax.jit
    def sampler(key, x):
        times = time_grid(jnp.array(1.0), 401, sde.t_min)
        return solve(sde, score_fn, ProbabilityFlow(2), keys.split(key, 400), x, times[:-1])[0]

    x = sampler(new_key(), prior(sde, (2, 3, 2, 2))).ravel()[: len(expected)]
    np.testing.assert_allclose(x if sde is VE else (x + 1.0) / 2.0, expected, rtol=1e-3)  # its error and ours

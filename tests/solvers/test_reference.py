"""The solvers against numbers of score_sde's PyTorch code, and against its laws where they deliberately differ.

Both ran with the same wave in place of every noise draw. score_sde's tables are levels i = 0 .. N - 1 at times
i / (N - 1) for VE and (i + 1) / N for VP; a solver follows them when it is given those times.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sdedit_jax.sdes import VESDE, VPSDE, DiscreteVPSDE, SubVPSDE, expand
from sdedit_jax.solvers import (
    Ancestral,
    EulerMaruyama,
    Langevin,
    ProbabilityFlow,
    ReverseDiffusion,
)
from tests.score_sde import SNR, langevin, mean_norm, wave

VE, VP, SUBVP, DDPM = VESDE(0.01, 50.0), VPSDE(), SubVPSDE(), DiscreteVPSDE()
# The reference prints seven decimals of float32.
assert_same_digits = functools.partial(np.testing.assert_allclose, rtol=2e-6, atol=2e-6)

# Numpy, so that they become float64 in the tests.
X: Any = np.sin(np.arange(8.0) + 0.5).reshape(2, 1, 2, 2)
T: Any = np.array([0.3, 0.7])
INDEX = np.floor(999.0 * T)
VE_TIMES = INDEX / 999, (INDEX - 1) / 999
DDPM_TIMES = (INDEX + 1) / 1000, INDEX / 1000
EVEN_TIMES = T, T - 1e-3
ONE_STEP = {
    "VE Euler-Maruyama": (
        (VE, EulerMaruyama(), EVEN_TIMES),
        [0.4957926, 0.9918464, 0.5832784, -0.3413811, -0.3764139, -0.9220159, -0.0954917, 1.2159437],
    ),
    "VE reverse diffusion": (
        (VE, ReverseDiffusion(), VE_TIMES),
        [0.4956353, 0.9919031, 0.5834264, -0.3414728, -0.3815661, -0.9216731, -0.0933729, 1.2152879],
    ),
    "VE ancestral": (
        (VE, Ancestral("small"), VE_TIMES),
        [0.4954969, 0.9919487, 0.5835531, -0.3415511, -0.3847901, -0.9184715, -0.0909739, 1.2114682],
    ),
    "VP Euler-Maruyama": (
        (VP, EulerMaruyama(), EVEN_TIMES),
        [0.5550918, 0.9706731, 0.5276978, -0.3067710, -0.8831352, -0.7902645, 0.1487490, 1.0408328],
    ),
    "VP reverse diffusion": (
        (DDPM, ReverseDiffusion(), DDPM_TIMES),
        [0.5550078, 0.9707105, 0.5277829, -0.3068241, -0.8831806, -0.7902648, 0.1487685, 1.0408348],
    ),
    "VP ancestral": (
        (DDPM, Ancestral("large"), DDPM_TIMES),
        [0.5550057, 0.9707055, 0.5277802, -0.3068216, -0.8831446, -0.7902369, 0.1487691, 1.0408139],
    ),
    "sub-VP Euler-Maruyama": (
        (SUBVP, EulerMaruyama(), EVEN_TIMES),
        [0.5491757, 0.9734681, 0.5338473, -0.3106042, -0.8831381, -0.7902627, 0.1487508, 1.0408306],
    ),
}
PROBABILITY_FLOW = {
    "VE": (
        (VE, VE_TIMES),
        [0.4793766, 0.9973887, 0.5984100, -0.3507402, -0.8694308, -0.6250477, 0.2021667, 0.8516752],
    ),
    "VP": (
        (DDPM, DDPM_TIMES),
        [0.4798089, 0.9981945, 0.5989282, -0.3509064, -0.9784344, -0.7060564, 0.2159179, 0.9398295],
    ),
    "sub-VP": (
        (SUBVP, EVEN_TIMES),
        [0.4799761, 0.9985577, 0.5991404, -0.3510532, -0.9784108, -0.7060394, 0.2159129, 0.9398073],
    ),
}
CORRECTED = {
    "VE Langevin": (
        (VE, VE_TIMES, "norms"),
        [0.8587567, 0.7948408, 0.1837051, -0.0914661, -0.5872316, -0.9633683, -0.0286892, 1.2523208],
    ),
    "VE annealed": (
        (VE, VE_TIMES, "std"),
        [0.5194991, 0.9835255, 0.5611497, -0.3276824, 0.6175610, -1.1459985, -0.5609721, 1.5226238],
    ),
    "VP Langevin": (
        (DDPM, DDPM_TIMES, "norms"),
        [0.8577000, 0.7956589, 0.1850819, -0.0923348, -0.5904997, -0.9619426, -0.0269111, 1.2505256],
    ),
    "VP annealed": (
        (DDPM, DDPM_TIMES, "std"),
        [0.7114968, 0.8937669, 0.3624031, -0.2038261, -0.6961269, -0.9107741, 0.0323862, 1.1866996],
    ),
}


def rows(table):
    return pytest.mark.parametrize(("case", "expected"), table.values(), ids=table)


@pytest.fixture(autouse=True)
def same_arithmetic(wave_for_noise):
    """The wave for every draw, as the generators differ; float64, as 0.3 - 0.299 has three digits in float32."""
    with jax.enable_x64(True):
        yield


def toy_score(x, t):
    """Told the reference's time whatever the level's exact time is."""
    del t
    return -0.8 * x + 0.1 * expand(T, x)


@rows(ONE_STEP)
def test_one_step_equals_the_reference(case, expected, new_key):
    sde, solver, (t, t_next) = case
    x = jax.jit(functools.partial(solver.step, sde, toy_score))(new_key(), X, t, t_next)
    assert_same_digits(x.ravel(), expected)


@rows(PROBABILITY_FLOW)
def test_probability_flow_equals_the_reference_to_first_order(case, expected, new_key):
    """The reference halves the score term of its reverse diffusion; ours is the exponential form of the same step."""
    sde, (t, t_next) = case
    scale, var = (expand(value, X) for value in sde.transition(t_next, t))
    drift = sde.drift(X, t) * 1e-3 if sde is SUBVP else (scale - 1.0) * X
    var = expand(sde.diffusion(t) ** 2, X) * 1e-3 if sde is SUBVP else var
    score = toy_score(X, t)
    assert_same_digits((X - drift + 0.5 * var * score).ravel(), expected)
    # O(h^2), where h is the relative step and each term of the ODE a factor of it.
    h = (1.0 - scale * expand(sde.sigma(t_next) / sde.sigma(t), X)).max()
    terms = (jnp.abs(X) + expand(sde.sigma(t) ** 2, X) * jnp.abs(score)).max()
    x = jax.jit(functools.partial(ProbabilityFlow(1).step, sde, toy_score))(new_key(), X, t, t_next)
    np.testing.assert_allclose(x.ravel(), expected, atol=float(h**2 * terms))


@rows(CORRECTED)
def test_langevin_arithmetic_gives_the_reference_numbers(case, expected):
    sde, (t, t_next), size = case
    scale, _ = sde.transition(t_next, t)
    score = toy_score(X, t)
    # The annealed corrector uses the SDE's own std at t, not the table's.
    std = (VP if sde is DDPM else VE).sigma(T)
    ratio = mean_norm(wave(X.shape, X.dtype)) / mean_norm(score) if size == "norms" else expand(std, X)
    assert_same_digits(langevin(X, score, expand(scale, X) ** 2, ratio).ravel(), expected)


@rows({name: row for name, row in CORRECTED.items() if row[0][2] == "norms"})
def test_langevin_is_the_reference_s_for_each_image_alone(case, expected, new_key):
    """The reference averages norms over the batch, so that pictures depend on their batch mates; for one they agree."""
    sde, (t, t_next), _ = case
    score = toy_score(X, t)
    x = jax.jit(functools.partial(Langevin(SNR).correct, sde, toy_score))(new_key(), X, t, t_next)
    ratio = jnp.linalg.norm(wave(X.shape, X.dtype).reshape(2, 4), axis=1) / jnp.linalg.norm(score.reshape(2, 4), axis=1)
    scale, _ = sde.transition(t_next, t)
    np.testing.assert_allclose(x, langevin(X, score, expand(scale, X) ** 2, expand(ratio, X)), rtol=1e-12)  # float64
    assert np.abs(x.ravel() - np.array(expected)).max() > 1e-3

"""The solvers against numbers of score_sde's PyTorch code, and against its laws where they deliberately differ.

Both ran with the same wave in place of every noise draw. score_sde's tables are levels i = 0 .. N - 1 at times
i / (N - 1) for VE and (i + 1) / N for VP; a solver follows them when it is given those times.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sdedit_jax import keys
from sdedit_jax.sdes import VESDE, VPSDE, DiscreteVPSDE, SubVPSDE, expand
from sdedit_jax.solvers import (
    Ancestral,
    EulerMaruyama,
    Langevin,
    PredictorCorrector,
    ProbabilityFlow,
    ReverseDiffusion,
    solve,
    time_grid,
)

VE, VP, SUBVP, DDPM = VESDE(0.01, 50.0), VPSDE(), SubVPSDE(), DiscreteVPSDE()
SNR = 0.16
# The reference prints seven decimals of float32.
DIGITS = {"rtol": 2e-6, "atol": 2e-6}
# Its whole VE samplers begin with states of 50, whose float32 roundings stay in the result.
WHOLE_SAMPLER_ATOL = 5 * 50.0 * float(np.finfo(np.float32).eps)

X = np.sin(np.arange(8.0) + 0.5).reshape(2, 1, 2, 2)
T = np.array([0.3, 0.7])
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


def wave(shape):
    return jnp.cos(1.7 * jnp.arange(float(np.prod(shape))) + 0.2).reshape(shape)


@pytest.fixture(autouse=True)
def same_arithmetic(monkeypatch):
    """The wave for every draw, as the generators differ; float64, as 0.3 - 0.299 has three digits in float32."""
    monkeypatch.setattr(keys, "normal", lambda key, shape, dtype=jnp.float64: wave(shape).astype(dtype))
    with jax.enable_x64(True):
        yield


def toy_score(x, t):
    """Told the reference's time whatever the level's exact time is."""
    del t
    return -0.8 * x + 0.1 * expand(T, x)


def mean_norm(x):
    """The Euclidean norm of an image, averaged over the batch."""
    return jnp.linalg.norm(x.reshape(x.shape[0], -1), axis=1).mean()


def langevin(x, score, alpha, ratio):
    """score_sde's corrector; `ratio` is the noise's norm over the score's, or the marginal std if annealed."""
    step_size = 2.0 * alpha * (SNR * ratio) ** 2
    return x + step_size * score + jnp.sqrt(2.0 * step_size) * wave(x.shape)


def score_sde_sampler(score_fn, x, mix=lambda x, t: x):
    """Five steps of score_sde's predictor-corrector loop for VE, the last without noise; `mix` imposes known pixels."""
    # A table's first level has sigma_min, as any positive time this small has here.
    levels = [1.0, 0.75, 0.5, 0.25, 1e-9, 0.0]
    for t, level, next_level in zip(np.linspace(1.0, 1e-5, 5), levels, levels[1:], strict=False):
        score = score_fn(x, t)
        x = mix(langevin(x, score, 1.0, mean_norm(wave(x.shape)) / mean_norm(score)), t)
        step_score = functools.partial(lambda t, x, _: score_fn(x, t), t)
        x = ReverseDiffusion().step(VE, step_score, jax.random.key(0), x, jnp.array(level), jnp.array(next_level))
        x = x if next_level == 0.0 else mix(x, t)
    return x


@rows(ONE_STEP)
def test_one_step_equals_the_reference(case, expected, new_key):
    sde, solver, (t, t_next) = case
    x = jax.jit(functools.partial(solver.step, sde, toy_score))(new_key(), X, t, t_next)
    np.testing.assert_allclose(x.ravel(), expected, **DIGITS)


@rows(PROBABILITY_FLOW)
def test_probability_flow_equals_the_reference_to_first_order(case, expected, new_key):
    """The reference halves the score term of its reverse diffusion; ours is the exponential form of the same step."""
    sde, (t, t_next) = case
    scale, var = (expand(value, X) for value in sde.transition(t_next, t))
    drift = sde.drift(X, t) * 1e-3 if sde is SUBVP else (scale - 1.0) * X
    var = expand(sde.diffusion(t) ** 2, X) * 1e-3 if sde is SUBVP else var
    score = toy_score(X, t)
    np.testing.assert_allclose((X - drift + 0.5 * var * score).ravel(), expected, **DIGITS)
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
    ratio = mean_norm(wave(X.shape)) / mean_norm(score) if size == "norms" else expand(std, X)
    np.testing.assert_allclose(langevin(X, score, expand(scale, X) ** 2, ratio).ravel(), expected, **DIGITS)


@rows({name: row for name, row in CORRECTED.items() if row[0][2] == "norms"})
def test_langevin_is_the_reference_s_for_each_image_alone(case, expected, new_key):
    """The reference averages norms over the batch, so that pictures depend on their batch mates; for one they agree."""
    sde, (t, t_next), _ = case
    score = toy_score(X, t)
    x = jax.jit(functools.partial(Langevin(SNR).correct, sde, toy_score))(new_key(), X, t, t_next)
    ratio = jnp.linalg.norm(wave(X.shape).reshape(2, 4), axis=1) / jnp.linalg.norm(score.reshape(2, 4), axis=1)
    scale, _ = sde.transition(t_next, t)
    np.testing.assert_allclose(x, langevin(X, score, expand(scale, X) ** 2, expand(ratio, X)), rtol=1e-12)  # float64
    assert np.abs(x.ravel() - np.array(expected)).max() > 1e-3


def prior(sde, shape):
    return sde.prior_std * np.sin(0.3 * np.arange(np.prod(shape)) + 1.0).reshape(shape)


def ve_score(x, t, center=0.0):
    return -(x - center) / (1.0 + VE.sigma(t) ** 2)


def test_ve_predictor_corrector_equals_the_reference(new_key):
    expected = [6.1086898, -1.9916168, -5.5560398, 3.4642560, 4.7020659, -4.6428390, -3.4811642, 5.5536051]
    x = prior(VE, (2, 1, 2, 2))
    sampler = jax.jit(functools.partial(score_sde_sampler, ve_score))
    np.testing.assert_allclose(sampler(x).ravel(), expected, atol=WHOLE_SAMPLER_ATOL)
    solver = PredictorCorrector(ReverseDiffusion(), Langevin(SNR))
    ours = functools.partial(solve, VE, ve_score, solver, keys.split(new_key(), 5), times=time_grid(1.0, 5, VE.t_min))
    # The reference steps between its levels but asks for the score at times up to t_min later.
    sigma_shift = 1e-5 * np.log(5000.0)
    np.testing.assert_allclose(jax.jit(ours)(x=x[1:]), sampler(x[1:]), rtol=10 * sigma_shift)


def test_ve_inpainting_equals_the_reference(new_key):
    """Song et al.'s inpainting, from `perturb` and a step; its result keeps the last noise in the unknown pixels."""
    expected = """0.5 -1.5011615 -5.0815868 0.6709520 5.2226143 -4.1641130 0.1908942 6.0783134 2.5608943 0.8879559 -0.0055141
        6.7195206 0.1076255 -5.4675193 3.1322906 0.8215138 -3.5147591 -3.7378283 0.3110312 3.4281175 -5.3377728
        0.5201691 6.7317071 0.3304287"""
    index = np.arange(24.0).reshape(2, 3, 2, 2)
    data, known, key = 0.5 + 0.4 * np.sin(0.9 * index), index % 3 == 0, new_key()

    def mix(x, t):
        return jnp.where(known, VE.perturb(key, data, jnp.asarray(t)), x)

    score_fn = functools.partial(ve_score, center=0.5)
    start = np.where(known, data, prior(VE, data.shape))
    x = jax.jit(functools.partial(score_sde_sampler, score_fn, mix=mix))(start)
    x = jnp.where(known, data, x + VE.sigma_min * wave(x.shape))
    np.testing.assert_allclose(x.ravel(), np.array(expected.split(), float), atol=WHOLE_SAMPLER_ATOL)


def test_vp_euler_maruyama_sampler_equals_the_reference(new_key):
    """A thousand steps of 1 / 1000; only the last differs, where ours returns the posterior mean."""
    expected = [82.7173843, -34.9046707, -86.7013855, 44.4610519, 62.1732368, -74.2919617, -57.9640541, 72.8815918]

    def score_fn(x, t):
        return -(0.3 * x + 0.001 * VP.noise_label(t)) / VP.sigma(t)

    @jax.jit
    def sampler(key, x):
        times = time_grid(1.0, 1000, VP.t_min)
        x = solve(VP, score_fn, EulerMaruyama(), keys.split(key, 999), x, times[:-1])
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
        times = time_grid(1.0, 401, sde.t_min)
        return solve(sde, score_fn, ProbabilityFlow(2), keys.split(key, 400), x, times[:-1])

    x = sampler(new_key(), prior(sde, (2, 3, 2, 2))).ravel()[: len(expected)]
    np.testing.assert_allclose(x if sde is VE else (x + 1.0) / 2.0, expected, rtol=1e-3)  # its error and ours

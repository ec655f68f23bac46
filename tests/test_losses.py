"""Denoising score matching against score_sde's numbers, and the laws of its weightings and of its times."""

import dataclasses
import statistics

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sdedit_jax.losses import DenoisingScoreMatching, LogNormalNoise, UniformTimes, Weighting
from sdedit_jax.models import NoiseFromV, NoiseFromX0
from sdedit_jax.score import ScalesOfLabel, denoise, score
from sdedit_jax.sdes import VESDE, VPSDE, DiscreteVPSDE, SubVPSDE, expand
from tests.analytic import GaussianNetwork, LinearNetwork

X0 = jnp.sin(jnp.arange(8.0) + 0.5).reshape(2, 1, 2, 2)
Z = jnp.cos(1.7 * jnp.arange(8.0) + 0.2).reshape(X0.shape)
T = jnp.array([0.2, 0.6]) * (1.0 - 1e-5) + 1e-5
N = 4000  # times a draw: the operations of one shape compile once
ALL = [VPSDE(), SubVPSDE(), VESDE(), DiscreteVPSDE(), VESDE(num_levels=20)]

by_sde = pytest.mark.parametrize("sde", ALL, ids=lambda sde: f"{type(sde).__name__}{getattr(sde, 'num_levels', '')}")


class ScoreNetwork(nn.Module):
    """score_sde's toy VE network, which returns the score x / 2 + sigma / 100, as a noise prediction."""

    @nn.compact
    def __call__(self, x, noise_label, train=False):
        sigma = 2.0 * expand(noise_label, x)
        return -sigma * (0.5 * x + 0.01 * sigma)


@pytest.mark.parametrize(
    ("model", "sde", "kind", "half_sum", "mean"),
    [
        (ScoreNetwork(), VESDE(0.01, 50.0), "noise", 4.608298, 2.304149),
        (ScoreNetwork(), VESDE(0.01, 50.0), "likelihood", 78.499542, 39.249771),
        (LinearNetwork(0.5, 0.01), VPSDE(), "noise", 40.320450, 20.160225),
        (LinearNetwork(0.5, 0.01), VPSDE(), "likelihood", 496.457092, 248.228546),
        (LinearNetwork(0.5, 0.01), SubVPSDE(), "noise", 40.395241, 20.197620),
        (LinearNetwork(0.5, 0.01), SubVPSDE(), "likelihood", 547.923584, 273.961792),
    ],
    ids=["VE", "VE likelihood", "VP", "VP likelihood", "sub-VP", "sub-VP likelihood"],
)
def test_losses_equal_the_reference(model, sde, kind, half_sum, mean):
    @jax.jit
    def losses(x0, z):
        loss_fn = DenoisingScoreMatching(model, sde, weighting=Weighting(kind))
        summing = dataclasses.replace(loss_fn, reduction="half_sum")
        return summing.per_image({}, x0, T, z).mean(), loss_fn.per_image({}, x0, T, z).mean()

    np.testing.assert_allclose(losses(X0, Z), (half_sum, mean), rtol=2e-6)  # float32 algebra


@by_sde
def test_weightings_are_the_papers_losses_of_score_and_denoised_picture(sde):
    """g^2 |score - (-z / sigma)|^2 (Song et al. 2021b), and with d for sigma_data and s for sigma / alpha
    (s^2 + d^2) / (s d)^2 |x0_hat - x0|^2 (Karras et al. 2022, table 1)."""
    model, sigma_data, t = LinearNetwork(0.2, 0.001), 0.5, sde.quantize(T)
    likelihood = DenoisingScoreMatching(model, sde, weighting=Weighting("likelihood"))
    edm = DenoisingScoreMatching(model, sde, weighting=Weighting("edm", sigma_data))

    @jax.jit
    def losses(x0, z):
        mean, sigma = sde.marginal_prob(x0, t)
        x_t, s = mean + expand(sigma, x0) * z, sigma / sde.alpha(t)
        score_error = score(model, {}, sde, x_t, t) + z / expand(sigma, x0)
        picture_error = denoise(model, {}, sde, x_t, t) - x0
        of_score = sde.diffusion(t) ** 2 * jnp.square(score_error).mean(axis=(1, 2, 3))
        of_picture = (s**2 + sigma_data**2) / (s * sigma_data) ** 2 * jnp.square(picture_error).mean(axis=(1, 2, 3))
        return (likelihood.per_image({}, x0, t, z), of_score), (edm.per_image({}, x0, t, z), of_picture)

    for ours, theirs in losses(X0, Z):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4)  # the errors are differences in float32


@pytest.mark.parametrize("sde", [VPSDE(), DiscreteVPSDE()], ids=lambda sde: type(sde).__name__)
def test_weightings_are_the_papers_losses_of_raw_outputs(sde):
    """Of the error of v (Salimans and Ho 2022): 1; and with SNR = alpha^2 / sigma^2 (Hang et al. 2023): min(SNR, gamma)
    of the error of x0, and min(SNR, gamma) / (SNR + 1) of that of v."""
    network, t, gamma = LinearNetwork(0.2, 0.001), jnp.array([0.05, 0.6]), 5.0
    v_loss = DenoisingScoreMatching(NoiseFromV(network, ScalesOfLabel(sde)), sde, weighting=Weighting("v"))
    min_snr = Weighting("min_snr", snr_gamma=gamma)
    v_min_snr = dataclasses.replace(v_loss, weighting=min_snr)
    x0_min_snr = dataclasses.replace(v_min_snr, model=NoiseFromX0(network, ScalesOfLabel(sde)))
    snr = (sde.alpha(t) / sde.sigma(t)) ** 2
    assert snr[0] > gamma > snr[1]

    @jax.jit
    def losses(x0, z):
        alpha, sigma = expand(sde.alpha(t), x0), expand(sde.sigma(t), x0)
        raw = network.apply({}, alpha * x0 + sigma * z, sde.noise_label(t))
        v_error, x0_error = (jnp.square(raw - truth).mean(axis=(1, 2, 3)) for truth in (alpha * z - sigma * x0, x0))
        capped = jnp.minimum(snr, gamma)
        pairs = ((v_loss, v_error), (v_min_snr, capped / (snr + 1) * v_error), (x0_min_snr, capped * x0_error))
        return [(loss_fn.per_image({}, x0, t, z), theirs) for loss_fn, theirs in pairs]

    for ours, theirs in losses(X0, Z):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4)  # the errors are differences in float32


@by_sde
def test_min_snr_is_one_but_where_there_is_little_noise(sde):
    """min(SNR, gamma) / SNR of the error of the noise (Hang et al. 2023), for any gamma."""
    ratios, gamma = np.array([0.1, 0.4, 1.0, 5.0]), 4.0
    t = sde.time_of(jnp.asarray(ratios))
    expected = np.minimum(ratios**-2, gamma) / ratios**-2
    np.testing.assert_allclose(Weighting("min_snr", snr_gamma=gamma)(sde, t), expected, rtol=1e-3)  # time_of in float32
    np.testing.assert_array_equal(Weighting("min_snr", snr_gamma=1e9)(sde, t), 1.0)  # all as "noise"


def test_the_weight_of_min_snr_takes_away_what_the_picture_s_error_is_divided_by(new_key):
    """A picture that is off by 0.1 everywhere costs gamma 0.01 where there is least noise, and not 0.01 / sigma^2."""

    class Off(nn.Module):
        @nn.compact
        def __call__(self, x, noise_label, train=False):
            return jnp.full_like(x, 0.1)

    sde, x0 = VPSDE(), jnp.zeros((3, 8, 8, 3))
    t = jnp.array([1e-5, 1e-3, 0.05])
    loss_fn = DenoisingScoreMatching(NoiseFromX0(Off(), ScalesOfLabel(sde)), sde, weighting=Weighting("min_snr"))
    losses = loss_fn.per_image({}, x0, t, jax.random.normal(new_key(), x0.shape))
    # x holds sigma z, 1e-3 of it, rounded, beside which 0.1 is known to 1e-4 of itself.
    np.testing.assert_allclose(losses, 5.0 * 0.01, rtol=1e-3)


@by_sde
def test_uniform_times_are_uniform(sde, new_key):
    t = np.asarray(UniformTimes()(new_key(), sde, N))
    assert t.shape == (N,)
    assert 0.0 < t.min() < t.max() <= 1.0
    np.testing.assert_allclose(t.mean(), 0.5, atol=5 * 12**-0.5 / N**0.5 + 1e-3)  # plus half a cell of 1 / 1000
    # The square of a uniform draw has kurtosis 1.8; 20 levels from 0 to 1 spread 5.1 % wider than the interval.
    np.testing.assert_allclose(t.std(), 12**-0.5, rtol=5 * (0.2 / N) ** 0.5 + 0.051)


@pytest.mark.parametrize("sde", [DiscreteVPSDE(num_levels=20), VESDE(num_levels=20)], ids=lambda s: type(s).__name__)
def test_uniform_times_hit_every_level_of_a_discrete_sde_alike(sde, new_key):
    labels = np.asarray(sde.noise_label(UniformTimes()(new_key(), sde, N)))
    np.testing.assert_allclose(labels, np.round(labels), atol=1e-4)  # a label is exact but for float32 in t
    counts = np.bincount(np.round(labels).astype(int))
    assert len(counts) == 20
    np.testing.assert_allclose(counts, N / 20, atol=5 * (N / 20) ** 0.5)  # five binomial standard deviations


def test_uniform_times_start_at_t_min(new_key):
    assert UniformTimes(t_min=0.9)(new_key(), VPSDE(), N).min() >= 0.9


@pytest.mark.parametrize("sde", ALL[:4], ids=lambda sde: type(sde).__name__)
def test_log_normal_noise_has_the_normal_s_quantiles(sde, new_key):
    mean, std = -0.8, 1.0
    t = LogNormalNoise(mean, std)(new_key(), sde, N)
    assert t.shape == (N,)
    log_ratio = np.log(sde.sigma(t) / sde.alpha(t))
    normal = statistics.NormalDist(mean, std)
    # All within the reach of VE's sigma_min; DDPM rounds a time up to its level, 1 / 1000 at most.
    for probability in (0.1, 0.25, 0.5, 0.75, 0.9):
        quantile = normal.inv_cdf(probability)
        standard_error = (probability * (1 - probability) / N) ** 0.5
        np.testing.assert_allclose((log_ratio <= quantile).mean(), probability, atol=5 * standard_error)


def test_log_normal_noise_is_clipped_to_what_the_sde_reaches(new_key):
    for sde in ALL:
        t = LogNormalNoise(0.0, 10.0)(new_key(), sde, N)
        assert np.isfinite(t).all()
        assert 0.0 <= t.min() < t.max() <= 1.0


@pytest.mark.parametrize(("reduction", "scale"), [("mean", 1.0), ("half_sum", 0.5 * 8 * 8 * 3)])
def test_a_network_that_says_nothing_loses_the_noise_s_variance(reduction, scale, new_key):
    x0 = jnp.zeros((16, 8, 8, 3))
    loss_fn = jax.jit(DenoisingScoreMatching(LinearNetwork(0.0), VPSDE(), reduction=reduction))
    # |z|^2 has mean 1 and variance 2 a value: five standard errors.
    np.testing.assert_allclose(loss_fn({}, new_key(), x0), scale, rtol=5 * (2 / x0.size) ** 0.5)


@pytest.mark.parametrize("sde", ALL[:4], ids=lambda sde: type(sde).__name__)
def test_the_exact_network_loses_what_cannot_be_known(sde, new_key):
    """E|eps - z|^2 = alpha^2 s^2 / (alpha^2 s^2 + sigma^2) at each t for data N(m, s^2)."""
    mean, std, shape = 0.3, 0.5, (8, 32, 32, 3)
    x0 = mean + std * jax.random.normal(new_key(), shape)
    z, t = jax.random.normal(new_key(), shape), sde.quantize(jnp.linspace(0.05, 0.9, 8))
    loss = jax.jit(DenoisingScoreMatching(GaussianNetwork(sde, mean, std), sde).per_image)({}, x0, t, z)
    signal, noise = (sde.alpha(t) * std) ** 2, sde.sigma(t) ** 2
    # eps - z is Gaussian, so its square has a relative standard deviation of sqrt(2).
    np.testing.assert_allclose(loss, signal / (signal + noise), rtol=5 * (2 / x0[0].size) ** 0.5)


def test_the_loss_is_one_number_that_the_key_decides(new_key):
    loss_fn = jax.jit(DenoisingScoreMatching(LinearNetwork(0.3), VPSDE()))
    key = new_key()
    loss = loss_fn({}, jax.random.clone(key), X0)
    assert loss.shape == ()
    assert loss == loss_fn({}, key, X0)
    assert loss != loss_fn({}, new_key(), X0)


def test_dropout_is_on_in_training_and_off_per_image(new_key):
    class TrainFlag(nn.Module):
        @nn.compact
        def __call__(self, x, noise_label, train=False):
            return nn.Dropout(1.0, deterministic=not train)(x + 100.0)

    loss_fn = DenoisingScoreMatching(TrainFlag(), VPSDE())
    x0 = jnp.zeros((8, 8, 8, 1))
    assert jax.jit(loss_fn)({}, new_key(), x0) < 2.0  # everything is dropped: the noise's variance is left
    assert jax.jit(loss_fn.per_image)({}, x0, jnp.full(8, 0.5), jnp.zeros_like(x0)).min() > 9000.0

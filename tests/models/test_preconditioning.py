"""Preconditioning against the papers' formulas and against the exact answer for Gaussian data."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from sdedit_jax import build, weights
from sdedit_jax.models import DDPM, EDMPreconditioned, NoiseFromV, NoiseFromX0
from sdedit_jax.score import ScalesOfLabel, denoise, noise_prediction
from sdedit_jax.sdes import VPSDE, DiscreteVPSDE, expand
from sdedit_jax.weights import native

VP_SDES = [VPSDE(), VPSDE(0.05, 12.0), DiscreteVPSDE()]

by_sde = pytest.mark.parametrize("sde", VP_SDES, ids=["VP", "VP of other betas", "DDPM"])
by_prediction = pytest.mark.parametrize("cls", [NoiseFromV, NoiseFromX0])


class Affine(nn.Module):
    """A network with a formula: F(x, label) = weight x + label."""

    weight: float
    downsampling_factor: int = 1

    def __call__(self, x, noise_label, *, train=False):
        return self.weight * x + noise_label[:, None, None, None]


class Says(nn.Module):
    """A network that returns what it is given as a parameter, and sees nothing."""

    shape: tuple[int, ...]
    downsampling_factor: int = 1

    @nn.compact
    def __call__(self, x, noise_label, *, train=False):
        return self.param("output", nn.initializers.zeros, self.shape)


class Best(nn.Module):
    """The best prediction of v = alpha z - sigma x0, or of x0, for pixels N(mean, std^2)."""

    sde: VPSDE | DiscreteVPSDE
    target: str
    mean: float
    std: float
    downsampling_factor: int = 1

    def __call__(self, x, noise_label, *, train=False):
        t = self.sde.time_of_label(noise_label)
        alpha, sigma = expand(self.sde.alpha(t), x), expand(self.sde.sigma(t), x)
        surprise = (x - alpha * self.mean) / ((alpha * self.std) ** 2 + sigma**2)
        x0 = self.mean + alpha * self.std**2 * surprise
        return x0 if self.target == "x0" else alpha * sigma * surprise - sigma * x0


@pytest.fixture
def x(new_key):
    return jax.random.normal(new_key(), (3, 2, 4, 3))


def applied(model, x, noise_label) -> Any:
    """What a model without parameters returns."""
    return model.apply({}, x, noise_label)


def said(cls, sde, output):
    """(model, params) of a network whose raw output is `output`."""
    return cls(Says(output.shape), ScalesOfLabel(sde)), {"network": {"output": output}}


def test_noise_is_that_of_the_preconditioned_denoiser(x):
    sd, sigma = 0.4, np.array([0.1, 1.0, 50.0])
    eps = applied(EDMPreconditioned(Affine(0.7), sigma_data=sd), x, jnp.asarray(sigma / 2, jnp.float32))
    x, s = np.asarray(x, np.float64), sigma.reshape(-1, 1, 1, 1)
    c_skip, c_out, c_in = sd**2 / (s**2 + sd**2), s * sd / np.sqrt(s**2 + sd**2), 1 / np.sqrt(s**2 + sd**2)
    denoised = c_skip * x + c_out * (0.7 * c_in * x + s / 2)
    np.testing.assert_allclose(eps, (x - denoised) / s, rtol=1e-5, atol=1e-5)  # float32


def test_network_that_says_nothing_is_exact_for_gaussian_data(x):
    """For pixels ~ N(0, sd^2) the best noise prediction is sigma x / (sigma^2 + sd^2)."""
    eps = applied(EDMPreconditioned(Affine(0.0), sigma_data=0.5), x, jnp.zeros(3))
    np.testing.assert_array_equal(eps, 0.0)
    silent = EDMPreconditioned(Affine(0.0), sigma_data=0.5)
    sigma = jnp.array([1e-6, 0.5, 756.0])
    eps = applied(silent, x, sigma / 2) + (sigma / 2 * 0.5 / jnp.sqrt(sigma**2 + 0.25))[:, None, None, None]
    best = (sigma / (sigma**2 + 0.25))[:, None, None, None] * x
    np.testing.assert_allclose(eps, best, rtol=1e-5, atol=1e-6)  # float32, and the label that `Affine` adds


@by_sde
def test_the_true_v_and_the_true_picture_give_the_noise_and_the_picture_back(sde, x, new_key):
    """A network that knows v = alpha z - sigma x0, or x0, makes a model that knows z and x0."""
    z, t = jax.random.normal(new_key(), x.shape), jnp.array([0.03, 0.4, 0.9])
    alpha, sigma = expand(sde.alpha(t), x), expand(sde.sigma(t), x)
    for cls, output in ((NoiseFromV, alpha * z - sigma * x), (NoiseFromX0, x)):
        model, params = said(cls, sde, output)
        x_t = alpha * x + sigma * z
        eps = noise_prediction(model, params, sde, x_t, t)
        # float32 sums of order 1, which are divided by sigma, 0.05 at t = 0.03, or by alpha, 0.02 at t = 0.9.
        np.testing.assert_allclose(eps, z, atol=2e-5)
        np.testing.assert_allclose(denoise(model, params, sde, x_t, t), x, atol=1e-4)


@by_sde
@pytest.mark.parametrize(("cls", "target"), [(NoiseFromV, "v"), (NoiseFromX0, "x0")])
def test_the_best_v_and_the_best_picture_are_the_best_noise(sde, cls, target, x):
    """E[z | x] = sigma (x - alpha m) / (alpha^2 s^2 + sigma^2) for pixels N(m, s^2)."""
    mean, std, t = 0.3, 0.5, jnp.array([0.03, 0.4, 0.9])
    alpha, sigma = expand(sde.alpha(t), x), expand(sde.sigma(t), x)
    best = sigma * (x - alpha * mean) / ((alpha * std) ** 2 + sigma**2)
    model = cls(Best(sde, target, mean, std), ScalesOfLabel(sde))
    np.testing.assert_allclose(noise_prediction(model, {}, sde, x, t), best, rtol=1e-4, atol=2e-5)  # float32 over sigma


def test_v_is_the_edm_target_of_pictures_of_deviation_1_up_to_its_sign(x):
    """At equal noise-to-signal ratios, x being alpha times the picture that VE sees."""
    sde, t = VPSDE(), jnp.array([0.05, 0.4, 0.9])
    alpha, label = expand(sde.alpha(t), x), 0.5 * sde.sigma(t) / sde.alpha(t)
    eps = NoiseFromV(Affine(-0.7), ScalesOfLabel(sde))
    edm = EDMPreconditioned(Affine(0.7), sigma_data=1.0)

    def without_label(model, x, label):  # what `Affine` says of its label is not of interest
        return applied(model, x, label) - applied(model, jnp.zeros_like(x), label)

    found = without_label(eps, x, sde.noise_label(t))
    # x / alpha is up to 60 times x, and its terms cancel to that part of it in float32.
    np.testing.assert_allclose(found, without_label(edm, x / alpha, label), rtol=1e-4, atol=1e-4)


def test_v_has_the_same_variance_at_every_noise_level(new_key):
    """Pictures of variance 1 make targets v of variance 1, to which raw outputs have to reach at any t alike."""
    sde, t, shape = VPSDE(), jnp.linspace(0.01, 1.0, 5), (5, 64, 64, 3)
    x0, z = jax.random.normal(new_key(), shape), jax.random.normal(new_key(), shape)
    alpha, sigma = expand(sde.alpha(t), x0), expand(sde.sigma(t), x0)
    x_t = alpha * x0 + sigma * z
    model, params = said(NoiseFromV, sde, jnp.zeros(shape))
    silent = noise_prediction(model, params, sde, x_t, t)
    target = (z - silent) / alpha  # what the network would have to say
    n = x0[0].size
    # alpha goes down to 0.007, and z - sigma x is then a difference of that size: 1e-5 of it in float32.
    np.testing.assert_allclose(target.var(axis=(1, 2, 3)), 1.0, rtol=5 * (2 / n) ** 0.5 + 1e-4)


@by_sde
@by_prediction
def test_it_is_finite_and_differentiable_down_to_no_noise(sde, cls, x):
    """At t = 0 there is no noise to predict; the answer is then finite for any raw output."""
    t = jnp.array([0.0, 1e-5, sde.t_min])
    model, params = said(cls, sde, jnp.full(x.shape, 0.1))

    def squared(params):
        return jnp.square(noise_prediction(model, params, sde, x, t)).mean()

    eps, gradient = noise_prediction(model, params, sde, x, t), jax.grad(squared)(params)
    assert np.isfinite(eps).all() and np.isfinite(gradient["network"]["output"]).all()


@by_sde
def test_the_noise_is_exact_to_rounding_at_the_last_time(sde, x, new_key):
    """Of a picture known exactly: x - alpha x0 is sigma z but for a rounding of x."""
    z, t = jax.random.normal(new_key(), x.shape), jnp.full(3, sde.t_min)
    mean, sigma = sde.marginal_prob(x, t)
    x_t = mean + expand(sigma, x) * z
    model, params = said(NoiseFromX0, sde, x)
    rounding = 4 * np.finfo(np.float32).eps * np.abs(x).max() / sigma.min()
    np.testing.assert_allclose(noise_prediction(model, params, sde, x_t, t), z, atol=rounding)


@pytest.mark.parametrize(
    "wrap",
    [
        EDMPreconditioned,
        lambda network: NoiseFromV(network, ScalesOfLabel(VPSDE())),
        lambda network: NoiseFromX0(network, ScalesOfLabel(VPSDE())),
    ],
    ids=["edm", "v", "x0"],
)
def test_wraps_a_unet(wrap, x):
    model = wrap(DDPM(channels=8, channel_mults=(1, 2), num_res_blocks=1, attention_levels=()))
    assert model.downsampling_factor == 2
    assert hash(model) == hash(model.clone()) and model == model.clone()
    eps, variables = jax.eval_shape(model.init_with_output, jax.random.key(0), x, jnp.ones(3))
    assert (eps.shape, eps.dtype) == (x.shape, jnp.float32)
    assert list(variables["params"]) == ["network"]


@pytest.mark.parametrize("name", ["v", "x0"])
@pytest.mark.parametrize("sde", [{"name": "vp", "beta_max": 10.0}, {"name": "discrete_vp", "num_levels": 100}])
def test_a_model_of_another_prediction_comes_back_from_its_file(name, sde, tmp_path, new_key):
    """The file says what the raw output means, and under which SDE: the noise prediction is the same, bit for bit."""
    network = {"name": "ddpm", "channels": 8, "channel_mults": (1,), "num_res_blocks": 1, "attention_levels": ()}
    config = {"model": network, "sde": sde, "preconditioning": {"name": name}, "data": {"image_size": 8}}
    model = build.build_model(config)
    rng = np.random.default_rng(0)
    shapes = build.param_shapes(model, 8)
    params = jax.tree.map(lambda leaf: rng.normal(0, 0.1, leaf.shape).astype(np.float32), shapes)
    native.save(tmp_path / "a.safetensors", params, config)
    weights.export(weights.load(tmp_path / "a.safetensors"), tmp_path / "b.safetensors")
    loaded = weights.load(tmp_path / "b.safetensors")
    assert loaded.model == model and loaded.sde == build.build_sde(config)
    x, t = jax.random.normal(new_key(), (2, 8, 8, 3)), jnp.array([0.1, 0.9])
    predict = jax.jit(lambda params: noise_prediction(model, params, loaded.sde, x, t))
    found, wanted = predict(loaded.params), predict(params)
    np.testing.assert_array_equal(found, wanted)

"""Preconditioning against the formulas of Karras et al. 2022 and against the exact answer for Gaussian data."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from sdedit_jax.models import DDPM, EDMPreconditioned


class Affine(nn.Module):
    """A network with a formula: F(x, label) = weight x + label."""

    weight: float
    downsampling_factor: int = 1

    def __call__(self, x, noise_label, *, train=False):
        return self.weight * x + noise_label[:, None, None, None]


@pytest.fixture
def x(new_key):
    return jax.random.normal(new_key(), (3, 2, 4, 3))


def test_noise_is_that_of_the_preconditioned_denoiser(x):
    sd, sigma = 0.4, np.array([0.1, 1.0, 50.0])
    eps = EDMPreconditioned(Affine(0.7), sigma_data=sd).apply({}, x, jnp.asarray(sigma / 2, jnp.float32))
    x, s = np.asarray(x, np.float64), sigma.reshape(-1, 1, 1, 1)
    c_skip, c_out, c_in = sd**2 / (s**2 + sd**2), s * sd / np.sqrt(s**2 + sd**2), 1 / np.sqrt(s**2 + sd**2)
    denoised = c_skip * x + c_out * (0.7 * c_in * x + s / 2)
    np.testing.assert_allclose(eps, (x - denoised) / s, rtol=1e-5, atol=1e-5)  # float32


def test_network_that_says_nothing_is_exact_for_gaussian_data(x):
    """For pixels ~ N(0, sd^2) the best noise prediction is sigma x / (sigma^2 + sd^2)."""
    eps = EDMPreconditioned(Affine(0.0), sigma_data=0.5).apply({}, x, jnp.zeros(3))
    np.testing.assert_array_equal(eps, 0.0)
    silent = EDMPreconditioned(Affine(0.0), sigma_data=0.5)
    sigma = jnp.array([1e-6, 0.5, 756.0])
    eps = silent.apply({}, x, sigma / 2) + (sigma / 2 * 0.5 / jnp.sqrt(sigma**2 + 0.25))[:, None, None, None]
    best = (sigma / (sigma**2 + 0.25))[:, None, None, None] * x
    np.testing.assert_allclose(eps, best, rtol=1e-5, atol=1e-6)  # float32, and the label that `Affine` adds


def test_wraps_a_unet(x):
    model = EDMPreconditioned(DDPM(channels=8, channel_mults=(1, 2), num_res_blocks=1, attention_levels=()))
    assert model.downsampling_factor == 2
    assert hash(model) == hash(model.clone())
    eps, variables = jax.eval_shape(model.init_with_output, jax.random.key(0), x, jnp.ones(3))
    assert eps.shape == x.shape
    assert list(variables["params"]) == ["network"]

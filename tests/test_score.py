"""Noise prediction, score and denoised estimate are one function, and the exact network gives the exact ones."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sdedit_jax.score import denoise, noise_prediction, score
from sdedit_jax.sdes import VESDE, VPSDE, DiscreteVPSDE, SubVPSDE, expand
from tests.analytic import GaussianNetwork, LinearNetwork, gaussian_score

MEAN, STD = 0.3, 0.5
X = jnp.sin(jnp.arange(8.0) + 0.5).reshape(2, 2, 2, 1)
T = jnp.array([0.2, 0.9])

by_sde = pytest.mark.parametrize(
    "sde", [VPSDE(), SubVPSDE(), VESDE(), DiscreteVPSDE()], ids=lambda sde: type(sde).__name__
)


class LabelEcho(nn.Module):
    """The noise label as a constant image, which shows what the network was told."""

    @nn.compact
    def __call__(self, x, noise_label, train=False):
        assert noise_label.shape == x.shape[:1]
        return jnp.ones_like(x) * expand(noise_label, x)


class DropoutEcho(nn.Module):
    """x through dropout."""

    @nn.compact
    def __call__(self, x, noise_label, train=False):
        return nn.Dropout(0.5, deterministic=not train)(x)


@by_sde
@pytest.mark.parametrize("t", [0.4, [0.2, 0.9]], ids=["one time", "a time per image"])
def test_the_network_is_told_one_label_per_image(sde, t):
    t = jnp.asarray(t)
    eps = noise_prediction(LabelEcho(), {}, sde, X, t)
    labels = np.broadcast_to(sde.noise_label(t), (2,))
    np.testing.assert_array_equal(eps, np.broadcast_to(labels[:, None, None, None], X.shape))


def test_params_reach_the_network():
    class OneLayer(nn.Module):
        @nn.compact
        def __call__(self, x, noise_label, train=False):
            return nn.Dense(1, use_bias=False, name="dense")(x)

    params = {"dense": {"kernel": jnp.array([[3.0]])}}
    np.testing.assert_array_equal(noise_prediction(OneLayer(), params, VPSDE(), X, jnp.array(0.5)), 3.0 * X)


@by_sde
def test_score_of_the_exact_network_is_the_exact_score(sde):
    def both(x, t):
        return score(GaussianNetwork(sde, MEAN, STD), {}, sde, x, t), gaussian_score(sde, MEAN, STD, x, t)

    actual, expected = jax.jit(both)(X, T)
    # The network recovers t from the label; float32 carries its error through the steep VE sigma.
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-6)


@by_sde
def test_score_and_denoise_are_scalings_of_the_noise_prediction(sde):
    def three(x, t):
        return tuple(
            function(LinearNetwork(0.3, 0.01), {}, sde, x, t) for function in (noise_prediction, score, denoise)
        )

    eps, score_t, x0_hat = jax.jit(three)(X, T)
    sigma, alpha = expand(sde.sigma(T), X), expand(sde.alpha(T), X)
    np.testing.assert_allclose(score_t, -eps / sigma, rtol=1e-6)
    # x and sigma eps may cancel, and are then divided by alpha.
    atol = 1e-6 * float((jnp.abs(sigma * eps) / alpha).max())
    np.testing.assert_allclose(x0_hat, (X - sigma * eps) / alpha, atol=atol)


@by_sde
def test_denoise_undoes_perturb_when_the_noise_is_known(sde):
    """A network that returns the very noise z gives back x_0: x_t = alpha x_0 + sigma z."""
    z = jnp.cos(1.7 * jnp.arange(8.0)).reshape(X.shape)

    class KnownNoise(nn.Module):
        @nn.compact
        def __call__(self, x, noise_label, train=False):
            return z

    def there_and_back(x, t):
        mean, sigma = sde.marginal_prob(x, t)
        return denoise(KnownNoise(), {}, sde, mean + expand(sigma, x) * z, t)

    # sigma z is added and taken away again in float32, then divided by alpha.
    atol = 4e-7 * float((1.0 + sde.sigma(T) / sde.alpha(T)).max())
    np.testing.assert_allclose(jax.jit(there_and_back)(X, T), X, atol=atol)


def test_dropout_is_on_only_with_its_key(new_key):
    t = jnp.array(0.5)
    np.testing.assert_array_equal(noise_prediction(DropoutEcho(), {}, VPSDE(), X, t), X)
    key = new_key()
    dropped = noise_prediction(DropoutEcho(), {}, VPSDE(), X, t, key_dropout=jax.random.clone(key))
    kept = dropped != 0.0
    assert 0 < kept.sum() < X.size
    np.testing.assert_array_equal(dropped, jnp.where(kept, 2.0 * X, 0.0))
    again = noise_prediction(DropoutEcho(), {}, VPSDE(), X, t, key_dropout=key)
    np.testing.assert_array_equal(again, dropped)

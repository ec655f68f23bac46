"""One step of the encoder: what it measures, and that it learns."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sdedit_jax.baselines.gan.encoding import FEATURE_WEIGHT, W_WEIGHT, encoder_step, init_state
from tests.baselines.gan import small

NETWORKS = {"generator": small.SMALL.generator, "encoder": small.SMALL.encoder}


@pytest.fixture(scope="module")
def game():
    """Params of generator and discriminator."""
    discriminator = jax.jit(small.DISCRIMINATOR.init)(jax.random.key(1), jnp.zeros((1, small.SIZE, small.SIZE, 3)))
    return small.params(jax.random.key(2))["generator"], discriminator["params"]


@pytest.fixture(scope="module")
def state(game):
    return jax.jit(functools.partial(init_state, **NETWORKS))(jax.random.key(3), game[0])


@pytest.fixture(scope="module")
def step(game):
    fn = jax.jit(functools.partial(encoder_step, discriminator=small.DISCRIMINATOR, **NETWORKS))
    return lambda state, key, x: fn(state, key, x, *game)


def test_the_encoder_learns_and_the_generator_stays(state, step, game):
    x = small.pictures(jax.random.key(4), 4)
    key = jax.random.key(5)
    losses = []
    for _ in range(60):
        state, metrics = step(state, jax.random.clone(key), x)
        losses.append({name: float(value) for name, value in metrics.items()})
    for name in ("loss", "w", "pixels_generated"):  # of other generated pictures in every step
        before, after = (np.mean([metrics[name] for metrics in part]) for part in (losses[:5], losses[-5:]))
        assert after < 0.7 * before, name
    jax.tree.map(np.testing.assert_array_equal, state.generator, game[0])
    assert int(state.step) == 60


def test_the_loss_is_the_sum_of_its_parts(state, step):
    _, metrics = step(state, jax.random.key(6), small.pictures(jax.random.key(7), 4))
    pixels = 0.5 * (metrics["pixels_real"] + metrics["pixels_generated"])
    expected = pixels + W_WEIGHT * metrics["w"] + FEATURE_WEIGHT * metrics["features"]
    np.testing.assert_allclose(metrics["loss"], expected, rtol=1e-5)


def test_a_step_is_a_function_of_its_number_and_the_key(state, step):
    key, x = jax.random.key(8), small.pictures(jax.random.key(9), 4)
    first, again = (step(state, jax.random.clone(key), x)[0] for _ in range(2))
    jax.tree.map(np.testing.assert_array_equal, first, again)
    _, other = step(state.replace(step=state.step + 1), jax.random.clone(key), x)
    _, same = step(state, jax.random.clone(key), x)
    assert other["w"] != same["w"]

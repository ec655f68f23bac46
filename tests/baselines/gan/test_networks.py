"""Generator, discriminator and encoder: shapes, and what depends on what."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sdedit_jax.baselines.gan.networks import Discriminator, Encoder, Generator, minibatch_stddev
from tests.baselines.gan import small


def test_the_networks_have_the_sizes_that_they_are_made_for():
    generator = Generator()
    params = jax.eval_shape(generator.init, jax.random.key(0), jnp.zeros((1, 128)))
    picture = jax.eval_shape(generator.apply, params, jnp.zeros((4, 128)))
    assert picture.shape == (4, 64, 64, 3)
    w, _ = jax.eval_shape(Encoder().init_with_output, jax.random.key(0), picture)
    logits, _ = jax.eval_shape(Discriminator(channels=(8, 6)).init_with_output, jax.random.key(0), picture)
    assert w.shape == (4, generator.num_levels, generator.w_dim)
    assert logits.shape == (4,)


@pytest.fixture(scope="module")
def params():
    return small.params(jax.random.key(7))


@pytest.fixture(scope="module")
def generate(params):
    return jax.jit(lambda z: small.SMALL.generator.apply({"params": params["generator"]}, z))


@pytest.fixture(scope="module")
def synthesize(params):
    return jax.jit(lambda w: small.SMALL.generator.apply({"params": params["generator"]}, w, method="synthesize"))


def test_pictures_follow_their_latents_and_nothing_else(generate, new_key):
    z = jax.random.normal(new_key(), (4, 5))
    x = generate(z)
    assert x.shape == (4, small.SIZE, small.SIZE, 3)
    order = jnp.array([2, 0, 3, 1])
    np.testing.assert_allclose(generate(z[order]), x[order], rtol=1e-5, atol=1e-5)  # sums in another order
    assert jnp.abs(x[0] - x[1]).max() > 0.01


def test_only_the_direction_of_z_counts(generate, new_key):
    z = jax.random.normal(new_key(), (4, 5))
    np.testing.assert_allclose(generate(3.0 * z), generate(z), rtol=1e-3, atol=1e-4)  # the 1e-8 in the mapping


def test_a_picture_is_that_of_one_w_at_all_levels(generate, synthesize, params, new_key):
    z = jax.random.normal(new_key(), (4, 5))
    w = small.SMALL.generator.apply({"params": params["generator"]}, z, method="map")
    np.testing.assert_array_equal(w[:, 0], w[:, 1])
    np.testing.assert_allclose(synthesize(w), generate(z), rtol=1e-5, atol=1e-5)


def test_every_level_has_its_say(synthesize, new_key):
    w = small.latents(new_key(), 4)
    for level in range(2):
        other = w.at[:, level].add(1.0)
        assert (jnp.abs(synthesize(other) - synthesize(w)).max(axis=(1, 2, 3)) > 0.01).all()


def test_variety_within_a_group_is_its_standard_deviation():
    x = jnp.arange(8.0)[:, None, None, None] * jnp.ones((8, 2, 2, 3))
    # Group i of two has pictures i, i + 2, i + 4, i + 6, which are 2 apart.
    np.testing.assert_allclose(minibatch_stddev(x), np.full((8, 2, 2, 1), np.std([0, 2, 4, 6])), rtol=1e-6)
    np.testing.assert_allclose(minibatch_stddev(jnp.ones((3, 2, 2, 5))), np.full((3, 2, 2, 1), 1e-4), rtol=1e-6)


def test_the_discriminator_compares_within_a_group_only(new_key):
    x = jnp.asarray(small.pictures(new_key(), 8))
    judge = jax.jit(lambda x: small.DISCRIMINATOR.init_with_output(jax.random.key(0), x)[0])
    changed = judge(x.at[0].multiply(-1.0)) != judge(x)
    np.testing.assert_array_equal(changed, [True, False] * 4)


def test_the_encoder_sees_each_picture_alone(params, new_key):
    x = jnp.asarray(small.pictures(new_key(), 4))
    encode = jax.jit(lambda x: small.SMALL.encoder.apply({"params": params["encoder"]}, x))
    w = encode(x)
    assert w.shape == (4, 2, 5)
    np.testing.assert_array_equal(encode(x.at[0].multiply(-1.0))[1:], w[1:])

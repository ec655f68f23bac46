"""Inversion: it finds what is there to be found, and pictures do not see each other."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sdedit_jax.baselines.gan import invert, refine, synthesize
from tests.baselines.gan import small

GAN = small.SMALL
refine_small = functools.partial(refine, gan=GAN, num_steps=100)


@pytest.fixture(scope="module")
def params():
    return small.params(jax.random.key(1))


@pytest.fixture(scope="module")
def unclipped(params):
    """w -> pictures as the generator makes them."""
    return jax.jit(lambda w: GAN.generator.apply({"params": params["generator"]}, w, method="synthesize"))


@pytest.fixture
def knowing(params, new_key):
    """w (2, 2, 5), twice the same, and params whose encoder says just that whatever it sees."""
    w = small.latents(new_key(), 1)
    return jnp.concatenate([w, w]), params | {"encoder": saying(w, params["encoder"])}


def saying(w, encoder):
    """An encoder that finds w (1, 2, 5) in every picture."""
    silent = jax.tree.map(jnp.zeros_like, encoder)
    return silent | {"w": silent["w"] | {"bias": w.reshape(-1)}}


def test_refining_finds_the_w_of_a_generated_picture(knowing, unclipped, new_key):
    w, params = knowing
    x_guide = unclipped(w)
    np.testing.assert_allclose(invert(params, x_guide, gan=GAN), w, rtol=1e-6)
    start = w + 0.3 * jax.random.normal(new_key(), w.shape)  # within reach of a hundred steps of 0.03

    def errors(w):
        return np.square(unclipped(w) - x_guide).mean(axis=(1, 2, 3))

    refined = refine_small(params, x_guide, start)
    assert (errors(start) > 0.003).all()
    assert (errors(refined) < 0.01 * errors(start)).all()
    assert jnp.square(refined - w).mean() < 0.1 * jnp.square(start - w).mean()


def test_refining_is_held_where_the_encoder_would_find_it(knowing, new_key):
    w, params = knowing
    x_guide = small.pictures(new_key(), 2)  # no w reaches these, and the pixels pull equally in both
    elsewhere = params | {"encoder": saying(w[:1] + 3.0, params["encoder"])}
    assert refine_small(elsewhere, x_guide, w).mean() > refine_small(params, x_guide, w).mean() + 0.1


def test_pictures_do_not_see_each_other(params, new_key):
    x_guide = small.pictures(new_key(), 2)
    w = invert(params, x_guide, gan=GAN)
    together = refine_small(params, x_guide, w)
    other = refine_small(params, x_guide * np.array([1, -1], np.float32)[:, None, None, None], w)
    np.testing.assert_array_equal(other[0], together[0])
    assert jnp.abs(other[1] - together[1]).max() > 0.01
    np.testing.assert_array_equal(refine_small(params, x_guide, w), together)


def test_pictures_are_in_range(params, new_key):
    x = synthesize(params, 5.0 * small.latents(new_key(), 4), gan=GAN)
    assert x.shape == (4, small.SIZE, small.SIZE, 3)
    assert x.min() == -1.0 and x.max() == 1.0

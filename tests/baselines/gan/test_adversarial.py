"""One step of the game: R1 in closed form, and who learns what."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from sdedit_jax.baselines.gan.adversarial import R1_EVERY, R1_WEIGHT, game_step, init_state, r1_penalty
from tests.baselines.gan import small

GENERATOR, DISCRIMINATOR = small.SMALL.generator, small.DISCRIMINATOR


class Linear(nn.Module):
    @nn.compact
    def __call__(self, x):
        slope = self.param("slope", nn.initializers.normal(1.0), x.shape[1:])
        return (slope[None] * x).sum((1, 2, 3))


class Paraboloid(nn.Module):
    def __call__(self, x):
        return 0.5 * jnp.square(x).sum((1, 2, 3))


def test_r1_of_a_linear_discriminator_is_its_slope_squared(new_key):
    x = jax.random.normal(new_key(), (3, 4, 4, 2))
    params = Linear().init(new_key(), x)["params"]
    np.testing.assert_allclose(r1_penalty(Linear(), params, x), jnp.square(params["slope"]).sum(), rtol=1e-5)
    grads = jax.grad(lambda params: r1_penalty(Linear(), params, x))(params)
    np.testing.assert_allclose(grads["slope"], 2 * params["slope"], rtol=1e-5)


def test_r1_of_a_paraboloid_is_the_mean_square_distance_from_its_tip(new_key):
    x = jax.random.normal(new_key(), (3, 4, 4, 2))
    np.testing.assert_allclose(r1_penalty(Paraboloid(), {}, x), jnp.square(x).sum() / 3, rtol=1e-5)


@pytest.fixture(scope="module")
def state():
    return jax.jit(lambda: init_state(jax.random.key(1), GENERATOR, DISCRIMINATOR))()


@pytest.fixture(scope="module")
def x():
    return jnp.asarray(small.pictures(jax.random.key(2), 8))


@pytest.fixture(scope="module")
def step():
    fn = functools.partial(game_step, generator=GENERATOR, discriminator=DISCRIMINATOR)
    return jax.jit(fn, static_argnames="regularize")


@pytest.fixture(scope="module")
def judge():
    return jax.jit(lambda params, x: DISCRIMINATOR.apply({"params": params}, x))


@pytest.fixture(scope="module")
def generate():
    return jax.jit(lambda params, z: GENERATOR.apply({"params": params}, z))


def test_each_player_answers_the_other(state, x, step, judge, generate):
    key = jax.random.key(3)
    after, metrics = step(state, jax.random.clone(key), x, regularize=False)
    z = jax.random.normal(jax.random.fold_in(key, 0), (8, GENERATOR.w_dim))
    fake = generate(state.generator, z)
    before_real, before_fake = judge(state.discriminator, x), judge(state.discriminator, fake)
    losses = nn.softplus(-before_fake).mean(), (nn.softplus(-before_real) + nn.softplus(before_fake)).mean()
    np.testing.assert_allclose(metrics["generator_loss"], losses[0], rtol=1e-4)
    np.testing.assert_allclose(metrics["discriminator_loss"], losses[1], rtol=1e-4)
    assert judge(state.discriminator, generate(after.generator, z)).mean() > before_fake.mean()
    margin = judge(after.discriminator, x).mean() - judge(after.discriminator, fake).mean()
    assert margin > before_real.mean() - before_fake.mean()


def test_r1_counts_in_its_steps_at_so_many_times_its_weight(state, x, step):
    key = jax.random.key(4)
    plain, without = step(state, jax.random.clone(key), x, regularize=False)
    regularized, metrics = step(state, jax.random.clone(key), x, regularize=True)
    added = metrics["discriminator_loss"] - without["discriminator_loss"]
    np.testing.assert_allclose(added, 0.5 * R1_WEIGHT * R1_EVERY * metrics["r1"], rtol=1e-3)  # one difference of two
    jax.tree.map(np.testing.assert_array_equal, plain.generator, regularized.generator)
    assert "r1" not in without


def test_the_average_is_short_at_first(state, x, step):
    after, _ = step(state, jax.random.key(5), x, regularize=False)
    expected = jax.tree.map(lambda old, new: 0.1 * old + 0.9 * new, state.ema_generator, after.generator)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6), after.ema_generator, expected)


def test_a_step_is_a_function_of_its_number_and_the_key(state, x, step):
    key = jax.random.key(6)
    first, metrics = step(state, jax.random.clone(key), x, regularize=False)
    again, _ = step(state, jax.random.clone(key), x, regularize=False)
    jax.tree.map(np.testing.assert_array_equal, first, again)
    later, others = step(state.replace(step=state.step + 1), jax.random.clone(key), x, regularize=False)
    assert int(first.step) == 1 and int(later.step) == 2
    assert metrics["generator_loss"] != others["generator_loss"]

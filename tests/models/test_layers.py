"""Embeddings against published numbers; normalisation, attention and initial weights against their definitions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sdedit_jax.models.initializers import fan_avg_uniform
from sdedit_jax.models.layers import (
    AttentionBlock,
    GroupNorm,
    TimeEmbedding,
    fourier_embedding,
    num_groups,
    sinusoidal_embedding,
)


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        (613.5, [-0.7767144, -0.2004476, 0.9691469, 0.0613115, -0.6298529, -0.9797044, 0.2464839, 0.9981187]),
        (3, [0.1411200, 0.0299955, 0.0003, -0.9899925, 0.99955, 1, 0]),
    ],
    ids=["even width", "odd width"],
)
def test_sinusoidal_embedding_published_numbers(label, expected):
    embedding = sinusoidal_embedding(jnp.asarray([label]), len(expected))
    np.testing.assert_allclose(embedding[0], expected, atol=613 * 2**-24 + 1e-7)  # one rounding of the phase, 7 digits


def test_fourier_embedding_published_numbers():
    embedding = fourier_embedding(jnp.array([17.0]), jnp.array([0.5, -1.25, 7, 16]))
    expected = [0.5003261, 0.2579096, -0.8686531, 0.8719875, -0.8658370, -0.9661691, 0.4954208, -0.4895281]
    np.testing.assert_allclose(embedding[0], expected, atol=285 * 2**-22)  # a phase of 285, rounded up to four times


def test_fourier_frequencies_have_the_scale(new_key):
    layer = TimeEmbedding(channels=256, embedding="fourier", fourier_scale=3.0)
    frequencies = jax.jit(layer.init)(new_key(), jnp.ones(1))["params"]["frequencies"]
    assert frequencies.shape == (256,)
    np.testing.assert_allclose(frequencies.std(), 3.0, atol=5 * 3.0 / np.sqrt(2 * 256))  # five standard errors


@pytest.mark.parametrize(
    ("channels", "min_group_size", "groups"),
    [
        (32, 1, 32),
        (512, 1, 32),
        (16, 4, 4),
        (32, 4, 8),
        (64, 4, 16),
        (128, 4, 32),
        (384, 4, 32),
        (144, 4, 24),
        (3, 4, 1),
    ],
)
def test_num_groups(channels, min_group_size, groups):
    assert num_groups(channels, min_group_size) == groups
    assert channels % groups == 0


def test_group_norm_is_its_definition(new_key):
    x = 30.0 + jax.random.normal(new_key(), (2, 4, 6, 16))  # a large mean, where E[x^2] - E[x]^2 would lose digits
    scale, bias = jax.random.normal(new_key(), (16,)), jax.random.normal(new_key(), (16,))
    y = GroupNorm(min_group_size=4).apply({"params": {"scale": scale, "bias": bias}}, x)
    groups = np.asarray(x, np.float64).reshape(2, 4, 6, 4, 4)
    mean, var = groups.mean((1, 2, 4), keepdims=True), groups.var((1, 2, 4), keepdims=True)
    expected = ((groups - mean) / np.sqrt(var + 1e-6)).reshape(x.shape) * np.asarray(scale) + np.asarray(bias)
    np.testing.assert_allclose(y, expected, atol=30 * 2**-20)  # float32 of numbers near 30


def test_group_norm_statistics_stay_float32(new_key):
    x = jax.random.normal(new_key(), (1, 8, 8, 8)).astype(jnp.bfloat16)
    variables = {"params": {"scale": jnp.ones(8), "bias": jnp.zeros(8)}}
    y = GroupNorm(dtype=jnp.bfloat16).apply(variables, x)
    exact = GroupNorm().apply(variables, x.astype(jnp.float32))
    assert y.dtype == jnp.bfloat16
    np.testing.assert_array_equal(y, exact.astype(jnp.bfloat16))


def test_attention_is_equivariant_to_the_order_of_pixels(new_key):
    """No position enters, so turning the image upside down turns the result."""
    x = jax.random.normal(new_key(), (2, 4, 6, 8))
    block = AttentionBlock(init_scale=1.0)
    apply = jax.jit(block.apply)
    variables = jax.jit(block.init)(new_key(), x)
    y = apply(variables, x)
    assert not np.allclose(y, x)
    np.testing.assert_allclose(apply(variables, x[:, ::-1]), y[:, ::-1], atol=1e-5)  # float32 sums reordered


def test_attention_with_equal_keys_averages_the_values(new_key):
    x = jax.random.normal(new_key(), (1, 4, 4, 8))
    block = AttentionBlock()
    params = jax.jit(block.init)(new_key(), x)["params"]
    identity = {"kernel": jnp.eye(8), "bias": jnp.zeros(8)}
    nothing = {"kernel": jnp.zeros((8, 8)), "bias": jnp.zeros(8)}
    h = GroupNorm().apply({"params": params["norm"]}, x)
    y = jax.jit(block.apply)({"params": params | {"k": nothing, "v": identity, "proj_out": identity}}, x)
    np.testing.assert_allclose(y, x + h.mean(axis=(1, 2), keepdims=True), atol=1e-6)  # float32


@pytest.mark.parametrize("shape", [(3, 3, 20, 60), (200, 600)])
def test_initial_weights_are_uniform_with_the_mean_of_both_fans(new_key, shape):
    weights = fan_avg_uniform(0.1)(new_key(), shape)
    limit = np.sqrt(3 * 0.1 / (np.prod(shape[:-2]) * (shape[-2] + shape[-1]) / 2))
    assert 0.99 * limit < np.abs(weights).max() <= limit
    np.testing.assert_allclose(weights.std(), limit / np.sqrt(3), rtol=5 / np.sqrt(weights.size))  # > 5 standard errors


def test_initial_weights_of_scale_zero_differ(new_key):
    weights = fan_avg_uniform(0.0)(new_key(), (10, 10))
    assert 0 < np.abs(weights).max() < 1e-5
    assert len(np.unique(weights)) == weights.size

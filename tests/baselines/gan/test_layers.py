"""Layers with equalised learning rates, and modulation as Karras et al. 2020 write it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sdedit_jax.baselines.gan.layers import Conv, Dense, ModulatedConv, activate, convolve


def test_every_layer_keeps_unit_variance(new_key):
    n = 60
    x = jax.random.normal(new_key(), (4, 16, 16, n))
    for layer in (Dense(n), Dense(n, learning_rate_factor=0.01), Conv(n)):
        y, _ = layer.init_with_output(new_key(), x)
        y = y[:, 1:-1, 1:-1]  # beyond the border there is nothing
        # Both the n^2 or more weights and the few thousand independent inputs of each output count.
        np.testing.assert_allclose(jnp.var(y), 1.0, atol=5 * np.sqrt(2 / n**2) + 5 * np.sqrt(2 / y.size))


def test_activation_keeps_the_mean_square(new_key):
    n = 100_000
    y = activate(jax.random.normal(new_key(), (n,)))
    # E[2 x^2 (x > 0) + 0.08 x^2 (x < 0)] = 1.04; its deviation is below 3.
    np.testing.assert_allclose(jnp.square(y).mean(), 1.04, atol=5 * 3 / np.sqrt(n))


def test_convolutions_have_xla_s_gradients_once_and_twice(new_key):
    x, kernel = jax.random.normal(new_key(), (2, 5, 6, 3)), jax.random.normal(new_key(), (3, 3, 3, 4))

    def xla(x, kernel):
        return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    def once(fn):
        return jax.grad(lambda x, kernel: jnp.square(jnp.sin(fn(x, kernel))).sum(), argnums=(0, 1))

    def twice(fn):  # R1's: of the squared norm of the gradient in x
        return jax.grad(lambda x, kernel: jnp.square(once(fn)(x, kernel)[0]).sum(), argnums=(0, 1))

    for gradient, rtol in ((once, 1e-4), (twice, 1e-3)):  # float32 sums of up to 60 x 27 products
        for found, expected in zip(gradient(convolve)(x, kernel), gradient(xla)(x, kernel), strict=True):
            np.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol * jnp.abs(expected).max())


def test_a_learning_rate_factor_scales_the_effect_of_a_step_and_nothing_else(new_key):
    x = jax.random.normal(new_key(), (3, 4))
    slow, usual = Dense(5, learning_rate_factor=0.1, bias=0.7), Dense(5, bias=0.7)
    params = slow.init(new_key(), x)
    scaled = jax.tree.map(lambda leaf: 0.1 * leaf, params)
    np.testing.assert_allclose(slow.apply(params, x), usual.apply(scaled, x), rtol=1e-5, atol=1e-6)
    stepped = slow.apply(jax.tree.map(lambda leaf: leaf + 1.0, params), x) - slow.apply(params, x)
    expected = usual.apply(jax.tree.map(lambda leaf: leaf + 0.1, scaled), x) - usual.apply(scaled, x)
    np.testing.assert_allclose(stepped, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("demodulate", [True, False])
def test_modulation_is_a_kernel_of_its_own_for_each_picture(new_key, demodulate):
    """Equations 1 and 3 of Karras et al. 2020: kernels scaled by the styles, then brought to unit norm."""
    x, w = jax.random.normal(new_key(), (2, 5, 6, 4)), jax.random.normal(new_key(), (2, 3))
    layer = ModulatedConv(7, demodulate=demodulate)
    params = layer.init(new_key(), x, w)["params"]
    styles = Dense(4, bias=1.0).apply({"params": params["style"]}, w)
    for picture, style, y in zip(x, styles, layer.apply({"params": params}, x, w), strict=True):
        kernel = style[None, None, :, None] * params["kernel"] / np.sqrt(9 * 4)
        if demodulate:
            kernel /= jnp.sqrt(jnp.square(kernel).sum((0, 1, 2), keepdims=True))
        expected = jax.lax.conv_general_dilated(
            picture[None], kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        np.testing.assert_allclose(y, expected[0], rtol=1e-4, atol=1e-5)  # float32 sums of 36


def test_demodulation_gives_unit_variance_whatever_the_style(new_key):
    """The variance over inputs is 1 for every picture and channel; here over positions, beside each other or not."""
    x = jax.random.normal(new_key(), (3, 64, 64, 8))
    w = jnp.array([[0.0], [1.0], [30.0]]) * jax.random.normal(new_key(), (3, 6))
    y, _ = ModulatedConv(5).init_with_output(new_key(), x, w)
    variances = y[:, 1:-1, 1:-1].var(axis=(1, 2))
    # Neighbours share inputs: the 62^2 values count as at least a ninth as many independent ones.
    np.testing.assert_allclose(variances, np.ones((3, 5)), atol=5 * np.sqrt(2 * 9 / 62**2))

"""The convolution and its weight gradient, against XLA's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sdedit_jax.models.convolution import convolve


def xla_convolve(x, kernel, stride, padding):
    dimensions = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(x, kernel, (stride, stride), (padding, padding), dimension_numbers=dimensions)


def gradients(function, x, kernel, stride, padding):
    """Gradients by x and kernel of a loss that weights every output differently."""

    def loss(x, kernel):
        y = function(x, kernel, stride, padding)
        weights = jnp.sin(jnp.arange(y.size, dtype=jnp.float32)).reshape(y.shape)
        return (weights * y.astype(jnp.float32)).sum()

    return jax.jit(jax.grad(loss, argnums=(0, 1)))(x, kernel)


@pytest.fixture
def x_and_kernel(new_key):
    return jax.random.normal(new_key(), (3, 8, 10, 4)), jax.random.normal(new_key(), (3, 3, 4, 5))


@pytest.mark.parametrize(
    ("stride", "padding"), [(1, (1, 1)), (1, (2, 2)), (2, (0, 1)), (2, (0, 0))], ids=["same", "wide", "half", "valid"]
)
def test_gradients_are_those_of_xla(x_and_kernel, stride, padding):
    for mine, xla in zip(
        gradients(convolve, *x_and_kernel, stride, padding),
        gradients(xla_convolve, *x_and_kernel, stride, padding),
        strict=True,
    ):
        np.testing.assert_allclose(mine, xla, atol=1e-4)  # float32 sums of up to 300 terms of order 1


def test_many_images_are_summed_slab_by_slab(new_key):
    """32 x 32 pixels make a slab of one image, so this sums over several."""
    x, kernel = jax.random.normal(new_key(), (3, 32, 32, 2)), jax.random.normal(new_key(), (3, 3, 2, 2))
    mine, xla = (gradients(function, x, kernel, 1, (1, 1))[1] for function in (convolve, xla_convolve))
    np.testing.assert_allclose(mine, xla, atol=1e-3)  # float32 sums of 3072 terms of order 1


def test_gradient_under_vmap_is_that_of_each_element(x_and_kernel):
    x, kernel = x_and_kernel
    xs = jnp.stack([x, 2.0 * x])
    batched = jax.vmap(lambda x: gradients(convolve, x, kernel, 1, (1, 1))[1])(xs)
    for x, mine in zip(xs, batched, strict=True):
        np.testing.assert_allclose(mine, gradients(convolve, x, kernel, 1, (1, 1))[1], atol=1e-4)  # as above


def test_gradient_without_jit_and_under_remat(x_and_kernel):
    def loss(kernel):
        return jnp.square(convolve(x_and_kernel[0], kernel, 1, (1, 1))).sum()

    eager = jax.grad(loss)(x_and_kernel[1])
    remat = jax.jit(jax.grad(jax.checkpoint(loss)))(x_and_kernel[1])
    np.testing.assert_allclose(eager, remat, rtol=1e-4, atol=1e-3)  # float32 sums of 240 terms of order 10


def test_bfloat16_gradient_is_summed_in_float32():
    """Each entry counts the pixels that a tap saw; a sum in bfloat16 would stop at 256."""
    x, kernel = jnp.ones((2, 32, 32, 1), jnp.bfloat16), jnp.ones((3, 3, 1, 1), jnp.bfloat16)
    mine = jax.jit(jax.grad(lambda kernel: convolve(x, kernel, 1, (1, 1)).astype(jnp.float32).sum()))(kernel)
    seen = jnp.array([31.0, 32.0, 31.0])
    assert mine.dtype == jnp.bfloat16
    np.testing.assert_array_equal(mine[:, :, 0, 0], (2.0 * jnp.outer(seen, seen)).astype(jnp.bfloat16))

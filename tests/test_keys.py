"""The laws of the keys: image i is drawn from key i alone, whatever surrounds it."""

import jax
import numpy as np
import pytest

from sdedit_jax import keys


def key_data(key):
    return np.asarray(jax.random.key_data(key))


def test_per_image_gives_every_image_its_own_key(new_key):
    image_keys = keys.per_image(new_key(), 5)
    assert image_keys.shape == (5,)
    assert len(np.unique(key_data(image_keys), axis=0)) == 5


def test_per_image_does_not_depend_on_the_batch_size(new_key):
    key = new_key()
    few, many = keys.per_image(jax.random.clone(key), 2), keys.per_image(key, 5)
    np.testing.assert_array_equal(key_data(few), key_data(many)[:2])


def test_per_image_leaves_keys_per_image_alone(new_key):
    image_keys = jax.random.split(new_key(), 3)
    np.testing.assert_array_equal(key_data(keys.per_image(image_keys, 3)), key_data(image_keys))


def test_per_image_names_the_two_numbers_that_disagree(new_key):
    with pytest.raises(ValueError, match=r"one per image \(4\), got 3 keys"):
        keys.per_image(jax.random.split(new_key(), 3), 4)


def test_split_of_one_key_is_jax_s(new_key):
    key = new_key()
    expected = jax.random.split(jax.random.clone(key), 3)
    np.testing.assert_array_equal(key_data(keys.split(key, 3)), key_data(expected))


def test_split_splits_each_image_s_key(new_key):
    image_keys = jax.random.split(new_key(), 4)
    children = keys.split(jax.random.clone(image_keys), 3)
    assert children.shape == (3, 4)
    assert len(np.unique(key_data(children).reshape(12, -1), axis=0)) == 12
    for i in range(4):
        alone = keys.split(jax.random.clone(image_keys[i : i + 1]), 3)
        np.testing.assert_array_equal(key_data(children)[:, i], key_data(alone)[:, 0])


def test_normal_draws_image_i_from_key_i_alone(new_key):
    image_keys = jax.random.split(new_key(), 3)
    together = keys.normal(jax.random.clone(image_keys), (3, 4, 4, 2))
    for i in range(3):
        np.testing.assert_array_equal(together[i], jax.random.normal(image_keys[i], (4, 4, 2)))


@pytest.mark.parametrize("num_keys", [None, 4])
def test_normal_is_standard_normal(num_keys, new_key):
    key = new_key() if num_keys is None else jax.random.split(new_key(), num_keys)
    z = keys.normal(key, (4, 32, 32, 4))
    n = z.size
    np.testing.assert_allclose(z.mean(), 0.0, atol=5 / n**0.5)  # five standard errors
    np.testing.assert_allclose(z.std(), 1.0, atol=5 / (2 * n) ** 0.5)
    correlation = np.corrcoef(z.reshape(4, -1)) - np.eye(4)
    np.testing.assert_allclose(correlation, 0.0, atol=5 / (n / 4) ** 0.5)

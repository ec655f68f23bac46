"""Random keys: one per image, so that a picture does not depend on its batch mates.

Everything random in this package takes a `key` that is either one typed key, ``()``, or one key per image, ``(B,)``.
With a key per image, image i is drawn from key i alone: the same picture comes out whatever the batch size, the order
or the number of devices.
"""

import jax
import jax.numpy as jnp


def per_image(key: jax.Array, batch_size: int) -> jax.Array:
    """(B,) keys, one per image: `key` itself if it is that already, else `fold_in(key, i)` for image i."""
    if key.ndim == 1:
        if key.shape[0] != batch_size:
            raise ValueError(f"key must be one key or one per image ({batch_size}), got {key.shape[0]} keys.")
        return key
    return jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, jnp.arange(batch_size))


def split(key: jax.Array, num: int = 2) -> jax.Array:
    """(num,) or (num, B) new keys: from one key, or for each image from its own."""
    if key.ndim == 0:
        return jax.random.split(key, num)
    return jax.vmap(lambda i: jax.vmap(lambda k: jax.random.fold_in(k, i))(key))(jnp.arange(num))


def normal(key: jax.Array, shape: tuple[int, ...], dtype=jnp.float32) -> jax.Array:
    """Standard normal noise of `shape` (B, ...); with a key per image, image i of it comes from key i."""
    if key.ndim == 0:
        return jax.random.normal(key, shape, dtype)
    return jax.vmap(lambda k: jax.random.normal(k, shape[1:], dtype))(key)

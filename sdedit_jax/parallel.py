"""One method, many devices: any function of a batch of images, run on all local devices at once."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, PartitionSpec

from sdedit_jax import keys


def pmap_batch(
    fn: Callable[..., jax.Array],
    *,
    backend: Literal["pmap", "shard_map"] = "pmap",
    devices: Sequence[Any] | None = None,
) -> Callable[..., jax.Array]:
    """`fn(params, key, *arrays)` with its batch split over devices; same arguments, same pictures.

    Works for `sdedit` and `sample` (bind their keyword arguments with `functools.partial`), and for any function that
    treats images one by one: key per image, leading axis of `arrays` the batch. The batch is padded to a multiple of
    the number of devices and cut back.

    Args:
        fn: (params, (B,) keys, *arrays with B rows) -> (B, ...).
        backend: "pmap" (`jax.pmap`) or its successor "shard_map"; equal bits.
        devices: the local devices to use; None: all of them.

    Returns:
        A function of (params, key, *arrays). `key` is one key or (B,) keys; an array may have B rows, one row, or be a
        scalar or None, which every image shares. B is the largest number of rows.
    """
    devices = list(jax.local_devices() if devices is None else devices)
    run = _BACKENDS[backend](fn, devices)

    def run_batch(params: Any, key: jax.Array, *arrays: jax.Array | float | None) -> jax.Array:
        batch_size = max([key.size, *(np.shape(a)[0] for a in arrays if a is not None and np.ndim(a) > 0)])
        padded_size = -(-batch_size // len(devices)) * len(devices)
        rows = jnp.minimum(jnp.arange(padded_size), batch_size - 1)  # the padding repeats the last image
        image_keys = keys.per_image(key, batch_size)[rows]
        images = [None if a is None else _one_row_each(jnp.asarray(a), batch_size)[rows] for a in arrays]
        return run(params, image_keys, *images)[:batch_size]

    return run_batch


def _one_row_each(array: jax.Array, batch_size: int) -> jax.Array:
    """`array` with `batch_size` rows."""
    if array.ndim > 0 and array.shape[0] not in (1, batch_size):
        raise ValueError(f"Every array must have 1 or {batch_size} rows like the largest, got shape {array.shape}.")
    return jnp.broadcast_to(array, (batch_size, *array.shape[1:]))


def _pmap(fn: Callable, devices: list[Any]) -> Callable:
    num_devices = len(devices)
    mapped: dict[int, Callable] = {}  # by the number of arrays: pmap's in_axes has to name each of them

    def run(params, *images):
        if len(images) not in mapped:
            mapped[len(images)] = jax.pmap(fn, in_axes=(None, *(0 for _ in images)), devices=devices)
        split = [None if x is None else x.reshape(num_devices, -1, *x.shape[1:]) for x in images]
        out = mapped[len(images)](params, *split)
        return out.reshape(-1, *out.shape[2:])

    return run


def _shard_map(fn: Callable, devices: list[Any]) -> Callable:
    mesh = Mesh(np.array(devices), ("batch",), axis_types=(AxisType.Auto,))
    batched, replicated = PartitionSpec("batch"), PartitionSpec()

    @functools.partial(jax.jit, static_argnames=("num_arrays",))
    def mapped(params, images, num_arrays):
        in_specs = (replicated, *(batched for _ in range(num_arrays)))
        return jax.shard_map(fn, mesh=mesh, in_specs=in_specs, out_specs=batched, check_vma=False)(params, *images)

    return lambda params, *images: mapped(params, images, num_arrays=len(images))


_BACKENDS = {"pmap": _pmap, "shard_map": _shard_map}

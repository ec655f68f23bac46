"""Which device holds what: the batch is split over all of them, the state is on each."""

from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec


class Placement:
    """The devices of all processes in a row, as the mesh axis ``data``."""

    def __init__(self):
        mesh = Mesh(np.array(jax.devices()), ("data",), axis_types=(AxisType.Auto,))
        self.replicated = NamedSharding(mesh, PartitionSpec())
        self._batched = NamedSharding(mesh, PartitionSpec("data"))

    def batch(self, x0: np.ndarray) -> jax.Array:
        """The batch of all processes, of which `x0` (B, H, W, C) is the share of this one."""
        return jax.make_array_from_process_local_data(self._batched, x0)

    def on_devices(self, shapes: Any) -> Any:
        """`shapes`, a tree of `jax.ShapeDtypeStruct`, with a place for each array."""
        return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=self.replicated), shapes)

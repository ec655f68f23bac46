"""Which device holds what: the batch is split over all of them, the state is on each, or parts of it split too."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec, Sharding, SingleDeviceSharding

from sdedit_jax.training.step import TrainState


class Placement:
    """The devices of all processes in a row, as the mesh axis ``data``.

    `shard_state`: whether each device holds only its part of the averaged parameters and of the optimizer's state,
    rather than all of them (Rajbhandari et al. 2020, ZeRO stage 1, arXiv:1910.02054).
    """

    def __init__(self, *, shard_state: bool = False):
        # By process, so that process p has the rows p B / P, ... of a batch of B; on TPUs the numbers follow the torus.
        devices = sorted(jax.devices(), key=lambda device: (device.process_index, device.id))
        self._mesh = Mesh(np.array(devices), ("data",), axis_types=(AxisType.Auto,))
        self._shard_state = shard_state
        self.replicated = NamedSharding(self._mesh, PartitionSpec())
        self.batched = NamedSharding(self._mesh, PartitionSpec("data"))

    def batch(self, x0: np.ndarray) -> jax.Array:
        """The batch of all processes, of which `x0` (B, H, W, C) is the share of this one."""
        return jax.make_array_from_process_local_data(self.batched, x0)

    def on_devices(self, shapes: TrainState) -> TrainState:
        """`shapes`, of `jax.ShapeDtypeStruct`, each with its sharding during training."""
        return jax.tree.map(_placed, shapes, self.of_state(shapes))

    def on_host(self, shapes: TrainState) -> TrainState:
        """`shapes`, of `jax.ShapeDtypeStruct`, each whole in the memory of this host, of which it has more."""
        try:
            host = jax.local_devices(backend="cpu")[0]
        except RuntimeError:  # JAX was told to use other devices alone
            host = jax.local_devices()[0]
        return jax.tree.map(lambda leaf: _placed(leaf, SingleDeviceSharding(host)), shapes)

    def of_state(self, state: TrainState) -> TrainState:
        """The sharding of each leaf of `state`, of arrays or `jax.ShapeDtypeStruct`, during training."""
        everywhere = jax.tree.map(lambda leaf: self.replicated, state)
        if not self._shard_state:
            return everywhere
        split = {name: jax.tree.map(self._split, getattr(state, name)) for name in ("ema_params", "opt_state")}
        return everywhere.replace(**split)

    def spread(self, state: TrainState) -> TrainState:
        """`state`, which every process has whole, with each array where it is during training."""

        def spread(leaf: Any, place: NamedSharding) -> jax.Array:
            return jax.make_array_from_callback(leaf.shape, place, np.asarray(leaf).__getitem__)

        return jax.tree.map(spread, state, self.of_state(state))

    def local(self, tree: Any) -> Any:
        """The arrays of `tree`, whole, on the first device of this process; all processes have to take part."""
        whole = jax.jit(lambda tree: tree, out_shardings=self.replicated)(tree)
        return jax.tree.map(lambda leaf: leaf.addressable_data(0), whole)

    def _split(self, leaf: Any) -> NamedSharding:
        """Along the longest axis that the devices share evenly; a leaf without one, such as a count, stays whole."""
        even = [axis for axis, size in enumerate(leaf.shape) if size and size % self._mesh.size == 0]
        if not even:
            return self.replicated
        axis = max(even, key=lambda axis: leaf.shape[axis])
        return NamedSharding(self._mesh, PartitionSpec(*(None,) * axis, "data"))


def _placed(leaf: Any, place: Sharding) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place)


class Vote:
    """One answer of all processes to a question that each may see otherwise: whether any says yes.

    The answer is that of the call before, or the processes would have to wait for each other; one process alone gets
    its own at once.
    """

    def __init__(self, placement: Placement):
        self._placement = placement
        self._any = jax.jit(jnp.any, out_shardings=placement.replicated)
        self._last: jax.Array | None = None

    def __call__(self, yes: bool) -> bool:
        """Whether any process said yes, at the call before; every process has to call as often as the others."""
        if jax.process_count() == 1:
            return yes
        last, votes = self._last, np.full(jax.local_device_count(), yes)
        self._last = self._any(self._placement.batch(votes))
        return last is not None and bool(last)

"""A run that is small enough to be made many times, on any number of devices and processes."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

from sdedit_jax import keys
from sdedit_jax.checkpoints import Checkpointer
from sdedit_jax.data.pipeline import train_batches
from sdedit_jax.losses import DenoisingScoreMatching, LogNormalNoise
from sdedit_jax.pixels import from_uint8
from sdedit_jax.sdes import VESDE
from sdedit_jax.training import Schedule, TrainStep, Watched, train
from sdedit_jax.training.placement import Placement
from tests.training.networks import Small

SIZE, BATCH_SIZE = 8, 8
PICTURES = np.random.default_rng(0).integers(0, 256, (24, SIZE, SIZE, 3), dtype=np.uint8)


def run(workdir: Path, num_steps: int, *, every: int = 4, log_every: int = 2, shard_state: bool = False):
    """Trains in `workdir` on this process's share of the same batches, and returns the state."""
    batches = functools.partial(
        train_batches,
        [{"image": picture} for picture in PICTURES],
        batch_size=BATCH_SIZE,
        seed=0,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
    )
    x0 = from_uint8(PICTURES[:2])
    loss_fn = DenoisingScoreMatching(Small(), VESDE(0.02, 10.0), LogNormalNoise(0.0, 1.0))
    # Adam divides by the gradient's size; this eps keeps it from making much of a gradient that is rounding alone.
    tx = optax.adam(1e-2, eps=1e-4)
    intervals = {"log_every": log_every, "checkpoint_every": every, "sample_every": every}
    return train(
        workdir,
        TrainStep(loss_fn, tx, ema_decay=0.9),
        schedule=Schedule(num_steps, **intervals, max_skipped_steps=3),
        seed=3,
        batches_from=lambda step: batches(start_step=step),
        watched=Watched(
            x0,
            x0,
            edit=lambda params, key, x_guide: jnp.asarray(-x_guide),
            sample=lambda params, image_keys: keys.normal(image_keys, (len(image_keys), SIZE, SIZE, 3)),
            batch_size=2,
        ),
        placement=Placement(shard_state=shard_state),
    )


def store(path: Path, state) -> None:
    """Writes the leaves of `state`, whole, as an .npz file; every process has to call it."""
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(Placement().local(state))]
    if jax.process_index() == 0:
        np.savez(path, *leaves)


def stored(path: Path) -> list[np.ndarray]:
    """What `store` wrote."""
    with np.load(path) as file:
        return [file[name] for name in file.files]


def saved(workdir: Path, state) -> list[np.ndarray]:
    """The leaves of the newest checkpoint in `workdir`, which is of states like `state`."""
    with Checkpointer(workdir) as checkpointer:
        return jax.tree.leaves(jax.tree.map(np.asarray, checkpointer.restore(state)))


def assert_same(found, wanted) -> None:
    """That two lists of leaves are equal bit for bit."""
    for got, want in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(got, want)


def assert_close(found, wanted) -> None:
    """That two lists of leaves are equal but for the order in which float32 values were added, a few steps long.

    A sum of a few hundred terms is off by about 1e-6 of them; Adam divides it by its eps of 1e-4 at worst, and moves
    by the rate of 1e-2: 1e-4 in a parameter whose gradient is of order one.
    """
    for got, want in zip(found, wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)

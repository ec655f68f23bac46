"""Runs on pictures made up for each step, with whatever a test changes about them, and what they leave behind."""

import json

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from sdedit_jax import keys
from sdedit_jax.losses import DenoisingScoreMatching, LogNormalNoise
from sdedit_jax.sdes import VESDE
from sdedit_jax.training import Schedule, TrainStep, Watched, train
from tests.toys import Blur

SDE = VESDE(0.02, 10.0)
EMA_DECAY = 0.9
BLUR = Blur()
SIZE = 8


def pictures(num_images, seed=0):
    """(B, 8, 8, 3) in [-1, 1]: smooth colour gradients, so that there is something to learn."""
    rng = np.random.default_rng(seed)
    slopes = rng.uniform(-1, 1, (num_images, 2, 1, 1, 3))
    ramp = np.linspace(-1, 1, SIZE)
    x = slopes[:, 0] * ramp[None, :, None, None] + slopes[:, 1] * ramp[None, None, :, None]
    return (x / 2).astype(np.float32)


def batches_from(step, batch_size=2):
    """Endless batches, of which number k depends on k alone."""
    while True:
        yield pictures(batch_size, seed=step)
        step += 1


class Edits:
    """An edit that is cheap, and that remembers what it was asked for."""

    def __init__(self):
        self.calls = []

    def __call__(self, params, key, x_guide):
        self.calls.append((jax.tree.map(np.asarray, params), jax.random.key_data(key), x_guide))
        return jnp.asarray(-x_guide)


def samples(params, image_keys):
    """Pictures that are cheap to draw."""
    return keys.normal(image_keys, (len(image_keys), SIZE, SIZE, 3)).clip(-1.0, 1.0)


def run(
    workdir,
    num_steps,
    *,
    model: nn.Module = BLUR,
    every=2,
    edit=None,
    batches=batches_from,
    params=None,
    num_microbatches=1,
    batch_size=3,
    tensorboard=False,
    tx: optax.GradientTransformation | None = None,
    **schedule,
):
    """Trains in `workdir` and returns the state; `batch_size` is that of looking, and `schedule` fields of that."""
    loss_fn = DenoisingScoreMatching(model, SDE, LogNormalNoise(0.0, 1.0))
    intervals = {"log_every": every, "checkpoint_every": every, "sample_every": every, "max_skipped_steps": 3}
    return train(
        workdir,
        TrainStep(loss_fn, tx or optax.adam(1e-2), EMA_DECAY, num_microbatches),
        schedule=Schedule(num_steps=num_steps, **intervals | schedule),
        seed=3,
        batches_from=batches,
        watched=Watched(pictures(4, seed=100), pictures(3, seed=200), edit or Edits(), samples, batch_size),
        params=params,
        tensorboard=tensorboard,
    )


def rows(workdir):
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is not JSON")) for line in lines]
    return [{name: value for name, value in row.items() if name != "images_per_second"} for row in rows]


def assert_same_bits(found, wanted):
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    for got, want in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        assert np.asarray(got).tobytes() == np.asarray(want).tobytes()

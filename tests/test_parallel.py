"""One edit on one, two and four devices; the devices are made by XLA on the CPU, so a new process runs the checks."""

import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sdedit_jax.parallel import pmap_batch

FOUR_DEVICES = """
import functools
import jax, jax.numpy as jnp, numpy as np
from sdedit_jax import Ancestral, VESDE, pmap_batch, sample, sdedit
from tests.toys import Blur, blur_params

jax.config.update("jax_numpy_rank_promotion", "raise")
assert jax.local_device_count() == 4
fields = dict(model=Blur(), sde=VESDE(), solver=Ancestral(), num_steps=4)
edit = functools.partial(sdedit, **fields)
draw = functools.partial(sample, image_shape=(8, 4, 3), **fields)
guide = jnp.sin(jnp.arange(5 * 8 * 4 * 3.0)).reshape(5, 8, 4, 3)
mask = (jnp.arange(32).reshape(1, 8, 4, 1) % 2 == 0)
key, image_keys = jax.random.key(1), jax.random.split(jax.random.key(2), 5)
t0 = jnp.array([0.2, 0.3, 0.4, 0.5, 0.6])
one_device = np.asarray(edit(blur_params(), key, guide, mask, t0))
one_sample = np.asarray(draw(blur_params(), image_keys))
for num_devices in (2, 4):
    devices = jax.local_devices()[:num_devices]
    results, samples = [], []
    for backend in ("pmap", "shard_map"):
        run = pmap_batch(edit, backend=backend, devices=devices)
        x = run(blur_params(), key, guide, mask, t0)
        assert len(x.sharding.device_set) >= 1 and x.shape == guide.shape
        results.append(np.asarray(x))
        samples.append(np.asarray(pmap_batch(draw, backend=backend, devices=devices)(blur_params(), image_keys)))
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(samples[0], samples[1])
    # A smaller batch per device is another program: float32 rounding over four steps.
    np.testing.assert_allclose(results[0], one_device, atol=2e-5)
    np.testing.assert_allclose(samples[0], one_sample, rtol=1e-4, atol=1e-4)
print("equal")
"""


def test_devices_and_backends_agree():
    environment = os.environ | {"XLA_FLAGS": os.environ["XLA_FLAGS"] + " --xla_force_host_platform_device_count=4"}
    done = subprocess.run([sys.executable, "-c", FOUR_DEVICES], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "equal"


def brightness(params, key, x, offset, factor):
    """Something per image of every kind of argument."""
    del key
    shift = jnp.zeros(x.shape[0]) if offset is None else offset.mean(axis=(1, 2, 3))
    return params * x.mean(axis=(1, 2, 3)) * factor + shift


@pytest.mark.parametrize("backend", ["pmap", "shard_map"])
def test_shared_arguments_reach_every_image(backend, new_key):
    x = jnp.arange(24.0).reshape(3, 2, 2, 2)
    run = pmap_batch(brightness, backend=backend)
    means = np.asarray(x).reshape(3, -1).mean(axis=1)
    np.testing.assert_allclose(run(2.0, new_key(), x, jnp.ones((1, 2, 2, 1)), 3.0), 6.0 * means + 1.0, rtol=1e-6)
    np.testing.assert_allclose(run(2.0, new_key(), x, None, jnp.arange(3.0)), 2.0 * means * np.arange(3), rtol=1e-6)


def test_rows_that_do_not_fit_are_named(new_key):
    run = pmap_batch(brightness)
    with pytest.raises(ValueError, match="1 or 3 rows"):
        run(1.0, new_key(), jnp.zeros((3, 2, 2, 1)), jnp.zeros((2, 2, 2, 1)), 1.0)
    with pytest.raises(ValueError, match="one key or one per image"):
        run(1.0, jax.random.split(new_key(), 2), jnp.zeros((3, 2, 2, 1)), None, 1.0)

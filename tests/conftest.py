"""Strict JAX settings and the fixtures that every test shares."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Deterministic compilation is shared between test processes and runs; nearly all of the suite's time is compilation.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", os.path.expanduser("~/.cache/sdedit_jax/tests"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.3")
# Tests run each program a few times on tiny inputs: compiling less well halves their time.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import itertools

import jax
import jax.numpy as jnp
import pytest

from sdedit_jax import keys

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_debug_key_reuse", True)


@pytest.fixture
def new_key():
    """A function that returns a fresh, never used key at each call."""
    counter = itertools.count(20220101)
    return lambda: jax.random.key(next(counter))


class Injected:
    """Takes the place of `keys.normal`: every draw is `noise`, which a test sets as it goes."""

    noise: jax.Array

    def __call__(self, key, shape, dtype=jnp.float32):
        return jnp.broadcast_to(self.noise, shape).astype(dtype)


@pytest.fixture
def normal(monkeypatch):
    """What every draw of normal noise is: set its `noise`."""
    injected = Injected()
    monkeypatch.setattr(keys, "normal", injected)
    return injected

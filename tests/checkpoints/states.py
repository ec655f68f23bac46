"""States to save, folders of them, and ways to damage those."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax


class State(NamedTuple):
    step: Any
    params: Any
    ema_params: Any
    opt_state: Any


TX = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(1e-3, 10)))


def new_state(step, width=4):
    """A training state that differs from step to step, with values that only a bit-exact copy preserves."""
    rng = np.random.default_rng(step)
    params = {
        "conv": {"kernel": jnp.asarray(rng.normal(size=(3, width)), jnp.float32), "bias": jnp.zeros(width)},
        "scale": jnp.array([-0.0, 1e-45, 3.4e38], jnp.float32),
        "half": jnp.asarray(rng.normal(size=5), jnp.bfloat16),
    }
    ema_params = jax.tree.map(lambda x: x / 2, params)
    return State(jnp.int32(step), params, ema_params, TX.init(params))


def template(state):
    return jax.eval_shape(lambda: state)


def assert_same_bits(found, wanted):
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    for got, want in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        assert (got.dtype, got.shape) == (want.dtype, want.shape)
        assert np.asarray(got).tobytes() == np.asarray(want).tobytes()


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path, at=None):
    data = bytearray(path.read_bytes())
    data[len(data) // 2 if at is None else at] ^= 1
    path.write_bytes(data)


def num_damaged(warned):
    """How many of the warnings are of damaged steps; failed reads of Orbax leave some of the event loop."""
    return sum("is damaged" in str(warning.message) for warning in warned)

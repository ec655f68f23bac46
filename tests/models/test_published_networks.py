"""The networks against the published ones: forward passes with weights made of sines."""

import jax
import jax.numpy as jnp
import pytest

from tests.models.networks import quick_jit, sine_params
from tests.models.published import GOLDENS


@pytest.mark.parametrize("golden", GOLDENS.values(), ids=GOLDENS.keys())
def test_forward_pass(golden):
    params = sine_params(golden.net)
    assert len(jax.tree.leaves(params)) == golden.num_tensors
    golden.check(quick_jit(golden.net.apply)(params, golden.images(), jnp.asarray(golden.noise_label, jnp.float32)))

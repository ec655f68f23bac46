"""Sampling from nothing: with the exact network it draws from the data's law, and picture i from key i alone."""

import jax
import numpy as np
import pytest

from sdedit_jax.sampling import sample
from sdedit_jax.sdes import VESDE, VPSDE, DiscreteVPSDE
from sdedit_jax.solvers import Ancestral, Langevin, PredictorCorrector, ProbabilityFlow, ReverseDiffusion
from tests.analytic import GaussianNetwork

MEAN, STD = 0.3, 0.5


def sampler(sde, solver, image_shape=(4, 4, 1), num_steps=10):
    model = GaussianNetwork(sde, MEAN, STD)
    return lambda key: sample(
        {}, key, image_shape=image_shape, model=model, sde=sde, solver=solver, num_steps=num_steps
    )


@pytest.mark.parametrize(
    ("sde", "solver", "bias"),
    [
        (VPSDE(), ProbabilityFlow(2), 1e-4),
        # First-order steps; 400 of them miss the std by so much, as the order test of the solvers measures exactly.
        (DiscreteVPSDE(), Ancestral("large"), 0.0022),
        (VESDE(), PredictorCorrector(ReverseDiffusion(), Langevin(0.16)), 0.0054),
    ],
    ids=["VP Heun", "DDPM large", "VE predictor-corrector"],
)
def test_samples_follow_the_data_s_law(sde, solver, bias, new_key):
    shape = (16, 32, 32, 1)
    x = sampler(sde, solver, shape[1:], num_steps=400)(jax.random.split(new_key(), shape[0]))
    assert x.shape == shape
    np.testing.assert_allclose(x.mean(), MEAN, atol=5 * STD / x.size**0.5)  # five standard errors
    np.testing.assert_allclose(x.std(), STD, atol=5 * STD / (2 * x.size) ** 0.5 + bias)


def test_a_picture_depends_on_its_key_alone(new_key):
    key = jax.random.split(new_key(), 4)
    draw = sampler(VESDE(), Ancestral())
    x = draw(jax.random.clone(key))
    assert len(np.unique(x.reshape(4, -1), axis=0)) == 4
    np.testing.assert_array_equal(draw(jax.random.clone(key)[::-1]), x[::-1])
    # Another batch size is another program, which may round differently.
    np.testing.assert_allclose(draw(key[1:2]), x[1:2], rtol=1e-4, atol=1e-5)


def test_one_key_is_refused(new_key):
    with pytest.raises(ValueError, match=r"one key for each picture, jax.random.split\(key, B\), got shape \(\)"):
        sampler(VPSDE(), Ancestral())(new_key())

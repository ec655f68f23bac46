"""The noise of every published network: what the file tells, what is assumed, and what the caller can say."""

import numpy as np
import pytest

from sdedit_jax import build
from sdedit_jax.models import DDPM, NCSNpp
from sdedit_jax.sdes import VESDE, VPSDE, DiscreteVPSDE, SubVPSDE
from sdedit_jax.weights.published import schedules
from sdedit_jax.weights.stored import StoredTensor, WeightsError

FOURIER, POSITIONAL = NCSNpp(), NCSNpp(embedding="positional")


def stored(values):
    values = np.asarray(values)
    return StoredTensor(values.shape, values.dtype, lambda: values)


def sigmas(sigma_max, num_levels, dtype=np.float64):
    return stored(np.exp(np.linspace(np.log(sigma_max), np.log(0.01), num_levels)).astype(dtype))


@pytest.mark.parametrize(
    ("layout", "net", "given", "sde"),
    [
        ("pytorch_diffusion", DDPM(), {}, DiscreteVPSDE(1e-4, 0.02, 1000)),
        ("score_sde", FOURIER, {}, VESDE(0.02, 756.0)),
        ("score_sde", FOURIER, {"sigma_max": 100.0}, VESDE(0.02, 100.0)),
        ("score_sde", POSITIONAL, {}, VPSDE(0.1, 20.0)),
        ("score_sde", POSITIONAL, {"beta_max": 10.0}, VPSDE(0.1, 10.0)),
        ("score_sde", POSITIONAL, {"name": "subvp"}, SubVPSDE(0.1, 20.0)),
        ("score_sde", POSITIONAL, {"name": "discrete_vp"}, DiscreteVPSDE(1e-4, 0.02, 1000)),
        ("score_sde", POSITIONAL, {"name": "ve"}, VESDE(0.02, 756.0, num_levels=2000)),
        ("score_sde", DDPM(), {"name": "ve"}, VESDE(0.02, 756.0, num_levels=2000)),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sde(layout, net, given, sde, dtype):
    section = schedules.infer(layout, net, sigmas(378.0, 2000, dtype), 256, given)
    assert build.build_sde({"sde": section.fields}) == sde
    assert ("name" in section.assumed) == ("name" not in given)


@pytest.mark.parametrize(
    ("image_size", "sigma_max", "net", "num_levels"),
    [
        (32, 100.0, FOURIER, None),
        (1024, 2696.0, FOURIER, None),
        (256, 696.0, FOURIER, None),
        (32, 100.0, POSITIONAL, 1000),
    ],
)
def test_ve_of_flax_is_as_published_for_its_size(image_size, sigma_max, net, num_levels):
    section = schedules.infer("score_sde_flax", net, None, image_size, {"name": "ve"})
    assert build.build_sde({"sde": section.fields}) == VESDE(0.02, sigma_max, num_levels)
    assert f"twice the {sigma_max / 2:g} published" in section.assumed["sigma_max"]
    assert ("756" in section.assumed["sigma_max"]) == (image_size == 256)
    assert ("num_levels" in section.assumed) == (num_levels is not None)


def test_ve_of_an_unpublished_size_has_to_be_told():
    with pytest.raises(WeightsError, match=r"none is published for 128 pixels; say .* sde=\{'sigma_max': 100.0\}"):
        schedules.infer("score_sde_flax", FOURIER, None, 128, {})
    section = schedules.infer("score_sde_flax", FOURIER, None, 128, {"sigma_max": 200.0})
    assert build.build_sde({"sde": section.fields}) == VESDE(0.02, 200.0)
    assert set(section.assumed) == {"name"}


@pytest.mark.parametrize("values", [[], [1.0], [0.01, 50.0], [50.0, 0.0], [50.0, np.nan, 0.01], [np.inf, 1.0]])
def test_sigmas_that_are_none(values):
    with pytest.raises(WeightsError, match="not noise scales"):
        schedules.infer("score_sde", FOURIER, stored(values), 256, {})
    assert schedules.infer("score_sde", POSITIONAL, stored(values), 256, {}).fields["name"] == "vp"  # unused there


def test_output():
    assert [schedules.output_of(name) for name in build.SDES] == ["noise", "noise", "scaled_score", "noise"]

"""The noise that a published network was trained for: config.sde, and what follows from it for config.model.output.

Weights do not say it. PyTorch's score_sde stores noise scales beside them, and how a network is told the noise level
leaves a choice; the rest is assumed to be as published, and said.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from sdedit_jax.models import DDPM, NCSNpp
from sdedit_jax.weights.published.architectures import Section
from sdedit_jax.weights.published.names import Layout
from sdedit_jax.weights.stored import StoredTensor, WeightsError

BETAS = {
    "discrete_vp": {"beta_start": 1e-4, "beta_end": 0.02, "num_levels": 1000},
    "vp": {"beta_min": 0.1, "beta_max": 20.0},
    "subvp": {"beta_min": 0.1, "beta_max": 20.0},
}
# {size of the pictures: sigma_max of score_sde's VE networks}, on [0, 1] as published; so are the other two.
SIGMA_MAX = {32: 50.0, 64: 90.0, 256: 348.0, 1024: 1348.0}
SIGMA_MIN, NUM_LEVELS = 0.01, 1000

DISCRETE_VP = "config.sde is discrete_vp with the 1000 steps of DDPM, betas from 0.0001 to 0.02."
VP = (
    "config.sde is vp with beta from 0.1 to 20, as for most networks that are told the time as a step; others "
    "are subvp, discrete_vp or ve."
)
VE = "config.sde is ve, as for every published network with Fourier features."
PUBLISHED_SIGMA_MAX = (
    "config.sde.sigma_max is twice the {:g} published for pictures of this size, which were on [0, 1]."
)
LSUN = " LSUN bedroom has 756, LSUN church 760."
PUBLISHED_NUM_LEVELS = f"config.sde.num_levels is {NUM_LEVELS}, as for every published network of discrete levels."


def infer(
    layout: Layout, net: DDPM | NCSNpp, sigmas: StoredTensor | None, image_size: int, given: Mapping[str, Any]
) -> Section:
    """config.sde of the published network `net` for pictures of `image_size` pixels.

    `sigmas`: (N,) noise scales on [0, 1], falling; every file of PyTorch's score_sde has them, for any SDE.
    `given` are fields that the caller knows, the SDE's name maybe, from which the others then follow.
    Raises WeightsError if the noise scales of a VE network are neither in the file nor published for that size.
    """
    fourier = isinstance(net, NCSNpp) and net.embedding == "fourier"
    if layout == "pytorch_diffusion":
        usual, why = "discrete_vp", DISCRETE_VP
    else:
        usual, why = ("ve", VE) if fourier else ("vp", VP)
    name = given.get("name", usual)
    if name == "ve":
        section = _ve(sigmas, image_size, not fourier, given)
    else:
        section = Section(BETAS.get(name, {}))
    return Section({"name": name, **section.fields}, {"name": why, **section.assumed}).given(given)


def output_of(sde_name: str) -> str:
    """config.model.output of a published network that was trained for the SDE of this name."""
    return "scaled_score" if sde_name == "ve" else "noise"


def _ve(sigmas: StoredTensor | None, image_size: int, discrete: bool, given: Mapping[str, Any]) -> Section:
    """The noise scales in the file, or else the published ones; their number only if the network knows no others."""
    if sigmas is None:
        return _published_noise(image_size, discrete, given)
    values = sigmas.read().astype(np.float64).ravel()
    if len(values) < 2 or not np.isfinite(values).all() or not 0.0 < values[-1] < values[0]:
        raise WeightsError("its sigmas are not noise scales that fall from the largest to the smallest.")
    num_levels = {"num_levels": len(values)} if discrete else {}
    return Section({**_in_our_units(values[-1], values[0]), **num_levels})


def _published_noise(image_size: int, discrete: bool, given: Mapping[str, Any]) -> Section:
    largest = SIGMA_MAX.get(image_size)
    if largest is None and "sigma_max" not in given:
        raise WeightsError(
            f"the file does not tell the noise of this VE network, and none is published for {image_size} pixels; say "
            "the largest standard deviation in [-1, 1] units, as in sde={'sigma_max': 100.0}."
        )
    largest = largest or SIGMA_MIN
    why = PUBLISHED_SIGMA_MAX.format(largest) + (LSUN if image_size == 256 else "")
    section = Section(_in_our_units(SIGMA_MIN, largest), {"sigma_max": why})
    if not discrete:
        return section
    return Section(
        {**section.fields, "num_levels": NUM_LEVELS}, {**section.assumed, "num_levels": PUBLISHED_NUM_LEVELS}
    )


def _in_our_units(sigma_min: float, sigma_max: float) -> dict[str, float]:
    """Twice as large, as [-1, 1] is twice as wide as [0, 1], without the dust of an exp(log())."""
    return {"sigma_min": float(f"{2 * sigma_min:.6g}"), "sigma_max": float(f"{2 * sigma_max:.6g}")}

"""What a scheduler of diffusers says of the SDE that a network was trained for, in the terms of this program, and back.

Its schedulers are samplers. Of their settings only those count here that were there in training.
"""

from collections.abc import Mapping
from typing import Any

from sdedit_jax.sdes import SDE, VESDE, VPSDE, DiscreteVPSDE
from sdedit_jax.weights.stored import WeightsError

# What a field is that scheduler_config.json leaves out, from the signatures of diffusers 0.42.
CHAIN_DEFAULTS: Mapping[str, Any] = {
    "num_train_timesteps": 1000,
    "beta_start": 1e-4,
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "trained_betas": None,
    "prediction_type": "epsilon",
    "rescale_betas_zero_snr": False,
}
VE_DEFAULTS: Mapping[str, Any] = {"sigma_min": 0.01, "sigma_max": 1348.0}
CHAIN_SCHEDULERS = ("DDPMScheduler", "DDIMScheduler", "PNDMScheduler")  # samplers of one SDE
VE_SCHEDULER = "ScoreSdeVeScheduler"


def sde_fields(scheduler: Mapping[str, Any], fourier: bool) -> dict[str, Any]:
    """`config.sde` for a scheduler_config.json and a network with or without Fourier features of sigma.

    The sigmas of diffusers are for pixels in [0, 1]; ours are double. Raises WeightsError for another SDE.
    """
    name, wanted = scheduler.get("_class_name"), (VE_SCHEDULER,) if fourier else CHAIN_SCHEDULERS
    if name not in wanted:
        kind = "fourier" if fourier else "positional"
        raise WeightsError(
            f"its scheduler is {name!r}; with time_embedding_type {kind} it must be {' or '.join(wanted)}."
        )
    return _ve({**VE_DEFAULTS, **scheduler}) if fourier else _discrete_vp({**CHAIN_DEFAULTS, **scheduler})


def scheduler_config(sde: SDE, fourier: bool) -> dict[str, Any]:
    """scheduler_config.json for `sde`.

    A VP SDE becomes the chain of 1000 steps of which it is the limit (Song et al. 2021, section 3.4).
    Raises WeightsError for an SDE that diffusers does not have, or not with this kind of embedding.
    """
    if fourier and isinstance(sde, VESDE) and sde.num_levels is None:
        return {"_class_name": VE_SCHEDULER, "sigma_min": 0.5 * sde.sigma_min, "sigma_max": 0.5 * sde.sigma_max}
    if not fourier and isinstance(sde, VPSDE):
        sde = _chain(sde)
    if not fourier and isinstance(sde, DiscreteVPSDE):
        chain = {"num_train_timesteps": sde.num_levels, "beta_start": sde.beta_start, "beta_end": sde.beta_end}
        return {"_class_name": CHAIN_SCHEDULERS[0], "beta_schedule": "linear", **chain}
    kind, wanted = ("fourier", "VESDE without num_levels") if fourier else ("positional", "VPSDE or DiscreteVPSDE")
    raise WeightsError(f"diffusers takes a network with {kind} embedding for a {wanted} only, not for {sde}.")


def _chain(sde: VPSDE) -> DiscreteVPSDE:
    try:
        return DiscreteVPSDE(sde.beta_min / 1000, sde.beta_max / 1000, 1000)
    except ValueError as error:
        raise WeightsError(f"diffusers has no chain of 1000 steps for {sde}: {error}") from error


def _discrete_vp(scheduler: Mapping[str, Any]) -> dict[str, Any]:
    for name in ("beta_schedule", "trained_betas", "prediction_type", "rescale_betas_zero_snr"):
        if scheduler[name] != CHAIN_DEFAULTS[name]:
            raise WeightsError(f"{name} of its scheduler is {scheduler[name]!r}, not {CHAIN_DEFAULTS[name]!r}.")
    betas = {name: _number(scheduler, name) for name in ("beta_start", "beta_end")}
    return {"name": "discrete_vp", **betas, "num_levels": _number(scheduler, "num_train_timesteps")}


def _ve(scheduler: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": "ve"} | {name: 2 * _number(scheduler, name) for name in ("sigma_min", "sigma_max")}


def _number(scheduler: Mapping[str, Any], name: str) -> int | float:
    value = scheduler[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise WeightsError(f"{name} of its scheduler must be a number, got {value!r:.50}.")
    return value

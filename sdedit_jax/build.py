"""From a config to the objects that it describes. Below this module nothing knows that configs exist."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from sdedit_jax.losses import DenoisingScoreMatching, LogNormalNoise, UniformTimes, Weighting
from sdedit_jax.models import DDPM, EDMPreconditioned, NCSNpp
from sdedit_jax.sdes import SDE, VESDE, VPSDE, DiscreteVPSDE, SubVPSDE
from sdedit_jax.solvers import (
    Ancestral,
    EulerMaruyama,
    Langevin,
    PredictorCorrector,
    ProbabilityFlow,
    ReverseDiffusion,
    Solver,
)

SDES = {"vp": VPSDE, "subvp": SubVPSDE, "ve": VESDE, "discrete_vp": DiscreteVPSDE}
MODELS = {"ncsnpp": NCSNpp, "ddpm": DDPM}
TIMES = {"uniform": UniformTimes, "log_normal": LogNormalNoise}
SOLVERS = {
    "euler_maruyama": EulerMaruyama,
    "ancestral": Ancestral,
    "reverse_diffusion": ReverseDiffusion,
    "probability_flow": ProbabilityFlow,
}


class ConfigError(ValueError):
    """A config that describes nothing that exists."""


def build_sde(config: Mapping[str, Any]) -> SDE:
    """The SDE of `config.sde`."""
    return _build(SDES, config["sde"], "config.sde")


def build_model(config: Mapping[str, Any]) -> nn.Module:
    """The network of `config.model` with the preconditioning of `config.preconditioning`."""
    model = _build(MODELS, config["model"], "config.model")
    preconditioning = config["preconditioning"]
    if preconditioning["name"] == "none":
        return model
    if preconditioning["name"] != "edm":
        raise ConfigError(f"config.preconditioning.name must be none or edm, got {preconditioning['name']!r}.")
    sde = build_sde(config)
    if not isinstance(sde, VESDE) or sde.num_levels is not None:
        raise ConfigError("config.preconditioning.name=edm needs config.sde.name=ve: its noise label is sigma itself.")
    return EDMPreconditioned(model, sigma_data=preconditioning["sigma_data"])


def build_solver(config: Mapping[str, Any]) -> Solver:
    """The solver of `config.solver`; a predictor_corrector has the fields `predictor` and `corrector`."""
    fields = dict(config["solver"])
    if fields["name"] != "predictor_corrector":
        return _build(SOLVERS, fields, "config.solver")
    predictor = _build(SOLVERS, fields["predictor"], "config.solver.predictor")
    return PredictorCorrector(predictor, Langevin(**dict(fields["corrector"])))


def build_loss(config: Mapping[str, Any]) -> DenoisingScoreMatching:
    """The loss of `config.training`, for the model and the SDE of the config."""
    training = config["training"]
    return DenoisingScoreMatching(
        model=build_model(config),
        sde=build_sde(config),
        times=_build(TIMES, training["times"], "config.training.times"),
        weighting=Weighting(training["weighting"], config["preconditioning"]["sigma_data"]),
        reduction=training["reduction"],
    )


def build_optimizer(config: Mapping[str, Any]) -> optax.GradientTransformation:
    """Adam with a linear warm-up, after clipping the gradient's global norm."""
    training = config["training"]
    learning_rate = optax.linear_schedule(0.0, training["learning_rate"], max(1, training["warmup_steps"]))
    return optax.chain(
        optax.clip_by_global_norm(training["grad_clip"]),
        optax.adam(learning_rate, b2=training["adam_b2"]),
    )


def param_shapes(model: nn.Module, image_size: int) -> Any:
    """The tree of `jax.ShapeDtypeStruct` that `model.init` would return, without computing anything."""
    return jax.eval_shape(lambda key: init_params(model, key, image_size), jax.random.key(0))


def init_params(model: nn.Module, key: jax.Array, image_size: int) -> Any:
    """Fresh parameters of `model`; the size of the pictures plays no role in them."""
    x = jnp.zeros((1, image_size, image_size, 3))
    return model.init(key, x, jnp.ones((1,)))["params"]


def _build(classes: Mapping[str, Any], config: Mapping[str, Any], field: str) -> Any:
    """The class that `config["name"]` names, called with the other fields."""
    kwargs = {name: tuple(value) if isinstance(value, list) else value for name, value in dict(config).items()}
    name = kwargs.pop("name")
    if name not in classes:
        raise ConfigError(f"{field}.name must be one of {', '.join(classes)}, got {name!r}.")
    try:
        return classes[name](**kwargs)
    except TypeError as error:
        raise ConfigError(f"{field} (name {name!r}): {error}") from None

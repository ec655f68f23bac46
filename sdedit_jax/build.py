"""From a config to the objects that it describes. Below this module nothing knows that configs exist."""

import dataclasses
import functools
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike

from sdedit_jax.losses import DenoisingScoreMatching, LogNormalNoise, UniformTimes, Weighting
from sdedit_jax.models import DDPM, EDMPreconditioned, NCSNpp, NoiseFromV, NoiseFromX0
from sdedit_jax.score import ScalesOfLabel
from sdedit_jax.sdes import SDE, VESDE, VPSDE, DiscreteVPSDE, SubVPSDE
from sdedit_jax.solvers import (
    Ancestral,
    DPMSolverSDE,
    EulerMaruyama,
    Langevin,
    PredictorCorrector,
    ProbabilityFlow,
    ReverseDiffusion,
    Solver,
)

SDES = {"vp": VPSDE, "subvp": SubVPSDE, "ve": VESDE, "discrete_vp": DiscreteVPSDE}
MODELS = {"ncsnpp": NCSNpp, "ddpm": DDPM}
PRECONDITIONINGS = {"edm": EDMPreconditioned, "v": NoiseFromV, "x0": NoiseFromX0}
DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}
TIMES = {"uniform": UniformTimes, "log_normal": LogNormalNoise}
SOLVERS = {
    "euler_maruyama": EulerMaruyama,
    "ancestral": Ancestral,
    "dpm_solver_sde": DPMSolverSDE,
    "reverse_diffusion": ReverseDiffusion,
    "probability_flow": ProbabilityFlow,
    "predictor_corrector": PredictorCorrector,
}


class Config(Protocol):
    """Fields by name: a `ConfigDict`, or the dict that was stored of one."""

    def __getitem__(self, name: str, /) -> Any:
        """The field `name`; of a section, the fields in it."""
        ...


class ConfigError(ValueError):
    """A config that describes nothing that exists; the message names the field."""


def build_sde(config: Config) -> SDE:
    """The SDE of `config.sde`."""
    return _build(SDES, config["sde"], "config.sde")


def build_model(config: Config) -> nn.Module:
    """The network of `config.model` with the preconditioning of `config.preconditioning`."""
    return _build_model(config, {})


def _build_model(config: Config, memory: Mapping[str, Any]) -> nn.Module:
    """The model, whose network has the fields `memory` besides its own."""
    model = _build(MODELS, {**_fields(config["model"], "config.model"), **memory}, "config.model")
    where = "config.preconditioning"
    fields = _fields(config["preconditioning"], where)
    name = fields.pop("name", None)
    _require_choice(f"{where}.name", name, ("none", *PRECONDITIONINGS))
    if name == "none":
        return model
    sde = build_sde(config)
    if name == "edm":
        if not isinstance(sde, VESDE) or sde.num_levels is not None:
            raise ConfigError(f"{where}.name edm needs config.sde.name ve: its noise label is sigma itself.")
    else:
        if not isinstance(sde, VPSDE | DiscreteVPSDE):
            raise ConfigError(
                f"{where}.name {name} needs config.sde.name vp or discrete_vp: alpha^2 + sigma^2 must be 1."
            )
        fields.pop("sigma_data", None)  # it is that of edm, and of the weighting edm
        fields["scales"] = ScalesOfLabel(sde)
    return _construct(PRECONDITIONINGS[name], {"network": model, **fields}, where)


def build_solver(config: Config) -> Solver:
    """The solver of `config.solver`; a predictor_corrector has the fields `predictor` and `corrector`, fields again."""
    fields = _fields(config["solver"], "config.solver")
    if "predictor" in fields:
        fields["predictor"] = _build(SOLVERS, fields["predictor"], "config.solver.predictor")
    if "corrector" in fields:
        fields["corrector"] = _construct(Langevin, fields["corrector"], "config.solver.corrector")
    return _build(SOLVERS, fields, "config.solver")


def build_loss(config: Config) -> DenoisingScoreMatching:
    """The loss of `config.training`, for the model and the SDE of the config."""
    training = config["training"]
    _require_choice("config.training.dtype", training["dtype"], list(DTYPES))
    # Left out where they are the network's own, so that a network without these fields can be trained too.
    memory = {"dtype": DTYPES[training["dtype"]]} if training["dtype"] != "float32" else {}
    memory |= {"remat": True} if training["remat"] else {}
    kinds = typing.get_args(Weighting.__annotations__["kind"])
    _require_choice("config.training.weighting", training["weighting"], kinds)
    fields = {
        "model": _build_model(config, memory),
        "sde": build_sde(config),
        "times": _build(TIMES, training["times"], "config.training.times"),
        "weighting": Weighting(training["weighting"], config["preconditioning"]["sigma_data"], training["snr_gamma"]),
        "reduction": training["reduction"],
    }
    return _construct(DenoisingScoreMatching, fields, "config.training")


def build_optimizer(config: Config) -> optax.GradientTransformation:
    """Adam, or Muon for the kernels and Nesterov's Adam for the rest, after clipping the gradient's global norm.

    Step n = 1, 2, ... has min(1, n / warmup_steps, (num_steps - n + 1) / (cooldown_steps + 1)) of the learning rates,
    without the last of these if cooldown_steps is 0. Muon (Jordan 2024; Liu et al. 2025, section 2.2, for the scale
    of its steps) moves a kernel along its momentum with all singular values made about equal.
    """
    training = config["training"]

    def scheduled(learning_rate: float) -> optax.Schedule:
        def at(step: ArrayLike) -> jax.Array:
            n = jnp.asarray(step) + 1
            share = jnp.minimum(1.0, n / max(1, training["warmup_steps"]))
            if training["cooldown_steps"]:
                left = jnp.maximum(0, training["num_steps"] - n + 1)
                share = jnp.minimum(share, left / (training["cooldown_steps"] + 1))
            return learning_rate * share

        return at

    adam_rate, adam_b2 = scheduled(training["learning_rate"]), training["adam_b2"]
    if not training["muon_learning_rate"]:
        step = optax.adam(adam_rate, b2=adam_b2)
    else:
        step = optax.contrib.muon(
            scheduled(training["muon_learning_rate"]),
            ns_coeffs="dion",  # five iterations of their own as a scan, which compiles in a quarter of the time
            adam_learning_rate=adam_rate,
            adam_b2=adam_b2,
            muon_weight_dimension_numbers=_kernel_axes,
            consistent_rms=0.2,
        )
    return optax.chain(optax.clip_by_global_norm(training["grad_clip"]), step)


def _kernel_axes(params: Any) -> Any:
    """For each kernel of a layer (..., C_in, C_out) the axes that its matrix maps from and to; None for the others."""

    def axes(param: jax.Array) -> optax.contrib.MuonDimensionNumbers | None:
        last = param.ndim - 1
        return optax.contrib.MuonDimensionNumbers(tuple(range(last)), last) if last > 0 else None

    return jax.tree.map(axes, params)


def param_shapes(model: nn.Module, image_size: int) -> Any:
    """The tree of `jax.ShapeDtypeStruct` that `model.init` would return, without computing anything."""
    return _param_shapes(model, image_size)


def init_params(model: nn.Module, key: jax.Array, image_size: int) -> Any:
    """Fresh parameters of `model`; the size of the pictures plays no role in them."""
    x = jnp.zeros((1, image_size, image_size, 3))
    return model.init(key, x, jnp.ones((1,)))["params"]


@functools.cache  # a large network takes seconds
def _param_shapes(model: nn.Module, image_size: int) -> Any:
    try:
        return jax.eval_shape(lambda key: init_params(model, key, image_size), jax.random.key(0))
    except Exception as error:  # sizes that fit no network surface as whatever Flax or JAX trips over
        raise ConfigError(f"The config describes no network for {image_size!r} pixels: {error}") from error


def _build(classes: Mapping[str, Any], config: Any, where: str) -> Any:
    """The class that `config["name"]` names, called with the other fields."""
    fields = _fields(config, where)
    name = fields.pop("name", None)
    _require_choice(f"{where}.name", name, list(classes))
    return _construct(classes[name], fields, where)


def _fields(config: Any, where: str) -> dict[str, Any]:
    """The fields that are set, with tuples for lists; None leaves a field to the class."""
    try:
        fields = dict(config)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where} must be a group of fields, got {config!r}.") from error
    given = {name: value for name, value in fields.items() if value is not None}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}


def _construct(cls: Any, config: Any, where: str) -> Any:
    """`cls` with the fields `config`, or a ConfigError naming the field that it does not have or take."""
    fields = _fields(config, where)
    types: dict[str, Any] = {field.name: field.type for field in dataclasses.fields(cls)}
    types = {name: kind for name, kind in types.items() if name not in ("parent", "name")}  # which Flax adds
    for name, value in fields.items():
        if name not in types:
            raise ConfigError(f"{where} has no field {name!r}; {cls.__name__} takes {', '.join(types) or 'none'}.")
        if typing.get_origin(types[name]) is Literal:
            _require_choice(f"{where}.{name}", value, typing.get_args(types[name]))
        elif not _is_of(value, types[name]):
            kind = types[name].__name__ if isinstance(types[name], type) else types[name]
            raise ConfigError(f"{where}.{name} must be {kind}, got {value!r}.")
    try:
        return cls(**fields)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}: {error}") from error


def _is_of(value: Any, kind: Any) -> bool:
    """Whether `value` is of the annotated type `kind`, as far as that is a plain one."""
    if kind == tuple[int, ...]:
        return isinstance(value, tuple) and all(isinstance(item, int) for item in value)
    if kind is float:
        return isinstance(value, int | float)
    return not isinstance(kind, type) or isinstance(value, kind)


def _require_choice(field: str, value: Any, choices: Sequence[Any]) -> None:
    if value not in choices:
        raise ConfigError(f"{field} must be one of {', '.join(map(str, choices))}, got {value!r}.")

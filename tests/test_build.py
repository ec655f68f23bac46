"""A config becomes the objects that it describes, or an error that names the field."""

import copy
import importlib
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import default, landscapes
from sdedit_jax import build, training
from sdedit_jax.build import ConfigError
from sdedit_jax.losses import DenoisingScoreMatching, LogNormalNoise, Weighting
from sdedit_jax.models import EDMPreconditioned, NoiseFromV, NoiseFromX0
from sdedit_jax.score import ScalesOfLabel
from sdedit_jax.sdes import SDE, VESDE, VPSDE, DiscreteVPSDE
from sdedit_jax.solvers import Ancestral, EulerMaruyama, Langevin, PredictorCorrector, ProbabilityFlow, Solver

CONFIGS = sorted(path.stem for path in (Path(__file__).parents[1] / "configs").glob("[!_]*.py"))
BUILDERS = {
    "sde": build.build_sde,
    "model": build.build_model,
    "preconditioning": build.build_model,
    "solver": build.build_solver,
    "training": build.build_loss,
}
NETWORK = {"name": "ddpm", "channels": 8, "channel_mults": (1,), "num_res_blocks": 1, "attention_levels": ()}


def config_with(**sections):
    """The default config with other fields in some sections, as plain data; [fields] replaces a whole section."""
    config = copy.deepcopy(default.get_config().to_dict())
    for name, fields in sections.items():
        config[name] = fields[0] if isinstance(fields, list) else config[name] | fields
    return config


@pytest.mark.parametrize("name", ["default", "landscapes"])  # the others' steps are minutes of tracing
def test_a_config_builds_and_takes_one_step(name):
    config = importlib.import_module(f"configs.{name}").get_config()
    config.model.num_res_blocks = 1  # what a step is made of does not depend on it, and tracing takes its time
    assert isinstance(build.build_sde(config), SDE)
    assert isinstance(build.build_solver(config), Solver)
    assert isinstance(build.build_model(config), nn.Module)
    loss_fn, tx, size = build.build_loss(config), build.build_optimizer(config), config.data.image_size

    def first_step(key):
        key_init, key_step = jax.random.split(key)
        state = training.init_state(build.init_params(loss_fn.model, key_init, size), tx)
        x0 = jnp.zeros((config.training.batch_size, size, size, 3))
        return state, *training.TrainStep(loss_fn, tx, config.training.ema_decay)(state, key_step, x0)

    state, next_state, metrics = jax.eval_shape(first_step, jax.random.key(0))
    assert next_state == state  # the same tree of shapes and dtypes, or a second step would compile again
    assert {name: value.shape for name, value in metrics.items()} == {"loss": (), "grad_norm": (), "skipped": ()}


@pytest.mark.parametrize("name", CONFIGS)
def test_every_config_is_a_diff_against_the_default(name):
    def fields(config, prefix=""):
        for key, value in config.items():
            yield prefix + key
            if isinstance(value, dict) and key not in ("sde", "model", "solver", "times"):  # a class's own fields
                yield from fields(value, f"{prefix}{key}.")

    config = importlib.import_module(f"configs.{name}").get_config()
    assert list(fields(config.to_dict())) == list(fields(default.get_config().to_dict()))


def test_the_landscapes_are_what_they_say():
    loss_fn = build.build_loss(landscapes.get_config())
    assert isinstance(loss_fn, DenoisingScoreMatching)
    assert loss_fn.sde == VESDE(0.02, 100.0)
    assert loss_fn.times == LogNormalNoise(-1.2, 1.6)
    assert isinstance(loss_fn.model, EDMPreconditioned) and loss_fn.model.sigma_data == 0.5
    assert loss_fn.weighting.kind == "edm" and loss_fn.reduction == "mean"


@pytest.mark.parametrize(
    ("section", "fields", "message"),
    [
        ("sde", {"name": "vep"}, r"config.sde.name must be one of vp, subvp, ve, discrete_vp, got 'vep'"),
        ("sde", [{}], r"config.sde.name must be one of .* got None"),
        ("sde", {"sigma": 1.0}, r"config.sde has no field 'sigma'; VPSDE takes beta_min, beta_max"),
        ("sde", {"beta_min": "low"}, r"config.sde.beta_min must be float, got 'low'"),
        ("sde", [[1, 2]], r"config.sde must be a group of fields, got \[1, 2\]"),
        ("model", {"name": "unet"}, r"config.model.name must be one of ncsnpp, ddpm, got 'unet'"),
        ("model", {"chanels": 8}, r"config.model has no field 'chanels'; NCSNpp takes channels, channel_mults,"),
        ("model", {"channel_mults": ("a",)}, r"config.model.channel_mults must be tuple\[int, ...\], got \('a',\)"),
        ("model", {"embedding": "binary"}, r"config.model.embedding must be one of positional, fourier, got 'binary'"),
        ("model", {"attention_levels": (7,)}, r"config.model: attention_levels must be in 0 ... 2 .* got \{7\}"),
        ("preconditioning", {"name": "ddim"}, r"config.preconditioning.name must be one of none, edm, v, x0, got"),
        ("preconditioning", {"name": "edm"}, r"edm needs config.sde.name ve"),
        ("solver", {"name": "heun"}, r"config.solver.name must be one of .*probability_flow.*, got 'heun'"),
        ("solver", {"variance": "medium"}, r"config.solver.variance must be one of small, large, got 'medium'"),
        ("solver", {"order": 2}, r"config.solver has no field 'order'; Ancestral takes variance"),
        ("solver", [{"name": "euler_maruyama", "order": 2}], r"no field 'order'; EulerMaruyama takes none"),
        ("solver", [{"name": "probability_flow", "order": 3}], r"config.solver.order must be one of 1, 2, got 3"),
        (
            "solver",
            [{"name": "predictor_corrector", "predictor": {"name": "x"}}],
            r"config.solver.predictor.name must be one of",
        ),
        (
            "solver",
            [{"name": "predictor_corrector", "corrector": {"snr": 0.1}}],
            r"config.solver.corrector has no field 'snr'; Langevin takes target_snr, num_steps",
        ),
        (
            "training",
            {"weighting": "flat"},
            r"config.training.weighting must be one of noise, likelihood, edm, v, min_snr, got 'flat'",
        ),
        ("training", {"dtype": "float16"}, r"config.training.dtype must be one of float32, bfloat16, got 'float16'"),
        ("training", {"reduction": "sum"}, r"config.training.reduction must be one of mean, half_sum, got 'sum'"),
        ("training", {"times": {"name": "cosine"}}, r"config.training.times.name must be one of uniform, log_normal"),
        ("training", {"times": {"name": "uniform", "mean": 0.0}}, r"config.training.times has no field 'mean'"),
    ],
)
def test_a_config_of_nothing_names_the_field(section, fields, message):
    with pytest.raises(ConfigError, match=message):
        BUILDERS[section](config_with(**{section: fields}))


def test_preconditioning_needs_a_continuous_ve_sde():
    ve, edm = [{"name": "ve", "sigma_max": 50.0}], {"name": "edm", "sigma_data": 0.3}
    model = build.build_model(config_with(sde=ve, preconditioning=edm))
    assert isinstance(model, EDMPreconditioned) and model.sigma_data == 0.3
    for sde in ([{"name": "vp"}], [{"name": "discrete_vp"}], [{"name": "ve", "num_levels": 10}]):
        with pytest.raises(ConfigError, match="edm needs config.sde.name ve"):
            build.build_model(config_with(sde=sde, preconditioning=edm))


@pytest.mark.parametrize(("name", "cls"), [("v", NoiseFromV), ("x0", NoiseFromX0)])
def test_v_and_x0_need_a_variance_preserving_sde(name, cls):
    for fields, sde in (
        ({"name": "vp", "beta_max": 10.0}, VPSDE(0.1, 10.0)),
        ({"name": "discrete_vp"}, DiscreteVPSDE()),
    ):
        config = config_with(sde=[fields], preconditioning={"name": name})
        model = build.build_model(config)
        assert isinstance(model, cls) and model.scales == ScalesOfLabel(sde)
        assert model.network == build.build_model(config | {"preconditioning": {"name": "none"}})
        assert hash(model) == hash(build.build_model(config))  # one compilation for both
        config["preconditioning"]["gain"] = 1.0
        with pytest.raises(ConfigError, match="config.preconditioning has no field 'gain'"):
            build.build_model(config)
    for other in ("ve", "subvp"):
        config = config_with(sde=[{"name": other}], preconditioning={"name": name})
        with pytest.raises(ConfigError, match=f"preconditioning.name {name} needs config.sde.name vp or discrete_vp"):
            build.build_model(config)


def test_min_snr_has_the_gamma_of_the_config():
    assert build.build_loss(config_with(training={"weighting": "min_snr"})).weighting == Weighting("min_snr", 0.5, 5.0)
    loss_fn = build.build_loss(config_with(training={"weighting": "min_snr", "snr_gamma": 2.0}))
    assert loss_fn.weighting.snr_gamma == 2.0


@pytest.mark.parametrize("name", ["v", "x0"])
def test_another_prediction_is_trained_with_all_that_saves_memory(name):
    chosen = {"weighting": "min_snr", "dtype": "bfloat16", "remat": True}
    config = config_with(model=[NETWORK], preconditioning={"name": name}, training=chosen)
    model, loss_fn = build.build_model(config), build.build_loss(config)
    assert loss_fn.model == model.clone(network=model.network.clone(dtype=jnp.bfloat16, remat=True)) != model
    params = build.param_shapes(loss_fn.model, 8)
    assert params == build.param_shapes(model, 8)
    loss, gradient = jax.eval_shape(jax.value_and_grad(loss_fn), params, jax.random.key(0), jnp.zeros((2, 8, 8, 3)))
    assert (loss.shape, loss.dtype) == ((), jnp.float32) and gradient == params


def test_memory_is_saved_in_training_alone_and_with_the_same_weights():
    config = config_with(training={"dtype": "bfloat16", "remat": True})
    plain, saving = build.build_model(config), build.build_loss(config).model
    assert saving == plain.clone(dtype=jnp.bfloat16, remat=True) != plain
    assert build.param_shapes(saving, 64) == build.param_shapes(plain, 64)
    ve, edm = [{"name": "ve", "sigma_max": 50.0}], {"name": "edm"}
    saving = build.build_loss(config_with(sde=ve, preconditioning=edm, training=config["training"])).model
    assert (saving.network.dtype, saving.network.remat) == (jnp.bfloat16, True)


def test_a_network_of_impossible_size_is_a_config_error():
    with pytest.raises(ConfigError, match="config.model: a network has 1 to 65536 channels"):
        build.build_model(config_with(model=[{"name": "ddpm", "channels": -4}]))
    model = build.build_model(config_with(model=[{"name": "ddpm", "channel_mults": (1, -2)}]))
    with pytest.raises(ConfigError, match="The config describes no network for 64 pixels"):
        build.param_shapes(model, 64)


def test_an_empty_field_is_left_to_the_class():
    config = default.get_config()
    assert config.solver.variance is None and config.solver.order is None
    assert build.build_solver(config) == Ancestral()
    config.solver.name = "probability_flow"
    assert build.build_solver(config) == ProbabilityFlow()
    config.solver.order = 2
    assert build.build_solver(config) == ProbabilityFlow(order=2)


def test_a_predictor_corrector_is_built_of_both():
    assert build.build_solver(config_with(solver={"name": "predictor_corrector"})) == PredictorCorrector()
    parts = {"predictor": {"name": "euler_maruyama"}, "corrector": {"target_snr": 0.1, "num_steps": 2}}
    solver = build.build_solver(config_with(solver={"name": "predictor_corrector"} | parts))
    assert solver == PredictorCorrector(EulerMaruyama(), Langevin(0.1, 2))


def test_lists_become_tuples_so_that_a_model_can_be_a_static_argument():
    model = build.build_model(config_with(model={"channel_mults": [1, 2], "attention_levels": []}))
    assert hash(model) == hash(build.build_model(config_with(model={"channel_mults": (1, 2), "attention_levels": ()})))


def test_sdes_keep_their_values():
    assert build.build_sde(config_with(sde={"beta_max": 10})) == VPSDE(0.1, 10.0)


@pytest.mark.parametrize(
    ("schedule", "shares"),
    [
        ({"warmup_steps": 0}, [1.0] * 6),
        ({"warmup_steps": 1}, [1.0] * 6),
        ({"warmup_steps": 4}, [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]),
        ({"warmup_steps": 0, "num_steps": 5, "cooldown_steps": 3}, [1.0, 1.0, 0.75, 0.5, 0.25, 0.0]),
        ({"warmup_steps": 4, "num_steps": 6, "cooldown_steps": 5}, [0.25, 0.5, 4 / 6, 0.5, 2 / 6, 1 / 6]),
    ],
    ids=str,
)
def test_the_learning_rate_rises_and_falls_linearly(schedule, shares):
    """For a constant gradient Adam's step is the learning rate itself."""
    tx = build.build_optimizer(config_with(training={"learning_rate": 0.1, **schedule}))
    params = {"x": jnp.zeros(1)}
    opt_state, taken = tx.init(params), []
    update = jax.jit(tx.update)
    for _ in range(6):
        updates, opt_state = update({"x": jnp.full(1, 0.5)}, opt_state, params)
        taken.append(-float(updates["x"][0]))
    # Adam divides by 1 - b2^n, 1e-3 at first, which is 6e-8 off in float32.
    np.testing.assert_allclose(taken, 0.1 * np.array(shares), rtol=6e-5)


def test_muon_steps_alike_in_all_directions_of_a_kernel_and_adam_moves_the_rest():
    """The step's matrix has singular values within two fifths of each other, of a root mean square of 0.2 of the rate.

    Of the gradient's they are far apart. Five Newton-Schulz iterations bring those above 1e-3 of the largest so near.
    """
    config = config_with(training={"learning_rate": 0.1, "muon_learning_rate": 0.5, "warmup_steps": 2})
    tx, rng = build.build_optimizer(config), np.random.default_rng(0)
    kernel = rng.normal(size=(3, 3, 8, 32)) * np.logspace(0.0, 1.5, 32)
    gradient = {"kernel": kernel, "dense": kernel[0, 0], "bias": np.full(32, 0.5)}
    gradient = jax.tree.map(lambda each: jnp.asarray(each, jnp.float32), gradient)
    step = jax.jit(lambda gradient: tx.update(gradient, tx.init(gradient), gradient)[0])(gradient)
    for name in ("kernel", "dense"):
        matrix, gradient_matrix = (np.asarray(tree[name]).reshape(-1, 32) for tree in (step, gradient))
        values, gradient_values = (np.linalg.svd(each, compute_uv=False) for each in (matrix, gradient_matrix))
        assert values.max() < 1.4 * values.min()
        assert gradient_values.max() > 5.0 * gradient_values.min()
        np.testing.assert_allclose(np.sqrt(np.square(matrix).mean()), 0.2 * 0.25, rtol=0.2)
        assert np.sum(matrix * gradient_matrix) < 0.0
    # Adam's step with Nesterov's momentum is the rate times (0.9 * 0.1 / (1 - 0.9^2) + 0.1 / (1 - 0.9)) at first.
    np.testing.assert_allclose(step["bias"], -0.05 * (0.09 / 0.19 + 1.0), rtol=6e-5)


@pytest.mark.parametrize("norm", [0.5, 2.0, 50.0])
def test_the_gradient_is_clipped_by_its_norm(norm):
    tx = build.build_optimizer(config_with(training={"grad_clip": 2.0}))
    gradient = {"a": jnp.array([0.6 * norm]), "b": jnp.array([0.0, 0.8 * norm])}
    _, (_, (adam, *_)) = jax.jit(lambda gradient: tx.update(gradient, tx.init(gradient)))(gradient)
    clipped = jax.tree.map(lambda g: g * min(1.0, 2.0 / norm), gradient)
    # After one step Adam's first moment is 1 - b1 of the gradient that reached it.
    jax.tree.map(lambda mu, g: np.testing.assert_allclose(mu, 0.1 * g, rtol=1e-5), adam.mu, clipped)

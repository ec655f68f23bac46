"""`weights.load` finds a model by file, by training folder and by name, and says what there is when it does not."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import serialization
from ml_collections import ConfigDict
from safetensors import safe_open
from safetensors.numpy import save_file

from sdedit_jax import build, trees, weights
from sdedit_jax.build import ConfigError
from sdedit_jax.checkpoints import Checkpointer, CheckpointError, write_config
from sdedit_jax.models import DDPM, NCSNpp
from sdedit_jax.sdes import VESDE, VPSDE, DiscreteVPSDE, SubVPSDE
from sdedit_jax.weights import WeightsError, native
from sdedit_jax.weights.published import checkpoints, names
from tests.models.networks import random_params
from tests.weights.files.torch_writer import write_zip
from tests.weights.published import checkpoint_files

CONFIG = {
    "model": {"name": "ddpm", "channels": 4, "channel_mults": (1,), "num_res_blocks": 1, "attention_levels": ()},
    "preconditioning": {"name": "none", "sigma_data": 0.5},
    "sde": {"name": "vp", "beta_min": 0.2},
    "data": {"image_size": 8, "dir": "/home/someone/secret"},
    "seed": 7,
}


@functools.cache
def new_params(seed=0):
    shapes = build.param_shapes(build.build_model(CONFIG), 8)
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), shapes)


def assert_same(found, wanted):
    jax.tree.map(np.testing.assert_array_equal, found, wanted)


def assert_is_the_model(loaded):
    assert loaded.model == build.build_model(CONFIG) and isinstance(loaded.model, DDPM)
    assert loaded.sde == VPSDE(beta_min=0.2)
    assert loaded.image_size == 8


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    """A training folder with the averaged params of seed 1."""
    folder = tmp_path_factory.mktemp("run")
    write_config(folder, CONFIG)
    state = {"ema_params": new_params(1), "params": new_params(2), "step": np.array(5)}
    with Checkpointer(folder) as checkpoints:
        checkpoints.save(5, jax.tree.map(jnp.asarray, state))
    return folder


def test_load_takes_a_file(path):
    native.save(path, new_params(), CONFIG)
    loaded = weights.load(path)
    assert_is_the_model(loaded)
    assert_same(loaded.params, new_params())
    assert loaded.config == CONFIG


def test_load_takes_a_training_folder(run_dir):
    loaded = weights.load(run_dir)
    assert_is_the_model(loaded)
    assert_same(loaded.params, new_params(1))
    assert loaded.config == CONFIG


def test_load_takes_a_step_of_a_training_folder(run_dir):
    loaded = weights.load(run_dir / "checkpoints" / "5")
    assert_is_the_model(loaded)
    assert_same(loaded.params, new_params(1))
    with pytest.raises(WeightsError, match="There is no model file .*checkpoints/4"):
        weights.load(run_dir / "checkpoints" / "4")


def test_what_is_loaded_predicts_noise(run_dir):
    loaded = weights.load(run_dir)
    x = jnp.ones((2, 8, 8, 3))
    eps = jax.jit(loaded.model.apply)({"params": loaded.params}, x, jnp.ones(2))
    assert eps.shape == x.shape and np.isfinite(eps).all()


def test_a_folder_without_training(tmp_path):
    with pytest.raises(CheckpointError, match="not a training folder"):
        weights.load(tmp_path)


def test_a_bundled_model_is_loaded_by_name_before_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "BUNDLED", tmp_path)
    native.save(tmp_path / "hills.safetensors", new_params(), CONFIG)
    native.save(tmp_path / "faces.safetensors", new_params(1), CONFIG)
    monkeypatch.chdir(tmp_path)
    native.save("hills", new_params(1), CONFIG)
    assert weights.bundled_models() == ["faces", "hills"]
    assert_same(weights.load("hills").params, new_params())
    assert_same(weights.load("./hills").params, new_params(1))
    with pytest.raises(WeightsError, match=r"nor a model of that name. Known by name are faces, hills, lsun_bedroom"):
        weights.load("beach")


@pytest.mark.parametrize("name", weights.bundled_models())
def test_every_bundled_model_loads(name):
    assert jax.tree.leaves(weights.load(name).params)


def test_a_missing_model_file_is_not_taken_for_a_name(tmp_path):
    with pytest.raises(WeightsError, match="There is no model file"):
        weights.load(tmp_path / "absent.safetensors")


@pytest.mark.parametrize("section", ["model", "preconditioning", "sde", "data"])
def test_a_config_that_does_not_describe_the_model_is_refused(path, section):
    native.save(path, new_params(), {name: fields for name, fields in CONFIG.items() if name != section})
    with pytest.raises(WeightsError, match=f"does not describe its model: {section} missing from its config"):
        weights.load(path)


@pytest.mark.parametrize("data", [{}, 8, {"image_size": "8"}, {"image_size": 0}])
def test_a_config_without_a_size_is_refused(path, data):
    native.save(path, new_params(), CONFIG | {"data": data})
    with pytest.raises(WeightsError, match="does not say the size of its pictures"):
        weights.load(path)


def test_a_config_of_an_unknown_model_is_refused(path):
    native.save(path, new_params(), CONFIG | {"model": {"name": "unet"}})
    with pytest.raises(ConfigError, match="config.model.name must be one of ncsnpp, ddpm, got 'unet'"):
        weights.load(path)


def test_weights_that_are_not_finite_are_refused_with_the_file(path):
    native.save(path, new_params(), CONFIG)
    content = path.read_bytes()
    path.write_bytes(content[:-4] + np.float32(np.nan).tobytes())
    with pytest.raises(WeightsError, match=r"model.safetensors: .* has 1 values that are NaN or infinite"):
        weights.load(path)


def test_params_of_another_model_are_refused(path):
    native.save(path, new_params(), CONFIG | {"model": CONFIG["model"] | {"channels": 8}})
    with pytest.raises(WeightsError, match=r"do not fit the model of this config:\n  .*wanted .* found"):
        weights.load(path)


@pytest.mark.parametrize(("dtype", "eps"), [("float32", 0.0), ("float16", 2.0**-11), ("bfloat16", 2.0**-8)])
def test_export_makes_one_file_of_a_training_folder(run_dir, path, dtype, eps):
    weights.export(weights.load(run_dir), path, dtype)
    loaded = weights.load(path)
    assert_is_the_model(loaded)
    for found, wanted in zip(jax.tree.leaves(loaded.params), jax.tree.leaves(new_params(1)), strict=True):
        # The unit roundoff of the stored dtype; float16 is coarser than that below 6e-5.
        np.testing.assert_allclose(found, wanted, rtol=eps, atol=2.0**-25 if dtype == "float16" else 0.0)


def test_an_exported_file_holds_no_paths_and_nothing_else_of_the_run(run_dir, path):
    weights.export(weights.load(run_dir), path)
    with safe_open(path, framework="numpy") as file:
        config = json.loads(file.metadata()["config"])
    assert set(config) == {"model", "preconditioning", "sde", "data"} and config["data"] == {"image_size": 8}
    assert b"secret" not in path.read_bytes()


def write_pytorch_diffusion(path, params):
    """`params` of CONFIG's network under the names and in the layout of pytorch_diffusion."""
    leaves = trees.flatten(params)
    found = names.published_names(build.build_model(CONFIG), leaves, "pytorch_diffusion")
    write_zip(path, {found[name]: names.to_torch(found[name], leaf) for name, leaf in leaves.items()})


def test_a_torch_file_is_known_by_its_content(tmp_path):
    write_pytorch_diffusion(tmp_path / "model.safetensors", new_params())
    loaded = weights.load(tmp_path / "model.safetensors", data={"image_size": 8})
    assert isinstance(loaded.sde, DiscreteVPSDE) and loaded.image_size == 8
    assert_same(loaded.params, new_params())
    assert set(loaded.assumed) == {"model.dropout", "sde.name"} and "discrete_vp" in loaded.assumed["sde.name"]
    assert loaded.notes == (checkpoints.UNSAID,)


def test_what_is_said_wins_over_the_file_and_over_what_is_assumed(path, tmp_path):
    native.save(path, new_params(), CONFIG)
    assert weights.load(path, sde={"beta_max": 10.0}).sde == VPSDE(beta_min=0.2, beta_max=10.0)
    assert weights.load(path, sde={"name": "subvp"}).sde == SubVPSDE()  # of the file's fields none is left
    write_pytorch_diffusion(tmp_path / "model.ckpt", new_params())
    said = {"sde": {"name": "vp", "beta_min": 0.2}, "data": {"image_size": 8}}
    assert weights.load(tmp_path / "model.ckpt", **said).sde == VPSDE(beta_min=0.2)


def test_a_config_takes_the_place_of_what_was_assumed_if_it_is_of_the_same_network(tmp_path):
    write_pytorch_diffusion(tmp_path / "model.ckpt", new_params())
    loaded = weights.load(tmp_path / "model.ckpt", data={"image_size": 8}, assuming=ConfigDict(CONFIG))
    assert_is_the_model(loaded)
    assert set(loaded.assumed) == {"model.dropout"}  # of which the config says nothing
    other = CONFIG | {"model": CONFIG["model"] | {"channels": 8}}
    loaded = weights.load(tmp_path / "model.ckpt", data={"image_size": 8}, assuming=ConfigDict(other))
    assert isinstance(loaded.sde, DiscreteVPSDE) and loaded.assumed


VE_TINY = NCSNpp(
    channels=4, channel_mults=(1, 1), num_res_blocks=1, attention_levels=(1,), fourier_scale=1.0, output="scaled_score"
)


def ve_config(**sde):
    fields = {"channels": 4, "channel_mults": (1, 1), "num_res_blocks": 1, "attention_levels": (1,)}
    model = {"name": "ncsnpp", **fields}
    return ConfigDict(CONFIG | {"model": model, "sde": {"name": "ve", **sde}, "data": {"image_size": 32}})


def test_a_config_changes_nothing_that_a_file_states(tmp_path):
    params = random_params(VE_TINY)["params"]
    sigmas = np.geomspace(380.0, 0.01, 10)
    write_zip(tmp_path / "church.pth", checkpoint_files.score_sde(VE_TINY, params, params, sigmas))
    bedroom = ve_config(sigma_min=0.02, sigma_max=756.0)  # which does not say model.output either
    loaded = weights.load(tmp_path / "church.pth", assuming=bedroom)
    assert loaded.sde == VESDE(0.02, 760.0) and loaded.config["model"]["output"] == "scaled_score"
    loaded = weights.load(tmp_path / "church.pth", assuming=bedroom, sde={"sigma_max": 700.0}, data={"image_size": 64})
    assert loaded.sde == VESDE(0.02, 700.0) and loaded.image_size == 64


def test_a_config_says_what_a_flax_file_does_not(tmp_path):
    params = random_params(VE_TINY)["params"]
    content = checkpoint_files.score_sde_flax(VE_TINY, params, params)
    (tmp_path / "checkpoint_9").write_bytes(serialization.msgpack_serialize(content))
    said = {"model": {"attention_levels": (1,)}}
    assert weights.load(tmp_path / "checkpoint_9", **said).sde == VESDE(0.02, 100.0)
    loaded = weights.load(tmp_path / "checkpoint_9", assuming=ve_config(sigma_max=40.0), **said)
    assert loaded.sde == VESDE(0.02, 40.0) and loaded.config["model"]["output"] == "scaled_score"


def test_a_config_of_another_sde_is_taken_whole(tmp_path):
    write_pytorch_diffusion(tmp_path / "model.ckpt", new_params())
    subvp = ConfigDict(CONFIG | {"sde": {"name": "subvp", "beta_max": 10.0}})
    assert weights.load(tmp_path / "model.ckpt", data={"image_size": 8}, assuming=subvp).sde == SubVPSDE(0.1, 10.0)


@pytest.mark.parametrize("overrides", [{"sdes": {"name": "vp"}}, {"sde": "vp"}, {"training": {}}])
def test_what_cannot_be_said_is_refused(path, overrides):
    native.save(path, new_params(), CONFIG)
    with pytest.raises(WeightsError, match=r"one can say of a model are fields of model, sde, data, as in sde=.* got"):
        weights.load(path, **overrides)


def test_weights_of_other_projects_come_as_safetensors_too(tmp_path):
    leaves = trees.flatten(new_params())
    found = names.published_names(build.build_model(CONFIG), leaves, "pytorch_diffusion")
    arrays = {found[name]: np.ascontiguousarray(names.to_torch(found[name], leaf)) for name, leaf in leaves.items()}
    save_file(arrays, tmp_path / "model.safetensors")
    assert_same(weights.load(tmp_path / "model.safetensors", data={"image_size": 8}).params, new_params())


@pytest.mark.parametrize("field", ["num_res_blocks", "channels"])
def test_a_config_that_asks_for_a_monstrous_network_is_refused_at_once(path, field):
    native.save(path, new_params(), CONFIG | {"model": CONFIG["model"] | {field: 10**9}})
    with pytest.raises(ConfigError, match="a network has 1 to 65536 channels"):
        weights.load(path)


def test_what_a_file_says_needs_no_config(path):
    native.save(path, new_params(), CONFIG)
    loaded = weights.load(path, assuming=ConfigDict(CONFIG | {"sde": {"name": "subvp"}}))
    assert loaded.sde == VPSDE(beta_min=0.2)


def test_params_come_in_the_asked_precision(path):
    native.save(path, new_params(), CONFIG)
    loaded = weights.load(path, dtype="bfloat16")
    assert {leaf.dtype for leaf in jax.tree.leaves(loaded.params)} == {jnp.dtype("bfloat16")}
    with pytest.raises(WeightsError, match="can be float32, float16, bfloat16, not 'int8'"):
        weights.load(path, dtype="int8")
    native.save(path, jax.tree.map(lambda leaf: leaf + np.float32(1e6), new_params()), CONFIG)
    with pytest.raises(WeightsError, match=r"reaches 1e\+06, more than float16 can hold"):
        weights.load(path, dtype="float16")


def test_export_makes_a_diffusers_folder_that_loads_as_the_same_model(tmp_path):
    ddpm = CONFIG | {"sde": {"name": "discrete_vp"}, "model": CONFIG["model"] | {"channels": 32}}
    params = jax.tree.map(lambda leaf: np.ones(leaf.shape, np.float32), build.param_shapes(build.build_model(ddpm), 8))
    native.save(tmp_path / "model.safetensors", params, ddpm)
    weights.export(weights.load(tmp_path / "model.safetensors"), tmp_path / "diffusers")
    loaded = weights.load(tmp_path / "diffusers")
    assert loaded.model == build.build_model(ddpm) and loaded.sde == DiscreteVPSDE() and loaded.assumed == {}
    assert_same(loaded.params, params)
    by_file = weights.load(tmp_path / "diffusers" / "diffusion_pytorch_model.safetensors")
    assert_same(by_file.params, params)


def test_an_address_that_cannot_be_fetched_is_refused():
    with pytest.raises(WeightsError, match="only https is"):
        weights.load("ftp://127.0.0.1/model.ckpt")

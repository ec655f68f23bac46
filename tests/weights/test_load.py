"""`weights.load` finds a model by file, by training folder and by name, and says what there is when it does not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sdedit_jax import weights
from sdedit_jax.checkpoints import Checkpointer, CheckpointError, write_config
from sdedit_jax.weights import WeightsError, native

CONFIG = {"model": {"name": "ddpm", "channel_mults": (1, 2)}, "t_min": 1e-5}


def new_params(seed=0):
    kernel = np.random.default_rng(seed).normal(size=(3, 4)).astype(np.float32)
    return {"conv": {"kernel": kernel, "bias": np.zeros(4, np.float32)}}


def assert_same(found, wanted):
    jax.tree.map(np.testing.assert_array_equal, found, wanted)


def test_load_takes_a_file(tmp_path):
    path = tmp_path / "model.safetensors"
    native.save(path, new_params(), CONFIG)
    loaded = weights.load(path)
    assert_same(loaded.params, new_params())
    assert loaded.config == CONFIG


def test_load_takes_a_training_folder(tmp_path):
    write_config(tmp_path, CONFIG)
    state = {"ema_params": new_params(1), "params": new_params(2), "step": np.array(5)}
    with Checkpointer(tmp_path) as checkpoints:
        checkpoints.save(5, jax.tree.map(jnp.asarray, state))
    loaded = weights.load(tmp_path)
    assert_same(loaded.params, new_params(1))
    assert loaded.config == CONFIG


def test_a_folder_without_training(tmp_path):
    with pytest.raises(CheckpointError, match="not a training folder"):
        weights.load(tmp_path)


def test_a_bundled_model_is_loaded_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "BUNDLED", tmp_path)
    native.save(tmp_path / "hills.safetensors", new_params(), CONFIG)
    native.save(tmp_path / "faces.safetensors", new_params(1), CONFIG)
    assert weights.bundled_models() == ["faces", "hills"]
    assert_same(weights.load("hills").params, new_params())
    with pytest.raises(WeightsError, match=r"no model 'beach'.*\(faces, hills\)"):
        weights.load("beach")


@pytest.mark.parametrize("name", weights.bundled_models())
def test_every_bundled_model_loads(name):
    assert jax.tree.leaves(weights.load(name).params)


def test_a_missing_model_file_is_not_taken_for_a_name(tmp_path):
    with pytest.raises(WeightsError, match="There is no model file"):
        weights.load(tmp_path / "absent.safetensors")

"""A GAN in one file, and what is not one."""

import jax
import numpy as np
import pytest

from sdedit_jax.baselines.gan import GAN, load, save, synthesize
from sdedit_jax.baselines.gan.files import LANDSCAPES
from sdedit_jax.baselines.gan.networks import Encoder, Generator, apply
from sdedit_jax.weights import WeightsError, native
from tests.baselines.gan import small


@pytest.fixture(scope="module")
def params():
    return small.params(jax.random.key(1))


def test_a_gan_comes_back_as_it_was(params, tmp_path):
    save(tmp_path / "gan.safetensors", params, small.SMALL, dtype="float32")
    loaded, gan = load(tmp_path / "gan.safetensors")
    assert gan == small.SMALL and hash(gan) == hash(small.SMALL)
    jax.tree.map(np.testing.assert_array_equal, loaded, params)


def test_half_precision_is_the_default(params, tmp_path):
    save(tmp_path / "gan.safetensors", params, small.SMALL)
    loaded, _ = load(tmp_path / "gan.safetensors")
    halved = jax.tree.map(lambda leaf: np.asarray(leaf, np.float16).astype(np.float32), params)
    jax.tree.map(np.testing.assert_array_equal, loaded, halved)
    assert {leaf.dtype for leaf in jax.tree.leaves(loaded)} == {np.dtype(np.float32)}


def test_a_file_of_something_else_is_refused(params, tmp_path):
    path = tmp_path / "gan.safetensors"
    with pytest.raises(WeightsError, match="no model file"):
        load(path)
    native.save(path, params, {"model": {"name": "ncsnpp"}})
    with pytest.raises(WeightsError, match="generator and an encoder"):
        load(path)
    native.save(path, {"encoder": params["encoder"]}, {"gan": files_fields()})
    with pytest.raises(WeightsError, match="missing generator/mapping"):
        load(path)


def test_the_bundled_gan_is_small_and_makes_pictures(new_key):
    assert LANDSCAPES.stat().st_size < 6_000_000
    params, gan = load()
    assert gan == GAN(Generator(), Encoder())
    w = apply(gan.generator, params["generator"], jax.random.normal(new_key(), (8, gan.generator.w_dim)), "map")
    x = np.asarray(synthesize(params, w, gan=gan))
    assert x.shape == (8, 64, 64, 3)
    assert x[:, :16, :, 2].mean() > x[:, :16, :, 0].mean()  # skies are bluer than they are red
    assert x.std(axis=(1, 2)).min() > 0.02 and x.std(axis=0).mean() > 0.1  # neither flat nor all the same


def files_fields():
    """The sizes of `small.SMALL` as a file has them."""
    sizes = {"channels": small.CHANNELS, "w_dim": 5}
    return {"generator": {"image_size": small.SIZE, **sizes}, "encoder": {"num_levels": 2, "patch_size": 2, **sizes}}

"""A model on disk, a config that uses it, and a place for results that does not exist yet."""

import pytest

from configs import landscapes
from sdedit_jax import build
from sdedit_jax.weights import native
from tests.cli.tiny import MODEL, Tiny, random_params


@pytest.fixture(scope="package", autouse=True)
def tiny_network():
    """Makes the tests' network one that a config can name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(build.MODELS, "tiny", Tiny)
        yield


@pytest.fixture(scope="module")
def model_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    native.save(path, random_params(), MODEL)
    return path


@pytest.fixture
def config(model_file):
    config = landscapes.get_config()
    config.weights = str(model_file)
    config.editing.num_steps, config.editing.num_samples = 2, 2
    config.sampling.num_steps, config.sampling.num_samples = 2, 2
    return config


@pytest.fixture
def out(tmp_path):
    return tmp_path / "results" / "out"

"""InceptionV3 with random weights, layer by layer, against the torch implementation of torch-fidelity."""

import functools
import hashlib
import importlib
import importlib.util
import sys
import types

import jax
import numpy as np
import pytest

from sdedit_jax import trees
from sdedit_jax.metrics import MetricError, extract_features, fid
from sdedit_jax.metrics.networks import inception_v3, published
from sdedit_jax.metrics.networks.inception import InceptionV3
from sdedit_jax.metrics.networks.resizing import resize
from sdedit_jax.metrics.networks.torch_names import LEAVES, parameter_shapes

torch = pytest.importorskip("torch", reason="the extra [parity] is not installed")
if importlib.util.find_spec("torch_fidelity") is None:
    pytest.skip("torch-fidelity is not installed: pip install --no-deps torch-fidelity", allow_module_level=True)

RTOL = 1e-4  # of the largest value: float32 sums in another order through up to 48 layers
LAYERS = (
    *("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3"),
    *("Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"),
    *("Mixed_7a", "Mixed_7b", "Mixed_7c"),
)


def their_module(name):
    """A module of torch-fidelity by itself: the package imports torchvision, which a CPU build of torch lacks."""
    if "torch_fidelity" not in sys.modules:
        package = types.ModuleType("torch_fidelity")
        package.__path__ = importlib.util.find_spec("torch_fidelity").submodule_search_locations
        sys.modules["torch_fidelity"] = package
    return importlib.import_module(f"torch_fidelity.{name}")


def random_state():
    """A state dict in torch's names and layout, of weights that keep the signal at about one."""
    rng = np.random.default_rng(0)
    state = {}
    for path, leaf in trees.flatten(parameter_shapes(InceptionV3(), 299)).items():
        module, _, name = path.rpartition("/")
        values = rng.standard_normal(leaf.shape)
        if name == "kernel":
            values = values * np.sqrt(2.0 / np.prod(leaf.shape[:-1]))
            values = values.transpose(3, 2, 0, 1) if values.ndim == 4 else values.T
        elif name in ("scale", "var"):
            values = 1.0 + 0.1 * np.abs(values)
        else:
            values = 0.1 * values
        state[f"{published._inception_name(module)}.{LEAVES[name]}"] = torch.tensor(values, dtype=torch.float32)
    return state


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("inception") / "random.pth"
    torch.save(random_state(), path)
    return path


@pytest.fixture(scope="module")
def theirs(weights):
    extractor = their_module("feature_extractor_inceptionv3").FeatureExtractorInceptionV3
    return extractor("random", ["2048"], feature_extractor_weights_path=str(weights))


@functools.cache
def network(path, mode):
    return inception_v3(path, mode=mode, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def images(size=48):
    return np.random.default_rng(1).integers(0, 256, (1, size, size - 9, 3), dtype=np.uint8)


def test_every_layer_is_the_same(weights, theirs):
    outputs = {}

    def note(name, _module, _inputs, output):
        outputs[name] = output.numpy().copy()

    for name in LAYERS:
        getattr(theirs, name).register_forward_hook(functools.partial(note, name))
    (features,) = theirs(torch.tensor(images().transpose(0, 3, 1, 2)))
    ours = network(weights, "legacy_tensorflow")
    apply = jax.jit(functools.partial(ours.net.apply, capture_intermediates=True))
    found, state = apply({"params": ours.params}, resize(images(), 299, "legacy_tensorflow"))
    for name in LAYERS:
        (layer,) = state["intermediates"][name]["__call__"]
        if name.startswith("Conv2d"):
            layer = jax.nn.relu(layer)
        wanted = outputs[name].transpose(0, 2, 3, 1)
        assert wanted.std() > 0.1, name  # two networks that give nothing would agree
        np.testing.assert_allclose(layer, wanted, rtol=0, atol=RTOL * np.abs(wanted).max(), err_msg=name)
    np.testing.assert_allclose(found, features.numpy(), rtol=0, atol=RTOL * features.abs().max().item())
    np.testing.assert_allclose(ours(images()), found, rtol=1e-5)


@pytest.mark.parametrize("size", [32, 299, 401])
def test_the_resize_is_that_of_tensorflow_1(size):
    pictures = np.random.default_rng(size).integers(0, 256, (1, size, size + 7, 3), dtype=np.uint8)
    theirs = their_module("interpolate_compat_tensorflow").interpolate_bilinear_2d_like_tensorflow1x
    wanted = theirs(torch.tensor(pictures.transpose(0, 3, 1, 2)).float(), size=(299, 299), align_corners=False)
    found = resize(pictures, 299, "legacy_tensorflow")
    np.testing.assert_allclose(found.transpose(0, 3, 1, 2), wanted.numpy(), atol=1e-4)  # float32 of up to 255


def test_weights_that_are_not_the_published_ones_have_no_fid(weights):
    ours = network(weights, "legacy_tensorflow")
    assert ours.name.startswith("InceptionV3 of ") and ours.resize == "299 px legacy_tensorflow"
    features = extract_features(ours, [images()])
    with pytest.raises(MetricError, match="not published ones"):
        fid(features, features)

import functools
import hashlib

import jax
import numpy as np
import pytest
from flax import linen as nn

from sdedit_jax import trees
from sdedit_jax.metrics import MetricError, extract_features
from sdedit_jax.metrics.networks import efficientnet_lite0, inception_v3, published, vgg16
from sdedit_jax.metrics.networks.inception import InceptionV3
from sdedit_jax.metrics.networks.layers import NormalizedConv
from sdedit_jax.metrics.networks.torch_names import load_params
from sdedit_jax.pixels import from_uint8
from sdedit_jax.weights.stored import WeightsError
from tests.weights.files.torch_writer import write_zip

FLOAT32 = 1e-4  # relative to the largest feature: sums in another order through some fifty layers

load = functools.cache(lambda loader, size: loader(size))


def noise(size=64):
    return np.random.RandomState(0).randint(0, 256, (2, size, size, 3)).astype(np.uint8)


def test_efficientnet_gives_what_it_gives_in_torch():
    # The same weights in torch 2.13, with its own convolutions and batch normalisation.
    network = load(efficientnet_lite0, 64)
    features = network(noise())
    assert features.shape == (2, network.size) == (2, 1280)
    wanted = [0.8280524, 0.0, 1.4240389, 0.0, 0.0, 0.0, 0.0, 1.082289, 0.10275172, 0.93771374]
    np.testing.assert_allclose(features[0, :10], wanted, atol=FLOAT32 * features.max())
    np.testing.assert_allclose(np.linalg.norm(features, axis=1), [39.458823, 20.810476], rtol=FLOAT32)
    assert (network.name, network.resize, network.pretrained) == ("EfficientNet-Lite0", "64 px", True)


def test_bytes_floats_and_other_sizes_are_taken():
    network = load(efficientnet_lite0, 64)
    np.testing.assert_array_equal(network(from_uint8(noise())), network(noise()))
    large = noise().repeat(2, axis=1).repeat(2, axis=2)
    alike = network(large)
    assert alike.shape == (2, 1280) and 0 < np.abs(alike - network(noise())).max()


def test_vgg16_sees_relu5_3():
    network = load(vgg16, 32)
    features = extract_features(network, [noise(32)])
    assert features.values.shape == (2, 512) and (features.values >= 0).all() and features.values.std() > 0.01
    assert (features.network, features.resize) == ("VGG16 relu5_3", "32 px")


@pytest.mark.parametrize("loader", [efficientnet_lite0, vgg16])
def test_a_size_without_pixels_in_the_end_is_refused(loader):
    with pytest.raises(MetricError, match="32 pixels or more, got 31"):
        loader(31)


def test_inception_has_the_published_shapes():
    x = jax.ShapeDtypeStruct((1, 299, 299, 3), np.float32)
    init = functools.partial(InceptionV3().init_with_output, capture_intermediates=True, mutable=True)
    features, state = jax.eval_shape(init, jax.random.key(0), x)
    params = trees.flatten(state["params"])
    statistics = sum(leaf.size for name, leaf in params.items() if name.endswith(("mean", "var")))
    # torchvision's Inception3 without its auxiliary head has 23,834,568 trained numbers for 1000 classes.
    assert sum(leaf.size for leaf in params.values()) - statistics == 23_834_568 + 8 * 2049
    assert len(params) == 94 * 5 + 2  # 94 convolutions with their statistics, and the classifier
    assert params["Mixed_6b/branch7x7_2/conv/kernel"].shape == (1, 7, 128, 128)

    assert features.shape == (1, 2048)
    shapes = {
        name: state["intermediates"][name]["__call__"][0].shape[1:]
        for name in ("Conv2d_1a_3x3", "Conv2d_4a_3x3", "Mixed_5d", "Mixed_6e", "Mixed_7a", "Mixed_7c")
    }
    # Tables 1 of Szegedy et al. 2015 and of the code published with it.
    assert list(shapes.values()) == [
        (149, 149, 32),
        (71, 71, 192),
        (35, 35, 288),
        (17, 17, 768),
        (8, 8, 1280),
        (8, 8, 2048),
    ]


def test_inception_wants_the_published_file(tmp_path):
    path = tmp_path / "weights.pth"
    with pytest.raises(MetricError, match=r"weights.pth cannot be read .*fetch it from https://github.com/mseitzer"):
        inception_v3(path)
    path.write_bytes(b"something else")
    with pytest.raises(MetricError, match="damaged or another file than the published one"):
        inception_v3(path)
    with pytest.raises(WeightsError, match="cannot be read as a torch file"):
        inception_v3(path, sha256=hashlib.sha256(b"something else").hexdigest())
    with pytest.raises(MetricError, match="got 'bicubic'"):
        inception_v3(path, mode="bicubic")


def test_what_was_fetched_is_used_again(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    sha256 = hashlib.sha256(b"something else").hexdigest()
    path = tmp_path / "sdedit_jax" / "metrics" / sha256[:12] / "inception.pth"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"something else")
    with pytest.raises(WeightsError, match=f"{path} cannot be read"):
        inception_v3("https://example.invalid/weights.pth", sha256=sha256)


class Small(nn.Module):
    @nn.compact
    def __call__(self, x):
        h = NormalizedConv(4, (3, 3), 2, "SAME", depthwise=False, name="stem")(x)
        return nn.Dense(2, name="fc")(h.mean(axis=(1, 2)))


def small_state():
    rng = np.random.default_rng(0)
    shapes = {"weight": (4, 3, 3, 3)}
    state = {"stem.conv.weight": rng.normal(size=shapes["weight"]).astype("f4")}
    for name in ("weight", "bias", "running_mean", "running_var"):
        state[f"stem.bn.{name}"] = rng.uniform(0.5, 1.5, 4).astype("f4")
    state["stem.bn.num_batches_tracked"] = np.array(7)
    return state | {"fc.weight": rng.normal(size=(2, 4)).astype("f4"), "fc.bias": np.array([1, 2], "f4")}


def test_state_dicts_of_torch_are_read(tmp_path):
    state = small_state()
    write_zip(tmp_path / "w", state)
    params = load_params(tmp_path / "w", Small(), 8, published._inception_name)
    x = np.random.default_rng(1).normal(size=(1, 8, 8, 3)).astype("f4")
    found = Small().apply({"params": params}, x)
    # By hand: "SAME" with stride 2 on 8 pixels pads one row below and one column to the right.
    padded = np.pad(x[0], ((0, 1), (0, 1), (0, 0)))
    patches = np.array([[padded[2 * i : 2 * i + 3, 2 * j : 2 * j + 3] for j in range(4)] for i in range(4)])
    h = np.einsum("ijhwc,ochw->ijo", patches, state["stem.conv.weight"])
    h = (h - state["stem.bn.running_mean"]) / np.sqrt(state["stem.bn.running_var"] + 1e-3)
    h = h * state["stem.bn.weight"] + state["stem.bn.bias"]
    wanted = state["fc.weight"] @ h.mean(axis=(0, 1)) + state["fc.bias"]
    np.testing.assert_allclose(found[0], wanted, rtol=1e-4)


def test_a_state_dict_of_another_network_is_refused(tmp_path):
    state = small_state()
    del state["fc.bias"]
    write_zip(tmp_path / "w", state | {"other.weight": np.zeros(3, "f4")})
    with pytest.raises(WeightsError, match=r"missing fc/bias: \(2,\) float32\n  left over other.weight"):
        load_params(tmp_path / "w", Small(), 8, published._inception_name)

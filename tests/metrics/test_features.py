import dataclasses

import numpy as np
import pytest

from sdedit_jax.metrics import MetricError, cached_features, cmmd, extract_features, fid, kid, precision_and_recall
from sdedit_jax.metrics.features import fingerprint, load_features, save_features
from sdedit_jax.pixels import from_uint8


@dataclasses.dataclass
class MeanColors:
    """A FeatureNetwork of three features that remembers what it was given."""

    name: str = "mean colours"
    resize: str = "8 px"
    size: int = 3
    pretrained: bool = True
    batches: list = dataclasses.field(default_factory=list)

    def __call__(self, images):
        self.batches.append(images.shape)
        return images.mean(axis=(1, 2), dtype=np.float32)


IMAGES = np.random.default_rng(0).integers(0, 256, (10, 8, 8, 3), dtype=np.uint8)


def batches(size=4, images=IMAGES):
    return [images[start : start + size] for start in range(0, len(images), size)]


def test_batches_have_one_size_and_change_nothing():
    network = MeanColors()
    features = extract_features(network, batches(4))
    assert network.batches == [(4, 8, 8, 3)] * 3  # a network is compiled once
    np.testing.assert_array_equal(features.values, MeanColors()(IMAGES))
    assert features.fingerprint == extract_features(network, batches(10)).fingerprint == fingerprint(batches(3))
    np.testing.assert_array_equal(features.values, extract_features(network, map(from_uint8, batches(3))).values)


def test_the_fingerprint_sees_every_pixel_and_the_order():
    changed = IMAGES.copy()
    changed[9, 7, 7, 2] ^= 1
    prints = {fingerprint(batches(4, images)) for images in (IMAGES, changed, IMAGES[::-1], IMAGES[:9])}
    assert len(prints) == 4
    wide = IMAGES.reshape(10, 4, 16, 3)
    assert fingerprint([wide]) not in prints


def test_features_are_computed_once_and_kept(tmp_path):
    network = MeanColors()
    path = tmp_path / "deep" / "real.safetensors"
    first = cached_features(path, network, batches)
    used = len(network.batches)
    again = cached_features(path, network, lambda: batches(5))
    assert len(network.batches) == used > 0
    np.testing.assert_array_equal(first.values, again.values)
    assert dataclasses.replace(first, values=None) == dataclasses.replace(again, values=None)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("network", "images", "what"),
    [
        (MeanColors(name="other"), IMAGES, "another network: mean colours, not other"),
        (MeanColors(resize="9 px"), IMAGES, "another resize"),
        (MeanColors(pretrained=False), IMAGES, "another pretrained"),
        (MeanColors(), IMAGES[:9], "another pictures"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path, network, images, what):
    cached_features(tmp_path / "real", MeanColors(), batches)
    with pytest.raises(MetricError, match=what):
        cached_features(tmp_path / "real", network, lambda: [images])


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "real"
    features = extract_features(MeanColors(), batches())
    save_features(path, features)
    whole = path.read_bytes()
    np.testing.assert_array_equal(load_features(path).values, features.values)
    for place in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        path.write_bytes(damaged)
        try:
            found = load_features(path)
        except MetricError as error:
            assert str(path) in str(error)
        else:  # a letter of the description: it is then held against what is wanted, and the numbers are whole
            np.testing.assert_array_equal(found.values, features.values)
            assert dataclasses.replace(found, values=None) != dataclasses.replace(features, values=None)
    for content in (b"", whole[:-1], whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(MetricError, match="damaged"):
            load_features(path)
    with pytest.raises(MetricError, match="There is no file"):
        load_features(tmp_path / "missing")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "no pictures"),
        ([IMAGES[0]], r"\(B, H, W, 3\)"),
        ([IMAGES.astype(np.float32)], "give bytes as uint8"),
        ([np.full((1, 8, 8, 3), np.nan, np.float32)], "NaN"),
    ],
)
def test_what_is_no_picture_is_refused(given, message):
    with pytest.raises(MetricError, match=message):
        extract_features(MeanColors(), given)


def test_a_network_that_breaks_its_word_is_noticed():
    with pytest.raises(MetricError, match=r"shape \(4, 3\), not \(4, 5\)"):
        extract_features(MeanColors(size=5), batches())


def test_results_say_what_they_depend_on():
    edits, real = (extract_features(MeanColors(), batches(5, images)) for images in (IMAGES[:5], IMAGES))
    result = kid(edits, real, num_subsets=3, subset_size=4, seed=7)
    assert result.name == "KID (mean colours, 8 px)"
    assert str(result).endswith("; 5 against 10 pictures; 3 subsets of 4; seed 7") and "±" in str(result)
    assert fid(edits, real).name == "FID (mean colours, 8 px)" and "±" not in str(fid(edits, real))
    assert str(cmmd(edits, real)).endswith("5 against 10 pictures; features of unit length")
    precision, recall = precision_and_recall(edits, real)
    assert precision.mean == 1.0 and precision.metric == "precision" and recall.metric == "recall"


@pytest.mark.parametrize("metric", [kid, fid, cmmd, precision_and_recall])
def test_features_of_two_networks_or_of_no_training_have_no_metric(metric):
    real = extract_features(MeanColors(), batches())
    other = dataclasses.replace(real, resize="16 px")
    with pytest.raises(MetricError, match=r"mean colours \(16 px\) and of mean colours \(8 px\)"):
        metric(other, real)
    random = dataclasses.replace(real, pretrained=False)
    with pytest.raises(MetricError, match="not published ones"):
        metric(random, random)


def test_features_without_direction_have_no_cmmd():
    features = extract_features(MeanColors(), [np.zeros((4, 8, 8, 3), np.uint8)])
    with pytest.raises(MetricError, match="4 pictures have features that are all zero"):
        cmmd(features, features)

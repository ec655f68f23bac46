"""Each network has a name that says all, and two results never share one."""

import numpy as np
import pytest

from sdedit_jax.evaluation import EvaluationError, Measures
from sdedit_jax.evaluation.measuring import as_fields, network_of
from sdedit_jax.metrics import MetricError, Result
from tests.evaluation.few import COUNT

SIZE = 32


@pytest.fixture(scope="module")
def pictures():
    return np.random.default_rng(0).integers(0, 256, (COUNT, SIZE, SIZE, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def loaded(pictures, tmp_path_factory):
    """A folder and the measures that were loaded with its features of real pictures."""
    cache = tmp_path_factory.mktemp("real")
    return cache, Measures.load(["efficientnet_lite0@32"], lambda: [pictures], cache, SIZE)


def test_networks_are_named_with_the_size_that_they_see(loaded):
    _, measures = loaded
    (network,) = measures.networks
    assert (network.name, network.resize, network.pretrained) == ("EfficientNet-Lite0", "32 px", True)
    assert measures.lpips.name == "AlexNet"


@pytest.mark.parametrize("name", ["vgg16", "vgg16@big", "vgg@64", "@64", ""])
def test_a_name_without_a_network_says_what_there_is(name):
    with pytest.raises(EvaluationError, match="A network is efficientnet_lite0@SIZE, vgg16@SIZE or inception_v3@PATH"):
        network_of(name)


def test_a_size_that_no_network_takes_and_weights_that_are_missing_are_told_of(tmp_path):
    with pytest.raises(MetricError, match="32 pixels or more, got 8"):
        network_of("efficientnet_lite0@8")
    with pytest.raises(MetricError, match="cannot be read"):
        network_of(f"inception_v3@{tmp_path}/none.pth")


def test_features_of_real_pictures_are_kept_and_held_to_the_pictures(loaded, pictures):
    cache, measures = loaded
    (path,) = cache.iterdir()
    written = path.stat().st_mtime_ns
    again = Measures.load(["efficientnet_lite0@32"], lambda: np.array_split(pictures, 2), cache, SIZE)
    np.testing.assert_array_equal(again.real[0].values, measures.real[0].values)
    assert path.stat().st_mtime_ns == written
    with pytest.raises(MetricError, match="features of another pictures"):
        Measures.load(["efficientnet_lite0@32"], lambda: [pictures[1:]], cache, SIZE)


def test_a_network_is_wanted_once(tmp_path):
    with pytest.raises(EvaluationError, match="Every network once"):
        Measures.load(["vgg16@64", "vgg16@64"], lambda: [], tmp_path, SIZE)


def test_two_results_of_one_name_are_an_error_and_not_one_of_them():
    result = Result("KID", 0.1, 0.01, "A", "64 px", (10, 10))
    assert as_fields([result]) == {"KID (A, 64 px)": {"mean": 0.1, "std": 0.01, "detail": ""}}
    with pytest.raises(MetricError, match="Two results have one name"):
        as_fields([result, result])

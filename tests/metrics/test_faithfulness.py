import numpy as np
import pytest

from sdedit_jax.metrics import MetricError, l2, over_pictures
from sdedit_jax.pixels import from_uint8


def images(seed=0, count=2, size=8):
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def region(size=8):
    left = np.zeros((1, size, size, 1), bool)
    left[:, :, : size // 2] = True
    return left


def test_black_against_white_is_the_root_of_the_number_of_values():
    black, white = np.full((1, 256, 256, 3), -1.0, np.float32), np.ones((1, 256, 256, 3), np.float32)
    assert l2(black, white) == pytest.approx(np.sqrt(3 * 256 * 256), rel=1e-12)
    # One per cent of the range everywhere is a tenth of the paper's 32 to 38 (tables 1 and 2).
    assert l2(black, black + 0.02) == pytest.approx(4.43, abs=0.01)


def test_bytes_and_floats_of_the_same_pictures_are_the_same():
    x, y = images(0), images(1)
    np.testing.assert_array_equal(l2(x, y), l2(from_uint8(x), from_uint8(y)))
    np.testing.assert_array_equal(l2(x, x), 0.0)


def test_each_picture_is_measured_by_itself():
    x, y = images(0), images(1)
    np.testing.assert_array_equal(l2(x, y), np.concatenate([l2(x[:1], y[:1]), l2(x[1:], y[1:])]))


def test_the_squares_of_two_parts_add_up():
    x, y = images(0), images(1)
    parts = l2(x, y, region()) ** 2 + l2(x, y, ~region()) ** 2
    np.testing.assert_allclose(parts, l2(x, y) ** 2, rtol=1e-12)  # float64
    changed = x.copy()
    changed[:, :, :4] = 0
    assert (l2(x, changed, ~region()) == 0.0).all() and (l2(x, changed, region()) > 0).all()


def test_pixels_beyond_the_range_are_clipped_as_in_a_file():
    x = np.full((1, 4, 4, 3), 1.5, np.float32)
    assert l2(x, np.ones_like(x)) == 0.0


@pytest.mark.parametrize(
    ("x", "y", "where", "message"),
    [
        (images(), images(size=9), None, r"compared one by one, but they are \(2, 8"),
        (images(), images(), np.ones((8, 8)), r"region must be \(1 or 2, 8, 8, 1\), got \(8, 8\)"),
        (images(), images(), np.full((1, 8, 8, 1), 255), "region must be in"),
        (images(), images(), np.zeros((1, 8, 8, 1)), "region is empty"),
        (images(), np.full((2, 8, 8, 3), np.nan), None, "100.0% of the pixels are NaN"),
        (images(), images().astype(np.float32), None, "reach 255: give bytes as uint8"),
        (images().astype(int), images().astype(int), None, "got int64"),
        (images()[0], images()[0], None, r"\(B, H, W, 3\)"),
    ],
)
def test_wrong_uses_are_explained(x, y, where, message):
    with pytest.raises(MetricError, match=message):
        l2(x, y, where)


def test_a_result_over_pictures_says_how_many():
    result = over_pictures("L2", np.array([1.0, 3.0]), 64, detail="edited pixels")
    assert (result.mean, result.std, result.counts) == (2.0, 1.0, (2,))
    assert str(result) == "L2 (64 px) 2.0000 ± 1.0000; 2 pictures; edited pixels"
    for values in (np.array([]), np.array([1.0, np.nan])):
        with pytest.raises(MetricError):
            over_pictures("L2", values, 64)

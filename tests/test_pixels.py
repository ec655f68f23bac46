import numpy as np
import pytest

from sdedit_jax.pixels import from_uint8, to_uint8


def test_every_byte_comes_back_exactly():
    every_byte = np.arange(256, dtype=np.uint8)
    x = from_uint8(every_byte)
    assert x.dtype == np.float32
    np.testing.assert_array_equal(to_uint8(x), every_byte)


def test_the_ends_of_both_ranges_meet():
    np.testing.assert_array_equal(from_uint8(np.array([0, 255], np.uint8)), [-1.0, 1.0])
    np.testing.assert_array_equal(to_uint8(np.array([-1.5, -1.0, 1.0, 7.0, np.inf])), [0, 0, 255, 255, 255])


def test_to_uint8_takes_the_nearest_byte():
    x = np.linspace(-1, 1, 1001, dtype=np.float32)
    half_a_byte = 1 / 255 + 1e-6  # one byte is 2 / 255 wide; 1e-6 for float32 rounding
    assert np.abs(from_uint8(to_uint8(x)) - x).max() <= half_a_byte


def test_nan_is_refused_with_its_share():
    with pytest.raises(ValueError, match="25.0% of its values are NaN"):
        to_uint8(np.array([0.0, 0.0, np.nan, 0.0]))


def test_from_uint8_refuses_what_is_not_bytes():
    with pytest.raises(TypeError, match="got float64"):
        from_uint8(np.zeros(3))

import numpy as np
import pytest

from sdedit_jax.metrics import MetricError, mmd
from sdedit_jax.metrics.mmd import gaussian_mmd
from tests.metrics.samples import gaussian


def test_two_pairs_by_hand():
    x, y = np.zeros((2, 1), np.float32), np.full((2, 1), 10.0, np.float32)
    assert gaussian_mmd(x, y) == pytest.approx(1000 * (2 - 2 * np.exp(-0.5)), rel=1e-12)  # |x - y| is sigma


def test_a_set_against_itself_is_zero_and_never_below():
    x = gaussian(0, 50, 0.0, 1.0)
    assert gaussian_mmd(x, x) == pytest.approx(0.0, abs=1e-9)
    assert gaussian_mmd(x, gaussian(1, 50, 0.0, 1.0)) > 0.0


def test_samples_of_gaussians_approach_the_closed_form():
    # For N(0, I) against N(m, I): E k = (s^2 / (s^2 + 2))^(D/2) exp(-|m|^2 / (2 (s^2 + 2))).
    n, size, shift = 2000, 4, 5.0
    scale = (100 / 102) ** (size / 2)
    wanted = 1000 * 2 * scale * (1 - np.exp(-size * shift**2 / 204))
    found = gaussian_mmd(gaussian(0, n, 0.0, 1.0, size), gaussian(1, n, shift, 1.0, size))
    assert found == pytest.approx(wanted, rel=5 / np.sqrt(n))  # the means are off by 1 / sqrt(n) per feature, of 5


def test_blocks_change_nothing(monkeypatch):
    x, y = gaussian(0, 33, 0.0, 1.0), gaussian(1, 20, 1.0, 1.0)
    whole = gaussian_mmd(x, y)
    monkeypatch.setattr(mmd, "BLOCK", 7)
    assert gaussian_mmd(x, y) == pytest.approx(whole, rel=1e-9)  # float64 sums in another order, less a difference


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (gaussian(0, 1, 0, 1), gaussian(0, 8, 0, 1), "at least 2 pictures"),
        (gaussian(0, 8, 0, 1, 3), gaussian(0, 8, 0, 1, 4), "sizes 3 and 4"),
        (gaussian(0, 8, np.nan, 1), gaussian(0, 8, 0, 1), "NaN or infinite"),
    ],
)
def test_wrong_uses_are_explained(x, y, message):
    with pytest.raises(MetricError, match=message):
        gaussian_mmd(x, y)

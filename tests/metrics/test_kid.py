import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdedit_jax.metrics import MetricError
from sdedit_jax.metrics.kid import kernel_distance
from tests.metrics.samples import gaussian, integers


def test_the_bits_are_those_of_torch_fidelity():
    # torch-fidelity 0.4.0, kid_subsets=10, kid_subset_size=50, on these features.
    mean, std = kernel_distance(integers(1, 80, 4), integers(2, 100, 5), num_subsets=10, subset_size=50)
    assert (mean.hex(), std.hex()) == ("0x1.0e50c33333333p+5", "0x1.adf0b538d88bcp+2")


def test_one_subset_of_everything_is_the_estimate_by_its_definition():
    x, y = gaussian(0, 30, 0.0, 1.0), gaussian(1, 30, 0.5, 1.0)

    def kernel(a, b):
        return (float(a.astype(np.float64) @ b) / len(a) + 1) ** 3

    pairs = [(i, j) for i in range(30) for j in range(30)]
    within = sum(kernel(x[i], x[j]) + kernel(y[i], y[j]) for i, j in pairs if i != j) / (30 * 29)
    between = sum(kernel(x[i], y[j]) for i, j in pairs) / 900
    mean, std = kernel_distance(x, y, num_subsets=1, subset_size=30)
    assert std == 0.0
    assert mean == pytest.approx(within - 2 * between, abs=1e-5)  # sums of 900 float32 values of about 3


def test_it_is_zero_in_expectation_for_one_distribution_and_grows_with_the_distance():
    same, near, far = (
        kernel_distance(gaussian(0, 400, 0, 1), gaussian(1, 400, shift, 1), num_subsets=20, subset_size=200)
        for shift in (0.0, 0.3, 1.0)
    )
    assert abs(same[0]) < 5 * same[1]  # subsets overlap, so their spread is about that of the mean
    assert same[0] + 5 * same[1] < near[0] < far[0]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_seed_decides(seed):
    x, y = integers(1, 20, 4), integers(2, 20, 4)
    result = kernel_distance(x, y, num_subsets=3, subset_size=10, seed=seed)
    assert result == kernel_distance(x, y, num_subsets=3, subset_size=10, seed=seed)
    assert result != kernel_distance(x, y, num_subsets=3, subset_size=10, seed=(seed + 1) % 2**32)


@pytest.mark.parametrize(
    ("x", "y", "settings", "message"),
    [
        (gaussian(0, 8, 0, 1), gaussian(0, 8, 0, 1), {}, "only 8: measure more, or set subset_size to 8"),
        (gaussian(0, 8, 0, 1), gaussian(0, 8, 0, 1, size=5), {}, "sizes 4 and 5"),
        (gaussian(0, 8, 0, 1), np.full((8, 4), np.nan, np.float32), {}, "32 of 32 features are NaN"),
        (gaussian(0, 8, 0, 1)[0], gaussian(0, 8, 0, 1), {}, "one row for each picture"),
        (gaussian(0, 8, 0, 1), gaussian(0, 8, 0, 1), {"subset_size": 1}, "two samples or more"),
    ],
)
def test_wrong_uses_are_explained(x, y, settings, message):
    with pytest.raises(MetricError, match=message):
        kernel_distance(x, y, **settings)

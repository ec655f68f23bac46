import numpy as np
import pytest

from sdedit_jax.metrics import MetricError
from sdedit_jax.metrics.fid import frechet_distance, gaussian_distance
from tests.metrics.samples import gaussian, integers

FLOAT64 = 1e-9  # of numbers of about one, through an eigenvalue problem


def covariance(seed, size=5):
    root = np.random.default_rng(seed).normal(size=(size, size))
    return root @ root.T


def test_the_value_is_that_of_torch_fidelity():
    # torch-fidelity 0.4.0 on these features; it averages in float32.
    assert frechet_distance(integers(1, 80, 4), integers(2, 100, 5)) == pytest.approx(8.349876584149357, rel=1e-6)


def test_diagonal_gaussians_have_a_closed_form():
    rng = np.random.default_rng(0)
    mean_1, mean_2 = rng.normal(size=(2, 5))
    std_1, std_2 = rng.uniform(0.1, 2.0, size=(2, 5))
    found = gaussian_distance(mean_1, np.diag(std_1**2), mean_2, np.diag(std_2**2))
    assert found == pytest.approx(((mean_1 - mean_2) ** 2 + (std_1 - std_2) ** 2).sum(), rel=FLOAT64)


def test_a_scaled_gaussian_has_a_closed_form():
    cov = covariance(1)
    zero = np.zeros(5)
    assert gaussian_distance(zero, cov, zero, 9.0 * cov) == pytest.approx(4.0 * np.trace(cov), rel=FLOAT64)


def test_rotation_and_shift_of_both_change_nothing():
    rng = np.random.default_rng(2)
    rotation = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    (mean_1, mean_2, shift), cov_1, cov_2 = rng.normal(size=(3, 5)), covariance(3), covariance(4)
    moved = gaussian_distance(
        rotation @ mean_1 + shift,
        rotation @ cov_1 @ rotation.T,
        rotation @ mean_2 + shift,
        rotation @ cov_2 @ rotation.T,
    )
    found = gaussian_distance(mean_1, cov_1, mean_2, cov_2)
    assert moved == pytest.approx(found, rel=FLOAT64)
    assert found == pytest.approx(gaussian_distance(mean_2, cov_2, mean_1, cov_1), rel=FLOAT64)


def test_singular_covariances_are_no_trouble():
    samples = gaussian(0, 3, 0.0, 1.0, size=8)  # fewer samples than features
    assert frechet_distance(samples, samples) == pytest.approx(0.0, abs=1e-5)  # roots of rounding, 1e-16 of about one
    assert frechet_distance(samples, samples + 1.0) == pytest.approx(8.0, abs=1e-4)  # and that of float32 in x + 1


def test_samples_approach_the_closed_form():
    n = 20_000
    found = frechet_distance(gaussian(0, n, 0.0, 1.0), gaussian(1, n, 1.0, 2.0))
    wanted = 4 * (1.0 + 1.0)
    # The standard error of the mean's part: 2 |m1 - m2| sqrt(4 (1 + 4) / n) / 2, and as much for the deviations'.
    assert found == pytest.approx(wanted, abs=5 * 2 * np.sqrt(4 * 5 / n))


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (gaussian(0, 1, 0, 1), gaussian(0, 8, 0, 1), "at least 2 pictures in each set, got 1"),
        (gaussian(0, 8, 0, 1, 3), gaussian(0, 8, 0, 1, 4), "sizes 3 and 4"),
        (gaussian(0, 8, 0, 1), gaussian(0, 8, np.inf, 1), "NaN or infinite"),
    ],
)
def test_wrong_uses_are_explained(x, y, message):
    with pytest.raises(MetricError, match=message):
        frechet_distance(x, y)

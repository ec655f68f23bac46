"""The Frechet distance of Heusel et al. 2017 (arXiv:1706.08500), with which FID is computed.

The squared Wasserstein-2 distance between the Gaussians that have the samples' means and covariances:
|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)).
"""

import numpy as np

from sdedit_jax.metrics.checks import check_samples


def frechet_distance(features_1: np.ndarray, features_2: np.ndarray) -> float:
    """The distance between two sets of samples, (N, D) and (M, D); covariances are the unbiased ones.

    The estimate is biased: it falls as the sets grow, so compare only what has the same counts. Below D samples the
    covariances are singular, and it says little. Raises MetricError for fewer than two samples, different sizes, NaN.
    """
    check_samples(features_1, features_2, least=2)
    return gaussian_distance(*_moments(features_1), *_moments(features_2))


def gaussian_distance(mean_1: np.ndarray, cov_1: np.ndarray, mean_2: np.ndarray, cov_2: np.ndarray) -> float:
    """The distance between N(mean_1, cov_1) and N(mean_2, cov_2); means (D,), covariances (D, D).

    The trace of the root is the sum of the roots of the eigenvalues of S1 S2, which are real and not negative; what
    rounding adds to them is dropped.
    """
    difference = mean_1 - mean_2
    eigenvalues = np.linalg.eigvals(cov_1 @ cov_2).astype(np.complex128)
    trace_of_root = np.real(np.sqrt(eigenvalues)).sum()
    return float(difference @ difference + np.trace(cov_1) + np.trace(cov_2) - 2.0 * trace_of_root)


def _moments(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    samples = features.astype(np.float64)
    return samples.mean(axis=0), np.atleast_2d(np.cov(samples, rowvar=False))

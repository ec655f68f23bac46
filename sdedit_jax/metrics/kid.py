"""The kernel distance of Binkowski et al. 2018 (arXiv:1801.01401), with which KID is computed.

An unbiased estimate of the squared maximum mean discrepancy under the kernel k(x, y) = (x . y / D + 1)^3, averaged over
random subsets. Being unbiased it does not depend on the number of samples in expectation, and can come out below zero.
"""

import numpy as np

from sdedit_jax.metrics.checks import MetricError, check_samples

NUM_SUBSETS = 100
SUBSET_SIZE = 1000
SEED = 2020  # the three defaults of torch-fidelity


def kernel_distance(
    features_1: np.ndarray,
    features_2: np.ndarray,
    *,
    num_subsets: int = NUM_SUBSETS,
    subset_size: int = SUBSET_SIZE,
    seed: int = SEED,
) -> tuple[float, float]:
    """Mean and population standard deviation, over random subsets, of the squared distance between two sets.

    `features_1` (N, D), `features_2` (M, D). Subsets, order of summation and precision are those of torch-fidelity, so
    that equal float32 features give equal bits; there too, the result depends on which set comes first.
    Raises MetricError for fewer samples than `subset_size`, features of different sizes, and NaN.
    """
    if num_subsets < 1 or subset_size < 2:
        raise MetricError(f"KID needs a subset of two samples or more, got {num_subsets} subsets of {subset_size}.")
    check_samples(features_1, features_2, least=1)
    fewest = min(len(features_1), len(features_2))
    if fewest < subset_size:
        raise MetricError(
            f"KID draws subsets of {subset_size} pictures, but there are only {fewest}: "
            f"measure more, or set subset_size to {fewest} or less."
        )
    random = np.random.RandomState(seed)
    distances = np.zeros(num_subsets)
    for index in range(num_subsets):
        subset_1 = features_1[random.choice(len(features_1), subset_size, replace=False)]
        subset_2 = features_2[random.choice(len(features_2), subset_size, replace=False)]
        distances[index] = _unbiased_mmd(subset_1, subset_2)
    return float(np.mean(distances)), float(np.std(distances))


def _unbiased_mmd(x: np.ndarray, y: np.ndarray) -> float:
    """The estimate from two sets of one size m; the diagonals, a sample with itself, do not count."""
    m = len(x)
    k_xx, k_yy, k_xy = _kernel(x, x), _kernel(y, y), _kernel(x, y)
    # The order of the sums decides the last bits.
    sum_xx = (k_xx.sum(axis=1) - np.diagonal(k_xx)).sum()
    sum_yy = (k_yy.sum(axis=1) - np.diagonal(k_yy)).sum()
    return (sum_xx + sum_yy) / (m * (m - 1)) - 2 * k_xy.sum(axis=0).sum() / (m * m)


def _kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return (np.matmul(x, y.T) * (1.0 / x.shape[1]) + 1.0) ** 3

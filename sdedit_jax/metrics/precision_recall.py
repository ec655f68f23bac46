"""Precision and recall of Kynkaanniemi et al. 2019 (arXiv:1904.06991).

A set's manifold is the union of the balls around its samples that reach to their k-th nearest neighbours. Precision is
the share of edits inside the manifold of the real pictures, recall the share of real ones inside that of the edits.
"""

from collections.abc import Iterator

import numpy as np

from sdedit_jax.metrics.checks import check_samples

NEIGHBOURS = 3
BLOCK = 1024  # rows of a distance matrix at a time: 10,000 samples then need 80 MB instead of 800


def coverage(features_edit: np.ndarray, features_real: np.ndarray) -> tuple[float, float]:
    """(precision, recall) of edits (N, D) against real pictures (M, D), both in [0, 1], with k = 3.

    Both depend on the counts, so compare only what has the same ones.
    Raises MetricError for fewer than four samples, features of different sizes, and NaN.
    """
    check_samples(features_edit, features_real, least=NEIGHBOURS + 1)
    # In float32 the difference of squares below would decide otherwise about points on the edge of a ball.
    edit, real = features_edit.astype(np.float64), features_real.astype(np.float64)
    return _share_inside(edit, real), _share_inside(real, edit)


def _share_inside(points: np.ndarray, samples: np.ndarray) -> float:
    radii = np.concatenate([np.partition(block, NEIGHBOURS)[:, NEIGHBOURS] for block in _distances(samples, samples)])
    inside = [(block <= radii[None, :]).any(axis=1) for block in _distances(points, samples)]
    return float(np.concatenate(inside).mean())


def _distances(x: np.ndarray, y: np.ndarray) -> Iterator[np.ndarray]:
    """Squared distances (block, M), block by block; that of a sample to itself, 0, is its neighbour number 0."""
    squares = (y**2).sum(axis=1)[None, :]
    for start in range(0, len(x), BLOCK):
        rows = x[start : start + BLOCK]
        yield (rows**2).sum(axis=1)[:, None] + squares - 2.0 * rows @ y.T

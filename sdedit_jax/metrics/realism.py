"""Two sets of features -> how far the edits are from real pictures, under a name that says how it was measured.

The order is (edits, real). Of KID torch-fidelity's ``input1`` are the edits.
"""

import numpy as np

from sdedit_jax.metrics import kid as kernel
from sdedit_jax.metrics.checks import MetricError
from sdedit_jax.metrics.features import Features
from sdedit_jax.metrics.fid import frechet_distance
from sdedit_jax.metrics.mmd import gaussian_mmd
from sdedit_jax.metrics.precision_recall import NEIGHBOURS, coverage
from sdedit_jax.metrics.results import Result


def kid(
    edits: Features,
    real: Features,
    *,
    num_subsets: int = kernel.NUM_SUBSETS,
    subset_size: int = kernel.SUBSET_SIZE,
    seed: int = kernel.SEED,
) -> Result:
    """KID, mean and standard deviation over subsets; see `kid.kernel_distance`."""
    _check_comparable(edits, real)
    mean, std = kernel.kernel_distance(
        edits.values, real.values, num_subsets=num_subsets, subset_size=subset_size, seed=seed
    )
    return _result("KID", mean, std, edits, real, seed=seed, detail=f"{num_subsets} subsets of {subset_size}")


def fid(edits: Features, real: Features) -> Result:
    """FID, one number, which depends on the counts; see `fid.frechet_distance`."""
    _check_comparable(edits, real)
    return _result("FID", frechet_distance(edits.values, real.values), None, edits, real)


def cmmd(edits: Features, real: Features) -> Result:
    """CMMD's distance, of features scaled to unit length as CMMD's are; see `mmd.gaussian_mmd`."""
    _check_comparable(edits, real)
    distance = gaussian_mmd(_unit_length(edits.values), _unit_length(real.values))
    return _result("CMMD's MMD", distance, None, edits, real, detail="features of unit length")


def precision_and_recall(edits: Features, real: Features) -> tuple[Result, Result]:
    """Precision and recall, which depend on the counts; see `precision_recall.coverage`."""
    _check_comparable(edits, real)
    detail = f"k = {NEIGHBOURS}"
    precision, recall = coverage(edits.values, real.values)
    return (
        _result("precision", precision, None, edits, real, detail=detail),
        _result("recall", recall, None, edits, real, detail=detail),
    )


def _result(
    metric: str,
    mean: float,
    std: float | None,
    edits: Features,
    real: Features,
    seed: int | None = None,
    detail: str = "",
) -> Result:
    counts = (len(edits.values), len(real.values))
    return Result(metric, mean, std, edits.network, edits.resize, counts, seed, detail)


def _check_comparable(edits: Features, real: Features) -> None:
    if (edits.network, edits.resize) != (real.network, real.resize):
        raise MetricError(
            f"Features of {edits.network} ({edits.resize}) and of {real.network} ({real.resize}) cannot be compared."
        )
    if not (edits.pretrained and real.pretrained):
        raise MetricError(f"{edits.network} has weights of its own, not published ones: no metric is defined by them.")


def _unit_length(features: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    if not lengths.all():
        raise MetricError(f"{np.count_nonzero(lengths == 0)} pictures have features that are all zero.")
    return features / lengths

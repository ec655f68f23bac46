"""How far edits are from their guides, in pixels; LPIPS, in `networks`, measures it as a network sees it.

SDEdit (Meng et al. 2022, arXiv:2108.01073, tables 1 to 4) reports an L2 distance over all pixels, on values in [0, 1].
Its 32.6 for 256 x 256 strokes is the root of the sum of squares: 0.07 per value. As the sum itself it would be 0.013
per value, 3 of 255, closer than any edit of strokes is.
"""

import numpy as np

from sdedit_jax.metrics.checks import MetricError, as_floats, check_pair
from sdedit_jax.metrics.results import Result


def l2(images_1: np.ndarray, images_2: np.ndarray, region: np.ndarray | None = None) -> np.ndarray:
    """(B,) distances: the root of the sum, over pixels and channels, of squared differences of values in [0, 1].

    `images_1`, `images_2`: (B, H, W, 3), bytes or float pixels in [-1, 1]; what lies outside is clipped, as in a file.
    `region`: the pixels that count, (1 or B, H, W, 1), True or a weight in [0, 1]; None for all. It is the mask itself
    for the edited part, ``~mask`` for the kept one. A sum: it grows as the root of the number of pixels that count, so
    at 64 x 64 it is a quarter of what it is at 256 x 256.
    """
    check_pair(images_1, images_2, region)
    squares = (0.5 * (as_floats(images_1).astype(np.float64) - as_floats(images_2))) ** 2
    weights = 1.0 if region is None else region.astype(np.float64)
    return np.sqrt((squares * weights).sum(axis=(1, 2, 3)))


def over_pictures(
    metric: str, values: np.ndarray, image_size: int, features: str | None = None, detail: str = ""
) -> Result:
    """Mean and standard deviation of one value per picture, (B,), such as those of `l2` and of `networks.Lpips`.

    `image_size`: pixels, on which L2 depends; `features`: the network, if there is one; `detail`: the region, if any.
    """
    if values.ndim != 1 or not len(values):
        raise MetricError(f"One value per picture is wanted, at least one; got an array of shape {values.shape}.")
    if not np.isfinite(values).all():
        raise MetricError(f"{metric} is NaN or infinite for {np.count_nonzero(~np.isfinite(values))} pictures.")
    mean, std = float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64))
    return Result(metric, mean, std, features, f"{image_size} px", (len(values),), detail=detail)

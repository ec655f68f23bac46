"""What every metric asks of its arguments, and the error that says so."""

import numpy as np

from sdedit_jax.pixels import from_uint8, to_uint8

# An edit may overshoot [-1, 1] a little; values beyond this are bytes, or not pictures.
LARGEST_PIXEL = 8.0


class MetricError(ValueError):
    """A number that cannot be computed from what was given, with the reason in one sentence."""


def check_samples(features_1: np.ndarray, features_2: np.ndarray, least: int) -> None:
    """Raises MetricError unless both are (N, D), of one D, with `least` samples or more, and finite."""
    for features in (features_1, features_2):
        if features.ndim != 2:
            raise MetricError(f"Features are (samples, size), one row for each picture; got {features.shape}.")
        if len(features) < least:
            raise MetricError(f"This metric needs at least {least} pictures in each set, got {len(features)}.")
        if bad := np.count_nonzero(~np.isfinite(features)):
            raise MetricError(f"{bad} of {features.size} features are NaN or infinite: look at the pictures.")
    if features_1.shape[1] != features_2.shape[1]:
        sizes = f"{features_1.shape[1]} and {features_2.shape[1]}"
        raise MetricError(f"Features of sizes {sizes} cannot be compared: take both from one network.")


def as_bytes(images: np.ndarray) -> np.ndarray:
    """uint8 (B, H, W, 3), as a file would hold them, of such bytes or of float pixels in [-1, 1], which are clipped.

    Raises MetricError for other shapes and types, for NaN, and for floats that are not in [-1, 1] by far.
    """
    check_images(images)
    return images if images.dtype == np.uint8 else to_uint8(images)


def as_floats(images: np.ndarray) -> np.ndarray:
    """float32 (B, H, W, 3) in [-1, 1], clipped but not rounded; takes and refuses what `as_bytes` does."""
    check_images(images)
    return from_uint8(images) if images.dtype == np.uint8 else np.clip(images, -1.0, 1.0).astype(np.float32)


def check_pair(images_1: np.ndarray, images_2: np.ndarray, region: np.ndarray | None) -> None:
    """Raises MetricError unless two batches have one shape and `region` is (1 or B, H, W, 1), in [0, 1], not empty."""
    if images_1.shape != images_2.shape:
        raise MetricError(f"Pictures are compared one by one, but they are {images_1.shape} and {images_2.shape}.")
    if region is None:
        return
    count, *size_hw, _ = images_1.shape
    if region.shape not in ((1, *size_hw, 1), (count, *size_hw, 1)):
        raise MetricError(f"region must be (1 or {count}, {size_hw[0]}, {size_hw[1]}, 1), got {region.shape}.")
    if not ((region >= 0) & (region <= 1)).all():
        raise MetricError("region must be in [0, 1]: 1 where pixels count, 0 where they do not.")
    if not region.any(axis=(1, 2, 3)).all():
        raise MetricError("region is empty for at least one picture: no pixel of it would count.")


def check_images(images: np.ndarray) -> None:
    """Raises MetricError unless `images` are (B, H, W, 3), B > 0, and bytes or finite floats in about [-1, 1]."""
    if images.ndim != 4 or images.shape[-1] != 3 or 0 in images.shape:
        raise MetricError(f"Pictures are (B, H, W, 3), at least one of them; got {images.shape}.")
    if images.dtype == np.uint8:
        return
    if not np.issubdtype(images.dtype, np.floating):
        raise MetricError(f"Pictures are bytes (uint8) or floats in [-1, 1], got {images.dtype}.")
    if not np.isfinite(images).all():
        raise MetricError(f"{np.mean(~np.isfinite(images)):.1%} of the pixels are NaN or infinite.")
    if np.abs(images).max() > LARGEST_PIXEL:
        raise MetricError(f"Float pixels are in [-1, 1], but they reach {np.abs(images).max():g}: give bytes as uint8.")

"""Pictures -> the size that a network wants, in the two ways that published numbers use.

- ``clean``: bicubic with antialiasing, on floats (Parmar et al. 2022, arXiv:2104.11222);
- ``legacy_tensorflow``: the bilinear resize of TensorFlow 1, whose grid begins at the first pixel's corner and which
  has no antialiasing, as FID was published with.
"""

from typing import Literal, get_args

import numpy as np
from PIL import Image

from sdedit_jax.metrics.checks import MetricError

Resize = Literal["clean", "legacy_tensorflow"]
RESIZES = get_args(Resize)


def resize(images: np.ndarray, size: int, mode: Resize) -> np.ndarray:
    """float32 (B, size, size, 3) in [0, 255] of uint8 (B, H, W, 3); other shapes than squares are squeezed."""
    if mode not in RESIZES:
        raise MetricError(f"resize is one of {', '.join(RESIZES)}, got {mode!r}.")
    if images.shape[1:3] == (size, size):
        return images.astype(np.float32)
    return _clean(images, size) if mode == "clean" else _legacy_tensorflow(images, size)


def _clean(images: np.ndarray, size: int) -> np.ndarray:
    resized = np.empty((len(images), size, size, 3), np.float32)
    for image, target in zip(images, resized, strict=True):
        for channel in range(3):
            plane = Image.fromarray(image[..., channel].astype(np.float32))
            target[..., channel] = np.asarray(plane.resize((size, size), Image.Resampling.BICUBIC))
    return np.clip(resized, 0.0, 255.0)


def _legacy_tensorflow(images: np.ndarray, size: int) -> np.ndarray:
    rows = _blend(images.astype(np.float32), size, axis=2)  # TensorFlow's order: along the rows first
    return _blend(rows, size, axis=1)


def _blend(images: np.ndarray, size: int, axis: int) -> np.ndarray:
    length = images.shape[axis]
    position = np.arange(size, dtype=np.float32) * np.float32(length / size)
    low = position.astype(np.int64)
    weight = (position - low.astype(np.float32)).reshape([-1 if index == axis else 1 for index in range(4)])
    first, second = images.take(low, axis), images.take(np.minimum(low + 1, length - 1), axis)
    return first + (second - first) * weight

"""Bytes <-> the one kind of pixel that lives inside this package: float32 in [-1, 1]."""

import numpy as np


def from_uint8(pixels: np.ndarray) -> np.ndarray:
    """float32 in [-1, 1] of the same shape: byte 0 becomes -1 and byte 255 becomes 1."""
    if pixels.dtype != np.uint8:
        raise TypeError(f"from_uint8 wants bytes (uint8), got {pixels.dtype}.")
    return pixels.astype(np.float32) / np.float32(127.5) - np.float32(1.0)


def to_uint8(x: np.ndarray) -> np.ndarray:
    """uint8 of the same shape, nearest byte; values outside [-1, 1] are clipped, NaN is a ValueError.

    All 256 bytes come back exactly: `to_uint8(from_uint8(b)) == b`.
    """
    x = np.asarray(x, np.float32)
    if np.isnan(x).any():
        raise ValueError(f"A picture must hold numbers, but {np.isnan(x).mean():.1%} of its values are NaN.")
    return np.clip(np.rint((x + 1.0) * 127.5), 0, 255).astype(np.uint8)

"""Fields on a periodic square grid, and the curves that mix them."""

import numpy as np
from numpy.typing import ArrayLike


def color(red: float, green: float, blue: float) -> np.ndarray:
    """(3,) float32 linear RGB."""
    return np.array([red, green, blue], np.float32)


def lerp(a, b, amount):
    """The point `amount` of the way from `a` (0) to `b` (1)."""
    return a + (b - a) * amount


def blend(image: np.ndarray, other: np.ndarray, amount: np.ndarray) -> np.ndarray:
    """(H, W, 3) `image`, replaced by `other` where the (H, W) `amount` is 1."""
    return lerp(image, other, amount[..., None])


def smoothstep(low: float, high: float, x: np.ndarray) -> np.ndarray:
    """0 below `low`, 1 above `high`, and a cubic without corners between."""
    x = np.clip((x - low) / (high - low), 0, 1)
    return x * x * (3 - 2 * x)


def _wave_numbers(size: int) -> np.ndarray:
    """(size, size // 2 + 1) periods per map side, in the layout of `rfft2`."""
    return np.hypot(np.fft.fftfreq(size, 1 / size)[:, None], np.fft.rfftfreq(size, 1 / size)).astype(np.float32)


def spectral_noise(rng: np.random.Generator, size: int, falloff: float, lowest: float) -> np.ndarray:
    """(size, size) float32 periodic Gaussian noise of mean 0 and deviation 1.

    Its power falls as the wave number to the power `-falloff` (2: rough, 4: rolling) and is 0 below `lowest`.
    """
    k = _wave_numbers(size)
    amplitude = np.where(k < lowest, 0, np.maximum(k, 1) ** (-falloff / 2)).astype(np.float32)
    white = rng.standard_normal((size, size), np.float32)
    noise = np.fft.irfft2(np.fft.rfft2(white) * amplitude, s=(size, size))
    return (noise - noise.mean()) / noise.std()


def low_pass(field: np.ndarray, highest: float) -> np.ndarray:
    """`field` without the waves that repeat `highest` times or more per map side."""
    return np.fft.irfft2(np.fft.rfft2(field) * (_wave_numbers(len(field)) < highest), s=field.shape)


def gradient(field: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The slopes of a periodic `field` along x (columns) and y (rows), per map side."""
    half_size = len(field) / 2
    slope_x, slope_y = (np.roll(field, -1, axis) - np.roll(field, 1, axis) for axis in (1, 0))
    return slope_x * half_size, slope_y * half_size


def sample(field: np.ndarray, x: ArrayLike, y: ArrayLike) -> np.ndarray:
    """Bilinear values of a periodic (N, N) or (N, N, 3) `field` at columns `x` and rows `y`, in cells."""
    size = len(field)
    x_floor, y_floor = np.floor(x), np.floor(y)
    right, down = (x - x_floor).astype(np.float32), (y - y_floor).astype(np.float32)
    left_column, top_row = x_floor.astype(np.int32) % size, y_floor.astype(np.int32) % size
    right_column = (left_column + 1) % size
    top, bottom = top_row * size, (top_row + 1) % size * size
    cells = field.reshape(size * size, *field.shape[2:])
    if field.ndim == 3:
        right, down = right[..., None], down[..., None]
    upper = lerp(cells[top + left_column], cells[top + right_column], right)
    lower = lerp(cells[bottom + left_column], cells[bottom + right_column], right)
    return lerp(upper, lower, down)


def shift(field: np.ndarray, x: float, y: float) -> np.ndarray:
    """The periodic `field` seen from `x` columns and `y` rows further: `sample` with one offset for all cells."""
    column, row = int(np.floor(x)), int(np.floor(y))
    field = np.roll(field, (-row, -column), (0, 1))
    field = lerp(field, np.roll(field, -1, 1), np.float32(x - column))
    return lerp(field, np.roll(field, -1, 0), np.float32(y - row))

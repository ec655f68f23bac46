"""A photograph -> the strokes that a person would have painted of it, to measure edits without a hundred painters.

SDEdit (Meng et al. 2022, arXiv:2108.01073, appendix) simulates stroke paintings of 256 x 256 photographs: a median
filter with a kernel of 23 pixels smears the details into patches, then an adaptive palette of six colours paints them.
"""

import numpy as np
from PIL import Image, ImageFilter

from sdedit_jax.pixels import from_uint8, to_uint8

PAPER_KERNEL_SIZE = 23
PAPER_IMAGE_SIZE = 256
COLORS = range(2, 257)  # how many a palette may have


def simulate_strokes(image: np.ndarray, num_colors: int = 6, kernel_size: int | None = None) -> np.ndarray:
    """Stroke painting of `image`, same shape, (H, W, 3) or (B, H, W, 3) float32 in [-1, 1] on the grid of bytes.

    `kernel_size` is odd and in pixels; by default it is the paper's 23 at 256, scaled with the shorter side. The
    median is taken of each colour channel by itself. The palette (at most `num_colors`, 2 to 256, of each picture) is
    found by median cut and painted without dithering. The filter's cost grows as kernel_size^2 per pixel (256 x 256
    takes 0.8 s, 512 x 512 takes 9 s), so scale photographs to the model's size first.
    """
    if image.ndim not in (3, 4) or image.shape[-1] != 3:
        raise ValueError(f"image must be (H, W, 3) or (B, H, W, 3), got {image.shape}.")
    if num_colors not in COLORS:
        raise ValueError(f"num_colors must be from {COLORS[0]} to {COLORS[-1]}, got {num_colors}.")
    if kernel_size is None:
        kernel_size = _scaled_kernel_size(image.shape[-3:-1])
    if kernel_size < 3 or kernel_size % 2 == 0:
        raise ValueError(f"kernel_size must be odd and at least 3, got {kernel_size}.")
    if image.ndim == 4:
        return np.stack([_paint(picture, num_colors, kernel_size) for picture in image])
    return _paint(image, num_colors, kernel_size)


def _paint(image: np.ndarray, num_colors: int, kernel_size: int) -> np.ndarray:
    smeared = Image.fromarray(to_uint8(image)).filter(ImageFilter.MedianFilter(kernel_size))
    painted = smeared.quantize(num_colors, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    return from_uint8(np.asarray(painted.convert("RGB")))


def _scaled_kernel_size(size_hw: tuple[int, ...]) -> int:
    """The odd number nearest to the paper's kernel at this size, at least 3."""
    kernel_size = PAPER_KERNEL_SIZE * min(size_hw) / PAPER_IMAGE_SIZE
    return max(3, 2 * round((kernel_size - 1) / 2) + 1)

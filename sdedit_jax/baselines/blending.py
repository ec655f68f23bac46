"""A guide blended into its background without any model of pictures: Laplacian pyramids and Poisson's equation.

Both take what was pasted or painted as it is and only soften its seam: by mixing coarse detail over a wide border and
fine detail over a narrow one, or by keeping the differences between its pixels and giving up its colours. SDEdit
(Meng et al. 2022, arXiv:2108.01073, table 3) is compared with both.
"""

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse import linalg

KERNEL = np.array([1, 4, 6, 4, 1]) / 16
COARSEST = 8  # pixels of the shorter side, below which no level of a pyramid goes


def laplacian_blend(x_guide: np.ndarray, x_background: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(B, H, W, 3) float32 in [-1, 1]: each band of detail blended over a border as wide as its details.

    Burt and Adelson 1983, "A multiresolution spline". `x_guide`, `x_background`: (B, H, W, 3) in [-1, 1]; `mask`
    (1 or B, H, W, 1), bool or in [0, 1], 1 = guide. The border reaches into the background as far as into the guide,
    so pixels outside the mask change too.
    """
    x_guide, x_background, mask = _checked(x_guide, x_background, mask)
    bands_guide, bands_background = laplacian_pyramid(x_guide), laplacian_pyramid(x_background)
    weights = _gaussian_pyramid(mask)
    bands = [m * a + (1 - m) * b for m, a, b in zip(weights, bands_guide, bands_background, strict=True)]
    return np.clip(from_pyramid(bands), -1.0, 1.0).astype(np.float32)


def poisson_blend(x_guide: np.ndarray, x_background: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(B, H, W, 3) float32 in [-1, 1]: inside the mask the guide's differences, outside the background bit for bit.

    Pérez et al. 2003, "Poisson image editing", equation 7, but that the differences across the border are those of the
    background: a painted or pasted guide has nothing of its own beyond it. `x_guide`, `x_background`: (B, H, W, 3) in
    [-1, 1]; `mask` (1 or B, H, W, 1), the guide wherever it is not 0. Where it covers a whole picture there is no
    border to be solved from, and the guide is returned.
    """
    x_guide, x_background, mask = _checked(x_guide, x_background, mask)
    inside = np.broadcast_to(mask[..., 0] > 0, x_guide.shape[:3])
    pictures = zip(x_guide, x_background, inside, strict=True)
    return np.stack([_solve_poisson(*picture) for picture in pictures]).astype(np.float32)


def laplacian_pyramid(x: np.ndarray) -> list[np.ndarray]:
    """Bands of `x` (B, H, W, C), the finest first, each half the size of the one before; the last is what remains."""
    pyramid = _gaussian_pyramid(x)
    expanded = [_expand(coarse, fine.shape) for fine, coarse in zip(pyramid, pyramid[1:], strict=False)]
    return [fine - coarse for fine, coarse in zip(pyramid, expanded, strict=False)] + pyramid[-1:]


def from_pyramid(bands: list[np.ndarray]) -> np.ndarray:
    """The picture of these bands: the inverse of `laplacian_pyramid`."""
    x = bands[-1]
    for band in bands[-2::-1]:
        x = band + _expand(x, band.shape)
    return x


def _checked(x_guide: np.ndarray, x_background: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, ...]:
    """All three as float64; ValueError unless they fit each other."""
    shape = x_guide.shape
    if len(shape) != 4 or shape[-1] != 3 or x_background.shape != shape:
        raise ValueError(f"Guide and background must both be (B, H, W, 3), got {shape} and {x_background.shape}.")
    if mask.shape not in ((1, *shape[1:3], 1), (*shape[:3], 1)):
        raise ValueError(f"The mask must be (1 or {shape[0]}, {shape[1]}, {shape[2]}, 1), got {mask.shape}.")
    return tuple(np.asarray(array, np.float64) for array in (x_guide, x_background, mask))


def _gaussian_pyramid(x: np.ndarray) -> list[np.ndarray]:
    pyramid = [x]
    while min(pyramid[-1].shape[1:3]) >= 2 * COARSEST:
        pyramid.append(_smooth(pyramid[-1])[:, ::2, ::2])
    return pyramid


def _expand(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """`x` at twice its size, (B, H, W, C) = `shape`: zeros between its pixels, then smoothed."""
    spread = np.zeros((*x.shape[:1], *shape[1:3], *x.shape[3:]))
    spread[:, ::2, ::2] = x
    return 4 * _smooth(spread)


def _smooth(x: np.ndarray) -> np.ndarray:
    for axis in (1, 2):
        # Mirrored about the outermost pixel, zeros between pixels fall on zeros, and constants stay constant.
        x = ndimage.correlate1d(x, KERNEL, axis, mode="mirror")
    return x


def _solve_poisson(x_guide: np.ndarray, x_background: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """(H, W, 3) from two of them and `inside` (H, W), bool."""
    if inside.all():
        return x_guide
    laplacian = _laplacian(inside.shape)[inside.ravel()][:, inside.ravel()].tocsc()
    # A row of the whole Laplacian sums to zero, so that of a pixel sums to its number of neighbours outside.
    neighbours_outside = laplacian.sum(axis=1)[:, None]
    # The guide's change is as smooth as can be, and at the border what brings it to the background.
    change = linalg.splu(laplacian).solve(neighbours_outside * (x_background - x_guide)[inside])
    x = x_background.copy()
    x[inside] = np.clip(x_guide[inside] + change, -1.0, 1.0)
    return x


def _laplacian(size_hw: tuple[int, ...]) -> sparse.csr_array:
    """(H W, H W): each pixel's number of neighbours in the picture times its value, minus the sum of theirs."""
    height, width = size_hw
    below, right = (sparse.diags_array(np.ones(n - 1), offsets=1) for n in size_hw)
    pairs = sparse.kron(below, sparse.eye_array(width)) + sparse.kron(sparse.eye_array(height), right)
    neighbours = pairs + pairs.T
    return sparse.csr_array(sparse.diags_array(neighbours.sum(axis=1)) - neighbours)

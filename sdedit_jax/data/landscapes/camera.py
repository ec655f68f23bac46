"""The camera: a photographer's choice of view, and what its rays meet."""

import dataclasses

import numpy as np

from sdedit_jax.data.landscapes.terrain import Terrain

_DISTANCES = np.geomspace(0.012, 1.25, 260).astype(np.float32)  # of the samples along a ray, in map sides
_NUM_CANDIDATES = 24
_NUM_ATTEMPTS = 8


@dataclasses.dataclass(frozen=True)
class Camera:
    """A level pinhole camera on the map; its picture is square."""

    x: float  # position, in map sides
    y: float
    z: float
    heading: float  # clockwise from the y axis, in radians
    focal_length: float  # in pixels
    horizon: float  # row of the horizon, in pixels from the top
    size: int  # of the picture, in pixels

    @property
    def rows(self) -> np.ndarray:
        """(size,) rows of the pixel centres."""
        return np.arange(self.size, dtype=np.float32) + 0.5

    @property
    def across(self) -> np.ndarray:
        """(size,) tangents of the angle to the right of the heading, per column."""
        return (self.rows - self.size / 2) / np.float32(self.focal_length)

    @property
    def upward(self) -> np.ndarray:
        """(size,) tangents of the angle above the horizon, per row."""
        return (np.float32(self.horizon) - self.rows) / np.float32(self.focal_length)

    def directions(self) -> np.ndarray:
        """(size, size, 3) unit vectors from the eye through the pixels."""
        x, y = _turn(self.heading, self.across)
        rays = np.empty((self.size, self.size, 3), np.float32)
        rays[..., 0], rays[..., 1], rays[..., 2] = x, y, self.upward[:, None]
        return rays / np.linalg.norm(rays, axis=-1, keepdims=True)


@dataclasses.dataclass(frozen=True, eq=False)
class Hits:
    """Where the rays of a camera meet land or water, (size, size) each; meaningless where `found` is False."""

    found: np.ndarray
    x: np.ndarray  # in map sides
    y: np.ndarray
    distance: np.ndarray
    too_close: float  # fraction of the picture that the ground in front of the lens takes


def _turn(heading, across):
    """The map direction, one unit along `heading` and `across` units to its right."""
    return np.sin(heading) + np.cos(heading) * across, np.cos(heading) - np.sin(heading) * across


def _scan(terrain: Terrain, x, y, heading, across: np.ndarray, distances: np.ndarray):
    """The points in the directions `across` (last axis) at `distances` (last but one), and the height there."""
    step_x, step_y = _turn(heading, across)
    ray_x = np.float32(x) + distances[:, None] * step_x.astype(np.float32)
    ray_y = np.float32(y) + distances[:, None] * step_y.astype(np.float32)
    return ray_x, ray_y, terrain.at(terrain.surface, ray_x, ray_y)


def find_view(rng: np.random.Generator, terrain: Terrain, size: int) -> tuple[Camera, Hits]:
    """A random camera with an open view, and what it sees; `size` in pixels."""
    for _ in range(_NUM_ATTEMPTS):
        camera = _choose_camera(rng, terrain, size)
        hits = cast_rays(terrain, camera)
        if hits.too_close < 0.004:
            break
    return camera, hits


def _choose_camera(rng: np.random.Generator, terrain: Terrain, size: int) -> Camera:
    """The best of some random places: nothing in the way, and a varied skyline at the wanted elevation."""
    field_of_view = rng.uniform(0.55, 1.0)
    focal_length = size / 2 / np.tan(field_of_view / 2)
    x, y, heading = rng.uniform(0, [[1], [1], [2 * np.pi]], (3, _NUM_CANDIDATES))
    hill = np.where(rng.random(_NUM_CANDIDATES) < 0.35, rng.uniform(0.02, 0.07, _NUM_CANDIDATES), 0)
    z = terrain.at(terrain.surface, x, y) + rng.uniform(0.006, 0.03, _NUM_CANDIDATES) + hill

    across = np.linspace(-1, 1, 8, endpoint=False) * np.tan(field_of_view / 2)
    distances = _DISTANCES[::6]
    x_scan, y_scan, heading_scan = (values[:, None, None] for values in (x, y, heading))
    height = _scan(terrain, x_scan, y_scan, heading_scan, across, distances)[2]
    elevation = (height - z[:, None, None]) / distances[:, None]
    obstacle = elevation[:, distances < 0.16].max((1, 2))
    skyline = elevation.max(1)
    misfit = np.abs(np.median(skyline, 1) - terrain.skyline)
    best = np.argmin(6 * np.maximum(0, obstacle - 0.05) + 2.5 * misfit - 1.2 * skyline.std(1))

    # High mountains push the horizon down, to keep their peaks in the picture.
    horizon = np.clip(rng.uniform(0.42, 0.62) + 0.45 * max(0, skyline[best].max() - 0.22), 0.38, 0.76)
    return Camera(x[best], y[best], z[best], heading[best], focal_length, size * horizon, size)


def cast_rays(terrain: Terrain, camera: Camera) -> Hits:
    """The first land or water that each pixel sees.

    A height field needs no search per ray: all rays of a column share one vertical plane, and a sample of the ground in
    it hides every row below the highest one seen so far.
    """
    size, num_samples = camera.size, len(_DISTANCES)
    x, y, height = _scan(terrain, camera.x, camera.y, camera.heading, camera.across, _DISTANCES)
    row = camera.horizon + (camera.z - height) * np.float32(camera.focal_length) / _DISTANCES[:, None]
    open_rows = np.clip(np.ceil(np.minimum.accumulate(row) - 0.5), 0, size).astype(np.intp)
    # Row i is still open after a sample if more than i rows are.
    columns = np.arange(size)
    counts = np.bincount((open_rows * size + columns).ravel(), minlength=(size + 1) * size).reshape(size + 1, size)
    num_passed = counts[::-1].cumsum(0)[-2::-1]
    first = np.minimum(num_passed, num_samples - 1)
    return Hits(
        found=num_passed < num_samples,
        x=x[first, columns],
        y=y[first, columns],
        distance=_DISTANCES[first],
        too_close=float((num_passed < 3).mean()),
    )

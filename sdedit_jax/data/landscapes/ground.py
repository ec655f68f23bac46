"""The ground: what grows or lies where, and how the sun lights it."""

import dataclasses

import numpy as np

from sdedit_jax.data.landscapes.daylight import Daylight
from sdedit_jax.data.landscapes.fields import blend, color, gradient, lerp, shift, smoothstep, spectral_noise
from sdedit_jax.data.landscapes.terrain import Terrain

_SNOW = color(0.93, 0.95, 1.0)
_BEACH = color(0.76, 0.64, 0.44)
_NO_SNOW = 9.0  # a snow line above the highest peak, which is at 1
_SNOW_EVERYWHERE = -0.2


@dataclasses.dataclass(frozen=True, eq=False)
class Cover:
    """The colours, (3,) each, of what covers the ground."""

    grass: np.ndarray
    woods: np.ndarray
    rock: np.ndarray


def light_ground(rng: np.random.Generator, terrain: Terrain, daylight: Daylight) -> np.ndarray:
    """(N, N, 3) colour of the terrain as it lies in sun, shadow and sky light."""
    normal_x, normal_y, normal_z = _normals(terrain)
    albedo = _albedo(rng, terrain, slope=1 - normal_z)
    facing_sun = normal_x * daylight.sun[0] + normal_y * daylight.sun[1] + normal_z * daylight.sun[2]
    sunlit = np.clip(facing_sun, 0, 1)
    if not daylight.overcast:
        sunlit *= _unshadowed(terrain, daylight.sun)
    open_sky = 0.55 + 0.45 * normal_z
    return albedo * (sunlit[..., None] * daylight.sunlight + open_sky[..., None] * daylight.skylight)


def _normals(terrain: Terrain) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The unit normals of the land, one (N, N) array per axis."""
    slope_x, slope_y = gradient(terrain.height * terrain.relief)
    normal_z = 1 / np.sqrt(1 + slope_x**2 + slope_y**2)
    return -slope_x * normal_z, -slope_y * normal_z, normal_z


def _choose_cover(rng: np.random.Generator, arid: bool) -> Cover:
    """Meadows and woods in summer, one time in six in autumn; sand in arid country."""
    if arid:
        sand = lerp(color(0.80, 0.58, 0.34), color(0.70, 0.40, 0.24), rng.uniform())
        return Cover(sand, sand * 0.82, lerp(color(0.60, 0.36, 0.22), color(0.50, 0.42, 0.34), rng.uniform()))
    rock = lerp(color(0.34, 0.33, 0.33), color(0.46, 0.38, 0.31), rng.uniform())
    if rng.random() < 0.16:
        return Cover(
            color(0.45, 0.36, 0.14), lerp(color(0.42, 0.20, 0.05), color(0.50, 0.34, 0.08), rng.uniform()), rock
        )
    grass = lerp(color(0.19, 0.30, 0.08), color(0.44, 0.42, 0.18), rng.uniform())
    return Cover(grass, lerp(color(0.045, 0.115, 0.045), color(0.12, 0.17, 0.06), rng.uniform()), rock)


def _albedo(rng: np.random.Generator, terrain: Terrain, slope: np.ndarray) -> np.ndarray:
    """(N, N, 3) reflectance; `slope` is 0 on level ground and 1 on a wall."""
    style, height, size = terrain.style, terrain.height, terrain.grid_size
    cover = _choose_cover(rng, style.arid)
    patches, speckle = spectral_noise(rng, size, 3, 3), spectral_noise(rng, size, 1.8, 8) * 0.05
    bare = smoothstep(0.13, 0.27, slope + speckle)
    if style.alpine:
        bare = np.maximum(bare, smoothstep(0.55, 0.75, height + 2 * speckle))

    albedo = np.broadcast_to(cover.grass, (size, size, 3))
    if not style.arid:
        below_tree_line = 1 - smoothstep(0.5, 0.7, height + speckle)
        albedo = blend(albedo, cover.woods, smoothstep(-0.2, 0.4, patches + rng.uniform(-0.9, 0.9)) * below_tree_line)
    albedo = blend(albedo, cover.rock, bare)
    snow_line = _snow_line(rng, terrain)
    if snow_line < 1:
        snow = smoothstep(snow_line, snow_line + 0.1, height + 1.4 * speckle)
        albedo = blend(albedo, _SNOW, snow * (1 - smoothstep(0.20, 0.36, slope)))
    if terrain.has_water:
        shore = _BEACH if style.name == "coast" else cover.rock * 1.05
        albedo = blend(albedo, shore, 1 - smoothstep(terrain.water_level + 0.004, terrain.water_level + 0.022, height))
    return albedo * (1 + 1.8 * speckle[..., None])


def _snow_line(rng: np.random.Generator, terrain: Terrain) -> float:
    """The height above which snow lies."""
    if not terrain.style.arid and rng.random() < 0.08:
        return _SNOW_EVERYWHERE
    if terrain.style.alpine and rng.random() < 0.72:
        return float(np.quantile(terrain.height, rng.uniform(0.5, 0.93)))
    return _NO_SNOW


def _unshadowed(terrain: Terrain, sun: np.ndarray) -> np.ndarray:
    """(N, N) in [0, 1]: how much of the sun each point sees over the land that lies towards it."""
    land = terrain.height * terrain.relief
    x, y, rise = sun / np.hypot(sun[0], sun[1])
    seen = np.ones_like(land)
    for step in range(1, 20):
        distance = 1.25 * step + 0.06 * step**2  # in cells; longer steps far away, where shadows are soft
        ray = land + np.float32(distance / terrain.grid_size * rise)
        seen = np.minimum(seen, 1 - (shift(land, x * distance, y * distance) - ray) * 150)
    return np.clip(seen, 0, 1)

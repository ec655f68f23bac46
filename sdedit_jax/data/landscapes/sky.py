"""The sky: a clear gradient, the glow around the sun, and a layer of clouds."""

import dataclasses

import numpy as np

from sdedit_jax.data.landscapes.daylight import Daylight
from sdedit_jax.data.landscapes.fields import blend, lerp, sample, smoothstep, spectral_noise


@dataclasses.dataclass(frozen=True, eq=False)
class Clouds:
    """One flat layer of clouds."""

    density: np.ndarray  # (256, 256) noise
    threshold: float  # density at which clouds begin ...
    softness: float  # ... and how much more makes them full
    scale: float  # cells of `density` per height of the layer, along x ...
    stretch: float  # ... and that much of it along y
    opacity: float


def make_clouds(rng: np.random.Generator, overcast: bool) -> Clouds:
    """Random clouds; a nearly closed layer if `overcast`."""
    return Clouds(
        density=spectral_noise(rng, 256, rng.uniform(2.5, 3.3), 2),
        threshold=rng.uniform(-1.2, -0.2) if overcast else rng.uniform(-0.5, 1.6),
        softness=rng.uniform(0.5, 1.3),
        scale=rng.uniform(12, 38),
        stretch=rng.uniform(0.5, 1.0),
        opacity=rng.uniform(0.6, 1.0),
    )


def sky_color(daylight: Daylight, clouds: Clouds, directions: np.ndarray) -> np.ndarray:
    """(..., 3) colour of the sky in the unit `directions` (..., 3), with z up; level below the horizon."""
    up = directions[..., 2]
    sky = lerp(daylight.horizon, daylight.zenith, np.clip(1.5 * np.clip(up, 0, 1) ** 0.6, 0, 1)[..., None])
    if not daylight.overcast:
        sky = sky + _sun_glow(np.einsum("...i,i", directions, daylight.sun))[..., None] * daylight.sunlight
    return _add_clouds(sky, daylight, clouds, directions)


def _sun_glow(cosine: np.ndarray) -> np.ndarray:
    """Haze around the sun, its aureole, and its disc, from the cosine of the angle to the sun."""
    cosine = np.clip(cosine, 0, 1)
    return 0.22 * cosine**6 + 0.45 * cosine**60 + 2.0 * (cosine > 0.9994)


def _add_clouds(sky: np.ndarray, daylight: Daylight, clouds: Clouds, directions: np.ndarray) -> np.ndarray:
    up = directions[..., 2]
    # Where a ray meets the flat layer; the bound keeps the horizon, where it never does, at a finite distance.
    plane = directions[..., :2] / np.maximum(up, 0.025)[..., None] * clouds.scale
    x, y = plane[..., 0], plane[..., 1] * clouds.stretch
    density = sample(clouds.density, x, y)
    towards_sun = sample(clouds.density, x + 3 * daylight.sun[0], y + 3 * daylight.sun[1])
    brightness = np.clip(0.86 + 0.17 * (density - towards_sun), 0.45, 1.15)
    white = np.clip(brightness[..., None] * (0.62 * daylight.sunlight + 0.75 * daylight.skylight + 0.12), 0, 1.08)
    cover = smoothstep(clouds.threshold, clouds.threshold + clouds.softness, density)
    return blend(sky, white, cover * smoothstep(0.02, 0.13, up) * clouds.opacity)

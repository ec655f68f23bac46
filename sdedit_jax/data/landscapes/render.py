"""The picture: what the camera sees of the ground, the water and the sky, through the air."""

import dataclasses

import numpy as np

from sdedit_jax.data.landscapes.camera import Camera, Hits, find_view
from sdedit_jax.data.landscapes.daylight import Daylight, make_daylight
from sdedit_jax.data.landscapes.fields import blend, color, lerp, sample, spectral_noise
from sdedit_jax.data.landscapes.ground import light_ground
from sdedit_jax.data.landscapes.sky import Clouds, make_clouds, sky_color
from sdedit_jax.data.landscapes.terrain import Terrain, make_terrain


@dataclasses.dataclass(frozen=True, eq=False)
class Scene:
    """A country at one moment: all that its views share."""

    terrain: Terrain
    daylight: Daylight
    clouds: Clouds
    ground: np.ndarray  # (N, N, 3) lit colour of the terrain
    grain: np.ndarray  # (128, 128) noise: grass and stones, too small for the terrain
    ripples: np.ndarray  # (128, 128) noise on the water


@dataclasses.dataclass(frozen=True, eq=False)
class Air:
    """The haze between the camera and each pixel."""

    color: np.ndarray  # (3,)
    opacity: np.ndarray  # (size, size) in [0, 1]


def render_landscapes(
    seed: int, *, num_views: int = 4, image_size: int = 64, supersampling: int = 2, grid_size: int = 320
) -> np.ndarray:
    """(num_views, image_size, image_size, 3) uint8 pictures of the one landscape that `seed` (>= 0) stands for.

    A view does not depend on how many there are. Each pixel is the mean of `supersampling`² rays; the terrain has
    `grid_size`² cells, and pictures of 128 pixels deserve 512.
    """
    return render_views(seed, num_views, image_size, supersampling, grid_size)[0]


def make_scene(rng: np.random.Generator, grid_size: int) -> Scene:
    """A random scene."""
    terrain, daylight = make_terrain(rng, grid_size), make_daylight(rng)
    return Scene(
        terrain=terrain,
        daylight=daylight,
        clouds=make_clouds(rng, daylight.overcast),
        ground=light_ground(rng, terrain, daylight),
        grain=spectral_noise(rng, 128, 1.0, 6),
        ripples=spectral_noise(rng, 128, 1.5, 4),
    )


def render_views(
    seed: int, num_views: int, image_size: int, supersampling: int, grid_size: int
) -> tuple[np.ndarray, str]:
    """The pictures of `render_landscapes`, and the name of the terrain's style."""
    scene_rng, *view_rngs = (
        np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(1 + num_views)
    )
    scene = make_scene(scene_rng, grid_size)
    views = [_render_view(rng, scene, image_size, supersampling) for rng in view_rngs]
    return np.stack(views), scene.terrain.style.name


def _render_view(rng: np.random.Generator, scene: Scene, image_size: int, supersampling: int) -> np.ndarray:
    """(image_size, image_size, 3) uint8 picture from a place of the photographer's choice."""
    camera, hits = find_view(rng, scene.terrain, image_size * supersampling)
    directions = camera.directions()
    sky = sky_color(scene.daylight, scene.clouds, directions)
    air = _make_air(rng, scene.daylight, camera, hits, sky)
    water = hits.found & (scene.terrain.at(scene.terrain.height, hits.x, hits.y) < scene.terrain.water_level)

    land = blend(_ground_color(scene, hits), air.color, air.opacity)
    image = np.where(hits.found[..., None], land, sky)
    if water.any():
        lake = _water_color(rng, scene, camera, image, directions, supersampling)
        image = np.where(water[..., None], blend(lake, air.color, 0.55 * air.opacity), image)
    return _develop(image, supersampling)


def _make_air(rng: np.random.Generator, daylight: Daylight, camera: Camera, hits: Hits, sky: np.ndarray) -> Air:
    """Aerial perspective: far land fades into the colour of the sky just above the horizon."""
    density = rng.uniform(0.4, 1.5) * (1.6 if daylight.overcast else 1.0)
    above_horizon = int(np.clip(camera.horizon - 3, 0, camera.size - 1))
    return Air(
        color=lerp(daylight.horizon, sky[above_horizon].mean(0), 0.5),
        opacity=1 - np.exp(-((hits.distance * density) ** 1.35)),
    )


def _ground_color(scene: Scene, hits: Hits) -> np.ndarray:
    """The lit ground, with grain that is finest near the camera."""
    x, y = hits.x * scene.terrain.grid_size, hits.y * scene.terrain.grid_size
    fine = sample(scene.grain, 5 * x, 5 * y) * np.exp(-14 * hits.distance)
    coarse = sample(scene.grain, 1.7 * x, 1.7 * y) * np.exp(-5 * hits.distance)
    return sample(scene.ground, x, y) * (1 + 0.16 * (fine + 0.7 * coarse))[..., None]


def _water_color(
    rng: np.random.Generator,
    scene: Scene,
    camera: Camera,
    image: np.ndarray,
    directions: np.ndarray,
    supersampling: int,
) -> np.ndarray:
    """Water: its own colour, and on it the mirrored `image`, the stronger the flatter the look."""
    daylight, downward = scene.daylight, np.maximum(-camera.upward, 0.006)[:, None]
    ripples = sample(scene.ripples, 7 * camera.across / downward, 9 / downward)
    # Distant ripples are smaller than a pixel and only near ones displace the mirror image.
    shake = ripples * rng.uniform(0.3, 1.5) * supersampling * np.clip(6 * downward, 0.1, 1)
    mirrored = np.clip(2 * camera.horizon - camera.rows[:, None] + shake, 0, camera.size - 1).astype(np.intp)
    reflection = image[mirrored, np.arange(camera.size)]
    # Schlick's approximation of the Fresnel reflectance, brightened: lakes are photographed for their reflections.
    reflectance = (0.3 + 0.7 * (1 - np.abs(directions[..., 2])) ** 5) * rng.uniform(0.7, 0.95)
    deep = lerp(color(0.02, 0.10, 0.16), color(0.04, 0.22, 0.26), np.float32(rng.uniform()))
    return blend(deep * (1.3 * daylight.skylight + 0.35 * daylight.sunlight), reflection, reflectance)


def _develop(image: np.ndarray, supersampling: int) -> np.ndarray:
    """uint8 picture of linear light: a tone curve with a soft shoulder, then the mean of each pixel's rays."""
    image = np.maximum(image, 0)
    image = np.clip(1.12 * image / (1 + 0.18 * image), 0, 1) ** np.float32(1 / 1.22)
    size = len(image) // supersampling
    image = image.reshape(size, supersampling, size, supersampling, 3).mean((1, 3))
    return np.rint(255 * image).astype(np.uint8)

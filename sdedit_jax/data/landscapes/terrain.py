"""The land: a height field of one of six styles."""

import dataclasses

import numpy as np

from sdedit_jax.data.landscapes.fields import gradient, low_pass, sample, smoothstep, spectral_noise

_SEA_FLOOR = -1.0
_HIGHEST_RELIEF = 0.42


@dataclasses.dataclass(frozen=True)
class Style:
    """What kind of country it is. Pairs are the ends of a uniform draw."""

    name: str
    probability: float
    ridges: float  # weight of sharp mountain ridges ...
    swells: float  # ... and of rolling ground
    peakedness: tuple[float, float]  # exponent of the heights: above 1, flat valleys and few peaks
    steepness: tuple[float, float]  # of the steep slopes, in degrees
    skyline: tuple[float, float]  # wanted elevation of the skyline: a tangent
    flooded: tuple[float, float] = (0.0, 0.0)  # fraction of the land under water ...
    flood_probability: float = 0.0  # ... if there is any
    alpine: bool = False  # bare summits, often with snow
    arid: bool = False  # sand instead of grass, no woods, no snow


STYLES = (
    Style("alps", 0.30, 0.8, 0.45, (1.2, 1.9), (28, 42), (0.15, 0.34), alpine=True),
    Style("hills", 0.16, 0.06, 0.5, (1.2, 1.9), (9, 18), (0.04, 0.12), (0.1, 0.3), 0.35),
    Style("lake", 0.26, 0.55, 0.6, (1.2, 1.9), (22, 38), (0.10, 0.26), (0.2, 0.5), 1.0, alpine=True),
    Style("desert", 0.08, 0.2, 0.5, (1.2, 1.9), (8, 28), (0.04, 0.20), arid=True),
    Style("coast", 0.12, 0.3, 0.7, (1.2, 1.2), (12, 26), (0.04, 0.12), (0.45, 0.7), 1.0),
    Style("plain", 0.08, 0.25, 0.6, (2.6, 2.6), (24, 38), (0.12, 0.30), alpine=True),
)


@dataclasses.dataclass(frozen=True, eq=False)
class Terrain:
    """A periodic map of the land, 1 wide; its water stands at one level."""

    style: Style
    height: np.ndarray  # (N, N) float32 in [0, 1], in units of `relief`
    relief: float  # height of the highest peak, in map sides
    water_level: float  # in units of `relief`; negative on dry land
    skyline: float  # wanted elevation of the skyline: a tangent
    surface: np.ndarray = dataclasses.field(init=False)  # (N, N) land or water, whichever is higher, in map sides

    def __post_init__(self):
        object.__setattr__(self, "surface", np.maximum(self.height, np.float32(self.water_level)) * self.relief)

    @property
    def grid_size(self) -> int:
        """Cells along a side of the map."""
        return len(self.height)

    @property
    def has_water(self) -> bool:
        """Whether there is a lake or a sea."""
        return self.water_level > 0

    def at(self, field: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Values of a `field` of this map at the positions `x`, `y`, in map sides."""
        return sample(field, x * self.grid_size, y * self.grid_size)


def make_terrain(rng: np.random.Generator, grid_size: int) -> Terrain:
    """A random terrain on (grid_size, grid_size) cells."""
    style = STYLES[rng.choice(len(STYLES), p=[style.probability for style in STYLES])]
    height = _raise_land(rng, style, grid_size)
    return Terrain(
        style=style,
        height=height,
        relief=_relief(height, rng.uniform(*style.steepness)),
        water_level=_flood(rng, style, height),
        skyline=rng.uniform(*style.skyline),
    )


def _raise_land(rng: np.random.Generator, style: Style, size: int) -> np.ndarray:
    """(size, size) heights from 0 to 1: ridges where the ground swells, and the swells themselves."""
    swells = spectral_noise(rng, size, rng.uniform(3.2, 4.0), 1)
    main_crests = spectral_noise(rng, size, rng.uniform(3.3, 4.0), 2)
    side_crests = spectral_noise(rng, size, rng.uniform(2.6, 3.1), 6)
    roughness = spectral_noise(rng, size, 2.2, 10)
    # Where noise crosses zero, 1 - |noise| has the sharp crest of a mountain ridge.
    ridges = 1 - np.abs(main_crests) * rng.uniform(0.8, 1.1)
    ridges += 0.35 * (1 - np.abs(side_crests)) * smoothstep(-0.5, 1.0, swells)
    height = style.ridges * ridges * smoothstep(-1.4, 1.0, swells) + style.swells * swells + 0.012 * roughness
    height = (height - height.min()) / (height.max() - height.min())
    return height ** np.float32(rng.uniform(*style.peakedness))


def _relief(height: np.ndarray, steepness: float) -> float:
    """The relief at which the steep slopes of the large forms have `steepness` degrees."""
    steep = np.quantile(np.hypot(*gradient(low_pass(height, 9))), 0.95)
    return float(min(np.tan(np.radians(steepness)) / steep, _HIGHEST_RELIEF))


def _flood(rng: np.random.Generator, style: Style, height: np.ndarray) -> float:
    """The water level, or the sea floor where the land stays dry."""
    if rng.random() >= style.flood_probability:
        return _SEA_FLOOR
    return float(np.quantile(height, rng.uniform(*style.flooded)))

"""The light: where the sun stands, and the colours of sun and sky at that time of day."""

import dataclasses

import numpy as np

from sdedit_jax.data.landscapes.fields import color, lerp


@dataclasses.dataclass(frozen=True, eq=False)
class TimeOfDay:
    """Range of the light of one time of day. Pairs are the ends of a uniform draw."""

    name: str
    probability: float
    elevation: tuple[float, float]  # of the sun, in radians
    zenith: tuple[np.ndarray, np.ndarray]
    zenith_gain: tuple[float, float]
    horizon: tuple[np.ndarray, np.ndarray]
    horizon_gain: tuple[float, float]
    sunlight: np.ndarray
    skylight: np.ndarray
    overcast: bool = False


TIMES_OF_DAY = (
    TimeOfDay(
        name="day",
        probability=0.56,
        elevation=(0.45, 1.1),
        zenith=(color(0.15, 0.35, 0.72), color(0.15, 0.35, 0.72)),
        zenith_gain=(0.75, 1.2),
        horizon=(color(0.62, 0.78, 0.93), color(0.82, 0.87, 0.90)),
        horizon_gain=(1.0, 1.0),
        sunlight=color(1.30, 1.235, 1.118),
        skylight=color(0.231, 0.286, 0.385),
    ),
    TimeOfDay(
        name="golden hour",
        probability=0.24,
        elevation=(0.14, 0.36),
        zenith=(color(0.26, 0.42, 0.70), color(0.26, 0.42, 0.70)),
        zenith_gain=(0.7, 1.05),
        horizon=(color(0.98, 0.80, 0.58), color(0.95, 0.86, 0.74)),
        horizon_gain=(1.0, 1.0),
        sunlight=color(1.35, 0.999, 0.621),
        skylight=color(0.234, 0.25, 0.322),
    ),
    TimeOfDay(
        name="dusk",
        probability=0.11,
        elevation=(0.04, 0.12),
        zenith=(color(0.14, 0.17, 0.42), color(0.32, 0.22, 0.45)),
        zenith_gain=(1.0, 1.0),
        horizon=(color(0.98, 0.50, 0.32), color(0.95, 0.66, 0.55)),
        horizon_gain=(0.85, 1.0),
        sunlight=color(0.85, 0.468, 0.289),
        skylight=color(0.209, 0.187, 0.275),
    ),
    TimeOfDay(
        name="overcast",
        probability=0.09,
        elevation=(0.5, 1.0),
        zenith=(color(0.56, 0.61, 0.67), color(0.56, 0.61, 0.67)),
        zenith_gain=(0.8, 1.1),
        horizon=(color(0.80, 0.83, 0.86), color(0.80, 0.83, 0.86)),
        horizon_gain=(1.0, 1.0),
        sunlight=color(0.5, 0.5, 0.5),
        skylight=color(0.48, 0.52, 0.56),
        overcast=True,
    ),
)


@dataclasses.dataclass(frozen=True, eq=False)
class Daylight:
    """Sun and clear sky at one moment; colours and `sun`, the direction towards it, are (3,) float32."""

    sun: np.ndarray
    sunlight: np.ndarray
    skylight: np.ndarray
    zenith: np.ndarray
    horizon: np.ndarray
    overcast: bool


def make_daylight(rng: np.random.Generator) -> Daylight:
    """Random daylight."""
    time = TIMES_OF_DAY[rng.choice(len(TIMES_OF_DAY), p=[time.probability for time in TIMES_OF_DAY])]
    elevation, azimuth = rng.uniform(*time.elevation), rng.uniform(0, 2 * np.pi)
    sun = (np.sin(azimuth) * np.cos(elevation), np.cos(azimuth) * np.cos(elevation), np.sin(elevation))
    return Daylight(
        sun=np.array(sun, np.float32),
        sunlight=time.sunlight,
        skylight=time.skylight,
        zenith=lerp(*time.zenith, np.float32(rng.uniform())) * np.float32(rng.uniform(*time.zenith_gain)),
        horizon=lerp(*time.horizon, np.float32(rng.uniform())) * np.float32(rng.uniform(*time.horizon_gain)),
        overcast=time.overcast,
    )

"""A brush: a painting is a list of strokes, and a stroke is a path through a few points.

The brush has many bristles that each carry a little more or less paint, so its strokes have rough edges and frayed
ends; the hand that guides it trembles. Points are (x, y) in [0, 1] from the top left, widths are in canvas widths,
colours are bytes, and one seed decides everything that is random.
"""

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image, ImageDraw

SIZE = 256
FINE = 2  # painted this much finer and averaged, for edges without stairs

Color = tuple[int, int, int]
Points = Sequence[tuple[float, float]]


@dataclasses.dataclass(frozen=True)
class Stroke:
    """One movement of the brush."""

    color: Color
    width: float
    points: Points
    pressure: tuple[float, float] = (1.0, 1.0)  # share of the width at the start and at the end


def paint(strokes: Iterable[Stroke], seed: int) -> Image.Image:
    """The painting, RGBA and transparent where no stroke went."""
    rng = np.random.default_rng(seed)
    canvas = Image.new("RGBA", (SIZE * FINE, SIZE * FINE))
    for stroke in strokes:
        _draw_stroke(ImageDraw.Draw(canvas), stroke, rng)
    return canvas.reduce(FINE)


def _draw_stroke(draw: ImageDraw.ImageDraw, stroke: Stroke, rng: np.random.Generator) -> None:
    path = _smooth(np.array(stroke.points) * SIZE * FINE)
    path = path + _tremble(len(path), rng) * (0.05 * stroke.width * SIZE * FINE)
    tangents = np.gradient(path, axis=0)
    normals = tangents[:, ::-1] * (-1, 1) / np.maximum(np.linalg.norm(tangents, axis=1, keepdims=True), 1e-6)
    width = stroke.width * SIZE * FINE
    spread = np.linspace(*stroke.pressure, len(path))[:, None] * normals
    spacing = 2.0
    offsets = np.arange(-width / 2, width / 2 + spacing, spacing)
    for offset in rng.permutation(offsets):
        across = 2 * offset / width
        frayed = int((1 - np.sqrt(max(0.0, 1 - across**2))) * width / 4 + rng.exponential(width / 12))
        bristle = path + spread * (offset + rng.normal(0, spacing / 2))
        bristle = bristle[frayed : len(bristle) - frayed - int(rng.exponential(width / 8))]
        if len(bristle) > 1:
            paint_load = rng.normal(1.0, 0.035)
            color = tuple(int(np.clip(c * paint_load, 0, 255)) for c in stroke.color)
            draw.line([tuple(p) for p in bristle], fill=(*color, 255), width=int(spacing * 2.5))


def _smooth(points: np.ndarray) -> np.ndarray:
    """A point per pixel along a curve (Catmull-Rom) through `points`."""
    padded = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    pieces = []
    for before, start, end, after in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        u = np.linspace(0, 1, max(2, int(np.linalg.norm(end - start))), endpoint=False)[:, None]
        turn = (2 * before - 5 * start + 4 * end - after) * u**2 + (3 * (start - end) + after - before) * u**3
        pieces.append(start + 0.5 * ((end - before) * u + turn))
    return np.concatenate(pieces)


def _tremble(length: int, rng: np.random.Generator) -> np.ndarray:
    """(length, 2) slow random movement of unit size: the hand."""
    knots = max(2, length // 40)
    positions = np.linspace(0, knots - 1, length)
    return np.stack([np.interp(positions, np.arange(knots), rng.normal(size=knots)) for _ in range(2)], axis=1)

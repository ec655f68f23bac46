"""A brush: a painting is a list of strokes, and a stroke is a path through a few points.

`fill`, `box` and `oval` are what most paintings are made of.

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


def fill(first: Points, last: Points, color: Color, width: float, last_color: Color | None = None) -> list[Stroke]:
    """Strokes side by side from the edge `first` to the edge `last`, paths of as many points, and not beyond them."""
    start, end = np.array(first, float), np.array(last, float)
    distance = np.linalg.norm(end - start, axis=1).max()
    margin = min(0.5, 0.5 * width / distance)
    positions = np.linspace(margin, 1 - margin, max(1, round(distance / (0.6 * width))))
    return [
        Stroke(mix(color, last_color or color, u), width, [(x, y) for x, y in (1 - u) * start + u * end])
        for u in positions
    ]


def box(left: float, top: float, right: float, bottom: float, color: Color, width: float) -> list[Stroke]:
    """An upright rectangle, filled along its longer sides."""
    if right - left >= bottom - top:
        return fill([(left, top), (right, top)], [(left, bottom), (right, bottom)], color, width)
    return fill([(left, top), (left, bottom)], [(right, top), (right, bottom)], color, width)


def oval(
    center: tuple[float, float], radii: tuple[float, float], color: Color, width: float, last_color: Color | None = None
) -> list[Stroke]:
    """An ellipse of strokes along its longer axis, from left to right or top to bottom, and an arc on each side."""
    reach = np.array(radii) - width / 2  # of the middle of the brush
    tall = reach[1] > reach[0]
    num_chords = max(1, round(2 * reach.min() / (0.6 * width)))
    positions = np.linspace(-1, 1, num_chords + 2)[1:-1]
    angles = np.linspace(-1.7, 1.7, 9)
    paths = [(u, [(u, -np.sqrt(1 - u**2)), (u, np.sqrt(1 - u**2))]) for u in positions]
    paths += [(side, list(zip(side * np.cos(angles), np.sin(angles), strict=True))) for side in (-1.0, 1.0)]
    return [
        Stroke(
            mix(color, last_color or color, (u + 1) / 2),
            width,
            [tuple(center + reach * (path if tall else path[::-1])) for path in np.array(points)],
        )
        for u, points in paths
    ]


def mix(first: Color, second: Color, u: float) -> Color:
    """`first` at u = 0, `second` at u = 1."""
    red, green, blue = (round((1 - u) * a + u * b) for a, b in zip(first, second, strict=True))
    return red, green, blue


def on_paper(layer: Image.Image) -> Image.Image:
    """The painting on paper of its own mean colour, so that a gap between two strokes does not shine."""
    mean_color = tuple(np.asarray(layer)[..., :3].mean(axis=(0, 1)).astype(int))
    paper = Image.new("RGB", layer.size, mean_color)
    paper.paste(layer, mask=layer)
    return paper


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

"""Landscapes in the colours of the rendered ones, so that a model of them knows what the strokes mean."""

import numpy as np
from brush import Color, Points, Stroke, mix
from PIL import Image

from sdedit_jax.data.landscapes import render_landscapes


def wash(edge: Points, bottom: float, far: Color, near: Color, width: float) -> list[Stroke]:
    """Strokes that follow `edge`, ever lower and flatter down to y = `bottom`, from colour `far` to `near`."""
    points = np.array(edge, float)
    num_strokes = max(1, round((bottom - points[:, 1].min()) / (0.55 * width)))
    strokes = []
    for u in np.linspace(0, 1, num_strokes):
        heights = (1 - u) * (points[:, 1] + width / 2) + u * bottom
        strokes.append(Stroke(mix(far, near, u), width, list(zip(points[:, 0], heights, strict=True))))
    return strokes


def sky(horizon: float, zenith_color: Color, horizon_color: Color) -> list[Stroke]:
    """Broad strokes from side to side, lighter towards the horizon."""
    return wash([(-0.1, -0.03), (0.4, 0.0), (1.1, -0.02)], horizon, zenith_color, horizon_color, 0.13)


def cloud(x: float, y: float, length: float, color: Color) -> list[Stroke]:
    """A long flat stroke with two shorter ones on its back."""
    parts = [(0.0, 0.0, 1.0), (-0.12, -0.10, 0.5), (0.2, -0.07, 0.35)]
    return [
        Stroke(
            color,
            0.13 * length + 0.012,
            [
                (x + (dx - 0.5 * share) * length, y + dy * length),
                (x + dx * length, y + (dy - 0.03) * length),
                (x + (dx + 0.5 * share) * length, y + (dy + 0.01) * length),
            ],
        )
        for dx, dy, share in parts
    ]


def shade(start: tuple[float, float], end: tuple[float, float], color: Color) -> Stroke:
    """A long dark stroke that swells on its way: the shadow of a cloud or of a dune."""
    (x0, y0), (x1, y1) = start, end
    return Stroke(color, 0.075, [start, ((x0 + x1) / 2, (y0 + y1) / 2 - 0.025), end], (0.3, 1.0))


def mountain(peak: tuple[float, float], base: float, spread: float, light: Color, dark: Color) -> list[Stroke]:
    """Strokes from the peak down both flanks, `light` on the left and `dark` on the right."""
    x, y = peak
    strokes = []
    for u in (1.0, 0.7, 0.4, 0.12):
        for side, color in ((-1, light), (1, dark)):
            foot = (x + side * spread * u, base)
            middle = (x + side * spread * u * 0.46, y + (base - y) * 0.54)
            strokes.append(Stroke(mix(color, light, 0.15 * u), 0.36 * spread, [(x, y), middle, foot], (0.1, 1.0)))
    return strokes


def snow(peak: tuple[float, float], spread: float, color: Color) -> list[Stroke]:
    """Short strokes down from the peak, unequal in length."""
    x, y = peak
    feet = [(-0.33, 0.5), (-0.12, 0.75), (0.08, 0.55), (0.27, 0.42)]
    return [Stroke(color, 0.22 * spread, [(x, y), (x + dx * spread, y + dy * spread)], (0.1, 1.0)) for dx, dy in feet]


BLUE, PALE_BLUE, CLOUD, SNOW = (70, 122, 200), (150, 182, 224), (232, 236, 243), (238, 241, 246)
ROCK, DARK_ROCK, FOREST = (146, 144, 142), (84, 86, 92), (52, 74, 40)
LAKE, DEEP_LAKE, MEADOW, DARK_MEADOW = (98, 132, 166), (38, 76, 114), (104, 134, 56), (64, 88, 40)
DUNE, BRIGHT_DUNE, DUNE_SHADE = (226, 154, 108), (242, 166, 114), (196, 124, 84)


def mountain_lake() -> list[Stroke]:
    """A grey range with snow behind a dark blue lake."""
    peaks = [((0.3, 0.36), 0.2), ((0.08, 0.33), 0.24), ((0.78, 0.34), 0.2), ((0.95, 0.28), 0.26)]
    peaks += [((0.48, 0.22), 0.3), ((0.63, 0.38), 0.16)]
    strokes = sky(0.5, BLUE, PALE_BLUE) + cloud(0.2, 0.12, 0.3, CLOUD) + cloud(0.8, 0.17, 0.24, CLOUD)
    for peak, spread in peaks:
        strokes += mountain(peak, 0.56, spread, ROCK, DARK_ROCK) + snow(peak, 0.9 * spread, SNOW)
    strokes += wash([(-0.1, 0.54), (0.3, 0.52), (0.7, 0.55), (1.1, 0.52)], 0.6, MEADOW, FOREST, 0.06)
    strokes += wash([(-0.1, 0.62), (0.5, 0.61), (1.1, 0.62)], 1.0, LAKE, DEEP_LAKE, 0.1)
    strokes.append(Stroke((120, 132, 148), 0.05, [(0.3, 0.68), (0.45, 0.69), (0.62, 0.68)]))
    return strokes


def green_hills() -> list[Stroke]:
    """Meadows in the sun under a summer sky, a dark wood between them."""
    strokes = sky(0.52, (62, 112, 196), (160, 190, 226))
    for x, y, length in ((0.25, 0.14, 0.38), (0.75, 0.24, 0.3), (0.4, 0.36, 0.2)):
        strokes += cloud(x, y, length, CLOUD)
    strokes += wash([(-0.1, 0.5), (0.25, 0.46), (0.6, 0.52), (1.1, 0.48)], 0.66, (116, 140, 96), MEADOW, 0.08)
    strokes += wash([(-0.1, 0.66), (0.3, 0.62), (0.7, 0.56), (1.1, 0.6)], 1.0, MEADOW, (84, 116, 46), 0.11)
    return strokes + [shade((0.4, 0.7), (0.95, 0.68), DARK_MEADOW), shade((0.6, 0.87), (0.05, 0.86), DARK_MEADOW)]


def alpine_snow() -> list[Stroke]:
    """One great snowy mountain above a meadow."""
    strokes = sky(0.66, (66, 116, 200), (146, 180, 224)) + cloud(0.17, 0.2, 0.26, CLOUD)
    for peak, spread in (((0.1, 0.36), 0.24), ((0.95, 0.34), 0.26), ((0.6, 0.12), 0.44), ((0.36, 0.3), 0.24)):
        strokes += mountain(peak, 0.68, spread, (160, 162, 166), (92, 94, 102)) + snow(peak, 1.1 * spread, SNOW)
    strokes += wash([(-0.1, 0.62), (0.3, 0.65), (0.6, 0.62), (1.1, 0.64)], 0.78, FOREST, DARK_MEADOW, 0.07)
    strokes += wash([(-0.1, 0.76), (0.4, 0.73), (1.1, 0.77)], 1.0, (110, 142, 58), (86, 118, 46), 0.1)
    return strokes


def desert_dusk() -> list[Stroke]:
    """The sun going down, pink, behind dark red dunes."""
    strokes = sky(0.52, (112, 90, 132), (226, 150, 130))
    strokes.append(
        Stroke(
            (255, 226, 196),
            0.045,
            [(0.3, 0.41), (0.325, 0.4), (0.33, 0.43), (0.3, 0.435), (0.31, 0.415), (0.325, 0.42)],
        )
    )
    for x, y, length in ((0.7, 0.14, 0.36), (0.25, 0.25, 0.3)):
        strokes += cloud(x, y, length, (214, 152, 146))
    strokes += wash([(-0.1, 0.53), (0.3, 0.5), (0.65, 0.45), (1.1, 0.52)], 0.62, (122, 74, 62), (104, 62, 46), 0.07)
    strokes += wash([(-0.1, 0.6), (0.4, 0.64), (1.1, 0.6)], 1.0, (106, 62, 44), (72, 43, 35), 0.11)
    return strokes + [shade((0.05, 0.74), (0.6, 0.72), (60, 36, 31)), shade((0.9, 0.88), (0.3, 0.86), (54, 33, 29))]


def desert_noon() -> list[Stroke]:
    """Orange dunes below a blue sky."""
    strokes = sky(0.5, (76, 126, 204), (164, 190, 226))
    for x, y, length in ((0.3, 0.16, 0.4), (0.8, 0.3, 0.3)):
        strokes += cloud(x, y, length, CLOUD)
    strokes += wash([(-0.1, 0.5), (0.2, 0.42), (0.5, 0.47), (0.8, 0.44), (1.1, 0.5)], 0.64, DUNE, BRIGHT_DUNE, 0.07)
    strokes += wash([(-0.1, 0.68), (0.35, 0.6), (0.7, 0.64), (1.1, 0.58)], 1.0, BRIGHT_DUNE, DUNE, 0.1)
    return strokes + [shade((0.02, 0.74), (0.5, 0.66), DUNE_SHADE), shade((0.4, 0.88), (0.98, 0.78), DUNE_SHADE)]


def island_shore() -> list[Stroke]:
    """A calm sea, a low green coast and an island with a beach."""
    strokes = sky(0.46, (66, 116, 200), (154, 184, 224)) + cloud(0.3, 0.2, 0.34, CLOUD) + cloud(0.78, 0.3, 0.26, CLOUD)
    strokes += wash([(-0.1, 0.47), (0.5, 0.45), (1.1, 0.47)], 0.51, (128, 150, 92), MEADOW, 0.05)
    strokes += wash([(-0.1, 0.52), (0.5, 0.52), (1.1, 0.52)], 1.0, LAKE, DEEP_LAKE, 0.1)
    strokes.append(Stroke((206, 190, 140), 0.11, [(0.34, 0.735), (0.65, 0.755), (1.05, 0.74)], (0.3, 1.0)))
    strokes.append(Stroke((118, 140, 62), 0.14, [(0.42, 0.71), (0.7, 0.67), (1.05, 0.68)], (0.3, 1.0)))
    return strokes


GUIDES = (mountain_lake, green_hills, alpine_snow, desert_dusk, desert_noon, island_shore)


def valley_lake() -> list[Stroke]:
    """A lake for the meadow of `valley`, the mountains mirrored at its far shore."""
    rows = [(0.3, 0.8, 0.7), (0.2, 0.92, 0.76), (0.14, 0.96, 0.82), (0.2, 0.9, 0.88)]
    lake = [
        Stroke(mix(LAKE, DEEP_LAKE, i / 3), 0.085, [(left, y), ((left + right) / 2, y - 0.01), (right, y + 0.005)])
        for i, (left, right, y) in enumerate(rows)
    ]
    return [*lake, Stroke((96, 104, 112), 0.05, [(0.45, 0.72), (0.6, 0.73), (0.75, 0.72)])]


def valley() -> Image.Image:
    """A rendered landscape of 64 x 64 pixels."""
    return Image.fromarray(render_landscapes(3013, image_size=64)[3])


def removed_peak() -> list[Stroke]:
    """Sky over the peak of `dunes`, and sand below it from where the sand goes on on its left."""
    rows = [(0.6, 0.3), (0.48, 0.38), (0.4, 0.46), (0.34, 0.54), (0.37, 0.62), (0.5, 0.69)]
    colors = [(122, 151, 191), (136, 163, 198), (152, 177, 206), (242, 202, 148), (230, 186, 132), (220, 172, 120)]
    return [
        Stroke(color, 0.1, [(left, y), (0.5 * (left + 1.1), y - 0.012), (1.1, y)])
        for (left, y), color in zip(rows, colors, strict=True)
    ]


def dunes() -> Image.Image:
    """A rendered desert of 64 x 64 pixels with a peak on the right."""
    return Image.fromarray(render_landscapes(3025, image_size=64)[3])


EDITS = ((valley, valley_lake), (dunes, removed_peak))


def plain() -> Image.Image:
    """A rendered green plain of 64 x 64 pixels under a blue sky."""
    return Image.fromarray(render_landscapes(3015, image_size=64)[1])


def snowy_range() -> Image.Image:
    """Rendered mountains, 64 x 64 pixels, before such a sky."""
    return Image.fromarray(render_landscapes(3020, image_size=64)[0])


def pasted_mountains() -> Points:
    """The outline of a part of `snowy_range`, cut out with some of its sky."""
    return [(0.06, 0.62), (0.1, 0.4), (0.24, 0.3), (0.44, 0.33), (0.62, 0.38), (0.8, 0.36), (0.92, 0.5), (0.9, 0.66)]


COMPOSITES = ((plain, snowy_range, pasted_mountains),)

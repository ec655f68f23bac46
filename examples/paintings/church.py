"""Churches of 256 x 256 for models of LSUN church: sky, ground and trees, then walls, roofs and dark openings."""

from brush import Color, Stroke, box, fill, mix, on_paper, oval, paint
from paintings.landscapes import cloud, sky
from PIL import Image

WHITEWASH, PLASTER_SHADE = (238, 234, 222), (196, 192, 188)
SANDSTONE, SANDSTONE_SHADE = (206, 178, 136), (156, 128, 96)
SLATE, TILES, OPENING = (74, 82, 96), (164, 78, 56), (52, 46, 48)
GRASS, DARK_GRASS, LEAVES, DARK_LEAVES = (112, 148, 66), (78, 112, 46), (70, 104, 48), (44, 70, 36)


def tower(x: float, width: float, top: float, base: float, light: Color, dark: Color) -> list[Stroke]:
    """An upright tower around x, its right quarter in the shade."""
    left, right = x - width / 2, x + width / 2
    shade = right - 0.3 * width
    return box(left, top, shade + 0.01, base, light, 0.06) + box(shade, top, right, base, dark, 0.05)


def spire(x: float, width: float, top: float, base: float, color: Color) -> list[Stroke]:
    """Strokes from the tip down, dark on the right, and a cross on the tip."""
    strokes = [Stroke(OPENING, 0.006, [(x, top - 0.08), (x, top + 0.02)])]
    strokes.append(Stroke(OPENING, 0.006, [(x - 0.025, top - 0.052), (x + 0.025, top - 0.052)]))
    feet = [x + width * u for u in (-0.42, -0.14, 0.14, 0.42)]
    shades = [color, color, mix(color, OPENING, 0.35), mix(color, OPENING, 0.5)]
    return strokes + [
        Stroke(shade, 0.36 * width, [(x, top), (foot, base)], (0.08, 1.0))
        for foot, shade in zip(feet, shades, strict=True)
    ]


def arch(x: float, top: float, bottom: float, width: float, color: Color = OPENING) -> Stroke:
    """A window or door: one fat stroke downwards, whose rounded start is the arch."""
    return Stroke(color, width, [(x, top), (x, bottom)])


def tree(x: float, base: float, size: float, light: Color, dark: Color) -> list[Stroke]:
    """A trunk and dabs of leaves, dark below and on the right."""
    strokes = [Stroke((84, 62, 46), 0.12 * size, [(x, base - 0.5 * size), (x, base)])]
    dabs = [
        (0.18, -0.5, dark),
        (-0.2, -0.52, mix(light, dark, 0.5)),
        (0.12, -0.75, mix(light, dark, 0.5)),
        (-0.1, -0.8, light),
    ]
    for dx, dy, color in dabs:
        strokes += oval((x + dx * size, base + dy * size), (0.32 * size, 0.27 * size), color, 0.16 * size)
    return strokes


def meadow(horizon: float) -> list[Stroke]:
    """Grass from the horizon to the lower edge."""
    return fill([(-0.05, horizon), (1.05, horizon)], [(-0.05, 1.03), (1.05, 1.03)], GRASS, 0.09, DARK_GRASS)


def nave(left: float, right: float, eaves: float, base: float, ridge: float, roof: Color) -> list[Stroke]:
    """The long wall with its windows below a tiled roof."""
    strokes = box(left, eaves, right, base, WHITEWASH, 0.07)
    strokes += fill(
        [(left - 0.02, eaves + 0.01), (right + 0.03, eaves + 0.01)],
        [(left - 0.02, ridge), (right - 0.06, ridge)],
        roof,
        0.06,
    )
    strokes.append(Stroke(PLASTER_SHADE, 0.025, [(left, eaves + 0.025), (right, eaves + 0.025)]))
    return strokes + [arch(left + (right - left) * u, eaves + 0.07, base - 0.08, 0.04) for u in (0.25, 0.5, 0.75)]


def village_church() -> list[Stroke]:
    """A white church with a slate spire and a red roof among trees."""
    strokes = sky(0.7, (86, 136, 206), (190, 212, 232)) + cloud(0.76, 0.2, 0.36, (236, 240, 246))
    strokes += meadow(0.74)
    for x, size in ((0.02, 0.34), (0.96, 0.4), (0.84, 0.28)):
        strokes += tree(x, 0.79, size, LEAVES, DARK_LEAVES)
    strokes += nave(0.36, 0.82, 0.56, 0.8, 0.4, TILES)
    strokes += tower(0.28, 0.2, 0.36, 0.82, WHITEWASH, PLASTER_SHADE) + spire(0.28, 0.26, 0.1, 0.38, SLATE)
    strokes += [arch(0.265, 0.42, 0.5, 0.05), arch(0.265, 0.7, 0.83, 0.065, (104, 66, 44))]
    path = [(0.24, 0.82), (0.16, 1.03)], [(0.31, 0.82), (0.42, 1.03)]
    return strokes + fill(*path, (204, 190, 160), 0.05) + tree(0.63, 0.88, 0.16, LEAVES, DARK_LEAVES)


def cathedral() -> list[Stroke]:
    """The front of a sandstone cathedral: two towers, a gable with a rose window, three doors."""
    strokes = sky(0.85, (150, 170, 196), (222, 224, 222)) + cloud(0.2, 0.14, 0.3, (232, 232, 234))
    strokes += fill(
        [(-0.05, 0.86), (1.05, 0.86)], [(-0.05, 1.03), (1.05, 1.03)], (176, 166, 150), 0.07, (140, 132, 122)
    )
    strokes += box(-0.05, 0.68, 0.18, 0.88, (150, 120, 104), 0.07) + box(0.84, 0.64, 1.05, 0.88, (172, 142, 116), 0.07)
    strokes += fill([(-0.05, 0.68), (0.17, 0.68)], [(-0.05, 0.61), (0.14, 0.61)], TILES, 0.05)
    strokes += box(0.34, 0.42, 0.68, 0.88, SANDSTONE, 0.08)
    strokes += fill([(0.36, 0.43), (0.66, 0.43)], [(0.5, 0.27), (0.52, 0.27)], SANDSTONE, 0.05)
    for x in (0.27, 0.74):
        strokes += tower(x, 0.2, 0.26, 0.88, SANDSTONE, SANDSTONE_SHADE) + spire(x, 0.22, 0.08, 0.27, SLATE)
        strokes += [
            arch(x - 0.045, 0.31, 0.44, 0.04),
            arch(x + 0.02, 0.31, 0.44, 0.04),
            arch(x - 0.02, 0.54, 0.65, 0.045),
        ]
        strokes.append(arch(x - 0.02, 0.76, 0.89, 0.075, (92, 60, 44)))
        strokes.append(Stroke(SANDSTONE_SHADE, 0.02, [(x - 0.1, 0.49), (x + 0.1, 0.49)]))
    strokes += oval((0.505, 0.52), (0.075, 0.075), OPENING, 0.04) + oval(
        (0.505, 0.52), (0.035, 0.035), (116, 124, 150), 0.03
    )
    strokes += [
        Stroke(SANDSTONE_SHADE, 0.025, [(0.37, 0.66), (0.64, 0.66)]),
        arch(0.505, 0.72, 0.89, 0.1, (92, 60, 44)),
    ]
    return strokes


GUIDES = (village_church, cathedral)


def low_church() -> Image.Image:
    """A white nave without a tower in a meadow."""
    strokes = sky(0.7, (104, 150, 210), (204, 220, 234)) + cloud(0.24, 0.16, 0.34, (238, 240, 244))
    strokes += meadow(0.74) + tree(0.98, 0.8, 0.42, LEAVES, DARK_LEAVES)
    return on_paper(paint(strokes + nave(0.3, 0.84, 0.56, 0.82, 0.4, (120, 84, 74)), seed=7))


def added_tower() -> list[Stroke]:
    """A bell tower for `low_church`, and a tree before it."""
    strokes = tower(0.26, 0.17, 0.33, 0.83, WHITEWASH, PLASTER_SHADE) + spire(0.26, 0.22, 0.13, 0.35, SLATE)
    strokes += [arch(0.245, 0.39, 0.48, 0.045), arch(0.245, 0.6, 0.66, 0.04)]
    return strokes + tree(0.1, 0.88, 0.3, LEAVES, DARK_LEAVES)


EDITS = ((low_church, added_tower),)

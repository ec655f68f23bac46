"""Bedrooms of 256 x 256 for models of LSUN bedroom: broad areas of wall, floor and bed, then what stands on them."""

from brush import Color, Stroke, box, fill, on_paper, oval, paint
from PIL import Image

WHITE, LINEN, SHADE = (244, 242, 238), (226, 222, 216), (188, 184, 182)
DAYLIGHT, FRAME = (226, 238, 248), (238, 236, 230)
OAK, WALNUT, DARK_WOOD = (176, 124, 78), (112, 70, 44), (66, 42, 30)


def window(
    left: float, top: float, right: float, bottom: float, curtain: Color, glass: Color = DAYLIGHT
) -> list[Stroke]:
    """A window of two panes between two curtains."""
    middle, width = (left + right) / 2, right - left
    strokes = box(left, top, right, bottom, glass, 0.07)
    strokes += [Stroke(FRAME, 0.022, [(x, top), (x, bottom)]) for x in (left, middle, right)]
    strokes += [Stroke(FRAME, 0.022, [(left, y), (right, y)]) for y in (top, bottom)]
    for x, side in ((left, -1), (right, 1)):
        outer, inner = x + side * 0.3 * width, x - side * 0.12 * width
        edges = [[(outer, top - 0.05), (outer, bottom + 0.1)], [(inner, top - 0.05), (x, bottom + 0.1)]]
        strokes += fill(*edges, curtain, 0.05)
    return strokes


def lamp(x: float, y: float, shade_color: Color) -> list[Stroke]:
    """A lamp that stands at (x, y): foot, stem and a shade that widens downwards."""
    strokes = [
        Stroke(DARK_WOOD, 0.02, [(x, y), (x, y - 0.09)]),
        Stroke(DARK_WOOD, 0.02, [(x - 0.04, y), (x + 0.04, y)]),
    ]
    top, bottom = [(x - 0.035, y - 0.19), (x + 0.035, y - 0.19)], [(x - 0.075, y - 0.08), (x + 0.075, y - 0.08)]
    return strokes + fill(top, bottom, shade_color, 0.03)


def night_table(left: float, top: float, right: float, bottom: float, color: Color) -> list[Stroke]:
    """A box with a darker gap below its top."""
    strokes = box(left, top, right, bottom, color, 0.05)
    return [*strokes, Stroke(DARK_WOOD, 0.014, [(left + 0.015, top + 0.05), (right - 0.015, top + 0.05)])]


def picture(left: float, top: float, right: float, bottom: float, color: Color) -> list[Stroke]:
    """A dark frame around light paper with a spot of colour."""
    strokes = box(left, top, right, bottom, DARK_WOOD, 0.04)
    strokes += box(left + 0.02, top + 0.02, right - 0.02, bottom - 0.02, WHITE, 0.04)
    x, y = (left + right) / 2, (top + bottom) / 2
    return strokes + oval((x, y), (0.28 * (right - left), 0.26 * (bottom - top)), color, 0.04)


def bed_from_the_foot(blanket: Color, fold: Color, headboard: Color) -> list[Stroke]:
    """A double bed against the back wall: headboard, two pillows, the blanket and how it hangs at the foot."""
    strokes = box(0.27, 0.36, 0.77, 0.64, headboard, 0.07)
    strokes += fill([(0.29, 0.56), (0.75, 0.56)], [(0.27, 0.66), (0.77, 0.66)], WHITE, 0.05)
    for x in (0.4, 0.64):
        strokes += oval((x, 0.545), (0.105, 0.06), WHITE, 0.05, LINEN)
        strokes.append(Stroke(SHADE, 0.014, [(x - 0.08, 0.6), (x, 0.612), (x + 0.08, 0.6)]))
    strokes += fill([(0.27, 0.65), (0.77, 0.65)], [(0.2, 0.85), (0.84, 0.85)], blanket, 0.07)
    strokes.append(Stroke(LINEN, 0.04, [(0.27, 0.655), (0.5, 0.665), (0.77, 0.655)]))
    return strokes + fill([(0.2, 0.84), (0.84, 0.84)], [(0.22, 0.95), (0.82, 0.95)], fold, 0.05)


def blue_bed() -> list[Stroke]:
    """A bed with a blue blanket between two night tables, a window on the left, a picture above."""
    strokes = box(-0.05, -0.05, 1.05, 0.7, (220, 206, 182), 0.12)
    strokes += fill([(-0.05, 0.72), (1.05, 0.72)], [(-0.05, 1.03), (1.05, 1.03)], OAK, 0.1, (150, 102, 62))
    strokes.append(Stroke(WHITE, 0.025, [(-0.05, 0.7), (1.05, 0.7)]))
    strokes += window(0.04, 0.1, 0.2, 0.46, (150, 168, 190))
    strokes += picture(0.4, 0.1, 0.62, 0.28, (70, 120, 130))
    for left in (0.1, 0.8):
        strokes += night_table(left, 0.58, left + 0.15, 0.78, WALNUT)
        strokes += lamp(left + 0.075, 0.575, (252, 232, 178))
    return strokes + bed_from_the_foot((70, 104, 158), (46, 74, 122), WALNUT)


def bed_from_the_side(blanket: Color, side: Color, headboard: Color) -> list[Stroke]:
    """A bed that comes out of the back wall towards the right, seen from its left."""
    strokes = fill([(0.08, 0.36), (0.48, 0.35)], [(0.08, 0.62), (0.48, 0.6)], headboard, 0.07)
    strokes += fill([(0.08, 0.58), (0.36, 0.82)], [(0.08, 0.72), (0.36, 0.97)], LINEN, 0.06, SHADE)
    strokes += fill([(0.36, 0.8), (0.88, 0.74)], [(0.36, 0.97), (0.88, 0.88)], side, 0.06)
    strokes += fill([(0.08, 0.57), (0.48, 0.55)], [(0.37, 0.83), (0.88, 0.75)], WHITE, 0.07)
    strokes += fill([(0.21, 0.66), (0.62, 0.62)], [(0.36, 0.82), (0.88, 0.75)], blanket, 0.07)
    strokes += fill([(0.17, 0.64), (0.36, 0.81)], [(0.16, 0.7), (0.35, 0.92)], side, 0.05)
    for x, y in ((0.19, 0.54), (0.39, 0.525)):
        strokes += oval((x, y), (0.1, 0.055), WHITE, 0.04, LINEN)
        strokes.append(Stroke(SHADE, 0.014, [(x - 0.07, y + 0.055), (x, y + 0.065), (x + 0.08, y + 0.05)]))
    return strokes


def red_blanket() -> list[Stroke]:
    """A bed with a red blanket beside a large window, a carpet in front of it."""
    strokes = box(-0.05, -0.05, 1.05, 0.62, (202, 208, 206), 0.1)
    strokes += fill([(-0.05, 0.66), (1.05, 0.62)], [(-0.05, 1.03), (1.05, 1.03)], (192, 164, 132), 0.1, (150, 118, 86))
    strokes.append(Stroke(WHITE, 0.025, [(-0.05, 0.65), (1.05, 0.61)]))
    strokes += window(0.64, 0.08, 0.9, 0.42, (214, 190, 150))
    strokes += picture(0.18, 0.1, 0.38, 0.24, (190, 120, 70))
    strokes += night_table(0.54, 0.47, 0.66, 0.62, WALNUT) + lamp(0.6, 0.475, (250, 226, 170))
    return strokes + bed_from_the_side((170, 48, 44), (122, 32, 32), WALNUT)


def evening() -> list[Stroke]:
    """A room by lamplight: a dark green wall, warm around the lamp, and a striped yellow blanket."""
    strokes = box(-0.05, -0.05, 1.05, 0.7, (66, 82, 76), 0.12)
    strokes += oval((0.875, 0.42), (0.28, 0.26), (96, 100, 78), 0.12) + oval(
        (0.875, 0.42), (0.16, 0.16), (146, 132, 88), 0.1
    )
    strokes += fill([(-0.05, 0.72), (1.05, 0.72)], [(-0.05, 1.03), (1.05, 1.03)], (86, 58, 42), 0.1, (62, 42, 32))
    strokes += window(0.04, 0.08, 0.2, 0.42, (132, 98, 70), glass=(40, 54, 84))
    strokes += night_table(0.8, 0.58, 0.95, 0.78, WALNUT) + lamp(0.875, 0.575, (255, 236, 176))
    strokes += bed_from_the_foot((206, 168, 92), (164, 126, 66), (148, 104, 66))
    return strokes + [
        Stroke((236, 220, 176), 0.025, [(0.255 - 0.02 * i, 0.71 + 0.045 * i), (0.79 + 0.02 * i, 0.71 + 0.045 * i)])
        for i in range(3)
    ]


GUIDES = (blue_bed, red_blanket, evening)


def bare_wall() -> Image.Image:
    """A bedroom with nothing on its grey wall."""
    strokes = box(-0.05, -0.05, 1.05, 0.7, (190, 194, 196), 0.12)
    strokes += fill([(-0.05, 0.72), (1.05, 0.72)], [(-0.05, 1.03), (1.05, 1.03)], (198, 172, 142), 0.1, (160, 132, 102))
    strokes.append(Stroke(WHITE, 0.025, [(-0.05, 0.7), (1.05, 0.7)]))
    for left in (0.08, 0.82):
        strokes += night_table(left, 0.58, left + 0.15, 0.78, OAK) + lamp(left + 0.075, 0.575, (244, 236, 216))
    strokes += bed_from_the_foot((92, 124, 108), (66, 94, 82), OAK)
    return on_paper(paint(strokes, seed=7))


def wall_painting() -> list[Stroke]:
    """A landscape in a frame for the wall of `bare_wall`."""
    strokes = box(0.3, 0.06, 0.74, 0.31, DARK_WOOD, 0.05)
    strokes += box(0.325, 0.085, 0.715, 0.21, (150, 190, 222), 0.05)
    strokes += fill(
        [(0.325, 0.2), (0.52, 0.16), (0.715, 0.19)],
        [(0.325, 0.285), (0.52, 0.285), (0.715, 0.285)],
        (92, 130, 70),
        0.04,
    )
    return [*strokes, Stroke((244, 212, 120), 0.03, [(0.62, 0.12), (0.64, 0.118), (0.65, 0.13), (0.63, 0.135)])]


EDITS = ((bare_wall, wall_painting),)

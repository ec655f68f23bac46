"""Cats of 256 x 256 for models of LSUN cat."""

from brush import Color, Stroke, box, fill, oval

PINK, BLACK, WHITE = (222, 150, 144), (36, 30, 30), (246, 240, 232)


def ears(fur: Color) -> list[Stroke]:
    """Two pointed ears on a head from -1 to 1."""
    strokes = []
    for side in (-1, 1):
        strokes += [Stroke(fur, 0.4, [(0.85 * side, -1.35), (u * side, -0.35)], (0.1, 1.0)) for u in (0.15, 0.45, 0.8)]
        strokes.append(Stroke(PINK, 0.3, [(0.76 * side, -1.1), (0.55 * side, -0.6)], (0.1, 1.0)))
    return strokes


def features(iris: Color) -> list[Stroke]:
    """Eyes, muzzle, whiskers and nose on a head from -1 to 1."""
    strokes = []
    for side in (-1, 1):
        strokes += oval((0.42 * side, -0.08), (0.21, 0.17), iris, 0.1)
        strokes.append(Stroke(BLACK, 0.07, [(0.42 * side, -0.23), (0.42 * side, 0.07)]))
        strokes += oval((0.17 * side, 0.5), (0.26, 0.2), WHITE, 0.12)
    for side in (-1, 1):
        strokes += [Stroke(WHITE, 0.012, [(0.3 * side, 0.48), (1.15 * side, y)]) for y in (0.28, 0.64)]
        strokes.append(Stroke(BLACK, 0.015, [(0.0, 0.4), (0.02 * side, 0.5), (0.17 * side, 0.6)]))
    return [*strokes, Stroke(PINK, 0.16, [(-0.11, 0.34), (0.11, 0.34)])]


def head(x: float, y: float, size: float, fur: Color, iris: Color) -> list[Stroke]:
    """A cat's head around (x, y), `size` to each side."""
    strokes = ears(fur) + oval((0.0, 0.0), (1.08, 0.97), fur, 0.42) + features(iris)
    return [
        Stroke(
            stroke.color, size * stroke.width, [(x + size * u, y + size * v) for u, v in stroke.points], stroke.pressure
        )
        for stroke in strokes
    ]


def ginger() -> list[Stroke]:
    """A ginger cat that looks at the painter, before a dark blue wall."""
    fur, dark = (206, 132, 66), (164, 94, 44)
    strokes = fill([(-0.05, -0.05), (-0.05, 1.05)], [(1.05, -0.05), (1.05, 1.05)], (72, 98, 112), 0.14, (50, 70, 84))
    strokes += oval((0.5, 1.0), (0.33, 0.36), fur, 0.16, dark) + oval((0.5, 0.96), (0.12, 0.22), WHITE, 0.11)
    strokes += head(0.5, 0.46, 0.27, fur, (150, 172, 74))
    for dx, length in ((-0.06, 0.1), (0.0, 0.13), (0.06, 0.1)):
        strokes.append(Stroke(dark, 0.022, [(0.5 + dx * 1.3, 0.23), (0.5 + dx, 0.23 + length)]))
    for side in (-1, 1):
        for y in (0.5, 0.57):
            strokes.append(Stroke(dark, 0.022, [(0.5 + side * 0.28, y), (0.5 + side * 0.19, y + 0.01)]))
    return strokes


def grey_on_the_sofa() -> list[Stroke]:
    """A grey cat lying on a red sofa."""
    fur, dark = (146, 148, 156), (100, 102, 112)
    strokes = box(-0.05, -0.05, 1.05, 0.62, (158, 66, 58), 0.12)
    strokes += fill([(-0.05, 0.62), (1.05, 0.62)], [(-0.05, 1.03), (1.05, 1.03)], (184, 88, 74), 0.12, (132, 52, 48))
    strokes.append(Stroke((104, 38, 38), 0.02, [(-0.05, 0.62), (0.5, 0.63), (1.05, 0.62)]))
    strokes.append(Stroke(dark, 0.09, [(0.84, 0.72), (0.97, 0.8), (0.86, 0.87), (0.66, 0.86)], (1.0, 0.6)))
    strokes += oval((0.62, 0.66), (0.32, 0.2), fur, 0.12, dark)
    strokes += [Stroke(dark, 0.03, [(x, 0.49), (x + 0.03, 0.62)]) for x in (0.6, 0.7, 0.8)]
    strokes += [Stroke(dark, 0.08, [(0.52, 0.78), (0.36, 0.8), (0.2, 0.8)])]
    strokes += [Stroke(fur, 0.085, [(0.56, 0.82), (0.4, 0.85), (0.24, 0.86)])]
    return strokes + head(0.32, 0.5, 0.18, fur, (196, 176, 84))


GUIDES = (ginger, grey_on_the_sofa)

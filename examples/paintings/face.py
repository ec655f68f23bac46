"""Heads and shoulders of 256 x 256 for models of CelebA-HQ and FFHQ, the eyes where those data sets align them."""

from brush import Color, Stroke, fill, mix, oval

SKIN, SKIN_SHADE, LIPS = (232, 190, 160), (196, 146, 118), (190, 84, 84)
WHITE = (246, 243, 240)


def background(light: Color, dark: Color) -> list[Stroke]:
    """A wall or garden out of focus, `light` on the left."""
    return fill([(-0.05, -0.05), (-0.05, 1.05)], [(1.05, -0.05), (1.05, 1.05)], light, 0.14, dark)


def neck_and_clothes(skin: Color, clothes: Color, fold: Color) -> list[Stroke]:
    """Neck and shoulders, up to the lower edge."""
    strokes = fill([(0.41, 0.74), (0.4, 1.0)], [(0.6, 0.74), (0.61, 1.0)], skin, 0.08)
    for side, color in ((-1, clothes), (1, fold)):
        inner, outer = 0.5 + side * 0.1, 0.5 + side * 0.5
        strokes += fill([(inner, 0.9), (inner - side * 0.06, 1.05)], [(outer, 0.97), (outer, 1.08)], color, 0.09)
    return strokes


def head(light: Color, dark: Color) -> list[Stroke]:
    """The face without its features, the light from the left."""
    strokes = oval((0.5, 0.52), (0.225, 0.32), light, 0.1, dark)
    return [*strokes, Stroke(mix(light, dark, 0.5), 0.07, [(0.43, 0.785), (0.5, 0.802), (0.57, 0.785)])]


def eye(x: float, iris: Color, brow: Color) -> list[Stroke]:
    """White, iris, lashes and eyebrow of the eye around x."""
    strokes = [Stroke(WHITE, 0.034, [(x - 0.05, 0.482), (x, 0.474), (x + 0.05, 0.482)])]
    strokes += oval((x, 0.479), (0.021, 0.021), iris, 0.02)
    strokes.append(Stroke((60, 42, 36), 0.014, [(x - 0.06, 0.474), (x, 0.456), (x + 0.06, 0.474)]))
    strokes.append(Stroke(brow, 0.022, [(x - 0.07, 0.424), (x, 0.404), (x + 0.065, 0.418)]))
    return strokes


def nose(shade: Color) -> list[Stroke]:
    """The shaded side of the nose and its base."""
    return [
        Stroke(shade, 0.024, [(0.525, 0.48), (0.54, 0.56), (0.535, 0.6)]),
        Stroke(shade, 0.024, [(0.46, 0.615), (0.5, 0.628), (0.545, 0.612)]),
    ]


def mouth(color: Color) -> list[Stroke]:
    """Closed lips and the line between them."""
    return [
        Stroke(color, 0.03, [(0.42, 0.7), (0.47, 0.692), (0.5, 0.7), (0.53, 0.692), (0.58, 0.7)]),
        Stroke(color, 0.034, [(0.44, 0.718), (0.5, 0.732), (0.56, 0.718)]),
        Stroke((110, 44, 50), 0.004, [(0.43, 0.709), (0.5, 0.714), (0.57, 0.709)]),
    ]


def smile(color: Color) -> list[Stroke]:
    """Lips around a row of teeth."""
    return [
        Stroke(color, 0.05, [(0.41, 0.685), (0.46, 0.712), (0.5, 0.718), (0.54, 0.712), (0.59, 0.685)]),
        Stroke(WHITE, 0.022, [(0.43, 0.695), (0.5, 0.714), (0.57, 0.695)]),
    ]


def long_hair() -> list[Stroke]:
    """A woman with long dark hair before a green garden."""
    hair, dark = (86, 54, 38), (58, 36, 28)
    strokes = background((150, 172, 120), (112, 138, 92))
    for side, color in ((-1, hair), (1, dark)):
        strokes += fill(
            [(0.5 + side * 0.1, 0.2), (0.5 + side * 0.2, 0.5), (0.5 + side * 0.2, 0.98)],
            [(0.5 + side * 0.2, 0.2), (0.5 + side * 0.31, 0.5), (0.5 + side * 0.33, 0.98)],
            color,
            0.08,
        )
    strokes += neck_and_clothes(SKIN_SHADE, (64, 100, 160), (48, 76, 128)) + head(SKIN, SKIN_SHADE)
    for side, color in ((-1, hair), (1, dark)):
        strokes += [
            Stroke(
                color,
                0.11,
                [(0.5, 0.2), (0.5 + side * 0.16, 0.24), (0.5 + side * 0.245, 0.42), (0.5 + side * 0.26, 0.75)],
                (0.8, 1.0),
            )
        ]
        strokes += [
            Stroke(color, 0.09, [(0.49, 0.23), (0.5 + side * 0.12, 0.29), (0.5 + side * 0.21, 0.45)], (1.0, 0.6))
        ]
        strokes += eye(0.5 + side * 0.11, (84, 58, 40), dark)
    return strokes + nose((206, 154, 126)) + mouth(LIPS)


def short_hair() -> list[Stroke]:
    """A smiling man with short fair hair, a shirt and a dark jacket before a grey wall."""
    hair, dark = (150, 112, 70), (104, 74, 48)
    strokes = background((124, 132, 144), (84, 90, 104))
    strokes += neck_and_clothes(SKIN_SHADE, (52, 56, 70), (38, 40, 52))
    for side in (-1, 1):
        strokes += oval((0.5 + side * 0.23, 0.53), (0.035, 0.07), SKIN_SHADE, 0.04)
        strokes.append(Stroke(WHITE, 0.06, [(0.5 + side * 0.12, 0.85), (0.5 + side * 0.02, 1.03)]))
    strokes += head(SKIN, SKIN_SHADE)
    strokes.append(Stroke(dark, 0.07, [(0.28, 0.47), (0.285, 0.3), (0.48, 0.16), (0.7, 0.27), (0.72, 0.47)]))
    for drop, color in ((0.0, hair), (0.05, mix(hair, dark, 0.3))):
        strokes.append(
            Stroke(color, 0.085, [(0.31, 0.3 + drop), (0.4, 0.2 + drop), (0.58, 0.19 + drop), (0.69, 0.3 + drop)])
        )
    for side in (-1, 1):
        strokes += eye(0.5 + side * 0.11, (88, 118, 140), dark)
    strokes += nose((204, 152, 124))
    return [*strokes, *smile((186, 104, 94))]


GUIDES = (long_hair, short_hair)

"""Things of CIFAR-10: a few fat strokes, of which 32 x 32 pixels remain."""

from brush import Stroke, box, fill, oval


def ship() -> list[Stroke]:
    """A dark hull with a white deck and a red funnel at sea."""
    strokes = box(-0.05, -0.05, 1.05, 0.62, (168, 196, 222), 0.16)
    strokes += fill([(-0.05, 0.66), (1.05, 0.66)], [(-0.05, 1.05), (1.05, 1.05)], (58, 100, 140), 0.12, (36, 68, 104))
    strokes += box(0.28, 0.4, 0.72, 0.56, (240, 240, 238), 0.08) + box(0.4, 0.3, 0.6, 0.42, (226, 226, 226), 0.08)
    strokes += box(0.46, 0.14, 0.58, 0.32, (190, 52, 44), 0.08)
    return strokes + fill([(0.06, 0.54), (0.96, 0.54)], [(0.2, 0.72), (0.84, 0.72)], (52, 52, 64), 0.08)


def horse() -> list[Stroke]:
    """A brown horse in a meadow."""
    brown, dark = (136, 84, 48), (78, 46, 30)
    strokes = box(-0.05, -0.05, 1.05, 0.5, (178, 204, 226), 0.16)
    strokes += fill([(-0.05, 0.48), (1.05, 0.48)], [(-0.05, 1.05), (1.05, 1.05)], (122, 152, 78), 0.14, (88, 120, 54))
    strokes.append(Stroke(dark, 0.07, [(0.8, 0.42), (0.9, 0.5), (0.89, 0.72)]))
    for x, color in ((0.4, dark), (0.7, dark), (0.33, brown), (0.76, brown)):
        strokes.append(Stroke(color, 0.07, [(x, 0.58), (x, 0.9)]))
    strokes += oval((0.55, 0.5), (0.27, 0.15), brown, 0.12)
    strokes += [Stroke(brown, 0.15, [(0.4, 0.46), (0.26, 0.2)]), Stroke(brown, 0.11, [(0.3, 0.19), (0.1, 0.36)])]
    return [*strokes, Stroke(dark, 0.05, [(0.29, 0.1), (0.37, 0.2), (0.46, 0.38)])]


GUIDES = (ship, horse)

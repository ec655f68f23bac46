"""Paint the example guides of this package the way a person does, with a few broad strokes.

    python examples/paint_guides.py

writes `sdedit_jax/assets/SUBJECT/*.png`: whole paintings, and pictures with something painted into them, each beside
the mask of what was painted (NAME_mask.png). The paintings stand in `paintings/`, one module a subject; 20 seconds on
one core.
"""

from pathlib import Path

import numpy as np
from brush import on_paper, paint
from paintings import bedroom, cat, church, cifar10, face, landscapes
from PIL import Image, ImageFilter

ASSETS = Path(__file__).parents[1] / "sdedit_jax" / "assets"
SUBJECTS = (landscapes, bedroom, church, face, cat, cifar10)


def main() -> None:
    """Paint everything into the package's assets."""
    for subject in SUBJECTS:
        folder = ASSETS / subject.__name__.rpartition(".")[2]
        folder.mkdir(parents=True, exist_ok=True)
        size = 32 if subject is cifar10 else 256
        for seed, strokes_of in enumerate(subject.GUIDES):
            guide = on_paper(paint(strokes_of(), seed)).resize((size, size), Image.Resampling.BOX)
            _save(guide, folder / f"{strokes_of.__name__}.png")
        for picture_of, strokes_of in getattr(subject, "EDITS", ()):
            picture = picture_of()
            layer = paint(strokes_of(), seed=0).resize(picture.size, Image.Resampling.BOX)
            picture.paste(layer, mask=layer)
            _save(picture, folder / f"{strokes_of.__name__}.png")
            _save(_painted_region(layer), folder / f"{strokes_of.__name__}_mask.png")


def _painted_region(layer: Image.Image) -> Image.Image:
    """Mask, white where there is paint and a margin around it: the model needs one to make a shore or a shadow."""
    painted = np.asarray(layer.getchannel("A")) > 0
    margin = layer.width // 32
    return Image.fromarray(painted.astype(np.uint8) * 255).filter(ImageFilter.MaxFilter(2 * margin + 1))


def _save(image: Image.Image, path: Path) -> None:
    image.save(path, optimize=True)


if __name__ == "__main__":
    main()

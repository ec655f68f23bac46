"""Paint the example guides of this package the way a person does, with a few broad strokes.

    python examples/paint_guides.py

writes `sdedit_jax/assets/SUBJECT/*.png`: whole paintings, and pictures with something painted or pasted into them, each
beside the mask of it (NAME_mask.png). The paintings stand in `paintings/`, one module a subject; 20 s on one core.
"""

from pathlib import Path

import numpy as np
from brush import on_paper, paint
from paintings import bedroom, cat, church, cifar10, face, landscapes
from PIL import Image, ImageDraw, ImageFilter

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
            painted = np.asarray(layer.getchannel("A")) > 0
            _save_edit(picture, Image.fromarray(painted.astype(np.uint8) * 255), folder, strokes_of.__name__)
        for background_of, foreground_of, outline_of in getattr(subject, "COMPOSITES", ()):
            picture, foreground = background_of(), foreground_of()
            region = Image.new("L", picture.size)
            corners = [(x * picture.width, y * picture.height) for x, y in outline_of()]
            ImageDraw.Draw(region).polygon(corners, fill=255)
            picture.paste(foreground, mask=region)
            _save_edit(picture, region, folder, outline_of.__name__)


def _save_edit(picture: Image.Image, region: Image.Image, folder: Path, name: str) -> None:
    """The picture, and its mask: the region and a margin around it, which a model needs for a shore or a shadow."""
    margin = picture.width // 32
    _save(picture, folder / f"{name}.png")
    _save(region.filter(ImageFilter.MaxFilter(2 * margin + 1)), folder / f"{name}_mask.png")


def _save(image: Image.Image, path: Path) -> None:
    image.save(path, optimize=True)


if __name__ == "__main__":
    main()

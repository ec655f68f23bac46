"""A folder of pictures, however deep they lie in it: the simplest way to bring one's own.

The pictures are cropped and scaled while they are read. `images.load_image` opens them, so they come upright, opaque
and of 8 bits, and the same files make the same data set on every machine: their order is that of their paths.
"""

import dataclasses
import io
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from sdedit_jax import images
from sdedit_jax.data.sources.errors import CorruptPicture, DataError, gone, no_data
from sdedit_jax.data.sources.fitting import Fit
from sdedit_jax.data.sources.splits import split_indices
from sdedit_jax.pixels import to_uint8

_MOST_NAMES = 10


@dataclasses.dataclass(frozen=True)
class ImageFolder:
    """Records {"image": uint8 (H, W, 3)}, fitted."""

    paths: tuple[str, ...] = dataclasses.field(repr=False)  # Grain writes a source out, and these may be millions
    fit: Fit

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        path = self.paths[index]
        try:
            content = io.BytesIO(Path(path).read_bytes())  # before it is decoded: a disk that fails is no damage
        except OSError as error:
            raise gone(path, error) from error
        content.name = path
        try:
            return {"image": to_uint8(self.fit(images.load_image(content)))}
        except images.ImageError as error:
            raise CorruptPicture(f"{error} Or remove it.") from error


def open_image_folder(folder: Path, split: str, fit: Fit, *, check: bool = True) -> ImageFolder:
    """The pictures in `folder` and the folders in it that belong to `split`, hidden ones left out.

    Only headers are read. DataError if there is no picture or if some, which it names, are none; unless `check`, that
    shows when they are read, and only what is no file at all now: opening a pipe would wait for ever.
    """
    paths = sorted(_picture_paths(folder))
    if not paths:
        raise no_data(folder, "it holds nothing that is known as a data set, nor pictures")
    paths = tuple(paths[index] for index in split_indices(folder, len(paths), split))
    _require(folder, paths, _has_header if check else os.path.isfile)
    return ImageFolder(paths, fit)


def _picture_paths(folder: Path) -> Iterable[str]:
    for parent, subfolders, names in os.walk(folder):
        subfolders[:] = (name for name in subfolders if not name.startswith("."))
        yield from (
            os.path.join(parent, name)
            for name in names
            if name.lower().endswith(images.SUFFIXES) and not name.startswith(".")
        )


def _require(folder: Path, paths: Iterable[str], is_picture: Callable[[str], bool]) -> None:
    damaged = [os.path.relpath(path, folder) for path in paths if not is_picture(path)]
    if damaged:
        names = ", ".join(damaged[:_MOST_NAMES]) + (", ..." if len(damaged) > _MOST_NAMES else "")
        raise DataError(
            f"{folder} holds {len(damaged)} files that are named like pictures but cannot be read: {names}. "
            "Copy them again or remove them."
        )


def _has_header(path: str) -> bool:
    if not os.path.isfile(path):
        return False
    try:
        with Image.open(path, formats=images.FORMATS):
            return True
    except Exception:  # Pillow raises many kinds on damaged bytes
        return False

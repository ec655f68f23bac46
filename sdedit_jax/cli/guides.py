"""Which files are edited, which mask each has, and what is in them.

Besides pictures, a guide may be an example file of the official SDEdit code: a torch file of ``[mask, image]``.
"""

from pathlib import Path

import numpy as np

from sdedit_jax import images

ASSETS = Path(__file__).parents[1] / "assets"
OFFICIAL_SUFFIX = ".pth"
ROUNDING = 1e-3  # how far values of an image in [0, 1] may lie outside, a quarter of a byte's step

Pair = tuple[Path, Path | None]
"""A guide and the file of its mask, if that is a file of its own."""


def find_guides(guide: str, mask: str, examples: str) -> list[Pair]:
    """The guides to edit and the mask of each, sorted; ImageError for what is missing or ambiguous.

    `guide`: a picture, a .pth file, a folder of both, or "" for the shipped examples of the subject `examples`.
    `mask`: a picture, or for a folder of guides a folder with a mask of every guide's name; if it is "", X_mask.png
    beside X is the mask of X, and no guide. A .pth file has a mask inside and takes no other.
    """
    if not guide:
        if mask:
            raise ValueError("--mask needs --guide, the picture or folder that it is for.")
        return _with_masks(_list_guides(_examples(examples)))
    path = Path(guide).expanduser()
    paths = _list_guides(path) if path.is_dir() else [path]
    if not mask:
        return _with_masks(paths)
    for official in filter(_is_official, paths):
        raise _second_mask(official, Path(mask))
    mask_path = Path(mask).expanduser()
    return list(images.pair_masks(path, mask_path)) if path.is_dir() else [(path, mask_path)]


def load_pair(guide: Path, mask: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """Guide (H, W, 3) in [-1, 1] and mask (H, W, 1), 1 = may change and all 1 if there is none; ImageError."""
    if _is_official(guide):
        return _load_official(guide)
    x_guide = images.load_image(guide)
    if mask is None:
        return x_guide, np.ones((*x_guide.shape[:2], 1), np.float32)
    return x_guide, images.load_mask(mask, (x_guide.shape[0], x_guide.shape[1]))


def check_pair(guide: Path, mask: Path | None) -> tuple[int, int]:
    """The guide's height and width; ImageError naming the file if the pair cannot be edited."""
    x_guide, _ = load_pair(guide, mask)
    height, width, _ = x_guide.shape
    try:
        images.model_size((height, width), 1, 1)
    except images.ImageError as error:  # it knows the picture, not the file
        raise images.ImageError(f"{guide}: {error}") from error
    return height, width


def _examples(subject: str) -> Path:
    subjects = sorted({path.parent.name for path in ASSETS.glob("*/*.png")})
    if subject not in subjects:
        known = ", ".join(subjects)
        raise ValueError(f"There are no example strokes of {subject!r} (config.editing.examples), but of {known}.")
    return ASSETS / subject


def _list_guides(folder: Path) -> list[Path]:
    suffixes = (*images.SUFFIXES, OFFICIAL_SUFFIX)
    found = [path for path in folder.iterdir() if path.suffix.lower() in suffixes and not path.name.startswith(".")]
    return sorted(found) or images.list_images(folder)  # the latter says that there are none


def _with_masks(paths: list[Path]) -> list[Pair]:
    """Each guide with the mask beside it, without the pictures that are such masks."""
    masks = {path: path.with_name(f"{path.stem}_mask.png") for path in paths}
    guides = [path for path in paths if path not in masks.values()]
    stems = [path.stem for path in guides]
    for path in guides:
        if stems.count(path.stem) > 1:
            raise images.ImageError(f"Two pictures in {path.parent} are called {path.stem}: rename one of them.")
        if _is_official(path) and masks[path].is_file():
            raise _second_mask(path, masks[path])
    return [(path, masks[path] if masks[path].is_file() else None) for path in guides]


def _is_official(path: Path) -> bool:
    return path.suffix.lower() == OFFICIAL_SUFFIX


def _second_mask(guide: Path, mask: Path) -> images.ImageError:
    return images.ImageError(f"{guide} has a mask inside and cannot take {mask} too: edit it without, or as a picture.")


def _load_official(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """As `load_pair`, from an official example, in which a mask of 1 says keep, and anything else may change."""
    kept, image = _read_official(path)
    if not (image.min() >= -ROUNDING and image.max() <= 1 + ROUNDING):
        raise images.ImageError(f"{path} has an image of {image.min():g} to {image.max():g}, which must be in [0, 1].")
    if not np.isfinite(kept).all():
        raise images.ImageError(f"{path} has a mask with NaN or infinite values: write 1 where the picture is kept.")
    if _is_binary(image) and not _is_binary(kept):
        raise images.ImageError(f"{path} has the image before the mask: swap them, the order is [mask, image].")
    may_change = kept != 1
    if (may_change != may_change[..., :1]).any():
        raise images.ImageError(
            f"{path} has a mask that differs between red, green and blue: repeat one plane three times."
        )
    return np.clip(image, 0, 1) * np.float32(2) - np.float32(1), may_change[..., :1].astype(np.float32)


def _read_official(path: Path) -> list[np.ndarray]:
    """Mask and image, both (H, W, 3), from a torch file of two (3, H, W) tensors."""
    # The readers of torch files belong to `weights`, which imports JAX; pictures are checked without it.
    from sdedit_jax.weights import stored
    from sdedit_jax.weights.files import torch_file

    try:
        tensors = torch_file.read(path)
        if not isinstance(tensors, list | tuple) or [type(tensor) for tensor in tensors] != [stored.StoredTensor] * 2:
            raise images.ImageError(f"{path} is no example of SDEdit, a list of two tensors, [mask, image].")
        shapes = [tensor.shape for tensor in tensors]
        channels, height, width = shapes[0] if len(shapes[0]) == 3 else (0, 0, 0)
        if shapes[1] != shapes[0] or channels != 3 or not 0 < height * width <= images.MAX_PIXELS:
            raise images.ImageError(
                f"{path} has a mask of {shapes[0]} and an image of {shapes[1]}, which must both be (3, height, width), "
                f"of at most {images.MAX_PIXELS // 1_000_000} million pixels."
            )
        return [np.moveaxis(np.asarray(tensor.read(), np.float32), 0, -1) for tensor in tensors]
    except stored.WeightsError as error:
        raise images.ImageError(str(error)) from error


def _is_binary(values: np.ndarray) -> bool:
    return bool(((values == 0) | (values == 1)).all())

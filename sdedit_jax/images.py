"""Picture files <-> float32 arrays in [-1, 1], NHWC without the N; the only module that reads or writes pictures.

A picture from a stranger may be rotated by its EXIF tag, transparent, 16 bits deep, animated, cut off or no picture at
all. It leaves this door as an upright opaque (H, W, 3) array at its own size, or as an `ImageError` whose one sentence
says what is wrong with which file and what to do. `fit_to_model` brings it to a size that a network accepts and
`restore_size` brings the edit back to the picture's own size.

Masks are (H, W, 1) float32 in [0, 1], white (1) = may change, everywhere in this package.
"""

import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from sdedit_jax import disk
from sdedit_jax.pixels import from_uint8, to_uint8

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
MAX_PIXELS = 64_000_000
MAX_ASPECT = 4
SETTINGS_KEYWORD = "sdedit"

Source = str | os.PathLike[str] | BinaryIO


class ImageError(ValueError):
    """A picture that cannot be used; the message names the file and says what to do."""


def load_image(source: Source, *, background: tuple[int, int, int] = (255, 255, 255)) -> np.ndarray:
    """(H, W, 3) float32 in [-1, 1] at the picture's own size, upright; transparent parts show `background` (bytes).

    `source` is a path or a binary file. Of an animation the first frame is taken, with a warning.
    Raises ImageError, and nothing else, for every file that cannot be used; MemoryError, which is not the file's fault.
    """
    return from_uint8(np.asarray(_read(source, background)))


def load_mask(source: Source, size_hw: tuple[int, int] | None = None) -> np.ndarray:
    """(H, W, 1) float32 in [0, 1]: the luminance of the picture, white = may change, black = kept bit for bit.

    Transparent parts count as black, so white paint on an empty layer is a mask. If `size_hw` (the guide's height and
    width) is given, a mask of another size is an ImageError. Save masks as PNG: the black of a JPEG is rarely black.
    """
    luminance = np.asarray(_read(source, (0, 0, 0)).convert("L"))
    if size_hw is not None and luminance.shape != tuple(size_hw):
        raise ImageError(
            f"{_name(source)} is {_pixels(luminance.shape)} but the guide is {_pixels(size_hw)}: "
            "draw the mask on a copy of the guide so that both have one size."
        )
    return (luminance.astype(np.float32) / np.float32(255.0))[..., None]


def save_image(path: str | os.PathLike[str], x: np.ndarray, settings: Mapping[str, Any] | None = None) -> None:
    """Write (H, W, 3) in [-1, 1] as PNG with `settings` (JSON) inside; the file appears whole or not at all."""
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ImageError(f"{path} must end in .png: results are saved as PNG, without loss and with their settings.")
    if x.ndim != 3 or x.shape[-1] != 3:
        raise ValueError(f"A picture to save must be (H, W, 3), got {x.shape}.")
    chunks = PngInfo()
    if settings is not None:
        chunks.add_itxt(SETTINGS_KEYWORD, json.dumps(dict(settings), ensure_ascii=False))
    with disk.replacing(path) as temporary:
        Image.fromarray(to_uint8(x)).save(temporary, format="PNG", pnginfo=chunks)


def read_settings(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The settings that `save_image` stored in the file; ImageError if it holds none."""
    image = _read(path, (255, 255, 255))
    try:
        return dict(json.loads(image.info[SETTINGS_KEYWORD]))
    except (KeyError, TypeError, ValueError) as error:
        raise ImageError(
            f"{path} holds no settings: use a PNG as it was saved here, not a copy edited since."
        ) from error


def list_images(folder: str | os.PathLike[str]) -> list[Path]:
    """The picture files of `folder`, sorted by name; ImageError if there is none."""
    folder = Path(folder)
    if not folder.is_dir():
        raise ImageError(f"{folder} is not a folder: give the path of a folder with pictures.")
    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
    if not paths:
        raise ImageError(f"{folder} holds no pictures: put files in it that end in {', '.join(SUFFIXES)}.")
    return paths


def pair_masks(guide_folder: str | os.PathLike[str], mask_folder: str | os.PathLike[str]) -> list[tuple[Path, Path]]:
    """(guide, mask) paths that share a name up to the suffix, sorted; ImageError for any file without its partner."""
    guides, masks = _by_stem(guide_folder), _by_stem(mask_folder)
    for stem in sorted(guides.keys() ^ masks.keys()):
        path, kind, other = (
            (guides[stem], "mask", mask_folder) if stem in guides else (masks[stem], "guide", guide_folder)
        )
        raise ImageError(f"{path} has no {kind}: put a picture named {stem}.png into {os.fspath(other)}.")
    return [(guides[stem], masks[stem]) for stem in guides]


def model_size(shape: tuple[int, ...], image_size: int, multiple: int) -> tuple[int, int]:
    """(h, w) at which a network of pictures of `image_size` takes a picture of `shape` (H, W, ...): see `fit_to_model`.

    ImageError if the long side is more than 4 times the short one.
    """
    short, long = min(shape[:2]), max(shape[:2])
    if long > MAX_ASPECT * short:
        raise ImageError(
            f"A picture's long side may be at most {MAX_ASPECT} times its short side, got {_pixels(shape)}: crop it."
        )
    height, width = (max(1, int(side * image_size / short / multiple + 0.5)) * multiple for side in shape[:2])
    return height, width


def fit_to_model(image: np.ndarray, image_size: int, multiple: int) -> np.ndarray:
    """(h, w, C) picture in [-1, 1] at a size that the network accepts, antialiased (Lanczos), from (H, W, C).

    The shorter side becomes `image_size`, the aspect is kept, and each side is rounded to the nearest multiple of
    `multiple` (how far the network scales down). A picture of that size already is returned as it is. ImageError if
    the long side is more than 4 times the short one.
    """
    fitted = _resize(image, model_size(image.shape, image_size, multiple), Image.Resampling.LANCZOS)
    return np.clip(fitted, -1.0, 1.0)


def fit_mask_to_model(mask: np.ndarray, image_size: int, multiple: int) -> np.ndarray:
    """(h, w, 1) mask in [0, 1], fitted as by `fit_to_model` but by area (box): a pixel half covered becomes grey."""
    return _resize(mask, model_size(mask.shape, image_size, multiple), Image.Resampling.BOX)


def restore_size(x_edit: np.ndarray, x_guide: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(H, W, 3) edit at the size of `x_guide` (bicubic), from (h, w, 3); where mask is 0, the guide bit for bit.

    `x_guide` (H, W, 3) and `mask` (H, W, 1) are the pictures as loaded, before they were fitted to the model.
    """
    if mask.shape[:2] != x_guide.shape[:2]:
        raise ValueError(f"mask is {_pixels(mask.shape)} but the guide is {_pixels(x_guide.shape)}.")
    enlarged = _resize(np.asarray(x_edit), x_guide.shape[:2], Image.Resampling.BICUBIC)
    return np.where(mask > 0, np.clip(enlarged, -1.0, 1.0), x_guide).astype(np.float32)


def _read(source: Source, background: tuple[int, int, int]) -> Image.Image:
    """The picture in `source`: upright, mode RGB, flattened on `background`."""
    if not isinstance(source, str | os.PathLike):
        return _decode(source, background)
    try:
        with open(source, "rb") as file:
            return _decode(file, background)
    except OSError as error:
        raise ImageError(f"{source} cannot be opened ({error.strerror}): give the path of a picture file.") from error


def _decode(file: BinaryIO, background: tuple[int, int, int]) -> Image.Image:
    """As `_read`, from an open file; whatever Pillow raises on damaged bytes becomes an ImageError."""
    name = _name(file)
    try:
        image = Image.open(file, formats=FORMATS)
        if image.width * image.height > MAX_PIXELS:
            raise Image.DecompressionBombError  # Pillow's own limit is higher, and comes with the same advice
        # A phone's JPEG may carry a second picture (depth, gain map); that is no animation.
        if getattr(image, "is_animated", False) and image.format != "MPO":
            warnings.warn(f"{name} is an animation or has pages: only the first picture is used.", stacklevel=4)
        image.load()
        return _flatten(_to_8_bits(ImageOps.exif_transpose(image)), background)
    except MemoryError:  # no fault of the file's
        raise
    except ImageError as error:
        raise ImageError(f"{name} {error}") from None
    except Image.DecompressionBombError as error:
        limit = MAX_PIXELS // 1_000_000
        raise ImageError(
            f"{name} has more than {limit} million pixels, the most that is read: scale it down."
        ) from error
    except UnidentifiedImageError as error:
        raise ImageError(
            f"{name} is not a picture, or an empty or damaged one: save it as one of {', '.join(FORMATS)}."
        ) from error
    except Exception as error:
        raise ImageError(f"{name} is damaged or cut off ({error}): export or copy it again.") from error


def _to_8_bits(image: Image.Image) -> Image.Image:
    """Grey of 16 or 32 bits or floats, which Pillow would clip at 255, as 8-bit grey; other modes as they are."""
    if image.mode not in ("I", "F") and not image.mode.startswith("I;16"):
        return image
    values = np.asarray(image)
    low, high = values.min(), values.max()
    full = (1.0 if high <= 1.0 else 255.0) if image.mode == "F" else 65535
    if not (low >= 0 and high <= full):
        raise ImageError(f"has values from {low} to {high}, of unknown meaning: save it with 8 or 16 bits per channel.")
    return Image.fromarray((np.rint(values * (255.0 / full)) if image.mode == "F" else values >> 8).astype(np.uint8))


def _flatten(image: Image.Image, background: tuple[int, int, int]) -> Image.Image:
    if not image.has_transparency_data:
        return image.convert("RGB")
    canvas = Image.new("RGBA", image.size, background)
    return Image.alpha_composite(canvas, image.convert("RGBA")).convert("RGB")


def _resize(array: np.ndarray, size_hw: tuple[int, int], resample: Image.Resampling) -> np.ndarray:
    """(h, w, C) from (H, W, C), channel by channel in float32, so that nothing is rounded to bytes on the way."""
    if array.shape[:2] == tuple(size_hw):
        return array
    height, width = size_hw
    channels = np.moveaxis(np.asarray(array, np.float32), -1, 0)
    resized = [Image.fromarray(np.ascontiguousarray(c)).resize((width, height), resample) for c in channels]
    return np.stack([np.asarray(c) for c in resized], axis=-1)


def _by_stem(folder: str | os.PathLike[str]) -> dict[str, Path]:
    paths: dict[str, Path] = {}
    for path in list_images(folder):
        if path.stem in paths:
            raise ImageError(f"{paths[path.stem]} and {path} share one name: rename one of them.")
        paths[path.stem] = path
    return paths


def _name(source: Source) -> str:
    if isinstance(source, str | os.PathLike):
        return os.fspath(source)
    return str(getattr(source, "name", "The picture"))


def _pixels(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]} pixels (width x height)"

"""The pictures of a survey: a folder `guides` and one folder for each method, with a picture of the same name in each.

::

    pictures/guides/0001.png
    pictures/sdedit/0001.png
    pictures/gan/0001.png
"""

import base64
import io
import re
from pathlib import Path

import numpy as np
from PIL import Image

from sdedit_jax import images
from sdedit_jax.pixels import to_uint8
from sdedit_jax.survey.design import BROKEN
from sdedit_jax.survey.errors import SurveyError

GUIDES = "guides"
TILES = 4  # of a broken picture, along each side
# Names of methods go into tables and spreadsheets, where other characters may mean something.
METHOD_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+-]{0,39}")


def find_methods(folder: Path) -> list[str]:
    """The methods of `folder`: its folders but `guides` and hidden ones, sorted; SurveyError for another layout."""
    if not folder.is_dir():
        raise SurveyError(f"{folder} is not a folder: give one that holds {GUIDES}/ and a folder for each method.")
    folders = {path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")}
    if GUIDES not in folders:
        raise SurveyError(f"{folder} has no folder {GUIDES}: put the pictures there that the methods started from.")
    for name in sorted(folders - {GUIDES}):
        if not METHOD_NAME.fullmatch(name) or name == BROKEN:
            raise SurveyError(
                f"{name!r} cannot be a method's name: name its folder with at most 40 letters, digits, spaces and "
                f". _ + -, of which the first is a letter or a digit, and not {BROKEN!r}."
            )
    return sorted(folders - {GUIDES})


def find_pictures(folder: Path, methods: list[str]) -> dict[str, dict[str, Path]]:
    """For each guide's name the files of the guide and of each method's result; SurveyError where one is missing."""
    files = {part: _by_name(folder / part) for part in (GUIDES, *methods)}
    for method in methods:
        for name in sorted(files[GUIDES].keys() ^ files[method].keys()):
            here, there = (GUIDES, method) if name in files[GUIDES] else (method, GUIDES)
            raise SurveyError(
                f"{files[here][name]} has no partner in {folder / there}: every guide needs one result of every method."
            )
    return {name: {part: files[part][name] for part in files} for name in files[GUIDES]}


def load_pictures(files: dict[str, Path]) -> dict[str, np.ndarray]:
    """The pictures of one guide as bytes (H, W, 3); SurveyError unless they have one size, or ImageError."""
    pictures = {part: to_uint8(images.load_image(path)) for part, path in files.items()}
    for part, picture in pictures.items():
        if picture.shape != pictures[GUIDES].shape:
            sizes = [f"{shape[1]} x {shape[0]} pixels" for shape in (picture.shape, pictures[GUIDES].shape)]
            raise SurveyError(
                f"{files[part]} is {sizes[0]} but the guide {files[GUIDES]} is {sizes[1]}: a size gives the method "
                "away, so bring all pictures of a guide to one."
            )
    return pictures


def broken(picture: np.ndarray) -> np.ndarray:
    """The negative of (H, W, 3) bytes, its tiles in reverse order: the worse one of the two, whatever it shows."""
    for axis in (0, 1):
        picture = np.concatenate(np.array_split(picture, TILES, axis)[::-1], axis)
    return 255 - picture


def encode(picture: np.ndarray) -> str:
    """A PNG of (H, W, 3) bytes in base64; as it is written anew, no metadata of the file can tell the method."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, format="PNG")
    return base64.b64encode(file.getvalue()).decode("ascii")


def _by_name(folder: Path) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for path in images.list_images(folder):
        if path.stem in files:
            raise SurveyError(f"{files[path.stem]} and {path} share one name: rename one of them.")
        files[path.stem] = path
    return files

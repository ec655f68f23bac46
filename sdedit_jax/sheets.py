"""Contact sheets: rows of captioned pictures (guide, mask, noised start, candidates) as one array."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sdedit_jax.pixels import from_uint8, to_uint8

MIN_SIDE = 128
PADDING = 8
CAPTION_SIZE = 12
CAPTION_HEIGHT = 18
CAPTION_COLOR = (64, 64, 64)


def contact_sheet(rows: Sequence[Sequence[np.ndarray]], captions: Sequence[Sequence[str]]) -> np.ndarray:
    """(H, W, 3) float32 in [-1, 1]: `rows` of pictures on white, each below its own caption.

    Pictures are (h, w, 3) in [-1, 1] or masks (h, w, 1) in [0, 1] and may differ in size. Small ones are enlarged by a
    whole factor, pixels staying square, to about the largest of them and to 128 pixels or more. Rows may be of
    different lengths.
    """
    if not rows or [len(row) for row in rows] != [len(row) for row in captions]:
        raise ValueError(
            f"captions must name every picture: got rows of {[len(row) for row in rows]} pictures "
            f"and {[len(row) for row in captions]} captions."
        )
    font = ImageFont.load_default(CAPTION_SIZE)
    side = max([MIN_SIDE, *(min(picture.shape[:2]) for row in rows for picture in row)])
    tiles = [[_tile(picture, side) for picture in row] for row in rows]
    lefts = _starts(_column_widths(tiles, captions, font))
    tops = _starts([CAPTION_HEIGHT + max((tile.height for tile in row), default=0) for row in tiles])
    sheet = Image.new("RGB", (lefts[-1], tops[-1]), "white")
    draw = ImageDraw.Draw(sheet)
    for top, tile_row, caption_row in zip(tops, tiles, captions, strict=False):
        for left, tile, caption in zip(lefts, tile_row, caption_row, strict=False):
            draw.text((left, top), caption, fill=CAPTION_COLOR, font=font)
            sheet.paste(tile, (left, top + CAPTION_HEIGHT))
    return from_uint8(np.asarray(sheet))


def _tile(picture: np.ndarray, side: int) -> Image.Image:
    """The picture or mask with its shorter side near `side`."""
    if picture.ndim != 3 or picture.shape[-1] not in (1, 3):
        raise ValueError(f"A picture on a sheet must be (h, w, 3), or (h, w, 1) for a mask, got {picture.shape}.")
    if picture.shape[-1] == 1:
        picture = np.repeat(2.0 * picture - 1.0, 3, axis=-1)
    factor = max(-(-MIN_SIDE // min(picture.shape[:2])), round(side / min(picture.shape[:2])))
    return Image.fromarray(to_uint8(picture).repeat(factor, axis=0).repeat(factor, axis=1))


def _column_widths(
    tiles: Sequence[Sequence[Image.Image]],
    captions: Sequence[Sequence[str]],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> list[int]:
    widths = [0] * max(len(row) for row in tiles)
    for tile_row, caption_row in zip(tiles, captions, strict=True):
        for column, (tile, caption) in enumerate(zip(tile_row, caption_row, strict=True)):
            widths[column] = max(widths[column], tile.width, int(np.ceil(font.getlength(caption))))
    return widths


def _starts(lengths: Sequence[int]) -> list[int]:
    """Where each of the padded `lengths` starts, and at the end where the sheet ends."""
    return [PADDING + sum(lengths[:i]) + i * PADDING for i in range(len(lengths) + 1)]

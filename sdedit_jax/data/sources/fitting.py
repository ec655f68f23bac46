"""Pictures of all sizes brought to one: what a network trains on is square."""

import dataclasses
import typing
from typing import Literal, TypeAlias

import numpy as np
from PIL import Image

FitMethod: TypeAlias = Literal["crop", "resize"]


@dataclasses.dataclass(frozen=True)
class Fit:
    """(H, W, 3) in [-1, 1] -> (image_size, image_size, 3), scaled with antialiasing (Lanczos).

    `method`: ``crop`` keeps the centre of a picture and its proportions, ``resize`` keeps all of it and squeezes it.
    A picture of that size already, and any picture if `image_size` is None, is returned as it is.
    """

    image_size: int | None
    method: FitMethod = "crop"

    def __post_init__(self):
        if self.method not in typing.get_args(FitMethod):
            raise ValueError(f"fit must be crop or resize, got {self.method!r}.")
        if self.image_size is not None and self.image_size < 1:
            raise ValueError(f"image_size must be 1 pixel or more, got {self.image_size}.")

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """The picture `x` at the size."""
        if self.image_size is None:
            return x
        if self.method == "crop":
            side = min(x.shape[:2])
            top, left = ((length - side) // 2 for length in x.shape[:2])
            x = x[top : top + side, left : left + side]
        size = (self.image_size, self.image_size)
        if x.shape[:2] == size:
            return x
        # Channel by channel in float32, so that nothing is rounded to bytes on the way.
        channels = [Image.fromarray(np.ascontiguousarray(x[..., channel], np.float32)) for channel in range(3)]
        scaled = [np.asarray(channel.resize(size, Image.Resampling.LANCZOS)) for channel in channels]
        return np.clip(np.stack(scaled, axis=-1), -1.0, 1.0)

"""Held-out pictures -> the guides that a person might have made of them, so that a thousand edits can be measured.

The three tasks of SDEdit (Meng et al. 2022, arXiv:2108.01073): strokes to a picture (section 4.1), strokes on a picture
(4.2), and a part of one picture pasted into another (4.3). Where a mask is needed its region is drawn at random, and
what is painted or pasted there comes from another of the pictures.
"""

import dataclasses
from typing import Literal, get_args

import numpy as np

from sdedit_jax.evaluation.errors import EvaluationError
from sdedit_jax.strokes import simulate_strokes

TaskName = Literal["strokes", "editing", "compositing"]
TASKS = get_args(TaskName)
NUM_WAVES = 4  # bumps on the outline of a region, at most
AREA = (0.08, 0.25)  # of a region, as a share of the picture's


@dataclasses.dataclass(frozen=True)
class Guides:
    """A batch of guides, and what the methods and the metrics have to know of them."""

    x_guide: np.ndarray
    """(B, H, W, 3) in [-1, 1]."""
    mask: np.ndarray | None
    """(B, H, W, 1), True = may change; None: everything may."""
    x_background: np.ndarray
    """(B, H, W, 3) in [-1, 1], the pictures that were painted over; with strokes alone the guides themselves."""
    x_foreground: np.ndarray
    """Likewise, what was painted or pasted, of which the guide has the part inside the mask."""


def make_guides(
    task: TaskName, pictures: np.ndarray, others: np.ndarray, numbers: np.ndarray, *, num_colors: int = 6
) -> Guides:
    """The guides of `task` made of `pictures` (B, H, W, 3) in [-1, 1].

    `others`, like `pictures`: from these comes what is painted or pasted. `numbers` (B,): of the pictures in their data
    set, which decide the regions. `num_colors`: of the strokes.
    """
    if task not in TASKS:
        raise EvaluationError(f"The tasks are {', '.join(TASKS)}, got {task!r}.")
    if task == "strokes":
        x_guide = simulate_strokes(pictures, num_colors)
        return Guides(x_guide, None, x_guide, x_guide)
    mask = np.stack([random_region(pictures.shape[1:3], int(number)) for number in numbers])
    x_foreground = simulate_strokes(others, num_colors) if task == "editing" else others
    return Guides(np.where(mask, x_foreground, pictures), mask, pictures, x_foreground)


def random_region(size_hw: tuple[int, ...], seed: int) -> np.ndarray:
    """(H, W, 1) bool: a rounded region of 8 to 25 % of the picture, its centre away from the border.

    Its outline is r(angle) = r0 (1 + sum of a few waves), as a hand would draw around something.
    """
    random = np.random.default_rng(seed)
    height, width = size_hw
    centre = random.uniform(0.3, 0.7, 2) * (height, width)
    radius = np.sqrt(random.uniform(*AREA) * height * width / np.pi)
    y, x = np.indices((height, width)) + 0.5 - centre[:, None, None]
    stretch = np.sqrt(random.uniform(1.0, 2.0))  # wider than high, as most things in pictures of places are
    angle, distance = np.arctan2(y * stretch, x / stretch), np.hypot(y * stretch, x / stretch)
    outline = np.ones_like(angle)
    for wave in range(2, NUM_WAVES + 1):
        outline += random.normal(0.0, 0.12 / (wave - 1)) * np.cos(wave * angle + random.uniform(0, 2 * np.pi))
    return (distance <= radius * outline)[..., None]

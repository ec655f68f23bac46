"""The example strokes that come with the package."""

from pathlib import Path

import numpy as np
import pytest

from configs import default
from sdedit_jax.cli.guides import find_guides
from sdedit_jax.images import fit_to_model, load_image, load_mask

ASSETS = Path(__file__).parents[1] / "sdedit_jax" / "assets"
SIZES = {"landscapes": 64, "bedroom": 256, "church": 256, "face": 256, "cat": 256, "cifar10": 32}
PAIRS = [(subject, *pair) for subject in SIZES for pair in find_guides("", "", subject)]
EDITS = [(guide, mask) for _, guide, mask in PAIRS if mask is not None]


def test_every_subject_has_its_folder_and_no_file_is_left_over():
    assert {path.parent.name for path in ASSETS.glob("*/*.png")} == set(SIZES)
    assert default.get_config().editing.examples in SIZES
    used = {path for _, *pair in PAIRS for path in pair if path is not None}
    assert used == set(ASSETS.rglob("*.png"))
    assert sum(path.stat().st_size for path in used) < 600_000  # of a wheel of 14 MB


@pytest.mark.parametrize(("subject", "guide", "mask"), PAIRS, ids=lambda value: getattr(value, "stem", None))
def test_a_guide_is_small_on_disk_and_fits_the_models(subject, guide, mask):
    assert guide.stat().st_size < 41_000
    size = SIZES[subject]
    assert fit_to_model(load_image(guide), size, min(32, size // 4)).shape == (size, size, 3)


@pytest.mark.parametrize(("guide", "mask"), EDITS, ids=lambda path: path.stem)
def test_a_mask_is_black_and_white_and_leaves_most_of_the_picture_alone(guide, mask):
    values = load_mask(mask, load_image(guide).shape[:2])
    np.testing.assert_array_equal(np.unique(values), [0.0, 1.0])
    assert 0.1 < values.mean() < 0.5


def test_the_painted_lake_lies_within_its_mask():
    valley = load_image(ASSETS / "landscapes" / "valley_lake.png")
    mask = load_mask(ASSETS / "landscapes" / "valley_lake_mask.png")
    below_sky = valley[valley.shape[0] // 2 :]
    blue = below_sky[..., 2] > below_sky[..., 1] + 0.15
    assert blue.any() and mask[valley.shape[0] // 2 :][blue].all()

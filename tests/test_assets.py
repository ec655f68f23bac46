from pathlib import Path

import numpy as np
import pytest

from sdedit_jax.images import fit_to_model, list_images, load_image, load_mask

ASSETS = Path(__file__).parents[1] / "sdedit_jax" / "assets"


def test_there_are_guides_to_choose_from():
    assert len(list_images(ASSETS / "guides")) >= 4


@pytest.mark.parametrize("path", list_images(ASSETS / "guides"), ids=lambda path: path.stem)
def test_a_guide_is_small_on_disk_and_fits_the_models(path):
    assert path.stat().st_size < 60_000
    assert fit_to_model(load_image(path), 64, 8).shape == (64, 64, 3)


def test_the_painted_lake_lies_within_its_mask_and_leaves_most_of_the_valley_alone():
    valley = load_image(ASSETS / "edits" / "valley_lake.png")
    mask = load_mask(ASSETS / "edits" / "valley_lake_mask.png", valley.shape[:2])
    np.testing.assert_array_equal(np.unique(mask), [0.0, 1.0])
    assert 0.1 < mask.mean() < 0.5
    below_sky = valley[valley.shape[0] // 2 :]
    blue = below_sky[..., 2] > below_sky[..., 1] + 0.15
    assert blue.any() and mask[valley.shape[0] // 2 :][blue].all()

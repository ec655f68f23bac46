"""Guides are made of pictures as in the paper: strokes everywhere, strokes in a region, or another picture's part."""

import numpy as np
import pytest
from scipy import ndimage

from sdedit_jax.evaluation import EvaluationError, make_guides
from sdedit_jax.evaluation.tasks import AREA, TASKS, random_region
from sdedit_jax.pixels import from_uint8
from sdedit_jax.strokes import simulate_strokes

SIZE, COUNT = 32, 3


@pytest.fixture(scope="module")
def pictures():
    """Two times COUNT pictures of smooth colours, (2, COUNT, SIZE, SIZE, 3)."""
    noise = np.random.default_rng(0).integers(0, 256, (2, COUNT, SIZE // 8, SIZE // 8, 3), dtype=np.uint8)
    return from_uint8(noise.repeat(8, axis=2).repeat(8, axis=3))


def test_a_region_is_one_piece_of_the_promised_size_away_from_the_border():
    areas = []
    for seed in range(200):
        region = random_region((64, 64), seed)[..., 0]
        _, pieces = ndimage.label(region)
        assert pieces == 1
        areas.append(region.mean())
        assert not region[[0, -1]].all(axis=1).any() and not region[:, [0, -1]].all(axis=0).any()
    # The waves of the outline change the area by the mean of their squares, a few per cent, and the border cuts some.
    assert AREA[0] * 0.9 < np.quantile(areas, 0.02) and np.quantile(areas, 0.98) < AREA[1] * 1.15
    assert np.std(areas) > 0.03  # they differ


def test_a_region_is_the_same_in_another_size_but_for_its_outline():
    small, large = random_region((32, 48), 5), random_region((96, 144), 5)
    centres = large[1::3, 1::3]
    assert (small != centres).mean() < 0.02  # the pixels whose centres the outline passes within rounding


def test_regions_differ_by_number_and_are_reproducible():
    regions = [random_region((32, 32), number) for number in range(10)]
    assert len({region.tobytes() for region in regions}) == 10
    assert (random_region((32, 32), 3) == regions[3]).all()


def test_strokes_alone_are_the_paper_s(pictures):
    guides = make_guides("strokes", *pictures, np.arange(COUNT), num_colors=4)
    np.testing.assert_array_equal(guides.x_guide, simulate_strokes(pictures[0], 4))
    assert guides.mask is None


@pytest.mark.parametrize("task", ["editing", "compositing"])
def test_a_region_has_what_another_picture_has_there_and_the_rest_is_untouched(task, pictures):
    guides = make_guides(task, *pictures, np.arange(COUNT), num_colors=4)
    for number in range(COUNT):
        inside = guides.mask[number, ..., 0]
        assert 0 < inside.sum() < inside.size
        np.testing.assert_array_equal(guides.x_guide[number][~inside], pictures[0, number][~inside])
        np.testing.assert_array_equal(guides.x_guide[number][inside], guides.x_foreground[number][inside])
    np.testing.assert_array_equal(guides.x_background, pictures[0])
    painted = simulate_strokes(pictures[1], 4) if task == "editing" else pictures[1]
    np.testing.assert_array_equal(guides.x_foreground, painted)


@pytest.mark.parametrize("task", TASKS)
def test_a_guide_does_not_depend_on_its_batch(task, pictures):
    together = make_guides(task, *pictures, np.arange(COUNT))
    for number in range(COUNT):
        rows = slice(number, number + 1)
        alone = make_guides(task, pictures[0][rows], pictures[1][rows], np.arange(COUNT)[rows])
        np.testing.assert_array_equal(alone.x_guide[0], together.x_guide[number])


def test_an_unknown_task_is_refused(pictures):
    with pytest.raises(EvaluationError, match="The tasks are strokes, editing, compositing, got 'paint'"):
        make_guides("paint", *pictures, np.arange(COUNT))

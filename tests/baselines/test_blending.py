"""Blending: what it leaves alone, what it reproduces, and the equations it solves."""

import numpy as np
import pytest

from sdedit_jax.baselines.blending import from_pyramid, laplacian_blend, laplacian_pyramid, poisson_blend

BLENDS = pytest.mark.parametrize("blend", [laplacian_blend, poisson_blend])
EPS = np.finfo(np.float32).eps


@pytest.fixture
def rng():
    return np.random.default_rng(20220101)


@pytest.fixture
def pictures(rng):
    """Guide and background, two of each, of sides that no power of two divides."""
    return rng.uniform(-0.3, 0.3, (2, 2, 42, 50, 3)).astype(np.float32)


@pytest.fixture
def mask(rng):
    """Of two regions in the first picture, one at the edge of the picture, and of one in the second."""
    mask = np.zeros((2, 42, 50, 1), bool)
    mask[0, 10:20, 5:30] = mask[0, 30:, 40:] = mask[1, :15, 20:] = True
    return mask


@BLENDS
def test_a_picture_blended_with_itself_is_itself(blend, pictures, mask):
    x = pictures[0]
    np.testing.assert_allclose(blend(x, x, mask), x, atol=EPS)  # float64 inside, rounded once


@BLENDS
def test_an_empty_mask_gives_the_background_and_a_full_one_the_guide(blend, pictures):
    x_guide, x_background = pictures
    everything = np.ones((1, 42, 50, 1), np.float32)
    np.testing.assert_allclose(blend(x_guide, x_background, 0 * everything), x_background, atol=EPS)
    np.testing.assert_allclose(blend(x_guide, x_background, everything), x_guide, atol=EPS)


@BLENDS
def test_pictures_do_not_see_each_other(blend, pictures, mask):
    x_guide, x_background = pictures
    together = blend(x_guide, x_background, mask)
    alone = [blend(x_guide[i : i + 1], x_background[i : i + 1], mask[i : i + 1]) for i in range(2)]
    np.testing.assert_array_equal(together, np.concatenate(alone))
    assert together.dtype == np.float32


@BLENDS
def test_results_stay_in_range(blend, pictures, mask):
    x = blend(np.sign(pictures[0]), np.sign(pictures[1]), mask)
    assert x.min() == -1.0 and x.max() == 1.0


@BLENDS
def test_what_does_not_fit_is_refused_with_the_shapes(blend, pictures, mask):
    x_guide, x_background = pictures
    with pytest.raises(ValueError, match=r"\(2, 42, 50, 3\) and \(1, 42, 50, 3\)"):
        blend(x_guide, x_background[:1], mask)
    with pytest.raises(ValueError, match=r"\(1 or 2, 42, 50, 1\), got \(2, 42, 50\)"):
        blend(x_guide, x_background, mask[..., 0])


def test_poisson_keeps_the_background_bit_for_bit(pictures, mask):
    x = poisson_blend(*pictures, mask)
    kept = ~mask[..., 0]
    np.testing.assert_array_equal(x[kept], pictures[1][kept])
    assert (x[~kept] != pictures[1][~kept]).all()


def test_poisson_forgets_the_guide_s_colour(pictures, mask):
    x_guide, x_background = pictures
    shifted = poisson_blend(x_guide + 0.2, x_background, mask)
    np.testing.assert_allclose(shifted, poisson_blend(x_guide, x_background, mask), atol=2 * EPS)


def test_poisson_has_the_guide_s_laplacian_inside(pictures, mask):
    x_guide, x_background = (0.1 * picture for picture in pictures)  # small, so that nothing is clipped
    x = poisson_blend(x_guide, x_background, mask).astype(np.float64)

    def laplacian(x):
        return sum(x - np.roll(x, shift, axis) for axis in (1, 2) for shift in (-1, 1))

    padded = np.pad(mask[..., 0], ((0, 0), (1, 1), (1, 1)))  # np.roll would wrap at the picture's edge
    inner = np.all([np.roll(padded, shift, axis) for axis in (1, 2) for shift in (-1, 1)], axis=0)[:, 1:-1, 1:-1]
    inner &= mask[..., 0]
    assert inner.sum() > 500
    np.testing.assert_allclose(laplacian(x)[inner], laplacian(x_guide)[inner], atol=8 * EPS * np.abs(x).max())


def test_poisson_has_one_dimensional_solutions_in_closed_form():
    """A flat guide in a ramp of steps 0.05: wanted are 2 steps as at the border and 18 of nothing.

    What is missing of the way from -0.5 to 0.5 is shared equally by all 20.
    """
    x_background = np.broadcast_to(np.linspace(-0.5, 0.5, 21)[:, None, None], (1, 21, 9, 3)).astype(np.float32)
    mask = np.zeros((1, 21, 9, 1), bool)
    mask[:, 1:-1] = True
    x = poisson_blend(np.full_like(x_background, 0.8), x_background, mask)
    wanted = np.array([0.05, *[0.0] * 18, 0.05])
    steps = wanted + (1.0 - wanted.sum()) / 20
    np.testing.assert_allclose(np.diff(x, axis=1), np.broadcast_to(steps[:, None, None], (1, 20, 9, 3)), atol=2 * EPS)


def test_poisson_takes_nothing_of_the_guide_beyond_the_mask(pictures, mask):
    """So a composite, which is the background there, gives what the whole picture that was pasted gives."""
    x_guide, x_background = pictures
    composite = np.where(mask, x_guide, x_background)
    expected = poisson_blend(x_guide, x_background, mask)
    np.testing.assert_array_equal(poisson_blend(composite, x_background, mask), expected)
    assert np.abs(expected - composite)[np.broadcast_to(mask, composite.shape)].max() > 0.05


def test_a_pyramid_is_halved_to_the_coarsest_and_rebuilt(pictures):
    bands = laplacian_pyramid(pictures[0].astype(np.float64))
    assert [band.shape[1:3] for band in bands] == [(42, 50), (21, 25), (11, 13)]
    np.testing.assert_allclose(from_pyramid(bands), pictures[0], rtol=0, atol=1e-15)


def test_a_pyramid_of_a_constant_has_no_detail():
    *details, rest = laplacian_pyramid(np.full((1, 33, 64, 1), 0.7))
    assert details
    for band in details:
        np.testing.assert_allclose(band, 0.0, atol=1e-15)
    np.testing.assert_allclose(rest, 0.7, rtol=1e-15)


def test_laplacian_blending_is_the_background_far_away_and_has_no_seam(pictures):
    """Two constants and a straight border: the steepest step is far below the one of a plain paste."""
    x_guide, x_background = np.full((1, 64, 128, 3), 0.5), np.full((1, 64, 128, 3), -0.5)
    mask = np.zeros((1, 64, 128, 1))
    mask[:, :, :64] = 1.0
    x = laplacian_blend(x_guide, x_background, mask)
    np.testing.assert_allclose(x[:, :, 112:], -0.5, atol=EPS)
    np.testing.assert_allclose(x[:, :, :16], 0.5, atol=EPS)
    steps = np.diff(x, axis=2)
    assert (steps <= EPS).all() and np.abs(steps).max() < 0.1

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from sdedit_jax import strokes
from sdedit_jax.pixels import from_uint8, to_uint8
from sdedit_jax.strokes import simulate_strokes

ONE_BYTE = 2 / 255 + 1e-6  # of [-1, 1]; 1e-6 for float32 rounding


def photograph(seed=0, size=48):
    """Smooth colours with fine noise on top, float32 in [-1, 1]."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (3, 3, 3), dtype=np.uint8)).resize((size, size))
    return from_uint8(np.asarray(coarse)) * 0.8 + rng.uniform(-0.2, 0.2, (size, size, 3)).astype(np.float32)


def colors_of(image):
    return np.unique(image.reshape(-1, 3), axis=0)


@settings(max_examples=30, deadline=None)
@given(num_colors=st.integers(2, 256), seed=st.integers(0, 1000))
def test_the_palette_is_never_larger_than_asked(num_colors, seed):
    x = simulate_strokes(photograph(seed, 32), num_colors)
    assert x.shape == (32, 32, 3) and x.dtype == np.float32 and np.abs(x).max() <= 1.0
    assert len(colors_of(x)) <= num_colors


def test_the_default_is_six_colours_near_the_photograph():
    photo = photograph()
    painting = simulate_strokes(photo)
    assert len(colors_of(painting)) == 6
    flat = np.broadcast_to(photo.mean(axis=(0, 1)), photo.shape)
    assert np.square(painting - photo).mean() < 0.5 * np.square(flat - photo).mean()


def test_the_papers_setting_at_256():
    photo = photograph(size=256)
    painting = simulate_strokes(photo)
    assert len(colors_of(painting)) <= 6
    np.testing.assert_array_equal(painting, simulate_strokes(photo, num_colors=6, kernel_size=23))


def test_strokes_are_far_larger_than_the_photographs_grain():
    def share_of_borders(image):
        return (image[1:] != image[:-1]).any(axis=-1).mean()

    palette_alone = Image.fromarray(to_uint8(photograph())).quantize(6).convert("RGB")
    assert share_of_borders(simulate_strokes(photograph(), kernel_size=9)) < 0.3 * share_of_borders(
        np.asarray(palette_alone)
    )


@pytest.mark.parametrize("color", [(0, 0, 0), (255, 255, 255), (12, 200, 77)])
def test_a_flat_picture_is_unchanged(color):
    flat = from_uint8(np.broadcast_to(np.uint8(color), (20, 30, 3)))
    np.testing.assert_array_equal(simulate_strokes(flat), flat)


def test_flat_regions_keep_their_colour_and_a_straight_edge_its_place():
    sky, field = np.array([30, 90, 200], np.uint8), np.array([60, 140, 40], np.uint8)
    picture = from_uint8(np.concatenate([np.tile(sky, (20, 40, 1)), np.tile(field, (20, 40, 1))]))
    np.testing.assert_array_equal(simulate_strokes(picture), picture)


def test_a_painting_of_a_painting_keeps_its_palette():
    painting = simulate_strokes(photograph())
    again = simulate_strokes(painting)
    # A second median rounds the corners of the strokes, but invents no colours far from the first six.
    nearest = np.abs(colors_of(again)[:, None] - colors_of(painting)[None]).max(axis=-1).min(axis=-1)
    assert np.abs(again - painting).mean() < 0.25 * np.abs(painting - photograph()).mean()
    assert (nearest <= ONE_BYTE).sum() >= 4


def test_detail_smaller_than_half_the_kernel_disappears():
    picture = np.full((40, 40, 3), -1.0, np.float32)
    picture[10:14, 10:14] = 1.0  # 16 pixels of the kernel's 49: a minority, which a median ignores
    assert (simulate_strokes(picture, kernel_size=7) == -1.0).all()
    assert (simulate_strokes(picture, kernel_size=3) == 1.0).any()


def test_each_picture_of_a_batch_is_painted_by_itself():
    batch = np.stack([photograph(0), photograph(1)])
    paintings = simulate_strokes(batch)
    for photo, painting in zip(batch, paintings, strict=True):
        np.testing.assert_array_equal(painting, simulate_strokes(photo))


def test_the_kernel_is_the_papers_at_256_and_scales_with_the_shorter_side():
    sizes = {256: 23, 512: 45, 128: 11, 64: 5, 32: 3, 8: 3}
    for side, kernel_size in sizes.items():
        assert (
            strokes._scaled_kernel_size((side, 2 * side))
            == strokes._scaled_kernel_size((2 * side, side))
            == kernel_size
        )
    photo = photograph()
    np.testing.assert_array_equal(simulate_strokes(photo), simulate_strokes(photo, kernel_size=5))  # 48 * 23 / 256


def test_the_filter_is_a_median_of_each_channel():
    photo = photograph(size=16)
    padded = np.pad(to_uint8(photo), ((1, 1), (1, 1), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(0, 1))
    filtered = Image.fromarray(to_uint8(photo)).filter(ImageFilter.MedianFilter(3))
    np.testing.assert_array_equal(filtered, np.median(windows, axis=(-2, -1)))
    # 256 colours suffice for the 256 pixels, so what is left of the quantisation is median cut's own grid.
    assert np.abs(simulate_strokes(photo, 256) - from_uint8(np.asarray(filtered))).mean() < 2 * ONE_BYTE


def test_wrong_arguments_are_refused_with_what_came():
    photo = photograph(size=16)
    for num_colors in (1, 257):
        with pytest.raises(ValueError, match=f"num_colors must be from 2 to 256, got {num_colors}"):
            simulate_strokes(photo, num_colors)
    for kernel_size in (1, 4):
        with pytest.raises(ValueError, match=f"kernel_size must be odd and at least 3, got {kernel_size}"):
            simulate_strokes(photo, kernel_size=kernel_size)
    with pytest.raises(ValueError, match=r"image must be \(H, W, 3\) or \(B, H, W, 3\), got \(16, 16, 1\)"):
        simulate_strokes(photo[..., :1])

import io
import re
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from sdedit_jax.images import (
    FORMATS,
    ImageError,
    load_image,
    load_mask,
)
from sdedit_jax.pixels import from_uint8, to_uint8

WHITE, BLACK, RED = (255, 255, 255), (0, 0, 0), (255, 0, 0)


def random_bytes(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def encoded(image, **options):
    """The bytes of a Pillow image as PNG, or as `format`."""
    buffer = io.BytesIO()
    image.save(buffer, **{"format": "PNG", **options})
    return buffer.getvalue()


def load(data, **options):
    return load_image(io.BytesIO(data), **options)


def loaded_bytes(image, **options):
    return to_uint8(load(encoded(image, **options)))


def png_that_claims(width, height):
    """A tiny PNG whose header promises `width` x `height` pixels and whose data holds none."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("file_format, options", [("PNG", {}), ("BMP", {}), ("TIFF", {}), ("WEBP", {"lossless": True})])
def test_lossless_formats_keep_every_pixel(file_format, options):
    pixels = random_bytes(9, 7, 3)
    x = load(encoded(Image.fromarray(pixels), format=file_format, **options))
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x, from_uint8(pixels))


@pytest.mark.parametrize("file_format", ["JPEG", "WEBP", "GIF"])
def test_lossy_formats_come_close(file_format):
    flat = Image.new("RGB", (16, 8), (200, 40, 90))
    difference = loaded_bytes(flat, format=file_format).astype(int) - (200, 40, 90)
    assert difference.shape == (8, 16, 3) and np.abs(difference).max() <= 4  # quantisation of a flat JPEG


def test_load_image_takes_paths_and_strings(tmp_path):
    pixels = random_bytes(4, 5, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    np.testing.assert_array_equal(load_image(tmp_path / "a.png"), load_image(str(tmp_path / "a.png")))


def test_the_exif_rotation_is_applied():
    stored = random_bytes(4, 6, 3)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn by 90 degrees clockwise
    np.testing.assert_array_equal(loaded_bytes(Image.fromarray(stored), exif=exif), np.rot90(stored, -1))


def test_transparent_pixels_show_the_background_and_not_what_they_hide():
    image = Image.new("RGBA", (3, 2), (*RED, 0))
    assert (loaded_bytes(image) == WHITE).all()
    np.testing.assert_array_equal(to_uint8(load(encoded(image), background=(1, 2, 3)))[0, 0], (1, 2, 3))


def test_half_transparent_pixels_mix_with_the_background():
    image = Image.new("RGBA", (3, 2), (*BLACK, 51))  # a fifth of black over white
    np.testing.assert_allclose(loaded_bytes(image)[0, 0], 255 * 0.8, atol=1)  # rounding to bytes


def test_transparency_of_palettes_and_of_grey_is_honoured():
    palette = Image.new("P", (2, 1))
    palette.putpalette([*RED, 0, 0, 255])
    palette.putdata([0, 1])
    np.testing.assert_array_equal(loaded_bytes(palette, transparency=0)[0], [WHITE, (0, 0, 255)])
    np.testing.assert_array_equal(loaded_bytes(Image.new("LA", (1, 1), (0, 0)))[0], [WHITE])
    np.testing.assert_array_equal(loaded_bytes(Image.new("RGB", (1, 1), RED), transparency=RED)[0], [WHITE])


def test_grey_of_16_bits_is_scaled_and_not_clipped():
    grey = np.array([[0, 255, 256, 32768, 65535]], np.uint16)
    for file_format in ("PNG", "TIFF"):
        pixels = loaded_bytes(Image.fromarray(grey), format=file_format)
        np.testing.assert_array_equal(pixels[0, :, 0], [0, 0, 1, 128, 255])


def test_32_bit_integers_count_as_16_bits_of_grey():
    grey = Image.fromarray(np.array([[0, 256, 65535]], np.int32))
    np.testing.assert_array_equal(loaded_bytes(grey, format="TIFF")[0, :, 0], [0, 1, 255])


def test_float_grey_is_read_in_either_usual_range():
    unit = np.array([[0.0, 0.2, 1.0]], np.float32)
    for floats in (unit, 255 * unit):
        np.testing.assert_array_equal(loaded_bytes(Image.fromarray(floats), format="TIFF")[0, :, 0], [0, 51, 255])


@pytest.mark.parametrize("values", [[-1.0, 0.5], [0.0, 300.0], [np.nan, 0.5]])
def test_floats_of_unknown_meaning_are_refused(values):
    with pytest.raises(ImageError, match="has values from .* save it with 8 or 16 bits per channel"):
        loaded_bytes(Image.fromarray(np.array([values], np.float32)), format="TIFF")


def test_cmyk_and_one_bit_pictures_become_rgb():
    np.testing.assert_array_equal(loaded_bytes(Image.new("CMYK", (1, 1), (0, 255, 255, 0)), format="TIFF")[0], [RED])
    one_bit = Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1")
    np.testing.assert_array_equal(loaded_bytes(one_bit)[0], [BLACK, WHITE])


def test_of_an_animation_the_first_frame_is_taken_with_a_warning(tmp_path):
    frames = [Image.new("RGB", (4, 4), color) for color in (RED, BLACK)]
    for suffix in ("gif", "png", "webp", "tiff"):
        path = tmp_path / f"moving.{suffix}"
        frames[0].save(path, save_all=True, append_images=frames[1:])
        with pytest.warns(UserWarning, match=rf"moving.{suffix} is an animation .* first picture") as caught:
            pixels = to_uint8(load_image(path))
        assert caught[0].filename == __file__  # the warning points at the caller
        np.testing.assert_allclose(pixels[0, 0], RED, atol=4)  # lossy webp


def test_missing_files_and_folders_name_the_path(tmp_path):
    with pytest.raises(ImageError, match=r"absent.png cannot be opened \(No such file.*\): give the path of a picture"):
        load_image(tmp_path / "absent.png")
    with pytest.raises(ImageError, match=re.escape(f"{tmp_path} cannot be opened (")):
        load_image(tmp_path)


@pytest.mark.parametrize("data", [b"", b"once upon a time", b"%PDF-1.7 \x00\x01", encoded(Image.new("L", (9, 9)))[:6]])
def test_what_is_no_picture_is_told_so(tmp_path, data):
    (tmp_path / "story.png").write_bytes(data)
    with pytest.raises(
        ImageError, match="story.png is not a picture, or an empty or damaged one: save it as one of PNG, JPEG"
    ):
        load_image(tmp_path / "story.png")


def test_formats_that_are_not_allowed_are_not_opened():
    with pytest.raises(ImageError, match="is not a picture"):
        load(encoded(Image.new("RGB", (8, 8)), format="PPM"))


@pytest.mark.parametrize("file_format", FORMATS)
def test_a_cut_off_file_is_never_half_a_picture(file_format):
    data = encoded(Image.fromarray(random_bytes(64, 64, 3)), format=file_format)
    with pytest.raises(
        ImageError, match="The picture is (damaged or cut off|not a picture, or an empty or damaged one)"
    ):
        load(data[: len(data) // 2])


def test_a_damaged_file_names_the_cause(tmp_path):
    data = encoded(Image.fromarray(random_bytes(64, 64, 3)), format="JPEG")
    (tmp_path / "cut.jpg").write_bytes(data[: len(data) // 2])
    with pytest.raises(ImageError, match=r"cut.jpg is damaged or cut off \(.*truncated.*\): export or copy it again"):
        load_image(tmp_path / "cut.jpg")


@pytest.mark.parametrize("side", [8_001, 12_000, 60_000])  # within Pillow's own limit, within its warning, beyond both
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_decompression_bombs_are_refused_before_they_are_decoded(side):
    with pytest.raises(ImageError, match="more than 64 million pixels, the most that is read: scale it down"):
        load(png_that_claims(side, side))


@pytest.mark.parametrize("file_format", ["PNG", "JPEG"])
def test_mutated_files_raise_nothing_but_image_errors(file_format):
    rng = np.random.default_rng(7)
    whole = encoded(Image.fromarray(random_bytes(16, 12, 3)), format=file_format)
    refused = 0
    for _ in range(300):
        data = bytearray(whole[: rng.integers(1, len(whole) + 1)] if rng.random() < 0.3 else whole)
        for position in rng.integers(0, len(data), rng.integers(1, 6)):
            data[position] = rng.integers(0, 256)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow remarks on corrupt EXIF and on large claims
            try:
                assert load(bytes(data)).dtype == np.float32
            except ImageError:
                refused += 1
    assert refused > 100


def test_white_may_change_black_is_kept_and_grey_lies_between(tmp_path):
    Image.fromarray(np.array([[0, 51, 255]], np.uint8)).save(tmp_path / "mask.png")
    mask = load_mask(tmp_path / "mask.png", (1, 3))
    assert mask.shape == (1, 3, 1) and mask.dtype == np.float32
    np.testing.assert_array_equal(mask[0, :, 0], np.array([0.0, 0.2, 1.0], np.float32))


def test_white_paint_on_an_empty_layer_is_a_mask():
    layer = np.zeros((2, 2, 4), np.uint8)
    layer[..., :3] = 255  # white everywhere, but hidden
    layer[0, 0, 3] = 255
    np.testing.assert_array_equal(load_mask(io.BytesIO(encoded(Image.fromarray(layer))))[..., 0], [[1, 0], [0, 0]])


def test_a_coloured_mask_counts_by_its_luminance():
    green = load_mask(io.BytesIO(encoded(Image.new("RGB", (1, 1), (0, 255, 0)))))
    np.testing.assert_allclose(green, 0.587, atol=1 / 255)  # ITU-R 601 weight of green, in bytes


def test_a_mask_of_another_size_names_both_sizes(tmp_path):
    Image.new("L", (5, 4)).save(tmp_path / "mask.png")
    with pytest.raises(
        ImageError, match=r"mask.png is 5 x 4 pixels .* guide is 7 x 6 pixels .* draw the mask on a copy"
    ):
        load_mask(tmp_path / "mask.png", (6, 7))

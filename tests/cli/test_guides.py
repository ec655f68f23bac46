"""Which files are guides and masks, and what the example files of the official code hold."""

from pathlib import Path

import numpy as np
import pytest

from sdedit_jax import images
from sdedit_jax.cli.guides import check_pair, find_guides, load_pair
from sdedit_jax.pixels import from_uint8
from tests.cli.tiny import SIZE, corner, pixels, read, run_edit, write_guide, write_mask
from tests.weights.files.torch_writer import write_legacy, write_zip

HEIGHT, WIDTH = 6, 10


def official(height=HEIGHT, width=WIDTH):
    """The mask and image of an official example: (3, H, W), image in [0, 1], mask 1 where the picture is kept."""
    image = pixels(height, width).astype(np.float32) / np.float32(255)
    kept = np.where(corner(height, width), 0, 1).astype(np.float32)
    return [np.repeat(kept[None], 3, axis=0), np.ascontiguousarray(np.moveaxis(image, -1, 0))]


def test_the_shipped_examples_are_all_guides_and_the_edits_with_their_masks():
    found = {guide.name: mask and mask.name for guide, mask in find_guides("", "", "landscapes")}
    for name in ("valley_lake", "removed_peak", "pasted_mountains"):
        assert found.pop(f"{name}.png") == f"{name}_mask.png"
    assert len(found) == 6 and set(found.values()) == {None}


def test_a_mask_lies_beside_its_guide_or_is_a_guide_itself(tmp_path):
    for name in ("a.jpg", "a_mask.png", "b.png", "alone_mask.png"):
        write_guide(tmp_path / name)
    found = {guide.name: mask and mask.name for guide, mask in find_guides(str(tmp_path), "", "")}
    assert found == {"a.jpg": "a_mask.png", "b.png": None, "alone_mask.png": None}
    assert find_guides(str(tmp_path / "a.jpg"), "", "") == [(tmp_path / "a.jpg", tmp_path / "a_mask.png")]
    assert find_guides(str(tmp_path / "a.jpg"), "b.png", "") == [(tmp_path / "a.jpg", Path("b.png"))]


def test_folders_of_guides_and_masks_are_paired_by_name(tmp_path):
    for name in ("guides/a.png", "guides/b.jpg", "masks/a.png", "masks/b.png"):
        write_guide(tmp_path / name)
    found = find_guides(str(tmp_path / "guides"), str(tmp_path / "masks"), "")
    assert [(guide.name, mask.name) for guide, mask in found] == [("a.png", "a.png"), ("b.jpg", "b.png")]
    with pytest.raises(images.ImageError, match="not a folder"):
        find_guides(str(tmp_path / "guides"), str(tmp_path / "masks" / "a.png"), "")


def test_two_guides_of_one_name_are_refused(tmp_path):
    for name in ("a.png", "a.jpg"):
        write_guide(tmp_path / name)
    with pytest.raises(images.ImageError, match="Two pictures in .* are called a"):
        find_guides(str(tmp_path), "", "")


def test_examples_of_an_unknown_subject_are_refused():
    with pytest.raises(ValueError, match="no example strokes of 'models' .*, but of bedroom, .*, landscapes"):
        find_guides("", "", "models")


@pytest.mark.parametrize("write", [write_zip, write_legacy])
def test_an_official_example_is_its_image_and_the_opposite_of_its_mask(tmp_path, write):
    write(tmp_path / "hut.pth", official())
    x_guide, mask = load_pair(tmp_path / "hut.pth", None)
    # The image is stored in [0, 1], so byte values come back to a few roundings of float32, not bit for bit.
    np.testing.assert_allclose(x_guide, from_uint8(pixels(HEIGHT, WIDTH)), atol=3e-7)
    np.testing.assert_array_equal(mask, corner(HEIGHT, WIDTH)[..., None].astype(np.float32))
    assert x_guide.dtype == mask.dtype == np.float32


def test_all_but_one_may_change(tmp_path):
    kept, image = official()
    kept[:, 0] = np.linspace(0.99, -3, WIDTH)
    write_zip(tmp_path / "hut.pth", (kept, image))
    _, mask = load_pair(tmp_path / "hut.pth", None)
    expected = corner(HEIGHT, WIDTH)
    expected[0] = True
    np.testing.assert_array_equal(mask[..., 0], expected)


def test_an_official_example_is_edited_and_its_kept_pixels_are_exact(config, out, tmp_path):
    write_zip(tmp_path / "hut.pth", official(SIZE, SIZE))
    run_edit(config, out, guide=tmp_path / "hut.pth")
    for index in range(2):
        result = read(out / f"hut_{index:02d}.png")
        np.testing.assert_array_equal(result[~corner()], pixels()[~corner()])
        assert (result != pixels())[corner()].mean() > 0.5


def test_official_examples_lie_beside_pictures_and_take_no_mask(tmp_path):
    write_zip(tmp_path / "b.pth", official())
    assert find_guides(str(tmp_path), "", "") == [(tmp_path / "b.pth", None)]
    for name in ("a.png", "c.png", "c_mask.png"):
        write_guide(tmp_path / name)
    found = {guide.name: mask and mask.name for guide, mask in find_guides(str(tmp_path), "", "")}
    assert found == {"a.png": None, "b.pth": None, "c.png": "c_mask.png"}
    for guide in (tmp_path, tmp_path / "b.pth"):
        with pytest.raises(images.ImageError, match="b.pth has a mask inside and cannot take m.png too"):
            find_guides(str(guide), "m.png", "")
    write_mask(tmp_path / "b_mask.png", corner())
    with pytest.raises(images.ImageError, match="b.pth has a mask inside and cannot take .*b_mask.png too"):
        find_guides(str(tmp_path / "b.pth"), "", "")


def with_value(index, value):
    """An official example with one other value in its mask (0) or image (1)."""
    content = official()
    content[index][:, 1, 2] = value
    return content


def spotted():
    kept, image = official()
    kept[1, 0, 0] = 1.0
    return [kept, image]


BAD_EXAMPLES = {
    "a state": (lambda: {"w": np.zeros(3, np.float32)}, "is no example of SDEdit, a list of two tensors"),
    "one tensor": (lambda: official()[:1], "is no example of SDEdit, a list of two tensors"),
    "three tensors": (lambda: [*official(), official()[0]], "is no example of SDEdit, a list of two tensors"),
    "no tensors": (lambda: [1.0, 2.0], "is no example of SDEdit, a list of two tensors"),
    "one channel": (lambda: [official()[0][:1], official()[1]], r"has a mask of \(1, 6, 10\) and an image of \(3, 6,"),
    "no channels": (
        lambda: [x[0] for x in official()],
        r"has a mask of \(6, 10\) .* must both be \(3, height, width\)",
    ),
    "a batch": (lambda: [x[None] for x in official()], r"has a mask of \(1, 3, 6, 10\) .* must both be"),
    "no pixels": (lambda: [x[:, :0] for x in official()], r"has a mask of \(3, 0, 10\) .* must both be"),
    "a NaN": (lambda: with_value(1, np.nan), r"has an image of nan to nan, which must be in \[0, 1\]"),
    "symmetric": (lambda: with_value(1, -1.0), r"has an image of -1 to .*, which must be in \[0, 1\]"),
    "bytes": (lambda: with_value(1, 255.0), r"has an image of .* to 255, which must be in \[0, 1\]"),
    "a NaN mask": (lambda: with_value(0, np.nan), "has a mask with NaN or infinite values"),
    "the other order": (lambda: official()[::-1], "has the image before the mask"),
    "spotted": (spotted, "has a mask that differs between red, green and blue"),
    "too long": (lambda: [np.zeros((3, 2, 9), np.float32)] * 2, "long side may be at most 4 times its short side"),
}


@pytest.mark.parametrize("kind", BAD_EXAMPLES)
def test_a_torch_file_of_something_else_is_refused(tmp_path, kind):
    make, message = BAD_EXAMPLES[kind]
    write_zip(tmp_path / "bad.pth", make())
    with pytest.raises(images.ImageError, match=f"bad.pth.*{message}"):
        check_pair(tmp_path / "bad.pth", None)


def test_rounding_outside_of_the_range_is_no_error(tmp_path):
    write_zip(tmp_path / "hut.pth", [official()[0], official()[1] * np.float32(1.0002) - np.float32(0.0001)])
    x_guide, _ = load_pair(tmp_path / "hut.pth", None)
    assert -1 <= x_guide.min() and x_guide.max() <= 1


def test_a_file_that_is_no_torch_file_is_named(tmp_path):
    (tmp_path / "bad.pth").write_bytes(b"not a torch file")
    for name in ("bad.pth", "missing.pth"):
        with pytest.raises(images.ImageError, match=name):
            check_pair(tmp_path / name, None)

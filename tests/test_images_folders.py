import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from sdedit_jax.images import ImageError, list_images, load_image, pair_masks, read_settings, save_image
from sdedit_jax.pixels import from_uint8


def random_picture(*shape):
    return from_uint8(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))


def test_a_saved_picture_comes_back_exactly_with_its_settings(tmp_path):
    x = random_picture(5, 6, 3)
    wanted = {"t0": 0.5, "guide": "Küste 海.png", "seeds": [1, 2], "model": {"name": "vp"}}
    save_image(tmp_path / "new" / "result.png", x, wanted)
    np.testing.assert_array_equal(load_image(tmp_path / "new" / "result.png"), x)
    assert read_settings(tmp_path / "new" / "result.png") == wanted


def test_a_failed_save_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "result.png"
    save_image(path, random_picture(5, 6, 3))
    before = path.read_bytes()
    with pytest.raises(ValueError, match="NaN"):
        save_image(path, np.full((5, 6, 3), np.nan, np.float32))
    with pytest.raises(IsADirectoryError):
        (tmp_path / "folder.png").mkdir()
        save_image(tmp_path / "folder.png", random_picture(5, 6, 3))  # fails at the last moment, when replacing
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["folder.png", "result.png"]


def test_save_image_refuses_other_suffixes_and_shapes(tmp_path):
    with pytest.raises(ImageError, match="result.jpg must end in .png"):
        save_image(tmp_path / "result.jpg", random_picture(4, 4, 3))
    with pytest.raises(ValueError, match=r"must be \(H, W, 3\), got \(1, 4, 4, 3\)"):
        save_image(tmp_path / "result.png", random_picture(1, 4, 4, 3))


@pytest.mark.parametrize("text", [None, "{half", "[1, 2]", "null"])
def test_a_file_without_settings_says_so(tmp_path, text):
    chunks = PngInfo()
    if text is not None:
        chunks.add_itxt("sdedit", text)
    Image.new("RGB", (2, 2)).save(tmp_path / "plain.png", pnginfo=chunks)
    with pytest.raises(ImageError, match="plain.png holds no settings: use a PNG as it was saved here"):
        read_settings(tmp_path / "plain.png")


def touch(folder, *names):
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def test_list_images_sorts_pictures_and_skips_the_rest(tmp_path):
    folder = touch(tmp_path / "guides", "b.JPG", "a.png", "notes.txt", ".hidden.png", "c.webp")
    assert [path.name for path in list_images(folder)] == ["a.png", "b.JPG", "c.webp"]


def test_folders_that_hold_nothing_are_errors(tmp_path):
    with pytest.raises(ImageError, match="absent is not a folder"):
        list_images(tmp_path / "absent")
    with pytest.raises(ImageError, match="empty holds no pictures: put files in it that end in .png"):
        list_images(touch(tmp_path / "empty", "notes.txt"))


def test_masks_are_paired_by_name_whatever_the_suffix(tmp_path):
    guides = touch(tmp_path / "guides", "b.jpg", "a.png")
    masks = touch(tmp_path / "masks", "a.png", "b.png")
    assert pair_masks(guides, masks) == [(guides / "a.png", masks / "a.png"), (guides / "b.jpg", masks / "b.png")]


def test_a_file_without_its_partner_is_named(tmp_path):
    full, half = touch(tmp_path / "full", "a.png", "b.png"), touch(tmp_path / "half", "a.png")
    with pytest.raises(ImageError, match=r"b.png has no mask: put a picture named b.png into .*half"):
        pair_masks(full, half)
    with pytest.raises(ImageError, match=r"b.png has no guide: put a picture named b.png into .*half"):
        pair_masks(half, full)
    with pytest.raises(ImageError, match=r"a.jpg and .*a.png share one name"):
        pair_masks(touch(tmp_path / "twice", "a.png", "a.jpg"), half)

"""The mode strokes: photographs in, paintings out."""

import numpy as np
import pytest
from PIL import Image

from configs import default
from sdedit_jax import cli, images
from sdedit_jax.strokes import simulate_strokes
from tests.cli.test_arguments import run_main
from tests.cli.tiny import names, read, write_guide


def write_photograph(path, height=48, width=64, seed=0):
    """A picture file of smooth colours."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).save(path)
    return path


def colors_in(path):
    return len(np.unique(read(path).reshape(-1, 3), axis=0))


def test_a_folder_is_painted_without_jax(tmp_path):
    for number in range(3):
        write_photograph(tmp_path / "photos" / f"p{number}.png", seed=number)
    arguments = ["--mode", "strokes", "--source", "photos", "--out", "guides", "--num_colors", "4"]
    code, said, error, imported = run_main(*arguments, cwd=tmp_path)
    assert code == 0 and "jax" not in imported
    assert said.splitlines()[-1] == f"Strokes of 3 photographs, of at most 4 colours: {tmp_path / 'guides'}"
    assert "3/3" in error[-1]
    assert names(tmp_path / "guides") == ["p0.png", "p1.png", "p2.png"]
    for path in (tmp_path / "guides").iterdir():
        photograph = images.load_image(tmp_path / "photos" / path.name)
        np.testing.assert_array_equal(images.load_image(path), simulate_strokes(photograph, 4))
        assert 2 <= colors_in(path) <= 4
    settings = images.read_settings(tmp_path / "guides" / "p1.png")
    assert settings["strokes"] == {"num_colors": 4, "size": 256} and settings["photograph"] == "photos/p1.png"


@pytest.mark.parametrize("num_colors", [3, 6, 16, 30, 50])  # of the paper's table 4
def test_the_palette_is_as_large_as_asked(tmp_path, num_colors):
    config = default.get_config()
    assert config.strokes.num_colors == 6
    config.strokes.num_colors = num_colors
    cli.strokes(config, str(write_photograph(tmp_path / "a.jpg", 96, 96)), tmp_path / "out")
    assert num_colors / 2 < colors_in(tmp_path / "out" / "a.png") <= num_colors


def test_a_large_photograph_is_scaled_before_it_is_painted(tmp_path):
    config = default.get_config()
    path = write_photograph(tmp_path / "phone.jpg", 1200, 1600)
    cli.strokes(config, str(path), tmp_path / "out")
    painting = read(tmp_path / "out" / "phone.png")
    assert painting.shape == (256, 341, 3) and colors_in(tmp_path / "out" / "phone.png") <= 6
    config.strokes.size = 64
    cli.strokes(config, str(path), tmp_path / "small")
    assert read(tmp_path / "small" / "phone.png").shape == (64, 85, 3)


def test_whatever_is_wrong_is_said_before_anything_is_written(tmp_path):
    photos, out = tmp_path / "photos", tmp_path / "deep" / "out"
    write_photograph(photos / "a.png")

    def refused(message, source=photos, where=out, error=ValueError, **settings):
        config = default.get_config()
        config.strokes.update(settings)
        before = names(photos)
        with pytest.raises(error, match=message):
            cli.strokes(config, None if source is None else str(source), where)
        assert names(photos) == before and not out.parent.exists()

    refused("--mode strokes needs --source PHOTOGRAPH, a picture or a folder of them", source=None)
    refused("num_colors must be from 2 to 256, got 1", num_colors=1)
    refused("num_colors must be from 2 to 256, got 257", num_colors=257)
    refused("size must be 1 or more, got 0", size=0)
    refused("--out .*photos is the folder of the guides", where=photos)
    refused("nowhere.png cannot be opened", source=tmp_path / "nowhere.png", error=images.ImageError)
    write_photograph(photos / "a.jpg")
    refused("a.jpg and .*a.png share one name: rename one of them", error=images.ImageError)
    (photos / "a.jpg").write_bytes((photos / "a.png").read_bytes()[:60])
    (photos / "a.jpg").rename(photos / "b.jpg")
    refused("b.jpg is damaged or cut off", error=images.ImageError)
    write_guide(photos / "b.jpg", 16, 90)
    refused("b.jpg: .* at most 4 times its short side", error=images.ImageError)
    for path in photos.iterdir():
        path.unlink()
    refused("photos holds no pictures", error=images.ImageError)

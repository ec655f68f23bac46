"""Pictures in, pictures out: what edit and sample write, and for which guides."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from configs import default
from sdedit_jax import cli, images
from sdedit_jax.cli import models
from sdedit_jax.weights import native
from tests.cli.tiny import (
    DDPM,
    MODEL,
    SIZE,
    corner,
    names,
    pixels,
    random_params,
    read,
    run_edit,
    write_guide,
    write_mask,
)


def test_an_edit_writes_candidates_a_sheet_and_the_settings(config, out, tmp_path, capsys):
    run_edit(config, out, guide=write_guide(tmp_path / "hut.png"))
    assert names(out) == ["hut.json", "hut_00.png", "hut_01.png", "hut_sheet.png"]
    first, second = (read(out / f"hut_0{i}.png") for i in range(2))
    assert first.shape == (SIZE, SIZE, 3) and (first != second).any()
    assert str(out) in capsys.readouterr().out
    settings = json.loads((out / "hut.json").read_text())
    assert settings["editing"]["guide"] == str(tmp_path / "hut.png") and settings["editing"]["mask"] == ""
    assert images.read_settings(out / "hut_01.png") == settings | {"candidate": 1}
    assert images.read_settings(out / "hut_sheet.png") == settings


def test_a_network_of_the_house_edits_a_picture_that_is_not_square(config, out, tmp_path):
    description = MODEL | {"model": DDPM | {"channel_mults": (1, 1), "attention_levels": (1,)}}
    native.save(tmp_path / "ddpm.safetensors", random_params(description), description)
    config.weights = str(tmp_path / "ddpm.safetensors")
    height, width = SIZE, SIZE * 3 // 2  # a network of 256 gets 256 x 384 in the same proportion
    guide, mask = write_guide(tmp_path / "hut.png", height, width), corner(height, width)
    run_edit(config, out, guide=guide, mask=write_mask(tmp_path / "m.png", mask))
    result, expected = read(out / "hut_00.png"), pixels(height, width)
    np.testing.assert_array_equal(result[~mask], expected[~mask])
    assert (result != expected)[mask].mean() > 0.5


@pytest.mark.parametrize("where", ["json", "png"])
def test_the_settings_make_the_same_files_again(config, out, tmp_path, where):
    guide = write_guide(tmp_path / "hut.png")
    write_mask(tmp_path / "hut_mask.png", corner())
    config.solver.name, config.solver.variance, config.seed = "ancestral", "large", 5
    run_edit(config, out, guide=guide, t0=0.4, num_repeats=2)
    path = out / "hut.json"
    settings = json.loads(path.read_text()) if where == "json" else images.read_settings(out / "hut_00.png")
    again = default.get_config()
    again.seed, again.weights = settings["seed"], settings["weights"]
    for section in ("solver", "editing"):
        again[section].update(settings[section])
    cli.edit(again, tmp_path / "again")
    assert names(tmp_path / "again") == names(out)
    for name in names(out):
        assert (tmp_path / "again" / name).read_bytes() == (out / name).read_bytes()


def test_results_have_the_guides_size_and_kept_pixels_are_exact(config, out, tmp_path):
    guide, mask = write_guide(tmp_path / "odd.png", 50, 77), corner(50, 77)
    run_edit(config, out, guide=guide, mask=write_mask(tmp_path / "area.png", mask))
    for index in range(2):
        result = read(out / f"odd_{index:02d}.png")
        np.testing.assert_array_equal(result[~mask], pixels(50, 77)[~mask])
        assert (result != pixels(50, 77))[mask].mean() > 0.5
    assert json.loads((out / "odd.json").read_text())["editing"]["mask"] == str(tmp_path / "area.png")


def as_16_bit(path):
    grey = pixels()[..., 0]
    Image.fromarray(grey.astype(np.uint16) << 8).save(path)
    return np.repeat(grey[..., None], 3, axis=-1)


def as_cmyk(path):
    image = Image.fromarray(pixels()).convert("CMYK")
    image.save(path, quality=95)
    return np.asarray(Image.open(path).convert("RGB"))


def as_palette(path):
    image = Image.fromarray(pixels()).quantize(8)
    image.save(path)
    return np.asarray(image.convert("RGB"))


def as_rgba(path):
    alpha = np.where(corner(), 255, 0).astype(np.uint8)[::-1]
    Image.fromarray(np.dstack([pixels(), alpha])).save(path)
    return np.where(alpha[..., None] > 0, pixels(), 255)


def as_rotated(path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera lay on its side: turn by 90 degrees clockwise to see it upright
    Image.fromarray(pixels()).save(path, exif=exif)
    return np.rot90(pixels(), -1)


def as_animation(path):
    first, second = (Image.fromarray(pixels(seed=seed)).quantize(16) for seed in (0, 1))
    first.save(path, save_all=True, append_images=[second])
    return np.asarray(first.convert("RGB"))


@pytest.mark.filterwarnings("ignore:.*only the first picture is used")
@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("16bit.png", as_16_bit),
        ("cmyk.jpg", as_cmyk),
        ("palette.png", as_palette),
        ("rgba.png", as_rgba),
        ("rotated.png", as_rotated),
        ("animated.gif", as_animation),
    ],
)
def test_pictures_of_any_kind_are_edited(config, out, tmp_path, name, write):
    expected = write(tmp_path / name)
    run_edit(config, out, guide=tmp_path / name, mask=write_mask(tmp_path / "area.png", corner()))
    result = read(out / f"{Path(name).stem}_00.png")
    np.testing.assert_array_equal(result[~corner()], expected[~corner()])
    assert (result != expected)[corner()].any()


def test_a_folder_gives_the_pictures_that_each_guide_gives_alone(config, out, tmp_path):
    folder = tmp_path / "guides"
    for seed, name in enumerate(["a", "b", "c"]):
        write_guide(folder / f"{name}.png", seed=seed)
    write_mask(folder / "b_mask.png", corner())
    run_edit(config, out, guide=folder)
    assert len(names(out)) == 3 * 4 and "b_mask_00.png" not in names(out)
    run_edit(config, tmp_path / "alone", guide=folder / "b.png")
    for name in ("b_00.png", "b_01.png", "b.json", "b_sheet.png"):
        assert (out / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()
    np.testing.assert_array_equal(read(out / "b_00.png")[~corner()], pixels(seed=1)[~corner()])


def test_more_candidates_leave_the_first_as_they_are(config, out, tmp_path):
    guide = write_guide(tmp_path / "hut.png")
    run_edit(config, out / "2", guide=guide, num_samples=2)
    run_edit(config, out / "3", guide=guide, num_samples=3)
    for index in range(2):
        few, many = (read(out / count / f"hut_{index:02d}.png") for count in "23")
        np.testing.assert_array_equal(few, many)
    assert (read(out / "3" / "hut_02.png") != few).any()


def test_guides_of_several_sizes_share_batches_and_are_what_they_are_alone(config, out, tmp_path, monkeypatch):
    monkeypatch.setattr(models, "CPU_PIXELS", 3 * SIZE**2)  # batches of 3, 3 and 2 candidates, and of 1 and 1
    for name, width in (("a", SIZE), ("b", SIZE), ("c", 2 * SIZE), ("d", SIZE), ("e", SIZE)):
        write_guide(tmp_path / "all" / f"{name}.png", width=width, seed=ord(name))
    run_edit(config, out / "all", guide=tmp_path / "all")
    for name in "bce":
        run_edit(config, out / name, guide=tmp_path / "all" / f"{name}.png")
        for index in range(2):
            alone, together = (read(out / folder / f"{name}_{index:02d}.png") for folder in (name, "all"))
            np.testing.assert_array_equal(alone, together)


@pytest.mark.parametrize(
    ("total", "lengths"), [(1, [1]), (3, [3]), (4, [2, 2]), (7, [3, 3, 1]), (8, [3, 3, 2]), (9, [3, 3, 3])]
)
def test_batches_are_few_and_even(total, lengths, monkeypatch):
    monkeypatch.setattr(models, "CPU_PIXELS", 3 * SIZE**2)
    batches = models.even_batches(total, (SIZE, SIZE))
    assert [len(batch) for batch in batches] == lengths
    assert [row for batch in batches for row in batch] == list(range(total))
    assert models.even_batches(2, (64 * SIZE, SIZE)) == [range(1), range(1, 2)]  # never less than one


def test_the_seed_decides(config, out, tmp_path):
    guide = write_guide(tmp_path / "hut.png")
    for seed in (0, 1):
        config.seed = seed
        run_edit(config, out / str(seed), guide=guide)
    assert (read(out / "0" / "hut_00.png") != read(out / "1" / "hut_00.png")).any()


def test_sampling_writes_pictures_and_more_leave_the_first_as_they_are(config, out, monkeypatch):
    monkeypatch.setattr(models, "CPU_PIXELS", 2 * SIZE**2)  # so that three are two batches
    cli.sample(config, out / "2")
    config.sampling.num_samples = 3
    cli.sample(config, out / "3")
    assert names(out / "3") == ["sample_00.png", "sample_01.png", "sample_02.png", "samples.png"]
    found = [read(out / "3" / f"sample_0{i}.png") for i in range(3)]
    assert found[0].shape == (SIZE, SIZE, 3) and (found[0] != found[1]).any() and (found[1] != found[2]).any()
    for index in range(2):
        np.testing.assert_array_equal(read(out / "2" / f"sample_0{index}.png"), found[index])
    assert images.read_settings(out / "3" / "sample_01.png")["sampling"] == {"num_samples": 3, "num_steps": 2}


def test_compiled_programs_are_kept_unless_the_user_has_a_place_for_them(config, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    place = jax.config.jax_compilation_cache_dir
    assert place is not None  # the tests' own
    models.load_model(config)
    assert jax.config.jax_compilation_cache_dir == place
    try:
        jax.config.update("jax_compilation_cache_dir", None)
        models.load_model(config)
        assert jax.config.jax_compilation_cache_dir == str(tmp_path / "sdedit_jax" / "compiled")
    finally:
        jax.config.update("jax_compilation_cache_dir", place)

"""Whatever is wrong is one sentence, before anything is written."""

import functools
import struct
import zlib

import numpy as np
import pytest
from safetensors.numpy import save_file

from sdedit_jax import cli, images
from sdedit_jax.weights import native
from tests.cli.tiny import MODEL, corner, names, random_params, run_edit, write_guide, write_mask


def bomb(width, height):
    """A PNG of a few bytes that claims to be of this size."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"")),
        (b"IEND", b""),
    ]
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


BAD_GUIDES = {
    "missing": (None, r"bad.png cannot be opened \(No such file or directory\)"),
    "empty": (lambda good: b"", "bad.png is not a picture, or an empty or damaged one"),
    "corrupt": (lambda good: b"not a picture" * 9, "bad.png is not a picture, or an empty or damaged one"),
    "truncated": (lambda good: good[: len(good) // 2], "bad.png is damaged or cut off"),
    "huge": (lambda good: bomb(100_000, 100_000), "bad.png has more than 64 million pixels"),
}


@pytest.mark.parametrize("kind", BAD_GUIDES)
def test_a_bad_guide_in_a_folder_stops_everything_before_anything_is_written(config, out, tmp_path, kind):
    make, message = BAD_GUIDES[kind]
    good = write_guide(tmp_path / "guides" / "a.png").read_bytes()
    bad = tmp_path / "guides" / "bad.png"
    if make is None:
        bad.symlink_to("nowhere")
    else:
        bad.write_bytes(make(good))
    with pytest.raises(images.ImageError, match=message):
        run_edit(config, out, guide=tmp_path / "guides")
    assert not out.parent.exists()


def test_a_guide_that_is_too_long_is_named(config, out, tmp_path):
    with pytest.raises(images.ImageError, match=r"long.png: .* at most 4 times its short side, got 90 x 16 pixels"):
        run_edit(config, out, guide=write_guide(tmp_path / "long.png", 16, 90))
    assert not out.parent.exists()


def test_a_mask_of_another_size_is_refused(config, out, tmp_path):
    guide, mask = write_guide(tmp_path / "a.png"), write_mask(tmp_path / "m.png", corner(8, 16))
    with pytest.raises(images.ImageError, match=r"m.png is 16 x 8 pixels .* but the guide is 16 x 16 pixels"):
        run_edit(config, out, guide=guide, mask=mask)
    assert not out.parent.exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"t0": 0.0}, r"t0 must be in \(0, 1\] .*, got 0.0"),
        ({"t0": 1.5}, r"t0 must be in \(0, 1\] .*, got 1.5"),
        ({"t0": float("nan")}, r"t0 must be in \(0, 1\] .*, got nan"),
        ({"num_samples": 0}, "num_samples must be 1 or more, got 0"),
        ({"num_steps": -1}, "num_steps must be 1 or more, got -1"),
        ({"num_repeats": 0}, "num_repeats must be 1 or more, got 0"),
        ({"mask": "m.png"}, "--mask needs --guide"),
    ],
)
def test_settings_without_a_meaning_are_refused(config, out, settings, message):
    with pytest.raises(ValueError, match=message):
        run_edit(config, out, **settings)
    assert not out.parent.exists()


def nan_weights(path):
    native.save(path, random_params(), MODEL)
    content = path.read_bytes()
    path.write_bytes(content[:-4] + np.float32(np.nan).tobytes())


def foreign_weights(path):
    save_file({"unet.weight": np.zeros(3, np.float32)}, path, metadata={"format": "pt"})


def other_model(path):
    native.save(path, random_params(), MODEL | {"model": {"name": "tiny", "channels": 16}})


def wild_config(path):
    native.save(path, random_params(), MODEL | {"model": "ddpm"})


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: None, "There is no model file"),
        (
            lambda path: path.write_bytes(b"x" * 100),
            "neither a .safetensors nor a torch file nor a Flax checkpoint, or it is damaged",
        ),
        (nan_weights, "bad.safetensors: .* has 1 values that are NaN or infinite"),
        (foreign_weights, "it holds no network that is known:\\n  unet.weight"),
        (other_model, "The weights do not fit the model of this config"),
        (wild_config, "config.model must be a group of fields, got 'ddpm'"),
        (lambda path: path.mkdir(), "not a training folder: it has no checkpoints/"),
    ],
    ids=["missing", "damaged", "nan", "foreign", "other model", "wild config", "no checkpoint"],
)
def test_a_model_that_cannot_be_used_is_refused_before_anything_is_written(config, out, tmp_path, write, message):
    path = tmp_path / "bad.safetensors"
    write(path)
    config.weights = str(path)
    for mode in (cli.sample, functools.partial(run_edit, guide=write_guide(tmp_path / "a.png"))):
        with pytest.raises(ValueError, match=message):
            mode(config, out)
    assert not out.parent.exists()


def test_no_model_at_all(config, out, tmp_path):
    config.weights = ""
    with pytest.raises(ValueError, match="No model: set --config.weights"):
        cli.sample(config, out)


def test_a_file_in_the_place_of_the_output_folder_stays_as_it_is(config, tmp_path):
    out, guide = tmp_path / "out", write_guide(tmp_path / "a.png")
    out.write_text("precious")
    for place in (out, out / "deeper"):
        for mode in (cli.sample, functools.partial(run_edit, guide=guide)):
            with pytest.raises(ValueError, match="Cannot write into .*out.*: Not a directory. Choose another folder"):
                mode(config, place)
    assert out.read_text() == "precious" and names(tmp_path) == ["a.png", "out"]


def test_results_do_not_join_the_guides(config, tmp_path):
    for name in ("a.png", "b.png"):
        write_guide(tmp_path / name)
    with pytest.raises(ValueError, match="is the folder of the guides"):
        run_edit(config, tmp_path, guide=tmp_path)
    assert names(tmp_path) == ["a.png", "b.png"]

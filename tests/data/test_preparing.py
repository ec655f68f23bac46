"""A prepared folder holds what training would read from the source, however often its making was interrupted."""

import contextlib
import importlib.util
import io
import itertools
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from sdedit_jax.data import preparing, shards
from sdedit_jax.data.pipeline import DataError, open_source
from sdedit_jax.data.preparing import prepare
from tests.data.writers import COUNT, SIZE, WRITERS, encode, picture

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    """Several shards of few pictures, so that there is something to cut."""
    monkeypatch.setattr(shards, "_PICTURES_A_SHARD", 8)


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """A cache folder of the tests' own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Pictures of odd sizes, turned by their EXIF tag or in printers' colours, as cameras and editors write them."""
    folder = tmp_path_factory.mktemp("photographs")
    for index in range(COUNT):
        image, exif = Image.fromarray(picture(index, 9 + index, 40 - index)), Image.Exif()
        exif[0x0112] = 6 if index % 3 else 1
        (image if index % 2 else image.convert("CMYK")).save(folder / f"{index:02}.jpg", exif=exif)
    return folder


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def images_of(path, split, *options):
    source = open_source(path, split, *options)
    return [source[index]["image"] for index in range(len(source))]


def damage(folder, count):
    """Cuts off the last `count` pictures, by name."""
    paths = sorted(folder.rglob("*.jpg"))[-count:]
    for path in paths:
        path.write_bytes(path.read_bytes()[:-100])
    return paths


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("image_size", [SIZE, 5])
def test_prepared_pictures_are_those_that_are_read_from_the_source(tmp_path, kind, image_size):
    source = WRITERS[kind](tmp_path / kind)
    prepared = prepare(source, tmp_path / "out", image_size=image_size, num_workers=1)
    assert prepared.num_pictures == {"train": COUNT - 3, "validation": 3} and not prepared.skipped
    for split in ("train", "validation"):
        np.testing.assert_array_equal(
            images_of(prepared.folder, split, image_size), images_of(source, split, image_size)
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([kind, "out"])


@pytest.mark.parametrize("fit", ["crop", "resize"])
def test_photographs_come_out_as_they_are_read(photographs, tmp_path, fit):
    folder = prepare(photographs, tmp_path / "out", image_size=SIZE, fit=fit, num_workers=1).folder
    images = images_of(folder, "train", SIZE)
    np.testing.assert_array_equal(images, images_of(photographs, "train", SIZE, fit))
    other = images_of(photographs, "train", SIZE, "resize" if fit == "crop" else "crop")
    assert (np.array(images) != other).any()


def test_a_prepared_folder_is_prepared_again_at_another_size(photographs, tmp_path):
    large = prepare(photographs, tmp_path / "large", image_size=16, num_workers=1).folder
    small = prepare(large, tmp_path / "small", image_size=SIZE, num_workers=1).folder
    for split in ("train", "validation"):
        assert {image.shape for image in images_of(small, split)} == {(SIZE, SIZE, 3)}
        assert len(images_of(small, split)) == len(images_of(large, split))


def test_tfds_reads_it(photographs, tmp_path):
    folder = prepare(photographs, tmp_path / "out", image_size=SIZE, num_workers=1).folder
    builder = tfds.builder_from_directory(folder)
    assert {name: split.num_examples for name, split in builder.info.splits.items()} == {"train": 27, "validation": 3}
    assert builder.info.splits["train"].num_shards == 4
    assert builder.info.features["image"].shape == (SIZE, SIZE, 3)
    train = [record["image"] for record in builder.as_data_source(split="train")]
    np.testing.assert_array_equal(train, images_of(folder, "train"))


def test_shards_cover_every_record_once_and_stay_few():
    for count in (1, 8, 9, 4096, 5_000_000):
        plan = shards.plan_shards("train", count)
        assert [shard.start for shard in plan] == [0, *(shard.stop for shard in plan[:-1])]
        assert plan[-1].stop == count and len(plan) <= 512
        lengths = [shard.stop - shard.start for shard in plan]
        assert max(lengths) - min(lengths) <= 1


PROGRAM = """
import sys
from sdedit_jax.data import preparing, shards
if __name__ == "__main__":
    shards._PICTURES_A_SHARD = 8
    preparing.prepare(*sys.argv[1:], image_size=64, num_workers=2)
"""


def test_processes_and_a_kill_change_nothing(tmp_path):
    source, folder = tmp_path / "source", tmp_path / "killed"
    source.mkdir()
    for index in range(80):
        Image.fromarray(picture(index, 300)).save(source / f"{index:03}.png", compress_level=0)
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [sys.executable, str(tmp_path / "program.py"), str(source), str(folder)]
    notes = tmp_path / "killed.unfinished" / "notes"
    with subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.DEVNULL) as run:
        while not list(notes.glob("*")):
            assert run.poll() is None
            time.sleep(0.01)
        run.kill()
    finished = {path.name: path.stat().st_mtime_ns for path in notes.glob("p*")}
    assert 0 < len(finished) < 11 and not folder.exists()
    with pytest.raises(DataError, match="nor pictures"):
        open_source(tmp_path / "killed.unfinished" / "data", "train")
    prepare(source, folder, image_size=64, num_workers=1)
    written = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert all(written[name.removesuffix(".json")] <= time_ns for name, time_ns in finished.items())
    alone = prepare(source, tmp_path / "alone", image_size=64, num_workers=1).folder
    assert contents(alone) == contents(folder)
    assert not (tmp_path / "killed.unfinished").exists()


def test_interrupted_anywhere_it_ends_the_same(photographs, tmp_path, monkeypatch):
    straight = prepare(photographs, tmp_path / "straight", image_size=SIZE, num_workers=1).folder
    encode_png, attempts = shards._encode_png, 0

    def interrupted(image):
        if next(calls) == 11:  # in the second shard that this attempt writes
            raise KeyboardInterrupt
        return encode_png(image)

    monkeypatch.setattr(shards, "_encode_png", interrupted)
    while not (tmp_path / "out").exists():
        attempts, calls = attempts + 1, itertools.count()
        with contextlib.suppress(KeyboardInterrupt):
            prepare(photographs, tmp_path / "out", image_size=SIZE, num_workers=1)
    assert attempts == 4  # five shards, of which the last attempt writes two
    assert contents(tmp_path / "out") == contents(straight)


def test_damaged_pictures_are_named_and_left_out_up_to_a_limit(photographs, tmp_path):
    source = Path(shutil.copytree(photographs, tmp_path / "source"))
    damaged = damage(source, 3)
    (source / "page.png").write_text("<html>")
    with pytest.raises(DataError) as caught:
        prepare(source, tmp_path / "out", image_size=SIZE, max_corrupt=0.1, num_workers=1)
    assert "So far 4 of 31 pictures are damaged, more than config.data.max_corrupt = 0.1" in str(caught.value)
    assert all(str(path) in str(caught.value) for path in damaged)
    assert not (tmp_path / "out").exists()
    # As many as allowed are left out, and what was finished is not read again.
    prepared = prepare(source, tmp_path / "out", image_size=SIZE, max_corrupt=0.15, num_workers=1)
    assert sum(prepared.num_pictures.values()) == COUNT - 3
    assert sorted(sentence.split()[0] for sentence in prepared.skipped) == sorted(
        str(path) for path in [*damaged, source / "page.png"]
    )
    assert len(images_of(prepared.folder, "train") + images_of(prepared.folder, "validation")) == COUNT - 3


def test_nothing_whole_is_no_data_set(tmp_path):
    for name in ("a.png", "b.png"):
        (tmp_path / "source").mkdir(exist_ok=True)
        (tmp_path / "source" / name).write_text("<html>")
    with pytest.raises(DataError, match="has no whole pictures for one of its splits"):
        prepare(tmp_path / "source", tmp_path / "out", image_size=SIZE, max_corrupt=1.0, num_workers=1)


def test_a_finished_folder_is_left_alone_unless_another_is_asked_for(photographs, tmp_path):
    def once_more(folder=tmp_path / "out", **options):
        return prepare(photographs, folder, **{"image_size": SIZE, "num_workers": 1} | options)

    first, before = once_more(), contents(tmp_path / "out")
    assert once_more() == first and contents(tmp_path / "out") == before
    with pytest.raises(DataError, match="was made with image_size = 8, but 16 is asked for"):
        once_more(image_size=16)
    with pytest.raises(DataError, match="was made with fit = 'crop', but 'resize' is asked for"):
        once_more(fit="resize")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("mine")
    with pytest.raises(DataError, match="is there already and holds something else"):
        once_more(tmp_path / "other")
    with pytest.raises(DataError, match="is inside the source"):
        once_more(photographs / "out")


def test_unfinished_work_belongs_to_one_request_of_one_source(photographs, tmp_path):
    source = Path(shutil.copytree(photographs, tmp_path / "source"))
    damaged = damage(source, 1)

    def attempt(**options):
        prepare(source, tmp_path / "out", **{"image_size": SIZE, "max_corrupt": 0.0, "num_workers": 1} | options)

    with pytest.raises(DataError, match="1 of 30 pictures are damaged"):
        attempt()
    with pytest.raises(DataError, match="out.unfinished was made with image_size = 8, but 4 is asked for"):
        attempt(image_size=4)
    with (
        preparing._alone_in(tmp_path / "out.unfinished"),
        pytest.raises(DataError, match="Another process is at work in"),
    ):
        attempt()
    damaged[0].unlink()
    with pytest.raises(DataError, match="has changed since .*out.unfinished was begun: remove that and start again"):
        attempt()


def test_a_full_disk_is_a_sentence_and_loses_nothing(photographs, tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    large = prepare(photographs, tmp_path / "straight", image_size=96, num_workers=1).folder
    full = min(path.stat().st_size for path in large.glob("*train*")) // 2
    resource.setrlimit(resource.RLIMIT_FSIZE, (full, limits[1]))  # as a disk with this much room for a file
    try:
        with pytest.raises(DataError, match=r"cannot be written \(.*File too large.* Make room and give the same"):
            prepare(photographs, tmp_path / "out", image_size=96, num_workers=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not (tmp_path / "out").exists()
    assert contents(prepare(photographs, tmp_path / "out", image_size=96, num_workers=1).folder) == contents(large)


class GreySquares(tfds.core.GeneratorBasedBuilder):
    """A data set that TFDS knows by name, grey and of no single size as some of its catalogue are."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        features = tfds.features.FeaturesDict({"image": tfds.features.Image(shape=(None, None, 1))})
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(20), "test": self._generate_examples(4)}

    def _generate_examples(self, count):
        for index in range(count):
            yield index, {"image": self._image(np.full((SIZE + index, SIZE, 1), index, np.uint8))}

    def _image(self, pixels):
        return io.BytesIO(encode(pixels[..., 0]))


class GreyArrays(GreySquares):
    """As many builders do, this one leaves the encoding to TensorFlow."""

    def _image(self, pixels):
        return pixels


def test_a_name_that_tfds_knows_is_made_first(tmp_path):
    options = {"image_size": SIZE, "data_dir": tmp_path / "tfds", "num_workers": 1}
    prepared = prepare("grey_squares", tmp_path / "out", **options)
    assert prepared.num_pictures == {"train": 20, "validation": 4}  # its test
    values = sorted(int(image[0, 0, 0]) for image in images_of(prepared.folder, "train"))
    assert values == list(range(20))
    assert all(
        (image == image[0, 0, 0]).all() and image.shape == (SIZE, SIZE, 3)
        for image in images_of(prepared.folder, "train")
    )
    shutil.rmtree(tmp_path / "tfds")
    assert prepare("grey_squares", tmp_path / "out", **options) == prepared  # without its source


@pytest.mark.skipif(importlib.util.find_spec("tensorflow") is not None, reason="TensorFlow is installed")
def test_a_builder_that_needs_tensorflow_says_so(tmp_path):
    with pytest.raises(DataError, match=r"'grey_arrays', TFDS needs TensorFlow: pip install \"sdedit_jax\[prepare\]\""):
        prepare("grey_arrays", tmp_path / "out", image_size=SIZE, data_dir=tmp_path / "tfds", num_workers=1)
    assert not (tmp_path / "out").exists()


def test_what_is_neither_there_nor_known_says_what_to_fetch(tmp_path):
    with pytest.raises(DataError, match=r"lsun_church.*no such file or folder.*github.com/fyu/lsun"):
        prepare("lsun_church", tmp_path / "out", image_size=SIZE)
    assert not list(tmp_path.iterdir())

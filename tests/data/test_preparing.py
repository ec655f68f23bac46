"""A prepared folder holds what training would read from the source."""

import importlib.util
import io
import shutil

import numpy as np
import pytest
import tensorflow_datasets as tfds

from sdedit_jax.data import shards
from sdedit_jax.data.pipeline import DataError
from sdedit_jax.data.preparing import prepare
from tests.data.reading import contents, images_of
from tests.data.writers import COUNT, SIZE, WRITERS, encode

pytestmark = pytest.mark.usefixtures("small_shards")


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
    with pytest.raises(DataError, match=r"'grey_arrays', TFDS needs TensorFlow: pip install -e \"\.\[prepare\]\""):
        prepare("grey_arrays", tmp_path / "out", image_size=SIZE, data_dir=tmp_path / "tfds", num_workers=1)
    assert not (tmp_path / "out").exists()


def test_what_is_neither_there_nor_known_says_what_to_fetch(tmp_path):
    with pytest.raises(DataError, match=r"lsun_church.*no such file or folder.*github.com/fyu/lsun"):
        prepare("lsun_church", tmp_path / "out", image_size=SIZE)
    assert not list(tmp_path.iterdir())

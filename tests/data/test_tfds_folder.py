"""A prepared folder of TFDS is read as it was written, in both its formats, or refused before training."""

import errno
import json
import os
import sys

import numpy as np
import pytest

from sdedit_jax.data.pipeline import DataError, open_source, train_batches
from sdedit_jax.data.sources.errors import CorruptPicture
from sdedit_jax.data.sources.tfds_folder import TFDSRecords
from tests.data.reading import take
from tests.data.tfds_pictures import NUM_TRAIN, GreyPictures, TrainPictures, as_tfrecords, picture, prepare


@pytest.fixture(scope="module")
def source(data_dir):
    """The records, decoded once: a list is a source too, and these tests are about order."""
    return list(open_source(data_dir, "train"))


@pytest.fixture
def broken_dir(tmp_path):
    return prepare(tmp_path)


def test_records_come_back_as_written(source):
    assert len(source) == NUM_TRAIN
    pictures = sorted((record["image"] for record in source), key=lambda image: image[0, 0, 0])
    np.testing.assert_array_equal(pictures, [picture(index) for index in range(NUM_TRAIN)])


def test_a_part_of_a_split(data_dir):
    assert len(open_source(data_dir, "train[:50%]")) == NUM_TRAIN // 2


def test_an_unknown_split_names_those_there_are(data_dir):
    with pytest.raises(DataError, match=r"'dev'.*\['train', 'test'\]"):
        open_source(data_dir, "dev")


def test_the_validation_of_a_folder_without_one_is_its_test(data_dir):
    validation, test = (list(open_source(data_dir, split)) for split in ("validation", "test"))
    np.testing.assert_array_equal([r["image"] for r in validation], [r["image"] for r in test])


def test_the_validation_of_a_folder_of_one_split_is_held_out(tmp_path, source):
    folder = prepare(tmp_path, TrainPictures)
    train, validation = (list(open_source(folder, split)) for split in ("train", "validation"))
    assert (len(train), len(validation)) == (NUM_TRAIN - 3, 3)  # a tenth, rounded up
    assert {r["seed"] for r in train} | {r["seed"] for r in validation} == {r["seed"] for r in source}


def test_the_records_of_tfrecord_and_array_record_are_the_same(data_dir, tmp_path):
    folder = as_tfrecords(data_dir, tmp_path / "pictures")
    for split in ("train", "test", "train[:50%]", "train[5:-5]"):
        expected, read = open_source(data_dir, split), open_source(folder, split)
        assert len(read) == len(expected) > 0
        for index in range(len(read)):
            assert read[index]["seed"] == expected[index]["seed"]
            np.testing.assert_array_equal(read[index]["image"], expected[index]["image"])
    batches = [take(train_batches(open_source(path, "train"), batch_size=7, seed=3), 8) for path in (data_dir, folder)]
    np.testing.assert_array_equal(*batches)


@pytest.mark.parametrize("kept", [0.0, 0.5])
def test_a_tfrecord_shard_cut_short_is_noticed_before_training(data_dir, tmp_path, kept):
    folder = as_tfrecords(data_dir, tmp_path / "pictures")
    shard = sorted(folder.glob("*train*"))[1]
    content = shard.read_bytes()
    shard.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(DataError, match="split 'train' cannot be read"):
        open_source(folder, "train")


def test_a_missing_shard_is_noticed_before_training(broken_dir):
    shards = sorted(broken_dir.glob("*train*"))
    assert len(shards) == 3
    shards[1].unlink()
    with pytest.raises(DataError, match=shards[1].name):
        open_source(broken_dir, "train")


def test_a_shard_cut_short_is_noticed_before_training(broken_dir):
    shard = sorted(broken_dir.glob("*train*"))[2]
    content = shard.read_bytes()
    shard.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="--mode prepare"):
        open_source(broken_dir, "train")


def test_another_file_format_is_refused(broken_dir):
    path = broken_dir / "dataset_info.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"fileFormat": "riegeli"}))
    with pytest.raises(DataError, match="array_record"):
        open_source(broken_dir, "train")


def test_pictures_without_colour_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"\(4, 4, 1\) uint8 among the features \['image', 'seed'\]"):
        open_source(prepare(tmp_path, GreyPictures), "train")


def test_records_that_contradict_their_features_are_refused(broken_dir):
    path = broken_dir / "features.json"
    path.write_text(path.read_text().replace('"image"', '"photo"'))
    with pytest.raises(DataError, match="cannot be read"):
        open_source(broken_dir, "train")


FOREIGN = {
    "planted_json": lambda text: text.replace(
        ': "tensorflow_datasets.core.features.image_feature.', ': "planted_json.'
    ),
    "planted_proto": lambda text: json.dumps(
        {"featuresDict": {"features": {"image": {"python_class_name": "planted_proto.Image", "image": {}}}}}
    ),
    "planted_old": lambda text: json.dumps({"type": "planted_old.Features", "content": {}}),
}


@pytest.mark.parametrize("module", FOREIGN)
def test_no_module_is_imported_because_a_data_set_names_it(broken_dir, tmp_path, monkeypatch, module):
    (tmp_path / f"{module}.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    path = broken_dir / "features.json"
    path.write_text(FOREIGN[module](path.read_text()))
    with pytest.raises(DataError, match=rf"features.json names {module}\.\w+, and only features of TFDS itself"):
        open_source(broken_dir, "train")
    assert module not in sys.modules


class Failing:
    """Records that cannot be read because of `error`."""

    def __init__(self, error):
        self.error = error

    def __len__(self):
        return 1

    def __getitem__(self, index):
        raise self.error


def test_only_bytes_make_a_picture_a_corrupt_one(tmp_path):
    with pytest.raises(CorruptPicture, match="cut off"):
        TFDSRecords(tmp_path, Failing(OSError("cut off")))[0]  # as Pillow says it, without a number
    with pytest.raises(MemoryError):
        TFDSRecords(tmp_path, Failing(MemoryError()))[0]
    with pytest.raises(DataError, match="cannot be read any more .Input/output error") as caught:
        TFDSRecords(tmp_path, Failing(OSError(errno.EIO, os.strerror(errno.EIO))))[0]
    assert not isinstance(caught.value, CorruptPicture)

"""The batches of a run do not depend on how the run is cut: into processes, or by an interruption."""

import io
import itertools
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from array_record.python.array_record_module import ArrayRecordReader
from PIL import Image

from sdedit_jax.data.pipeline import DataError, eval_batches, open_source, train_batches
from sdedit_jax.pixels import from_uint8
from tests.data.framing import frame
from tests.data.writers import WRITERS

NUM_TRAIN, NUM_TEST, SIZE = 24, 5, 4


def picture(index):
    """(SIZE, SIZE, 3) uint8: red tells the record, green tells left from right, blue covers the ends of the range."""
    pixels = np.zeros((SIZE, SIZE, 3), np.uint8)
    pixels[..., 0] = index
    pixels[..., 1] = np.arange(SIZE)
    pixels[..., 2] = 255 * (index % 2)
    return pixels


class Pictures(tfds.core.GeneratorBasedBuilder):
    VERSION = tfds.core.Version("1.0.0")
    CHANNELS = 3

    def _info(self):
        return tfds.core.DatasetInfo(
            builder=self,
            features=tfds.features.FeaturesDict(
                {"image": tfds.features.Image(shape=(SIZE, SIZE, self.CHANNELS)), "seed": np.int64}
            ),
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(NUM_TRAIN), "test": self._generate_examples(NUM_TEST)}

    def _generate_examples(self, count):
        for index in range(count):
            file = io.BytesIO()
            Image.fromarray(picture(index)[..., : self.CHANNELS].squeeze()).save(file, "PNG")
            file.seek(0)
            yield index, {"image": file, "seed": index}


class GreyPictures(Pictures):
    CHANNELS = 1


class TrainPictures(Pictures):
    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(NUM_TRAIN)}


def prepare(root, builder_class=Pictures):
    config = tfds.download.DownloadConfig(num_shards=3)
    builder = builder_class(data_dir=root, file_format="array_record")
    builder.download_and_prepare(download_config=config)
    return builder.data_path


def as_tfrecords(data_dir, folder):
    """A copy of a prepared folder in the format TFRecord, which TFDS writes with TensorFlow only."""
    shutil.copytree(data_dir, folder)
    for path in folder.glob("*.array_record-*"):
        records = ArrayRecordReader(str(path)).read_all()
        path.with_name(path.name.replace("array_record", "tfrecord")).write_bytes(b"".join(map(frame, records)))
        path.unlink()
    info = folder / "dataset_info.json"
    info.write_text(json.dumps(json.loads(info.read_text()) | {"fileFormat": "tfrecord"}))
    return folder


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def source(data_dir):
    """The records, decoded once: a list is a source too, and these tests are about order."""
    return list(open_source(data_dir, "train"))


@pytest.fixture
def broken_dir(tmp_path):
    return prepare(tmp_path)


def take(batches, count):
    return np.stack(list(itertools.islice(batches, count)))


def records(x):
    """The record number of every image of a batch (..., H, W, 3), read back from its red channel."""
    return np.rint((x[..., 0, 0, 0] + 1) * 127.5).astype(int)


def is_flipped(x):
    return x[..., 0, 0, 1] > x[..., 0, -1, 1]


def test_records_come_back_as_written(source):
    assert len(source) == NUM_TRAIN
    pictures = sorted((record["image"] for record in source), key=lambda image: image[0, 0, 0])
    np.testing.assert_array_equal(pictures, [picture(index) for index in range(NUM_TRAIN)])


def test_a_part_of_a_split(data_dir):
    assert len(open_source(data_dir, "train[:50%]")) == NUM_TRAIN // 2


def test_batches_are_float32_in_the_unit_range(source):
    x = take(train_batches(source, batch_size=8, seed=0, flip=False), 3)
    assert x.shape == (3, 8, SIZE, SIZE, 3)
    assert x.dtype == np.float32
    assert (x.min(), x.max()) == (-1.0, 1.0)
    expected = np.stack([picture(index) for index in records(x).ravel()])
    np.testing.assert_array_equal(x.reshape(expected.shape), from_uint8(expected))


def test_every_epoch_holds_every_record_once_in_a_new_order(source):
    epochs = records(take(train_batches(source, batch_size=NUM_TRAIN, seed=0), 3))
    for epoch in epochs:
        np.testing.assert_array_equal(np.sort(epoch), np.arange(NUM_TRAIN))
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_the_seed_decides(source):
    first, again, other = (take(train_batches(source, batch_size=8, seed=seed), 3) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (records(first) != records(other)).any()


@pytest.mark.parametrize("start_step", [0, 1, 5, 7])
def test_a_resumed_run_sees_what_an_uninterrupted_one_sees(source, start_step):
    # 7 images in a batch and 24 in an epoch: batches run across epochs, the hardest place to resume.
    whole = take(train_batches(source, batch_size=7, seed=3), 10)
    resumed = take(train_batches(source, batch_size=7, seed=3, start_step=start_step), 10 - start_step)
    np.testing.assert_array_equal(resumed, whole[start_step:])


def test_a_far_step_is_reached_without_reading_what_came_before(source):
    reads = []

    class Counted:
        def __len__(self):
            return len(source)

        def __getitem__(self, index):
            reads.append(index)
            return source[index]

    next(train_batches(Counted(), batch_size=4, seed=0, start_step=1_000_000))
    assert 4 <= len(reads) <= 4 * 9  # the batch itself and at most eight read ahead


@pytest.mark.parametrize("process_count", [2, 4])
def test_batch_k_is_the_same_for_any_number_of_processes(source, process_count):
    alone = take(train_batches(source, batch_size=8, seed=1), 7)
    shares = [
        take(train_batches(source, batch_size=8, seed=1, process_index=p, process_count=process_count), 7)
        for p in range(process_count)
    ]
    # One after the other the shares are the batch row by row, flips included.
    np.testing.assert_array_equal(np.concatenate(shares, axis=1), alone)


def test_a_batch_must_divide_among_the_processes(source):
    with pytest.raises(DataError, match="multiple of the 3 processes, got 8"):
        train_batches(source, batch_size=8, seed=0, process_count=3)


def test_half_of_the_images_are_flipped_anew_in_every_epoch(source):
    epochs = take(train_batches(source, batch_size=NUM_TRAIN, seed=0), 20)
    flipped = np.stack([is_flipped(x)[np.argsort(records(x))] for x in epochs])
    n = flipped.size
    assert abs(flipped.mean() - 0.5) <= 5 * 0.5 / np.sqrt(n)  # five standard errors of a fair coin
    assert (flipped.any(axis=0) & ~flipped.all(axis=0)).all()  # 20 equal coins: 2e-6 for each record
    mirrored = epochs[0][is_flipped(epochs[0])]
    expected = np.stack([picture(index)[:, ::-1] for index in records(mirrored)])
    np.testing.assert_array_equal(mirrored, from_uint8(expected))


def test_no_image_is_flipped_unless_asked(source):
    assert not is_flipped(take(train_batches(source, batch_size=NUM_TRAIN, seed=0, flip=False), 2)).any()


def test_evaluation_reads_every_record_once_in_order(data_dir):
    source = open_source(data_dir, "test")
    batches = list(eval_batches(source, 2))
    assert [len(x) for x in batches] == [2, 2, 1]
    stored = np.stack([source[index]["image"] for index in range(NUM_TEST)])
    np.testing.assert_array_equal(np.concatenate(batches), from_uint8(stored))


def test_a_missing_folder_says_what_to_run(tmp_path):
    with pytest.raises(DataError, match=r"absent.*--mode prepare"):
        open_source(tmp_path / "absent", "train")
    with pytest.raises(DataError, match="--mode prepare"):
        open_source(tmp_path, "train")


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


def test_the_package_loads_neither_tfds_nor_grain():
    code = "import sys, sdedit_jax.data; sys.exit(bool({'tensorflow_datasets', 'grain'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False).returncode == 0


@pytest.mark.parametrize("kind", WRITERS)
def test_a_data_set_that_vanishes_ends_training_in_a_sentence_or_not_at_all(tmp_path, monkeypatch, kind):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data = WRITERS[kind](tmp_path / kind)
    train = open_source(data, "train", 8)
    expected = np.stack([train[index]["image"] for index in range(len(train))])
    batches = train_batches(train, batch_size=4, seed=0, flip=False)
    next(batches)
    shutil.rmtree(data)
    if kind == "lmdb":  # it is mapped into memory, and the system keeps it until this process ends
        np.testing.assert_array_equal(np.stack([train[index]["image"] for index in range(len(train))]), expected)
        return
    with pytest.raises(DataError) as caught:
        take(batches, 40)  # more than is read ahead
    sentence = str(caught.value)
    assert str(data) in sentence and "cannot be read any more (No such file or directory). Bring it back" in sentence
    assert "\n" not in sentence

"""The batches of a run do not depend on how the run is cut: into processes, or by an interruption."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from sdedit_jax.data import pipeline
from sdedit_jax.data.pipeline import DataError, eval_batches, open_source, train_batches
from sdedit_jax.pixels import from_uint8
from tests.data.reading import take
from tests.data.tfds_pictures import NUM_TEST, NUM_TRAIN, SIZE, picture
from tests.data.writers import WRITERS


@pytest.fixture(scope="module")
def source(data_dir):
    """The records, decoded once: a list is a source too, and these tests are about order."""
    return list(open_source(data_dir, "train"))


def records(x):
    """The record number of every image of a batch (..., H, W, 3), read back from its red channel."""
    return np.rint((x[..., 0, 0, 0] + 1) * 127.5).astype(int)


class Counted:
    """A source that knows how many records were read of it."""

    def __init__(self, source):
        self.source, self.num_reads = source, 0

    def __len__(self):
        return len(self.source)

    def __getitem__(self, index):
        self.num_reads += 1
        return self.source[index]


def is_flipped(x):
    return x[..., 0, 0, 1] > x[..., 0, -1, 1]


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
    counted = Counted(source)
    next(train_batches(counted, batch_size=4, seed=0, start_step=1_000_000))
    # The batch itself, at most eight read ahead, and one record for its size.
    assert 4 <= counted.num_reads <= 4 * 9 + 1


def test_large_pictures_are_read_ahead_in_fewer_batches(source, monkeypatch):
    """What waits is limited in bytes, and half a gigabyte is room for eight batches of 64 at 256 x 256."""
    large, huge = ([{"image": np.broadcast_to(np.uint8(0), (size, size, 3))}] for size in (256, 1024))
    assert pipeline._read_options(large, 64).prefetch_buffer_size == 8
    assert 8 * 1024**2 * 3 * 4 * pipeline._read_options(huge, 8).prefetch_buffer_size <= 2**29
    assert pipeline._read_options(huge, 1000).prefetch_buffer_size == 1
    monkeypatch.setattr(pipeline, "_MOST_BYTES_AHEAD", 2 * 4 * SIZE**2 * 3 * 4)  # two batches of four
    counted = Counted(source)
    next(train_batches(counted, batch_size=4, seed=0))
    time.sleep(0.2)  # in which all eight would be read
    assert 4 <= counted.num_reads <= 4 * 3 + 1


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

"""Data that cannot be used is refused in words, before training where it can be."""

import contextlib
import io
import itertools
import os
import signal
from pathlib import Path

import pytest
from tensorflow_datasets.proto import tf_example_pb2

from sdedit_jax import images
from sdedit_jax.data.pipeline import DataError, open_source, train_batches
from sdedit_jax.data.sources.fitting import Fit
from sdedit_jax.data.sources.opening import open_records
from sdedit_jax.data.sources.splits import split_indices
from tests.data.framing import frame
from tests.data.writers import COUNT, SIZE, encode, example, picture, write_folder, write_lmdb, write_tfrecords


def test_files_that_are_no_pictures_are_named_when_the_folder_is_opened(tmp_path):
    write_folder(tmp_path)
    for name in ("page.jpg", "empty.png"):
        (tmp_path / name).write_text("<html>" * (name == "page.jpg"))
    with pytest.raises(DataError) as caught:
        for split in ("train", "validation"):
            open_source(tmp_path, split, SIZE)
    assert "empty.png" in str(caught.value) or "page.jpg" in str(caught.value)
    assert "Copy them again or remove them" in str(caught.value)


@contextlib.contextmanager
def patience(seconds):
    """Fails the test when the block lasts longer, whatever it waits for."""
    before = signal.signal(signal.SIGALRM, lambda *_: pytest.fail(f"still waiting after {seconds} seconds"))
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("check", [True, False])
def test_a_pipe_named_like_a_picture_is_not_waited_for(tmp_path, check):
    write_folder(tmp_path)
    os.mkfifo(tmp_path / "pipe.png")
    with patience(5), pytest.raises(DataError, match="cannot be read: pipe.png"):
        for split in ("train", "validation"):
            records = open_records(tmp_path, split, Fit(SIZE), check=check)
            list(map(records.__getitem__, range(len(records))))


class Exhausting(io.BytesIO):
    def read(self, size=-1):
        raise MemoryError


def test_want_of_memory_is_no_damage():
    with pytest.raises(MemoryError):
        images.load_image(Exhausting(encode(picture(0))))


def test_a_picture_cut_short_stops_training_with_its_name(tmp_path):
    write_folder(tmp_path)
    path = Path(open_source(tmp_path, "train", SIZE).paths[7])
    path.write_bytes(path.read_bytes()[:-60])
    source = open_source(tmp_path, "train", SIZE)  # its header is whole
    with pytest.raises(DataError, match=rf"{path.name} is damaged or cut off .* Or remove it"):
        list(itertools.islice(train_batches(source, batch_size=9, seed=0), 3))


def test_a_damaged_value_of_an_lmdb_is_named_by_its_key(tmp_path):
    values = [encode(picture(index)) for index in range(COUNT)]
    values[split_indices("", COUNT, "train")[5]] = b"no picture"
    source = open_source(write_lmdb(tmp_path / "lmdb", values), "train", SIZE)
    with pytest.raises(DataError, match=r"Record b'0{30}.* of .*lmdb cannot be used. .* is not a picture"):
        source[5]


@pytest.mark.parametrize("kept", [0.49, 0.999])
def test_tfrecords_cut_short_are_noticed_before_training(tmp_path, kept):
    (path,) = write_tfrecords(tmp_path).iterdir()
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(DataError, match=f"{path.name} is cut short or no TFRecord file"):
        open_source(tmp_path, "train", SIZE)


@pytest.mark.parametrize("num_zeros", [5, 16, 1000])
def test_room_kept_for_a_download_holds_no_records(tmp_path, num_zeros):
    (path,) = write_tfrecords(tmp_path).iterdir()
    path.write_bytes(path.read_bytes() + bytes(num_zeros))
    with pytest.raises(DataError, match=f"{path.name} is cut short or no TFRecord file"):
        open_source(tmp_path, "train", SIZE)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file holds no records"),
        (frame(b"\xff\xff\xff") * 2, "no TensorFlow example"),
        (frame(tf_example_pb2.Example().SerializeToString()) * 2, r"needs the features shape = .* features \[\]"),
        (frame(example(picture(0)[..., :1])) * 2, r"got shape = \(1, 8, 8\) and 64 bytes"),
        # So many bytes, 3 * 2^64, that their number is 0 in 64 bits.
        (frame(example(picture(0)[:0], (3, 2**32, 2**32))) * 2, r"got shape = \(3, 4294967296, 42.* and 0 bytes"),
    ],
)
def test_other_tfrecords_are_refused(tmp_path, content, message):
    (tmp_path / "other.tfrecords").write_bytes(content)
    with pytest.raises(DataError, match=message):
        open_source(tmp_path, "train", SIZE)


def test_a_damaged_lmdb_is_refused(tmp_path):
    (tmp_path / "data.mdb").write_bytes(b"nothing" * 5000)
    with pytest.raises(DataError, match="its data.mdb cannot be read"):
        open_source(tmp_path, "train", SIZE)


@pytest.mark.parametrize("kept", [0.5, 0.97])
def test_an_lmdb_cut_short_is_refused_before_a_page_of_it_is_read(tmp_path, kept):
    path = write_lmdb(tmp_path) / "data.mdb"
    assert len(open_source(tmp_path, "train", SIZE)) > 0
    cut = tmp_path / "cut" / "data.mdb"
    cut.parent.mkdir()
    cut.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(DataError, match=rf"its data.mdb is incomplete, {cut.stat().st_size} of {path.stat().st_size}"):
        open_source(cut.parent, "train", SIZE)


def test_what_is_missing_says_what_to_fetch(tmp_path):
    with pytest.raises(DataError, match="no such file or folder.*github.com/fyu/lsun.*--config.data.source=PATH"):
        open_source("lsun_bedroom", "train", 256)
    with pytest.raises(DataError, match="nor pictures. Give a folder of pictures.*--mode prepare"):
        open_source(tmp_path, "train", SIZE)

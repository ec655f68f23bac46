"""Pictures are the same whatever they are kept in."""

import concurrent.futures
import itertools

import numpy as np
import pytest
from PIL import Image

from sdedit_jax import images
from sdedit_jax.data.pipeline import DataError, open_source, train_batches
from sdedit_jax.data.sources import lmdb as lmdb_source
from sdedit_jax.data.sources.splits import num_held_out, split_indices
from sdedit_jax.pixels import from_uint8, to_uint8
from tests.data.framing import masked_crc32c
from tests.data.writers import COUNT, SIZE, WRITERS, encode, picture, write_lmdb, write_tfrecords


@pytest.fixture(scope="module", params=WRITERS)
def data(request, tmp_path_factory):
    return WRITERS[request.param](tmp_path_factory.mktemp("data") / request.param)


def numbers(source):
    return [int(source[index]["image"][0, 0, 0]) for index in range(len(source))]


def test_the_checksum_is_the_published_one():
    # The check value of the catalogue of parametrised CRC algorithms for CRC-32/ISCSI, before it is masked.
    crc = (masked_crc32c(b"123456789") - 0xA282EAD8) & 0xFFFFFFFF
    assert (crc << 15 | crc >> 17) & 0xFFFFFFFF == 0xE3069283


def test_pictures_of_the_right_size_come_back_bit_for_bit(data):
    for split in ("train", "validation"):
        source = open_source(data, split, SIZE)
        for index, number in enumerate(numbers(source)):
            image = source[index]["image"]
            assert image.dtype == np.uint8
            np.testing.assert_array_equal(image, picture(number))


def test_every_record_is_in_one_split(data):
    train, validation = (numbers(open_source(data, split, SIZE)) for split in ("train", "validation"))
    assert sorted(train + validation) == list(range(COUNT))
    assert len(validation) == num_held_out(COUNT) == 3


def test_the_split_does_not_depend_on_how_pictures_are_kept(tmp_path):
    # The folder's order is another, that of its paths.
    kept = [write(tmp_path / name) for name, write in WRITERS.items() if name != "folder"]
    validation = [numbers(open_source(path, "validation", SIZE)) for path in kept]
    assert validation[0] == validation[1]


@pytest.mark.parametrize(
    ("count", "held_out"), [(2, 1), (10, 1), (11, 2), (640, 64), (6400, 64), (70_000, 700), (300_000, 1024)]
)
def test_the_held_out_part(count, held_out):
    assert num_held_out(count) == held_out
    train, validation = (split_indices("faces", count, split) for split in ("train", "validation"))
    assert len(validation) == held_out and len(train) + held_out == count
    np.testing.assert_array_equal(np.union1d(train, validation), np.arange(count))


def test_other_splits_and_single_pictures_are_refused(data, tmp_path):
    with pytest.raises(DataError, match="has the splits train and validation, got 'test'"):
        open_source(data, "test", SIZE)
    (tmp_path / "only.png").write_bytes(encode(picture(0)))
    with pytest.raises(DataError, match="one picture for training and one for validation are needed, got 1"):
        open_source(tmp_path, "train", SIZE)


def test_eight_threads_read_what_one_reads(data):
    source = open_source(data, "train", SIZE)
    order = np.random.default_rng(0).integers(0, len(source), 400).tolist()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda index: source[index]["image"], order))
    alone = [source[index]["image"] for index in range(len(source))]
    np.testing.assert_array_equal(read, [alone[index] for index in order])


def test_training_batches_hold_the_pictures(data):
    source = open_source(data, "train", SIZE)
    batches = train_batches(source, batch_size=9, seed=0, flip=False)
    x = np.concatenate(list(itertools.islice(batches, 3)))  # an epoch
    assert (x.shape, x.dtype) == ((27, SIZE, SIZE, 3), np.float32)
    read = sorted(to_uint8(x).tolist())
    assert read == sorted(source[index]["image"].tolist() for index in range(len(source)))


def test_pictures_of_other_sizes_are_cropped_and_scaled(tmp_path):
    tall, wide = picture(1, size=21, width=16), picture(2, size=16, width=32)
    (tmp_path / "a.png").write_bytes(encode(tall))
    (tmp_path / "b.png").write_bytes(encode(wide))
    train, validation = (open_source(tmp_path, split, SIZE)[0]["image"] for split in ("train", "validation"))
    squares = [tall[2:18], wide[:, 8:24]]
    expected = [to_uint8(images.fit_to_model(from_uint8(square), SIZE, 1)) for square in squares]
    read = sorted([train, validation], key=lambda image: not np.array_equal(image, expected[0]))
    np.testing.assert_array_equal(read, expected)
    # Antialiasing: the mean of white noise of 16 x 16 keeps to that of its picture, up to a byte's rounding and edges.
    assert abs(float(read[0].mean()) - squares[0].mean()) < 3.0
    sizes = {open_source(tmp_path, split)[0]["image"].shape for split in ("train", "validation")}
    assert sizes == {tall.shape, wide.shape}


def test_strangers_pictures_come_upright_opaque_and_in_eight_bits(tmp_path):
    pixels, exif = picture(0), Image.Exif()
    exif[0x0112] = 6  # a camera held upright
    Image.fromarray(pixels).save(tmp_path / "0_rotated.png", exif=exif)
    alpha = np.zeros((SIZE, SIZE, 1), np.uint8)
    Image.fromarray(np.concatenate([pixels, alpha], -1)).save(tmp_path / "1_transparent.png")
    Image.fromarray(np.full((SIZE, SIZE), 40_000, np.uint16)).save(tmp_path / "2_deep.png")
    records = [open_source(tmp_path, split, SIZE) for split in ("train", "validation")]
    read = [record["image"] for source in records for record in (source[index] for index in range(len(source)))]
    expected = [np.rot90(pixels, -1), np.full_like(pixels, 255), np.full_like(pixels, 40_000 >> 8)]
    assert sorted(image.tolist() for image in read) == sorted(image.tolist() for image in expected)


def test_the_keys_of_an_lmdb_are_listed_once(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = write_lmdb(tmp_path / "lmdb")
    before = open_source(folder, "train", SIZE).keys
    (cached,) = (tmp_path / "cache").rglob("*.msgpack")
    assert lmdb_source._cached_keys(folder, COUNT)[:2] == [b"%040x\0" % 0, b"%040x\0" % 1]
    assert lmdb_source._cached_keys(folder, COUNT + 1) is None
    for damage in (b"", b"\xc1", cached.read_bytes()[:100]):
        cached.write_bytes(damage)
        assert lmdb_source._cached_keys(folder, COUNT) is None
        assert open_source(folder, "train", SIZE).keys == before
    assert sorted(path.name for path in folder.iterdir()) == ["data.mdb", "lock.mdb"]  # as its writer left it


def test_a_read_only_home_does_not_matter(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert len(open_source(write_lmdb(tmp_path / "lmdb"), "train", SIZE)) == COUNT - num_held_out(COUNT)


def test_the_resolution_next_above_is_read(tmp_path):
    for size in (4, 8, 16):
        write_tfrecords(tmp_path, size, 2)
    for image_size, stored in [(4, 4), (8, 8), (16, 16), (6, 8), (32, 16), (None, 16)]:
        source = open_source(tmp_path, "train", image_size)
        assert source.records.paths == (tmp_path / f"faces-r{stored.bit_length() - 1:02}.tfrecords",)
        assert source[0]["image"].shape == ((image_size or stored),) * 2 + (3,)


def test_one_tfrecord_file_is_a_data_set(tmp_path):
    (path,) = write_tfrecords(tmp_path / "faces").iterdir()
    assert numbers(open_source(path, "train", SIZE)) == numbers(open_source(path.parent, "train", SIZE))

"""The reader of Flax files against Flax's own writer, and against everything that could happen to a file."""

import random
import tracemalloc

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from flax import serialization

from sdedit_jax.weights.files import flax_file
from sdedit_jax.weights.files.flax_file import read
from sdedit_jax.weights.stored import StoredTensor, WeightsError

STATE = {
    "step": 1200001,
    "optimizer": {"target": {"Conv_0": {"kernel": np.arange(24.0, dtype=np.float32).reshape(1, 2, 3, 4)}}, "state": {}},
    "lr": 2e-4,
    "ema_rate": np.float32(0.999),
    "flags": {"on": True, "off": False, "none": None, "negative": -5, "long": -(2**40), "text": "x" * 300},
    "params_ema": {"Dense_0": {"bias": np.linspace(0.0, 1.0, 7), "kernel": np.ones((3, 1), np.float16)}},
    "rng": np.array([0, 42], np.uint32),
}


def values(tree):
    """The tree with what its tensors hold."""
    if isinstance(tree, dict):
        return {key: values(item) for key, item in tree.items()}
    return tree.read() if isinstance(tree, StoredTensor) else tree


def assert_same(found, wanted):
    assert type(found) is type(wanted) or np.ndim(wanted) == 0
    if isinstance(wanted, dict):
        assert found.keys() == wanted.keys()
        for key in wanted:
            assert_same(found[key], wanted[key])
    else:
        np.testing.assert_array_equal(found, wanted, strict=isinstance(wanted, np.ndarray))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "checkpoint_24"


def written(path, tree):
    path.write_bytes(serialization.msgpack_serialize(tree))
    return path


def test_what_flax_wrote_is_read(path):
    found = read(written(path, STATE))
    assert_same(values(found), STATE)
    kernel = found["optimizer"]["target"]["Conv_0"]["kernel"]
    assert (kernel.shape, kernel.dtype) == ((1, 2, 3, 4), np.float32)


@pytest.mark.parametrize("dtype", sorted(flax_file.DTYPES))
def test_every_dtype(path, dtype):
    array = np.array([[0, 1], [1, 0]]).astype(flax_file.DTYPES[dtype])
    found = read(written(path, {"a": array}))["a"]
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found.read(), array, strict=True)


def test_arrays_of_jax(path):
    found = read(written(path, {"a": jnp.arange(3, dtype=jnp.bfloat16)}))["a"].read()
    np.testing.assert_array_equal(found, np.arange(3).astype(ml_dtypes.bfloat16), strict=True)


@pytest.mark.parametrize("num_items", [15, 16, 300, 70_000])
def test_maps_of_every_size(path, num_items):
    tree = {f"name {i}": i for i in range(num_items)}
    assert read(written(path, tree)) == tree


@pytest.mark.parametrize("size", [1, 2, 250, 70_000])
def test_arrays_of_every_size(path, size):
    array = np.arange(size, dtype=np.uint8)
    np.testing.assert_array_equal(read(written(path, {"a": array}))["a"].read(), array, strict=True)


def test_the_dtype_may_be_bytes(path):
    content = serialization.msgpack_serialize({"a": np.arange(3, dtype=np.int32)})
    as_bytes = content.replace(b"\xa5int32", b"\xc4\x05int32")
    length = content.index(b"\xc7") + 1  # of the extension, which grows by one byte
    path.write_bytes(as_bytes[:length] + bytes([as_bytes[length] + 1]) + as_bytes[length + 1 :])
    np.testing.assert_array_equal(read(path)["a"].read(), [0, 1, 2])


def test_arrays_in_chunks(path, monkeypatch):
    monkeypatch.setattr(serialization, "MAX_CHUNK_SIZE", 40)
    array = np.arange(60.0, dtype=np.float32).reshape(3, 4, 5)
    content = serialization.msgpack_serialize({"a": array, "b": 1})
    assert content.count(b"float32") == 6
    path.write_bytes(content)
    found = read(path)
    assert found["b"] == 1 and found["a"].shape == (3, 4, 5)
    np.testing.assert_array_equal(found["a"].read(), array, strict=True)


@pytest.mark.parametrize(
    "change",
    [
        {"shape": {"0": 3}},
        {"shape": {"1": 4}},
        {"shape": 4},
        {"shape": {"0": -4}},
        {"chunks": {}},
        {"chunks": {"0": 5}},
        {"chunks": {"0": np.zeros((2, 2))}},
        {"chunks": {"0": np.zeros(2), "1": np.zeros(2, np.float32)}},
    ],
)
def test_chunks_that_make_no_array_are_refused(path, change):
    array = {flax_file.CHUNKED: True, "shape": {"0": 4}, "chunks": {"0": np.zeros(4)}}
    assert read(written(path, {"a": array}))["a"].shape == (4,)
    with pytest.raises(WeightsError, match="checkpoint_24 cannot be read .* array"):
        read(written(path, {"a": array | change}))


def test_reading_leaves_the_arrays_in_the_file(path):
    size = 2**22
    arrays = {f"name {i}": np.full(size, i, np.uint8) for i in range(12)}
    written(path, {"optimizer": arrays, "params_ema": {"a": np.ones(size, np.uint8)}})
    tracemalloc.start()
    found = read(path)["params_ema"]["a"]
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    assert found.read().sum() == size
    _, peak_of_one = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < size / 10  # the tree
    assert peak < 4.1 * size  # of 13: a buffer of two, an extension, its bytes
    assert peak_of_one < 1.5 * size  # one array, not two


def test_a_file_that_became_shorter_is_an_error(path):
    tensor = read(written(path, {"a": np.arange(1000.0)}))["a"]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(WeightsError, match="checkpoint_24 has become shorter"):
        tensor.read()
    path.unlink()
    with pytest.raises(WeightsError, match="checkpoint_24 can no longer be read"):
        tensor.read()


ARRAY = serialization.msgpack_serialize({"a": np.zeros(4, np.float32)})


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "cut short"),
        (b"\x81", "cut short"),
        (b"\x01", "not a map"),
        (ARRAY + b"\x00", "follows its end"),
        (ARRAY[:-1], "cut short"),
        (b"\x81\xa1a\xc1", "not MessagePack"),
        (b"\x82\xa1a\x01\xa1a\x01", "'a' of a map .* comes twice"),
        (b"\x81\x01\x01", "the key 1 of a map is not text"),
        (b"\x81\xa1\xff\x01", "cannot be read as a Flax checkpoint: 'utf-8'"),
        (b"\x81\xa1a" + b"\x91" * 40 + b"\x01", "32 deep"),
        (b"\x81\xa1a" + b"\x91" * 100_000, "32 deep"),
        (b"\x81\xa1a\xdd\xff\xff\xff\xff", "cut short"),
        (b"\x81\xa1a\xdd\xff\xff\xff\xff" + b"\xc0" * 300_000, "200,000 values"),
        (b"\x81\xa1a\xdb\xff\xff\xff\xff", "cut short"),
        (b"\x81\xa1a\xdb\x00\x00\x04\x01" + b"x" * 1025, r"1025 exceeds max_str_len\(1024\)"),
        (b"\x81\xa1a\xc6\xff\xff\xff\xff", "cut short"),
        (b"\x81\xa1a\xc6\x00\x00\x04\x01" + b"x" * 1025, r"1025 exceeds max_bin_len\(1024\)"),
        (b"\x81\xa1a\xc9\x7f\xff\xff\x00\x01", "cut short"),
        (b"\x81\xa1a\xc7\x00\x01", "incomplete"),
        (b"\x81\xa1a\xd4\x01\x00", "not a shape, a dtype and bytes"),
        (b"\x81\xa1a\xd6\x01\x93\x90\x01\xc4", "incomplete"),
        (b"\x81\xa1a\xd6\xff\x00\x00\x00\x00", "a time"),
        (serialization.msgpack_serialize({"a": 1j}), "extension of type 2"),
        (ARRAY.replace(b"float32", b"float31"), "an array is of 'float31'"),
        (ARRAY.replace(b"float32", b"object0"), "an array is of 'object0'"),
        (ARRAY.replace(b"\x93\x91\x04", b"\x93\x91\x05"), r"cannot reshape array of size 4 into shape \(5,\)"),
        (ARRAY.replace(b"\x93\x91\x04", b"\x93\x91\xff"), r"cannot have the shape \[-1\]"),
        (ARRAY.replace(b"\x93\x91\x04", b"\x93\x91\xc3"), r"cannot have the shape \[True\]"),
        (ARRAY.replace(b"\x93\x91\x04", b"\x93\x91\x00"), r"cannot have the shape \[0\]"),
    ],
    ids=lambda value: value[:24] if isinstance(value, str) else len(value),
)
def test_damage_is_an_error_that_names_the_file(path, content, reason):
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=f"checkpoint_24 .*{reason}"):
        read(path)


def test_a_length_that_lies_about_an_array(path):
    length = ARRAY.index(b"\xc7") + 1
    path.write_bytes(ARRAY[:length] + bytes([ARRAY[length] - 1]) + ARRAY[length + 1 :])
    with pytest.raises(WeightsError, match="checkpoint_24 .*incomplete"):
        read(path)
    path.write_bytes(ARRAY[:length] + bytes([ARRAY[length] + 1]) + ARRAY[length + 1 :] + b"\x00")
    with pytest.raises(WeightsError, match="checkpoint_24 .*extra data"):
        read(path)


def test_a_shape_beyond_all_numbers(path):
    empty = b"\x93\x92" + 2 * b"\xcf\x00\x00\x00\x01\x00\x00\x00\x00" + b"\xa5uint8\xc4\x00"  # 2^64, which wraps to 0
    path.write_bytes(b"\x81\xa1a\xc7" + bytes([len(empty)]) + b"\x01" + empty)
    with pytest.raises(WeightsError, match="checkpoint_24 .*4294967296"):
        read(path)


def test_no_file_and_a_folder(path):
    with pytest.raises(WeightsError, match="There is no file .*checkpoint_24"):
        read(path)
    with pytest.raises(WeightsError, match="cannot be read as a Flax checkpoint"):
        read(path.parent)


def test_mutations_never_surprise(path):
    """A thousand damaged copies: each is read whole, with as many bytes as its arrays say, or is a WeightsError."""
    content = serialization.msgpack_serialize(STATE)
    rng = random.Random(0)
    refused = 0
    for _ in range(1500):
        damaged = bytearray(content)
        for _ in range(rng.choice([1, 1, 2, 8])):
            damaged[rng.randrange(len(damaged))] = rng.choice([0, 1, 0x7F, 0x80, 0xC7, 0xDD, 0xFF, rng.randrange(256)])
        if rng.random() < 0.2:
            del damaged[rng.randrange(len(damaged)) :]
        path.write_bytes(damaged)
        try:
            values(read(path))
        except WeightsError:
            refused += 1
    assert 300 < refused < 1500  # some only change numbers, most change the form


@pytest.mark.parametrize(
    ("head", "is_flax"),
    [
        (ARRAY[:64], True),
        (serialization.msgpack_serialize({f"name {i}": i for i in range(16)})[:16], True),
        (serialization.msgpack_serialize({f"name {i}": i for i in range(70_000)})[:16], True),
        (b"", False),
        (b"\x80", False),
        (b"\x81", False),
        (b"\x81\x01", False),
        (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", False),  # a torch file of old
        (b"PK\x03\x04", False),
        (b"\x89PNG\r\n\x1a\n", False),
        (b'{"a": 1}', False),
    ],
)
def test_a_flax_file_is_known_by_its_first_bytes(head, is_flax):
    assert flax_file.is_flax_file(head) == is_flax

"""A model file comes back as it was written, or as one clear sentence, whatever bytes it holds."""

import json
import struct

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from sdedit_jax.trees import flatten
from sdedit_jax.weights import WeightsError, native
from sdedit_jax.weights.files import safetensors_file
from sdedit_jax.weights.stored import StoredTensor, check_shapes, read_params

CONFIG = {"model": {"name": "ddpm", "channel_mults": (1, 2)}, "data": {"image_size": 64}, "t_min": 1e-5, "none": None}
FORMAT = {"format": "sdedit_jax", "format_version": "1", "config": json.dumps(CONFIG)}


def new_params(seed=0):
    rng = np.random.default_rng(seed)
    return {
        "down_0": {
            "conv": {"kernel": rng.normal(size=(3, 3, 2, 4)).astype(np.float32), "bias": np.zeros(4, np.float32)}
        },
        "scale": np.array(-0.0, np.float32),
        "gamma": np.array([1e-45, 3.4e38, -1.0], np.float32),
    }


def shapes(params):
    return jax.eval_shape(lambda: params)


def stored(params):
    return {
        name: StoredTensor(leaf.shape, leaf.dtype, lambda leaf=leaf: leaf) for name, leaf in flatten(params).items()
    }


def read(path):
    return native.source(path, *safetensors_file.read(path))


def load(path):
    source = read(path)
    return jax.tree.map(np.asarray, read_params(source.tensors)), source.config


def assert_same_bits(found, wanted):
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    for got, want in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        assert (got.dtype, got.shape, got.tobytes()) == (want.dtype, want.shape, want.tobytes())


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


def test_a_model_comes_back_bit_for_bit(path):
    native.save(path, new_params(), CONFIG)
    params, config = load(path)
    assert_same_bits(params, new_params())
    assert config == CONFIG


def test_jax_arrays_of_any_layout_are_saved(path):
    kernel = np.arange(6, dtype=np.float32).reshape(2, 3)
    native.save(path, {"a": jnp.asarray(kernel), "b": kernel.T, "c": kernel[:, ::2]}, {})
    assert_same_bits(load(path)[0], {"a": kernel, "b": kernel.T.copy(), "c": kernel[:, ::2].copy()})


@pytest.mark.parametrize(("dtype", "eps"), [("float16", 2.0**-11), ("bfloat16", 2.0**-8)])
def test_half_precision_halves_the_file_and_comes_back_as_float32(tmp_path, dtype, eps):
    x = np.random.default_rng(0).uniform(0.1, 100.0, size=20_000).astype(np.float32)
    native.save(tmp_path / "full.safetensors", {"x": x}, CONFIG)
    native.save(tmp_path / "half.safetensors", {"x": x}, CONFIG, dtype=dtype)
    found = load(tmp_path / "half.safetensors")[0]["x"]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, x, rtol=eps)  # the unit roundoff of the stored dtype
    sizes = [(tmp_path / f"{name}.safetensors").stat().st_size for name in ("full", "half")]
    assert sizes[0] - sizes[1] == pytest.approx(2 * x.size, abs=16)  # two bytes a value; headers are padded to 8


def test_float16_overflow_is_refused_and_bfloat16_is_not(path):
    params = {"a": {"kernel": np.array([1.0, -7e4], np.float32)}}
    with pytest.raises(WeightsError, match=r"a/kernel reaches 70000, more than float16 can hold"):
        native.save(path, params, CONFIG, dtype="float16")
    assert not list(path.parent.iterdir())
    native.save(path, params, CONFIG, dtype="bfloat16")
    np.testing.assert_allclose(load(path)[0]["a"]["kernel"], params["a"]["kernel"], rtol=2.0**-8)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_refused_at_both_ends(path, bad):
    params = {"a": {"kernel": np.array([1.0, bad], np.float32)}}
    with pytest.raises(WeightsError, match="a/kernel has 1 values that are NaN or infinite, of 2"):
        native.save(path, params, CONFIG)
    save_file({"a/kernel": params["a"]["kernel"]}, path, metadata=FORMAT)
    with pytest.raises(WeightsError, match="a/kernel has 1 values that are NaN or infinite, of 2"):
        load(path)


def test_a_failed_save_leaves_the_old_file(path):
    native.save(path, new_params(1), CONFIG)
    with pytest.raises(WeightsError):
        native.save(path, {"a": np.array([np.nan])}, CONFIG)
    with pytest.raises(TypeError, match="not JSON serializable"):
        native.save(path, new_params(2), {"a": object()})
    assert_same_bits(load(path)[0], new_params(1))
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_missing_file(path):
    with pytest.raises(WeightsError, match="There is no model file"):
        load(path)


def test_a_folder_is_not_a_file(path):
    path.mkdir()
    with pytest.raises(WeightsError):
        load(path)


@pytest.mark.parametrize("length", [0, 7, 8, 100, -1])
def test_a_truncated_file(path, length):
    native.save(path, new_params(), CONFIG)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(WeightsError, match="not a .safetensors file, or a damaged one"):
        load(path)


def test_a_header_that_claims_the_whole_memory(path):
    path.write_bytes(struct.pack("<Q", 2**40) + b"{}")
    with pytest.raises(WeightsError, match="damaged"):
        load(path)
    header = json.dumps({"__metadata__": FORMAT, "a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}})
    path.write_bytes(struct.pack("<Q", len(header)) + header.encode())
    with pytest.raises(WeightsError, match="damaged"):
        load(path)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (None, "another one wrote it"),
        ({"format": "pt"}, "another one wrote it"),
        (FORMAT | {"format_version": "2"}, "format version is '2' and this program reads '1'"),
        ({key: FORMAT[key] for key in ("format", "format_version")}, "its config is not JSON"),
        (FORMAT | {"config": "{"}, "its config is not JSON"),
        (FORMAT | {"config": "[1]"}, "not a JSON object"),
        (FORMAT | {"config": "[" * 100_000}, "its config is not JSON"),
    ],
    ids=["none", "foreign", "version", "no config", "bad json", "a list", "deep"],
)
def test_metadata_that_is_not_ours(path, metadata, message):
    save_file({"a": np.zeros(2, np.float32)}, path, metadata=metadata)
    with pytest.raises(WeightsError, match=message):
        load(path)


def test_tensors_that_are_not_ours(path):
    save_file({"a": np.zeros(2, np.int64)}, path, metadata=FORMAT)
    with pytest.raises(WeightsError, match="'a' is stored as I64"):
        load(path)
    save_file({"a": np.zeros(2, np.float32), "a/b": np.zeros(2, np.float32)}, path, metadata=FORMAT)
    with pytest.raises(WeightsError, match="'a'"):
        load(path)


@pytest.fixture(scope="module")
def good_bytes(tmp_path_factory):
    path = tmp_path_factory.mktemp("good") / "model.safetensors"
    leaves = {"a/kernel": np.ones((2, 3), np.float16), "a/bias": np.ones(3, ml_dtypes.bfloat16)}
    save_file(leaves | {"b": np.ones((2, 2), np.float32)}, path, metadata=FORMAT)
    return path.read_bytes()


# Tokens that mean something to the header's reader, so that mutations get past its first check.
TOKENS = b'{ } [ ] " , : F32 F16 I8 F64 -1 99999999999999999999 \xff'.split()


def load_or_weights_error(path):
    """Whether `path` loads; anything but good params or a WeightsError is a failure of the test."""
    try:
        source = read(path)
    except WeightsError as error:
        assert str(path) in str(error)
        return False
    try:
        params = read_params(source.tensors)
    except WeightsError:  # about a tensor; `weights.load` says in which file
        return False
    config = source.config
    assert isinstance(config, dict)
    assert all(leaf.dtype == np.float32 and np.isfinite(leaf).all() for leaf in jax.tree.leaves(params))
    return True


MANY = settings(
    max_examples=200, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@MANY
@given(data=st.data())
def test_mutated_bytes_load_or_are_a_weights_error(path, good_bytes, data):
    content = bytearray(good_bytes)
    for _ in range(data.draw(st.integers(1, 4), label="mutations")):
        start = data.draw(st.integers(0, len(content)), label="start")
        stop = min(len(content), start + data.draw(st.integers(0, 4), label="removed"))
        content[start:stop] = data.draw(st.sampled_from(TOKENS) | st.binary(max_size=8), label="inserted")
    if data.draw(st.booleans(), label="mend the header's length"):
        end = max(8, content.rfind(b"}}") + 2)
        content[:8] = struct.pack("<Q", end - 8)
    path.write_bytes(content)
    load_or_weights_error(path)


@MANY
@given(position=st.integers(0, 2**16), byte=st.integers(0, 255))
def test_one_changed_byte_behind_the_header_loads_or_is_a_weights_error(path, good_bytes, position, byte):
    """Nothing but the numbers can be wrong there: an exponent of all ones is an infinity or a NaN."""
    start = 8 + struct.unpack("<Q", good_bytes[:8])[0]
    content = bytearray(good_bytes)
    content[start + position % (len(content) - start)] = byte
    path.write_bytes(content)
    load_or_weights_error(path)


# Every dtype that the format knows, with its bytes.
STORED_BYTES = {"F32": 4, "F16": 2, "BF16": 2, "F64": 8, "I64": 8, "U8": 1, "BOOL": 1, "F8_E5M2": 1, "C64": 8}
CONFIGS = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda x: st.lists(x, max_size=2) | st.dictionaries(st.text(max_size=2), x, max_size=2),
    max_leaves=5,
)


@st.composite
def containers(draw):
    """The bytes of a valid safetensors container that holds anything: it gets past that library, to our own checks."""
    metadata = dict(FORMAT)
    if draw(st.integers(0, 2)) == 0:  # mostly our metadata, so that the tensors are reached
        metadata[draw(st.sampled_from(sorted(FORMAT)))] = draw(CONFIGS.map(json.dumps) | st.text(max_size=5))
    header, data = {"__metadata__": metadata}, b""
    for name in draw(st.sets(st.text("ab/", max_size=3), max_size=3)):
        dtype = draw(st.sampled_from(["F32", "F16", "BF16"] * 5 + sorted(STORED_BYTES)))
        shape = draw(st.lists(st.integers(0, 3), max_size=3))
        size = int(np.prod(shape)) * STORED_BYTES[dtype]
        values = draw(st.just(bytes(size)) | st.binary(min_size=size, max_size=size))
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + size]}
        data += values
    header = json.dumps(header).encode()
    return struct.pack("<Q", len(header)) + header + data


@MANY
@given(content=containers())
def test_valid_containers_load_or_are_a_weights_error(path, content):
    path.write_bytes(content)
    event("loads" if load_or_weights_error(path) else "is refused")


def test_params_that_fit_pass(path):
    check_shapes(stored(new_params()), shapes(new_params()))


def test_params_that_do_not_fit_are_named(path):
    params = new_params()
    del params["scale"]
    params["down_0"]["conv"]["bias"] = np.zeros(5, np.float32)
    params["extra"] = np.zeros((), np.float32)
    with pytest.raises(WeightsError) as info:
        check_shapes(stored(params), shapes(new_params()))
    message = str(info.value)
    assert "missing scale: () float32" in message
    assert "left over extra: () float32" in message
    assert "down_0/conv/bias: wanted (4,) float32, found (5,) float32" in message
    assert "gamma" not in message


def test_at_most_ten_are_listed():
    with pytest.raises(WeightsError, match="and 15 more") as info:
        check_shapes({}, shapes({str(k): np.zeros(k, np.float32) for k in range(25)}))
    assert str(info.value).count("missing") == 10

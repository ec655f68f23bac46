"""Torch files without torch: everything comes back, one tensor at a time, or is refused in one sentence."""

import collections
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from sdedit_jax.weights.files.torch_file import is_torch_file, read
from sdedit_jax.weights.stored import StoredTensor, WeightsError
from tests.weights.files.torch_writer import STORAGES, Name, pack_zip, parameter, pickled, size, write_legacy, write_zip

DATA = Path(__file__).with_name("data")
FORMS = {"zip": write_zip, "legacy": write_legacy}


@pytest.fixture(params=FORMS)
def write(request, tmp_path):
    """A function that writes an object in one of the two forms and returns the path."""

    def write(value, name="weights.pth"):
        FORMS[request.param](tmp_path / name, value)
        return tmp_path / name

    return write


def values(tree: Any) -> Any:
    """The same tree with every tensor read."""
    if isinstance(tree, dict):
        return {key: values(item) for key, item in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(map(values, tree))
    return tree.read() if isinstance(tree, StoredTensor) else tree


def ramp(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    return np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)


@pytest.mark.parametrize("dtype", STORAGES)
def test_every_type_of_number_comes_back_exactly(write, dtype):
    x = (np.arange(-6, 6).reshape(3, 4) / 2).astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    tensor = read(write(x))
    assert (tensor.shape, tensor.dtype) == (x.shape, x.dtype)
    np.testing.assert_array_equal(tensor.read(), x)
    assert tensor.read().dtype == x.dtype


def test_containers_and_scalars_keep_their_kind_and_order(write):
    value = {"z": [1, 2.5, True, None, "ü", (1, (2,)), 255, 65536, -1, 2**40], "a": (), "m": {0: [], 1: {}}}
    result = read(write(value))
    assert result == value and list(result) == ["z", "a", "m"]
    assert [type(item) for item in result["z"]] == [type(item) for item in value["z"]]


def test_a_state_dict_is_a_plain_dict_without_its_version_notes(write):
    state: Any = collections.OrderedDict([("b.weight", ramp(2, 3)), ("a.weight", ramp(4))])
    state._metadata = collections.OrderedDict([("", {"version": 1})])
    result = read(write(state))
    assert type(result) is dict and list(result) == ["b.weight", "a.weight"]


def test_parameters_sizes_and_types_are_tensors_tuples_and_names(write):
    value = {"weight": parameter(ramp(2, 2)), "size": size(3, 4), "dtype": Name("torch", "bfloat16")}
    result = values(read(write(value)))
    np.testing.assert_array_equal(result["weight"], ramp(2, 2))
    assert (result["size"], result["dtype"]) == ((3, 4), "bfloat16")


@pytest.mark.parametrize("number", [np.float64(2e-4), np.float32(0.5), np.int64(-7), np.bool_(True)])
def test_a_learning_rate_computed_with_numpy_is_a_number(write, number):
    result = read(write({"lr": number, "again": number}))
    assert result == {"lr": number.item(), "again": number.item()} and type(result["lr"]) is type(number.item())


def test_a_training_checkpoint_of_score_sde(write):
    params = [ramp(2, 3), ramp(5)]
    moments = {i: {"step": 3, "exp_avg": p, "exp_avg_sq": p * p} for i, p in enumerate(params)}
    group = {"lr": np.float64(2e-4), "betas": (0.9, 0.999), "amsgrad": False, "params": [0, 1]}
    checkpoint = {
        "optimizer": {"state": moments, "param_groups": [group]},
        "model": collections.OrderedDict(weight=params[0], sigmas=ramp(4, dtype=np.float64)),
        "ema": {"decay": 0.999, "num_updates": 3, "shadow_params": params},
        "step": 3,
    }
    result = values(read(write(checkpoint)))
    assert result["optimizer"]["param_groups"] == [group | {"lr": 2e-4}] and result["step"] == 3
    np.testing.assert_array_equal(result["optimizer"]["state"][1]["exp_avg_sq"], params[1] ** 2)
    np.testing.assert_array_equal(result["ema"]["shadow_params"][0], params[0])
    assert result["model"]["sigmas"].dtype == np.float64


@pytest.mark.parametrize("form", FORMS)
def test_what_torch_itself_wrote(form):
    """torch 2.13.0 wrote these: a Linear(3, 2), its Adam after one step, the parameters again, and views of the weight.

    The weight is arange(6), the bias (1, -1), every gradient 1; the learning rate is 2e-4 * np.minimum(1 / 4, 1.0).
    """
    path = DATA / f"torch_2_13_{form}.pth"
    assert is_torch_file(path.read_bytes()[:1024])
    result = values(read(path))
    weight, bias = ramp(2, 3), np.array([1, -1], np.float32)
    assert list(result) == ["optimizer", "model", "ema", "step", "views", "size"]
    assert list(result["model"]) == ["weight", "bias"] and (result["step"], result["size"]) == (1, (2, 3))
    np.testing.assert_array_equal(result["model"]["weight"], weight)
    for shadow, expected in zip(result["ema"]["shadow_params"], (weight, bias), strict=True):
        np.testing.assert_array_equal(shadow, expected)
    for view, expected in zip(result["views"], (weight.T, weight[:, 1:], weight.T), strict=True):
        np.testing.assert_array_equal(view.astype(np.float32), expected)
    assert result["views"][2].dtype == ml_dtypes.bfloat16
    (group,) = result["optimizer"]["param_groups"]
    assert (group["lr"], group["betas"], group["params"]) == (2e-4 * 0.25, (0.9, 0.999), [0, 1])
    moments = result["optimizer"]["state"][0]
    assert moments["step"] == 1
    # Adam's first average is (1 - 0.9) times the gradient, in float32.
    np.testing.assert_allclose(moments["exp_avg"], np.full((2, 3), 0.1), rtol=1e-6)


VIEWS = {
    "whole": lambda x: x,
    "transposed": lambda x: x.transpose(2, 0, 1),
    "rows": lambda x: x[1:3],
    "every other": lambda x: x[::2, 1::2, ::3],
    "last element": lambda x: x[-1, -1, -1, ...],
    "one element": lambda x: x[2:3, 1:2, 4:5],
    "windows": lambda x: np.ndarray((20, 5), np.float32, x, strides=(4, 4)),
    "repeated within its storage": lambda x: np.broadcast_to(x[0, 0], (3, 6)),
    "empty": lambda x: x[1:1],
    "without elements": lambda x: np.empty((0, 7, 2), np.float32),
    "scalar": lambda x: np.array(3, np.float32),
    "columns first": lambda x: np.asfortranarray(x[0]),
}


@pytest.mark.parametrize("view", VIEWS)
def test_views_are_read_with_their_strides(write, view):
    x = VIEWS[view](ramp(4, 5, 6))
    result = read(write(x)).read()
    np.testing.assert_array_equal(result, x)
    assert result.shape == x.shape and result.flags.c_contiguous and result.flags.writeable


def test_tensors_may_share_a_storage(write):
    x = ramp(64, 64)
    path = write({"all": x, "half": x[32:], "turned": x.T})
    assert path.stat().st_size < 2 * x.nbytes, "the storage is written once, or nothing is shared here"
    result = values(read(path))
    np.testing.assert_array_equal(result["half"], x[32:])
    np.testing.assert_array_equal(result["turned"], x.T)
    result["all"][:] = 0
    assert result["half"].any(), "what is read belongs to the reader alone"


def test_no_more_than_one_tensor_is_in_memory(write):
    x = {str(i): ramp(512, 512) + i for i in range(8)}
    path = write(x)
    tracemalloc.start()
    tensors = read(path)
    opened = tracemalloc.get_traced_memory()[1]
    for name, tensor in tensors.items():
        assert tensor.read()[0, 0] == int(name)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    nbytes = x["0"].nbytes
    # The head of the older form is read at once, 16 MiB at most: here that is the whole file.
    assert opened < (2 if zipfile.is_zipfile(path) else 9) * nbytes
    assert peak < max(opened, 2 * nbytes) + 1


def test_a_member_may_have_any_root_and_the_zip_a_comment(tmp_path):
    program, storages = pickled(ramp(3), legacy=False)
    with zipfile.ZipFile(tmp_path / "x.bin", "w") as archive:
        archive.comment = b"by hand" * 100
        archive.writestr("a/deep root/data.pkl", program)
        archive.writestr("a/deep root/data/0", storages["0"].tobytes())
    np.testing.assert_array_equal(read(tmp_path / "x.bin").read(), ramp(3))


def test_torch_files_are_known_by_their_content(write, tmp_path):
    assert is_torch_file(write({"x": ramp(2)}, name="picture.png").read_bytes()[:1024])
    np.savez(tmp_path / "arrays.npz", x=ramp(2))
    assert not is_torch_file((tmp_path / "arrays.npz").read_bytes()[:1024])
    assert not any(map(is_torch_file, [b"", b"PK\x03\x04", b"\x80\x02]q\x00.", b'\x10\0\0\0\0\0\0\0{"a":{}}']))


def test_a_file_cut_anywhere_is_refused_when_it_is_opened(write):
    path = write({"weight": ramp(2, 3), "bias": parameter(ramp(3)), "lr": np.float64(0.1)})
    whole = path.read_bytes()
    for length in range(0, len(whole), 3):
        path.write_bytes(whole[:length])
        with pytest.raises(WeightsError, match=path.name):
            read(path)


def test_a_file_cut_after_it_was_opened_is_refused_when_a_tensor_is_read(write):
    path = write(ramp(100))
    tensor = read(path)
    path.write_bytes(path.read_bytes()[:-300] if path.read_bytes()[:2] != b"PK" else path.read_bytes()[:400])
    with pytest.raises(WeightsError, match="shorter"):
        tensor.read()
    path.unlink()
    with pytest.raises(WeightsError, match="no longer"):
        tensor.read()


def test_what_is_not_a_file_is_said_to_be_none(tmp_path):
    with pytest.raises(WeightsError, match=r"There is no file .*none\.pth"):
        read(tmp_path / "none.pth")
    with pytest.raises(WeightsError, match="Is a directory"):
        read(tmp_path)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04", b"\x80\x02}q\x00.", bytes(1000)])
def test_another_kind_of_file_is_refused(tmp_path, content):
    (tmp_path / "x.pth").write_bytes(content)
    with pytest.raises(WeightsError, match=r"x\.pth"):
        read(tmp_path / "x.pth")


def test_big_endian_numbers_are_refused(tmp_path):
    path = tmp_path / "x.pth"
    write_zip(path, ramp(3))
    path.write_bytes(path.read_bytes().replace(b"little", b"b-i-g!"))
    with pytest.raises(WeightsError, match="big-endian"):
        read(path)
    write_legacy(path, ramp(3))
    true, false = b"\x88", b"\x89"
    before, after = path.read_bytes().split(b"little_endian", 1)
    path.write_bytes(before + b"little_endian" + after.replace(true, false, 1))
    with pytest.raises(WeightsError, match="big-endian"):
        read(path)


def test_storages_must_be_as_large_as_the_pickle_says(tmp_path):
    program, storages = pickled(ramp(6), legacy=False)
    for data in (bytes(23), bytes(25), b""):
        pack_zip(tmp_path / "x.pth", program, {"0": data})
        with pytest.raises(WeightsError, match=f"'0' has {len(data)} bytes and should have 6 times float32"):
            read(tmp_path / "x.pth")
    pack_zip(tmp_path / "x.pth", program, {"1": storages["0"].tobytes()})
    with pytest.raises(WeightsError, match="'0' is missing"):
        read(tmp_path / "x.pth")

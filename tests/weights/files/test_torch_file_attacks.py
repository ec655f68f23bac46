"""Torch files that are damaged or lie about themselves are refused in one sentence, or read."""

import collections
import random
import tracemalloc
import zipfile

import numpy as np
import pytest

from sdedit_jax.weights.files.torch_file import read
from sdedit_jax.weights.stored import StoredTensor, WeightsError
from tests.weights.files.hostile_pickles import BOMBS, FORMS, OTHER_WAYS, PROTO, call, pack, text
from tests.weights.files.torch_writer import pack_legacy, pack_zip, parameter, pickled, write_zip

X = np.arange(6, dtype=np.float32)


@pytest.fixture
def canary(tmp_path):
    """A path where a file appears if an attack succeeds."""
    path = tmp_path / "ran"
    yield path
    assert not path.exists()


def test_a_compressed_zip_is_not_unpacked(tmp_path):
    program, _ = pickled(np.zeros(2**22, np.float32), legacy=False)
    pack_zip(tmp_path / "x.pth", program, {"0": bytes(2**24)}, zipfile.ZIP_DEFLATED)
    tracemalloc.start()
    with pytest.raises(WeightsError, match="compressed"):
        read(tmp_path / "x.pth")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("twice", ["archive/data.pkl", "archive/data/0"])
def test_a_member_that_is_there_twice_is_refused(tmp_path, twice):
    write_zip(tmp_path / "x.pth", X)
    with zipfile.ZipFile(tmp_path / "x.pth", "a") as archive:
        archive.writestr(twice, b"other")
    with pytest.raises(WeightsError, match="same name"):
        read(tmp_path / "x.pth")


@pytest.mark.parametrize("names", [[], ["data.pkl"], ["a/data.pkl", "b/data.pkl"]])
def test_a_zip_has_one_pickle_in_a_folder(tmp_path, names):
    with zipfile.ZipFile(tmp_path / "x.pth", "w") as archive:
        archive.writestr("other", b"")
        for member in names:
            archive.writestr(member, PROTO + b"N.")
    with pytest.raises(WeightsError, match=r"data\.pkl"):
        read(tmp_path / "x.pth")


def test_the_name_of_a_member_is_no_place_on_disk(tmp_path, canary):
    program, storages = pickled(X, legacy=False)
    key = "../" * 20 + str(canary)
    program = program.replace(text("0"), text(key))
    pack_zip(tmp_path / "x.pth", program, {key: storages["0"].tobytes()})
    np.testing.assert_array_equal(read(tmp_path / "x.pth").read(), X)
    assert [file.name for file in tmp_path.iterdir()] == ["x.pth"]


# Where the fields of a member are in the central directory of a zip (APPNOTE 4.3.12).
FIELDS = {
    "flags": (8, b"\x01\0"),
    "size": (24, b"\0\xff\xff\x7f"),
    "packed size": (20, b"\0\xff\xff\x7f"),
    "start": (42, b"\0\0\0\x7f"),
}


@pytest.mark.parametrize("field", FIELDS)
def test_a_zip_directory_that_lies_is_refused(tmp_path, field):
    write_zip(tmp_path / "x.pth", X)
    content = bytearray((tmp_path / "x.pth").read_bytes())
    place, value = FIELDS[field]
    for start in [i for i in range(len(content)) if content.startswith(b"PK\x01\x02", i)]:
        content[start + place : start + place + len(value)] = value
    (tmp_path / "x.pth").write_bytes(content)
    with pytest.raises(WeightsError):
        read(tmp_path / "x.pth")


def test_members_that_overlap_cannot_claim_more_than_the_file_holds(tmp_path):
    write_zip(tmp_path / "x.pth", {"large": np.zeros(1000, np.float32), **{str(i): X + i for i in range(20)}})
    with zipfile.ZipFile(tmp_path / "x.pth", "a") as archive:
        large = archive.getinfo("archive/data/0")
        for info in archive.infolist():
            if info.filename.startswith("archive/data/"):
                info.header_offset, info.file_size, info.compress_size = large.header_offset, 4000, 4000
        archive.comment = b"write the directory again"
    with pytest.raises(WeightsError, match="claims more"):
        read(tmp_path / "x.pth")


LISTS = {
    "negative": [("0", -6, X.tobytes())],
    "huge": [("0", 2**61, X.tobytes())],
    "larger": [("0", 7, X.tobytes())],
    "unknown": [("1", 6, X.tobytes())],
    "twice": [("0", 6, X.tobytes())] * 2,
    "none": [],
    "unhashable": [([], 6, X.tobytes())],
}


@pytest.mark.parametrize("storages", LISTS)
def test_the_storages_of_the_older_form_are_checked(tmp_path, storages):
    program, _ = pickled(X, legacy=True)
    pack_legacy(tmp_path / "x.pth", program, LISTS[storages])
    with pytest.raises(WeightsError, match=r"x\.pth"):
        read(tmp_path / "x.pth")


def checked(tree):
    """Count the values of what was read, reading every tensor."""
    if isinstance(tree, dict):
        assert all(type(key) in (str, int) for key in tree)
        return 1 + sum(map(checked, tree.values()))
    if isinstance(tree, (list, tuple)):
        return 1 + sum(map(checked, tree))
    if isinstance(tree, StoredTensor):
        assert tree.read().shape == tree.shape and tree.read().dtype == tree.dtype
    else:
        assert tree is None or type(tree) in (int, float, bool, str)
    return 1


def mutated(content, fragments, rng):
    """`content` with a few bytes changed, a part cut, or a part replaced by something that means something."""
    content = bytearray(content)
    kind = rng.choice(["flip", "flip", "cut", "splice"])
    if kind == "cut":
        start = rng.randrange(len(content))
        del content[start : rng.choice([len(content), start + rng.randrange(1, 40)])]
    elif kind == "splice":
        start = rng.randrange(len(content))
        piece = content[rng.randrange(len(content)) :][:30]
        content[start : start + rng.randrange(20)] = rng.choice([*fragments, piece])
    else:
        for _ in range(rng.randrange(1, 5)):
            content[rng.randrange(len(content))] = rng.choice([0, 1, 255, rng.randrange(256), ord("R"), ord("b")])
    return bytes(content)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("part", ["file", "pickle"])
def test_damaged_files_are_read_or_refused(canary, tmp_path, form, part):
    tensors = {"w": X.reshape(2, 3), "t": X.reshape(2, 3).T, "p": parameter(X[1:3]), "h": np.ones(2, np.float16)}
    program, storages = pickled(tensors | {"lr": np.float64(0.1), "list": [1, "two", (3.0, None)]}, legacy=False)
    path = tmp_path / "attack.pth"
    pack(form, path, program, storages)
    whole = path.read_bytes()
    command = text(f"touch {canary}")
    fragments = [call("os.system", command), *(way(command) for way in OTHER_WAYS.values())]
    fragments += [bomb for bomb in BOMBS.values() if len(bomb) < 500]
    rng = random.Random(20220101)
    outcomes = collections.Counter()
    tracemalloc.start()
    for _ in range(600):
        try:
            if part == "file":
                path.write_bytes(mutated(whole, fragments, rng))
            else:
                pack(form, path, mutated(program, fragments, rng), storages)
            checked(read(path))
            outcomes["read"] += 1
        except WeightsError as error:
            assert path.name in str(error)
            outcomes["refused"] += 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert outcomes["read"] and outcomes["refused"], "both must happen, or nothing was tried"
    assert peak < 2**21, "the files have two kilobytes; two megabytes are what Python itself may set aside"

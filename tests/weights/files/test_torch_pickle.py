"""Pickles written to do harm: none runs anything, fills the memory or raises anything but a WeightsError."""

import collections
import os
import pickle
import pickletools
import tracemalloc

import numpy as np
import pytest

from sdedit_jax.weights.files import torch_pickle
from sdedit_jax.weights.files.torch_file import read
from sdedit_jax.weights.stored import WeightsError
from tests.weights.files.hostile_pickles import BOMBS, FORMS, OTHER_WAYS, PROTO, call, name, pack, text
from tests.weights.files.torch_writer import REBUILD_TENSOR, Call, Storage, pack_zip, pickled

X = np.arange(6, dtype=np.float32)


@pytest.fixture(params=FORMS)
def attack(request, tmp_path):
    """A function that puts a pickle, and the storages it needs, into a file of one of the two forms and reads it."""

    def attack(program, storages=None):
        pack(request.param, tmp_path / "attack.pth", program, storages or {})
        return read(tmp_path / "attack.pth")

    return attack


@pytest.fixture
def canary(tmp_path):
    """A path where a file appears if an attack succeeds."""
    path = tmp_path / "ran"
    yield path
    assert not path.exists()


class Evil:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def test_every_name_stands_for_a_constructor_of_ours():
    for stands_for in torch_pickle.NAMES.values():
        assert isinstance(stands_for, np.dtype) or stands_for.__module__ == torch_pickle.__name__


def test_no_instruction_makes_or_finds_an_object_by_another_way():
    names = {opcode.name for opcode in pickletools.opcodes if ord(opcode.code) in torch_pickle.PickleReader.dispatch}
    assert not names & {"INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "STACK_GLOBAL", "EXT1", "EXT2", "EXT4", "PERSID"}
    assert {"GLOBAL", "REDUCE", "BUILD", "BINPERSID"} <= names
    ours = vars(torch_pickle.PickleReader)
    for opcode in (pickle.REDUCE, pickle.BUILD, pickle.SETITEM, pickle.SETITEMS):
        assert torch_pickle.PickleReader.dispatch[opcode[0]] in ours.values()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickled_command_does_not_run(attack, canary, protocol):
    with pytest.raises(WeightsError, match=r"'(posix|nt)\.system'|instruction"):
        attack(pickle.dumps({"weight": Evil(f"touch {canary}")}, protocol))


FORBIDDEN = """os.system posix.system subprocess.Popen builtins.eval builtins.exec builtins.getattr builtins.__import__
builtins.setattr builtins.open __builtin__.eval importlib.import_module operator.attrgetter functools.partial
functools.reduce copyreg._reconstructor types.FunctionType pickle.loads torch.load torch.hub.load numpy.load
torch.storage._load_from_bytes torch.jit.load runpy.run_path collections.defaultdict collections.OrderedDict.fromkeys
torch._utils._rebuild_tensor_v2.__globals__ torch.FloatStorage.__init__ torch.nn.modules.linear.Linear
sdedit_jax.weights.torch_pickle.NAMES numpy.core.multiarray._reconstruct _codecs.decode""".split()


@pytest.mark.parametrize("path", FORBIDDEN)
def test_a_name_that_weights_do_not_need_is_refused_by_name(attack, canary, path):
    code = text(f"__import__('pathlib').Path({str(canary)!r}).touch()")
    with pytest.raises(WeightsError, match=f"attack.pth.*'{path}'"):
        attack(PROTO + call(path, code) + pickle.STOP)


def test_a_refused_name_cannot_write_to_the_terminal(attack):
    with pytest.raises(WeightsError) as refusal:
        attack(PROTO + name("os.\x1b[31m" + "x" * 1000) + pickle.STOP)
    assert str(refusal.value).isprintable() and len(str(refusal.value)) < 500


@pytest.mark.parametrize("way", OTHER_WAYS)
def test_what_torch_never_writes_is_refused(attack, canary, way):
    with pytest.raises(WeightsError, match=r"attack\.pth"):
        attack(PROTO + OTHER_WAYS[way](text(f"touch {canary}")) + pickle.STOP)


def test_the_state_of_a_dict_changes_nothing(attack):
    state = b"}" + text("__setstate__") + text("evil") + b"s"
    assert attack(PROTO + b"}" + text("a") + b"Ns" + state + b"b" + b".") == {"a": None}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_small_pickle_takes_little_memory(attack, bomb):
    tracemalloc.start()
    try:
        with pytest.raises(WeightsError):
            attack(PROTO + BOMBS[bomb] + b".")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # What is walked is bounded by what was written: 60,000 steps at most, of less than 100 bytes each.
    assert peak < 60_000 * 100 + 2**20


def test_a_large_memo_index_takes_no_memory(attack):
    tracemalloc.start()
    try:
        assert attack(PROTO + b"]r\xff\xff\xff\xffr\xff\xff\xff\x7f.") == []
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_a_pickle_has_bounded_length_and_steps(tmp_path):
    path = tmp_path / "long.pth"
    pack_zip(path, PROTO + b"N" * torch_pickle.MAX_BYTES, {})
    with pytest.raises(WeightsError, match="bytes long"):
        read(path)
    pack_zip(path, PROTO + b"N" * torch_pickle.MAX_READS + b".", {})
    with pytest.raises(WeightsError, match="steps"):
        read(path)


GEOMETRY = {
    "more than its storage": (0, (7,), (1,)),
    "from beyond its storage": (7, (0,), (1,)),
    "from a later start": (1, (6,), (1,)),
    "steps out of its storage": (0, (2, 3), (6, 1)),
    "huge": (0, (2**40,), (1,)),
    "too large to multiply": (0, (10**600,) * 30, (0,) * 30),
    "huge without elements": (0, (0, 2**40), (1, 1)),
    "repeated without end": (0, (2**30,), (0,)),
    "repeated a little": (0, (7, 1), (0, 0)),
    "backwards": (5, (6,), (-1,)),
    "before its storage": (-1, (2,), (1,)),
    "negative": (0, (-2, -3), (3, 1)),
    "fractional": (0, (1.5,), (1,)),
    "true": (0, (True,), (1,)),
    "of text": (0, ("2",), (1,)),
    "not a sequence": (0, 6, 1),
    "a long stride": (0, (2,), (2**62,)),
    "more strides": (0, (6,), (1, 1)),
    "of many dimensions": (0, (1,) * 33, (1,) * 33),
}


@pytest.mark.parametrize("geometry", GEOMETRY)
def test_a_tensor_lies_within_its_storage(attack, geometry):
    tensor = Call(REBUILD_TENSOR, (Storage(X), *GEOMETRY[geometry], False, collections.OrderedDict()))
    program, storages = pickled(tensor, legacy=False)
    with pytest.raises(WeightsError, match="tensor|TypeError"):
        attack(program, storages)


def storage_id(*parts):
    return b"(" + b"".join(parts) + b"tQ"


FLOAT, KEY, PLACE, SIX = name("torch.FloatStorage"), text("0"), text("cpu"), b"K\x06"
STORAGES = {
    "of no type": storage_id(text("storage"), text("float"), KEY, PLACE, SIX),
    "of another module": storage_id(text("storage"), name("my.FloatStorage"), KEY, PLACE, SIX),
    "with a number as key": storage_id(text("storage"), FLOAT, b"K\0", PLACE, SIX),
    "of negative size": storage_id(text("storage"), FLOAT, KEY, PLACE, b"J\xff\xff\xff\xff"),
    "of another size": storage_id(text("storage"), FLOAT, KEY, PLACE, b"K\x05"),
    "of another type": storage_id(text("storage"), name("torch.DoubleStorage"), KEY, PLACE, SIX),
    "of a view": storage_id(text("storage"), FLOAT, KEY, PLACE, SIX, b"(" + KEY + b"K\0K\x06t"),
    "that is none": storage_id(text("module"), FLOAT, KEY, PLACE, SIX),
    "that is not there": storage_id(text("storage"), FLOAT, text("../../etc/passwd"), PLACE, SIX),
}


@pytest.mark.parametrize("storage", STORAGES)
def test_a_storage_is_what_the_file_holds(attack, storage):
    geometry = b"K\0K\x05\x85K\x01\x85\x89" + call("collections.OrderedDict")
    with pytest.raises(WeightsError):
        attack(PROTO + call("torch._utils._rebuild_tensor_v2", STORAGES[storage], geometry) + b".", {"0": X})
    intact = storage_id(text("storage"), FLOAT, KEY, PLACE, SIX)
    assert attack(PROTO + call("torch._utils._rebuild_tensor_v2", intact, geometry) + b".", {"0": X}).shape == (5,)
    with pytest.raises(WeightsError, match="Storage"):
        attack(PROTO + intact + b".", {"0": X})


def test_a_storage_has_one_type_and_size(attack):
    twice = storage_id(text("storage"), FLOAT, KEY, PLACE, SIX) + STORAGES["of another type"]
    with pytest.raises(WeightsError, match="not the storage"):
        attack(PROTO + twice + b"\x86.", {"0": X})

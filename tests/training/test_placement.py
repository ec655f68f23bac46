"""Where a state lies, on 1, 2 and 4 devices, changes nothing of what it is; the devices are made by XLA on the CPU."""

import json
import shutil

import jax
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from sdedit_jax.training.placement import Placement, Vote
from tests.processes import finish, start
from tests.training import small

DEVICES = """
import json, sys, warnings
import jax
from pathlib import Path
from tests.training import small

# Of a state that is not where a step wants it, which would have to hold both.
warnings.filterwarnings("error", message="Some donated buffers were not usable")
folder = Path(sys.argv[1])
bytes_of = {}
for name in sys.argv[2:]:
    state = small.run(folder / name, 6 if "from" in name else 4, shard_state="sharded" in name)
    small.store(folder / f"{name}.npz", state)
    shards = {part: [leaf.addressable_shards for leaf in jax.tree.leaves(getattr(state, part))]
              for part in ("params", "ema_params", "opt_state")}
    bytes_of[name] = {part: [sum(leaf[i].data.nbytes for leaf in leaves) for i in range(jax.device_count())]
                      for part, leaves in shards.items()}
print(json.dumps(bytes_of))
"""


def on_devices(num_devices, folder, *names):
    return json.loads(finish(start(DEVICES, folder, *names, num_devices=num_devices)))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with a run of each kind, and the bytes of its state on each device."""
    folder = tmp_path_factory.mktemp("runs")
    bytes_of = on_devices(2, folder, "2_replicated", "2_sharded")
    # What was saved whole goes on shared, and the other way round.
    shutil.copytree(folder / "2_replicated", folder / "4_from_2_sharded")
    shutil.copytree(folder / "2_sharded", folder / "4_from_2_replicated")
    return folder, bytes_of | on_devices(4, folder, "4_from_2_sharded", "4_from_2_replicated")


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The states after 4 and 6 steps on one device."""
    workdir = tmp_path_factory.mktemp("alone")
    return small.run(workdir, 4), small.run(workdir, 6)


@pytest.mark.parametrize("name", ["2_replicated", "2_sharded"])
def test_two_devices_train_to_one_state(runs, alone, name):
    small.assert_close(small.stored(runs[0] / f"{name}.npz"), jax.tree.leaves(alone[0]))


@pytest.mark.parametrize("name", ["2_replicated", "2_sharded"])
def test_what_two_devices_saved_one_reads(runs, alone, name):
    """Bit for bit; reading compares the CRC-32 of each whole leaf, which were taken of its shards there."""
    small.assert_same(small.saved(runs[0] / name, alone[0]), small.stored(runs[0] / f"{name}.npz"))


@pytest.mark.parametrize("name", ["4_from_2_sharded", "4_from_2_replicated"])
def test_a_run_goes_on_with_four_devices(runs, alone, name):
    small.assert_close(small.stored(runs[0] / f"{name}.npz"), jax.tree.leaves(alone[1]))


def test_a_run_goes_on_with_one_device(runs, alone, tmp_path):
    shutil.copytree(runs[0] / "2_sharded", tmp_path / "run")
    small.assert_close(jax.tree.leaves(small.run(tmp_path / "run", 6)), jax.tree.leaves(alone[1]))


@pytest.mark.parametrize(("name", "num_devices"), [("2_sharded", 2), ("4_from_2_sharded", 4)])
def test_devices_that_share_the_state_each_hold_their_part(runs, alone, name, num_devices):
    for part in ("params", "ema_params", "opt_state"):
        leaves = jax.tree.leaves(getattr(alone[0], part))
        shared = [
            leaf.nbytes for leaf in leaves if part != "params" and leaf.shape not in ((), (3,))
        ]  # 3 divides by none
        assert shared or part == "params"
        each = sum(leaf.nbytes for leaf in leaves) - sum(shared) + sum(shared) // num_devices
        assert runs[1][name][part] == [each] * num_devices


def test_without_sharing_each_device_holds_all(runs, alone):
    for part in ("params", "ema_params", "opt_state"):
        whole = sum(leaf.nbytes for leaf in jax.tree.leaves(getattr(alone[0], part)))
        assert runs[1]["2_replicated"][part] == [whole] * 2


def test_one_device_shares_with_nobody_and_votes_alone(alone):
    state = alone[0]
    places = Placement(shard_state=True).of_state(state)
    assert all(place.is_fully_replicated for place in jax.tree.leaves(places))
    spread = Placement(shard_state=True).spread(jax.tree.map(np.asarray, state))
    small.assert_same(jax.tree.leaves(spread), jax.tree.leaves(state))
    vote = Vote(Placement())
    assert [vote(yes) for yes in (False, True, False)] == [False, True, False]


def test_a_leaf_is_split_along_its_longest_even_axis():
    placement = Placement(shard_state=True)
    shapes = {(3, 3, 8, 16): (None, None, None, "data"), (16, 8): ("data",), (): (), (0, 4): (None, "data")}
    for shape, spec in shapes.items():
        assert placement._split(jax.ShapeDtypeStruct(shape, np.float32)).spec == PartitionSpec(*spec)

"""What was saved comes back bit for bit, or an error says what is wrong with the folder."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from sdedit_jax.checkpoints import Checkpointer, CheckpointError, read_config, restore_ema, write_config


class State(NamedTuple):
    step: Any
    params: Any
    ema_params: Any
    opt_state: Any


TX = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(1e-3, 10)))


def new_state(step, width=4):
    """A training state that differs from step to step, with values that only a bit-exact copy preserves."""
    rng = np.random.default_rng(step)
    params = {
        "conv": {"kernel": jnp.asarray(rng.normal(size=(3, width)), jnp.float32), "bias": jnp.zeros(width)},
        "scale": jnp.array([-0.0, 1e-45, 3.4e38], jnp.float32),
        "half": jnp.asarray(rng.normal(size=5), jnp.bfloat16),
    }
    ema_params = jax.tree.map(lambda x: x / 2, params)
    return State(jnp.int32(step), params, ema_params, TX.init(params))


def template(state):
    return jax.eval_shape(lambda: state)


def assert_same_bits(found, wanted):
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    for got, want in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        assert (got.dtype, got.shape) == (want.dtype, want.shape)
        assert np.asarray(got).tobytes() == np.asarray(want).tobytes()


@pytest.fixture(scope="module")
def saved_dir(tmp_path_factory):
    """A training folder in which five steps were saved and two were kept."""
    directory = tmp_path_factory.mktemp("run")
    with Checkpointer(directory, keep=2) as checkpoints:
        for step in (1, 2, 3, 10, 20):
            checkpoints.save(step, new_state(step))
    return directory


@pytest.fixture
def run_dir(saved_dir, tmp_path):
    """A copy of it to damage."""
    return Path(shutil.copytree(saved_dir, tmp_path / "run"))


def test_the_newest_state_comes_back_bit_for_bit(saved_dir):
    with Checkpointer(saved_dir) as checkpoints:
        assert checkpoints.latest_step() == 20
        state = checkpoints.restore(template(new_state(0)))
    assert_same_bits(state, new_state(20))


def test_the_newest_two_are_kept(saved_dir):
    with Checkpointer(saved_dir) as checkpoints:
        assert_same_bits(checkpoints.restore(template(new_state(0)), step=10), new_state(10))
        with pytest.raises(CheckpointError, match=r"step 3 .*only of \[10, 20\]"):
            checkpoints.restore(template(new_state(0)), step=3)


def test_arrays_serve_as_template(saved_dir):
    with Checkpointer(saved_dir) as checkpoints:
        assert_same_bits(checkpoints.restore(new_state(0)), new_state(20))


def test_an_empty_folder_has_no_latest_step(tmp_path):
    with Checkpointer(tmp_path) as checkpoints:
        assert checkpoints.latest_step() is None
        with pytest.raises(CheckpointError, match="No checkpoint in"):
            checkpoints.restore(template(new_state(0)))


def test_a_save_is_a_snapshot_even_if_the_buffers_are_donated(tmp_path):
    state = {"x": jnp.arange(1_000_000.0)}
    wanted = np.array(state["x"])
    overwrite = jax.jit(lambda x: -x, donate_argnums=0)
    with Checkpointer(tmp_path) as checkpoints:
        checkpoints.save(1, state)
        for _ in range(3):
            state["x"] = overwrite(state["x"])
    with Checkpointer(tmp_path) as checkpoints:
        np.testing.assert_array_equal(checkpoints.restore(template(state))["x"], wanted)


def test_a_step_is_saved_once(run_dir):
    with Checkpointer(run_dir) as checkpoints, pytest.raises(CheckpointError, match="Step 20 is already saved"):
        checkpoints.save(20, new_state(0))


def test_leaves_that_differ_are_named(saved_dir):
    wanted = new_state(0, width=5)
    del wanted.params["half"]
    wanted.params["extra"] = jnp.zeros((2, 2))
    with Checkpointer(saved_dir) as checkpoints, pytest.raises(CheckpointError) as info:
        checkpoints.restore(template(wanted))
    message = str(info.value)
    assert "missing params/extra: (2, 2) float32" in message
    assert "left over params/half: (5,) bfloat16" in message
    assert "params/conv/kernel: wanted (3, 5) float32, found (3, 4) float32" in message


def test_another_dtype_is_not_converted(saved_dir):
    wanted = new_state(0)._replace(step=jnp.float32(0))
    with Checkpointer(saved_dir) as checkpoints, pytest.raises(CheckpointError, match=r"step: wanted \(\) float32"):
        checkpoints.restore(template(wanted))


def test_another_optimizer_is_noticed(saved_dir):
    wanted = new_state(0)._replace(opt_state=optax.sgd(0.1, momentum=0.9).init(new_state(0).params))
    with Checkpointer(saved_dir) as checkpoints, pytest.raises(CheckpointError, match="opt_state/0/trace"):
        checkpoints.restore(template(wanted))


def test_an_interrupted_write_is_ignored_and_then_overwritten(run_dir):
    steps = run_dir / "checkpoints"
    shutil.copytree(steps / "20", steps / "30")
    (steps / "30" / "commit_success.txt").unlink()  # written last, so a killed save has none
    shutil.rmtree(steps / "30" / "state" / "d")
    shutil.copytree(steps / "20", steps / "40.orbax-checkpoint-tmp-1")
    (steps / "50").mkdir()
    with Checkpointer(run_dir) as checkpoints:
        assert checkpoints.latest_step() == 20
        assert_same_bits(checkpoints.restore(template(new_state(0))), new_state(20))
        checkpoints.save(30, new_state(30))
    with Checkpointer(run_dir) as checkpoints:
        assert checkpoints.latest_step() == 30
        assert_same_bits(checkpoints.restore(template(new_state(0))), new_state(30))


def data_files(run_dir, step):
    """The files that hold a step's arrays: large ones apart, small ones with the list of all."""
    return [path for path in (run_dir / "checkpoints" / str(step) / "state").rglob("d/*") if path.is_file()]


def damage_arrays(run_dir, step, damage):
    files = data_files(run_dir, step)
    assert files
    for path in files:
        damage(path)


def lose(path):
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path, at=None):
    data = bytearray(path.read_bytes())
    data[len(data) // 2 if at is None else at] ^= 1
    path.write_bytes(data)


def num_damaged(warned):
    """How many of the warnings are ours; failed reads of Orbax leave some of the event loop."""
    return sum("is damaged" in str(warning.message) for warning in warned)


DAMAGES = {
    "arrays lost": lambda run_dir, step: damage_arrays(run_dir, step, lose),
    "arrays truncated": lambda run_dir, step: damage_arrays(run_dir, step, truncate),
    "a bit of the arrays flipped": lambda run_dir, step: damage_arrays(run_dir, step, flip),
    "manifest lost": lambda run_dir, step: lose(run_dir / f"checkpoints/{step}/state/manifest.ocdbt"),
    "index lost": lambda run_dir, step: lose(run_dir / f"checkpoints/{step}/state/_METADATA"),
    "index truncated": lambda run_dir, step: truncate(run_dir / f"checkpoints/{step}/state/_METADATA"),
    "record lost": lambda run_dir, step: lose(run_dir / f"checkpoints/{step}/_CHECKPOINT_METADATA"),
    "record truncated": lambda run_dir, step: truncate(run_dir / f"checkpoints/{step}/_CHECKPOINT_METADATA"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_step_is_passed_over_with_a_warning(run_dir, damage):
    DAMAGES[damage](run_dir, 20)
    with Checkpointer(run_dir) as checkpoints:
        with pytest.warns(UserWarning, match="Step 20 in .* is damaged: .*; looking for an older step") as warned:
            state = checkpoints.restore(template(new_state(0)))
        assert num_damaged(warned) == 1
        assert_same_bits(state, new_state(10))
        with pytest.raises(CheckpointError, match="Step 20 .* is damaged"):
            checkpoints.restore(template(new_state(0)), step=20)


def test_a_flipped_bit_of_a_large_array_is_noticed_or_harmless(tmp_path):
    """Most such bits change a value, and then the checksum alone knows it."""
    state = {"x": np.random.default_rng(0).normal(size=10_000).astype(np.float32)}
    with Checkpointer(tmp_path) as checkpoints:
        checkpoints.save(1, state)
    path = max(data_files(tmp_path, 1), key=lambda path: path.stat().st_size)
    whole, reasons = path.read_bytes(), []
    assert len(whole) > state["x"].nbytes / 2
    with Checkpointer(tmp_path) as checkpoints:
        for at in np.linspace(0, len(whole) - 1, 12, dtype=int):
            flip(path, at)
            try:
                assert_same_bits(checkpoints.restore(template(state), step=1), state)
            except CheckpointError as error:
                reasons.append(str(error))
            path.write_bytes(whole)
    assert sum("not as they were saved (CRC-32): x" in reason for reason in reasons) >= 6


def test_without_a_whole_step_there_is_an_error(run_dir):
    for step in (10, 20):
        damage_arrays(run_dir, step, flip)
    with Checkpointer(run_dir) as checkpoints, pytest.warns(UserWarning, match="is damaged") as warned:
        with pytest.raises(CheckpointError, match=r"All checkpoints in .* are damaged: steps \[10, 20\]"):
            checkpoints.restore(template(new_state(0)))
    assert num_damaged(warned) == 2


def change_record(run_dir, change):
    path = run_dir / "checkpoints" / "20" / "_CHECKPOINT_METADATA"
    record = json.loads(path.read_text())
    change(record["custom_metadata"])
    path.write_text(json.dumps(record))


def test_the_leaf_whose_bits_changed_is_named(run_dir):
    change_record(run_dir, lambda custom: custom["crc32"].update({"params/conv/bias": 1, "ema_params/half": 1}))
    what = r"Step 20 .*not as they were saved \(CRC-32\): "
    with Checkpointer(run_dir) as checkpoints:
        with pytest.raises(CheckpointError, match=what + "params/conv/bias, ema_params/half$"):
            checkpoints.restore(template(new_state(0)), step=20)
        with pytest.raises(CheckpointError, match=what + "ema_params/half$"):
            checkpoints.restore_part("ema_params", step=20)
        assert_same_bits(checkpoints.restore_part("opt_state", step=20)[1][0]["count"], jnp.int32(0))
    with pytest.warns(UserWarning, match="ema_params/half; looking for an older step"):
        assert_same_bits(restore_ema(run_dir), new_state(10).ema_params)


def test_a_step_with_checksums_of_other_leaves_is_damaged(run_dir):
    change_record(run_dir, lambda custom: custom["crc32"].pop("params/conv/bias"))
    with Checkpointer(run_dir) as checkpoints, pytest.raises(CheckpointError, match="index is not that of the arrays"):
        checkpoints.restore(template(new_state(0)), step=20)


def test_a_record_that_hides_the_others_is_named(run_dir):
    path = run_dir / "checkpoints" / "20" / "_CHECKPOINT_METADATA"
    path.write_text(path.read_text().replace("init_timestamp_nsecs", "init_timestamp_nsecr"))
    with pytest.raises(CheckpointError, match="The record .*_CHECKPOINT_METADATA.* is damaged: .*nsecr"):
        Checkpointer(run_dir)


def test_a_step_without_checksums_is_restored_as_it_is(run_dir):
    """Those of the first runs have none."""
    change_record(run_dir, lambda custom: custom.clear())
    with Checkpointer(run_dir) as checkpoints:
        assert_same_bits(checkpoints.restore(template(new_state(0)), step=20), new_state(20))
    assert_same_bits(restore_ema(run_dir), new_state(20).ema_params)


def test_another_model_is_not_damage(run_dir, recwarn):
    with Checkpointer(run_dir) as checkpoints, pytest.raises(CheckpointError, match="not the state"):
        checkpoints.restore(template(new_state(0, width=5)))
    assert not num_damaged(recwarn)


def test_steps_set_aside_can_be_saved_again(run_dir):
    damage_arrays(run_dir, 20, flip)
    with Checkpointer(run_dir) as checkpoints:
        checkpoints.set_aside_after(10)
        assert checkpoints.latest_step() == 10
        checkpoints.save(20, new_state(20))
    with Checkpointer(run_dir) as checkpoints:
        assert_same_bits(checkpoints.restore(template(new_state(0)), step=20), new_state(20))
    (aside,) = run_dir.glob("damaged_20_*")
    assert (aside / "state" / "_METADATA").exists()  # kept: what could not be read today may be read tomorrow


def test_nothing_is_set_aside_when_the_newest_step_is_whole(run_dir):
    with Checkpointer(run_dir) as checkpoints:
        checkpoints.set_aside_after(20)
        assert checkpoints.latest_step() == 20
    assert [path.name for path in run_dir.iterdir()] == ["checkpoints"]


SAVE_FOR_EVER = """
import itertools, sys, jax.numpy as jnp
from sdedit_jax.checkpoints import Checkpointer

with Checkpointer(sys.argv[1]) as checkpoints:
    for step in itertools.count(1):
        checkpoints.save(step, {"x": jnp.full(1_000_000, step, jnp.float32), "step": jnp.int32(step)})
        print(step, flush=True)
"""


@pytest.mark.parametrize("after", [3, 4, 5])
def test_a_run_killed_while_it_saves_loses_at_most_that_save(tmp_path, after):
    command = [sys.executable, "-c", SAVE_FOR_EVER, str(tmp_path)]
    with subprocess.Popen(command, cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while process.stdout.readline() != f"{after}\n":
            assert process.poll() is None
        process.kill()  # that save has begun, and the one before is complete
    with Checkpointer(tmp_path) as checkpoints:
        shapes = {"x": jax.ShapeDtypeStruct((1_000_000,), jnp.float32), "step": jax.ShapeDtypeStruct((), jnp.int32)}
        state = checkpoints.restore(shapes)
    assert int(state["step"]) >= after - 1
    np.testing.assert_array_equal(state["x"], np.float32(state["step"]))


SAVE_FROM_FOUR_DEVICES = """
import sys, jax, jax.numpy as jnp
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from sdedit_jax.checkpoints import Checkpointer

mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
state = {"ema_params": {"x": jnp.arange(8.0) / 3, "y": jnp.arange(8.0) / 7}}
spread = {"ema_params": {"x": PartitionSpec(), "y": PartitionSpec("data")}}
with Checkpointer(sys.argv[1]) as checkpoints:
    checkpoints.save(1, jax.tree.map(lambda x, spec: jax.device_put(x, NamedSharding(mesh, spec)), state, spread))
"""


def test_a_state_moves_to_other_devices(tmp_path):
    """Saved from four devices, replicated and split; restored here on one."""
    env = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
    command = [sys.executable, "-c", SAVE_FROM_FOUR_DEVICES, str(tmp_path)]
    subprocess.run(command, cwd=Path(__file__).parents[1], env=env, check=True, timeout=120)
    wanted = {"x": jnp.arange(8.0) / 3, "y": jnp.arange(8.0) / 7}
    here = jax.sharding.SingleDeviceSharding(jax.devices()[-1])
    with_sharding = {
        "ema_params": jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=here), wanted)
    }
    with Checkpointer(tmp_path) as checkpoints:
        restored = checkpoints.restore(with_sharding)
        by_default = checkpoints.restore(template({"ema_params": wanted}))
    assert restored["ema_params"]["y"].sharding == here
    assert by_default["ema_params"]["y"].devices() == {jax.local_devices()[0]}
    for params in (restored["ema_params"], by_default["ema_params"], restore_ema(tmp_path)):
        assert_same_bits(params, wanted)


def test_the_ema_is_read_without_the_optimizer(saved_dir):
    assert_same_bits(restore_ema(saved_dir), new_state(20).ema_params)


def test_a_folder_without_checkpoints_stays_untouched(tmp_path):
    with pytest.raises(CheckpointError, match="not a training folder"):
        restore_ema(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_state_without_ema_says_what_there_is(tmp_path):
    with Checkpointer(tmp_path) as checkpoints:
        checkpoints.save(1, {"params": jnp.zeros(2)})
    with pytest.raises(CheckpointError, match=r"no 'ema_params', only \['params'\]"):
        restore_ema(tmp_path)


def test_a_config_survives_with_tuples_for_sequences(tmp_path):
    config = {"seed": 1, "model": {"channel_mults": (1, 2), "name": "ddpm"}, "sigma": None, "t_min": 1e-5}
    write_config(tmp_path, config)
    assert read_config(tmp_path) == config
    write_config(tmp_path, {"levels": [[1, 2], [3]]})
    assert read_config(tmp_path) == {"levels": ((1, 2), (3,))}
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


def test_an_unreadable_config_is_a_checkpoint_error(tmp_path):
    with pytest.raises(CheckpointError, match="No readable config"):
        read_config(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"seed": 1})[:-2])
    with pytest.raises(CheckpointError, match="No readable config"):
        read_config(tmp_path)

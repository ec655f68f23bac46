"""What was saved comes back bit for bit, or an error says what the folder has instead."""

import os
import shutil
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from sdedit_jax.checkpoints import Checkpointer, CheckpointError, restore_ema, seals
from tests.checkpoints.states import assert_same_bits, new_state, template
from tests.processes import ROOT


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
    subprocess.run(command, cwd=ROOT, env=env, check=True, timeout=120)
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


def saved_with_losses(directory, losses):
    with Checkpointer(directory, keep=2) as checkpoints:
        for step, loss in enumerate(losses, start=1):
            checkpoints.save(step, {"ema_params": {"x": jnp.full(2, step, jnp.float32)}}, loss)
    return Checkpointer(directory)


def test_the_step_with_the_lowest_loss_is_kept_beside_the_newest(tmp_path):
    with saved_with_losses(tmp_path, [0.5, 0.2, None, 0.3, 0.4, None]) as checkpoints:
        assert (checkpoints.steps(), checkpoints.best_step(), checkpoints.latest_step()) == ([2, 5, 6], 2, 6)
    np.testing.assert_array_equal(restore_ema(tmp_path)["x"], 6.0)
    np.testing.assert_array_equal(restore_ema(tmp_path, 2)["x"], 2.0)


def test_a_kill_before_the_seal_does_not_forget_the_best(tmp_path):
    with saved_with_losses(tmp_path, [0.5, 0.2]):
        (tmp_path / "checkpoints" / "2" / seals.NAME).unlink()
    with Checkpointer(tmp_path) as checkpoints:
        for step in (3, 4):
            checkpoints.save(step, {"ema_params": {"x": jnp.zeros(2)}}, 0.4)
    assert (checkpoints.steps(), checkpoints.best_step()) == ([2, 3, 4], 2)


def test_the_best_may_be_the_newest_or_none_at_all(tmp_path):
    with saved_with_losses(tmp_path / "falling", [0.5, 0.4, 0.3]) as checkpoints:
        assert (checkpoints.steps(), checkpoints.best_step()) == ([2, 3], 3)
    with saved_with_losses(tmp_path / "unknown", [None, float("nan"), None]) as checkpoints:
        assert (checkpoints.steps(), checkpoints.best_step()) == ([2, 3], None)


def test_what_could_not_be_written_is_told_at_the_next_save_and_the_steps_before_stay(run_dir, monkeypatch):
    """The background's error is not lost, and the step that has failed can be saved when the cause is gone."""
    with Checkpointer(run_dir) as checkpoints:
        with monkeypatch.context() as patch:
            patch.setattr(seals, "seal", lambda folder, facts: (folder / "no" / "where").read_bytes())
            checkpoints.save(30, new_state(30))
            with pytest.raises(CheckpointError, match="Step 30 could not be saved in .*again: it goes on from step 20"):
                checkpoints.save(40, new_state(40))
        assert checkpoints.steps() == [10, 20]
        checkpoints.save(30, new_state(30))
    assert Checkpointer(run_dir).steps() == [20, 30]


def test_a_folder_that_was_removed_is_not_made_again(run_dir):
    with Checkpointer(run_dir) as checkpoints:
        checkpoints.save(30, new_state(30))
        while checkpoints.steps() != [20, 30]:
            time.sleep(0.01)
        run_dir.rename(run_dir.parent / "elsewhere")
        with pytest.raises(CheckpointError, match="was removed after the last save"):
            checkpoints.save(40, new_state(40))
    assert not run_dir.exists()

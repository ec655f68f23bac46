"""A step that is damaged, in whatever file, is passed over or comes back bit for bit: never as something else."""

import json
import os
import shutil

import jax.numpy as jnp
import numpy as np
import pytest

from sdedit_jax.checkpoints import Checkpointer, CheckpointError, restore_ema, seals
from tests.checkpoints.states import assert_same_bits, flip, new_state, num_damaged, template, truncate
from tests.processes import start


def step_folder(run_dir, step=20):
    return run_dir / "checkpoints" / str(step)


def unsealed(run_dir, step=20):
    """The folder of a step as a kill before its seal leaves it, and as the first runs wrote it."""
    (step_folder(run_dir, step) / seals.NAME).unlink()
    return step_folder(run_dir, step)


def arrays(folder):
    """The files that hold a step's arrays: large ones apart, small ones with the list of all."""
    files = [path for path in (folder / "state").rglob("d/*") if path.is_file()]
    assert files
    return files


SWEEP = """
import shutil, sys, warnings
from pathlib import Path
import numpy as np
from sdedit_jax.checkpoints import Checkpointer, CheckpointError
from tests.checkpoints.states import assert_same_bits, flip, new_state, num_damaged, template, truncate

whole, run_dir = Path(sys.argv[1]), Path(sys.argv[2])
files = sorted(path.relative_to(whole) for path in (whole / "checkpoints" / "20").rglob("*") if path.is_file())
wanted = new_state(0)
for file in files:
    for damage in (flip, truncate, Path.unlink) if (whole / file).stat().st_size else (Path.unlink,):
        shutil.copytree(whole, run_dir)
        damage(run_dir / file)
        with warnings.catch_warnings(record=True) as warned, Checkpointer(run_dir) as checkpoints:
            warnings.simplefilter("always")
            state = checkpoints.restore(template(wanted))
        step = 10 if num_damaged(warned) else checkpoints.latest_step()
        assert_same_bits(state, new_state(step))
        print(file.name, damage.__name__, step)
        shutil.rmtree(run_dir)
"""


def test_every_file_of_a_step_may_be_damaged(saved_dir, tmp_path):
    """Flipped, cut short or removed: the step is read bit for bit, or the one before. And Orbax says nothing of it."""
    process = start(SWEEP, saved_dir, tmp_path / "run")
    said, error = process.communicate(timeout=240)
    assert (process.returncode, error) == (0, "")
    found = {(file, damage): int(step) for file, damage, step in map(str.split, said.splitlines())}
    assert len(found) >= 3 * 7  # arrays, manifests, index, record, seal, what else Orbax writes, and the empty mark
    # Without its seal a step is read as those of the first runs.
    assert [what for what, step in found.items() if step == 20] == [(seals.NAME, "unlink")]


def cut_record(folder):
    truncate(folder / "_CHECKPOINT_METADATA")


def spoil_record(folder):
    path = folder / "_CHECKPOINT_METADATA"
    path.write_text(path.read_text().replace("init_timestamp_nsecs", "init_timestamp_nsecr"))


DAMAGES = {
    "arrays lost": lambda folder: [path.unlink() for path in arrays(folder)],
    "arrays truncated": lambda folder: [truncate(path) for path in arrays(folder)],
    "a bit of the arrays flipped": lambda folder: [flip(path) for path in arrays(folder)],
    "manifest lost": lambda folder: (folder / "state" / "manifest.ocdbt").unlink(),
    "index lost": lambda folder: (folder / "state" / "_METADATA").unlink(),
    "index truncated": lambda folder: truncate(folder / "state" / "_METADATA"),
    "record lost": lambda folder: (folder / "_CHECKPOINT_METADATA").unlink(),
    "record truncated": cut_record,
    "record spoiled": spoil_record,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_step_of_the_first_runs_is_passed_over_with_a_warning(run_dir, damage):
    DAMAGES[damage](unsealed(run_dir))
    with Checkpointer(run_dir) as checkpoints:
        with pytest.warns(UserWarning, match="Step 20 in .* is damaged: .*; looking for an older step") as warned:
            state = checkpoints.restore(template(new_state(0)))
        assert num_damaged(warned) == 1
        assert_same_bits(state, new_state(10))
        with pytest.raises(CheckpointError, match="Step 20 .* is damaged"):
            checkpoints.restore(template(new_state(0)), step=20)


def test_a_flipped_bit_of_a_large_array_is_noticed_or_harmless(tmp_path):
    """Most such bits change a value, and without a seal the checksum of the array alone knows it."""
    state = {"x": np.random.default_rng(0).normal(size=10_000).astype(np.float32)}
    with Checkpointer(tmp_path) as checkpoints:
        checkpoints.save(1, state)
    path = max(arrays(unsealed(tmp_path, 1)), key=lambda path: path.stat().st_size)
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
        flip(step_folder(run_dir, step) / "state" / "_METADATA")
    with Checkpointer(run_dir) as checkpoints, pytest.warns(UserWarning, match="is damaged") as warned:
        with pytest.raises(CheckpointError, match=r"All checkpoints in .* are damaged: steps \[10, 20\]"):
            checkpoints.restore(template(new_state(0)))
    assert num_damaged(warned) == 2


def change_record(run_dir, change):
    path = unsealed(run_dir) / "_CHECKPOINT_METADATA"
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


def test_a_step_with_which_nothing_can_be_compared_is_not_read(run_dir):
    change_record(run_dir, lambda custom: custom.clear())
    with Checkpointer(run_dir) as checkpoints:
        with pytest.raises(CheckpointError, match="Step 20 .* is damaged: its record has no checksums"):
            checkpoints.restore(template(new_state(0)), step=20)
    with pytest.warns(UserWarning, match="no checksums; looking for an older step"):
        assert_same_bits(restore_ema(run_dir), new_state(10).ema_params)


def test_another_model_is_not_damage(run_dir, recwarn):
    with Checkpointer(run_dir) as checkpoints, pytest.raises(CheckpointError, match="not the state"):
        checkpoints.restore(template(new_state(0, width=5)))
    assert not num_damaged(recwarn)


def test_steps_set_aside_can_be_saved_again(run_dir):
    flip(step_folder(run_dir) / "state" / "_METADATA")
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
        checkpoints.save(step, {"ema_params": {"x": jnp.full(100_000, step, jnp.float32)}}, 1 / step)
        print(step, flush=True)
"""


def test_what_is_read_while_a_run_writes_and_deletes_is_whole(tmp_path, recwarn):
    with start(SAVE_FOR_EVER, tmp_path) as process:
        try:
            assert process.stdout is not None
            while process.stdout.readline() != "3\n":
                assert process.poll() is None
            found = [np.unique(restore_ema(tmp_path)["x"]) for _ in range(20)]
        finally:
            process.kill()
    assert all(len(values) == 1 for values in found)  # each is one step, and not the bytes of two
    assert found == sorted(found) and found[-1] > found[0]
    assert not num_damaged(recwarn)


def test_a_step_that_is_deleted_while_it_is_read_is_none(run_dir, monkeypatch):
    """The same without chance: the newer of two steps goes just before its files are looked at."""

    def check(folder):
        if folder.name == "20":
            shutil.rmtree(folder)
        real_check(folder)

    real_check = seals.check
    monkeypatch.setattr(seals, "check", check)
    assert_same_bits(restore_ema(run_dir), new_state(10).ema_params)


def test_a_killed_deletion_leaves_nothing_that_is_taken_for_a_step(run_dir):
    os.unlink(step_folder(run_dir, 10) / "commit_success.txt")
    with Checkpointer(run_dir) as checkpoints:
        assert checkpoints.steps() == [20]
        checkpoints.save(30, new_state(30))
    assert sorted(path.name for path in (run_dir / "checkpoints").iterdir()) == ["20", "30"]

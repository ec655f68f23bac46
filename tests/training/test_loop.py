"""Training is a pure step and a loop that can be cut anywhere."""

import dataclasses
import functools
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from configs import default
from sdedit_jax import build
from sdedit_jax.checkpoints import Checkpointer
from sdedit_jax.training import Schedule
from tests.training.networks import Small
from tests.training.runs import Edits, assert_same_bits, rows, run


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder and the state of an uninterrupted run of a network with all that a real one has."""
    workdir = tmp_path_factory.mktemp("whole")
    return workdir, run(workdir, 30, model=Small(), every=10)


def test_a_resumed_run_is_the_run_that_was_not_interrupted(whole, tmp_path):
    """Bit for bit: parameters, their average, the optimizer's moments, and every row of the metrics."""
    run(tmp_path, 20, model=Small(), every=10)
    state = run(tmp_path, 30, model=Small(), every=10)
    assert int(state.step) == 30
    assert_same_bits(state, whole[1])
    assert rows(tmp_path) == rows(whole[0])
    assert [row["step"] for row in rows(tmp_path)] == [10, 10, 20, 20, 30, 30]


def test_a_run_with_muon_resumes_as_well(tmp_path):
    """Its state has holes, where Adam's parameters are and its own are not."""
    config = default.get_config()
    config.training.update(muon_learning_rate=0.05, warmup_steps=0)
    once, twice = (functools.partial(run, tmp_path / name, model=Small()) for name in ("once", "twice"))
    state = once(4, tx=build.build_optimizer(config))
    twice(2, tx=build.build_optimizer(config))
    assert_same_bits(twice(4, tx=build.build_optimizer(config)), state)
    assert rows(tmp_path / "once") == rows(tmp_path / "twice")


def test_the_loss_falls(whole):
    losses = [row["validation_loss"] for row in rows(whole[0]) if "validation_loss" in row]
    assert losses[0] > losses[1] > losses[2]


def test_the_newest_checkpoint_is_the_state_that_is_returned(whole):
    workdir, state = whole
    with Checkpointer(workdir) as checkpointer:
        assert checkpointer.latest_step() == 30
        assert_same_bits(checkpointer.restore(jax.eval_shape(lambda: state)), state)


def test_a_finished_run_does_nothing_more_and_says_so(tmp_path, capsys):
    state = run(tmp_path, 2)
    assert not capsys.readouterr().out
    metrics = rows(tmp_path)
    edit = Edits()
    assert_same_bits(run(tmp_path, 2, edit=edit), state)
    assert rows(tmp_path) == metrics and not edit.calls
    assert "all 2 steps are done. For more, raise --config.training.num_steps" in capsys.readouterr().out


def test_what_a_killed_run_logged_after_its_checkpoint_is_logged_again(tmp_path):
    run(tmp_path / "whole", 4)
    run(tmp_path / "killed", 2)
    with (tmp_path / "killed" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3, "loss": 7.0}\n{"step": 4, "lo')
    run(tmp_path / "killed", 4)
    assert rows(tmp_path / "killed") == rows(tmp_path / "whole")


def test_a_run_goes_on_from_before_a_damaged_checkpoint(whole, tmp_path):
    """And reaches the same state: what the damaged step was, is computed again."""
    run(tmp_path, 20, model=Small(), every=10)
    for arrays in (tmp_path / "checkpoints" / "20" / "state").glob("d/*"):
        arrays.write_bytes(arrays.read_bytes()[:-100])
    with pytest.warns(UserWarning, match="Step 20 in .* is damaged"):
        state = run(tmp_path, 30, model=Small(), every=10)
    assert_same_bits(state, whole[1])
    assert rows(tmp_path) == rows(whole[0])
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["20", "30"]
    assert list(tmp_path.glob("damaged_20_*"))


INTERRUPTED = """
import sys
from pathlib import Path
from tests.training.runs import run
run(Path(sys.argv[1]), int(sys.argv[2]), log_every=10, checkpoint_every=100_000, sample_every=100_000)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_asked_to_stop_saves_and_says_how_to_go_on(tmp_path, number):
    command = [sys.executable, "-c", INTERRUPTED, str(tmp_path / "asked"), "100000"]
    root, metrics = Path(__file__).parents[2], tmp_path / "asked" / "metrics.jsonl"
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not (metrics.exists() and metrics.read_text()):  # training has begun
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(number)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    with Checkpointer(tmp_path / "asked") as checkpointer:
        assert (step := checkpointer.latest_step())
    what, how = said.split(" To go on:\n")
    assert what == f"Stopped and saved after step {step} of 100000." and shlex.split(how) == command
    assert rows(tmp_path / "asked")[-1]["step"] == step
    state = run(tmp_path / "asked", step + 3, every=100_000)
    assert_same_bits(state, run(tmp_path / "whole", step + 3, every=100_000))


def test_intervals_need_not_divide_each_other(tmp_path):
    run(tmp_path, 7, log_every=3, checkpoint_every=2, sample_every=4)
    found = rows(tmp_path)
    assert [row["step"] for row in found if "loss" in row] == [3, 6, 7]
    assert [row["step"] for row in found if "validation_loss" in row] == [4, 7]
    run(tmp_path / "each", 7, every=1)
    each = {row["step"]: row["loss"] for row in rows(tmp_path / "each") if "loss" in row}
    means = [np.mean([each[step] for step in steps]) for steps in ([1, 2, 3], [4, 5, 6], [7])]
    # Means of the same float32 losses, in double precision.
    np.testing.assert_allclose([row["loss"] for row in found if "loss" in row], means, rtol=1e-12)


@pytest.mark.parametrize("field", ["num_steps", "log_every", "checkpoint_every", "sample_every", "max_skipped_steps"])
def test_a_schedule_needs_positive_intervals(field):
    good = dict.fromkeys((entry.name for entry in dataclasses.fields(Schedule)), 1)
    with pytest.raises(ValueError, match=f"{field} must be 1 or more, got 0"):
        Schedule(**good | {field: 0})


def test_parts_of_a_batch_make_the_same_run(tmp_path):
    """Up to float32 sums in another order, four steps long; `Blur` has no dropout."""
    whole, in_parts = run(tmp_path / "whole", 4), run(tmp_path / "parts", 4, num_microbatches=2)
    for found, wanted in zip(jax.tree.leaves(in_parts), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-7)


TRAIN = """
import sys, jax
from pathlib import Path
from tests.training.runs import run
assert jax.device_count() == 2
run(Path(sys.argv[1]), 4)
"""


def test_two_devices_share_a_batch(tmp_path):
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=2"
    command = [sys.executable, "-c", TRAIN, str(tmp_path / "two")]
    subprocess.run(
        command, cwd=Path(__file__).parents[2], env=os.environ | {"XLA_FLAGS": flags}, check=True, timeout=120
    )
    run(tmp_path / "one", 4)
    for found, wanted in zip(rows(tmp_path / "two"), rows(tmp_path / "one"), strict=True):
        assert found.keys() == wanted.keys()
        for name in found:  # sums over a batch in another order, four steps long
            np.testing.assert_allclose(found[name], wanted[name], rtol=1e-5)

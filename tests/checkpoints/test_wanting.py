"""What is wanting for the moment, memory or open files or rights, does not make a step a damaged one."""

import contextlib
import errno
import os
import resource

import pytest

from sdedit_jax.checkpoints import Checkpointer, CheckpointError, seals, snapshots
from tests.checkpoints.states import assert_same_bits, flip, new_state, num_damaged, template


@pytest.fixture(params=["sealed", "unsealed"])
def either_dir(request, run_dir):
    if request.param == "unsealed":
        (run_dir / "checkpoints" / "20" / seals.NAME).unlink()
    return run_dir


@contextlib.contextmanager
def no_more_open_files():
    """This process can open nothing while the block runs."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, limits[1]))
    with contextlib.ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        with contextlib.suppress(OSError):
            while True:
                stack.enter_context(open(os.devnull))
        yield


def restore(directory):
    with Checkpointer(directory) as checkpoints:
        return checkpoints.restore(template(new_state(0)))


def test_a_step_is_whole_though_no_file_can_be_opened(run_dir):
    folder = run_dir / "checkpoints" / "20"
    with (
        no_more_open_files(),
        pytest.raises(CheckpointError, match="Too many open files.*when that is mended") as caught,
    ):
        snapshots.index(folder)
    assert not isinstance(caught.value, snapshots.DamagedError)
    assert_same_bits(restore(run_dir), new_state(20))


def fail_to_load(monkeypatch, error):
    def load(folder, template):
        raise error

    monkeypatch.setattr(snapshots.ocp, "load", load)


WANTING = [
    MemoryError("455 MB"),
    RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 455 MB"),
    PermissionError(errno.EACCES, os.strerror(errno.EACCES)),
]


@pytest.mark.parametrize("error", WANTING, ids=lambda error: type(error).__name__)
def test_a_run_does_not_go_back_for_want_of_memory_or_rights(either_dir, monkeypatch, recwarn, error):
    fail_to_load(monkeypatch, error)
    with pytest.raises(CheckpointError, match="Step 20 in .* could not be read, though nothing says .* damaged"):
        restore(either_dir)
    monkeypatch.undo()
    assert_same_bits(restore(either_dir), new_state(20))
    assert not num_damaged(recwarn)


def test_whatever_fails_while_the_seal_is_whole_is_no_damage(run_dir, monkeypatch):
    fail_to_load(monkeypatch, RuntimeError("of some kind"))
    with pytest.raises(
        CheckpointError, match="could not be read, though nothing says that it is damaged: of some kind"
    ):
        restore(run_dir)
    for step in (10, 20):
        flip(run_dir / "checkpoints" / str(step) / "state" / "_METADATA")
    with pytest.warns(UserWarning, match="is damaged"), pytest.raises(CheckpointError, match="All checkpoints"):
        restore(run_dir)
